/*
 * launch.c - see launch.h. Called by `hark run` and, for a program that was started with LD_PRELOAD
 * alone, by `hark session`.
 */
#include "tools/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/namespace.h"
#include "lib/base/text.h"
#include "lib/sample/by_timer.h"
#include "lib/session/session.h"
#include "tools/cli.h"
#include "tools/data.h"

#define SHIM "libhark-preload.so"

int launch_console(void)
{
	int fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);

	/* where the limit on descriptors is lower than that */
	return fd < 0 ? fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3) : fd;
}

static bool own_path(char path[PATH_MAX])
{
	if (realpath("/proc/self/exe", path))
		return true;
	const char *executed = (const char *)getauxval(AT_EXECFN);
	return executed && realpath(executed, path);
}

int launch_find(struct launch *l, char *why, size_t why_bytes)
{
	static const char *const places[] = { SHIM, "../lib/" SHIM };
	char path[PATH_MAX], beside[PATH_MAX + 32];

	if (!own_path(path) || strlen(path) >= sizeof l->program) {
		snprintf(why, why_bytes,
			 "cannot find out where the hark command is: is /proc mounted?");
		return -ENOENT;
	}
	strcpy(l->program, path);
	*strrchr(path, '/') = '\0';
	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		char real[PATH_MAX];
		snprintf(beside, sizeof beside, "%s/%s", path, places[i]);
		if (!realpath(beside, real))
			continue;
		if (strlen(real) >= sizeof l->preload || strpbrk(real, " :")) {
			snprintf(why, why_bytes,
				 "LD_PRELOAD cannot hold the path %s: it is too long, or has a "
				 "blank or colon; install hark elsewhere",
				 real);
			return -EINVAL;
		}
		strcpy(l->preload, real);
		return 0;
	}
	snprintf(why, why_bytes,
		 SHIM " is neither in %s nor in %s/../lib; is hark installed completely?", path,
		 path);
	return -ENOENT;
}

/* A caller's pipe is not to be held by a collector that never writes to it. */
static bool wants_console(const struct config *config)
{
	struct sink_spec specs[CONFIG_SINKS];
	char why[256];

	int count = spec_parse_list(config->sinks, specs, CONFIG_SINKS, why, sizeof why);
	for (int i = 0; i < count; i++)
		if (specs[i].kind == SINK_CONSOLE)
			return true;
	return false;
}

/* Timers in the program look once a tick at most. */
static void tell_rate(struct launch *l, const struct config *c)
{
	const uint64_t second = 1000000000;
	struct session session;

	if (session_join(&session, l->dir) != 0)
		return;
	uint64_t tick = by_timer_tick_ns();
	l->inside = atomic_load(&session.control->sample_ns) != 0;
	if (l->inside && second / c->sample_rate < tick)
		cli_say("--sample: the program samples itself, by timers (the kernel %s), which "
			"on this machine look %u times a second at most, not %u",
			c->sample_by == SAMPLE_BY_TIMER ? "is not asked"
							: "refuses perf_event_open",
			(unsigned)(second / tick), c->sample_rate);
	session_leave(&session);
}

/* Where nothing can be sampled, the program runs without. */
static void start_sampler(struct launch *l, const struct session_plan *plan,
			  const char *trace)
{
	const struct config *c = plan->config;
	char pid[16], rate[16], why[1200];
	const char *argv[16] = { "hark", "sample", "--data", trace, "--session", l->dir,
				 "--pid", pid, "--rate", rate };
	int n = 10;

	snprintf(pid, sizeof pid, "%d", (int)plan->first_pid);
	snprintf(rate, sizeof rate, "%u", c->sample_rate);
	if (c->sample_wall)
		argv[n++] = "--wall";
	if (plan->first_pid == getpid()) /* it is we, until we become the program */
		argv[n++] = "--on-exec";
	if (c->sample_by == SAMPLE_BY_KERNEL)
		argv[n++] = "--by-kernel";
	if (c->sample_by == SAMPLE_BY_TIMER)
		argv[n++] = "--by-timer";
	if (collect_spawn_beside("sampler", l->program, argv, why, sizeof why) != 0)
		cli_say("--sample: %s", why);
	else
		tell_rate(l, c);
}

static int make_session(struct launch *l, struct session_plan *plan, int deep_fd, char *why,
			size_t why_bytes)
{
	char trace[DATA_PATH];
	bool recorded = config_stamp(plan->config) != STAMP_OFF || plan->config->sample_rate;

	if (namespace_awaits_first()) {
		snprintf(why, why_bytes,
			 "the program's first child begins a pid namespace, and must not be "
			 "hark's; start hark within it, as by `unshare --pid --fork hark run`");
		return -ENOTSUP;
	}
	plan->program = l->program;
	plan->preload = l->preload;
	plan->trace = trace;
	int error = data_path(plan->config, trace, why, why_bytes);
	if (error && !recorded) { /* nobody has asked for it */
		*trace = '\0';
		error = 0;
	}
	if (!error && recorded)
		error = data_make(trace, why, why_bytes);
	if (!error && recorded && data_listen(plan->config, trace) != 0) {
		snprintf(why, why_bytes, "--to: too long, together with the trace's own");
		error = -E2BIG;
	}
	if (error)
		return error;
	error = session_create(plan, l->dir, why, why_bytes);
	if (!error && recorded) {
		error = data_identify(trace, l->dir, plan->command, plan->first_pid, why,
				      why_bytes);
		if (error) {
			place_remove(l->dir);
			return error;
		}
	}
	if (error) {
		size_t used = strlen(why);
		snprintf(why + used, why_bytes - used, "%s", launch_advice(error));
		return error;
	}
	struct collect_plan collect = {
		.dir = l->dir, .deep_fd = deep_fd, .here = launch_here,
		.console_fd = wants_console(plan->config) ? plan->console_fd : -1
	};
	error = collect_spawn(&collect, l->program, why, why_bytes);
	if (error)
		place_remove(l->dir);
	if (error == -EAGAIN || error == -EMFILE) { /* the rest it has said itself */
		size_t used = strlen(why);
		snprintf(why + used, why_bytes - used, "%s", launch_advice(error));
	}
	if (!error && plan->config->sample_rate)
		start_sampler(l, plan, trace);
	return error;
}

int launch_session(struct launch *l, struct session_plan *plan, int deep_fd, char *why,
		   size_t why_bytes)
{
	/* What we make, we open again. The program gets its own back. */
	mode_t theirs = umask(0);

	umask(theirs & ~(mode_t)0700);
	int error = make_session(l, plan, deep_fd, why, why_bytes);
	umask(theirs);
	return error;
}

int launch_refuse(const char *why, bool strict)
{
	cli_say("%s; %s", why,
		strict ? "HARK_STRICT=1 ends the program here" : "output passes through unchanged");
	return strict ? CLI_FAILED : 1;
}

const char *launch_advice(int error)
{
	switch (-error) {
	case ENOSPC:
	case EDQUOT:
		return "; make room there, ask for less (HARK_RING, queue=), or name another "
		       "place in HARK_RUNTIME_DIR";
	case EMFILE:
		return "; raise the limit on open files (ulimit -n)";
	case ENOMEM:
		return "; raise the limit on memory (ulimit -v), or ask for less (HARK_RING, "
		       "queue=)";
	case EFBIG:
		return "; raise the limit on file sizes (ulimit -f)";
	case EAGAIN:
		return "; raise the limit on processes (ulimit -u)";
	default:
		return "";
	}
}

void launch_cancel(const struct launch *l)
{
	struct session session;

	if (session_join(&session, l->dir) != 0)
		return;
	atomic_store(&session.control->state, SESSION_ENDED);
	ring_poke(&session.ring);
	session_leave(&session);
}

/* By its name: another copy of the shim would listen twice. */
static bool is_shim(const char *entry, size_t length, const char *ours)
{
	const size_t name = sizeof SHIM - 1;

	if (length == strlen(ours) && memcmp(entry, ours, length) == 0)
		return true;
	return length >= name && memcmp(entry + length - name, SHIM, name) == 0 &&
	       (length == name || entry[length - name - 1] == '/');
}

char *launch_preload(const char *ours, const char *others)
{
	size_t room = strlen(ours) + (others ? strlen(others) : 0) + 2;
	char *list = malloc(room);

	if (!list)
		return NULL;
	struct text text = text_in(list, room);
	text_str(&text, ours);
	while (others && *others) {
		size_t length = strcspn(others, " :"); /* the loader's own rule */
		if (length && !is_shim(others, length, ours)) {
			text_char(&text, ':');
			text_bytes(&text, others, length);
		}
		others += length + (others[length] != '\0');
	}
	text_cstr(&text);
	return list;
}

void launch_command(char line[LAUNCH_COMMAND], char *const *argv)
{
	struct text text = text_in(line, LAUNCH_COMMAND);

	for (; *argv; argv++) {
		if (text.len)
			text_char(&text, ' ');
		text_str(&text, *argv);
	}
	text_cstr(&text);
	if (text.cut)
		strcpy(line + LAUNCH_COMMAND - 4, "...");
}

int launch_warn_unknown(void)
{
	struct config_problem problem;
	size_t next = 0;
	int count = 0;

	if (getenv("HARK_SESSION"))
		return 0;
	for (; config_unknown(environ, &next, &problem); count++)
		cli_say("%s", problem.text);
	return count;
}
