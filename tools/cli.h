/*
 * cli.h - the manners of the hark command: verbs and options out of cmds.def, help, one-line errors.
 */
#ifndef HARK_TOOLS_CLI_H
#define HARK_TOOLS_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "lib/config/config.h"

enum cli_status {
	CLI_FAILED = 125,     /* hark itself */
	CLI_CANNOT = 126,     /* PROG was found but cannot be executed */
	CLI_NOT_FOUND = 127,
};

struct cli;

extern const struct cli_command {
	const char *name;
	const char *arguments;
	const char *doc;
	int (*run)(struct cli *cli);
		/* returns the exit status */
	bool shown;           /* false: not for people */
	bool settings;        /* takes the options of settings.def, too */
} cli_commands[];
extern const size_t cli_command_count;

extern const struct cli_option {
	const char *command;
	const char *option;
	const char *metavar;  /* NULL: a flag */
	const char *doc;
} cli_options[];
extern const size_t cli_option_count;

/* A walk over a command's arguments. */
struct cli {
	const struct cli_command *command;
	char **next;          /* the first argument that was not looked at */
	bool words_only;      /* behind -- */
	unsigned words;       /* that were taken for --data's value */
	const char *option;   /* CLI_OPTION: its name, as in the table */
	const struct setting *setting; /* CLI_OPTION: its row in settings.def; NULL: it has none */
	const char *value;    /* CLI_OPTION: NULL for a flag; CLI_WORD: the word */
};

enum cli_found { CLI_END, CLI_OPTION, CLI_WORD, CLI_WRONG };

enum cli_found cli_next(struct cli *cli);
/* CLI_WRONG: it was no option of this command, and the user has been told. --help prints the
	 * command's help and ends the process. */
int cli_only(struct cli *cli, bool *json, const char **word);
/* For commands with no option but --json and at most one word: walks over all of it. word: NULL
	 * where there may be none; else what was given, or NULL. 0, or -EINVAL: the user has been told. */
int cli_number(const struct cli *cli, int least, int *number);
	/* The value of the present option. 0, or -EINVAL: the user has been told. */
const struct cli_command *cli_find(const char *name);
void cli_help(const struct cli_command *command);
const char *cli_nearest_command(const char *word);
	/* for people's misspellings; NULL: nothing is near */

void cli_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* "hark: …" as one line on standard error, control characters made harmless. Survives a broken
	 * pipe without a signal, keeps errno. */
void cli_say_on(int fd);
	/* Where that is from now on, -1: nowhere. At first 2. */
void cli_wrap(FILE *to, unsigned indent, const char *text);
	/* paragraphs of at most 80 columns */

#endif
