/*
 * target.h - what is PROG, and who can listen to it?
 */
#ifndef HARK_TOOLS_TARGET_H
#define HARK_TOOLS_TARGET_H

#include <limits.h>
#include <stddef.h>

#include "lib/image/verdict.h"

enum { TARGET_SCRIPTS = 5 }; /* scripts that are interpreted by scripts: the kernel's limit */

struct target {
	char path[PATH_MAX];      /* what is executed */
	char subject[PATH_MAX];   /* what decides: the same, or the interpreter of a script */
	char scripts[TARGET_SCRIPTS][PATH_MAX]; /* those on the way, from path on */
	unsigned script_count;
	struct verdict capture;   /* of the subject: whether hooks hear it */
};

int target_find(const char *name, char path[PATH_MAX]);
/* Looks for a program as execvp(3) would. 0; -ENOENT; -EACCES: only such as may not be executed;
	 * or access(2)'s. */
int target_look(struct target *target, char *why, size_t why_bytes);
/* Fills in what is behind target->path. 0; or -errno with a sentence where it cannot be executed
	 * though it may. A file that cannot be read is taken for one that hooks hear. */

#endif
