/*
 * plt_lookup.c - what a symbol means to a module, as the loader would say it.
 *
 * A slot that is bound lazily does not hold the function yet. The loader finds it when it is called first, and
 * then writes into the slot, where we want to stay; so it is found now. Which function a name means depends on
 * who asks: dlsym(RTLD_DEFAULT) looks in exactly the scope of the module that it is called from, which it
 * tells by its return address. So we have it called from there: its return address is a return instruction
 * in that module, and what that one returns to is ours (plt_find_ret).
 *
 * A version narrows that down. dlvsym() knows no symbols without a version, which the loader does accept
 * (ours, and those of other preloaded libraries): so both are asked.
 */
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <string.h>

#include "shim/plt.h"
#include "shim/libc.h"

#pragma weak _dl_find_object

static int (*find_object(void))(void *, struct dl_find_object *)
{
	int (*found)(void *, struct dl_find_object *) = _dl_find_object;
	__asm__("" : "+r"(found)); /* compilers believe that a function has an address */
	return found;
}

bool plt_objects_known(void) { return find_object() != NULL; }

bool plt_object(uintptr_t address, uintptr_t *from, uintptr_t *to, const char **path)
{
	struct dl_find_object found;

	if (!find_object() || find_object()((void *)address, &found) != 0)
		return false;
	*from = (uintptr_t)found.dlfo_map_start;
	*to = (uintptr_t)found.dlfo_map_end;
	*path = found.dlfo_link_map ? found.dlfo_link_map->l_name : "";
	return true;
}

#if PLT_AVAILABLE

static const char *version_of(const struct plt_module *m, uint32_t symbol)
{
	const ElfW(Verneed) *need = m->needed;
	unsigned wanted = m->versions ? m->versions[symbol] & 0x7fff : 0;

	if (wanted < 2 || !need)
		return NULL;
	for (;;) {
		const ElfW(Vernaux) *version = (const void *)((const char *)need + need->vn_aux);
		for (unsigned i = 0; i < need->vn_cnt; i++) {
			if ((version->vna_other & 0x7fff) == wanted)
				return m->strings + version->vna_name;
			version = (const void *)((const char *)version + version->vna_next);
		}
		if (!need->vn_next)
			return NULL;
		need = (const void *)((const char *)need + need->vn_next);
	}
}

/* Whether its symbols have versions. */
static bool defines_versions(const struct link_map *map)
{
	for (const ElfW(Dyn) *d = map->l_ld; d->d_tag != DT_NULL; d++)
		if (d->d_tag == DT_VERDEF)
			return true;
	return false;
}

static uintptr_t ask(void *ret, void *handle, const char *name, const char *version)
{
	void *function = version ? (void *)dlvsym : (void *)dlsym;

	return (uintptr_t)plt_ask(handle, name, version, function, ret);
}

/* In a program that is not position independent, the address of another module's function may be that of
 * the program's own stub for it. The loader never means that one by a slot. */
bool plt_is_detour(uintptr_t address)
{
	const ElfW(Sym) *symbol = NULL;
	struct dl_find_object of;
	Dl_info info;

	return _dl_find_object((void *)address, &of) == 0 && of.dlfo_link_map &&
	       of.dlfo_link_map->l_addr == 0 &&
	       dladdr1((void *)address, &info, (void **)&symbol, RTLD_DL_SYMENT) && symbol &&
	       symbol->st_shndx == SHN_UNDEF;
}

void *plt_program_ret;

uintptr_t plt_lookup(const struct plt_module *m, uint32_t symbol)
{
	const ElfW(Sym) *s = (const ElfW(Sym) *)m->symbols + symbol;
	const char *name = m->strings + s->st_name, *version = version_of(m, symbol), *path;
	void *handle = RTLD_DEFAULT, *ret = m->ret;
	uintptr_t any = ask(ret, handle, name, NULL), from, to;

	if (any && plt_is_detour(any)) {
		handle = RTLD_NEXT; /* the program stands before all others */
		ret = plt_program_ret;
		any = ret ? ask(ret, handle, name, NULL) : 0;
	}
	uintptr_t exact = version && ret ? ask(ret, handle, name, version) : 0;
	if (!exact || exact == any || !any)
		return exact ? exact : any;
	struct dl_find_object of;
	if (plt_object(exact, &from, &to, &path) && any - from < to - from)
		return exact;
	if (_dl_find_object((void *)any, &of) == 0 && of.dlfo_link_map &&
	    !defines_versions(of.dlfo_link_map))
		return any;
	return exact;
}

#endif
