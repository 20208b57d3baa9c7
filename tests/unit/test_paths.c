/* test_paths.c - paths.c: calls added up by their path. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/profile/paths.h"

static const struct function functions[] = {
	{ .number = 0, .name = "main" }, { .number = 1, .name = "f" }, { .number = 2, .name = "g" },
};
static const struct trace_thread threads[] = { { .comm = "one" }, { .comm = "two" } };

/* A call from begin to end, as many times; what is called inside of it comes between. */
static struct call enter(struct paths *paths, unsigned function, const struct call *caller,
			 int64_t at)
{
	struct call call = { .function = &functions[function], .caller = caller, .begin_ns = at };

	assert_int_equal(paths_enter(paths, &call), 0);
	return call;
}

static void leave(struct paths *paths, struct call *call, int64_t at)
{
	call->end_ns = at;
	paths_leave(paths, call);
}

static void expect(const struct paths *paths, uint32_t *at, const char *name, uint32_t depth,
		   uint64_t calls, int64_t total_ns, int64_t self_ns)
{
	*at = paths_next(paths, *at);
	assert_true(*at != PATHS_NONE);
	assert_string_equal(paths_name(paths, *at), name);
	assert_int_equal(paths->rows[*at].depth, depth);
	assert_int_equal(paths->rows[*at].calls, calls);
	assert_int_equal(paths->rows[*at].total_ns, total_ns);
	assert_int_equal(paths_self(&paths->rows[*at]), self_ns);
}

static void sums(void **state)
{
	struct paths paths;
	uint32_t at = PATHS_NONE;

	(void)state;
	assert_int_equal(paths_init(&paths, 0), 0);
	for (int turn = 0; turn < 3; turn++) { /* two threads of one name, one of another */
		paths_begin(&paths, &threads[turn / 2]);
		struct call main = enter(&paths, 0, NULL, 0);
		struct call f = enter(&paths, 1, &main, 10);
		leave(&paths, &f, 30);
		for (int64_t i = 0; i < 2; i++) {
			struct call g = enter(&paths, 2, &main, 40 + 20 * i);
			leave(&paths, &g, 55 + 20 * i);
		}
		leave(&paths, &main, 100);
	}
	assert_int_equal(paths_sort(&paths), 0);
	expect(&paths, &at, "one", 0, 0, 200, 0);
	expect(&paths, &at, "main", 1, 2, 200, 100);
	expect(&paths, &at, "g", 2, 4, 60, 60);
	expect(&paths, &at, "f", 2, 2, 40, 40);
	expect(&paths, &at, "two", 0, 0, 100, 0);
	expect(&paths, &at, "main", 1, 1, 100, 50);
	expect(&paths, &at, "g", 2, 2, 30, 30);
	expect(&paths, &at, "f", 2, 1, 20, 20);
	assert_int_equal(paths_next(&paths, at), PATHS_NONE);
	assert_int_equal(paths.hidden, 0);
	paths_fini(&paths);
}

static void too_deep(void **state)
{
	struct call calls[10];
	struct paths paths;
	uint32_t at = PATHS_NONE;

	(void)state;
	assert_int_equal(paths_init(&paths, 3), 0);
	paths_begin(&paths, &threads[0]);
	for (int i = 0; i < 10; i++)
		calls[i] = enter(&paths, 1, i ? &calls[i - 1] : NULL, i);
	for (int i = 9; i >= 0; i--)
		leave(&paths, &calls[i], 100 - i);
	expect(&paths, &at, "one", 0, 0, 100, 0);
	expect(&paths, &at, "f", 1, 1, 100, 2);
	expect(&paths, &at, "f", 2, 1, 98, 2);
	expect(&paths, &at, "f", 3, 1, 96, 96); /* with all that is below */
	assert_int_equal(paths_next(&paths, at), PATHS_NONE);
	assert_int_equal(paths.hidden, 7);
	paths_fini(&paths);
}

/* A caller that a filter hides was never entered; its callee belongs to whoever is shown around it. */
static void hidden_callers(void **state)
{
	struct paths paths;
	uint32_t at = PATHS_NONE;

	(void)state;
	assert_int_equal(paths_init(&paths, 0), 0);
	paths_begin(&paths, &threads[0]);
	struct call main = enter(&paths, 0, NULL, 0);
	const struct call f = { .function = &functions[1], .caller = &main };
	struct call g = enter(&paths, 2, &f, 10);
	leave(&paths, &g, 20);
	leave(&paths, &main, 50);
	expect(&paths, &at, "one", 0, 0, 50, 0);
	expect(&paths, &at, "main", 1, 1, 50, 40);
	expect(&paths, &at, "g", 2, 1, 10, 10);
	paths_fini(&paths);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sums),
		cmocka_unit_test(too_deep),
		cmocka_unit_test(hidden_callers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
