/*
 * test_syslog_text.c - what the syslog hooks make of a call (shim/hook_syslog.c), against libc's own.
 *
 * libc puts the line that it makes on stderr when LOG_PERROR asks for it: that is compared. It gets no
 * descriptor for its socket, so that no daemon of this machine hears of us.
 */
#include "tests/unit/shim_case.h"

#include <dlfcn.h>
#include <sys/resource.h>

#include "shim/hook_syslog.c"

bool hook_stdio_public;

static char original_text[SAID_MOST];

__attribute__((format(printf, 2, 3))) static size_t by_libc(int priority, const char *format, ...)
{
	void (*own)(int, const char *, va_list) = (void (*)(int, const char *, va_list))dlsym(
		RTLD_NEXT, "vsyslog");
	struct rlimit limit, none;
	va_list arguments;
	int error = errno;

	getrlimit(RLIMIT_NOFILE, &limit);
	none = limit;
	none.rlim_cur = 3;
	divert_stderr();
	setrlimit(RLIMIT_NOFILE, &none);
	errno = error;
	va_start(arguments, format);
	own(priority, format, arguments);
	va_end(arguments);
	setrlimit(RLIMIT_NOFILE, &limit);
	return restore_stderr(original_text, sizeof original_text);
}

/* The same call by both: the same line on stderr, and errno as it was. */
#define SAME(priority, ...) \
	do { \
		forget(); \
		errno = ENOENT; \
		syslog(priority, __VA_ARGS__); \
		assert_int_equal(errno, ENOENT); \
		errno = ENOENT; \
		size_t n_ = by_libc(priority, __VA_ARGS__); \
		assert_int_equal(said.length, n_); \
		assert_memory_equal(said.bytes, original_text, n_); \
	} while (0)

static void assert_message(unsigned priority, const char *ident, const char *text)
{
	assert_int_equal(message.info.kind, RECORD_SYSLOG);
	assert_int_equal(message.info.source, SOURCE_SYSLOG);
	assert_int_equal(message.info.detail, priority);
	assert_string_equal(message.payload, ident);
	size_t at = strlen(ident) + 1;
	assert_int_equal(message.length - at, strlen(text));
	assert_memory_equal(message.payload + at, text, strlen(text));
}

static int fresh(void **state)
{
	openlog("fresh", 0, LOG_USER);
	closelog();
	setlogmask(0xff);
	return play(state);
}

static void test_line_is_libcs(void **state)
{
	static const char *const idents[] = { "somebody", "", "%s[1]: ", "with\nnewline" };
	static const int how[] = { LOG_PERROR, LOG_PERROR | LOG_PID, LOG_PERROR | LOG_CONS };
	(void)state;

	for (unsigned i = 0; i < 4; i++)
		for (unsigned h = 0; h < 3; h++) {
			openlog(idents[i], how[h], LOG_DAEMON);
			SAME(LOG_INFO, "plain");
			SAME(LOG_INFO, "%d and %s", 42, "words");
			SAME(LOG_INFO, "one newline\n");
			SAME(LOG_INFO, "two newlines\n\n");
			SAME(LOG_INFO, "in\nside");
			SAME(LOG_INFO, "%s", "");
			SAME(LOG_INFO, "\n");
			SAME(LOG_INFO, "NUL %c in it", 0);
			SAME(LOG_INFO, "NUL %c and newline\n", 0);
			SAME(LOG_INFO, "%m %s %m", "between");
			SAME(LOG_INFO, "%5000d|", 1);
		}
	closelog(); /* options stay */
	SAME(LOG_INFO, "no ident");
}

static void test_odd_priorities_are_libcs(void **state)
{
	(void)state;
	openlog("somebody", LOG_PERROR, LOG_USER);
	SAME(0x10000 | LOG_WARNING, "unknown bits, %m");
	SAME(-1, "all bits");
	SAME(99 << 3, "no such facility");
	setlogmask(~LOG_MASK(LOG_WARNING));
	SAME(0x10000 | LOG_WARNING, "only the complaint");
	setlogmask(~LOG_MASK(LOG_ERR));
	SAME(0x10000 | LOG_WARNING, "only the message");
	setlogmask(LOG_MASK(LOG_EMERG));
	SAME(0x10000 | LOG_WARNING, "neither");
	assert_int_equal(said.calls, 0);
}

static void test_record(void **state)
{
	(void)state;
	syslog(LOG_ERR, "%s %d", "text", 7);
	assert_message(LOG_USER | LOG_ERR, program_invocation_short_name, "text 7");
	openlog("somebody", LOG_PID, LOG_LOCAL2);
	syslog(LOG_WARNING, "no pid in the ident");
	assert_message(LOG_LOCAL2 | LOG_WARNING, "somebody", "no pid in the ident");
	syslog(LOG_MAIL | LOG_WARNING, "the call's facility wins");
	assert_message(LOG_MAIL | LOG_WARNING, "somebody", "the call's facility wins");
	syslog(LOG_INFO, "one newline goes\n\n");
	assert_message(LOG_LOCAL2 | LOG_INFO, "somebody", "one newline goes\n");
	syslog(LOG_INFO, "in\nside");
	assert_message(LOG_LOCAL2 | LOG_INFO, "somebody", "in\nside");
	syslog(LOG_INFO, "%s", "");
	assert_message(LOG_LOCAL2 | LOG_INFO, "somebody", "");
	__syslog_chk(LOG_INFO, 1, "checked %d", 1);
	assert_message(LOG_LOCAL2 | LOG_INFO, "somebody", "checked 1");
	assert_int_equal(said.calls, 0);
	assert_int_equal(message.calls, 7);
}

static void test_openlog(void **state)
{
	static char ident[16] = "before";
	(void)state;

	openlog(ident, 0, LOG_CRON);
	strcpy(ident, "after");
	openlog(NULL, 0, 1); /* no facility: kept, as is the ident */
	syslog(LOG_INFO, "x");
	assert_message(LOG_CRON | LOG_INFO, "after", "x");
	openlog(NULL, 0, 0); /* libc takes 0 at its word: LOG_KERN */
	syslog(LOG_INFO, "x");
	assert_message(LOG_KERN | LOG_INFO, "after", "x");
	openlog(NULL, 0, LOG_CRON);
	closelog();
	syslog(LOG_INFO, "x");
	assert_message(LOG_CRON | LOG_INFO, program_invocation_short_name, "x");
}

static void test_mask(void **state)
{
	(void)state;
	assert_int_equal(setlogmask(LOG_UPTO(LOG_WARNING)), 0xff);
	syslog(LOG_INFO, "masked");
	assert_int_equal(message.calls, 0);
	syslog(LOG_WARNING, "not masked");
	assert_int_equal(message.calls, 1);
	assert_int_equal(setlogmask(0), LOG_UPTO(LOG_WARNING));
	assert_int_equal(setlogmask(0xff), LOG_UPTO(LOG_WARNING));
}

static void test_errno_is_kept_and_seen(void **state)
{
	(void)state;
	errno = EACCES;
	syslog(LOG_INFO, "%m");
	assert_int_equal(errno, EACCES);
	assert_message(LOG_USER | LOG_INFO, program_invocation_short_name, "Permission denied");
	errno = EACCES;
	syslog(LOG_INFO, "%2000d %m", 1); /* the second pass sees the same */
	assert_int_equal(errno, EACCES);
	assert_memory_equal(message.payload + message.length - 19, "1 Permission denied", 19);
}

/* What cannot be formatted is not said, by libc neither. */
static void test_bad_text(void **state)
{
	static const wchar_t bad[] = { 0x110037, 0 };
	(void)state;

	openlog("somebody", LOG_PERROR, LOG_USER);
	errno = 0;
	syslog(LOG_INFO, "%ls", bad);
	assert_int_equal(errno, EILSEQ);
	assert_int_equal(message.calls, 0);
	assert_int_equal(by_libc(LOG_INFO, "%ls", bad), 0);
}

static void test_long(void **state)
{
	static char text[300001];
	(void)state;

	for (size_t n = 1000; n < sizeof text; n = n < 1100 ? n + 1 : n * 3) {
		memset(text, 'x', n);
		text[n] = 0;
		syslog(LOG_INFO, "%s", text);
		assert_message(LOG_USER | LOG_INFO, program_invocation_short_name, text);
	}
}

/* Where nobody listens any more, the original says it, once and with its own line on stderr. */
static void test_fallback(void **state)
{
	struct rlimit limit, none;
	(void)state;

	message.answer = -EPIPE;
	getrlimit(RLIMIT_NOFILE, &limit);
	none = limit;
	none.rlim_cur = 3;
	for (int mirror = 0; mirror < 3; mirror++) {
		if (mirror) {
			played_control.mirror = 1;
			message.answer = 0;
		}
		if (mirror == 2) { /* no syslog of ours at all */
			played_control.mirror = 0;
			played_control.capture_syslog = 0;
		}
		openlog("somebody", LOG_PERROR, LOG_USER);
		forget();
		divert_stderr();
		setrlimit(RLIMIT_NOFILE, &none);
		syslog(LOG_INFO, "said %s", "once");
		__syslog_chk(0x10000 | LOG_INFO, 1, "bits");
		setrlimit(RLIMIT_NOFILE, &limit);
		restore_stderr(original_text, sizeof original_text);
		assert_string_equal(original_text, "somebody: said once\n"
						   "somebody: syslog: unknown facility/"
						   "priority: 10006\n"
						   "somebody: bits\n");
		assert_int_equal(said.calls, 0);
		assert_int_equal(message.calls, mirror == 2 ? 0 : mirror ? 3
									 : 2);
		if (mirror == 1)
			assert_int_equal(message.info.flags, RECORD_MIRRORED);
	}
}

/* No system call of ours behind a seccomp filter: what does not fit the stack is the original's. */
static void test_sandboxed(void **state)
{
	(void)state;
	shim.sandboxed = true;
	syslog(LOG_INFO, "%1023d", 1);
	assert_int_equal(message.calls, 1);
	struct rlimit limit, none;
	getrlimit(RLIMIT_NOFILE, &limit);
	none = limit;
	none.rlim_cur = 3;
	setrlimit(RLIMIT_NOFILE, &none);
	syslog(LOG_INFO, "%1024d", 1);
	setrlimit(RLIMIT_NOFILE, &limit);
	assert_int_equal(message.calls, 1);
}

/* LOG_PERROR goes where descriptor 2 leads, if that is not captured. */
static void test_perror_uncaptured(void **state)
{
	(void)state;
	shim.fds[2] = FD_PASS;
	openlog("somebody", LOG_PERROR, LOG_USER);
	divert_stderr();
	syslog(LOG_INFO, "really");
	restore_stderr(original_text, sizeof original_text);
	assert_string_equal(original_text, "somebody: really\n");
	assert_int_equal(message.calls, 1);
}

static void *say_cancelled(void *masked)
{
	pthread_cancel(pthread_self());
	syslog(masked ? LOG_DEBUG : LOG_INFO, "too late");
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	return (char *)"alive";
}

static void test_cancellation_point(void **state)
{
	pthread_t thread;
	void *result;

	shim_thread.epoch = 0; /* of this thread only */
	pthread_create(&thread, NULL, say_cancelled, NULL);
	pthread_join(thread, &result);
	assert_ptr_equal(result, PTHREAD_CANCELED);
	assert_int_equal(message.calls, 0);
	setlogmask(~LOG_MASK(LOG_DEBUG));
	pthread_create(&thread, NULL, say_cancelled, state);
	pthread_join(thread, &result);
	assert_string_equal(result, "alive");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_line_is_libcs, fresh),
		cmocka_unit_test_setup(test_odd_priorities_are_libcs, fresh),
		cmocka_unit_test_setup(test_record, fresh),
		cmocka_unit_test_setup(test_openlog, fresh),
		cmocka_unit_test_setup(test_mask, fresh),
		cmocka_unit_test_setup(test_errno_is_kept_and_seen, fresh),
		cmocka_unit_test_setup(test_bad_text, fresh),
		cmocka_unit_test_setup(test_long, fresh),
		cmocka_unit_test_setup(test_fallback, fresh),
		cmocka_unit_test_setup(test_sandboxed, fresh),
		cmocka_unit_test_setup(test_perror_uncaptured, fresh),
		cmocka_unit_test_setup(test_cancellation_point, fresh),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
