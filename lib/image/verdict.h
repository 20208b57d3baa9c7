/*
 * verdict.h - what hark can do with a program, and why not more: one judgement for all who ask.
 *
 * `hark run` and the collector ask for the first one alone, which needs only what is cheap to know;
 * `hark inspect` for all. A reason is the end of a sentence that begins with the program's name.
 */
#ifndef HARK_IMAGE_VERDICT_H
#define HARK_IMAGE_VERDICT_H

#include <stdbool.h>

#include "lib/image/binary.h"
#include "lib/image/libraries.h"

enum verdict_ability {
	VERDICT_CAPTURE,         /* by hooks */
	VERDICT_DEEP,
	VERDICT_STAMPS,
	VERDICT_CALLS,
	VERDICT_SAMPLES,
	VERDICT_NR
};

enum verdict_answer { VERDICT_NO, VERDICT_PARTLY, VERDICT_YES };

struct verdict {
	enum verdict_answer answer;
	bool foreign;            /* its loader could not even load the shim: it is not to be preloaded */
	char why[400];           /* "is static" */
};

/* The rights that a program's file gives to whoever runs it. */
struct verdict_rights {
	bool setuid, setgid;     /* the bits, whoever owns it */
	bool capabilities;       /* has file capabilities */
	bool raised;             /* for this process: it would run with more rights, and without preloads */
};

/* What this hark has, and what the kernel lets it do. */
struct verdict_means {
	bool calls, samples;     /* there are such settings */
	bool perf;               /* perf_event_open(2) is permitted */
};

struct verdict verdict_capture(const struct elf_facts *facts, const char *path);
	/* VERDICT_NO where no hook hears it, else VERDICT_YES. facts NULL: the file cannot be read, and
	 * only its rights are known. For whoever has the rights of this process. */
struct verdict_rights verdict_rights(const char *path);
	/* nothing at all of what is not to be seen */
void verdict_all(struct verdict all[VERDICT_NR], const struct binary *binary, const char *path,
		 const struct libraries_needed *needed, const struct verdict_means *means);
	/* needed: empty for programs that glibc does not load */
const char *verdict_answer_name(enum verdict_answer answer);

#endif
