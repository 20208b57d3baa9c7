/*
 * record.h - the layout of the message ring: what producers, the reader and salvage agree on.
 *
 * The ring is cut into chunks. A position (bytes since the session began) is a chunk's number and
 * an offset in it; `place[number & mask]` names the piece of memory that the chunk lives in, and
 * whether it is there yet: it is free for writing when the entry bears just that number. Memory
 * is not bound to positions, so that a piece in which a stopped writer might still scribble can be
 * set aside and another take its turn.
 *
 * A record begins with its claim, one word that holds all that anybody needs to step over it:
 *
 *	 63            38 37        24 23         2 1     0
 *	| chunk's number | units of 16 | owner's tid | state |
 *
 * Free memory is stamped, word by word, with the claim {number, 0, 0, FREE}. Claiming is one
 * compare-and-swap from just that value: who wins owns the record, and length and owner are known
 * from the same instant. A writer that comes a whole lap late finds another number and fails.
 */
#ifndef HARK_RING_RECORD_H
#define HARK_RING_RECORD_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum record_state {
	RECORD_FREE,
	RECORD_CLAIMED,
	RECORD_COMMITTED, /* with no owner: a filler at a chunk's end */
	RECORD_REVOKED,   /* by the reader. Owner 0: the owner has noticed. OWNER_GONE: jumped away. */
};

enum {
	RECORD_UNIT = 16,
	RECORD_UNITS_MOST = (1 << 14) - 1,
	RECORD_OWNER_GONE = (1 << 22) - 1,
};

/* What a record is. Sources below SOURCE_FD are fixed, others are numbered by the session. */
enum record_source {
	SOURCE_STDERR, SOURCE_STDOUT, SOURCE_SYSLOG, SOURCE_FD, SOURCE_PATH, SOURCE_HARK,
	SOURCE_LOG, SOURCE_STAMP
};

enum record_kind {
	RECORD_TEXT,   /* bytes, as they were written */
	RECORD_SYSLOG, /* ident NUL text; detail is the priority */
	RECORD_JOIN,   /* a process has mapped the session: struct record_join; detail: JOIN_CHILD or 0 */
	RECORD_NOTE,   /* hark has to say something: text; detail is the level */
	RECORD_CLOSED, /* the process has closed a descriptor of a captured file */
	RECORD_LEAVING, /* the process is about to end: its unfinished lines are all there will be */
	RECORD_LOG,    /* said by hark_log(): text; detail is the level */
	RECORD_SANDBOX, /* from here on the process may not wake anybody; detail 0: it may after all */
	RECORD_IMAGE,   /* the process is about to become, or start, the program of that path */
	RECORD_STAMP,   /* hark_stamp(): struct record_stamp, text */
	RECORD_MODULE,  /* a file that is loaded in the process: struct record_module, build-id, path */
	RECORD_SAMPLE,  /* in the ring of samples: struct record_stack; detail: periods that it stands for */
	RECORD_KIND_NR
};

enum record_flags {
	RECORD_MORE = 1,      /* the same call's next bytes follow in another record of this thread */
	RECORD_CONTINUES = 2, /* not the first of its call */
	RECORD_MIRRORED = 4,  /* the bytes are on the original descriptor already */
	RECORD_STACK = 8,     /* in front of the bytes stands who said them: struct record_stack */
};

struct record {
	_Atomic uint64_t claim;
	uint64_t ticks;   /* clock_ticks() */
	uint32_t pid;     /* as the writer sees itself */
	uint32_t bytes;   /* of payload */
	uint32_t detail;  /* by kind */
	uint16_t fd;
	uint8_t source;   /* enum record_source, or SOURCE_PATH with detail = which */
	uint8_t kind_flags; /* kind << 4 | flags */
	char payload[];
};

enum { RECORD_HEADER = 32 };
_Static_assert(sizeof(struct record) == RECORD_HEADER, "the header is two units");
/* A shim of one machine writes what a collector of another reads (emulation): the same layout on all. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ && sizeof(long) == 8 &&
		       ATOMIC_LLONG_LOCK_FREE == 2 && offsetof(struct record, kind_flags) == 31,
	       "a machine that cannot share a ring with others");

/* A JOIN of a process that did not exist before, as forks make them; not of one that was renamed, or
 * of its next image. */
enum { JOIN_CHILD = 1 };
/* In the ring of samples: a thread that did not exist before; one that blocks the signal of its timer, so
 * that there will be no samples of it. Nothing follows. */
enum { JOIN_THREAD = 2, JOIN_BLOCKED };

struct record_join {
	uint64_t pid_namespace; /* inode of /proc/self/ns/pid, 0: unknown */
	uint32_t parent;
	char comm[16];
	char path[256];         /* of the executable */
};
_Static_assert(offsetof(struct record_join, path) == 28, "as on every machine");

struct record_stamp {
	uint64_t id, step;
};

struct record_module {
	uint64_t start, end;
	uint32_t build_bytes, path_bytes; /* both follow */
};

/* Where a message was said: registers, and of one stack or two (a handler's own, and the one that its
 * signal interrupted) those words that may be addresses. Of each piece there is a bit for each word, 64
 * in a word of their own, the lowest first; behind them stand the words that have their bit set. */
enum { RECORD_STACK_PIECES = 2, RECORD_STACK_WORDS = 8192, RECORD_STACK_REGISTERS = 33 };

struct record_stack {
	uint32_t bytes;       /* of all this with its pieces; the message begins behind */
	uint16_t machine;     /* e_machine of ELF */
	uint16_t pieces;
	uint64_t pc, reg[RECORD_STACK_REGISTERS]; /* by DWARF numbers; 0: not kept over calls */
	struct record_stack_piece {
		uint64_t address;
		uint32_t words; /* that it spans: a multiple of 64, RECORD_STACK_WORDS at most */
		uint32_t kept;
	} piece[RECORD_STACK_PIECES];
};
_Static_assert(sizeof(struct record_stack) == 312, "as on every machine");

static inline uint64_t claim_make(uint64_t number, uint64_t units, uint64_t tid, uint64_t state)
{
	return number << 38 | units << 24 | (tid & 0x3fffff) << 2 | state;
}

static inline uint64_t claim_number(uint64_t claim) { return claim >> 38; }
static inline uint64_t claim_bytes(uint64_t claim) { return (claim >> 24 & 0x3fff) * RECORD_UNIT; }
static inline uint32_t claim_owner(uint64_t claim) { return (uint32_t)(claim >> 2 & 0x3fffff); }
static inline enum record_state claim_state(uint64_t claim)
{
	return (enum record_state)(claim & 3);
}
static inline uint64_t claim_number_of(uint64_t chunk) { return chunk & ((1 << 26) - 1); }

#endif
