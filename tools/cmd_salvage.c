/*
 * cmd_salvage.c - `hark salvage`: delivers what dead sessions left behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/text.h"
#include "lib/collect/checkpoint.h"
#include "lib/collect/collect.h"
#include "lib/format/escape.h"
#include "tools/cmds.h"
#include "tools/launch.h"
#include "tools/remains.h"

enum { DIRS_MOST = 256 };

/* Of a collector in a process of its own. */
struct outcome {
	int result;
	int signal;                /* it was killed by that one; 0: it was not */
	char step[256];
	struct collect_delivery delivery;
};

struct salvage {
	struct config to;          /* its sinks, where --to was given */
	const char *dir;           /* NULL: all */
	char (*dirs)[PLACE_PATH];
	unsigned count;
};

/* A relative path is meant from here; the collector would take it from where the session began. */
static int make_absolute(const char *given, char *out, size_t room)
{
	struct sink_spec spec;
	char why[512], cwd[PATH_MAX];
	struct text text = text_in(out, room);
	size_t kind = strcspn(given, ":");

	if (spec_parse(given, &spec, why, sizeof why) != 0 || spec.target[0] == '/' ||
	    (spec.kind != SINK_FILE && spec.kind != SINK_UNIX && spec.kind != SINK_UNIXGRAM)) {
		text_str(&text, given); /* what is wrong with it, config_set() says better */
	} else {
		if (!getcwd(cwd, sizeof cwd))
			return -errno;
		text_bytes(&text, given, kind + 1);
		for (const char *c = cwd; *c; c++) {
			char code[4];
			snprintf(code, sizeof code, "%%%02X", (unsigned char)*c);
			text_bytes(&text, strchr(" \t\n%?&", *c) ? code : c,
				   strchr(" \t\n%?&", *c) ? 3 : 1);
		}
		text_char(&text, '/');
		text_str(&text, given + kind + 1);
	}
	text_cstr(&text);
	return text.cut ? -ENAMETOOLONG : 0;
}

static int take_to(struct salvage *s, const char *value)
{
	const struct setting *to = config_option("--to");
	struct config_problem problem;
	char absolute[PATH_MAX + 512];

	int error = make_absolute(value, absolute, sizeof absolute);
	if (error) {
		cli_say("--to %s: %s", value, strerror(-error));
		return error;
	}
	error = config_set(&s->to, to, to->option, absolute, &problem);
	if (error)
		cli_say("%s", problem.text);
	return error;
}

static int take_arguments(struct salvage *s, struct cli *cli)
{
	enum cli_found found;

	while ((found = cli_next(cli)) != CLI_END) {
		if (found == CLI_WRONG || (found == CLI_OPTION && take_to(s, cli->value) != 0))
			return -EINVAL;
		if (found == CLI_WORD && s->dir) {
			cli_say("salvage takes one DIR at most; `hark salvage --help` says more");
			return -EINVAL;
		}
		if (found == CLI_WORD)
			s->dir = cli->value;
	}
	return 0;
}

/* Names are gathered first: what is delivered is removed, while place_each() goes on. */
static int gather(void *arg, const struct place_session *session)
{
	struct salvage *s = arg;

	if (!remains_in(session))
		return 0;
	strcpy(s->dirs[s->count++], session->dir);
	return s->count == DIRS_MOST;
}

static void print_size(uint64_t bytes)
{
	if (bytes < 1000)
		printf("%" PRIu64 " %s", bytes, text_one(bytes, "byte", "bytes"));
	else if (bytes < 1000000)
		printf("%" PRIu64 " kB", (bytes + 500) / 1000);
	else
		printf("%" PRIu64 " MB", (bytes + 500000) / 1000000);
}

static void print_count(uint64_t count)
{
	if (count >= 1000) {
		print_count(count / 1000);
		printf(",%03" PRIu64, count % 1000);
	} else {
		printf("%" PRIu64, count);
	}
}

static void report(const struct place_session *session, const struct collect_delivery *delivery,
		   int64_t said_ns)
{
	char when[32], command[sizeof session->control.command];

	remains_time(when, said_ns);
	strcpy(command, session->control.command); /* place_read() ended it */
	escape_tame(command);
	printf("recovered ");
	print_count(delivery->messages);
	printf(" %s (", text_one(delivery->messages, "message", "messages"));
	print_size(delivery->bytes);
	printf(") of %s, said until %s\n", command, when);
	fflush(stdout);
}

/* What killed each of the session's collectors may kill this one, too: then there is somebody left to
 * say so. */
static int collect_apart(const struct collect_plan *plan, struct outcome *outcome)
{
	int status = 0;
	struct outcome *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE,
				      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid = shared == MAP_FAILED ? -1 : fork();
	int error = pid < 0 ? -errno : 0;

	if (pid == 0) {
		shared->result = collect_run(plan);
		collect_last_delivery(&shared->delivery);
		snprintf(shared->step, sizeof shared->step, "%s", collect_failed_at());
		_exit(0);
	}
	while (!error && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!error)
		*outcome = *shared;
	outcome->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	if (shared != MAP_FAILED)
		munmap(shared, sizeof *shared);
	return error;
}

static void say_why_not(const char *dir, const struct outcome *o)
{
	if (o->signal)
		cli_say("%s: cannot be salvaged: the collector was killed by signal %d (%s) at it. "
			"Nothing was removed: what programs said is in %s/ring", dir, o->signal,
			strsignal(o->signal), dir);
	else
		cli_say("%s: cannot be salvaged: %s: %s%s", dir, o->step, strerror(-o->result),
			launch_advice(o->result));
}

static int deliver(const struct salvage *s, const struct place_session *session)
{
	struct collect_plan plan = {
		.dir = session->dir, .deep_fd = -1, .salvage = true,
		.sinks = s->to.sinks_by_option ? s->to.sinks : NULL
	};
	struct outcome o = { 0 };
	struct checkpoint_file notes;
	struct checkpoint last = { .time_ns = 0 };
	char path[PLACE_PATH + 16];
	const void *lines;

	/* Held open, because what was delivered is removed; it knows the time of the last message. */
	snprintf(path, sizeof path, "%s/state", session->dir);
	int noted = checkpoint_open(&notes, path);
	plan.console_fd = launch_console();
	int error = collect_apart(&plan, &o);
	close(plan.console_fd);
	if (!noted) {
		checkpoint_load(&notes, &last, &lines);
		checkpoint_close(&notes);
	}
	if (error) {
		cli_say("%s: cannot be salvaged: %s%s", session->dir, strerror(-error),
			launch_advice(error));
		return 1;
	}
	if (o.signal || o.result < 0) {
		say_why_not(session->dir, &o);
		return 1;
	}
	report(session, &o.delivery,
	       last.time_ns ? last.time_ns : (int64_t)session->control.started_ns);
	int result = o.result;
	if (result == 0) {
		result = place_remove(session->dir);
		if (result && result != -ENOENT)
			cli_say("%s: all is delivered, but it cannot be removed: %s", session->dir,
				strerror(-result));
		return 0;
	}
	cli_say("%s: %" PRIu64 " %s not with the sinks yet; try again, or deliver the rest "
		"elsewhere with --to",
		session->dir, o.delivery.undelivered_bytes,
		text_one(o.delivery.undelivered_bytes, "byte is", "bytes are"));
	return 1;
}

/* One at a time: the lock is on the control block, and ends with us. */
static int salvage_dir(const struct salvage *s, const char *dir)
{
	static struct place_session session;

	int fd = place_lock(dir);
	if (fd == -EWOULDBLOCK) {
		cli_say("%s: another salvage is at work there", dir);
		return 1;
	}
	/* Read under the lock: it may have been delivered meanwhile. */
	int error = fd < 0 ? fd : place_read(dir, &session), status = 1;
	if (error == -ENOENT && !s->dir)
		status = 0;
	else if (error)
		cli_say("%s: no session of this version of hark, or not ours alone: %s", dir,
			strerror(-error));
	else if (session.alive)
		cli_say("%s: the session of %s is alive (PID %d); `hark drain %d` waits for it",
			dir, session.control.command, session.control.first_pid,
			session.control.first_pid);
	else
		status = deliver(s, &session);
	if (fd >= 0)
		close(fd);
	return status;
}

int cmd_salvage(struct cli *cli)
{
	static struct salvage s;
	int status = 0;

	config_defaults(&s.to);
	if (take_arguments(&s, cli) != 0)
		return CLI_FAILED;
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	if (s.dir) {
		static char dir[PATH_MAX];
		return salvage_dir(&s, realpath(s.dir, dir) ? dir : s.dir);
	}
	s.dirs = calloc(DIRS_MOST, sizeof *s.dirs);
	if (!s.dirs) {
		cli_say("no memory");
		return CLI_FAILED;
	}
	place_each(gather, &s);
	for (unsigned i = 0; i < s.count; i++)
		status |= salvage_dir(&s, s.dirs[i]);
	if (s.count == 0)
		cli_say("no session has left anything behind");
	free(s.dirs);
	return status;
}
