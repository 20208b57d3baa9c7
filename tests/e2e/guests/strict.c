/*
 * strict.c - a program that gives up all but read, write and exit, or the right to read the clock.
 *
 *	strict seccomp|tsc prctl|syscall
 */
#include <linux/seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static void say(const char *what)
{
	if (write(2, what, strlen(what)) < 0)
		_exit(9);
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	int tsc = strcmp(argv[1], "tsc") == 0, by_number = strcmp(argv[2], "syscall") == 0;
	int option = tsc ? PR_SET_TSC : PR_SET_SECCOMP;
	unsigned long value = tsc ? PR_TSC_SIGSEGV : SECCOMP_MODE_STRICT;

	say("before\n");
	if (by_number ? syscall(SYS_prctl, option, value, 0, 0, 0) : prctl(option, value, 0, 0, 0))
		return 8;
	say("after\n");
	say("rest");
	syscall(SYS_exit, 3);
	return 1;
}
