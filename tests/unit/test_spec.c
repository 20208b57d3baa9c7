/*
 * test_spec.c - sink specifications: what is understood, and what is said of the rest.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/config/spec.h"

static struct sink_spec spec;
static char why[512];

static void good(const char *text)
{
	memset(&spec, 0xa5, sizeof spec);
	if (spec_parse(text, &spec, why, sizeof why) != 0)
		fail_msg("%s: %s", text, why);
	assert_string_equal(spec.given, text);
}

#define SIZES "accepted: a size such as 10M, or 0 for no limit"
#define KINDS "accepted: console, file, tcp, udp, unix, unixgram"

static void bad(const char *text, const char *sentence)
{
	assert_int_equal(spec_parse(text, &spec, why, sizeof why), -EINVAL);
	assert_string_equal(why, sentence);
}

static void bad_with(const char *text, const char *part)
{
	assert_int_equal(spec_parse(text, &spec, why, sizeof why), -EINVAL);
	if (!strstr(why, part))
		fail_msg("%s: \"%s\" lacks \"%s\"", text, why, part);
}

static void kinds_and_defaults(void **state)
{
	(void)state;
	good("console");
	assert_int_equal(spec.kind, SINK_CONSOLE);
	assert_string_equal(spec.target, "");
	assert_string_equal(spec.format, "");
	assert_string_equal(spec.pattern, "");
	assert_string_equal(spec.source, "");
	assert_int_equal(spec.level, LEVEL_DEBUG);
	assert_int_equal(spec.queue_bytes, 0);
	assert_false(spec.has_overflow);
	assert_int_equal(spec.color, COLOR_AUTO);
	good("file:app.log");
	assert_int_equal(spec.kind, SINK_FILE);
	assert_string_equal(spec.target, "app.log");
	assert_int_equal(spec.size_bytes, 0);
	assert_int_equal(spec.age_ns, 0);
	assert_int_equal(spec.keep, 7);
	assert_int_equal(spec.mode, 0640);
	assert_false(spec.has_mode);
	assert_int_equal(spec.sync_ns, -1);
	good("tcp://log.example.org:514");
	assert_int_equal(spec.kind, SINK_TCP);
	assert_string_equal(spec.target, "log.example.org");
	assert_int_equal(spec.port, 514);
	assert_int_equal(spec.backoff_least_ns, 100000000);
	assert_int_equal(spec.backoff_most_ns, 30000000000);
	good("udp://[fe80::1]:65535");
	assert_int_equal(spec.kind, SINK_UDP);
	assert_string_equal(spec.target, "fe80::1");
	assert_int_equal(spec.port, 65535);
	good("tcp://[::1]:1");
	assert_string_equal(spec.target, "::1");
	assert_int_equal(spec.port, 1);
	good("unix:/run/x.sock");
	assert_int_equal(spec.kind, SINK_UNIX);
	good("unixgram:x");
	assert_int_equal(spec.kind, SINK_UNIXGRAM);
	assert_string_equal(spec.target, "x");
}

static void every_key(void **state)
{
	(void)state;
	good("file:/var/log/a?size=10M&age=1d&keep=0&mode=0600&sync=1s&format=json&level=warn"
	     "&source=stderr,fd:*&queue=64K&overflow=timeout:250ms&backoff=1s..1m");
	assert_string_equal(spec.target, "/var/log/a");
	assert_int_equal(spec.size_bytes, 10 << 20);
	assert_int_equal(spec.age_ns, UINT64_C(86400000000000));
	assert_int_equal(spec.keep, 0);
	assert_int_equal(spec.mode, 0600);
	assert_true(spec.has_mode);
	assert_int_equal(spec.sync_ns, 1000000000);
	assert_string_equal(spec.format, "json");
	assert_int_equal(spec.level, LEVEL_WARNING);
	assert_string_equal(spec.source, "stderr,fd:*");
	assert_int_equal(spec.queue_bytes, 64 << 10);
	assert_true(spec.has_overflow);
	assert_int_equal(spec.overflow, OVERFLOW_TIMEOUT);
	assert_int_equal(spec.overflow_ns, 250000000);
	assert_int_equal(spec.backoff_least_ns, 1000000000);
	assert_int_equal(spec.backoff_most_ns, UINT64_C(60000000000));
	good("file:a?sync=always&overflow=block&level=none&mode=777");
	assert_int_equal(spec.sync_ns, 0);
	assert_int_equal(spec.overflow, OVERFLOW_BLOCK);
	assert_int_equal(spec.level, LEVEL_NONE);
	assert_int_equal(spec.mode, 0777);
	good("file:a?sync=none&overflow=drop&size=0&age=0");
	assert_int_equal(spec.sync_ns, -1);
	assert_int_equal(spec.overflow, OVERFLOW_DROP);
	good("console?color=never&format=pretty");
	assert_int_equal(spec.color, COLOR_NEVER);
	good("console?color=always");
	assert_int_equal(spec.color, COLOR_ALWAYS);
	static const char *const formats[] = {
		"raw", "text", "json", "logfmt", "rfc5424", "rfc3164", "pretty"
	};
	for (unsigned i = 0; i < 7; i++) {
		char text[64];
		snprintf(text, sizeof text, "unix:x?format=%s", formats[i]);
		good(text);
		assert_string_equal(spec.format, formats[i]);
	}
}

static void percent_escapes(void **state)
{
	(void)state;
	good("file:/a%20b/%3fx%25%26?source=path:%2Fa%26b");
	assert_string_equal(spec.target, "/a b/?x%&");
	assert_string_equal(spec.source, "path:/a&b");
	good("file:a:b"); /* only the first colon parts */
	assert_string_equal(spec.target, "a:b");
	good("unix:a?source=x?y");
	assert_string_equal(spec.source, "x?y");
	bad_with("file:a%", "two hexadecimal digits");
	bad_with("file:a%2", "two hexadecimal digits");
	bad_with("file:a%zz", "two hexadecimal digits");
	bad_with("file:a%00b", "not %00");
	bad_with("file:a?source=%4", "two hexadecimal digits");
	good("tcp://h%6fst:1");
	assert_string_equal(spec.target, "host");
}

static void patterns(void **state)
{
	(void)state;
	good("file:a?format=text&pattern=%T%20%10l%20%d%20%v");
	assert_string_equal(spec.pattern, "%T %10l %d %v");
	good("file:a?pattern=%5B%25T%5D%20%25v&format=text");
	assert_string_equal(spec.pattern, "[%T] %v");
	good("file:a?format=text&pattern=a%26b=c %v");
	assert_string_equal(spec.pattern, "a&b=c %v");
	bad_with("file:a?format=text&pattern=", "not a pattern");
	bad_with("file:a?pattern=%v", "belongs to format=text");
	bad_with("file:a?format=json&pattern=%v", "belongs to format=text");
	bad_with("file:a?format=text&pattern=%25v%v", "two hexadecimal digits");
}

static void what_is_said_of_kinds(void **state)
{
	(void)state;
	bad("fil:app.log", "no such sink \"fil\"; did you mean \"file\"? " KINDS);
	bad("elsewhere", "no such sink \"elsewhere\"; " KINDS);
	bad_with("", "no sink is named; accepted: console");
	bad_with("?format=json", "no sink is named");
	bad_with(":x", "no sink is named");
	bad_with("tls://h:1", "tls sinks belong to a later version; accepted: console");
	bad_with("FILE:x", "no such sink \"FILE\"");
	bad_with("a\nb\x1b[31m", "no such sink \"a\\nb\\x1b[31m\"");
}

static void what_is_said_of_targets(void **state)
{
	char text[600];

	(void)state;
	bad("file", "no target; accepted: file:PATH");
	bad("file:", "no path; accepted: file:PATH");
	bad("file:?size=1M", "no path; accepted: file:PATH");
	bad("unix:", "no path; accepted: unix:PATH");
	bad("console:x", "console takes no target; accepted: console");
	bad("console:", "console takes no target; accepted: console");
	bad("tcp:host:1", "// must follow the colon; accepted: tcp://HOST:PORT");
	bad("tcp://host", "no port; accepted: tcp://HOST:PORT");
	bad("tcp://:514", "no host; accepted: tcp://HOST:PORT");
	bad("tcp://[]:514", "no host; accepted: tcp://HOST:PORT");
	bad("tcp://::1:514", "IPv6 needs brackets, as in [::1]:514; accepted: tcp://HOST:PORT");
	bad("tcp://[::1]", "]:PORT must follow the address; accepted: tcp://HOST:PORT");
	bad("tcp://[::1:514", "]:PORT must follow the address; accepted: tcp://HOST:PORT");
	bad("udp://a/b:1", "not the name of a host; accepted: udp://HOST:PORT");
	bad("udp://me@b:1", "not the name of a host; accepted: udp://HOST:PORT");
	bad("tcp://h:0", "0: not a port; accepted: 1 to 65535");
	bad("tcp://h:65536", "65536: not a port; accepted: 1 to 65535");
	bad("tcp://h:http", "http: not a port; accepted: 1 to 65535");
	bad("tcp://h:", ": not a port; accepted: 1 to 65535");
	bad_with("tcp://h:+1", "not a port");
	snprintf(text, sizeof text, "file:%0255d", 1);
	good(text);
	snprintf(text, sizeof text, "file:%0256d", 1);
	bad_with(text, "at most 255 bytes");
	snprintf(text, sizeof text, "unix:%0107d", 1);
	good(text);
	snprintf(text, sizeof text, "unixgram:%0108d", 1);
	bad_with(text, "at most 107 bytes");
	snprintf(text, sizeof text, "tcp://%0256d:1", 1);
	bad_with(text, "too long");
	snprintf(text, sizeof text, "file:%0550d", 1);
	bad_with(text, "at most 511 bytes");
}

static void what_is_said_of_keys(void **state)
{
	(void)state;
	bad("console?size=1M", "size= belongs to file sinks, not to console");
	bad("file:x?color=never", "color= belongs to console sinks, not to file");
	bad("console?backoff=1s..2s", "backoff= belongs to file and socket sinks, not to console");
	bad("console?colour=never",
	    "no such key \"colour\"; did you mean \"color\"? accepted: format, pattern, level, "
	    "source, queue, overflow, color");
	bad_with("file:x?siz=1M", "did you mean \"size\"?");
	bad_with("tcp://h:1?siz=1M", "no such key \"siz\"; accepted:"); /* not a key of tcp's */
	bad_with("file:x?", "a key is missing; accepted: format");
	bad_with("file:x?size=1M&", "a key is missing");
	bad_with("file:x?&size=1M", "a key is missing");
	bad_with("file:x?=1M", "a key is missing");
	bad("file:x?size=1M&size=2M", "size= is given twice");
	bad("file:x?size", "size=: not a size; " SIZES);
	bad("file:x?compress=zstd", "compress=zstd belongs to a later version");
	bad("file:x?format=msgpack", "format=msgpack belongs to a later version");
}

static void what_is_said_of_values(void **state)
{
	(void)state;
	bad("file:x?format=jsn",
	    "format=jsn: no such format; did you mean \"json\"? accepted: raw, text, json, trace, "
	    "logfmt, rfc5424, rfc3164, pretty");
	bad("file:x?size=10Q", "size=10Q: not a size; " SIZES);
	bad("file:x?queue=1K", "queue=1K: out of range; accepted: 64K to 1G, such as 8M");
	bad("file:x?queue=2G", "queue=2G: out of range; accepted: 64K to 1G, such as 8M");
	bad("file:x?keep=-1", "keep=-1: not a number; accepted: 0 to 9999");
	bad("file:x?keep=10000", "keep=10000: out of range; accepted: 0 to 9999");
	bad_with("file:x?mode=0680", "not permissions");
	bad_with("file:x?mode=1777", "out of range");
	bad_with("file:x?mode=777777777777", "out of range");
	bad_with("file:x?mode=", "not permissions");
	bad_with("file:x?age=7", "not a duration");
	bad_with("file:x?age=1ms", "out of range");
	bad_with("file:x?age=99999d", "out of range");
	bad_with("file:x?sync=allways", "did you mean \"always\"?");
	bad_with("file:x?sync=0", "out of range");
	bad_with("file:x?level=warnig", "did you mean \"warning\"?");
	bad_with("file:x?overflow=blok", "did you mean \"block\"?");
	bad_with("file:x?overflow=overwrite", "no such policy"); /* the ring's alone */
	bad_with("file:x?overflow=timeout", "no such policy");
	bad_with("file:x?overflow=timeout:", "no such policy");
	bad_with("file:x?overflow=timeout:0", "out of range");
	bad_with("console?color=neve", "did you mean \"never\"?");
	bad_with("unix:x?backoff=1s", "not a range");
	bad_with("unix:x?backoff=..1s", "not a range");
	bad_with("unix:x?backoff=1s..", "not a range");
	bad_with("unix:x?backoff=2s..1s", "out of range");
	bad_with("unix:x?backoff=0..1s", "out of range");
	bad_with("unix:x?source=", "not a list");
	bad_with("unix:x?source="
		 "0123456789012345678901234567890123456789012345678901234567890123",
		 "not a list");
	bad_with("file:x?level=%0a%1b[2J", "level=\\n\\x1b[2J: no such level");
}

static void a_list_of_specifications(void **state)
{
	struct sink_spec specs[3];

	(void)state;
	const char *list = " console\tfile:x?size=1M \n tcp://h:1 ";
	int count = spec_parse_list(list, specs, 3, why, sizeof why);
	assert_int_equal(count, 3);
	assert_int_equal(specs[0].kind, SINK_CONSOLE);
	assert_string_equal(specs[1].given, "file:x?size=1M");
	assert_int_equal(specs[2].port, 1);
	count = spec_parse_list("console file:x unix:x console", specs, 3, why, sizeof why);
	assert_int_equal(count, -E2BIG);
	assert_string_equal(why, "too many sinks; accepted: at most 3");
	assert_int_equal(spec_parse_list("console fil:x", specs, 3, why, sizeof why), -EINVAL);
	assert_string_equal(why,
			    "in fil:x: no such sink \"fil\"; did you mean \"file\"? " KINDS);
	assert_int_equal(spec_parse_list("fil:x", specs, 3, why, sizeof why), -EINVAL);
	assert_memory_equal(why, "no such sink", 12);
	assert_int_equal(spec_parse_list(" \t", specs, 3, why, sizeof why), -EINVAL);
	assert_memory_equal(why, "no sink is named", 16);
	char longest[700];
	memset(longest, 'x', sizeof longest);
	longest[sizeof longest - 1] = '\0';
	memcpy(longest, "file:", 5);
	assert_int_equal(spec_parse_list(longest, specs, 3, why, sizeof why), -EINVAL);
	assert_string_equal(why, "a specification has at most 511 bytes");
}

static void room_for_the_answer_may_be_short(void **state)
{
	char tiny[8];

	(void)state;
	memset(tiny, 'z', sizeof tiny);
	assert_int_equal(spec_parse("nonsense:x", &spec, tiny, 4), -EINVAL);
	assert_string_equal(tiny, "no ");
	assert_int_equal(tiny[4], 'z');
	assert_int_equal(spec_parse("nonsense:x", &spec, tiny, 1), -EINVAL);
	assert_string_equal(tiny, "");
}

static void absolute_paths(void **state)
{
	char cwd[300];

	(void)state;
	good("file:logs/app.log");
	assert_int_equal(spec_absolute(&spec, "/srv/x"), 0);
	assert_string_equal(spec.target, "/srv/x/logs/app.log");
	assert_string_equal(spec.given, "file:logs/app.log");
	assert_int_equal(spec_absolute(&spec, "/elsewhere"), 0);
	assert_string_equal(spec.target, "/srv/x/logs/app.log");
	good("unix:s");
	assert_int_equal(spec_absolute(&spec, "/"), 0);
	assert_string_equal(spec.target, "/s");
	good("tcp://host:1");
	assert_int_equal(spec_absolute(&spec, "/"), 0);
	assert_string_equal(spec.target, "host");
	good("file:x");
	assert_int_equal(spec_absolute(&spec, "(unreachable)/x"), -EINVAL);
	assert_string_equal(spec.target, "x");
	memset(cwd, 'd', sizeof cwd);
	cwd[0] = '/';
	cwd[253] = '\0'; /* with "/x", 255 */
	assert_int_equal(spec_absolute(&spec, cwd), 0);
	assert_int_equal(strlen(spec.target), 255);
	good("file:xx");
	assert_int_equal(spec_absolute(&spec, cwd), -ENAMETOOLONG);
	assert_string_equal(spec.target, "xx");
	good("unix:x");
	cwd[106] = '\0';
	assert_int_equal(spec_absolute(&spec, cwd), -ENAMETOOLONG);
	cwd[105] = '\0';
	assert_int_equal(spec_absolute(&spec, cwd), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kinds_and_defaults),
		cmocka_unit_test(every_key),
		cmocka_unit_test(percent_escapes),
		cmocka_unit_test(patterns),
		cmocka_unit_test(what_is_said_of_kinds),
		cmocka_unit_test(what_is_said_of_targets),
		cmocka_unit_test(what_is_said_of_keys),
		cmocka_unit_test(what_is_said_of_values),
		cmocka_unit_test(a_list_of_specifications),
		cmocka_unit_test(room_for_the_answer_may_be_short),
		cmocka_unit_test(absolute_paths),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
