/*
 * config.c - settings: their table, how a value of each type is taken, variables.
 *
 * Called by the `hark` command while it makes a session. Must never take a bad value in part: what
 * is refused leaves the settings as they were.
 */
#include "lib/config/config.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "lib/base/parse.h"
#include "lib/config/refuse.h"
#include "lib/config/taking.h"

#define SETTING(key, option, metavar, variable, type, preset, accepted, doc, field, least, most,  \
		repeatable)                                                                       \
	{ key, option, metavar, variable, SETTING_##type, preset, accepted, doc,                  \
	  offsetof(struct config, field), least, most, repeatable },
const struct setting settings[] = {
#include "lib/config/settings.def"
};
const size_t setting_count = sizeof settings / sizeof *settings;
enum { SETTINGS_MOST = sizeof settings / sizeof *settings };

/* Documented, but no setting of a session; what the shim and the collector tell each other. */
static const char *const documented[] = { "HARK_RUNTIME_DIR" };
static const char *const internal[] = {
	"HARK_SESSION",
	"HARK_FDS",
#ifdef HARK_TESTPOINTS
	"HARK_TESTPOINT",
	"HARK_TESTCLOCK",
	"HARK_TESTCOUNTER",
#endif
};

int config_refuse_as(const struct taking *t, int rc, const char *wrong)
{
	refuse_value(t->text, t->value, rc == -ERANGE ? "out of range" : wrong, t->s->accepted);
	return -EINVAL;
}

/* ---- a value of each type ---------------------------------------------------------------------- */

static int add_fd(struct capture_set *set, const char *digits)
{
	uint64_t fd;
	int rc = parse_u64(digits, 0, INT_MAX, &fd);

	if (rc)
		return rc;
	if (fd == 1)
		set->on_stdout = true;
	if (fd == 2)
		set->on_stderr = true;
	if (fd == 1 || fd == 2)
		return 0;
	for (unsigned i = 0; i < set->fd_count; i++)
		if (set->fds[i] == (int)fd)
			return 0;
	if (set->fd_count == CONFIG_FDS)
		return -E2BIG;
	set->fds[set->fd_count++] = (int)fd;
	return 0;
}

static int add_path(struct capture_set *set, const char *glob)
{
	size_t length = strlen(glob);
	char *path = set->paths;

	if (length == 0)
		return -EINVAL;
	for (; *path; path += strlen(path) + 1)
		if (strcmp(path, glob) == 0)
			return 0;
	if (length + 2 > (size_t)(set->paths + sizeof set->paths - path))
		return -E2BIG;
	memcpy(path, glob, length + 1);
	path[length + 1] = '\0';
	return 0;
}

static int add_capture(struct capture_set *set, const char *item)
{
	if (strcmp(item, "stderr") == 0)
		set->on_stderr = true;
	else if (strcmp(item, "stdout") == 0)
		set->on_stdout = true;
	else if (strcmp(item, "syslog") == 0)
		set->on_syslog = true;
	else if (strncmp(item, "fd:", 3) == 0)
		return add_fd(set, item + 3);
	else if (strncmp(item, "path:", 5) == 0)
		return add_path(set, item + 5);
	else
		return -EINVAL;
	return 0;
}

/* The next item of a list separated by commas; \, in a glob is a comma of its own. */
static const char *take_item(const char *list, char *item, size_t room)
{
	size_t length = 0;

	list += strspn(list, " \t");
	while (list[length] && list[length] != ',')
		length += list[length] == '\\' && list[length + 1] ? 2 : 1;

	size_t kept = length;
	while (kept && (list[kept - 1] == ' ' || list[kept - 1] == '\t'))
		kept--;
	if (kept >= room)
		kept = room - 1; /* too long to be stored: add_path() refuses it */
	memcpy(item, list, kept);
	item[kept] = '\0';
	return list + length;
}

static int take_capture(const struct taking *t)
{
	struct capture_set set = { .on_stderr = false };
	char item[sizeof set.paths + 16];
	const char *list = t->value;

	for (;;) {
		list = take_item(list, item, sizeof item);
		int rc = add_capture(&set, item);
		if (rc == -E2BIG) {
			text_str(t->text, "too much; accepted: 16 descriptors, 1 KiB of globs");
			return -EINVAL;
		}
		if (rc) {
			text_str(t->text, *item ? "no such source \"" : "an item is missing");
			refuse_show(t->text, item);
			struct taking wrong = *t;
			wrong.value = item;
			return config_refuse_as(&wrong, -EINVAL, *item ? "\"" : "");
		}
		if (*list++ == '\0')
			break;
	}
	memcpy(field(t), &set, sizeof set);
	return 0;
}

/* An option holds one specification, whose blanks belong to it. Where they look as if they parted
 * two, nobody can tell what was meant. */
static int encode_blanks(const struct taking *t, char *out, size_t room)
{
	struct text text = text_in(out, room);
	struct sink_spec spec;
	char why[8];

	for (const char *c = t->value; *c; c++) {
		if (*c != ' ' && *c != '\t' && *c != '\n') {
			text_char(&text, *c);
			continue;
		}
		const char *next = c + strspn(c, " \t\n");
		if (spec_parse(next, &spec, why, sizeof why) == 0) {
			text_str(t->text, "more than one sink; accepted: one with each ");
			text_str(t->text, t->s->option);
			text_str(t->text, ", and %20 for a blank");
			return -EINVAL;
		}
		text_str(&text, *c == ' ' ? "%20" : *c == '\t' ? "%09" : "%0a");
	}
	text_char(&text, '\0');
	if (!text.cut)
		return 0;
	text_str(t->text, "a specification has at most 511 bytes");
	return -EINVAL;
}

static int take_sinks(const struct taking *t)
{
	struct sink_spec specs[CONFIG_SINKS];
	char all[sizeof t->c->sinks], encoded[sizeof specs->given], why[384];
	struct text text = text_in(all, sizeof all);
	const char *value = t->value;

	if (t->adds) {
		int rc = encode_blanks(t, encoded, sizeof encoded);
		if (rc)
			return rc;
		value = encoded;
		if (t->c->sinks_by_option) {
			text_str(&text, t->c->sinks);
			text_char(&text, ' ');
		}
	}
	text_str(&text, value);
	text_char(&text, '\0');
	if (text.cut) {
		text_str(t->text, "too long; accepted: at most 4095 bytes for all sinks");
		return -EINVAL;
	}
	/* First alone, so that the answer speaks of this value only. */
	if (spec_parse_list(value, specs, CONFIG_SINKS, why, sizeof why) < 0 ||
	    spec_parse_list(all, specs, CONFIG_SINKS, why, sizeof why) < 0) {
		text_str(t->text, why);
		return -EINVAL;
	}
	memcpy(t->c->sinks, all, text.len);
	t->c->sinks_by_option = t->adds;
	return 0;
}

static int take_level(const struct taking *t)
{
	enum level level;
	if (level_parse(t->value, &level) != 0)
		return config_refuse_as(t, -EINVAL, "no such level");
	memcpy(field(t), &level, sizeof level);
	return 0;
}

static int take_bool(const struct taking *t)
{
	bool value;
	if (parse_bool(t->value, &value) != 0)
		return config_refuse_as(t, -EINVAL, "neither yes nor no");
	memcpy(field(t), &value, sizeof value);
	return 0;
}

static int take_follow(const struct taking *t)
{
	bool number = strcmp(t->value, "number") == 0;
	if (!number && strcmp(t->value, "file") != 0)
		return config_refuse_as(t, -EINVAL, "no such word");
	memcpy(field(t), &number, sizeof number);
	return 0;
}

int config_take_number(const struct taking *t, int (*parse)(const char *, uint64_t *),
		       const char *value, const char *wrong, uint64_t *number)
{
	int rc = parse(value, number);
	if (rc == 0 && (*number < t->s->least || *number > t->s->most))
		rc = -ERANGE;
	return rc ? config_refuse_as(t, rc, wrong) : 0;
}

static int take_overflow(const struct taking *t)
{
	static const char *const words[] = {
		[OVERFLOW_BLOCK] = "block", [OVERFLOW_TIMEOUT] = "timeout:",
		[OVERFLOW_DROP] = "drop", [OVERFLOW_OVERWRITE] = "overwrite"
	};
	size_t wait = strlen(words[OVERFLOW_TIMEOUT]);
	uint64_t ns = 0;
	unsigned policy = 0;

	while (policy < 4 && strcmp(t->value, words[policy]) != 0)
		policy++;
	if (policy == 4 && strncmp(t->value, words[OVERFLOW_TIMEOUT], wait) != 0)
		return config_refuse_as(t, -EINVAL, "no such policy");
	if (policy == 4 || policy == OVERFLOW_TIMEOUT) {
		policy = OVERFLOW_TIMEOUT;
		int rc = config_take_number(t, parse_duration, t->value + wait, "not a duration",
					    &ns);
		if (rc)
			return rc;
	}
	t->c->overflow = (enum overflow)policy;
	t->c->overflow_ns = ns;
	return 0;
}

static int take_size(const struct taking *t)
{
	uint64_t bytes, rounded;
	int rc = config_take_number(t, parse_size, t->value, "not a size", &bytes);
	if (rc)
		return rc;
	for (rounded = t->s->least; rounded < bytes; rounded *= 2)
		;
	memcpy(field(t), &rounded, sizeof rounded);
	return 0;
}

static int take_amount(const struct taking *t)
{
	bool time = t->s->type == SETTING_DURATION;
	const char *wrong = time ? "not a duration" : "not a number";
	uint64_t amount;
	int rc =
		config_take_number(t, time ? parse_duration : parse_size, t->value, wrong, &amount);
	if (rc == 0)
		memcpy(field(t), &amount, sizeof amount);
	return rc;
}

static int take_path(const struct taking *t)
{
	size_t length = strlen(t->value);
	if (length == 0 || length >= sizeof t->c->file) /* all paths have that room */
		return config_refuse_as(t, -EINVAL, length ? "too long" : "no path");
	memcpy(field(t), t->value, length + 1);
	return 0;
}

static int take_stamp(const struct taking *t)
{
	static const char *const words[] = { "off", "trace", "profile", "flight" };
	static const char flight[] = "flight:";
	uint64_t bytes = FLIGHT_PRESET;
	unsigned mode = 0;

	while (mode < 4 && strcmp(t->value, words[mode]) != 0)
		mode++;
	if (mode == 4 && strncmp(t->value, flight, sizeof flight - 1) != 0)
		return config_refuse_as(t, -EINVAL, "no such mode");
	if (mode == 4) {
		mode = 3;
		const char *size = t->value + sizeof flight - 1;
		int rc = config_take_number(t, parse_size, size, "not a size", &bytes);
		if (rc)
			return rc;
	}
	t->c->stamp = mode;
	t->c->stamp_given = true;
	t->c->flight_bytes = bytes;
	return 0;
}

/* NAME or NAME@LIBRARY, globs both, separated by commas. */
static int take_calls(const struct taking *t)
{
	const char *at = t->value;

	if (strlen(at) >= sizeof t->c->calls)
		return config_refuse_as(t, -EINVAL, "too long");
	for (;;) {
		size_t length = strcspn(at, ",");
		const char *of = memchr(at, '@', length);
		if (length == 0 || length > 255)
			return config_refuse_as(t, -EINVAL,
						length ? "too long a name" : "a name is missing");
		if (of &&
		    (of == at + length - 1 || memchr(of + 1, '@', length - (size_t)(of + 1 - at))))
			return config_refuse_as(t, -EINVAL,
						"a library is missing, or one too many");
		at += length;
		if (*at++ == '\0')
			break;
	}
	memcpy(field(t), t->value, strlen(t->value) + 1);
	return 0;
}

static int (*const takers[])(const struct taking *) = {
	[SETTING_CAPTURE] = take_capture, [SETTING_SINKS] = take_sinks,
	[SETTING_LEVEL] = take_level, [SETTING_BOOL] = take_bool, [SETTING_FOLLOW] = take_follow,
	[SETTING_OVERFLOW] = take_overflow, [SETTING_SIZE] = take_size,
	[SETTING_DURATION] = take_amount, [SETTING_NUMBER] = take_amount,
	[SETTING_PATH] = take_path, [SETTING_STAMP] = take_stamp,
	[SETTING_CALLS] = take_calls, [SETTING_SAMPLE] = config_take_sample,
	[SETTING_GLOBS] = config_take_globs, [SETTING_PERCENT] = config_take_percent,
};

/* ---- what others call -------------------------------------------------------------------------- */

int config_set(struct config *c, const struct setting *s, const char *from, const char *value,
	       struct config_problem *problem)
{
	struct text text = text_in(problem->text, sizeof problem->text);
	bool by_option = s->option && strcmp(from, s->option) == 0;

	if (!value)
		value = "1";
	refuse_show(&text, from);
	text_char(&text, by_option ? ' ' : '=');
	refuse_show(&text, value);
	text_str(&text, ": ");
	struct taking taking = { c, s, value, by_option && s->repeatable, &text };
	int rc = takers[s->type](&taking);
	text_cstr(&text);
	if (rc == 0)
		problem->text[0] = '\0';
	return rc;
}

void config_defaults(struct config *c)
{
	struct config_problem problem;

	memset(c, 0, sizeof *c);
	for (size_t i = 0; i < setting_count; i++)
		if (*settings[i].preset)
			config_set(c, &settings[i], settings[i].key, settings[i].preset, &problem);
	c->stamp_given = false;
}

static const char *value_of(char *const *environment, const char *name)
{
	size_t length = strlen(name);

	for (; environment && *environment; environment++)
		if (strncmp(*environment, name, length) == 0 && (*environment)[length] == '=')
			return *environment + length + 1;
	return NULL;
}

int config_environment(struct config *c, char *const *environment, struct config_problem *problem)
{
	problem->text[0] = '\0';
	for (size_t i = 0; i < setting_count; i++) {
		const char *value = value_of(environment, settings[i].variable);
		if (!value || !*value)
			continue;
		int rc = config_set(c, &settings[i], settings[i].variable, value, problem);
		if (rc)
			return rc;
	}
	return 0;
}

static bool listed(const char *const *names, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

int config_unknown(char *const *environment, size_t *next, struct config_problem *problem)
{
	enum { DOCUMENTED = sizeof documented / sizeof *documented,
	       INTERNAL = sizeof internal / sizeof *internal };
	const char *known[SETTINGS_MOST + DOCUMENTED];
	char name[64];

	problem->text[0] = '\0';
	for (size_t i = 0; i < SETTINGS_MOST; i++)
		known[i] = settings[i].variable;
	memcpy(&known[SETTINGS_MOST], documented, sizeof documented);
	for (; environment && environment[*next]; ++*next) {
		const char *entry = environment[*next];
		size_t length = strcspn(entry, "=");
		size_t kept = length < sizeof name ? length : sizeof name - 1;
		if (strncmp(entry, "HARK_", 5) != 0)
			continue;
		memcpy(name, entry, kept);
		name[kept] = '\0';
		if (length == kept && (listed(known, SETTINGS_MOST + DOCUMENTED, name) ||
				       listed(internal, INTERNAL, name)))
			continue;
		struct text text = text_in(problem->text, sizeof problem->text);
		refuse_show(&text, name);
		text_str(&text, ": unknown variable");
		const char *nearest = parse_nearest(name, known, SETTINGS_MOST + DOCUMENTED);
		if (nearest) {
			text_str(&text, "; did you mean ");
			text_str(&text, nearest);
			text_char(&text, '?');
		}
		text_cstr(&text);
		++*next;
		return 1;
	}
	return 0;
}

const struct setting *config_option(const char *option)
{
	for (size_t i = 0; i < setting_count; i++)
		if (settings[i].option && strcmp(settings[i].option, option) == 0)
			return &settings[i];
	return NULL;
}
