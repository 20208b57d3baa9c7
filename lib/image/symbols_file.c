/*
 * symbols_file.c - see symbols_file.h. Called by symbols*.c; must never believe an offset or a count
 * that libelf has not held against the file's size.
 */
#include "lib/image/symbols_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MOST ((off_t)8 << 30) /* bytes: what is asked for is read into memory */

enum { PAGE = 4096, SEGMENTS_MOST = 1024, NOTES_MOST = 1 << 20 };

static void read_note(struct symbols_file *file, Elf_Data *data)
{
	static const char digits[] = "0123456789abcdef";
	size_t at = 0, name, text;
	GElf_Nhdr note;

	while (data && data->d_buf && !file->build_id[0] &&
	       (at = gelf_getnote(data, at, &note, &name, &text)) > 0) {
		const unsigned char *bytes = data->d_buf;
		if (note.n_type != NT_GNU_BUILD_ID || note.n_namesz != 4 ||
		    memcmp(bytes + name, "GNU", 4) != 0 ||
		    2 * (size_t)note.n_descsz >= sizeof file->build_id)
			continue;
		for (size_t i = 0; i < note.n_descsz; i++) {
			file->build_id[2 * i] = digits[bytes[text + i] >> 4];
			file->build_id[2 * i + 1] = digits[bytes[text + i] & 15];
		}
	}
}

static Elf_Type note_type(const GElf_Phdr *segment)
{
	return segment->p_align == 8 ? ELF_T_NHDR8 : ELF_T_NHDR;
}

/* By segments, which every program has, and by sections: in debug files segments are empty. */
static void read_build_id(struct symbols_file *file, size_t segments)
{
	GElf_Shdr section;
	GElf_Phdr segment;
	Elf_Scn *scn = NULL;

	for (size_t i = 0; i < segments; i++) {
		if (gelf_getphdr(file->elf, (int)i, &segment) && segment.p_type == PT_NOTE &&
		    segment.p_offset <= INT64_MAX && segment.p_filesz <= NOTES_MOST)
			read_note(file, elf_getdata_rawchunk(file->elf, (int64_t)segment.p_offset,
							     segment.p_filesz,
							     note_type(&segment)));
	}
	while (!file->build_id[0] && (scn = elf_nextscn(file->elf, scn))) {
		if (gelf_getshdr(scn, &section) && section.sh_type == SHT_NOTE &&
		    section.sh_size <= NOTES_MOST)
			read_note(file, elf_getdata(scn, NULL));
	}
}

static void add_code(struct symbols_file *file, uint64_t start, uint64_t bytes)
{
	if (start < file->base || bytes == 0 || bytes > UINT64_MAX - start ||
	    file->codes == SYMBOLS_CODE_MOST)
		return;
	file->code[file->codes++] = (struct symbols_range){ .start = start - file->base,
							    .end = start - file->base + bytes };
}

static int by_start(const void *left, const void *right)
{
	const struct symbols_range *a = left, *b = right;

	return a->start < b->start ? -1 : a->start > b->start;
}

/* Sections say it better than segments, which may hold headers and constants as well. */
static void read_code(struct symbols_file *file, size_t segments)
{
	GElf_Shdr section;
	GElf_Phdr segment;
	Elf_Scn *scn = NULL;

	while ((scn = elf_nextscn(file->elf, scn))) {
		if (gelf_getshdr(scn, &section) && (section.sh_flags & SHF_EXECINSTR) &&
		    (section.sh_flags & SHF_ALLOC))
			add_code(file, section.sh_addr, section.sh_size);
	}
	for (size_t i = 0; !file->codes && i < segments; i++) {
		if (gelf_getphdr(file->elf, (int)i, &segment) && segment.p_type == PT_LOAD &&
		    (segment.p_flags & PF_X))
			add_code(file, segment.p_vaddr, segment.p_memsz);
	}
	qsort(file->code, file->codes, sizeof *file->code, by_start);
}

static int read_head(struct symbols_file *file)
{
	GElf_Ehdr header;
	GElf_Phdr segment;
	size_t segments;
	uint64_t lowest = UINT64_MAX;

	if (elf_kind(file->elf) != ELF_K_ELF || !gelf_getehdr(file->elf, &header) ||
	    elf_getphdrnum(file->elf, &segments) != 0)
		return -EINVAL;
	if (header.e_type != ET_EXEC && header.e_type != ET_DYN)
		return -ENOEXEC;
	if (segments > SEGMENTS_MOST)
		segments = SEGMENTS_MOST;
	for (size_t i = 0; i < segments; i++) {
		if (gelf_getphdr(file->elf, (int)i, &segment) && segment.p_type == PT_LOAD &&
		    segment.p_vaddr < lowest)
			lowest = segment.p_vaddr;
	}
	if (lowest == UINT64_MAX)
		return -EINVAL;
	file->base = lowest & ~(uint64_t)(PAGE - 1);
	file->machine = header.e_machine;
	read_code(file, segments);
	read_build_id(file, segments);
	return 0;
}

static int begin(struct symbols_file *file, Elf *elf)
{
	int error = elf ? 0 : -EINVAL;

	file->elf = elf;
	if (!error)
		error = read_head(file);
	if (error)
		symbols_file_close(file);
	return error;
}

int symbols_file_open(struct symbols_file *file, const char *path)
{
	char magic[SELFMAG];
	struct stat st;
	int error = 0;

	/* a FIFO must not hold us up */
	int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	*file = (struct symbols_file){ .fd = open(path, flags) };
	if (file->fd < 0)
		return -errno;
	if (fstat(file->fd, &st) != 0)
		error = -errno;
	else if (!S_ISREG(st.st_mode) || pread(file->fd, magic, SELFMAG, 0) != SELFMAG ||
		 memcmp(magic, ELFMAG, SELFMAG) != 0)
		error = -ENOEXEC;
	else if (st.st_size > FILE_MOST)
		error = -EFBIG;
	else if (elf_version(EV_CURRENT) == EV_NONE)
		error = -EINVAL;
	if (error) {
		symbols_file_close(file);
		return error;
	}
	return begin(file, elf_begin(file->fd, ELF_C_READ, NULL));
}

int symbols_file_memory(struct symbols_file *file, char *image, size_t bytes)
{
	*file = (struct symbols_file){ .fd = -1 };
	if (bytes < SELFMAG || memcmp(image, ELFMAG, SELFMAG) != 0)
		return -ENOEXEC;
	return begin(file, elf_version(EV_CURRENT) == EV_NONE ? NULL : elf_memory(image, bytes));
}

void symbols_file_close(struct symbols_file *file)
{
	if (file->elf)
		elf_end(file->elf);
	if (file->fd >= 0)
		close(file->fd);
	file->elf = NULL;
	file->fd = -1;
}

bool symbols_file_is_code(const struct symbols_file *file, uint64_t offset)
{
	for (size_t i = 0; i < file->codes; i++) {
		if (offset >= file->code[i].start && offset < file->code[i].end)
			return true;
	}
	return false;
}

Elf_Scn *symbols_file_section(const struct symbols_file *file, const char *name, uint32_t type,
			      GElf_Shdr *header)
{
	Elf_Scn *scn = NULL;
	size_t names;

	if (elf_getshdrstrndx(file->elf, &names) != 0)
		return NULL;
	while ((scn = elf_nextscn(file->elf, scn))) {
		if (!gelf_getshdr(scn, header) || header->sh_type == SHT_NOBITS ||
		    (type != SHT_NULL && header->sh_type != type))
			continue;
		const char *own = name ? elf_strptr(file->elf, names, header->sh_name) : NULL;
		if (!name || (own && strcmp(own, name) == 0))
			return scn;
	}
	return NULL;
}
