/*
 * calls_end.c - how a thread ended whose calls are still open: it was killed, or its process left of
 * its own will, or it has not ended at all.
 */
#include "lib/profile/calls_inside.h"

enum calls_exited { EXITED_UNKNOWN, EXITED_NO, EXITED_YES };

/* Behind the word of an exit there may be what destructors call; behind that of an exec, that it failed. */
static bool told_exit(enum record_kind last, uint32_t detail)
{
	return last == RECORD_ENDED && (detail == TRACE_END_EXIT || detail == TRACE_END_EXEC);
}

/* By its last segment alone. */
static bool ends_with_exit(const struct calls *calls, const struct trace_thread *thread)
{
	struct trace_thread tail = *thread;
	struct trace_dir dir = *calls->dir; /* what is torn is counted by who reads all of it */
	enum record_kind kind, last = RECORD_END;
	struct record record = { .kind = RECORD_END };
	struct cursor cursor;
	uint32_t detail = 0;
	bool left = false;

	for (size_t i = 0; i < thread->part_count; i++)
		if (thread->parts[i].head.kind == TRACE_PROFILE &&
		    told_exit(RECORD_ENDED, thread->parts[i].head.end))
			return true;
	if (thread->part_count == 0)
		return false;
	tail.parts += tail.part_count - 1;
	tail.part_count = 1;
	if (cursor_open(&cursor, &dir, &tail, CURSOR_BUFFER) != 0)
		return false;
	while ((kind = cursor_next(&cursor, &record)) != RECORD_END) {
		last = kind;
		detail = record.detail;
		left |= kind == RECORD_ENDED && detail == TRACE_END_EXIT;
	}
	cursor_close(&cursor);
	return left || told_exit(last, detail);
}

/* One thread says that its process exits; the others are just gone. */
static bool image_exited(struct calls *calls, const struct trace_image *image)
{
	const struct trace_dir *dir = calls->dir;
	uint8_t *known = &calls->exited[image - dir->images];

	for (size_t i = 0; *known == EXITED_UNKNOWN && i < dir->thread_count; i++)
		if (dir->threads[i].image == image && ends_with_exit(calls, &dir->threads[i]))
			*known = EXITED_YES;
	if (*known == EXITED_UNKNOWN)
		*known = EXITED_NO;
	return *known == EXITED_YES;
}

/* In another mode, since `hark set`: that is another thread of the trace. */
static bool went_on(const struct trace_dir *dir, const struct trace_thread *thread)
{
	const struct trace_thread *end = dir->threads + dir->thread_count;

	for (const struct trace_thread *t = thread + 1; t < end && t->image == thread->image; t++)
		if (t->tid == thread->tid && !t->sampled && !thread->sampled)
			return true;
	return false;
}

bool calls_killed(struct calls *calls, const struct trace_thread *thread)
{
	return !image_exited(calls, thread->image) && !went_on(calls->dir, thread) &&
	       !trace_dir_runs(calls->dir, thread->image, thread->tid);
}

enum call_end calls_fate(struct walk *walk)
{
	const struct stack *stack = walk->stacks.now;

	if (walk->left || told_exit(walk->last, walk->last_detail)) {
		walk->calls->exited[walk->thread->image - walk->calls->dir->images] = EXITED_YES;
		return CALL_EXITED;
	}
	if (walk->last == RECORD_ENDED ||
	    (walk->last == RECORD_GAP && walk->last_detail != TRACE_GAP_NESTED &&
	     walk->last_detail != 0))
		return CALL_OPEN; /* it went on, unrecorded */
	if (stack && stack->top == &stack->base && walk->stacks.count == 1)
		return CALL_OPEN;
	if (went_on(walk->calls->dir, walk->thread))
		return CALL_OPEN;
	if (image_exited(walk->calls, walk->thread->image))
		return CALL_EXITED;
	if (trace_dir_runs(walk->calls->dir, walk->thread->image, walk->thread->tid))
		return CALL_OPEN; /* the trace just goes on */
	return CALL_DIED;
}
