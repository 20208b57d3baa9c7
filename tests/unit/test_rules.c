/* test_rules.c - rules.c: what a session records, and what a module's functions are, as files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/sysio.h"
#include "lib/session/rules.h"

static char dir[] = "/tmp/hark-rules-XXXXXX";

static int set_up(void **state)
{
	(void)state;
	strcpy(dir + sizeof dir - 7, "XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof command, "rm -rf %s", dir);
	return system(command);
}

static void put(const char *name, const void *bytes, size_t count, mode_t mode)
{
	char path[128];

	snprintf(path, sizeof path, "%s/%s", dir, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);
	assert_true(fd >= 0);
	assert_int_equal(fchmod(fd, mode), 0);
	assert_int_equal(write(fd, bytes, count), count);
	close(fd);
}

static void written_once(void **state)
{
	struct config config = { .depth = 3, .min_time_ns = 7, .stamp_budget = 1000 };
	struct rules rules, again;
	struct rules_text text, text_again;
	int fd = open(dir, O_RDONLY | O_DIRECTORY);

	(void)state;
	assert_true(rules_are(&config));
	strcpy(config.filter, "main>load,x");
	strcpy(config.notrace, "free");
	rules_from(&config, &rules, &text);
	assert_int_equal(rules.named, 1);
	assert_int_equal(rules.filter.depth, 3);
	assert_int_equal(rules_write(fd, 1, &rules, &text), 0);
	assert_int_equal(rules_write(fd, 1, &rules, &text), -EEXIST);
	assert_int_equal(rules_read(dir, 1, &again, &text_again), 0);
	assert_memory_equal(&rules, &again, sizeof rules);
	assert_string_equal(text_again.only, "main>load,x");
	assert_string_equal(text_again.never, "free");
	assert_int_equal(rules_read(dir, 2, &again, NULL), -ENOENT);
	close(fd);
	memset(&config, 0, sizeof config);
	assert_false(rules_are(&config));
}

static void nonsense(void **state)
{
	char bytes[4096] = "no rules at all";
	struct rules rules;

	(void)state;
	put("rules.1", bytes, sizeof bytes, 0600);
	assert_int_equal(rules_read(dir, 1, &rules, NULL), -EINVAL);
	put("rules.2", bytes, 10, 0600);
	assert_int_equal(rules_read(dir, 2, &rules, NULL), -EINVAL);
	put("rules.3", bytes, sizeof bytes, 0620);
	assert_int_equal(rules_read(dir, 3, &rules, NULL), -EPERM);
}

static void verdicts(void **state)
{
	struct verdicts head = { .magic = VERDICTS_MAGIC, .rules = 5, .count = 3 };
	const struct verdict rows[] = { { 0, 0 }, { 0x1000, 1 }, { 0x2000, 4 } };
	char file[sizeof head + sizeof rows];
	uint64_t bytes;

	(void)state;
	memcpy(file, &head, sizeof head);
	memcpy(file + sizeof head, rows, sizeof rows);
	put("names.5.a", file, sizeof file, 0600);
	assert_int_equal((intptr_t)verdicts_read(dir, "names.6.a", 6, &bytes), -ENOENT);
	assert_int_equal((intptr_t)verdicts_read(dir, "names.5.a", 6, &bytes), -EINVAL);
	const struct verdicts *v = verdicts_read(dir, "names.5.a", 5, &bytes);
	assert_false(sysio_is_error(v));
	assert_int_equal(verdicts_find(v, bytes, 0), 0);
	assert_int_equal(verdicts_find(v, bytes, 0xfff), 0);
	assert_int_equal(verdicts_find(v, bytes, 0x1000), 1);
	assert_int_equal(verdicts_find(v, bytes, 0x1fff), 1);
	assert_int_equal(verdicts_find(v, bytes, UINT64_MAX), 4);
	/* somebody cuts the file: what was read is there */
	put("names.5.a", file, 0, 0600);
	assert_int_equal(verdicts_find(v, bytes, 0x1000), 1);
	sysio_unmap((void *)v, bytes);
	/* it says that there is more than there is */
	head.count = UINT32_MAX;
	memcpy(file, &head, sizeof head);
	put("names.5.a", file, sizeof file, 0600);
	v = verdicts_read(dir, "names.5.a", 5, &bytes);
	assert_false(sysio_is_error(v));
	assert_int_equal(verdicts_find(v, bytes, UINT32_MAX), 4);
	sysio_unmap((void *)v, bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(written_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(nonsense, set_up, tear_down),
		cmocka_unit_test_setup_teardown(verdicts, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
