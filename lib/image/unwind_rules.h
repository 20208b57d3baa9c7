/*
 * unwind_rules.h - how to get from a function's frame to its caller's, by address. For unwind.c.
 */
#ifndef HARK_IMAGE_UNWIND_RULES_H
#define HARK_IMAGE_UNWIND_RULES_H

#include <elfutils/libdw.h>

#include "lib/image/unwind.h"

enum { RULE_SAVED = 13 };          /* registers that a machine's functions keep for their callers */
#define RULE_SAME INT32_MIN        /* its value is the caller's still */

enum rule_kind {
	RULE_NONE,                 /* nothing is known of this address */
	RULE_PLAIN,                /* CFA is a register and an offset, values are at offsets from it */
	RULE_LONG,                 /* expressions: struct rule_long */
	RULE_OUTERMOST,            /* it has no caller */
};

/* What dwarf_frame_register() says, kept. */
struct rule_value {
	const Dwarf_Op *ops;       /* NULL: the caller's still */
	size_t count;
	Dwarf_Op own[3];
};

struct rule_long {
	struct rule_long *next;
	struct rule_value cfa, value[RULE_SAVED];
};

struct unwind_rule {
	uint8_t kind;              /* enum rule_kind */
	uint8_t cfa_register;
	bool signal;               /* a signal's frame: who was interrupted is not in a call */
	int32_t cfa_offset;
	union {
		int32_t saved[RULE_SAVED]; /* bytes from CFA, or RULE_SAME */
		const struct rule_long *more;
	};
};

extern const struct unwind_machine {
	uint8_t saved_count;
	uint8_t saved[RULE_SAVED]; /* DWARF numbers; the return address is one of them */
} unwind_machine;

const struct unwind_rule *unwind_rule(struct unwind_module *module, uint64_t offset);
	/* Good until the next call. Never NULL. */
bool unwind_module_has_code(const struct unwind_module *module, uint64_t offset);
bool unwind_module_begins(const struct unwind_module *module, uint64_t offset);
	/* Within the few instructions of assembly at which a program or its loader is entered. */

#endif
