/*
 * elf.c - see elf.h. Called by `hark run` before a program is started; must never map the file (one
 * that shrinks would kill us) and never read more than it has decided to.
 */
#include "lib/image/elf.h"

#include <errno.h>
#include <gelf.h>
#include <libelf.h>
#include <string.h>
#include <unistd.h>

enum {
	SEGMENTS_MOST = 1024,
	DYNAMIC_MOST = 1 << 20, /* bytes */
	NOTES_MOST = 1 << 20,
	NOTE_GO_BUILD_ID = 4,
};

/* glibc's <elf.h> has those of AArch64 alone; x86-64 psABI, "Program Property". */
#define X86_FEATURE_1_AND 0xc0000002U
enum { X86_IBT = 1, X86_SHSTK = 2 };

static Elf_Data *chunk(Elf *elf, const GElf_Phdr *segment, size_t most, Elf_Type type)
{
	if (segment->p_filesz == 0 || segment->p_filesz > most || segment->p_offset > INT64_MAX)
		return NULL;
	return elf_getdata_rawchunk(elf, (int64_t)segment->p_offset, segment->p_filesz, type);
}

static int read_interpreter(struct elf_facts *facts, Elf *elf, const GElf_Phdr *segment)
{
	Elf_Data *data = chunk(elf, segment, ELF_INTERPRETER, ELF_T_BYTE);

	/* The kernel refuses one that does not end with NUL, too. */
	if (!data || ((const char *)data->d_buf)[data->d_size - 1] != '\0')
		return -EINVAL;
	memcpy(facts->interpreter, data->d_buf, data->d_size);
	return 0;
}

static void read_dynamic(struct elf_facts *facts, Elf *elf, const GElf_Phdr *segment)
{
	Elf_Data *data = chunk(elf, segment, DYNAMIC_MOST, ELF_T_DYN);
	GElf_Dyn entry;

	facts->dynamic = true;
	for (int i = 0; data && gelf_getdyn(data, i, &entry) && entry.d_tag != DT_NULL; i++) {
		if (entry.d_tag == DT_SONAME)
			facts->soname = true;
		else if (entry.d_tag == DT_FLAGS_1)
			facts->pie = (entry.d_un.d_val & DF_1_PIE) != 0;
		if (entry.d_tag == DT_BIND_NOW ||
		    (entry.d_tag == DT_FLAGS && (entry.d_un.d_val & DF_BIND_NOW)) ||
		    (entry.d_tag == DT_FLAGS_1 && (entry.d_un.d_val & DF_1_NOW)))
			facts->bind_now = true;
	}
}

/* A row of {type, bytes, value}, each at a multiple of a pointer's size. */
static void read_properties(struct elf_facts *facts, const char *bytes, size_t count)
{
	size_t unit = facts->bits / 8;
	uint32_t head[2], value;

	while (count >= sizeof head + sizeof value) {
		memcpy(head, bytes, sizeof head);
		size_t whole = (sizeof head + (size_t)head[1] + unit - 1) / unit * unit;
		memcpy(&value, bytes + sizeof head, sizeof value);
		if (facts->machine == EM_X86_64 && head[0] == X86_FEATURE_1_AND)
			facts->protection |=
				(value & X86_IBT ? ELF_IBT : 0U) |
				(value & X86_SHSTK ? ELF_SHSTK : 0U);
		if (facts->machine == EM_AARCH64 &&
		    head[0] == GNU_PROPERTY_AARCH64_FEATURE_1_AND)
			facts->protection |=
				(value & GNU_PROPERTY_AARCH64_FEATURE_1_BTI ? ELF_BTI : 0U) |
				(value & GNU_PROPERTY_AARCH64_FEATURE_1_PAC ? ELF_PAC : 0U);
		if (whole > count)
			break;
		bytes += whole;
		count -= whole;
	}
}

static void read_notes(struct elf_facts *facts, Elf *elf, const GElf_Phdr *segment)
{
	Elf_Data *data = chunk(elf, segment, NOTES_MOST,
			       segment->p_align == 8 ? ELF_T_NHDR8 : ELF_T_NHDR);
	size_t at = 0, name, text;
	GElf_Nhdr note;

	while (data && (at = gelf_getnote(data, at, &note, &name, &text)) > 0) {
		const char *bytes = data->d_buf;
		if (note.n_namesz == 4 && memcmp(bytes + name, "GNU", 4) == 0 &&
		    note.n_type == NT_GNU_BUILD_ID && note.n_descsz <= ELF_BUILD_ID) {
			memcpy(facts->build_id, bytes + text, note.n_descsz);
			facts->build_id_bytes = note.n_descsz;
		}
		if (note.n_namesz == 4 && memcmp(bytes + name, "GNU", 4) == 0 &&
		    note.n_type == NT_GNU_PROPERTY_TYPE_0 && !facts->big_endian)
			read_properties(facts, bytes + text, note.n_descsz);
		if (note.n_namesz == 4 && memcmp(bytes + name, "Go\0", 4) == 0 &&
		    note.n_type == NOTE_GO_BUILD_ID)
			facts->go = true;
	}
}

static int read_segments(struct elf_facts *facts, Elf *elf)
{
	size_t count;
	GElf_Phdr segment;

	if (elf_getphdrnum(elf, &count) != 0)
		return -EINVAL;
	for (size_t i = 0; i < count && i < SEGMENTS_MOST; i++) {
		if (!gelf_getphdr(elf, (int)i, &segment))
			return -EINVAL;
		if (segment.p_type == PT_INTERP && !facts->interpreter[0]) {
			int error = read_interpreter(facts, elf, &segment);
			if (error)
				return error;
		} else if (segment.p_type == PT_DYNAMIC) {
			read_dynamic(facts, elf, &segment);
		} else if (segment.p_type == PT_NOTE) {
			read_notes(facts, elf, &segment);
		} else if (segment.p_type == PT_GNU_RELRO) {
			facts->relro = true;
		}
	}
	return 0;
}

int elf_facts_read(struct elf_facts *facts, int fd)
{
	GElf_Ehdr header;
	char magic[SELFMAG];
	int error = 0;

	memset(facts, 0, sizeof *facts);
	/* Asked before libelf is, which would take an archive as well. */
	if (pread(fd, magic, SELFMAG, 0) != SELFMAG || memcmp(magic, ELFMAG, SELFMAG) != 0)
		return -ENOEXEC;
	if (elf_version(EV_CURRENT) == EV_NONE)
		return -EINVAL;
	Elf *elf = elf_begin(fd, ELF_C_READ, NULL);
	if (!elf)
		return -EINVAL;
	if (elf_kind(elf) != ELF_K_ELF || !gelf_getehdr(elf, &header)) {
		error = -EINVAL;
	} else {
		facts->bits = header.e_ident[EI_CLASS] == ELFCLASS64 ? 64 : 32;
		facts->big_endian = header.e_ident[EI_DATA] == ELFDATA2MSB;
		facts->type = header.e_type;
		facts->machine = header.e_machine;
		error = read_segments(facts, elf);
	}
	elf_end(elf);
	return error;
}

bool elf_facts_static(const struct elf_facts *facts)
{
	if (facts->interpreter[0])
		return false;
	return facts->type == ET_EXEC || (facts->type == ET_DYN && !facts->soname);
}

bool elf_facts_native(const struct elf_facts *facts)
{
#if defined(__x86_64__)
	const uint16_t machine = EM_X86_64;
#elif defined(__aarch64__)
	const uint16_t machine = EM_AARCH64;
#else
#error "which machine is this?"
#endif
	return facts->bits == 8 * sizeof(void *) && facts->machine == machine &&
	       facts->big_endian == (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
}

const char *elf_machine_name(uint16_t machine)
{
	switch (machine) {
	case EM_386: return "i386";
	case EM_X86_64: return "x86-64";
	case EM_ARM: return "ARM";
	case EM_AARCH64: return "AArch64";
	case EM_RISCV: return "RISC-V";
	case EM_PPC64: return "PowerPC64";
	case EM_S390: return "S/390";
	case EM_MIPS: return "MIPS";
	default: return "another machine";
	}
}
