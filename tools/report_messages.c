/*
 * report_messages.c - see report_messages.h.
 */
#include "tools/report_messages.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/profile/messages.h"
#include "tools/cli.h"
#include "tools/json.h"
#include "tools/reading.h"
#include "tools/show_as.h"

static void print_object(const struct message *m)
{
	emit_time(stdout, "{", "time", m->time_ns > 0 ? (uint64_t)m->time_ns : 0);
	emit_pair(stdout, ",", "level", m->level);
	emit_pair(stdout, ",", "msg", m->text);
	emit_pair(stdout, ",", "source", m->source);
	printf(",\"pid\":%" PRId32 ",\"tid\":%" PRId32, m->pid, m->tid);
	emit_pair(stdout, ",", "comm", m->comm);
	if (m->stack_bytes)
		emit_strings(stdout, ",", "stack", m->stack, m->stack_bytes);
	puts("}");
}

static void print_safe(const char *before, const char *text)
{
	char *safe = show_as_safe(text);

	printf("%s%s\n", before, safe);
	free(safe);
}

static void print_text(const struct message *m)
{
	char before[64];

	snprintf(before, sizeof before, "%-8.8s %" PRId32 "  ", m->level, m->pid);
	print_safe(before, m->text);
	for (size_t at = 0; at < m->stack_bytes; at += strlen(m->stack + at) + 1)
		print_safe("        from ", m->stack + at);
}

static bool is_wanted(const struct calls_filter *f, const struct message *m)
{
	return m->kind == MARK_MESSAGE && (!f->tid || f->tid == m->tid) &&
	       m->time_ns >= f->since_ns && (!f->until_ns || m->time_ns <= f->until_ns);
}

int report_messages(const struct trace_options *options, bool json)
{
	struct reading reading;
	struct messages *messages;
	struct message message;

	if (reading_open(&reading, options->data, &options->filter) != 0)
		return CLI_FAILED;
	int rc = messages_open(&messages, &reading.dir);
	if (rc == 0) {
		while (messages_next(messages, &message))
			if (is_wanted(&options->filter, &message))
				(json ? print_object : print_text)(&message);
		messages_close(messages);
	}
	reading_tell(&reading, json ? NULL : stdout);
	reading_close(&reading);
	return rc ? CLI_FAILED : 0;
}
