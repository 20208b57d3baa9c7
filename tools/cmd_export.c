/*
 * cmd_export.c - `hark export`: a trace in the format of another tool.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/parse.h"
#include "lib/profile/export.h"
#include "tools/cmds.h"
#include "tools/progress.h"
#include "tools/trace_options.h"

enum { NAMES_MOST = 32 };

static struct progress progress;

static void show_progress(void *arg, uint64_t done, uint64_t all)
{
	(void)arg;
	progress_tell(&progress, done, all);
}

static const struct export_row *find_format(const char *name)
{
	const char *names[NAMES_MOST];
	char list[512] = "";
	size_t count = 0, length = 0;
	const struct export_row *row = name ? export_find(name) : NULL;

	for (size_t i = 0; i < export_count && !row && count < NAMES_MOST; i++) {
		names[count++] = export_rows[i].name;
		length += (size_t)snprintf(list + length, sizeof list - length, "%s%s",
					   i ? ", " : "", export_rows[i].name);
	}
	const char *near = name && !row ? parse_nearest(name, names, count) : NULL;
	if (!name)
		cli_say("export needs --format, one of %s", list);
	else if (!row)
		cli_say("--format %s: no such format%s%s%s; accepted: %s", name,
			near ? "; did you mean " : "", near ? near : "", near ? "?" : "", list);
	return row;
}

static int walk(struct export *e, struct trace_dir *dir, const struct calls_filter *filter)
{
	struct calls_visitor visitor = e->ops->visitor;
	struct calls *calls = calls_open(dir, filter);

	if (!calls) {
		export_fail(e, -ENOMEM);
		return export_close(e);
	}
	visitor.progress = show_progress;
	progress_begin(&progress, "reading the trace");
	int rc = (e->ops->merged ? calls_merge : calls_walk)(calls, &visitor, e);
	progress_end(&progress);
	/* Functions and their names are the walk's: the format is closed before that is. */
	int written = export_close(e);
	if (written != 0)
		cli_say("%s: %s", e->path, strerror(-written));
	calls_close(calls);
	return rc != 0 ? rc : written;
}

static int export_data(struct trace_options *options, const struct export_row *row, const char *path)
{
	char name[64];
	struct trace_dir dir;
	struct export e;
	int rc;

	if (trace_options_open(options, &dir) != 0)
		return CLI_FAILED;
	if (!trace_options_calls(&dir)) {
		trace_dir_close(&dir);
		return CLI_FAILED;
	}
	snprintf(name, sizeof name, "hark%s", row->suffix);
	options->filter.lines = true;
	rc = export_open(&e, row, &dir, path ? path : name, options->filter.min_ns != 0);
	if (rc != 0) {
		cli_say("%s: %s", path ? path : name, strerror(-rc));
		trace_dir_close(&dir);
		return CLI_FAILED;
	}
	rc = walk(&e, &dir, &options->filter);
	if (rc == 0 && *e.note)
		cli_say("%s", e.note);
	if (rc == 0 && !path)
		cli_say("wrote %s", name);
	return e.error ? trace_options_close(&dir, 0), CLI_FAILED : trace_options_close(&dir, rc);
}

int cmd_export(struct cli *cli)
{
	static struct trace_options options;
	const char *format = NULL, *path = NULL;
	enum cli_found found;
	int rc = 1, status = CLI_FAILED;

	trace_options_init(&options);
	while (rc > 0 && (found = cli_next(cli)) != CLI_END) {
		if (found == CLI_WRONG) {
			rc = -EINVAL;
		} else if (found == CLI_WORD) {
			cli_say("export does not understand \"%s\"; `hark export --help` says what it takes",
				cli->value);
			rc = -EINVAL;
		} else if (strcmp(cli->option, "--format") == 0) {
			format = cli->value;
		} else if (strcmp(cli->option, "-o") == 0) {
			path = cli->value;
		} else {
			rc = trace_options_take(&options, cli);
		}
	}
	const struct export_row *row = rc > 0 ? find_format(format) : NULL;
	if (row && row->ops->directory && path && strcmp(path, "-") == 0)
		cli_say("-o -: %s is a directory and needs a name", row->name);
	else if (row)
		status = export_data(&options, row, path);
	trace_options_fini(&options);
	return status;
}
