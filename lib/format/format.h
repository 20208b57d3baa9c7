/*
 * format.h - how a message becomes bytes. One file per format, one row each in formats.def.
 *
 * A rendered message is one frame: it ends with exactly one newline and holds no other (`raw`
 * excepted). That is what lets queues, files and sockets cut at newlines without knowing the format.
 */
#ifndef HARK_FORMAT_FORMAT_H
#define HARK_FORMAT_FORMAT_H

#include "lib/base/text.h"
#include "lib/format/pattern.h"
#include "lib/message/message.h"

struct format;

struct format_ops {
	int (*init)(struct format *f);
		/* 0 or -EINVAL. NULL: nothing to prepare. */
	void (*render)(struct format *f, const struct message *m, struct text *out);
		/* Appends one frame. out has at least format_bound(f, m) bytes of room; where it has
		 * not, out->cut is set, nothing is written outside and the frame is worthless. */
	size_t (*bound)(const struct format *f, const struct message *m);
};

struct format {
	const struct format_ops *ops;
	const char *pattern;  /* text: as given, borrowed; only format_init() reads it */
	bool color;           /* pretty and text (%^ %$): escape sequences allowed */
	const char *hostname; /* rfc5424, rfc3164: never NULL once initialised */
	/* what a format remembers between two frames, such as the rendered current second */
	int64_t cached_second;
	char cached_time[40];
	pid_t last_pid;       /* pretty: whether more than one process speaks */
	bool many_pids;
	unsigned who_width;   /* pretty: the widest name so far, so that text stays aligned */
	struct pattern program; /* text: the pattern, compiled */
};

int format_init(struct format *f, const char *name, const char *pattern, bool color);
	/* name: a row of formats.def. pattern: NULL or "" is the default. Nothing needs to be released.
	 * 0, -ENOENT (no such format), -EINVAL (the pattern is malformed or too long, see pattern.h). */
static inline size_t format_bound(const struct format *f, const struct message *m)
{
	return f->ops->bound(f, m);
}
	/* an upper bound, in bytes, for this format's frame of m */

#define FORMAT(name, doc) extern const struct format_ops format_##name;
#include "lib/format/formats.def"
#undef FORMAT

extern const struct format_row {
	const char *name;
	const char *doc;
	const struct format_ops *ops;
} format_rows[];
extern const size_t format_count;

#endif
