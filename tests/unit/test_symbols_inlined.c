/*
 * test_symbols_inlined.c - symbols_inlined(): functions that a compiler has put into others, by its debug
 * information. The places are labels that stand in the source.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/symbols_case.h"

static const char program[] =
	"static inline __attribute__((always_inline)) int leaf(int x)\n"        /* 1 */
	"{\n"
	"	__asm__ volatile(\"in_leaf:\\n\\tnop\" : \"+r\"(x));\n"         /* 3 */
	"	return x + 1;\n"
	"}\n"
	"static inline __attribute__((always_inline)) int middle(int x)\n"      /* 6 */
	"{\n"
	"	if (x) {\n"
	"		int y = x * 5;\n"
	"		return leaf(y) * y;\n"                                  /* 10 */
	"	}\n"
	"	return 0;\n"
	"}\n"
	"__attribute__((noinline)) int outer(int x)\n"                          /* 14 */
	"{\n"
	"	__asm__ volatile(\"in_outer:\\n\\tnop\" : \"+r\"(x));\n"
	"	return middle(x) + 1;\n"                                        /* 17 */
	"}\n"
	"__attribute__((always_inline)) inline int both(int x)\n"               /* 19 */
	"{\n"
	"	__asm__ volatile(\"nop\" : \"+r\"(x));\n"
	"	return x * 7;\n"
	"}\n"
	"extern int both(int x);\n"
	"int main(int argc, char **argv)\n"                                     /* 25 */
	"{\n"
	"	(void)argv;\n"
	"	return both(argc) + outer(argc);\n"                             /* 28 */
	"}\n";

static void expect_call(const struct symbol_inlined *in, const char *name, int declared, int called)
{
	assert_string_equal(in->symbol.name, name);
	assert_int_equal(in->at.line, declared);
	assert_int_equal(in->call.line, called);
	assert_non_null(strstr(in->call.file, "p.c"));
}

static void outermost_first(void **state)
{
	static const char *const ways[] = { "gcc -O2 -g", "gcc -O1 -gdwarf-4 -no-pie",
					    "clang -O2 -g" };
	struct symbol_inlined in[8];
	struct symbol found;

	(void)state;
	write_file("p.c", program);
	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
		if (i == 2 && system("command -v clang >/dev/null") != 0)
			continue;
		run("$ONCE %s -w -o p p.c", ways[i]);
		read_nm("p", "");
		struct symbols *s = open_here("p", "");
		uint64_t leaf = nm_named("in_leaf")->offset;
		assert_true(symbols_find(s, leaf, &found));
		assert_string_equal(found.name, "outer");
		assert_int_equal(symbols_inlined(s, leaf, in, 8), 2);
		expect_call(&in[0], "middle", 6, 17);
		expect_call(&in[1], "leaf", 1, 10);
		/* they are nowhere else, and two */
		assert_true(in[0].symbol.start & in[1].symbol.start & SYMBOLS_NOWHERE);
		assert_true(in[0].symbol.start != in[1].symbol.start);
		/* the outermost ones, where there is no room for all */
		assert_int_equal(symbols_inlined(s, leaf, in, 1), 1);
		expect_call(&in[0], "middle", 6, 17);
		assert_int_equal(symbols_inlined(s, nm_named("in_outer")->offset, in, 8), 0);
		symbols_close(s);
	}
}

/* A function that is there by itself, too, is the same one. */
static void also_by_itself(void **state)
{
	struct symbol_inlined in[8];
	unsigned seen = 0;

	(void)state;
	write_file("p.c", program);
	run("$ONCE gcc -O2 -g -w -o p p.c");
	read_nm("p", "");
	struct symbols *s = open_here("p", "");
	const struct nm_symbol *at = nm_named("main");
	for (uint64_t i = 0; i < at->bytes; i++) {
		if (symbols_inlined(s, at->offset + i, in, 8) != 1)
			continue;
		expect_call(&in[0], "both", 19, 28);
		assert_int_equal(in[0].symbol.start, nm_named("both")->offset);
		seen++;
	}
	assert_true(seen > 0);
	symbols_close(s);
}

static void without_debug_information(void **state)
{
	struct symbol_inlined in[8];

	(void)state;
	write_file("p.c", program);
	run("$ONCE gcc -O2 -w -o p p.c");
	read_nm("p", "");
	struct symbols *s = open_here("p", "");
	assert_int_equal(symbols_inlined(s, nm_named("in_leaf")->offset, in, 8), 0);
	assert_int_equal(symbols_inlined(s, UINT64_MAX, in, 8), 0);
	symbols_close(s);
	/* it is in a file of its own: found by the link to it */
	run("$ONCE gcc -O2 -g -w -o p p.c && objcopy --only-keep-debug p p.debug && "
	    "strip p && objcopy --add-gnu-debuglink=p.debug p");
	s = open_here("p", "");
	assert_int_equal(symbols_inlined(s, nm_named("in_leaf")->offset, in, 8), 2);
	expect_call(&in[1], "leaf", 1, 10);
	symbols_close(s);
}

/* Compilers split functions and put a part back into the one that is left of it: a "call" where the function
 * begins. What calls itself on that very line looks the same, what does so on another line does not. */
static void not_in_itself(void **state)
{
	struct symbol_inlined in[8];

	(void)state;
	write_file("r.c", "int main(void) { return 0; }\n"
			  "__attribute__((noipa)) int g(int x)\n"
			  "{ __asm__ volatile(\"\" : \"+r\"(x) : : \"memory\"); return x; }\n"
			  "int part(int n) { return n > 0 ? g(part(n - 1)) : 7; }\n"
			  "int again(int n)\n"
			  "{\n"
			  "	return n > 0 ? g(again(n - 2)) : 9;\n"
			  "}\n");
	run("$ONCE gcc -O3 -g -w -o r r.c && objdump --dwarf=info r | grep -q 'call_line *: 4$' &&"
	    " objdump --dwarf=info r | grep -q 'call_line *: 7$'");
	read_nm("r", "");
	struct symbols *s = open_here("r", "");
	const struct nm_symbol *part = nm_named("part"), *again = nm_named("again");
	unsigned found = 0;
	for (uint64_t i = 0; i < part->bytes; i++)
		assert_int_equal(symbols_inlined(s, part->offset + i, in, 8), 0);
	for (uint64_t i = 0; i < again->bytes; i++)
		found += symbols_inlined(s, again->offset + i, in, 8);
	assert_true(found > 0);
	symbols_close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SYMBOLS_CASE(not_in_itself),
		SYMBOLS_CASE(outermost_first),
		SYMBOLS_CASE(also_by_itself),
		SYMBOLS_CASE(without_debug_information),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
