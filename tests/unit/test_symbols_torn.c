/* test_symbols_torn.c - modules that end anywhere or hold anything: fewer names, never a crash. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/mman.h>

#include "tests/unit/symbols_case.h"

enum { IMAGE_MOST = 1 << 16, FLIPS = 1500 };

static const char program[] =
	"int puts(const char *);\n"
	"__attribute__((noinline)) static int twice(int x) { __asm__(\"\"); return 2 * x; }\n"
	"int seen(int x) { if (x > 1000) __builtin_trap(); puts(\"x\"); return twice(x); }\n";

static unsigned char image[IMAGE_MOST];
static size_t image_bytes;

static void build(const char *flags)
{
	write_file("p.c", program);
	run("$ONCE gcc -w -O1 -nostdlib -shared -fPIC -Wl,-z,noseparate-code %s -o p p.c", flags);
	FILE *file = fopen("p", "r");
	assert_non_null(file);
	image_bytes = fread(image, 1, sizeof image, file);
	fclose(file);
	assert_true(image_bytes > 1000 && image_bytes < sizeof image);
}

static int count_one(void *arg, const struct symbol *symbol)
{
	assert_non_null(symbol->name);
	++*(size_t *)arg;
	return 0;
}

static size_t look(const void *bytes, size_t count)
{
	char path[40];
	struct source_line line;
	size_t names = 0;
	int fd = memfd_create("torn", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, count), count);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	struct symbols *s = symbols_open(path, "", "/nonexistent");
	assert_non_null(s);
	symbols_each(s, count_one, &names);
	(void)symbols_line(s, 0x400, &line);
	assert_true(names > 0 || symbols_trouble(s));
	symbols_close(s);
	close(fd);
	return names;
}

static const char *const ways[] = { "-g", "-g -gz", "-s" };

static void ends_anywhere(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
		build(ways[i]);
		size_t whole = look(image, image_bytes);
		assert_true(whole >= 3);
		for (size_t bytes = 0; bytes < image_bytes; bytes += 37)
			assert_true(look(image, bytes) <= whole);
	}
}

/* A generator of its own, so that a failure can be had again. */
static uint32_t next(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

static void holds_anything(void **state)
{
	static unsigned char spoilt[IMAGE_MOST];
	uint32_t seed = 7;

	(void)state;
	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
		build(ways[i]);
		for (int round = 0; round < FLIPS; round++) {
			memcpy(spoilt, image, image_bytes);
			/* headers and the section table are where it hurts */
			size_t place = round % 3 == 0 ? next(&seed) % 600
				       : round % 3 == 1
					       ? image_bytes - 1 - next(&seed) % 2000
					       : next(&seed) % image_bytes;
			for (int n = 0; n < 1 + round % 4; n++)
				spoilt[(place + n) % image_bytes] = (unsigned char)next(&seed);
			(void)look(spoilt, image_bytes);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SYMBOLS_CASE(ends_anywhere),
		SYMBOLS_CASE(holds_anything),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
