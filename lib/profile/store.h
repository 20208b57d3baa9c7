/*
 * store.h - the files of a trace by name, whether they are packed or not.
 *
 * NAME is read where it is there, else NAME.zst, as if it were that (packed.h). Files are opened for each
 * piece and no descriptor is held in between, so that thousands can be read side by side, and one that is
 * packed meanwhile is read on. Links are not followed; what is no plain file is none.
 *
 * One thread at a time. For whoever reads traces.
 */
#ifndef HARK_PROFILE_STORE_H
#define HARK_PROFILE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { STORE_FRAME = 32 << 10 }; /* what is best read at once begins and ends at multiples of it */

struct store;

struct store *store_open(int dir);
	/* dir: of the directory, the caller's, until the store is closed. NULL: without memory. */
void store_close(struct store *store);
ssize_t store_read(struct store *store, const char *name, void *to, size_t count, uint64_t at);
	/* How many bytes came: fewer than count where the file ends, or cannot be read any further. -ENOENT;
	 * -EINVAL: no plain file; -EBADMSG: packed, and damaged there; -EPROTO: not packed by us, or
	 * damaged as a whole; -ENOMEM, or what open(2) and read(2) say. */
uint64_t store_data(struct store *store, const char *name, uint64_t at);
	/* Where the next byte may be that is not zero, from `at` on, at the beginning of a page of 4,096 bytes
	 * or at `at`. UINT64_MAX: there is none. */
bool store_cut(struct store *store, const char *name);
	/* It is packed, and its end is missing. */
const char *store_error(ssize_t error);
	/* -errno in words, as it is meant here */

#endif
