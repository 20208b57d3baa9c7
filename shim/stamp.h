/*
 * stamp.h - function stamps inside the program: a thread's state, and its slow half.
 *
 * stamp.c holds the two functions that the compiler's instrumentation calls; what they need seldom
 * stands in stamp_slow.c (stacks that were left, new segments), stamp_image.c (process, modules) and
 * stamp_fiber.c (stacks of the program's own making).
 */
#ifndef HARK_SHIM_STAMP_H
#define HARK_SHIM_STAMP_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/stamp/segment.h"
#include "lib/stamp/trace.h"
#include "shim/plt.h"

/* A call that is open. Whether it still is, the stack pointer tells: see stamp_slow.c. */
struct stamp_frame {
	uintptr_t function;
	uintptr_t sp;      /* when the hook was entered */
	uintptr_t site;    /* where the function will return to */
	uintptr_t after;   /* where the hook returned to: in the function, and nowhere else */
	/* in profile mode */
	uint64_t start, below;          /* ticks: when it began, and what calls of its own took */
	struct profile_function *callee;
	struct trace_edge *edge;
};

/* The open calls on one stack. The first frame is none: it has the highest stack pointer. */
struct stamp_stack {
	struct stamp_frame *frames;
	uint32_t room;     /* frames there are */
	uint32_t fiber;    /* 0: the thread's own stack */
	bool suspended;    /* left by swapcontext, which will come back to it */
	struct plt_stack calls;
};

enum { STAMP_ASK = 1 }; /* which no gate ever holds: changes are counted from 1 on */
enum { STAMP_EPOCH_BITS = TRACE_TIME_BITS - 1, STAMP_FLIGHT_PARTS = 4 };

struct profile;

/* What outlives the thread, until another takes it over. */
struct stamp_room {
	struct stamp_room *next;
	_Atomic int32_t tid;
	_Atomic uint32_t image;            /* whose thread that is */
	struct stamp_stack stack;          /* the thread's own */
	struct trace_segment *parts[STAMP_FLIGHT_PARTS];
	uint32_t part_bytes[STAMP_FLIGHT_PARTS];
	uint32_t flight, turn;             /* the image whose flight recorder the parts are, or 0; the
					    * part that comes next */
	struct profile *profile;
};

struct stamp {
	/* the fast half */
	uint32_t seen;            /* what *stamp_gate was when all this was true; STAMP_ASK: ask the
				   * slow half */
	uint32_t seen_by_clock;   /* likewise, where the kernel does not keep time by the counter */
	uint32_t profiling;       /* likewise, in profile mode */
	bool busy;                /* the slow half is at work: who interrupts it must not go there */
	bool stopped;             /* no room, or no permission, for another segment */
	uint8_t *at, *end;        /* the next record; no short one begins at the end or later */
	uint64_t epoch;           /* high bits of the time of the last record */
	uintptr_t home, home_bytes, near, near_bytes;
	struct stamp_frame *top, *limit;

	/* the slow half */
	struct stamp_room *room;
	struct stamp_stack *stack;
	struct trace_segment *segment;
	uint8_t *ready;           /* up to here, the segment's pages are present */
	uint32_t image;           /* that the rest was made for; 0: none */
	uint32_t thread, parts;
	uint32_t next_bytes;
	uint32_t home_number, near_number;
	uint32_t mode, known;     /* what the gate said, and all of it */
	uint32_t deeper;          /* open calls that found no frame */
	struct profile *profile;
	uint64_t lost;            /* while busy */
	uint64_t mask;            /* of signals, before they were held back */
	bool held;
};

extern _Thread_local struct stamp stamp __attribute__((tls_model("initial-exec")));

/* Whether anything is recorded: compared with stamp.seen at every call. Where something is, it is a
 * word in the page that the kernel empties in forked children; else that of the session, which
 * `hark set` changes. */
extern _Atomic uint32_t *stamp_gate;

void stamp_look_again(void);
	/* All threads go by the slow half, once. */
void stamp_begin(void);
	/* Once the session is joined. */
void stamp_enter(uintptr_t function, uintptr_t site, uintptr_t sp, uintptr_t after);
void stamp_exit(uintptr_t function, uintptr_t site, uintptr_t sp, uintptr_t after);
	/* The slow half of the two hooks. */
void stamp_end(enum trace_end how);
	/* The calling thread is about to end the process's image, perhaps. */

/* stamp_slow.c: for the other slow files; the caller is busy */
uint32_t *stamp_words(unsigned count);
	/* Room for a record of so many words, zeroed; NULL: recording has stopped. */
void stamp_long(enum trace_long type, unsigned detail, uint64_t ticks, const uint32_t *body,
		unsigned words);
void stamp_head(struct trace_segment *segment, uint32_t bytes);
	/* Makes zeros a segment of the calling thread's. */
bool stamp_stop(enum trace_gap reason, const char *name);
	/* Nothing more is recorded in this thread, and the trace says so. False. */
bool stamp_push(uintptr_t function, uintptr_t site, uintptr_t sp, uintptr_t after);
uint64_t stamp_now(void);

/* stamp_image.c */
struct stamp_module {
	uintptr_t base, bytes;    /* 0: none, or not there any more */
	uint32_t number;
};
bool stamp_image(void);
	/* Sees to it that this process is an image of the trace and the calling thread one of its threads.
	 * False: nothing is to be recorded. */
struct stamp_module stamp_module(uintptr_t address);
	/* Number 0: in no module; the offset is the address. */
void stamp_repeat(uint32_t most);
	/* OPEN records of the innermost calls that are open, outermost first. */
void stamp_unloaded(void);
uint32_t stamp_image_number(void);
struct segment_file *stamp_file(void);
void stamp_stopped(const char *reason);
	/* Says so in the trace's events. */

/* stamp_profile.c */
bool stamp_profile_enter(uintptr_t function, uintptr_t site, uintptr_t sp, uintptr_t after);
bool stamp_profile_exit(uintptr_t function, uintptr_t site, uintptr_t sp, uintptr_t after);
	/* False: this is for the slow half. */
void stamp_profile_entered(struct stamp_frame *frame, uint64_t now);
	/* From the slow half, which has pushed the frame: finds or makes its edge. */
void stamp_profile_left(struct stamp_frame *frame, uint64_t now);
	/* The call has ended; the frame is the innermost, or was a moment ago. */
void stamp_profile_end(enum trace_end how);
	/* The calls that are open have not died, if it does end. */
void stamp_profile_forget(void);
	/* The thread begins anew: in a forked child, or in another's room. No call is open. */
void stamp_profile_rename(void);
	/* Addresses may mean other functions now. */

/* stamp_fiber.c */
bool stamp_stack_open(struct stamp_stack *stack);
bool stamp_stack_grow(struct stamp_stack *stack, uint32_t used);
void stamp_stack_use(struct stamp_stack *stack, uint32_t depth);
	/* The calling thread's open calls are those from now on. */

/* Deeper than its caller, or inlined into it: then both have the same stack pointer and will return to
 * the same place, but the stamp stands elsewhere in the code. */
static inline bool stamp_below(const struct stamp_frame *top, uintptr_t site, uintptr_t sp,
			       uintptr_t after)
{
	return sp < top->sp || (sp == top->sp && site == top->site && after != top->after);
}

/* Whether this exit is that open call's. A stamp at a function's very end may be a jump: then the frame
 * is gone already, and the stamp returns to the caller. */
static inline bool stamp_is(const struct stamp_frame *f, uintptr_t function, uintptr_t site,
			    uintptr_t sp, uintptr_t after)
{
	return f->function == function && (sp <= f->sp || (after == site && sp <= f[-1].sp));
}

/* The next stamp goes to the slow half. */
static inline void stamp_ask(struct stamp *s)
{
	s->seen = s->seen_by_clock = s->profiling = STAMP_ASK;
}

static inline uint32_t stamp_depth(const struct stamp *s)
{
	return s->stack ? (uint32_t)(s->top - s->stack->frames) : 0;
}

#endif
