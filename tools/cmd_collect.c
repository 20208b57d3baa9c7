/*
 * cmd_collect.c - `hark collect`: the collector's process, started by collect_spawn() and guardians alone.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "tools/cmds.h"
#include "tools/launch.h"

int launch_here(const struct collect_plan *plan)
{
	struct collect_plan own = *plan;

	own.ends = true;
	cli_say_on(STDERR_FILENO);
	int result = collect_run(&own);
	if (result >= 0)
		return result;
	/* Whoever started us reads this; a successor's goes to the null device. */
	cli_say("%s in %s: %s%s", collect_failed_at(), plan->dir, strerror(-result),
		launch_advice(result));
	return CLI_FAILED;
}

int cmd_collect(struct cli *cli)
{
	struct collect_plan plan = { .console_fd = -1, .deep_fd = -1 };
	enum cli_found found;

	while ((found = cli_next(cli)) != CLI_END) {
		if (found == CLI_WRONG)
			return CLI_FAILED;
		if (found == CLI_WORD) {
			plan.dir = cli->value;
			continue;
		}
		int *fd = strcmp(cli->option, "--deep-fd") == 0 ? &plan.deep_fd : &plan.console_fd;
		if (cli_number(cli, 0, fd) != 0)
			return CLI_FAILED;
	}
	if (!plan.dir) {
		cli_say("collect needs the directory of a session; `hark run` starts it");
		return CLI_FAILED;
	}
	return launch_here(&plan);
}
