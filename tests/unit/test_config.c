/*
 * test_config.c - settings from options and variables, and what is said of bad ones. Files are
 * tested in test_config_yaml.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/config/config.h"

#define KINDS "accepted: console, file, tcp, udp, unix, unixgram"
#define RINGS "accepted: 64K to 1G, such as 4M"

static struct config config;
static struct config_problem problem;

static int set_up(void **state)
{
	(void)state;
	config_defaults(&config);
	return 0;
}

static const struct setting *row(const char *variable)
{
	for (size_t i = 0; i < setting_count; i++)
		if (strcmp(settings[i].variable, variable) == 0)
			return &settings[i];
	fail_msg("no row for %s", variable);
	return NULL;
}

/* By variable or by option, as `from` says. */
static int set(const char *from, const char *value)
{
	const struct setting *s = from[0] == '-' ? config_option(from) : row(from);

	assert_non_null(s);
	memset(&problem, 'z', sizeof problem);
	return config_set(&config, s, from, value, &problem);
}

static void good(const char *from, const char *value)
{
	if (set(from, value) != 0)
		fail_msg("%s", problem.text);
	assert_string_equal(problem.text, "");
}

/* Refused, with this sentence, and nothing has changed. */
static void bad(const char *from, const char *value, const char *sentence)
{
	static struct config before;

	memcpy(&before, &config, sizeof before);
	assert_int_equal(set(from, value), -EINVAL);
	assert_string_equal(problem.text, sentence);
	assert_memory_equal(&before, &config, sizeof before);
}

static void bad_with(const char *from, const char *value, const char *part)
{
	assert_int_equal(set(from, value), -EINVAL);
	if (!strstr(problem.text, part))
		fail_msg("\"%s\" lacks \"%s\"", problem.text, part);
}

static void defaults(void **state)
{
	(void)state;
	assert_true(config.capture.on_stderr);
	assert_true(config.capture.on_syslog);
	assert_false(config.capture.on_stdout);
	assert_int_equal(config.capture.fd_count, 0);
	assert_int_equal(config.capture.paths[0], 0);
	assert_string_equal(config.sinks, "console");
	assert_int_equal(config.level, LEVEL_DEBUG);
	assert_false(config.mirror);
	assert_false(config.follow_number);
	assert_false(config.deep);
	assert_int_equal(config.overflow, OVERFLOW_BLOCK);
	assert_int_equal(config.ring_bytes, 4 << 20);
	assert_int_equal(config.exit_timeout_ns, UINT64_C(5000000000));
	assert_string_equal(config.file, "");
	assert_false(config.disable);
	assert_false(config.strict);
}

static void each_row_is_whole_and_its_preset_is_accepted(void **state)
{
	(void)state;
	for (size_t i = 0; i < setting_count; i++) {
		const struct setting *s = &settings[i];
		assert_memory_equal(s->variable, "HARK_", 5);
		assert_true(*s->key && *s->doc && *s->accepted);
		assert_true(s->offset < sizeof config);
		for (size_t k = 0; k < i; k++) {
			assert_string_not_equal(s->key, settings[k].key);
			assert_string_not_equal(s->variable, settings[k].variable);
		}
		if (s->option) {
			assert_memory_equal(s->option, "--", 2);
			assert_string_equal(s->option + 2, s->key);
			assert_ptr_equal(config_option(s->option), s);
			assert_int_equal(s->metavar == NULL, s->type == SETTING_BOOL);
		}
		if (*s->preset)
			good(s->variable, s->preset);
	}
	assert_null(config_option("--ringg"));
	assert_null(config_option("ring"));
	assert_null(config_option("--"));
}

static void capture(void **state)
{
	(void)state;
	good("HARK_CAPTURE", "stdout");
	assert_true(config.capture.on_stdout);
	assert_false(config.capture.on_stderr);
	assert_false(config.capture.on_syslog);
	good("--capture", "fd:7,path:/var/log/*.log, syslog ,fd:7,fd:0,path:/var/log/*.log,"
			  "fd:2147483647");
	assert_true(config.capture.on_syslog);
	assert_false(config.capture.on_stdout);
	assert_int_equal(config.capture.fd_count, 3);
	assert_int_equal(config.capture.fds[0], 7);
	assert_int_equal(config.capture.fds[1], 0);
	assert_int_equal(config.capture.fds[2], 2147483647);
	assert_memory_equal(config.capture.paths, "/var/log/*.log\0\0", 16);
	good("--capture", "path:a,path:b\\,c");
	assert_memory_equal(config.capture.paths, "a\0b\\,c\0\0", 8);
	good("--capture", "fd:1,fd:2");
	assert_true(config.capture.on_stdout && config.capture.on_stderr);
	assert_int_equal(config.capture.fd_count, 0);
	bad("HARK_CAPTURE", "stder",
	    "HARK_CAPTURE=stder: no such source \"stder\"; did you mean \"stderr\"? accepted: "
	    "stderr, stdout, syslog, fd:N, path:GLOB, separated by commas");
	bad_with("HARK_CAPTURE", "none", "no such source \"none\"");
	bad_with("HARK_CAPTURE", "stderr,", "an item is missing");
	bad_with("HARK_CAPTURE", ",stderr", "an item is missing");
	bad_with("HARK_CAPTURE", "stderr,,syslog", "an item is missing");
	bad_with("HARK_CAPTURE", "fd:", "no such source \"fd:\"");
	bad_with("HARK_CAPTURE", "fd:-1", "no such source \"fd:-1\"");
	bad_with("HARK_CAPTURE", "fd:2147483648", "no such source");
	bad_with("HARK_CAPTURE", "path:", "no such source \"path:\"");
	bad_with("HARK_CAPTURE", "STDERR", "no such source \"STDERR\"");
}

static void too_much_to_capture(void **state)
{
	char list[4096];
	size_t length = 0;

	(void)state;
	for (int fd = 10; fd < 10 + CONFIG_FDS; fd++)
		length += (size_t)sprintf(list + length, "fd:%d,", fd);
	list[length - 1] = '\0';
	good("--capture", list);
	strcpy(list + length - 1, ",fd:9");
	bad_with("--capture", list, "16 descriptors");
	sprintf(list, "path:%01022d", 1);
	good("--capture", list);
	sprintf(list, "path:%01023d", 1);
	bad_with("--capture", list, "1 KiB");
	sprintf(list, "path:%03000d", 1);
	bad_with("--capture", list, "1 KiB");
}

static void sinks(void **state)
{
	(void)state;
	good("HARK_SINKS", "console file:a?size=1M");
	assert_string_equal(config.sinks, "console file:a?size=1M");
	good("--to", "file:b");
	assert_string_equal(config.sinks, "file:b"); /* an option replaces what the variable said */
	good("--to", "tcp://h:1");
	assert_string_equal(config.sinks, "file:b tcp://h:1");
	good("--to", "file:my log");
	assert_string_equal(config.sinks, "file:b tcp://h:1 file:my%20log");
	bad("--to", "fil:app.log",
	    "--to fil:app.log: no such sink \"fil\"; did you mean \"file\"? " KINDS);
	bad("HARK_SINKS", "console fil:x",
	    "HARK_SINKS=console fil:x: in fil:x: no such sink \"fil\"; did you mean \"file\"? "
	    KINDS);
	bad_with("--to", "console file:x", "more than one sink; accepted: one with each --to");
	bad_with("--to", "", "no sink is named");
	bad_with("HARK_SINKS", "  ", "no sink is named");
	good("HARK_SINKS", "console");
	good("--to", "console?format=text&pattern=%T %v");
	assert_string_equal(config.sinks, "console?format=text&pattern=%T%20%v");
}

static void too_many_sinks(void **state)
{
	char list[5000] = "";

	(void)state;
	for (int i = 0; i < CONFIG_SINKS; i++)
		good("--to", "console");
	bad_with("--to", "console", "at most 16");
	for (int i = 0; i < CONFIG_SINKS; i++)
		sprintf(list + strlen(list), "file:%0240d ", i);
	good("HARK_SINKS", list);
	for (int i = 0; i < 4; i++)
		sprintf(list + strlen(list), "%*s", 100, "");
	bad_with("HARK_SINKS", list, "at most 4095 bytes");
	sprintf(list, "file:%0550d", 1);
	bad_with("--to", list, "at most 511 bytes");
}

static void words_and_flags(void **state)
{
	(void)state;
	good("--level", "WARN");
	assert_int_equal(config.level, LEVEL_WARNING);
	good("HARK_LEVEL", "none");
	assert_int_equal(config.level, LEVEL_NONE);
	bad_with("HARK_LEVEL", "warnig", "=warnig: no such level; did you mean \"warning\"?");
	good("--mirror", NULL);
	assert_true(config.mirror);
	good("HARK_MIRROR", "no");
	assert_false(config.mirror);
	bad("HARK_MIRROR", "maybe",
	    "HARK_MIRROR=maybe: neither yes nor no; accepted: 1, 0, yes, no, true, false, on, off");
	good("--deep", NULL);
	assert_true(config.deep);
	good("--follow", "number");
	assert_true(config.follow_number);
	good("--follow", "file");
	assert_false(config.follow_number);
	bad("--follow", "files",
	    "--follow files: no such word; did you mean \"file\"? accepted: file, number");
	good("HARK_DISABLE", "1");
	assert_true(config.disable);
	good("HARK_STRICT", "true");
	assert_true(config.strict);
	good("--config", "/etc/hark.yaml");
	assert_string_equal(config.file, "/etc/hark.yaml");
	bad_with("--config", "", "no path");
	char path[300];
	memset(path, 'p', sizeof path);
	path[256] = '\0';
	bad_with("--config", path, "too long");
	path[255] = '\0';
	good("--config", path);
}

static void overflow(void **state)
{
	(void)state;
	good("--overflow", "timeout:100ms");
	assert_int_equal(config.overflow, OVERFLOW_TIMEOUT);
	assert_int_equal(config.overflow_ns, 100000000);
	good("--overflow", "overwrite");
	assert_int_equal(config.overflow, OVERFLOW_OVERWRITE);
	good("--overflow", "drop");
	assert_int_equal(config.overflow, OVERFLOW_DROP);
	good("--overflow", "block");
	assert_int_equal(config.overflow, OVERFLOW_BLOCK);
	bad("HARK_OVERFLOW", "overwirte",
	    "HARK_OVERFLOW=overwirte: no such policy; did you mean \"overwrite\"? accepted: "
	    "block, drop, overwrite, timeout:D (such as timeout:100ms)");
	bad_with("HARK_OVERFLOW", "timeout", "no such policy");
	bad_with("HARK_OVERFLOW", "timeout:", "not a duration");
	bad_with("HARK_OVERFLOW", "timeout:5", "not a duration");
	bad_with("HARK_OVERFLOW", "timeout:0s", "out of range");
	bad_with("HARK_OVERFLOW", "timeout:2h", "out of range");
}

static void sizes_and_durations(void **state)
{
	(void)state;
	static const struct { const char *value; uint64_t bytes; } rings[] = {
		{ "64K", 64 << 10 }, { "65537", 128 << 10 }, { "5M", 8 << 20 }, { "1G", 1 << 30 },
		{ "1025M", 0 }, { "63K", 0 }, { "2G", 0 },
	};
	for (unsigned i = 0; i < 4; i++) {
		good("HARK_RING", rings[i].value);
		assert_int_equal(config.ring_bytes, rings[i].bytes);
	}
	for (unsigned i = 4; i < 7; i++)
		bad_with("HARK_RING", rings[i].value, "out of range; accepted: 64K to 1G");
	bad("HARK_RING", "4Q", "HARK_RING=4Q: not a size; accepted: 64K to 1G, such as 4M");
	bad("--ring", "", "--ring : not a size; accepted: 64K to 1G, such as 4M");
	good("--exit-timeout", "0");
	assert_int_equal(config.exit_timeout_ns, 0);
	good("--exit-timeout", "1.5s");
	assert_int_equal(config.exit_timeout_ns, 1500000000);
	bad_with("HARK_EXIT_TIMEOUT", "5", "not a duration; accepted: 0 to 1d");
	bad_with("HARK_EXIT_TIMEOUT", "2d", "out of range");
}

static void samples(void **state)
{
	(void)state;
	good("--sample", "cpu@99");
	assert_int_equal(config.sample_rate, 99);
	assert_false(config.sample_wall);
	assert_int_equal(config.sample_by, SAMPLE_BY_ANY);
	good("HARK_SAMPLE", "wall@10000:kernel");
	assert_int_equal(config.sample_rate, 10000);
	assert_true(config.sample_wall);
	assert_int_equal(config.sample_by, SAMPLE_BY_KERNEL);
	good("--sample", "cpu@1:timer");
	assert_int_equal(config.sample_by, SAMPLE_BY_TIMER);
	bad_with("--sample", "wall@1:timer", "timers know nothing of waiting threads");
	bad_with("--sample", "cpu@1:", "nobody of that name takes samples");
	bad_with("--sample", "cpu@1:timers", "nobody of that name takes samples");
	bad_with("--sample", "cpu@:timer", "not a rate");
	bad_with("--sample", "cpu@10001:kernel", "out of range");
	bad_with("--sample", "cpu@000000000000000000000000099zzz", "not a rate");
	bad_with("--sample", ":timer", "no such kind of samples");
	good("--sample", "off");
	assert_int_equal(config.sample_rate, 0);
	assert_int_equal(config.sample_by, SAMPLE_BY_ANY);
}

static void answers_are_one_harmless_line(void **state)
{
	char value[2000];

	(void)state;
	bad("HARK_RING", "4M\n\x1b[2J\x7f\t",
	    "HARK_RING=4M\\n\\x1b[2J\\x7f\\t: not a size; accepted: 64K to 1G, such as 4M");
	bad_with("HARK_RING", "\xc2\x9b" "31m", "HARK_RING=\\u009b31m: not a size");
	bad_with("HARK_RING", "\xc3\xa4", "HARK_RING=\xc3\xa4: not a size");
	memset(value, '\x1b', sizeof value);
	value[sizeof value - 1] = '\0';
	static const char *const variables[] = { "HARK_RING", "HARK_CAPTURE", "HARK_SINKS" };
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(set(variables[i], value), -EINVAL);
		assert_true(strlen(problem.text) < sizeof problem.text);
		for (const char *c = problem.text; *c; c++)
			assert_true(*c >= ' ');
	}
	memset(value, 'x', sizeof value - 1);
	bad_with("HARK_RING", value, "xxx...: not a size; accepted: 64K to 1G, such as 4M");
	bad_with("HARK_RING", "%s%n%s", "HARK_RING=%s%n%s: not a size");
}

static int environment(const char *const *variables)
{
	return config_environment(&config, (char *const *)variables, &problem);
}

static void variables(void **state)
{
	static const char *const good_ones[] = {
		"PATH=/bin", "HARK_RING=1M", "HARK_LEVEL=", "HARK_SINKS=file:x console",
		"HARK_RINGS=4Q", "XHARK_RING=4Q", "HARK_RING=2M", "HARK_DEEP=1", NULL
	};
	static const char *const bad_one[] = { "HARK_DEEP=1", "HARK_RING=4Q", NULL };
	static const char *const none[] = { NULL };

	(void)state;
	good("HARK_LEVEL", "error");
	assert_int_equal(environment(good_ones), 0);
	assert_int_equal(config.ring_bytes, 1 << 20); /* the first one counts, as in getenv(3) */
	assert_int_equal(config.level, LEVEL_ERROR);  /* empty: as if unset */
	assert_string_equal(config.sinks, "file:x console");
	assert_true(config.deep);
	assert_int_equal(environment(bad_one), -EINVAL);
	assert_string_equal(problem.text, "HARK_RING=4Q: not a size; " RINGS);
	assert_int_equal(environment(none), 0);
	assert_string_equal(problem.text, "");
}

static void unknown_variables(void **state)
{
	static const char *const known_and_not[] = {
		"HARK_RING=1M", "HARK_RNIG=1M", "HOME=/", "HARK_SESSION=x", "HARK_FDS=1", "HARKX=1",
		"HARK_RUNTIME_DIR=/x", "HARK_RUNTIME_DRI=/x", "HARK_\x1b[2J=1", "HARK_",
		"HARK_ZEBRA=1",
		"HARK_RINGRINGRINGRINGRINGRINGRINGRINGRINGRINGRINGRINGRINGRINGRINGRING=1", NULL,
	};
	static const char *const expected[] = {
		"HARK_RNIG: unknown variable; did you mean HARK_RING?",
		"HARK_RUNTIME_DRI: unknown variable; did you mean HARK_RUNTIME_DIR?",
		"HARK_\\x1b[2J: unknown variable",
	};
	char *const *environ_now = (char *const *)known_and_not;
	size_t next = 0;
	unsigned count = 0;

	(void)state;
	while (config_unknown(environ_now, &next, &problem)) {
		if (count < 3 && strcmp(problem.text, expected[count]) != 0 &&
		    strncmp(problem.text, expected[count], strlen(expected[count])) != 0)
			fail_msg("%s", problem.text);
		assert_non_null(strstr(problem.text, ": unknown variable"));
		count++;
	}
	assert_int_equal(count, 6);
	assert_int_equal(config_unknown(environ_now, &next, &problem), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(defaults, set_up),
		cmocka_unit_test_setup(each_row_is_whole_and_its_preset_is_accepted, set_up),
		cmocka_unit_test_setup(capture, set_up),
		cmocka_unit_test_setup(too_much_to_capture, set_up),
		cmocka_unit_test_setup(sinks, set_up),
		cmocka_unit_test_setup(too_many_sinks, set_up),
		cmocka_unit_test_setup(words_and_flags, set_up),
		cmocka_unit_test_setup(overflow, set_up),
		cmocka_unit_test_setup(sizes_and_durations, set_up),
		cmocka_unit_test_setup(samples, set_up),
		cmocka_unit_test_setup(answers_are_one_harmless_line, set_up),
		cmocka_unit_test_setup(variables, set_up),
		cmocka_unit_test_setup(unknown_variables, set_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
