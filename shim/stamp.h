/*
 * stamp.h - function stamps inside the program: a thread's state, and its slow half.
 *
 * stamp.c holds the two functions that the compiler's instrumentation calls; what they need seldom
 * stands in stamp_slow.c (stacks that were left), stamp_room.c (segments), stamp_image.c (process and
 * modules, whose files stamp_module.c knows) and stamp_fiber.c (stacks of the program's own making). Where a
 * session has rules for what is recorded, stamp_filter.c takes the place of stamp.c, stamp_sieve.c that of
 * its slow half: what a thread knows of the functions that it calls; stamp_names.c asks what they are called.
 */
#ifndef HARK_SHIM_STAMP_H
#define HARK_SHIM_STAMP_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/clock.h"
#include "lib/base/filter.h"
#include "lib/stamp/segment.h"
#include "lib/stamp/trace.h"
#include "lib/stamp/values.h"
#include "shim/plt.h"
#include "shim/shim.h"

/* A call that is open. Whether it still is, the stack pointer tells: see stamp_slow.c. */
struct stamp_frame {
	uintptr_t function;
	uintptr_t sp;      /* when the hook was entered */
	uintptr_t site;    /* where the function will return to */
	uintptr_t after;   /* where the hook returned to: in the function, and nowhere else */
	/* in profile mode */
	uint64_t start, below;          /* ticks: when it began, and what calls of its own took */
	struct profile_function *callee;
	union {
		struct trace_edge *edge;
		uint8_t *entry;    /* elsewhere, in the thread's part number `below`: its record, that
				    * may be taken back; NULL: not that */
	};
	union {
		uint64_t outermost; /* no other call of the function is open around it, on this stack */
		/* where there are rules; else, as those below, zeros, or what was once there */
		uint64_t kept;      /* stamp.kept, when it began */
	};
	struct filter_state path;
	uint32_t depth;            /* of recorded calls, this one included */
	uint32_t hidden;           /* 0: it is recorded; else so far out is one that is. Zero, always, in
				    * frames above the top */
};

/* The open calls on one stack. The first frame is none: it has the highest stack pointer. */
struct stamp_stack {
	struct stamp_frame *frames;
	uint32_t room;     /* frames there are */
	size_t reserved;   /* bytes that they may become */
	uint32_t fiber;    /* 0: the thread's own stack */
	bool suspended;    /* left by swapcontext, which will come back to it */
	struct plt_stack calls;
};

enum { STAMP_ASK = 1 }; /* which no gate ever holds: changes are counted from 1 on */
enum { STAMP_EPOCH_BITS = TRACE_TIME_BITS - 1, STAMP_FLIGHT_PARTS = 4 };

struct profile;
struct sieve;

/* What outlives the thread, until another takes it over. */
struct stamp_room {
	struct stamp_room *next;
	_Atomic int32_t tid;
	_Atomic uint32_t image;            /* whose thread that is */
	struct stamp_stack stack;          /* the thread's own */
	struct stamp_stack *_Atomic spare; /* of a coroutine that comes; NULL: none */
	struct trace_segment *parts[STAMP_FLIGHT_PARTS]; /* mapped */
	uint32_t part_bytes[STAMP_FLIGHT_PARTS];
	uint32_t flight, turn;             /* the image whose flight recorder the parts are, or 0; the
					    * part that comes next */
	struct profile *profile;
	struct sieve *sieve;
};

struct stamp {
	/* the fast half */
	uint32_t seen;            /* what *stamp_gate was when all this was true; STAMP_ASK: ask the
				   * slow half */
	uint32_t seen_by_clock;   /* likewise, where the kernel does not keep time by the counter */
	uint32_t profiling;       /* likewise, in profile mode */
	uint32_t filtering;       /* likewise, in any mode, where there are rules */
	bool busy;                /* the slow half is at work: who interrupts it must not go there */
	bool values;              /* records of arguments and results are made */
	bool stopped;             /* no room, or no permission, for another segment */
	uint8_t *at, *end;        /* the next record; no short one begins at the end or later */
	uint64_t epoch;           /* high bits of the time of the last record */
	uintptr_t home, home_bytes, near, near_bytes;
	struct stamp_frame *top, *limit;
	struct sieve *sieve;      /* NULL: there are no rules */
	uint64_t kept;            /* records that will stay, but for those that tell time and modules; it
				   * is counted where there are rules. No call around them is taken back */

	/* the slow half */
	struct stamp_room *room;
	struct stamp_stack *stack;
	struct trace_segment *segment;
	uint64_t begun;           /* when that was, in ticks: nothing in it is older */
	uint8_t *last;            /* of the segment: room that is kept for its closing record */
	uint32_t image;           /* that the rest was made for; 0: none */
	uint32_t thread, parts;
	uint32_t next_bytes;
	uint32_t home_number, near_number;
	uint32_t mode, known;     /* what the gate said, and all of it */
	uint32_t names;           /* stamp_names_changed, when home, near and the rest were found */
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

/* stamp_room.c: for the other slow files; the caller is busy */
uint32_t *stamp_words(unsigned count);
	/* Room for a record of so many words, zeroed; NULL: recording has stopped. */
void stamp_long(enum trace_long type, unsigned detail, uint64_t ticks, const uint32_t *body,
		unsigned words);
void stamp_head(struct trace_segment *segment, uint32_t bytes);
	/* Makes zeros a segment of the calling thread's. */
bool stamp_stop(enum trace_gap reason, const char *name);
	/* Nothing more is recorded in this thread, and the trace says so. False. */
bool stamp_stop_by(int error);
	/* Likewise, the reason by a negative errno. */
void stamp_drop_parts(struct stamp_room *room);
	/* The room's segments are not its any more. They stay in the file. */

/* stamp_slow.c: likewise */
bool stamp_slow_begin(struct stamp *s);
	/* The calling thread becomes busy. False: nothing is to be recorded, or it is busy already. */
void stamp_slow_end(struct stamp *s);
uint32_t *stamp_fast_way(struct stamp *s);
	/* Which of the words tells that the fast half may go on. */
static inline uint64_t stamp_now(void) { return clock_ticks(shim.session.ring.counter); }

/* stamp_image.c */
struct stamp_module {
	uintptr_t base, bytes;    /* 0: none, or not there any more */
	uint32_t number;
};
bool stamp_image(void);
	/* Sees to it that this process is an image of the trace and the calling thread one of its threads.
	 * False: nothing is to be recorded. */
bool stamp_given_up(const struct stamp *s);
	/* Recording has stopped in the calling thread, and nothing has changed since: which must not cost a
	 * system call for each stamp. */
struct stamp_module stamp_module(uintptr_t address);
	/* Number 0: in no module; the offset is the address. */
void stamp_repeat(uint32_t most);
	/* OPEN records of the innermost calls that are open, outermost first. */
void stamp_unloaded(void);
uint32_t stamp_image_number(void);
struct segment_file *stamp_file(void);
const char *stamp_events(void);
	/* where events are written to */
void stamp_stopped(enum trace_gap reason, const char *name);
	/* Says so in the trace's events. */
uint32_t stamp_untold(void);
	/* The reason (enum trace_gap) for which another thread stopped, if that could not be said there;
	 * 0: none. Once. */

/* stamp_module.c */
bool stamp_module_bounds(uintptr_t address, struct stamp_module *module);
	/* Without a number. False: nothing is loaded there. */
bool stamp_module_file(const struct stamp_module *module, char *path, size_t bytes,
		       const uint8_t **build, size_t *build_bytes);
	/* The path, absolute, and build-id of a module that is loaded now. */

/* stamp_values.c */
void stamp_values(enum values_of what, const uint32_t *values, unsigned words);
	/* Of the innermost open call. Nothing where that is not recorded, is too short, or is only added up. */

/* stamp_filter.c */
bool stamp_filter_enter(uintptr_t function, uintptr_t site, uintptr_t sp, uintptr_t after);
bool stamp_filter_exit(uintptr_t function, uintptr_t site, uintptr_t sp, uintptr_t after);
	/* False: this is for the slow half. */

/* stamp_sieve.c */
struct stamp_verdict {
	struct filter_state path;
	uint32_t depth;
	bool recorded;
	bool skipped;             /* not even a frame is needed */
};
void stamp_sieve_follow(uint32_t word);
	/* The process takes the session's rules, where they have changed: once for each word of
	 * control->stamp. */
void stamp_sieve_begin(void);
	/* The calling thread takes the process's; its stack is in use. */
struct stamp_verdict stamp_sieve_judge(uintptr_t function);
	/* On a call that would be entered now. */
void stamp_sieve_opened(struct stamp_frame *frame, const struct stamp_verdict *verdict);
	/* The frame was pushed for that call. */
bool stamp_sieve_hides(uintptr_t function);
	/* Whether the exit of a call that is not open is none of the trace's business. */
bool stamp_too_short(const struct stamp_frame *frame, uint64_t now);
	/* It would be taken back. */
bool stamp_take_back(struct stamp_frame *frame, uint64_t now);
	/* Where the call was too short, and nothing stays that was recorded in it. It is hidden then, as long
	 * as its frame is there. From the fast half, too. */
bool stamp_told(struct stamp_frame *frame);
	/* Whether the trace has its entry. To take one back is brought to its end where a handler came between
	 * and left by longjmp. Not in profile mode. */

/* stamp_names.c */
extern _Atomic uint32_t stamp_names_changed; /* modules, or rules: what is known of functions is old */
uint32_t stamp_fits(uintptr_t function, uint32_t rules);
	/* The elements of the session's filter that the function fits, by rules.N. May start a process that
	 * finds it out, once for each module. */

/* stamp_budget.c */
void stamp_budget(void);
	/* So many calls were recorded: was that too much? */

/* stamp_profile.c */
bool stamp_profile_enter(uintptr_t function, uintptr_t site, uintptr_t sp, uintptr_t after);
bool stamp_profile_exit(uintptr_t function, uintptr_t site, uintptr_t sp, uintptr_t after);
	/* False: this is for the slow half. */
bool stamp_profile_enter_as(const struct stamp_frame *from);
	/* The same where there are rules: as a call with that frame, which is pushed. */
void stamp_profile_entered(struct stamp_frame *frame, uint64_t now);
	/* From the slow half, which has pushed the frame: finds or makes its edge. */
void stamp_profile_left(struct stamp_frame *frame, uint64_t now);
	/* The call has ended; the frame is the innermost, or was a moment ago. */
void stamp_profile_end(enum trace_end how);
	/* The calls that are open have not died, if it does end; by exit, they end now. */
void stamp_profile_forget(void);
	/* The thread begins anew: in a forked child, or in another's room. No call is open. */
void stamp_profile_rename(void);
	/* Addresses may mean other functions now. */

/* stamp_fiber.c */
bool stamp_stack_open(struct stamp_stack *stack);
bool stamp_stack_grow(struct stamp_stack *stack);
	/* Where it is. */
void stamp_stack_clean(struct stamp_stack *stack);
	/* Another thread's calls were open there, and some of them hidden. */
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

/* No stack pointer stays there: who is interrupted between making that very frame and the top would leave
 * the handler's to the next handler, which had it for a call that is gone. So it is for one that is open. */
static inline void stamp_close_frame(struct stamp *s, struct stamp_frame *f)
{
	*(volatile uintptr_t *)&f->sp = UINTPTR_MAX;
	*(struct stamp_frame *volatile *)&s->top = f - 1;
}

/* The next stamp goes to the slow half. */
static inline void stamp_ask(struct stamp *s)
{
	s->seen = s->seen_by_clock = s->profiling = s->filtering = STAMP_ASK;
}

static inline uint32_t stamp_depth(const struct stamp *s)
{
	return s->stack ? (uint32_t)(s->top - s->stack->frames) : 0;
}

/* The innermost call around this one that is recorded; the first frame, where there is none. */
static inline struct stamp_frame *stamp_caller(struct stamp_frame *f)
{
	return f - 1 - f[-1].hidden;
}

#endif
