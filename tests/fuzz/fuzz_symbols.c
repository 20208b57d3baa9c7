/*
 * fuzz_symbols.c - a module as a stranger may have made it: names, stubs, unwind tables and lines.
 *
 * A libFuzzer target. The input is the file. Beyond crashes it looks for functions out of order, for
 * names that are not there or could move a cursor, and for a function that is not found at its start.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/image/symbols.h"

enum { FILE_MOST = 1 << 16, LOOKS_MOST = 64, INLINED_MOST = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	uint64_t last, starts[LOOKS_MOST];
	unsigned count;
};

static void insist(int holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "not so: %s\n", what);
	abort();
}

static int look(void *arg, const struct symbol *symbol)
{
	struct seen *seen = arg;

	insist(!seen->count || symbol->start > seen->last, "functions are in order");
	insist(symbol->name && symbol->name[0] && symbol->linkage, "they have names");
	for (const char *at = symbol->name; *at; at++)
		insist((unsigned char)*at >= ' ' && *at != 0x7f, "names are harmless");
	seen->last = symbol->start;
	if (seen->count < LOOKS_MOST)
		seen->starts[seen->count] = symbol->start;
	seen->count++;
	return 0;
}

/* As if it told of code that was made at run time. */
static void look_at_map(int fd)
{
	struct seen seen = { 0 };
	struct symbol found;
	struct symbols *symbols = symbols_open_map(fd);

	insist(symbols != NULL, "memory is not full");
	symbols_each(symbols, look, &seen);
	for (unsigned i = 0; i < seen.count && i < LOOKS_MOST; i++)
		insist(symbols_find(symbols, seen.starts[i], &found),
		       "a function is found at its start");
	symbols_close(symbols);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct seen seen = { 0 };
	struct symbol found;
	struct source_line line;
	struct symbol_inlined inlined[INLINED_MOST];
	char path[40];
	int fd = size <= FILE_MOST ? memfd_create("module", MFD_CLOEXEC) : -1;

	if (fd < 0)
		return 0;
	insist(write(fd, data, size) == (ssize_t)size, "memory is not full");
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	look_at_map(fd);
	struct symbols *symbols = symbols_open(path, "", "/nonexistent");
	insist(symbols != NULL, "a bad file is no lack of memory");
	symbols_each(symbols, look, &seen);
	insist((symbols_origin(symbols) != SYMBOLS_NONE) == (seen.count > 0),
	       "names come from somewhere");
	insist(seen.count || symbols_trouble(symbols), "it is said why there are none");
	for (unsigned i = 0; i < seen.count && i < LOOKS_MOST; i++) {
		insist(symbols_find(symbols, seen.starts[i], &found) &&
			       found.start == seen.starts[i],
		       "a function is found where it begins");
		if (!symbols_line(symbols, seen.starts[i] + i, &line))
			insist(!line.file, "no line, no file");
		unsigned n = symbols_inlined(symbols, seen.starts[i] + 2 * i, inlined,
					     INLINED_MOST);
		insist(n <= INLINED_MOST, "there are so many at most");
		while (n--)
			insist(inlined[n].symbol.name[0] && inlined[n].symbol.linkage[0],
			       "who was inlined has a name");
	}
	(void)symbols_find(symbols, UINT64_MAX, &found);
	(void)symbols_line(symbols, UINT64_MAX, &line);
	symbols_close(symbols);
	close(fd);
	return 0;
}
