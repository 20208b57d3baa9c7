/*
 * fuzz_frames.c - what a hostile process of the session tells of modules and stacks, in the process that
 * finds their names.
 *
 * The input is a list of operations: a module, with a file that there is or not; another program; a stack as
 * it stands in the input; a stack that leads through the modules that were told. Beyond what the sanitizer
 * sees: names that could move a cursor, more frames than may be, more memory than is meant to be used.
 */
#include <elf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/ring/record.h"
#include "lib/sample/frames.h"
#include "tests/fuzz/input.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

enum { OPERATIONS_MOST = 100, RECORD = 16 << 10, RUN_MOST = 1024 };

static const char *const paths[] = {
	"/bin/true", "/lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/libc.so.6",
	"linux-vdso.so.1", "/", "/dev/zero", "/dev/tty", "/proc/self/mem", "/proc/self/maps", "",
	"[anonymous]", "[kernel]", "relative", "/nonexistent/libhark-preload.so", "/a\x1b[2J\n\xff",
	"/bin/true/", "/nonexistent/libc.so.6",
};

/* Where modules are told to be, mostly: a stack finds them again. */
static const uint64_t starts[] = { 0, 0x400000, 0x555555554000, 0x7ffff7dd0000, 0x7ffff7fc0000,
				   1ull << 47, 1ull << 55, UINT64_MAX - 4095 };

static const uint32_t pids[] = { 0, 1, 4711, 4711, 4711, UINT32_MAX, 0x7fffffff, 77777 };

static void insist(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "not so: %s\n", what);
	abort();
}

static uint32_t pid_of(uint64_t which)
{
	return which == 0xff ? (uint32_t)getpid() : pids[which % (sizeof pids / sizeof *pids)];
}

static void tell(struct frames *f, uint32_t pid)
{
	static uint8_t record[sizeof(struct record_module) + 8192];
	struct record_module m = { .start = starts[take(1) % (sizeof starts / sizeof *starts)] };
	const char *path = paths[take(1) % (sizeof paths / sizeof *paths)];
	uint64_t how = take(1);

	m.end = m.start + ((take(1) + 1) << 12);
	m.path_bytes = (uint32_t)strlen(path);
	m.build_bytes = how & 1 ? (uint32_t)take(1) % 80 : 0;
	if (how & 2)
		m.end = take(8);
	size_t count = sizeof m + m.build_bytes + m.path_bytes;
	memset(record + sizeof m, (int)how, m.build_bytes);
	memcpy(record + sizeof m + m.build_bytes, path, m.path_bytes);
	if (how & 4)
		m.build_bytes = (uint32_t)take(4);
	if (how & 8)
		m.path_bytes = (uint32_t)take(4);
	if (how & 16)
		count = (size_t)take(2) % sizeof record;
	memcpy(record, &m, sizeof m);
	frames_module(f, pid, record, count);
}

/* Many, at places of their own: what is remembered must have a bound. */
static void tell_many(struct frames *f, uint32_t pid)
{
	struct { struct record_module m; char path[40]; } record = { .m = { 0 } };
	uint64_t run = take(2) % RUN_MOST, start = take(4) << 12;
	bool others = take(1) & 1;

	for (uint64_t i = 0; i < run; i++) {
		record.m.start = start + (i << 13);
		record.m.end = record.m.start + 4096;
		record.m.path_bytes = (uint32_t)snprintf(record.path, sizeof record.path,
							 "/nonexistent/%llx",
							 (unsigned long long)record.m.start);
		frames_module(f, others ? (uint32_t)(start + i) : pid, &record,
			      sizeof record.m + record.m.path_bytes);
	}
}

static void ask(struct frames *f, uint32_t pid, const void *record, size_t count)
{
	char *text = malloc(FRAMES_TEXT); /* the sanitizer sees one byte too many */
	unsigned frames = 0;

	insist(text, "memory is not full");
	size_t n = frames_stack(f, pid, record, count, text);
	insist(n <= FRAMES_TEXT && (!n || !text[n - 1]), "frames end by NUL");
	for (size_t i = 0; i < n; i++) {
		frames += !text[i];
		insist(!text[i] || ((unsigned char)text[i] >= ' ' && text[i] != 0x7f),
		       "names are harmless");
	}
	insist(frames <= FRAMES_MOST + 1, "there are so many frames at most");
	free(text);
}

static void ask_raw(struct frames *f, uint32_t pid)
{
	size_t count = (size_t)take(2), left = (size_t)(input.end - input.at);
	char *record;

	count = count < left ? count : left;
	record = malloc(count);
	insist(record || !count, "memory is not full");
	memcpy(record, input.at, count);
	input.at += count;
	ask(f, pid, record, count);
	free(record);
}

/* An address in a module, on the stack, or anything. */
static uint64_t word(uint64_t stack)
{
	uint64_t how = take(1);

	switch (how >> 6) {
	case 0: return starts[how % (sizeof starts / sizeof *starts)] + take(3);
	case 1: return stack + take(1) * 8;
	case 2: return how & 63;
	default: return take(8);
	}
}

static void ask_made(struct frames *f, uint32_t pid)
{
	static struct { struct record_stack head; uint64_t words[(RECORD - 312) / 8]; } record;
	const uint64_t stack = 0x7ffffffde000;
	struct record_stack *head = &record.head;
	size_t used = 0, most = sizeof record.words / sizeof *record.words;

	memset(&record, 0, sizeof record);
	head->machine = EM_X86_64;
	head->pieces = 1 + (uint16_t)(take(1) & 1);
	head->pc = word(stack);
	for (unsigned i = 0; i < 17; i++)
		head->reg[i] = word(stack);
	if (take(1) & 1)
		head->reg[7] = stack;
	for (unsigned i = 0; i < head->pieces; i++) {
		struct record_stack_piece *p = &head->piece[i];
		p->address = take(1) & 1 ? stack + i * 4096 : word(stack);
		p->words = (uint32_t)(take(1) % 8) * 64;
		p->kept = (uint32_t)take(1);
		for (uint32_t m = 0; m < p->words / 64 && used < most; m++)
			record.words[used++] = take(1) & 1 ? UINT64_MAX : take(8);
		for (uint32_t k = 0; k < p->kept && used < most; k++)
			record.words[used++] = word(stack);
	}
	head->bytes = (uint32_t)(sizeof *head + used * 8);
	uint64_t spoil = take(1);
	if (spoil < 64) /* a word of the head */
		memset((char *)head + spoil * 4 % (sizeof *head - 8), (int)take(1), 4);
	ask(f, pid, &record, head->bytes < sizeof record ? head->bytes : sizeof record);
}

static void operate(struct frames *f)
{
	uint64_t what = take(1);
	uint32_t pid = pid_of(take(1));

	switch (what % 8) {
	case 0: case 1: tell(f, pid); break;
	case 2: frames_image(f, pid); break;
	case 3: ask_raw(f, pid); break;
	case 4: tell_many(f, pid); break;
	default: ask_made(f, pid); break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
	input = (struct input){ bytes, bytes + count };
	struct frames *f = frames_open(!(take(1) & 1));

	insist(f != NULL, "memory is not full");
	for (int i = 0; i < OPERATIONS_MOST && input.at < input.end; i++)
		operate(f);
	frames_close(f);
	return 0;
}
