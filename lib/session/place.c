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
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base/array.h"
#include "lib/base/sysio.h"
#include "lib/session/session.h"

enum { CANDIDATES = 4, SESSIONS_MOST = 4096 };
enum { OPEN_DIRECTORY = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC };

/* Who owns what is asked by system calls, here and below: under fakeroot libc says that all is root's,
 * and root's place is closed to us. */
static uid_t own_uid(void)
{
	return (uid_t)syscall(SYS_geteuid);
}

static bool candidate(unsigned which, char path[PLACE_PATH])
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	const char *own = getenv("HARK_RUNTIME_DIR");
	int n = -1;

	if (which == 0 && own && *own) {
		n = snprintf(path, PLACE_PATH, "%s", own);
		while (n > 1 && n < PLACE_PATH && path[n - 1] == '/')
			path[--n] = 0;
	}
	if (which == 1 && runtime && *runtime == '/')
		n = snprintf(path, PLACE_PATH, "%s/hark", runtime);
	else if (which == 2)
		n = snprintf(path, PLACE_PATH, "/dev/shm/hark-%u", (unsigned)own_uid());
	else if (which == 3)
		n = snprintf(path, PLACE_PATH, "/tmp/hark-%u", (unsigned)own_uid());
	return n > 0 && n < PLACE_PATH;
}

/* A directory in which nobody but us and root can exchange what stands under a name. Who owns the root
 * directory is root, by whatever number we see him. */
static bool is_safe(int fd, uid_t root)
{
	struct stat st;

	if (sysio_fstat(fd, &st) != 0)
		return false;
	bool trusted = st.st_uid == own_uid() || st.st_uid == 0 || st.st_uid == root;
	return trusted && (!(st.st_mode & S_IWOTH) || st.st_mode & S_ISVTX);
}

/* So is every directory above it, on the way that leads there: by descriptors, since paths may change
 * while they are looked at. */
static int check_above(int fd)
{
	struct stat here, above, root;

	int error = (int)sysio_call(SYS_newfstatat, AT_FDCWD, (long)"/", (long)&root, 0, 0, 0);
	if (!error)
		error = sysio_fstat(fd, &here);
	if (error)
		return error;
	fd = openat(fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	while (fd >= 0) {
		if (!is_safe(fd, root.st_uid)) {
			close(fd);
			return -EPERM;
		}
		int up = openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		close(fd);
		fd = up;
		if (fd >= 0 && sysio_fstat(fd, &above) == 0 && above.st_ino == here.st_ino &&
		    above.st_dev == here.st_dev) {
			close(fd);
			return 0;
		}
		here = above;
	}
	return -errno;
}

static int check_private(int fd)
{
	struct stat st;

	int error = sysio_fstat(fd, &st);
	if (error)
		return error;
	return st.st_uid == own_uid() && (st.st_mode & 077) == 0 ? 0 : -EPERM;
}

/* The directory that is to hold it, and its name there. A path that ends in a slash, or in dots, is
 * looked at as a whole. */
static int open_parent(const char *path, const char **name)
{
	const char *slash = strrchr(path, '/');
	char parent[PLACE_PATH];

	*name = slash ? slash + 1 : path;
	if (!**name || strcmp(*name, ".") == 0 || strcmp(*name, "..") == 0)
		return -EINVAL;
	snprintf(parent, sizeof parent, "%.*s", slash ? (int)(slash - path) + 1 : 1,
		 slash ? path : ".");
	int fd = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* First what is above it, before anything is made there: with root's environment taken over from a
 * user, that would be a directory of root's in the user's. */
static int open_private(const char *path, bool make)
{
	const char *name;

	int parent = open_parent(path, &name);
	if (parent < 0)
		return parent;
	int error = check_above(parent);
	if (!error && make && mkdirat(parent, name, 0700) != 0 && errno != EEXIST)
		error = -errno;
	/* What we have opened is what we look at: nobody can put another in its place meanwhile. */
	int fd = error ? -1 : openat(parent, name, OPEN_DIRECTORY);
	if (!error && fd < 0)
		error = -errno;
	close(parent);
	if (!error)
		error = check_private(fd);
	if (!error && make && faccessat(fd, ".", W_OK, AT_EACCESS) != 0)
		error = -errno;
	if (error && fd >= 0)
		close(fd);
	return error ? error : fd;
}

int place_open(char path[PLACE_PATH], char *why, size_t why_bytes)
{
	static const char not_ours[] = "not ours alone (owner, mode other than 0700, or a "
				       "directory above it that others may change)";
	int error = -ENOENT;
	size_t used = 0;

	why[0] = 0;
	for (unsigned i = 0; i < CANDIDATES; i++) {
		if (!candidate(i, path))
			continue;
		error = open_private(path, true);
		if (error >= 0)
			return error;
		const char *what = error == -EPERM ? not_ours : strerror(-error);
		int n = snprintf(why + used, why_bytes - used, "%s%s: %s", used ? "; " : "", path,
				 what);
		if (n > 0 && used + (size_t)n < why_bytes)
			used += (size_t)n;
	}
	return error;
}

/* Whatever stands there: a FIFO does not block us, a device is not opened twice. */
static int open_control(const char *dir)
{
	struct stat st = { 0 };

	int dirfd = open(dir, OPEN_DIRECTORY);
	if (dirfd < 0)
		return -errno;
	int error = check_private(dirfd);
	int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
	int fd = error ? -1 : openat(dirfd, "control", flags);
	if (!error)
		error = fd < 0 ? -errno : sysio_fstat(fd, &st);
	close(dirfd);
	if (!error && st.st_uid != own_uid())
		error = -EPERM;
	else if (!error && !S_ISREG(st.st_mode))
		error = -EINVAL;
	if (error && fd >= 0)
		close(fd);
	return error ? error : fd;
}

int place_lock(const char *dir)
{
	int fd = open_control(dir);

	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0) {
		int error = -errno;
		close(fd);
		return error;
	}
	return fd;
}

int place_read(const char *dir, struct place_session *session)
{
	if (snprintf(session->dir, sizeof session->dir, "%s", dir) >= PLACE_PATH)
		return -ENAMETOOLONG;
	int fd = open_control(session->dir);
	if (fd < 0)
		return fd;
	ssize_t n = pread(fd, &session->control, sizeof session->control, 0);
	close(fd);
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
	DIR *d = fdopendir(dirfd);
	struct dirent *entry;

	*names = NULL;
	if (!d) {
		close(dirfd);
		return -ENOMEM;
	}
	while (count < SESSIONS_MOST && (entry = readdir(d))) {
		if (entry->d_name[0] == '.' || strlen(entry->d_name) >= sizeof **names)
			continue;
		char(*grown)[64] = array_grown(*names, (size_t)count, sizeof **names);
		if (!grown)
			break;
		strcpy((*names = grown)[count++], entry->d_name);
	}
	closedir(d);
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
		if (count <= 0)
			continue;
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
	int fd = open(dir, OPEN_DIRECTORY);
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
