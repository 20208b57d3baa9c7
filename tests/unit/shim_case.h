/*
 * shim_case.h - what a test of one family of hooks stands on: capture.c and thread.c are played, and
 * remember what they were told.
 *
 * A test includes the hooks' own source after this, so that their names are the test program's, and
 * the originals are libc's, found as ever (real.c). So both can be called and compared.
 */
#ifndef HARK_TESTS_UNIT_SHIM_CASE_H
#define HARK_TESTS_UNIT_SHIM_CASE_H

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "shim/hook.h"
#include "shim/real.h"
#include "shim/shim.h"

enum { SAID_MOST = 1 << 20 };

struct shim shim;
_Thread_local struct shim_thread shim_thread __attribute__((tls_model("initial-exec")));

static struct control played_control;
static struct shim_epoch played_epoch;

/* What capture_write() was given, one call after the other, and how often. */
static struct {
	char bytes[SAID_MOST];
	size_t length;
	unsigned calls;
	int fd;
} said;

/* The last message of capture_message(), and how many there were. */
static struct {
	struct record_info info;
	char payload[SAID_MOST];
	size_t length;
	unsigned calls;
	int answer;
} message;

/* What became of descriptors, as a list of words. */
static char told[512];

__attribute__((format(printf, 1, 2))) static void tell(const char *format, ...)
{
	size_t used = strlen(told);
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(told + used, sizeof told - used, format, arguments);
	va_end(arguments);
}

static size_t gather(char *to, size_t at, const struct iovec *parts, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (parts[i].iov_len > SAID_MOST - at)
			abort();
		if (parts[i].iov_len)
			memcpy(to + at, parts[i].iov_base, parts[i].iov_len);
		at += parts[i].iov_len;
	}
	return at;
}

ssize_t capture_write(int fd, unsigned state, const struct iovec *parts, unsigned count)
{
	size_t before = said.length;

	if (!capture_is(state))
		abort();
	said.length = gather(said.bytes, said.length, parts, count);
	said.calls++;
	said.fd = fd;
	errno = ENOTRECOVERABLE; /* whoever has to keep errno, has to */
	return (ssize_t)(said.length - before);
}

int capture_message(const struct record_info *info, const struct iovec *parts, unsigned count)
{
	shim_thread.author.pid = (uint32_t)getpid();
	message.calls++;
	message.info = *info;
	message.length = gather(message.payload, 0, parts, count);
	errno = ENOTRECOVERABLE;
	return message.answer;
}

unsigned capture_classify(int fd)
{
	tell("classify %d ", fd);
	return FD_PASS;
}

bool capture_still(int fd, unsigned state)
{
	return capture_state(fd) == state;
}

bool capture_syslog(void)
{
	return played_control.capture_syslog;
}

void capture_order(unsigned state)
{
	(void)state;
}

void capture_pass(unsigned state)
{
	(void)state;
}

void capture_settle(enum session_wait what, uint64_t timeout_ns)
{
	(void)what;
	(void)timeout_ns;
}

void capture_created(int fd)
{
	if (fd >= 0)
		tell("created ");
}

void capture_closed(int fd)
{
	tell("closed %d ", fd);
}

void capture_copied(int from, int to)
{
	tell("copied %d %s ", from, to < 0 ? "in vain" : "well");
}

void capture_opened(int fd, const char *path, int flags)
{
	tell("opened %s %s %o ", fd < 0 ? "in vain" : "well", path, (unsigned)flags);
}

size_t memory_readable(const void *at, size_t bytes)
{
	return (uintptr_t)at < 4096 ? 0 : bytes;
}

void memory_changed(void)
{
	tell("memory ");
}

void shim_start(void)
{
}

void thread_refresh(void)
{
}

void thread_renamed(void)
{
	tell("renamed ");
}

bool thread_borrows(void)
{
	return false;
}

static void forget(void)
{
	said.length = said.calls = 0;
	message.calls = 0;
	message.length = 0;
	told[0] = 0;
}

/* Listening; descriptor 2 is captured, 0 and 1 are known not to be. */
static int play(void **state)
{
	(void)state;
	memset(&shim, 0, sizeof shim);
	memset(&played_control, 0, sizeof played_control);
	forget();
	message.answer = 0;
	played_control.capture_syslog = 1;
	played_control.state = SESSION_LIVE;
	shim.chosen_count = 1;
	shim.chosen[0].fd = STDERR_FILENO;
	played_epoch.value = 1;
	shim_thread.epoch = 1;
	shim.session.control = &played_control;
	shim.epoch = &played_epoch;
	shim.stage = SHIM_LISTENING;
	shim.fds[0] = shim.fds[1] = FD_PASS;
	shim.fds[2] = FD_CAPTURED;
	return 0;
}

/* ---- what the original writes on descriptor 2 ------------------------------------------------------ */

static int kept_stderr = -1, stderr_file = -1;

static void __attribute__((unused)) divert_stderr(void)
{
	fflush(stderr);
	kept_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
	stderr_file = memfd_create("stderr", MFD_CLOEXEC);
	if (kept_stderr < 0 || stderr_file < 0 || dup2(stderr_file, STDERR_FILENO) < 0)
		abort();
}

/* The text, ended by a NUL, in memory of the test's; its length. */
static size_t __attribute__((unused)) restore_stderr(char *to, size_t bytes)
{
	int saved = errno;

	dup2(kept_stderr, STDERR_FILENO);
	close(kept_stderr);
	ssize_t n = pread(stderr_file, to, bytes - 1, 0);
	close(stderr_file);
	if (n < 0)
		abort();
	to[n] = 0;
	errno = saved;
	return (size_t)n;
}

#endif
