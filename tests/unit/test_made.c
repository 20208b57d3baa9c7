/*
 * test_made.c - what programs say of code that they made at run time: which files are believed, and what is
 * read of them.
 */
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
#include <time.h>
#include <unistd.h>

#include "lib/image/symbols.h"
#include "lib/sample/made.h"

static char top[400];
static char id[] = "perf-7.map", kept[500], said[500];

static int enter(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	snprintf(top, sizeof top, "%s/made.XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(top) || chdir(top) != 0 || mkdir("data", 0700) != 0)
		return -1;
	snprintf(said, sizeof said, "%s/%s", top, id);
	snprintf(kept, sizeof kept, "%s/data/%s", top, id);
	return 0;
}

static int leave(void **state)
{
	char command[500];

	(void)state;
	snprintf(command, sizeof command, "rm -rf '%s'", top);
	return chdir("/") == 0 && system(command) == 0 ? 0 : -1;
}

static void say(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static struct space_file ours(void)
{
	return (struct space_file){ .build_id = id, .made_by = 7, .owner = geteuid(),
				    .since = time(NULL) - 10 };
}

static void is_kept(void **state)
{
	struct space_file file = ours();
	struct stat st;
	char text[20] = "";

	(void)state;
	assert_int_equal(made_keep(top, "data", &file), -ENOENT);
	say(said, "1000 10 one\n");
	assert_int_equal(made_keep(top, "data", &file), 0);
	say(said, "1000 10 two\n");
	assert_int_equal(made_keep(top, "data", &file), 0);
	int fd = open(kept, O_RDONLY);
	assert_int_equal(read(fd, text, sizeof text), 12);
	assert_string_equal(text, "1000 10 two\n");
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	close(fd);
	/* that it is gone takes nothing back */
	unlink(said);
	assert_int_equal(made_keep(top, "data", &file), -ENOENT);
	assert_int_equal(access(kept, F_OK), 0);
}

static void is_not_believed(void **state)
{
	struct space_file file = ours();
	const struct timespec old[2] = { { time(NULL) - 100, 0 }, { time(NULL) - 100, 0 } };

	(void)state;
	say("other", "1000 10 one\n");
	assert_int_equal(symlink("other", said), 0);
	assert_int_equal(made_keep(top, "data", &file), -ELOOP);
	unlink(said);
	assert_int_equal(link("other", said), 0);
	assert_int_equal(made_keep(top, "data", &file), -EPERM);
	unlink(said);
	assert_int_equal(mkfifo(said, 0600), 0);
	assert_int_equal(made_keep(top, "data", &file), -EPERM);
	unlink(said);
	say(said, "1000 10 one\n");
	file.owner++;
	assert_int_equal(made_keep(top, "data", &file), -EPERM);
	file = ours();
	assert_int_equal(utimensat(AT_FDCWD, said, old, 0), 0);
	assert_int_equal(made_keep(top, "data", &file), -EPERM);
	say(said, "1000 10 one\n");
	assert_int_equal(truncate(said, (64 << 20) + 1), 0);
	assert_int_equal(made_keep(top, "data", &file), -EPERM);
	assert_int_not_equal(access(kept, F_OK), 0);
}

/* Nor does what lies in the trace already lead anywhere. */
static void is_written_nowhere_else(void **state)
{
	struct space_file file = ours();
	struct stat st;

	(void)state;
	say("precious", "x");
	assert_int_equal(symlink("../precious", kept), 0);
	say(said, "1000 10 one\n");
	assert_int_equal(made_keep(top, "data", &file), 0);
	assert_int_equal(stat("precious", &st), 0);
	assert_int_equal(st.st_size, 1);
}

static void is_found(struct symbols *s, uint64_t address, const char *name)
{
	struct symbol found;

	if (!name) {
		assert_false(symbols_find(s, address, &found));
		return;
	}
	assert_true(symbols_find(s, address, &found));
	assert_string_equal(found.name, name);
}

static void is_read(void **state)
{
	struct symbol first, second;

	(void)state;
	say(said, "7f0000001000 100 int Foo.fib(int)\n"
		  "0x00007f0000002000 0x0000000000000080 a b\tc\n"
		  "7f0000003000 100 before\n"
		  "7f0000001800 40 int Foo.fib(int)\n"
		  "7f0000003000 80 after\n"
		  "nonsense\n\n7f0000004000\n7f0000004000 zz x\n7f0000004000 10 \n"
		  "7f0000005000 0 empty\n"
		  "ffffffffffffffff 10 beyond\n7f0000006000 ffffffffffffffff long\n"
		  "7f0000007000 10 cut off");
	int fd = open(said, O_RDONLY);
	struct symbols *s = symbols_open_map(fd);
	close(fd);
	assert_non_null(s);
	is_found(s, 0x7f0000000fff, NULL);
	is_found(s, 0x7f0000001000, "int Foo.fib(int)");
	is_found(s, 0x7f00000010ff, "int Foo.fib(int)");
	is_found(s, 0x7f0000001100, NULL);
	is_found(s, 0x7f000000207f, "a b?c");
	is_found(s, 0x7f000000307f, "after");
	is_found(s, 0x7f0000003080, NULL);
	is_found(s, 0x7f0000004000, NULL);
	is_found(s, 0x7f0000005000, NULL);
	is_found(s, 0x7f0000006000, NULL);
	is_found(s, 0x7f0000007000, NULL);
	is_found(s, UINT64_MAX, NULL);
	/* compiled twice, it is one */
	assert_true(symbols_find(s, 0x7f0000001001, &first) &&
		    symbols_find(s, 0x7f0000001801, &second));
	assert_true(first.start == second.start);
	symbols_close(s);
}

static void of_each_process_its_own(void **state)
{
	struct space *s = space_open();

	(void)state;
	assert_non_null(s);
	struct space_file *file = space_made(s, getpid());
	assert_ptr_equal(space_made(s, getpid()), file);
	assert_string_equal(file->path, "[anonymous]");
	assert_int_equal(file->owner, geteuid());
	assert_true(file->since > 0 && file->since <= time(NULL));
	char name[32];
	snprintf(name, sizeof name, "perf-%d.map", getpid());
	assert_string_equal(file->build_id, name);
	/* of who is not there, nobody knows whose file would be his */
	struct space_file *none = space_made(s, 0x7ffffff0);
	assert_ptr_not_equal(none, file);
	assert_true(none->owner == (uid_t)-1);
	space_close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(is_kept, enter, leave),
		cmocka_unit_test_setup_teardown(is_not_believed, enter, leave),
		cmocka_unit_test_setup_teardown(is_written_nowhere_else, enter, leave),
		cmocka_unit_test_setup_teardown(is_read, enter, leave),
		cmocka_unit_test(of_each_process_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
