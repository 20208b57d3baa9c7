/*
 * figures.c - see figures.h.
 */
#include "tools/figures.h"

#include <inttypes.h>

#include "lib/base/text.h"
#include "tools/json.h"
#include "tools/units.h"

void figures_text(FILE *to, const struct timer_figures *f)
{
	char count[UNITS_TEXT], total[UNITS_TEXT], avg[UNITS_TEXT], min[UNITS_TEXT],
		max[UNITS_TEXT];

	fprintf(to, "%s %s, %s in all, %s on average, from %s to %s", units_count(count, f->count),
		text_one(f->count, "time", "times"), units_ns(total, f->total_ns),
		units_ns(avg, f->avg_ns), units_ns(min, f->min_ns), units_ns(max, f->max_ns));
}

void figures_json(FILE *to, const struct timer_figures *f)
{
	emit_number(to, ",", "count", f->count);
	emit_number(to, ",", "total_ns", f->total_ns);
	emit_number(to, ",", "avg_ns", f->avg_ns);
	emit_number(to, ",", "min_ns", f->min_ns);
	emit_number(to, ",", "max_ns", f->max_ns);
	fputs(",\"last_ns\":[", to);
	for (unsigned i = 0; i < f->last_count; i++)
		fprintf(to, "%s%" PRIu64, i ? "," : "", f->last_ns[i]);
	putc(']', to);
}
