/*
 * verdict.c - see verdict.h. Called by `hark run`, `hark inspect` and the collector; looks only, and
 * executes nothing.
 */
#include "lib/image/verdict.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "lib/base/text.h"

__attribute__((format(printf, 3, 4)))
static void judge(struct verdict *v, enum verdict_answer answer, const char *format, ...)
{
	va_list values;

	v->answer = answer;
	va_start(values, format);
	vsnprintf(v->why, sizeof v->why, format, values);
	va_end(values);
}

/* ---- what is cheap to know --------------------------------------------------------------------- */

struct verdict_rights verdict_rights(const char *path)
{
	struct verdict_rights r = { .raised = false };
	struct stat st;
	struct statvfs fs;

	if (stat(path, &st) != 0)
		return r;
	r.setuid = (st.st_mode & S_ISUID) != 0;
	/* without the group's x, the bit means mandatory locking */
	r.setgid = (st.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP);
	r.capabilities = getxattr(path, "security.capability", NULL, 0) > 0;
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ||
	    (statvfs(path, &fs) == 0 && (fs.f_flag & ST_NOSUID)))
		return r;
	r.raised = (r.setuid && st.st_uid != getuid()) || (r.setgid && st.st_gid != getgid()) ||
		   (r.capabilities && getuid() != 0);
	return r;
}

static const char *deaf_by_rights(const char *path)
{
	struct verdict_rights r = verdict_rights(path);
	struct stat st;

	if (!r.raised || stat(path, &st) != 0)
		return NULL;
	if (r.setuid && st.st_uid != getuid())
		return "is setuid";
	return r.setgid && st.st_gid != getgid() ? "is setgid" : "has file capabilities";
}

static const char *deaf_by_format(const struct elf_facts *facts, bool *foreign)
{
	const char *base = strrchr(facts->interpreter, '/');

	if (!elf_facts_native(facts)) {
		*foreign = true;
		return facts->bits != 8 * sizeof(void *) ? "is a 32-bit program"
							 : "is built for another machine";
	}
	if (elf_facts_static(facts))
		return "is static";
	if (facts->interpreter[0] && (!base || strncmp(base, "/ld-linux", 9) != 0)) {
		*foreign = true;
		return "uses a C library other than glibc";
	}
	return facts->go ? "is built by Go, which makes system calls by itself" : NULL;
}

struct verdict verdict_capture(const struct elf_facts *facts, const char *path)
{
	struct verdict v = { .foreign = false };
	const char *deaf = facts ? deaf_by_format(facts, &v.foreign) : NULL;

	if (!deaf)
		deaf = deaf_by_rights(path);
	judge(&v, deaf ? VERDICT_NO : VERDICT_YES, "%s",
	      deaf ? deaf : "speaks through glibc, where hooks hear it");
	return v;
}

/* ---- what takes a closer look ------------------------------------------------------------------ */

static const char *short_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* System calls that may write: of the program first, then of the first library that makes such. */
static void judge_syscalls(struct verdict *v, const struct binary *b,
			   const struct libraries_needed *needed)
{
	const struct binary_syscalls *s = &b->syscalls;
	const char *who = "by itself";

	for (size_t i = 0; !s->writes && !s->unknown && !s->unsure && i < needed->count; i++) {
		if (needed->all[i]->libc)
			continue;
		s = &needed->all[i]->binary.syscalls;
		who = short_name(needed->all[i]->path);
	}
	const char *in = s == &b->syscalls ? "" : "in ";
	if (s->writes)
		judge(v, VERDICT_PARTLY,
		      "makes system calls that write %s%s, past all hooks (in %u %s); what "
		      "goes through glibc is heard", in, who, s->writes,
		      text_one(s->writes, "place", "places"));
	else if (s->unknown)
		judge(v, VERDICT_PARTLY,
		      "makes system calls %s%s, past all hooks, which may write (in %u %s); "
		      "what goes through glibc is heard", in, who, s->unknown,
		      text_one(s->unknown, "place", "places"));
	else if (s->unsure)
		judge(v, VERDICT_PARTLY,
		      "may make system calls %s%s: libZydis.so.4.0, which could tell, is not here, "
		      "or there is more than is looked at; what goes through glibc is heard",
		      in, who);
}

static bool uses_uring(const struct binary *b, const struct libraries_needed *needed)
{
	bool uses = b->io_uring;

	for (size_t i = 0; i < needed->count; i++)
		uses = uses || needed->all[i]->binary.io_uring;
	return uses;
}

static void refine_capture(struct verdict *v, const struct binary *b,
			   const struct libraries_needed *needed)
{
	if (v->answer != VERDICT_YES)
		return;
	judge_syscalls(v, b, needed);
	if (v->answer == VERDICT_YES && uses_uring(b, needed))
		judge(v, VERDICT_PARTLY,
		      "uses io_uring, past all hooks; what goes through glibc is heard");
}

static void judge_deep(struct verdict *v, const struct binary *b)
{
	if (b->elf.machine != EM_386 && !elf_facts_native(&b->elf))
		judge(v, VERDICT_PARTLY,
		      "is built for %s: where the kernel has an emulator for that, what reaches "
		      "descriptors 1 and 2 is heard", elf_machine_name(b->elf.machine));
	else
		judge(v, VERDICT_YES, "is heard whatever reaches descriptors 1 and 2, by a pipe or "
				      "pseudo-terminal in their place");
}

/* Which of its libraries was built with -finstrument-functions; NULL: none. */
static const char *instrumented(const struct libraries_needed *needed)
{
	for (size_t i = 0; i < needed->count; i++)
		if (!needed->all[i]->libc && (needed->all[i]->binary.instruments & BINARY_CYG))
			return short_name(needed->all[i]->path);
	return NULL;
}

static void judge_stamps(struct verdict *v, const struct binary *b,
			 const struct libraries_needed *needed, const struct verdict *capture)
{
	const char *library = instrumented(needed);
	const char *other = NULL;

	for (const struct binary_name *n = binary_instruments; n->name && !other; n++)
		if (n->bit != BINARY_CYG && (b->instruments & n->bit))
			other = n->name;
	if (capture->answer == VERDICT_NO)
		judge(v, VERDICT_NO, "%s: nothing of hark's gets into it", capture->why);
	else if (b->own_instrument)
		judge(v, VERDICT_NO, "brings functions of its own for -finstrument-functions");
	else if (b->instruments & BINARY_CYG)
		judge(v, VERDICT_YES, "was built with -finstrument-functions");
	else if (library)
		judge(v, VERDICT_PARTLY,
		      "was not built with -finstrument-functions, but %s was", library);
	else if (other)
		judge(v, VERDICT_NO, "was built with %s, not with -finstrument-functions", other);
	else
		judge(v, VERDICT_NO, "was not built with -finstrument-functions");
}

static bool gets_in(const struct binary *b, const char *path)
{
	const char *why = deaf_by_format(&b->elf, &(bool){ false });

	return (!why || (b->elf.go && b->elf.interpreter[0])) && !deaf_by_rights(path);
}

static void judge_calls(struct verdict *v, const struct binary *b, const char *path,
			const struct verdict *capture, const struct verdict_means *means)
{
	unsigned slots = b->plt_slots + b->got_slots;

	if (!means->calls)
		judge(v, VERDICT_NO, "needs a later version: this one records no library calls");
	else if (capture->answer == VERDICT_NO && b->elf.go && slots && gets_in(b, path))
		judge(v, VERDICT_PARTLY,
		      "is built by Go: of its code, what was C calls %u %s of libraries through "
		      "slots", slots, text_one(slots, "function", "functions"));
	else if (capture->answer == VERDICT_NO)
		judge(v, VERDICT_NO, "%s: nothing of hark's gets into it", capture->why);
	else if (!slots)
		judge(v, VERDICT_NO, "calls no function of a library");
	else
		judge(v, VERDICT_YES, "calls %u %s of libraries through slots", slots,
		      text_one(slots, "function", "functions"));
}

/* Where nobody may look from outside. */
static void judge_timers(struct verdict *v, const struct binary *b, const struct verdict *capture)
{
	static const char refused[] = "the kernel refuses perf_event_open, see "
				      "kernel.perf_event_paranoid";

	if (capture->answer == VERDICT_NO)
		judge(v, VERDICT_NO, "%s: it cannot sample itself, and %s", capture->why, refused);
	else if (b->instruments & (BINARY_MCOUNT | BINARY_FENTRY))
		judge(v, VERDICT_NO, "was built with -pg, which samples it already, and %s",
		      refused);
	else
		judge(v, VERDICT_PARTLY,
		      "samples itself by timers, at most at each tick of the kernel's, while it "
		      "runs: %s", refused);
}

/* Samples come from outside, so that what the shim hears does not matter; but the kernel ends all watching
 * of a program that has more rights than who started it. */
static void judge_samples(struct verdict *v, const struct binary *b, const char *path,
			  const struct verdict *capture, const struct verdict_means *means)
{
	if (!means->samples)
		judge(v, VERDICT_NO, "needs a later version: this one takes no samples");
	else if (!elf_facts_native(&b->elf))
		judge(v, VERDICT_NO, "is built for %s", elf_machine_name(b->elf.machine));
	else if (verdict_rights(path).raised)
		judge(v, VERDICT_NO,
		      "runs with more rights, and the kernel lets nobody watch that");
	else if (!means->perf)
		judge_timers(v, b, capture);
	else if (b->elf.go)
		judge(v, VERDICT_YES, "can be watched from outside, its stacks by frame pointers");
	else if (b->framed)
		judge(v, VERDICT_YES, "can be watched from outside, its stacks by .eh_frame");
	else
		judge(v, VERDICT_PARTLY,
		      "can be watched from outside, but has no .eh_frame for its stacks");
}

static bool loader_itself(const struct binary *b)
{
	return !b->elf.interpreter[0] && b->soname && strncmp(b->soname, "ld-", 3) == 0;
}

void verdict_all(struct verdict all[VERDICT_NR], const struct binary *b, const char *path,
		 const struct libraries_needed *needed, const struct verdict_means *means)
{
	memset(all, 0, VERDICT_NR * sizeof *all);
	if (needed->missing) {
		for (unsigned i = 0; i < VERDICT_NR; i++)
			judge(&all[i], VERDICT_NO,
			      "does not start: %s needs %s, which the loader does not find",
			      needed->missed_by ? needed->missed_by : "it", needed->missing);
		return;
	}
	if (!b->elf.interpreter[0] && b->elf.soname && !loader_itself(b)) {
		for (unsigned i = 0; i < VERDICT_NR; i++)
			judge(&all[i], VERDICT_NO, "is a library, not a program");
		return;
	}
	struct verdict *capture = &all[VERDICT_CAPTURE];
	*capture = verdict_capture(&b->elf, path);
	refine_capture(capture, b, needed);
	judge_deep(&all[VERDICT_DEEP], b);
	judge_stamps(&all[VERDICT_STAMPS], b, needed, capture);
	judge_calls(&all[VERDICT_CALLS], b, path, capture, means);
	judge_samples(&all[VERDICT_SAMPLES], b, path, capture, means);
	/* What it says itself it says before any library is there. */
	if (loader_itself(b) && capture->answer != VERDICT_NO)
		judge(capture, VERDICT_PARTLY,
		      "is the dynamic loader: heard is the program that it loads, not what it "
		      "says itself");
}

const char *verdict_answer_name(enum verdict_answer answer)
{
	switch (answer) {
	case VERDICT_YES: return "yes";
	case VERDICT_PARTLY: return "partly";
	default: return "no";
	}
}
