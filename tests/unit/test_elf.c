/* test_elf.c - elf.c: what a file says of itself, and files that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/image/elf.h"
#include "tests/unit/elf_case.h"

#define LOADER "/lib64/ld-linux-x86-64.so.2"

static int read_bytes(struct elf_facts *facts, const void *bytes, size_t count)
{
	int fd = memfd_create("elf", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, count), count);
	int result = elf_facts_read(facts, fd);
	close(fd);
	return result;
}

static int read_image(struct elf_facts *facts, const struct elf_image *image)
{
	return read_bytes(facts, image->bytes, image->size);
}

static void says_what_it_is(void **state)
{
	struct elf_image image;
	struct elf_facts facts;

	(void)state;
	elf_case_make(&image, &(struct elf_case){ .type = ET_DYN, .machine = EM_X86_64,
						   .interpreter = LOADER, .note_name = "GNU",
						   .note_type = NT_GNU_BUILD_ID, .note_bytes = 20,
						   .dynamic = { DT_FLAGS_1, DF_1_PIE } });
	assert_int_equal(read_image(&facts, &image), 0);
	assert_int_equal(facts.bits, 64);
	assert_false(facts.big_endian);
	assert_int_equal(facts.type, ET_DYN);
	assert_int_equal(facts.machine, EM_X86_64);
	assert_string_equal(facts.interpreter, LOADER);
	assert_true(facts.dynamic);
	assert_true(facts.pie);
	assert_false(facts.soname);
	assert_false(facts.go);
	assert_int_equal(facts.build_id_bytes, 20);
	assert_int_equal(facts.build_id[0], 0xa0);
	assert_int_equal(facts.build_id[19], 0xa0 + 19);
	assert_false(elf_facts_static(&facts));
}

static void tells_static_from_dynamic(void **state)
{
	static const struct {
		struct elf_case made;
		bool is_static;
	} cases[] = {
		{ { .type = ET_EXEC, .machine = EM_X86_64 }, true },
		{ { .type = ET_EXEC, .machine = EM_X86_64, .interpreter = LOADER }, false },
		/* static-PIE has a dynamic section, but nobody to read it */
		{ { .type = ET_DYN, .machine = EM_X86_64, .dynamic = { DT_FLAGS_1, DF_1_PIE } },
		  true },
		/* a library, or the loader as a program */
		{ { .type = ET_DYN, .machine = EM_X86_64, .dynamic = { DT_SONAME, 1 } }, false },
		{ { .type = ET_REL, .machine = EM_X86_64 }, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct elf_image image;
		struct elf_facts facts;
		elf_case_make(&image, &cases[i].made);
		assert_int_equal(read_image(&facts, &image), 0);
		assert_int_equal(elf_facts_static(&facts), cases[i].is_static);
	}
}

static void knows_go(void **state)
{
	struct elf_image image;
	struct elf_facts facts;

	(void)state;
	elf_case_make(&image, &(struct elf_case){ .type = ET_EXEC,
						  .machine = EM_X86_64,
						  .note_name = "Go",
						  .note_type = 4,
						  .note_bytes = 84 });
	assert_int_equal(read_image(&facts, &image), 0);
	assert_true(facts.go);
	assert_int_equal(facts.build_id_bytes, 0);
}

static void this_program(void **state)
{
	struct elf_facts facts;

	(void)state;
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(elf_facts_read(&facts, fd), 0);
	close(fd);
	assert_true(elf_facts_native(&facts));
	assert_false(elf_facts_static(&facts));
	assert_int_equal(access(facts.interpreter, F_OK), 0);
}

static void native_is_all_three(void **state)
{
	struct elf_facts facts;

	(void)state;
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	assert_int_equal(elf_facts_read(&facts, fd), 0);
	close(fd);
	facts.big_endian = true;
	assert_false(elf_facts_native(&facts));
	facts.big_endian = false;
	facts.bits = 32; /* x32 has the machine of x86-64 */
	assert_false(elf_facts_native(&facts));
	facts.bits = 64;
	facts.machine = EM_S390;
	assert_false(elf_facts_native(&facts));
}

static void no_elf_at_all(void **state)
{
	struct elf_facts facts;

	(void)state;
	assert_int_equal(read_bytes(&facts, "", 0), -ENOEXEC);
	assert_int_equal(read_bytes(&facts, "\177EL", 3), -ENOEXEC);
	assert_int_equal(read_bytes(&facts, "#!/bin/sh\n", 10), -ENOEXEC);
	assert_int_equal(read_bytes(&facts, "!<arch>\n", 8), -ENOEXEC);
	assert_int_equal(read_bytes(&facts, ELFMAG, SELFMAG), -EINVAL);
	assert_int_equal(elf_facts_read(&facts, -1), -ENOEXEC);
}

static struct elf_image whole(void)
{
	struct elf_image image;

	elf_case_make(&image, &(struct elf_case){ .type = ET_DYN, .machine = EM_X86_64,
						   .interpreter = LOADER, .note_name = "GNU",
						   .note_type = NT_GNU_BUILD_ID, .note_bytes = 20,
						   .dynamic = { DT_FLAGS_1, DF_1_PIE } });
	return image;
}

static void lies(void **state)
{
	struct elf_image image = whole();
	struct elf_facts facts;

	(void)state;
	/* a loader's name without its end */
	elf_case_segment(&image, ELF_CASE_INTERP)->p_filesz--;
	assert_int_equal(read_image(&facts, &image), -EINVAL);
	/* … larger than the file, or than any name */
	elf_case_segment(&image, ELF_CASE_INTERP)->p_filesz = UINT64_MAX;
	assert_int_equal(read_image(&facts, &image), -EINVAL);
	elf_case_segment(&image, ELF_CASE_INTERP)->p_filesz = ELF_INTERPRETER + 1;
	assert_int_equal(read_image(&facts, &image), -EINVAL);
	image = whole();
	elf_case_segment(&image, ELF_CASE_INTERP)->p_offset = UINT64_MAX - 8;
	assert_int_equal(read_image(&facts, &image), -EINVAL);
	/* a build-id that does not fit is none */
	struct elf_case large = { .type = ET_EXEC, .machine = EM_X86_64, .note_name = "GNU",
				  .note_type = NT_GNU_BUILD_ID, .note_bytes = ELF_BUILD_ID + 4 };
	elf_case_make(&image, &large);
	assert_int_equal(read_image(&facts, &image), 0);
	assert_int_equal(facts.build_id_bytes, 0);
	large.note_bytes = ELF_BUILD_ID;
	elf_case_make(&image, &large);
	assert_int_equal(read_image(&facts, &image), 0);
	assert_int_equal(facts.build_id_bytes, ELF_BUILD_ID);
	/* … nor is one that reaches beyond its segment */
	elf_case_segment(&image, ELF_CASE_NOTE)->p_filesz -= 4;
	assert_int_equal(read_image(&facts, &image), 0);
	assert_int_equal(facts.build_id_bytes, 0);
	/* more segments than there can be */
	image = whole();
	elf_case_header(&image)->e_phnum = 0xfff0;
	assert_true(read_image(&facts, &image) <= 0);
	image = whole();
	elf_case_header(&image)->e_phoff = UINT64_MAX - 64;
	assert_true(read_image(&facts, &image) <= 0);
}

static void torn_at_every_byte(void **state)
{
	struct elf_image image = whole();
	struct elf_facts facts;

	(void)state;
	for (size_t n = 0; n < image.size; n++) {
		int result = read_bytes(&facts, image.bytes, n);
		assert_true(result == 0 || result == -EINVAL || result == -ENOEXEC);
		assert_non_null(memchr(facts.interpreter, '\0', sizeof facts.interpreter));
	}
}

static void scribbled_over(void **state)
{
	uint32_t random = 1;

	(void)state;
	for (unsigned round = 0; round < 3000; round++) {
		struct elf_image image = whole();
		struct elf_facts facts;
		for (unsigned i = 0; i < 1 + round % 7; i++) {
			random = random * 1664525 + 1013904223;
			image.bytes[SELFMAG + (random >> 8) % (image.size - SELFMAG)] ^=
				(unsigned char)(random >> 3 | 1);
		}
		int result = read_image(&facts, &image);
		assert_true(result == 0 || result == -EINVAL);
		assert_true(facts.build_id_bytes <= ELF_BUILD_ID);
		assert_non_null(memchr(facts.interpreter, '\0', sizeof facts.interpreter));
	}
}

static void machines_have_names(void **state)
{
	(void)state;
	assert_string_equal(elf_machine_name(EM_X86_64), "x86-64");
	assert_string_equal(elf_machine_name(EM_AARCH64), "AArch64");
	assert_non_null(elf_machine_name(0xffff));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(says_what_it_is),
		cmocka_unit_test(tells_static_from_dynamic),
		cmocka_unit_test(knows_go),
		cmocka_unit_test(this_program),
		cmocka_unit_test(native_is_all_three),
		cmocka_unit_test(no_elf_at_all),
		cmocka_unit_test(lies),
		cmocka_unit_test(torn_at_every_byte),
		cmocka_unit_test(scribbled_over),
		cmocka_unit_test(machines_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
