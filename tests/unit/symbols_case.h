/*
 * symbols_case.h - programs built by real compilers, and what binutils say of them.
 */
#ifndef HARK_TESTS_UNIT_SYMBOLS_CASE_H
#define HARK_TESTS_UNIT_SYMBOLS_CASE_H

#include <elf.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/image/symbols.h"

enum { SYMBOLS_CASE_MOST = 20000, SYMBOLS_CASE_NAME = 2000 };

/* Which is told what it reads: else it loads what plugins there are, such as all of LLVM, to ask them. */
#define NM "nm --target=default"

/* each in a folder of its own */
#define SYMBOLS_CASE(test) \
	cmocka_unit_test_setup_teardown(test, symbols_case_enter, symbols_case_leave)

/* make check EVERY=1: all combinations, also those that others stand for */
static inline bool every(void)
{
	const char *said = getenv("EVERY");

	return said && *said;
}

struct nm_symbol {
	uint64_t offset, bytes;
	char type, name[SYMBOLS_CASE_NAME];
};

static char symbols_case_dir[512];
static struct nm_symbol nm_symbols[SYMBOLS_CASE_MOST];
static size_t nm_count;

static inline int symbols_case_enter(void **state)
{
	const char *tmp = getenv("TMPDIR");

	const char *build = getenv("BUILD");
	char once[600];

	(void)state;
	/* `$ONCE gcc`: tests/compile/once.c; nobody here asks where sources were */
	snprintf(once, sizeof once, "%s/tests/once", build ? build : "build");
	if (access(once, X_OK) == 0) {
		strcat(once, " --anywhere");
		setenv("ONCE", once, 1);
	}
	snprintf(symbols_case_dir, sizeof symbols_case_dir, "%s/symbols.XXXXXX",
		 tmp ? tmp : "/tmp");
	return mkdtemp(symbols_case_dir) && chdir(symbols_case_dir) == 0 ? 0 : -1;
}

static inline int symbols_case_leave(void **state)
{
	char command[600];

	(void)state;
	snprintf(command, sizeof command, "rm -rf '%s'", symbols_case_dir);
	return chdir("/") == 0 && system(command) == 0 ? 0 : -1;
}

/* In the case's folder, where all its files are. */
__attribute__((format(printf, 1, 2)))
static inline void run(const char *format, ...)
{
	char command[4096];
	va_list values;

	va_start(values, format);
	vsnprintf(command, sizeof command, format, values);
	va_end(values);
	if (system(command) != 0)
		fail_msg("failed: %s", command);
}

static inline void write_file(const char *name, const char *text)
{
	FILE *file = fopen(name, "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static inline uint64_t module_base(const char *path)
{
	Elf64_Ehdr head;
	Elf64_Phdr segment;
	FILE *file = fopen(path, "r");

	assert_non_null(file);
	assert_int_equal(fread(&head, sizeof head, 1, file), 1);
	assert_int_equal(fseek(file, (long)head.e_phoff, SEEK_SET), 0);
	do /* they are in the order of their addresses */
		assert_int_equal(fread(&segment, sizeof segment, 1, file), 1);
	while (segment.p_type != PT_LOAD);
	fclose(file);
	return segment.p_vaddr & ~0xfffull;
}

/* "ADDRESS SIZE TYPE NAME", each number of 16 digits, the size not always; false: no function */
static inline bool parse_nm(char *line, uint64_t base, struct nm_symbol *s)
{
	bool sized = strlen(line) > 33 && line[33] == ' ' && line[16] == ' ' && line[18] != ' ';
	char *rest = line + (sized ? 34 : 17);
	uint64_t address = strtoull(line, NULL, 16);

	rest[strcspn(rest, "\n")] = '\0';
	s->type = rest[0];
	s->offset = address - base;
	s->bytes = sized ? strtoull(line + 17, NULL, 16) : 0;
	snprintf(s->name, sizeof s->name, "%s", rest + 2);
	/* nm calls each weak one without type W, data too */
	return strchr("TtWwi", s->type) && address >= base && strcmp(s->name, "data_start") != 0;
}

/* The functions of a file by nm, as offsets from the base. options: such as "-D", "-C". */
static inline void read_nm(const char *path, const char *options)
{
	char command[600], *line = NULL;
	size_t room = 0;
	uint64_t base = module_base(path);

	nm_count = 0;
	snprintf(command, sizeof command, "%s -S --defined-only %s %s", NM, options, path);
	FILE *said = popen(command, "r");
	assert_non_null(said);
	while (getline(&line, &room, said) > 20) {
		assert_true(nm_count + 1 < SYMBOLS_CASE_MOST);
		nm_count += parse_nm(line, base, &nm_symbols[nm_count]);
	}
	free(line);
	assert_int_equal(pclose(said), 0);
	assert_true(nm_count > 0);
}

static inline const struct nm_symbol *nm_named(const char *name)
{
	for (size_t i = 0; i < nm_count; i++) {
		if (strcmp(nm_symbols[i].name, name) == 0)
			return &nm_symbols[i];
	}
	fail_msg("nm knows no %s", name);
	return NULL;
}

static inline bool nm_has(uint64_t offset, const char *name)
{
	for (size_t i = 0; i < nm_count; i++) {
		if (nm_symbols[i].offset == offset &&
		    (!name || strncmp(nm_symbols[i].name, name, SYMBOLS_CASE_NAME - 1) == 0))
			return true;
	}
	return false;
}

static inline struct symbols *open_here(const char *path, const char *build_id)
{
	char full[1100], dirs[600];

	snprintf(full, sizeof full, "%s/%s", symbols_case_dir, path);
	snprintf(dirs, sizeof dirs, "/nonexistent:%s/dbg", symbols_case_dir);
	struct symbols *s = symbols_open(full, build_id, dirs);
	assert_non_null(s);
	return s;
}

static inline void assert_named(struct symbols *s, uint64_t offset, const char *name)
{
	struct symbol found;

	if (!symbols_find(s, offset, &found))
		fail_msg("%#llx has no name, not %s", (unsigned long long)offset, name);
	assert_string_equal(found.name, name);
}

static inline void build_id_of(const char *path, char *id, size_t bytes)
{
	char command[600];

	snprintf(command, sizeof command, "readelf -n %s | sed -n 's,^ *Build ID: ,,p'", path);
	FILE *said = popen(command, "r");
	assert_non_null(said);
	assert_non_null(fgets(id, (int)bytes, said));
	id[strcspn(id, "\n")] = '\0';
	assert_int_equal(pclose(said), 0);
}

/* path: where addr2line finds it */
static inline void agree_on_line(struct symbols *s, const char *path, uint64_t base,
				 uint64_t offset)
{
	char command[600], said_file[500], shown[600];
	struct source_line line;
	int number = 0;

	snprintf(command, sizeof command, "addr2line -e %s %#llx", path,
		 (unsigned long long)(base + offset));
	FILE *said = popen(command, "r");
	assert_non_null(said);
	assert_int_equal(fscanf(said, "%499[^:]:%d", said_file, &number), 2);
	pclose(said);
	assert_true(symbols_line(s, offset, &line));
	assert_int_equal(line.line, number);
	const char *slash = strrchr(said_file, '/');
	snprintf(shown, sizeof shown, "%s", slash ? slash + 1 : said_file);
	slash = strrchr(line.file, '/');
	assert_string_equal(slash ? slash + 1 : line.file, shown);
}

#endif
