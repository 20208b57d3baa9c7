/* test_symbols_debug.c - S8: stripped programs, and the debug files that were cut from them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <lzma.h>

#include "tests/unit/symbols_case.h"

static const char program[] =
	"__attribute__((noinline)) static int twice(int x)\n"
	"{\n"
	"	__asm__(\"\");\n"
	"	return 2 * x;\n"
	"}\n"
	"__attribute__((noinline)) int seen(int x)\n"
	"{\n"
	"	if (__builtin_expect(x > 1000, 0))\n"
	"		__builtin_trap();\n"
	"	return twice(x) + 1;\n"
	"}\n"
	"int main(int argc, char **argv)\n"
	"{\n"
	"	(void)argv;\n"
	"	return seen(argc);\n"
	"}\n";

static struct nm_symbol twice, seen;

/* "p" is stripped, "p.debug" the rest, and nm has said what was there. */
static void build(const char *flags)
{
	write_file("p.c", program);
	run("$ONCE gcc -w -g -O1 -Wl,--build-id %s -o p p.c", flags);
	read_nm("p", "");
	twice = *nm_named("twice");
	seen = *nm_named("seen");
	run("objcopy --only-keep-debug p p.debug && cp p whole");
	run("strip -s p && objcopy --add-gnu-debuglink=p.debug p");
}

static void assert_twice(struct symbols *s, enum symbols_origin origin)
{
	assert_int_equal(symbols_origin(s), origin);
	assert_named(s, twice.offset, "twice");
	assert_named(s, twice.offset + twice.bytes - 1, "twice");
	agree_on_line(s, "whole", module_base("whole"), twice.offset);
	agree_on_line(s, "whole", module_base("whole"), twice.offset + twice.bytes - 1);
	symbols_close(s);
}

static void keep_by_id(const char *id)
{
	run("mkdir -p dbg/.build-id/%.2s", id);
	run("mv p.debug dbg/.build-id/%.2s/%s.debug", id, id + 2);
}

static void assert_nameless(struct symbols *s)
{
	struct symbol found;
	struct source_line line;
	char name[40];

	snprintf(name, sizeof name, "func_%llx", (unsigned long long)twice.offset);
	assert_int_equal(symbols_origin(s), SYMBOLS_UNWIND);
	assert_true(symbols_find(s, twice.offset + 1, &found));
	assert_string_equal(found.name, name);
	assert_int_equal(found.start, twice.offset);
	assert_int_equal(found.bytes, twice.bytes);
	assert_false(symbols_line(s, twice.offset, &line));
}

static void S8_by_debug_link(void **state)
{
	static const char *const flags[] = { "-pie -fPIE", "-no-pie" };

	(void)state;
	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
		build(flags[i]);
		assert_twice(open_here("p", ""), SYMBOLS_DEBUG_FILE);
		run("mkdir -p .debug && mv p.debug .debug/");
		assert_twice(open_here("p", ""), SYMBOLS_DEBUG_FILE);
		run("mkdir -p dbg$PWD && mv .debug/p.debug dbg$PWD/");
		assert_twice(open_here("p", ""), SYMBOLS_DEBUG_FILE);
		run("rm dbg$PWD/p.debug");
		struct symbols *s = open_here("p", "");
		assert_nameless(s);
		assert_null(symbols_trouble(s));
		symbols_close(s);
	}
}

static void S8_a_debug_file_of_another_program(void **state)
{
	(void)state;
	build("");
	run("sed 's/2 \\* x/3 * x + 1/' p.c >q.c && $ONCE gcc -w -g -O1 -o q q.c");
	run("objcopy --only-keep-debug q p.debug");
	struct symbols *s = open_here("p", "");
	assert_nameless(s);
	assert_non_null(strstr(symbols_trouble(s), "its CRC is another"));
	symbols_close(s);
}

static void S8_by_build_id(void **state)
{
	char id[200], other[200];

	(void)state;
	build("");
	build_id_of("p", id, sizeof id);
	keep_by_id(id);
	assert_twice(open_here("p", ""), SYMBOLS_DEBUG_FILE);
	assert_twice(open_here("p", id), SYMBOLS_DEBUG_FILE);

	/* the program is gone: what was mapped is still known */
	run("mv p elsewhere");
	struct symbols *s = open_here("p", id);
	assert_non_null(strstr(symbols_trouble(s), "cannot be read"));
	assert_twice(s, SYMBOLS_DEBUG_FILE);

	/* one that lies about its id */
	snprintf(other, sizeof other, "%s", id);
	other[5] = other[5] == '0' ? '1' : '0';
	run("cp dbg/.build-id/%.2s/%s.debug dbg/.build-id/%.2s/%s.debug", id, id + 2, id,
	    other + 2);
	s = open_here("p", other);
	assert_int_equal(symbols_origin(s), SYMBOLS_NONE);
	symbols_close(s);
}

static void S8_another_file_is_there_now(void **state)
{
	char id[200], now[200];
	struct symbol found;

	(void)state;
	build("");
	build_id_of("p", id, sizeof id);
	run("sed 's/2 \\* x/3 * x + 1/' p.c >q.c && $ONCE gcc -w -g -O1 -o q q.c && mv q p");
	build_id_of("p", now, sizeof now);
	struct symbols *s = open_here("p", id);
	assert_non_null(strstr(symbols_trouble(s), "is not the file that ran"));
	assert_non_null(strstr(symbols_trouble(s), now));
	assert_false(symbols_find(s, twice.offset, &found));
	symbols_close(s);
	/* nobody knew what ran: it is believed */
	s = open_here("p", "");
	assert_int_equal(symbols_origin(s), SYMBOLS_SYMTAB);
	assert_null(symbols_trouble(s));
	symbols_close(s);
	/* with the debug file of what ran, its names are right again */
	keep_by_id(id);
	assert_twice(open_here("p", id), SYMBOLS_DEBUG_FILE);
}

static void S8_an_id_is_no_path(void **state)
{
	(void)state;
	build("");
	run("mkdir -p dbg/.build-id/.. && cp p.debug dbg/evil.debug && mkdir -p dbg/.build-id/aa");
	struct symbols *s = open_here("p", "aa/../../evil");
	assert_int_equal(symbols_origin(s), SYMBOLS_NONE);
	symbols_close(s);
	/* nor may a link lead elsewhere */
	run("mkdir sub && mv p.debug sub/ && objcopy --remove-section .gnu_debuglink p");
	run("printf 'sub/p.debug\\0\\0\\0\\0\\0' >link");
	run("objcopy --add-section .gnu_debuglink=link p");
	s = open_here("p", "");
	assert_nameless(s);
	assert_null(symbols_trouble(s));
	symbols_close(s);
}

/* The way Fedora does it: what .dynsym does not have, compressed in the file itself. */
static void S8_compressed_inside(void **state)
{
	static uint8_t plain[1 << 18], packed[1 << 18];
	size_t bytes, packed_bytes = 0;

	(void)state;
	build("-rdynamic");
	run("objcopy -S --remove-section .gnu_debuglink --keep-symbol=twice whole mini");
	FILE *file = fopen("mini", "r");
	assert_non_null(file);
	bytes = fread(plain, 1, sizeof plain, file);
	fclose(file);
	assert_int_equal(lzma_easy_buffer_encode(6, LZMA_CHECK_CRC32, NULL, plain, bytes, packed,
						 &packed_bytes, sizeof packed),
			 LZMA_OK);
	file = fopen("packed", "w");
	assert_non_null(file);
	assert_int_equal(fwrite(packed, 1, packed_bytes, file), packed_bytes);
	fclose(file);
	run("rm p.debug && objcopy --add-section .gnu_debugdata=packed p");
	struct symbols *s = open_here("p", "");
	assert_int_equal(symbols_origin(s), SYMBOLS_SYMTAB);
	assert_named(s, twice.offset + 1, "twice");
	assert_named(s, seen.offset + 1, "seen");
	symbols_close(s);
	/* torn: the rest is as if it was not there */
	run("head -c %zu packed >torn && objcopy --update-section .gnu_debugdata=torn p",
	    packed_bytes / 2);
	s = open_here("p", "");
	assert_int_equal(symbols_origin(s), SYMBOLS_DYNSYM);
	assert_named(s, seen.offset, "seen");
	symbols_close(s);
}

static void S8_dynamic_symbols(void **state)
{
	struct symbol found;

	(void)state;
	build("-rdynamic");
	run("rm p.debug");
	struct symbols *s = open_here("p", "");
	assert_int_equal(symbols_origin(s), SYMBOLS_DYNSYM);
	assert_named(s, seen.offset + seen.bytes - 1, "seen");
	assert_true(symbols_find(s, twice.offset, &found));
	assert_int_equal(found.start, twice.offset);
	assert_memory_equal(found.name, "func_", 5);
	symbols_close(s);
}

static int is_a_start(void *arg, const struct symbol *symbol)
{
	size_t *count = arg;

	assert_memory_equal(symbol->name, "func_", 5);
	assert_true(nm_has(symbol->start, NULL));
	++*count;
	return 0;
}

static void exactly_the_starts(const char *path)
{
	size_t count = 0, starts = 0;
	struct symbols *s = open_here(path, "");

	assert_int_equal(symbols_origin(s), SYMBOLS_UNWIND);
	for (size_t i = 0; i < nm_count; i++) {
		struct symbol found;
		bool again = false;
		for (size_t j = 0; j < i; j++)
			again = again || nm_symbols[j].offset == nm_symbols[i].offset;
		starts += !again;
		if (!symbols_find(s, nm_symbols[i].offset, &found))
			fail_msg("%s is not found", nm_symbols[i].name);
		assert_int_equal(found.start, nm_symbols[i].offset);
		assert_true(found.bytes >= nm_symbols[i].bytes);
	}
	assert_int_equal(symbols_each(s, is_a_start, &count), 0);
	assert_int_equal(count, starts);
	symbols_close(s);
}

/* All of it is compiled here, so all of it has unwind tables: no more and no fewer functions. */
static void S8_stripped_by_unwind_tables(void **state)
{
	static const char *const ways[] = {
		"-nostdlib -shared -fPIC -O2",
		"-nostdlib -static -no-pie -O2 -e seen -Wl,--eh-frame-hdr",
		"-nostdlib -static -no-pie -O0 -e seen -Wl,-Ttext-segment=0x7000000,--eh-frame-hdr",
		"-nostdlib -shared -fPIC -O2 -ffunction-sections -mcmodel=large",
		"-nostdlib -shared -fPIC -O2 -x c++ -fexceptions",
	};
	static const char *const compilers[] = { "gcc", "clang" };

	(void)state;
	FILE *file = fopen("p.c", "w");
	assert_non_null(file);
	/* not reachable from outside after stripping: no dynamic symbol helps */
	fputs("#pragma GCC visibility push(hidden)\n", file);
	fputs(program, file);
	for (int i = 0; i < 200; i++)
		fprintf(file, "int f%d(int x) { if (x > %d) __builtin_trap(); return x; }\n", i,
			i * 7);
	fclose(file);
	for (size_t c = 0; c < sizeof compilers / sizeof *compilers; c++) {
		if (system(c ? "command -v clang >/dev/null" : "true") != 0)
			continue;
		size_t most = c == 0 || every() ? sizeof ways / sizeof *ways : 1;
		for (size_t i = 0; i < most; i++) {
			run("$ONCE %s -w %s -o p p.c", compilers[c], ways[i]);
			read_nm("p", "--no-demangle");
			assert_true(nm_count >= 200);
			run("strip -s p");
			exactly_the_starts("p");
			/* without section headers as well */
			run("dd if=/dev/zero of=p bs=1 seek=40 count=8 conv=notrunc status=none");
			run("dd if=/dev/zero of=p bs=1 seek=58 count=6 conv=notrunc status=none");
			exactly_the_starts("p");
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SYMBOLS_CASE(S8_by_debug_link),
		SYMBOLS_CASE(S8_a_debug_file_of_another_program),
		SYMBOLS_CASE(S8_by_build_id),
		SYMBOLS_CASE(S8_another_file_is_there_now),
		SYMBOLS_CASE(S8_an_id_is_no_path),
		SYMBOLS_CASE(S8_compressed_inside),
		SYMBOLS_CASE(S8_dynamic_symbols),
		SYMBOLS_CASE(S8_stripped_by_unwind_tables),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
