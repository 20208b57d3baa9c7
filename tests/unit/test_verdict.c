/* test_verdict.c - verdict.c: what follows from which facts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "lib/image/verdict.h"

#if defined(__x86_64__)
enum { OURS = EM_X86_64 };
#else
enum { OURS = EM_AARCH64 };
#endif

static const struct verdict_means all_means = { .calls = true, .samples = true, .perf = true };
static struct verdict verdicts[VERDICT_NR];
static struct libraries_needed needed;
static struct library library;

/* A usual program; a case changes what it is about. */
static struct binary usual(void)
{
	struct binary b = { .elf = { .bits = 64, .type = ET_DYN, .machine = OURS, .dynamic = true,
				     .pie = true, .interpreter = "/lib64/ld-linux-x86-64.so.2" },
			    .eh_frame = true, .framed = 9, .plt_slots = 3 };

	memset(&needed, 0, sizeof needed);
	memset(&library, 0, sizeof library);
	library.path = (char *)"/lib/libsome.so.1";
	return b;
}

static void need_library(void)
{
	needed.all[0] = &library;
	needed.count = 1;
}

static void expect_verdict(const struct binary *b, enum verdict_ability ability,
			   enum verdict_answer answer, const char *word)
{
	verdict_all(verdicts, b, "/nonexistent", &needed, &all_means);
	assert_int_equal(verdicts[ability].answer, answer);
	if (!strstr(verdicts[ability].why, word))
		fail_msg("\"%s\" is not said: %s", word, verdicts[ability].why);
}

static void a_usual_program(void **state)
{
	struct binary b = usual();

	(void)state;
	expect_verdict(&b, VERDICT_CAPTURE, VERDICT_YES, "glibc");
	expect_verdict(&b, VERDICT_DEEP, VERDICT_YES, "");
	expect_verdict(&b, VERDICT_STAMPS, VERDICT_NO, "not built with -finstrument-functions");
	expect_verdict(&b, VERDICT_CALLS, VERDICT_YES, "3 functions");
	expect_verdict(&b, VERDICT_SAMPLES, VERDICT_YES, ".eh_frame");
}

static void a_static_program(void **state)
{
	struct binary b = usual();

	(void)state;
	b.elf.interpreter[0] = '\0';
	b.instruments = BINARY_CYG;
	expect_verdict(&b, VERDICT_CAPTURE, VERDICT_NO, "is static");
	expect_verdict(&b, VERDICT_DEEP, VERDICT_YES, "");
	expect_verdict(&b, VERDICT_STAMPS, VERDICT_NO, "is static");
	expect_verdict(&b, VERDICT_CALLS, VERDICT_NO, "is static");
	expect_verdict(&b, VERDICT_SAMPLES, VERDICT_YES, "from outside");
}

static void system_calls_of_its_own(void **state)
{
	struct binary b = usual();

	(void)state;
	b.syscalls = (struct binary_syscalls){ .count = 4 };
	expect_verdict(&b, VERDICT_CAPTURE, VERDICT_YES, "");
	b.syscalls.unknown = 2;
	expect_verdict(&b, VERDICT_CAPTURE, VERDICT_PARTLY, "may write (in 2 places)");
	b.syscalls.writes = 1;
	expect_verdict(&b, VERDICT_CAPTURE, VERDICT_PARTLY, "that write by itself");
	b.syscalls = (struct binary_syscalls){ .unsure = true };
	expect_verdict(&b, VERDICT_CAPTURE, VERDICT_PARTLY, "Zydis");
	/* libraries count, but not glibc's own, whose calls are what hooks are for */
	b = usual();
	need_library();
	library.binary.syscalls.writes = 1;
	expect_verdict(&b, VERDICT_CAPTURE, VERDICT_PARTLY, "libsome.so.1");
	library.libc = true;
	expect_verdict(&b, VERDICT_CAPTURE, VERDICT_YES, "");
	library = (struct library){ .path = library.path, .binary = { .io_uring = true } };
	expect_verdict(&b, VERDICT_CAPTURE, VERDICT_PARTLY, "io_uring");
}

static void instrumented(void **state)
{
	struct binary b = usual();

	(void)state;
	b.instruments = BINARY_MCOUNT;
	expect_verdict(&b, VERDICT_STAMPS, VERDICT_NO, "with -pg, not");
	b.instruments = BINARY_CYG;
	expect_verdict(&b, VERDICT_STAMPS, VERDICT_YES, "");
	b.own_instrument = true;
	expect_verdict(&b, VERDICT_STAMPS, VERDICT_NO, "of its own");
	b = usual();
	need_library();
	library.binary.instruments = BINARY_CYG;
	expect_verdict(&b, VERDICT_STAMPS, VERDICT_PARTLY, "libsome.so.1");
}

static void what_does_not_start(void **state)
{
	struct binary b = usual();

	(void)state;
	needed.missing = (char *)"libgone.so";
	for (unsigned i = 0; i < VERDICT_NR; i++)
		expect_verdict(&b, i, VERDICT_NO, "libgone.so");
	b = usual();
	b.elf.interpreter[0] = '\0';
	b.elf.soname = true;
	b.soname = (char *)"libx.so.1";
	expect_verdict(&b, VERDICT_DEEP, VERDICT_NO, "library");
	b.soname = (char *)"ld-linux-x86-64.so.2";
	expect_verdict(&b, VERDICT_CAPTURE, VERDICT_PARTLY, "dynamic loader");
}

static void what_hark_and_kernel_have(void **state)
{
	struct verdict_means means = all_means;
	struct binary b = usual();

	(void)state;
	b.framed = 0;
	expect_verdict(&b, VERDICT_SAMPLES, VERDICT_PARTLY, "no .eh_frame");
	/* where nobody may look from outside, programs that the shim gets into do so */
	means.perf = false;
	verdict_all(verdicts, &b, "/nonexistent", &needed, &means);
	assert_int_equal(verdicts[VERDICT_SAMPLES].answer, VERDICT_PARTLY);
	assert_non_null(strstr(verdicts[VERDICT_SAMPLES].why, "by timers"));
	assert_non_null(strstr(verdicts[VERDICT_SAMPLES].why, "perf_event_paranoid"));
	b.instruments = BINARY_MCOUNT;
	verdict_all(verdicts, &b, "/nonexistent", &needed, &means);
	assert_int_equal(verdicts[VERDICT_SAMPLES].answer, VERDICT_NO);
	assert_non_null(strstr(verdicts[VERDICT_SAMPLES].why, "-pg"));
	b.elf.interpreter[0] = '\0';
	verdict_all(verdicts, &b, "/nonexistent", &needed, &means);
	assert_int_equal(verdicts[VERDICT_SAMPLES].answer, VERDICT_NO);
	assert_non_null(strstr(verdicts[VERDICT_SAMPLES].why, "static: it cannot sample itself"));
	assert_non_null(strstr(verdicts[VERDICT_SAMPLES].why, "perf_event_paranoid"));
	means.samples = means.calls = false;
	verdict_all(verdicts, &b, "/nonexistent", &needed, &means);
	assert_int_equal(verdicts[VERDICT_SAMPLES].answer, VERDICT_NO);
	assert_int_equal(verdicts[VERDICT_CALLS].answer, VERDICT_NO);
}

/* C code in it calls functions of libraries as any other; its own code has frame pointers. */
static void built_by_go(void **state)
{
	struct binary b = usual();

	(void)state;
	b.elf.go = true;
	expect_verdict(&b, VERDICT_CAPTURE, VERDICT_NO, "Go");
	expect_verdict(&b, VERDICT_CALLS, VERDICT_PARTLY, "what was C calls 3 functions");
	expect_verdict(&b, VERDICT_SAMPLES, VERDICT_YES, "by frame pointers");
	b.elf.interpreter[0] = '\0';
	expect_verdict(&b, VERDICT_CALLS, VERDICT_NO, "is static");
}

static void another_machine(void **state)
{
	struct binary b = usual();

	(void)state;
	b.elf.machine = EM_RISCV;
	expect_verdict(&b, VERDICT_CAPTURE, VERDICT_NO, "another machine");
	assert_true(verdicts[VERDICT_CAPTURE].foreign);
	expect_verdict(&b, VERDICT_DEEP, VERDICT_PARTLY, "RISC-V");
	expect_verdict(&b, VERDICT_SAMPLES, VERDICT_NO, "RISC-V");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_usual_program),
		cmocka_unit_test(a_static_program),
		cmocka_unit_test(system_calls_of_its_own),
		cmocka_unit_test(instrumented),
		cmocka_unit_test(what_does_not_start),
		cmocka_unit_test(what_hark_and_kernel_have),
		cmocka_unit_test(built_by_go),
		cmocka_unit_test(another_machine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
