/*
 * fuzz_trace.c - a trace that somebody else wrote: identity, events, segments, messages, samples, timers.
 *
 * A libFuzzer target. Six bytes say how the rest is cut up: which filter, whether the segment has the
 * header that it should, and how many bytes are events and messages; what is left are segments. Those
 * may be packed, or what a packed file is made of; and messages be samples and timers as well. Beyond
 * crashes, it looks for calls that end before they begin, lie beside their callers or end in another
 * order than they began, and for sums of the same calls that differ.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/profile/arcs.h"
#include "lib/profile/edges_open.h"
#include "lib/profile/packed.h"
#include "lib/profile/table.h"
#include "lib/profile/timer_list.h"
#include "lib/profile/tree.h"

enum { WITH_HEADER = 1, WITH_IDENTITY = 2, PROFILE = 4, FLIGHT = 8, MERGE = 16, CUT = 32,
       SAMPLES = 64, PACKED = 128 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir[64];

static void insist(int holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "not so: %s\n", what);
	abort();
}

static void clean(void)
{
	char command[128];

	snprintf(command, sizeof command, "rm -rf %s", dir);
	if (system(command) != 0)
		fprintf(stderr, "%s is left\n", dir);
}

static void make_dir(void)
{
	const char *top = getenv("TMPDIR");

	snprintf(dir, sizeof dir, "%.40s/hark-fuzz-XXXXXX", top && *top ? top : "/tmp");
	insist(mkdtemp(dir) != NULL, "there is a directory");
	atexit(clean);
}

static void put(const char *name, const void *bytes, size_t count, off_t length)
{
	char path[128];

	snprintf(path, sizeof path, "%s/%s", dir, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	insist(fd >= 0 && write(fd, bytes, count) == (ssize_t)count, "files can be written");
	if (length)
		insist(ftruncate(fd, length) == 0, "files can be made longer");
	close(fd);
}

static void drop(const char *name)
{
	char path[128];

	snprintf(path, sizeof path, "%s/%s", dir, name);
	unlink(path);
}

/* In frames of some pages, as somebody would who has the format from its description alone. */
static void put_packed(const uint8_t *bytes, size_t count)
{
	char path[128];

	snprintf(path, sizeof path, "%s/%s", dir, TRACE_IMAGE "1" PACKED_SUFFIX);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	struct packer *packer = fd >= 0 ? packer_open(fd, 1) : NULL;
	insist(packer != NULL, "there is a packer");
	for (size_t at = 0, n; at < count; at += n) {
		n = count - at < 3 * TRACE_PAGE ? count - at : 3 * TRACE_PAGE;
		insist(packer_put(packer, bytes + at, n) == 0, "it is packed");
	}
	insist(packer_end(packer) == 0, "the table is written");
	packer_close(packer);
	close(fd);
}

static void put_segments(uint8_t flags, const uint8_t *data, size_t size)
{
	struct trace_segment head = { .bytes = 0 };

	drop(TRACE_IMAGE "1");
	drop(TRACE_IMAGE "1" PACKED_SUFFIX);
	if (!(flags & WITH_HEADER)) {
		put(flags & PACKED ? TRACE_IMAGE "1" PACKED_SUFFIX : TRACE_IMAGE "1", data, size,
		    0);
		return;
	}
	/* several of them, where there is more than one holds */
	static uint8_t bytes[1 << 18];
	size_t most = TRACE_SEGMENT_LEAST - sizeof head, at = 0, count = 0;
	while (count * TRACE_SEGMENT_LEAST + TRACE_SEGMENT_LEAST <= sizeof bytes && at < size) {
		uint8_t *segment = bytes + count * TRACE_SEGMENT_LEAST;
		size_t n = size - at < most ? size - at : most;
		memset(segment, 0, TRACE_SEGMENT_LEAST);
		head.magic = TRACE_MAGIC;
		head.bytes = TRACE_SEGMENT_LEAST;
		head.kind = flags & PROFILE && flags & FLIGHT && count % 2 ? TRACE_AGAIN :
			    flags & PROFILE			     ? TRACE_PROFILE :
			    flags & FLIGHT			     ? TRACE_FLIGHT :
								       TRACE_RECORDS;
		head.image = head.thread = head.home = 1;
		head.tid = 9;
		head.depth = data[at];
		head.part = (uint32_t)(flags & CUT ? count / 2 : count); /* each twice */
		count++;
		memcpy(segment, &head, sizeof head);
		memcpy(segment + sizeof head, data + at, n);
		at += n;
	}
	size_t all = count * TRACE_SEGMENT_LEAST;
	if (flags & PACKED)
		put_packed(bytes, flags & CUT && all > 4000 ? all - 4000 : all);
	else
		put(TRACE_IMAGE "1", bytes, flags & CUT && all > 4000 ? all - 4000 : all, 0);
}

/* ---- what is seen ------------------------------------------------------------------------------ */

struct seen {
	struct table *table;
	struct tree tree;
	struct arcs arcs;
	unsigned open;
	uint64_t calls;
	uint64_t in_rows;          /* without those of samples, which are no calls there */
};

static void on_enter(void *arg, const struct trace_thread *thread, struct call *call)
{
	struct seen *seen = arg;

	insist(thread && call->function && call->function->name, "it has a thread and a function");
	insist(!call->caller || call->caller->depth + 1 == call->depth, "depth grows by one");
	insist(!call->caller || call->caller->begin_ns <= call->begin_ns, "callers begin before");
	insist(call->user == NULL, "nobody used it before");
	seen->open++;
	tree_enter(&seen->tree, call);
}

static void on_leave(void *arg, const struct trace_thread *thread, struct call *call)
{
	struct seen *seen = arg;

	insist(seen->open-- > 0, "it was entered");
	insist(call->end_ns >= call->begin_ns, "calls end after they begin");
	insist(call->below_ns >= 0 && call->below_ns <= call->end_ns - call->begin_ns,
	       "what it calls takes no longer than it does");
	seen->calls += !call->before;
	seen->in_rows += !call->before && !thread->sampled;
	table_leave(seen->table, thread, call);
	tree_leave(&seen->tree, call);
	arcs_leave(&seen->arcs, call);
}

static void on_mark(void *arg, const struct trace_thread *thread, const struct mark *mark,
		    const struct call *innermost)
{
	volatile char touched = 0;

	(void)arg;
	insist(!innermost || thread, "who is in a call is known");
	for (size_t i = 0; mark->text && i < mark->text_bytes; i++)
		touched = (char)(touched + mark->text[i]);
	if (mark->kind == MARK_MESSAGE)
		insist(mark->level && mark->source, "a message has a level and a source");
	if (mark->kind == MARK_DEATH)
		insist(innermost != NULL, "a death has a place");
}

static void check_sums(struct seen *seen)
{
	uint64_t rows_calls = 0, tree_calls = 0, arcs_calls = 0;
	struct table_row *rows;
	size_t count;

	insist(table_sort(seen->table, TABLE_P99, &rows, &count) == 0, "there are rows");
	for (size_t i = 0; i < count; i++) {
		if (rows[i].sampled)
			continue;
		rows_calls += rows[i].calls;
		insist(rows[i].min_ns <= rows[i].p50_ns && rows[i].p50_ns <= rows[i].p99_ns &&
			       rows[i].p99_ns <= rows[i].max_ns,
		       "quantiles are in order");
		insist(rows[i].min_ns <= rows[i].avg_ns && rows[i].avg_ns <= rows[i].max_ns,
		       "the average lies between");
	}
	insist(tree_sort(&seen->tree) == 0 && arcs_sort(&seen->arcs) == 0, "they are sorted");
	for (const struct tree_node *n = tree_next(&seen->tree.root); n; n = tree_next(n))
		tree_calls += n->calls;
	for (size_t i = 0; i < seen->arcs.count; i++)
		arcs_calls += seen->arcs.slots[i].calls;
	insist(rows_calls == seen->in_rows && arcs_calls == seen->calls, "all calls are counted");
	insist(tree_calls <= seen->calls && tree_calls + seen->tree.missed >= seen->calls,
	       "all calls are on a path");
}

static void on_edge(void *arg, const struct edge *edge)
{
	insist(edge->callee && edge->callee->name, "an edge leads somewhere");
	table_edge(arg, edge);
}

static void on_death(void *arg, const struct trace_thread *thread, const struct call *innermost)
{
	const struct call *call = innermost;

	(void)arg;
	for (uint32_t depth = innermost->depth; call->caller; call = call->caller, depth--)
		insist(call->depth == depth && *call->function->name, "a chain of names");
	insist(thread->part_count && call->depth == 0, "which begins outside");
}

static void look_at_timers(struct trace_dir *trace)
{
	struct timer_list list;

	insist(timer_list_read(&list, trace) == 0, "timers are read");
	for (size_t i = 0; i < list.count; i++)
		insist(list.timers[i].last_count <= TRACE_TIMER_LAST &&
			       memchr(list.timers[i].name, 0, TRACE_TIMER_NAME),
		       "a timer has a name and not too many intervals");
	for (size_t i = 0; i < list.interval_count; i++)
		insist(list.intervals[i].timer < list.count &&
			       (i == 0 || list.intervals[i - 1].end_ns <= list.intervals[i].end_ns),
		       "intervals are some timer's, and in order");
	timer_list_fini(&list);
}

static void walk(struct trace_dir *trace, uint8_t which, int merge)
{
	static const char *const only[] = { "0x1*", "m*", NULL }, *const never[] = { "*2?", NULL };
	const struct calls_filter filters[] = {
		{ .only = NULL }, { .depth = 2 }, { .min_ns = 40 }, { .only = only },
		{ .never = never, .min_ns = 3 }, { .module = "x*" },
		{ .since_ns = 1000, .until_ns = 100000 },
		{ .only = only, .never = never, .depth = 3, .min_ns = 9, .since_ns = 50 },
	};
	const struct calls_visitor visitor = { .enter = on_enter, .leave = on_leave,
					       .mark = on_mark };
	struct seen seen = { .table = table_open() };
	struct edges_found found;

	struct calls *calls = calls_open(trace, &filters[which % 8]);
	insist(calls && seen.table && tree_init(&seen.tree, which & 8 ? 5 : TREE_NODES) == 0,
	       "there is memory");
	insist((merge ? calls_merge : calls_walk)(calls, &visitor, &seen) == 0, "it is read");
	insist(seen.open == 0, "every call is left");
	check_sums(&seen);
	struct table *edges = table_open();
	struct table_row *rows;
	size_t count;
	insist(edges_each(calls, on_edge, edges, &found) == 0, "edges are read");
	insist(table_sort(edges, TABLE_NAME, &rows, &count) == 0 && count <= found.edges,
	       "edges have functions");
	insist(edges_deaths(calls, on_death, NULL) == 0, "deaths are told");
	table_close(edges);
	table_close(seen.table);
	tree_fini(&seen.tree);
	arcs_fini(&seen.arcs);
	calls_close(calls);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char identity[] =
		"hark-trace=1\nmode=trace\ncounter=0\nticks=0\nmonotonic_ns=0\nrealtime_ns=0\n";
	struct trace_dir trace;
	char why[128] = "";

	if (size < 6 || size > 100000)
		return 0;
	if (!*dir)
		make_dir();
	uint8_t flags = data[0], which = data[1];
	size_t events = data[2] | (size_t)data[3] << 8, messages = data[4] | (size_t)data[5] << 8;
	data += 6;
	size -= 6;
	events = events < size ? events : size;
	messages = messages < size - events ? messages : size - events;
	if (flags & WITH_IDENTITY)
		put(TRACE_IDENTITY, identity, sizeof identity - 1, 0);
	else
		put(TRACE_IDENTITY, data, events, 0);
	put(TRACE_EVENTS, data, events, 0);
	put(TRACE_MESSAGES, data + events, messages, 0);
	drop(TRACE_SAMPLES);
	drop(TRACE_TIMERS "1");
	if (flags & SAMPLES) {
		put(TRACE_SAMPLES, data + events, messages, 0);
		put(TRACE_TIMERS "1", data + events, messages, messages < 4096 ? 4096 : 0);
	}
	put_segments(flags, data + events + messages, size - events - messages);
	if (trace_dir_open(&trace, dir, why, sizeof why) != 0) {
		insist(*why != '\0', "an answer says something");
		return 0;
	}
	walk(&trace, which, flags & MERGE);
	look_at_timers(&trace);
	insist(!trace.torn || *trace.trouble, "what is torn is told");
	trace_dir_close(&trace);
	return 0;
}
