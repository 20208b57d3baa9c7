/*
 * collector.h - the collector's state, shared by the files of this folder and nobody else.
 */
#ifndef HARK_COLLECT_COLLECTOR_H
#define HARK_COLLECT_COLLECTOR_H

#include "lib/base/clock.h"
#include "lib/collect/checkpoint.h"
#include "lib/collect/collect.h"
#include "lib/collect/watch.h"
#include "lib/message/assemble.h"
#include "lib/message/message.h"
#include "lib/ring/reader.h"
#include "lib/session/session.h"
#include "lib/sink/sink.h"

struct route {
	bool stream;       /* takes bytes as they come, not messages */
	bool console;
	bool interactive;  /* a console that shows unfinished lines */
	uint64_t lost_messages, lost_bytes; /* of the sink, as far as they are counted already */
};

struct collector {
	const struct collect_plan *plan;
	struct session session;
	int ring_fd;
	struct reader reader;
	struct assembler lines;
	struct clock_map clock;
	struct checkpoint_file file;
	struct checkpoint state;
	struct watch watch;
	struct sink sinks[CONTROL_SINKS];
	struct route routes[CONTROL_SINKS];
	unsigned sink_count;
	bool any_lines;             /* some sink takes messages */
	struct reader_record record;
	bool in_hand;               /* record is being delivered */
	bool dirty;                 /* state differs from the last checkpoint */
	uint64_t now_ns;            /* CLOCK_MONOTONIC, at the beginning of the round */
	uint64_t announced_ns;
	bool untold;                /* losses wait to be announced */
	uint64_t torn, corrupt;     /* of the reader, as far as they are counted already */
	bool look_at_console;       /* somebody may have been the last to hold its descriptor */
	uint64_t retry_ns;          /* while a full sink is waited for: when to look again */
	char source[1100];
	struct collect_delivery delivery;
};

/* deliver.c: records become messages, messages frames in the sinks' queues */
int deliver_record(struct collector *c);
	/* c->record. 0: done with; -EAGAIN: a sink that may be waited for is full, call again. */
int deliver_expire(struct collector *c);
int deliver_end(struct collector *c, uint32_t pid);
uint32_t deliver_note(struct collector *c, enum level level, const char *text, uint32_t sinks);
	/* What hark itself has to say, in the streams of the sinks of that set (1 << number). Those that
	 * have no room now are passed by; the others are returned. */
void deliver_echo(struct collector *c, bool at_once);
int64_t deliver_time(const struct collector *c);
	/* the present, by the clock of messages */

/* losses.c */
bool losses_announce(struct collector *c, bool at_once);
	/* Once a second, unless at once. Whether every stream speaks of all losses; where a queue is full,
	 * that has to wait. */
void losses_gather(struct collector *c);

#endif
