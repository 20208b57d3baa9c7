/*
 * test_hark_stamps.c - hark.c: public stamps and timers.
 */
#include <sys/stat.h>

#include "lib/stamp/timers.h"
#include "tests/unit/hark_case.h"

static const char *const as_trace[][2] = { { "--to", "file:/nonexistent?format=trace" }, { NULL } };

static void make_trace(void)
{
	snprintf(scene_trace, sizeof scene_trace, "%s/trace-XXXXXX", base);
	MUST(mkdtemp(scene_trace));
}

/* ---- stamps ------------------------------------------------------------------------------------ */

static bool is_stamp(const struct scene *s, uint64_t id, uint64_t step, const char *text)
{
	const struct reader_record *r = &s->record;
	struct record_stamp head;

	if (r->kind != RECORD_STAMP || r->source != SOURCE_STAMP ||
	    r->bytes != sizeof head + strlen(text))
		return false;
	memcpy(&head, r->payload, sizeof head);
	return head.id == id && head.step == step &&
	       memcmp(r->payload + sizeof head, text, strlen(text)) == 0;
}

static void alone(void)
{
	struct hark_timer timer = HARK_TIMER_INIT("x");
	struct hark_figures f;

	unsetenv("HARK_SESSION");
	errno = 77;
	MUST(hark_stamp("nobody") == -ENOTCONN);
	MUST(hark_step() == 0);
	MUST(hark_stamp_at(0, "nobody") == -ENOTCONN && hark_stamp_at(1, "nobody") == -ENOTCONN);
	MUST(hark_timer_begin(&timer) == 0);
	hark_timer_end(&timer, 0);
	hark_timer_end(&timer, 12345);
	memset(&f, 1, sizeof f);
	MUST(hark_timer_read(&timer, &f) == -ENOTCONN && f.count == 0 && f.last_count == 0);
	MUST(errno == 77);
}

static void stamped(void)
{
	struct scene s;
	char longest[HARK_STAMP_MOST + 2];

	memset(longest, 'x', sizeof longest - 1);
	longest[sizeof longest - 1] = '\0';
	open_scene(&s, as_trace);
	errno = 77;
	MUST(hark_stamp("first") == 1);
	uint64_t group = hark_step();
	MUST(group == 2);
	MUST(hark_stamp("between") == 2);
	MUST(hark_stamp_at(group, "") == 3);
	MUST(hark_stamp(NULL) == -EINVAL && hark_stamp_at(0, "x") == -EINVAL);
	MUST(hark_stamp(longest) == -EMSGSIZE);
	MUST(hark_stamp_at(group, longest + 1) == 4);
	MUST(errno == 77);
	MUST(next(&s) && is_stamp(&s, 1, 1, "first"));
	MUST(s.record.pid == (uint32_t)getpid() && s.record.tid == (uint32_t)gettid());
	MUST(next(&s) && is_stamp(&s, 2, 3, "between"));
	MUST(next(&s) && is_stamp(&s, 3, 2, ""));
	MUST(next(&s) && is_stamp(&s, 4, 2, longest + 1));
	MUST(!next(&s));
	MUST(s.session.control->spoken == 1);
}

/* Where no sink takes them, they cost the ring nothing. */
static void unwanted(void)
{
	static const char *const plain[][2] = { { "--to", "file:/nonexistent?format=json" },
						{ NULL } };
	struct scene s;

	open_scene(&s, plain);
	MUST(hark_stamp("nobody wants it") == 0);
	MUST(!next(&s) && s.session.control->spoken == 0);
}

static void asked_for_by_name(void)
{
	static const char *const named[][2] = { { "--to", "file:/nonexistent?source=stderr,st*p" },
						{ NULL } };
	struct scene s;

	open_scene(&s, named);
	MUST(hark_stamp("somebody does") == 1 && next(&s) && is_stamp(&s, 1, 1, "somebody does"));
}

static void *stamp_often(void *step)
{
	for (int i = 0; i < EACH; i++)
		MUST(hark_stamp_at(*(uint64_t *)step, "x") > 0);
	return NULL;
}

static void threads(void)
{
	static bool seen[THREADS * EACH + 1];
	pthread_t thread[THREADS];
	struct record_stamp head;
	struct scene s;

	open_scene(&s, as_trace);
	uint64_t step = hark_step();
	for (int i = 0; i < THREADS; i++)
		MUST(pthread_create(&thread[i], NULL, stamp_often, &step) == 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	for (int i = 0; i < THREADS * EACH; i++) {
		MUST(next(&s) && s.record.kind == RECORD_STAMP);
		memcpy(&head, s.record.payload, sizeof head);
		MUST(head.step == step && head.id >= 1 && head.id <= THREADS * EACH);
		MUST(!seen[head.id]);
		seen[head.id] = true;
	}
	MUST(!next(&s));
}

/* ---- timers ------------------------------------------------------------------------------------ */

static struct hark_timer work = HARK_TIMER_INIT("work");

static void measure(uint64_t least_ns)
{
	HARK_SCOPE(&work);
	uint64_t begin = clock_monotonic_ns();

	while (clock_monotonic_ns() - begin < least_ns)
		;
}

static void figures(void)
{
	enum { MS = 1000000, TIMES = 13 };
	struct hark_figures f;
	struct scene s;

	make_trace();
	open_scene(&s, as_trace);
	MUST(hark_timer_read(&work, &f) == 0 && f.count == 0 && f.min_ns == 0);
	uint64_t before = clock_monotonic_ns();
	for (int i = 1; i <= TIMES; i++)
		measure((uint64_t)i * MS);
	uint64_t all = clock_monotonic_ns() - before;
	errno = 77;
	MUST(hark_timer_read(&work, &f) == 0 && errno == 77);
	MUST(f.count == TIMES && f.last_count == HARK_TIMER_LAST);
	/* two clocks are compared: a thousandth is theirs */
	MUST(f.total_ns >= 91u * MS * 999 / 1000 && f.total_ns <= all + all / 1000);
	MUST(f.average_ns == f.total_ns / TIMES);
	MUST(f.min_ns >= MS * 999 / 1000 && f.min_ns <= f.average_ns && f.max_ns >= f.average_ns);
	MUST(f.max_ns >= TIMES * MS * 999ull / 1000 && f.max_ns <= f.total_ns);
	for (unsigned i = 0; i < f.last_count; i++)
		MUST(f.last_ns[i] >= (TIMES - i) * MS * 999ull / 1000);
	MUST(hark_timer_read(NULL, &f) == -EINVAL && hark_timer_read(&work, NULL) == -EINVAL);
}

static struct trace_timers *page(const char *number)
{
	static struct trace_timers pages[64];
	static int used;
	char path[512];

	snprintf(path, sizeof path, "%s/" TRACE_TIMERS "%s", scene_trace, number);
	int fd = open(path, O_RDONLY);
	if (fd < 0)
		return NULL;
	MUST(read(fd, &pages[used], sizeof pages[0]) == sizeof pages[0]);
	close(fd);
	return &pages[used++];
}

/* What the trace holds is there without anybody having sent it. */
static void in_the_trace(void)
{
	struct scene s;

	make_trace();
	open_scene(&s, as_trace);
	for (int i = 0; i < 3; i++)
		measure(0);
	uint64_t open = hark_timer_begin(&work);
	pid_t pid = fork();
	if (pid == 0) {
		struct hark_figures f;
		MUST(hark_timer_read(&work, &f) == 0 && f.count == 0);
		measure(0);
		hark_timer_end(&work, open);
		raise(SIGKILL);
	}
	MUST(waitpid(pid, NULL, 0) == pid);
	struct trace_timers *ours = page("1"), *childs = page("2");
	MUST(ours && childs && !page("3"));
	MUST(ours->magic == TRACE_TIMERS_MAGIC && ours->pid == (uint32_t)getpid());
	MUST(strcmp(ours->timers[0].name, "work") == 0 && ours->timers[0].count == 3);
	MUST(ours->timers[1].name[0] == '\0');
	MUST(childs->pid == (uint32_t)pid && childs->timers[0].count == 2);
	hark_timer_end(&work, open);
	MUST(page("1")->timers[0].count == 4);
}

static void without_a_trace(void)
{
	struct hark_figures f;
	struct scene s;

	scene_trace[0] = '\0';
	open_scene(&s, NULL);
	measure(0);
	MUST(hark_timer_read(&work, &f) == 0 && f.count == 1);
	snprintf(scene_trace, sizeof scene_trace, "%s/not/there", base);
}

/* A trace that is gone, or full: the figures are for the program alone. */
static void without_room(void)
{
	struct hark_figures f;
	struct scene s;

	snprintf(scene_trace, sizeof scene_trace, "%s/not/there", base);
	open_scene(&s, as_trace);
	measure(0);
	MUST(hark_timer_read(&work, &f) == 0 && f.count == 1 && f.last_count == 1);
}

/* The first use is a race of all threads, many timers at once. */
enum { TIMERS = 3 * TRACE_TIMERS_MOST };
static struct hark_timer many[TIMERS];
static pthread_barrier_t start;

static void *measure_many(void *unused)
{
	pthread_barrier_wait(&start);
	for (int i = 0; i < EACH; i++)
		for (int t = 0; t < TIMERS; t++)
			hark_timer_end(&many[t], hark_timer_begin(&many[t]));
	return unused;
}

static void timers_of_threads(void)
{
	static char names[TIMERS][64];
	pthread_t thread[THREADS];
	struct hark_figures f;
	struct scene s;

	make_trace();
	open_scene(&s, as_trace);
	for (int i = 0; i < TIMERS; i++) {
		/* longer than what is kept */
		snprintf(names[i], sizeof names[i], "%050d", i);
		many[i].name = names[i];
	}
	pthread_barrier_init(&start, NULL, THREADS);
	for (int i = 0; i < THREADS; i++)
		MUST(pthread_create(&thread[i], NULL, measure_many, NULL) == 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	for (int i = 0; i < TIMERS; i++) {
		MUST(hark_timer_read(&many[i], &f) == 0);
		MUST(f.count == THREADS * EACH);
		/* each other thread may have been stopped in the middle of one, and come late */
		MUST(f.last_count > HARK_TIMER_LAST - THREADS && f.last_count <= HARK_TIMER_LAST);
		MUST(f.min_ns <= f.average_ns && f.average_ns <= f.max_ns);
	}
	/* whoever lost the race for a timer has left its place empty, perhaps all of a page */
	int named = 0;
	for (int n = 1; n < 64; n++) {
		char number[12];
		snprintf(number, sizeof number, "%d", n);
		struct trace_timers *p = page(number);
		for (int i = 0; p && i < TRACE_TIMERS_MOST; i++)
			named += strlen(p->timers[i].name) == TRACE_TIMER_NAME - 1;
	}
	MUST(named == TIMERS);
}

static void on_signal(int number)
{
	(void)number;
	measure(0);
	MUST(hark_stamp("handler") > 0);
}

static void *send_signals(void *argument)
{
	for (int i = 0; i < EACH; i++)
		pthread_kill(*(pthread_t *)argument, SIGUSR1);
	return NULL;
}

static void signals(void)
{
	struct scene s;
	struct hark_figures f;
	pthread_t self = pthread_self(), sender;
	unsigned handled = 0;

	make_trace();
	open_scene(&s, as_trace);
	signal(SIGUSR1, on_signal);
	MUST(pthread_create(&sender, NULL, send_signals, &self) == 0);
	for (int i = 0; i < 20 * EACH; i++)
		measure(0);
	pthread_join(sender, NULL);
	sched_yield(); /* whatever is still pending comes on the way back from the kernel */
	while (next(&s))
		handled += s.record.kind == RECORD_STAMP;
	MUST(handled >= 1 && handled <= EACH);
	MUST(hark_timer_read(&work, &f) == 0 && f.count == 20 * EACH + handled);
}

#define CASES(X)                                                                                  \
	X(alone) X(stamped) X(unwanted) X(asked_for_by_name) X(threads) X(figures)                \
	X(in_the_trace) X(without_a_trace) X(without_room) X(timers_of_threads) X(signals)
CASES(CASE)

int main(void)
{
#define ENTRY(name) cmocka_unit_test(test_##name),
	const struct CMUnitTest tests[] = { CASES(ENTRY) };

	if (!mkdtemp(base))
		return 1;
	setenv("HARK_RUNTIME_DIR", base, 1);
	return cmocka_run_group_tests(tests, NULL, remove_all);
}
