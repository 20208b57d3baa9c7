/*
 * binary.c - see binary.h. Called by `hark inspect` for programs, and by libraries.c for what they need.
 */
#include "lib/image/binary.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/image/symbols_debug.h"
#include "lib/image/symbols_read.h"

/* ---- what is wrong with it --------------------------------------------------------------------- */

/* What the file's own head says that it must have, it must have. */
static int whole(Elf *elf, int fd, const char *path, char *why, size_t why_bytes)
{
	GElf_Ehdr header;
	GElf_Phdr segment;
	uint64_t end = 0;
	struct stat st;
	size_t count;

	if (!gelf_getehdr(elf, &header) || elf_getphdrnum(elf, &count) != 0 || fstat(fd, &st) != 0)
		return -EINVAL;
	for (size_t i = 0; i < count && gelf_getphdr(elf, (int)i, &segment); i++)
		if (segment.p_type == PT_LOAD && segment.p_filesz &&
		    segment.p_offset <= UINT64_MAX - segment.p_filesz &&
		    segment.p_offset + segment.p_filesz > end)
			end = segment.p_offset + segment.p_filesz;
	if (header.e_shoff && header.e_shoff <= UINT64_MAX / 2 &&
	    header.e_shoff + (uint64_t)header.e_shnum * header.e_shentsize > end)
		end = header.e_shoff + (uint64_t)header.e_shnum * header.e_shentsize;
	if (end <= (uint64_t)st.st_size)
		return 0;
	snprintf(why, why_bytes,
		 "%s is truncated: by what it says it has %llu bytes, there are %lld", path,
		 (unsigned long long)end, (long long)st.st_size);
	return -EINVAL;
}

static int complain(int error, const char *path, char *why, size_t why_bytes)
{
	switch (error) {
	case -ENOEXEC:
		snprintf(why, why_bytes, "%s is no ELF program or library", path);
		break;
	case -EINVAL:
		snprintf(why, why_bytes, "%s is a damaged ELF file", path);
		break;
	default:
		snprintf(why, why_bytes, "%s cannot be read: %s", path, strerror(-error));
	}
	return error;
}

static int open_file(struct binary *b, struct symbols_file *file, const char *path, char *why,
		     size_t why_bytes)
{
	int error = symbols_file_open(file, path);

	if (error)
		return complain(error, path, why, why_bytes);
	error = elf_facts_read(&b->elf, file->fd);
	if (error)
		complain(error, path, why, why_bytes);
	else
		error = whole(file->elf, file->fd, path, why, why_bytes);
	if (error)
		symbols_file_close(file);
	return error;
}

/* ---- names and unwind tables ------------------------------------------------------------------- */

static int keep(char **where, const char *text)
{
	*where = strdup(text);
	return *where ? 0 : -ENOMEM;
}

/* The debug file's names, where the file has none itself. */
static int find_debug(struct binary *b, const struct symbols_file *file, const char *path,
		      struct symbols_table *names)
{
	struct symbols_file debug;
	char where[PATH_MAX];
	int error = 0, found = 0;

	if (b->debug_info)
		error = keep(&b->debug_file, path);
	if (error || (b->symtab && b->debug_info))
		return error;
	if (!symbols_debug_by_id(&debug, file->build_id, NULL, where, sizeof where) &&
	    !symbols_debug_by_link(&debug, file, path, NULL, where, sizeof where))
		return 0;
	if (!b->symtab)
		found = symbols_read_names(names, &debug, SHT_SYMTAB, file->base);
	if (!b->debug_file)
		error = keep(&b->debug_file, where);
	symbols_file_close(&debug);
	return found < 0 ? found : error;
}

static int read_inside(const struct symbols_file *file, struct symbols_table *names)
{
	struct symbols_file debug;
	char *image = symbols_debug_inside(&debug, file);

	if (!image)
		return 0;
	int found = symbols_read_names(names, &debug, SHT_SYMTAB, file->base);
	symbols_file_close(&debug);
	free(image);
	return found;
}

/* By the same readers and the same order as names in a report. */
static int count_functions(struct binary *b, const struct symbols_file *file, const char *path)
{
	struct symbols_table names = { 0 }, frames = { 0 };
	int error = b->symtab ? symbols_read_names(&names, file, SHT_SYMTAB, file->base) : 0;

	if (error >= 0)
		error = find_debug(b, file, path, &names);
	if (error >= 0 && !names.count)
		error = read_inside(file, &names);
	if (error >= 0)
		error = symbols_read_names(&names, file, SHT_DYNSYM, file->base);
	symbols_table_order(&names, file->code, file->codes);
	b->named = (unsigned)names.count;
	if (error >= 0)
		error = symbols_read_unwind(&frames, file);
	symbols_table_order(&frames, file->code, file->codes);
	b->framed = (unsigned)frames.count;
	/* found by its segment, where sections are cut off */
	b->eh_frame = b->eh_frame || frames.count;
	symbols_table_fini(&names);
	symbols_table_fini(&frames);
	return error < 0 ? error : 0;
}

/* A static program has its symbols here alone. */
static void read_symtab(struct binary *b, const struct symbols_file *file)
{
	GElf_Shdr header;
	Elf_Scn *scn = symbols_file_section(file, NULL, SHT_SYMTAB, &header);
	Elf_Data *data = scn ? elf_getdata(scn, NULL) : NULL;
	GElf_Sym symbol;

	for (int i = 1; data && i < SYMBOLS_MOST && gelf_getsym(data, i, &symbol); i++) {
		const char *name = elf_strptr(file->elf, header.sh_link, symbol.st_name);
		/* what is imported has its version behind it here, and its name alone in .dynsym */
		if (name && *name && symbol.st_shndx != SHN_UNDEF)
			binary_mark(b, name, true);
	}
}

/* ---- all of it --------------------------------------------------------------------------------- */

static int read_all(struct binary *b, const struct symbols_file *file, const char *path,
		    enum binary_depth depth)
{
	int error = binary_dynamic(b, file);

	if (!error && file->build_id[0])
		error = keep(&b->build_id, file->build_id);
	if (error)
		return error;
	binary_sections(b, file);
	if (b->elf.go)
		b->languages |= BINARY_GO;
	binary_syscalls(&b->syscalls, file);
	if (depth == BINARY_PROGRAM) {
		read_symtab(b, file);
		error = count_functions(b, file, path);
	}
	if (b->own_undefined && !b->sanitizers)
		b->sanitizers = BINARY_UNDEFINED;
	return error;
}

int binary_read(struct binary *binary, const char *path, enum binary_depth depth, char *why,
		size_t why_bytes)
{
	struct symbols_file file;

	*binary = (struct binary){ .symtab = false };
	int error = open_file(binary, &file, path, why, why_bytes);
	if (error)
		return error;
	error = read_all(binary, &file, path, depth);
	symbols_file_close(&file);
	if (error) {
		binary_fini(binary);
		return complain(error, path, why, why_bytes);
	}
	return 0;
}

void binary_fini(struct binary *b)
{
	for (size_t i = 0; b->needed && b->needed[i]; i++)
		free(b->needed[i]);
	free(b->needed);
	free(b->debug_file);
	free(b->build_id);
	free(b->soname);
	free(b->rpath);
	free(b->runpath);
	*b = (struct binary){ .symtab = false };
}
