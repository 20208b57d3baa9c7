/* test_calls.c - calls*.c: what records become, by traces made by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/profile/calls.h"
#include "tests/unit/trace_case.h"

struct home {
	char top[TRACE_CASE_TOP];
	struct trace_case c;
	char log[16384];           /* what the visitor saw */
	size_t used;
	bool times;
};

static int set_up(void **state)
{
	struct home *h = calloc(1, sizeof *h);

	*state = h;
	return trace_case_home(&h->c, h->top);
}

static int tear_down(void **state)
{
	struct home *h = *state;
	int result = trace_case_gone(h->top);

	free(h);
	return result;
}

/* ---- a visitor that writes everything down ----------------------------------------------------- */

static __attribute__((format(printf, 2, 3))) void note(struct home *h, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	int n = vsnprintf(h->log + h->used, sizeof h->log - h->used, format, arguments);
	va_end(arguments);
	assert_in_range(n, 0, sizeof h->log - h->used - 1);
	h->used += (size_t)n;
}

/* By where it begins: what it is called is for symbols.c to know. */
static const char *name_of(const struct home *h, const struct function *f)
{
	uint64_t i = (f->start - TRACE_CASE_CODE) / 16;

	return i < h->c.count ? h->c.names[i] : "?";
}

static void on_enter(void *arg, const struct trace_thread *thread, struct call *call)
{
	struct home *h = arg;

	(void)thread;
	assert_null(call->user);
	call->user = call;
	assert_int_equal(call->depth, call->caller ? call->caller->depth + 1 : 0);
	if (h->times)
		note(h, "%d:", (int)(call->begin_ns - TRACE_CASE_UTC));
	note(h, "%s%s%s( ", call->before ? "open:" : "", name_of(h, call->function),
	     call->recursive ? "*" : "");
}

static void on_leave(void *arg, const struct trace_thread *thread, struct call *call)
{
	static const char *const ends[] = { ")open", ")", ")unwound", ")died", ")exited" };
	struct home *h = arg;

	(void)thread;
	assert_ptr_equal(call->user, call);
	note(h, "%s", ends[call->end]);
	if (h->times)
		note(h, ":%d/%d", (int)(call->end_ns - call->begin_ns),
		     (int)(call->end_ns - call->begin_ns - call->below_ns));
	note(h, " ");
}

static void on_mark(void *arg, const struct trace_thread *thread, const struct mark *mark,
		    const struct call *innermost)
{
	struct home *h = arg;

	(void)thread;
	switch (mark->kind) {
	case MARK_GAP: note(h, "gap:%d,%d ", (int)mark->step, (int)mark->id); break;
	case MARK_FIBER: note(h, "@%d ", (int)mark->id); break;
	case MARK_STAMP:
		note(h, "stamp:%d,%d,%.*s ", (int)mark->id, (int)mark->step,
		     (int)mark->text_bytes, mark->text);
		break;
	case MARK_DEATH: note(h, "death:%s ", name_of(h, innermost->function)); break;
	case MARK_MUTED: note(h, "muted:%d ", (int)mark->id); break;
	case MARK_TIMER:
		note(h, "timer:%.*s,%d,%d%s@%s ", (int)mark->text_bytes, mark->text,
		     (int)mark->id, (int)mark->took_ns, mark->timer ? ",last" : "",
		     innermost ? name_of(h, innermost->function) : "-");
		break;
	case MARK_MESSAGE:
		note(h, "\"%.*s\"%s@%s ", (int)mark->text_bytes, mark->text, mark->level,
		     innermost ? name_of(h, innermost->function) : "-");
		break;
	}
}

static void on_begin(void *arg, const struct trace_thread *thread)
{
	note(arg, "[%d ", thread->tid);
}

static void on_end(void *arg, const struct trace_thread *thread)
{
	(void)thread;
	note(arg, "] ");
}

static const struct calls_visitor writer = {
	.enter = on_enter, .leave = on_leave, .mark = on_mark, .begin = on_begin, .end = on_end,
};

static const char *walked(struct home *h, const struct calls_filter *filter, unsigned torn,
			  int (*walk)(struct calls *, const struct calls_visitor *, void *))
{
	struct trace_dir dir;
	char why[256];

	trace_case_close(&h->c);
	assert_int_equal(trace_dir_open(&dir, h->c.dir, why, sizeof why), 0);
	struct calls *calls = calls_open(&dir, filter);
	assert_non_null(calls);
	assert_int_equal(walk(calls, &writer, h), 0);
	assert_int_equal(dir.torn, torn);
	calls_close(calls);
	trace_dir_close(&dir);
	return h->log;
}

/* One thread that does this, and what is seen of it. */
static const char *seen(struct home *h, const char *script, const struct calls_filter *filter)
{
	unsigned image = trace_case_image(&h->c, 100, 0);
	struct trace_case_thread t = trace_case_thread(&h->c, image, 1, 7);

	trace_case_script(&t, script);
	trace_case_cut(&t);
	return walked(h, filter, 0, calls_walk);
}

/* ---- one thread -------------------------------------------------------------------------------- */

static void calls_and_times(void **state)
{
	struct home *h = *state;

	h->times = true;
	assert_string_equal(
		seen(h, "+10 main( +5 load( +7 ) +1 parse( +100 load( +2 ) +3 ) +4 ) end:1", NULL),
		"[7 10:main( 15:load( ):7/7 23:parse( 123:load( ):2/2 ):105/103 ):122/10 ] ");
}

static void recursion_is_told(void **state)
{
	assert_string_equal(seen(*state, "f( g( f( ) ) f( f( ) ) ) f( ) end:1", NULL),
			    "[7 f( g( f*( ) ) f*( f*( ) ) ) f( ) ] ");
}

static void long_silence_and_many_segments(void **state)
{
	struct home *h = *state;

	h->times = true;
	const char *log =
		seen(h, "main( +900000000 cut a( +1 hole:9 ) cut +1000000000 ) end:1", NULL);
	assert_string_equal(log,
			    "[7 0:main( 900000000:a( ):1/1 ):1900000001/1900000000 ] ");
}

static void ways_to_end(void **state)
{
	assert_string_equal(seen(*state, "main( a( b( c( ^2 ) d( e( end:1", NULL),
			    "[7 main( a( b( c( )unwound )unwound ) d( e( )exited )exited "
			    ")exited ] ");
}

static void no_more_end_than_are_there(void **state)
{
	assert_string_equal(seen(*state, "main( a( b( ^3,1 c( ) ^1,9 ) end:1", NULL),
			    "[7 main( a( b( )unwound )unwound c( ) ) ] ");
}

static void dies_where_it_was(void **state)
{
	assert_string_equal(seen(*state, "main( a( ) load( parse(", NULL),
			    "[7 main( a( ) load( parse( death:parse )died )died )died ] ");
}

static void dies_in_what_is_shown(void **state)
{
	assert_string_equal(seen(*state, "main( +100 load( +5 parse(",
				 &(struct calls_filter){ .min_ns = 50 }),
			    "[7 main( death:main )died ] ");
}

static void nothing_open_is_no_death(void **state)
{
	assert_string_equal(seen(*state, "a( ) b( )", NULL), "[7 a( ) b( ) ] ");
}

static void stops_without_room(void **state)
{
	assert_string_equal(seen(*state, "main( a( gap:1,0", NULL),
			    "[7 main( a( gap:1,0 )open )open ] ");
}

static void stamps_and_gaps(void **state)
{
	assert_string_equal(seen(*state, "main( stamp:four stamp:chunks gap:3,12 ) end:1", NULL),
			    "[7 main( stamp:7,3,four stamp:7,3,chunks gap:3,12 ) ] ");
}

static void fibers_have_stacks_of_their_own(void **state)
{
	assert_string_equal(
		seen(*state, "main( @5 work( @0 a( ) @5 more( ) @9 x( @5 ) @0 ) @9 ) end:1", NULL),
		"[7 main( @5 work( @0 a( ) @5 more( ) @9 x( @5 ) @0 ) @9 ) ] ");
}

static void a_fork_goes_on_in_its_callers(void **state)
{
	assert_string_equal(seen(*state, "open:main open:spawn child( ) ) ) end:1", NULL),
			    "[7 open:main( open:spawn( child( ) ) ) ] ");
}

static void deep_recursion(void **state)
{
	struct home *h = *state;
	struct trace_case_thread t = trace_case_thread(&h->c, trace_case_image(&h->c, 1, 0), 1, 7);
	struct calls_visitor nobody = { .enter = NULL };
	struct trace_dir dir;
	char why[256];

	for (unsigned i = 0; i < 100000; i++)
		trace_case_script(&t, "f(");
	for (unsigned i = 0; i < 100000; i++)
		trace_case_script(&t, ")");
	trace_case_script(&t, "end:1");
	trace_case_cut(&t);
	trace_case_close(&h->c);
	assert_int_equal(trace_dir_open(&dir, h->c.dir, why, sizeof why), 0);
	struct calls *calls = calls_open(&dir, NULL);
	assert_int_equal(calls_walk(calls, &nobody, NULL), 0);
	assert_int_equal(calls_function_count(calls), 1);
	assert_int_equal(dir.torn, 0);
	calls_close(calls);
	trace_dir_close(&dir);
}

static void a_lost_part_ends_what_is_open(void **state)
{
	struct home *h = *state;

	/* the calls of the part that is not there are counted, and returned from, without names */
	assert_string_equal(seen(h, "main( a( skip b( ) ) ) c( ) end:1", NULL),
			    "[7 main( a( gap:0,0 )unwound )unwound b( ) c( ) ] ");
}

static void flight_begins_with_what_is_left(void **state)
{
	struct home *h = *state;
	struct trace_case_thread t = trace_case_thread(&h->c, trace_case_image(&h->c, 1, 0), 1, 7);

	t.head.kind = TRACE_FLIGHT;
	t.head.part = 6;
	t.open = 2; /* of the time before */
	trace_case_script(&t, "a( ) ) b( ) ) c( ) cut d( e(");
	trace_case_cut(&t);
	assert_string_equal(walked(h, NULL, 0, calls_walk),
			    "[7 a( ) b( ) c( ) d( e( death:e )died )died ] ");
}

/* Each segment repeats what is open: who goes on from the one before knows that. The outermost of four
 * calls had no room. */
static void flight_knows_what_is_open(void **state)
{
	struct home *h = *state;
	struct trace_case_thread t = trace_case_thread(&h->c, trace_case_image(&h->c, 1, 0), 1, 7);

	t.head.kind = TRACE_FLIGHT;
	t.head.part = 6;
	t.open = 4;
	trace_case_script(&t, "repeat:main repeat:load repeat:parse step( ) ) next( ) "
			      "cut repeat:main repeat:load done( )");
	trace_case_cut(&t);
	assert_string_equal(walked(h, NULL, 0, calls_walk),
			    "[7 open:main( open:load( open:parse( step( ) ) next( ) done( ) "
			    "death:load )died )died ] ");
}

/* Switched on in the midst of calls: those that were open are told when they return. */
static void returns_of_calls_from_before(void **state)
{
	assert_string_equal(seen(*state,
				 "a( ) far:parse b( c( ) ) far:load far:main d( ) end:3", NULL),
			    "[7 a( ) open:parse( ) b( c( ) ) open:load( ) open:main( ) d( ) ] ");
}

/* An entry that was not recorded, in the midst of others that were. */
static void a_return_without_an_entry(void **state)
{
	assert_string_equal(seen(*state, "main( a( far:lost b( ) ) ) end:1", NULL),
			    "[7 main( a( open:lost( ) b( ) ) ) ] ");
}

/* ---- filters ----------------------------------------------------------------------------------- */

static const char sample[] =
	"+10 main( +10 a( +10 b( +10 ) +10 ) +10 b( +10 a( +5 ) +5 ) +10 c( +1 ) ) end:1";

static void by_depth(void **state)
{
	struct home *h = *state;

	h->times = true;
	assert_string_equal(seen(h, sample, &(struct calls_filter){ .depth = 2 }),
			    "[7 10:main( 20:a( ):30/30 60:b( ):20/20 90:c( ):1/1 ):81/30 ] ");
}

static void by_least_time(void **state)
{
	struct home *h = *state;

	h->times = true;
	assert_string_equal(seen(h, sample, &(struct calls_filter){ .min_ns = 10 }),
			    "[7 10:main( 20:a( 30:b( ):10/10 ):30/20 60:b( ):20/20 ):81/31 ] ");
}

static void by_window(void **state)
{
	assert_string_equal(seen(*state, sample,
				 &(struct calls_filter){ .since_ns = TRACE_CASE_UTC + 55,
							 .until_ns = TRACE_CASE_UTC + 72 }),
			    "[7 main( b( a( )open )open )open ] ");
}

static void by_thread(void **state)
{
	struct home *h = *state;
	struct trace_case_thread t;
	unsigned image = trace_case_image(&h->c, 1, 0);

	for (unsigned i = 1; i <= 3; i++) {
		t = trace_case_thread(&h->c, image, i, (int)i * 10);
		snprintf(t.head.comm, sizeof t.head.comm, "w%u", i);
		trace_case_script(&t, "f( ) end:1");
		trace_case_cut(&t);
	}
	assert_string_equal(walked(h, &(struct calls_filter){ .tid = 20 }, 0, calls_walk),
			    "[20 f( ) ] ");
	h->used = 0;
	h->c.identity = trace_case_file(&h->c, TRACE_IDENTITY, "a");
	h->c.events = trace_case_file(&h->c, TRACE_EVENTS, "a");
	assert_string_equal(walked(h, &(struct calls_filter){ .thread = "w[13]" }, 0, calls_walk),
			    "[10 f( ) ] [30 f( ) ] ");
}

/* ---- more than one ----------------------------------------------------------------------------- */

static void who_leaves_takes_the_others_along(void **state)
{
	struct home *h = *state;
	unsigned image = trace_case_image(&h->c, 1, 0);
	struct trace_case_thread a = trace_case_thread(&h->c, image, 1, 7);
	struct trace_case_thread b = trace_case_thread(&h->c, image, 2, 8);
	struct trace_case_thread c = trace_case_thread(&h->c, trace_case_image(&h->c, 2, 0), 1, 9);

	trace_case_script(&a, "wait(");
	trace_case_script(&b, "quit( end:1");
	trace_case_script(&c, "other(");
	trace_case_cut(&a);
	trace_case_cut(&b);
	trace_case_cut(&c);
	assert_string_equal(walked(h, NULL, 0, calls_walk),
			    "[7 wait( )exited ] [8 quit( )exited ] [9 other( death:other )died ] ");
}

static void merged_with_messages(void **state)
{
	struct home *h = *state;
	unsigned image = trace_case_image(&h->c, 100, 0);
	struct trace_case_thread a = trace_case_thread(&h->c, image, 1, 7);
	struct trace_case_thread b = trace_case_thread(&h->c, image, 2, 8);
	FILE *file = trace_case_file(&h->c, TRACE_MESSAGES, "w");

	trace_case_script(&a, "+10 main( +10 load( +30 ) +10 ) end:1");
	b.now += 25;
	trace_case_script(&b, "work( +30 more( +50 ) ) end:1");
	trace_case_cut(&a);
	trace_case_cut(&b);
	/* 1700000000 is 2023-11-14 22:13:20 */
	for (int i = 0; i < 5; i++) {
		static const struct {
			const char *ns, *msg;
			int tid;
		} said[] = { { "000000005", "begin", 7 }, { "000000020", "lo\\u0061d", 7 },
			     { "00000003", "mine", 8 }, { "0001", "late", 8 },
			     { "000000001", "stranger", 9 } };
		fprintf(file, "{\"time\":\"2023-11-14T22:13:20.%sZ\",\"level\":\"info\",\"msg\":"
			      "\"%s\",\"pid\":100,\"tid\":%d}\nrubbish\n",
			said[i].ns, said[i].msg, said[i].tid);
	}
	fclose(file);
	h->times = true;
	/* at 20, 7 has just entered load; at 30, 8 is in work; after 105 nobody is anywhere */
	assert_string_equal(walked(h, NULL, 5, calls_merge),
			    "\"begin\"info@- [7 10:main( 20:load( \"load\"info@load [8 25:work( "
			    "\"mine\"info@work ):30/30 55:more( ):50/20 ] ):50/50 ):80/30 ] "
			    "\"late\"info@- \"stranger\"info@- ");
}

/* Public stamps stand where they were made, timers where their last intervals ended. */
static void merged_with_stamps_and_timers(void **state)
{
	struct home *h = *state;
	unsigned image = trace_case_image(&h->c, 100, 0);
	struct trace_case_thread a = trace_case_thread(&h->c, image, 1, 7);
	FILE *file = trace_case_file(&h->c, TRACE_MESSAGES, "w");
	struct trace_timers page = { .magic = TRACE_TIMERS_MAGIC, .pid = 100, .used = 2 };
	struct trace_timer *timer = &page.timers[0];

	trace_case_script(&a, "+10 main( +10 load( +30 ) +10 ) end:1");
	trace_case_cut(&a);
	fprintf(file, "{\"time\":\"2023-11-14T22:13:20.000000030Z\",\"level\":\"info\",\"msg\":"
		      "\"here\",\"source\":\"stamp\",\"pid\":100,\"tid\":7,\"fields\":{\"id\":12,"
		      "\"step\":5}}\n");
	fclose(file);
	strcpy(timer->name, "clock");
	timer->count = 11;
	timer->total = 99;
	timer->min = 2;
	timer->max = 60;
	/* the tenth and the eleventh; a torn one; one in the wrong place; one that is overwritten since */
	timer->last[9] = (struct trace_interval){ TRACE_CASE_TICKS + 21, 4, 7, 10 };
	timer->last[0] = (struct trace_interval){ TRACE_CASE_TICKS + 15, 40, 7, 11 };
	timer->last[1] = (struct trace_interval){ TRACE_CASE_TICKS + 15, 40, 7, 0 };
	timer->last[2] = (struct trace_interval){ TRACE_CASE_TICKS + 15, 40, 7, 9 };
	timer->last[3] = (struct trace_interval){ TRACE_CASE_TICKS + 15, 40, 7, 4 - 10u };
	page.timers[5].count = 3; /* without a name: nobody's */
	file = trace_case_file(&h->c, TRACE_TIMERS "1", "w");
	fwrite(&page, sizeof page, 1, file);
	fclose(file);
	file = trace_case_file(&h->c, TRACE_TIMERS "2", "w");
	fwrite(&page, 100, 1, file); /* torn */
	fclose(file);
	file = trace_case_file(&h->c, TRACE_TIMERS "3", "w"); /* its owner died */
	fclose(file);
	assert_string_equal(walked(h, NULL, 1, calls_merge),
			    "[7 main( load( timer:clock,10,4@load stamp:12,5,here ) "
			    "timer:clock,11,40,last@main ) ] ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		CASE(calls_and_times),
		CASE(recursion_is_told),
		CASE(long_silence_and_many_segments),
		CASE(ways_to_end),
		CASE(no_more_end_than_are_there),
		CASE(dies_where_it_was),
		CASE(dies_in_what_is_shown),
		CASE(nothing_open_is_no_death),
		CASE(stops_without_room),
		CASE(stamps_and_gaps),
		CASE(fibers_have_stacks_of_their_own),
		CASE(a_fork_goes_on_in_its_callers),
		CASE(deep_recursion),
		CASE(a_lost_part_ends_what_is_open),
		CASE(flight_begins_with_what_is_left),
		CASE(flight_knows_what_is_open),
		CASE(returns_of_calls_from_before),
		CASE(a_return_without_an_entry),
		CASE(by_depth),
		CASE(by_least_time),
		CASE(by_window),
		CASE(by_thread),
		CASE(who_leaves_takes_the_others_along),
		CASE(merged_with_messages),
		CASE(merged_with_stamps_and_timers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
