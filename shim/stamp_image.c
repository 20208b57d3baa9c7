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
	_Atomic uint32_t module_count;
	struct stamp_module modules[MODULES];
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

	if (word)
		atomic_store(&shim.epoch->stamp, gate_word(word & STAMP_MODE));
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

void stamp_stopped(const char *reason)
{
	struct event event;

	if (shim.sandboxed)
		return;
	event_begin(&event, "gap");
	event_number(&event, "image", image.number);
	event_number(&event, "tid", shim_thread.author.tid);
	event_number(&event, "ticks", stamp_now());
	event_text(&event, "reason", reason);
	event_append(&event, image.events);
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

/* From the module's own notes, as they are mapped. */
static size_t build_id(uintptr_t base, size_t bytes, const uint8_t **id)
{
	const ElfW(Ehdr) *head = (const void *)base;
	const ElfW(Phdr) *segment = (const void *)(base + head->e_phoff);

	if (memcmp(head->e_ident, ELFMAG, SELFMAG) != 0 || head->e_phoff > bytes)
		return 0;
	uintptr_t lowest = UINTPTR_MAX;
	for (unsigned i = 0; i < head->e_phnum; i++)
		if (segment[i].p_type == PT_LOAD && segment[i].p_vaddr < lowest)
			lowest = segment[i].p_vaddr & ~(uintptr_t)(TRACE_PAGE - 1);
	for (unsigned i = 0; i < head->e_phnum; i++) {
		if (segment[i].p_type != PT_NOTE)
			continue;
		const uint8_t *at = (const void *)(base + segment[i].p_vaddr - lowest);
		const uint8_t *last = at + segment[i].p_memsz;
		while (at + sizeof(ElfW(Nhdr)) < last) {
			const ElfW(Nhdr) *note = (const void *)at;
			const uint8_t *name = at + sizeof *note;
			const uint8_t *value = name + ((note->n_namesz + 3) & ~3u);
			at = value + ((note->n_descsz + 3) & ~3u);
			if (note->n_type == NT_GNU_BUILD_ID && at <= last) {
				*id = value;
				return note->n_descsz;
			}
		}
	}
	return 0;
}

static void tell_module(const struct stamp_module *module, const char *name)
{
	bool calls = plt_is_stub(module->base);
	struct event event;
	const uint8_t *id = NULL;
	char path[512] = "";
	struct text t = text_in(path, sizeof path - 1);

	size_t id_bytes = calls ? 0 : build_id(module->base, module->bytes, &id);
	if (!*name) {
		sysio_call(SYS_readlinkat, AT_FDCWD, (long)"/proc/self/exe", (long)path,
			   sizeof path - 1, 0, 0);
	} else {
		if (*name != '/' &&
		    sysio_call(SYS_getcwd, (long)path, sizeof path - 2, 0, 0, 0, 0) > 0)
			t.len = strlen(path);
		if (*name != '/')
			text_char(&t, '/');
		text_str(&t, name);
		text_cstr(&t);
	}
	event_begin(&event, "module");
	event_number(&event, "image", image.number);
	event_number(&event, "n", module->number);
	event_number(&event, "ticks", stamp_now());
	event_hex(&event, "base", module->base);
	event_hex(&event, "bytes", module->bytes);
	event_bytes(&event, "build", id, id_bytes);
	event_text(&event, "path", path);
	if (calls)
		event_text(&event, "method", "call");
	event_append(&event, image.events);
}

/* glibc's own table of what is loaded: without a lock, and good in signal handlers. */
#pragma weak _dl_find_object

static bool find_object(uintptr_t address, struct dl_find_object *found)
{
	return _dl_find_object && _dl_find_object((void *)address, found) == 0;
}

/* Stubs of library calls are a module of their own: what they are called, no file says. */
static bool find_bounds(uintptr_t address, struct stamp_module *found, const char **name)
{
	struct dl_find_object object;

	if (plt_is_stub(address)) {
		*found = (struct stamp_module){ plt_stub(0), plt_stub(PLT_FUNCTIONS) - plt_stub(0),
						0 };
		*name = shim.preload;
		return true;
	}
	if (!find_object(address, &object))
		return false;
	found->base = (uintptr_t)object.dlfo_map_start;
	found->bytes = (uintptr_t)object.dlfo_map_end - found->base;
	*name = object.dlfo_link_map ? object.dlfo_link_map->l_name : "";
	return true;
}

static struct stamp_module find_module(uintptr_t address)
{
	uint32_t count = image.module_count < MODULES ? image.module_count : MODULES;
	struct stamp_module told = { 0 };
	const char *name;

	for (uint32_t i = count; i-- > 0;)
		if (address - image.modules[i].base < image.modules[i].bytes &&
		    __atomic_load_n(&image.modules[i].number, __ATOMIC_ACQUIRE))
			return image.modules[i];
	if (shim.sandboxed || !find_bounds(address, &told, &name))
		return (struct stamp_module){ 0 };
	uint32_t n = atomic_fetch_add(&image.module_count, 1);
	if (n >= MODULES)
		return (struct stamp_module){ 0 };
	struct stamp_module *module = &image.modules[n];
	module->base = told.base;
	module->bytes = told.bytes;
	told.number = n + 1;
	tell_module(&told, name);
	__atomic_store_n(&module->number, n + 1, __ATOMIC_RELEASE);
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
	struct dl_find_object found;
	uint32_t count = image.module_count < MODULES ? image.module_count : MODULES;

	if (!stamp_image_number())
		return;
	for (uint32_t i = 0; i < count; i++) {
		struct stamp_module *module = &image.modules[i];
		if (!module->number || plt_is_stub(module->base) ||
		    (find_object(module->base, &found) &&
		     (uintptr_t)found.dlfo_map_start == module->base))
			continue;
		struct event event;
		event_begin(&event, "unload");
		event_number(&event, "image", image.number);
		event_number(&event, "n", module->number);
		event_number(&event, "ticks", stamp_now());
		event_append(&event, image.events);
		module->bytes = 0;
		stamp_look_again();
	}
}

HOOKED int dlclose(void *handle)
{
	bool ours = atomic_load(&shim.stage) == SHIM_LISTENING && !shim.sandboxed && !thread_borrows();
	int result = REAL(dlclose)(handle);

	plt_loader_called();
	if (ours) {
		plt_unloaded();
		stamp_unloaded();
		stack_unloaded();
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
	image.module_count = 0;
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

static void drop_parts(struct stamp_room *room)
{
	for (unsigned i = 0; i < STAMP_FLIGHT_PARTS; i++)
		if (room->parts[i]) {
			sysio_unmap(room->parts[i], room->part_bytes[i]);
			room->parts[i] = NULL;
		}
}

/* What a thread that ended leaves is there until another uses its flight recorder: threads that come and
 * go would fill the disk. */
static void take_parts(struct stamp *s)
{
	uint32_t flight = s->mode == STAMP_FLIGHT ? image.number : 0;

	if (flight && s->room->flight == flight)
		return;
	drop_parts(s->room);
	s->room->flight = flight;
}

void stamp_repeat(uint32_t most)
{
	struct stamp *s = &stamp;
	uint32_t depth = stamp_depth(s);

	for (uint32_t i = depth > most ? depth - most + 1 : 1; i <= depth; i++) {
		uintptr_t function = s->stack->frames[i].function;
		struct stamp_module module = stamp_module(function);
		uint64_t offset = function - module.base;
		uint32_t body[3] = { module.number, (uint32_t)offset, (uint32_t)(offset >> 32) };
		stamp_long(TRACE_OPEN, 0, stamp_now(), body, 3);
	}
}

static bool begin_thread(struct stamp *s)
{
	bool forked = s->image && s->room;
	uint32_t parent_image = s->image, parent_thread = s->thread, depth = stamp_depth(s);

	if (!forked && !(s->room = take_room()))
		return false;
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
	if (!forked) {
		stamp_stack_use(&s->room->stack, 0);
	} else {
		atomic_store(&s->room->tid, (int32_t)shim_thread.author.tid);
		atomic_store(&s->room->image, image.number);
		/* the header says what the records do; a flight recorder repeats open calls anyway */
		if (s->mode != STAMP_FLIGHT)
			s->top = s->stack->frames;
	}
	if (s->mode == STAMP_PROFILE) {
		s->top = s->stack->frames; /* what is open has begun before the profile */
		stamp_profile_forget();
		return true;
	}
	if (!stamp_words(0))
		return false;
	if (forked) {
		s->segment->parent = (uint64_t)parent_image << 32 | parent_thread;
		s->top = s->stack->frames + depth;
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
		image.word = word;
		atomic_store(&shim.epoch->stamp, gate_word(word & STAMP_MODE));
	}
	stamp_gate = (word & STAMP_MODE) ? &shim.epoch->stamp : &c->stamp;
	return word & STAMP_MODE;
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
		s->home_bytes = s->near_bytes = 0;
		stamp_profile_rename();
	}
	return true;
}
