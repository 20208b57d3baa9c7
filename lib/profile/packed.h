/*
 * packed.h - a file of zstd frames that can be read at any place.
 *
 * Each frame holds a piece of the original, which `zstd -d` restores as a whole. At the end stands a
 * table of the frames, in a frame that decompressors skip: zstd's "seekable format", version 0.1.0.
 * Where the table is missing (the file was cut off), the frames are found one after the other.
 *
 * For store.c, which reads, and pack.c, which writes. What is read may be torn or hostile.
 */
#ifndef HARK_PROFILE_PACKED_H
#define HARK_PROFILE_PACKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PACKED_SUFFIX ".zst"

enum { PACKED_FRAME_MOST = 256 << 10 }; /* bytes of the original, in a frame that is read */

struct packed_frame {
	uint64_t at;               /* in the file */
	uint64_t from;             /* in the original */
};

struct packed {
	struct packed_frame *frames; /* and one behind the last, where it would be */
	size_t count;
	bool cut;                  /* it ends before its table */
};

int packed_index(struct packed *packed, int fd);
	/* Where the frames are. 0; -EBADMSG: there is none, or the first that there is cannot be one of
	 * ours: too large, or of unknown size; -ENOMEM; or read(2)'s. */
void packed_free(struct packed *packed);
size_t packed_find(const struct packed *packed, uint64_t offset);
	/* The frame that holds this byte of the original; its count: it is shorter. */

/* What unpacking takes: memory for one frame as it stands in the file. */
struct unpacker;

struct unpacker *unpacker_open(void);
	/* NULL: without memory */
void unpacker_close(struct unpacker *unpacker);
int unpacker_take(struct unpacker *unpacker, const struct packed *packed, int fd, size_t frame,
		  void *to);
	/* to: room for all that the frame holds. 0; -EBADMSG: it is damaged; or read(2)'s. */

/* The other way round. */
struct packer;

struct packer *packer_open(int fd, int level);
	/* fd: the caller's, written from where it stands. NULL: without memory. */
void packer_close(struct packer *packer);
int packer_put(struct packer *packer, const void *bytes, size_t count);
	/* A frame of up to PACKED_FRAME_MOST bytes. 0, -EFBIG (more frames than a table holds), -ENOMEM, or
	 * write(2)'s. */
int packer_end(struct packer *packer);
	/* The table, and all that was not written yet. */

#endif
