/*
 * control.h - the control block: what every process of a session knows about it.
 *
 * A file in the session's directory, mapped by the shim in each process, by the collector and by the
 * tools, in two parts. The settings are written once, when the session is made, and mapped for reading
 * only: a daemon that gave up its rights keeps its mappings, and what root's next collector executes and
 * where it writes must not be for it to say. The rest changes all the time and, like the ring, is
 * within reach of hostile hands: readers take copies and check them.
 */
#ifndef HARK_SESSION_CONTROL_H
#define HARK_SESSION_CONTROL_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/base/clock.h"
#include "lib/session/life.h"

#define CONTROL_MAGIC UINT64_C(0x326c74636b726168) /* "harkctl2" */

/* The ring of samples that the program takes of itself, in the session's directory. */
#define CONTROL_SAMPLES "samples"

enum { CONTROL_CHOSEN = 20, CONTROL_SINKS = 16, CONTROL_PROCESSES = 256 };

enum session_state {
	SESSION_LIVE = 1,
	SESSION_ENDED,     /* cleanly: all is delivered */
	SESSION_ABANDONED, /* nobody collects any more: programs write for themselves */
};

enum stamp_mode { STAMP_OFF, STAMP_TRACE, STAMP_PROFILE, STAMP_FLIGHT };
enum { STAMP_MODE = 3, STAMP_CHANGE = 4 }; /* of control->stamp */

/* Why something was lost. Each has its sentence in lost.c. */
enum lost_reason {
	LOST_FULL,      /* the ring was full and the policy said so */
	LOST_OVERWRITTEN,
	LOST_TORN,      /* the writer died in the middle of its call */
	LOST_CORRUPT,   /* the ring held nonsense */
	LOST_SINK,      /* a sink's queue was full */
	LOST_TOO_LONG,  /* larger than a sink can take at once */
	LOST_NR
};

struct lost_count {
	_Atomic uint64_t messages, bytes;
};

/* A file that is captured: known by device and inode, found under a number. */
struct chosen_file {
	int32_t fd;
	uint32_t source;      /* enum record_source */
	uint64_t device, inode, special; /* st_dev, st_ino, st_rdev */
	uint32_t known;       /* the descriptor was open when the session began */
	uint32_t pad;
};

struct control_sink {
	char spec[192];
	char state[16];
	int32_t error;
	uint32_t in_use;
	uint64_t written_bytes, written_frames, queued_bytes, lost_messages, lost_bytes, reconnects;
};

struct control_process {
	int32_t pid;
	uint32_t pad;
	uint64_t start;       /* clock ticks since boot, field 22 of /proc/PID/stat */
	char comm[16];
};

struct control {
	/* Settings, resolved: the first CONTROL_SETTINGS bytes. */
	uint64_t magic;
	uint32_t bytes;       /* sizeof(struct control), as a version */
	struct clock_base clock;
	uint32_t chosen_count;
	uint32_t capture_syslog;
	uint32_t follow_number;
	uint32_t mirror;
	uint32_t overflow;    /* enum ring_overflow */
	int32_t level;
	uint64_t overflow_ns;
	uint64_t exit_timeout_ns;
	struct chosen_file chosen[CONTROL_CHOSEN];
	char paths[1024];     /* path:GLOB, each ended by NUL, the list by an empty one */
	uint32_t deep;
	uint32_t console;     /* 1: a sink writes to the original descriptor */
	uint64_t console_device, console_inode, console_special;
	uint64_t started_ns;  /* UTC */
	int32_t first_pid;
	uint32_t uid;
	uint64_t first_start;
	char command[256];
	char directory[512];  /* where the session was started; relative paths are meant from there */
	char sinks[4096];     /* specifications as given */
	char preload[512];    /* the shim's path */
	char program[512];    /* the hark command's path */

	char trace[512];      /* where stamps go (TRACE.md); "": nowhere */
	uint64_t flight_bytes; /* of each thread, in flight mode */
	char calls[1024];     /* globs of library functions, separated by commas; "": none are traced */

	uint32_t stamps;      /* 1: some sink takes public stamps (a trace does) */
	uint32_t snapshots;   /* how many are kept of those that messages make; 0: they make none */

	uint32_t arguments;   /* 1: of library calls, too, and results */

	char rest_of_page[2876];

	/* From here on everybody writes. */
	_Atomic uint32_t state; /* enum session_state */
	_Atomic uint32_t spoken; /* somebody has said something: there is what to wait for at exit */
	_Atomic int32_t stack;   /* messages of this level or worse bear their call path; enum level */

	/* the collector and its guardian */
	_Alignas(64) _Atomic int32_t collector_pid;
	_Atomic int32_t guardian_pid;
	life collector_life, guardian_life;
	_Atomic uint64_t handover_ns;  /* CLOCK_MONOTONIC: until then, one of them may be on its way */
	_Atomic uint32_t restarts;
	_Atomic uint32_t fruitless;    /* of them in a row: died before it had achieved anything */
	_Atomic uint32_t console_broken; /* nobody reads the pipe that it is */
	_Atomic uint32_t console_gone; /* no process of the session holds the descriptor any more */

	/* how far things are, in positions of the ring */
	_Alignas(64) _Atomic uint64_t shown;   /* on the console; UINT64_MAX: there is none */
	_Atomic uint64_t delivered;            /* to all sinks that are not in trouble */
	_Atomic uint32_t progress;             /* grows with both; a futex */
	_Atomic uint32_t progress_wanted;      /* somebody waits for it */
	_Atomic uint32_t polled;               /* processes that may not wake the collector (seccomp) */
	_Atomic uint32_t warned;               /* said once for the whole session */

	/* function stamps */
	_Alignas(64) _Atomic uint32_t stamp;   /* how many changes there were << 2 | enum stamp_mode */
	_Atomic uint32_t images;               /* that have recorded something */
	_Atomic uint32_t rules;                /* rules.N: which of them are recorded; 0: all */
	_Atomic uint32_t sample_ns;            /* from one sample by timers to the next; 0: none are taken */

	_Alignas(64) struct lost_count lost[LOST_NR];

	/* public stamps; not beside `stamp`, which every call of a function reads */
	_Atomic uint64_t stamp_ids;            /* that were given out */
	_Atomic uint64_t stamp_steps;
	_Atomic uint32_t timer_files;          /* of the trace */

	/* statistics, written by the collector for `hark stats` and `hark ps` */
	_Alignas(64) _Atomic uint64_t messages, message_bytes, records;
	_Atomic uint32_t process_count;
	struct control_process processes[CONTROL_PROCESSES];
	struct control_sink sink[CONTROL_SINKS];
};

enum { CONTROL_SETTINGS = 12288 }; /* whole pages */
_Static_assert(offsetof(struct control, state) == CONTROL_SETTINGS, "settings fill their pages");
/* Machines that share a session agree on it. */
_Static_assert(sizeof(struct control) == 25280 && offsetof(struct control, chosen) == 88 &&
		       offsetof(struct control, collector_pid) == 12352 &&
		       offsetof(struct control, shown) == 12416,
	       "as on every machine");

#endif
