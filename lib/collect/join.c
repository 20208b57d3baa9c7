/*
 * join.c - see join.h.
 */
#include "lib/collect/join.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct saved_head {
	uint32_t magic, count;
};

struct saved_call {
	int64_t time_ns;
	uint64_t ticks;
	uint32_t pid, tid, detail;
	uint16_t fd;
	uint8_t source, kind;
	uint32_t bytes, passed;
	uint32_t flags; /* enum saved_flags */
	/* text */
};

enum saved_flags { MIRRORED = 1, CONTINUED = 2, WHOLE = 4, CUT = 8, LEAVING = 16 };

static const uint32_t saved_magic = 0x336e6f6a; /* its last digit is the version */

enum { FIRST_ROOM = 32 << 10 };

static bool fits(const struct joiner *all, size_t bytes)
{
	size_t used = all->saved_bytes ? all->saved_bytes : sizeof(struct saved_head);
	return bytes <= JOIN_LIMIT && used + bytes <= JOIN_LIMIT;
}

struct joined *join_find(const struct joiner *all, const struct reader_record *r)
{
	struct joined *j = all->first;

	while (j && !(j->pid == r->pid && j->tid == r->tid && j->fd == r->fd &&
		      j->source == r->source && j->detail == r->detail && j->kind == r->kind))
		j = j->next;
	return j;
}

struct joined *join_of(const struct joiner *all, uint32_t pid)
{
	struct joined *j = all->first;

	while (j && pid && j->pid != pid)
		j = j->next;
	return j;
}

static void detach(struct joiner *all, struct joined *j)
{
	struct joined **at = &all->first;

	while (*at != j)
		at = &(*at)->next;
	*at = j->next;
}

static void attach(struct joiner *all, struct joined *j)
{
	struct joined **at = &all->first;

	while (*at)
		at = &(*at)->next;
	*at = j;
	j->next = NULL;
}

static bool reserve(struct joined *j, size_t bytes)
{
	size_t room = j->room ? j->room : FIRST_ROOM;

	while (room < bytes)
		room *= 2;
	char *text = room == j->room ? j->text : realloc(j->text, room);
	if (!text)
		return false;
	j->text = text;
	j->room = room;
	return true;
}

static struct joined *open_call(struct joiner *all, const struct joined *like, size_t bytes)
{
	if (all->count == JOIN_MOST || !fits(all, sizeof(struct saved_call) + bytes))
		return NULL;
	struct joined *j = malloc(sizeof *j);
	if (!j)
		return NULL;
	*j = *like;
	if (!reserve(j, bytes)) {
		free(j);
		return NULL;
	}
	if (!all->count++)
		all->saved_bytes = sizeof(struct saved_head);
	all->saved_bytes += sizeof(struct saved_call);
	attach(all, j);
	return j;
}

static void append(struct joiner *all, struct joined *j, const char *bytes, size_t count)
{
	if (count)
		memcpy(j->text + j->bytes, bytes, count);
	j->bytes += count;
	all->saved_bytes += count;
}

struct joined *join_add(struct joiner *all, struct joined *to, const struct reader_record *r,
			int64_t time_ns, uint64_t now_ns)
{
	const struct joined like = {
		.pid = r->pid, .tid = r->tid, .detail = r->detail, .fd = r->fd, .source = r->source,
		.kind = r->kind, .mirrored = r->flags & RECORD_MIRRORED,
		.continued = r->flags & RECORD_CONTINUES, .time_ns = time_ns,
		.ticks = r->ticks,
	};

	if (!to)
		to = open_call(all, &like, r->bytes);
	else if (!fits(all, r->bytes) || !reserve(to, to->bytes + r->bytes))
		to = NULL;
	if (!to)
		return NULL;
	append(all, to, r->payload, r->bytes);
	to->touched_ns = now_ns;
	detach(all, to);
	attach(all, to);
	return to;
}

void join_shorten(struct joiner *all, struct joined *j, size_t bytes)
{
	all->saved_bytes -= j->bytes - bytes;
	j->bytes = bytes;
}

void join_release(struct joiner *all, struct joined *j)
{
	detach(all, j);
	if (all->leaving == j)
		all->leaving = NULL;
	all->saved_bytes -= sizeof(struct saved_call) + j->bytes;
	if (!--all->count)
		all->saved_bytes = 0;
	free(j->text);
	free(j);
}

void join_fini(struct joiner *all)
{
	while (all->first)
		join_release(all, all->first);
}

/* ---- the checkpoint ----------------------------------------------------------------------------- */

size_t join_save(const struct joiner *all, void *buffer)
{
	struct saved_head head = { saved_magic, all->count };
	char *to = buffer;

	if (!all->count)
		return 0;
	memcpy(to, &head, sizeof head);
	to += sizeof head;
	for (const struct joined *j = all->first; j; j = j->next) {
		struct saved_call call = {
			.time_ns = j->time_ns, .ticks = j->ticks,
			.pid = j->pid, .tid = j->tid, .detail = j->detail,
			.fd = j->fd, .source = j->source, .kind = j->kind,
			.bytes = (uint32_t)j->bytes, .passed = (uint32_t)j->passed,
			.flags = (j->mirrored ? MIRRORED : 0u) | (j->continued ? CONTINUED : 0u) |
				 (j->whole ? WHOLE : 0u) | (j->cut ? CUT : 0u) |
				 (j == all->leaving ? LEAVING : 0u),
		};
		memcpy(to, &call, sizeof call);
		memcpy(to + sizeof call, j->text, j->bytes);
		to += sizeof call + j->bytes;
	}
	return (size_t)(to - (char *)buffer);
}

static int load_call(struct joiner *all, const char **at, const char *end, uint64_t now_ns)
{
	struct saved_call call;

	if ((size_t)(end - *at) < sizeof call)
		return -EINVAL;
	memcpy(&call, *at, sizeof call); /* a copy, since it may change meanwhile */
	*at += sizeof call;
	if (call.bytes > (size_t)(end - *at) || call.passed > call.bytes ||
	    (call.flags & LEAVING && all->leaving))
		return -EINVAL;
	const struct joined like = {
		.pid = call.pid, .tid = call.tid, .detail = call.detail, .fd = call.fd,
		.source = call.source, .kind = call.kind, .passed = call.passed,
		.mirrored = call.flags & MIRRORED, .continued = call.flags & CONTINUED,
		.whole = call.flags & WHOLE, .cut = call.flags & CUT, .time_ns = call.time_ns,
		.ticks = call.ticks,
		.touched_ns = now_ns,
	};
	struct joined *j = open_call(all, &like, call.bytes);
	if (!j)
		return -ENOMEM;
	append(all, j, *at, call.bytes);
	*at += call.bytes;
	if (call.flags & LEAVING)
		all->leaving = j;
	return 0;
}

int join_load(struct joiner *all, const void *buffer, size_t bytes, uint64_t now_ns)
{
	const char *at = buffer, *end = at + bytes;
	struct saved_head head;
	int error = 0;

	if (bytes < sizeof head)
		return -EINVAL;
	memcpy(&head, at, sizeof head);
	at += sizeof head;
	if (head.magic != saved_magic || head.count > JOIN_MOST)
		return -EINVAL;
	for (uint32_t i = 0; !error && i < head.count; i++)
		error = load_call(all, &at, end, now_ns);
	if (error)
		join_fini(all);
	return error;
}
