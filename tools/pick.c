/*
 * pick.c - see pick.h. Called by the verbs that take a PID.
 */
#include "tools/pick.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/parse.h"
#include "lib/base/text.h"
#include "lib/session/process.h"
#include "tools/cli.h"
#include "tools/remains.h"

enum { SHOWN_MOST = 6 };

struct search {
	pid_t pid;                /* 0: any */
	unsigned live;
	struct place_session *session;
	struct text list;         /* of those that there are */
};

static bool has_process(const struct place_session *s, pid_t pid)
{
	const struct control *c = &s->control;
	char path[PLACE_PATH + 16];
	struct stat st;

	/* The first one names the session, also when it has ended. */
	if (pid == c->first_pid || pid == c->collector_pid || pid == c->guardian_pid)
		return true;
	for (unsigned i = 0; i < CONTROL_PROCESSES && i < c->process_count; i++)
		if (c->processes[i].pid == pid && c->processes[i].start == process_start(pid))
			return true;
	/* The collector's list is bounded, and may be behind. */
	snprintf(path, sizeof path, "%s/control", s->dir);
	return stat(path, &st) == 0 && process_maps(pid, st.st_dev, st.st_ino);
}

static int visit(void *arg, const struct place_session *session)
{
	struct search *search = arg;

	if (!session->alive)
		return 0;
	if (search->pid) {
		if (!has_process(session, search->pid))
			return 0;
		*search->session = *session;
		return 1;
	}
	if (search->live++ == 0)
		*search->session = *session;
	if (search->live > SHOWN_MOST)
		return 0;
	text_str(&search->list, search->list.len ? ", " : "");
	text_i64(&search->list, session->control.first_pid);
	text_str(&search->list, " (");
	text_bytes(&search->list, session->control.command, strnlen(session->control.command, 40));
	text_char(&search->list, ')');
	return 0;
}

int pick_session(const char *word, struct place_session *session)
{
	char buffer[512];
	struct search search = { .session = session, .list = text_in(buffer, sizeof buffer) };
	uint64_t pid = 0;

	if (word && parse_u64(word, 1, INT32_MAX, &pid) != 0) {
		cli_say("%s: not a pid; `hark ps` lists the sessions", word);
		return -EINVAL;
	}
	search.pid = (pid_t)pid;
	int found = place_each(visit, &search);
	if (pid && !found) {
		cli_say("process %s belongs to no live session; `hark ps` lists them", word);
		return -ESRCH;
	}
	if (!pid && search.live == 0) {
		cli_say("no live sessions");
		return -ESRCH;
	}
	if (!pid && search.live > 1) {
		cli_say("%u live sessions; say which by its PID: %s%s", search.live,
			text_cstr(&search.list), search.live > SHOWN_MOST ? ", ..." : "");
		return -EINVAL;
	}
	return 0;
}
