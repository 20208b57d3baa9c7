/*
 * cmd_set.c - `hark set`: changes what a live session does.
 */
#include <errno.h>
#include <string.h>

#include "lib/session/session.h"
#include "tools/cmds.h"
#include "tools/data.h"
#include "tools/pick.h"

static const char *const modes[] = { "off", "trace", "profile", "flight" };

static int mode_of(const char *word)
{
	for (unsigned i = 0; i < sizeof modes / sizeof *modes; i++)
		if (strcmp(word, modes[i]) == 0)
			return (int)i;
	return -1;
}

/* A session that began without stamps has no trace yet. */
static int make_trace(const struct place_session *found, const char *path)
{
	char why[1024], session[PLACE_PATH];

	if (!*path) {
		cli_say("session %d has no place for a trace: where it was started is gone",
			found->control.first_pid);
		return -ENOENT;
	}
	data_session(path, session, sizeof session);
	if (strcmp(session, found->dir) == 0)
		return 0;
	int error = data_make(path, why, sizeof why);
	if (!error)
		error = data_identify(path, found->dir, found->control.command,
				      found->control.first_pid, why, sizeof why);
	if (error)
		cli_say("%s", why);
	else
		cli_say("calls are recorded in %s, without what the program says: that is there "
			"where it was started with --stamp",
			path);
	return error;
}

static int change(const struct place_session *found, unsigned mode)
{
	struct session session;
	int error = session_join(&session, found->dir);

	if (error) {
		cli_say("session %d: %s", found->control.first_pid, strerror(-error));
		return error;
	}
	if (mode != STAMP_OFF)
		error = make_trace(found, session.control->trace);
	if (!error) {
		uint32_t word = atomic_load(&session.control->stamp);
		uint32_t next;
		do
			next = ((word & ~(uint32_t)STAMP_MODE) + STAMP_CHANGE) | mode;
		while (!atomic_compare_exchange_weak(&session.control->stamp, &word, next));
	}
	session_leave(&session);
	return error;
}

int cmd_set(struct cli *cli)
{
	static struct place_session found;
	const char *pid = NULL, *change_to = NULL;
	enum cli_found got;

	while ((got = cli_next(cli)) != CLI_END) {
		if (got == CLI_WRONG)
			return CLI_FAILED;
		const char **word = strchr(cli->value, '=') ? &change_to : &pid;
		if (*word) {
			cli_say("set takes one PID and one change; `hark set --help` says more");
			return CLI_FAILED;
		}
		*word = cli->value;
	}
	if (!change_to) {
		cli_say("set needs a change, such as stamp=trace; `hark set --help` says more");
		return CLI_FAILED;
	}
	int mode = strncmp(change_to, "stamp=", 6) == 0 ? mode_of(change_to + 6) : -1;
	if (mode < 0) {
		cli_say("%s: no such change; accepted: stamp=off, stamp=trace, stamp=profile, "
			"stamp=flight",
			change_to);
		return CLI_FAILED;
	}
	if (pick_session(pid, &found) != 0)
		return CLI_FAILED;
	return change(&found, (unsigned)mode) ? CLI_FAILED : 0;
}
