/*
 * cmd_sample.c - `hark sample`: the sampler's process, started where a session is made (launch.c).
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "lib/collect/collect.h"
#include "lib/sample/sampler.h"
#include "tools/cmds.h"

static int take_options(struct cli *cli, struct sampler_plan *plan)
{
	enum cli_found found;
	int number;

	while ((found = cli_next(cli)) == CLI_OPTION) {
		if (strcmp(cli->option, "--data") == 0) {
			plan->data = cli->value;
		} else if (strcmp(cli->option, "--session") == 0) {
			plan->session = cli->value;
		} else if (strcmp(cli->option, "--by-kernel") == 0) {
			plan->by = SAMPLE_BY_KERNEL;
		} else if (strcmp(cli->option, "--by-timer") == 0) {
			plan->by = SAMPLE_BY_TIMER;
		} else if (strcmp(cli->option, "--wall") == 0) {
			plan->wall = true;
		} else if (strcmp(cli->option, "--on-exec") == 0) {
			plan->on_exec = true;
		} else if (cli_number(cli, 1, &number) != 0) {
			return -EINVAL;
		} else if (strcmp(cli->option, "--pid") == 0) {
			plan->pid = number;
		} else {
			plan->rate = (uint32_t)number;
		}
	}
	if (found == CLI_END && plan->data && plan->pid && plan->rate &&
	    plan->rate <= SAMPLER_RATE_MOST &&
	    (plan->by != SAMPLE_BY_TIMER || (plan->session && !plan->wall)))
		return 0;
	if (found != CLI_WRONG)
		cli_say("sample needs --data DIR, --pid P and --rate N, and --by-timer needs "
			"--session DIR and no --wall; `hark run --sample` starts it");
	return -EINVAL;
}

int cmd_sample(struct cli *cli)
{
	struct sampler_plan plan = { .rate = 0 };
	struct sampler *sampler;
	char why[1024];

	if (take_options(cli, &plan) != 0)
		return CLI_FAILED;
	if (sampler_open(&sampler, &plan, why, sizeof why) != 0) {
		cli_say("%s", why); /* whoever started us reads this */
		return CLI_FAILED;
	}
	if (chdir("/") != 0) /* no file system is kept from being unmounted */
		cli_say("the root directory cannot be entered: %s", strerror(errno));
	if (write(STDERR_FILENO, COLLECT_READY, sizeof COLLECT_READY - 1) > 0)
		dup2(STDOUT_FILENO, STDERR_FILENO);
	sampler_run(sampler);
	sampler_close(sampler);
	return 0;
}
