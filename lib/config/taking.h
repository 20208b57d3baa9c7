/*
 * taking.h - a setting's value being taken: for config.c, and take_rules.c, which knows the values of
 * what filters recorded calls.
 */
#ifndef HARK_CONFIG_TAKING_H
#define HARK_CONFIG_TAKING_H

#include "lib/base/text.h"
#include "lib/config/config.h"

/* What is being set, and where the answer goes if it cannot be. */
struct taking {
	struct config *c;
	const struct setting *s;
	const char *value;
	bool adds;           /* repeatable, by its option */
	struct text *text;   /* begins with how the user named it, and the value */
};

static inline void *field(const struct taking *t)
{
	return (char *)t->c + t->s->offset;
}

int config_refuse_as(const struct taking *t, int rc, const char *wrong);
	/* -EINVAL, and the user's text says what was wrong and what is accepted. */
int config_take_number(const struct taking *t, int (*parse)(const char *, uint64_t *),
		       const char *value, const char *wrong, uint64_t *number);
	/* 0, or refused: within the setting's bounds */
int config_take_globs(const struct taking *t);
int config_take_percent(const struct taking *t);
int config_take_sample(const struct taking *t);

#endif
