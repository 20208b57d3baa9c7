/*
 * callpath.h - from where messages were said: stacks that came with them, and the processes that are asked
 * for their functions.
 *
 * deliver.c's own. No message is lost or refused for its stack's sake, and none waits for long.
 */
#ifndef HARK_COLLECT_CALLPATH_H
#define HARK_COLLECT_CALLPATH_H

#include "lib/base/level.h"
#include "lib/message/assemble.h"
#include "lib/message/message.h"
#include "lib/ring/reader.h"
#include "lib/sample/frames.h"

enum {
	CALLPATH_KEPT = 16,
	CALLPATH_WORK_MS = 1000, /* of its processor's time, in which an answer must be there, */
	CALLPATH_TURN_MS = 100,
	CALLPATH_TURNS = 50,     /* and 5 s of anybody's time */
};

struct callpath_key {
	uint32_t pid, tid, detail;
	uint16_t fd;
	uint8_t source;
};

/* A stack, and its functions once they were asked for. */
struct callpath_stack {
	struct callpath_key key;
	const char *bytes;
	size_t count;                /* 0: there is none */
	bool asked;
	size_t text_bytes;
	char text[FRAMES_TEXT];
};

struct callpath_helper {
	int fd;                      /* 0: not started */
	int pid;
	uint64_t asked;              /* the id that it has not answered yet; 0: it waits for us */
	bool failed;                 /* not to be had: not tried again */
};

struct callpath {
	struct callpath_helper helper[2]; /* for names, and for addresses: see callpath.c */
	uint64_t ids;
	uint64_t position;           /* of the record in hand … */
	struct callpath_stack *now;  /* … and the stack in it; NULL: nobody has had one so far */
	bool feeding;                /* lines are made of it */
	struct callpath_stack *kept[CALLPATH_KEPT]; /* of lines that are not at their end */
	unsigned next;
};

struct collector;

bool callpath_take(struct collector *c);
	/* Takes the stack out of c->record, which then is as if there had been none. False: there is no
	 * message with it, it belongs to the next one. */
void callpath_keep(struct collector *c);
	/* c->record is done with, and a line that began in it is not. */
const struct callpath_stack *callpath_of(struct collector *c, const struct callpath_key *key,
					 enum level level, struct message *message);
	/* Enters the functions into a message of that level that has this key, if they are wanted. What they
	 * were taken from; NULL: there is none. */
void callpath_done(struct collector *c, const struct callpath_stack *stack);
	/* That message has been passed on, with its end. */
void callpath_module(struct collector *c);
	/* c->record tells of a module. */
void callpath_image(struct collector *c, uint32_t pid);
	/* Another program is in that process. */
void callpath_close(struct collector *c);

#endif
