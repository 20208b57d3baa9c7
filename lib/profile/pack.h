/*
 * pack.h - packs a file of a trace, NAME into NAME.zst, and unpacks it, so that there is always a whole
 * one: the new one is made beside it, brought to the disk and renamed; then the old one is removed. Where
 * that is cut off, both may be there, and NAME is the one that counts; whoever begins again finishes it.
 *
 * For `hark pack`. Nobody may write to the file meanwhile. Links are not followed.
 */
#ifndef HARK_PROFILE_PACK_H
#define HARK_PROFILE_PACK_H

#include <stdbool.h>
#include <stdint.h>

enum { PACK_NAME = 64 };

enum pack_state { PACK_COPY, PACK_SYNC, PACK_RENAME, PACK_SYNC_NAME, PACK_REMOVE, PACK_DONE };

struct pack {
	enum pack_state state;
	uint64_t all, done;        /* bytes of what is read, and how far it is */
	uint64_t made;             /* bytes of the new one, from PACK_RENAME on */
	/* for pack.c */
	int dir, from, to;
	bool unpack;
	char old[PACK_NAME], new[PACK_NAME], beside[PACK_NAME + 8];
	struct pack_work *work;
	uint64_t size, mtime;      /* of the old one, when it was begun */
};

bool pack_wants(const char *name, char plain[PACK_NAME], bool *packed);
	/* Whether it is a file that is packed, or one that was: its name without .zst, and which of them. */
int pack_begin(struct pack *pack, int dir, const char *plain, bool unpack);
	/* dir: of the directory, the caller's. 0; -ENOENT: there is nothing to do; -EINVAL: no plain file;
	 * -EEXIST: a folder is in the way, or, where it is to be unpacked, a NAME that is not what NAME.zst
	 * holds; -EBADMSG: packed, and damaged; -EPROTO: or not packed by us;
	 * -ENOMEM, or what the system says. Whatever comes of it, pack_end() follows. */
int pack_step(struct pack *pack);
	/* One step. 1: there are more; 0: done; -EBUSY: somebody writes to the file; else as pack_begin() and
	 * write(2). The old file is there, and whole, until the last step. */
void pack_end(struct pack *pack);
	/* Frees what it has, and removes the new file if it is not finished. */

#endif
