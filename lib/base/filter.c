/*
 * filter.c - see filter.h. Reads lists of call paths, and tells what a name fits.
 *
 * Called where settings are read, where a module's functions are judged, and by readers. Never by the
 * shim, which takes the steps alone.
 */
#include "lib/base/filter.h"

#include <errno.h>
#include <string.h>

#include "lib/base/parse.h"

enum { LIST_PARTS = 64, OPERATOR = 8 };

void filter_init(struct filter *filter)
{
	memset(filter, 0, sizeof *filter);
	filter->rules.first = FILTER_ONLY | FILTER_NEVER;
	filter->elements = 2;
}

/* Up to one of these bytes, but not inside of brackets, nor in operator>> and its like. */
static size_t up_to(const char *s, const char *end, const char *bytes)
{
	const char *at = s;
	unsigned inside = 0;

	for (; at < end && (inside || !strchr(bytes, *at)); at++) {
		if (end - at > OPERATOR && memcmp(at, "operator", OPERATOR) == 0)
			at += OPERATOR + strspn(at + OPERATOR, "<>=-") - 1;
		else if (*at == '\\' && at + 1 < end)
			at++;
		else if (strchr("<(", *at))
			inside++;
		else if (strchr(">)", *at) && inside)
			inside--;
	}
	return (size_t)(at - s);
}

size_t filter_length(const char *list)
{
	return up_to(list, list + strlen(list), ",");
}

static const char *keep(struct filter *f, const char *s, size_t length)
{
	char *kept = f->text + f->used;

	if (length + 1 > sizeof f->text - f->used)
		return NULL;
	memcpy(kept, s, length);
	kept[length] = '\0';
	f->used += length + 1;
	return kept;
}

static int add_part(struct filter *f, const char *s, size_t length, uint32_t element,
		    const char **why)
{
	struct filter_part *part = &f->parts[f->count];
	const char *at = memrchr(s, '@', length);

	*why = "that is too long";
	if (f->count == FILTER_PARTS || !(part->whole = keep(f, s, length)))
		return -EINVAL;
	part->name = part->whole;
	part->module = NULL;
	part->element = element;
	if (at) {
		*why = "beside @ stand two globs: FUNCTION@MODULE";
		if (at == s || at + 1 == s + length)
			return -EINVAL;
		part->module = part->whole + (at + 1 - s);
		*why = "that is too long";
		if (!(part->name = keep(f, s, (size_t)(at - s))))
			return -EINVAL;
	}
	f->count++;
	return 0;
}

static const char *trim(const char *s, size_t *length)
{
	while (*length && strchr(" \t", *s))
		s++, --*length;
	while (*length && strchr(" \t", s[*length - 1]))
		--*length;
	return s;
}

/* A single glob: one element for all of its list. */
static int add_single(struct filter *f, const char *s, size_t length, bool never, const char **why)
{
	uint32_t element = never ? FILTER_NEVER : FILTER_ONLY;

	*(never ? &f->rules.never : &f->rules.only) |= element;
	return add_part(f, s, length, element, why);
}

static int add_path(struct filter *f, const char *s, size_t length, bool never, const char **why)
{
	const char *end = s + length;
	uint32_t before = 0, element = 0;
	bool further = false;

	if (up_to(s, end, ">") == length)
		return add_single(f, s, length, never, why);
	for (;; s++) {
		size_t all = up_to(s, end, ">"), some = all;
		const char *name = trim(s, &some);
		s += all;
		if (some == 2 && memcmp(name, "**", 2) == 0) {
			*why = "** stands between two functions of a path: main>**>load";
			if (!before || further || s == end)
				return -EINVAL;
			further = true;
			continue;
		}
		*why = "a function is missing beside >; in a name, > is written \\>";
		if (!some)
			return -EINVAL;
		*why = "its call paths have more functions than it can hold (30)";
		if (f->elements == FILTER_ELEMENTS)
			return -EINVAL;
		element = 1u << f->elements++;
		*(!before ? &f->rules.first :
		  further ? &f->rules.further :
			    &f->rules.direct) |= element;
		if (add_part(f, name, some, element, why) != 0)
			return -EINVAL;
		before = element;
		further = false;
		if (s == end)
			break;
	}
	*(never ? &f->rules.never : &f->rules.only) |= element;
	return 0;
}

int filter_add(struct filter *f, const char *list, bool never, const char **why)
{
	unsigned count = 0;

	for (;; list++) {
		size_t all = filter_length(list), length = all;
		const char *path = trim(list, &length);
		*why = "a name or glob is missing";
		if (!length)
			return -EINVAL;
		*why = "these are more globs than it can hold (64)";
		if (count++ == LIST_PARTS)
			return -EINVAL;
		if (add_path(f, path, length, never, why) != 0)
			return -EINVAL;
		list += all;
		if (!*list)
			return 0;
	}
}

static bool fits_name(const char *glob, const char *name, const char *linkage)
{
	return parse_glob(glob, name) || (linkage && parse_glob(glob, linkage));
}

uint32_t filter_fits(const struct filter *f, const char *name, const char *linkage,
		     const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *file = slash && slash[1] ? slash + 1 : path;
	uint32_t fits = 0;

	for (const struct filter_part *part = f->parts; part < f->parts + f->count; part++) {
		bool there = !part->module || parse_glob(part->module, file) ||
			     parse_glob(part->module, path);
		if ((there && fits_name(part->name, name, linkage)) ||
		    (part->module && fits_name(part->whole, name, linkage)))
			fits |= part->element;
	}
	return fits;
}
