/*
 * stack.c - the call path of a message, as addresses: registers and what may matter of the stack, in
 * front of the message in its record. Names are found in another process.
 *
 * Runs where the message was said, signal handlers included, if `--stack` is on. It never waits,
 * and follows no pointer that it is not sure of: where the stack's end is not known, the kernel copies.
 */
#include <elf.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "lib/base/sysio.h"
#include "lib/message/infer.h"
#include "shim/plt.h"
#include "shim/shim.h"
#include "shim/stack_modules.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

enum {
	GROUP = 64, GROUP_BYTES = GROUP * 8, /* pages are whole groups */
	PAGE_BYTES = 4096,
	FOREIGN_BYTES = 16 << 10,            /* of a stack that is not the thread's */
	LEAST_BYTES = 512,                   /* less than this tells nothing */
	WINDOW_BYTES = 256,                  /* of a call in parts: levels stand at the beginning */
	TAIL_KNOWN = 512,                    /* of an unfinished line: more does not change its level */
};
static const uintptr_t far_away = 64 << 20;

/* The stack is looked at twice, first for how much there is to keep; meanwhile it changes, where we are
 * ourselves. So what lies further in than what our frame has saved of the caller's is passed over, and
 * there is room for some more. (Elsewhere than on x86 it is not known what lies where in a frame.) */
#if defined(__x86_64__)
enum { SLACK = 16, SAVED_BYTES = 64 };
#else
enum { SLACK = 128, SAVED_BYTES = 4096 };
#endif

static uintptr_t first_self, first_end;  /* of the first thread */

void stack_begin(void)
{
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);
	uintptr_t random = getauxval(AT_RANDOM), environment = (uintptr_t)environ;

	/* What lies above main() begins with its arguments; another library may have moved the variables. */
	first_end = environment > here && environment < random ? environment : random;
	if (first_end - here < far_away)
		first_self = (uintptr_t)pthread_self();
}

/* ---- which messages ---------------------------------------------------------------------------- */

static bool is_severe(const char *line, size_t bytes, int level)
{
	size_t skip;

	return (int)infer_level(line, bytes, LEVEL_INFO, &skip) <= level;
}

/* A line in pieces has its stack with the first of them, since nobody knows yet what it will be. */
static bool is_wanted_text(uint16_t fd, const char *text, size_t bytes, bool all, int level)
{
	struct shim_thread *t = &shim_thread;
	bool goes_on = t->line_open && t->line_fd == fd, wanted = false;
	const char *end = text + bytes;

	while (text < end) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		size_t length = newline ? (size_t)(newline - text) : (size_t)(end - text);
		bool open = !newline && all;
		if (goes_on)
			wanted = wanted || !t->line_stack;
		else if (!wanted)
			wanted = (open && length < TAIL_KNOWN) || is_severe(text, length, level);
		t->line_open = open;
		t->line_fd = fd;
		t->line_stack = open && (wanted || (goes_on && t->line_stack));
		goes_on = false;
		text += length + 1;
	}
	return wanted;
}

static bool is_wanted(const struct record_info *info, const struct iovec *parts, unsigned count,
		      size_t total)
{
	int level = atomic_load_explicit(&shim.session.control->stack, memory_order_relaxed);

	if (info->kind == RECORD_SYSLOG)
		return (int)(info->detail & 7) <= level;
	if (info->kind != RECORD_TEXT || !total)
		return false;
	if (count == 1)
		return is_wanted_text(info->fd, parts->iov_base, total, true, level);
	char window[WINDOW_BYTES] = "";
	size_t filled = 0;
	for (unsigned i = 0; i < count && filled < sizeof window; i++) {
		size_t n = parts[i].iov_len;
		n = n < sizeof window - filled ? n : sizeof window - filled;
		memcpy(window + filled, parts[i].iov_base, n);
		filled += n;
	}
	bool wanted = is_wanted_text(info->fd, window, filled, filled == total, level);
	if (filled == total)
		return wanted;
	const struct iovec *last = &parts[count - 1];
	const char *end = (const char *)last->iov_base + last->iov_len;
	shim_thread.line_open = last->iov_len && end[-1] != '\n';
	shim_thread.line_stack = true;
	return true;
}

/* ---- which memory ------------------------------------------------------------------------------ */

struct span {
	uintptr_t from, to;      /* whole groups */
	uintptr_t ours;          /* up to here */
	bool direct;             /* it is there for sure */
};

static struct span span_of(uintptr_t sp, uintptr_t end, bool direct)
{
	uintptr_t from = sp & ~(uintptr_t)(GROUP_BYTES - 1);
	uintptr_t to = (end + GROUP_BYTES - 1) & ~(uintptr_t)(GROUP_BYTES - 1);
	uintptr_t most = from + RECORD_STACK_WORDS * sizeof(uint64_t);

	return (struct span){ from, to < most ? to : most, 0, direct };
}

/* The end of the thread's own stack, if sp is in it; else 0. libc puts what it knows of a thread at the
 * end of its stack; below that stack lies a page that cannot be read. The kernel's stack for the first
 * thread is far from everything else. */
static uintptr_t own_end(uintptr_t sp)
{
	uintptr_t self = (uintptr_t)pthread_self();
	bool first = self == first_self;
	uintptr_t end = first ? first_end : self, low = sp & ~(uintptr_t)(PAGE_BYTES - 1);

	if (sp >= end || end - sp > far_away)
		return 0;
	if (first || (shim_thread.stack_low && low >= shim_thread.stack_low))
		return end;
	if (shim.sandboxed || shim.unadvised ||
	    sysio_call(SYS_madvise, (long)low, (long)((end | (PAGE_BYTES - 1)) + 1 - low),
		       MADV_POPULATE_READ, 0, 0, 0) != 0)
		return 0;
	shim_thread.stack_low = low;
	return end;
}

/* The stack that was in use when the signal came that brought us to this one. The kernel left a
 * description of this one there, with the registers behind it. What only looks like that (our own
 * `alternate`, or an older handler's) leads to no stack of the thread's. */
static bool interrupted(const stack_t *alternate, uintptr_t sp, struct span *span)
{
	uintptr_t low = (uintptr_t)alternate->ss_sp, end = low + alternate->ss_size;
	const size_t where = offsetof(ucontext_t, uc_stack);

	for (uintptr_t at = sp & ~(uintptr_t)7; at + sizeof(ucontext_t) - where <= end; at += 8) {
		const ucontext_t *u = (const void *)(at - where);
		if ((uintptr_t)u->uc_stack.ss_sp != low ||
		    u->uc_stack.ss_size != alternate->ss_size)
			continue;
#if defined(__x86_64__)
		uintptr_t before = (uintptr_t)u->uc_mcontext.gregs[REG_RSP];
#else
		uintptr_t before = (uintptr_t)u->uc_mcontext.sp;
#endif
		uintptr_t own = before - low >= alternate->ss_size ? own_end(before) : 0;
		if (!own)
			continue;
		*span = span_of(before, own, true);
		return true;
	}
	return false;
}

static unsigned find_spans(uintptr_t sp, struct span span[RECORD_STACK_PIECES])
{
	uintptr_t end = own_end(sp), page_end = (sp | (PAGE_BYTES - 1)) + 1;
	stack_t alternate;

	if (end || shim.sandboxed) {
		span[0] = span_of(sp, end ? end : page_end, true);
		return 1;
	}
	if (sysio_call(SYS_sigaltstack, 0, (long)&alternate, 0, 0, 0, 0) != 0 ||
	    sp - (uintptr_t)alternate.ss_sp >= alternate.ss_size ||
	    alternate.ss_flags & SS_DISABLE) {
		span[0] = span_of(sp, sp + FOREIGN_BYTES, false);
		return 1;
	}
	end = (uintptr_t)alternate.ss_sp + alternate.ss_size;
	if (end > page_end) /* its last whole group */
		end &= ~(uintptr_t)(GROUP_BYTES - 1);
	span[0] = span_of(sp, end, true);
	return interrupted(&alternate, sp, &span[1]) ? 2 : 1;
}

/* ---- what of it -------------------------------------------------------------------------------- */

/* Small numbers and text are no addresses, nor is what the kernel would have. */
static bool may_be_address(uint64_t word)
{
	return word - 0x10000 < (UINT64_C(1) << 47) - 0x10000;
}

static const uint64_t *group(uintptr_t at, bool direct, uint64_t copy[GROUP])
{
	struct iovec here = { copy, GROUP_BYTES }, there = { (void *)at, GROUP_BYTES };

	if (direct)
		return (const uint64_t *)at;
	long n = sysio_call(SYS_process_vm_readv, sysio_getpid(), (long)&here, 1, (long)&there, 1,
			    0);
	return n == GROUP_BYTES ? copy : NULL;
}

/* The word number i of a group, if it may be an address, else 0. Other threads may write to it
 * meanwhile; the compiler shall not read it twice. */
static uint64_t word_at(const struct span *span, uintptr_t at, const uint64_t *words, unsigned i)
{
	uint64_t word = __atomic_load_n(&words[i], __ATOMIC_RELAXED);

	at += i * sizeof word;
	return at >= span->ours && may_be_address(word) ? plt_place_true(word, at) : 0;
}

/* How much of a span `room` bytes hold. What modules the addresses lie in, the collector is told here,
 * unless seen is NULL. */
static void measure(const struct span *span, size_t *room, struct record_stack_piece *piece,
		    struct stack_seen *seen)
{
	uint64_t copy[GROUP];

	*piece = (struct record_stack_piece){ .address = span->from };
	if (*room < SLACK * sizeof(uint64_t))
		return;
	*room -= SLACK * sizeof(uint64_t);
	piece->kept = SLACK;
	for (uintptr_t at = span->from; at < span->to; at += GROUP_BYTES) {
		const uint64_t *words = group(at, span->direct, copy);
		unsigned kept = 0;
		if (!words)
			break;
		for (unsigned i = 0; i < GROUP; i++) {
			uint64_t word = word_at(span, at, words, i);
			kept += word != 0;
			if (seen && word && word - span->from >= span->to - span->from)
				stack_module(seen, word);
		}
		size_t need = (1 + kept) * sizeof(uint64_t);
		if (need > *room)
			break;
		*room -= need;
		piece->words += GROUP;
		piece->kept += kept;
	}
}

static void take(const struct span *span, const struct record_stack_piece *piece, char *to)
{
	uint64_t *mask = (uint64_t *)(void *)to, copy[GROUP];
	uint64_t *kept = mask + piece->words / GROUP, *end = kept + piece->kept;

	for (unsigned g = 0; g < piece->words / GROUP; g++) {
		uintptr_t at = span->from + g * GROUP_BYTES;
		const uint64_t *words = group(at, span->direct, copy);
		uint64_t bits = 0;
		for (unsigned i = 0; words && i < GROUP && kept < end; i++) {
			uint64_t word = word_at(span, at, words, i);
			if (!word)
				continue;
			bits |= UINT64_C(1) << i;
			*kept++ = word;
		}
		mask[g] = bits;
	}
	while (kept < end)
		*kept++ = 0;
}

/* ---- the record -------------------------------------------------------------------------------- */

struct made {
	struct record_stack head;
	struct span span[RECORD_STACK_PIECES];
	const struct iovec *parts;
	unsigned count;
};

static void make(void *argument, char *to)
{
	struct made *m = argument;

	memcpy(to, &m->head, sizeof m->head);
	to += sizeof m->head;
	for (unsigned i = 0; i < m->head.pieces; i++) {
		const struct record_stack_piece *p = &m->head.piece[i];
		take(&m->span[i], p, to);
		to += (p->words / GROUP + p->kept) * sizeof(uint64_t);
	}
	for (unsigned i = 0; i < m->count; i++) {
		memcpy(to, m->parts[i].iov_base, m->parts[i].iov_len);
		to += m->parts[i].iov_len;
	}
}

static void measure_all(struct made *m, size_t room, struct stack_seen *seen)
{
	m->head.bytes = sizeof m->head;
	for (unsigned i = 0; i < m->head.pieces; i++) {
		struct record_stack_piece *p = &m->head.piece[i];
		measure(&m->span[i], &room, p, seen);
		m->head.bytes += (uint32_t)((p->words / GROUP + p->kept) * sizeof(uint64_t));
	}
}

/* Where we are ourselves: the way from here to the caller is left out later. */
static inline __attribute__((always_inline)) void registers(struct record_stack *s)
{
#if defined(__x86_64__)
	s->machine = EM_X86_64;
	__asm__ volatile("leaq 0(%%rip), %%rax\n\t"
			 "movq %%rax, %0\n\t"
			 "movq %%rbx, %1\n\t"
			 "movq %%rbp, %2\n\t"
			 "movq %%rsp, %3\n\t"
			 "movq %%r12, %4\n\t"
			 "movq %%r13, %5\n\t"
			 "movq %%r14, %6\n\t"
			 "movq %%r15, %7"
			 : "=m"(s->pc), "=m"(s->reg[3]), "=m"(s->reg[6]), "=m"(s->reg[7]),
			   "=m"(s->reg[12]), "=m"(s->reg[13]), "=m"(s->reg[14]), "=m"(s->reg[15])
			 :
			 : "rax");
#else
	s->machine = EM_AARCH64;
	__asm__ volatile("adr x9, .\n\t"
			 "str x9, [%0]\n\t"
			 "stp x19, x20, [%1, #152]\n\t"
			 "stp x21, x22, [%1, #168]\n\t"
			 "stp x23, x24, [%1, #184]\n\t"
			 "stp x25, x26, [%1, #200]\n\t"
			 "stp x27, x28, [%1, #216]\n\t"
			 "stp x29, x30, [%1, #232]\n\t"
			 "mov x9, sp\n\t"
			 "str x9, [%1, #248]"
			 :
			 : "r"(&s->pc), "r"(s->reg)
			 : "x9", "memory");
#endif
}

int stack_append(const struct record_info *info, const struct iovec *parts, unsigned count)
{
	struct made m = { .parts = parts, .count = count };
	struct record_info with = *info;
	struct ring_policy policy = shim.policy;
	struct stack_seen seen;
	size_t total = 0, most = ring_record_most(&shim.session.ring);

	for (unsigned i = 0; i < count; i++)
		total += parts[i].iov_len;
	if (!is_wanted(info, parts, count, total))
		return 1;
	bool alone = total > most / 2; /* the message follows in records of its own */
	if (alone)
		m.count = 0;
	size_t room = (most - (alone ? 0 : total)) & ~(size_t)7;
	if (room < sizeof m.head + LEAST_BYTES)
		return 1;
	room -= sizeof m.head;
	registers(&m.head);
#if defined(__x86_64__)
	uintptr_t sp = m.head.reg[7];
#else
	uintptr_t sp = m.head.reg[31];
#endif
	if (policy.overflow != RING_LOSE_OLDEST) /* it does not wait for its stack */
		policy.overflow = RING_LOSE_NEWEST;
	m.head.pieces = (uint16_t)find_spans(sp, m.span);
	m.span[0].ours = (uintptr_t)__builtin_frame_address(0) - SAVED_BYTES;
	stack_modules_begin(&seen);
	stack_module(&seen, m.head.pc);
	measure_all(&m, room, &seen);
	with.flags |= RECORD_STACK;
	int error = ring_append_made(&shim.session.ring, &shim_thread.author, &with, make, &m,
				     m.head.bytes + (alone ? 0 : total), &policy);
	return error || alone ? 1 : 0;
}

/* All of them: where a function has just begun, or is about to return, its caller's may be anywhere. */
static void registers_of(struct record_stack *s, const ucontext_t *at)
{
#if defined(__x86_64__)
	static const uint8_t number[] = { REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI,
					  REG_RBP, REG_RSP, REG_R8, REG_R9, REG_R10, REG_R11,
					  REG_R12, REG_R13, REG_R14, REG_R15 };

	s->machine = EM_X86_64;
	s->pc = (uint64_t)at->uc_mcontext.gregs[REG_RIP];
	for (unsigned i = 0; i < sizeof number; i++)
		s->reg[i] = (uint64_t)at->uc_mcontext.gregs[number[i]];
#else
	s->machine = EM_AARCH64;
	s->pc = at->uc_mcontext.pc;
	for (unsigned i = 0; i < 31; i++)
		s->reg[i] = at->uc_mcontext.regs[i];
	s->reg[31] = at->uc_mcontext.sp;
#endif
}

int stack_interrupted(struct ring *ring, struct ring_author *author, const struct record_info *info,
		      const ucontext_t *at)
{
	static const struct ring_policy at_once = { .overflow = RING_LOSE_NEWEST };
	struct made m = { .count = 0 };

	registers_of(&m.head, at);
#if defined(__x86_64__)
	uintptr_t sp = m.head.reg[7];
#else
	uintptr_t sp = m.head.reg[31];
#endif
	m.head.pieces = (uint16_t)find_spans(sp, m.span);
	m.span[0].ours = sp;
	measure_all(&m, (ring_record_most(ring) - sizeof m.head) & ~(size_t)7, NULL);
	return ring_append_made(ring, author, info, make, &m, m.head.bytes, &at_once);
}
