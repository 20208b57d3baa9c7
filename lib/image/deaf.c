/*
 * deaf.c - see deaf.h. Called by `hark run` and the collector; looks only, and executes nothing.
 */
#include "lib/image/deaf.h"

#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

const char *deaf_by_format(const struct elf_facts *facts, bool *foreign)
{
	const char *base = strrchr(facts->interpreter, '/');

	*foreign = false;
	if (!elf_facts_native(facts)) {
		*foreign = true;
		return facts->bits != 8 * sizeof(void *) ? "is a 32-bit program"
							 : "is built for another machine";
	}
	if (elf_facts_static(facts))
		return "is static";
	if (facts->interpreter[0] && (!base || strncmp(base, "/ld-linux", 9) != 0)) {
		*foreign = true;
		return "uses a C library other than glibc";
	}
	return facts->go ? "is built by Go, which makes system calls by itself" : NULL;
}

const char *deaf_by_rights(const char *path)
{
	struct stat st;
	struct statvfs fs;

	if (stat(path, &st) != 0 || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ||
	    (statvfs(path, &fs) == 0 && (fs.f_flag & ST_NOSUID)))
		return NULL;
	if ((st.st_mode & S_ISUID) && st.st_uid != getuid())
		return "is setuid";
	/* without the group's x, the bit means mandatory locking */
	if ((st.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) && st.st_gid != getgid())
		return "is setgid";
	if (getuid() != 0 && getxattr(path, "security.capability", NULL, 0) > 0)
		return "has file capabilities";
	return NULL;
}
