/*
 * testpoint.c - see testpoint.h. Empty in what is installed.
 */
#include "lib/base/testpoint.h"

#ifdef HARK_TESTPOINTS
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "lib/base/sysio.h"

void (*testpoint_handler)(const char *name);

static char wanted[64];
static char action;
static atomic_int passings_left;

static void act(const char *name)
{
	if (strcmp(name, wanted) != 0 || atomic_fetch_sub(&passings_left, 1) != 1)
		return;
	if (action == 's')
		sysio_kill(sysio_getpid(), SIGSTOP);
	else if (action == 'k')
		sysio_kill(sysio_getpid(), SIGKILL);
	else
		sysio_call(SYS_exit_group, 99, 0, 0, 0, 0, 0);
}

void testpoint_from_environment(void)
{
	const char *spec = getenv("HARK_TESTPOINT");
	const char *colon = spec ? strchr(spec, ':') : NULL;
	if (!colon || (size_t)(colon - spec) >= sizeof wanted)
		return;
	memcpy(wanted, spec, (size_t)(colon - spec));
	action = colon[1];
	const char *count = strchr(colon + 1, ':');
	passings_left = count ? atoi(count + 1) : 1;
	if (action != 'o')
		testpoint_handler = act;
}

bool testpoint_is_on(const char *name)
{
	return action == 'o' && strcmp(name, wanted) == 0;
}

int64_t testpoint_clock_offset_ns(void)
{
	const char *path = getenv("HARK_TESTCLOCK");
	char text[32] = "";

	int fd = path ? sysio_open(path, O_RDONLY | O_CLOEXEC, 0) : -1;
	if (fd < 0)
		return 0;
	ssize_t n = sysio_read(fd, text, sizeof text - 1);
	sysio_close(fd);
	return n > 0 ? strtoll(text, NULL, 10) : 0;
}

bool testpoint_no_counter(void)
{
	const char *word = getenv("HARK_TESTCOUNTER");
	return word && *word == '0';
}

bool testpoint_counter(void)
{
	const char *word = getenv("HARK_TESTCOUNTER");
	return word && *word == '1';
}
#endif
