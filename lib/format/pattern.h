/*
 * pattern.h - the patterns of format=text, in spdlog's letters: compiled once, run per message.
 *
 *	%v text  %l level  %L its letter (D I N W E C A P)  %n process name  %P pid  %t tid
 *	%a %A weekday  %b %B month  %c date and time  %C %Y year  %D %x mm/dd/yy  %m %d  %H %I %M %S
 *	%e ms  %f us  %F ns  %p AM/PM  %r 12-hour clock  %R HH:MM  %T %X HH:MM:SS  %z offset
 *	%E seconds since 1970  %o ms, %i us, %u ns, %O s since the previous message
 *	%^ %$ the range coloured by level  %% a percent sign  %+ the default pattern
 *	%@ %s %g %# %! the place in the source: not known to hark, empty
 * and two of hark's own:
 *	%q source  %N who speaks: name[pid], and the source where that is not stderr
 *
 * %8l aligns right, %-8l left, %=8l centred, in at least 8 characters; %8!l also in at most 8.
 * Characters are code points, not bytes. Times are local (TZ).
 *
 * What depends on nothing but the second is rendered once a second. A compiled pattern holds no
 * pointer, so it may be copied with what contains it.
 */
#ifndef HARK_FORMAT_PATTERN_H
#define HARK_FORMAT_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/text.h"
#include "lib/message/message.h"

enum {
	PATTERN_STEPS = 192,
	PATTERN_LITERAL = 512, /* bytes of literal text */
	PATTERN_FIXED = 4096,  /* bytes of all that changes with the second only */
	PATTERN_WIDTH = 64,    /* widest alignment, as in spdlog */
	PATTERN_TEXTS = 4      /* most %v: each costs twice the message in the bound of a frame */
};

struct pattern_step {
	char letter;       /* 0: literal text */
	char align;        /* '-' left, '=' centre, else right */
	bool cut;
	uint8_t width;     /* 0: none */
	uint16_t at, length; /* of literal text */
	/* of the first step of a run that changes with the second only; end is 0 elsewhere */
	uint16_t end;      /* the step after the run */
	uint16_t fixed_at, fixed_length;
};

struct pattern {
	unsigned steps;
	unsigned literals;           /* bytes in use */
	size_t fixed_most;           /* a bound for the fixed runs */
	size_t other_most;           /* a bound for the rest, without what follows */
	unsigned texts, names, sources; /* how often the message's own strings appear */
	int64_t second;              /* that `fixed` is rendered for */
	int64_t previous_ns;         /* time of the message before */
	bool has_previous;
	struct pattern_step step[PATTERN_STEPS];
	char literal[PATTERN_LITERAL];
	char fixed[PATTERN_FIXED];
};

extern const char pattern_default[];

int pattern_compile(struct pattern *p, const char *pattern, bool color);
	/* color: whether %^ and %$ yield escape sequences. 0, or -EINVAL: an unknown letter, a lone %,
	 * a width outside of 1 to PATTERN_WIDTH, a newline, more than PATTERN_TEXTS times %v, too long. */
void pattern_render(struct pattern *p, const struct message *m, struct text *out);
	/* Without a newline at the end. Newlines in the message are written as the two characters \n. */
size_t pattern_bound(const struct pattern *p, const struct message *m);

#endif
