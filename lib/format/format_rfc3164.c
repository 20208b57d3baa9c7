/*
 * format_rfc3164.c - format=rfc3164: <PRI>Mmm dd hh:mm:ss HOST TAG[PID]: text, in local time.
 *
 * Control characters of the text are #ooo, as rsyslog writes them, so that a newline ends the frame
 * and nothing else does.
 */
#include "lib/format/escape.h"
#include "lib/format/format.h"
#include "lib/format/tag.h"
#include "lib/format/when.h"

enum { SECOND = sizeof("Feb 29 12:00:00") - 1, TAG_MOST = 32, HOST_MOST = 255, FRAME_MOST = 400 };

static void render_second(struct format *f, int64_t second)
{
	struct text t = text_in(f->cached_time, sizeof(f->cached_time));
	struct tm tm;

	when_local(second, &tm);
	text_bytes(&t, when_months[tm.tm_mon], 3);
	text_str(&t, tm.tm_mday < 10 ? "  " : " ");
	text_u64(&t, (unsigned)tm.tm_mday);
	text_char(&t, ' ');
	text_padded(&t, (unsigned)tm.tm_hour, 2);
	text_char(&t, ':');
	text_padded(&t, (unsigned)tm.tm_min, 2);
	text_char(&t, ':');
	text_padded(&t, (unsigned)tm.tm_sec, 2);
	f->cached_second = second;
}

/* Without its domain, which the RFC forbids here; what is all digits and dots is an address. */
static size_t host_length(const char *host)
{
	size_t length = strcspn(host, ".");

	if (!length || strspn(host, "0123456789.") == strlen(host))
		length = strlen(host);
	return length < HOST_MOST ? length : HOST_MOST;
}

static void render(struct format *f, const struct message *m, struct text *out)
{
	uint32_t ns;
	int64_t second = when_split(m->time_ns, &ns);

	if (second != f->cached_second)
		render_second(f, second);
	tag_priority(out, m);
	text_bytes(out, f->cached_time, SECOND);
	text_char(out, ' ');
	text_bytes(out, f->hostname, host_length(f->hostname));
	text_char(out, ' ');
	tag_name(out, m, "-._/", TAG_MOST);
	if (m->pid > 0) {
		text_char(out, '[');
		text_u64(out, (uint64_t)m->pid);
		text_char(out, ']');
	}
	text_bytes(out, ": ", 2);
	escape_syslog(out, m->text, m->length, false);
	text_char(out, '\n');
}

static size_t bound(const struct format *f, const struct message *m)
{
	(void)f;
	return FRAME_MOST + ESCAPE_SYSLOG_MOST * m->length;
}

const struct format_ops format_rfc3164 = { .render = render, .bound = bound };
