/*
 * replay.h - the time line of a trace, for people and as JSON: what cmd_replay.c chooses from.
 */
#ifndef HARK_TOOLS_REPLAY_H
#define HARK_TOOLS_REPLAY_H

#include <stdbool.h>
#include <stdio.h>

#include "lib/format/format.h"
#include "lib/profile/calls.h"

struct replay {
	FILE *to;
	bool color;
	bool many;           /* several threads: a line says which */
	struct format pretty; /* for messages */
	/* text: a call that was entered and not shown yet; it may turn out to be a leaf */
	const struct trace_thread *waiting_thread;
	const struct call *waiting;
	char *frame;         /* a message, rendered */
	size_t frame_room;
};

/* Visitors whose `arg` is a struct replay. */
extern const struct calls_visitor replay_text, replay_json;

int replay_init(struct replay *replay, FILE *to, bool color, bool many);
	/* 0 or -EINVAL */
void replay_fini(struct replay *replay);
	/* writes what waits */
const char *replay_gap(const struct mark *mark);
	/* why records are missing, a word for JSON */
const char *replay_end(const struct call *call);
	/* "returned", "unwound" … */

#endif
