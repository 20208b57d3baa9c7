/*
 * man.c - see man.h. Run once, when hark is built.
 *
 * Only what no table knows is written here.
 */
#include "tools/man.h"

#include <stdio.h>
#include <string.h>

#include "lib/session/lost.h"
#include "lib/sink/sink.h"
#include "tools/cli.h"

/* Text for mdoc(7): nothing in it may look like a request, an escape or an argument's quotation. */
static void put(const char *text)
{
	for (bool start = true; *text; text++) {
		if (start && (*text == '.' || *text == '\''))
			fputs("\\&", stdout);
		if (*text == '\\')
			fputs("\\e", stdout);
		else if (*text == '-')
			fputs("\\-", stdout);
		else if (*text == '"')
			fputs("\\(dq", stdout);
		else if (*text == '`')
			fputs("\\(ga", stdout);
		else
			putchar(*text);
		start = *text == '\n';
	}
}

static void put_line(const char *before, const char *text, const char *after)
{
	fputs(before, stdout);
	put(text);
	fputs(after, stdout);
}

static void put_header(const char *section, const char *what)
{
	printf(".\\\" Made by `hark show man%s`.\n.Dd November 2026\n.Dt HARK %s\n.Os\n.Sh NAME\n"
	       ".Nm hark\n.Nd %s\n", section, section, what);
}

static void put_options(const struct cli_command *command)
{
	for (size_t i = 0; command->settings && i < setting_count; i++) {
		const struct setting *s = &settings[i];
		if (!s->option)
			continue;
		put_line(".It Sy ", s->option, "");
		if (s->metavar)
			put_line(" Ar ", s->metavar, "");
		put_line("\n", s->doc, ".\n");
		if (s->metavar && *s->preset)
			put_line("Unless given: ", s->preset, ".\n");
		put_line("Accepted: ", s->accepted, ".\n");
		put_line("The variable is\n.Ev ", s->variable, " .\n");
	}
	for (size_t i = 0; i < cli_option_count; i++) {
		const struct cli_option *o = &cli_options[i];
		if (strcmp(o->command, command->name) != 0)
			continue;
		put_line(".It Sy ", o->option, "");
		if (o->metavar)
			put_line(" Ar ", o->metavar, "");
		put_line("\n", o->doc, ".\n");
	}
}

static void put_commands(void)
{
	printf(".Sh COMMANDS\n");
	for (size_t i = 0; i < cli_command_count; i++) {
		const struct cli_command *c = &cli_commands[i];
		if (!c->shown)
			continue;
		put_line(".Ss hark ", c->name, " ");
		put(c->arguments);
		put_line("\nIt ", c->doc, ".\n.Bl -tag -width 4n\n");
		put_options(c);
		printf(".It Sy \\-\\-help\nA short help.\n.El\n");
	}
}

void man_command(void)
{
	put_header("1", "listens to programs that nobody can rebuild");
	printf(".Sh SYNOPSIS\n.Nm\n.Op Cm run\n.Op Ar options\n.Op Fl \\-\n.Ar PROG Op Ar ARG "
	       "...\n");
	for (size_t i = 0; i < cli_command_count; i++)
		if (cli_commands[i].shown && strcmp(cli_commands[i].name, "run") != 0) {
			put_line(".Nm\n.Cm ", cli_commands[i].name, "\n");
			put(cli_commands[i].arguments);
			putchar('\n');
		}
	printf(".Sh DESCRIPTION\n"
	       ".Nm\n"
	       "starts an unmodified program and takes what it says on standard error and through\n"
	       ".Xr syslog 3\n"
	       "to the console, to files that rotate and to sockets.\n"
	       "It becomes the program: process id, exit status, signals and job control are those "
	       "of\n"
	       ".Ar PROG .\n"
	       "How it works and what it promises is in\n"
	       ".Xr hark 7 .\n");
	put_commands();
	printf(".Sh EXIT STATUS\n"
	       "That of\n.Ar PROG ,\nsignals included, because\n.Nm\nbecame it.\n"
	       ".Bl -tag -width 4n\n"
	       ".It 125\n.Nm\nitself failed, or was given something that it refuses.\n"
	       ".It 126\n.Ar PROG\nwas found but cannot be executed.\n"
	       ".It 127\n.Ar PROG\nwas not found.\n.El\n"
	       ".Sh EXAMPLES\n.Dl hark make \\-j8\n"
	       ".Dl hark \\-\\-to console \\-\\-to 'file:app.log?size=10M&keep=3' ./app\n"
	       ".Dl hark stats \\-\\-json\n"
	       ".Sh SEE ALSO\n.Xr ld.so 8 ,\n.Xr syslog 3 ,\n.Xr hark 7\n");
}

static void put_variables(void)
{
	printf(".Sh ENVIRONMENT\n"
	       "An option of\n.Cm hark run\n"
	       "wins over its variable, and that over the file of\n.Ev HARK_CONFIG .\n"
	       "With\n.Ev LD_PRELOAD\nalone, the variables are all there is.\n.Bl -tag -width "
	       "4n\n");
	for (size_t i = 0; i < setting_count; i++) {
		const struct setting *s = &settings[i];
		put_line(".It Ev ", s->variable, "\n");
		put(s->doc);
		put_line(".\nAccepted: ", s->accepted, ".\n");
		put_line("Unless given: ", *s->preset ? s->preset : "none", ".\n");
	}
	printf(".It Ev HARK_RUNTIME_DIR\nWhere sessions live; it must be the user's alone, mode "
	       "0700.\n"
	       "Otherwise the first usable of\n.Pa $XDG_RUNTIME_DIR/hark ,\n.Pa "
	       "/dev/shm/hark\\-UID\nand\n"
	       ".Pa /tmp/hark\\-UID .\n.El\n");
}

static void put_sinks(void)
{
	printf(".Sh SINKS\nA sink is written as\n"
	       ".Dl KIND[:TARGET][?key=value[&key=value...]]\n"
	       "with percent\\-encoding where a value needs it. One sink's trouble never delays "
	       "another.\n"
	       ".Bl -tag -width 4n\n");
	for (unsigned i = 0; i < SINK_KIND_NR; i++) {
		put_line(".It Li \"", sink_rows[i].syntax, "\"\n");
		put_line("", sink_rows[i].doc, "\n");
	}
	printf(".El\n.Pp\nThe keys:\n.Bl -tag -width 4n\n");
	for (size_t i = 0; i < spec_key_count; i++) {
		put_line(".It Li \"", spec_keys[i].name, "\" ");
		put_line("(", spec_keys[i].whose, ")\n");
		put_line("", spec_keys[i].doc, ".\n");
		if (spec_keys[i].accepted)
			put_line("Accepted: ", spec_keys[i].accepted, ".\n");
	}
	printf(".El\n.Sh FORMATS\n.Bl -tag -width 4n\n");
	for (size_t i = 0; i < format_count; i++) {
		put_line(".It Li \"", format_rows[i].name, "\"\n");
		put_line("", format_rows[i].doc, ".\n");
	}
	printf(".El\n");
}

static void put_deep(void)
{
	printf(".Sh DEEP MODE\n"
	       "Hooks do not hear a program that is static, that makes system calls by itself, or "
	       "that\n"
	       "runs with more privileges than its caller. In deep mode, descriptor 2 (and 1 where "
	       "stdout\n"
	       "is captured) is replaced by a pipe, or by a pseudo\\-terminal where it was a "
	       "terminal.\n"
	       "It is chosen by itself where the program itself is of that kind.\n.Pp\n"
	       "The pseudo\\-terminal keeps the window size that the terminal had at the start, "
	       "and\n"
	       "settings made on it do not reach the terminal. Standard input and\n.Pa /dev/tty\n"
	       "remain the real terminal, so that job control is not affected.\n");
}

static void put_losses(void)
{
	printf(".Sh LOSSES\n"
	       "What is lost is counted by reason, announced in every sink's stream as a warning "
	       "from the\n"
	       "source\n.Li hark ,\nand shown by\n.Cm hark stats .\n.Bl -tag -width 4n\n");
	for (unsigned i = 0; i < LOST_NR; i++) {
		put_line(".It Li \"", lost_key(i), "\"\n");
		put_line("", lost_sentence(i), ".\n");
	}
	printf(".El\n");
}

static void put_inspections(void)
{
	printf(".Sh INSPECTIONS\n"
	       ".Cm hark inspect \\-\\-json\n"
	       "prints one object for each program, with these keys.\n"
	       "What there is none of is null, false, 0 or an empty array.\n"
	       "A program that cannot be looked at has\n.Li name\nand\n.Li error\nalone.\n"
	       ".Bl -tag -width 4n\n");
#define KEY(name, doc) put_line(".It Li \"" #name "\"\n", doc, ".\n");
#include "tools/inspect_keys.def"
	printf(".El\n.Pp\n"
	       "A verdict on capture is\n.Li partly\n"
	       "where code of the program or its libraries makes system calls by itself whose\n"
	       "number is that of a call that writes, or is not to be seen;\n"
	       "whether they are ever made, no file tells.\n");
}

void man_overview(void)
{
	put_header("7", "how hark listens, and what it promises");
	printf(".Sh DESCRIPTION\n"
	       ".Xr hark 1\n"
	       "preloads a small library into an unmodified program. What the program writes to "
	       "the\n"
	       "captured descriptors, and what it says through\n.Xr syslog 3 ,\n"
	       "goes into a ring in shared memory; the program goes on. A collector, a process of "
	       "its\n"
	       "own, drains the ring and feeds the sinks. A session is a program with all its\n"
	       "descendants and one collector.\n"
	       ".Ss Promises\n.Bl -bullet\n"
	       ".It\nThe program cannot tell: the same results, process id, exit status and "
	       "descriptors.\n"
	       "When hark itself fails, output goes where it always went.\n"
	       ".It\nA message whose call has returned survives the program and the collector "
	       "being\n"
	       "killed. What is lost by the user's own choice of policy is counted and announced.\n"
	       ".It\nA captured call costs a fraction of the system call that it replaces.\n.El\n");
	put_variables();
	put_sinks();
	put_deep();
	put_losses();
	put_inspections();
	printf(".Sh FIGURES\n"
	       ".Cm hark stats \\-\\-json\n"
	       "prints one object:\n.Li messages\nand\n.Li bytes\nso far,\n.Li lost\nand\n.Li "
	       "lost_bytes\n"
	       "by reason,\n.Li queue_depth\n(bytes that wait in the ring) and\n.Li ring_bytes ,\n"
	       "how often the collector was restarted in\n.Li restarts ,\n"
	       "which messages bear the functions "
	       "that they were said from in\n.Li stack ,\nand for each of the\n.Li "
	       "sinks\n"
	       "its\n.Li spec , state , error , written_messages , written_bytes , queued_bytes ,\n"
	       ".Li lost_messages , lost_bytes\nand\n.Li reconnects .\n"
	       ".Sh SEE ALSO\n.Xr hark 1 ,\n.Xr ld.so 8\n");
}
