/*
 * frames.c - see frames.h. The process of `hark frames`; tests call its inner functions.
 */
#include "lib/sample/frames.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/image/symbols.h"
#include "lib/image/unwind.h"
#include "lib/ring/record.h"
#include "lib/sample/space.h"
#include "lib/sample/words.h"
#include "lib/session/process.h"

enum { PATH_MOST = 4096, INLINED_MOST = 32 };

struct frames {
	bool addresses;
	struct space *space;
	pid_t pid[FRAMES_PROCESSES]; /* those in space; 0: none */
	unsigned next;             /* the one of them that was met first */
	struct symbols **symbols;  /* by number of file */
	size_t symbol_room;
	struct unwind_frame frame[FRAMES_MOST];
	struct words words;
};

struct frames *frames_open(bool addresses)
{
	struct frames *f = calloc(1, sizeof *f);

	if (f) {
		f->addresses = addresses;
		f->space = space_open();
	}
	if (f && !f->space) {
		free(f);
		f = NULL;
	}
	return f;
}

static void close_symbols(struct frames *f)
{
	for (size_t i = 0; i < f->symbol_room; i++)
		if (f->symbols[i])
			symbols_close(f->symbols[i]);
	free(f->symbols);
	f->symbols = NULL;
	f->symbol_room = 0;
}

void frames_close(struct frames *f)
{
	if (!f)
		return;
	close_symbols(f);
	space_close(f->space);
	free(f);
}

/* ---- what is loaded ---------------------------------------------------------------------------- */

/* Whoever tells of files without end makes us begin anew; the kernel is asked then, of who lives. */
static void bound_files(struct frames *f)
{
	struct space *space = f->space->file_count >= FRAMES_FILES ? space_open() : NULL;

	if (!space)
		return;
	close_symbols(f);
	space_close(f->space);
	f->space = space;
	memset(f->pid, 0, sizeof f->pid);
}

/* Nobody tells us who has ended: the one that was met first makes room. */
static struct space_process *process_of(struct frames *f, uint32_t number)
{
	pid_t pid = (pid_t)(number & INT32_MAX), *first = &f->pid[f->next];
	size_t count = f->space->process_count;
	struct space_process *p = space_process(f->space, pid);

	if (!p || f->space->process_count == count)
		return p;
	if (*first)
		space_exit(f->space, *first, *first);
	*first = pid;
	f->next = (f->next + 1) % FRAMES_PROCESSES;
	return p;
}

void frames_image(struct frames *f, uint32_t pid)
{
	space_exec(f->space, (pid_t)(pid & INT32_MAX));
}

void frames_module(struct frames *f, uint32_t pid, const void *bytes, size_t count)
{
	static const char digits[] = "0123456789abcdef";
	struct record_module m;
	char path[PATH_MOST], build[2 * 64 + 1];
	const uint8_t *id = (const uint8_t *)bytes + sizeof m;

	if (count < sizeof m)
		return;
	memcpy(&m, bytes, sizeof m);
	count -= sizeof m;
	if (m.build_bytes > 64 || m.build_bytes > count || m.path_bytes >= sizeof path ||
	    m.path_bytes > count - m.build_bytes || m.end <= m.start || m.end >> 56)
		return;
	for (unsigned i = 0; i < m.build_bytes; i++) {
		build[2 * i] = digits[id[i] >> 4];
		build[2 * i + 1] = digits[id[i] & 15];
	}
	build[2 * m.build_bytes] = '\0';
	memcpy(path, id + m.build_bytes, m.path_bytes);
	path[m.path_bytes] = '\0';
	if (strncmp(path, "linux-vdso", 10) == 0)
		strcpy(path, "[vdso]");
	bound_files(f);
	struct space_process *p = process_of(f, pid);
	if (!p)
		return;
	if (p->count >= FRAMES_MODULES)
		p->count = 0;
	space_module(f->space, p, m.start, m.end, path, build);
}

static bool is_named(const char *path, const char *name)
{
	const char *slash = strrchr(path, '/');

	return strncmp(slash ? slash + 1 : path, name, strlen(name)) == 0;
}

static bool is_shim(const char *path)
{
	return is_named(path, "libhark-preload.so");
}

static bool is_libc(const char *path)
{
	return is_named(path, "libc.so.") || is_named(path, "libc-2.") ||
	       is_named(path, "ld-musl-");
}

/* Whether the process is still the program that spoke: our code is where it was. */
static bool is_the_same(pid_t pid, uint64_t pc)
{
	char path[PROCESS_PATH], line[PATH_MOST + 256];
	unsigned long long start, end;
	char perms[8];
	bool same = false;

	FILE *file = process_path(pid, "maps", path) == 0 ? fopen(path, "re") : NULL;
	while (file && !same && fgets(line, sizeof line, file))
		same = sscanf(line, "%llx-%llx %7s", &start, &end, perms) == 3 && perms[2] == 'x' &&
		       pc >= start && pc < end && strstr(line, "/libhark-preload.so");
	if (file)
		fclose(file);
	return same;
}

struct look {
	struct frames *frames;
	struct space_process *process;
	uint64_t pc;
	bool asked;                /* the kernel, what is mapped there */
};

static bool find(void *argument, uint64_t address, struct unwind_place *place)
{
	struct look *l = argument;

	if (space_find(l->process, address, place))
		return true;
	if (l->asked)
		return false;
	l->asked = true;
	if (!is_the_same(l->process->pid, l->pc) ||
	    space_read(l->frames->space, l->process->pid) != 0)
		return false;
	return space_find(l->process, address, place);
}

/* ---- names ------------------------------------------------------------------------------------- */

static struct symbols *symbols_of(struct frames *f, const struct space_file *file)
{
	if (file->number > f->symbol_room) {
		size_t room = file->number + 64;
		struct symbols **all = reallocarray(f->symbols, room, sizeof(struct symbols *));
		if (!all)
			return NULL;
		memset(all + f->symbol_room, 0, (room - f->symbol_room) * sizeof(struct symbols *));
		f->symbols = all;
		f->symbol_room = room;
	}
	struct symbols **at = &f->symbols[file->number - 1];
	if (!*at && file->path[0] == '/')
		*at = symbols_open(file->path, file->build_id, NULL);
	return *at;
}

static const char *base_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

/* A function that has no name but by where its unwind table begins. */
static bool is_named_by_place(const struct symbol *symbol)
{
	char name[32];

	snprintf(name, sizeof name, "func_%llx", (unsigned long long)symbol->start);
	return strcmp(symbol->name, name) == 0;
}

static void tame(char *name)
{
	for (; *name; name++)
		if ((unsigned char)*name < 32 || *name == 127)
			*name = '?';
}

static size_t put(char text[FRAMES_TEXT], size_t at, const char *name)
{
	size_t n = strlen(name) + 1;

	if (n > FRAMES_TEXT - at)
		return at;
	memcpy(text + at, name, n);
	return at + n;
}

static const char *path_of(const struct frames *f, const struct unwind_frame *frame)
{
	return f->space->files[frame->place.number - 1]->path;
}

static bool is_on_the_way(const struct frames *f, size_t i)
{
	const char *path = path_of(f, &f->frame[i]);

	return is_libc(path) || is_shim(path);
}

static size_t put_named(char text[FRAMES_TEXT], size_t at, const char *function,
			const struct source_line *line, const struct space_file *file)
{
	char name[FRAMES_NAME];

	if (line->file)
		snprintf(name, sizeof name, "%.180s (%.50s:%d)", function, base_of(line->file),
			 line->line);
	else
		snprintf(name, sizeof name, "%.180s (%.60s)", function, base_of(file->path));
	tame(name);
	return put(text, at, name);
}

/* Behind those that were inlined there, the innermost first: each is where it calls the one before. */
static size_t put_frame(struct frames *f, char text[FRAMES_TEXT], size_t at,
			const struct unwind_frame *frame)
{
	const struct space_file *file = f->space->files[frame->place.number - 1];
	struct symbols *symbols = f->addresses ? NULL : symbols_of(f, file);
	uint64_t offset = frame->place.offset;
	struct symbol_inlined inlined[INLINED_MOST];
	struct source_line line = { NULL, 0 };
	struct symbol symbol;
	char name[FRAMES_NAME];

	if (!symbols || !symbols_find(symbols, offset, &symbol) || is_named_by_place(&symbol)) {
		snprintf(name, sizeof name, "%.200s+0x%llx", base_of(file->path),
			 (unsigned long long)offset);
		tame(name);
		return put(text, at, name);
	}
	symbols_line(symbols, offset, &line);
	for (unsigned i = symbols_inlined(symbols, offset, inlined, INLINED_MOST); i-- > 0;) {
		at = put_named(text, at, inlined[i].symbol.name, &line, file);
		line = inlined[i].call;
	}
	return put_named(text, at, symbol.name, &line, file);
}

/* Ours, and libc's own way to where it writes, are not what is asked for; nor is what called main() or
 * a thread's first function. */
static void trim(const struct frames *f, size_t *first, size_t *count, bool whole)
{
	size_t from = 0, to = *count;

	while (from < to && is_on_the_way(f, from))
		from++;
	if (from == to) { /* said by libc itself */
		while (*first < to && is_shim(path_of(f, &f->frame[*first])))
			++*first;
		return;
	}
	*first = from;
	if (whole && to - from > 2 && is_libc(path_of(f, &f->frame[to - 2])))
		to--; /* _start */
	while (whole && to - 1 > from && is_libc(path_of(f, &f->frame[to - 1])))
		to--;
	*count = to;
}

size_t frames_stack(struct frames *f, uint32_t pid, const void *bytes, size_t count,
		    char text[FRAMES_TEXT])
{
	struct look look = { .frames = f };
	struct unwind_stack stack;
	enum unwind_end end;
	size_t first = 0, used = 0;

	if (!words_read(&f->words, bytes, count, WORDS_KEPT, &stack))
		return 0;
	bound_files(f);
	look.process = process_of(f, pid);
	if (!look.process)
		return 0;
	look.pc = stack.pc;
	size_t frames = unwind(&stack, find, &look, f->frame, FRAMES_MOST, &end);
	bool whole = end == UNWIND_OUTERMOST;
	trim(f, &first, &frames, whole);
	for (size_t i = first; i < frames; i++)
		used = put_frame(f, text, used, &f->frame[i]);
	if (!whole)
		used = put(text, used, end == UNWIND_LOST ? "[unknown caller]" : "[deeper]");
	return used;
}

/* ---- the process ------------------------------------------------------------------------------- */

static void answer(struct frames *f, int socket, const struct frames_head *head, const char *bytes,
		   size_t count)
{
	static struct { struct frames_head head; char text[FRAMES_TEXT]; } out;

	out.head = *head;
	size_t n = frames_stack(f, head->pid, bytes, count, out.text);
	send(socket, &out, sizeof out.head + n, MSG_NOSIGNAL);
}

int frames_serve(int socket, bool addresses)
{
	static _Alignas(8) char packet[FRAMES_PACKET];
	struct frames *f = frames_open(addresses);
	struct frames_head head;
	ssize_t n;

	if (!f)
		return -ENOMEM;
	while ((n = recv(socket, packet, sizeof packet, 0)) > 0 || (n < 0 && errno == EINTR)) {
		if (n < (ssize_t)sizeof head)
			continue;
		memcpy(&head, packet, sizeof head);
		const char *bytes = packet + sizeof head;
		size_t count = (size_t)n - sizeof head;
		switch ((enum frames_type)head.type) {
		case FRAMES_MODULE: frames_module(f, head.pid, bytes, count); break;
		case FRAMES_IMAGE: frames_image(f, head.pid); break;
		case FRAMES_STACK: answer(f, socket, &head, bytes, count); break;
		}
	}
	int error = n < 0 ? -errno : 0;
	frames_close(f);
	return error;
}
