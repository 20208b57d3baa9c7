/*
 * export_case.h - a trace made by hand: three threads of two processes, what they call and say, with
 * recursion, a coroutine, a death, and a name that no format may be broken by.
 *
 * What must come of it is counted in the tests by themselves, not taken from here.
 */
#ifndef HARK_TESTS_UNIT_EXPORT_CASE_H
#define HARK_TESTS_UNIT_EXPORT_CASE_H

#include <string.h>

#include "lib/profile/export.h"

#define CASE_START INT64_C(1700000000123456789)
#define CASE_EVIL "evil</script><img src=x onerror=boom()>;\"\\\x01\xff"
#define CASE_SAID "it <b>broke</b>: \"caf\xc3\xa9\" \\ \x1b[31m"

static const struct function case_functions[] = {
	{ 0, "main", "known", "/opt/app/known", 0x1100, "known.c", 10, METHOD_ENTRY },
	{ 1, "parse", "known", "/opt/app/known", 0x1200, "known.c", 20, METHOD_ENTRY },
	{ 2, CASE_EVIL, "libevil.so", "/opt/app/libevil.so", 0x2000, NULL, 0, METHOD_ENTRY },
	{ 3, "fact(unsigned long)", "known", "/opt/app/known", 0x1300, NULL, 0, METHOD_ENTRY },
	{ 4, "co", "known", "/opt/app/known", 0x1400, NULL, 0, METHOD_ENTRY },
	{ 5, "worker_main", "known", "/opt/app/known", 0x1500, NULL, 0, METHOD_ENTRY },
	{ 6, "work", "child", "/opt/app/child", 0x1100, NULL, 0, METHOD_ENTRY },
	{ 7, "main", "child", "/opt/app/child", 0x1000, NULL, 0, METHOD_ENTRY },
};

enum case_function { MAIN, PARSE, EVIL, FACT, CO, WORKER, WORK, CHILD_MAIN };
enum case_action { IN, OUT, SAY, STAMP, FIBER, DIE, GAP };

static const struct case_step {
	int64_t at;
	unsigned thread;          /* 0, 1, 2; of a message 3: nobody's that was recorded */
	enum case_action action;
	unsigned what;            /* function, fiber, enum call_end */
} case_steps[] = {
	{ 1000, 0, IN, MAIN },
	{ 2000, 0, IN, PARSE },
	{ 2500, 2, IN, CHILD_MAIN },
	{ 3000, 1, IN, WORKER },
	{ 3000, 2, IN, WORK },
	{ 4000, 1, IN, PARSE },
	{ 4000, 2, OUT, CALL_RETURNED },
	{ 5000, 0, OUT, CALL_RETURNED },
	{ 5500, 0, SAY, 0 },
	{ 6000, 0, IN, PARSE },
	{ 6500, 0, IN, EVIL },
	{ 7500, 0, OUT, CALL_UNWOUND },
	{ 8000, 3, SAY, 0 },
	{ 9000, 0, OUT, CALL_RETURNED },
	{ 10000, 0, IN, FACT },
	{ 10100, 0, IN, FACT },
	{ 10200, 0, IN, FACT },
	{ 10300, 0, OUT, CALL_RETURNED },
	{ 10400, 0, OUT, CALL_RETURNED },
	{ 10500, 0, OUT, CALL_RETURNED },
	{ 11000, 0, FIBER, 1 },
	{ 11100, 0, IN, CO },
	{ 11500, 0, FIBER, 0 },
	{ 11700, 0, FIBER, 1 },
	{ 11900, 0, OUT, CALL_RETURNED },
	{ 12000, 0, FIBER, 0 },
	{ 12500, 0, STAMP, 7 },
	{ 13000, 1, GAP, 5 },
	{ 14000, 1, OUT, CALL_RETURNED },
	{ 15000, 1, OUT, CALL_RETURNED },
	{ 16000, 2, OUT, CALL_EXITED },
	{ 20000, 0, DIE, 0 },
	{ 20000, 0, OUT, CALL_DIED },
};
enum { CASE_STEPS = sizeof case_steps / sizeof *case_steps, CASE_DEEP = 8 };

static struct trace_image case_images[] = {
	{ .number = 1, .pid = 100, .path = "/opt/app/known", .comm = "known" },
	{ .number = 2, .pid = 200, .path = "/opt/app/child", .comm = "child" },
};
static struct trace_thread case_threads[] = {
	{ .image = &case_images[0], .number = 1, .tid = 100, .comm = "known" },
	{ .image = &case_images[0], .number = 2, .tid = 101, .comm = "worker" },
	{ .image = &case_images[1], .number = 1, .tid = 200, .comm = "child" },
};
static char case_command[] = "known --all 'x'", case_host[] = "here";
static struct trace_dir case_dir __attribute__((unused)) = {
	.command = case_command, .host = case_host, .pid = 100, .realtime_ns = CASE_START,
	.images = case_images, .image_count = 2, .threads = case_threads, .thread_count = 3,
};

/* What is open on each stack of a thread. */
static struct case_stack {
	struct call calls[CASE_DEEP];
	unsigned depth;
} case_stacks[3][2];
static unsigned case_fiber[3];

static struct call *case_innermost(unsigned thread)
{
	struct case_stack *s = &case_stacks[thread][case_fiber[thread]];

	return s->depth ? &s->calls[s->depth - 1] : NULL;
}

static void case_mark(const struct calls_visitor *v, void *arg, const struct case_step *step)
{
	const struct trace_thread *thread = step->thread < 3 ? &case_threads[step->thread] : NULL;
	struct mark mark = { .time_ns = CASE_START + step->at, .id = step->what, .step = 2 };

	mark.kind = step->action == SAY     ? MARK_MESSAGE
		    : step->action == STAMP ? MARK_STAMP
		    : step->action == FIBER ? MARK_FIBER
		    : step->action == DIE   ? MARK_DEATH
					    : MARK_GAP;
	if (step->action == SAY || step->action == STAMP) {
		mark.text = step->action == SAY ? CASE_SAID : "chunk";
		mark.text_bytes = strlen(mark.text);
		mark.level = "error";
		mark.source = "stderr";
		mark.pid = mark.tid = thread ? thread->tid : 999;
	}
	if (step->action == FIBER)
		case_fiber[step->thread] = step->what;
	if (v->mark)
		v->mark(arg, thread, &mark, thread ? case_innermost(step->thread) : NULL);
}

static void case_step(const struct calls_visitor *v, void *arg, const struct case_step *step)
{
	struct case_stack *s = &case_stacks[step->thread % 3][case_fiber[step->thread % 3]];
	struct call *outer = step->thread < 3 ? case_innermost(step->thread) : NULL;

	if (step->action == IN) {
		struct call *call = &s->calls[s->depth];
		*call = (struct call){
			.function = &case_functions[step->what], .caller = outer,
			.depth = s->depth++, .begin_ns = CASE_START + step->at,
			.end_ns = CASE_START + step->at,
			.recursive = outer && outer->function == &case_functions[step->what],
		};
		if (v->enter)
			v->enter(arg, &case_threads[step->thread], call);
	} else if (step->action == OUT) {
		outer->end_ns = CASE_START + step->at;
		outer->end = step->what;
		if (v->leave)
			v->leave(arg, &case_threads[step->thread], outer);
		s->depth--;
	} else {
		case_mark(v, arg, step);
	}
}

/* As calls_merge() would, or as calls_walk(). */
static void case_drive(const struct calls_visitor *v, void *arg, bool merged)
{
	memset(case_stacks, 0, sizeof case_stacks);
	memset(case_fiber, 0, sizeof case_fiber);
	for (unsigned i = 0; merged && i < CASE_STEPS; i++)
		case_step(v, arg, &case_steps[i]);
	for (unsigned thread = 0; !merged && thread < 3; thread++) {
		if (v->begin)
			v->begin(arg, &case_threads[thread]);
		for (unsigned i = 0; i < CASE_STEPS; i++)
			if (case_steps[i].thread == thread && case_steps[i].action != SAY)
				case_step(v, arg, &case_steps[i]);
		if (v->end)
			v->end(arg, &case_threads[thread]);
	}
}

#endif
