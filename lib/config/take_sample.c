/*
 * take_sample.c - how often is sampled, what, and by whom.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/parse.h"
#include "lib/config/taking.h"

/* cpu@RATE, wall@RATE, and behind it who is to look. */
int config_take_sample(const struct taking *t)
{
	bool wall = strncmp(t->value, "wall@", 5) == 0, off = strcmp(t->value, "off") == 0;
	const char *by = strchr(t->value, ':');
	enum sample_by who = SAMPLE_BY_ANY;
	uint64_t rate = 0;
	char number[32];

	if (!off && !wall && strncmp(t->value, "cpu@", 4) != 0)
		return config_refuse_as(t, -EINVAL, "no such kind of samples");
	if (by && strcmp(by, ":kernel") == 0)
		who = SAMPLE_BY_KERNEL;
	else if (by && strcmp(by, ":timer") == 0)
		who = SAMPLE_BY_TIMER;
	else if (by)
		return config_refuse_as(t, -EINVAL, "nobody of that name takes samples");
	if (wall && who == SAMPLE_BY_TIMER)
		return config_refuse_as(t, -EINVAL, "timers know nothing of waiting threads");
	size_t length = by && !off ? (size_t)(by - t->value) : strlen(t->value);
	bool fits = length < sizeof number;
	snprintf(number, sizeof number, "%.*s", (int)(fits ? length : 0), t->value);
	const char *digits = strchr(number, '@');
	int rc = off ? 0 : -EINVAL;
	if (!off && digits)
		rc = parse_u64(digits + 1, t->s->least, t->s->most, &rate);
	if (rc)
		return config_refuse_as(t, rc, rc == -ERANGE ? "out of range" : "not a rate");
	t->c->sample_rate = (unsigned)rate;
	t->c->sample_wall = wall;
	t->c->sample_by = who;
	return 0;
}
