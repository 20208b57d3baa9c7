/*
 * cmd_diff.c - `hark diff`: what changed between two traces, function by function.
 */
#include <errno.h>
#include <string.h>

#include "tools/cmds.h"
#include "tools/difference.h"
#include "tools/show_as.h"
#include "tools/trace_options.h"

struct diff {
	struct trace_options options;
	enum table_key sort;
	bool json;
	const char *traces[2];
	unsigned given;
};

static int take_option(struct cli *cli, struct diff *diff)
{
	int rc = trace_options_take(&diff->options, cli);
	unsigned key;

	if (rc != 0)
		return rc;
	if (strcmp(cli->option, "--format") == 0)
		return show_as_format(cli, &diff->json);
	rc = show_as_choice(cli, table_keys, &key);
	if (rc == 0)
		diff->sort = (enum table_key)key;
	return rc;
}

static int take_options(struct cli *cli, struct diff *diff)
{
	enum cli_found found;

	while ((found = cli_next(cli)) != CLI_END) {
		if (found == CLI_WRONG || (found == CLI_OPTION && take_option(cli, diff) < 0))
			return -EINVAL;
		if (found == CLI_WORD && diff->given == 2) {
			show_as_unknown(cli);
			return -EINVAL;
		}
		if (found == CLI_WORD)
			diff->traces[diff->given++] = cli->value;
	}
	if (diff->given == 2)
		return 0;
	cli_say("diff needs two traces, such as `hark diff hark.data.old hark.data`");
	return -EINVAL;
}

int cmd_diff(struct cli *cli)
{
	struct diff diff = { .sort = TABLE_TOTAL };

	trace_options_init(&diff.options);
	int status = take_options(cli, &diff) == 0 ?
			     difference_show(diff.traces[0], diff.traces[1], &diff.options.filter,
					     diff.sort, diff.json) :
			     CLI_FAILED;
	trace_options_fini(&diff.options);
	return status;
}
