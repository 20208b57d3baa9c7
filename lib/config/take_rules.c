/*
 * take_rules.c - the values of the settings that choose which calls are recorded. Called by config.c.
 */
#include <errno.h>
#include <string.h>

#include "lib/base/parse.h"
#include "lib/config/taking.h"

int config_take_globs(const struct taking *t)
{
	static struct filter filter;
	size_t length = strlen(t->value);
	const char *why = "too long";

	filter_init(&filter);
	if (length >= FILTER_TEXT || filter_add(&filter, t->value, false, &why) != 0)
		return config_refuse_as(t, -EINVAL, why);
	memcpy(field(t), t->value, length + 1);
	return 0;
}

int config_take_percent(const struct taking *t)
{
	uint64_t value = 0;
	bool none = strcmp(t->value, "0") == 0;
	const char *wrong = "not a percentage";
	int rc = none ? 0 : config_take_number(t, parse_percent, t->value, wrong, &value);
	if (rc)
		return rc;
	memcpy(field(t), &(uint32_t){ (uint32_t)value }, sizeof(uint32_t));
	return 0;
}
