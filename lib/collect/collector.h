/*
 * collector.h - the collector's state, shared by the files of this folder and nobody else.
 */
#ifndef HARK_COLLECT_COLLECTOR_H
#define HARK_COLLECT_COLLECTOR_H

#include "lib/base/clock.h"
#include "lib/collect/alarm.h"
#include "lib/collect/callpath.h"
#include "lib/collect/checkpoint.h"
#include "lib/collect/collect.h"
#include "lib/collect/join.h"
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
	/* of the sink, as far as they are counted already */
	uint64_t lost_messages, lost_bytes, long_messages, long_bytes;
};

enum { IMAGE_PATH = 256, IMAGES_WAITING = 16, IMAGES_HEARD = 64 };

struct image {
	uint32_t pid;
	char path[IMAGE_PATH];
};

struct collector {
	const struct collect_plan *plan;
	struct session session;
	int ring_fd;
	struct reader reader;
	struct assembler lines;
	struct joiner joins;
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
	bool caught_up;             /* the ring held no more, when it was last read */
	uint64_t caught_up_ns;      /* since when that is so: CLOCK_MONOTONIC */
	bool dirty;                 /* state differs from the last checkpoint */
	uint64_t now_ns;            /* CLOCK_MONOTONIC, at the beginning of the round */
	uint64_t announced_ns;
	uint64_t mid_line_ns;       /* since when an announcement waits for the end of a line; 0: none */
	bool untold;                /* losses wait to be announced */
	uint64_t torn, corrupt;     /* of the reader, as far as they are counted already */
	bool look_at_console;       /* somebody may have been the last to hold its descriptor */
	bool look_at_polled;        /* somebody may have been the last who cannot wake us */
	uint64_t guarded_ns;        /* when a guardian was last to be started */
	uint64_t looked_ns;         /* at processes of whose end we are not told */
	uint64_t end_ns;            /* asked to end: how long what was said may still be waited for */
	uint64_t retry_ns;          /* while a full sink is waited for: when to look again */
	struct image images[IMAGES_WAITING]; /* started, not looked at yet */
	unsigned image_count;
	uint64_t heard[IMAGES_HEARD];  /* files that hooks hear, as far as remembered */
	char source[1100];
	char step[256];             /* of setting up: what is being opened, in words */
	struct collect_delivery delivery;
	struct alarm alarm;
	struct callpath callpath;
};

#define STREAM_HOLD_NS ((uint64_t)ASSEMBLE_CALL_NS)
/* The most that a message from syslog or hark_log() holds; what is longer is cut. A quarter of the
 * smallest queue where that is less, and what a datagram can hold where a sink sends those. */
enum { MESSAGE_MOST = 256 << 10, MESSAGE_MOST_DATAGRAM = 32 << 10 };

/* deliver.c: records become messages, messages frames in the sinks' queues */
int deliver_record(struct collector *c);
	/* c->record. 0: done with; -EAGAIN: a sink that may be waited for is full, call again. */
int deliver_expire(struct collector *c);
	/* Sends on what has waited too long for its rest: by the clock, or, while more is to be read, by the
	 * time of what was read last. Not between two tries of a record. 0 or -EAGAIN. */
int deliver_end(struct collector *c, uint32_t pid);
	/* The process has ended; pid 0: all have. 0 or -EAGAIN. */
uint32_t deliver_note(struct collector *c, enum level level, const char *text, uint32_t sinks);
	/* What hark itself has to say, in the streams of the sinks of that set (1 << number). Those that
	 * have no room now are passed by; the others are returned. */
int64_t deliver_time(const struct collector *c);
	/* the present, by the clock of messages */
const char *deliver_source(struct collector *c, uint8_t source, uint32_t detail);
	/* its name; good until the next call */
int64_t deliver_time_of(const struct collector *c);
	/* of c->record */
int deliver_joined(struct collector *c, const struct joined *j, size_t *kept);
	/* A message that came in several records. *kept: how many of its first bytes belong to what
	 * follows, too, where it was cut. 0 or -EAGAIN. */
int deliver_room(struct collector *c, unsigned sink, uint64_t need, bool *lost);
	/* Whether `need` bytes find room; where not, whether they are lost to this sink. 0 or -EAGAIN. */

/* echo.c: interactive consoles */
bool echo_goes_on(struct collector *c, const struct assemble_line *line, struct queue *q);
	/* Whether the console shows the line's beginning already: then the rest was put into the queue. Else
	 * the cursor is at the beginning of a line. line: NULL where the message is none. */
void echo_pending(struct collector *c, bool at_once);
	/* shows what has been pending for a moment */

/* stream.c: sinks that take bytes as they come, and whatever has to be joined first */
int stream_message(struct collector *c);
	/* c->record is a message or part of one. 0: it stands alone, and is the caller's; 1: it is kept, or
	 * was passed on with what came before; -EAGAIN. */
int stream_record(struct collector *c);
	/* c->record, once. 0 or -EAGAIN. */
int stream_go_on(struct collector *c);
	/* With what was begun and met a full sink; before, nothing else may be put into streams. 0 or
	 * -EAGAIN. */
int stream_end(struct collector *c, uint32_t pid);
int stream_expire(struct collector *c);
	/* as deliver_end() and deliver_expire() */
uint64_t stream_deadline(const struct collector *c);
	/* CLOCK_MONOTONIC: when stream_expire() has something to do; UINT64_MAX: never */

/* people.c: c->record tells of a process */
int people_joined(struct collector *c);
	/* It is there. 0 or -EAGAIN. */
void people_sandboxed(struct collector *c);

/* losses.c */
bool losses_announce(struct collector *c, bool at_once);
	/* Once a second, unless at once. Whether every stream speaks of all losses; where a queue is full,
	 * that has to wait. */
void losses_gather(struct collector *c);
void losses_resume(struct collector *c);
	/* From the checkpoint: what was counted since is lost once more, and counted then. */

/* trouble.c */
void trouble_announce(struct collector *c);
	/* Says once in a session which sinks back off, and why, on consoles and in lines of messages. */

/* image.c */
void image_started(struct collector *c);
	/* c->record names a program that is being started. */
void image_announce(struct collector *c);
	/* Says which of them no hook hears, each once in a session. */

#endif
