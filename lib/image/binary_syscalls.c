/*
 * binary_syscalls.c - system calls that a file's own code makes, and which. See binary.h.
 *
 * On x86-64 the instruction is two bytes that stand in many others as well: each place is decoded from
 * where its function begins, or, unknown to unwind tables, from some way before, where decoders fall into
 * step. Zydis does that; it is loaded when a file has such bytes, for `hark run` must not pay for it.
 */
#include <Zydis/Zydis.h>
#include <dlfcn.h>
#include <string.h>
#include <sys/syscall.h>

#include "lib/image/binary.h"
#include "lib/image/symbols_read.h"

enum {
	BEFORE = 256,            /* bytes to fall into step in */
	FUNCTION_MOST = 1 << 16, /* decoded from its beginning only if it is no longer */
	CALLS_MOST = 1 << 16,    /* places looked at in a file */
	DECODED_MOST = 64 << 20, /* bytes: glibc has 100 KB to decode, and a hostile file as many as it likes */
};

/* Bytes searched in a file whose pieces of code lie over each other. */
#define SEARCHED_MOST ((uint64_t)1 << 31)

/* numbers of the machine that the file is for */
static const int writes_x86[] = { 1, 18, 20, 40, 44, 46, 275, 276, 278, 296,
				  307, 326, 328, 425, 426 };
static const int writes_arm[] = { 64, 66, 68, 70, 71, 75, 76, 77, 206, 211,
				  269, 285, 287, 425, 426 };

enum {
	NUMBERS = 1024,          /* more than there are system calls */
	UNKNOWN = -1,
	MOVED = -2,              /* not known, but it comes from another register, as in syscall(2)'s body */
	NO_CALL = -3,
};

struct code {
	const uint8_t *bytes;
	size_t count;
	uint64_t offset;         /* of its first byte, from the module's base */
};

struct scan {
	struct binary_syscalls *found;
	const struct symbols_file *file;
	struct symbols_table frames; /* where functions begin; read when it is needed first */
	bool frames_read;
	unsigned looked;         /* places */
	uint64_t decoded, searched; /* bytes */
};

static void count(struct binary_syscalls *found, int number, const int *writes, size_t most)
{
	bool writing = false;

	if (number == NO_CALL)
		return;
	for (size_t i = 0; i < most; i++)
		writing = writing || writes[i] == number;
	found->count++;
	found->writes += writing;
	found->unknown += number < 0 || number >= NUMBERS;
}

/* ---- x86-64 ------------------------------------------------------------------------------------ */

static struct {
	bool tried, there;
	ZyanStatus (*init)(ZydisDecoder *, ZydisMachineMode, ZydisStackWidth);
	ZyanStatus (*decode)(const ZydisDecoder *, const void *, ZyanUSize,
			     ZydisDecodedInstruction *, ZydisDecodedOperand *);
	ZydisDecoder decoder;
} zydis;

static bool have_decoder(void)
{
	if (zydis.tried)
		return zydis.there;
	zydis.tried = true;
	void *library = dlopen("libZydis.so.4.0", RTLD_NOW | RTLD_LOCAL);
	void *init = library ? dlsym(library, "ZydisDecoderInit") : NULL;
	void *decode = library ? dlsym(library, "ZydisDecoderDecodeFull") : NULL;
	if (!init || !decode)
		return false;
	memcpy(&zydis.init, &init, sizeof init);
	memcpy(&zydis.decode, &decode, sizeof decode);
	zydis.there = ZYAN_SUCCESS(zydis.init(&zydis.decoder, ZYDIS_MACHINE_MODE_LONG_64,
					      ZYDIS_STACK_WIDTH_64));
	return zydis.there;
}

enum { REGISTERS = 16, RAX = 0 };

/* What the general registers hold, as far as it can be told: a number, MOVED or UNKNOWN. */
struct registers {
	int holds[REGISTERS];
};

static void forget(struct registers *r)
{
	for (unsigned i = 0; i < REGISTERS; i++)
		r->holds[i] = UNKNOWN;
}

/* -1: no general register of 32 bits or 64, which are the ones that a whole value goes into */
static int number_of(const ZydisDecodedOperand *o)
{
	if (o->type != ZYDIS_OPERAND_TYPE_REGISTER)
		return -1;
	if (o->reg.value >= ZYDIS_REGISTER_EAX && o->reg.value <= ZYDIS_REGISTER_R15D)
		return o->reg.value - ZYDIS_REGISTER_EAX;
	if (o->reg.value >= ZYDIS_REGISTER_RAX && o->reg.value <= ZYDIS_REGISTER_R15)
		return o->reg.value - ZYDIS_REGISTER_RAX;
	return -1;
}

/* al, ah, ax … are parts of the same register */
static int part_of(const ZydisDecodedOperand *o)
{
	if (o->type == ZYDIS_OPERAND_TYPE_REGISTER && o->reg.value >= ZYDIS_REGISTER_AX &&
	    o->reg.value <= ZYDIS_REGISTER_R15W)
		return o->reg.value - ZYDIS_REGISTER_AX;
	if (o->type == ZYDIS_OPERAND_TYPE_REGISTER && (o->reg.value == ZYDIS_REGISTER_AL ||
						       o->reg.value == ZYDIS_REGISTER_AH))
		return RAX;
	return number_of(o);
}

static int moved(const struct registers *r, const ZydisDecodedOperand *from)
{
	int source = number_of(from);

	if (from->type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
		return from->imm.value.u < NUMBERS ? (int)from->imm.value.u : UNKNOWN;
	return source >= 0 && r->holds[source] >= 0 ? r->holds[source] : MOVED;
}

static void step(struct registers *r, const ZydisDecodedInstruction *i,
		 const ZydisDecodedOperand *o)
{
	static const unsigned char lost_by_calls[] = { 0, 1, 2, 6, 7, 8, 9, 10, 11 };
	int to = i->operand_count >= 2 ? number_of(&o[0]) : -1;

	if (i->mnemonic == ZYDIS_MNEMONIC_MOV && to >= 0) {
		r->holds[to] = moved(r, &o[1]);
		return;
	}
	if (i->mnemonic == ZYDIS_MNEMONIC_XOR && to >= 0 && number_of(&o[1]) == to) {
		r->holds[to] = 0;
		return;
	}
	for (unsigned k = 0; k < i->operand_count; k++) {
		int part = o[k].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE ? part_of(&o[k]) : -1;
		if (part >= 0)
			r->holds[part] = UNKNOWN;
	}
	if (i->meta.category == ZYDIS_CATEGORY_CALL)
		for (unsigned k = 0; k < sizeof lost_by_calls; k++)
			r->holds[lost_by_calls[k]] = UNKNOWN;
}

/* The number of the system call at `at`, decoding from `from`; NO_CALL: no instruction begins there.
 * Jumps are not followed: what was moved last on the way down is taken for what counts. */
static int decode_from(const struct code *code, size_t from, size_t at)
{
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction one;
	struct registers registers;

	forget(&registers);
	while (from < at) {
		if (!ZYAN_SUCCESS(zydis.decode(&zydis.decoder, code->bytes + from,
					       code->count - from, &one, operands))) {
			from++; /* data among code */
			forget(&registers);
			continue;
		}
		step(&registers, &one, operands);
		from += one.length;
	}
	return from == at ? registers.holds[RAX] : NO_CALL;
}

/* Where the function begins that this lies in; what unwind tables do not know, begins BEFORE it. */
static bool function_start(struct scan *s, const struct code *code, size_t at, size_t *start)
{
	if (!s->frames_read) {
		s->frames_read = true;
		if (symbols_read_unwind(&s->frames, s->file) > 0)
			symbols_table_order(&s->frames, s->file->code, s->file->codes);
	}
	const struct symbols_entry *entry = symbols_table_find(&s->frames, code->offset + at);
	if (entry && entry->start >= code->offset &&
	    code->offset + at - entry->start <= FUNCTION_MOST) {
		*start = entry->start - code->offset;
		return true;
	}
	*start = at > BEFORE ? at - BEFORE : 0;
	return false;
}

/* Where no function is known, there may be data. What bytes mean there is believed if three beginnings
 * agree, and if somebody has seen to the number. */
static int call_at(struct scan *s, const struct code *code, size_t at)
{
	size_t start;
	bool known = function_start(s, code, at, &start);

	s->decoded += at - start;
	if (known)
		return decode_from(code, start, at);
	int first = decode_from(code, start, at);
	for (size_t skip = 1; skip <= 2 && start + skip < at; skip++)
		if (decode_from(code, start + skip, at) != first)
			return NO_CALL;
	return first == MOVED || (first >= 0 && first < NUMBERS) ? first : NO_CALL;
}

static void scan_x86(struct scan *s, const struct code *code)
{
	static const uint8_t syscall_bytes[] = { 0x0f, 0x05 };
	const uint8_t *at = code->bytes, *end = at + code->count;

	for (; (at = memmem(at, (size_t)(end - at), syscall_bytes, 2)); at++) {
		if (s->looked++ >= CALLS_MOST || s->decoded > DECODED_MOST || !have_decoder()) {
			s->found->unsure = true;
			return;
		}
		count(s->found, call_at(s, code, (size_t)(at - code->bytes)), writes_x86,
		      sizeof writes_x86 / sizeof *writes_x86);
	}
}

/* ---- AArch64 ----------------------------------------------------------------------------------- */

/* "mov x8, #number", not far before */
static int number_before(const uint8_t *code, size_t at)
{
	enum { NEAR = 16 * 4 };
	uint32_t word;

	for (size_t back = 4; back <= NEAR && back <= at; back += 4) {
		memcpy(&word, code + at - back, sizeof word);
		if ((word & 0x7fe0001f) == 0x52800008)
			return (int)(word >> 5 & 0xffff);
		if ((word & 0x1f) == 8) /* something else, perhaps, in the same register */
			return UNKNOWN;
	}
	return UNKNOWN;
}

static void scan_arm(struct scan *s, const struct code *code)
{
	uint32_t word;

	for (size_t at = 0; at + sizeof word <= code->count; at += sizeof word) {
		memcpy(&word, code->bytes + at, sizeof word);
		if (word == 0xd4000001) /* svc #0 */
			count(s->found, number_before(code->bytes, at), writes_arm,
			      sizeof writes_arm / sizeof *writes_arm);
	}
}

/* ---- a file ------------------------------------------------------------------------------------ */

void binary_syscalls(struct binary_syscalls *found, const struct symbols_file *file)
{
	struct scan s = { .found = found, .file = file };

	*found = (struct binary_syscalls){ .count = 0 };
	for (size_t i = 0; i < file->codes && !found->unsure; i++) {
		uint64_t bytes = file->code[i].end - file->code[i].start;
		Elf_Data *data = binary_at(file, file->base + file->code[i].start, bytes,
					   ELF_T_BYTE);
		if (!data || !data->d_buf)
			continue;
		s.searched += data->d_size;
		if (s.searched > SEARCHED_MOST) {
			found->unsure = true;
			break;
		}
		struct code code = { data->d_buf, data->d_size, file->code[i].start };
		if (file->machine == EM_X86_64)
			scan_x86(&s, &code);
		else if (file->machine == EM_AARCH64)
			scan_arm(&s, &code);
	}
	symbols_table_fini(&s.frames);
}
