/*
 * config.h - the settings of a session, resolved once, where the session is made.
 *
 * Rows stand in settings.def; the parser, `--help`, `hark show settings`, the manual page and the
 * YAML reader come from there. Precedence: option, variable, file, default. Only the `hark` command
 * links this; the shim reads the result in the control block.
 */
#ifndef HARK_CONFIG_CONFIG_H
#define HARK_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/filter.h"
#include "lib/base/level.h"
#include "lib/config/spec.h"

/* Who takes samples: the kernel or, where it refuses, timers in the program; or one of them alone. */
enum sample_by { SAMPLE_BY_ANY, SAMPLE_BY_KERNEL, SAMPLE_BY_TIMER };

enum { CONFIG_SINKS = 16, CONFIG_FDS = 16, FLIGHT_PRESET = 256 << 10 };

struct capture_set {
	bool on_stderr, on_stdout, on_syslog;
	int fds[CONFIG_FDS];       /* fd:N */
	unsigned fd_count;
	char paths[1024];          /* path:GLOB, each ended by NUL, the list by an empty one */
};

struct config {
	struct capture_set capture;
	char sinks[4096];          /* the specifications as given, separated by blanks */
	bool sinks_by_option;      /* --to adds to what other --to gave, and replaces the rest */
	enum level level;          /* LEVEL_NONE: nothing passes */
	enum level stack;          /* LEVEL_NONE: of no message */
	bool mirror;
	bool follow_number;
	bool deep;
	enum overflow overflow;
	uint64_t overflow_ns;
	uint64_t ring_bytes;       /* rounded up to a power of two */
	uint64_t exit_timeout_ns;
	char file[256];            /* --config */
	unsigned stamp;            /* enum stamp_mode, as given: see config_stamp() */
	bool stamp_given;
	uint64_t flight_bytes;
	char calls[1024];          /* globs separated by commas */
	bool arguments;            /* of those calls, and results */
	unsigned sample_rate;      /* samples a second; 0: none */
	bool sample_wall;          /* of the time in which threads wait, too */
	enum sample_by sample_by;
	uint64_t snapshots;
	char filter[FILTER_TEXT], notrace[FILTER_TEXT]; /* "": none */
	uint64_t depth;            /* 0: all */
	uint64_t min_time_ns;
	uint32_t stamp_budget;     /* in hundredths of a percent; 0: no limit */
	char data[256];            /* --data */
	bool disable;
	bool strict;
};

enum setting_type {
	SETTING_CAPTURE, SETTING_SINKS, SETTING_LEVEL, SETTING_BOOL, SETTING_FOLLOW,
	SETTING_OVERFLOW, SETTING_SIZE, SETTING_DURATION, SETTING_PATH, SETTING_STAMP,
	SETTING_CALLS, SETTING_SAMPLE, SETTING_NUMBER, SETTING_GLOBS, SETTING_PERCENT
};

struct setting {
	const char *key;           /* in YAML, and in messages: "exit-timeout" */
	const char *option;        /* "--exit-timeout"; NULL where there is only a variable */
	const char *metavar;       /* "D"; NULL: a flag */
	const char *variable;      /* "HARK_EXIT_TIMEOUT" */
	enum setting_type type;
	const char *preset;        /* the default, as text */
	const char *accepted;      /* "a duration such as 5s or 500ms" */
	const char *doc;           /* one sentence */
	size_t offset;             /* of the field in struct config */
	uint64_t least, most;      /* of sizes, durations and numbers */
	bool repeatable;
};

extern const struct setting settings[];
extern const size_t setting_count;

struct config_problem {
	char text[512];            /* "HARK_RING=4Q: …; accepted: …; did you mean …" on one line */
};

void config_defaults(struct config *c);
static inline unsigned config_stamp(const struct config *c)
	/* enum stamp_mode that a session begins with: --calls alone means trace. */
{
	enum { TRACE = 1 };

	return c->stamp_given || !*c->calls ? c->stamp : TRACE;
}
int config_set(struct config *c, const struct setting *s, const char *from, const char *value,
	       struct config_problem *problem);
	/* from: how the user named it ("--ring", "HARK_RING", "app.yaml:3: ring"), for the message; where
	 * it is the setting's option, a repeatable one adds to what that option gave before. value: NULL
	 * is the "1" of a flag. 0, or -EINVAL with *problem filled and *c as it was. */
int config_environment(struct config *c, char *const *environment, struct config_problem *problem);
	/* Every HARK_* variable of the table; one with an empty value counts as unset. 0 or -EINVAL. */
int config_file(struct config *c, const char *path, struct config_problem *problem);
	/* YAML: a mapping of keys to scalars or lists. To be applied before config_environment(), which
	 * wins. 0, -EINVAL, or open(2)'s and read(2)'s, always with *problem filled. */
int config_unknown(char *const *environment, size_t *next, struct config_problem *problem);
	/* Walks HARK_* variables that no row knows (internal ones excepted). 1 with *problem filled for
	 * each, 0 at the end. *next starts at 0. */
const struct setting *config_option(const char *option);
	/* "--ring" -> its row, or NULL */

#endif
