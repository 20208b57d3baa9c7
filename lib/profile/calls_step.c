/*
 * calls_step.c - one record more: who was entered or left by it, and who is told of that.
 *
 * The hot path of every reader of traces.
 */
#include "lib/profile/calls_inside.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/profile/values.h"
#include "lib/stamp/values.h"

/* ---- calls that are shown ---------------------------------------------------------------------- */

/* Its callers first: what is shown has nobody around it that is not. */
static void show(struct walk *walk, struct frame *frame)
{
	struct frame *told = NULL;

	for (; frame && frame->state == FRAME_LATE; frame = (struct frame *)frame->call.caller) {
		frame->told_next = told;
		told = frame;
	}
	for (; told; told = told->told_next) {
		told->state = FRAME_SHOWN;
		if (walk->visitor->enter)
			walk->visitor->enter(walk->arg, walk->thread, &told->call);
	}
}

static const struct call *shown_around(const struct frame *frame, const struct stack *stack)
{
	while (frame != &stack->base && frame->state == FRAME_HIDDEN)
		frame = frame->outer;
	return frame == &stack->base ? NULL : &frame->call;
}

/* Whether the filter shows it, now, later or never. Callers of frames: see show(). */
static void judge(struct walk *walk, struct stack *stack, struct frame *frame,
		  const struct named *named)
{
	const struct calls_filter *f = &walk->calls->filter;
	const struct frame *outer = frame->outer;

	const struct filter_rules *rules = &walk->calls->names.paths.rules;

	frame->path = filter_step(rules, outer->path, named->fits);
	frame->call.caller = shown_around(outer, stack);
	frame->call.depth = frame->call.caller ? frame->call.caller->depth + 1 : 0;
	if (!filter_wants(rules, frame->path) || named->flags & NAMES_HIDDEN ||
	    (f->depth && frame->call.depth >= f->depth))
		frame->state = FRAME_HIDDEN;
	else
		frame->state = walk->calls->late ? FRAME_LATE : FRAME_SHOWN;
}

static uint32_t *open_count(struct walk *walk, struct stack *stack, uint32_t function)
{
	if (__builtin_expect(function >= stack->open_room, 0) &&
	    stack_count(stack, function) != 0) {
		walk->rc = -ENOMEM;
		return NULL;
	}
	return &stack->open[function];
}

/* ---- arguments and results ---------------------------------------------------------------------- */

/* The record is that; a frame without memory for it goes without. */
static void take_values(struct frame *frame, const struct record *r)
{
	if (!frame->texts)
		frame->texts = malloc(sizeof *frame->texts);
	if (!frame->texts)
		return;
	bool result = r->detail == VALUES_RESULT;
	char *to = result ? frame->texts->result : frame->texts->arguments;
	struct text text = text_in(to, (result ? FRAME_RESULT : FRAME_ARGUMENTS) - 4);

	values_text(&text, r->text, r->text_bytes);
	memcpy(to + text.len, text.cut ? "..." : "", text.cut ? 4 : 1);
	*(result ? &frame->call.result : &frame->call.arguments) = to;
}

/* ---- enter ------------------------------------------------------------------------------------- */

static void enter(struct walk *walk, bool before)
{
	struct calls *calls = walk->calls;
	struct stack *stack = walk->stacks.now;
	struct named *named = names_find(&calls->names, walk->image | walk->record.module,
					 walk->record.offset);
	struct frame *outer = stack->top;
	struct frame *frame = outer->inner ? outer->inner : stack_grow(stack);
	uint32_t *open;

	if (!named || !frame) {
		walk->rc = -ENOMEM;
		return;
	}
	if (!(open = open_count(walk, stack, named->function.number)))
		return;
	frame->call = (struct call){
		.function = &named->function,
		.begin_ns = walk->now_ns,
		.end_ns = walk->now_ns,
		.before = before,
	};
	stack->top = frame;
	if (named->function.method == METHOD_CALL && !before &&
	    cursor_values(&walk->cursor, &walk->record))
		take_values(frame, &walk->record);
	if (__builtin_expect(calls->plain, 1)) {
		frame->state = FRAME_SHOWN;
		if (outer != &stack->base) {
			frame->call.caller = &outer->call;
			frame->call.depth = outer->call.depth + 1;
		}
	} else {
		judge(walk, stack, frame, named);
		if (frame->state == FRAME_HIDDEN)
			return;
	}
	frame->call.recursive = (*open)++ != 0;
	if (frame->state == FRAME_LATE) {
		if (!calls->filter.min_ns && walk->now_ns >= calls->filter.since_ns)
			show(walk, frame);
	} else if (walk->visitor->enter) {
		walk->visitor->enter(walk->arg, walk->thread, &frame->call);
	}
}

/* ---- leave ------------------------------------------------------------------------------------- */

static void leave(struct walk *walk, enum call_end how)
{
	struct stack *stack = walk->stacks.now;
	struct frame *frame = stack->top;
	struct call *call = &frame->call;

	if (frame == &stack->base) {
		stack->below -= stack->below != 0;
		return;
	}
	stack->top = frame->outer;
	if (frame->state == FRAME_HIDDEN)
		return;
	stack->open[call->function->number]--;
	call->end_ns = walk->now_ns;
	call->end = how;
	uint64_t took = (uint64_t)call->end_ns - (uint64_t)call->begin_ns;
	if (frame->state == FRAME_LATE) {
		const struct calls_filter *f = &walk->calls->filter;
		if (took < f->min_ns || call->end_ns < f->since_ns)
			return;
		show(walk, frame);
	}
	if (call->caller)
		((struct call *)call->caller)->below_ns += (int64_t)took;
	if (walk->visitor->leave)
		walk->visitor->leave(walk->arg, walk->thread, call);
}

static void leave_all(struct walk *walk, enum call_end how)
{
	struct stack *stack = walk->stacks.now;

	while (stack->top != &stack->base)
		leave(walk, how);
	stack->below = 0;
}

/* Who was interrupted between taking a call for open and recording it, and left by longjmp, counts one that
 * is not there. */
static void unwind(struct walk *walk, uint64_t count, uint64_t left)
{
	struct stack *stack = walk->stacks.now;
	uint64_t open = stack->top->height + stack->below, most = open > left ? open - left : 0;

	if (count > most)
		count = most;
	for (; count && stack->top != &stack->base; count--)
		leave(walk, CALL_UNWOUND);
	stack->below -= count < stack->below ? count : stack->below;
}

/* ---- what is rare ------------------------------------------------------------------------------ */

const struct call *calls_told(const struct walk *walk)
{
	const struct stack *stack = walk->stacks.now;
	const struct call *call = stack ? shown_around(stack->top, stack) : NULL;

	while (call && ((const struct frame *)call)->state != FRAME_SHOWN)
		call = call->caller;
	return call;
}

static void mark(struct walk *walk, struct mark *m)
{
	m->time_ns = walk->now_ns;
	if (!walk->visitor->mark || m->time_ns < walk->calls->filter.since_ns)
		return;
	walk->visitor->mark(walk->arg, walk->thread, m, calls_told(walk));
}

static void switch_fiber(struct walk *walk, uint32_t fiber)
{
	if (stacks_switch(&walk->stacks, fiber) != 0)
		walk->rc = -ENOMEM;
}

/* Where something is missing, nobody knows which calls went on: they end. Of those that are open now, the
 * innermost have records, in flight recorders and forked threads; the others have no names. */
static void begin_part(struct walk *walk)
{
	const struct trace_segment *head = &walk->record.part->head;

	walk->repeats = !walk->record.torn && walk->last != RECORD_END;
	if (walk->repeats || walk->rc != 0)
		return;
	if (walk->last != RECORD_END) {
		mark(walk, &(struct mark){ .kind = MARK_GAP });
		leave_all(walk, CALL_UNWOUND);
	}
	switch_fiber(walk, head->fiber);
	if (walk->rc != 0)
		return;
	leave_all(walk, CALL_UNWOUND);
	walk->stacks.now->below = head->depth;
}

static void open_before(struct walk *walk)
{
	struct stack *stack = walk->stacks.now;

	if (walk->repeats)
		return;
	stack->below -= stack->below != 0; /* this one has a name */
	enter(walk, true);
}

/* A call that began before anything was recorded, or whose entry was not: all that is known is that it was
 * there, and has returned now. */
static void left_before(struct walk *walk)
{
	enter(walk, true);
	if (walk->rc == 0)
		leave(walk, CALL_RETURNED);
}

static void rare(struct walk *walk, enum record_kind kind)
{
	const struct record *r = &walk->record;

	switch (kind) {
	case RECORD_PART: begin_part(walk); break;
	case RECORD_UNWOUND: unwind(walk, r->count, r->id); break;
	case RECORD_OPEN: open_before(walk); break;
	case RECORD_EXIT_FAR: left_before(walk); break;
	case RECORD_FIBER:
		switch_fiber(walk, (uint32_t)r->count);
		if (walk->rc == 0)
			mark(walk, &(struct mark){ .kind = MARK_FIBER, .id = r->count });
		break;
	case RECORD_GAP:
		mark(walk, &(struct mark){ .kind = MARK_GAP, .id = r->count, .step = r->detail });
		break;
	case RECORD_STAMP:
		mark(walk, &(struct mark){ .kind = MARK_STAMP, .id = r->id, .step = r->step,
					   .text = r->text, .text_bytes = r->text_bytes });
		break;
	case RECORD_ENDED: walk->left |= r->detail == TRACE_END_EXIT; break;
	case RECORD_VALUES: /* or a handler came between the call and its arguments */
		if (walk->stacks.now->top != &walk->stacks.now->base && r->detail <= VALUES_RESULT)
			take_values(walk->stacks.now->top, r);
		break;
	default: break;
	}
}

void calls_step(struct walk *walk, enum record_kind kind)
{
	if (kind == RECORD_ENTRY)
		enter(walk, false);
	else if (kind == RECORD_EXIT)
		leave(walk, CALL_RETURNED);
	else
		rare(walk, kind);
	if (kind == RECORD_PART)
		return;
	walk->last = kind;
	walk->last_detail = walk->record.detail;
}

/* Where it died is the innermost call that will have been shown. */
static void mark_death(struct walk *walk)
{
	const struct calls_filter *f = &walk->calls->filter;
	const struct stack *stack = walk->stacks.now;

	for (struct frame *frame = stack->top; frame != &stack->base; frame = frame->outer) {
		uint64_t took = (uint64_t)walk->now_ns - (uint64_t)frame->call.begin_ns;
		if (frame->state == FRAME_LATE && took >= f->min_ns && walk->now_ns >= f->since_ns)
			show(walk, frame);
		if (frame->state == FRAME_SHOWN) {
			mark(walk, &(struct mark){ .kind = MARK_DEATH });
			break;
		}
	}
}

void calls_close_all(struct walk *walk, enum call_end how)
{
	struct stacks *stacks = &walk->stacks;

	if (how == CALL_DIED && stacks->now)
		mark_death(walk);
	if (stacks->now)
		leave_all(walk, how);
	for (size_t i = 0; i <= stacks->mask; i++) {
		if (!stacks->slots[i])
			continue;
		stacks->now = stacks->slots[i];
		leave_all(walk, how);
	}
}
