/* test_target.c - target.c: finding a program as execvp would, and who can listen to it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "tests/unit/elf_case.h"
#include "tools/target.h"

#if defined(__x86_64__)
enum { OURS = EM_X86_64 };
#else
enum { OURS = EM_AARCH64 };
#endif

static char top[64];

static const char *in_top(const char *name)
{
	static char paths[4][PATH_MAX];
	static unsigned next;
	char *path = paths[next++ % 4];

	snprintf(path, PATH_MAX, "%s/%s", top, name);
	return path;
}

static const char *make(const char *name, const void *bytes, size_t count, mode_t mode)
{
	const char *path = in_top(name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, count), count);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
	return path;
}

static const char *make_text(const char *name, const char *text)
{
	return make(name, text, strlen(text), 0755);
}

static const char *make_elf(const char *name, const struct elf_case *c)
{
	struct elf_image image;

	elf_case_make(&image, c);
	return make(name, image.bytes, image.size, 0755);
}

static int set_up(void **state)
{
	(void)state;
	snprintf(top, sizeof top, "/tmp/hark-target-XXXXXX");
	return mkdtemp(top) ? 0 : -1;
}

static int tear_down(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof command, "rm -rf %s", top);
	return system(command);
}

/* ---- finding ----------------------------------------------------------------------------------- */

static void expect_found(const char *name, const char *expected)
{
	char path[PATH_MAX];

	assert_int_equal(target_find(name, path), 0);
	assert_string_equal(path, expected);
}

static void along_the_path(void **state)
{
	char list[512], path[PATH_MAX];

	(void)state;
	mkdir(in_top("a"), 0755);
	mkdir(in_top("b"), 0755);
	mkdir(in_top("b/dir"), 0755);
	make("a/tool", "", 0, 0644);
	make("b/tool", "", 0, 0755);
	make("a/closed", "", 0, 0644);
	snprintf(list, sizeof list, "/nowhere:%s/a/tool:%s/a:%s/b", top, top, top);
	setenv("PATH", list, 1);
	/* what may not be executed is passed over, and remembered */
	expect_found("tool", in_top("b/tool"));
	assert_int_equal(target_find("closed", path), -EACCES);
	assert_int_equal(target_find("dir", path), -EACCES);
	assert_int_equal(target_find("missing", path), -ENOENT);
	assert_int_equal(target_find("", path), -ENOENT);
	/* with a slash the path is not asked */
	expect_found(in_top("b/tool"), in_top("b/tool"));
	assert_int_equal(target_find(in_top("a/tool"), path), -EACCES);
	assert_int_equal(target_find(in_top("nothing"), path), -ENOENT);
	assert_int_equal(target_find(in_top("b/tool/x"), path), -ENOTDIR);
}

static void an_empty_part_is_here(void **state)
{
	char before[PATH_MAX], path[PATH_MAX];

	(void)state;
	make("here", "", 0, 0755);
	assert_non_null(getcwd(before, sizeof before));
	assert_int_equal(chdir(top), 0);
	setenv("PATH", "/nowhere:", 1);
	expect_found("here", "here");
	setenv("PATH", ":/nowhere", 1);
	expect_found("here", "here");
	setenv("PATH", "/nowhere", 1);
	assert_int_equal(target_find("here", path), -ENOENT);
	assert_int_equal(chdir(before), 0);
	unsetenv("PATH");
	assert_int_equal(target_find("sh", path), 0);
}

static void too_long(void **state)
{
	char name[PATH_MAX + 8], path[PATH_MAX];

	(void)state;
	memset(name, 'x', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	setenv("PATH", "/bin", 1);
	assert_true(target_find(name, path) < 0);
	name[0] = '/';
	assert_int_equal(target_find(name, path), -ENAMETOOLONG);
}

/* ---- looking ----------------------------------------------------------------------------------- */

static int look(const char *path, struct target *t)
{
	char why[1024] = "";

	snprintf(t->path, sizeof t->path, "%s", path);
	int error = target_look(t, why, sizeof why);
	assert_int_equal(why[0] != '\0', error != 0);
	return error;
}

static void expect_heard(const char *path)
{
	struct target t;

	assert_int_equal(look(path, &t), 0);
	assert_int_equal(t.capture.answer, VERDICT_YES);
	assert_false(t.capture.foreign);
}

static void expect_deaf(const char *path, const char *deaf, const char *subject, bool foreign)
{
	struct target t;

	assert_int_equal(look(path, &t), 0);
	assert_int_equal(t.capture.answer, VERDICT_NO);
	assert_string_equal(t.capture.why, deaf);
	assert_string_equal(t.subject, subject);
	assert_int_equal(t.capture.foreign, foreign);
}

static void programs(void **state)
{
	char loader[ELF_CASE_SEGMENTS * 64];
	const char *path;

	(void)state;
	expect_heard("/proc/self/exe");
	path = make_elf("static", &(struct elf_case){ .type = ET_EXEC, .machine = OURS });
	expect_deaf(path, "is static", path, false);
	path = make_elf("other", &(struct elf_case){ .type = ET_EXEC, .machine = EM_S390 });
	expect_deaf(path, "is built for another machine", path, true);
	/* a loader that is no glibc's; it must be there */
	snprintf(loader, sizeof loader, "%s", in_top("ld-musl.so.1"));
	make("ld-musl.so.1", "", 0, 0755);
	path = make_elf("musl", &(struct elf_case){ .type = ET_DYN, .machine = OURS,
						     .interpreter = loader });
	expect_deaf(path, "uses a C library other than glibc", path, true);
	snprintf(loader, sizeof loader, "%s", in_top("ld-linux-x86-64.so.2"));
	make("ld-linux-x86-64.so.2", "", 0, 0755);
	path = make_elf("glibc", &(struct elf_case){ .type = ET_DYN, .machine = OURS,
						      .interpreter = loader });
	expect_heard(path);
	path = make_elf("go", &(struct elf_case){ .type = ET_DYN, .machine = OURS,
						   .interpreter = loader, .note_name = "Go",
						   .note_type = 4, .note_bytes = 8 });
	expect_deaf(path, "is built by Go, which makes system calls by itself", path, false);
}

static void that_cannot_run(void **state)
{
	struct target t;

	(void)state;
	assert_int_equal(look(make_text("damaged", "\177ELF and so on"), &t), -ENOEXEC);
	assert_int_equal(look(make_text("lost", "#!/no/such/interpreter\n"), &t), -ENOENT);
	const struct elf_case unloadable = { .type = ET_DYN, .machine = OURS,
					     .interpreter = "/no/such/ld-linux.so.2" };
	assert_int_equal(look(make_elf("unloadable", &unloadable), &t), -ENOENT);
	make("plain", "x", 1, 0644);
	char line[128];
	snprintf(line, sizeof line, "#!%s\n", in_top("plain"));
	assert_int_equal(look(make_text("closed", line), &t), -EACCES);
	/* a script that interprets itself */
	snprintf(line, sizeof line, "#!%s\n", in_top("ouroboros"));
	assert_int_equal(look(make_text("ouroboros", line), &t), -ELOOP);
}

static void scripts(void **state)
{
	char deaf[PATH_MAX];
	static const char *const lines[] = {
		"#!%s/deaf", "#! \t%s/deaf\n", "#!%s/deaf -x\n", "#!%s/deaf\nrest\n",
		"#!/usr/bin/env deaf\n", "#!/usr/bin/env deaf \n", "#!/usr/bin/env -S deaf -x\n",
		"#!/usr/bin/env -Sdeaf\n", "#!/usr/bin/env -S -i A=1 -u B deaf -u\n",
		"#!/usr/bin/env --split-string=deaf x\n", "#!%s/script\n",
	};
	char list[128], line[256];

	(void)state;
	snprintf(list, sizeof list, "%s:/bin:/usr/bin", top);
	setenv("PATH", list, 1);
	strcpy(deaf, make_elf("deaf", &(struct elf_case){ .type = ET_EXEC, .machine = OURS }));
	snprintf(line, sizeof line, "#!%s/deaf", top);
	make_text("script", line);
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		const char *at = strstr(lines[i], "%s");
		int n = at ? (int)(at - lines[i]) : 0;
		if (at)
			snprintf(line, sizeof line, "%.*s%s%s", n, lines[i], top, at + 2);
		else
			snprintf(line, sizeof line, "%s", lines[i]);
		expect_deaf(make_text("try", line), "is static", deaf, false);
	}
	/* what env itself will complain about, and what it takes for something else */
	expect_heard(make_text("try", "#!/usr/bin/env no-such-program\n"));
	expect_heard(make_text("try", "#!/usr/bin/env -S\n"));
	expect_heard(make_text("try", "#!/usr/bin/env A=deaf\n"));
	/* no first line: execvp(3) gives it to the shell */
	expect_heard(make_text("try", "echo hello\n"));
	expect_heard(make_text("try", ""));
	expect_heard(make_text("try", "#!\n"));
}

static void more_privileges(void **state)
{
	struct statvfs fs;
	char loader[64];

	(void)state;
	if (getuid() != 0 || statvfs(top, &fs) != 0 || (fs.f_flag & ST_NOSUID))
		skip();
	snprintf(loader, sizeof loader, "%s", in_top("ld-linux.so.2"));
	make("ld-linux.so.2", "", 0, 0755);
	const struct elf_case dynamic = { .type = ET_DYN, .machine = OURS, .interpreter = loader };
	const char *path = make_elf("privileged", &dynamic);
	assert_int_equal(chmod(path, 04755), 0);
	expect_heard(path); /* our own: no more than we have */
	assert_int_equal(chown(path, 12345, 0) | chmod(path, 04755), 0);
	expect_deaf(path, "is setuid", path, false);
	assert_int_equal(chown(path, 0, 12345) | chmod(path, 02755), 0);
	expect_deaf(path, "is setgid", path, false);
	assert_int_equal(chmod(path, 02745), 0);
	expect_heard(path); /* mandatory locking */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(along_the_path),
		cmocka_unit_test(an_empty_part_is_here),
		cmocka_unit_test(too_long),
		cmocka_unit_test(programs),
		cmocka_unit_test(that_cannot_run),
		cmocka_unit_test(scripts),
		cmocka_unit_test(more_privileges),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
