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

bool process_maps(pid_t pid, uint64_t device, uint64_t inode)
{
	char path[PROCESS_PATH], line[1024];
	bool found = false;

	FILE *maps = process_path(pid, "maps", path) == 0 ? fopen(path, "re") : NULL;
	if (!maps)
		return false;
	while (!found && fgets(line, sizeof line, maps)) {
		unsigned major_number, minor_number;
		unsigned long long node;
		if (sscanf(line, "%*s %*s %*s %x:%x %llu", &major_number, &minor_number,
			   &node) == 3)
			found = node == inode && makedev(major_number, minor_number) == device;
	}
	fclose(maps);
	return found;
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

int process_each(int (*visit)(void *arg, pid_t pid), void *arg)
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
		struct stat st;
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
		if (pid > 0 && fstatat(dirfd(proc), entry->d_name, &st, 0) == 0 &&
		    (st.st_uid == geteuid() || geteuid() == 0))
			result = visit(arg, pid);
	}
	closedir(proc);
	return result;
}
