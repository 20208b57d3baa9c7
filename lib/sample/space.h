/*
 * space.h - who is sampled: processes with what is mapped in them, threads, and the files.
 *
 * As the kernel tells of it, in the order of time: so an address is looked up in what was there when the
 * sample was taken.
 */
#ifndef HARK_SAMPLE_SPACE_H
#define HARK_SAMPLE_SPACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/image/unwind.h"

struct space_file {
	uint32_t number;           /* from 1 on */
	char *path;
	char *build_id;            /* in hexadecimal; "": not known */
	struct unwind_module *module; /* NULL: memory without a file, or a name for what has none */
	bool opened;
	uint64_t inode, device;
	pid_t made_by;             /* 0, or of "[anonymous]": whose code it is, */
	uid_t owner;               /* as who that process ran; -1: not known */
	int64_t since;             /* and when it began, in seconds of CLOCK_REALTIME */
};

struct space_map {
	uint64_t start, end;
	int64_t shift;             /* address + shift: offset from the module's base */
	struct space_file *file;
};

struct space_process {
	pid_t pid;
	struct space_map *maps;    /* sorted, none over another */
	size_t count, room;
	bool missed;               /* an address was looked for that lies in none of them */
	bool begins;               /* it has executed a program, of whose own code no sample was met yet */
	bool hidden;               /* its number is another one's here: /proc says nothing of it */
	uint64_t read_ns;          /* when its maps were last read */
	uint32_t asked;            /* how many of its threads were, the last time; 0: all */
	struct space_process *next;
};

struct space_saved { uint64_t pc, cfa; uint32_t node; };

struct space_thread {
	pid_t tid, pid;
	uint32_t number;           /* from 1 on; 0: nobody has told of it yet */
	char comm[16];
	uint64_t left_ns;          /* since when it does not run; 0: it runs */
	uint64_t owed_ns;          /* that no sample stands for yet */
	uint32_t waits_in;         /* the node where it stopped running; 0: not known */
	bool preempted;            /* it would run if it could */
	bool blocked;              /* SIGPROF, when it was looked at last, */
	bool unlooked;             /* it said that it begins so, and nobody has looked yet */
	bool seen;                 /* and whether it has had a sample since */
	uint64_t blocked_ns;       /* the processor time that it had consumed then */
	uint64_t unseen_ns;        /* consumed while it was blocked, that no GAP has told of yet */
	bool asked;                /* /proc, what it waits in since left_ns */
	uint32_t answer;           /* the node of what /proc said; 0: nothing */
	uint64_t answered_ns;      /* when: it counts if the thread still waited then */
	struct space_saved *saved; /* its last whole stack, the leaf first */
	size_t saved_count, saved_room;
	struct space_thread *next;
};

enum { SPACE_SLOTS = 4096 };

struct space {
	struct space_process *processes[SPACE_SLOTS];
	struct space_thread *threads[SPACE_SLOTS];
	struct space_file **files;
	size_t file_count, process_count;
	uint32_t thread_count;
};

struct space *space_open(void);
	/* NULL: without memory */
void space_close(struct space *space);
struct space_process *space_process(struct space *space, pid_t pid);
	/* made where it is not there; NULL: without memory */
struct space_thread *space_thread(struct space *space, pid_t pid, pid_t tid);
void space_fork(struct space *space, pid_t parent, pid_t pid, pid_t tid);
	/* a process or a thread */
void space_exec(struct space *space, pid_t pid);
void space_exit(struct space *space, pid_t pid, pid_t tid);
void space_sweep(struct space *space, bool (*gone)(pid_t pid, pid_t tid));
	/* Those threads, and processes with all of theirs, of whose end nobody tells. */
struct space_file *space_file(struct space *space, const char *path, uint64_t device,
			      uint64_t inode);
	/* NULL: without memory. Two of one path are two where device or inode differ. */
struct space_file *space_made(struct space *space, pid_t pid);
	/* "[anonymous]": the code that a process made at run time. Its build_id is "perf-PID.map", the name
	 * under which the process may have told what it is. NULL: without memory */
struct space_map *space_map(struct space *space, struct space_process *process, uint64_t start,
			    uint64_t bytes, uint64_t at, struct space_file *file);
	/* at: the byte of the file that is first. What was mapped there before is not there any more.
	 * NULL: without memory */
struct space_map *space_module(struct space *space, struct space_process *process, uint64_t start,
			       uint64_t end, const char *path, const char *build_id);
	/* The whole of a module, as its process's loader has it. build_id: in hexadecimal. NULL: without
	 * memory */
bool space_find(void *process, uint64_t address, struct unwind_place *place);
	/* an unwind_find; place->number is the file's */
int space_read(struct space *space, pid_t pid);
	/* What a process that runs already has mapped, from /proc: in addition to what is known. 0 or
	 * -errno. */
int space_read_anew(struct space *space, pid_t pid);
	/* The same in place of what is known, which stays where /proc has nothing. */

#endif
