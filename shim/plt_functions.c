/*
 * plt_functions.c - which library functions are traced, and what they are called in the trace.
 *
 * A function is a name and an address: what modules call by several names has several stubs, and what
 * several modules call by one name has one. What is remembered of it outlives the modules it came from.
 */
#include <string.h>
#include <sys/mman.h>

#include "lib/base/parse.h"
#include "lib/base/sysio.h"
#include "lib/stamp/event.h"
#include "shim/plt.h"
#include "shim/shim.h"

enum { BUCKETS = 16384, ARENA = 64 << 10 };

static const struct {
	const char *name;
	unsigned flags;
} specials[] = {
#define SPECIAL(name, flags) { name, flags },
#include "shim/plt_special.def"
};

struct plt_function *plt_functions;

struct table {
	uint32_t count;
	bool dead;                   /* some of them */
	uint16_t buckets[BUCKETS];   /* index + 1, by target */
	char *at, *end;              /* of the arena that names are in */
};
static struct table *table;

unsigned plt_flags(const char *name)
{
	for (unsigned i = 0; i < sizeof specials / sizeof *specials; i++)
		if (*name == *specials[i].name && parse_glob(specials[i].name, name))
			return specials[i].flags;
	return 0;
}

/* NAME or NAME@LIBRARY, both globs, separated by commas; the library with its directories or without. */
bool plt_wanted(const char *name, const char *library)
{
	const char *at = shim.session.control->calls;
	const char *last = at + sizeof shim.session.control->calls - 1;
	const char *slash = library ? strrchr(library, '/') : NULL;
	char item[256];

	while (at < last && *at) {
		size_t length = strcspn(at, ",");
		if (length && length < sizeof item) {
			memcpy(item, at, length);
			item[length] = '\0';
			char *of = strchr(item, '@');
			if (of)
				*of++ = '\0';
			if (parse_glob(*item ? item : "*", name) &&
			    (!of || !library || parse_glob(of, library) ||
			     (slash && parse_glob(of, slash + 1))))
				return true;
		}
		at += length + (at[length] == ',');
	}
	return false;
}

static void *map(size_t bytes)
{
	void *at = sysio_map(bytes, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return sysio_is_error(at) ? NULL : at;
}

bool plt_functions_begin(void)
{
	table = map(sizeof *table);
	plt_functions = table ? map(PLT_FUNCTIONS * sizeof *plt_functions) : NULL;
	return plt_functions != NULL;
}

static const char *keep(const char *text)
{
	size_t bytes = strlen(text) + 1;

	if (bytes > ARENA)
		return NULL;
	if ((size_t)(table->end - table->at) < bytes) {
		char *arena = map(ARENA);
		if (!arena)
			return NULL;
		table->at = arena;
		table->end = arena + ARENA;
	}
	memcpy(table->at, text, bytes);
	table->at += bytes;
	return table->at - bytes;
}

static uint32_t bucket_of(uintptr_t target)
{
	return (uint32_t)(target * UINT64_C(0x9e3779b97f4a7c15) >> 40) % BUCKETS;
}

static void enter(uint32_t index)
{
	uint32_t at = bucket_of(plt_functions[index].target);

	while (table->buckets[at])
		at = (at + 1) % BUCKETS;
	table->buckets[at] = (uint16_t)(index + 1);
}

/* What was unloaded and is there again means the same in the trace. */
static uint32_t raise(const char *name, const char *library)
{
	uint32_t i = 0;

	while (table->dead && i < table->count &&
	       !((plt_functions[i].flags & PLT_DEAD) && strcmp(plt_functions[i].name, name) == 0 &&
		 strcmp(plt_functions[i].library, library) == 0))
		i++;
	return table->dead ? i : table->count;
}

static const char *keep_library(const char *library)
{
	/* most are the same as one of the last */
	for (uint32_t i = table->count, tries = 64; i > 0 && tries > 0; i--, tries--)
		if (strcmp(plt_functions[i - 1].library, library) == 0)
			return plt_functions[i - 1].library;
	return keep(library);
}

uint32_t plt_function(const char *name, uintptr_t target, const char *library, uint32_t flags)
{
	for (uint32_t at = bucket_of(target); table->buckets[at]; at = (at + 1) % BUCKETS) {
		uint32_t i = table->buckets[at] - 1U;
		const struct plt_function *f = &plt_functions[i];
		if (f->target == target && !(f->flags & PLT_DEAD) && strcmp(f->name, name) == 0)
			return i;
	}
	uint32_t i = raise(name, library);
	if (i == PLT_FUNCTIONS)
		return i;
	struct plt_function *f = &plt_functions[i];
	if (i == table->count) {
		f->name = keep(name);
		f->library = keep_library(library);
		if (!f->name || !f->library)
			return PLT_FUNCTIONS;
		table->count++;
	}
	f->target = target;
	__atomic_store_n(&f->flags, flags, __ATOMIC_RELEASE);
	enter(i);
	return i;
}

void plt_functions_unloaded(void)
{
	uintptr_t from = 0, to = 0;
	const char *path;
	bool any = false;

	for (uint32_t i = 0; i < table->count; i++) {
		struct plt_function *f = &plt_functions[i];
		if ((f->flags & PLT_DEAD) || f->target - from < to - from)
			continue;
		if (!plt_object(f->target, &from, &to, &path)) {
			from = to = 0;
			f->flags |= PLT_DEAD;
			any = table->dead = true;
		}
	}
	if (!any)
		return;
	memset(table->buckets, 0, sizeof table->buckets);
	for (uint32_t i = 0; i < table->count; i++)
		if (!(plt_functions[i].flags & PLT_DEAD))
			enter(i);
}

void plt_tell(uintptr_t stub, uint32_t image, uint32_t module, const char *events)
{
	struct plt_function *f = plt_functions ? &plt_functions[plt_index(stub)] : NULL;
	struct event event;

	if (!f || !f->name || atomic_load(&f->told) == image || shim.sandboxed)
		return;
	event_begin(&event, "call");
	event_number(&event, "image", image);
	event_number(&event, "module", module);
	event_hex(&event, "offset", stub - (uintptr_t)plt_stubs);
	event_text(&event, "name", f->name);
	event_text(&event, "library", f->library);
	event_append(&event, events);
	atomic_store(&f->told, image);
}
