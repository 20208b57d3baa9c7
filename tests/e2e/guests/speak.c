/*
 * speak.c - a program that uses what a narrow place may deny: it speaks on both descriptors, takes
 * memory, has a child and a shell, and makes a file. Run by the tests in restricted places.
 *
 * What fails it says, and goes on: under a limit, what it says and its exit status are the native
 * ones or they are not. Messages of errors go to stderr like everything else.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BLOCK = 300000, FILE_BYTES = 3000 };

static int failures;

static void failed(const char *what)
{
	fprintf(stderr, "speak: %s: %s\n", what, strerror(errno));
	failures++;
}

static void take_memory(void)
{
	char *block = malloc(BLOCK);

	if (!block) {
		failed("memory");
		return;
	}
	memset(block, 'x', BLOCK);
	fprintf(stderr, "memory %c\n", block[BLOCK - 1]);
	free(block);
}

static void have_child(void)
{
	int status = 0;

	fflush(stdout);
	pid_t pid = fork();
	if (pid < 0) {
		failed("fork");
		return;
	}
	if (pid == 0) {
		fputs("child\n", stderr);
		exit(3);
	}
	if (waitpid(pid, &status, 0) != pid)
		failed("wait");
	fprintf(stderr, "child ended %#x\n", (unsigned)status);
	if (waitpid(-1, &status, WNOHANG) != -1 || errno != ECHILD)
		failed("another child");
}

static void have_shell(void)
{
	int status = system("echo shell >&2; exit 5");

	if (status < 0)
		failed("shell");
	else
		fprintf(stderr, "shell ended %#x\n", (unsigned)status);
}

static void make_file(void)
{
	char bytes[FILE_BYTES];
	int fd = open("made", O_WRONLY | O_CREAT | O_TRUNC, 0644);

	if (fd < 0) {
		failed("open");
		return;
	}
	memset(bytes, 'f', sizeof bytes);
	ssize_t n = write(fd, bytes, sizeof bytes);
	if (n != FILE_BYTES)
		failed("write");
	fprintf(stderr, "descriptor %d, %zd bytes\n", fd, n);
	close(fd);
}

int main(void)
{
	puts("out");
	fprintf(stderr, "one %d\n", 1);
	errno = ENOENT;
	perror("two");
	if (write(STDERR_FILENO, "three\n", 6) != 6)
		failed("stderr");
	take_memory();
	have_child();
	have_shell();
	make_file();
	puts("end");
	return failures ? 9 : 7;
}
