/*
 * test_config_yaml.c - settings out of a file: what is taken, what is refused and how.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/config/config.h"

static struct config config;
static struct config_problem problem;
static char dir[64];

static int set_up(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/hark-config-XXXXXX");
	if (!mkdtemp(dir) || chdir(dir) != 0)
		return -1;
	config_defaults(&config);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink("app.yaml");
	return chdir("/") == 0 ? rmdir(dir) : -1;
}

static int load(const char *text, size_t length)
{
	int fd = open("app.yaml", O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, length), (ssize_t)length);
	close(fd);
	memset(&problem, 'z', sizeof problem);
	return config_file(&config, "app.yaml", &problem);
}

static void good(const char *text)
{
	if (load(text, strlen(text)) != 0)
		fail_msg("%s", problem.text);
}

/* Refused with this sentence, and nothing has changed. */
static void bad(const char *text, const char *sentence)
{
	static struct config before;

	memcpy(&before, &config, sizeof before);
	assert_int_equal(load(text, strlen(text)), -EINVAL);
	assert_string_equal(problem.text, sentence);
	assert_memory_equal(&before, &config, sizeof before);
}

static void bad_with(const char *text, const char *part)
{
	assert_int_equal(load(text, strlen(text)), -EINVAL);
	if (!strstr(problem.text, part))
		fail_msg("\"%s\" lacks \"%s\"", problem.text, part);
}

static void every_setting(void **state)
{
	(void)state;
	good("# all of them\n"
	     "capture: [stdout, 'path:/tmp/*', fd:7]\n"
	     "to: [console, 'file:my log?size=1M']\n"
	     "level: warning\n"
	     "mirror: yes\n"
	     "follow: number\n"
	     "deep: true\n"
	     "overflow: timeout:1s\n"
	     "ring: 1M\n"
	     "exit-timeout: 2s\n");
	assert_true(config.capture.on_stdout);
	assert_false(config.capture.on_stderr);
	assert_int_equal(config.capture.fds[0], 7);
	assert_string_equal(config.capture.paths, "/tmp/*");
	assert_string_equal(config.sinks, "console file:my%20log?size=1M");
	assert_int_equal(config.level, LEVEL_WARNING);
	assert_true(config.mirror);
	assert_true(config.follow_number);
	assert_true(config.deep);
	assert_int_equal(config.overflow, OVERFLOW_TIMEOUT);
	assert_int_equal(config.ring_bytes, 1 << 20);
	assert_int_equal(config.exit_timeout_ns, 2000000000);
}

static void scalars_are_as_in_variables(void **state)
{
	(void)state;
	good("to: console file:x\ncapture: stderr,stdout\n");
	assert_string_equal(config.sinks, "console file:x");
	assert_true(config.capture.on_stdout);
	good("to:\n  - file:y\n");
	assert_string_equal(config.sinks, "file:y");
	good("---\nring: 64K\n...\n");
	assert_int_equal(config.ring_bytes, 64 << 10);
	good("{ring: 128K, deep: on}");
	assert_int_equal(config.ring_bytes, 128 << 10);
}

static void nothing_is_no_error(void **state)
{
	(void)state;
	good("");
	good("# only a remark\n");
	good("---\n");
	good("{}\n");
	assert_string_equal(config.sinks, "console");
}

static void variables_and_options_win(void **state)
{
	static const char *const variables[] = { "HARK_RING=1M", "HARK_SINKS=file:v", NULL };
	char *const *environment = (char *const *)variables;

	(void)state;
	good("ring: 64K\nlevel: error\nto: [file:a, file:b]\n");
	assert_int_equal(config_environment(&config, environment, &problem), 0);
	assert_int_equal(config.ring_bytes, 1 << 20);
	assert_int_equal(config.level, LEVEL_ERROR);
	assert_string_equal(config.sinks, "file:v");
	assert_int_equal(config_set(&config, config_option("--to"), "--to", "file:o", &problem), 0);
	assert_string_equal(config.sinks, "file:o");
}

static void what_is_said_of_keys(void **state)
{
	(void)state;
	char said[512] = "app.yaml:2: no such key \"rnig\"; did you mean \"ring\"? accepted: ";
	const char *between = "";

	/* those that there is an option for, but for that of the file itself */
#define SETTING(key, option, ...)                \
	if (option && strcmp(key, "config") != 0) { \
		strcat(strcat(said, between), key); \
		between = ", ";                  \
	}
#include "lib/config/settings.def"
	bad("level: info\nrnig: 4M\n", said);
	bad_with("zebra: 1\n", "app.yaml:1: no such key \"zebra\"; accepted: capture");
	bad("\ndisable: 1\n",
	    "app.yaml:2: disable: not in a file; accepted: the variable HARK_DISABLE");
	bad_with("strict: 1\n", "HARK_STRICT");
	bad_with("config: other.yaml\n", "not in a file");
	bad("ring: 1M\nring: 2M\n", "app.yaml:2: ring: given twice");
	bad_with("[ring]: 1M\n", "a list or mapping as a key");
	bad_with("? {a: b}\n: 1M\n", "a list or mapping as a key");
	bad_with("<<: {ring: 1M}\n", "no such key \"<<\"");
	bad_with("\"ri\\x1bng\": 1M\n", "no such key \"ri\\x1bng\"");
	bad_with("\"ring\\0\": 1M\n", "no such key");
}

static void what_is_said_of_values(void **state)
{
	(void)state;
	bad("\n\nring: 4Q\n", "app.yaml:3: ring=4Q: not a size; accepted: 64K to 1G, such as 4M");
	bad("to: [console, fil:x]\n",
	    "app.yaml:1: to=console fil:x: in fil:x: no such sink \"fil\"; did you mean \"file\"? "
	    "accepted: console, file, tcp, udp, unix, unixgram");
	bad("ring: [1M]\n", "app.yaml:1: ring: a list; accepted: one word");
	bad("ring: {a: 1M}\n", "app.yaml:1: ring: a mapping; accepted: a word");
	bad("to: {console: yes}\n", "app.yaml:1: to: a mapping; accepted: a word or a list");
	bad("to:\n- console\n- [file:x]\n", "app.yaml:3: to: nested too deeply; accepted: words");
	bad_with("capture: [stderr, {a: b}]\n", "nested too deeply");
	bad_with("capture: [stderr, '']\n", "an empty item");
	bad_with("to: []\n", "no sink is named");
	bad_with("capture: []\n", "an item is missing");
	bad_with("ring:\n", "not a size");
	bad_with("ring: ~\n", "not a size");
	bad_with("level: \"warn\\0ing\"\n", "a NUL in the value");
	bad_with("mirror: maybe\n", "app.yaml:1: mirror=maybe: neither yes nor no");
}

static void what_is_said_of_the_whole(void **state)
{
	(void)state;
	bad("console\n", "app.yaml:1: not settings; accepted: lines of KEY: VALUE");
	bad("- ring\n", "app.yaml:1: not settings; accepted: lines of KEY: VALUE");
	bad("ring: 1M\n---\nring: 2M\n", "app.yaml:2: a second document; accepted: one");
	bad_with("ring: 'open\n", "app.yaml:");
	bad_with("ring: 'open\n", "not YAML: ");
	bad_with("ring: 1M\n\tlevel: x\n", "not YAML: ");
	bad_with("a: \xff\xfe\n", "not YAML: ");
}

static void aliases_are_refused(void **state)
{
	(void)state;
	bad("ring: &a 1M\nlevel: *a\n", "app.yaml:2: an alias; accepted: words and lists");
	bad_with("to: &a [*a]\n", "an alias");
	bad_with("to: [&a console, *a]\n", "an alias");
	bad_with("*a : 1\n", "an alias");
	bad_with("*a\n", "an alias");
}

static void large_and_deep(void **state)
{
	static const char key[] = { 'r', 'i', 'n', 'g', ':', ' ' };
	size_t size = (1 << 20) + 1;
	char *text = malloc(size);

	(void)state;
	assert_non_null(text);
	memset(text, '#', size);
	assert_int_equal(load(text, size - 1), 0);
	assert_int_equal(load(text, size), -EINVAL);
	assert_string_equal(problem.text, "app.yaml: too large; accepted: at most 1 MiB");
	memset(text, '[', size);
	assert_int_equal(load(text, size - 1), -EINVAL);
	memset(text, 'x', size);
	memcpy(text, key, sizeof key);
	assert_int_equal(load(text, size - 1), -EINVAL);
	assert_non_null(strstr(problem.text, "at most 4095 bytes"));
	free(text);
}

static void files_that_cannot_be_read(void **state)
{
	(void)state;
	assert_int_equal(config_file(&config, "absent.yaml", &problem), -ENOENT);
	assert_string_equal(problem.text, "absent.yaml: No such file or directory; accepted by "
					  "--config and HARK_CONFIG: a file that can be read");
	assert_int_equal(config_file(&config, dir, &problem), -EISDIR);
	assert_non_null(strstr(problem.text, "Is a directory"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(every_setting),
		TEST(scalars_are_as_in_variables),
		TEST(nothing_is_no_error),
		TEST(variables_and_options_win),
		TEST(what_is_said_of_keys),
		TEST(what_is_said_of_values),
		TEST(what_is_said_of_the_whole),
		TEST(aliases_are_refused),
		TEST(large_and_deep),
		TEST(files_that_cannot_be_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
