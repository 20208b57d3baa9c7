/*
 * stack_modules.c - see stack_modules.h.
 *
 * A word on the stack may be an address that somebody left there long ago, and its module may be unloaded
 * by another thread at this very moment. So nothing of a module is read but by the kernel, which fails
 * where we would crash.
 */
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <sys/syscall.h>

#include "lib/base/sysio.h"
#include "shim/shim.h"
#include "shim/stack_modules.h"

enum { PAGE_BYTES = 4096, TOLD = 512, LOOK = 8, PATH = 256, BUILD = 32, SEGMENTS = 16 };

/* What was told: a module's place, mixed with whom it was told of and to. Without a lock: two threads may
 * tell of the same one, and one that is pushed out is told again. */
static _Atomic uint64_t told[TOLD];
static _Atomic uint32_t unloaded;

void stack_unloaded(void)
{
	atomic_fetch_add(&unloaded, 1);
}

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 31) * UINT64_C(0x9e3779b97f4a7c15);
	return (x ^ x >> 29) * UINT64_C(0xd6e8feb86659fd93);
}

void stack_modules_begin(struct stack_seen *seen)
{
	uint64_t collector = (uint32_t)atomic_load_explicit(&shim.session.control->collector_pid,
							    memory_order_relaxed);

	memset(seen, 0, sizeof *seen);
	seen->whose =
		mix((uint64_t)shim_thread.author.pid << 32 | collector) + atomic_load(&unloaded);
}

#pragma weak _dl_find_object

static bool copy_in(void *to, uintptr_t from, size_t bytes)
{
	struct iovec here = { to, bytes }, there = { (void *)from, bytes };

	return sysio_call(SYS_process_vm_readv, sysio_getpid(), (long)&here, 1, (long)&there, 1,
			  0) == (long)bytes;
}

/* By pieces that do not cross a page: behind the end there may be nothing. */
static size_t copy_string(char *to, uintptr_t from, size_t most)
{
	size_t n = 0;

	while (n < most) {
		size_t some = 64 - (from + n) % 64;
		some = some < most - n ? some : most - n;
		if (!copy_in(to + n, from + n, some))
			return 0;
		const char *end = memchr(to + n, 0, some);
		if (end)
			return (size_t)(end - to);
		n += some;
	}
	return 0;
}

static size_t copy_note(uintptr_t at, size_t bytes, uint8_t id[BUILD])
{
	ElfW(Nhdr) note;

	while (bytes > sizeof note && copy_in(&note, at, sizeof note)) {
		size_t name = (note.n_namesz + 3) & ~3u, value = (note.n_descsz + 3) & ~3u;
		size_t whole = sizeof note + name + value;
		if (whole > bytes)
			break;
		if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 &&
		    note.n_descsz <= BUILD)
			return copy_in(id, at + sizeof note + name, note.n_descsz)
				       ? note.n_descsz
				       : 0;
		at += whole;
		bytes -= whole;
	}
	return 0;
}

static size_t copy_build_id(uintptr_t start, uintptr_t end, uint8_t id[BUILD])
{
	ElfW(Ehdr) head;
	ElfW(Phdr) p;
	uintptr_t lowest = UINTPTR_MAX;

	if (!copy_in(&head, start, sizeof head) || memcmp(head.e_ident, ELFMAG, SELFMAG) != 0)
		return 0;
	for (unsigned i = 0; i < head.e_phnum && i < SEGMENTS; i++) {
		if (!copy_in(&p, start + head.e_phoff + i * sizeof p, sizeof p))
			return 0;
		if (p.p_type == PT_LOAD && p.p_vaddr < lowest)
			lowest = p.p_vaddr & ~(uintptr_t)(PAGE_BYTES - 1);
	}
	for (unsigned i = 0; i < head.e_phnum && i < SEGMENTS; i++) {
		if (!copy_in(&p, start + head.e_phoff + i * sizeof p, sizeof p) ||
		    p.p_type != PT_NOTE || p.p_vaddr - lowest >= end - start)
			continue;
		size_t n = copy_note(start + p.p_vaddr - lowest, p.p_memsz, id);
		if (n)
			return n;
	}
	return 0;
}

static bool tell(const struct dl_find_object *object)
{
	struct record_info info = { .fd = 0xffff, .source = SOURCE_HARK, .kind = RECORD_MODULE };
	struct record_module module = { .start = (uintptr_t)object->dlfo_map_start,
					.end = (uintptr_t)object->dlfo_map_end };
	struct ring_policy policy = shim.policy;
	uint8_t id[BUILD];
	char path[PATH];
	char *name;

	if (shim.sandboxed || !object->dlfo_link_map ||
	    !copy_in(&name, (uintptr_t)&object->dlfo_link_map->l_name, sizeof name))
		return false;
	module.path_bytes = (uint32_t)copy_string(path, (uintptr_t)name, sizeof path);
	if (!module.path_bytes) {
		long n = sysio_call(SYS_readlinkat, AT_FDCWD, (long)"/proc/self/exe", (long)path,
				    sizeof path, 0, 0);
		module.path_bytes = n > 0 ? (uint32_t)n : 0;
	}
	module.build_bytes = (uint32_t)copy_build_id(module.start, module.end, id);
	if (policy.overflow != RING_LOSE_OLDEST)
		policy.overflow = RING_LOSE_NEWEST;
	struct iovec parts[] = { { &module, sizeof module },
				 { id, module.build_bytes },
				 { path, module.path_bytes } };
	return ring_append(&shim.session.ring, &shim_thread.author, &info, parts, 3, &policy) == 0;
}

/* Calls of one module follow each other, and the next one's often lead back to the first. */
static bool is_seen(struct stack_seen *seen, uintptr_t address)
{
	if (address - seen->start[0] < seen->end[0] - seen->start[0])
		return true;
	if (address - seen->start[1] >= seen->end[1] - seen->start[1])
		return false;
	uintptr_t start = seen->start[1], end = seen->end[1];
	seen->start[1] = seen->start[0];
	seen->end[1] = seen->end[0];
	seen->start[0] = start;
	seen->end[0] = end;
	return true;
}

void stack_module(struct stack_seen *seen, uintptr_t address)
{
	struct dl_find_object object;
	uintptr_t page = address / PAGE_BYTES, *miss = &seen->miss[page % STACK_MISSES];

	if (is_seen(seen, address) || *miss == page || !_dl_find_object)
		return;
	if (_dl_find_object((void *)address, &object) != 0) {
		*miss = page;
		return;
	}
	uint64_t key = mix((uintptr_t)object.dlfo_map_start ^ seen->whose) | 1;
	unsigned at = (unsigned)(key >> 32) % TOLD, place = at;
	bool known = false;
	for (unsigned i = 0; i < LOOK && !known; i++) {
		uint64_t is = atomic_load_explicit(&told[(at + i) % TOLD], memory_order_relaxed);
		known = is == key;
		if (!is)
			place = (at + i) % TOLD;
	}
	if (!known && tell(&object))
		atomic_store_explicit(&told[place], key, memory_order_relaxed);
	seen->start[1] = seen->start[0];
	seen->end[1] = seen->end[0];
	seen->start[0] = (uintptr_t)object.dlfo_map_start;
	seen->end[0] = (uintptr_t)object.dlfo_map_end;
}
