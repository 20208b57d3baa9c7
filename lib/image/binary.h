/*
 * binary.h - what a program or library is, as far as its file tells: all that `hark inspect` says of one.
 *
 * The cheap part is elf.h, which is enough for `hark run`; this reads symbols, relocations, unwind tables
 * and code, some milliseconds' worth. The file may be hostile, torn or gone: counts are bounded, nothing
 * is believed that the file's size contradicts. Not thread-safe: one owner at a time.
 */
#ifndef HARK_IMAGE_BINARY_H
#define HARK_IMAGE_BINARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/image/elf.h"
#include "lib/image/symbols_file.h"

/* How its functions report, or could be made to. */
enum {
	BINARY_CYG = 1,          /* -finstrument-functions */
	BINARY_MCOUNT = 2,       /* -pg */
	BINARY_FENTRY = 4,       /* -pg -mfentry */
	BINARY_PATCHABLE = 8,    /* -fpatchable-function-entry */
	BINARY_XRAY = 16,        /* clang's -fxray-instrument */
};

/* Sanitizers, by their runtimes. */
enum {
	BINARY_ADDRESS = 1,
	BINARY_THREAD = 2,
	BINARY_MEMORY = 4,
	BINARY_UNDEFINED = 8,
	BINARY_LEAK = 16,
	BINARY_HWADDRESS = 32,
};

/* What it was written in, where that shows. Several may be. */
enum {
	BINARY_GO = 1,
	BINARY_RUST = 2,
	BINARY_CXX = 4,
	BINARY_FORTRAN = 8,
	BINARY_ADA = 16,
	BINARY_PASCAL = 32,
};

struct binary_name {
	unsigned bit;
	const char *name;
};

/* each ends with a NULL name */
extern const struct binary_name binary_instruments[], binary_sanitizers[], binary_languages[];

enum { BINARY_HOOKS_MOST = 512 };

struct binary_hooks {
	uint64_t bits[BINARY_HOOKS_MOST / 64]; /* by row of hooks.def */
};

/* System calls in its own code, past any library. */
struct binary_syscalls {
	unsigned count;          /* instructions */
	unsigned writes;         /* of them, those whose number is that of a call that writes */
	unsigned unknown;        /* and those whose number is not to be seen */
	bool unsure;             /* the bytes are there, but not all could be decoded: for want of a
				  * decoder, or there are too many */
};

struct binary {
	struct elf_facts elf;
	bool symtab, debug_info, eh_frame;
	char *debug_file;        /* where its debug information is: it itself, or another. NULL: nowhere */
	char *build_id;          /* in hexadecimal; NULL: none */
	unsigned instruments, sanitizers, languages;
	bool own_instrument;     /* defines __cyg_profile_func_enter itself */
	bool own_undefined;      /* defines what UBSan calls, as other sanitizers' runtimes do, too */
	bool opens;              /* calls dlopen: what it loads then is not to be seen here */
	bool io_uring;           /* calls liburing */
	unsigned plt_slots;      /* functions of others, each called through a stub of its own */
	unsigned got_slots;      /* and those called, or taken the address of, through a slot alone */
	unsigned named;          /* functions that a symbol names, also one in a debug file */
	unsigned framed;         /* functions that .eh_frame knows */
	struct binary_hooks hooks; /* which it imports */
	struct binary_syscalls syscalls;
	char **needed;           /* ends with NULL */
	char *soname, *rpath, *runpath; /* NULL: none */
};

enum binary_depth {
	BINARY_LIBRARY,          /* without names, unwind tables and debug files */
	BINARY_PROGRAM,
};

int binary_read(struct binary *binary, const char *path, enum binary_depth depth, char *why,
		size_t why_bytes);
	/* 0: binary_fini() when done; or -errno, with a sentence that names the path: -ENOEXEC: no ELF
	 * program or library, -EINVAL: damaged, truncated, -ENOMEM, -EFBIG, or open(2)'s. */
void binary_fini(struct binary *binary);

unsigned binary_hook_count(void);
const char *binary_hook_name(unsigned row);
bool binary_hook_has(const struct binary_hooks *hooks, unsigned row);
unsigned binary_hook_sum(const struct binary_hooks *hooks);
	/* how many there are */

/* ---- for binary*.c alone ------------------------------------------------------------------------ */

Elf_Data *binary_at(const struct symbols_file *file, uint64_t address, uint64_t bytes,
		    Elf_Type type);
	/* what is loaded there from the file, at most `bytes`; NULL: nothing, or not all of one item */
int binary_dynamic(struct binary *binary, const struct symbols_file *file);
	/* needed, soname, rpath, runpath, imports, slots. 0 or -ENOMEM. */
void binary_mark(struct binary *binary, const char *symbol, bool defined);
	/* what this symbol tells of it */
void binary_sections(struct binary *binary, const struct symbols_file *file);
	/* what the presence of sections, and words in them, tell */
void binary_syscalls(struct binary_syscalls *found, const struct symbols_file *file);

#endif
