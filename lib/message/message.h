/*
 * message.h - a message: what one line of a program became, on its way to the sinks.
 *
 * Made by assemble.c out of records, read by every format. A message borrows all its text; it is
 * valid only during the call it is passed to.
 */
#ifndef HARK_MESSAGE_MESSAGE_H
#define HARK_MESSAGE_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/base/level.h"

struct message {
	uint64_t seq;         /* position in the session's order, from 1 */
	int64_t time_ns;      /* UTC, nanoseconds since 1970 */
	uint64_t ticks;       /* the same moment by the session's clock (clock.h); 0: unknown */
	enum level level;
	const char *source;   /* "stderr", "stdout", "syslog", "fd:7", "path:/x", "log", "stamp", "hark" */
	pid_t pid;            /* 0: unknown */
	pid_t tid;            /* 0: unknown */
	const char *comm;     /* the process's name; "" where unknown; may hold any bytes but NUL */
	const char *ident;    /* syslog's identification; "" elsewhere */
	int facility;         /* syslog's facility, 0 to 23; -1 elsewhere */
	bool partial;         /* cut by a time limit, a size limit or death */
	bool terminal;        /* holds what is meant for a terminal alone (see format_pretty) */
	const char *text;     /* without the final newline; any bytes, NUL too; newlines only from syslog */
	size_t length;
	const char *stack;    /* functions that it was said from, the innermost first, each ended by NUL … */
	size_t stack_bytes;   /* … all together; 0: not known */
	uint64_t stamp_id, step; /* of a public stamp; stamp_id 0: it is none */
};

const char *facility_name(int facility);
	/* "kern" "user" "mail" … "local7"; NULL where there is none */

#endif
