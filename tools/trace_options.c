/*
 * trace_options.c - see trace_options.h.
 */
#include "tools/trace_options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/filter.h"
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

static int wrong(const struct cli *cli, const char *what)
{
	cli_say("%s %s: %s; `hark %s --help` says more", cli->option, cli->value, what,
		cli->command->name);
	return -EINVAL;
}

static int take_globs(struct trace_options *options, const struct cli *cli, const char **list)
{
	static struct filter all;
	const char *why;
	size_t count = 0;

	filter_init(&all);
	for (size_t i = 0; options->only[i]; i++)
		filter_add(&all, options->only[i], false, &why);
	for (size_t i = 0; options->never[i]; i++)
		filter_add(&all, options->never[i], true, &why);
	if (filter_add(&all, cli->value, list == options->never, &why) != 0)
		return wrong(cli, why);
	while (list[count])
		count++;
	while (list[count])
		count++;
	for (const char *s = cli->value; *s;) {
		size_t length = filter_length(s);
		char *glob = strndup(s, length);

		if (!glob || count == TRACE_GLOBS) {
			free(glob);
			return wrong(cli, "these are more globs than it can hold (64)");
		}
		options->globs[options->glob_count++] = glob;
		list[count++] = glob;
		s += length;
		s += *s == ',';
	}
	return 1;
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
