/*
 * json.c - see json.h. Called by whatever has a --json.
 */
#include "tools/json.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "lib/format/escape.h"

void emit_string(FILE *to, const char *text)
{
	enum { PIECE = 128 };
	char buffer[PIECE * ESCAPE_JSON_MOST];
	size_t left;

	if (!text) {
		fputs("null", to);
		return;
	}
	putc('"', to);
	for (left = strlen(text); left;) {
		size_t n = left < PIECE ? left : PIECE;
		/* no cut inside a character, unless there are no characters at all */
		for (unsigned back = 0;
		     n < left && back < 3 && ((unsigned char)text[n] & 0xc0) == 0x80; back++)
			n--;
		struct text t = text_in(buffer, sizeof buffer);
		escape_json(&t, text, n);
		fwrite(t.at, 1, t.len, to);
		text += n;
		left -= n;
	}
	putc('"', to);
}

static void put_key(FILE *to, const char *before, const char *key)
{
	fprintf(to, "%s\"%s\":", before, key);
}

void emit_pair(FILE *to, const char *before, const char *key, const char *value)
{
	put_key(to, before, key);
	emit_string(to, value);
}

void emit_number(FILE *to, const char *before, const char *key, uint64_t value)
{
	put_key(to, before, key);
	fprintf(to, "%" PRIu64, value);
}

void emit_time(FILE *to, const char *before, const char *key, uint64_t time_ns)
{
	time_t second = (time_t)(time_ns / 1000000000);
	char text[64] = "";
	struct tm tm;

	put_key(to, before, key);
	if (gmtime_r(&second, &tm))
		strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
	fprintf(to, "\"%s.%09" PRIu64 "Z\"", text, time_ns % 1000000000);
}

void emit_strings(FILE *to, const char *before, const char *key, const char *list, size_t bytes)
{
	fprintf(to, "%s\"%s\":[", before, key);
	for (size_t at = 0; at < bytes; at += strlen(list + at) + 1) {
		fputs(at ? "," : "", to);
		emit_string(to, list + at);
	}
	putc(']', to);
}
