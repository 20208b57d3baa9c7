/*
 * fuzz_spec.c - whatever a user may write: specifications, sizes, durations, globs, settings.
 *
 * A libFuzzer target. The first byte chooses the parser, the rest is its text (of globs: pattern and
 * name parted by a newline). Beyond crashes, it looks for answers that are no single line, for values
 * out of their ranges, and for settings changed by what was refused.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/parse.h"
#include "lib/config/config.h"
#include "lib/config/spec.h"

enum { TEXT_MOST = 8192 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void insist(int holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "not so: %s\n", what);
	abort();
}

/* Padding included: what is refused is not even copied. */
static int same(const void *a, const void *b, size_t bytes)
{
	return memcmp(a, b, bytes) == 0;
}

static void insist_one_line(const char *answer)
{
	insist(*answer != '\0', "an answer says something");
	for (; *answer; answer++)
		insist((unsigned char)*answer >= ' ' && *answer != 0x7f, "an answer is one line");
}

static void fuzz_spec(const char *text)
{
	struct sink_spec spec, again;
	char why[512];

	if (spec_parse(text, &spec, why, sizeof why) != 0) {
		insist_one_line(why);
		return;
	}
	insist(strcmp(spec.given, text) == 0, "given is what was given");
	insist((unsigned)spec.kind < SINK_KIND_NR, "the kind is known");
	insist(spec.keep <= 9999 && spec.mode <= 0777, "keep and mode are in range");
	insist(spec.backoff_least_ns <= spec.backoff_most_ns, "back-off grows");
	insist(spec.kind == SINK_CONSOLE || spec.target[0], "there is a target");
	insist(spec_parse(spec.given, &again, why, sizeof why) == 0, "what is good stays good");
	insist(same(&spec, &again, sizeof spec), "twice the same gives the same");
	if (spec_absolute(&spec, "/cwd") == 0 && spec.kind == SINK_FILE)
		insist(spec.target[0] == '/', "the path is absolute");
}

static void fuzz_list(const char *text)
{
	struct sink_spec specs[4];
	char why[64]; /* too short for most answers */
	int count = spec_parse_list(text, specs, 4, why, sizeof why);

	insist(count <= 4 && count != 0, "as many as there is room for");
	if (count < 0)
		insist_one_line(why);
}

static void fuzz_numbers(const char *text)
{
	uint64_t value = 7;
	bool flag;

	insist(parse_size(text, &value) == 0 || value == 7, "only success touches a size");
	value = 7;
	insist(parse_duration(text, &value) == 0 || value == 7, "only success touches a duration");
	value = 7;
	insist(parse_u64(text, 10, 99, &value) == 0 ? value >= 10 && value <= 99 : value == 7,
	       "a number is in range");
	(void)parse_bool(text, &flag);
}

static void fuzz_glob(char *text)
{
	char *name = strchr(text, '\n');

	if (!name)
		return;
	*name++ = '\0';
	(void)parse_glob(text, name);
	insist(parse_glob("*", name), "* fits all");
}

static void fuzz_setting(const struct setting *s, const char *text)
{
	static struct config config, before;
	struct config_problem problem;

	config_defaults(&config);
	memcpy(&before, &config, sizeof before);
	if (config_set(&config, s, s->variable, text, &problem) != 0) {
		insist_one_line(problem.text);
		insist(same(&before, &config, sizeof before), "refusing changes nothing");
		if (s->option && s->repeatable)
			(void)config_set(&config, s, s->option, text, &problem);
		return;
	}
	insist((config.ring_bytes & (config.ring_bytes - 1)) == 0, "the ring is a power of two");
	insist(config.ring_bytes >= 64 << 10, "the ring is not too small");
	insist(config.ring_bytes <= 1 << 30, "the ring is not too large");
	insist(config.capture.fd_count <= CONFIG_FDS, "descriptors have room");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char text[TEXT_MOST + 1];

	if (size < 1 || size > TEXT_MOST)
		return 0;
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	switch (data[0] & 31) {
	case 0: fuzz_spec(text); break;
	case 1: fuzz_list(text); break;
	case 2: fuzz_numbers(text); break;
	case 3: fuzz_glob(text); break;
	default: fuzz_setting(&settings[data[0] % setting_count], text); break;
	}
	return 0;
}
