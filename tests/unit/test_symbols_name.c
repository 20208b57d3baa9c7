/* test_symbols_name.c - S8: what mangled names mean, and names that mean harm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <time.h>

#include "lib/image/symbols_name.h"
#include "tests/unit/symbols_case.h"

static void assert_name(const char *linkage, const char *name)
{
	char *made = symbols_name(linkage);

	assert_string_equal(made ? made : linkage, name);
	free(made);
}

/* Expected: what the specifications of the manglings say. */
static void S8_known_names(void **state)
{
	(void)state;
	assert_name("main", "main");
	assert_name("_start", "_start");
	assert_name("", "");
	assert_name("_Z1fi", "f(int)");
	assert_name("_ZN3foo3barEv", "foo::bar()");
	assert_name("_ZN3foo3barEv.cold", "foo::bar() [clone .cold]");
	assert_name("_ZN3foo3barEv.part.0", "foo::bar() [clone .part.0]");
	assert_name("bar.part.0.cold", "bar.part.0.cold");
	assert_name("_Znwm@plt", "operator new(unsigned long)@plt");
	assert_name("puts@plt", "puts@plt");
	assert_name("f@@V2", "f");
	assert_name("_Z1fi@@V2", "f(int)");
	assert_name("f@V1", "f@V1");
	/* Rust, the legacy way: the hash is of no use to people */
	assert_name("_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE",
		    "core::fmt::Write::write_fmt");
	assert_name("_ZN71_$LT$Test$u20$$u2b$$u20$$u27$static$u20$as$u20$foo..Bar$LT$Test$GT$$GT$"
		    "3bar17h930b740aa94f1d3aE",
		    "<Test + 'static as foo::Bar<Test>>::bar");
	/* and the new one: RFC 2603 */
	assert_name("_RNvC6_123foo3bar", "123foo::bar");
	assert_name("_RNvNtNtCs1234_7mycrate3foo3bar3baz", "mycrate::foo::bar::baz");
	assert_name("_RNqCs4fqI2P2rA04_11utf8_identsu30____7hkackfecea1cbdathfdh9hlq6y",
		    "utf8_idents::\u10e1\u10d0\u10ed\u10db\u10d4\u10da\u10d0\u10d3_"
		    "\u10d2\u10d4\u10db\u10e0\u10d8\u10d4\u10da\u10d8_"
		    "\u10e1\u10d0\u10d3\u10d8\u10da\u10d8");
	/* not what they seem */
	assert_name("_Z", "_Z");
	assert_name("_ZN", "_ZN");
	assert_name("_RNv", "_RNv");
	assert_name("_Z1fi garbage", "_Z1fi garbage");
}

static void S8_nothing_moves_a_cursor(void **state)
{
	(void)state;
	assert_name("a\033[2Jb\nc\177", "a?[2Jb?c?");
	assert_name("a\xc2\x9b" "2J", "a?\x9b" "2J");
	assert_name("caf\xc3\xa9", "caf\xc3\xa9");
}

/* As c++filt, but without its limit of 1,024 bytes; 100 bytes that mean gigabytes are not made. */
static void S8_long_names(void **state)
{
	char long_name[3000] = "_Z1f", bomb[600] = "_Z1f", *made;

	(void)state;
	for (int i = 0; i < 400; i++)
		strcat(long_name, "PKPi");
	made = symbols_name(long_name);
	assert_non_null(made);
	assert_memory_equal(made, "f(int* const*", 13);
	free(made);
	/* each argument is a template of the one before, twice */
	strcat(bomb, "1AIiiE");
	for (int i = 0; i < 26; i++) {
		char twice[20], *at = bomb + strlen(bomb);
		snprintf(twice, sizeof twice, "S%c_", "0123456789ABCDEFGHIJKLMNOPQRSTUV"[i]);
		snprintf(at, sizeof bomb - (size_t)(at - bomb), "S_I%s%sE", twice, twice);
	}
	clock_t before = clock(); /* of this process alone: other load does not count */
	assert_name(bomb, bomb);
	assert_true(clock() - before < CLOCKS_PER_SEC);
	char *deep = calloc(1, 70000);
	assert_non_null(deep);
	memcpy(deep, "_Z1f", 4);
	memset(deep + 4, 'P', 4000);
	deep[4004] = 'i';
	free(symbols_name(deep));
	memset(deep + 4, 'P', 60000);
	made = symbols_name(deep);
	assert_true(strlen(made ? made : deep) < 20000);
	free(made);
	free(deep);
}

static const char templates[] =
	"#include <map>\n#include <string>\n#include <vector>\n#include <stdexcept>\n"
	"namespace deep { template <typename T, int N> struct box {\n"
	"	T held[N];\n"
	"	__attribute__((noinline)) T &at(int i) {\n"
	"		if (i >= N) throw std::out_of_range(\"box\");\n"
	"		return held[i]; }\n"
	"	__attribute__((noinline)) box operator+(const box &o) const { return o; }\n"
	"}; }\n"
	"template <typename F> __attribute__((noinline)) int call(F &&f) { return f(1); }\n"
	"int main(int argc, char **) {\n"
	"	deep::box<std::map<std::string, std::vector<int>>, 4> b;\n"
	"	b.at(argc)[\"x\"].push_back(argc);\n"
	"	auto c = b + b;\n"
	"	return call([&](int x) { return x + (int)c.at(0).size(); });\n"
	"}\n";

static int is_a_demangled_one(void *arg, const struct symbol *symbol)
{
	size_t *mangled = arg;

	if (strstr(symbol->name, "@plt") || strncmp(symbol->name, "func_", 5) == 0 ||
	    strcmp(symbol->name, ".plt") == 0 || strlen(symbol->linkage) >= 1024)
		return 0;
	*mangled += symbol->linkage[0] == '_' && symbol->linkage[1] == 'Z';
	if (!nm_has(symbol->start, symbol->name))
		fail_msg("nm has no %s", symbol->name);
	return 0;
}

static void S8_as_nm_demangles(void **state)
{
	static const char *const compilers[] = { "g++", "clang++" };
	size_t mangled = 0;

	(void)state;
	write_file("t.cc", templates);
	for (size_t c = 0; c < sizeof compilers / sizeof *compilers; c++) {
		char command[100];
		snprintf(command, sizeof command, "command -v %s >/dev/null", compilers[c]);
		if (system(command) != 0)
			continue;
		run("$ONCE %s -w -O1 -o t t.cc", compilers[c]);
		read_nm("t", "-C");
		struct symbols *s = open_here("t", "");
		assert_int_equal(symbols_each(s, is_a_demangled_one, &mangled), 0);
		symbols_close(s);
	}
	assert_true(mangled > 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(S8_known_names),
		cmocka_unit_test(S8_nothing_moves_a_cursor),
		cmocka_unit_test(S8_long_names),
		SYMBOLS_CASE(S8_as_nm_demangles),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
