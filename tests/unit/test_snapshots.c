/*
 * test_snapshots.c - which snapshots of a trace stay, and what of its messages is in one.
 */
#include "lib/snapshot/snapshots.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/snapshot/messages_tail.h"
#include "lib/stamp/trace.h"

static char top[64];
static int trace;

static int set_up(void **state)
{
	(void)state;
	strcpy(top, "/tmp/hark-snapshots-XXXXXX");
	if (!mkdtemp(top))
		return -1;
	trace = open(top, O_RDONLY | O_DIRECTORY);
	return trace < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
	(void)state;
	char name[32];

	for (unsigned i = 1; i < 20; i++) {
		snprintf(name, sizeof name, SNAPSHOT_NAME "%u", i);
		snapshots_remove(trace, name);
	}
	close(trace);
	return rmdir(top);
}

static void make(unsigned number, unsigned seq)
{
	char name[64];

	snprintf(name, sizeof name, SNAPSHOT_NAME "%u", number);
	assert_int_equal(mkdirat(trace, name, 0700), 0);
	snprintf(name, sizeof name, SNAPSHOT_NAME "%u/" TRACE_IDENTITY, number);
	int fd = openat(trace, name, O_WRONLY | O_CREAT, 0600);
	assert_true(dprintf(fd, "hark-trace=1\n") > 0);
	if (seq)
		assert_true(dprintf(fd, "seq=%u\n", seq) > 0);
	close(fd);
}

/* As a set of bits. */
static unsigned there(void)
{
	unsigned set = 0;
	char name[32];

	for (unsigned i = 1; i < 20; i++) {
		snprintf(name, sizeof name, SNAPSHOT_NAME "%u", i);
		set |= (faccessat(trace, name, F_OK, 0) == 0 ? 1u : 0u) << i;
	}
	return set;
}

#define BIT(n) (1u << (n))

static void first_and_newest_stay(void **state)
{
	(void)state;
	for (unsigned i = 1; i <= 6; i++)
		make(i, 10 * i);
	snapshots_prune(trace, 6);
	assert_int_equal(there(), 126);
	snapshots_prune(trace, 3);
	assert_int_equal(there(), BIT(1) | BIT(5) | BIT(6));
	snapshots_prune(trace, 1);
	assert_int_equal(there(), BIT(6));
}

/* Who asked for one keeps it. */
static void asked_ones_are_not_counted(void **state)
{
	(void)state;
	make(1, 0);
	make(2, 5);
	make(3, 0);
	make(4, 6);
	make(11, 7);
	snapshots_prune(trace, 2);
	assert_int_equal(there(), BIT(1) | BIT(2) | BIT(3) | BIT(11));
}

static void numbers_go_on(void **state)
{
	(void)state;
	uint32_t number;

	assert_int_equal(snapshots_next(trace, 7, &number), 0);
	assert_int_equal(number, 1);
	make(3, 7);
	make(12, 0);
	assert_int_equal(snapshots_next(trace, 8, &number), 0);
	assert_int_equal(number, 13);
	assert_int_equal(snapshots_next(trace, 7, &number), -EEXIST);
	assert_int_equal(snapshots_next(trace, 0, &number), 0);
}

/* ---- messages ---------------------------------------------------------------------------------- */

#define LINE(ticks, text, seq) \
	"{\"ticks\":" #ticks ",\"msg\":\"" text "\",\"seq\":" #seq "}\n"

static void expect_tail(const char *said, const char *line, uint64_t seq, const char *expected)
{
	char out[2048] = "";
	struct snapshot_plan plan = { .seq = seq, .line = line,
				      .line_bytes = line ? strlen(line) : 0 };
	FILE *from = said ? fmemopen((void *)(uintptr_t)said, strlen(said), "r") : NULL;
	FILE *to = fmemopen(out, sizeof out, "w");

	messages_tail(from, to, 100, &plan);
	fclose(to);
	if (from)
		fclose(from);
	assert_string_equal(out, expected);
}

static void from_the_first_call_on(void **state)
{
	(void)state;
	expect_tail(LINE(0, "hark", 1) LINE(99, "early", 2) LINE(100, "a", 3) LINE(0, "hark", 4),
		    NULL, 0, LINE(100, "a", 3) LINE(0, "hark", 4));
	expect_tail(LINE(100, "a \\\"seq\\\":9", 3) "{\"ticks\":101,\"msg", NULL, 0,
		    LINE(100, "a \\\"seq\\\":9", 3));
}

static void the_message_in_its_place_once(void **state)
{
	(void)state;
	const char *error = LINE(150, "error", 4);

	expect_tail(NULL, error, 4, error);
	expect_tail(LINE(140, "a", 3), error, 4, LINE(140, "a", 3) LINE(150, "error", 4));
	expect_tail(LINE(140, "a", 3) LINE(150, "error", 4) LINE(160, "b", 5), error, 4,
		    LINE(140, "a", 3) LINE(150, "error", 4) LINE(160, "b", 5));
	expect_tail(LINE(140, "a", 3) LINE(160, "b", 5), error, 4,
		    LINE(140, "a", 3) LINE(150, "error", 4) LINE(160, "b", 5));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(first_and_newest_stay, set_up, tear_down),
		cmocka_unit_test_setup_teardown(asked_ones_are_not_counted, set_up, tear_down),
		cmocka_unit_test_setup_teardown(numbers_go_on, set_up, tear_down),
		cmocka_unit_test(from_the_first_call_on),
		cmocka_unit_test(the_message_in_its_place_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
