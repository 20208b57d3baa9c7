/*
 * cli.c - see cli.h.
 */
#include "tools/cli.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/parse.h"
#include "lib/format/escape.h"
#include "tools/cmds.h"

enum { OPTIONS_MOST = 64, COLUMNS = 80 };

#define PUBLIC true
#define INTERNAL false
#define CMD(name, arguments, doc, shown, settings)                                                \
	{ #name, arguments, doc, cmd_##name, shown, settings },
const struct cli_command cli_commands[] = {
#include "tools/cmds.def"
};
const size_t cli_command_count = sizeof cli_commands / sizeof *cli_commands;

#define OPT(command, option, metavar, doc) { #command, option, metavar, doc },
const struct cli_option cli_options[] = {
#include "tools/cmds.def"
};
const size_t cli_option_count = sizeof cli_options / sizeof *cli_options;

/* ---- what hark has to say ---------------------------------------------------------------------- */

static int say_fd = STDERR_FILENO;

void cli_say_on(int fd)
{
	say_fd = fd;
}

/* Whoever reads our standard error may be gone. That would be the program's to find out, not ours. */
static void write_quietly(int fd, const char *text, size_t length)
{
	sigset_t broken, before, pending;
	const struct timespec none = { 0, 0 };

	sigemptyset(&broken);
	sigaddset(&broken, SIGPIPE);
	sigpending(&pending);
	sigprocmask(SIG_BLOCK, &broken, &before);
	while (write(fd, text, length) < 0 && errno == EINTR)
		;
	if (!sigismember(&pending, SIGPIPE))
		sigtimedwait(&broken, NULL, &none);
	sigprocmask(SIG_SETMASK, &before, NULL);
}

void cli_say(const char *format, ...)
{
	char line[2048] = "hark: ";
	const size_t start = strlen(line), room = sizeof line - start - 1;
	int error = errno;
	va_list arguments;

	if (say_fd < 0)
		return;
	va_start(arguments, format);
	int n = vsnprintf(line + start, room, format, arguments);
	va_end(arguments);
	if (n < 0)
		return;
	escape_tame(line); /* it may hold what a user, a file or a program gave */
	size_t length = strlen(line);
	line[length++] = '\n';
	write_quietly(say_fd, line, length);
	errno = error;
}

void cli_wrap(FILE *to, unsigned indent, const char *text)
{
	size_t column = 0;

	while (*text) {
		size_t word = strcspn(text, " ");
		if (column && column + 1 + word > COLUMNS) {
			putc('\n', to);
			column = 0;
		}
		column += (size_t)fprintf(to, "%*s%.*s", column ? 1 : (int)indent, "", (int)word,
					  text);
		text += word + (text[word] == ' ');
	}
	putc('\n', to);
}

/* ---- help -------------------------------------------------------------------------------------- */

const struct cli_command *cli_find(const char *name)
{
	for (size_t i = 0; i < cli_command_count; i++)
		if (strcmp(cli_commands[i].name, name) == 0)
			return &cli_commands[i];
	return NULL;
}

const char *cli_nearest_command(const char *word)
{
	const char *names[OPTIONS_MOST];
	size_t count = 0;

	for (size_t i = 0; i < cli_command_count; i++)
		if (cli_commands[i].shown)
			names[count++] = cli_commands[i].name;
	return parse_nearest(word, names, count);
}

static void help_setting(const struct setting *s)
{
	char text[512];

	printf("  %s%s%s  (%s)\n", s->option, s->metavar ? " " : "", s->metavar ? s->metavar : "",
	       s->variable);
	snprintf(text, sizeof text, "%s%s%s%s", s->doc,
		 s->repeatable ? "; may be given several times" : "",
		 s->metavar && *s->preset ? "; unless given: " : "", s->metavar ? s->preset : "");
	cli_wrap(stdout, 8, text);
	if (s->metavar) {
		snprintf(text, sizeof text, "accepted: %s", s->accepted);
		cli_wrap(stdout, 8, text);
	}
}

void cli_help(const struct cli_command *command)
{
	char text[512];

	printf("usage: hark %s %s\n\n", command->name, command->arguments);
	snprintf(text, sizeof text, "%c%s.", command->doc[0] & ~0x20, command->doc + 1);
	cli_wrap(stdout, 0, text);
	printf("\noptions:\n");
	for (size_t i = 0; command->settings && i < setting_count; i++)
		if (settings[i].option)
			help_setting(&settings[i]);
	for (size_t i = 0; i < cli_option_count; i++) {
		const struct cli_option *o = &cli_options[i];
		if (strcmp(o->command, command->name) != 0)
			continue;
		printf("  %s%s%s\n", o->option, o->metavar ? " " : "",
		       o->metavar ? o->metavar : "");
		cli_wrap(stdout, 8, o->doc);
	}
	printf("  --help\n        this text\n");
	if (command->settings)
		printf("\nAn option wins over its variable, and that over the file of --config. "
		       "More is in\n"
		       "hark(7), `hark show settings` and `hark show sinks`.\n");
}

/* ---- arguments --------------------------------------------------------------------------------- */

static enum cli_found unknown(const struct cli *cli, const char *given, size_t length)
{
	const char *names[OPTIONS_MOST];
	size_t count = 0;
	char word[64];

	for (size_t i = 0; i < cli_option_count; i++)
		if (strcmp(cli_options[i].command, cli->command->name) == 0)
			names[count++] = cli_options[i].option;
	for (size_t i = 0; cli->command->settings && i < setting_count; i++)
		if (settings[i].option)
			names[count++] = settings[i].option;
	names[count++] = "--help";
	snprintf(word, sizeof word, "%.*s", (int)length, given);
	const char *nearest = parse_nearest(word, names, count);
	cli_say("%s has no option %.*s%s%s%s; `hark %s --help` lists them", cli->command->name,
		(int)length, given, nearest ? "; did you mean " : "", nearest ? nearest : "",
		nearest ? "?" : "", cli->command->name);
	return CLI_WRONG;
}

static enum cli_found take_value(struct cli *cli, const char *metavar, const char *accepted,
				 const char *behind)
{
	cli->value = NULL;
	if (*behind == '=' && !metavar && !cli->setting) {
		cli_say("%s takes no value; `hark %s --help` says more", cli->option,
			cli->command->name);
		return CLI_WRONG;
	}
	if (*behind == '=')
		cli->value = behind + 1;
	else if (metavar && *cli->next)
		cli->value = *cli->next++;
	else if (metavar) {
		cli_say("%s needs a value%s%s; `hark %s --help` says more", cli->option,
			accepted ? ": " : "", accepted ? accepted : "", cli->command->name);
		return CLI_WRONG;
	}
	return CLI_OPTION;
}

/* Where the table shows a DIR beside --data, a word is its value, once. */
static enum cli_found word(struct cli *cli)
{
	bool takes = !cli->words && strstr(cli->command->arguments, "[DIR]");

	for (size_t i = 0; takes && i < cli_option_count; i++) {
		const struct cli_option *o = &cli_options[i];
		if (strcmp(o->command, cli->command->name) != 0 || strcmp(o->option, "--data") != 0)
			continue;
		cli->words = 1;
		cli->option = o->option;
		cli->setting = NULL;
		return CLI_OPTION;
	}
	return CLI_WORD;
}

enum cli_found cli_next(struct cli *cli)
{
	const char *given = *cli->next;

	if (!given)
		return CLI_END;
	cli->next++;
	if (!cli->words_only && strcmp(given, "--") == 0) {
		cli->words_only = true;
		return cli_next(cli);
	}
	cli->value = given;
	if (cli->words_only || given[0] != '-' || given[1] == '\0')
		return word(cli);
	if (strcmp(given, "--help") == 0 || strcmp(given, "-h") == 0) {
		cli_help(cli->command);
		exit(fflush(stdout) == 0 ? 0 : CLI_FAILED);
	}
	size_t length = strcspn(given, "=");
	for (size_t i = 0; i < cli_option_count; i++) {
		const struct cli_option *o = &cli_options[i];
		if (strcmp(o->command, cli->command->name) != 0 || strlen(o->option) != length ||
		    strncmp(o->option, given, length) != 0)
			continue;
		cli->option = o->option;
		cli->setting = NULL;
		return take_value(cli, o->metavar, NULL, given + length);
	}
	for (size_t i = 0; cli->command->settings && i < setting_count; i++) {
		const struct setting *s = &settings[i];
		if (!s->option || strlen(s->option) != length ||
		    strncmp(s->option, given, length) != 0)
			continue;
		cli->option = s->option;
		cli->setting = s;
		return take_value(cli, s->metavar, s->accepted, given + length);
	}
	return unknown(cli, given, length);
}

int cli_only(struct cli *cli, bool *json, const char **word)
{
	enum cli_found found;

	*json = false;
	if (word)
		*word = NULL;
	while ((found = cli_next(cli)) != CLI_END) {
		if (found == CLI_WRONG)
			return -EINVAL;
		if (found == CLI_OPTION) {
			*json = true;
		} else if (!word || *word) {
			cli_say("%s does not understand \"%s\"; `hark %s --help` says what it "
				"takes",
				cli->command->name, cli->value, cli->command->name);
			return -EINVAL;
		} else {
			*word = cli->value;
		}
	}
	return 0;
}

int cli_number(const struct cli *cli, int least, int *number)
{
	uint64_t value;

	if (parse_u64(cli->value, (uint64_t)least, INT32_MAX, &value) != 0) {
		cli_say("%s %s: not a number from %d on", cli->option, cli->value, least);
		return -EINVAL;
	}
	*number = (int)value;
	return 0;
}
