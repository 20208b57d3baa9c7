/*
 * libraries.h - the libraries that a program will have loaded when it begins: what it needs, and what
 * those need, each found where glibc's loader would find it.
 *
 * Files are read once for any number of programs. Not thread-safe.
 */
#ifndef HARK_IMAGE_LIBRARIES_H
#define HARK_IMAGE_LIBRARIES_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/image/binary.h"

struct library {
	struct library *next;    /* of all that were read */
	char *path;
	bool libc;               /* a part of glibc, whose own system calls are what hooks are for */
	struct binary binary;
};

struct libraries; /* all that were read, and the loader's cache */

struct libraries *libraries_open(const char *library_path);
	/* library_path: LD_LIBRARY_PATH, or NULL. NULL: no memory. */
void libraries_close(struct libraries *libraries);

enum { LIBRARIES_MOST = 1024 }; /* of one program */

struct libraries_needed {
	const struct library *all[LIBRARIES_MOST]; /* of the libraries; in the loader's order */
	size_t count;
	char *missing;           /* the first that is not found, NULL: none; of the libraries */
	const char *missed_by;   /* whose need it is: a path */
};

int libraries_find(struct libraries *libraries, struct libraries_needed *needed,
		   const struct binary *program, const char *path);
	/* path: the program's, for $ORIGIN. In the loader's order: the needing file's DT_RPATH and those
	 * above it (where it has no DT_RUNPATH), LD_LIBRARY_PATH, DT_RUNPATH, the loader's cache, the default
	 * folders. Of libraries that are there for several processors the plain one is taken, for their names
	 * are the same. Preloads are not looked at. 0 or -ENOMEM. */

#endif
