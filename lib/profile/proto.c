/*
 * proto.c - see proto.h.
 */
#include "lib/profile/proto.h"

#include <stdlib.h>
#include <string.h>

#include "lib/format/escape.h"

enum { VARINT = 0, BYTES = 2, VARINT_MOST = 10 };

void proto_fini(struct proto *p)
{
	free(p->at);
	*p = (struct proto){ 0 };
}

/* Where `count` bytes may be appended; NULL: there is no memory. */
static uint8_t *make_room(struct proto *p, size_t count)
{
	size_t cap = p->cap ? p->cap : 256;

	if (p->failed)
		return NULL;
	if (p->at && p->cap - p->len >= count)
		return p->at + p->len;
	while (cap - p->len < count && cap < SIZE_MAX / 4)
		cap *= 2;
	uint8_t *at = cap - p->len < count ? NULL : realloc(p->at, cap);
	if (!at) {
		p->failed = true;
		return NULL;
	}
	p->at = at;
	p->cap = cap;
	return at + p->len;
}

void proto_raw(struct proto *p, uint64_t value)
{
	uint8_t *to = make_room(p, VARINT_MOST);

	if (!to)
		return;
	for (; value >= 0x80; value >>= 7)
		*to++ = (uint8_t)(value | 0x80);
	*to++ = (uint8_t)value;
	p->len = (size_t)(to - p->at);
}

void proto_number(struct proto *p, unsigned field, uint64_t value)
{
	proto_raw(p, field << 3 | VARINT);
	proto_raw(p, value);
}

void proto_bytes(struct proto *p, unsigned field, const void *bytes, size_t count)
{
	proto_raw(p, field << 3 | BYTES);
	proto_raw(p, count);
	uint8_t *to = make_room(p, count);
	if (!to || !count)
		return;
	memcpy(to, bytes, count);
	p->len += count;
}

void proto_text(struct proto *p, unsigned field, const char *text)
{
	proto_text_of(p, field, text, strlen(text));
}

void proto_text_of(struct proto *p, unsigned field, const char *text, size_t bytes)
{
	static const char replacement[3] = "\xef\xbf\xbd";
	struct proto valid = { 0 };
	uint32_t point;

	for (size_t i = 0, length; i < bytes; i += length) {
		length = escape_utf8(text + i, bytes - i, &point);
		bool bad = point == ESCAPE_INVALID;
		uint8_t *to = make_room(&valid, length + sizeof replacement);
		if (!to)
			break;
		memcpy(to, bad ? replacement : text + i, bad ? sizeof replacement : length);
		valid.len += bad ? sizeof replacement : length;
	}
	proto_message(p, field, &valid);
	proto_fini(&valid);
}

void proto_message(struct proto *p, unsigned field, const struct proto *inner)
{
	p->failed |= inner->failed;
	proto_bytes(p, field, inner->at, inner->len);
}
