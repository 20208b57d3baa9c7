/*
 * reporters.c - the functions of libc that report on stderr by themselves.
 *
 * perror, psignal, err and warn, error, assert, getopt, argp, and those that bypass stdio: herror,
 * psiginfo, backtrace_symbols_fd. libc's own last words before it aborts are in lastwords.c.
 */
#include "tests/preload/case.h"

#include <argp.h>
#include <assert.h>
#include <err.h>
#include <error.h>
#include <execinfo.h>
#include <getopt.h>
#include <malloc.h>
#include <netdb.h>
#include <signal.h>
#include <wchar.h>

extern void __assert(const char *assertion, const char *file, int line);

static void say_perror(void)
{
	errno = ENOENT;
	perror("perror says");
}

static void say_perror_bare(void)
{
	errno = EACCES;
	perror(NULL);
	errno = EPERM;
	perror("");
	errno = 12345;
	perror("no such error");
}

static void say_perror_wide(void)
{
	fwide(stderr, 1);
	errno = EAGAIN;
	perror("perror on a wide stream");
}

static void say_perror_after_stdio(void)
{
	fprintf(stderr, "the stream has an orientation now\n");
	errno = EINTR;
	perror("perror again");
}

static void say_psignal(void)
{
	psignal(SIGSEGV, "psignal says");
	psignal(SIGUSR1, NULL);
	psignal(SIGRTMIN + 2, "real time");
	psignal(4711, "no such signal");
}

static void say_psiginfo(void)
{
	siginfo_t info;

	memset(&info, 0, sizeof(info));
	info.si_signo = SIGSEGV;
	info.si_code = SEGV_MAPERR;
	info.si_addr = (void *)0x1234;
	psiginfo(&info, "psiginfo says");
	psiginfo(&info, NULL);
	info.si_signo = SIGCHLD;
	info.si_code = CLD_EXITED;
	info.si_pid = 17;
	info.si_uid = 18;
	info.si_status = 19;
	psiginfo(&info, "a child");
}

static void say_psiginfo_queued(void)
{
	siginfo_t info;

	memset(&info, 0, sizeof(info));
	info.si_signo = SIGRTMIN + 1;
	info.si_code = SI_QUEUE;
	info.si_pid = 17;
	info.si_uid = 18;
	psiginfo(&info, "queued");
	info.si_signo = SIGUSR1;
	info.si_code = SI_USER;
	psiginfo(&info, "by kill");
}

static void say_err(void) { errno = ENOENT; err(3, "err %d", 1); }
static void say_err_bare(void) { errno = ENOENT; err(4, NULL); }
static void say_errx(void) { errx(5, "errx %s", "leaves"); }
static void say_errx_bare(void) { errx(6, NULL); }
static void say_warn(void) { errno = EIO; warn("warn %d", 1); state("errno %d", errno); }
static void say_warn_bare(void) { errno = EIO; warn(NULL); warnx(NULL); }
static void say_warnx(void) { warnx("warnx %s", "stays"); }
static void say_warn_wide(void) { fwide(stderr, 1); errno = EIO; warn("warn, wide"); warnx("x"); }

static void with_list(int which, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	errno = EPIPE;
	switch (which) {
	case 0: vwarn(format, args); break;
	case 1: vwarnx(format, args); break;
	case 2: verr(7, format, args); break;
	default: verrx(8, format, args); break;
	}
	va_end(args);
}

static void say_vwarn(void) { with_list(0, "vwarn %d", 1); }
static void say_vwarnx(void) { with_list(1, "vwarnx %d", 1); }
static void say_verr(void) { with_list(2, "verr %d", 1); }
static void say_verrx(void) { with_list(3, "verrx %d", 1); }

static void own_name(void)
{
	fputs("a name of its own: ", stderr);
}

static void say_error(void)
{
	error(0, 0, "error %d", 1);
	error(0, ENOENT, "error with errno");
	state("error_message_count %u", error_message_count);
	error(9, EBUSY, "error leaves");
}

static void say_error_at_line(void)
{
	error_at_line(0, 0, "file.c", 17, "error_at_line %d", 1);
	error_at_line(0, ENOENT, NULL, 18, "without a file");
	error_one_per_line = 1;
	error_at_line(0, 0, "file.c", 19, "once");
	error_at_line(0, 0, "file.c", 19, "and not twice");
	error_at_line(10, 0, "file.c", 20, "the last");
}

static void say_error_own_name(void)
{
	error_print_progname = own_name;
	error(0, 0, "error with a printer of names");
}

static void say_error_stdout_first(void)
{
	printf("on stdout before\n");
	error(0, 0, "error flushes stdout first");
}

static void say_error_wide(void)
{
	fwide(stderr, 1);
	error(0, ENOENT, "error on a wide stream");
}

static void say_herror(void)
{
	h_errno = HOST_NOT_FOUND;
	herror("herror says");
	h_errno = TRY_AGAIN;
	herror(NULL);
	h_errno = 4711;
	herror("no such error");
}

static void say_assert(void)
{
	assert(!"the assertion that fails");
}

static void say_assert_perror(void)
{
	assert_perror(ENOSPC);
}

static void say_assert_old(void)
{
	__assert("an assertion by hand", "file.c", 21);
}

static const struct option long_options[] = {
	{ "alpha", no_argument, NULL, 'a' },
	{ "alpine", no_argument, NULL, 'p' },
	{ "needs", required_argument, NULL, 'n' },
	{ NULL, 0, NULL, 0 },
};

static void options(int which, char **argv)
{
	int argc = 0, c;

	while (argv[argc])
		argc++;
	optind = 0;
	for (;;) {
		if (which == 0)
			c = getopt(argc, argv, "an:W;");
		else if (which == 1)
			c = getopt_long(argc, argv, "an:", long_options, NULL);
		else
			c = getopt_long_only(argc, argv, "n:", long_options, NULL);
		if (c == -1)
			break;
		state("option %c %c", c, optopt > 31 && optopt < 127 ? optopt : '-');
	}
}

static void say_getopt(void)
{
	options(0, (char *[]){ (char *)"prog", (char *)"-x", (char *)"-a", (char *)"-n", NULL });
}

static void say_getopt_long(void)
{
	options(1, (char *[]){ (char *)"prog", (char *)"--alp", (char *)"--unknown",
			       (char *)"--alpha=5", (char *)"-z", (char *)"--needs", NULL });
}

static void say_getopt_long_only(void)
{
	options(2, (char *[]){ (char *)"prog", (char *)"-alp", (char *)"-unknown", (char *)"-needs",
			       NULL });
}

static error_t parse_option(int key, char *arg, struct argp_state *argp_state)
{
	(void)arg;
	if (key == 'e')
		argp_error(argp_state, "argp_error %d", 1);
	else if (key == 'f')
		argp_failure(argp_state, 12, ENOENT, "argp_failure %d", 1);
	else if (key == 'u')
		argp_usage(argp_state);
	else if (key == 'h')
		argp_state_help(argp_state, stderr, ARGP_HELP_STD_HELP);
	else
		return ARGP_ERR_UNKNOWN;
	return 0;
}

static const struct argp_option argp_table[] = {
	{ "error", 'e', NULL, 0, "fails by argp_error", 0 },
	{ "failure", 'f', NULL, 0, "fails by argp_failure", 0 },
	{ NULL, 0, NULL, 0, NULL, 0 },
};

static void parse(char *option)
{
	struct argp argp = { argp_table, parse_option, "ARG", "What it is for.", NULL, NULL, NULL };
	char *argv[] = { (char *)"prog", option, NULL };

	state("argp_parse %d", argp_parse(&argp, 2, argv, 0, NULL, NULL));
}

static void say_argp_unknown(void) { parse((char *)"--unknown"); }
static void say_argp_error(void) { parse((char *)"--error"); }
static void say_argp_failure(void) { parse((char *)"--failure"); }
static void say_argp_usage(void) { parse((char *)"-u"); }

static void say_argp_help(void)
{
	struct argp argp = { argp_table, parse_option, "ARG", "What it is for.", NULL, NULL, NULL };

	argp_help(&argp, stderr, ARGP_HELP_LONG | ARGP_HELP_USAGE, (char *)"prog");
}

static void say_malloc_stats(void)
{
	malloc_stats();
}

static void say_malloc_info(void)
{
	state("malloc_info %d", malloc_info(0, stderr));
}

static void say_backtrace_symbols_fd(void)
{
	void *frames[3];

	frames[0] = (void *)(size_t)&say_backtrace_symbols_fd;
	frames[1] = (void *)(size_t)&own_name;
	frames[2] = (void *)0x10;
	backtrace_symbols_fd(frames, 3, 2);
}

static void say_backtrace(void)
{
	void *frames[32];
	int nr = backtrace(frames, 32);

	backtrace_symbols_fd(frames, nr, 2);
}

static const struct test_case cases[] = {
	CASE(perror, ""),
	CASE(perror_bare, ""),
	CASE(perror_wide, ""),
	CASE(perror_after_stdio, ""),
	CASE(psignal, ""),
	CASE(psiginfo, ""),
	CASE(psiginfo_queued, ""),
	CASE(err, ""),
	CASE(err_bare, ""),
	CASE(errx, ""),
	CASE(errx_bare, ""),
	CASE(warn, ""),
	CASE(warn_bare, ""),
	CASE(warnx, ""),
	CASE(warn_wide, ""),
	CASE(vwarn, ""),
	CASE(vwarnx, ""),
	CASE(verr, ""),
	CASE(verrx, ""),
	CASE(error, ""),
	CASE(error_at_line, ""),
	CASE(error_own_name, ""),
	CASE(error_stdout_first, ""),
	CASE(error_wide, ""),
	CASE(herror, ""),
	CASE(assert, "late"),
	CASE(assert_perror, "late"),
	CASE(assert_old, "late"),
	CASE(getopt, ""),
	CASE(getopt_long, ""),
	CASE(getopt_long_only, ""),
	CASE(argp_unknown, ""),
	CASE(argp_error, ""),
	CASE(argp_failure, ""),
	CASE(argp_usage, ""),
	CASE(argp_help, ""),
	CASE(malloc_stats, ""),
	CASE(malloc_info, ""),
	CASE(backtrace_symbols_fd, "addresses"),
	CASE(backtrace, "addresses"),
};

CASES_MAIN(cases)
