/*
 * foreign.h - programs whose loader cannot take our object.
 */
#ifndef HARK_SHIM_FOREIGN_H
#define HARK_SHIM_FOREIGN_H

#include <stdbool.h>

bool foreign_file(int directory, const char *path);
	/* Whether what would be executed there, or the interpreter of that script, is of another class or
	 * machine, or loaded by something other than glibc's loader. path "": the descriptor itself.
	 * False for what cannot be looked at, and for static programs: no loader, no harm.
	 * Some system calls, no malloc, less than 1 KiB of stack. errno is kept. */
bool foreign_command(const char *file);
	/* The same for what execvp(3) would find. */

#endif
