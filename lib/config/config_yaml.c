/*
 * config_yaml.c - settings out of a YAML file.
 *
 * Called by the `hark` command for --config and HARK_CONFIG. Reads events, never a tree: a file that
 * somebody else wrote must not make us build anything large, so aliases are refused and what is
 * nested is refused where it begins.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <yaml.h>

#include "lib/config/config.h"
#include "lib/config/refuse.h"

enum {
	FILE_MOST = 1 << 20,
	PATH_SHOWN = 100, /* bytes at a path's end */
	SETTINGS_MOST = 64, /* a bit for each */
};

struct reading {
	yaml_parser_t parser;
	struct config *c;
	const char *path;
	struct config_problem *problem;
	uint64_t seen;        /* a bit for each row that the file has set */
	char value[sizeof((struct config *)0)->sinks];
};

static void name_place(struct text *t, const char *path, size_t line)
{
	size_t length = strlen(path);

	if (length > PATH_SHOWN) {
		text_str(t, "...");
		path += length - PATH_SHOWN;
	}
	refuse_show(t, path);
	text_char(t, ':');
	if (line) {
		text_u64(t, line);
		text_char(t, ':');
	}
	text_char(t, ' ');
}

/* Begins the answer; line 0: of the whole file. */
static struct text answer(const struct reading *r, size_t line)
{
	struct text t = text_in(r->problem->text, sizeof r->problem->text);
	name_place(&t, r->path, line);
	return t;
}

static int refuse(const struct reading *r, size_t line, const char *what, const char *why)
{
	struct text t = answer(r, line);
	if (what) {
		refuse_show(&t, what);
		text_str(&t, ": ");
	}
	text_str(&t, why);
	text_cstr(&t);
	return -EINVAL;
}

static size_t line_of(const yaml_event_t *event)
{
	return event->start_mark.line + 1;
}

/* 0 and an event that the caller deletes, or -EINVAL. */
static int next_event(struct reading *r, yaml_event_t *event)
{
	if (!yaml_parser_parse(&r->parser, event)) {
		const char *why = r->parser.problem ? r->parser.problem : "cannot be read";
		return refuse(r, r->parser.problem_mark.line + 1, "not YAML", why);
	}
	if (event->type == YAML_ALIAS_EVENT) {
		size_t line = line_of(event);
		yaml_event_delete(event);
		return refuse(r, line, NULL, "an alias; accepted: words and lists");
	}
	return 0;
}

/* ---- keys --------------------------------------------------------------------------------------- */

static bool has_key(const struct setting *s)
{
	return s->option && s->offset != offsetof(struct config, file);
}

static int refuse_key(const struct reading *r, size_t line, const char *key)
{
	const char *among[SETTINGS_MOST];
	struct text t = answer(r, line);
	size_t count = 0;

	text_str(&t, "no such key \"");
	refuse_show(&t, key);
	text_str(&t, "\";");
	for (size_t i = 0; i < setting_count && count < SETTINGS_MOST; i++)
		if (has_key(&settings[i]))
			among[count++] = settings[i].key;
	refuse_nearest(&t, key, among, count);
	text_str(&t, " accepted: ");
	for (size_t i = 0; i < count; i++) {
		text_str(&t, i ? ", " : "");
		text_str(&t, among[i]);
	}
	text_cstr(&t);
	return -EINVAL;
}

static int find_key(struct reading *r, const yaml_event_t *event, const struct setting **found)
{
	size_t line = line_of(event);
	if (event->type != YAML_SCALAR_EVENT)
		return refuse(r, line, NULL, "a list or mapping as a key; accepted: words");
	const char *key = (const char *)event->data.scalar.value;
	size_t i = 0;

	while (i < setting_count && strcmp(settings[i].key, key) != 0)
		i++;
	if (i == setting_count || strlen(key) != event->data.scalar.length)
		return refuse_key(r, line, key);
	if (!has_key(&settings[i])) {
		struct text t = answer(r, line);
		text_str(&t, key);
		text_str(&t, ": not in a file; accepted: the variable ");
		text_str(&t, settings[i].variable);
		text_cstr(&t);
		return -EINVAL;
	}
	if (r->seen & UINT64_C(1) << i)
		return refuse(r, line, key, "given twice");
	r->seen |= UINT64_C(1) << i;
	*found = &settings[i];
	return 0;
}

/* ---- values ------------------------------------------------------------------------------------- */

/* An item of a list is one specification: its blanks belong to it, as in an option. */
static void append(struct text *t, const struct setting *s, const char *item, bool in_list)
{
	for (; *item; item++) {
		if (in_list && s->type == SETTING_SINKS && *item == ' ')
			text_str(t, "%20");
		else
			text_char(t, *item);
	}
}

static int take_scalar(struct reading *r, const struct setting *s, const yaml_event_t *event,
		       struct text *t, bool in_list)
{
	const char *value = (const char *)event->data.scalar.value;

	if (event->type != YAML_SCALAR_EVENT)
		return refuse(r, line_of(event), s->key, "nested too deeply; accepted: words");
	if (strlen(value) != event->data.scalar.length)
		return refuse(r, line_of(event), s->key, "a NUL in the value");
	if (in_list && !*value)
		return refuse(r, line_of(event), s->key, "an empty item");
	append(t, s, value, in_list);
	return 0;
}

static int take_list(struct reading *r, const struct setting *s, struct text *t)
{
	yaml_event_t event;

	for (;;) {
		int rc = next_event(r, &event);
		if (rc)
			return rc;
		bool end = event.type == YAML_SEQUENCE_END_EVENT;
		if (!end) {
			if (t->len)
				text_char(t, s->type == SETTING_SINKS ? ' ' : ',');
			rc = take_scalar(r, s, &event, t, true);
		}
		yaml_event_delete(&event);
		if (rc || end)
			return rc;
	}
}

static int take_value(struct reading *r, const struct setting *s)
{
	struct text t = text_in(r->value, sizeof r->value);
	bool takes_list = s->type == SETTING_SINKS || s->type == SETTING_CAPTURE;
	char from[PATH_SHOWN + 64];
	yaml_event_t event;
	int rc = next_event(r, &event);

	if (rc)
		return rc;
	size_t line = line_of(&event);
	if (event.type == YAML_MAPPING_START_EVENT)
		rc = refuse(r, line, s->key, takes_list ? "a mapping; accepted: a word or a list"
							: "a mapping; accepted: a word");
	else if (event.type == YAML_SEQUENCE_START_EVENT && !takes_list)
		rc = refuse(r, line, s->key, "a list; accepted: one word");
	else if (event.type == YAML_SEQUENCE_START_EVENT)
		rc = take_list(r, s, &t);
	else
		rc = take_scalar(r, s, &event, &t, false);
	yaml_event_delete(&event);
	text_char(&t, '\0');
	if (rc == 0 && t.cut)
		rc = refuse(r, line, s->key, "too long; accepted: at most 4095 bytes");
	if (rc)
		return rc;
	struct text place = text_in(from, sizeof from);
	name_place(&place, r->path, line);
	text_str(&place, s->key);
	return config_set(r->c, s, text_cstr(&place), r->value, r->problem);
}

/* ---- the document ------------------------------------------------------------------------------- */

static int take_mapping(struct reading *r)
{
	const struct setting *s = NULL;
	yaml_event_t event;

	for (;;) {
		int rc = next_event(r, &event);
		if (rc)
			return rc;
		bool end = event.type == YAML_MAPPING_END_EVENT;
		if (!end)
			rc = find_key(r, &event, &s);
		yaml_event_delete(&event);
		if (rc == 0 && !end)
			rc = take_value(r, s);
		if (rc || end)
			return rc;
	}
}

/* One document that is a mapping, or nothing at all. */
static int take_stream(struct reading *r)
{
	bool mapping = false;
	yaml_event_t event;

	for (;;) {
		int rc = next_event(r, &event);
		if (rc)
			return rc;
		yaml_event_type_t type = event.type;
		size_t line = line_of(&event);
		bool nothing = type == YAML_SCALAR_EVENT && event.data.scalar.length == 0;
		yaml_event_delete(&event);
		if (type == YAML_STREAM_END_EVENT)
			return 0;
		if (type == YAML_DOCUMENT_START_EVENT && mapping)
			return refuse(r, line, NULL, "a second document; accepted: one");
		if (type == YAML_MAPPING_START_EVENT) {
			mapping = true;
			rc = take_mapping(r);
			if (rc)
				return rc;
		} else if ((type == YAML_SCALAR_EVENT && !nothing) ||
			   type == YAML_SEQUENCE_START_EVENT) {
			return refuse(r, line, NULL, "not settings; accepted: lines of KEY: VALUE");
		}
	}
}

/* The number of bytes, or -errno. */
static ssize_t read_file(const char *path, unsigned char *bytes, size_t room)
{
	size_t length = 0;
	ssize_t n = 1;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	while (length < room && n != 0) {
		n = read(fd, bytes + length, room - length);
		if (n < 0 && errno != EINTR)
			break;
		length += n > 0 ? (size_t)n : 0;
	}
	int error = n < 0 ? errno : 0;
	close(fd);
	return error ? -error : (ssize_t)length;
}

int config_file(struct config *c, const char *path, struct config_problem *problem)
{
	struct config changed = *c;
	struct reading r = { .c = &changed, .path = path, .problem = problem };
	unsigned char *bytes = malloc(FILE_MOST + 1);

	problem->text[0] = '\0';
	ssize_t length = bytes ? read_file(path, bytes, FILE_MOST + 1) : -ENOMEM;
	int rc = length < 0 ? (int)length : 0;
	if (length > FILE_MOST)
		rc = refuse(&r, 0, NULL, "too large; accepted: at most 1 MiB");
	else if (rc == 0 && !yaml_parser_initialize(&r.parser))
		rc = -ENOMEM;
	else if (rc == 0) {
		yaml_parser_set_input_string(&r.parser, bytes, (size_t)length);
		rc = take_stream(&r);
		yaml_parser_delete(&r.parser);
	}
	free(bytes);
	if (rc == 0)
		*c = changed;
	else if (!*problem->text) {
		char wrong[128];
		static const char accepted[] =
			"; accepted by --config and HARK_CONFIG: a file that can be read";
		snprintf(wrong, sizeof wrong, "%s%s", strerrordesc_np(-rc), accepted);
		refuse(&r, 0, NULL, wrong);
	}
	return rc;
}
