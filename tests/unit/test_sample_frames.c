/*
 * test_sample_frames.c - lib/sample/frames.c: from the record of a stack to a list of functions; what is
 * told of modules and by whom; records that nobody of ours has written.
 */
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/ring/record.h"
#include "lib/sample/frames.h"
#include "tests/unit/sanitizer.h"

enum { WORDS = 512, GROUP = 64, PID = 4711 };

/* ---- a record ---------------------------------------------------------------------------------- */

static struct {
	struct record_stack head;
	uint64_t words[2 * WORDS + 2 * WORDS / GROUP];
} record;

static void *at_end(void)
{
	return (char *)&record + record.head.bytes;
}

static void begin_record(void)
{
	record.head = (struct record_stack){ .bytes = sizeof record.head, .machine = EM_X86_64 };
}

/* Between the variables of a frame, a sanitizer forbids to look. */
static __attribute__((no_sanitize("address"))) void copy(uint64_t *to, const uint64_t *from,
							 uint32_t words)
{
	for (uint32_t i = 0; i < words; i++)
		((volatile uint64_t *)to)[i] = from[i];
}

/* Every word is kept. */
static void add_piece(uint64_t address, const uint64_t *from, uint32_t words)
{
	uint32_t n = record.head.pieces++;
	uint64_t *to = at_end();

	assert_true(n < RECORD_STACK_PIECES && words % GROUP == 0);
	record.head.piece[n] = (struct record_stack_piece){ .address = address, .words = words,
							    .kept = words };
	memset(to, 0xff, words / GROUP * sizeof *to);
	copy(to + words / GROUP, from, words);
	record.head.bytes += (words / GROUP + words) * (uint32_t)sizeof *to;
}

/* Where we are: registers, and what lies above. All of it in one line of the source. */
#define HERE(words) do {									\
	begin_record();										\
	__asm__ volatile("leaq 0(%%rip), %%rax\n\tmovq %%rax, %0\n\tmovq %%rbx, %1\n\t"		\
			 "movq %%rbp, %2\n\tmovq %%rsp, %3\n\tmovq %%r12, %4\n\t"		\
			 "movq %%r13, %5\n\tmovq %%r14, %6\n\tmovq %%r15, %7"			\
			 : "=m"(record.head.pc), "=m"(record.head.reg[3]),			\
			   "=m"(record.head.reg[6]), "=m"(record.head.reg[7]),			\
			   "=m"(record.head.reg[12]), "=m"(record.head.reg[13]),		\
			   "=m"(record.head.reg[14]), "=m"(record.head.reg[15]) : : "rax");	\
	add_piece(record.head.reg[7], (const uint64_t *)record.head.reg[7], words);		\
} while (0)

/* A frame of its own, by its own name. */
#ifdef __clang__
#define APART __attribute__((noinline))
#else
#define APART __attribute__((noinline, noclone))
#endif

/* in_thread › outer › inner; a thread's stack ends with what libc keeps of it, which is more than WORDS. */
static int inner_line, outer_line, thread_line;
static uint64_t inner_returns, outer_returns;
static uint32_t words_wanted;

static APART int inner(int x)
{
	inner_returns = (uint64_t)__builtin_return_address(0);
	inner_line = __LINE__ + 1;
	HERE(words_wanted);
	return x + 1;
}

static APART int outer(int x)
{
	outer_returns = (uint64_t)__builtin_return_address(0);
	outer_line = __LINE__ + 1;
	return inner(x) + 1;
}

static APART void *in_thread(void *arg)
{
	thread_line = __LINE__ + 1;
	*(int *)arg += outer(1);
	return arg;
}

static void take_stack(uint32_t words)
{
	pthread_t thread;
	int x = 0;

	words_wanted = words;
	assert_int_equal(pthread_create(&thread, NULL, in_thread, &x), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

/* ---- modules ----------------------------------------------------------------------------------- */

static void tell(struct frames *f, uint32_t pid, uint64_t start, uint64_t end, const char *path)
{
	struct { struct record_module m; char path[600]; } module = {
		.m = { .start = start, .end = end, .path_bytes = (uint32_t)strlen(path) },
	};

	memcpy(module.path, path, strlen(path));
	frames_module(f, pid, &module, sizeof module.m + strlen(path));
}

static uint64_t own_start;

static int tell_one(struct dl_phdr_info *info, size_t size, void *f)
{
	uint64_t low = UINT64_MAX, high = 0;
	char path[512];

	(void)size;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		if (p->p_type != PT_LOAD)
			continue;
		uint64_t start = info->dlpi_addr + p->p_vaddr;
		low = start < low ? start & ~4095ull : low;
		high = start + p->p_memsz > high ? start + p->p_memsz : high;
	}
	ssize_t n = info->dlpi_name[0] ? 0 : readlink("/proc/self/exe", path, sizeof path - 1);
	if (n > 0) {
		path[n] = '\0';
		if (!own_start)
			own_start = low;
	}
	tell(f, PID, low, high, n > 0 ? path : info->dlpi_name);
	return 0;
}

/* This process, as its shim would have told of it. */
static struct frames *told(bool addresses)
{
	struct frames *f = frames_open(addresses);

	assert_non_null(f);
	own_start = 0;
	dl_iterate_phdr(tell_one, f);
	return f;
}

static char text[FRAMES_TEXT];

/* The frames, each in a line of its own. */
static const char *stack_of(struct frames *f, uint32_t pid, size_t count)
{
	size_t n = frames_stack(f, pid, &record, count, text);

	assert_true(n <= sizeof text && (!n || !text[n - 1]));
	for (size_t i = 0; i < n; i++)
		text[i] = text[i] ? text[i] : '\n';
	text[n < sizeof text ? n : n - 1] = '\0';
	return text;
}

static const char *stack_now(struct frames *f)
{
	return stack_of(f, PID, record.head.bytes);
}

/* ---- stacks ------------------------------------------------------------------------------------ */

static void names_and_lines(void **state)
{
	struct frames *f = told(false);
	char expected[300];

	(void)state;
	take_stack(WORDS / 2);
#ifdef CASE_THREAD_SANITIZER
	skip(); /* a function of its own is there at a thread's beginning */
#endif
	snprintf(expected, sizeof expected,
		 "inner (test_sample_frames.c:%d)\nouter (test_sample_frames.c:%d)\n"
		 "in_thread (test_sample_frames.c:%d)\n",
		 inner_line, outer_line, thread_line);
	assert_string_equal(stack_now(f), expected);
	frames_close(f);
}

/* A caller is where its call is. */
static void addresses(void **state)
{
	struct frames *f = told(true);
	char expected[300];

	(void)state;
	take_stack(WORDS / 2);
	snprintf(expected, sizeof expected,
		 "test_sample_frames+0x%llx\ntest_sample_frames+0x%llx\n"
		 "test_sample_frames+0x%llx\n",
		 (unsigned long long)(record.head.pc - own_start),
		 (unsigned long long)(inner_returns - 1 - own_start),
		 (unsigned long long)(outer_returns - 1 - own_start));
	const char *got = stack_now(f);
	assert_memory_equal(got, expected, strlen(expected) - 1);
	frames_close(f);
}

static void ends(void **state)
{
	struct frames *f = told(false);

	(void)state;
	take_stack(WORDS / 2);
	add_piece(0x1000, NULL, 0); /* there was no room for the other one */
	assert_non_null(strstr(stack_now(f), "\nin_thread "));
	/* too short a copy: nothing of its callers is known */
	begin_record();
	take_stack(WORDS / 2);
	record.head.piece[0].address = record.head.reg[7] - WORDS * 4;
	const char *got = stack_now(f);
	assert_memory_equal(got, "inner ", 6);
	assert_non_null(strstr(got, "\n[deeper]\n"));
	assert_null(strstr(got, "outer"));
	/* a caller that is nowhere */
	take_stack(WORDS / 2);
	frames_image(f, PID);
	tell(f, PID, own_start, own_start + (1 << 20), "/nonexistent/program");
	got = stack_now(f);
	assert_memory_equal(got, "program+0x", 10);
	assert_non_null(strstr(got, "\n[unknown caller]\n"));
	/* of who is not there and has told nothing */
	assert_string_equal(stack_of(f, 0x7ffffffe, record.head.bytes), "[unknown caller]\n");
	frames_close(f);
}

/* ---- records that nobody of ours has written --------------------------------------------------- */

static void spoilt_stacks(void **state)
{
	static const struct { size_t at; uint32_t value; } spoil[] = {
		{ offsetof(struct record_stack, pieces), 0 },
		{ offsetof(struct record_stack, pieces), 3 },
		{ offsetof(struct record_stack, machine), EM_386 },
		{ offsetof(struct record_stack, piece[0].words), RECORD_STACK_WORDS + GROUP },
		{ offsetof(struct record_stack, piece[0].words), 1 },
		{ offsetof(struct record_stack, piece[0].words), UINT32_MAX },
		{ offsetof(struct record_stack, piece[0].kept), UINT32_MAX },
		{ offsetof(struct record_stack, piece[0].kept), WORDS },
	};
	struct frames *f = told(false);

	(void)state;
	for (size_t i = 0; i < sizeof spoil / sizeof *spoil; i++) {
		take_stack(WORDS / 2);
		if (spoil[i].at < offsetof(struct record_stack, pc))
			memcpy((char *)&record + spoil[i].at, &spoil[i].value, 2);
		else
			memcpy((char *)&record + spoil[i].at, &spoil[i].value, 4);
		assert_string_equal(stack_of(f, PID, record.head.bytes), "");
	}
	take_stack(WORDS / 2);
	for (size_t cut = 0; cut < record.head.bytes; cut += 8)
		assert_string_equal(stack_of(f, PID, cut), "");
	frames_close(f);
}

static void spoilt_modules(void **state)
{
	struct { struct record_module m; char rest[5000]; } module;
	const struct record_module bad[] = {
		{ 0, 1 << 20, 65, 10 }, { 0, 1 << 20, 4000, 2000 }, { 0, 1 << 20, 0, 4096 },
		{ 0, 1 << 20, UINT32_MAX, 10 }, { 0, 1 << 20, 0, UINT32_MAX }, { 9, 9, 0, 10 },
		{ 9, 8, 0, 10 }, { 0, UINT64_MAX, 0, 10 }, { 0, 1 << 20, 32, 11 },
	};
	struct frames *f = frames_open(true);

	(void)state;
	memset(&module, 'x', sizeof module);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		module.m = bad[i];
		frames_module(f, PID, &module, sizeof module.m + 42);
		frames_module(f, PID, &module, 3);
	}
	begin_record();
	record.head.pc = 5;
	add_piece(0x1000, record.words, GROUP);
	assert_string_equal(stack_now(f), "[unknown caller]\n");
	/* what a name holds moves no cursor */
	tell(f, PID, 0, 1 << 20, "/a\n\x1b[2J");
	assert_memory_equal(stack_now(f), "a??[2J+0x5\n", 11);
	frames_close(f);
}

/* ---- who tells without end --------------------------------------------------------------------- */

static bool is_known(struct frames *f, uint32_t pid)
{
	return strstr(stack_of(f, pid, record.head.bytes), "+0x5\n") != NULL;
}

static void many_processes(void **state)
{
	const uint32_t from = 0x7f000000; /* nobody's */
	struct frames *f = frames_open(true);

	(void)state;
	begin_record();
	record.head.pc = 5;
	add_piece(0x1000, record.words, GROUP);
	for (uint32_t i = 0; i < FRAMES_PROCESSES; i++)
		tell(f, from + i, 0, 1 << 20, "/program");
	assert_true(is_known(f, from) && is_known(f, from + FRAMES_PROCESSES - 1));
	tell(f, from + FRAMES_PROCESSES, 0, 1 << 20, "/program");
	assert_true(is_known(f, from + 1) && is_known(f, from + FRAMES_PROCESSES));
	assert_false(is_known(f, from)); /* and has made room for itself by that */
	assert_false(is_known(f, from + 1));
	assert_true(is_known(f, from + FRAMES_PROCESSES));
	frames_close(f);
}

static void many_modules(void **state)
{
	struct frames *f = frames_open(true);
	size_t used[3];
	char path[64];

	(void)state;
	begin_record();
	record.head.pc = 5;
	add_piece(0x1000, record.words, GROUP);
	for (unsigned lap = 0; lap < 3; lap++) {
		for (unsigned i = 0; i < FRAMES_FILES + FRAMES_MODULES; i++) {
			snprintf(path, sizeof path, "/nonexistent/%u.%u", lap, i);
			uint64_t start = (uint64_t)(i + 1) << 30;
			tell(f, PID, start, start + 4096, path);
		}
		used[lap] = mallinfo2().uordblks;
		tell(f, PID, 0, 1 << 20, "/program");
		assert_true(is_known(f, PID));
	}
	assert_true(used[0] < 16 << 20 && used[2] <= used[0] + (used[0] >> 1));
	frames_close(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_and_lines), cmocka_unit_test(addresses),
		cmocka_unit_test(ends),            cmocka_unit_test(spoilt_stacks),
		cmocka_unit_test(spoilt_modules),  cmocka_unit_test(many_processes),
		cmocka_unit_test(many_modules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
