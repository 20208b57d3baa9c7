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
#include "tools/reading.h"
#include "tools/show_as.h"

enum { NAMES_MOST = 32 };

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

/* A format's visitors take the address of the first member. */
struct exporting {
	struct export e;
	struct reading reading;
};

static void on_mark(void *arg, const struct trace_thread *thread, const struct mark *mark,
		    const struct call *innermost)
{
	struct exporting *x = arg;

	if (x->e.ops->visitor.mark)
		x->e.ops->visitor.mark(&x->e, thread, mark, innermost);
	if (mark->kind != MARK_DEATH) /* that is in the export, or nothing that it would show */
		reading_mark(&x->reading, thread, mark, innermost);
}

static void on_progress(void *arg, uint64_t done, uint64_t all)
{
	reading_progress(&((struct exporting *)arg)->reading, done, all);
}

static int walk(struct exporting *x)
{
	struct calls_visitor visitor = x->e.ops->visitor;

	visitor.mark = on_mark;
	visitor.progress = on_progress;
	int rc = (x->e.ops->merged ? calls_merge : calls_walk)(x->reading.calls, &visitor, x);
	/* What is behind the end of a walk that failed is not there: half a file would look whole. */
	export_fail(&x->e, rc);
	int written = export_close(&x->e);
	reading_tell(&x->reading, NULL);
	if (rc != 0)
		return reading_failed(&x->reading, rc);
	if (written != 0) {
		cli_say("%s: %s", x->e.path, strerror(-written));
		return CLI_FAILED;
	}
	return 0;
}

static int export_data(struct trace_options *options, const struct export_row *row,
		       const char *path)
{
	static struct exporting x;
	char name[64];
	int status = CLI_FAILED;

	snprintf(name, sizeof name, "hark%s", row->suffix);
	options->filter.lines = true;
	if (reading_open(&x.reading, options->data, &options->filter) != 0)
		return CLI_FAILED;
	if (reading_calls(&x.reading)) {
		bool late = options->filter.min_ns != 0;
		int rc = export_open(&x.e, row, &x.reading.dir, path ? path : name, late);

		if (rc != 0)
			cli_say("%s: %s", path ? path : name, strerror(-rc));
		else
			status = walk(&x);
	}
	if (status == 0 && *x.e.note)
		cli_say("%s", x.e.note);
	if (status == 0 && !path)
		cli_say("wrote %s", name);
	reading_close(&x.reading);
	return status;
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
			show_as_unknown(cli);
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
