/*
 * test_hands.c - a hostile process of a live session: it writes at random over all of the ring and the
 * control block that a program has for writing, while a whole collector of the sanitized build works.
 *
 *	test_hands		($STRESS_SECONDS says how long, $SEED where to begin; it says which)
 *
 * Claimed is: no collector and no guardian crashes; all end when the program ends; whatever arrived
 * is well formed. That everything arrives is not claimed: what he spoils is spoilt.
 */
#include "tests/unit/collect_life.h"

#include <dirent.h>
#include <sys/random.h>

#include "lib/session/process.h"

enum { SPEAK_MS = 150, END_MS = 20000, BURST = 64 };

static uint64_t seed;

static uint64_t next_random(void)
{
	/* xorshift64 */
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

/* ---- the hostile hands ---------------------------------------------------------------------------- */

struct target {
	char *at;
	size_t bytes, hot; /* the first `hot` bytes are hit half of the time */
};

/* What stands there already, off by a little, is often worse than noise. */
static uint64_t worse(uint64_t was)
{
	uint64_t noise = next_random();

	switch (next_random() % 12) {
	case 0: return 0;
	case 1: return UINT64_MAX;
	case 2: return was + 1;
	case 3: return was - 1;
	case 4: return was ^ UINT64_C(1) << (noise & 63);
	case 5: return was + (UINT64_C(1) << (noise & 63));
	case 6: return atomic_load(&scene.session.ring.shared->head) + noise % 4096;
	case 7: return (atomic_load(&scene.session.ring.shared->first) << 16) | (noise & 0xff);
	case 8: return (was & ~UINT64_C(3)) | (noise & 3); /* a claim in another state */
	case 9: return was << 32 | was >> 32;
	case 10: return noise & 0xffff;
	default: return noise;
	}
}

static void hit(const struct target *t)
{
	size_t within = next_random() & 1 ? t->hot : t->bytes;
	size_t at = next_random() % within & ~(size_t)7;
	_Atomic uint64_t *word = (_Atomic uint64_t *)(void *)(t->at + at);

	atomic_store_explicit(word, worse(atomic_load(word)), memory_order_relaxed);
}

/* Where the reader will look next. */
static void hit_ahead(void)
{
	struct ring *ring = &scene.session.ring;
	uint64_t position = atomic_load(&ring->shared->tail) + next_random() % 4096;
	int64_t piece = ring_place(ring, position >> ring->chunk_shift);

	if (piece < 0)
		return;
	struct target record = {
		(char *)ring_record(ring, (uint32_t)piece, position & ~(uint64_t)(RECORD_UNIT - 1)),
		RECORD_UNIT, RECORD_UNIT
	};
	hit(&record);
}

static void scribble(void)
{
	struct ring *ring = &scene.session.ring;
	struct target all = { (char *)ring->shared, ring->mapped_bytes,
			      (size_t)(ring->memory - (char *)ring->shared) };
	struct target control = { (char *)scene.session.control + CONTROL_SETTINGS,
				  sizeof *scene.session.control - CONTROL_SETTINGS, 512 };

	for (uint64_t n = 1 + next_random() % BURST; n; n--) {
		switch (next_random() % 3) {
		case 0: hit(&all); break;
		case 1: hit(&control); break;
		default: hit_ahead(); break;
		}
	}
}

/* ---- the program ---------------------------------------------------------------------------------- */

static void speak(void)
{
	static char text[5000];
	uint64_t until = clock_monotonic_ns() + SPEAK_MS * UINT64_C(1000000);

	atomic_store(&shared->done, 1); /* it has mapped the ring while that was whole */
	memset(text, 'x', sizeof text - 1);
	for (unsigned i = 0; clock_monotonic_ns() < until; i++) {
		struct writer w = { .kind = i % 7 == 3 ? RECORD_SYSLOG : RECORD_TEXT,
				    .source = i % 7 == 3 ? SOURCE_SYSLOG : SOURCE_STDERR,
				    .detail = i % 7 == 3 ? 28 : 0 };
		char line[64];
		size_t n = (size_t)snprintf(line, sizeof line, "ident%cline %u\n", 0, i);
		say_bytes(w, line, n);
		if (i % 50 == 0)
			say_bytes(w, text, sizeof text - 1);
		struct record_join join = { .comm = "subject", .parent = 1 };
		w = (struct writer){ .fd = 0xffff, .kind = RECORD_JOIN, .source = SOURCE_HARK };
		if (i % 20 == 0)
			say_bytes(w, &join, sizeof join);
		if (i % 64 == 0)
			poll(NULL, 0, 1);
	}
}

/* ---- what arrived --------------------------------------------------------------------------------- */

static const char *value(const char *s, const char *end);

static const char *string(const char *s, const char *end)
{
	if (s == end || *s++ != '"')
		return NULL;
	for (; s < end && *s != '"'; s++)
		if ((unsigned char)*s < 0x20 || (*s == '\\' && ++s == end))
			return NULL;
	return s < end ? s + 1 : NULL;
}

static const char *object(const char *s, const char *end)
{
	if (s == end || *s++ != '{')
		return NULL;
	while (s < end && *s != '}') {
		s = string(s, end);
		if (!s || s == end || *s++ != ':')
			return NULL;
		s = value(s, end);
		if (!s || s == end || (*s != ',' && *s != '}'))
			return NULL;
		s += *s == ',';
	}
	return s < end ? s + 1 : NULL;
}

static const char *value(const char *s, const char *end)
{
	size_t n = 0;

	if (s < end && *s == '"')
		return string(s, end);
	if (s < end && *s == '{')
		return object(s, end);
	while (s + n < end && strchr("truefals-0123456789", s[n]) && s[n])
		n++;
	return n ? s + n : NULL;
}

/* Not case_got(): there may be NULs, and more than it takes. */
static void expect_objects(const char *name, bool killed)
{
	char path[128];
	char *line = NULL;
	size_t room = 0;
	ssize_t n;
	unsigned spoilt = 0;

	snprintf(path, sizeof path, "%s/%s", scene.base, name);
	FILE *file = fopen(path, "re");
	while (file && (n = getline(&line, &room, file)) > 0) {
		const char *end = line + n - 1;
		/* The last line may be half, where the next collector found the ring spoilt. */
		if (killed && *end != '\n' && fgetc(file) == EOF)
			break;
		if (*end != '\n' || object(line, end) != end) {
			ssize_t most = n < 400 ? n : 400;
			print_error("no JSON object, %zd bytes: %.*s ... %.*s\n", n, (int)most,
				    line, (int)most, line + n - most);
			spoilt++;
		}
	}
	free(line);
	if (file)
		fclose(file);
	assert_int_equal(spoilt, 0);
}

/* ---- the end -------------------------------------------------------------------------------------- */

/* Collectors and guardians are nobody's children: they are known by their command line. */
static int visit(void *argument, int proc, pid_t pid)
{
	char path[32], line[512];
	unsigned *found = argument;

	snprintf(path, sizeof path, "%d/cmdline", pid);
	int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, line, sizeof line) : 0;
	if (fd >= 0)
		close(fd);
	bool ours = n > 0 && memmem(line, (size_t)n, scene.dir, strlen(scene.dir)) &&
		    !process_is_zombie(pid);
	*found += ours;
	if (ours && found[1])
		kill(pid, SIGKILL);
	return 0;
}

static unsigned count_left(bool end_them)
{
	unsigned found[2] = { 0, end_them };

	process_each(visit, found);
	return found[0];
}

/* What the sanitizer said of whoever died. */
static unsigned show_reports(void)
{
	DIR *d = opendir(scene.base);
	struct dirent *entry;
	char command[512];
	unsigned reports = 0;

	while (d && (entry = readdir(d))) {
		if (strncmp(entry->d_name, "asan.", 5) != 0)
			continue;
		reports++;
		snprintf(command, sizeof command, "cat '%s/%.64s' >&2", scene.base, entry->d_name);
		if (system(command) != 0)
			break;
	}
	if (d)
		closedir(d);
	return reports;
}

static void expect_all_ended(pid_t program_pid)
{
	int status = -1;

	assert_int_equal(waitpid(program_pid, &status, 0), program_pid);
	assert_int_equal(status, 0);
	for (int i = 0; i < END_MS / 10 && count_left(false); i++)
		poll(NULL, 0, 10);
	assert_int_equal(show_reports(), 0);
	assert_int_equal(count_left(true), 0); /* else somebody does not end */
}

static void a_round(void **state)
{
	char options[128];
	bool kills = next_random() & 1, killed = false;
	siginfo_t ended = { .si_pid = 0 };

	(void)state;
	print_message("seed %llu\n", (unsigned long long)seed);
	snprintf(options, sizeof options, "log_path=%s/asan:exitcode=99", scene.base);
	setenv("ASAN_OPTIONS", options, 1);
	kill(scene.other, SIGKILL); /* there is nobody to be spoken for */
	waitpid(scene.other, NULL, 0);
	scene.other = 0;
	pid_t pid = begin("file:@/json?format=json file:@/raw?format=raw&queue=64K&overflow=drop "
			  "file:@/pretty?format=pretty&size=64K&keep=2",
			  speak, -1);
	struct control *c = scene.session.control;
	for (int i = 0; i < END_MS && !atomic_load(&c->guardian_pid); i++)
		poll(NULL, 0, 1);
	pid_t collector = atomic_load(&c->collector_pid);
	uint64_t kill_ns = clock_monotonic_ns() + next_random() % (SPEAK_MS * 1000000);
	go();
	for (int i = 0; i < END_MS && !atomic_load(&shared->done); i++)
		poll(NULL, 0, 1);
	while (waitid(P_PID, (id_t)pid, &ended, WEXITED | WNOHANG | WNOWAIT) == 0 &&
	       ended.si_pid == 0) {
		scribble();
		if (next_random() % 8 == 0)
			poll(NULL, 0, 1);
		if (kills && clock_monotonic_ns() > kill_ns) {
			kill(collector, SIGKILL);
			killed = true;
			kills = false;
		}
	}
	expect_all_ended(pid);
	expect_objects("json", killed);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { LIFE(a_round) };
	const char *given = getenv("SEED"), *seconds = getenv("STRESS_SECONDS");
	int status;

	if (life_is_collector(argc, argv, &status))
		return status;
	if (getrandom(&seed, sizeof seed, 0) != sizeof seed)
		return 1;
	seed = given ? strtoull(given, NULL, 10) : seed;
	seed += seed == 0;
	uint64_t until = clock_monotonic_ns() + strtoull(seconds ? seconds : "2", NULL, 10) *
							UINT64_C(1000000000);
	do
		status = cmocka_run_group_tests(tests, NULL, NULL);
	while (!status && clock_monotonic_ns() < until);
	return status;
}
