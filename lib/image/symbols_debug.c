/*
 * symbols_debug.c - see symbols_debug.h. Called where a file's own .symtab or lines are gone. The
 * names come from a file that may be hostile: none of them may lead out of the folders to look in.
 */
#include "lib/image/symbols_debug.h"

#include <elfutils/libdwelf.h>
#include <limits.h>
#include <lzma.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/text.h"

enum {
	DIRS_MOST = 64,
	CRC_CHUNK = 1 << 16,
	INSIDE_MOST = 64 << 20,  /* bytes, uncompressed */
	LZMA_MEMORY = 128 << 20,
};

/* The next of "a:b:c", or false; empty ones are skipped. */
static bool next_dir(const char **dirs, const char **dir, size_t *length)
{
	while (**dirs == ':')
		++*dirs;
	*dir = *dirs;
	*length = strcspn(*dirs, ":");
	*dirs += *length;
	return *length > 0;
}

static bool is_hex(const char *id)
{
	return id[0] && strspn(id, "0123456789abcdef") == strlen(id);
}

bool symbols_debug_by_id(struct symbols_file *debug, const char *build_id, const char *dirs,
			 char *where, size_t where_bytes)
{
	const char *dir;
	size_t length;

	if (strlen(build_id) < 4 || !is_hex(build_id))
		return false;
	if (!dirs)
		dirs = SYMBOLS_DEBUG_DIRS;
	for (int i = 0; i < DIRS_MOST && next_dir(&dirs, &dir, &length); i++) {
		struct text path = text_in(where, where_bytes);
		text_bytes(&path, dir, length);
		text_str(&path, "/.build-id/");
		text_bytes(&path, build_id, 2);
		text_char(&path, '/');
		text_str(&path, build_id + 2);
		text_str(&path, ".debug");
		if (path.cut || symbols_file_open(debug, text_cstr(&path)) != 0)
			continue;
		if (strcmp(debug->build_id, build_id) == 0)
			return true;
		symbols_file_close(debug);
	}
	return false;
}

static bool crc_fits(int fd, uint32_t wanted)
{
	unsigned char *chunk = malloc(CRC_CHUNK);
	uint32_t crc = 0;
	off_t at = 0;
	ssize_t count = -1;

	while (chunk && (count = pread(fd, chunk, CRC_CHUNK, at)) > 0) {
		crc = lzma_crc32(chunk, (size_t)count, crc);
		at += count;
	}
	free(chunk);
	return count == 0 && crc == wanted;
}

/* -1: there is none, 0: it is another's, 1: open */
static int try_link(struct symbols_file *debug, uint32_t crc, const struct text *path)
{
	if (path->cut || symbols_file_open(debug, path->at) != 0)
		return -1;
	if (crc_fits(debug->fd, crc))
		return 1;
	symbols_file_close(debug);
	return 0;
}

static const char *link_of(const struct symbols_file *file, uint32_t *crc)
{
	GElf_Word word = 0;
	const char *name = dwelf_elf_gnu_debuglink(file->elf, &word);

	*crc = word;
	if (!name || !*name || strchr(name, '/') || strcmp(name, ".") == 0 ||
	    strcmp(name, "..") == 0)
		return NULL;
	return name;
}

bool symbols_debug_by_link(struct symbols_file *debug, const struct symbols_file *file,
			   const char *path, const char *dirs, char *where, size_t where_bytes)
{
	const char *slash = strrchr(path, '/'), *dir = "";
	size_t folder = slash ? (size_t)(slash - path) + 1 : 0, length = 0;
	uint32_t crc;
	const char *name = link_of(file, &crc);
	char misfit[PATH_MAX] = "";

	if (!dirs)
		dirs = SYMBOLS_DEBUG_DIRS;
	for (int i = 0; name && i < DIRS_MOST; i++) {
		struct text at = text_in(where, where_bytes);
		if (i >= 2 && !next_dir(&dirs, &dir, &length))
			break;
		text_bytes(&at, dir, length);
		if (i >= 2 && path[0] != '/')
			text_char(&at, '/');
		text_bytes(&at, path, folder);
		text_str(&at, i == 1 ? ".debug/" : "");
		text_str(&at, name);
		text_cstr(&at);
		int result = try_link(debug, crc, &at);
		if (result > 0)
			return true;
		if (result == 0 && at.len < sizeof misfit)
			memcpy(misfit, where, at.len + 1);
	}
	struct text at = text_in(where, where_bytes);
	text_str(&at, misfit);
	text_cstr(&at);
	return false;
}

char *symbols_debug_inside(struct symbols_file *debug, const struct symbols_file *file)
{
	GElf_Shdr header;
	Elf_Scn *scn = symbols_file_section(file, ".gnu_debugdata", SHT_PROGBITS, &header);
	Elf_Data *packed = scn ? elf_rawdata(scn, NULL) : NULL;
	lzma_stream stream = LZMA_STREAM_INIT;
	lzma_ret result = LZMA_OK;
	size_t room = 0;
	char *image = NULL;

	if (!packed || !packed->d_buf ||
	    lzma_stream_decoder(&stream, LZMA_MEMORY, 0) != LZMA_OK)
		return NULL;
	stream.next_in = packed->d_buf;
	stream.avail_in = packed->d_size;
	while (result == LZMA_OK && room < INSIDE_MOST) {
		size_t more = room ? room : CRC_CHUNK;
		char *grown = realloc(image, room + more);
		if (!grown)
			break;
		image = grown;
		stream.next_out = (uint8_t *)image + room;
		stream.avail_out = more;
		room += more;
		while (result == LZMA_OK && stream.avail_out)
			result = lzma_code(&stream, LZMA_FINISH);
	}
	size_t bytes = stream.total_out;
	lzma_end(&stream);
	if (result == LZMA_STREAM_END && symbols_file_memory(debug, image, bytes) == 0)
		return image;
	free(image);
	return NULL;
}
