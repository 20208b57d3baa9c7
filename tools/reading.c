/*
 * reading.c - see reading.h. Called by what reads traces.
 */
#include "tools/reading.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/text.h"
#include "lib/format/escape.h"
#include "lib/profile/samples.h"
#include "lib/session/process.h"
#include "tools/show_as.h"
#include "tools/units.h"

enum { PATH_ENDS = 8, SENTENCE = 4096 };

int reading_open(struct reading *reading, const char *data, const struct calls_filter *filter)
{
	char why[512];

	*reading = (struct reading){ .calls = NULL };
	if (trace_dir_open(&reading->dir, data, why, sizeof why) != 0) {
		cli_say("%s", why);
		return CLI_FAILED;
	}
	reading->calls = calls_open(&reading->dir, filter);
	if (!reading->calls) {
		trace_dir_close(&reading->dir);
		cli_say("there is no memory to read the trace %s", data);
		return CLI_FAILED;
	}
	progress_begin(&reading->progress, "reading the trace");
	return 0;
}

bool reading_calls(const struct reading *reading)
{
	const struct trace_dir *dir = &reading->dir;
	bool sums = false;

	for (size_t i = 0; i < dir->thread_count; i++)
		for (size_t part = 0; part < dir->threads[i].part_count; part++) {
			if (dir->threads[i].parts[part].head.kind != TRACE_PROFILE)
				return true;
			sums = true;
		}
	if (sums)
		cli_say("%s holds sums and no calls, as --stamp profile makes it; `hark report` "
			"and `hark graph` show them",
			dir->path);
	return !sums;
}

void reading_close(struct reading *reading)
{
	size_t kept = reading->death_count;

	if (!reading->calls)
		return;
	kept = kept < READING_DEATHS ? kept : READING_DEATHS;
	for (size_t i = 0; i < kept; i++)
		free(reading->deaths[i]);
	for (size_t i = 0; i < reading->muted_count; i++)
		free(reading->muted[i].name);
	free(reading->muted);
	calls_close(reading->calls);
	trace_dir_close(&reading->dir);
	reading->calls = NULL;
}

int reading_failed(const struct reading *reading, int rc)
{
	cli_say("cannot read the trace %s: %s", reading->dir.path, strerror(-rc));
	return CLI_FAILED;
}

/* ---- deaths ------------------------------------------------------------------------------------ */

/* main › load › parse; of very deep ones both ends. */
static void append_path(FILE *to, const struct call *innermost)
{
	const struct call *ends[2 * PATH_ENDS] = { NULL };
	uint32_t count = innermost->depth + 1, skipped = 0;

	if (count > 2 * PATH_ENDS)
		skipped = count - 2 * PATH_ENDS;
	for (const struct call *call = innermost; call; call = call->caller) {
		if (call->depth < PATH_ENDS)
			ends[call->depth] = call;
		else if (call->depth >= PATH_ENDS + skipped)
			ends[call->depth - skipped] = call;
	}
	for (uint32_t i = 0; i < count - skipped; i++) {
		if (i == PATH_ENDS && skipped)
			fprintf(to, " › (%" PRIu32 " more)", skipped);
		fprintf(to, "%s%s", i ? " › " : "", ends[i] ? ends[i]->function->name : "?");
	}
}

static void keep_death(struct reading *reading, const struct trace_thread *thread,
		       const struct call *innermost)
{
	const char *path = thread->image->path, *slash = strrchr(path, '/');
	char *sentence = NULL;
	size_t bytes;

	if (reading->death_count++ >= READING_DEATHS)
		return;
	FILE *to = open_memstream(&sentence, &bytes);
	if (to) {
		fprintf(to, "thread %d (%s) of %s, process %d, died inside ", thread->tid,
			thread->comm, slash ? slash + 1 : path, thread->image->pid);
		append_path(to, innermost);
		fclose(to);
	}
	if (sentence)
		escape_tame(sentence);
	reading->deaths[reading->death_count - 1] = sentence;
}

/* Each thread has said so for itself. */
static void keep_muted(struct reading *reading, const struct mark *mark)
{
	char *name = strndup(mark->text ? mark->text : "?", mark->text ? mark->text_bytes : 1);

	if (!name)
		return;
	escape_tame(name);
	for (size_t i = 0; i < reading->muted_count; i++)
		if (strcmp(reading->muted[i].name, name) == 0) {
			reading->muted[i].calls += mark->id;
			free(name);
			return;
		}
	struct reading_muted *grown = reallocarray(reading->muted, reading->muted_count + 1,
						   sizeof *grown);
	if (!grown) {
		free(name);
		return;
	}
	reading->muted = grown;
	grown[reading->muted_count++] = (struct reading_muted){ name, mark->id };
}

void reading_mark(struct reading *reading, const struct trace_thread *thread,
		  const struct mark *mark, const struct call *innermost)
{
	if (mark->kind == MARK_GAP) {
		unsigned reason = mark->step < TRACE_GAPS ? (unsigned)mark->step : 0;
		reading->gaps[reason].places++;
		reading->gaps[reason].records += mark->id;
	} else if (mark->kind == MARK_DEATH && innermost) {
		keep_death(reading, thread, innermost);
	} else if (mark->kind == MARK_MUTED) {
		keep_muted(reading, mark);
	}
}

void reading_progress(struct reading *reading, uint64_t done, uint64_t all)
{
	progress_tell(&reading->progress, done, all);
}

/* ---- what is missing --------------------------------------------------------------------------- */

static const char *const gap_reasons[TRACE_GAPS] = {
	[0] = "segments are missing",
	[TRACE_GAP_DISK] = "there was no room on the disk",
	[TRACE_GAP_SANDBOX] = "the program forbade itself the system calls that recording takes",
	[TRACE_GAP_NESTED] = "a signal handler came while a segment was being changed",
	[TRACE_GAP_OFF] = "recording was switched off in between",
	[TRACE_GAP_MEMORY] = "there was no memory",
	[TRACE_GAP_REFUSED] = "the program could not open the trace's files any more",
};

static void tell_deaths(const struct reading *reading, FILE *to)
{
	for (size_t i = 0; i < reading->death_count && i < READING_DEATHS; i++) {
		if (!reading->deaths[i])
			continue;
		if (to)
			fprintf(to, "%s\n", reading->deaths[i]);
		else
			cli_say("%s", reading->deaths[i]);
	}
	if (reading->death_count > READING_DEATHS) {
		size_t more = reading->death_count - READING_DEATHS;
		if (to)
			fprintf(to, "and %zu %s more\n", more, text_one(more, "thread", "threads"));
		else
			cli_say("and %zu %s more died", more, text_one(more, "thread", "threads"));
	}
}

/* What they consumed is known as far as they were looked at, so it is the least. */
static void tell_blocked(const struct samples *s)
{
	const uint64_t missing = s->gaps[TRACE_SAMPLE_GAP_BLOCKED];
	char count[UNITS_TEXT], threads[64];
	char *comm = show_as_safe(s->blocked_comm);

	snprintf(threads, sizeof threads, "%" PRIu32 " %s", s->blocked,
		 text_one(s->blocked, "thread", "threads"));
	if (s->blocked)
		cli_say("%s%s %s missing: %s (%s%s) %s SIGPROF, by which programs sample "
			"themselves; only the kernel sees such threads (--sample cpu@RATE:kernel)",
			missing ? "at least " : "", missing ? units_count(count, missing) : "some",
			text_one(missing, "sample is", "samples are"),
			threads, comm, s->blocked > 1 ? " …" : "",
			text_one(s->blocked, "blocks", "block"));
	free(comm);
}

static void tell_samples(const struct samples *s)
{
	static const char *const reasons[] = {
		[0] = "for reasons that this hark does not know",
		[TRACE_SAMPLE_GAP_RING] = "the sampler was too slow; ask for fewer a second",
		[TRACE_SAMPLE_GAP_DISK] = "there was no room on the disk",
		[TRACE_SAMPLE_GAP_MEMORY] = "more different stacks than the sampler remembers",
		[TRACE_SAMPLE_GAP_THROTTLE] = "the kernel held them back: they took too much time",
	};
	char count[UNITS_TEXT];

	for (unsigned i = 0; i < sizeof reasons / sizeof *reasons; i++) {
		if (s->gaps[i])
			cli_say("%s %s missing: %s", units_count(count, s->gaps[i]),
				text_one(s->gaps[i], "sample is", "samples are"), reasons[i]);
		else if (s->gap_places[i])
			cli_say("some samples are missing: %s", reasons[i]);
	}
	tell_blocked(s);
	if (!s->ended && process_start(s->head.pid) != s->head.pid_start)
		cli_say("the sampler was killed before the program ended; what it had written is "
			"here");
}

static void tell_filtered(const struct reading *reading)
{
	const struct trace_dir *dir = &reading->dir;
	char count[UNITS_TEXT];

	for (size_t i = 0; i < reading->muted_count; i++)
		cli_say("%s was not recorded any more after %s %s: that would have exceeded "
			"the budget (--stamp-budget)",
			reading->muted[i].name, units_count(count, reading->muted[i].calls),
			text_one(reading->muted[i].calls, "call", "calls"));
	if (dir->unfiltered)
		cli_say("all functions of %u %s were recorded, whatever the filter says: it "
			"could not be found out what they are called: %s",
			dir->unfiltered, text_one(dir->unfiltered, "module", "modules"),
			strerror(dir->unfiltered_error));
}

/* Most often, the program was built again since. */
static void tell_nameless(const struct reading *reading)
{
	unsigned files = 0;
	const char *why = reading->calls ? calls_trouble(reading->calls, &files) : NULL;

	if (files > 1)
		cli_say("some functions have no names, those of %u files; of the first: %s", files,
			why);
	else if (files)
		cli_say("some functions have no names: %s", why);
}

void reading_tell(struct reading *reading, FILE *deaths)
{
	const struct trace_dir *dir = &reading->dir;
	char count[UNITS_TEXT];

	progress_end(&reading->progress);
	if (deaths && reading->death_count)
		fprintf(deaths, "\n");
	tell_deaths(reading, deaths);
	if (deaths)
		fflush(deaths);
	tell_filtered(reading);
	tell_nameless(reading);
	if (reading->others)
		cli_say("%s %s not shown: there were more pairs of callers and callees than a "
			"profile has room for in a thread",
			units_count(count, reading->others),
			text_one(reading->others, "call is", "calls are"));
	for (unsigned i = 0; i < TRACE_GAPS; i++) {
		if (!reading->gaps[i].places)
			continue;
		if (reading->gaps[i].records)
			cli_say("%s %s missing: %s",
				units_count(count, reading->gaps[i].records),
				text_one(reading->gaps[i].records, "record is", "records are"),
				gap_reasons[i]);
		else
			cli_say("something is missing in %s %s: %s",
				units_count(count, reading->gaps[i].places),
				text_one(reading->gaps[i].places, "place", "places"),
				gap_reasons[i]);
	}
	if (dir->samples)
		tell_samples(dir->samples);
	if (dir->torn == 1)
		cli_say("one place of the trace %s cannot be read, and was left out: %s",
			dir->path, dir->trouble);
	else if (dir->torn)
		cli_say("%u places of the trace %s cannot be read, and were left out; the first: "
			"%s",
			dir->torn, dir->path, dir->trouble);
}
