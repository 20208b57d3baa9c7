/*
 * stack_modules.h - the collector learns which files the addresses of a message's stack lie in, before
 * it gets the message: the process may be gone by then. stack.c's own.
 */
#ifndef HARK_SHIM_STACK_MODULES_H
#define HARK_SHIM_STACK_MODULES_H

#include <stddef.h>
#include <stdint.h>

enum { STACK_MISSES = 8 };

/* Of the stack in hand. */
struct stack_seen {
	uint64_t whose;
	uintptr_t start[2], end[2];    /* modules that are told of */
	uintptr_t miss[STACK_MISSES];  /* pages of none */
};

void stack_modules_begin(struct stack_seen *seen);
void stack_module(struct stack_seen *seen, uintptr_t address);
	/* Tells of the module that the address lies in, if there is one and it has not been told of in
	 * this process. Async-signal-safe; never waits. */

#endif
