/*
 * symbols.h - which function an offset in a module is, by the best that the file itself, its debug file
 * or its unwind tables say.
 *
 * For readers of traces. The files may be hostile, torn or gone: what cannot be read has no names,
 * and that is all. Not thread-safe: one owner at a time.
 */
#ifndef HARK_IMAGE_SYMBOLS_H
#define HARK_IMAGE_SYMBOLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct symbols; /* of one module */

struct symbol {
	const char *name;      /* demangled where it was mangled; of the symbols */
	const char *linkage;   /* as it stands in the table */
	uint64_t start, bytes; /* offsets from the module's base; bytes 0: not known */
};

struct source_line {
	const char *file;      /* of the symbols; NULL: not known */
	int line;
};

/* A function that the compiler has put into another one. */
struct symbol_inlined {
	struct symbol symbol;  /* start: where it is by itself, too; else a number that is its own */
	struct source_line at; /* where it is declared */
	struct source_line call; /* the call's place, in whatever it was put into */
};

#define SYMBOLS_NOWHERE (UINT64_C(1) << 63) /* is set in such a number */

enum symbols_origin {
	SYMBOLS_NONE,
	SYMBOLS_SYMTAB,         /* the file's own, that in its .gnu_debugdata, or Go's table */
	SYMBOLS_DYNSYM,
	SYMBOLS_DEBUG_FILE,
	SYMBOLS_UNWIND,         /* or what a program begins with */
};

#define SYMBOLS_CHANGED "changed" /* as build-id: the file is not believed, for it was written since */

struct symbols *symbols_open(const char *path, const char *build_id, const char *debug_dirs);
	/* path: the file as it was mapped. build_id: in hexadecimal, of what was mapped; where the file has
	 * another one now, it is not believed, and only a debug file with the right one is used. "": not
	 * known. debug_dirs: separated by colons, such as "/usr/lib/debug"; NULL: that. Looks, in this order,
	 * at .symtab, at the debug file by build-id (DIR/.build-id/xx/y.debug), by .gnu_debuglink (beside
	 * the file, in .debug beside it, in DIR; its CRC must fit), at .gnu_debugdata where it can be read, at
	 * .dynsym, at the table of Go's runtime, at what the program begins with (_start, main), and
	 * names what is still unnamed by the start addresses of .eh_frame (func_1a2b, the offset in
	 * hexadecimal). Never NULL but without memory; what went wrong says symbols_trouble(). */
struct symbols *symbols_open_map(int fd);
	/* A perf-PID.map, "START BYTES NAME" a line, for addresses in the place of offsets; no lines, nothing
	 * inlined. What was made more than once, with one name, is found with one start. fd: the caller's,
	 * not needed afterwards. NULL: without memory */
void symbols_close(struct symbols *symbols);
enum symbols_origin symbols_origin(const struct symbols *symbols);
const char *symbols_trouble(const struct symbols *symbols);
	/* one sentence for people, or NULL: "PATH is not the file that ran (its build-id is …)" */
bool symbols_find(struct symbols *symbols, uint64_t offset, struct symbol *found);
	/* The function that the offset lies in. offset: an address less the lowest address that the module is
	 * mapped at, as a program header's p_vaddr counts from the lowest PT_LOAD's page. Where several
	 * symbols share an address: the global before the weak before the local one, then the shortest name
	 * without leading underscores; an IFUNC by its implementation's own name where it has one.
	 * A stub for calls of another module is "puts@plt". found is good until symbols_close(). */
bool symbols_line(struct symbols *symbols, uint64_t offset, struct source_line *found);
	/* by libdw, from the file or its debug file */
unsigned symbols_inlined(struct symbols *symbols, uint64_t offset, struct symbol_inlined *found,
			 unsigned most);
	/* Of the function that the offset lies in, those that were inlined there, the outermost first, each
	 * into the one before. How many; 0: none, or there is no debug information. */
int symbols_each(struct symbols *symbols, int (*visit)(void *arg, const struct symbol *),
		 void *arg);
	/* Every function once, in order of addresses, until visit() returns other than 0, which is returned. */

#endif
