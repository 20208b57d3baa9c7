/*
 * syslog.c - the syslog family. Each case states what must be reported: level, facility, ident, text.
 *
 * No syslog daemon is needed: without hark the messages go nowhere.
 */
#include "tests/preload/case.h"

#include <syslog.h>

#define PROGRAM "syslog" /* the ident of who never called openlog: the program's name */

extern void __syslog_chk(int priority, int flag, const char *format, ...);
extern void __vsyslog_chk(int priority, int flag, const char *format, va_list args);

__attribute__((format(printf, 2, 3))) static void by_vsyslog(int priority, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsyslog(priority, format, args);
	va_end(args);
}

static void by_vsyslog_chk(int priority, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	__vsyslog_chk(priority, 1, format, args);
	va_end(args);
}

static void say_syslog(void)
{
	syslog(LOG_ERR, "syslog %d %s", 42, "words");
	expect_syslog("error", "user", PROGRAM, "syslog 42 words");
}

static void say_vsyslog(void)
{
	by_vsyslog(LOG_NOTICE, "vsyslog %d", 42);
	expect_syslog("notice", "user", PROGRAM, "vsyslog 42");
}

static void say_syslog_chk(void)
{
	__syslog_chk(LOG_ERR, 1, "__syslog_chk %d", 42);
	expect_syslog("error", "user", PROGRAM, "__syslog_chk 42");
}

static void say_vsyslog_chk(void)
{
	by_vsyslog_chk(LOG_ERR, "__vsyslog_chk %d", 42);
	expect_syslog("error", "user", PROGRAM, "__vsyslog_chk 42");
}

static void say_levels(void)
{
	static const char *const names[] = { "emerg", "alert", "crit", "error",
					     "warning", "notice", "info", "debug" };

	for (int i = 0; i < 8; i++) {
		syslog(i, "ERROR is a word here, %s is the level", names[i]);
		char text[80];
		snprintf(text, sizeof(text), "ERROR is a word here, %s is the level", names[i]);
		expect_syslog(names[i], "user", PROGRAM, text);
	}
}

static void say_facilities(void)
{
	static const struct { int code; const char *name; } facilities[] = {
		{ LOG_MAIL, "mail" }, { LOG_DAEMON, "daemon" }, { LOG_AUTH, "auth" },
		{ LOG_SYSLOG, "syslog" }, { LOG_LPR, "lpr" }, { LOG_NEWS, "news" },
		{ LOG_UUCP, "uucp" }, { LOG_CRON, "cron" }, { LOG_AUTHPRIV, "authpriv" },
		{ LOG_FTP, "ftp" }, { LOG_LOCAL0, "local0" }, { LOG_LOCAL3, "local3" },
		{ LOG_LOCAL7, "local7" },
	};

	for (size_t i = 0; i < sizeof(facilities) / sizeof(*facilities); i++) {
		syslog(facilities[i].code | LOG_INFO, "to %s", facilities[i].name);
		char text[40];
		snprintf(text, sizeof(text), "to %s", facilities[i].name);
		expect_syslog("info", facilities[i].name, PROGRAM, text);
	}
}

static void say_openlog(void)
{
	openlog("somebody", LOG_PID | LOG_NDELAY, LOG_LOCAL2);
	syslog(LOG_WARNING, "after openlog");
	expect_syslog("warning", "local2", "somebody", "after openlog");
	syslog(LOG_MAIL | LOG_WARNING, "a facility in the call wins");
	expect_syslog("warning", "mail", "somebody", "a facility in the call wins");
}

static void say_openlog_again(void)
{
	openlog("first", 0, LOG_DAEMON);
	syslog(LOG_INFO, "one");
	expect_syslog("info", "daemon", "first", "one");
	openlog("second", LOG_ODELAY, 0);
	syslog(LOG_INFO, "two: a facility of 0 is the kernel's");
	expect_syslog("info", "kern", "second", "two: a facility of 0 is the kernel's");
	openlog(NULL, 0, LOG_CRON);
	syslog(LOG_INFO, "three: no ident leaves the ident");
	expect_syslog("info", "cron", "second", "three: no ident leaves the ident");
}

/* libc keeps the pointer: a program may change what it points to. */
static void say_openlog_pointer(void)
{
	static char ident[16] = "before";

	openlog(ident, 0, LOG_USER);
	syslog(LOG_INFO, "one");
	expect_syslog("info", "user", "before", "one");
	strcpy(ident, "after");
	syslog(LOG_INFO, "two");
	expect_syslog("info", "user", "after", "two");
}

static void say_closelog(void)
{
	openlog("somebody", LOG_NDELAY, LOG_LOCAL2);
	syslog(LOG_INFO, "one");
	expect_syslog("info", "local2", "somebody", "one");
	closelog();
	closelog();
	syslog(LOG_INFO, "after closelog the ident is the program's, the facility stays");
	expect_syslog("info", "local2", PROGRAM,
		      "after closelog the ident is the program's, the facility stays");
}

/* What LOG_PERROR puts on stderr is said on stderr, once more. */
static void say_perror(void)
{
	openlog("somebody", LOG_PERROR, LOG_USER);
	syslog(LOG_ERR, "also on stderr");
	expect_syslog("error", "user", "somebody", "also on stderr");
	syslog(LOG_ERR, "with its newline\n");
	expect_syslog("error", "user", "somebody", "with its newline");
}

static void say_perror_pid(void)
{
	char text[64];

	openlog("somebody", LOG_PERROR | LOG_PID, LOG_USER);
	syslog(LOG_ERR, "with its pid");
	expect_syslog("error", "user", "somebody", "with its pid");
	snprintf(text, sizeof(text), "somebody[%d]: with its pid", (int)getpid());
	expect_stderr(text);
}

static void say_perror_mixed(void)
{
	openlog("somebody", LOG_PERROR, LOG_USER);
	fprintf(stderr, "before\n");
	syslog(LOG_ERR, "between");
	expect_syslog("error", "user", "somebody", "between");
	fprintf(stderr, "after\n");
}

static void say_cons(void)
{
	openlog("somebody", LOG_CONS | LOG_NOWAIT, LOG_DAEMON);
	syslog(LOG_ERR, "for want of a daemon");
	expect_syslog("error", "daemon", "somebody", "for want of a daemon");
}

static void say_percent_m(void)
{
	openlog("somebody", 0, LOG_USER);
	errno = ENOENT;
	syslog(LOG_ERR, "%m, and %s %m", "again");
	expect_syslog("error", "user", "somebody",
		      "No such file or directory, and again No such file or directory");
	errno = EACCES;
	by_vsyslog(LOG_ERR, "%d%%m is not %m", 5);
	expect_syslog("error", "user", "somebody", "5%m is not Permission denied");
	errno = 0;
	syslog(LOG_ERR, "%m");
	expect_syslog("error", "user", "somebody", "Success");
	errno = EPIPE;
	__syslog_chk(LOG_ERR, 1, "chk %m");
	expect_syslog("error", "user", "somebody", "chk Broken pipe");
}

static void say_percent_text(void)
{
	syslog(LOG_INFO, "%s", "%m %n %s are text in an argument");
	expect_syslog("info", "user", PROGRAM, "%m %n %s are text in an argument");
}

static void say_setlogmask(void)
{
	state("setlogmask %d", setlogmask(LOG_UPTO(LOG_WARNING)));
	syslog(LOG_INFO, "masked");
	syslog(LOG_WARNING, "not masked");
	expect_syslog("warning", "user", PROGRAM, "not masked");
	state("setlogmask %d", setlogmask(0));
	state("setlogmask %d", setlogmask(LOG_MASK(LOG_DEBUG)));
	syslog(LOG_EMERG, "masked");
	syslog(LOG_DEBUG, "not masked");
	expect_syslog("debug", "user", PROGRAM, "not masked");
}

static void say_newlines(void)
{
	syslog(LOG_INFO, "first\nsecond\nthird");
	expect_syslog("info", "user", PROGRAM, "first\nsecond\nthird");
	syslog(LOG_INFO, "at the end\n");
	expect_syslog("info", "user", PROGRAM, "at the end");
}

static void say_long(void)
{
	static char text[5001];

	for (int i = 0; i < 5000; i++)
		text[i] = (char)('a' + i % 26);
	syslog(LOG_INFO, "%s", text);
	expect_syslog("info", "user", PROGRAM, text);
}

static void say_empty_ident(void)
{
	openlog("", 0, LOG_USER);
	syslog(LOG_INFO, "said by nobody");
	state("expect {\"source\":\"syslog\",\"level\":\"info\",\"msg\":\"said by nobody\"}");
}

static void say_between_stderr(void)
{
	for (int i = 0; i < 50; i++) {
		char text[32];

		snprintf(text, sizeof(text), "on stderr %d", i);
		expect_stderr(text);
		fprintf(stderr, "%s\n", text);
		snprintf(text, sizeof(text), "by syslog %d", i);
		syslog(LOG_INFO, "%s", text);
		expect_syslog("info", "user", PROGRAM, text);
	}
}

static const struct test_case cases[] = {
	CASE(syslog, "silent"),
	CASE(vsyslog, "silent"),
	CASE(syslog_chk, "silent"),
	CASE(vsyslog_chk, "silent"),
	CASE(levels, "silent"),
	CASE(facilities, "silent"),
	CASE(openlog, "silent"),
	CASE(openlog_again, "silent"),
	CASE(openlog_pointer, "silent"),
	CASE(closelog, "silent"),
	CASE(perror, ""),
	CASE(perror_pid, "stated"),
	CASE(perror_mixed, ""),
	CASE(cons, "silent"),
	CASE(percent_m, "silent"),
	CASE(percent_text, "silent"),
	CASE(setlogmask, "silent"),
	CASE(newlines, "silent"),
	CASE(long, "silent"),
	CASE(empty_ident, "silent"),
	CASE(between_stderr, "stated"),
};

CASES_MAIN(cases)
