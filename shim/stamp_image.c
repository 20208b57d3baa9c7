/*
 * stamp_image.c - what a process and a thread have to do before their first stamp, and again when the
 * process was forked, the session has switched stamps on or off, or another module turns up.
 */
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "lib/base/sysio.h"
#include "lib/stamp/event.h"
#include "shim/plt.h"
#include "shim/real.h"
#include "shim/sample.h"
#include "shim/shim.h"
#include "shim/stamp.h"

enum { MODULES = 1024, WAITS = 100000 };

/* What every gate holds until the session is joined: look again, by the slow way. */
static _Atomic uint32_t not_yet = STAMP_CHANGE | STAMP_TRACE;
static _Atomic uint32_t never = STAMP_CHANGE | STAMP_OFF;
_Atomic uint32_t *stamp_gate = &not_yet;

static struct image {
	_Atomic uint32_t pid;        /* whose all this is */
	_Atomic uint32_t beginner;   /* tid of the thread that is making it so */
	uint32_t number, parent;
	uint32_t word;               /* control->stamp, as we followed it last */
	_Atomic uint32_t threads;
	_Atomic uint32_t untold;     /* why a thread stopped that could not say so */
	_Atomic uint32_t module_count; /* numbers that were given */
	_Atomic uint32_t module_slots; /* that are in use, or were */
	struct stamp_module modules[MODULES]; /* those without bytes are gone */
	struct segment_file file;
	char events[512];
} image;

static _Atomic(struct stamp_room *) rooms;

uint32_t stamp_image_number(void) { return image.pid == shim.epoch->value ? image.number : 0; }
struct segment_file *stamp_file(void) { return &image.file; }

void stamp_begin(void)
{
	const struct control *c = shim.session.control;
	/* without a trace to write to, there is nothing that could be switched on */
	stamp_gate = c->trace[0] ? &shim.session.control->stamp : &never;
}

/* One that no gate has held before, here or in the process that this one was forked from: whoever forked
 * may not have been heard of yet when another thread opens the gate, and his records are his parent's. */
static uint32_t gate_word(uint32_t mode)
{
	static _Atomic uint32_t changes;

	return UINT32_C(1) << 31 | (atomic_fetch_add(&changes, 1) + 1) * STAMP_CHANGE | mode;
}

void stamp_look_again(void)
{
	uint32_t word = atomic_load(&shim.epoch->stamp);

	/* no other mode than the one that there is then */
	while (word && !atomic_compare_exchange_weak(&shim.epoch->stamp, &word,
						     gate_word(word & STAMP_MODE)))
		;
}

/* ---- events ----------------------------------------------------------------------------------- */

static void put_path(char *to, size_t bytes, const char *name, uint32_t number)
{
	struct text t = text_in(to, bytes);

	text_bytes(&t, shim.session.control->trace,
		   strnlen(shim.session.control->trace, sizeof shim.session.control->trace));
	text_char(&t, '/');
	text_str(&t, name);
	if (number)
		text_u64(&t, number);
	text_cstr(&t);
}

const char *stamp_events(void) { return image.events; }

void stamp_stopped(enum trace_gap reason, const char *name)
{
	struct event event;

	if (shim.sandboxed)
		return;
	event_begin(&event, "gap");
	event_number(&event, "image", image.number);
	event_number(&event, "tid", shim_thread.author.tid);
	event_number(&event, "ticks", stamp_now());
	event_text(&event, "reason", name);
	if (event_append(&event, image.events) < 0)
		atomic_store(&image.untold, reason);
}

uint32_t stamp_untold(void)
{
	return atomic_load_explicit(&image.untold, memory_order_relaxed) ?
		       atomic_exchange(&image.untold, 0) :
		       0;
}

static void tell_image(void)
{
	struct event event;
	char path[512] = "", comm[16] = "";

	sysio_call(SYS_readlinkat, AT_FDCWD, (long)"/proc/self/exe", (long)path, sizeof path - 1, 0,
		   0);
	sysio_call(SYS_prctl, PR_GET_NAME, (long)comm, 0, 0, 0, 0);
	event_begin(&event, "image");
	event_number(&event, "n", image.number);
	event_number(&event, "pid", shim_thread.author.pid);
	event_number(&event, "parent", image.parent);
	event_number(&event, "ticks", stamp_now());
	event_text(&event, "comm", comm);
	event_text(&event, "path", path);
	event_append(&event, image.events);
}

/* ---- modules ---------------------------------------------------------------------------------- */

static void tell_module(const struct stamp_module *module)
{
	struct event event;
	const uint8_t *id = NULL;
	size_t id_bytes = 0;
	char path[512];

	stamp_module_file(module, path, sizeof path, &id, &id_bytes);
	event_begin(&event, "module");
	event_number(&event, "image", image.number);
	event_number(&event, "n", module->number);
	event_number(&event, "ticks", stamp_now());
	event_hex(&event, "base", module->base);
	event_hex(&event, "bytes", module->bytes);
	event_bytes(&event, "build", id, id_bytes);
	event_text(&event, "path", path);
	if (plt_is_stub(module->base))
		event_text(&event, "method", "call");
	event_append(&event, image.events);
}

static uint32_t module_slots(void)
{
	return image.module_slots < MODULES ? image.module_slots : MODULES;
}

/* A place of one that is gone, or a new one. It has no number, for everybody else, until it is filled. */
static struct stamp_module *claim_module(void)
{
	const uint32_t count = module_slots();

	for (uint32_t i = 0; i < count; i++) {
		struct stamp_module *module = &image.modules[i];
		uint32_t number = __atomic_load_n(&module->number, __ATOMIC_ACQUIRE);
		if (number && !module->bytes &&
		    __atomic_compare_exchange_n(&module->number, &number, 0, false,
						__ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			return module;
	}
	uint32_t n = atomic_fetch_add(&image.module_slots, 1);
	return n < MODULES ? &image.modules[n] : NULL;
}

static struct stamp_module find_module(uintptr_t address)
{
	uint32_t count = module_slots();
	struct stamp_module told = { 0 };

	for (uint32_t i = count; i-- > 0;)
		if (address - image.modules[i].base < image.modules[i].bytes &&
		    __atomic_load_n(&image.modules[i].number, __ATOMIC_ACQUIRE))
			return image.modules[i];
	if (shim.sandboxed || !stamp_module_bounds(address, &told))
		return (struct stamp_module){ 0 };
	struct stamp_module *module = claim_module();
	if (!module)
		return (struct stamp_module){ 0 };
	module->base = told.base;
	module->bytes = told.bytes;
	told.number = atomic_fetch_add(&image.module_count, 1) + 1;
	tell_module(&told);
	__atomic_store_n(&module->number, told.number, __ATOMIC_RELEASE);
	return told;
}

struct stamp_module stamp_module(uintptr_t address)
{
	struct stamp_module module = find_module(address);

	if (plt_is_stub(address) && module.number)
		plt_tell(address, image.number, module.number, image.events);
	return module;
}

/* Something may have gone, and something else may come in its place. */
void stamp_unloaded(void)
{
	struct stamp_module found;
	uint32_t count = module_slots();

	if (!stamp_image_number())
		return;
	for (uint32_t i = 0; i < count; i++) {
		struct stamp_module *module = &image.modules[i];
		if (!module->number || !module->bytes || plt_is_stub(module->base) ||
		    (stamp_module_bounds(module->base, &found) && found.base == module->base))
			continue;
		struct event event;
		event_begin(&event, "unload");
		event_number(&event, "image", image.number);
		event_number(&event, "n", module->number);
		event_number(&event, "ticks", stamp_now());
		event_append(&event, image.events);
		module->bytes = 0;
		atomic_fetch_add(&stamp_names_changed, 1);
		stamp_look_again();
	}
}

HOOKED int dlclose(void *handle)
{
	bool ours =
		atomic_load(&shim.stage) == SHIM_LISTENING && !shim.sandboxed && !thread_borrows();
	int result = REAL(dlclose)(handle);

	plt_loader_called();
	if (ours) {
		plt_unloaded();
		stamp_unloaded();
		stack_unloaded();
		sample_unloaded();
	}
	return result;
}

/* ---- process and thread ----------------------------------------------------------------------- */

static void begin_image(uint32_t pid)
{
	struct control *c = shim.session.control;

	image.parent = image.number;
	image.number = atomic_fetch_add(&c->images, 1) + 1;
	image.threads = 0;
	image.module_count = image.module_slots = image.untold = 0;
	memset(image.modules, 0, sizeof image.modules);
	put_path(image.file.path, sizeof image.file.path, TRACE_IMAGE, image.number);
	put_path(image.events, sizeof image.events, TRACE_EVENTS, 0);
	image.file.bytes = 0;
	tell_image();
	atomic_store(&image.pid, pid);
}

/* One thread makes the image, others wait for that: a few microseconds. */
static bool is_image(void)
{
	uint32_t pid = shim.epoch->value, none = 0; /* not a vfork child's own */

	for (int i = 0; i < WAITS && image.pid != pid; i++) {
		if (atomic_compare_exchange_strong(&image.beginner, &none, pid)) {
			if (image.pid != pid)
				begin_image(pid);
			atomic_store(&image.beginner, 0);
			return true;
		}
		if (none != pid)
			atomic_compare_exchange_strong(&image.beginner, &none, 0); /* a parent's thread's */
		none = 0;
		sysio_call(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
	}
	return image.pid == pid;
}

/* The room of a thread that is gone, or a new one. Not one of before a fork: it may be that of the thread
 * that forked, which has not been heard of here yet and goes on in it. */
static struct stamp_room *take_room(void)
{
	int32_t pid = (int32_t)shim_thread.author.pid, tid = (int32_t)shim_thread.author.tid;

	for (struct stamp_room *room = atomic_load(&rooms); room; room = room->next) {
		int32_t owner = atomic_load(&room->tid);
		bool gone = atomic_load(&room->image) == image.number &&
			    (owner == tid || owner == 0 ||
			     sysio_call(SYS_tgkill, pid, owner, 0, 0, 0, 0) == -ESRCH);
		if (gone && atomic_compare_exchange_strong(&room->tid, &owner, tid))
			return room;
	}
	struct stamp_room *room = sysio_map(sizeof *room, PROT_READ | PROT_WRITE,
					    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (sysio_is_error(room))
		return NULL;
	if (!stamp_stack_open(&room->stack)) {
		sysio_unmap(room, sizeof *room);
		return NULL;
	}
	room->tid = tid;
	room->image = image.number;
	room->next = atomic_load(&rooms);
	while (!atomic_compare_exchange_weak(&rooms, &room->next, room))
		;
	return room;
}

/* What a thread that ended leaves is there until another uses its flight recorder: threads that come and
 * go would fill the disk. */
static void take_parts(struct stamp *s)
{
	uint32_t flight = s->mode == STAMP_FLIGHT ? image.number : 0;

	if (flight && s->room->flight == flight)
		return;
	stamp_drop_parts(s->room);
	s->room->flight = flight;
}

void stamp_repeat(uint32_t most)
{
	struct stamp *s = &stamp;
	uint32_t depth = stamp_depth(s);

	/* the innermost that are recorded */
	uint32_t first = depth + 1;
	for (; first > 1 && most; first--)
		most -= !s->stack->frames[first - 1].hidden;
	for (uint32_t i = first; i <= depth; i++) {
		if (s->stack->frames[i].hidden)
			continue;
		uintptr_t function = s->stack->frames[i].function;
		struct stamp_module module = stamp_module(function);
		uint64_t offset = function - module.base;
		uint32_t body[3] = { module.number, (uint32_t)offset, (uint32_t)(offset >> 32) };
		stamp_long(TRACE_OPEN, 0, s->begun, body, 3);
	}
}

static bool begin_thread(struct stamp *s)
{
	bool forked = s->image && s->room;
	uint32_t parent_image = s->image, parent_thread = s->thread, depth = stamp_depth(s);

	if (!forked && !(s->room = take_room())) {
		s->stopped = true;
		return false;
	}
	if (!forked)
		plt_end(&s->room->stack.calls); /* of the thread that had it before */
	take_parts(s);
	s->image = image.number;
	s->thread = atomic_fetch_add(&image.threads, 1) + 1;
	s->parts = 0;
	s->next_bytes = TRACE_SEGMENT_LEAST;
	s->segment = NULL;
	s->stopped = false;
	s->home_bytes = s->near_bytes = 0;
	s->home_number = s->near_number = 0;
	s->deeper = 0;
	s->names = atomic_load(&stamp_names_changed);
	s->sieve = NULL; /* it has new counts, whatever there was */
	if (!forked && s->room->sieve)
		stamp_stack_clean(&s->room->stack);
	if (!forked) {
		stamp_stack_use(&s->room->stack, 0);
	} else {
		atomic_store(&s->room->tid, (int32_t)shim_thread.author.tid);
		atomic_store(&s->room->image, image.number);
	}
	if (s->mode == STAMP_PROFILE) {
		for (; depth; depth--) { /* what is open has begun before the profile */
			s->top->hidden = 0;
			stamp_close_frame(s, s->top);
		}
		stamp_profile_forget();
		stamp_sieve_begin();
		return true;
	}
	s->sieve = s->room->sieve; /* for what is hidden */
	stamp_sieve_begin();
	/* the header says what the records do; a flight recorder repeats open calls anyway */
	if (s->mode != STAMP_FLIGHT)
		s->top = s->stack->frames;
	bool begun = stamp_words(0);
	s->top = s->stack->frames + depth;
	if (!begun)
		return false;
	if (forked) {
		s->segment->parent = (uint64_t)parent_image << 32 | parent_thread;
		/* What was open in the thread that forked is open still. */
		if (s->mode != STAMP_FLIGHT)
			stamp_repeat(UINT32_MAX);
	}
	return true;
}

/* What `hark set` has changed since we looked. */
static uint32_t follow_session(void)
{
	struct control *c = shim.session.control;
	uint32_t word = atomic_load(&c->stamp);

	if (image.word != word || atomic_load(&shim.epoch->stamp) == 0) {
		/* before others can see that there is a change: they take what is there then */
		stamp_sieve_follow(word);
		image.word = word;
		atomic_store(&shim.epoch->stamp, gate_word(word & STAMP_MODE));
	}
	stamp_gate = (word & STAMP_MODE) ? &shim.epoch->stamp : &c->stamp;
	return word & STAMP_MODE;
}

bool stamp_given_up(const struct stamp *s)
{
	const struct control *c = shim.session.control;

	return s->stopped &&
	       s->known == atomic_load_explicit(stamp_gate, memory_order_relaxed) &&
	       image.word == atomic_load_explicit(&c->stamp, memory_order_relaxed);
}

bool stamp_image(void)
{
	struct stamp *s = &stamp;

	if (stamp_gate == &not_yet) {
		if (!shim_listening() && atomic_load(&shim.stage) == SHIM_PASSING)
			stamp_gate = &never;
		if (stamp_gate == &not_yet || stamp_gate == &never)
			return false; /* or in the midst of the shim's own start */
	}
	thread_know();
	if (!shim.epoch->value)
		return false; /* nothing would tell a forked child that it is one */
	uint32_t mode = follow_session();
	if (mode == STAMP_OFF)
		return false;
	if (clock_frozen())
		return s->image == stamp_image_number() && !s->stopped &&
		       stamp_stop(TRACE_GAP_SANDBOX, "sandbox");
	/* Whoever recorded before goes on; nobody begins, since that takes system calls. */
	if (shim.sandboxed && s->image != stamp_image_number())
		return false;
	if (!is_image())
		return false;
	if (s->image != image.number || s->mode != mode) {
		s->mode = mode;
		s->known = atomic_load(stamp_gate);
		return begin_thread(s);
	}
	if (atomic_load(stamp_gate) != s->known) {
		s->known = atomic_load(stamp_gate);
		if (s->names != atomic_load(&stamp_names_changed)) {
			s->names = atomic_load(&stamp_names_changed);
			s->home_bytes = s->near_bytes = 0;
			stamp_profile_rename();
		}
		stamp_sieve_begin();
	}
	return true;
}
