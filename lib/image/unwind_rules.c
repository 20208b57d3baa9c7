/*
 * unwind_rules.c - see unwind_rules.h. Called for each frame of each stack: the common case is one look
 * into a table. What the table does not have, libdw reads from the module's unwind tables.
 */
#include "lib/image/unwind_rules.h"

#include <dwarf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "lib/image/symbols_file.h"

enum {
	RULES_AT_FIRST = 64, RULES_MOST = 1 << 17, LONGS_MOST = 1 << 14,
	VDSO_MOST = 64 << 10, PAGE = 4096,
	ENTRY_MOST = 64,           /* of ld.so: 61 bytes on x86_64 */
};

#if defined(__aarch64__)
const struct unwind_machine unwind_machine = {
	13, { 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31 },
};
#else
const struct unwind_machine unwind_machine = { 7, { 3, 6, 12, 13, 14, 15, 16 } };
#endif

struct slot {
	uint64_t offset;           /* and 1; 0: free */
	struct unwind_rule rule;
};

struct unwind_module {
	struct symbols_file file;
	char *image;               /* of the vdso, which is in no file */
	Dwarf *dwarf;
	Dwarf_CFI *cfi[2];         /* .eh_frame, .debug_frame; NULL: there is none */
	struct slot *slots;
	size_t room, used;         /* room: a power of two, or 0 */
	struct rule_long *longs;
	size_t long_count;
};

/* ---- files ------------------------------------------------------------------------------------- */

/* The kernel's own is the same in every process; only its head says how long it is. */
static int open_vdso(struct unwind_module *m)
{
	const char *here = (const char *)getauxval(AT_SYSINFO_EHDR);
	GElf_Ehdr head;

	if (!here)
		return -1;
	memcpy(&head, here, sizeof head);
	uint64_t bytes = head.e_shoff + (uint64_t)head.e_shnum * head.e_shentsize;
	if (bytes < sizeof head || bytes > VDSO_MOST)
		return -1;
	m->image = malloc(bytes);
	if (!m->image)
		return -1;
	memcpy(m->image, here, bytes);
	return symbols_file_memory(&m->file, m->image, bytes);
}

static void open_frames(struct unwind_module *m)
{
	m->cfi[0] = dwarf_getcfi_elf(m->file.elf);
	m->dwarf = dwarf_begin_elf(m->file.elf, DWARF_C_READ, NULL);
	if (m->dwarf)
		m->cfi[1] = dwarf_getcfi(m->dwarf);
	if (m->file.fd >= 0) { /* all that is needed has been read */
		elf_cntl(m->file.elf, ELF_C_FDDONE);
		close(m->file.fd);
		m->file.fd = -1;
	}
}

struct unwind_module *unwind_module_open(const char *path, const char *build_id)
{
	struct unwind_module *m = calloc(1, sizeof *m);

	if (!m)
		return NULL;
	m->file.fd = -1;
	int error = strcmp(path, "[vdso]") == 0 ? open_vdso(m)
						: symbols_file_open(&m->file, path);
	if (error)
		return m;
	GElf_Ehdr head;
	bool ours = gelf_getehdr(m->file.elf, &head) && head.e_ident[EI_CLASS] == ELFCLASS64 &&
#if defined(__aarch64__)
		    head.e_machine == EM_AARCH64;
#else
		    head.e_machine == EM_X86_64;
#endif
	if (!ours || (build_id[0] && m->file.build_id[0] &&
		      strcmp(build_id, m->file.build_id) != 0)) {
		symbols_file_close(&m->file);
		return m;
	}
	open_frames(m);
	return m;
}

static void forget(struct unwind_module *m)
{
	for (struct rule_long *l = m->longs, *next; l; l = next) {
		next = l->next;
		free(l);
	}
	free(m->slots);
	m->longs = NULL;
	m->slots = NULL;
	m->long_count = m->room = m->used = 0;
}

void unwind_module_close(struct unwind_module *m)
{
	if (!m)
		return;
	forget(m);
	dwarf_cfi_end(m->cfi[0]);
	if (m->dwarf)
		dwarf_end(m->dwarf);
	symbols_file_close(&m->file);
	free(m->image);
	free(m);
}

const char *unwind_module_build_id(const struct unwind_module *m)
{
	return m->file.elf ? m->file.build_id : "";
}

/* By whole pages, as it is mapped. */
bool unwind_module_offset(const struct unwind_module *m, uint64_t at, uint64_t *offset)
{
	size_t segments;
	GElf_Phdr p;

	if (!m->file.elf || elf_getphdrnum(m->file.elf, &segments) != 0)
		return false;
	for (int best = 0; best < 2; best++) { /* one that is executable, if there is one */
		for (size_t i = 0; i < segments; i++) {
			if (!gelf_getphdr(m->file.elf, (int)i, &p) || p.p_type != PT_LOAD ||
			    (!best && !(p.p_flags & PF_X)))
				continue;
			uint64_t start = p.p_offset & ~(uint64_t)(PAGE - 1);
			if (at < start || at >= p.p_offset + p.p_filesz)
				continue;
			*offset = at - p.p_offset + p.p_vaddr - m->file.base;
			return true;
		}
	}
	return false;
}

bool unwind_module_has_code(const struct unwind_module *m, uint64_t offset)
{
	return !m->file.elf || symbols_file_is_code(&m->file, offset);
}

bool unwind_module_begins(const struct unwind_module *m, uint64_t offset)
{
	GElf_Ehdr head;

	return m->file.elf && gelf_getehdr(m->file.elf, &head) && head.e_entry &&
	       m->file.base + offset - head.e_entry < ENTRY_MOST;
}

/* ---- one rule ---------------------------------------------------------------------------------- */

/* "CFA and an offset", as libdw writes it: where the value is. */
static bool is_at_cfa(const struct rule_value *v, int32_t *offset)
{
	if (!v->ops) {
		*offset = RULE_SAME;
		return true;
	}
	if (v->ops[0].atom != DW_OP_call_frame_cfa || v->count > 2)
		return false;
	int64_t bytes = 0;
	if (v->count == 2) {
		if (v->ops[1].atom != DW_OP_plus_uconst)
			return false;
		bytes = (int64_t)v->ops[1].number;
	}
	*offset = (int32_t)bytes;
	return bytes > INT32_MIN && bytes <= INT32_MAX;
}

static bool is_register_and_offset(const struct rule_value *v, struct unwind_rule *rule)
{
	if (v->count != 1)
		return false;
	const Dwarf_Op *op = v->ops;
	int64_t offset;
	uint64_t number;
	if (op->atom == DW_OP_bregx) {
		number = op->number;
		offset = (int64_t)op->number2;
	} else if (op->atom >= DW_OP_breg0 && op->atom <= DW_OP_breg31) {
		number = op->atom - DW_OP_breg0;
		offset = (int64_t)op->number;
	} else {
		return false;
	}
	rule->cfa_register = (uint8_t)number;
	rule->cfa_offset = (int32_t)offset;
	return number < UNWIND_REGISTERS && offset > INT32_MIN && offset <= INT32_MAX;
}

/* The first few operations stand in the frame itself, which is freed. */
static void keep(struct rule_value *v)
{
	if (v->count && v->count <= 3) {
		memmove(v->own, v->ops, v->count * sizeof *v->ops);
		v->ops = v->own;
	}
}

static bool read_values(Dwarf_Frame *frame, struct rule_long *l, bool *outermost)
{
	Dwarf_Op *ops;

	if (dwarf_frame_cfa(frame, &ops, &l->cfa.count) != 0)
		return false;
	l->cfa.ops = ops;
	keep(&l->cfa);
	for (unsigned i = 0; i < unwind_machine.saved_count; i++) {
		struct rule_value *v = &l->value[i];
		unsigned number = unwind_machine.saved[i];
		if (dwarf_frame_register(frame, (int)number, v->own, &ops, &v->count) != 0)
			return false;
		/* What is not mentioned, libdw calls undefined: the ABI says that it is kept. */
		if (v->count == 0 && ops == v->own && unwind_machine.saved[i] == UNWIND_RA)
			*outermost = true;
		v->ops = v->count ? ops : NULL;
		keep(v);
	}
	return true;
}

static struct unwind_rule make_long(struct unwind_module *m, const struct rule_long *l)
{
	struct unwind_rule rule = { .kind = RULE_NONE };
	struct rule_long *kept = m->long_count < LONGS_MOST ? malloc(sizeof *kept) : NULL;

	if (!kept)
		return rule;
	*kept = *l;
	if (kept->cfa.ops == l->cfa.own)
		kept->cfa.ops = kept->cfa.own;
	for (unsigned i = 0; i < unwind_machine.saved_count; i++)
		if (l->value[i].ops == l->value[i].own)
			kept->value[i].ops = kept->value[i].own;
	kept->next = m->longs;
	m->longs = kept;
	m->long_count++;
	rule.kind = RULE_LONG;
	rule.more = kept;
	return rule;
}

static struct unwind_rule make(struct unwind_module *m, Dwarf_Frame *frame)
{
	struct unwind_rule rule = { .kind = RULE_PLAIN };
	struct rule_long l = { .next = NULL };
	bool outermost = false;

	if (!read_values(frame, &l, &outermost))
		return (struct unwind_rule){ .kind = RULE_NONE };
	if (outermost)
		return (struct unwind_rule){ .kind = RULE_OUTERMOST };
	bool plain = is_register_and_offset(&l.cfa, &rule);
	for (unsigned i = 0; i < unwind_machine.saved_count && plain; i++) {
		plain = is_at_cfa(&l.value[i], &rule.saved[i]);
		/* on x86 a call leaves it on the stack: "the same" would be no caller at all */
		if (unwind_machine.saved[i] == UNWIND_RA && UNWIND_RA == 16 && plain)
			plain = rule.saved[i] != RULE_SAME;
	}
	return plain ? rule : make_long(m, &l);
}

static struct unwind_rule read_rule(struct unwind_module *m, uint64_t offset)
{
	struct unwind_rule rule = { .kind = RULE_NONE };

	for (int i = 0; i < 2 && rule.kind == RULE_NONE; i++) {
		Dwarf_Frame *frame;
		bool signal = false;
		if (!m->cfi[i] ||
		    dwarf_cfi_addrframe(m->cfi[i], m->file.base + offset, &frame) != 0)
			continue;
		rule = make(m, frame);
		dwarf_frame_info(frame, NULL, NULL, &signal);
		rule.signal = signal;
		free(frame);
	}
	return rule;
}

/* ---- the table --------------------------------------------------------------------------------- */

static struct slot *slot_of(const struct unwind_module *m, uint64_t offset)
{
	uint64_t h = (offset + 1) * UINT64_C(0x9e3779b97f4a7c15);
	size_t at = (h >> 32) & (m->room - 1);

	while (m->slots[at].offset && m->slots[at].offset != offset + 1)
		at = (at + 1) & (m->room - 1);
	return &m->slots[at];
}

/* At most three quarters full; what grows without bound (hostile stacks) begins anew. */
static bool make_room(struct unwind_module *m)
{
	struct slot *old = m->slots;
	size_t old_room = m->room;

	if (4 * (m->used + 1) <= 3 * m->room)
		return true;
	if (m->used >= RULES_MOST) {
		forget(m);
		old = NULL;
		old_room = 0;
	}
	size_t room = old_room ? 2 * old_room : RULES_AT_FIRST;
	struct slot *slots = calloc(room, sizeof *slots);
	if (!slots)
		return false;
	m->slots = slots;
	m->room = room;
	for (size_t i = 0; i < old_room; i++)
		if (old[i].offset)
			*slot_of(m, old[i].offset - 1) = old[i];
	free(old);
	return true;
}

const struct unwind_rule *unwind_rule(struct unwind_module *m, uint64_t offset)
{
	static const struct unwind_rule none = { .kind = RULE_NONE };
	struct slot *slot = m->room ? slot_of(m, offset) : NULL;

	if (slot && slot->offset)
		return &slot->rule;
	if (!m->file.elf || !make_room(m))
		return &none;
	struct unwind_rule rule = read_rule(m, offset);
	slot = slot_of(m, offset);
	*slot = (struct slot){ .offset = offset + 1, .rule = rule };
	m->used++;
	return &slot->rule;
}
