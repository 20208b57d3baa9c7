/*
 * cmd_replay.c - `hark replay`: calls in the order of time, with what the program said in between.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/sink/sink.h"
#include "tools/cmds.h"
#include "tools/reading.h"
#include "tools/replay.h"
#include "tools/show_as.h"

struct wish {
	struct trace_options options;
	bool json, by_thread;
};

static int show(struct wish *wish)
{
	static struct reading reading;
	struct replay replay;
	int status = CLI_FAILED;

	wish->options.filter.lines = wish->json;
	if (reading_open(&reading, wish->options.data, &wish->options.filter) != 0)
		return CLI_FAILED;
	bool color = sink_console_color(COLOR_AUTO, isatty(STDOUT_FILENO), getenv("NO_COLOR"),
					getenv("CLICOLOR_FORCE"), getenv("TERM"));
	bool many = reading.dir.thread_count > 1 && !wish->by_thread;
	if (reading_calls(&reading) && replay_init(&replay, stdout, color, many) == 0) {
		const struct calls_visitor *visitor = wish->json ? &replay_json : &replay_text;
		int rc = (wish->by_thread ? calls_walk : calls_merge)(reading.calls, visitor,
								      &replay);

		replay_fini(&replay);
		fflush(stdout);
		reading_tell(&reading, NULL);
		status = rc != 0 ? reading_failed(&reading, rc) : 0;
	}
	reading_close(&reading);
	return status;
}

static int take(struct wish *wish, const struct cli *cli)
{
	if (strcmp(cli->option, "--by-thread") == 0) {
		wish->by_thread = true;
		return 1;
	}
	if (strcmp(cli->option, "--format") != 0)
		return trace_options_take(&wish->options, cli);
	return show_as_format(cli, &wish->json) == 0 ? 1 : -EINVAL;
}

int cmd_replay(struct cli *cli)
{
	static struct wish wish;
	enum cli_found found;
	int rc = 1;

	trace_options_init(&wish.options);
	while (rc > 0 && (found = cli_next(cli)) != CLI_END) {
		if (found == CLI_OPTION) {
			rc = take(&wish, cli);
			continue;
		}
		if (found == CLI_WORD)
			show_as_unknown(cli);
		rc = -EINVAL;
	}
	int status = rc > 0 ? show(&wish) : CLI_FAILED;
	trace_options_fini(&wish.options);
	return status;
}
