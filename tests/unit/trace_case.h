/*
 * trace_case.h - traces made by hand, for tests of whatever reads them.
 *
 * A trace's clock is in nanoseconds and begins at TRACE_CASE_UTC. Its first image runs a program
 * whose functions have names: an ELF file with a symbol table, beside the trace, made at the end.
 * What a thread does is said by a script of words, separated by blanks:
 *
 *	name(      a call of this function           )          it returns
 *	+N         N nanoseconds pass                ^N         the innermost N calls end without an exit;
 *						     ^N,L       and L stay open
 *	@N         goes on on fiber N                open:name  a call that was open already
 *	gap:R,N    N records are missing, reason R   end:R      recording ends, reason R (by number)
 *	cut        a new segment begins              skip       one that nobody finds again
 *	repeat:name  of what is open, in flight      far:name   an exit without an entry
 *	stamp:text a public stamp (id 7, step 3)     hole:N     N words of nothing
 */
#ifndef HARK_TESTS_UNIT_TRACE_CASE_H
#define HARK_TESTS_UNIT_TRACE_CASE_H

#include <elf.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/stamp/trace.h"

enum {
	TRACE_CASE_FUNCTIONS = 512,
	TRACE_CASE_CODE = 0x1000,  /* where the first function begins; each has 16 bytes */
	TRACE_CASE_MODULE = 1,
};
#define TRACE_CASE_UTC INT64_C(1700000000000000000)
#define TRACE_CASE_TICKS UINT64_C(5000000000)

struct trace_case {
	char dir[512];
	char program[600];         /* the ELF file */
	FILE *identity, *events;
	char names[TRACE_CASE_FUNCTIONS][48];
	unsigned count;
	unsigned image;            /* that was begun last */
};

struct trace_case_thread {
	struct trace_case *c;
	struct trace_segment head; /* may be changed before the first record, and after "cut" */
	uint64_t now;              /* ticks */
	uint64_t told;             /* of the last record */
	unsigned open;
	uint32_t bytes;            /* of each segment */
	uint32_t *words;           /* of this one, with its header */
	uint32_t used;
};

static inline void trace_case_fail(const char *what)
{
	perror(what);
	abort();
}

static inline FILE *trace_case_file(const struct trace_case *c, const char *name, const char *how)
{
	char path[600];

	snprintf(path, sizeof path, "%s/%s", c->dir, name);
	FILE *file = fopen(path, how);
	if (!file)
		trace_case_fail(path);
	return file;
}

/* dir: to be made. Its identity ends with the case; more lines may be printed there. */
static inline void trace_case_open(struct trace_case *c, const char *dir)
{
	memset(c, 0, sizeof *c);
	snprintf(c->dir, sizeof c->dir, "%s", dir);
	snprintf(c->program, sizeof c->program, "%s.program", dir);
	if (mkdir(dir, 0700) != 0)
		trace_case_fail(dir);
	c->identity = trace_case_file(c, TRACE_IDENTITY, "w");
	c->events = trace_case_file(c, TRACE_EVENTS, "a");
	fprintf(c->identity,
		"hark-trace=%d\nmode=trace\ncounter=0\nticks=%llu\nmonotonic_ns=%llu\n"
		"realtime_ns=%lld\npid=100\ncommand=program%%20with%%20words\ndirectory=/\n"
		"host=nowhere\nmachine=x86_64\nkernel=6\nhark=0\n",
		TRACE_VERSION, (unsigned long long)TRACE_CASE_TICKS,
		(unsigned long long)TRACE_CASE_TICKS, (long long)TRACE_CASE_UTC);
}

enum { TRACE_CASE_TOP = 64 };

/* A trace `data` in a fresh directory, which trace_case_gone() removes with all that is in it. 0 or -1. */
static inline int trace_case_home(struct trace_case *c, char top[TRACE_CASE_TOP])
{
	char dir[TRACE_CASE_TOP + 16];

	snprintf(top, TRACE_CASE_TOP, "/tmp/hark-trace-XXXXXX");
	if (!mkdtemp(top))
		return -1;
	snprintf(dir, sizeof dir, "%s/data", top);
	trace_case_open(c, dir);
	return 0;
}

static inline int trace_case_gone(const char *top)
{
	char command[TRACE_CASE_TOP + 16];

	snprintf(command, sizeof command, "rm -rf %s", top);
	return system(command);
}

/* Another image, that has the program as its module 1. Returns its number. */
static inline unsigned trace_case_image(struct trace_case *c, int pid, unsigned parent)
{
	unsigned n = ++c->image;

	fprintf(c->events, "image n=%u pid=%d ticks=%llu path=%s comm=program parent=%u\n", n, pid,
		(unsigned long long)TRACE_CASE_TICKS, c->program, parent);
	fprintf(c->events,
		"module image=%u n=%d ticks=%llu base=400000 bytes=10000 build= path=%s\n",
		n, TRACE_CASE_MODULE, (unsigned long long)TRACE_CASE_TICKS, c->program);
	return n;
}

static inline uint32_t trace_case_function(struct trace_case *c, const char *name)
{
	unsigned i = 0;

	while (i < c->count && strcmp(c->names[i], name) != 0)
		i++;
	if (i == c->count) {
		if (c->count == TRACE_CASE_FUNCTIONS)
			trace_case_fail("too many functions");
		snprintf(c->names[c->count++], sizeof c->names[0], "%s", name);
	}
	return TRACE_CASE_CODE + 16 * i;
}

/* ---- records ----------------------------------------------------------------------------------- */

static inline void trace_case_begin(struct trace_case_thread *t)
{
	t->words = calloc(1, t->bytes);
	t->used = sizeof t->head / 4;
	t->head.bytes = t->bytes;
	t->head.ticks = t->head.monotonic_ns = t->now;
	t->head.depth = t->open;
	t->told = t->now;
}

static inline struct trace_case_thread trace_case_thread(struct trace_case *c, unsigned image,
							 unsigned thread, int tid)
{
	struct trace_case_thread t = {
		.c = c,
		.head = { .magic = TRACE_MAGIC, .kind = TRACE_RECORDS, .image = image,
			  .tid = (uint32_t)tid, .thread = thread, .home = TRACE_CASE_MODULE,
			  .comm = "worker" },
		.now = TRACE_CASE_TICKS,
		.bytes = TRACE_SEGMENT_LEAST,
	};

	return t;
}

/* To the file; the next record begins another segment. */
static inline void trace_case_cut(struct trace_case_thread *t)
{
	char name[32];

	if (!t->words)
		return;
	snprintf(name, sizeof name, TRACE_IMAGE "%u", t->head.image);
	FILE *file = trace_case_file(t->c, name, "a");
	memcpy(t->words, &t->head, sizeof t->head);
	if (fwrite(t->words, t->bytes, 1, file) != 1 || fclose(file) != 0)
		trace_case_fail(name);
	free(t->words);
	t->words = NULL;
	t->head.part++;
}

static inline uint32_t *trace_case_room(struct trace_case_thread *t, uint32_t words)
{
	if (t->words && (t->used + words) * 4 > t->bytes)
		trace_case_cut(t);
	if (!t->words)
		trace_case_begin(t);
	t->used += words;
	return t->words + t->used - words;
}

/* A long record; body: what follows the time. */
static inline void trace_case_long(struct trace_case_thread *t, unsigned type, unsigned detail,
				   const uint32_t *body, unsigned words)
{
	uint32_t *at = trace_case_room(t, 3 + words);

	at[0] = TRACE_LONG_WORD(type, 3 + words, detail);
	at[1] = (uint32_t)t->now;
	at[2] = (uint32_t)(t->now >> 32);
	if (words)
		memcpy(at + 3, body, words * 4);
	t->told = t->now;
}

static inline void trace_case_time(struct trace_case_thread *t)
{
	int64_t past = (int64_t)(t->now - t->told);

	if (t->words && (past > 1 << 28 || past < -(1 << 28)))
		trace_case_long(t, TRACE_TIME, 0, NULL, 0);
	t->told = t->now;
}

static inline void trace_case_entry(struct trace_case_thread *t, uint32_t offset)
{
	trace_case_time(t);
	uint32_t *at = trace_case_room(t, 2);
	at[0] = TRACE_SHORT(TRACE_ENTRY, t->now);
	at[1] = offset;
	t->open++;
}

static inline void trace_case_exit(struct trace_case_thread *t)
{
	trace_case_time(t);
	*trace_case_room(t, 1) = TRACE_SHORT(TRACE_EXIT, t->now);
	t->open -= t->open != 0;
}

/* ---- scripts ----------------------------------------------------------------------------------- */

static inline void trace_case_stamp(struct trace_case_thread *t, const char *text)
{
	uint32_t body[4 + 60] = { 7, 0, 3, 0 };
	size_t length = strlen(text), words = (length + 3) / 4;

	memcpy(body + 4, text, length);
	trace_case_long(t, TRACE_STAMP, (unsigned)(words * 4 - length), body, 4 + (unsigned)words);
}

static inline void trace_case_word(struct trace_case_thread *t, char *word)
{
	size_t length = strlen(word);
	char *comma = strchr(word, ',');
	uint32_t number = (uint32_t)strtoul(word + 1, NULL, 10);

	if (strcmp(word, ")") == 0) {
		trace_case_exit(t);
	} else if (word[length - 1] == '(') {
		word[length - 1] = '\0';
		trace_case_entry(t, trace_case_function(t->c, word));
	} else if (word[0] == '+') {
		t->now += strtoull(word + 1, NULL, 10);
	} else if (word[0] == '^') {
		uint32_t body[2] = { number, comma ? (uint32_t)strtoul(comma + 1, NULL, 10) : 0 };
		trace_case_long(t, TRACE_UNWOUND, 0, body, comma ? 2 : 1);
		t->open -= number < t->open ? number : t->open;
	} else if (word[0] == '@') {
		trace_case_long(t, TRACE_FIBER, 0, &number, 1);
	} else if (strncmp(word, "open:", 5) == 0) {
		uint32_t body[3] = { TRACE_CASE_MODULE, trace_case_function(t->c, word + 5), 0 };
		trace_case_long(t, TRACE_OPEN, 0, body, 3);
		t->open++;
	} else if (strncmp(word, "repeat:", 7) == 0 || strncmp(word, "far:", 4) == 0) {
		bool far = word[0] == 'f';
		const char *name = strchr(word, ':') + 1;
		uint32_t body[3] = { TRACE_CASE_MODULE, trace_case_function(t->c, name), 0 };
		trace_case_long(t, far ? TRACE_EXIT_FAR : TRACE_OPEN, 0, body, 3);
	} else if (strncmp(word, "gap:", 4) == 0) {
		uint32_t body[2] = { comma ? (uint32_t)strtoul(comma + 1, NULL, 10) : 0, 0 };
		trace_case_long(t, TRACE_GAP, (unsigned)atoi(word + 4), body, 2);
	} else if (strncmp(word, "end:", 4) == 0) {
		trace_case_long(t, TRACE_END, (unsigned)atoi(word + 4), NULL, 0);
	} else if (strncmp(word, "stamp:", 6) == 0) {
		trace_case_stamp(t, word + 6);
	} else if (strncmp(word, "hole:", 5) == 0) {
		memset(trace_case_room(t, (uint32_t)atoi(word + 5)), 0, (size_t)atoi(word + 5) * 4);
	} else if (strcmp(word, "cut") == 0) {
		trace_case_cut(t);
	} else if (strcmp(word, "skip") == 0) {
		trace_case_cut(t);
		t->head.part++;
	} else {
		fprintf(stderr, "%s: ", word);
		trace_case_fail("no word of a trace's script");
	}
}

static inline void trace_case_script(struct trace_case_thread *t, const char *script)
{
	char *copy = strdup(script), *rest = NULL;

	for (char *word = strtok_r(copy, " \n\t", &rest); word;
	     word = strtok_r(NULL, " \n\t", &rest))
		trace_case_word(t, word);
	free(copy);
}

/* ---- the program ------------------------------------------------------------------------------- */

static inline void trace_case_program(const struct trace_case *c)
{
	static const char sections[] = "\0.text\0.symtab\0.strtab\0.shstrtab";
	const uint64_t code = 16UL * c->count;
	Elf64_Sym symbols[TRACE_CASE_FUNCTIONS + 1] = { { 0 } };
	char strings[TRACE_CASE_FUNCTIONS * 48 + 1] = "";
	uint64_t length = 1;

	for (unsigned i = 0; i < c->count; i++) {
		symbols[i + 1] = (Elf64_Sym){ .st_name = (uint32_t)length,
					      .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC),
					      .st_shndx = 1,
					      .st_value = TRACE_CASE_CODE + 16 * i,
					      .st_size = 16 };
		strcpy(strings + length, c->names[i]);
		length += strlen(c->names[i]) + 1;
	}
	const uint64_t symbols_bytes = (c->count + 1) * sizeof *symbols;
	const uint64_t symbols_at = TRACE_CASE_CODE + code, strings_at = symbols_at + symbols_bytes;
	const uint64_t names_at = strings_at + length;
	const uint64_t table_at = (names_at + sizeof sections + 7) & ~UINT64_C(7);
	const Elf64_Ehdr header = {
		.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
			     EV_CURRENT },
		.e_type = ET_DYN, .e_machine = EM_X86_64, .e_version = EV_CURRENT,
		.e_phoff = sizeof header, .e_shoff = table_at, .e_ehsize = sizeof header,
		.e_phentsize = sizeof(Elf64_Phdr), .e_phnum = 1,
		.e_shentsize = sizeof(Elf64_Shdr), .e_shnum = 5, .e_shstrndx = 4,
	};
	const Elf64_Phdr load = { .p_type = PT_LOAD, .p_flags = PF_R | PF_X,
				  .p_filesz = symbols_at, .p_memsz = symbols_at, .p_align = 4096 };
	const Elf64_Shdr table[5] = {
		{ .sh_type = SHT_NULL },
		{ .sh_name = 1, .sh_type = SHT_PROGBITS, .sh_flags = SHF_ALLOC | SHF_EXECINSTR,
		  .sh_addr = TRACE_CASE_CODE, .sh_offset = TRACE_CASE_CODE, .sh_size = code,
		  .sh_addralign = 16 },
		{ .sh_name = 7, .sh_type = SHT_SYMTAB, .sh_offset = symbols_at,
		  .sh_size = symbols_bytes, .sh_link = 3, .sh_info = 1, .sh_addralign = 8,
		  .sh_entsize = sizeof *symbols },
		{ .sh_name = 15, .sh_type = SHT_STRTAB, .sh_offset = strings_at, .sh_size = length,
		  .sh_addralign = 1 },
		{ .sh_name = 23, .sh_type = SHT_STRTAB, .sh_offset = names_at,
		  .sh_size = sizeof sections, .sh_addralign = 1 },
	};
	int fd = open(c->program, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);

	if (fd < 0 || pwrite(fd, &header, sizeof header, 0) < 0 ||
	    pwrite(fd, &load, sizeof load, sizeof header) < 0 ||
	    pwrite(fd, symbols, symbols_bytes, (off_t)symbols_at) < 0 ||
	    pwrite(fd, strings, length, (off_t)strings_at) < 0 ||
	    pwrite(fd, sections, sizeof sections, (off_t)names_at) < 0 ||
	    pwrite(fd, table, sizeof table, (off_t)table_at) < 0 || close(fd) != 0)
		trace_case_fail(c->program);
}

/* Threads must have been cut before. */
static inline void trace_case_close(struct trace_case *c)
{
	trace_case_program(c);
	if (fclose(c->identity) != 0 || fclose(c->events) != 0)
		trace_case_fail(c->dir);
}

#endif
