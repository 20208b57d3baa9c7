/*
 * test_export.c - export.c and the formats, by a trace made by hand.
 *
 * With `--write DIR` it writes that trace in all formats, for tests/e2e/known.py and the readers of
 * others.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/export_case.h"

static char directory[PATH_MAX];

static int set_up(void **state)
{
	const char *top = getenv("TMPDIR");

	(void)state;
	snprintf(directory, sizeof directory, "%s/hark-export-XXXXXX", top ? top : "/tmp");
	return mkdtemp(directory) ? 0 : -1;
}

static int tear_down(void **state)
{
	char command[PATH_MAX + 16];

	(void)state;
	snprintf(command, sizeof command, "rm -rf '%s'", directory);
	return system(command);
}

static const char *in_directory(const char *name, const char *suffix)
{
	static char path[2 * PATH_MAX];

	snprintf(path, sizeof path, "%s/%s%s", directory, name, suffix);
	return path;
}

static int export_to(const struct export_row *row, const char *path, bool late)
{
	struct export e;
	int rc = export_open(&e, row, &case_dir, path, late);

	if (rc != 0)
		return rc;
	case_drive(&row->ops->visitor, &e, row->ops->merged);
	return export_close(&e);
}

static int write_all(void)
{
	int failed = 0;

	for (size_t i = 0; i < export_count; i++) {
		const struct export_row *row = &export_rows[i];
		int rc = export_to(row, in_directory("known", row->suffix), false);

		if (rc != 0)
			fprintf(stderr, "%s: %s\n", row->name, strerror(-rc));
		failed |= rc != 0;
	}
	return failed || export_to(export_find("ctf"), in_directory("late", ".ctf"), true) != 0;
}

static char *contents(const char *path)
{
	static char text[1 << 16];
	FILE *file = fopen(path, "re");

	assert_non_null(file);
	text[fread(text, 1, sizeof text - 1, file)] = '\0';
	fclose(file);
	return text;
}

static void all_write(void **state)
{
	(void)state;
	assert_int_equal(write_all(), 0);
	for (size_t i = 0; i < export_count; i++)
		assert_int_equal(access(in_directory("known", export_rows[i].suffix), R_OK), 0);
	assert_null(export_find("svg"));
}

static void folded(void **state)
{
	const char *path = in_directory("x", ".folded");
	static const char *const lines[] = {
		"known;main 12500\n", "known;main;parse 5000\n",
		"known;main;parse;evil</script><img src=x onerror=boom()>_\"\\_\xff 1000\n",
		"known;main;fact(unsigned long) 200\n",
		"known;main;fact(unsigned long);fact(unsigned long) 200\n",
		"known;main;fact(unsigned long);fact(unsigned long);fact(unsigned long) 100\n",
		"known;co 800\n", "worker;worker_main 2000\n", "worker;worker_main;parse 10000\n",
		"child;main 12500\n", "child;main;work 1000\n",
	};
	size_t bytes = 0;

	(void)state;
	assert_int_equal(export_to(export_find("folded"), path, false), 0);
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		assert_non_null(strstr(contents(path), lines[i]));
		bytes += strlen(lines[i]);
	}
	assert_int_equal(strlen(contents(path)), bytes);
}

static void failures(void **state)
{
	(void)state;
	for (size_t i = 0; i < export_count; i++) {
		const struct export_row *row = &export_rows[i];
		char link[2 * PATH_MAX];

		assert_int_equal(export_to(row, in_directory("none/x", ""), false), -ENOENT);
		if (row->ops->directory)
			continue;
		assert_int_equal(export_to(row, "/dev/full", false), -ENOSPC);
		/* what is no file of its own stays */
		strcpy(link, in_directory("full", row->suffix));
		assert_int_equal(symlink("/dev/full", link), 0);
		assert_int_equal(export_to(row, link, false), -ENOSPC);
		assert_int_equal(access(link, F_OK), 0);
	}
}

static void half_a_file_goes(void **state)
{
	const struct export_row *row = export_find("chrome");
	const char *path = in_directory("x", ".json");
	struct export e;

	(void)state;
	assert_int_equal(export_open(&e, row, &case_dir, path, false), 0);
	export_fail(&e, -ENOMEM);
	export_fail(&e, -EIO);
	assert_int_equal(export_close(&e), -ENOMEM);
	assert_int_equal(access(path, F_OK), -1);
}

static void no_threads(void **state)
{
	const struct trace_dir empty = { .realtime_ns = CASE_START };

	(void)state;
	for (size_t i = 0; i < export_count; i++) {
		const struct export_row *row = &export_rows[i];
		struct export e;

		const char *path = in_directory("no", row->suffix);

		assert_int_equal(export_open(&e, row, &empty, path, false), 0);
		assert_int_equal(export_close(&e), 0);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(all_write, set_up, tear_down),
		cmocka_unit_test_setup_teardown(folded, set_up, tear_down),
		cmocka_unit_test_setup_teardown(failures, set_up, tear_down),
		cmocka_unit_test_setup_teardown(half_a_file_goes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(no_threads, set_up, tear_down),
	};

	if (argc == 3 && strcmp(argv[1], "--write") == 0) {
		snprintf(directory, sizeof directory, "%s", argv[2]);
		return write_all();
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
