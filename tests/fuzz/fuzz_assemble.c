/*
 * fuzz_assemble.c - libFuzzer: any sequence of records, times, ends, refusals, echoes, checkpoints.
 *
 * A model keeps what each writer said. Whatever happens, the lines of a writer are its bytes, in
 * order, each once; what a console was shown is what stands there; and a refused line is the very
 * next one.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/message/assemble.h"

#define CHECK(condition) ((condition) ? (void)0 : abort())

enum { WRITERS = 8, SAID_MOST = 1 << 19, STEPS_MOST = 400, MS = 1000000 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

/* What a writer said, and how far that has got. */
struct writer {
	char *said;
	size_t length; /* consumed by the assembler */
	size_t out;    /* taken by emit */
	size_t shown;  /* taken by echo; absolute */
};

struct model {
	struct assembler a;
	struct writer writers[WRITERS];
	struct assemble_line refused;
	bool has_refused, echoes;
	unsigned refuse; /* offers to refuse, a bit for each of the next */
	int64_t now_ns;
	const uint8_t *in;
	size_t left;
};

static unsigned next(struct model *m)
{
	if (!m->left)
		return 0;
	m->left--;
	return *m->in++;
}

static bool refuses(struct model *m)
{
	bool refuse = m->refuse & 1;

	m->refuse >>= 1;
	return refuse;
}

/* Writers differ in one part of their key each. */
static void name(struct assemble_bytes *in, unsigned writer)
{
	in->pid = 1 + (writer & 1);
	in->tid = 10 + (writer >> 1 & 1);
	in->fd = (uint16_t)(2 + (writer >> 2 & 1));
}

static struct writer *writer_of(struct model *m, const struct assemble_line *line)
{
	CHECK(line->pid - 1 < 2 && line->tid - 10 < 2 && line->fd - 2 < 2);
	return &m->writers[(line->pid - 1) | (line->tid - 10) << 1 | (unsigned)(line->fd - 2) << 2];
}

static int take(void *arg, const struct assemble_line *line)
{
	struct model *m = arg;
	struct writer *w = writer_of(m, line);
	size_t at = w->out + line->superseded;

	CHECK(line->length <= ASSEMBLE_LINE_MOST);
	CHECK(line->partial != line->ended);
	CHECK(!line->length || !memchr(line->text, '\n', line->length));
	CHECK(at + line->length + line->ended <= SAID_MOST);
	CHECK(!line->length || !memcmp(w->said + at, line->text, line->length));
	CHECK(!line->ended || w->said[at + line->length] == '\n');
	CHECK(line->length || line->ended);
	CHECK(line->shown == (w->shown > at ? w->shown - at : 0));
	if (m->has_refused) {
		CHECK(writer_of(m, &m->refused) == w && m->refused.length == line->length);
		CHECK(m->refused.ended == line->ended && m->refused.time_ns == line->time_ns);
		CHECK(m->refused.superseded == line->superseded);
	}
	m->has_refused = refuses(m);
	if (m->has_refused) {
		m->refused = *line;
		return -EAGAIN;
	}
	w->out = at + line->length + line->ended;
	return 0;
}

static int show(void *arg, const struct assemble_line *line)
{
	struct model *m = arg;
	struct writer *w = writer_of(m, line);
	size_t at = w->out + line->superseded + line->shown;

	CHECK(m->echoes && line->length && line->partial);
	CHECK(line->shown == 0 || at == w->shown);
	CHECK(at + line->length == w->length);
	CHECK(!memcmp(w->said + at, line->text, line->length));
	if (refuses(m))
		return -EAGAIN;
	w->shown = at + line->length;
	return 0;
}

/* Once a checkpoint is taken and loaded again, everything must go on as before. */
static void restart(struct model *m)
{
	static char buffer[ASSEMBLE_LIMIT];
	struct assembler fresh;
	int64_t n = assemble_save(&m->a, buffer, m->a.limit);

	CHECK(n >= 0 && (uint64_t)n <= m->a.limit);
	CHECK(assemble_init(&fresh, m->a.limit, m->echoes) == 0);
	CHECK(assemble_load(&fresh, buffer, (size_t)n) == 0);
	CHECK(fresh.pending_bytes == m->a.pending_bytes);
	CHECK(fresh.pending_lines == m->a.pending_lines);
	assemble_fini(&m->a);
	m->a = fresh;
}

static int take_anything(void *arg, const struct assemble_line *line)
{
	size_t *bytes = arg;

	CHECK(line->length && line->length <= ASSEMBLE_LINE_MOST && line->shown <= line->length);
	CHECK(!memchr(line->text, '\n', line->length));
	*bytes += line->length;
	return 0;
}

/* Bytes that are no checkpoint, or a spoilt one. */
static void load_anything(struct model *m)
{
	static char buffer[ASSEMBLE_LIMIT];
	struct assembler other;
	int64_t n = assemble_save(&m->a, buffer, sizeof(buffer));
	size_t bytes = 0, pending;

	CHECK(n >= 0 && assemble_init(&other, ASSEMBLE_LIMIT, next(m) & 1) == 0);
	for (unsigned changes = next(m) % 8; changes && n; changes--) {
		size_t at = (next(m) | next(m) << 8) % (size_t)n;

		buffer[at] = (char)next(m);
	}
	if (assemble_load(&other, buffer, (size_t)n))
		CHECK(!other.pending_lines && !other.pending_bytes);
	pending = other.pending_bytes;
	CHECK(assemble_expire(&other, m->now_ns, m->now_ns, take_anything, &bytes) == 0);
	CHECK(assemble_end(&other, 0, take_anything, &bytes) == 0);
	CHECK(bytes == pending && !other.pending_lines && !other.pending_bytes);
	assemble_fini(&other);
}

/* Says some bytes of the input, many times over where it asks for that. */
static void say(struct model *m)
{
	unsigned writer = next(m) % WRITERS, length = next(m) % 64, times = next(m);
	struct writer *w = &m->writers[writer];
	struct assemble_bytes in = { .time_ns = m->now_ns, .mirrored = false };
	size_t done = 0;

	if (length > m->left)
		length = (unsigned)m->left;
	times = times < 200 ? 1 : (times - 199) * (times - 199);
	if (!length || w->length + (size_t)length * times > SAID_MOST)
		return;
	name(&in, writer);
	in.bytes = w->said + w->length;
	in.count = (size_t)length * times;
	for (unsigned i = 0; i < times; i++)
		memcpy(w->said + w->length + (size_t)i * length, m->in, length);
	m->in += length;
	m->left -= length;
	while (assemble_feed(&m->a, &in, &done, take, m)) {
		CHECK(m->has_refused && done < in.count);
		/* what may happen between two tries */
		w->length += done;
		in.bytes += done;
		in.count -= done;
		done = 0;
		switch (next(m) % 4) {
		case 0: restart(m); break;
		case 1: assemble_echo(&m->a, m->now_ns, show, m); break;
		default: break;
		}
	}
	CHECK(done == in.count && !m->has_refused);
	w->length += done;
}

static void step(struct model *m)
{
	switch (next(m) % 8) {
	default:
		say(m);
		break;
	case 3:
		m->now_ns += (int64_t)next(m) * 5 * MS - 100 * MS;
		break;
	case 4:
		m->refuse = next(m);
		break;
	case 5:
		while (assemble_expire(&m->a, m->now_ns, m->now_ns, take, m))
			CHECK(m->has_refused);
		CHECK(m->echoes || assemble_deadline(&m->a) > m->now_ns);
		break;
	case 6: {
		unsigned pid = next(m) % 3;

		while (assemble_end(&m->a, pid, take, m))
			CHECK(m->has_refused);
		break;
	}
	case 7:
		if (next(m) & 1)
			restart(m);
		else
			load_anything(m);
		if (m->echoes)
			assemble_echo(&m->a, m->now_ns, show, m);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
	struct model m = { .in = bytes, .left = count, .now_ns = 1000 * (int64_t)MS };
	unsigned options = next(&m);

	m.echoes = options & 1;
	CHECK(assemble_init(&m.a, options & 2 ? 0 : ASSEMBLE_LIMIT, m.echoes) == 0);
	for (unsigned i = 0; i < WRITERS; i++) {
		m.writers[i].said = malloc(SAID_MOST);
		CHECK(m.writers[i].said != NULL);
	}
	for (unsigned i = 0; m.left && i < STEPS_MOST; i++)
		step(&m);
	while (assemble_end(&m.a, 0, take, &m))
		CHECK(m.has_refused);
	CHECK(!m.a.pending_lines && !m.a.pending_bytes);
	CHECK(assemble_deadline(&m.a) == INT64_MAX);
	for (unsigned i = 0; i < WRITERS; i++) {
		CHECK(m.writers[i].out == m.writers[i].length);
		free(m.writers[i].said);
	}
	assemble_fini(&m.a);
	return 0;
}
