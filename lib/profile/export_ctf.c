/*
 * export_ctf.c - the Common Trace Format 1.8: a directory with a description, `metadata`, and
 * packets, `stream`.
 *
 * Functions are an enumeration, so that an event is small and readers show names all the same; what
 * it holds is known at the end, and so the description is written last. Time must not go back in a
 * stream: where it does by the length of a signal handler, the later time stands. With short calls left
 * out, calls are told when they end, as one event each: their entries would come too late.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/profile/export.h"

enum {
	PACKET = 64 << 10,   /* is written when it is as large */
	TEXT_MOST = 64 << 10,
	EVENT_MOST = 2 * TEXT_MOST,
};

enum event {
	EVENT_ENTRY, EVENT_EXIT, EVENT_CALL, EVENT_MESSAGE, EVENT_STAMP, EVENT_FIBER, EVENT_GAP,
	EVENT_DEATH, EVENT_MUTED, EVENT_TIMER, EVENTS
};

struct packet_head {
	uint32_t magic, stream;
	uint64_t begin, end, content_bits, packet_bits;
};

struct ctf {
	int dir;
	FILE *stream;
	struct export_functions functions;
	uint64_t last_ns;
	size_t length;
	uint8_t packet[PACKET + EVENT_MOST];
};

static const char metadata[] =
	"/* CTF 1.8 */\n"
	"typealias integer { size = 8; align = 8; signed = false; } := uint8_t;\n"
	"typealias integer { size = 32; align = 8; signed = true; } := int32_t;\n"
	"typealias integer { size = 32; align = 8; signed = false; } := uint32_t;\n"
	"typealias integer { size = 64; align = 8; signed = false; } := uint64_t;\n"
	"trace {\n"
	"\tmajor = 1; minor = 8; byte_order = le;\n"
	"\tpacket.header := struct { uint32_t magic; uint32_t stream_id; };\n"
	"};\n"
	"clock { name = utc; freq = 1000000000; absolute = true; offset_s = %" PRId64
	"; offset = %" PRId64 "; };\n"
	"typealias integer { size = 64; align = 8; signed = false; map = clock.utc.value; }\n"
	"\t:= instant_t;\n"
	"stream {\n"
	"\tid = 0;\n"
	"\tpacket.context := struct { instant_t timestamp_begin; instant_t timestamp_end;\n"
	"\t\tuint64_t content_size; uint64_t packet_size; };\n"
	"\tevent.header := struct { uint8_t id; instant_t timestamp; };\n"
	"\tevent.context := struct { int32_t vpid; int32_t vtid; string procname; };\n"
	"};\n";

static const struct {
	const char *name, *fields;
} events[EVENTS] = {
	[EVENT_ENTRY] = { "func_entry", "enum function function;" },
	[EVENT_EXIT] = { "func_exit", "enum function function; uint8_t end;" },
	[EVENT_CALL] = { "func_call", "enum function function; uint64_t duration; uint8_t end;" },
	[EVENT_MESSAGE] = { "message", "string level; string source; string text;" },
	[EVENT_STAMP] = { "stamp", "uint64_t id; uint64_t step; string text;" },
	[EVENT_FIBER] = { "stack", "uint64_t number;" },
	[EVENT_GAP] = { "gap", "uint64_t count;" },
	[EVENT_DEATH] = { "died", "" },
	[EVENT_MUTED] = { "muted", "" },
	[EVENT_TIMER] = { "timer", "uint64_t number; uint64_t duration; string name;" },
};

static void put(struct ctf *c, const void *bytes, size_t count)
{
	memcpy(c->packet + c->length, bytes, count);
	c->length += count;
}

static void put_u8(struct ctf *c, unsigned value)
{
	c->packet[c->length++] = (uint8_t)value;
}

static void put_u32(struct ctf *c, uint32_t value)
{
	put(c, &value, sizeof value);
}

static void put_u64(struct ctf *c, uint64_t value)
{
	put(c, &value, sizeof value);
}

/* Up to its NUL, which ends a text here. */
static void put_text(struct ctf *c, const char *text, size_t most)
{
	if (text)
		put(c, text, strnlen(text, most < TEXT_MOST ? most : TEXT_MOST));
	put_u8(c, 0);
}

static void put_packet(struct ctf *c)
{
	struct packet_head head;

	if (c->length <= sizeof head)
		return;
	memcpy(&head, c->packet, sizeof head);
	head.end = c->last_ns;
	head.content_bits = head.packet_bits = 8 * c->length;
	memcpy(c->packet, &head, sizeof head);
	fwrite(c->packet, 1, c->length, c->stream);
	c->length = 0;
}

static void start_event(struct export *e, enum event event, uint64_t at, int32_t pid, int32_t tid,
			const char *comm)
{
	struct ctf *c = e->state;

	if (at > c->last_ns)
		c->last_ns = at;
	if (c->length >= PACKET)
		put_packet(c);
	if (!c->length) {
		const struct packet_head head = { .magic = 0xc1fc1fc1, .begin = c->last_ns };
		put(c, &head, sizeof head);
	}
	put_u8(c, event);
	put_u64(c, c->last_ns);
	put_u32(c, (uint32_t)pid);
	put_u32(c, (uint32_t)tid);
	put_text(c, comm, SIZE_MAX);
}

static void put_call(struct export *e, enum event event, uint64_t at,
		     const struct trace_thread *thread, const struct call *call)
{
	struct ctf *c = e->state;
	bool first;
	int64_t place = export_function(&c->functions, call->function, &first);

	if (place < 0) {
		export_fail(e, (int)place);
		return;
	}
	start_event(e, event, at, thread->image->pid, thread->tid, thread->comm);
	put_u32(c, (uint32_t)place);
}

static void enter(void *arg, const struct trace_thread *thread, struct call *call)
{
	struct export *e = arg;

	if (!e->late)
		put_call(e, EVENT_ENTRY, export_since(e, call->begin_ns), thread, call);
}

static void leave(void *arg, const struct trace_thread *thread, struct call *call)
{
	struct export *e = arg;
	struct ctf *c = e->state;
	uint64_t begin = export_since(e, call->begin_ns), end = export_since(e, call->end_ns);

	put_call(e, e->late ? EVENT_CALL : EVENT_EXIT, end, thread, call);
	if (e->error)
		return;
	if (e->late)
		put_u64(c, end > begin ? end - begin : 0);
	put_u8(c, call->end);
}

static void mark(void *arg, const struct trace_thread *thread, const struct mark *mark,
		 const struct call *innermost)
{
	static const enum event kinds[] = {
		[MARK_STAMP] = EVENT_STAMP, [MARK_GAP] = EVENT_GAP, [MARK_MESSAGE] = EVENT_MESSAGE,
		[MARK_FIBER] = EVENT_FIBER, [MARK_DEATH] = EVENT_DEATH, [MARK_MUTED] = EVENT_MUTED,
		[MARK_TIMER] = EVENT_TIMER,
	};
	struct export *e = arg;
	struct ctf *c = e->state;

	(void)innermost;
	if ((unsigned)mark->kind >= sizeof kinds / sizeof *kinds)
		return;
	start_event(e, kinds[mark->kind], export_since(e, mark->time_ns),
		    thread ? thread->image->pid : mark->pid, thread ? thread->tid : mark->tid,
		    thread ? thread->comm : "");
	if (mark->kind == MARK_MESSAGE) {
		put_text(c, mark->level, 64);
		put_text(c, mark->source, 4096);
	}
	if (mark->kind == MARK_STAMP || mark->kind == MARK_GAP || mark->kind == MARK_FIBER ||
	    mark->kind == MARK_TIMER)
		put_u64(c, mark->id);
	if (mark->kind == MARK_STAMP)
		put_u64(c, mark->step);
	if (mark->kind == MARK_TIMER)
		put_u64(c, mark->took_ns);
	if (mark->kind == MARK_MESSAGE || mark->kind == MARK_STAMP || mark->kind == MARK_TIMER)
		put_text(c, mark->text, mark->text_bytes);
}

static FILE *open_in(int dir, const char *name)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "w");

	if (!file && fd >= 0)
		close(fd);
	return file;
}

static int ctf_open(struct export *e)
{
	if (mkdir(e->path, 0777) != 0 && errno != EEXIST)
		return -errno;
	struct ctf *c = calloc(1, sizeof *c);
	if (!c)
		return -ENOMEM;
	c->dir = open(e->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	c->stream = c->dir < 0 ? NULL : open_in(c->dir, "stream");
	if (!c->stream) {
		int error = errno;

		if (c->dir >= 0)
			close(c->dir);
		free(c);
		return -error;
	}
	e->state = c;
	return 0;
}

/* A string of the description: backslashes and quotation marks are the only escapes that it needs. */
static void put_quoted(FILE *to, const char *text)
{
	putc('"', to);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			putc('\\', to);
		putc((unsigned char)*text < 0x20 ? '_' : *text, to);
	}
	putc('"', to);
}

static int put_metadata(struct export *e)
{
	const struct ctf *c = e->state;
	int64_t start = e->dir->realtime_ns;
	FILE *to = open_in(c->dir, "metadata");

	if (!to)
		return -errno;
	fprintf(to, metadata, start / 1000000000, start % 1000000000);
	fputs("env { tracer_name = \"hark\"; hostname = ", to);
	put_quoted(to, e->dir->host ? e->dir->host : "");
	fputs("; command = ", to);
	put_quoted(to, e->dir->command ? e->dir->command : "");
	fputs("; };\nenum function : uint32_t {\n", to);
	for (uint32_t i = 0; i < c->functions.count; i++) {
		putc('\t', to);
		put_quoted(to, c->functions.rows[i]->name);
		fprintf(to, " = %" PRIu32 ",\n", i);
	}
	fprintf(to, "\t\"\" = %" PRIu32 "\n};\n", c->functions.count);
	for (unsigned i = 0; i < EVENTS; i++)
		fprintf(to,
			"event { id = %u; name = \"%s\"; stream_id = 0;"
			" fields := struct { %s }; };\n",
			i, events[i].name, events[i].fields);
	int failed = ferror(to);
	return fclose(to) != 0 || failed ? -EIO : 0;
}

static int ctf_close(struct export *e)
{
	struct ctf *c = e->state;
	int rc = 0;

	put_packet(c);
	if (!e->error)
		rc = put_metadata(e);
	errno = EIO;
	bool failed = ferror(c->stream) != 0;
	if ((fclose(c->stream) != 0 || failed) && !rc)
		rc = -errno;
	close(c->dir);
	export_functions_fini(&c->functions);
	free(c);
	return rc;
}

const struct export_ops export_ctf = {
	.open = ctf_open,
	.close = ctf_close,
	.visitor = { .enter = enter, .leave = leave, .mark = mark },
	.merged = true,
	.directory = true,
};
