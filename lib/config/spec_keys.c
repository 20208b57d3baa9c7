/*
 * spec_keys.c - the keys of a sink specification: a value for each.
 *
 * The rows of sink_keys.def, as spec.c applies them. Each take_<key>() turns a decoded value into
 * its field in its unit and touches nothing where it refuses: 0, -EINVAL, -ERANGE, or -ENOTSUP (of
 * a later version). Must never look beyond the value: spec.c checks what goes together.
 */
#include <errno.h>
#include <string.h>

#include "lib/base/parse.h"
#include "lib/config/spec.h"

#define MS UINT64_C(1000000)
#define HOUR (UINT64_C(3600) * 1000 * MS)

enum {
	ON_CONSOLE = 1 << SINK_CONSOLE,
	ON_FILE = 1 << SINK_FILE,
	ON_ALL = (1 << SINK_KIND_NR) - 1,
	ON_RETRY = ON_ALL & ~ON_CONSOLE,
};

#define FORMAT(name, doc) #name,
static const char *const format_names[] = {
#include "lib/format/formats.def"
};
#undef FORMAT

#define FORMAT(name, doc) ", " #name
static const char format_words[] =
#include "lib/format/formats.def"
	;
#undef FORMAT
#define FORMAT_WORDS (&format_words[2])

static int word_in(const char *word, const char *const *among, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(word, among[i]) == 0)
			return (int)i;
	return -EINVAL;
}

static int copy(char *to, size_t room, const char *from)
{
	size_t length = strlen(from);
	if (length == 0 || length >= room)
		return -EINVAL;
	memcpy(to, from, length + 1);
	return 0;
}

static int size_between(const char *value, uint64_t least, uint64_t most, uint64_t *bytes)
{
	uint64_t size;
	int rc = parse_size(value, &size);
	if (rc == 0 && (size < least || size > most))
		rc = -ERANGE;
	if (rc == 0)
		*bytes = size;
	return rc;
}

static int duration_between(const char *value, uint64_t least, uint64_t most, uint64_t *ns)
{
	uint64_t duration;
	int rc = parse_duration(value, &duration);
	if (rc == 0 && (duration < least || duration > most))
		rc = -ERANGE;
	if (rc == 0)
		*ns = duration;
	return rc;
}

static int take_format(struct sink_spec *spec, const char *value)
{
	if (strcmp(value, "msgpack") == 0)
		return -ENOTSUP;
	if (word_in(value, format_names, sizeof format_names / sizeof *format_names) < 0)
		return -EINVAL;
	return copy(spec->format, sizeof spec->format, value);
}

static int take_pattern(struct sink_spec *spec, const char *value)
{
	return copy(spec->pattern, sizeof spec->pattern, value);
}

static int take_level(struct sink_spec *spec, const char *value)
{
	return level_parse(value, &spec->level);
}

static int take_source(struct sink_spec *spec, const char *value)
{
	return copy(spec->source, sizeof spec->source, value);
}

static int take_queue(struct sink_spec *spec, const char *value)
{
	return size_between(value, 64 << 10, 1 << 30, &spec->queue_bytes);
}

static int take_overflow(struct sink_spec *spec, const char *value)
{
	int rc = 0;
	if (strcmp(value, "block") == 0)
		spec->overflow = OVERFLOW_BLOCK;
	else if (strcmp(value, "drop") == 0)
		spec->overflow = OVERFLOW_DROP;
	else if (strncmp(value, "timeout:", 8) == 0)
		rc = duration_between(value + 8, 1000, 24 * HOUR, &spec->overflow_ns);
	else
		return -EINVAL;
	if (rc == 0 && *value == 't')
		spec->overflow = OVERFLOW_TIMEOUT;
	spec->has_overflow = rc == 0;
	return rc;
}

static int take_color(struct sink_spec *spec, const char *value)
{
	static const char *const words[] = {
		[COLOR_AUTO] = "auto", [COLOR_ALWAYS] = "always", [COLOR_NEVER] = "never"
	};
	int word = word_in(value, words, 3);
	if (word >= 0)
		spec->color = (enum color_when)word;
	return word < 0 ? word : 0;
}

static int take_size(struct sink_spec *spec, const char *value)
{
	return size_between(value, 0, INT64_MAX, &spec->size_bytes);
}

static int take_age(struct sink_spec *spec, const char *value)
{
	int rc = duration_between(value, 0, 3650 * 24 * HOUR, &spec->age_ns);
	return rc == 0 && spec->age_ns && spec->age_ns < 10 * MS ? -ERANGE : rc;
}

static int take_keep(struct sink_spec *spec, const char *value)
{
	uint64_t keep;
	int rc = parse_u64(value, 0, 9999, &keep);
	if (rc == 0)
		spec->keep = (uint32_t)keep;
	return rc;
}

static int take_compress(struct sink_spec *spec, const char *value)
{
	(void)spec;
	(void)value;
	return -ENOTSUP;
}

static int take_mode(struct sink_spec *spec, const char *value)
{
	uint32_t mode = 0;
	size_t length = strlen(value);

	if (length == 0 || strspn(value, "01234567") != length)
		return -EINVAL;
	if (length > 5)
		return -ERANGE;
	for (; *value; value++)
		mode = mode * 8 + (uint32_t)(*value - '0');
	if (mode > 0777)
		return -ERANGE;
	spec->mode = mode;
	spec->has_mode = true;
	return 0;
}

static int take_sync(struct sink_spec *spec, const char *value)
{
	uint64_t ns;
	if (strcmp(value, "none") == 0) {
		spec->sync_ns = -1;
		return 0;
	}
	if (strcmp(value, "always") == 0) {
		spec->sync_ns = 0;
		return 0;
	}
	int rc = duration_between(value, 10 * MS, HOUR, &ns);
	if (rc == 0)
		spec->sync_ns = (int64_t)ns;
	return rc;
}

static int take_backoff(struct sink_spec *spec, const char *value)
{
	char least[32];
	uint64_t from, to;
	const char *dots = strstr(value, "..");

	if (!dots || (size_t)(dots - value) >= sizeof least)
		return -EINVAL;
	memcpy(least, value, (size_t)(dots - value));
	least[dots - value] = '\0';
	int rc = duration_between(least, MS, HOUR, &from);
	if (rc == 0)
		rc = duration_between(dots + 2, MS, HOUR, &to);
	if (rc)
		return rc;
	if (from > to)
		return -ERANGE;
	spec->backoff_least_ns = from;
	spec->backoff_most_ns = to;
	return 0;
}

#define SINK_KEY(name, on, whose, wrong, accepted, doc, lenient) \
	{ #name, on, whose, wrong, accepted, doc, lenient, take_##name },
const struct spec_key spec_keys[] = {
#include "lib/config/sink_keys.def"
};
const size_t spec_key_count = sizeof spec_keys / sizeof *spec_keys;
