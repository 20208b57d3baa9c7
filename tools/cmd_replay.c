/*
 * cmd_replay.c - `hark replay`: calls in the order of time, with what the program said in between.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/sink/sink.h"
#include "tools/cmds.h"
#include "tools/replay.h"
#include "tools/trace_options.h"

struct wish {
	struct trace_options options;
	bool json, by_thread;
};

static int show(struct wish *wish)
{
	struct trace_dir dir;
	struct replay replay;

	if (trace_options_open(&wish->options, &dir) != 0)
		return CLI_FAILED;
	bool color = sink_console_color(COLOR_AUTO, isatty(STDOUT_FILENO), getenv("NO_COLOR"),
					getenv("CLICOLOR_FORCE"), getenv("TERM"));
	bool many = dir.thread_count > 1 && !wish->by_thread;
	if (!trace_options_calls(&dir) || replay_init(&replay, stdout, color, many) != 0) {
		trace_dir_close(&dir);
		return CLI_FAILED;
	}
	const struct calls_visitor *visitor = wish->json ? &replay_json : &replay_text;
	wish->options.filter.lines = wish->json;
	struct calls *calls = calls_open(&dir, &wish->options.filter);
	int rc = !calls ? -ENOMEM : (wish->by_thread ? calls_walk : calls_merge)(calls, visitor, &replay);
	replay_fini(&replay);
	fflush(stdout);
	if (calls)
		calls_close(calls);
	return trace_options_close(&dir, rc);
}

static int take(struct wish *wish, const struct cli *cli)
{
	if (strcmp(cli->option, "--by-thread") == 0) {
		wish->by_thread = true;
		return 1;
	}
	if (strcmp(cli->option, "--format") != 0)
		return trace_options_take(&wish->options, cli);
	wish->json = strcmp(cli->value, "json") == 0;
	if (wish->json || strcmp(cli->value, "text") == 0)
		return 1;
	cli_say("--format %s: accepted are text and json", cli->value);
	return -EINVAL;
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
			cli_say("replay does not understand \"%s\"; `hark replay --help` says what it takes",
				cli->value);
		rc = -EINVAL;
	}
	int status = rc > 0 ? show(&wish) : CLI_FAILED;
	trace_options_fini(&wish.options);
	return status;
}
