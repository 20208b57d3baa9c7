/* test_filter.c - filter.c: lists of call paths, and the steps that calls take in them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "lib/base/filter.h"

static struct filter filter;

static void take(const char *only, const char *never)
{
	const char *why = "";

	filter_init(&filter);
	if (only)
		assert_int_equal(filter_add(&filter, only, false, &why), 0);
	if (never)
		assert_int_equal(filter_add(&filter, never, true, &why), 0);
}

/* Of a chain of calls, outermost first, separated by blanks; f@m is f in the module m. */
static bool wanted(const char *chain)
{
	struct filter_state state = { 0, 0 };
	char words[256], *rest = words;

	strcpy(words, chain);
	for (char *word; (word = strsep(&rest, " "));) {
		char *module = strchr(word, '@');
		if (module)
			*module++ = '\0';
		uint32_t fits = filter_fits(&filter, word, NULL, module ? module : "/bin/program");
		state = filter_step(&filter.rules, state, fits);
	}
	return filter_wants(&filter.rules, state);
}

static void single_globs(void **state)
{
	(void)state;
	take(NULL, NULL);
	assert_true(wanted("main f"));
	take("load,save*", NULL);
	assert_false(wanted("main"));
	assert_true(wanted("main load"));
	assert_true(wanted("main load deep er"));
	assert_true(wanted("save_all"));
	assert_false(wanted("main other"));
	take("load", "free");
	assert_true(wanted("load x"));
	assert_false(wanted("load free"));
	assert_false(wanted("load free x load"));
	take(NULL, "f*");
	assert_true(wanted("main"));
	assert_false(wanted("main fib x"));
}

static void paths(void **state)
{
	(void)state;
	take("main>load", NULL);
	assert_true(wanted("main load x"));
	assert_true(wanted("z main load"));
	assert_false(wanted("main x load"));
	assert_false(wanted("load"));
	take("main > load > *", NULL);
	assert_false(wanted("main load"));
	assert_true(wanted("main load x y"));
	take("main>**>load", NULL);
	assert_true(wanted("main load"));
	assert_true(wanted("main x y load z"));
	assert_false(wanted("x load"));
	take("a>b>**>c>d,e", "a>b>x");
	assert_true(wanted("a b q c d"));
	assert_false(wanted("a b c q d"));
	assert_false(wanted("a b x e"));
	assert_true(wanted("b x e"));
	take("fib>fib>fib", NULL);
	assert_false(wanted("fib fib"));
	assert_true(wanted("fib fib fib fib"));
}

static void modules(void **state)
{
	(void)state;
	take("*@libssl*", "x@/opt/*");
	assert_true(wanted("main@/bin/p read@/usr/lib/libssl.so.3 f"));
	assert_false(wanted("main read"));
	assert_false(wanted("read@libssl x@/opt/libother.so"));
	assert_true(wanted("read@libssl x@/usr/libother.so"));
	take("main@p*>f@libx", NULL);
	assert_true(wanted("main@/bin/prog f@libx"));
	assert_false(wanted("main@/bin/prog f@liby"));
	/* a name that has such a sign itself */
	take("puts@plt", NULL);
	assert_true(filter_fits(&filter, "puts@plt", NULL, "/bin/p") == FILTER_ONLY);
	assert_true(filter_fits(&filter, "_Zf", "puts", "/x/plt") == FILTER_ONLY);
	assert_true(filter_fits(&filter, "puts", NULL, "/bin/p") == 0);
}

static void names_of_cxx(void **state)
{
	(void)state;
	take("f<int, g<1, 2> >(int, char)>operator->,operator<<", NULL);
	assert_int_equal(filter.count, 3);
	assert_string_equal(filter.parts[0].name, "f<int, g<1, 2> >(int, char)");
	assert_string_equal(filter.parts[1].name, "operator->");
	assert_string_equal(filter.parts[2].name, "operator<<");
	take("a\\>b\\,c", NULL);
	assert_int_equal(filter.count, 1);
	assert_true(wanted("a>b,c"));
	assert_true(filter_fits(&filter, "x", "a>b,c", "/bin/p") == FILTER_ONLY);
}

static void refused(void **state)
{
	static const char *const wrong[][2] = {
		{ "", "missing" }, { ",a", "missing" }, { "a,", "missing" }, { "a,,b", "missing" },
		{ ">a", "beside >" }, { "a>", "beside >" }, { "a>>b", "beside >" },
		{ "**>a", "**" }, { "a>**", "**" }, { "a>**>**>b", "**" },
		{ "@lib", "@" }, { "f@", "@" },
	};
	char many[256];
	const char *why;

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		filter_init(&filter);
		assert_int_equal(filter_add(&filter, wrong[i][0], false, &why), -EINVAL);
		assert_non_null(strstr(why, wrong[i][1]));
	}
	for (size_t i = 0; i < 62; i++)
		many[i] = i % 2 ? '>' : 'a';
	many[61] = '\0';
	filter_init(&filter);
	assert_int_equal(filter_add(&filter, many, false, &why), -EINVAL);
	assert_non_null(strstr(why, "30"));
	many[59] = '\0';
	filter_init(&filter);
	assert_int_equal(filter_add(&filter, many, false, &why), 0);
	for (size_t i = 0; i < 130; i++)
		many[i] = i % 2 ? ',' : 'a';
	many[129] = '\0';
	filter_init(&filter);
	assert_int_equal(filter_add(&filter, many, false, &why), -EINVAL);
	assert_non_null(strstr(why, "64"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(single_globs), cmocka_unit_test(paths), cmocka_unit_test(modules),
		cmocka_unit_test(names_of_cxx), cmocka_unit_test(refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
