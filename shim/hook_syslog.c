/*
 * hook_syslog.c - the syslog family. libc keeps what openlog was told to itself, so we keep it, too.
 *
 * A captured message never goes near the daemon's socket. What LOG_PERROR asks for is written here.
 * Where the message is not ours after all, the original does everything: it was told all that we were.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "lib/base/text.h"
#include "shim/print.h"
#include "shim/real.h"
#include "shim/shim.h"

extern void __syslog_chk(int priority, int flag, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
extern void __vsyslog_chk(int priority, int flag, const char *format, va_list arguments)
	__attribute__((format(printf, 3, 0)));

enum { PRIORITY = LOG_PRIMASK | LOG_FACMASK };

/* What a message is captured with. Not a consistent whole: libc has a lock here, but a program that
 * calls openlog while others log gets some mixture in either case. */
static _Atomic(const char *) given_ident; /* the pointer: the program may change what it points to */
static _Atomic int options;
static _Atomic int default_facility = LOG_USER;
static _Atomic int mask = 0xff;

HOOKED void openlog(const char *ident, int option, int facility)
{
	if (ident)
		atomic_store_explicit(&given_ident, ident, memory_order_relaxed);
	atomic_store_explicit(&options, option, memory_order_relaxed);
	if (!(facility & ~LOG_FACMASK)) /* 0, too, is taken at its word: the kernel's facility */
		atomic_store_explicit(&default_facility, facility, memory_order_relaxed);
	REAL(openlog)(ident, option, facility);
}

HOOKED void closelog(void)
{
	atomic_store_explicit(&given_ident, NULL, memory_order_relaxed);
	REAL(closelog)();
}

HOOKED int setlogmask(int wanted)
{
	if (wanted)
		atomic_store_explicit(&mask, wanted, memory_order_relaxed);
	return REAL(setlogmask)(wanted);
}

static const char *ident_now(void)
{
	const char *ident = atomic_load_explicit(&given_ident, memory_order_relaxed);
	return ident ? ident : program_invocation_short_name;
}

/* The line as libc has it: up to a NUL, and with a newline unless the text had one at its very end. */
static void say_on_stderr(const char *ident, bool with_pid, const struct print *p)
{
	char number[16];
	struct text pid = text_in(number, sizeof number);
	struct iovec parts[5];
	unsigned n = 0;
	unsigned state = capture_state(STDERR_FILENO);

	if (with_pid) {
		text_char(&pid, '[');
		text_u64(&pid, shim_thread.author.pid);
		text_char(&pid, ']');
	}
	parts[n++] = (struct iovec){ (char *)ident, strlen(ident) };
	parts[n++] = (struct iovec){ number, pid.len };
	parts[n++] = (struct iovec){ (char *)": ", 2 };
	parts[n++] = (struct iovec){ p->text, strnlen(p->text, p->bytes) };
	if (p->bytes == 0 || p->text[p->bytes - 1] != '\n')
		parts[n++] = (struct iovec){ (char *)"\n", 1 };
	if (capture_is(state)) {
		capture_write(STDERR_FILENO, state, parts, n);
		return;
	}
	capture_order(state);
	REAL(writev)(STDERR_FILENO, parts, (int)n);
}

static int append(int priority, const char *ident, const struct print *p, bool mirror)
{
	struct record_info info = { .fd = UINT16_MAX,
				    .source = SOURCE_SYSLOG,
				    .kind = RECORD_SYSLOG };
	size_t bytes = p->bytes;

	if (bytes > 0 && p->text[bytes - 1] == '\n')
		bytes--;
	info.detail = (uint32_t)priority;
	info.flags = mirror ? RECORD_MIRRORED : 0;
	struct iovec parts[2] = { { (char *)ident, strlen(ident) + 1 }, { p->text, bytes } };
	return capture_message(&info, parts, 2);
}

/* 0: taken, or nothing to take. -EPIPE: it is the original's. errno is kept, but for a text that
 * cannot be formatted. */
__attribute__((format(printf, 4, 0))) static int take(int priority, bool mirror, int flag,
						      const char *format, va_list arguments)
{
	struct print p;

	if (!(LOG_MASK(LOG_PRI(priority)) & atomic_load_explicit(&mask, memory_order_relaxed)))
		return 0;
	pthread_testcancel(); /* as connecting and sending would be */
	int error = print_format(&p, flag, format, arguments);
	if (error)
		return error == -ENOMEM ? -EPIPE : 0;
	if (!(priority & LOG_FACMASK))
		priority |= atomic_load_explicit(&default_facility, memory_order_relaxed);
	int saved = errno;
	int how = atomic_load_explicit(&options, memory_order_relaxed);
	const char *ident = ident_now();
	error = append(priority, ident, &p, mirror);
	/* The original puts it on stderr first. Here it follows, since only now we know whose it is. */
	if (error == 0 && !mirror && how & LOG_PERROR)
		say_on_stderr(ident, how & LOG_PID, &p);
	print_free(&p);
	errno = saved;
	return error == -EPIPE ? -EPIPE : 0;
}

__attribute__((format(printf, 3, 4))) static int take_own(int priority, bool mirror,
							  const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	int error = take(priority, mirror, 0, format, arguments);
	va_end(arguments);
	return error;
}

__attribute__((format(printf, 3, 0))) static void original(int priority, int flag,
							   const char *format, va_list arguments)
{
	if (flag >= 0)
		REAL(__vsyslog_chk)(priority, flag, format, arguments);
	else
		REAL(vsyslog)(priority, format, arguments);
}

/* flag -1: not a checked call */
__attribute__((format(printf, 3, 0))) static void say(int priority, int flag, const char *format,
						      va_list arguments)
{
	if (!capture_syslog()) {
		original(priority, flag, format, arguments);
		return;
	}
	bool mirror = shim.session.control->mirror;
	int error = 0, sound = priority & PRIORITY;
	if (__builtin_expect(sound != priority, 0)) /* in libc's words, and at its odd priority */
		error = take_own(LOG_ERR | LOG_CONS | LOG_PERROR | LOG_PID, mirror,
				 "syslog: unknown facility/priority: %x", (unsigned)priority);
	if (!error) {
		error = take(sound, mirror, flag > 0 ? flag : 0, format, arguments);
		if (!mirror)
			priority = sound; /* of the rest we have spoken already */
	}
	if (mirror || error)
		original(priority, flag, format, arguments);
}

HOOKED void vsyslog(int priority, const char *format, va_list arguments)
{
	say(priority, -1, format, arguments);
}

HOOKED void syslog(int priority, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say(priority, -1, format, arguments);
	va_end(arguments);
}

HOOKED void __vsyslog_chk(int priority, int flag, const char *format, va_list arguments)
{
	say(priority, flag, format, arguments);
}

HOOKED void __syslog_chk(int priority, int flag, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say(priority, flag, format, arguments);
	va_end(arguments);
}
