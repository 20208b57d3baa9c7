/* test_deep.c - deep.c: what stands in for descriptors 1 and 2, each case in a process of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "tools/deep.h"

/* In the child, descriptors 1 and 2 are what is tested: a failure is the line, as exit status. */
#define CHECK(what)                                                                               \
	do {                                                                                      \
		if (!(what))                                                                      \
			_exit(__LINE__ & 0xff);                                                   \
	} while (0)

static void in_child(void (*body)(void))
{
	int status;

	pid_t pid = fork();
	if (pid == 0) {
		alarm(90);
		body();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status >> 8, 0);
	assert_int_equal(status & 0xff, 0);
}

static bool same_file(int a, int b)
{
	struct stat one, other;

	return fstat(a, &one) == 0 && fstat(b, &other) == 0 && one.st_dev == other.st_dev &&
	       one.st_ino == other.st_ino && one.st_rdev == other.st_rdev;
}

static bool reads(int fd, const char *expected)
{
	char buffer[64];
	ssize_t n = read(fd, buffer, sizeof buffer);

	return n == (ssize_t)strlen(expected) && memcmp(buffer, expected, (size_t)n) == 0;
}

static unsigned open_descriptors(void)
{
	unsigned count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static void a_pipe(void)
{
	int file = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct deep deep;

	dup2(file, 1);
	dup2(file, 2);
	unsigned before = open_descriptors();
	CHECK(deep_open(&deep, true, false) == 0);
	CHECK(deep.fd >= 10 && !deep.terminal);
	CHECK(fcntl(deep.fd, F_GETFD) & FD_CLOEXEC);
	CHECK(!(fcntl(2, F_GETFD) & FD_CLOEXEC));
	CHECK(write(2, "a\nb", 3) == 3 && reads(deep.fd, "a\nb"));
	CHECK(same_file(1, file));
	deep_undo(&deep);
	CHECK(same_file(2, file) && deep.fd == -1);
	CHECK(open_descriptors() == before);
}

static void both_into_one(void)
{
	int file = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct deep deep;

	dup2(file, 1);
	dup2(file, 2);
	unsigned before = open_descriptors();
	CHECK(deep_open(&deep, true, true) == 0);
	CHECK(same_file(1, 2) && !same_file(1, file));
	CHECK(write(1, "1", 1) == 1 && write(2, "2", 1) == 1 && reads(deep.fd, "12"));
	deep_close(&deep);
	CHECK(!same_file(2, file)); /* closed are only our own */
	CHECK(open_descriptors() == before);
}

static void a_terminal(void)
{
	struct winsize size = { .ws_row = 33, .ws_col = 77 };
	struct termios settings, theirs;
	struct deep deep;

	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	CHECK(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
	int slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	CHECK(ioctl(slave, TIOCSWINSZ, &size) == 0 && tcgetattr(slave, &settings) == 0);
	settings.c_lflag &= ~(tcflag_t)ECHO;
	CHECK(tcsetattr(slave, TCSANOW, &settings) == 0);
	dup2(slave, 1);
	dup2(slave, 2);
	CHECK(deep_open(&deep, true, false) == 0);
	CHECK(deep.terminal && isatty(2) && !same_file(2, slave));
	CHECK(same_file(1, slave)); /* not captured: the real terminal */
	size = (struct winsize){ .ws_row = 0 };
	CHECK(ioctl(2, TIOCGWINSZ, &size) == 0 && size.ws_row == 33 && size.ws_col == 77);
	CHECK(tcgetattr(2, &theirs) == 0 && !(theirs.c_lflag & ECHO) && !(theirs.c_oflag & OPOST));
	CHECK(write(2, "a\nb", 3) == 3 &&
	      reads(deep.fd, "a\nb")); /* no \r: that is the real one's */
	deep_undo(&deep);
	CHECK(same_file(2, slave));
	CHECK(tcgetattr(slave, &theirs) == 0 && (theirs.c_oflag & OPOST));
}

static void what_is_closed(void)
{
	struct deep deep;

	close(2);
	CHECK(deep_open(&deep, true, false) == 0);
	CHECK(deep.fd == -1 && fcntl(2, F_GETFD) < 0);
	close(0);
	close(1);
	CHECK(deep_open(&deep, false, true) == 0 && deep.fd == -1);
	/* the numbers that are free are not taken */
	CHECK(open("/dev/null", O_WRONLY) == 0 && dup2(0, 2) == 2 && close(0) == 0);
	CHECK(deep_open(&deep, true, true) == 0 && deep.fd >= 10);
	CHECK(fcntl(0, F_GETFD) < 0 && fcntl(1, F_GETFD) < 0);
	CHECK(write(2, "x", 1) == 1 && reads(deep.fd, "x"));
	deep_undo(&deep);
}

static void nothing_to_replace(void)
{
	struct deep deep;

	unsigned before = open_descriptors();
	CHECK(deep_open(&deep, false, false) == 0 && deep.fd == -1);
	deep_undo(&deep);
	CHECK(open_descriptors() == before);
}

#define CASE(name)                                                                                \
	static void test_##name(void **state)                                                     \
	{                                                                                         \
		(void)state;                                                                      \
		in_child(name);                                                                   \
	}
CASE(a_pipe)
CASE(both_into_one)
CASE(a_terminal)
CASE(what_is_closed)
CASE(nothing_to_replace)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_pipe),
		cmocka_unit_test(test_both_into_one),
		cmocka_unit_test(test_a_terminal),
		cmocka_unit_test(test_what_is_closed),
		cmocka_unit_test(test_nothing_to_replace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
