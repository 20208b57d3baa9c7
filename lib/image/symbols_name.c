/*
 * symbols_name.c - see symbols_name.h. Called when a name is asked for the first time; must be done
 * soon whatever a hostile table holds: some mangled names of 100 bytes mean gigabytes.
 */
#include "lib/image/symbols_name.h"

#include <libiberty/demangle.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/text.h"

enum {
	MANGLED_MOST = 4096,
	LIMITED_MOST = 1024, /* libiberty's own limit refuses what is longer, as boost's names are */
	NAME_MOST = 16384,
};

struct demangling {
	struct text text;
	jmp_buf too_long;
};

/* The only way to stop the library. A piece with other than ASCII is a Rust identifier in memory that
 * it frees when we return, so we leave at the next. */
static void piece(const char *bytes, size_t count, void *arg)
{
	struct demangling *d = arg;
	bool ascii = true;

	for (size_t i = 0; i < count; i++)
		ascii = ascii && (unsigned char)bytes[i] < 0x80;
	if (d->text.cut && ascii)
		longjmp(d->too_long, 1);
	text_bytes(&d->text, bytes, count);
}

static bool by_library(struct demangling *d, const char *mangled, size_t length)
{
	const int options = DMGL_PARAMS | DMGL_ANSI;
	struct text before = d->text;

	if (rust_demangle_callback(mangled, options, piece, d))
		return true;
	d->text = before; /* what it had said before it gave up */
	return cplus_demangle_v3_callback(
		       mangled, length < LIMITED_MOST ? options : options | DMGL_NO_RECURSE_LIMIT,
		       piece, d) != 0;
}

static bool demangle(struct demangling *d, const char *mangled, size_t length)
{
	if (length > MANGLED_MOST || mangled[0] != '_' || setjmp(d->too_long) != 0)
		return false;
	return by_library(d, mangled, length) && !d->text.cut;
}

static void make_harmless(char *name)
{
	for (unsigned char *at = (unsigned char *)name; *at; at++) {
		/* 0x80 to 0x9f, as UTF-8 has them, are controls as well */
		if (*at < ' ' || *at == 0x7f || (*at == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0))
			*at = '?';
	}
}

char *symbols_name(const char *linkage)
{
	char mangled[MANGLED_MOST + 1], room[NAME_MOST];
	struct demangling d = { .text = text_in(room, sizeof room - 1) };
	const char *version = strchr(linkage, '@');
	size_t length = version ? (size_t)(version - linkage) : strlen(linkage);
	const char *rest = version && version[1] != '@' ? version : "";

	if (length > 0 && length <= MANGLED_MOST) {
		memcpy(mangled, linkage, length);
		mangled[length] = '\0';
	} else {
		mangled[0] = '\0';
	}
	if (!demangle(&d, mangled, length)) {
		d.text = text_in(room, sizeof room - 1);
		text_bytes(&d.text, linkage, length);
	}
	text_str(&d.text, rest);
	room[d.text.len] = '\0';
	make_harmless(room);
	return strcmp(room, linkage) == 0 ? NULL : strdup(room);
}
