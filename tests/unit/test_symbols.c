/* test_symbols.c - symbols.c against nm, objdump and addr2line, on what compilers make. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "tests/unit/symbols_case.h"

/* Clones (.cold, .part), aliases, versions in their names, an IFUNC, labels without type or size. */
static const char program[] =
	"#include <stdio.h>\n"
	"#include <stdlib.h>\n"
	"#include <string.h>\n"
	"int counted;\n"
	"__attribute__((noinline)) static int twice(int x)\n"
	"{\n"
	"	__asm__(\"\");\n"
	"	return 2 * x;\n"
	"}\n"
	"__attribute__((noinline, cold)) static void complain(const char *why)\n"
	"{\n"
	"	fprintf(stderr, \"%s\\n\", why);\n"
	"	abort();\n"
	"}\n"
	"__attribute__((noinline)) int risky(int x)\n"
	"{\n"
	"	if (__builtin_expect(x > 1000, 0)) {\n"
	"		counted++;\n"
	"		complain(\"large\");\n"
	"	}\n"
	"	return twice(x) + (int)strlen(\"abc\");\n"
	"}\n"
	"int __under(int x) __attribute__((alias(\"risky\")));\n"
	"int r(int x) __attribute__((weak, alias(\"risky\")));\n"
	"static int chosen_now(int x) { return x + 1; }\n"
	"static int (*choose(void))(int) { return chosen_now; }\n"
	"int chosen(int x) __attribute__((ifunc(\"choose\")));\n"
	"__asm__(\".text\\n.globl unsized\\n.type unsized,@function\\nunsized: nop\\nret\\n\"\n"
	"	\".globl untyped\\nuntyped: nop\\nnop\\nret\\n\");\n"
	"int main(int argc, char **argv)\n"
	"{\n"
	"	char *copy = malloc(strlen(argv[0]) + 1);\n"
	"	strcpy(copy, argv[0]);\n"
	"	printf(\"%d %s\\n\", risky(argc) + chosen(3) + r(2), copy);\n"
	"	free(copy);\n"
	"	return 0;\n"
	"}\n";

static const char *const compilers[] = { "gcc", "clang" };

static bool have(const char *compiler)
{
	char command[100];

	snprintf(command, sizeof command, "command -v %s >/dev/null", compiler);
	return system(command) == 0;
}

static int belongs_to_nm(void *arg, const struct symbol *symbol)
{
	uint64_t *last = arg;

	assert_true(*last == UINT64_MAX || symbol->start > *last);
	*last = symbol->start;
	/* the byte before a signal handler's return bears its name, too */
	if (!strstr(symbol->name, "@plt") && strcmp(symbol->name, ".plt") != 0 &&
	    strncmp(symbol->name, "func_", 5) != 0 && !nm_has(symbol->start, symbol->name) &&
	    !(strstr(symbol->name, "restore_rt") && nm_has(symbol->start + 1, symbol->name)))
		fail_msg("%s is not what nm has at %#llx", symbol->name,
			 (unsigned long long)symbol->start);
	return 0;
}

/* Each function that nm knows is found at its first and last byte, by a name that nm has there. */
static void agree_with_nm(struct symbols *s)
{
	uint64_t last = UINT64_MAX;

	for (size_t i = 0; i < nm_count; i++) {
		const struct nm_symbol *n = &nm_symbols[i];
		struct symbol found;
		if (!symbols_find(s, n->offset, &found))
			fail_msg("%s is not found", n->name);
		assert_int_equal(found.start, n->offset);
		if (!nm_has(n->offset, found.name))
			fail_msg("%s is called %s", n->name, found.name);
		if (n->bytes) {
			assert_true(found.bytes >= n->bytes);
			assert_true(symbols_find(s, n->offset + n->bytes - 1, &found));
			assert_true(found.start >= n->offset);
		}
	}
	assert_int_equal(symbols_each(s, belongs_to_nm, &last), 0);
}

static void agrees_with_nm(void **state)
{
	static const char *const ways[] = {
		"-fPIE -pie", "-no-pie", "-static", "-static-pie -fPIE", "-shared -fPIC",
		"-no-pie -Wl,-Ttext-segment=0x10000000",
		"-pie -fPIE -fcf-protection -Wl,-z,ibtplt,-z,now",
	};

	(void)state;
	write_file("p.c", program);
	for (size_t c = 0; c < sizeof compilers / sizeof *compilers; c++) {
		size_t most = c == 0 || every() ? sizeof ways / sizeof *ways : 1;
		for (size_t i = 0; have(compilers[c]) && i < most; i++) {
			run("$ONCE %s -w -O2 %s -o p p.c", compilers[c], ways[i]);
			read_nm("p", "--no-demangle");
			struct symbols *s = open_here("p", "");
			assert_null(symbols_trouble(s));
			assert_int_equal(symbols_origin(s), SYMBOLS_SYMTAB);
			agree_with_nm(s);
			symbols_close(s);
		}
	}
}

static void chooses_among_aliases(void **state)
{
	struct symbol found;

	(void)state;
	write_file("p.c", program);
	run("$ONCE gcc -w -O2 -o p p.c");
	read_nm("p", "");
	struct symbols *s = open_here("p", "");
	/* the global before the weak, though "r" is shorter; without underscores */
	assert_named(s, nm_named("__under")->offset, "risky");
	/* what lies there is the resolver */
	assert_named(s, nm_named("chosen")->offset, "choose");
	assert_named(s, nm_named("risky.cold")->offset, "risky.cold");
	/* without size: up to what comes next */
	uint64_t unsized = nm_named("unsized")->offset, untyped = nm_named("untyped")->offset;
	assert_int_equal(untyped, unsized + 2);
	assert_named(s, unsized + 1, "unsized");
	assert_named(s, untyped + 2, "untyped");
	assert_true(symbols_find(s, unsized, &found));
	assert_int_equal(found.bytes, 0);
	/* padding is nobody's */
	const struct nm_symbol *twice = nm_named("twice");
	assert_true((twice->offset + twice->bytes) % 16 != 0);
	assert_false(symbols_find(s, twice->offset + twice->bytes, &found));
	assert_false(symbols_find(s, 0, &found));
	assert_false(symbols_find(s, UINT64_MAX, &found));
	symbols_close(s);
}

/* "0000000000001030 <puts@plt>:" */
static void agree_with_objdump(struct symbols *s, const char *path, size_t least)
{
	char command[600], line[1000], name[500], shown[520];
	unsigned long long address;
	uint64_t base = module_base(path);
	size_t stubs = 0;

	snprintf(command, sizeof command,
		 "objdump -dw %s | grep '^[0-9a-f]* <[A-Za-z_][^*]*@plt>:$'", path);
	FILE *said = popen(command, "r");
	assert_non_null(said);
	while (fgets(line, sizeof line, said)) {
		assert_int_equal(sscanf(line, "%llx <%499[^@]@", &address, name), 2);
		snprintf(shown, sizeof shown, "%s@plt", name);
		assert_named(s, address - base, shown);
		stubs++;
	}
	assert_int_equal(pclose(said), 0);
	assert_true(stubs >= least);
}

static void names_stubs(void **state)
{
	static const char *const ways[] = { "-no-pie", "-pie -fPIE",
					    "-fcf-protection -Wl,-z,ibtplt", "-Wl,-z,now",
					    "-s -Wl,-z,lazy" };

	(void)state;
	write_file("p.c", program);
	for (size_t c = 0; c < sizeof compilers / sizeof *compilers; c++) {
		size_t most = c == 0 || every() ? sizeof ways / sizeof *ways : 1;
		for (size_t i = 0; have(compilers[c]) && i < most; i++) {
			run("$ONCE %s -w -O1 %s -o p p.c", compilers[c], ways[i]);
			struct symbols *s = open_here("p", "");
			agree_with_objdump(s, "p", 4);
			symbols_close(s);
		}
	}
}

static void lines_agree_with_addr2line(void **state)
{
	static const char *const ways[] = { "-gdwarf-5 -O0", "-gdwarf-4 -O2 -no-pie",
					    "-g -gz -O1", "-g -ffunction-sections -O1" };

	(void)state;
	write_file("p.c", program);
	write_file("q.c", "#include <stdio.h>\n\n\nint other(int x)\n{\n"
			  "\treturn puts(\"q\") + x;\n}\n");
	for (size_t c = 0; c < sizeof compilers / sizeof *compilers; c++) {
		size_t most = c == 0 || every() ? sizeof ways / sizeof *ways : 1;
		for (size_t i = 0; have(compilers[c]) && i < most; i++) {
			run("$ONCE %s -w %s -c -o q.o q.c", compilers[c], ways[i]);
			run("$ONCE %s -w %s -o p q.o p.c", compilers[c], ways[i]);
			read_nm("p", "");
			uint64_t base = module_base("p");
			struct symbols *s = open_here("p", "");
			agree_on_line(s, "p", base, nm_named("main")->offset);
			agree_on_line(s, "p", base, nm_named("main")->offset + 9);
			agree_on_line(s, "p", base, nm_named("risky")->offset);
			agree_on_line(s, "p", base, nm_named("other")->offset + 5);
			struct source_line line;
			assert_false(symbols_line(s, 0, &line));
			assert_null(line.file);
			symbols_close(s);
		}
	}
}

static void set_machine(const char *path, uint16_t machine)
{
	int fd = open(path, O_WRONLY);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, &machine, sizeof machine, offsetof(Elf64_Ehdr, e_machine)),
			 sizeof machine);
	close(fd);
}

static void mapping_symbols_are_none(void **state)
{
	struct symbol found;

	(void)state;
	write_file("m.s", ".text\n.globl first\n.type first,@function\n.size first,8\n"
			  "first: .quad 0\n"
			  ".type \"$x\",@function\n\"$x\": .quad 0\n"
			  ".globl \"$d.5\"\n\"$d.5\": .quad 0\n"
			  ".globl last\n.type last,@function\nlast: .quad 0\n");
	run("$ONCE gcc -nostdlib -shared -o m m.s");
	read_nm("m", "");
	uint64_t first = nm_named("first")->offset;
	struct symbols *s = open_here("m", "");
	assert_named(s, first + 8, "$x"); /* a name like others, on this machine */
	assert_named(s, first + 16, "$d.5");
	symbols_close(s);
	set_machine("m", EM_AARCH64);
	s = open_here("m", "");
	assert_named(s, first, "first");
	assert_false(symbols_find(s, first + 8, &found));
	assert_false(symbols_find(s, first + 16, &found));
	assert_named(s, first + 24, "last");
	symbols_close(s);
}

static void versions_are_left_out(void **state)
{
	(void)state;
	write_file("v.c", "int one(void) { return 1; }\nint two(void) { return 2; }\n"
			  "__asm__(\".symver one,f@V1\"); __asm__(\".symver two,f@@V2\");\n");
	write_file("v.map", "V1 { global: f; local: *; };\nV2 { global: f; } V1;\n");
	run("$ONCE gcc -O1 -fPIC -shared -Wl,--version-script=v.map -o v v.c");
	read_nm("v", "");
	struct symbols *s = open_here("v", "");
	/* the global name, "f@V1", before the local one; the default version is just f */
	assert_named(s, nm_named("f@V1")->offset, "f@V1");
	assert_named(s, nm_named("f@@V2")->offset, "f");
	symbols_close(s);
}

static size_t open_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t count = 0;

	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

static void keeps_no_descriptor(void **state)
{
	struct source_line line;
	size_t before = open_descriptors();

	(void)state;
	write_file("p.c", program);
	run("$ONCE gcc -w -g -o p p.c");
	read_nm("p", "");
	struct symbols *s = open_here("p", "");
	assert_int_equal(open_descriptors(), before);
	assert_true(symbols_line(s, nm_named("main")->offset, &line));
	assert_int_equal(open_descriptors(), before);
	symbols_close(s);
}

static void no_names(const char *path, const char *why)
{
	struct symbol found;
	struct source_line line;
	struct symbols *s = symbols_open(path, "", "/nonexistent");

	assert_non_null(s);
	assert_int_equal(symbols_origin(s), SYMBOLS_NONE);
	assert_false(symbols_find(s, 0x1000, &found));
	assert_false(symbols_line(s, 0x1000, &line));
	assert_non_null(symbols_trouble(s));
	if (!strstr(symbols_trouble(s), why))
		fail_msg("%s: not %s", symbols_trouble(s), why);
	symbols_close(s);
}

static void what_is_no_module_has_no_names(void **state)
{
	(void)state;
	write_file("script", "#!/bin/sh\necho\n");
	write_file("empty", "");
	write_file("o.c", "int f(void) { return 0; }\n");
	run("$ONCE gcc -c -o o.o o.c && ar rc o.a o.o && mkfifo fifo");
	no_names("script", "is no ELF");
	no_names("empty", "is no ELF");
	no_names("o.o", "is no ELF");
	no_names("o.a", "is no ELF");
	no_names("fifo", "is no ELF");
	no_names(".", "is no ELF");
	no_names("/dev/zero", "is no ELF");
	no_names("/proc/self/mem", "is no ELF");
	no_names("gone\033[2J", "gone?[2J cannot be read");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SYMBOLS_CASE(agrees_with_nm),
		SYMBOLS_CASE(chooses_among_aliases),
		SYMBOLS_CASE(names_stubs),
		SYMBOLS_CASE(lines_agree_with_addr2line),
		SYMBOLS_CASE(mapping_symbols_are_none),
		SYMBOLS_CASE(versions_are_left_out),
		SYMBOLS_CASE(keeps_no_descriptor),
		SYMBOLS_CASE(what_is_no_module_has_no_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
