/*
 * alarm.h - a message of level error or worse, while calls are recorded by flight recorders: what they
 * hold is kept, as a snapshot.
 *
 * By a child that lives for as long as the copy takes, so that no message waits for it.
 */
#ifndef HARK_COLLECT_ALARM_H
#define HARK_COLLECT_ALARM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct collector;
struct message;

struct alarm {
	char *line;                /* the message, as a trace has it; NULL: there is no alarm */
	size_t line_bytes;
	uint64_t seq, ticks;
	pid_t child;               /* which makes a snapshot; 0: none does */
	uint64_t began_ns;         /* CLOCK_MONOTONIC: the last one; 0: none has */
	uint32_t made;
	bool complained;
};

void alarm_raise(struct collector *c, const struct message *message);
	/* The message has its number. Whether it is an alarm: not one that comes within a second of another
	 * (a minute, once as many were made as are kept), or while a snapshot is being made. */
void alarm_answer(struct collector *c);
	/* Once a round, after the sinks: begins what an alarm asks for, ends what is done. */
bool alarm_goes_on(const struct collector *c);
	/* A child is at work: the round has to come back soon, and the session is not over. */

#endif
