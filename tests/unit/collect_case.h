/*
 * collect_case.h - what the tests of lib/collect share: a session of their own, a collector that is
 * driven step by step, writers that say what they are told, and what arrived.
 *
 * Included by tests/unit/test_*.c only. Before it, a test may define its own main().
 */
#ifndef HARK_TESTS_UNIT_COLLECT_CASE_H
#define HARK_TESTS_UNIT_COLLECT_CASE_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/sysio.h"
#include "lib/base/testpoint.h"
#include "lib/collect/collector.h"
#include "lib/collect/round.h"
#include "lib/collect/setup.h"
#include "lib/session/create.h"

enum { CASE_MS = 1000000, CASE_SECOND = 1000000000, CASE_FILE_MOST = 8 << 20 };

static struct {
	char base[64];          /* holds all that the test makes */
	char dir[PLACE_PATH];   /* the session's */
	struct config config;
	struct collect_plan plan;
	struct collector c;
	bool is_open;
	struct session session; /* as the writers see it */
	struct round_wait wait;
	uint64_t ahead_ns;      /* of the real time */
	uint64_t looked_ns, lag_ns;
	bool stands;            /* time does */
	int console[2];         /* 0: what the user reads */
	struct control *settings; /* as case_settings() mapped them */
	pid_t other;            /* a process that lives, to speak in its name */
} scene;

static inline int scene_setup(void **state)
{
	(void)state;
	memset(&scene, 0, sizeof scene);
	scene.console[0] = scene.console[1] = -1;
	snprintf(scene.base, sizeof scene.base, "%s/hark-test-XXXXXX",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	if (!mkdtemp(scene.base) || setenv("HARK_RUNTIME_DIR", scene.base, 1) != 0)
		return -1;
	scene.other = fork();
	if (scene.other == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	return scene.other < 0 ? -1 : 0;
}

/* "@" stands for the test's directory. */
static inline void case_sinks(const char *sinks)
{
	struct text text = text_in(scene.config.sinks, sizeof scene.config.sinks);

	config_defaults(&scene.config);
	scene.config.ring_bytes = 64 << 10;
	for (; *sinks; sinks++) {
		if (*sinks == '@')
			text_str(&text, scene.base);
		else
			text_char(&text, *sinks);
	}
	text_cstr(&text);
	assert_false(text.cut);
}

static inline void case_create(pid_t first_pid, const char *program)
{
	char why[512] = "";
	struct session_plan plan = {
		.config = &scene.config, .first_pid = first_pid, .command = "test/subject arg",
		.program = program, .preload = "", .console_fd = scene.console[1],
	};

	if (session_create(&plan, scene.dir, why, sizeof why) != 0)
		fail_msg("%s", why);
	scene.plan = (struct collect_plan){ .dir = scene.dir, .console_fd = scene.console[1],
					    .deep_fd = -1 };
	assert_int_equal(session_attach(&scene.session, scene.dir), 0);
}

/* The session's settings, to be spoilt: writers and collectors have them for reading only. */
static inline struct control *case_settings(void)
{
	char path[PLACE_PATH + 16];

	snprintf(path, sizeof path, "%s/control", scene.dir);
	int fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	if (scene.settings)
		munmap(scene.settings, CONTROL_SETTINGS);
	scene.settings = mmap(NULL, CONTROL_SETTINGS, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	assert_ptr_not_equal(scene.settings, MAP_FAILED);
	return scene.settings;
}

static inline void case_open(void)
{
	assert_int_equal(setup_open(&scene.c, &scene.plan), 0);
	scene.is_open = true;
}

static inline void case_close(void)
{
	if (scene.is_open)
		setup_close(&scene.c);
	scene.is_open = false;
}

static inline void case_begin(const char *sinks)
{
	case_sinks(sinks);
	case_create(getpid(), "/nonexistent");
	case_open();
}

/* As if this collector had been killed, and another began. Sinks' files are closed by that, too. */
static inline void case_succeed(void)
{
	case_close();
	case_open();
}

static inline int scene_teardown(void **state)
{
	char command[128];

	(void)state;
	testpoint_handler = NULL;
	case_close();
	session_leave(&scene.session);
	if (scene.settings)
		munmap(scene.settings, CONTROL_SETTINGS);
	for (int i = 0; i < 2; i++)
		if (scene.console[i] >= 0)
			close(scene.console[i]);
	if (scene.other > 0) {
		kill(scene.other, SIGKILL);
		waitpid(scene.other, NULL, 0);
	}
	snprintf(command, sizeof command, "rm -rf '%s'", scene.base);
	return system(command);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, scene_setup, scene_teardown)

/* ---- writers -------------------------------------------------------------------------------------- */

struct writer {
	uint32_t pid, tid; /* 0: ours */
	uint16_t fd;       /* 0: 2 */
	uint8_t source, kind, flags;
	uint32_t detail;
};

static inline int say_bytes(struct writer w, const void *bytes, size_t count)
{
	struct ring_author author = { .pid = w.pid ? w.pid : (uint32_t)getpid(),
				      .tid = w.tid ? w.tid : (uint32_t)sysio_gettid() };
	struct record_info info = { .fd = w.fd ? w.fd : 2, .source = w.source, .kind = w.kind,
				    .flags = w.flags, .detail = w.detail };
	struct ring_policy policy = { .overflow = RING_LOSE_NEWEST };
	struct iovec part = { (void *)(uintptr_t)bytes, count };

	return ring_append(&scene.session.ring, &author, &info, &part, 1, &policy);
}

static inline void say_as(struct writer w, const char *text)
{
	assert_int_equal(say_bytes(w, text, strlen(text)), 0);
}

static inline void say(const char *text)
{
	say_as((struct writer){ 0 }, text);
}

static inline struct writer writer_other(void)
{
	return (struct writer){ .pid = (uint32_t)scene.other, .tid = (uint32_t)scene.other };
}

static inline void case_join(uint32_t pid, const char *comm, uint64_t pid_namespace,
			     uint32_t parent)
{
	struct record_join join = { .pid_namespace = pid_namespace, .parent = parent };

	snprintf(join.comm, sizeof join.comm, "%s", comm);
	assert_int_equal(say_bytes((struct writer){ .pid = pid,
						    .fd = 0xffff,
						    .kind = RECORD_JOIN,
						    .source = SOURCE_HARK },
				   &join, sizeof join),
			 0);
}

/* ---- the collector's steps ------------------------------------------------------------------------ */

/* Time that passes between two looks is ours up to a few ms: what is unfinished does not come to the
 * end of its patience because somebody else had the processor. */
static inline void case_clock(void)
{
	const uint64_t most = 5 * CASE_MS, real = clock_monotonic_ns();

	if (scene.stands)
		return;
	if (scene.looked_ns && real - scene.looked_ns > most)
		scene.lag_ns += real - scene.looked_ns - most;
	scene.looked_ns = real;
	scene.c.now_ns = real - scene.lag_ns + scene.ahead_ns;
	clock_map_refresh(&scene.c.clock);
}

static inline void case_wait(uint64_t ns)
{
	scene.ahead_ns += ns;
}

/* Without letting the sinks write. */
static inline unsigned case_read(void)
{
	enum reader_found found;

	case_clock();
	if (watch_happened(&scene.c.watch))
		watch_events(&scene.c.watch);
	return round_drain(&scene.c, &found);
}

static inline unsigned case_round(void)
{
	struct collector *c = &scene.c;
	unsigned records = case_read();

	if (!c->in_hand)
		round_again_if(c, deliver_expire(c));
	echo_pending(c, false);
	round_last_words(c);
	losses_announce(c, false);
	trouble_announce(c);
	image_announce(c);
	round_write_down(c);
	round_pump(c, &scene.wait);
	return records;
}

/* Until the file holds something, with no help of time: somebody has died. */
static inline const char *case_got(const char *name);
static inline void case_wait_for_death(const char *name)
{
	scene.stands = true;
	for (int i = 0; i < 10000 && !*case_got(name); i++) {
		watch_events(&scene.c.watch);
		case_round();
		poll(NULL, 0, 1);
	}
	scene.stands = false;
}

/* Until nothing moves any more. */
static inline void case_settle(void)
{
	for (int i = 0; i < 10000; i++) {
		bool idle = case_round() == 0 && !scene.c.in_hand;
		for (unsigned k = 0; k < scene.c.sink_count; k++)
			idle = idle && sink_idle(&scene.c.sinks[k]);
		if (idle)
			return;
		if (scene.wait.fd_count)
			poll(scene.wait.fds, scene.wait.fd_count, 1);
	}
	fail_msg("it does not settle");
}

/* ---- what arrived --------------------------------------------------------------------------------- */

/* The file's bytes, NUL behind them; good until the next call but one. */
static inline const char *case_got(const char *name)
{
	static char kept[2][CASE_FILE_MOST];
	static unsigned which;
	char path[128];
	char *to = kept[which ^= 1];

	snprintf(path, sizeof path, "%s/%s", scene.base, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, to, CASE_FILE_MOST - 1) : 0;
	if (fd >= 0)
		close(fd);
	to[n > 0 ? n : 0] = 0;
	return to;
}

static inline void expect_file(const char *name, const char *text)
{
	assert_string_equal(case_got(name), text);
}

static inline unsigned count_of(const char *text, const char *what)
{
	unsigned n = 0;

	for (; (text = strstr(text, what)); text += strlen(what))
		n++;
	return n;
}

/* Every line of format=json has the seq that follows the one before it. */
static inline unsigned expect_gapless(const char *json, unsigned long first)
{
	unsigned lines = 0;

	for (const char *at = json; (at = strstr(at, "\"seq\":")); lines++) {
		at += strlen("\"seq\":");
		assert_int_equal(strtoul(at, NULL, 10), first + lines);
	}
	assert_int_equal(count_of(json, "\n"), lines);
	return lines;
}

/* What an open console shows until nothing more comes. */
static inline const char *case_screen(void)
{
	static char text[1 << 16];
	size_t used = 0;
	struct pollfd p = { .fd = scene.console[0], .events = POLLIN };

	while (poll(&p, 1, 0) > 0 && used < sizeof text - 1) {
		ssize_t n = read(scene.console[0], text + used, sizeof text - 1 - used);
		if (n <= 0)
			break;
		used += (size_t)n;
	}
	text[used] = 0;
	return text;
}

#endif
