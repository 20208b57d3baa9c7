/*
 * binary_marks.c - what a symbol, a library's name or a section gives away. See binary.h.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/image/binary.h"

enum { WORDS_MOST = 64 << 20 }; /* bytes of constants that are searched */

const struct binary_name binary_instruments[] = {
	{ BINARY_CYG, "-finstrument-functions" },
	{ BINARY_MCOUNT, "-pg" },
	{ BINARY_FENTRY, "-pg -mfentry" },
	{ BINARY_PATCHABLE, "-fpatchable-function-entry" },
	{ BINARY_XRAY, "-fxray-instrument" },
	{ 0, NULL },
};

const struct binary_name binary_sanitizers[] = {
	{ BINARY_ADDRESS, "address" },
	{ BINARY_THREAD, "thread" },
	{ BINARY_MEMORY, "memory" },
	{ BINARY_UNDEFINED, "undefined" },
	{ BINARY_LEAK, "leak" },
	{ BINARY_HWADDRESS, "hwaddress" },
	{ 0, NULL },
};

const struct binary_name binary_languages[] = {
	{ BINARY_GO, "Go" },
	{ BINARY_RUST, "Rust" },
	{ BINARY_CXX, "C++" },
	{ BINARY_ADA, "Ada" },
	{ BINARY_FORTRAN, "Fortran" },
	{ BINARY_PASCAL, "Pascal" },
	{ 0, NULL },
};

static const char *const hook_names[] = {
#define HOOK(result, name, parameters, when) #name,
#define HOOK_ALIAS(name, of) #name,
#include "shim/hooks.def"
#undef HOOK
#undef HOOK_ALIAS
};

enum { HOOKS = sizeof hook_names / sizeof *hook_names };

_Static_assert((unsigned)HOOKS <= (unsigned)BINARY_HOOKS_MOST, "a bit for each hook");

/* ---- hooks ------------------------------------------------------------------------------------- */

static uint16_t hook_order[HOOKS];

static int by_hook(const void *left, const void *right)
{
	return strcmp(hook_names[*(const uint16_t *)left], hook_names[*(const uint16_t *)right]);
}

static int hook_against(const void *name, const void *row)
{
	return strcmp(name, hook_names[*(const uint16_t *)row]);
}

static void mark_hook(struct binary_hooks *hooks, const char *symbol)
{
	if (!hook_order[0] && !hook_order[1]) {
		for (unsigned i = 0; i < HOOKS; i++)
			hook_order[i] = (uint16_t)i;
		qsort(hook_order, HOOKS, sizeof *hook_order, by_hook);
	}
	const uint16_t *row =
		bsearch(symbol, hook_order, HOOKS, sizeof *hook_order, hook_against);
	if (row)
		hooks->bits[*row / 64] |= UINT64_C(1) << *row % 64;
}

unsigned binary_hook_count(void)
{
	return HOOKS;
}

const char *binary_hook_name(unsigned row)
{
	return hook_names[row];
}

bool binary_hook_has(const struct binary_hooks *hooks, unsigned row)
{
	return hooks->bits[row / 64] >> row % 64 & 1;
}

unsigned binary_hook_sum(const struct binary_hooks *hooks)
{
	unsigned sum = 0;

	for (unsigned i = 0; i < HOOKS; i++)
		sum += binary_hook_has(hooks, i);
	return sum;
}

/* ---- symbols ----------------------------------------------------------------------------------- */

enum mark_kind { INSTRUMENT, SANITIZER, LANGUAGE, CALL };
enum { CALL_OPENS = 1, CALL_URING = 2 };
enum { ANYWHERE, IMPORTED }; /* IMPORTED: one that defines it, provides it to others */

static const struct {
	const char *text;        /* with * at the end: how it begins */
	enum mark_kind kind;
	unsigned bit, where;
} marks[] = {
	{ "__cyg_profile_func_enter", INSTRUMENT, BINARY_CYG, ANYWHERE },
	{ "mcount", INSTRUMENT, BINARY_MCOUNT, ANYWHERE },
	{ "_mcount", INSTRUMENT, BINARY_MCOUNT, ANYWHERE },
	{ "__fentry__", INSTRUMENT, BINARY_FENTRY, ANYWHERE },
	{ "__asan_init", SANITIZER, BINARY_ADDRESS, ANYWHERE },
	{ "__tsan_init", SANITIZER, BINARY_THREAD, ANYWHERE },
	{ "__msan_init", SANITIZER, BINARY_MEMORY, ANYWHERE },
	{ "__hwasan_init", SANITIZER, BINARY_HWADDRESS, ANYWHERE },
	{ "__lsan_init", SANITIZER, BINARY_LEAK, ANYWHERE },
	{ "__ubsan_handle_*", SANITIZER, BINARY_UNDEFINED, ANYWHERE },
	{ "rust_eh_personality", LANGUAGE, BINARY_RUST, ANYWHERE },
	{ "__rust_alloc", LANGUAGE, BINARY_RUST, ANYWHERE },
	{ "__gxx_personality_v0", LANGUAGE, BINARY_CXX, ANYWHERE },
	{ "_ZNSt*", LANGUAGE, BINARY_CXX, ANYWHERE },
	{ "_ZSt*", LANGUAGE, BINARY_CXX, ANYWHERE },
	{ "_Znwm", LANGUAGE, BINARY_CXX, ANYWHERE },
	{ "_gfortran_*", LANGUAGE, BINARY_FORTRAN, ANYWHERE },
	{ "__gnat_personality_v0", LANGUAGE, BINARY_ADA, ANYWHERE },
	{ "dlopen", CALL, CALL_OPENS, IMPORTED },
	{ "dlmopen", CALL, CALL_OPENS, IMPORTED },
	{ "io_uring_*", CALL, CALL_URING, IMPORTED },
};

static void mark(struct binary *b, enum mark_kind kind, unsigned bit)
{
	switch (kind) {
	case INSTRUMENT: b->instruments |= bit; break;
	case SANITIZER: b->sanitizers |= bit; break;
	case LANGUAGE: b->languages |= bit; break;
	case CALL:
		b->opens = b->opens || bit == CALL_OPENS;
		b->io_uring = b->io_uring || bit == CALL_URING;
		break;
	}
}

static bool fits(const char *pattern, const char *text)
{
	size_t length = strlen(pattern);

	return pattern[length - 1] == '*' ? strncmp(pattern, text, length - 1) == 0
					  : strcmp(pattern, text) == 0;
}

void binary_mark(struct binary *b, const char *symbol, bool defined)
{
	if (!defined)
		mark_hook(&b->hooks, symbol);
	/* clang's runtimes ask for it, wherever they are */
	if (strcmp(symbol, "__ubsan_handle_cfi_bad_type") == 0)
		return;
	for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
		if (marks[i].text[0] != symbol[0] || (defined && marks[i].where == IMPORTED) ||
		    !fits(marks[i].text, symbol))
			continue;
		/* the runtime of the address sanitizer, linked in, brings these along */
		if (defined && marks[i].bit == BINARY_UNDEFINED && marks[i].kind == SANITIZER)
			b->own_undefined = true;
		else
			mark(b, marks[i].kind, marks[i].bit);
		if (defined && marks[i].kind == INSTRUMENT && marks[i].bit == BINARY_CYG)
			b->own_instrument = true;
	}
}

/* ---- sections ---------------------------------------------------------------------------------- */

static const struct {
	const char *name, *word; /* word: NULL where the section's presence says it; a/b/: after a / */
	enum mark_kind kind;
	unsigned bit;
} sections[] = {
	{ "__patchable_function_entries", NULL, INSTRUMENT, BINARY_PATCHABLE },
	{ "xray_instr_map", NULL, INSTRUMENT, BINARY_XRAY },
	{ ".gopclntab", NULL, LANGUAGE, BINARY_GO },
	{ ".go.buildinfo", NULL, LANGUAGE, BINARY_GO },
	{ ".comment", "rustc version ", LANGUAGE, BINARY_RUST },
	/* where panics are said to come from: in paths, so that this very table is none */
	{ ".rodata", "rustc/", LANGUAGE, BINARY_RUST },
	{ ".rodata", "library/core/src/", LANGUAGE, BINARY_RUST }, /* distributions' own compilers */
	{ ".fpcdata", NULL, LANGUAGE, BINARY_PASCAL },
};

static bool holds_word(Elf_Scn *scn, const GElf_Shdr *header, const char *word)
{
	if (!word)
		return true;
	Elf_Data *data = header->sh_size <= WORDS_MOST ? elf_rawdata(scn, NULL) : NULL;
	size_t length = strlen(word);
	const char *at = data ? data->d_buf : NULL, *end = at ? at + data->d_size : NULL;
	bool path = word[length - 1] == '/';

	for (const char *begin = at; at && (at = memmem(at, end - at, word, length)); at++)
		if (!path || (at > begin && at[-1] == '/'))
			return true;
	return false;
}

void binary_sections(struct binary *b, const struct symbols_file *file)
{
	Elf_Scn *scn = NULL;
	GElf_Shdr header;
	size_t names;

	if (elf_getshdrstrndx(file->elf, &names) != 0)
		return;
	while ((scn = elf_nextscn(file->elf, scn))) {
		const char *name = gelf_getshdr(scn, &header)
					   ? elf_strptr(file->elf, names, header.sh_name)
					   : NULL;
		if (!name || header.sh_type == SHT_NOBITS)
			continue;
		for (size_t i = 0; i < sizeof sections / sizeof *sections; i++)
			if (strcmp(name, sections[i].name) == 0 &&
			    holds_word(scn, &header, sections[i].word))
				mark(b, sections[i].kind, sections[i].bit);
		b->symtab = b->symtab || header.sh_type == SHT_SYMTAB;
		b->debug_info = b->debug_info || strcmp(name, ".debug_info") == 0 ||
				strcmp(name, ".zdebug_info") == 0;
		b->eh_frame = b->eh_frame || strcmp(name, ".eh_frame") == 0;
	}
}
