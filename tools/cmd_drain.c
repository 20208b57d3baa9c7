/*
 * cmd_drain.c - `hark drain`: waits until all that was said so far has reached the sinks.
 */
#include <errno.h>
#include <string.h>

#include "lib/base/parse.h"
#include "lib/session/session.h"
#include "tools/cmds.h"
#include "tools/pick.h"

static int wait_for(const char *dir, pid_t pid, uint64_t timeout_ns, const char *timeout)
{
	struct session session;

	int error = session_join(&session, dir);
	if (error == -ENOENT)
		return 0; /* ended in the meantime: all is delivered */
	if (!error) {
		error = session_wait_for(&session, SESSION_DELIVERED, session_position(&session),
					 timeout_ns);
		session_leave(&session);
	} else if (error == -ESTALE) {
		static struct place_session now;
		if (place_read(dir, &now) != 0 || now.control.state == SESSION_ENDED)
			return 0;
		error = -EPIPE;
	}
	if (error == -ETIMEDOUT)
		cli_say("session %d: not everything has reached the sinks after %s; `hark stats "
			"%d` says "
			"more",
			pid, timeout, pid);
	else if (error == -EPIPE)
		cli_say("session %d: nobody collects any more; `hark salvage` delivers the rest",
			pid);
	else if (error)
		cli_say("session %d: %s", pid, strerror(-error));
	return error ? 1 : 0;
}

int cmd_drain(struct cli *cli)
{
	static struct place_session session;
	const char *word = NULL, *timeout = "5s";
	enum cli_found found;
	uint64_t timeout_ns;

	while ((found = cli_next(cli)) != CLI_END) {
		if (found == CLI_WRONG)
			return CLI_FAILED;
		if (found == CLI_OPTION) {
			timeout = cli->value;
		} else if (word) {
			cli_say("drain takes one PID at most; `hark drain --help` says more");
			return CLI_FAILED;
		} else {
			word = cli->value;
		}
	}
	if (parse_duration(timeout, &timeout_ns) != 0) {
		cli_say("--timeout %s: not a duration; accepted: such as 5s or 500ms", timeout);
		return CLI_FAILED;
	}
	if (pick_session(word, &session) != 0)
		return CLI_FAILED;
	return wait_for(session.dir, session.control.first_pid, timeout_ns, timeout);
}
