/*
 * checkpoint.h - all that a collector knows, written down after each batch.
 *
 * A file of the session's directory holds two slots; the older one is overwritten, then declared the
 * newer. Whoever is killed in between leaves the other one whole. Sinks are given only what a
 * checkpoint covers, so the next collector repeats nothing but the last batch, with the same numbers.
 */
#ifndef HARK_COLLECT_CHECKPOINT_H
#define HARK_COLLECT_CHECKPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/session/control.h"

enum { CHECKPOINT_LINES = 256 << 10, CHECKPOINT_JOINS = 1 << 20, CHECKPOINT_PEOPLE = 512 };

/* A process of the session that may still have something in the ring. It may be gone when the next
 * collector looks, and with it its name. */
struct checkpoint_person {
	uint64_t start;        /* process_start(), 0: unknown */
	uint32_t pid;
	uint8_t foreign, sandboxed;
	char comm[16];
};

enum { CHECKPOINT_DEAF = 16 };

struct checkpoint {
	uint64_t position;     /* of the next record */
	uint64_t done;         /* bytes of that record that became messages already */
	uint32_t streamed;     /* that record is with the sinks that take bytes as they come, or joined */
	uint32_t console_open; /* the console's last line has no newline yet */
	uint64_t console_writer; /* … and this (tid, descriptor) wrote it */
	uint64_t seq;
	int64_t time_ns;       /* of the latest message: time does not run backwards */
	uint64_t messages, bytes, records;
	struct told {
		uint64_t messages, bytes;
	} told[CONTROL_SINKS][LOST_NR]; /* losses that the sink's stream speaks of */
	struct told lost[LOST_NR]; /* counted by collectors; the others are the producers' */
	uint64_t heads[CONTROL_SINKS];
	uint64_t lines_bytes;  /* of unfinished lines, as assemble_save() wrote them */
	uint64_t joins_bytes;  /* of calls of which only a part has come, as join_save() wrote them */
	uint64_t troubled;     /* sinks of which it was said that they cannot be reached (1 << number) */
	uint64_t open_lines;   /* streams of bytes whose last one was no newline (1 << number) */
	uint64_t people;       /* processes, as watch_save() wrote them */
	uint64_t sandboxes;    /* processes that said they will not wake us (control->polled) */
	uint64_t deaf[CHECKPOINT_DEAF]; /* programs of which it was said that no hook hears them */
	uint64_t deaf_count;
};

struct checkpoint_slot;

struct checkpoint_file {
	struct checkpoint_slot *slots; /* two, mapped; behind them, two places for joins */
	int fd;
	bool joins;            /* these two have memory: few sessions need it */
	uint64_t generation;
	uint64_t people_version[2]; /* by slot: what it holds, by the watch's count of changes */
};

int checkpoint_open(struct checkpoint_file *f, const char *path);
	/* Creates or maps. 0, -ENOSPC, -EINVAL, -EPERM (somebody else's), or open(2)'s and mmap(2)'s. */
void checkpoint_close(struct checkpoint_file *f);
bool checkpoint_load(struct checkpoint_file *f, struct checkpoint *state, const void **lines);
	/* The newest; false where there is none yet. *lines: state->lines_bytes of them, in the file. */
const void *checkpoint_loaded_joins(const struct checkpoint_file *f);
	/* of the newest, state->joins_bytes of them; only directly after a successful load */
const struct checkpoint_person *checkpoint_loaded_people(const struct checkpoint_file *f);
	/* likewise, state->people of them; they may be anything, and change meanwhile */
struct checkpoint_person *checkpoint_people(struct checkpoint_file *f, uint64_t version);
	/* Where the next checkpoint's processes go, CHECKPOINT_PEOPLE of them. NULL: those of that version
	 * are there already, and state->people is right. */
void *checkpoint_lines(struct checkpoint_file *f);
	/* where the next checkpoint's lines go, CHECKPOINT_LINES bytes */
bool checkpoint_can_join(struct checkpoint_file *f);
	/* Whether there is memory for joins; the first call asks for it. */
void *checkpoint_joins(struct checkpoint_file *f);
	/* Where the next checkpoint's joins go, CHECKPOINT_JOINS bytes. Only if checkpoint_can_join(). */
void checkpoint_save(struct checkpoint_file *f, const struct checkpoint *state);

#endif
