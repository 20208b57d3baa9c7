/* test_libraries_cache.c - libraries_cache.c: a cache made by hand, and files that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/image/libraries_cache.h"

enum { ENTRIES = 3, HEAD = 48, ENTRY = 24, STRINGS = HEAD + ENTRIES * ENTRY };

static unsigned char made[256];
static const char strings[] = "liba.so\0/one/liba.so\0/fast/liba.so\0/two/liba.so";

static void put(size_t at, uint32_t value)
{
	memcpy(made + at, &value, sizeof value);
}

/* Three of one name; that in the middle is for some processors only. */
static void make(void)
{
	static const uint32_t paths[ENTRIES] = { 8, 21, 35 };

	memset(made, 0, sizeof made);
	memcpy(made, "glibc-ld.so.cache1.1", 20);
	put(20, ENTRIES);
	put(24, sizeof strings);
	for (unsigned i = 0; i < ENTRIES; i++) {
		put(HEAD + i * ENTRY + 4, STRINGS);
		put(HEAD + i * ENTRY + 8, STRINGS + paths[i]);
	}
	put(HEAD + ENTRY + 20, UINT32_C(1) << 30);
	memcpy(made + STRINGS, strings, sizeof strings);
}

static struct libraries_cache open_made(const char *before, size_t count)
{
	struct libraries_cache cache;
	char path[40];
	int fd = memfd_create("cache", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, before, strlen(before)), strlen(before));
	assert_int_equal(write(fd, made, count), count);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	libraries_cache_open(&cache, path);
	close(fd);
	return cache;
}

static void finds_what_is_there(void **state)
{
	static const char *const before[] = { "", "ld.so-1.7.0 and what belongs to it" };

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		make();
		struct libraries_cache cache = open_made(before[i], sizeof made);
		size_t at = 0;
		assert_string_equal(libraries_cache_next(&cache, "liba.so", &at), "/one/liba.so");
		assert_string_equal(libraries_cache_next(&cache, "liba.so", &at), "/two/liba.so");
		assert_null(libraries_cache_next(&cache, "liba.so", &at));
		at = 0;
		assert_null(libraries_cache_next(&cache, "libb.so", &at));
		libraries_cache_close(&cache);
	}
}

static void is_empty_where_it_lies(void **state)
{
	static const struct { size_t at; uint32_t value; } lies[] = {
		{ 0, 0 }, { 20, UINT32_MAX }, { 20, 1000 }, { HEAD + 4, UINT32_MAX },
		{ HEAD + 8, UINT32_MAX }, { HEAD + 8, 1000 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
		make();
		put(lies[i].at, lies[i].value);
		struct libraries_cache cache = open_made("", sizeof made);
		size_t at = 0;
		const char *first = libraries_cache_next(&cache, "liba.so", &at);
		if (first)
			assert_string_equal(first, "/two/liba.so");
		libraries_cache_close(&cache);
	}
	/* cut anywhere, nothing outside is read */
	make();
	for (size_t count = 0; count <= sizeof made; count++) {
		struct libraries_cache cache = open_made("", count);
		for (size_t at = 0; libraries_cache_next(&cache, "liba.so", &at);)
			assert_true(at <= ENTRIES);
		libraries_cache_close(&cache);
	}
}

static void none_is_none(void **state)
{
	struct libraries_cache cache;
	size_t at = 0;

	(void)state;
	libraries_cache_open(&cache, "/nonexistent/cache");
	assert_null(libraries_cache_next(&cache, "liba.so", &at));
	libraries_cache_close(&cache);
	libraries_cache_open(&cache, "/");
	assert_null(libraries_cache_next(&cache, "liba.so", &at));
	libraries_cache_close(&cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_what_is_there),
		cmocka_unit_test(is_empty_where_it_lies),
		cmocka_unit_test(none_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
