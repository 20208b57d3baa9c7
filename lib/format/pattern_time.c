/*
 * pattern_time.c - the letters of a pattern that change with the second only.
 *
 * Called by pattern.c once a second. English names, whatever the locale: a log file should not
 * change with the environment of the program that wrote it.
 */
#include "lib/format/pattern_time.h"

#include "lib/format/when.h"

bool pattern_time_is(char letter)
{
	return letter && strchr("aAbBcCYDxmdHIMSprRTXzE", letter);
}

static unsigned hour12(const struct tm *tm)
{
	return tm->tm_hour % 12 ? (unsigned)tm->tm_hour % 12 : 12;
}

/* "02:55:02": the numbers of a time or a date, two digits each */
static void triple(struct text *out, unsigned a, unsigned b, unsigned c, char between)
{
	text_padded(out, a, 2);
	text_char(out, between);
	text_padded(out, b, 2);
	text_char(out, between);
	text_padded(out, c, 2);
}

static void offset(struct text *out, const struct tm *tm)
{
	long minutes = tm->tm_gmtoff / 60;

	text_char(out, minutes < 0 ? '-' : '+');
	if (minutes < 0)
		minutes = -minutes;
	text_padded(out, (unsigned)minutes / 60, 2);
	text_char(out, ':');
	text_padded(out, (unsigned)minutes % 60, 2);
}

static void date_and_time(struct text *out, const struct tm *tm)
{
	text_bytes(out, when_weekdays[tm->tm_wday], 3);
	text_char(out, ' ');
	text_bytes(out, when_months[tm->tm_mon], 3);
	text_char(out, ' ');
	text_u64(out, (unsigned)tm->tm_mday);
	text_char(out, ' ');
	triple(out, (unsigned)tm->tm_hour, (unsigned)tm->tm_min, (unsigned)tm->tm_sec, ':');
	text_char(out, ' ');
	text_i64(out, tm->tm_year + 1900L);
}

void pattern_time(struct text *out, char letter, const struct tm *tm, int64_t second)
{
	unsigned month = (unsigned)tm->tm_mon + 1, day = (unsigned)tm->tm_mday;
	unsigned year = (unsigned)(tm->tm_year + 1900) % 100;
	unsigned hour = (unsigned)tm->tm_hour, minute = (unsigned)tm->tm_min;
	const char *half = hour < 12 ? "AM" : "PM";

	switch (letter) {
	case 'a': text_bytes(out, when_weekdays[tm->tm_wday], 3); break;
	case 'A': text_str(out, when_weekdays[tm->tm_wday]); break;
	case 'b': text_bytes(out, when_months[tm->tm_mon], 3); break;
	case 'B': text_str(out, when_months[tm->tm_mon]); break;
	case 'c': date_and_time(out, tm); break;
	case 'C': text_padded(out, year, 2); break;
	case 'Y': text_i64(out, tm->tm_year + 1900L); break;
	case 'D':
	case 'x': triple(out, month, day, year, '/'); break;
	case 'm': text_padded(out, month, 2); break;
	case 'd': text_padded(out, day, 2); break;
	case 'H': text_padded(out, hour, 2); break;
	case 'I': text_padded(out, hour12(tm), 2); break;
	case 'M': text_padded(out, minute, 2); break;
	case 'S': text_padded(out, (unsigned)tm->tm_sec, 2); break;
	case 'p': text_bytes(out, half, 2); break;
	case 'r':
		triple(out, hour12(tm), minute, (unsigned)tm->tm_sec, ':');
		text_char(out, ' ');
		text_bytes(out, half, 2);
		break;
	case 'R':
		text_padded(out, hour, 2);
		text_char(out, ':');
		text_padded(out, minute, 2);
		break;
	case 'T':
	case 'X': triple(out, hour, minute, (unsigned)tm->tm_sec, ':'); break;
	case 'z': offset(out, tm); break;
	case 'E': text_i64(out, second); break;
	default: break;
	}
}
