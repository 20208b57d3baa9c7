/*
 * deaf.h - programs that no hook hears, and why: a few words that go on after the program's name.
 */
#ifndef HARK_IMAGE_DEAF_H
#define HARK_IMAGE_DEAF_H

#include <stdbool.h>

#include "lib/image/elf.h"

const char *deaf_by_format(const struct elf_facts *facts, bool *foreign);
	/* "is static"; NULL: hooks hear it. *foreign: its loader could not even load the shim. */
const char *deaf_by_rights(const char *path);
	/* "is setuid": then the loader ignores LD_PRELOAD. For whoever has the rights of this process.
	 * NULL: it has no more rights than that, or is not to be seen. */

#endif
