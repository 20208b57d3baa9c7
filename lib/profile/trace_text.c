/*
 * trace_text.c - see trace_text.h.
 */
#include "lib/profile/trace_text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/array.h"
#include "lib/base/parse.h"

/* Of all that is read at once. A trace of a million modules has 200 MB of events. */
enum { TEXT_MOST = 256 << 20, KEYS_MOST = 16 };

/* A line, taken apart in place. */
struct line {
	const char *word;
	struct {
		const char *key, *value;
	} pair[KEYS_MOST];
	size_t pairs;
};

static int slurp(int at, const char *name, char **text, size_t *bytes)
{
	int fd = openat(at, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	int rc = 0;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		rc = -EINVAL;
	size_t size = rc ? 0 : (size_t)st.st_size < TEXT_MOST ? (size_t)st.st_size : TEXT_MOST;
	if (rc == 0 && !(*text = malloc(size + 1)))
		rc = -ENOMEM;
	for (*bytes = 0; rc == 0 && *bytes < size;) {
		ssize_t n = read(fd, *text + *bytes, size - *bytes);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		*bytes += (size_t)n;
	}
	if (rc == 0)
		(*text)[*bytes] = '\0';
	close(fd);
	return rc;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* In place; what is no %XX stays as it is, and a NUL would end the value early. */
static void unescape(char *value)
{
	char *to = value;

	for (; *value; value++) {
		int high = *value == '%' ? hex_digit(value[1]) : -1;
		int low = high >= 0 ? hex_digit(value[2]) : -1;
		if (low >= 0 && (high | low)) {
			*to++ = (char)(high << 4 | low);
			value += 2;
		} else {
			*to++ = *value;
		}
	}
	*to = '\0';
}

static void take_apart(char *text, struct line *line)
{
	char *rest, *word = strtok_r(text, " ", &rest);

	*line = (struct line){ .word = word ? word : "" };
	while ((word = strtok_r(NULL, " ", &rest)) != NULL && line->pairs < KEYS_MOST) {
		char *value = strchr(word, '=');
		if (!value)
			continue;
		*value++ = '\0';
		unescape(value);
		line->pair[line->pairs].key = word;
		line->pair[line->pairs++].value = value;
	}
}

static const char *value_of(const struct line *line, const char *key)
{
	for (size_t i = 0; i < line->pairs; i++)
		if (strcmp(line->pair[i].key, key) == 0)
			return line->pair[i].value;
	return "";
}

static bool number_of(const struct line *line, const char *key, uint64_t least, uint64_t most,
		      uint64_t *number)
{
	return parse_u64(value_of(line, key), least, most, number) == 0;
}

static uint64_t plain_number(const char *text)
{
	uint64_t number = 0;

	return parse_u64(text, 0, UINT64_MAX, &number) == 0 ? number : 0;
}

/* With or without 0x. */
static bool hexadecimal(const char *text, uint64_t *number)
{
	unsigned digits = 0;

	if (text[0] == '0' && (text[1] | 0x20) == 'x')
		text += 2;
	for (*number = 0; hex_digit(*text) >= 0 && digits < 16; digits++)
		*number = *number << 4 | (uint64_t)hex_digit(*text++);
	return digits > 0 && *text == '\0';
}

/* ---- trace ------------------------------------------------------------------------------------- */

static void take_identity(struct trace_dir *dir, const char *key, char *value)
{
	unescape(value);
	if (strcmp(key, "mode") == 0)
		snprintf(dir->mode, sizeof dir->mode, "%s", value);
	else if (strcmp(key, "counter") == 0)
		dir->counter = strcmp(value, "1") == 0;
	else if (strcmp(key, "ticks") == 0)
		dir->first_ticks = plain_number(value);
	else if (strcmp(key, "monotonic_ns") == 0)
		dir->first_ns = plain_number(value);
	else if (strcmp(key, "realtime_ns") == 0)
		dir->realtime_ns = (int64_t)(plain_number(value) & (INT64_MAX >> 1));
	else if (strcmp(key, "pid") == 0)
		dir->pid = (int32_t)plain_number(value);
	else if (strcmp(key, "command") == 0)
		dir->command = value;
	else if (strcmp(key, "directory") == 0)
		dir->directory = value;
	else if (strcmp(key, "host") == 0)
		dir->host = value;
}

/* The first line says the version, whatever else changes. */
static int check_version(const char *text, const char *path, char *why, size_t why_bytes)
{
	static const char key[] = "hark-trace=";
	size_t length = strcspn(text, "\n");
	char version[32];

	if (strncmp(text, key, sizeof key - 1) != 0) {
		snprintf(why, why_bytes, "%s is no trace of hark's: its file `" TRACE_IDENTITY
					 "` does not say so",
			 path);
		return -EPROTO;
	}
	length -= sizeof key - 1;
	snprintf(version, sizeof version, "%.*s", (int)(length < 31 ? length : 31),
		 text + sizeof key - 1);
	if (plain_number(version) == TRACE_VERSION)
		return 0;
	snprintf(why, why_bytes,
		 "the trace %s is of version %s, and this hark reads version %d: read it with the "
		 "hark that recorded it",
		 path, *version ? version : "(none)", TRACE_VERSION);
	return -EPROTO;
}

int trace_text_identity(struct trace_dir *dir, const char *path, char *why, size_t why_bytes)
{
	static char nothing[] = "";
	char *rest, *line;
	size_t bytes;
	int rc = slurp(dir->fd, TRACE_IDENTITY, &dir->identity, &bytes);

	if (rc == -ENOENT)
		snprintf(why, why_bytes,
			 "there is no trace in %s: `hark run --stamp trace PROG` makes one", path);
	else if (rc != 0)
		snprintf(why, why_bytes, "cannot read %s/" TRACE_IDENTITY ": %s", path,
			 strerror(-rc));
	else
		rc = check_version(dir->identity, path, why, why_bytes);
	if (rc != 0)
		return rc;
	dir->command = dir->directory = dir->host = nothing;
	for (line = strtok_r(dir->identity, "\n", &rest); line;
	     line = strtok_r(NULL, "\n", &rest)) {
		char *value = strchr(line, '=');
		if (!value)
			continue;
		*value++ = '\0';
		take_identity(dir, line, value);
	}
	return 0;
}

/* ---- events ------------------------------------------------------------------------------------ */

int trace_text_image(struct trace_dir *dir, uint32_t number)
{
	struct trace_image *images = array_grown(dir->images, dir->image_count, sizeof *images);

	if (!images)
		return -ENOMEM;
	dir->images = images;
	images[dir->image_count++] =
		(struct trace_image){ .number = number, .path = "", .comm = "" };
	return 0;
}

static int by_number(const void *left, const void *right)
{
	const struct trace_image *a = left, *b = right;

	return a->number < b->number ? -1 : a->number > b->number;
}

void trace_text_sort(struct trace_dir *dir)
{
	if (dir->image_count)
		qsort(dir->images, dir->image_count, sizeof *dir->images, by_number);
}

/* Images come in the order of their numbers, but for races: the last ones are looked at first. */
static struct trace_image *image_of(struct trace_dir *dir, const struct line *line, const char *key)
{
	uint64_t number;

	if (!number_of(line, key, 1, UINT32_MAX, &number))
		return NULL;
	for (size_t i = dir->image_count; i > 0; i--)
		if (dir->images[i - 1].number == number)
			return &dir->images[i - 1];
	return NULL;
}

static int take_image(struct trace_dir *dir, const struct line *line)
{
	uint64_t number;

	if (!number_of(line, "n", 1, UINT32_MAX, &number))
		return -EINVAL;
	struct trace_image *image = image_of(dir, line, "n");
	if (!image) {
		if (trace_text_image(dir, (uint32_t)number) != 0)
			return -ENOMEM;
		image = &dir->images[dir->image_count - 1];
	}
	image->pid = (int32_t)plain_number(value_of(line, "pid"));
	image->ticks = plain_number(value_of(line, "ticks"));
	image->parent = (uint32_t)plain_number(value_of(line, "parent"));
	image->path = value_of(line, "path");
	image->comm = value_of(line, "comm");
	return 0;
}

/* A module's line may be there before that of its image: whoever is faster. */
static struct trace_image *image_made(struct trace_dir *dir, const struct line *line)
{
	struct trace_image *image = image_of(dir, line, "image");
	uint64_t number;

	if (image || !number_of(line, "image", 1, UINT32_MAX, &number) ||
	    trace_text_image(dir, (uint32_t)number) != 0)
		return image;
	return &dir->images[dir->image_count - 1];
}

/* Room for the modules up to this one, which is the answer. NULL: without memory. */
static struct trace_module *make_module(struct trace_image *image, size_t number)
{
	while (image->module_count < number) {
		struct trace_module *modules =
			array_grown(image->modules, image->module_count, sizeof *modules);
		if (!modules)
			return NULL;
		image->modules = modules;
		modules[image->module_count++] = (struct trace_module){ .number = 0 };
	}
	return image->modules ? &image->modules[number - 1] : NULL;
}

static int take_module(struct trace_dir *dir, const struct line *line, size_t most)
{
	struct trace_image *image = image_made(dir, line);
	struct trace_module m = { .unloaded = UINT64_MAX };
	uint64_t number;

	if (!image || !number_of(line, "n", 1, most, &number) ||
	    !hexadecimal(value_of(line, "base"), &m.base))
		return -EINVAL;
	if (!hexadecimal(value_of(line, "bytes"), &m.bytes))
		m.bytes = 0;
	m.image = image->number;
	m.number = (uint32_t)number;
	m.loaded = plain_number(value_of(line, "ticks"));
	m.path = value_of(line, "path");
	m.build_id = value_of(line, "build");
	m.calls = strcmp(value_of(line, "method"), "call") == 0;
	struct trace_module *place = make_module(image, number);
	if (!place)
		return -ENOMEM;
	*place = m;
	return 0;
}

static int take_unload(struct trace_dir *dir, const struct line *line)
{
	struct trace_image *image = image_of(dir, line, "image");
	uint64_t number;

	if (!image || !number_of(line, "n", 1, image->module_count, &number))
		return -EINVAL;
	image->modules[number - 1].unloaded = plain_number(value_of(line, "ticks"));
	return 0;
}

static int take_note(struct trace_dir *dir, const struct line *line, enum trace_note_kind kind)
{
	static const struct {
		const char *reason;
		enum trace_gap gap;
	} gaps[] = {
		{ "disk", TRACE_GAP_DISK },
		{ "sandbox", TRACE_GAP_SANDBOX },
		{ "memory", TRACE_GAP_MEMORY },
		{ "refused", TRACE_GAP_REFUSED },
	};
	struct trace_note note = { .kind = kind };
	struct trace_note *notes = array_grown(dir->notes, dir->note_count, sizeof *notes);

	if (!notes)
		return -ENOMEM;
	dir->notes = notes;
	note.image = (uint32_t)plain_number(value_of(line, "image"));
	note.tid = (int32_t)plain_number(value_of(line, "tid"));
	note.module = (uint32_t)plain_number(value_of(line, "module"));
	note.calls = plain_number(value_of(line, "calls"));
	note.ticks = plain_number(value_of(line, "ticks"));
	if (!hexadecimal(value_of(line, "offset"), &note.offset))
		note.offset = 0;
	for (size_t i = 0; i < sizeof gaps / sizeof *gaps; i++)
		if (strcmp(value_of(line, "reason"), gaps[i].reason) == 0)
			note.gap = gaps[i].gap;
	dir->notes[dir->note_count++] = note;
	return 0;
}

static int take_call(struct trace_dir *dir, const struct line *line)
{
	struct trace_call call = { .name = value_of(line, "name"),
				   .library = value_of(line, "library") };
	struct trace_call *calls = array_grown(dir->calls, dir->call_count, sizeof *calls);
	uint64_t image;

	if (!calls)
		return -ENOMEM;
	dir->calls = calls;
	if (!number_of(line, "image", 1, UINT32_MAX, &image) ||
	    !hexadecimal(value_of(line, "offset"), &call.offset) || !*call.name)
		return -EINVAL;
	call.image = (uint32_t)image;
	calls[dir->call_count++] = call;
	return 0;
}

/* Not by module: threads that began at the same moment may have given the stubs several numbers, and what
 * one of them says of a function holds for all. */
static int by_place(const void *left, const void *right)
{
	const struct trace_call *a = left, *b = right;

	if (a->image != b->image)
		return a->image < b->image ? -1 : 1;
	return a->offset < b->offset ? -1 : a->offset > b->offset;
}

const struct trace_call *trace_dir_call(const struct trace_dir *dir, uint32_t image,
					uint64_t offset)
{
	struct trace_call key = { .image = image, .offset = offset };

	return dir->call_count ? bsearch(&key, dir->calls, dir->call_count, sizeof key, by_place) :
				 NULL;
}

static int take_clock(const struct line *line, uint64_t *ticks, uint64_t *monotonic_ns)
{
	uint64_t t, ns;

	if (!number_of(line, "ticks", 1, UINT64_MAX, &t) ||
	    !number_of(line, "monotonic_ns", 1, UINT64_MAX, &ns))
		return -EINVAL;
	if (t > *ticks) {
		*ticks = t;
		*monotonic_ns = ns;
	}
	return 0;
}

static void take_unfiltered(struct trace_dir *dir, const struct line *line)
{
	uint64_t error = plain_number(value_of(line, "error"));

	if (!dir->unfiltered++)
		dir->unfiltered_error = error < 4096 ? (int)error : 0;
}

int trace_text_events(struct trace_dir *dir, uint64_t *ticks, uint64_t *monotonic_ns)
{
	size_t bytes = 0, lines = 0;
	int rc = slurp(dir->fd, TRACE_EVENTS, &dir->events, &bytes);

	if (rc != 0) {
		/* of samples alone there are none */
		if (rc != -ENOMEM && (rc != -ENOENT || strcmp(dir->mode, "off") != 0))
			trace_dir_torn(dir, "cannot read " TRACE_EVENTS ": %s", strerror(-rc));
		return rc == -ENOMEM ? rc : 0;
	}
	/* what the machine's end left is zeros */
	for (size_t i = 0; i < bytes; i++) {
		if (!dir->events[i])
			dir->events[i] = '\n';
		lines += dir->events[i] == '\n';
	}
	for (char *at = dir->events, *end; (end = strchr(at, '\n')) != NULL; at = end + 1) {
		struct line line;

		*end = '\0';
		take_apart(at, &line);
		if (strcmp(line.word, "image") == 0)
			rc = take_image(dir, &line);
		else if (strcmp(line.word, "module") == 0)
			rc = take_module(dir, &line, lines);
		else if (strcmp(line.word, "unload") == 0)
			rc = take_unload(dir, &line);
		else if (strcmp(line.word, "muted") == 0)
			rc = take_note(dir, &line, TRACE_NOTE_MUTED);
		else if (strcmp(line.word, "gap") == 0)
			rc = take_note(dir, &line, TRACE_NOTE_GAP);
		else if (strcmp(line.word, "call") == 0)
			rc = take_call(dir, &line);
		else if (strcmp(line.word, "clock") == 0)
			rc = take_clock(&line, ticks, monotonic_ns);
		else if (rc = 0, strcmp(line.word, "unfiltered") == 0)
			take_unfiltered(dir, &line);
		if (rc == -ENOMEM)
			return rc;
		if (rc != 0)
			trace_dir_torn(dir, TRACE_EVENTS " has a line `%.20s` that says too little",
				       line.word);
	}
	trace_text_sort(dir);
	if (dir->call_count)
		qsort(dir->calls, dir->call_count, sizeof *dir->calls, by_place);
	return 0;
}
