/*
 * test_foreign.c - which programs the shim must keep out of (shim/foreign.c): real ones, copies of which
 * one thing is not as it should be, and scripts.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "shim/foreign.h"

static char dir[64], program[1 << 20];
static size_t program_bytes;

static int begin(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/hark-test-XXXXXX");
	int fd = open("/bin/true", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, program, sizeof program);
	if (n < 1000 || !mkdtemp(dir))
		return -1;
	program_bytes = (size_t)n;
	return close(fd) != 0 || chdir(dir) != 0;
}

static int end(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof command, "rm -rf '%s'", dir);
	return chdir("/") != 0 || system(command) != 0;
}

static const char *file(const char *name, const void *bytes, size_t count)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0755);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, count), count);
	close(fd);
	return name;
}

static const char *script(const char *name, const char *text)
{
	return file(name, text, strlen(text));
}

static bool is(const char *path)
{
	errno = ENOTRECOVERABLE;
	bool foreign = foreign_file(AT_FDCWD, path);
	assert_int_equal(errno, ENOTRECOVERABLE);
	return foreign;
}

static Elf64_Phdr *interpreter(void)
{
	Elf64_Ehdr *e = (void *)program;
	Elf64_Phdr *p = (void *)(program + e->e_phoff);

	while (p->p_type != PT_INTERP)
		p++;
	return p;
}

static bool changed(size_t at, const void *bytes, size_t count)
{
	char kept[64];

	memcpy(kept, program + at, count);
	memcpy(program + at, bytes, count);
	bool foreign = is(file("changed", program, program_bytes));
	memcpy(program + at, kept, count);
	return foreign;
}

static void test_elf(void **state)
{
	Elf64_Phdr *p = interpreter();
	uint16_t other = EM_S390;
	uint64_t far = UINT64_MAX - 8;
	uint32_t none = PT_NULL;
	(void)state;

	assert_false(is("/bin/true"));
	assert_false(is(file("same", program, program_bytes)));
	assert_true(changed(EI_CLASS, "\1", 1));
	assert_true(changed(EI_DATA, "\2", 1));
	assert_true(changed(offsetof(Elf64_Ehdr, e_machine), &other, sizeof other));
	static const char musl[] = "/lib/ld-musl-x86_64.so.1";
	assert_true(changed(p->p_offset, musl, sizeof musl));
	static const char guix[] = "/gnu/ld-linux-x86-64.so.2";
	assert_false(changed(p->p_offset, guix, sizeof guix));
	/* static, and damaged: the kernel's to judge */
	assert_false(changed((size_t)((char *)p - program), &none, sizeof none));
	assert_false(changed(offsetof(Elf64_Ehdr, e_phoff), &far, sizeof far));
	assert_false(changed((size_t)((char *)&p->p_offset - program), &far, sizeof far));
	assert_false(is(file("torn", program, 30)));
	assert_false(is(file("torn", program, 70)));
	assert_false(is(file("empty", "", 0)));
}

static void test_scripts(void **state)
{
	static const char musl[] = "/lib/ld-musl-x86_64.so.1";
	(void)state;

	assert_true(!changed(EI_PAD, "", 1));
	memcpy(program + interpreter()->p_offset, musl, sizeof musl);
	file("musl", program, program_bytes);
	assert_false(is(script("good", "#!/bin/sh\n")));
	assert_true(is(script("one", "#! \t./musl -x y\nanything")));
	assert_true(is(script("two", "#!./one")));
	assert_false(is(script("loop", "#!./loop\n")));
	assert_false(is(script("none", "#!\n")));
	assert_false(is(script("text", "./musl\n")));
	assert_false(is(script("gone", "#!/no/such/interpreter\n")));
}

static void test_names(void **state)
{
	char path[128];
	(void)state;

	assert_false(is("/no/such/file"));
	assert_false(is(NULL));
	assert_false(is((const char *)8));
	assert_false(is(""));
	assert_false(is("/tmp"));
	int fd = open("musl", O_RDONLY | O_CLOEXEC);
	assert_true(foreign_file(fd, ""));
	close(fd);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(chdir("/"), 0);
	assert_true(foreign_file(fd, "musl"));
	snprintf(path, sizeof path, "/no/such:/tmp:%s:/bin", dir);
	assert_int_equal(setenv("PATH", path, 1), 0);
	assert_true(foreign_command("musl"));
	assert_false(foreign_command("sh"));
	assert_false(foreign_command(""));
	assert_false(foreign_command("no-such-command"));
	assert_false(foreign_command(NULL));
	assert_int_equal(fchdir(fd), 0);
	assert_true(foreign_command("./musl"));
	assert_int_equal(setenv("PATH", ":/bin", 1), 0);
	assert_true(foreign_command("musl"));
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_elf),
		cmocka_unit_test(test_scripts),
		cmocka_unit_test(test_names),
	};
	return cmocka_run_group_tests(tests, begin, end);
}
