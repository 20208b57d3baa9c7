/*
 * hostile.c - a program that spoils the control block of its session, and goes on speaking.
 *
 * Run by test_inside.py. It needs no more than any process of the session could do. The word says
 * what is overwritten; what matters is that nobody who reads it afterwards is hurt.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/session/control.h"

static struct control *control_block(void)
{
	const char *dir = getenv("HARK_SESSION");
	char path[512];

	snprintf(path, sizeof path, "%s/control", dir ? dir : "");
	int fd = open(path, O_RDWR | O_CLOEXEC);
	void *at = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (fd < 0 || at == MAP_FAILED) {
		perror(path);
		exit(99);
	}
	close(fd);
	return at;
}

int main(void)
{
	struct control *c = control_block();

	fprintf(stderr, "before\n");
	while (atomic_load(&c->delivered) == 0) /* the collector has read what it needs */
		usleep(1000);
	/* No descriptor is found in this list, so that all of it is looked through; no glob ends. */
	memset(c->chosen, 0x55, sizeof c->chosen);
	memset(c->paths, 'x', sizeof c->paths);
	memset(c->preload, 'x', sizeof c->preload);
	memset(c->command, 'x', sizeof c->command);
	c->chosen_count = UINT32_MAX;
	for (int i = 0; i < 3; i++) {
		int fd = open("/dev/null", O_WRONLY);
		if (write(fd, "nowhere\n", 8) != 8 || dup2(fd, 60) != 60 || dup2(2, 61) != 61)
			return 98;
		close(fd);
	}
	fprintf(stderr, "after\n");
	pid_t pid = fork();
	if (pid == 0) {
		dup2(2, 1); /* is looked at as what it is now */
		fprintf(stderr, "child\n");
		exit(0);
	}
	int status;
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
		return 97;
	execl("/bin/sh", "sh", "-c", "exit 7", NULL);
	return 96;
}
