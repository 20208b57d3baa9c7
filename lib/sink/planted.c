/*
 * planted.c - see planted.h. Called by the sinks that have a path; must never open anything.
 */
#include "lib/sink/planted.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Whether anybody may make names in the directory of `path`; if so, *parent is the directory. */
static int is_public(const char *path, struct stat *parent)
{
	char directory[PATH_MAX];
	size_t length = strlen(path);

	while (length && path[length - 1] != '/')
		length--;
	if (length >= sizeof directory)
		return -ENAMETOOLONG;
	memcpy(directory, path, length);
	directory[length] = '\0';
	if (stat(length ? directory : ".", parent) != 0)
		return -errno;
	return (parent->st_mode & S_IWOTH) != 0;
}

static bool trusted(uid_t owner, const struct stat *parent)
{
	return owner == geteuid() || owner == 0 || owner == parent->st_uid;
}

bool planted_link(const char *path)
{
	struct stat link, parent;
	int public = is_public(path, &parent);

	if (public < 0 || lstat(path, &link) != 0)
		return true;
	return public && !trusted(link.st_uid, &parent);
}

int planted_file(const char *path, int fd)
{
	struct stat st, parent;
	int public = is_public(path, &parent);

	if (public <= 0)
		return 0; /* a directory that went meanwhile can do no more harm */
	if (fstat(fd, &st) != 0)
		return -errno;
	if (!trusted(st.st_uid, &parent))
		return -EACCES;
	return S_ISREG(st.st_mode) && st.st_nlink > 1 ? -EMLINK : 0;
}

int planted_socket(const char *path)
{
	struct stat st, parent;
	int public = is_public(path, &parent);

	if (public <= 0)
		return 0;
	/* After it was connected to: with the sticky bit, nobody can have put one of ours there since. */
	if (lstat(path, &st) != 0)
		return -errno;
	return trusted(st.st_uid, &parent) ? 0 : -EACCES;
}
