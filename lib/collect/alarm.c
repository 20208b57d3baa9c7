/*
 * alarm.c - see alarm.h.
 */
#include "lib/collect/alarm.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/collect/collector.h"
#include "lib/snapshot/snapshot.h"

#define SECOND_NS UINT64_C(1000000000)
#define CHILD_MOST_NS (10 * SECOND_NS) /* a disk that does not answer */

static bool due(const struct collector *c)
{
	const struct control *control = c->session.control;
	const struct alarm *a = &c->alarm;
	uint64_t pause_ns = a->made < control->snapshots ? SECOND_NS : 60 * SECOND_NS;

	return control->snapshots && control->trace[0] &&
	       (atomic_load_explicit(&control->stamp, memory_order_relaxed) & STAMP_MODE) ==
		       STAMP_FLIGHT &&
	       !a->line && !a->child && !c->plan->salvage &&
	       (!a->began_ns || c->now_ns - a->began_ns >= pause_ns);
}

void alarm_raise(struct collector *c, const struct message *message)
{
	struct alarm *a = &c->alarm;
	struct message m = *message;
	struct format format;

	if (m.level > LEVEL_ERROR || !due(c) || format_init(&format, "trace", NULL, false) != 0)
		return;
	m.length = assemble_last_state(m.text, m.length, &m.text);
	size_t room = format_bound(&format, &m);
	a->line = malloc(room);
	if (!a->line)
		return;
	struct text out = text_in(a->line, room);
	format.ops->render(&format, &m, &out);
	a->line_bytes = out.len;
	a->seq = m.seq;
	a->ticks = m.ticks;
}

/* In the child. Nothing of the session may be held by it: not the caller's pipe, nor the ring, by which
 * its processes are known. */
static void make_snapshot(struct collector *c)
{
	const struct alarm *a = &c->alarm;
	char trace[sizeof c->session.control->trace], path[SNAPSHOT_PATH], why[1024];
	struct snapshot_plan plan = { .trace = trace, .seq = a->seq, .ticks = a->ticks,
				      .line = a->line, .line_bytes = a->line_bytes,
				      .keep = c->session.control->snapshots };

	memcpy(trace, c->session.control->trace, sizeof trace);
	trace[sizeof trace - 1] = '\0';
	signal(SIGHUP, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	prctl(PR_SET_NAME, "hark-snapshot");
	session_leave(&c->session);
	close_range(STDERR_FILENO + 1, ~0u, 0);
	int rc = snapshot_make(&plan, path, why, sizeof why);
	_exit(rc == -EEXIST || rc == -ENODATA ? 0 : -rc & 0x7f);
}

static void complain(struct collector *c, int error)
{
	char text[256];
	uint32_t all = (1u << c->sink_count) - 1;

	snprintf(text, sizeof text, "the calls before message %llu cannot be kept: %s",
		 (unsigned long long)c->alarm.seq,
		 error ? strerror(error) : "the snapshot came to no end");
	c->alarm.complained = deliver_note(c, LEVEL_WARNING, text, all) != 0;
}

static void reap(struct collector *c)
{
	struct alarm *a = &c->alarm;
	int status = 0;

	if (c->now_ns - a->began_ns > CHILD_MOST_NS)
		kill(a->child, SIGKILL);
	if (waitpid(a->child, &status, WNOHANG) == 0)
		return;
	a->child = 0;
	bool failed = !WIFEXITED(status) || WEXITSTATUS(status);
	if (failed && !a->complained)
		complain(c, WIFEXITED(status) ? WEXITSTATUS(status) : 0);
}

void alarm_answer(struct collector *c)
{
	struct alarm *a = &c->alarm;

	if (a->child)
		reap(c);
	if (!a->line)
		return;
	a->began_ns = c->now_ns;
	a->made++;
	pid_t pid = fork();
	if (pid == 0)
		make_snapshot(c);
	a->child = pid > 0 ? pid : 0;
	free(a->line);
	a->line = NULL;
}

bool alarm_goes_on(const struct collector *c)
{
	return c->alarm.child != 0;
}
