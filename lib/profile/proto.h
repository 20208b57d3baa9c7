/*
 * proto.h - the wire format of protocol buffers, for the exports that are written in it.
 *
 * A message is built in memory; one inside another is built first and put in. Numbers of fields are
 * those of the public definitions, and stand where they are used.
 */
#ifndef HARK_PROFILE_PROTO_H
#define HARK_PROFILE_PROTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct proto {
	uint8_t *at;
	size_t len, cap;
	bool failed;         /* no memory: what is there is worthless */
};

void proto_fini(struct proto *p);
static inline void proto_clear(struct proto *p)
{
	p->len = 0;
}
void proto_raw(struct proto *p, uint64_t value);
	/* a varint without a field, as packed fields hold them */
void proto_number(struct proto *p, unsigned field, uint64_t value);
	/* int32, int64, uint32, uint64, bool or enum; negative ones are given as they are cast */
void proto_bytes(struct proto *p, unsigned field, const void *bytes, size_t count);
void proto_text(struct proto *p, unsigned field, const char *text);
	/* Protobuf's strings are UTF-8: what is none becomes U+FFFD. */
void proto_text_of(struct proto *p, unsigned field, const char *text, size_t bytes);
void proto_message(struct proto *p, unsigned field, const struct proto *inner);

#endif
