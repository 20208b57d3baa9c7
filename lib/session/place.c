/*
 * place.c - see place.h. Linked into the hark command only.
 */
#include "lib/session/place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/session/session.h"

enum { CANDIDATES = 4, SESSIONS_MOST = 4096 };

static bool candidate(unsigned which, char path[PLACE_PATH])
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	const char *own = getenv("HARK_RUNTIME_DIR");
	int n = -1;

	if (which == 0 && own && *own)
		n = snprintf(path, PLACE_PATH, "%s", own);
	else if (which == 1 && runtime && *runtime == '/')
		n = snprintf(path, PLACE_PATH, "%s/hark", runtime);
	else if (which == 2)
		n = snprintf(path, PLACE_PATH, "/dev/shm/hark-%u", (unsigned)geteuid());
	else if (which == 3)
		n = snprintf(path, PLACE_PATH, "/tmp/hark-%u", (unsigned)geteuid());
	return n > 0 && n < PLACE_PATH;
}

static int open_private(const char *path, bool make)
{
	struct stat st;

	if (make && mkdir(path, 0700) != 0 && errno != EEXIST)
		return -errno;
	/* What we have opened is what we look at: nobody can put another in its place meanwhile. */
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	int error = fstat(fd, &st) != 0 ? -errno : 0;
	if (!error && (st.st_uid != geteuid() || (st.st_mode & 077) != 0))
		error = -EPERM;
	if (!error && make && faccessat(fd, ".", W_OK, AT_EACCESS) != 0)
		error = -errno;
	if (error) {
		close(fd);
		return error;
	}
	return fd;
}

int place_open(char path[PLACE_PATH], char *why, size_t why_bytes)
{
	int error = -ENOENT;
	size_t used = 0;

	why[0] = 0;
	for (unsigned i = 0; i < CANDIDATES; i++) {
		if (!candidate(i, path))
			continue;
		error = open_private(path, true);
		if (error >= 0)
			return error;
		int n = snprintf(why + used, why_bytes - used, "%s%s: %s", used ? "; " : "", path,
				 error == -EPERM ? "not ours alone (owner, or mode other than 0700)"
						 : strerror(-error));
		if (n > 0 && used + (size_t)n < why_bytes)
			used += (size_t)n;
	}
	return error;
}

int place_read(const char *dir, struct place_session *session)
{
	char path[PLACE_PATH + 16];
	struct stat st;

	if (snprintf(session->dir, sizeof session->dir, "%s", dir) >= PLACE_PATH)
		return -ENAMETOOLONG;
	snprintf(path, sizeof path, "%s/control", session->dir);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	int error = fstat(fd, &st) != 0 ? -errno : st.st_uid != geteuid() ? -EPERM : 0;
	ssize_t n = error ? 0 : pread(fd, &session->control, sizeof session->control, 0);
	close(fd);
	if (error)
		return error;
	struct control *c = &session->control;
	if (n != (ssize_t)sizeof *c || c->magic != CONTROL_MAGIC || c->bytes != sizeof *c)
		return -EINVAL;
	c->command[sizeof c->command - 1] = c->directory[sizeof c->directory - 1] = 0;
	c->sinks[sizeof c->sinks - 1] = c->program[sizeof c->program - 1] = 0;
	session->alive = c->state == SESSION_LIVE && session_alive(c);
	return 0;
}

static int names_in(int dirfd, char (**names)[64])
{
	int count = 0;
	char(*list)[64] = calloc(SESSIONS_MOST, sizeof *list);
	DIR *d = list ? fdopendir(dirfd) : NULL;
	struct dirent *entry;

	if (!d) {
		free(list);
		close(dirfd);
		return -ENOMEM;
	}
	while (count < SESSIONS_MOST && (entry = readdir(d)))
		if (entry->d_name[0] != '.' && strlen(entry->d_name) < sizeof *list)
			strcpy(list[count++], entry->d_name);
	closedir(d);
	*names = list;
	return count;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

int place_each(place_visit visit, void *arg)
{
	static struct place_session session; /* 100 KiB: too much for a stack */
	char named[PLACE_PATH];
	int result = 0;

	/* Who names a place means that one and no other. */
	unsigned end = candidate(0, named) ? 1 : CANDIDATES;

	for (unsigned i = 0; i < end && !result; i++) {
		char path[PLACE_PATH];
		char(*names)[64];
		int fd = candidate(i, path) ? open_private(path, false) : -1;
		int count = fd >= 0 ? names_in(fd, &names) : 0;
		if (count <= 0) {
			if (count == 0 && fd >= 0)
				free(names);
			continue;
		}
		qsort(names, (size_t)count, sizeof *names, by_name);
		for (int k = 0; k < count && !result; k++) {
			char dir[PLACE_PATH + 72];
			snprintf(dir, sizeof dir, "%s/%s", path, names[k]);
			if (place_read(dir, &session) == 0)
				result = visit(arg, &session);
		}
		free(names);
	}
	return result;
}

int place_remove(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	DIR *d = fdopendir(fd);
	struct dirent *entry;
	if (!d) {
		close(fd);
		return -ENOMEM;
	}
	while ((entry = readdir(d)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			unlinkat(fd, entry->d_name, 0);
	closedir(d);
	return rmdir(dir) == 0 ? 0 : -errno;
}
