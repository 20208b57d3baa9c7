/*
 * packed_table.h - the table of frames at the end of a packed file: zstd's seekable format, 0.1.0.
 *
 * A skippable frame: a head (magic number, the bytes that follow), for each frame an entry (the bytes that
 * it takes in the file, those that it holds, perhaps a checksum), a foot (how many entries, a byte of
 * flags, a magic number). All numbers are little endian.
 */
#ifndef HARK_PROFILE_PACKED_TABLE_H
#define HARK_PROFILE_PACKED_TABLE_H

#include <stdint.h>

#define TABLE_SKIPPED UINT32_C(0x184D2A5E)
#define TABLE_MAGIC UINT32_C(0x8F92EAB1)

enum {
	TABLE_HEAD = 8,
	TABLE_FOOT = 9,
	TABLE_FRAMES = 0x8000000,  /* the most that it may tell of */
	TABLE_CHECKSUMS = 0x80,    /* flags: an entry has 12 bytes, not 8 */
	TABLE_RESERVED = 0x7c,     /* must be 0 */
};

#endif
