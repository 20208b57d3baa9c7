/*
 * test_symbols_stripped.c - names that are left in stripped programs: where they begin, main(), and whatever
 * Go has built.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>

#include "tests/unit/symbols_case.h"

static const char program[] = "#include <stdio.h>\n"
			      "int other(int x) { return x + 1; }\n"
			      "int main(int argc, char **argv)\n"
			      "{\n"
			      "	(void)argv;\n"
			      "	return puts(\"x\") + other(argc);\n"
			      "}\n";

static void begins_with_main(void **state)
{
	static const char *const ways[] = { "-O0", "-O2 -no-pie", "-static -O1", "-static-pie" };

	(void)state;
	write_file("p.c", program);
	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
		run("$ONCE gcc -w %s -o p p.c && strip -o stripped p", ways[i]);
		read_nm("p", "");
		struct symbols *s = open_here("stripped", "");
		assert_named(s, nm_named("main")->offset, "main");
		assert_named(s, nm_named("main")->offset + nm_named("main")->bytes - 1, "main");
		assert_named(s, nm_named("_start")->offset, "_start");
		symbols_close(s);
	}
}

static void the_loader_begins(void **state)
{
	(void)state;
	write_file("p.s", ".globl _start\n.text\nnop\n_start: mov %rsp,%rdi\ncall f\nf: ret\n");
	run("$ONCE gcc -nostdlib -static -o p p.s && strip -o stripped p");
	read_nm("p", "");
	struct symbols *s = open_here("stripped", "");
	assert_named(s, nm_named("_start")->offset, "_start");
	symbols_close(s);
}

/* What begins in a way of its own has no main that we know of; a name of the file's own wins. */
static void only_what_is_known(void **state)
{
	struct symbol found;

	(void)state;
	write_file("p.s", ".globl _start\n.text\n_start: xor %ebp,%ebp\n"
			  "lea f(%rip),%rdi\nhlt\nf: ret\n");
	run("$ONCE gcc -nostdlib -static -o p p.s && strip -o stripped p");
	struct symbols *s = open_here("stripped", "");
	assert_false(symbols_find(s, 0x1001, &found));
	symbols_close(s);
	write_file("q.s", ".globl begin\n.type begin,@function\n.text\n"
			  "begin: .byte 0x31,0xed,0x49,0x89,0xd1,0x5e,0x48,0x89,0xe2,0x48,0x83\n"
			  ".byte 0xe4,0xf0,0x50,0x54\nlea f(%rip),%rdi\nhlt\n"
			  ".globl f\n.type f,@function\nf: ret\n");
	run("$ONCE gcc -nostdlib -static -Wl,-e,begin -o q q.s");
	read_nm("q", "");
	s = open_here("q", "");
	assert_named(s, nm_named("begin")->offset, "begin");
	assert_named(s, nm_named("f")->offset, "f");
	symbols_close(s);
}

/* ---- Go ---------------------------------------------------------------------------------------- */

/* The table as its runtime has it, of two functions, in a program of its own. */
static const char go[] =
	".text\n.globl _start\n_start: nop\n"
	"one: .skip 48,0x90\n"
	"two: .skip 32,0x90\n"
	"three: ret\n"
	".section %s,\"a%s\",@progbits\n.balign 32\n"
	"table: .long %#x\n.byte 0,0,1,8\n"
	".quad 2, 0, %s, names-table, units-table, 0, 0, rows-table\n"
	"names: .asciz \"\"\nn1: .asciz \"main.one\"\nn2: .asciz \"main.(*T).two[...]\"\n"
	"units: .balign 8\n"
	"rows: .long one-_start,f1-rows, two-_start,f2-rows, three-_start\n"
	"f1: .long one-_start, n1-names, 0\n"
	"f2: .long two-_start, n2-names, 0\n";

static void build_go(const char *section, const char *flags, unsigned magic, const char *text)
{
	char source[2000];

	snprintf(source, sizeof source, go, section, flags, magic, text);
	write_file("g.s", source);
	run("$ONCE gcc -nostdlib -static -o g g.s && strip -o stripped g");
	read_nm("g", "");
}

static void what_go_has_built(void **state)
{
	static const struct { const char *section, *flags, *text; unsigned magic; } ways[] = {
		{ ".gopclntab", "", "_start", 0xfffffff0 },
		{ ".gopclntab", "", "_start", 0xfffffff1 },
		{ ".data.rel.ro.gopclntab", "w", "0", 0xfffffff1 },
		{ ".data.rel.ro", "w", "_start", 0xfffffff1 },
	};
	struct symbol found;

	(void)state;
	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
		build_go(ways[i].section, ways[i].flags, ways[i].magic, ways[i].text);
		struct symbols *s = open_here("stripped", "");
		uint64_t one = nm_named("one")->offset;
		assert_int_equal(symbols_origin(s), SYMBOLS_SYMTAB);
		assert_named(s, one, "main.one");
		assert_named(s, one + 47, "main.one");
		assert_named(s, one + 48, "main.(*T).two[...]");
		assert_named(s, one + 79, "main.(*T).two[...]");
		assert_false(symbols_find(s, one + 80, &found));
		assert_false(symbols_find(s, one - 1, &found));
		symbols_close(s);
	}
	build_go(".gopclntab", "", 0xfffffff2, "_start");
	struct symbols *s = open_here("stripped", "");
	assert_int_equal(symbols_origin(s), SYMBOLS_NONE);
	symbols_close(s);
}

static int count_harmless(void *arg, const struct symbol *symbol)
{
	for (const char *at = symbol->name; *at; at++)
		assert_true((unsigned char)*at >= ' ');
	*(unsigned *)arg += 1;
	return 0;
}

/* Whatever a word of the table holds, what is read lies in it (under ASan this says more). */
static void a_table_that_lies(void **state)
{
	static const uint32_t lies[] = { 0, 1, 0x7fffffff, 0x80000000, 0xfffffff8, 0xffffffff };
	unsigned count = 0;
	off_t at = -1;
	uint32_t word;

	(void)state;
	build_go(".gopclntab", "", 0xfffffff1, "_start");
	int fd = open("stripped", O_RDWR);
	assert_true(fd >= 0);
	while (pread(fd, &word, sizeof word, at = at < 0 ? 0 : at + 8) > 0 && word != 0xfffffff1)
		;
	assert_int_equal(word, 0xfffffff1);
	for (off_t i = 8; i < 160; i += 4) {
		assert_int_equal(pread(fd, &word, sizeof word, at + i), sizeof word);
		for (size_t k = 0; k < sizeof lies / sizeof *lies; k++) {
			assert_int_equal(pwrite(fd, &lies[k], sizeof word, at + i), sizeof word);
			struct symbols *s = open_here("stripped", "");
			symbols_each(s, count_harmless, &count);
			symbols_close(s);
		}
		assert_int_equal(pwrite(fd, &word, sizeof word, at + i), sizeof word);
	}
	close(fd);
	assert_true(count > 0);
}

/* One that Debian has built and stripped. */
static void a_real_program(void **state)
{
	struct symbol found;
	unsigned count = 0;

	(void)state;
	if (access("/usr/bin/fzf", R_OK) != 0)
		skip();
	struct symbols *s = symbols_open("/usr/bin/fzf", "", "/nonexistent");
	symbols_each(s, count_harmless, &count);
	assert_true(count > 1000);
	bool main_is_there = false;
	for (uint64_t at = 0; at < (4 << 20) && !main_is_there; at += 32)
		main_is_there = symbols_find(s, at, &found) && strcmp(found.name, "main.main") == 0;
	assert_true(main_is_there);
	symbols_close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SYMBOLS_CASE(begins_with_main),
		SYMBOLS_CASE(the_loader_begins),
		SYMBOLS_CASE(only_what_is_known),
		SYMBOLS_CASE(what_go_has_built),
		SYMBOLS_CASE(a_table_that_lies),
		SYMBOLS_CASE(a_real_program),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
