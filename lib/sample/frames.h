/*
 * frames.h - the stacks of messages become lists of functions, in a process of their own.
 *
 * What is read for it (the files that a program has loaded, their debug information) may be hostile,
 * huge, or on a disk that does not answer. So the collector asks by a socket, and waits only for so
 * long: `hark frames` is what it asks.
 */
#ifndef HARK_SAMPLE_FRAMES_H
#define HARK_SAMPLE_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum frames_type {
	FRAMES_MODULE, /* struct record_module and what follows it */
	FRAMES_IMAGE,  /* the process has become another program, or is a new one */
	FRAMES_STACK,  /* struct record_stack with its pieces. Answered by one of the same id. */
};

enum { FRAMES_MOST = 128, FRAMES_NAME = 256, FRAMES_TEXT = 12 << 10, FRAMES_PACKET = 64 << 10 };

/* What is known at a time, whoever tells of more. */
enum { FRAMES_PROCESSES = 1024, FRAMES_MODULES = 1024 /* of a process */, FRAMES_FILES = 2048 };

/* Each packet begins with it. What follows in an answer are frames, the innermost first, each ended by
 * NUL: FRAMES_TEXT bytes at most, none of them a control character. */
struct frames_head {
	uint32_t type, pid;
	uint64_t id;
};

int frames_serve(int socket, bool addresses);
	/* Answers until the other end is closed. addresses: "module+0x1a2b" instead of names, which takes no
	 * time. 0 or -errno. */

struct frames;

struct frames *frames_open(bool addresses);
void frames_close(struct frames *frames);
void frames_module(struct frames *frames, uint32_t pid, const void *bytes, size_t count);
void frames_image(struct frames *frames, uint32_t pid);
size_t frames_stack(struct frames *frames, uint32_t pid, const void *bytes, size_t count,
		    char text[FRAMES_TEXT]);
	/* Bytes may be anything, and of any process. How many were written to text; 0: nothing is known. */

#endif
