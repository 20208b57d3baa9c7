/*
 * unwind.h - who called whom, from registers and a copy of a stack: return addresses from the leaf
 * outward, by the rules that each module's .eh_frame (or .debug_frame) states.
 *
 * For samples and for messages' call paths. Nothing of the program is touched: what is not in the copy
 * is not known. Rules are read by libdw once for each address and remembered, so that an address met
 * again costs a look into a table. Files and stacks may be hostile. Not thread-safe.
 *
 * Registers go by their DWARF numbers. x86_64 now; another machine is a row in unwind_rules.c.
 */
#ifndef HARK_IMAGE_UNWIND_H
#define HARK_IMAGE_UNWIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { UNWIND_REGISTERS = 34 };

#if defined(__aarch64__)
enum { UNWIND_FP = 29, UNWIND_RA = 30, UNWIND_SP = 31 };
#else
enum { UNWIND_FP = 6, UNWIND_SP = 7, UNWIND_RA = 16 }; /* x86_64 */
#endif

struct unwind_module; /* a file's rules, wherever and however often it is mapped */

struct unwind_module *unwind_module_open(const char *path, const char *build_id);
	/* build_id: in hexadecimal, of what was mapped; "": not known. A file with another one has no
	 * rules. "[vdso]" is that of this kernel. NULL: without memory; what cannot be read has no rules. */
void unwind_module_close(struct unwind_module *module);
const char *unwind_module_build_id(const struct unwind_module *module);
	/* of the file as it is, in hexadecimal; "": none, or not to be read */
bool unwind_module_offset(const struct unwind_module *module, uint64_t at, uint64_t *offset);
	/* Where the byte `at` of the file lies, as an offset from the module's base. false: nowhere, or the
	 * file cannot be read. */

/* Where an address lies. */
struct unwind_place {
	struct unwind_module *module; /* NULL: memory that no file is mapped to */
	uint64_t offset;           /* from the module's base (symbols.h); the address where there is none */
	uint32_t number;           /* the caller's own */
};

typedef bool unwind_find(void *arg, uint64_t address, struct unwind_place *place);
	/* false: no code can be there */

struct unwind_stack {
	uint64_t reg[UNWIND_REGISTERS];
	uint64_t known;            /* a bit for each register whose value is known */
	uint64_t pc;
	const void *bytes;         /* the copy */
	uint64_t address;          /* where its first byte stood: usually the stack pointer */
	size_t count;
	struct {                   /* where a signal's handler has a stack of its own: that interrupted */
		const void *bytes;
		uint64_t address;
		size_t count;
	} other;
};

struct unwind_frame {
	struct unwind_place place; /* of callers, the last byte of the call: that is where they are */
	uint64_t pc, cfa;          /* cfa: 0 where it could not be found */
	bool guessed;              /* its caller was found by the frame pointer alone, without a rule */
};

enum unwind_end {
	UNWIND_OUTERMOST,          /* complete: the thread's or the program's first function */
	UNWIND_CUT,                /* the copy is not long enough */
	UNWIND_LOST,               /* no rule for the outermost frame that there is */
	UNWIND_DEEP,               /* there are more frames than room for them */
};

size_t unwind(struct unwind_stack *stack, unwind_find *find, void *arg, struct unwind_frame *frames,
	      size_t most, enum unwind_end *end);
	/* The leaf first; how many there are. stack's registers are used up. Where code has no rules
	 * (made at run time, assembly), frame pointers are followed as long as they lead outward to code.
	 * Ends for every input. */

#endif
