/*
 * when.c - times as formats write them.
 *
 * Called by the format_*.c and pattern.c for each message; must not do per message what it can do
 * per second.
 */
#include "lib/format/when.h"

#include "lib/format/format.h"

const char when_weekdays[7][10] = {
	"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"
};

const char when_months[12][10] = {
	"January", "February", "March", "April", "May", "June",
	"July", "August", "September", "October", "November", "December"
};

int64_t when_split(int64_t time_ns, uint32_t *ns)
{
	int64_t second = time_ns / 1000000000, rest = time_ns % 1000000000;

	if (rest < 0) {
		rest += 1000000000;
		second--;
	}
	*ns = (uint32_t)rest;
	return second;
}

enum { UTC_SECOND = sizeof("2024-02-29T12:00:00.") - 1 };

static void render_second(struct format *f, int64_t second)
{
	struct text t = text_in(f->cached_time, sizeof(f->cached_time));
	struct tm tm = { .tm_mday = 1 };

	gmtime_r(&second, &tm);
	text_padded(&t, (uint64_t)(tm.tm_year + 1900), 4);
	text_char(&t, '-');
	text_padded(&t, (unsigned)tm.tm_mon + 1, 2);
	text_char(&t, '-');
	text_padded(&t, (unsigned)tm.tm_mday, 2);
	text_char(&t, 'T');
	text_padded(&t, (unsigned)tm.tm_hour, 2);
	text_char(&t, ':');
	text_padded(&t, (unsigned)tm.tm_min, 2);
	text_char(&t, ':');
	text_padded(&t, (unsigned)tm.tm_sec, 2);
	text_char(&t, '.');
	f->cached_second = second;
}

void when_utc(struct format *f, struct text *out, int64_t time_ns, unsigned digits)
{
	uint32_t ns;
	int64_t second = when_split(time_ns, &ns);

	if (second != f->cached_second)
		render_second(f, second);
	text_bytes(out, f->cached_time, UTC_SECOND);
	text_padded(out, digits == 6 ? ns / 1000 : ns, digits);
	text_char(out, 'Z');
}

void when_local(int64_t second, struct tm *tm)
{
	*tm = (struct tm){ .tm_mday = 1 };
	localtime_r(&second, tm);
}
