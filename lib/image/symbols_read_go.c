/*
 * symbols_read_go.c - the table that Go's runtime reads for its own backtraces names all functions, and stays
 * in a stripped file. See symbols_read.h; called by symbols.c, of any file that somebody calls a module.
 */
#include <errno.h>
#include <string.h>

#include "lib/image/symbols_read.h"

/* The table's head, as of Go 1.18 (first magic) and 1.20: a word each. */
enum { GO_MAGIC, GO_FUNCTIONS, GO_FILES, GO_TEXT, GO_NAMES, GO_UNITS, GO_FILE_NAMES, GO_PC,
       GO_TABLE, GO_HEAD };
enum { GO_ALIGNMENT = 32 };
static const uint64_t magics[] = { UINT64_C(0x08010000fffffff0), UINT64_C(0x08010000fffffff1) };

struct go_table {
	const uint8_t *bytes;
	size_t count;
	uint64_t head[GO_HEAD];
};

static bool is_head(const uint8_t *bytes, size_t count)
{
	uint64_t magic;

	if (count < GO_HEAD * sizeof magic)
		return false;
	memcpy(&magic, bytes, sizeof magic);
	return magic == magics[0] || magic == magics[1];
}

static bool take_head(struct go_table *go, Elf_Data *data, size_t at)
{
	if (!is_head((const uint8_t *)data->d_buf + at, data->d_size - at))
		return false;
	go->bytes = (const uint8_t *)data->d_buf + at;
	go->count = data->d_size - at;
	memcpy(go->head, go->bytes, sizeof go->head);
	return go->head[GO_NAMES] < go->head[GO_UNITS] && go->head[GO_UNITS] <= go->count &&
	       go->head[GO_TABLE] < go->count;
}

/* Go's own linker calls the section so or so; others put it among what is relocated and then constant. */
static bool find_table(const struct symbols_file *file, struct go_table *go)
{
	static const char *const sections[] = { ".gopclntab", ".data.rel.ro.gopclntab",
						".data.rel.ro" };
	GElf_Shdr header;

	for (size_t i = 0; i < sizeof sections / sizeof *sections; i++) {
		Elf_Scn *scn = symbols_file_section(file, sections[i], SHT_PROGBITS, &header);
		Elf_Data *data = scn ? elf_rawdata(scn, NULL) : NULL;
		for (size_t at = 0; data && data->d_buf && at < data->d_size; at += GO_ALIGNMENT)
			if (take_head(go, data, at))
				return true;
	}
	return false;
}

static uint64_t half(const struct go_table *go, uint64_t at)
{
	uint32_t value = 0;

	if (at <= go->count - sizeof value)
		memcpy(&value, go->bytes + at, sizeof value);
	return value;
}

/* Position-independent ones may have nothing there; then code begins where the section does. */
static uint64_t text_of(const struct symbols_file *file, const struct go_table *go)
{
	GElf_Shdr header;

	if (go->head[GO_TEXT])
		return go->head[GO_TEXT];
	return symbols_file_section(file, ".text", SHT_PROGBITS, &header) ? header.sh_addr : 0;
}

int symbols_read_go(struct symbols_table *table, const struct symbols_file *file)
{
	struct go_table go;
	int found = 0;

	if (!find_table(file, &go))
		return 0;
	uint64_t names_bytes = go.head[GO_UNITS] - go.head[GO_NAMES];
	const char *names =
		symbols_table_keep(table, go.bytes + go.head[GO_NAMES], names_bytes);
	if (!names)
		return -ENOMEM;
	/* rows of two halves: where the function begins, and where more is said of it: that again, its name */
	uint64_t first = go.head[GO_TABLE], text = text_of(file, &go);
	uint64_t most = (go.count - first) / 8;
	uint64_t count = go.head[GO_FUNCTIONS] < most ? go.head[GO_FUNCTIONS] : most;
	for (uint64_t i = 0; i < count && found < SYMBOLS_MOST; i++) {
		uint64_t start = text + half(&go, first + 8 * i);
		uint64_t end = text + half(&go, first + 8 * (i + 1));
		uint64_t name = half(&go, first + half(&go, first + 8 * i + 4) + 4);
		if (start < file->base || end <= start || name >= names_bytes || !names[name] ||
		    !symbols_file_is_code(file, start - file->base))
			continue;
		int error = symbols_table_add(table, start - file->base, end - start,
					      names + name, 0);
		if (error)
			return error;
		found++;
	}
	return found;
}
