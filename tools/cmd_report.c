/*
 * cmd_report.c - `hark report`: the functions of a trace, each with its figures.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/profile/samples.h"
#include "tools/cmds.h"
#include "tools/difference.h"
#include "tools/flat.h"
#include "tools/json.h"
#include "tools/report_messages.h"
#include "tools/show_as.h"
#include "tools/units.h"

struct report {
	struct trace_options options;
	enum table_key sort;
	bool json;
	bool messages;
	const char *other;         /* --diff */
};

/* Of samples, what was not measured is not there. */
static void print_samples(const struct table_row *row)
{
	emit_number(stdout, ",", "total_ns", row->total_ns);
	emit_number(stdout, ",", "self_ns", row->self_ns);
	emit_number(stdout, ",", "threads", row->threads);
	emit_pair(stdout, ",", "method", "sample");
	emit_number(stdout, ",", "samples", row->samples);
	emit_number(stdout, ",", "self_samples", row->self_samples);
	printf(",\"estimated\":true}\n");
}

static void print_object(const struct table_row *row)
{
	emit_pair(stdout, "{", "function", row->function->name);
	emit_pair(stdout, ",", "module", row->function->module);
	emit_pair(stdout, ",", "file", row->function->file);
	if (row->function->line)
		emit_number(stdout, ",", "line", (uint64_t)row->function->line);
	else
		printf(",\"line\":null");
	if (row->sampled) {
		print_samples(row);
		return;
	}
	emit_number(stdout, ",", "calls", row->calls);
	emit_number(stdout, ",", "total_ns", row->total_ns);
	emit_number(stdout, ",", "self_ns", row->self_ns);
	emit_number(stdout, ",", "min_ns", row->min_ns);
	emit_number(stdout, ",", "avg_ns", row->avg_ns);
	emit_number(stdout, ",", "p50_ns", row->p50_ns);
	emit_number(stdout, ",", "p99_ns", row->p99_ns);
	emit_number(stdout, ",", "max_ns", row->max_ns);
	emit_number(stdout, ",", "threads", row->threads);
	emit_pair(stdout, ",", "method", calls_method(row->function));
	printf("}\n");
}

static void print_name(const struct table_row *row)
{
	char *name = show_as_safe(row->function->name);
	char *module = show_as_safe(row->function->module);
	bool shown = *module && strcmp(module, name) != 0;

	printf("%7" PRIu32 "  %s%s%s%s\n", row->threads, name, shown ? "  [" : "",
	       shown ? module : "", shown ? "]" : "");
	free(module);
	free(name);
}

static void print_sampled(const struct table_row *row)
{
	char text[UNITS_TEXT], estimate[UNITS_TEXT + 2];

	snprintf(estimate, sizeof estimate, "~%s", units_ns(text, row->total_ns));
	printf("%9s ", estimate);
	snprintf(estimate, sizeof estimate, "~%s", units_ns(text, row->self_ns));
	printf("%9s ", estimate);
	printf("%13s ", units_count(text, row->samples));
	printf("%13s ", units_count(text, row->self_samples));
	print_name(row);
}

static void print_row(const struct table_row *row)
{
	const uint64_t times[] = { row->total_ns, row->self_ns, row->min_ns, row->avg_ns,
				   row->p50_ns, row->p99_ns, row->max_ns };
	char text[UNITS_TEXT];

	for (unsigned i = 0; i < 2; i++)
		printf("%9s ", units_ns(text, times[i]));
	printf("%13s ", units_count(text, row->calls));
	for (unsigned i = 2; i < sizeof times / sizeof *times; i++)
		printf("%9s ", units_ns(text, times[i]));
	print_name(row);
}

/* What was recorded and what was sampled: two tables, for they have other columns. */
static void print_table(const struct flat *flat, bool sampled, const char *before)
{
	bool first = true;

	for (size_t i = 0; i < flat->count; i++) {
		if (flat->rows[i].sampled != sampled)
			continue;
		if (first && sampled)
			printf("%s%9s %9s %13s %13s %7s  %s\n", before, "TOTAL", "SELF",
			       "SAMPLES", "SELF SAMPLES", "THREADS", "FUNCTION (estimated)");
		else if (first)
			printf("%9s %9s %13s %9s %9s %9s %9s %9s %7s  %s\n", "TOTAL", "SELF",
			       "CALLS", "MIN", "AVG", "P50", "P99", "MAX", "THREADS", "FUNCTION");
		first = false;
		(sampled ? print_sampled : print_row)(&flat->rows[i]);
	}
}

/* Who looked at the stacks, how often, and whether he could have done so oftener. */
static void print_source(const struct samples *s)
{
	const struct trace_samples *head = &s->head;
	const uint64_t second = 1000000000;
	bool timer = head->source == TRACE_SOURCE_TIMER, capped = head->period_ns == head->least_ns;

	printf("\nsampled %s, %llu times a second of %s%s\n",
	       timer ? "by timers in the program" : "by the kernel, from outside",
	       (unsigned long long)((second + head->period_ns / 2) / head->period_ns),
	       head->mode == TRACE_SAMPLE_WALL ? "each thread" : "each thread's processor time",
	       capped ? ": at each tick of the kernel's, more cannot be had" : "");
}

static void print_rows(const struct flat *flat, bool json)
{
	bool calls = false, sampled = false;

	for (size_t i = 0; i < flat->count; i++) {
		calls |= !flat->rows[i].sampled;
		sampled |= flat->rows[i].sampled;
		if (json)
			print_object(&flat->rows[i]);
	}
	if (json)
		return;
	print_table(flat, false, "");
	print_table(flat, true, calls ? "\n" : "");
	if (sampled)
		print_source(flat->reading.dir.samples);
}

static int take_options(struct cli *cli, struct report *report)
{
	enum cli_found found;
	unsigned key;

	while ((found = cli_next(cli)) != CLI_END) {
		if (found == CLI_WRONG)
			return -EINVAL;
		if (found == CLI_WORD) {
			show_as_unknown(cli);
			return -EINVAL;
		}
		int rc = trace_options_take(&report->options, cli);
		if (rc == 0 && strcmp(cli->option, "--sort") == 0) {
			rc = show_as_choice(cli, table_keys, &key);
			if (rc == 0)
				report->sort = (enum table_key)key;
		} else if (rc == 0 && strcmp(cli->option, "--format") == 0) {
			rc = show_as_format(cli, &report->json);
		} else if (rc == 0 && strcmp(cli->option, "--messages") == 0) {
			report->messages = true;
		} else if (rc == 0) {
			report->other = cli->value;
		}
		if (rc < 0)
			return rc;
	}
	return 0;
}

static void tell_nothing(const struct trace_dir *dir)
{
	uint64_t period = dir->samples ? dir->samples->head.period_ns : 0;

	if (dir->thread_count)
		cli_say("the trace %s holds no calls%s that the options let through", dir->path,
			period ? " and no samples" : "");
	else if (period)
		cli_say("the trace %s holds no samples: no thread that could be sampled %s for a "
			"whole period of %llu us", dir->path,
			dir->samples->head.mode == TRACE_SAMPLE_WALL ? "lived" : "ran",
			(unsigned long long)(period / 1000));
	else
		cli_say("the trace %s holds no calls; was the program built with "
			"-finstrument-functions, or --calls given what it calls?", dir->path);
}

static int show(struct report *report)
{
	struct flat flat;

	if (report->messages)
		return report_messages(&report->options, report->json);
	if (report->other)
		return difference_show(report->options.data, report->other,
				       &report->options.filter, report->sort, report->json);
	report->options.filter.lines = report->json;
	if (flat_read(&flat, report->options.data, &report->options.filter, report->sort) != 0)
		return CLI_FAILED;
	progress_end(&flat.reading.progress);
	print_rows(&flat, report->json);
	if (flat.count == 0)
		tell_nothing(&flat.reading.dir);
	reading_tell(&flat.reading, report->json ? NULL : stdout);
	flat_close(&flat);
	return 0;
}

int cmd_report(struct cli *cli)
{
	struct report report = { .sort = TABLE_TOTAL };

	trace_options_init(&report.options);
	int status = take_options(cli, &report) == 0 ? show(&report) : CLI_FAILED;
	trace_options_fini(&report.options);
	return status;
}
