/*
 * trace_dir.h - a trace as a whole: identity, images, modules, threads and where their segments are.
 *
 * Read at once; what is in the segments is read later, by cursor.h. Everything may be torn or hostile.
 */
#ifndef HARK_PROFILE_TRACE_DIR_H
#define HARK_PROFILE_TRACE_DIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "lib/profile/store.h"
#include "lib/stamp/trace.h"

struct trace_module {
	uint32_t image, number;
	uint64_t base, bytes;
	uint64_t loaded, unloaded; /* ticks; unloaded: UINT64_MAX where it never was */
	const char *path, *build_id;
	bool calls;                /* no module of the program's, but the library functions it called */
};

/* A function of such a module. */
struct trace_call {
	uint32_t image;
	uint64_t offset;
	const char *name, *library; /* as it is linked; the library's path */
};

struct trace_image {
	uint32_t number, parent;
	int32_t pid;
	uint64_t ticks;
	const char *path, *comm;
	struct trace_module *modules; /* in the order of their numbers, gaps are zeroed */
	size_t module_count;
	bool sampled;              /* of a process whose stacks were looked at */
};

struct trace_part {
	uint64_t at;               /* in the image's file */
	struct trace_segment head; /* checked */
};

struct samples_thread;

struct trace_thread {
	const struct trace_image *image;
	uint32_t number;
	int32_t tid;
	char comm[17];
	struct trace_part *parts;  /* in order */
	size_t part_count;
	struct samples_thread *sampled; /* NULL: what it called was recorded */
};

enum { TRACE_THREAD_NAME = 32 };

static inline const char *trace_thread_name(const struct trace_thread *thread,
					    char name[TRACE_THREAD_NAME])
	/* Its comm; whose times are estimates is told apart from who was recorded. */
{
	snprintf(name, TRACE_THREAD_NAME, "%s%s", thread->comm,
		 thread->sampled ? " (sampled)" : "");
	return name;
}

/* A line of `events` that is neither image nor module. */
enum trace_note_kind { TRACE_NOTE_MUTED, TRACE_NOTE_GAP };

struct trace_note {
	enum trace_note_kind kind;
	uint32_t image;
	int32_t tid;               /* of a gap */
	uint32_t module;           /* of who was muted */
	uint64_t offset, calls;
	uint64_t ticks;
	enum trace_gap gap;
};

struct trace_dir {
	char *path;
	int fd;                    /* of the directory */
	struct store *store;       /* its files */
	char mode[16];
	char *command, *directory, *host;
	int32_t pid;
	bool flight;
	struct trace_image *images;
	size_t image_count;
	struct trace_thread *threads; /* by image, then number */
	size_t thread_count;
	struct trace_note *notes;
	size_t note_count;
	struct trace_call *calls;     /* by image, module, offset */
	size_t call_count;
	unsigned unfiltered;       /* modules whose functions the recorder had no names for */
	int unfiltered_error;      /* why, of the first: an errno */
	uint64_t bytes;            /* of all segments */
	struct samples *samples;   /* NULL: there are none */
	struct trace_module *sample_files;
	size_t sample_file_count;
	/* the clock */
	bool counter;
	uint64_t first_ticks, first_ns; /* of the identity: CLOCK_MONOTONIC */
	int64_t realtime_ns;
	double ns_per_tick;
	unsigned torn;             /* places that could not be read, said once by the tools */
	char trouble[256];         /* the first of them, in words */
	char *identity, *events;   /* the files' text, which others point into */
};

int trace_dir_open(struct trace_dir *dir, const char *path, char *why, size_t why_bytes);
	/* 0; -ENOENT: no trace there; -EPROTO: another version, or none of ours; what open(2) says. why: a
	 * sentence for people, with what to do. */
void trace_dir_close(struct trace_dir *dir);
ssize_t trace_dir_read(const struct trace_dir *dir, uint32_t image, void *to, size_t count,
		       uint64_t at);
	/* Of the image's segments, as store_read() does. */
bool trace_dir_stands(const struct trace_dir *dir, const struct trace_part *part);
	/* It has not been written over: what was read of it before this call is it. */
bool trace_dir_moved(struct trace_dir *dir, struct trace_part *part);
	/* One that does not stand: part->at is where its copy is. False: there is none. */
bool trace_dir_runs(const struct trace_dir *dir, const struct trace_image *image, int32_t tid);
	/* This thread of the image is there still, on this machine. tid: its pid asks for the process. */
void trace_dir_torn(struct trace_dir *dir, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
	/* counts a place that could not be read, and keeps the first one's words */
const struct trace_module *trace_dir_module(const struct trace_image *image, uint32_t number);
	/* NULL: the trace says nothing of it */
const struct trace_call *trace_dir_call(const struct trace_dir *dir, uint32_t image,
					uint64_t offset);
	/* NULL: the trace does not say its name */
int64_t trace_dir_ns(const struct trace_dir *dir, uint64_t ticks);
	/* UTC in nanoseconds since 1970 */

#endif
