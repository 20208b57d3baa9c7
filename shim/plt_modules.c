/*
 * plt_modules.c - the slots by which modules call each other, made to lead to our stubs.
 *
 * Slots of DT_JMPREL are for calls and nothing else. Those of DT_RELA (R_X86_64_GLOB_DAT) are read by code that
 * was compiled with -fno-plt when it calls, and by any code that wants a function's address; so
 * such a slot is taken only where all the module's code that reads it are calls and jumps. Otherwise
 * the program could tell: a function would have two addresses. On aarch64, a call reads its slot into a
 * register first, and who else uses that register is not to be seen so simply: there they are left.
 *
 * Tables that the loader has made read-only are writable for a moment, never executable. Modules come
 * by dlopen(), whose caller must stay who it is: we have no way to be told of its end. So new
 * modules are looked for when the program asks for a function of theirs (dlsym), and whenever after a dlopen()
 * something goes the slow way anyhow.
 */
#include "shim/plt.h"

#include <link.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "lib/base/sysio.h"
#include "shim/libc.h"
#include "shim/real.h"
#include "shim/shim.h"
#include "shim/stamp.h"

#if PLT_AVAILABLE

static uint32_t looking; /* pid of who is, or was before a fork; under the loader's lock */

enum {
	MODULES = 2048, CANDIDATES = 1024, PATH = 512,
	TEXT_MOST = 64 << 20,  /* bytes of code that are searched for uses of slots */
};

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
typedef ElfW(Dyn) elf_dyn;
typedef ElfW(Rela) elf_rela;

struct module {
	struct plt_module is;
	const elf_dyn *dynamic;
	const char *path;
	uintptr_t code, code_end;      /* the segment that is executable, the first one */
	uintptr_t relro, relro_end;
	const elf_rela *jumps, *others;
	size_t jump_count, other_count;
	bool open;                     /* relro is writable, by us */
	bool unfinished;               /* the loader is at work on it */
	bool unbound;                  /* some slots are: who binds one now may write it after us */
	uintptr_t taken;               /* one of its slots */
};

struct known {
	const void *dynamic;
	uintptr_t from;
	uintptr_t taken;
	bool again;                    /* to be looked at once more, since it was unbound */
};

struct table {
	unsigned long long adds;
	uintptr_t page;
	bool unfinished, again;        /* some module is */
	uint32_t known_count;
	struct known known[MODULES];
	struct dl_phdr_info found[MODULES];
	uint32_t found_count;
	struct plt_read candidates[CANDIDATES];
	uint32_t candidate_count;
	char program[PATH];
};
static struct table *table;

/* ---- a module ---------------------------------------------------------------------------------- */

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

static bool is_sanitizer(const char *path)
{
	static const char *const names[] = { "libasan.", "libhwasan.", "liblsan.", "libtsan.",
					     "libubsan.", "libclang_rt." };

	for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
		if (strncmp(base_name(path), names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

static bool holds(const struct plt_module *m, const void *address)
{
	return (uintptr_t)address - m->from < m->to - m->from;
}

/* Whose function it is; a hook of ours stands for libc's. NULL: it is nowhere. */
static const char *library_of(uintptr_t target)
{
	const char *(*libc)(void) = gnu_get_libc_version;
	const char *path;
	uintptr_t from, to;

	if (!plt_object(target, &from, &to, &path) ||
	    ((uintptr_t)plt_stubs - from < to - from &&
	     !plt_object((uintptr_t)libc, &from, &to, &path)))
		return NULL;
	return *path ? path : table->program;
}

/* libc's calls of itself are no calls of the program's, nor are the loader's and ours. */
static bool is_left_alone(const struct module *m)
{
	const char *(*libc)(void) = gnu_get_libc_version;

	return holds(&m->is, plt_stubs) || holds(&m->is, (void *)libc) ||
	       m->is.base == getauxval(AT_BASE) || strncmp(base_name(m->path), "ld-", 3) == 0 ||
	       is_sanitizer(m->path);
}

/* All of them: what the loader says of an address may be one segment, where there are gaps. */
static void find_segments(struct module *m, const struct dl_phdr_info *info)
{
	m->is.from = UINTPTR_MAX;
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		uintptr_t from = info->dlpi_addr + p->p_vaddr;
		if (p->p_type == PT_DYNAMIC)
			m->dynamic = (const void *)from;
		if (p->p_type == PT_GNU_RELRO) {
			m->relro = from & ~(table->page - 1);
			m->relro_end = (from + p->p_memsz) & ~(table->page - 1);
		}
		if (p->p_type != PT_LOAD)
			continue;
		if (from < m->is.from)
			m->is.from = from & ~(table->page - 1);
		if (from + p->p_memsz > m->is.to)
			m->is.to = from + p->p_memsz;
		if ((p->p_flags & PF_X) && (p->p_flags & PF_R) && !m->code) {
			m->code = from;
			m->code_end = from + p->p_filesz;
		}
	}
}

/* The loader has made addresses of them, but for modules whose table is read-only. */
static const void *pointer(const struct module *m, const elf_dyn *d)
{
	uintptr_t at = d->d_un.d_ptr;

	return (const void *)(holds(&m->is, (void *)at) ? at : at + m->is.base);
}

static void find_tables(struct module *m)
{
	bool rela = false;

	for (const elf_dyn *d = m->dynamic; d->d_tag != DT_NULL; d++)
		switch (d->d_tag) {
		case DT_SYMTAB: m->is.symbols = pointer(m, d); break;
		case DT_STRTAB: m->is.strings = pointer(m, d); break;
		case DT_VERSYM: m->is.versions = pointer(m, d); break;
		case DT_VERNEED: m->is.needed = pointer(m, d); break;
		case DT_JMPREL: m->jumps = pointer(m, d); break;
		case DT_PLTRELSZ: m->jump_count = d->d_un.d_val / sizeof(elf_rela); break;
		case DT_PLTREL: rela = d->d_un.d_val == DT_RELA; break;
		case DT_RELA: m->others = pointer(m, d); break;
		case DT_RELASZ: m->other_count = d->d_un.d_val / sizeof(elf_rela); break;
		default: break;
		}
	if (!m->jumps || !rela)
		m->jump_count = 0;
	if (!m->others)
		m->other_count = 0;
}

static bool describe(struct module *m, const struct dl_phdr_info *info)
{
	uintptr_t from, to;

	*m = (struct module){ .is.base = info->dlpi_addr };
	find_segments(m, info);
	if (!m->dynamic || !m->code || !plt_object(m->code, &from, &to, &m->path) ||
	    !holds(&m->is, m->dynamic))
		return false;
	if (!*m->path)
		m->path = table->program;
	find_tables(m);
	m->is.ret = plt_find_ret(m->code, m->code_end);
	if (m->path == table->program)
		plt_program_ret = m->is.ret;
	return m->is.symbols && m->is.strings && m->is.ret && !is_left_alone(m);
}

/* ---- its slots --------------------------------------------------------------------------------- */

/* Whether the loader has not protected it yet, since it is not done. */
static bool in_work(uintptr_t page)
{
	return table->adds && sysio_call(SYS_madvise, (long)page, (long)table->page,
					 MADV_POPULATE_WRITE, 0, 0, 0) == 0;
}

static bool may_write(struct module *m, uintptr_t slot)
{
	if (slot - m->relro >= m->relro_end - m->relro || m->open)
		return !m->unfinished;
	if (in_work(m->relro)) {
		m->unfinished = true;
		return false;
	}
	m->open = sysio_call(SYS_mprotect, (long)m->relro, (long)(m->relro_end - m->relro),
			     PROT_READ | PROT_WRITE, 0, 0, 0) == 0;
	return m->open;
}

static void protect(struct module *m)
{
	if (m->open)
		sysio_call(SYS_mprotect, (long)m->relro, (long)(m->relro_end - m->relro), PROT_READ,
			   0, 0, 0);
	m->open = false;
}

/* What the slot leads to; 0: to nothing that could be traced. */
static uintptr_t target_of(struct module *m, uintptr_t slot, uint32_t number)
{
	const ElfW(Sym) *symbol = (const ElfW(Sym) *)m->is.symbols + number;
	uintptr_t target = __atomic_load_n((uintptr_t *)slot, __ATOMIC_RELAXED), from, to;
	const char *path;

	if (!target || plt_is_stub(target))
		return 0;
	if (!plt_object(target, &from, &to, &path)) {
		m->unfinished = true;
		return 0;
	}
	bool own = symbol->st_shndx != SHN_UNDEF && target == m->is.base + symbol->st_value;
	if (holds(&m->is, (void *)target) && !own) {
		m->unbound = table->adds != 0; /* before that, nobody binds */
		target = plt_lookup(&m->is, number);
	} else if (plt_is_detour(target))
		target = 0; /* it comes by that, and will be seen there */
	return target;
}

/* Flags of the function, PLT_NEVER where it is none of our business. library NULL: whatever it is */
static unsigned judge(const char *name, const char *library)
{
	unsigned flags = plt_flags(name);

	if ((flags & PLT_NEVER) || plt_wanted(name, library))
		return flags;
	if (flags & (PLT_OPENS | PLT_FINDS | PLT_LOOKS | PLT_SHARES | PLT_LEAVES | PLT_ASKS))
		return flags | PLT_QUIET;
	return PLT_NEVER;
}

static const char *name_of(const struct module *m, uint32_t symbol)
{
	return m->is.strings + ((const ElfW(Sym) *)m->is.symbols + symbol)->st_name;
}

static void consider(struct module *m, uintptr_t slot, uint32_t symbol)
{
	const char *name = name_of(m, symbol), *library;
	uintptr_t target;

	if (!*name || (slot & 7) || !holds(&m->is, (void *)slot) ||
	    plt_own_convention(((const ElfW(Sym) *)m->is.symbols + symbol)->st_other) ||
	    (judge(name, NULL) & PLT_NEVER) || !(target = target_of(m, slot, symbol)) ||
	    !(library = library_of(target)))
		return;
	unsigned flags = judge(name, library);
	if (flags & PLT_NEVER)
		return;
	if (is_sanitizer(library))
		flags |= PLT_INSTANT; /* they report who called them */
	if (!(flags & PLT_QUIET) && shim.session.control->arguments)
		flags |= plt_values_flags(name);
	uint32_t index = plt_function(name, target, library, flags);
	if (index == PLT_FUNCTIONS || !may_write(m, slot))
		return;
	__atomic_store_n((uintptr_t *)slot, plt_stub(index), __ATOMIC_RELEASE);
	m->taken = slot;
}

/* ---- slots that code reads ----------------------------------------------------------------------- */

static void gather(const struct module *m)
{
	table->candidate_count = 0;
	for (size_t i = 0; i < m->other_count; i++) {
		const elf_rela *r = &m->others[i];
		uint32_t symbol = (uint32_t)ELF64_R_SYM(r->r_info);
		if (ELF64_R_TYPE(r->r_info) != PLT_CALLED_SLOT ||
		    table->candidate_count == CANDIDATES)
			continue;
		unsigned type = ELF64_ST_TYPE(((const ElfW(Sym) *)m->is.symbols + symbol)->st_info);
		if ((type != STT_FUNC && type != STT_NOTYPE && type != STT_GNU_IFUNC) ||
		    (judge(name_of(m, symbol), NULL) & PLT_NEVER))
			continue;
		table->candidates[table->candidate_count++] =
			(struct plt_read){ .slot = m->is.base + r->r_offset, .symbol = symbol };
	}
}

static void rewrite_jumps(struct module *m)
{
	for (size_t i = 0; i < m->jump_count; i++)
		if (ELF64_R_TYPE(m->jumps[i].r_info) == PLT_JUMP_SLOT)
			consider(m, m->is.base + m->jumps[i].r_offset,
				 (uint32_t)ELF64_R_SYM(m->jumps[i].r_info));
	protect(m);
}

static void rewrite(struct module *m)
{
	rewrite_jumps(m);
	gather(m);
	if (table->candidate_count && m->code_end - m->code <= TEXT_MOST)
		plt_reads(m->code, m->code_end, table->candidates, table->candidate_count);
	for (uint32_t i = 0; i < table->candidate_count; i++) {
		const struct plt_read *c = &table->candidates[i];
		if (c->calls && !c->others)
			consider(m, c->slot, c->symbol);
	}
	protect(m);
}

/* ---- all modules ------------------------------------------------------------------------------- */

static int collect(struct dl_phdr_info *info, size_t bytes, void *argument)
{
	(void)bytes;
	if (table->found_count == 0 && table->adds == info->dlpi_adds && !table->unfinished &&
	    !table->again)
		return 1;
	*(unsigned long long *)argument = info->dlpi_adds;
	if (table->found_count < MODULES)
		table->found[table->found_count++] = *info;
	return 0;
}

static struct known *known(const struct module *m)
{
	for (uint32_t i = 0; i < table->known_count; i++)
		if (table->known[i].dynamic == m->dynamic)
			return &table->known[i];
	return NULL;
}

static void look_at(struct module *m)
{
	struct known *k = known(m);

	/* What we put there is gone: it is another module. */
	if (k && k->taken && !plt_is_stub(*(uintptr_t *)k->taken))
		k->dynamic = NULL, k = NULL;
	if (k) {
		if (k->again)
			rewrite_jumps(m);
		k->again = false;
		return;
	}
	if (strncmp(base_name(m->path), "_greenlet.", 10) == 0)
		plt_copied();
	if (strcmp(base_name(m->path), "continuation.so") == 0)
		plt_returns_twice(); /* Ruby's callcc */
	rewrite(m);
	if (m->unfinished)
		table->unfinished = true;
	else if (table->known_count < MODULES)
		table->known[table->known_count++] =
			(struct known){ m->dynamic, m->is.from, m->taken, m->unbound };
	table->again |= m->unbound;
}

static bool ready(void) { return table && !shim.sandboxed && shim.epoch->value; }

/* The same thread may be at it: the loader's lock is recursive. */
static bool begin(void)
{
	if (looking == shim.epoch->value)
		return false;
	looking = shim.epoch->value;
	return true;
}

static void look(void)
{
	unsigned long long adds = 0;
	struct module m;

	if (!begin())
		return;
	table->found_count = 0;
	REAL(dl_iterate_phdr)(collect, &adds);
	if (table->found_count) {
		table->unfinished = table->again = false;
		for (uint32_t i = 0; i < table->found_count; i++)
			if (describe(&m, &table->found[i]))
				look_at(&m);
		table->adds = adds;
	}
	looking = 0;
}

void plt_look(void)
{
	if (ready())
		plt_locked(look);
}

static void unloaded(void)
{
	uintptr_t from, to;
	const char *path;

	if (!begin())
		return;
	for (uint32_t i = 0; i < table->known_count; i++)
		while (i < table->known_count &&
		       !(plt_object(table->known[i].from, &from, &to, &path) &&
			 from == table->known[i].from))
			table->known[i] = table->known[--table->known_count];
	plt_functions_unloaded();
	looking = 0;
}

void plt_unloaded(void)
{
	if (ready())
		plt_locked(unloaded);
}

void plt_begin(void)
{
	if (!shim.session.control->calls[0] || !shim.session.control->trace[0] ||
	    !plt_objects_known() || !libc_is_gnu() || !shim.epoch->value)
		return;
	struct table *t = sysio_map(sizeof *t, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (sysio_is_error(t) || !plt_functions_begin())
		return;
	if (plt_shadow_stack() && !PLT_IN_MEMORY)
		return; /* plt_ask() would be found out */
	table = t;
	sysio_call(SYS_readlinkat, -100, (long)"/proc/self/exe", (long)table->program, PATH - 1, 0,
		   0);
	table->page = getauxval(AT_PAGESZ);
	plt_vectors = plt_vector_registers();
	plt_exits = !plt_shadow_stack();
	plt_look();
}

#else

void plt_begin(void) { }
void plt_look(void) { }
void plt_unloaded(void) { }

#endif

int plt_vectors;
