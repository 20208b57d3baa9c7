/*
 * lost.c - see lost.h. Called by the collector for what it announces in the stream, and by the tools.
 */
#include "lib/session/lost.h"

static const struct {
	const char *key, *sentence;
} reasons[LOST_NR] = {
	[LOST_FULL] = { "full", "the ring was full, and the overflow policy said so" },
	[LOST_OVERWRITTEN] = { "overwritten", "newer messages took their place in the ring" },
	[LOST_TORN] = { "torn", "their writer died in the middle of the call" },
	[LOST_CORRUPT] = { "corrupt", "the ring held bytes that make no sense" },
	[LOST_SINK] = { "sink", "a sink's queue was full, and its policy said so" },
	[LOST_TOO_LONG] = { "too_long", "larger than the sink can take at once" },
};

const char *lost_key(enum lost_reason reason)
{
	return (unsigned)reason < LOST_NR ? reasons[reason].key : "unknown";
}

const char *lost_sentence(enum lost_reason reason)
{
	return (unsigned)reason < LOST_NR ? reasons[reason].sentence : "for a reason unknown";
}
