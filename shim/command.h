/*
 * command.h - running the hark command from inside a program, so that the program has no child.
 *
 * For start.c, which has it make a session, and stamp_names.c, which has it judge a module's functions.
 */
#ifndef HARK_SHIM_COMMAND_H
#define HARK_SHIM_COMMAND_H

#include <stdbool.h>
#include <sys/types.h>

enum { COMMAND_STACK = 64 << 10 };

struct command {
	char program[512];
	char *const *argv, *const *environment;
	char *stack;               /* COMMAND_STACK bytes, for each of two */
	int status;                /* as of wait(2) */
	int limit_ms;              /* then it is killed; 0: it has all the time it wants */
	int error;                 /* of what kept it from running: it has said nothing then; -ETIMEDOUT */
};

bool command_find(struct command *command);
	/* The command stands beside the shim, or in ../bin. */
int command_child(void *command);
	/* For clone(): becomes the command. */
pid_t command_run(struct command *command);
	/* Runs it to its end, in a child without an exit signal that command_wait() is to wait for; -errno.
	 * All other threads go on meanwhile, in the same memory. The caller holds
	 * signals back: handlers would run in the child, too. */
void command_wait(pid_t child);

#endif
