/*
 * out.h - the file of samples that is being written: TRACE.md, lib/stamp/trace.h.
 *
 * Appended in pieces that end where a record ends. Where there is no room, what could not be written is
 * kept and tried again; in the meantime nothing is taken.
 */
#ifndef HARK_SAMPLE_OUT_H
#define HARK_SAMPLE_OUT_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/stamp/trace.h"

enum { OUT_WORDS = 64 << 10 };

struct out {
	int fd;
	uint64_t at;               /* bytes of the file that are whole */
	uint64_t words[OUT_WORDS];
	uint32_t used;
	bool stuck;                /* there was no room when it was tried last */
};

int out_open(struct out *out, const char *dir, const struct trace_samples *head);
	/* Makes DIR/samples, which must not be there: 0, or open(2)'s and write(2)'s. */
void out_close(struct out *out);
bool out_room(struct out *out, uint32_t words);
	/* whether so much can be taken now; writes what there is, if it must */
int out_flush(struct out *out);
	/* 0, or write(2)'s: what there is stays for the next time */

void out_put(struct out *out, enum trace_sample_record type, uint32_t number, uint32_t value,
	     const uint64_t *words, uint32_t count);
	/* Room has been asked for. words: what comes behind the first one. */
void out_file(struct out *out, uint32_t number, const char *build_id, const char *path);

#endif
