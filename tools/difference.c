/*
 * difference.c - see difference.h.
 */
#include "tools/difference.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tools/flat.h"
#include "tools/json.h"
#include "tools/show_as.h"
#include "tools/units.h"

/* A function in both traces; NULL: it was not called there. */
struct pair {
	const struct function *function; /* of one of them */
	const struct table_row *before, *after;
};

static int by_function(const struct function *a, const struct function *b)
{
	int order = strcmp(a->name, b->name);

	return order ? order : strcmp(a->module, b->module);
}

static uint64_t key_of(const struct table_row *row, enum table_key key)
{
	return row ? table_value(row, key) : 0;
}

static uint64_t change(const struct pair *pair, enum table_key key)
{
	uint64_t before = key_of(pair->before, key), after = key_of(pair->after, key);

	return before > after ? before - after : after - before;
}

static int by_change(const void *left, const void *right, void *key)
{
	const struct pair *a = left, *b = right;
	uint64_t x = change(a, *(enum table_key *)key), y = change(b, *(enum table_key *)key);

	if (x != y)
		return x > y ? -1 : 1;
	return by_function(a->function, b->function);
}

/* Both are sorted by function. Of several that are called the same, each finds its own. */
static size_t pair_up(const struct flat *before, const struct flat *after, struct pair *pairs)
{
	size_t i = 0, j = 0, count = 0;

	while (i < before->count || j < after->count) {
		const struct table_row *a = i < before->count ? &before->rows[i] : NULL;
		const struct table_row *b = j < after->count ? &after->rows[j] : NULL;
		int order = a && b ? by_function(a->function, b->function) : 0;
		struct pair *pair = &pairs[count++];
		if (a && order <= 0) {
			pair->before = a;
			pair->function = a->function;
			i++;
		}
		if (b && order >= 0) {
			pair->after = b;
			pair->function = b->function;
			j++;
		}
	}
	return count;
}

/* ---- printing ---------------------------------------------------------------------------------- */

static void print_side(const char *key, const struct table_row *row)
{
	printf(",\"%s\":", key);
	if (!row) {
		printf("null");
		return;
	}
	emit_number(stdout, "{", "calls", row->calls);
	emit_number(stdout, ",", "total_ns", row->total_ns);
	emit_number(stdout, ",", "self_ns", row->self_ns);
	emit_number(stdout, ",", "avg_ns", row->avg_ns);
	emit_number(stdout, ",", "p50_ns", row->p50_ns);
	emit_number(stdout, ",", "p99_ns", row->p99_ns);
	printf("}");
}

static void print_object(const struct pair *pair)
{
	const struct function *f = pair->function;

	emit_pair(stdout, "{", "function", f->name);
	emit_pair(stdout, ",", "module", f->module);
	print_side("before", pair->before);
	print_side("after", pair->after);
	printf("}\n");
}

/* "+1.234 ms", "-5 ns", "0 ns" */
static const char *signed_text(char text[UNITS_TEXT + 1], uint64_t before, uint64_t after,
			       const char *(*render)(char *, uint64_t))
{
	text[0] = after > before ? '+' : '-';
	render(text + 1, after > before ? after - before : before - after);
	return after == before ? text + 1 : text;
}

static void print_row(const struct pair *pair)
{
	static const enum table_key keys[] = { TABLE_TOTAL, TABLE_SELF, TABLE_AVG };
	const struct function *f = pair->function;
	char text[UNITS_TEXT + 1], *name = show_as_safe(f->name), *module = show_as_safe(f->module);
	uint64_t calls[] = { key_of(pair->before, TABLE_CALLS), key_of(pair->after, TABLE_CALLS) };

	for (unsigned i = 0; i < sizeof keys / sizeof *keys; i++) {
		uint64_t before = key_of(pair->before, keys[i]);
		uint64_t after = key_of(pair->after, keys[i]);
		if (keys[i] == TABLE_TOTAL) {
			printf("%9s ", pair->before ? units_ns(text, before) : "-");
			printf("%9s ", pair->after ? units_ns(text, after) : "-");
		}
		printf("%10s ", signed_text(text, before, after, units_ns));
	}
	printf("%13s  %s%s%s%s\n", signed_text(text, calls[0], calls[1], units_count), name,
	       *module ? "  [" : "", module, *module ? "]" : "");
	free(module);
	free(name);
}

static void print_pairs(const struct pair *pairs, size_t count, bool json)
{
	if (!json && count)
		printf("%9s %9s %10s %10s %10s %13s  %s\n", "BEFORE", "AFTER", "TOTAL", "SELF",
		       "AVG", "CALLS", "FUNCTION");
	for (size_t i = 0; i < count; i++) {
		if (json)
			print_object(&pairs[i]);
		else
			print_row(&pairs[i]);
	}
}

int difference_show(const char *before, const char *after, const struct calls_filter *filter,
		    enum table_key sort, bool json)
{
	struct flat a, b;

	if (flat_read(&a, before, filter, TABLE_NAME) != 0)
		return CLI_FAILED;
	progress_end(&a.reading.progress);
	if (flat_read(&b, after, filter, TABLE_NAME) != 0) {
		flat_close(&a);
		return CLI_FAILED;
	}
	progress_end(&b.reading.progress);
	struct pair *pairs = calloc(a.count + b.count + 1, sizeof *pairs);
	int status = pairs ? 0 : reading_failed(&b.reading, -ENOMEM);
	if (pairs) {
		size_t count = pair_up(&a, &b, pairs);
		if (sort != TABLE_NAME && count)
			qsort_r(pairs, count, sizeof *pairs, by_change, &sort);
		print_pairs(pairs, count, json);
		reading_tell(&a.reading, NULL);
		reading_tell(&b.reading, NULL);
	}
	free(pairs);
	flat_close(&a);
	flat_close(&b);
	return status;
}
