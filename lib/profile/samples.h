/*
 * samples.h - the samples of a trace: stacks that were looked at from outside (`samples`, TRACE.md).
 *
 * For trace_dir.c and cursor.c. To all who read calls, a sample is a stack of calls that took one period
 * of its thread's time: so filters, reports and exports are the same for both. Everything may be torn
 * or hostile.
 */
#ifndef HARK_PROFILE_SAMPLES_H
#define HARK_PROFILE_SAMPLES_H

#include "lib/profile/trace_dir.h"

/* Images of sampled processes have the highest numbers. */
#define SAMPLES_IMAGE(n) (UINT32_MAX - (uint32_t)(n))

struct sample {
	uint64_t ticks;            /* when it was taken, or when the wait ended */
	uint64_t ns;               /* that it stands for */
	uint32_t node;
};

struct samples_node {
	uint64_t offset;
	uint32_t parent, file;
};

/* In the place of an offset: the number of a function that is nowhere by itself. */
#define SAMPLES_INLINED (UINT64_C(1) << 63)

struct samples_inlined {
	uint64_t start;            /* what tells it apart in its file */
	char *name, *linkage, *file; /* file: where it is declared; NULL: not known */
	int line;
};

struct samples {
	struct trace_samples head;
	struct samples_node *nodes; /* by number, 1 is the first */
	uint32_t node_count;
	struct samples_inlined *inlined; /* functions that nodes stand for */
	size_t inlined_count;
	bool unfolded;             /* nodes stand for functions */
	uint64_t gaps[TRACE_SAMPLE_GAPS]; /* missing samples, by reason */
	uint64_t gap_places[TRACE_SAMPLE_GAPS];
	uint32_t blocked;          /* threads that could not be looked at, all the time or some */
	char blocked_comm[17];     /* the first one's name */
	uint64_t count;
	bool ended;                /* nobody was left: it is whole */
	bool together;             /* calls of successive samples are one, if they may be: for time lines */
};

struct samples_thread {
	const struct samples *samples;
	struct sample *rows;       /* in the order of time */
	size_t count, room;
	bool blocked;              /* it began with the timers' signal blocked */
	uint64_t unseen;           /* samples that are missing of it for that reason */
};

int samples_read(struct trace_dir *dir, uint64_t *ticks, uint64_t *monotonic_ns);
	/* Adds images and threads to those of the directory; dir->samples is NULL where there are none.
	 * ticks: taken forward to the latest pair of clocks. 0 or -ENOMEM; what is torn is counted. */
void samples_clock(struct trace_dir *dir);
	/* The clock's rate is known now: threads begin with what their first sample stands for. */
struct names;
int samples_unfold(struct trace_dir *dir, struct names *names);
	/* Nodes stand for places in code so far; from now on for functions, also for those that were inlined
	 * there. Once for a trace. 0 or -ENOMEM. */
void samples_close(struct trace_dir *dir);

/* A thread's samples as records of calls (lib/stamp/trace.h). */
struct samples_cursor {
	const struct samples_thread *thread;
	double ns_per_tick;
	size_t next;               /* the sample that comes */
	uint64_t end;              /* in ticks: of the one before */
	uint32_t *path;            /* nodes, the outermost first: of the calls that are open, or enter */
	uint32_t depth, room;      /* calls that the sample has; room for them */
	uint32_t open;             /* how many of them are open now */
	uint32_t keep;             /* how many will not be left */
	uint64_t begin, until;     /* ticks of the sample */
	enum { SAMPLES_NEXT, SAMPLES_ENTER, SAMPLES_LEAVE } phase;
};

enum { SAMPLES_RECORD = 6 };       /* words of the longest record */

int samples_cursor_open(struct samples_cursor *cursor, const struct trace_dir *dir,
			const struct trace_thread *thread);
void samples_cursor_close(struct samples_cursor *cursor);
uint32_t samples_record(struct samples_cursor *cursor, uint32_t words[SAMPLES_RECORD]);
	/* The next record; how many words it has, 0 at the end. */

#endif
