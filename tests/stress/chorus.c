/*
 * chorus.c - guests of the soak: a tree of processes that talk, fork, exec and die.
 *
 *	chorus LEDGER RUN SEED                         the foreman: keeps WORKERS of them alive
 *	chorus LEDGER RUN SEED SLOT MESSAGES           one that came by exec, with one voice
 *
 * A message is "RUN slot number padding.", said by one call: write, fprintf, syslog, or stdout by line.
 * Where the ledger wants less than all of the time, they talk in bursts, all of them at once.
 * The foreman alone is never killed. Knows nothing of hark; the ledger is kept as ledger.h says.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <syslog.h>

#include "tests/stress/ledger.h"

enum { WORKERS = 8, VOICES = 2, STATUS = 7 };
_Static_assert(WORKERS * VOICES <= SLOTS && SLOTS <= 26, "a slot and a letter for each voice");

struct voice {
	unsigned slot;
	uint64_t messages;
	uint64_t random;
};

static struct ledger *ledger;
static char **arguments;
static const char *run;

static uint64_t draw(uint64_t *random, uint64_t below)
{
	*random ^= *random << 13;
	*random ^= *random >> 7;
	*random ^= *random << 17;
	return *random % below;
}

/* Whoever had the voice before may have died in the middle of his last message. */
static void take_over(unsigned slot)
{
	struct slot *s = &ledger->slots[slot];
	uint64_t begun = atomic_load(&s->begun);

	if (begun == atomic_load(&s->returned))
		return;
	uint64_t at = atomic_fetch_add(&ledger->doubts_count, 1);
	if (at >= DOUBTS)
		abort();
	ledger->doubts[at].slot = slot;
	ledger->doubts[at].number = begun;
	atomic_store(&s->returned, begun);
}

static void say(unsigned slot, uint64_t number, unsigned way, char *text)
{
	int letter;
	size_t pad = padding(ledger, slot, number, &letter);
	int head = snprintf(text, 100, "%s %u %llu ", run, slot, (unsigned long long)number);
	size_t length = (size_t)head + pad;

	memset(text + head, letter, pad);
	memcpy(text + length, ".\n", 3);
	if (way == 0 || pad == ledger->long_bytes) { /* libc cuts what is long into several calls */
		for (size_t at = 0; at < length + 2;) {
			ssize_t n = write(STDERR_FILENO, text + at, length + 2 - at);
			if (n <= 0)
				abort();
			at += (size_t)n;
		}
	} else if (way == 1) {
		fprintf(stderr, "%.*s.\n", (int)length, text);
	} else if (way == 2) {
		syslog(LOG_INFO, "%.*s.", (int)length, text);
	} else {
		printf("%.*s.\n", (int)length, text);
	}
}

static void keep_pace(void)
{
	uint64_t into = ledger->share < 100 ? now_ns() % BEAT_NS : 0;

	if (into > BEAT_NS / 100 * ledger->share)
		usleep((useconds_t)((BEAT_NS - into) / 1000));
}

static void *talk(void *argument)
{
	struct voice *v = argument;
	struct slot *s = &ledger->slots[v->slot];
	char text[LONGEST + 200];

	for (uint64_t i = 0; i < v->messages && atomic_load(&ledger->mood) == TALK; i++) {
		keep_pace();
		uint64_t number = atomic_load(&s->begun) + 1;
		atomic_store(&s->begun, number);
		say(v->slot, number, (unsigned)draw(&v->random, 4), text);
		atomic_store(&s->returned, number);
		/* Now and then a breath, so that it is not always the full ring that is tried. */
		if (draw(&v->random, 3000) == 0)
			usleep((useconds_t)draw(&v->random, 20000));
	}
	return NULL;
}

/* The voice is another program's from here on: ours once more, or that of a shell's child. */
static void pass_on(struct voice *v, bool by_shell)
{
	char self[256], slot[24], messages[24], seed[24];
	char *argv[] = { (char *)"/bin/sh", (char *)"-c", (char *)"\"$@\"; exit $?", (char *)"sh",
			 self, arguments[1], arguments[2], seed, slot, messages, NULL };
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

	self[n > 0 ? n : 0] = 0;
	snprintf(seed, sizeof seed, "%llu", (unsigned long long)v->random);
	snprintf(slot, sizeof slot, "%u", v->slot);
	snprintf(messages, sizeof messages, "%llu", (unsigned long long)draw(&v->random, 3000));
	if (by_shell)
		execv(argv[0], argv);
	execv(self, argv + 4);
	abort();
}

static void child_goes_on(struct voice *v)
{
	pid_t pid = fork();

	v->messages = draw(&v->random, 3000);
	if (pid == 0) {
		talk(v);
		_exit(0);
	}
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	take_over(v->slot);
	talk(v);
}

static void end(uint64_t how)
{
	static const int signals[] = { SIGKILL, SIGTERM, SIGSEGV, SIGABRT };

	if (how == 0)
		_exit(0);
	if (how <= 4)
		raise(signals[how - 1]);
	exit(0);
}

/* From first voice to last breath. One of its threads may still talk when the other ends it. */
static void live(unsigned first, uint64_t random)
{
	struct voice v[VOICES];
	pthread_t threads[VOICES];
	bool alone = draw(&random, 2) == 0;
	uint64_t most = draw(&random, 4) ? 200 * ledger->share : 100;

	setvbuf(stdout, NULL, _IOLBF, 0);
	openlog("chorus", 0, LOG_USER);
	for (unsigned i = 0; i < VOICES; i++)
		v[i] = (struct voice){ first + i, draw(&random, most), random ^ (i + 1) << 20 };
	if (!alone)
		pthread_create(&threads[1], NULL, talk, &v[1]);
	talk(&v[0]);
	if (alone && draw(&random, 2))
		child_goes_on(&v[0]);
	if (alone && draw(&random, 2))
		pass_on(&v[0], draw(&random, 2));
	bool joined = !alone && draw(&random, 2) && pthread_join(threads[1], NULL) == 0;
	/* exit() flushes stdout without its lock: nobody else may be in the middle of printing then. */
	end(draw(&random, alone || joined ? 9 : 5));
}

static pid_t start_worker(unsigned number, uint64_t *random)
{
	for (unsigned i = 0; i < VOICES; i++)
		take_over(number * VOICES + i);
	uint64_t seed = draw(random, UINT64_MAX - 1) + 1;
	pid_t pid = fork();
	if (pid == 0) {
		setpgid(0, 0);
		live(number * VOICES, seed);
	}
	if (pid < 0)
		abort();
	setpgid(pid, pid);
	atomic_fetch_add(&ledger->lives, 1);
	return pid;
}

/* With all its descendants, so that nobody is left who speaks with its voices. */
static void bury(pid_t worker)
{
	kill(-worker, SIGKILL);
	while (waitpid(-worker, NULL, 0) > 0 || errno == EINTR)
		;
}

static int lead(uint64_t random)
{
	pid_t workers[WORKERS] = { 0 };
	uint64_t mood;

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	while ((mood = atomic_load(&ledger->mood)) != END) {
		for (unsigned i = 0; mood == TALK && i < WORKERS; i++)
			if (!workers[i])
				workers[i] = start_worker(i, &random);
		pid_t ended = waitpid(-1, NULL, mood == TALK ? 0 : WNOHANG);
		if (ended <= 0)
			usleep(1000);
		for (unsigned i = 0; ended > 0 && i < WORKERS; i++) {
			if (workers[i] != ended)
				continue;
			bury(ended);
			workers[i] = 0;
		}
		unsigned left = 0;
		for (unsigned i = 0; i < WORKERS; i++)
			left += workers[i] != 0;
		atomic_store(&ledger->workers, left);
	}
	return STATUS;
}

int main(int argc, char **argv)
{
	if (argc != 4 && argc != 6)
		return 2;
	const struct rlimit none = { 0, 0 };
	setrlimit(RLIMIT_CORE, &none);
	arguments = argv;
	ledger = ledger_map(argv[1]);
	run = argv[2];
	uint64_t random = strtoull(argv[3], NULL, 10) | 1;
	if (argc == 4)
		return lead(random);
	struct voice v = { (unsigned)atoi(argv[4]), strtoull(argv[5], NULL, 10), random };
	setvbuf(stdout, NULL, _IOLBF, 0);
	openlog("chorus", 0, LOG_USER);
	take_over(v.slot);
	talk(&v);
	end(draw(&v.random, 9));
}
