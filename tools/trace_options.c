/*
 * trace_options.c - see trace_options.h.
 */
#include "tools/trace_options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/parse.h"

void trace_options_init(struct trace_options *options)
{
	const char *data = getenv("HARK_DATA");

	*options = (struct trace_options){ .data = data && *data ? data : "hark.data" };
}

void trace_options_fini(struct trace_options *options)
{
	for (size_t i = 0; i < options->glob_count; i++)
		free(options->globs[i]);
	options->glob_count = 0;
}

/* The end of the glob that s begins with. The commas of `f<int, char>(int, int)` are its own. */
static size_t glob_length(const char *s)
{
	size_t length = 0;
	unsigned inside = 0;

	for (; s[length] && (s[length] != ',' || inside); length++) {
		if (strchr("<(", s[length]))
			inside++;
		else if (strchr(">)", s[length]) && inside)
			inside--;
	}
	return length;
}

static int wrong(const struct cli *cli, const char *what)
{
	cli_say("%s %s: %s; `hark %s --help` says more", cli->option, cli->value, what,
		cli->command->name);
	return -EINVAL;
}

static int take_globs(struct trace_options *options, const struct cli *cli, const char **list)
{
	size_t count = 0;

	while (list[count])
		count++;
	for (const char *s = cli->value; *s;) {
		size_t length = glob_length(s);
		char *glob = length ? strndup(s, length) : NULL;

		if (!length)
			return wrong(cli, "a name or glob is missing");
		if (!glob || count == TRACE_GLOBS) {
			free(glob);
			return wrong(cli, "these are more globs than it can hold (64)");
		}
		options->globs[options->glob_count++] = glob;
		list[count++] = glob;
		s += length;
		if (*s == ',' && !*++s)
			return wrong(cli, "a name or glob is missing");
	}
	return count ? 1 : wrong(cli, "a name or glob is missing");
}

static int take_number(const struct cli *cli, uint64_t most, uint64_t *number)
{
	if (parse_u64(cli->value, 1, most, number) != 0)
		return wrong(cli, "not a number from 1 on");
	return 1;
}

int trace_options_take(struct trace_options *options, const struct cli *cli)
{
	struct calls_filter *filter = &options->filter;
	uint64_t number = 0;
	int rc = 1;

	if (strcmp(cli->option, "--data") == 0) {
		options->data = cli->value;
	} else if (strcmp(cli->option, "--filter") == 0) {
		rc = take_globs(options, cli, options->only);
		filter->only = options->only;
	} else if (strcmp(cli->option, "--notrace") == 0) {
		rc = take_globs(options, cli, options->never);
		filter->never = options->never;
	} else if (strcmp(cli->option, "--module") == 0) {
		filter->module = cli->value;
	} else if (strcmp(cli->option, "--thread") == 0) {
		filter->thread = cli->value;
	} else if (strcmp(cli->option, "--depth") == 0) {
		rc = take_number(cli, UINT32_MAX, &number);
		filter->depth = (uint32_t)number;
	} else if (strcmp(cli->option, "--tid") == 0) {
		rc = take_number(cli, INT32_MAX, &number);
		filter->tid = (int32_t)number;
	} else if (strcmp(cli->option, "--min-time") == 0) {
		if (parse_duration(cli->value, &filter->min_ns) != 0)
			rc = wrong(cli, "not a duration such as 10us or 1.5ms");
	} else {
		rc = 0;
	}
	return rc;
}
