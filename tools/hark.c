/*
 * hark.c - the hark command: finds the verb. What each does is in a file of its own, see cmds.def.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/sink/sink.h"
#include "tools/cli.h"

#ifndef HARK_VERSION
#define HARK_VERSION "unknown"
#endif

static bool bold;

static void print_heading(const char *text)
{
	printf("\n%s%s%s\n", bold ? "\033[1m" : "", text, bold ? "\033[m" : "");
}

static void print_screen(void)
{
	bold = isatty(STDOUT_FILENO) &&
	       sink_console_color(COLOR_AUTO, true, getenv("NO_COLOR"), getenv("CLICOLOR_FORCE"),
				  getenv("TERM"));
	printf("hark " HARK_VERSION
	       " listens to programs that nobody can rebuild: what they say on stderr\n"
	       "and to syslog goes to the console, to files that rotate and to sockets.\n");
	print_heading("Try");
	printf("  hark ls / /nowhere\n"
	       "  hark run --to console --to 'file:ls.log?size=10M&keep=3' ls / /nowhere\n"
	       "  hark run --to 'file:ls.json?format=json' sh -c 'ls / /nowhere'\n");
	print_heading("Commands");
	for (size_t i = 0; i < cli_command_count; i++)
		if (cli_commands[i].shown)
			printf("  hark %-8s %.*s\n", cli_commands[i].name,
			       (int)strcspn(cli_commands[i].doc, ",:;"), cli_commands[i].doc);
	print_heading("Read on");
	printf("  hark run --help       all options\n"
	       "  hark show sinks       where messages can go; hark show formats: as what\n"
	       "  man 7 hark            how it works, and what it promises\n");
}

static int run_command(const struct cli_command *command, char **arguments)
{
	struct cli cli = { .command = command, .next = arguments };
	int status = command->run(&cli);

	if (fflush(stdout) != 0 || ferror(stdout)) {
		cli_say("cannot write to standard output: %s", strerror(errno));
		return CLI_FAILED;
	}
	return status;
}

int main(int argc, char **argv)
{
	const char *first = argc > 1 ? argv[1] : "";

	/* Files, sockets and the program are named by the caller, to be used with the caller's rights. */
	if (getauxval(AT_SECURE)) {
		cli_say("it has more rights than who started it (setuid, setgid or file "
			"capabilities), and is not made for that");
		return CLI_FAILED;
	}
	if (argc < 2 || strcmp(first, "--help") == 0 || strcmp(first, "-h") == 0) {
		print_screen();
		return fflush(stdout) == 0 ? 0 : CLI_FAILED;
	}
	if (strcmp(first, "--version") == 0 || strcmp(first, "-V") == 0) {
		printf("hark " HARK_VERSION "\n");
		return fflush(stdout) == 0 ? 0 : CLI_FAILED;
	}
	/* libc's own, which has a version: under faketime a session would begin at another time than the
	 * one its collector lives in. */
	clock_use((clock_function)dlvsym(RTLD_NEXT, "clock_gettime", "GLIBC_2.17"));
	const struct cli_command *command = cli_find(first);
	/* PROG, or an option that comes before it */
	if (!command)
		return run_command(cli_find("run"), argv + 1);
	return run_command(command, argv + 2);
}
