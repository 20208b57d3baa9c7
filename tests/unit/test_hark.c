/*
 * test_hark.c - hark.c: the public library; its stamps and timers are in test_hark_stamps.c. Joining
 * happens once in a process, so each case runs in a process of its own.
 */
#include "lib/collect/collect.h"
#include "tests/unit/hark_case.h"

static bool holds(const struct scene *s, int level, const char *text)
{
	const struct reader_record *r = &s->record;

	return r->kind == RECORD_LOG && r->source == SOURCE_LOG && (int)r->detail == level &&
	       r->bytes == strlen(text) && memcmp(r->payload, text, r->bytes) == 0;
}

/* ---- cases ---------------------------------------------------------------------------------------- */

static void alone(void)
{
	unsetenv("HARK_SESSION");
	errno = 77;
	MUST(hark_active() == 0);
	MUST(hark_log(HARK_INFO, "nobody", 6) == -ENOTCONN);
	MUST(hark_flush(SECOND) == -ENOTCONN);
	MUST(strcmp(hark_version(), HARK_VERSION) == 0);
	MUST(errno == 77);
}

static void with_nonsense(const char *dir)
{
	setenv("HARK_SESSION", dir, 1);
	MUST(hark_active() == 0 && hark_log(HARK_INFO, "x", 1) == -ENOTCONN);
}

static void relative(void) { with_nonsense("some/where"); }
static void missing(void) { with_nonsense("/nonexistent/session"); }

static void nonsense(void)
{
	struct scene s;
	char path[PLACE_PATH + 8];

	open_scene(&s, NULL);
	snprintf(path, sizeof path, "%s/ring", s.dir);
	MUST(truncate(path, 4096) == 0);
	with_nonsense(s.dir);
}

static void said(void)
{
	static const char bytes[] = "two\nlines \0 and \xff";
	struct scene s;

	open_scene(&s, NULL);
	errno = 77;
	MUST(hark_active() == 1);
	MUST(hark_log(HARK_WARNING, "a line\n", 7) == 0);
	MUST(hark_log(HARK_DEBUG, bytes, sizeof bytes - 1) == 0);
	MUST(hark_log(HARK_EMERG, NULL, 0) == 0);
	MUST(errno == 77);
	MUST(next(&s) && holds(&s, 4, "a line"));
	MUST(s.record.pid == (uint32_t)getpid() && s.record.tid == (uint32_t)gettid());
	MUST(!(s.record.flags & (RECORD_MORE | RECORD_CONTINUES)));
	MUST(next(&s) && s.record.detail == 7 && s.record.bytes == sizeof bytes - 1);
	MUST(memcmp(s.record.payload, bytes, sizeof bytes - 1) == 0);
	MUST(next(&s) && holds(&s, 0, ""));
	MUST(!next(&s));
}

static void levels(void)
{
	static const char *const warnings[][2] = { { "--level", "warning" }, { NULL } };
	struct scene s;

	open_scene(&s, warnings);
	MUST(hark_log(-1, "x", 1) == -EINVAL && hark_log(8, "x", 1) == -EINVAL);
	MUST(hark_log(HARK_NOTICE, "not wanted", 10) == 0);
	MUST(hark_log(HARK_WARNING, "wanted", 6) == 0);
	MUST(next(&s) && holds(&s, HARK_WARNING, "wanted"));
	MUST(!next(&s));
}

static void long_text(void)
{
	static char text[50000], read_back[sizeof text];
	struct scene s;
	size_t done = 0;
	bool more;

	for (size_t i = 0; i < sizeof text; i++)
		text[i] = (char)('a' + i * 7 % 26);
	open_scene(&s, NULL);
	MUST(hark_log(HARK_INFO, text, sizeof text) == 0);
	do {
		MUST(next(&s) && s.record.kind == RECORD_LOG);
		MUST(!(s.record.flags & RECORD_CONTINUES) == (done == 0));
		MUST(done + s.record.bytes <= sizeof text);
		memcpy(read_back + done, s.record.payload, s.record.bytes);
		done += s.record.bytes;
		more = s.record.flags & RECORD_MORE;
	} while (more);
	MUST(done == sizeof text && memcmp(text, read_back, done) == 0);
}

static void forked(void)
{
	struct scene s;
	uint32_t pids[3], tids[3];

	open_scene(&s, NULL);
	MUST(hark_log(HARK_INFO, "parent", 6) == 0);
	pid_t pid = fork();
	if (pid == 0) {
		MUST(hark_log(HARK_INFO, "child", 5) == 0);
		if (fork() == 0)
			_exit(hark_log(HARK_INFO, "grandchild", 10) != 0);
		MUST(wait(NULL) > 0);
		_exit(0);
	}
	MUST(waitpid(pid, NULL, 0) == pid);
	MUST(hark_log(HARK_INFO, "parent again", 12) == 0);
	static const char *const texts[] = { "parent", "child", "grandchild" };
	for (int i = 0; i < 3; i++) {
		MUST(next(&s) && holds(&s, HARK_INFO, texts[i]));
		pids[i] = s.record.pid;
		tids[i] = s.record.tid;
		MUST(pids[i] == tids[i]); /* each is a first thread */
	}
	MUST(pids[0] == (uint32_t)getpid() && pids[1] == (uint32_t)pid);
	MUST(pids[2] != pids[0] && pids[2] != pids[1]);
	MUST(next(&s) && s.record.pid == pids[0]);
}

/* All at once, the first call of each: whoever loses the race to join goes on with the winner's. */
static pthread_barrier_t start;

static void *speak(void *argument)
{
	char text[16];
	uint64_t *tid = argument;

	*tid = (uint64_t)gettid();
	int n = snprintf(text, sizeof text, "%d", (int)*tid);
	pthread_barrier_wait(&start);
	for (int i = 0; i < EACH; i++)
		MUST(hark_log(HARK_INFO, text, (size_t)n) == 0);
	return NULL;
}

static unsigned mappings_of(const char *what)
{
	char line[1024];
	unsigned count = 0;
	FILE *maps = fopen("/proc/self/maps", "r");

	while (maps && fgets(line, sizeof line, maps))
		count += strstr(line, what) != NULL;
	if (maps)
		fclose(maps);
	return count;
}

static void threads(void)
{
	pthread_t thread[THREADS];
	uint64_t tid[THREADS];
	unsigned heard[THREADS] = { 0 };
	struct scene s;

	open_scene(&s, NULL);
	unsigned before = mappings_of(s.dir);
	pthread_barrier_init(&start, NULL, THREADS);
	for (int i = 0; i < THREADS; i++)
		MUST(pthread_create(&thread[i], NULL, speak, &tid[i]) == 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	MUST(mappings_of(s.dir) == before + 3); /* one control block, one ring */
	while (next(&s)) {
		int i = 0;
		while (i < THREADS && tid[i] != s.record.tid)
			i++;
		MUST(i < THREADS);
		MUST((uint64_t)strtol(s.record.payload, NULL, 10) == tid[i]);
		heard[i]++;
	}
	for (int i = 0; i < THREADS; i++)
		MUST(heard[i] == EACH);
}

static void on_signal(int number)
{
	(void)number;
	MUST(hark_log(HARK_CRIT, "handler", 7) == 0);
}

static void *send_signals(void *argument)
{
	for (int i = 0; i < EACH; i++)
		pthread_kill(*(pthread_t *)argument, SIGUSR1);
	return NULL;
}

/* Handlers that interrupt joining and appending; nothing deadlocks and nothing is lost. */
static void signals(void)
{
	struct scene s;
	pthread_t self = pthread_self(), sender;
	unsigned plain = 0, own = 0;

	open_scene(&s, NULL);
	signal(SIGUSR1, on_signal);
	MUST(pthread_create(&sender, NULL, send_signals, &self) == 0);
	for (int i = 0; i < 20 * EACH; i++)
		MUST(hark_log(HARK_INFO, "plain", 5) == 0);
	pthread_join(sender, NULL);
	while (next(&s)) {
		MUST(s.record.pid == (uint32_t)getpid() && s.record.tid == (uint32_t)gettid());
		plain += holds(&s, HARK_INFO, "plain");
		own += holds(&s, HARK_CRIT, "handler");
	}
	MUST(plain == 20 * EACH);
	MUST(own >= 1 && own <= EACH); /* pending signals of one number are one */
}

static void full(void)
{
	static const char *const small[][2] = { { "--ring", "64K" },
						{ "--overflow", "drop" },
						{ NULL } };
	struct scene s;
	char text[900] = { 'x' };
	unsigned kept = 0, heard = 0;
	int error;

	open_scene(&s, small);
	while ((error = hark_log(HARK_INFO, text, sizeof text)) == 0)
		MUST(++kept < 100);
	MUST(error == -EAGAIN && kept > 50);
	MUST(hark_log(HARK_INFO, text, sizeof text) == -EAGAIN);
	MUST(s.session.control->lost[LOST_FULL].messages == 2);
	MUST(s.session.control->lost[LOST_FULL].bytes == 2 * sizeof text);
	while (next(&s))
		heard++;
	MUST(heard == kept);
}

static void full_and_nobody_reads(void)
{
	static const char *const small[][2] = { { "--ring", "64K" }, { NULL } };
	struct scene s;
	char text[900] = { 'x' };
	int error;

	open_scene(&s, small);
	s.session.control->handover_ns = 0; /* no collector is on its way any more */
	while ((error = hark_log(HARK_INFO, text, sizeof text)) == 0)
		;
	MUST(error == -ENOTCONN);
	MUST(hark_active() == 0 && hark_flush(SECOND) == -ENOTCONN);
	uint64_t before = clock_monotonic_ns();
	for (int i = 0; i < 1000; i++) /* it is asked once whether somebody might read */
		MUST(hark_log(HARK_INFO, text, sizeof text) == -ENOTCONN);
	MUST(clock_monotonic_ns() - before < 5ull * SECOND);
}

static void *deliver(void *argument)
{
	struct scene *s = argument;

	while (!atomic_load(&s->session.control->progress_wanted))
		sched_yield();
	session_progress(s->session.control, 0, session_position(&s->session));
	return NULL;
}

static void flushed(void)
{
	struct scene s;
	pthread_t thread;

	open_scene(&s, NULL); /* where a collector may be on its way: it is waited for */
	MUST(s.session.control->spoken == 0);
	MUST(hark_log(HARK_INFO, "x", 1) == 0);
	MUST(s.session.control->spoken == 1);
	MUST(hark_flush(1000000) == -ETIMEDOUT);
	MUST(hark_flush(0) == -ETIMEDOUT);
	s.session.control->progress_wanted = 0;
	MUST(pthread_create(&thread, NULL, deliver, &s) == 0);
	MUST(hark_flush(UINT64_C(20) * SECOND) == 0);
	pthread_join(thread, NULL);
	MUST(hark_flush(0) == 0);
	MUST(hark_log(HARK_INFO, "y", 1) == 0);
	s.session.control->handover_ns = 0; /* no collector is on its way any more */
	MUST(hark_flush(UINT64_C(20) * SECOND) == -ENOTCONN);
	s.session.control->state = SESSION_ENDED;
	MUST(hark_active() == 0 && hark_log(HARK_INFO, "z", 1) == -ENOTCONN);
}

static void no_descriptor(void)
{
	struct scene s;

	open_scene(&s, NULL);
	int lowest = dup(0);
	close(lowest);
	MUST(hark_log(HARK_INFO, "x", 1) == 0);
	int now = dup(0);
	MUST(now == lowest);
}

/* With a real collector and a real sink: what arrives in a file. */
static void arrives(void)
{
	char sink[sizeof base + 64], path[sizeof base + 16], dir[PLACE_PATH], line[2000], part[64];
	const char *const given[][2] = { { "--to", sink }, { NULL } };

	snprintf(path, sizeof path, "%s/log", base);
	snprintf(sink, sizeof sink, "file:%s?format=json", path);
	make_session(dir, given);
	pid_t collector = fork();
	if (collector == 0) {
		struct collect_plan plan = { .dir = dir, .console_fd = -1, .deep_fd = -1 };
		_exit(collect_run(&plan) != 0);
	}
	pid_t speaker = fork();
	if (speaker == 0) {
		MUST(hark_log(HARK_ERROR, "<7>ERROR not what the text says\n", 32) == 0);
		MUST(hark_log(HARK_NOTICE, "second", 6) == 0);
		MUST(hark_flush(UINT64_C(20) * SECOND) == 0);
		FILE *file = fopen(path, "r");
		MUST(file && fgets(line, sizeof line, file));
		snprintf(part, sizeof part, "\"pid\":%d,\"tid\":%d", getpid(), gettid());
		MUST(strstr(line, "\"level\":\"error\"") && strstr(line, part));
		MUST(strstr(line, "\"msg\":\"<7>ERROR not what the text says\""));
		MUST(strstr(line, "\"source\":\"log\"") && strstr(line, "\"seq\":1"));
		MUST(!strstr(line, "facility") && !strstr(line, "ident"));
		MUST(!strstr(line, "partial"));
		MUST(fgets(line, sizeof line, file) && strstr(line, "\"level\":\"notice\""));
		MUST(!fgets(line, sizeof line, file));
		_exit(0);
	}
	int status;
	MUST(waitpid(speaker, &status, 0) == speaker && status == 0);
	/* We are the session's first process: it ends with us, and the collector by our hand. */
	kill(collector, SIGTERM);
	MUST(waitpid(collector, &status, 0) == collector && status == 0);
	unlink(path);
}

#define CASES(X)                                                                                  \
	X(alone) X(relative) X(missing) X(nonsense) X(said) X(levels) X(long_text) X(forked)      \
	X(threads) X(signals) X(full) X(full_and_nobody_reads) X(flushed) X(no_descriptor)        \
	X(arrives)
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
