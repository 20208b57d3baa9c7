/*
 * test_image.c - image.c: which of the programs that a session starts are named, and how often.
 */
#include <limits.h>

#include "tests/unit/collect_case.h"
#include "tests/unit/elf_case.h"

#define STATIC_SENTENCE "/static, which is static: only deep mode hears it"

static void make(const char *name, const struct elf_case *c)
{
	struct elf_image image;
	char path[PATH_MAX];

	elf_case_make(&image, c);
	snprintf(path, sizeof path, "%s/%s", scene.base, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, image.bytes, image.size), image.size);
	close(fd);
}

static const struct elf_case is_static = { .type = ET_EXEC, .machine = EM_X86_64 };
static const struct elf_case is_heard = { .type = ET_EXEC,
					  .machine = EM_X86_64,
					  .interpreter = "/lib64/ld-linux-x86-64.so.2",
					  .dynamic = { DT_FLAGS_1, DF_1_PIE } };

/* "@" stands for the test's directory. */
static void start(const char *name)
{
	char path[PATH_MAX];
	bool at = *name == '@';

	int n = snprintf(path, sizeof path, "%s%s", at ? scene.base : "", name + at);
	assert_int_equal(say_bytes((struct writer){ .pid = (uint32_t)getpid(),
						    .fd = 0xffff,
						    .kind = RECORD_IMAGE,
						    .source = SOURCE_HARK },
				   path, (size_t)n),
			 0);
}

static void begin(void)
{
	case_begin("file:@/text?format=json file:@/raw?format=raw");
	make("static", &is_static);
	make("heard", &is_heard);
}

static void test_once(void **state)
{
	(void)state;
	begin();
	for (int i = 0; i < 3; i++) {
		start("@/heard");
		start("@/static");
		case_settle();
	}
	start("@/./static"); /* the same file */
	case_settle();
	assert_int_equal(count_of(case_got("text"), STATIC_SENTENCE), 1);
	assert_int_equal(count_of(case_got("text"), "\"msg\""), 1);
	assert_int_equal(count_of(case_got("text"), "\"level\":\"notice\""), 1);
	expect_file("raw", ""); /* the program's own and nothing else */
}

static void test_what_is_none(void **state)
{
	static const char *const names[] = { "@", "@/nothing", "/dev/null", "nothing", "./nothing",
					     "", "/", "%n%s", "@/raw" };
	(void)state;
	begin();
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		start(names[i]);
	case_settle();
	expect_file("text", "");
}

static void test_found_as_the_program_finds_it(void **state)
{
	char before[PATH_MAX];
	(void)state;

	begin();
	assert_non_null(getcwd(before, sizeof before));
	assert_int_equal(chdir(scene.base), 0);
	start("./static"); /* of the process that says so: ours */
	case_settle();
	assert_int_equal(chdir(before), 0);
	assert_int_equal(count_of(case_got("text"), "started ./static, which is static"), 1);
	make("other", &is_static);
	setenv("PATH", "/nonexistent:/usr/bin:/bin", 1);
	start("other");
	case_settle();
	assert_int_equal(count_of(case_got("text"), "started"), 1);
	snprintf(before, sizeof before, "/nonexistent:%s:/usr/bin:/bin", scene.base);
	setenv("PATH", before, 1);
	start("other");
	case_settle();
	assert_int_equal(count_of(case_got("text"), "started other, which is static"), 1);
}

/* More at once than are remembered: the rest is named when it is started again. */
static void test_many(void **state)
{
	char name[20];
	(void)state;

	begin();
	for (int again = 0; again < 2; again++) {
		for (int i = 0; i < IMAGES_WAITING + 5; i++)
			start("@/heard");
		start("@/static");
		if (again == 0)
			case_settle();
	}
	start("@/heard");
	case_settle();
	expect_file("text", "");
	for (int i = 0; i < 2 * CHECKPOINT_DEAF; i++) {
		snprintf(name, sizeof name, "static%d", i);
		make(name, &is_static);
		snprintf(name, sizeof name, "@/static%d", i);
		start(name);
		case_settle();
	}
	assert_int_equal(count_of(case_got("text"), "started"), 2 * CHECKPOINT_DEAF);
}

static void test_successor_says_nothing_again(void **state)
{
	(void)state;
	begin();
	start("@/static");
	case_settle();
	case_succeed();
	start("@/static");
	case_settle();
	assert_int_equal(count_of(case_got("text"), "started"), 1);
}

static void test_deep_mode_hears_it(void **state)
{
	(void)state;
	begin();
	scene.plan.deep_fd = 0;
	start("@/static");
	case_settle();
	scene.plan.deep_fd = -1;
	expect_file("text", "");
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	const struct CMUnitTest tests[] = {
		CASE(test_once),
		CASE(test_what_is_none),
		CASE(test_found_as_the_program_finds_it),
		CASE(test_many),
		CASE(test_successor_says_nothing_again),
		CASE(test_deep_mode_hears_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
