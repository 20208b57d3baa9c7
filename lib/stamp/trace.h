/*
 * trace.h - the layout of a trace, as TRACE.md describes it: what the recorder writes and readers read.
 *
 * A trace is a directory. The binary part of it is here: segments, each of them a stretch of one
 * thread's records, in one file for each program image. All numbers are little endian; a record is a
 * whole number of 32-bit words and begins at a multiple of four bytes. A word of zero where a record
 * would begin is nothing at all: room that was never used, or whose owner died before he filled it.
 */
#ifndef HARK_STAMP_TRACE_H
#define HARK_STAMP_TRACE_H

#include <stdatomic.h>
#include <stdint.h>

#define TRACE_VERSION 1
#define TRACE_MAGIC UINT64_C(0x316765736b726168) /* "harkseg1" */

/* Names in the directory. */
#define TRACE_IDENTITY "trace"    /* text: whose trace it is, and the clock */
#define TRACE_EVENTS "events"     /* text, a line each, appended by everybody: images, modules, losses */
#define TRACE_IMAGE "image."      /* and the image's number: segments */
#define TRACE_MESSAGES "messages" /* the session's messages and public stamps, format=trace */
#define TRACE_TIMERS "timers."    /* and a number: struct trace_timers */
#define TRACE_MADE "perf-%d.map"  /* what a process said of code that it made at run time */
#define TRACE_SAMPLES "samples"   /* stacks that were looked at from outside: struct trace_samples */

enum {
	TRACE_PAGE = 4096,               /* segments begin and end at multiples of it */
	TRACE_SEGMENT_LEAST = 4 * TRACE_PAGE,
	TRACE_SEGMENT_MOST = 4 << 20,
};

enum trace_segment_kind {
	TRACE_RECORDS = 1, /* a full one may be written over, once it was copied behind all others */
	TRACE_FLIGHT,      /* is used again for newer records; the highest parts are what there is */
	TRACE_PROFILE,     /* a table of call edges: struct trace_edge */
	TRACE_AGAIN,       /* nothing: it is about to be used again */
};

/* At the beginning of each segment. */
struct trace_segment {
	uint64_t magic;
	uint32_t bytes;        /* of the segment, with this */
	uint32_t kind;         /* enum trace_segment_kind */
	uint32_t image;        /* the file's number */
	uint32_t tid;
	uint32_t thread;       /* of the image's threads, from 1 on; a tid may be used again */
	uint32_t part;         /* which of the thread's segments, from 0 on: their order */
	uint64_t ticks;        /* of the first record's past: times below are near to it */
	uint64_t monotonic_ns; /* the same moment by CLOCK_MONOTONIC; 0: not known */
	uint32_t home, near;   /* numbers of the modules that short entries mean; 0: none yet */
	uint32_t depth;        /* calls open when it begins */
	uint32_t fiber;        /* which stack of the thread's it begins on; 0: its own */
	uint64_t parent;       /* of the thread's first segment: image << 32 | thread that forked it; 0: none */
	char comm[16];
	uint32_t end;          /* TRACE_PROFILE: enum trace_end; 0: nobody said so. Of the thread's last part */
	uint32_t unused[5];
};
_Static_assert(sizeof(struct trace_segment) == 112, "a header has its size");

/*
 * The first word of a record: its kind in three bits, then
 *	ENTRY, ENTRY_NEAR, EXIT: the low 29 bits of the time in ticks. The whole time is that which is
 *	nearest to the record before (a TIME record stands wherever that would be another one).
 *	LONG: five bits of type, eight of length in words (this one counted), sixteen of detail.
 */
enum trace_kind {
	TRACE_NOTHING,
	TRACE_ENTRY,      /* + the function's offset in the home module */
	TRACE_EXIT,       /* of the innermost open call */
	TRACE_ENTRY_NEAR, /* + the function's offset in the near module */
	TRACE_LONG,
};

enum { TRACE_KIND_BITS = 3, TRACE_TIME_BITS = 29 };

#define TRACE_SHORT(kind, ticks) ((uint32_t)(ticks) << TRACE_KIND_BITS | (uint32_t)(kind))
#define TRACE_LONG_WORD(type, words, detail) \
	((uint32_t)TRACE_LONG | (uint32_t)(type) << 3 | (uint32_t)(words) << 8 |               \
	 (uint32_t)(detail) << 16)
#define TRACE_WORD_KIND(word) ((word) & 7u)
#define TRACE_WORD_TYPE(word) ((word) >> 3 & 31u)
#define TRACE_WORD_WORDS(word) ((word) >> 8 & 255u)
#define TRACE_WORD_DETAIL(word) ((word) >> 16)

static inline uint32_t trace_words(uint32_t word)
	/* How many words the record has that begins with this one; 0: none does. */
{
	switch (TRACE_WORD_KIND(word)) {
	case TRACE_EXIT: return 1;
	case TRACE_ENTRY:
	case TRACE_ENTRY_NEAR: return 2;
	case TRACE_LONG: return TRACE_WORD_WORDS(word);
	default: return 0;
	}
}

/* Long records. Those marked * have a body; it begins with the whole time in ticks, two words, unless
 * said otherwise. "The innermost n": of the calls that are open on the present fiber. */
enum trace_long {
	TRACE_VOID,       /* nothing; its length holds. Detail: enum trace_void */
	TRACE_TIME,       /* * the time alone */
	TRACE_HOME,       /* * without time: the number of the module that ENTRY means from now on */
	TRACE_NEAR,       /* * without time: likewise for ENTRY_NEAR */
	TRACE_ENTRY_FAR,  /* * module (one word), offset (two words); module 0: offset is an address */
	TRACE_EXIT_FAR,   /* * as ENTRY_FAR: exit of a call that is not open, or was not recorded */
	TRACE_UNWOUND,    /* * count, left (a word each): so many of the innermost calls ended without an exit.
			   * Fewer, if less than so many would be left: some may have no entry here */
	TRACE_FIBER,      /* * number (one word): the thread goes on, on this stack of its own making */
	TRACE_OPEN,       /* * as ENTRY_FAR: a call that was open already, outermost first (after fork) */
	TRACE_GAP,        /* * count (two words): records that are missing here; detail: enum trace_gap */
	TRACE_END,        /* * nothing more: the thread's recording ended; detail: enum trace_end. But for what
			   * destructors call after the one by which an exit is told, and who fails to exec */
	TRACE_STAMP,      /* * id (two words), step (two words), text to the end, NULs fill the last word;
			   * detail: how many of them. Not written so far: public stamps are messages */
	TRACE_VALUES,     /* * of the innermost open call (values.h); detail: enum values_of. Arguments stand
			   * behind its entry, the result in front of its exit */
	TRACE_LONGS
};

enum trace_void {
	TRACE_VOID_GONE,  /* it was taken back */
	TRACE_VOID_BEGUN, /* not finished by whoever began it */
};

enum trace_gap {
	TRACE_GAP_DISK = 1, /* no room for another segment: recording stopped here */
	TRACE_GAP_SANDBOX,  /* the program forbade itself the system calls that this takes */
	TRACE_GAP_NESTED,   /* a signal handler called functions while a segment was being changed */
	TRACE_GAP_OFF,      /* switched off in between (count: 0, nobody counted) */
	TRACE_GAP_MEMORY,
	TRACE_GAP_REFUSED,  /* the file could not be opened: rights that were given up, no descriptors */
	TRACE_GAPS
};

enum trace_end {
	TRACE_END_EXIT = 1, /* the process called exit, _exit or returned from main */
	TRACE_END_EXEC,
	TRACE_END_OFF,      /* switched off */
	TRACE_END_SNAPSHOT, /* of a snapshot: the thread went on */
	TRACE_ENDS
};

/*
 * A segment of kind TRACE_PROFILE: the header, struct trace_profile, then `used` edges, each of them the
 * calls of one function from another in one thread. Of a thread's several parts each has edges of its own.
 */
enum { TRACE_BUCKETS = 80 }; /* two for each power of two of ticks: bucket 2k+h counts [2^k(1+h/2), …) */

struct trace_profile {
	uint32_t slots;      /* there is room for */
	uint32_t used;
};

#define TRACE_FUNCTION(module, offset) ((uint64_t)(module) << 40 | (offset))
#define TRACE_EDGE_OTHERS UINT64_MAX /* as callee: calls for which there was no room */

struct trace_edge {
	uint64_t caller;     /* TRACE_FUNCTION; 0: none that is recorded */
	uint64_t callee;
	uint64_t calls;      /* that were entered; what follows counts those that have ended */
	uint64_t total;      /* ticks, of those only below which the callee was not open already */
	uint64_t self;
	uint64_t min, max;   /* ticks; 0: none has ended */
	uint32_t buckets[TRACE_BUCKETS]; /* calls by their time */
};

/*
 * A file timers.N: public timers of one process, a page. They change at any time, and whoever changed
 * one may have died in the midst of it, so a figure may lack what another one counts already.
 */
#define TRACE_TIMERS_MAGIC UINT64_C(0x316d69746b726168) /* "harktim1" */
enum { TRACE_TIMER_LAST = 10, TRACE_TIMER_NAME = 48, TRACE_TIMERS_MOST = 12 };

struct trace_interval {
	_Atomic uint64_t begin, took; /* ticks */
	_Atomic uint32_t tid;
	_Atomic uint32_t number;   /* of the timer's intervals, from 1 on; 0: it is being written */
};

struct trace_timer {
	_Atomic uint64_t count;    /* intervals that were begun to be entered */
	_Atomic uint64_t total, min, max; /* ticks; min is UINT64_MAX before the first one */
	struct trace_interval last[TRACE_TIMER_LAST]; /* number n is in (n - 1) % TRACE_TIMER_LAST */
	char name[TRACE_TIMER_NAME]; /* "": not in use */
};

struct trace_timers {
	uint64_t magic;
	uint32_t pid;
	_Atomic uint32_t used;     /* may be more than there are */
	char comm[16];
	uint64_t unused[28];
	struct trace_timer timers[TRACE_TIMERS_MOST];
};
_Static_assert(sizeof(struct trace_timers) == TRACE_PAGE, "a page");

/*
 * `samples`: this header, then records of whole 64-bit words, appended by the sampler alone. Whatever a
 * record names (a file, a thread, a node) stands before it.
 */
#define TRACE_SAMPLES_MAGIC UINT64_C(0x31706d736b726168) /* "harksmp1" */

enum trace_sample_mode { TRACE_SAMPLE_CPU = 1, TRACE_SAMPLE_WALL };
enum trace_sample_source {
	TRACE_SOURCE_PERF = 1, /* perf_event_open(2), by the cpu-clock */
	TRACE_SOURCE_TIMER,    /* timers on processor time, and a handler in the program */
};
enum { TRACE_REACH_KERNEL = 1 };  /* time that is spent in the kernel is sampled, too */

struct trace_samples {
	uint64_t magic;
	uint32_t bytes;        /* of this header */
	uint32_t mode;         /* enum trace_sample_mode */
	uint32_t source;       /* enum trace_sample_source: who looked */
	uint32_t reach;        /* what can be seen */
	uint64_t period_ns;    /* of a thread's time from one sample to the next */
	int32_t pid;           /* the sampler's */
	int32_t target;        /* the process that was sampled first */
	uint64_t pid_start;    /* field 22 of /proc/PID/stat of the sampler */
	uint32_t stack_bytes;  /* how much of a stack is looked at */
	uint32_t least_ns;     /* the shortest period that this source can have here; 0: as asked */
};
_Static_assert(sizeof(struct trace_samples) == 56, "a header has its size");

/* The first word of a record: four bits of type, eight of length in words (this one counted), twenty of
 * number, 32 of value. A record of unknown type is skipped by its length. */
enum trace_sample_record {
	TRACE_SAMPLE_FILE = 1, /* number: from 1 on; value: bytes of text: build-id, NUL, path. A path in
				* brackets is no file: "[kernel]", "[vdso]", … */
	TRACE_SAMPLE_THREAD,   /* number: from 1 on; value: pid; tid, ticks, 16 bytes of name. Again when its
				* name changes */
	TRACE_SAMPLE_NODE,     /* number: the file; value: the node that called it, 0: none; offset in the
				* file's module. The first one is node 1, the next one 2 … */
	TRACE_SAMPLE_SAMPLE,   /* number: the thread; value: the node it was in; ticks. A period of its time */
	TRACE_SAMPLE_WAIT,     /* likewise; ticks when it went on; nanoseconds that it did not run */
	TRACE_SAMPLE_MAP,      /* number: the file; value: pid; ticks, base, bytes: it is mapped there */
	TRACE_SAMPLE_GAP,      /* number: enum trace_sample_gap; value: how many samples are missing; ticks,
				* and more by reason */
	TRACE_SAMPLE_CLOCK,    /* ticks, CLOCK_MONOTONIC: the same moment */
	TRACE_SAMPLE_END,      /* ticks: nobody was left to be sampled */
	TRACE_SAMPLE_RECORDS
};

enum trace_sample_gap {
	TRACE_SAMPLE_GAP_RING = 1, /* the sampler was too slow for the ring */
	TRACE_SAMPLE_GAP_DISK,     /* no room for the file */
	TRACE_SAMPLE_GAP_MEMORY,   /* more different stacks than the sampler remembers */
	TRACE_SAMPLE_GAP_THROTTLE, /* the kernel found that it took too much time */
	TRACE_SAMPLE_GAP_BLOCKED,  /* a thread, whose number follows, had blocked the timers' signal */
	TRACE_SAMPLE_GAPS
};

enum { TRACE_MADE_MOST = 64 << 20 };
enum { TRACE_SAMPLE_NUMBER_BITS = 20, TRACE_SAMPLE_TEXT = 2000 };

#define TRACE_SAMPLE_HEAD(type, words, number, value) \
	((uint64_t)(type) | (uint64_t)(words) << 4 | (uint64_t)(number) << 12 | \
	 (uint64_t)(value) << 32)

#endif
