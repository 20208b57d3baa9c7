/*
 * waits.h - what a thread waits in, as /proc says: for who may not see the kernel's side of a stack.
 *
 * Nothing is in the program, and it is not stopped: the kernel answers of threads that do not run.
 */
#ifndef HARK_SAMPLE_WAITS_H
#define HARK_SAMPLE_WAITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/image/unwind.h"

enum { WAITS_STACK = 16 << 10, WAITS_NAME = 48 };

struct waits {
	long number;               /* of the system call */
	struct unwind_stack stack; /* of the program: only where to go on and the stack pointer are known */
	uint8_t bytes[WAITS_STACK];
};

int waits_ask(pid_t pid, pid_t tid, struct waits *waits);
	/* 0; -EAGAIN: it runs, or waits in no system call, or is a 32-bit program, whose numbers are others;
	 * -EACCES, -EPERM: only who may trace it is told (Yama's ptrace_scope); or open(2)'s and read(2)'s.
	 * Where the stack cannot be read, stack.count is 0. waits->stack points into *waits. */
int waits_read(const char *text, struct waits *waits);
	/* The text of /proc/PID/task/TID/syscall: 0, or -EAGAIN as above. The stack has no bytes yet. */
void waits_name(long number, char name[WAITS_NAME]);
	/* "[waiting in futex]", or by number where the call has no name here */

#endif
