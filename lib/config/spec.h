/*
 * spec.h - sink specifications: KIND[:TARGET][?key=value[&key=value…]].
 *
 * Kinds come from sinks.def, keys from sink_keys.def. Parsing knows no sink: it yields values in
 * their units or says what was wrong.
 */
#ifndef HARK_CONFIG_SPEC_H
#define HARK_CONFIG_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/level.h"

enum { SPEC_UNIX_PATH = 107 /* bytes of a socket's path, without its NUL */ };

enum overflow { OVERFLOW_BLOCK, OVERFLOW_TIMEOUT, OVERFLOW_DROP, OVERFLOW_OVERWRITE };
enum color_when { COLOR_AUTO, COLOR_ALWAYS, COLOR_NEVER };
enum sink_kind {
	SINK_CONSOLE, SINK_FILE, SINK_TCP, SINK_UDP, SINK_UNIX, SINK_UNIXGRAM, SINK_KIND_NR
};

struct sink_spec {
	enum sink_kind kind;
	char given[512];          /* as the user wrote it, for messages and `hark stats` */
	char target[256];         /* path or host, percent-decoded */
	uint16_t port;            /* tcp, udp */
	char format[16];          /* "" = the kind's default */
	char pattern[256];        /* format=text */
	enum level level;         /* least severe that passes; LEVEL_DEBUG by default */
	char source[64];          /* a glob list separated by commas; "" = all */
	uint64_t queue_bytes;     /* 0 = the kind's default */
	bool has_overflow;        /* false: the kind's default */
	enum overflow overflow;   /* block, drop, timeout */
	uint64_t overflow_ns;     /* of OVERFLOW_TIMEOUT */
	enum color_when color;    /* console */
	uint64_t size_bytes;      /* file: rotate at; 0 = never */
	uint64_t age_ns;          /* file: rotate after; 0 = never */
	uint32_t keep;            /* file: rotated files kept */
	uint32_t mode;            /* file: permissions, 0640 less the umask … */
	bool has_mode;            /* … or exactly these, where they were asked for */
	int64_t sync_ns;          /* file: -1 none, 0 always, else the period */
	uint64_t backoff_least_ns, backoff_most_ns; /* 100ms..30s */
};

int spec_parse(const char *text, struct sink_spec *spec, char *why, size_t why_bytes);
	/* 0, or -EINVAL with a sentence in `why` that names the part, its value, what is accepted and the
	 * nearest word to a misspelt one. */
int spec_parse_list(const char *text, struct sink_spec *specs, unsigned most, char *why,
		    size_t why_bytes);
	/* Specs separated by blanks. Their number, or -EINVAL / -E2BIG with `why`. */
int spec_absolute(struct sink_spec *spec, const char *cwd);
	/* Makes a relative path of a file or socket absolute; `given` stays. 0, -EINVAL (cwd is not
	 * absolute), -ENAMETOOLONG. */

bool spec_takes_source(const struct sink_spec *spec, const char *source);
bool spec_takes_stamps(const struct sink_spec *spec);
	/* Public stamps go to traces, and to who asks for them by name: source=stamp, or a glob. */

/* What may stand after the question mark: sink_keys.def. */
extern const struct spec_key {
	const char *name;
	uint32_t on;              /* a bit for each enum sink_kind that takes it */
	const char *whose;        /* the same in words: "file sinks" */
	const char *wrong;        /* said of a value that does not fit: "not a size" */
	const char *accepted;     /* NULL: the key belongs to a later version */
	const char *doc;
	bool lenient;             /* only %20, %26 and %09 are escapes, unless it holds %25 */
	int (*take)(struct sink_spec *spec, const char *value);
		/* 0, -EINVAL, -ERANGE, -ENOTSUP: belongs to a later version */
} spec_keys[];
extern const size_t spec_key_count;

#endif
