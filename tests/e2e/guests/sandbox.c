/*
 * sandbox.c - a program that forbids itself all system calls but a few: `sandbox LIST [PROG [ARG...]]`.
 *
 * LIST: `least` (read, write, exit), `exits` (and exit_group), `floods` (the same, and it says much),
 * `starts` (what a dynamic program needs to start and to say a word; it becomes PROG). Any other call
 * kills. What it says behind the filter it says by stdio and by write; it must not become more calls
 * by being listened to.
 */
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { FLOOD = 30000 };

static const int least[] = { SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(exit) };
/* of libc's and the loader's own; nothing that only a guest of theirs would call */
static const int starts[] = {
	SCMP_SYS(execve), SCMP_SYS(brk), SCMP_SYS(mmap), SCMP_SYS(munmap), SCMP_SYS(mprotect),
	SCMP_SYS(access), SCMP_SYS(openat), SCMP_SYS(close), SCMP_SYS(fstat),
	SCMP_SYS(newfstatat), SCMP_SYS(pread64), SCMP_SYS(arch_prctl), SCMP_SYS(set_tid_address),
	SCMP_SYS(set_robust_list), SCMP_SYS(rseq), SCMP_SYS(prlimit64), SCMP_SYS(getrandom),
	SCMP_SYS(exit_group),
};

static void allow(scmp_filter_ctx filter, const int *calls, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0) != 0)
			exit(97);
}

static int speak(int lines)
{
	fputs("behind\n", stderr);
	for (int i = 0; i < lines; i++)
		fprintf(stderr, "behind it %d\n", i);
	return write(STDERR_FILENO, "by write\n", 9) != 9 || write(STDOUT_FILENO, "out\n", 4) != 4;
}

int main(int argc, char **argv)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);

	if (argc < 2 || !filter)
		return 99;
	allow(filter, least, sizeof least / sizeof *least);
	if (strcmp(argv[1], "exits") == 0 || strcmp(argv[1], "floods") == 0)
		allow(filter, &(int){ SCMP_SYS(exit_group) }, 1);
	if (strcmp(argv[1], "starts") == 0)
		allow(filter, starts, sizeof starts / sizeof *starts);
	fputs("before\n", stderr);
	if (seccomp_load(filter) != 0)
		return 98;
	if (argc > 2)
		execv(argv[2], argv + 2);
	int status = speak(strcmp(argv[1], "floods") == 0 ? FLOOD : 3) ? 96 : 6;
	if (strcmp(argv[1], "least") != 0)
		_exit(status);
	syscall(SYS_exit, status);
	return 0;
}
