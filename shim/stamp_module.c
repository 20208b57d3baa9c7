/*
 * stamp_module.c - what is loaded at an address: where it begins and ends, which file it is, and which
 * build.
 *
 * No lock is taken and nothing allocated: whoever asks may be a signal handler.
 */
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <sys/syscall.h>

#include "lib/base/sysio.h"
#include "lib/base/text.h"
#include "shim/plt.h"
#include "shim/shim.h"
#include "shim/stamp.h"

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

static void put_file(const char *name, char *path, size_t bytes)
{
	struct text t = text_in(path, bytes - 1);

	memset(path, 0, bytes);
	if (!*name) {
		sysio_call(SYS_readlinkat, AT_FDCWD, (long)"/proc/self/exe", (long)path,
			   (long)bytes - 1, 0, 0);
		return;
	}
	if (*name != '/' &&
	    sysio_call(SYS_getcwd, (long)path, (long)bytes - 2, 0, 0, 0, 0) > 0)
		t.len = strlen(path);
	if (*name != '/')
		text_char(&t, '/');
	text_str(&t, name);
	text_cstr(&t);
}

/* glibc's own table of what is loaded: without a lock, and good in signal handlers. */
#pragma weak _dl_find_object

static bool find_object(uintptr_t address, struct dl_find_object *found)
{
	return _dl_find_object && _dl_find_object((void *)address, found) == 0;
}

/* Stubs of library calls are a module of their own: what they are called, no file says. */
bool stamp_module_bounds(uintptr_t address, struct stamp_module *module)
{
	struct dl_find_object found;

	*module = (struct stamp_module){ 0 };
	if (plt_is_stub(address)) {
		module->base = plt_stub(0);
		module->bytes = plt_stub(PLT_FUNCTIONS) - plt_stub(0);
		return true;
	}
	if (!find_object(address, &found))
		return false;
	module->base = (uintptr_t)found.dlfo_map_start;
	module->bytes = (uintptr_t)found.dlfo_map_end - module->base;
	return true;
}

bool stamp_module_file(const struct stamp_module *module, char *path, size_t bytes,
		       const uint8_t **build, size_t *build_bytes)
{
	struct dl_find_object found;

	*path = '\0';
	*build_bytes = 0;
	if (plt_is_stub(module->base)) {
		put_file(shim.preload, path, bytes);
		return true;
	}
	if (!find_object(module->base, &found))
		return false;
	put_file(found.dlfo_link_map ? found.dlfo_link_map->l_name : "", path, bytes);
	*build_bytes = build_id(module->base, module->bytes, build);
	return *path == '/';
}
