/*
 * show_as.c - see show_as.h. Called by report, graph and diff.
 */
#include "tools/show_as.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/parse.h"
#include "lib/base/text.h"
#include "lib/format/escape.h"

int show_as_choice(const struct cli *cli, const char *const *choices, unsigned *chosen)
{
	char list[256];
	struct text all = text_in(list, sizeof list);
	unsigned count = 0;

	for (; choices[count]; count++) {
		if (strcmp(cli->value, choices[count]) == 0) {
			*chosen = count;
			return 0;
		}
		text_str(&all, count ? ", " : "");
		text_str(&all, choices[count]);
	}
	const char *nearest = parse_nearest(cli->value, choices, count);
	cli_say("%s %s: not one of %s%s%s%s", cli->option, cli->value, text_cstr(&all),
		nearest ? "; did you mean " : "", nearest ? nearest : "", nearest ? "?" : "");
	return -EINVAL;
}

int show_as_format(const struct cli *cli, bool *json)
{
	static const char *const formats[] = { "text", "json", NULL };
	unsigned chosen = 0;
	int rc = show_as_choice(cli, formats, &chosen);

	*json = chosen == 1;
	return rc;
}

int show_as_unknown(const struct cli *cli)
{
	cli_say("%s does not understand \"%s\"; `hark %s --help` says what it takes",
		cli->command->name, cli->value, cli->command->name);
	return CLI_FAILED;
}

char *show_as_safe(const char *name)
{
	char *copy = strdup(name);

	if (!copy) {
		cli_say("there is no memory");
		exit(CLI_FAILED);
	}
	escape_tame(copy);
	return copy;
}
