/*
 * fuzz_control.c - a session's directory whose bytes somebody else has written, under a collector.
 *
 * The directory is that of a session in which something was said and a collector was at work: control
 * block, checkpoint, queues and ring. The input is a list of operations: spoil some bytes, before the
 * collector begins or under its hands; append a record of any kind; a round; another collector. What
 * stands outside of the files is the sanitizer's to see; a call that does not end is a time-out.
 *
 * Only the sinks are not the input's to choose, or it might write anywhere.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/collect/collector.h"
#include "lib/collect/round.h"
#include "lib/collect/setup.h"
#include "lib/collect/stats.h"
#include "lib/session/create.h"
#include "tests/fuzz/input.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

enum { OPERATIONS_MOST = 200, COLLECTORS_MOST = 4, ROUNDS_AT_END = 3000 };
enum { CONTROL, STATE, RING, QUEUE, OTHER_QUEUE, FILES };

static const char *const file_names[FILES] = { "control", "state", "ring", "queue.0", "queue.1" };

static const char *const sinks[] = {
	"file:@/a?format=raw&queue=64K file:@/b?format=json&queue=64K",
	"file:@/a?format=raw&queue=64K&overflow=drop file:@/b?format=text&level=warning",
	"file:@/a?format=pretty&overflow=timeout:1s file:@/b?format=logfmt&source=stdout,fd:*",
	"file:@/a?format=rfc5424 file:@/b?format=rfc3164&queue=64K",
	"file:@/a?format=raw&size=64K&keep=1 file:@/b?format=raw&level=error",
	"file:a?format=raw file:b?format=json", /* relative to control->directory */
};

static char base[64], dir[PLACE_PATH];
static struct fresh {
	char *bytes;
	size_t count;
	int fd;
} fresh[FILES];
static struct collector collector;
static struct session writer;
static uint64_t now_ns;
static int home = -1; /* inputs have relative names, and a collector leaves for / */

static void must(bool holds)
{
	if (!holds)
		abort();
}

/* ---- the session ---------------------------------------------------------------------------------- */

static void put_sinks(char *to, size_t bytes, const char *sink_list)
{
	struct text text = text_in(to, bytes);

	for (; *sink_list; sink_list++) {
		if (*sink_list == '@')
			text_str(&text, base);
		else
			text_char(&text, *sink_list);
	}
	text_cstr(&text);
}

static int append(struct ring *ring, struct ring_author *author, const struct record_info *info,
		  const void *bytes, size_t count)
{
	struct ring_policy policy = { .overflow = RING_LOSE_NEWEST };
	struct iovec part = { (void *)(uintptr_t)bytes, count };

	return ring_append(ring, author, info, &part, 1, &policy);
}

static void run_round(struct round_wait *wait)
{
	struct collector *c = &collector;
	enum reader_found found;

	c->now_ns = now_ns += 1000000;
	clock_map_refresh(&c->clock);
	round_drain(c, &found);
	if (!c->in_hand)
		round_again_if(c, deliver_expire(c));
	echo_pending(c, true);
	round_last_words(c);
	losses_announce(c, false);
	round_write_down(c);
	round_pump(c, wait);
	stats_publish(c, true);
}

/* Something of everything: lines, an unfinished one, a call in fragments, others of their own kinds. */
static void say_something(void)
{
	struct ring_author author = { .pid = (uint32_t)getpid(), .tid = 7 };
	struct record_info info = { .fd = 2 };
	struct record_join join = { .comm = "subject", .path = "/bin/subject", .parent = 1 };

	info.kind = RECORD_JOIN;
	append(&writer.ring, &author, &info, &join, sizeof join);
	info.kind = RECORD_TEXT;
	append(&writer.ring, &author, &info, "one\ntwo\nan unfinished line", 26);
	info.fd = 3;
	info.flags = RECORD_MORE;
	append(&writer.ring, &author, &info, "a large call, ", 14);
	info = (struct record_info){ .kind = RECORD_SYSLOG, .source = SOURCE_SYSLOG, .detail = 28 };
	append(&writer.ring, &author, &info, "ident\0text", 10);
}

static void make_session(void)
{
	static struct config config;
	char why[512];
	struct session_plan plan = { .config = &config, .first_pid = getpid(), .command = "subject",
				     .program = "/nonexistent", .preload = "", .console_fd = -1 };
	struct collect_plan collect = { .dir = dir, .console_fd = -1, .deep_fd = -1 };
	struct round_wait wait;

	config_defaults(&config);
	config.ring_bytes = 64 << 10;
	config.stack = LEVEL_DEBUG;
	memcpy(config.capture.paths, "/a/*\0/b\0", 9);
	put_sinks(config.sinks, sizeof config.sinks, sinks[0]);
	must(session_create(&plan, dir, why, sizeof why) == 0);
	must(session_attach(&writer, dir) == 0);
	say_something();
	must(setup_open(&collector, &collect) == 0);
	run_round(&wait);
	say_something();
	run_round(&wait);
	setup_close(&collector);
	session_leave(&writer);
}

static void remove_all(void)
{
	char command[128];

	snprintf(command, sizeof command, "rm -rf '%s'", base);
	must(system(command) == 0);
}

static void set_up(void)
{
	signal(SIGPIPE, SIG_IGN);
	home = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	snprintf(base, sizeof base, "%s/hark-fuzz-XXXXXX",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	must(mkdtemp(base) && setenv("HARK_RUNTIME_DIR", base, 1) == 0);
	atexit(remove_all);
	now_ns = clock_monotonic_ns();
	make_session();
	for (int i = 0; i < FILES; i++) {
		struct fresh *f = &fresh[i];
		struct stat st;
		char path[PLACE_PATH + 16];

		snprintf(path, sizeof path, "%s/%s", dir, file_names[i]);
		f->fd = open(path, O_RDWR | O_CLOEXEC);
		must(f->fd >= 0 && fstat(f->fd, &st) == 0);
		f->count = (size_t)st.st_size;
		f->bytes = malloc(f->count);
		must(f->bytes && pread(f->fd, f->bytes, f->count, 0) == (ssize_t)f->count);
	}
	must(fchdir(home) == 0);
}

static void restore(void)
{
	char path[96];

	for (int i = 0; i < FILES; i++)
		must(ftruncate(fresh[i].fd, (off_t)fresh[i].count) == 0 &&
		     pwrite(fresh[i].fd, fresh[i].bytes, fresh[i].count, 0) ==
			     (ssize_t)fresh[i].count);
	for (const char *name = "ab"; *name; name++) {
		snprintf(path, sizeof path, "%s/%c", base, *name);
		unlink(path);
		snprintf(path, sizeof path, "%s/%c.1", base, *name);
		unlink(path);
	}
}

/* ---- hostile hands -------------------------------------------------------------------------------- */

/* Where it hurts: words that positions, counts and lengths are taken from. */
static size_t hot(int file, uint64_t at)
{
	static const uint16_t ring[] = { 0, 8, 128, 256, 264, 272, 280, 384, 512, 640, 648, 768 };

	switch (file) {
	case CONTROL:
		return at % 7 == 0 ? at % sizeof(struct control)
				   : at % offsetof(struct control, processes);
	case STATE: /* both slots: the state, lines and joins behind them */
		return at % 4 == 0
			       ? at % fresh[STATE].count
			       : at % (sizeof(struct checkpoint) + 2048) +
					 (at >> 16) % 2 *
						 ((fresh[STATE].count - 2 * CHECKPOINT_JOINS) / 2);
	case RING:
		return at % 3 == 0 ? ring[at / 3 % (sizeof ring / sizeof *ring)]
				   : at % fresh[RING].count;
	default:
		return at % 3 ? at % 64 : at % fresh[file].count;
	}
}

/* In the file, which the collector has mapped by then, or not yet. */
static void spoil(void)
{
	int file = (int)(take(1) % FILES);
	size_t at = hot(file, take(4)), bytes = (size_t)(take(1) % 17);
	uint8_t what[16];

	for (size_t i = 0; i < sizeof what; i++)
		what[i] = i < bytes ? (uint8_t)take(1) : 0;
	if (at + bytes <= fresh[file].count)
		must(pwrite(fresh[file].fd, what, bytes, (off_t)at) == (ssize_t)bytes);
}

/* A long run of one byte: no end of any string. */
static void flood(void)
{
	static char run[8192];
	int file = (int)(take(1) % FILES);
	size_t at = (size_t)(take(4) % fresh[file].count), bytes = (size_t)(take(2) % sizeof run);

	memset(run, (int)take(1), sizeof run);
	if (bytes > fresh[file].count - at)
		bytes = fresh[file].count - at;
	must(pwrite(fresh[file].fd, run, bytes, (off_t)at) == (ssize_t)bytes);
}

/* What would lead out of the test's directory is put right again. */
static void set_sinks(uint64_t which)
{
	static char list[sizeof collector.session.control->sinks];
	char directory[sizeof collector.session.control->directory] = "";

	put_sinks(list, sizeof list, sinks[which % (sizeof sinks / sizeof *sinks)]);
	snprintf(directory, sizeof directory, "%s", base);
	must(pwrite(fresh[CONTROL].fd, list, sizeof list, offsetof(struct control, sinks)) > 0);
	must(pwrite(fresh[CONTROL].fd, directory, sizeof directory,
		    offsetof(struct control, directory)) > 0);
	if (which & 0x40) { /* blanks to the very end */
		memset(list + strlen(list), ' ', sizeof list - strlen(list));
		must(pwrite(fresh[CONTROL].fd, list, sizeof list, offsetof(struct control, sinks)) >
		     0);
	}
}

static void say(void)
{
	static char text[3000];
	struct record_info info;
	uint64_t how = take(1), bytes = take(2) % sizeof text;
	const uint32_t pid = (uint32_t)getpid(),
		       pids[] = { pid, pid, pid, 0, 1, UINT32_MAX, 77777 };

	info = (struct record_info){ .fd = (uint16_t)(how >> 6), .source = (uint8_t)take(1) };
	uint64_t kind = take(1);
	info.kind = (uint8_t)(kind & 15);
	info.flags = (uint8_t)((how & 7) | (kind & 16 ? RECORD_STACK : 0));
	info.detail = (uint32_t)take(how & 8 ? 4 : 1);
	struct ring_author author = { .pid = pids[take(1) % (sizeof pids / sizeof *pids)],
				      .tid = 1 + (uint32_t)(how >> 5 & 1) };
	if (how & 16)
		info.source = info.kind = 0;
	for (size_t i = 0; i < bytes; i++)
		text[i] = i < 40 ? (char)take(1) : (char)(i % 50 == 49 ? '\n' : 'a' + i % 26);
	for (uint64_t i = 0; i <= (how & 32 ? 20 : 0); i++)
		append(&writer.ring, &author, &info, text, bytes);
}

/* ---- the collector -------------------------------------------------------------------------------- */

static bool open_collector(bool salvage)
{
	static struct collect_plan plan;

	plan = (struct collect_plan){
		.dir = dir, .console_fd = -1, .deep_fd = -1, .salvage = salvage
	};
	set_sinks(take(1));
	if (setup_open(&collector, &plan) != 0)
		return false;
	must(collector.sink_count == 2);
	/* Names are for another process to find (fuzz_frames.c). */
	collector.callpath.helper[0].failed = collector.callpath.helper[1].failed = true;
	return true;
}

static void operate(bool *is_open, unsigned *collectors)
{
	struct round_wait wait;

	switch (take(1) % 8) {
	case 0:
	case 1:
		spoil();
		break;
	case 2:
		flood();
		break;
	case 3:
		say();
		break;
	case 4:
		if (*is_open)
			run_round(&wait);
		break;
	case 5:
		now_ns += take(1) * 20000000;
		break;
	case 6:
		if (*is_open)
			setup_close(&collector);
		*is_open = ++*collectors <= COLLECTORS_MOST && open_collector(take(1) & 1);
		break;
	case 7:
		if (*is_open)
			deliver_end(&collector, (uint32_t)take(1) & 1 ? 0 : (uint32_t)getpid());
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
	struct round_wait wait;
	unsigned collectors = 1;

	if (!*base)
		set_up();
	input = (struct input){ bytes, bytes + count };
	restore();
	now_ns = clock_monotonic_ns();
	for (uint64_t i = take(1) % 16; i; i--)
		take(1) % 2 ? spoil() : flood();
	if (session_attach(&writer, dir) != 0)
		return 0;
	bool is_open = open_collector(take(1) & 1);
	for (int i = 0; i < OPERATIONS_MOST && input.at < input.end; i++)
		operate(&is_open, &collectors);
	for (int i = 0; is_open && i < ROUNDS_AT_END; i++) {
		uint64_t records = collector.state.records;
		run_round(&wait);
		now_ns += i < 100 ? 100000000 : 0;
		if (i > 20 && collector.state.records == records && !collector.in_hand)
			break;
	}
	if (is_open)
		setup_close(&collector);
	session_leave(&writer);
	must(fchdir(home) == 0);
	return 0;
}
