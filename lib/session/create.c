/*
 * create.c - see create.h. The directory is made under a name that nobody looks at and renamed when
 * it is whole.
 */
#include "lib/session/create.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/ring/ring.h"
#include "lib/session/process.h"
#include "lib/session/rules.h"
#include "lib/session/session.h"

enum { READY_CHUNKS = 16 };

static void choose(struct control *c, int fd, enum record_source source, bool by_number)
{
	struct stat st;

	if (c->chosen_count == CONTROL_CHOSEN)
		return;
	struct chosen_file *f = &c->chosen[c->chosen_count++];
	*f = (struct chosen_file){ .fd = fd, .source = source };
	if (fstat(fd, &st) == 0 || by_number) {
		f->known = 1;
		f->device = st.st_dev;
		f->inode = st.st_ino;
		f->special = st.st_rdev;
	}
}

static void choose_files(struct control *c, const struct capture_set *set)
{
	if (set->on_stderr)
		choose(c, STDERR_FILENO, SOURCE_STDERR, false);
	if (set->on_stdout)
		choose(c, STDOUT_FILENO, SOURCE_STDOUT, false);
	for (unsigned i = 0; i < set->fd_count; i++)
		choose(c, set->fds[i], SOURCE_FD, false);
	c->capture_syslog = set->on_syslog;
	_Static_assert(sizeof c->paths == sizeof set->paths, "one is copied into the other");
	memcpy(c->paths, set->paths, sizeof c->paths);
}

static bool writes_to_console(const char *sinks)
{
	for (const char *at = sinks; *at;) {
		at += strspn(at, " \t\n");
		size_t n = strcspn(at, " \t\n");
		if (n >= 7 && strncmp(at, "console", 7) == 0)
			return true;
		at += n;
	}
	return false;
}

/* Whether there is a sink for which public stamps have to be sent at all. */
static bool any_takes_stamps(const char *sinks)
{
	static struct sink_spec specs[CONTROL_SINKS];
	char why[128];
	int count = spec_parse_list(sinks, specs, CONTROL_SINKS, why, sizeof why);

	for (int i = 0; i < count; i++)
		if (spec_takes_stamps(&specs[i]))
			return true;
	return false;
}

static void fill_control(struct control *c, const struct session_plan *plan)
{
	static const enum ring_overflow overflow[] = {
		[OVERFLOW_BLOCK] = RING_BLOCK,
		[OVERFLOW_TIMEOUT] = RING_TIMEOUT,
		[OVERFLOW_DROP] = RING_LOSE_NEWEST,
		[OVERFLOW_OVERWRITE] = RING_LOSE_OLDEST,
	};
	const struct config *config = plan->config;
	struct stat st;

	c->bytes = sizeof *c;
	c->state = SESSION_LIVE;
	clock_base_now(&c->clock, clock_counter_usable());
	c->follow_number = config->follow_number;
	c->mirror = config->mirror;
	c->deep = config->deep;
	c->overflow = overflow[config->overflow];
	c->overflow_ns = config->overflow_ns;
	c->exit_timeout_ns = config->exit_timeout_ns;
	c->level = config->level;
	atomic_store(&c->stack, config->stack);
	choose_files(c, &config->capture);
	c->console = writes_to_console(config->sinks);
	if (c->console && plan->console_fd >= 0 && fstat(plan->console_fd, &st) == 0) {
		c->console_device = st.st_dev;
		c->console_inode = st.st_ino;
		c->console_special = st.st_rdev;
	}
	c->shown = c->console ? 0 : UINT64_MAX;
	c->started_ns = (uint64_t)c->clock.realtime_ns;
	c->first_pid = plan->first_pid;
	c->first_start = process_start(plan->first_pid);
	c->uid = geteuid();
	snprintf(c->command, sizeof c->command, "%s", plan->command);
	snprintf(c->sinks, sizeof c->sinks, "%s", config->sinks);
	snprintf(c->program, sizeof c->program, "%s", plan->program);
	snprintf(c->preload, sizeof c->preload, "%s", plan->preload);
	snprintf(c->trace, sizeof c->trace, "%s", plan->trace ? plan->trace : "");
	c->flight_bytes = config->flight_bytes;
	c->stamps = any_takes_stamps(config->sinks);
	snprintf(c->calls, sizeof c->calls, "%s", config->calls);
	c->arguments = config->arguments;
	c->snapshots = (uint32_t)config->snapshots;
	c->stamp = STAMP_CHANGE | config_stamp(config);
	c->rules = rules_are(config);
	if (!getcwd(c->directory, sizeof c->directory))
		strcpy(c->directory, "/");
	c->handover_ns = clock_monotonic_ns() + SESSION_HANDOVER_NS;
	c->magic = CONTROL_MAGIC;
}

static int make_control(int dirfd, const struct session_plan *plan)
{
	int fd = openat(dirfd, "control", O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	int error = -posix_fallocate(fd, 0, sizeof(struct control));
	struct control *c = MAP_FAILED;
	if (!error)
		c = mmap(NULL, sizeof *c, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (!error && c == MAP_FAILED)
		error = -errno;
	close(fd);
	if (!error) {
		fill_control(c, plan);
		munmap(c, sizeof *c);
	}
	return error;
}

static int make_ring(int dirfd, size_t bytes)
{
	int fd = openat(dirfd, "ring", O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	/* The collector brings the rest of it (setup.c), while the program is still being loaded. */
	int error = ring_create(fd, bytes, READY_CHUNKS);
	close(fd);
	return error;
}

/* What was made so far. It opens nothing: that there are no descriptors left may be what went wrong. */
static void discard(int basefd, const char *name, int dirfd)
{
	if (dirfd >= 0) {
		unlinkat(dirfd, "rules.1", 0);
		unlinkat(dirfd, "ring", 0);
		unlinkat(dirfd, "control", 0);
	}
	unlinkat(basefd, name, AT_REMOVEDIR);
}

/* A limit on file sizes is an error here, not our end. */
static int make_files(int dirfd, const struct session_plan *plan, const char **step)
{
	struct sigaction ignored = { .sa_handler = SIG_IGN }, before;
	struct rules rules;
	struct rules_text text;

	sigaction(SIGXFSZ, &ignored, &before);
	*step = "the ring (HARK_RING)";
	int error = make_ring(dirfd, plan->config->ring_bytes);
	if (!error) {
		*step = "the control block";
		error = make_control(dirfd, plan);
	}
	if (!error && rules_are(plan->config)) {
		*step = "the filter's rules";
		rules_from(plan->config, &rules, &text);
		error = rules_write(dirfd, 1, &rules, &text);
	}
	sigaction(SIGXFSZ, &before, NULL);
	return error;
}

int session_create(const struct session_plan *plan, char dir[PLACE_PATH], char *why,
		   size_t why_bytes)
{
	char base[PLACE_PATH], hidden[PLACE_PATH + 64], name[64];

	int basefd = place_open(base, why, why_bytes);
	if (basefd < 0)
		return basefd;
	/* Names sort by time, so that the oldest session comes first. */
	snprintf(name, sizeof name, ".%016llx-%d", (unsigned long long)clock_realtime_ns(),
		 getpid());
	snprintf(hidden, sizeof hidden, "%s/%s", base, name);
	const char *step = hidden;
	int error = mkdirat(basefd, name, 0700) != 0 ? -errno : 0;
	int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	int dirfd = error ? -1 : openat(basefd, name, flags);
	if (!error && dirfd < 0)
		error = -errno;
	if (!error)
		error = make_files(dirfd, plan, &step);
	if (!error && snprintf(dir, PLACE_PATH, "%s/%s", base, name + 1) >= PLACE_PATH)
		error = -ENAMETOOLONG;
	if (!error && renameat(basefd, name, basefd, name + 1) != 0)
		error = -errno;
	if (error) {
		snprintf(why, why_bytes, "%s in %s: %s", step, base, strerror(-error));
		discard(basefd, name, dirfd);
	}
	if (dirfd >= 0)
		close(dirfd);
	close(basefd);
	return error;
}
