/*
 * calls.c - see calls.h. Opens a trace's functions and walks its threads, one after the other.
 */
#include "lib/profile/calls_inside.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/parse.h"
#include "lib/profile/samples.h"

struct calls *calls_open(struct trace_dir *dir, const struct calls_filter *filter)
{
	struct calls *calls = calloc(1, sizeof *calls);

	if (!calls)
		return NULL;
	calls->dir = dir;
	if (filter)
		calls->filter = *filter;
	const struct calls_filter *f = &calls->filter;
	calls->late = f->min_ns || f->since_ns;
	calls->plain = !calls->late && !f->only && !f->never && !f->module && !f->depth;
	calls->exited = calloc(dir->image_count + 1, 1);
	if (calls->exited && names_init(&calls->names, dir, &calls->filter) == 0) {
		if (samples_unfold(dir, &calls->names) == 0)
			return calls;
		names_fini(&calls->names);
	}
	free(calls->exited);
	free(calls);
	return NULL;
}

void calls_close(struct calls *calls)
{
	if (!calls)
		return;
	names_fini(&calls->names);
	free(calls->exited);
	free(calls);
}

const char *calls_method(const struct function *function)
{
	static const char *const words[] = { [METHOD_ENTRY] = "entry", [METHOD_CALL] = "call",
					     [METHOD_SAMPLE] = "sample" };

	return words[function->method];
}

uint32_t calls_function_count(const struct calls *calls)
{
	return calls->names.count;
}

const struct function *calls_function(const struct calls *calls, uint32_t number)
{
	return number < calls->names.count ? &calls->names.all[number]->function : NULL;
}

const char *calls_trouble(const struct calls *calls, unsigned *files)
{
	return names_trouble(&calls->names, files);
}

bool calls_wanted(const struct calls *calls, const struct trace_thread *thread)
{
	const struct calls_filter *f = &calls->filter;

	return (!f->tid || f->tid == thread->tid) &&
	       (!f->thread || parse_glob(f->thread, thread->comm));
}

/* ---- marks of `events` ------------------------------------------------------------------------- */

static const struct trace_thread *thread_of(const struct trace_dir *dir, uint32_t image,
					    int32_t tid)
{
	for (size_t i = 0; i < dir->thread_count; i++)
		if (dir->threads[i].image->number == image && dir->threads[i].tid == tid)
			return &dir->threads[i];
	return NULL;
}

void calls_notes(struct calls *calls, const struct calls_visitor *visitor, void *arg)
{
	struct trace_dir *dir = calls->dir;

	for (size_t i = 0; visitor->mark && i < dir->note_count; i++) {
		const struct trace_note *note = &dir->notes[i];
		struct mark mark = { .time_ns = trace_dir_ns(dir, note->ticks), .tid = note->tid };
		const struct trace_thread *thread = NULL;

		if (note->kind == TRACE_NOTE_MUTED) {
			uint64_t where = (uint64_t)note->image << 32 | note->module;
			struct named *named = names_find(&calls->names, where, note->offset);
			mark.kind = MARK_MUTED;
			mark.id = note->calls;
			mark.text = named ? named->function.name : NULL;
			mark.text_bytes = mark.text ? strlen(mark.text) : 0;
		} else {
			thread = thread_of(dir, note->image, note->tid);
			mark.kind = MARK_GAP;
			mark.step = note->gap;
		}
		visitor->mark(arg, thread, &mark, NULL);
	}
}

/* ---- a thread ---------------------------------------------------------------------------------- */

int calls_begin(struct walk *walk, struct calls *calls, const struct calls_visitor *visitor,
		void *arg, const struct trace_thread *thread, size_t buffer)
{
	*walk = (struct walk){ .calls = calls, .visitor = visitor, .arg = arg, .thread = thread,
			       .image = (uint64_t)thread->image->number << 32,
			       .now_ns = INT64_MIN };
	int rc = stacks_init(&walk->stacks);

	if (rc != 0)
		return rc;
	rc = cursor_open(&walk->cursor, calls->dir, thread, buffer);
	if (rc != 0) {
		stacks_fini(&walk->stacks);
		return rc;
	}
	walk->begun = true;
	if (visitor->begin)
		visitor->begin(arg, thread);
	return 0;
}

void calls_done(struct walk *walk)
{
	bool until = walk->calls->filter.until_ns &&
		     walk->now_ns > walk->calls->filter.until_ns;

	if (!walk->begun)
		return;
	if (until)
		walk->now_ns = walk->calls->filter.until_ns;
	if (walk->rc == 0)
		calls_close_all(walk, until ? CALL_OPEN : calls_fate(walk));
	if (walk->visitor->end)
		walk->visitor->end(walk->arg, walk->thread);
	for (size_t i = 0; i < walk->thread->part_count; i++)
		walk->calls->done += walk->thread->parts[i].head.bytes;
	cursor_close(&walk->cursor);
	stacks_fini(&walk->stacks);
	walk->begun = false;
}

static void tell_progress(const struct walk *walk, uint64_t *told)
{
	const uint64_t step = 1 << 20;

	if (!walk->visitor->progress || walk->cursor.done - *told < step)
		return;
	*told = walk->cursor.done;
	walk->visitor->progress(walk->arg, walk->calls->done + walk->cursor.done,
				walk->calls->dir->bytes);
}

static int walk_thread(struct walk *walk)
{
	const int64_t until_ns = walk->calls->filter.until_ns;
	const uint32_t *end = walk->cursor.end;
	enum record_kind kind;
	uint64_t told = 0;

	while ((kind = calls_read(walk)) != RECORD_END) {
		if (until_ns && walk->now_ns > until_ns)
			break;
		calls_step(walk, kind);
		if (walk->rc != 0)
			break;
		if (walk->cursor.end != end) {
			end = walk->cursor.end;
			tell_progress(walk, &told);
		}
	}
	calls_done(walk);
	return walk->rc;
}

int calls_walk(struct calls *calls, const struct calls_visitor *visitor, void *arg)
{
	const struct trace_dir *dir = calls->dir;
	struct walk walk;
	int rc = 0;

	calls->done = 0;
	if (dir->samples)
		dir->samples->together = false;
	calls_notes(calls, visitor, arg);
	for (size_t i = 0; i < dir->thread_count && rc == 0; i++) {
		if (!calls_wanted(calls, &dir->threads[i]))
			continue;
		rc = calls_begin(&walk, calls, visitor, arg, &dir->threads[i], CURSOR_BUFFER);
		if (rc == 0)
			rc = walk_thread(&walk);
	}
	return rc;
}
