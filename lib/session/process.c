/*
 * process.c - see process.h. Linked into the hark command only.
 */
#include "lib/session/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static ssize_t read_file(const char *path, char *to, size_t bytes)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ssize_t n = read(fd, to, bytes - 1);
	close(fd);
	to[n > 0 ? n : 0] = 0;
	return n;
}

int process_path(pid_t pid, const char *file, char path[PROCESS_PATH])
{
	char self[16];

	/* Where somebody else's /proc was kept, this link bears the number that we have there. */
	ssize_t n = readlink("/proc/self", self, sizeof self - 1);
	if (n < 0)
		return -errno;
	self[n] = 0;
	if (strtol(self, NULL, 10) != getpid())
		return -ENOENT;
	snprintf(path, PROCESS_PATH, "/proc/%d/%s", pid, file);
	return 0;
}

static ssize_t read_about(pid_t pid, const char *file, char *to, size_t bytes)
{
	char path[PROCESS_PATH];
	int error = process_path(pid, file, path);

	return error ? error : read_file(path, to, bytes);
}

/* The fields behind the name, which may itself hold blanks and parentheses. */
static bool stat_fields(pid_t pid, char *state, uint64_t *start)
{
	char text[1024];
	unsigned long long value;

	if (read_about(pid, "stat", text, sizeof text) <= 0)
		return false;
	const char *after = strrchr(text, ')');
	if (!after || sscanf(after + 1,
			     " %c %*s %*s %*s %*s %*s %*s %*s %*s %*s"
			     " %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu",
			     state, &value) != 2)
		return false;
	*start = value;
	return true;
}

uint64_t process_start(pid_t pid)
{
	char state;
	uint64_t start;
	return stat_fields(pid, &state, &start) ? start : 0;
}

bool process_is_zombie(pid_t pid)
{
	char state;
	uint64_t start;
	return !stat_fields(pid, &state, &start) || state == 'Z' || state == 'X';
}

bool process_is_filtered(pid_t pid)
{
	char text[4096];

	if (read_about(pid, "status", text, sizeof text) <= 0)
		return false;
	const char *line = strstr(text, "\nSeccomp:");
	return line && strtol(line + sizeof "\nSeccomp:" - 1, NULL, 10) != 0;
}

int process_comm(pid_t pid, char comm[16])
{
	char text[64];

	ssize_t n = read_about(pid, "comm", text, sizeof text);
	if (n <= 0)
		return n < 0 ? (int)n : -ENOENT;
	text[strcspn(text, "\n")] = 0;
	snprintf(comm, 16, "%.15s", text);
	return 0;
}

static bool line_shows(const char *line, uint64_t device, uint64_t inode)
{
	unsigned major_number, minor_number;
	unsigned long long node;

	return sscanf(line, "%*s %*s %*s %x:%x %llu", &major_number, &minor_number, &node) == 3 &&
	       node == inode && makedev(major_number, minor_number) == device;
}

/* A look at all processes reads this file of each: no stream, and little that is parsed. Where a line
 * is longer than the buffer, only its beginning is one. */
static bool maps_show(int fd, uint64_t device, uint64_t inode)
{
	char text[4096];
	size_t used = 0;
	bool begins = true;
	ssize_t n;

	while ((n = read(fd, text + used, sizeof text - 1 - used)) > 0) {
		char *at = text, *end;
		text[used += (size_t)n] = 0;
		for (; (end = memchr(at, '\n', used)); begins = true, at = end) {
			used -= (size_t)(++end - at);
			if (begins && line_shows(at, device, inode))
				return true;
		}
		if (used == sizeof text - 1) {
			begins = false;
			used = 0;
		}
		memmove(text, at, used);
	}
	return false;
}

static bool maps_of(int directory, const char *path, uint64_t device, uint64_t inode)
{
	int fd = openat(directory, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	bool found = maps_show(fd, device, inode);
	close(fd);
	return found;
}

bool process_maps(pid_t pid, uint64_t device, uint64_t inode)
{
	char path[PROCESS_PATH];

	return process_path(pid, "maps", path) == 0 && maps_of(AT_FDCWD, path, device, inode);
}

bool process_maps_at(int proc, pid_t pid, uint64_t device, uint64_t inode)
{
	char path[PROCESS_PATH];

	snprintf(path, sizeof path, "%d/maps", pid);
	return maps_of(proc, path, device, inode);
}

bool process_hides(pid_t pid)
{
	char path[PROCESS_PATH], text[4096];

	if (process_path(pid, "maps", path) != 0)
		return false;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		close(fd);
	if (fd >= 0 || (errno != EACCES && errno != EPERM))
		return false;
	if (read_about(pid, "status", text, sizeof text) <= 0)
		return false;
	const char *line = strstr(text, "\nUid:");
	return line && strtoul(line + sizeof "\nUid:" - 1, NULL, 10) == geteuid();
}

bool process_holds(pid_t pid, uint64_t device, uint64_t inode)
{
	char path[PROCESS_PATH];
	struct dirent *entry;
	bool found = false;

	if (process_path(pid, "fd", path) != 0)
		return false;
	DIR *fds = opendir(path);
	if (!fds)
		return errno == EACCES || errno == EPERM;
	while (!found && (entry = readdir(fds))) {
		struct stat st;
		if (fstatat(dirfd(fds), entry->d_name, &st, 0) == 0)
			found = st.st_dev == device && st.st_ino == inode;
	}
	closedir(fds);
	return found;
}

pid_t process_newest(void)
{
	char text[128];
	int pid;

	if (read_file("/proc/loadavg", text, sizeof text) <= 0)
		return -1;
	return sscanf(text, "%*s %*s %*s %*s %d", &pid) == 1 ? pid : -1;
}

bool process_leads(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

int process_each(int (*visit)(void *arg, int proc, pid_t pid), void *arg)
{
	struct dirent *entry;
	int result = 0;

	char path[PROCESS_PATH];
	int error = process_path(getpid(), "", path);
	if (error)
		return error;
	DIR *proc = opendir("/proc");
	if (!proc)
		return -errno;
	while (!result && (entry = readdir(proc))) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
		if (pid > 0)
			result = visit(arg, dirfd(proc), pid);
	}
	closedir(proc);
	return result;
}
