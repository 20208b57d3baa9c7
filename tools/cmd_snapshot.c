/*
 * cmd_snapshot.c - `hark snapshot`: keeps what flight recorders hold now, while their programs go on.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/session/session.h"
#include "lib/snapshot/snapshot.h"
#include "tools/cmds.h"
#include "tools/pick.h"

static const char *const modes[] = { "off", "trace", "profile", "flight" };

/* What it records is in its trace already, and stays there. */
static int trace_of(const struct place_session *found, char path[SNAPSHOT_PATH])
{
	const struct control *c = &found->control;
	unsigned mode = c->stamp & STAMP_MODE;

	if (mode == STAMP_TRACE || mode == STAMP_PROFILE) {
		cli_say("session %d records with stamp=%s: all of it stays in %s; snapshots are of "
			"flight recorders (`hark set %d stamp=flight`)",
			c->first_pid, modes[mode], c->trace, c->first_pid);
		return -EINVAL;
	}
	if (mode == STAMP_OFF && !atomic_load(&c->images)) {
		cli_say("session %d records nothing; `hark set %d stamp=flight` makes it",
			c->first_pid, c->first_pid);
		return -ENODATA;
	}
	snprintf(path, SNAPSHOT_PATH, "%s", c->trace);
	return 0;
}

static int take(const char *trace)
{
	const struct snapshot_plan plan = { .trace = trace };
	char path[SNAPSHOT_PATH], why[1024];
	int rc = snapshot_make(&plan, path, why, sizeof why);

	if (rc != 0) {
		cli_say("%s", why);
		return CLI_FAILED;
	}
	puts(path);
	return fflush(stdout) == 0 ? 0 : CLI_FAILED;
}

int cmd_snapshot(struct cli *cli)
{
	static struct place_session found;
	const char *pid = NULL, *data = NULL;
	char path[SNAPSHOT_PATH];
	enum cli_found got;

	while ((got = cli_next(cli)) != CLI_END) {
		if (got == CLI_WRONG)
			return CLI_FAILED;
		if (got == CLI_OPTION) {
			data = cli->value;
		} else if (pid) {
			cli_say("snapshot takes one PID at most; `hark snapshot --help` says more");
			return CLI_FAILED;
		} else {
			pid = cli->value;
		}
	}
	if (pid && data) {
		cli_say("snapshot takes a PID or --data, not both: a session knows its trace");
		return CLI_FAILED;
	}
	if (data)
		return take(data);
	if (pick_session(pid, &found) != 0 || trace_of(&found, path) != 0)
		return CLI_FAILED;
	return take(path);
}
