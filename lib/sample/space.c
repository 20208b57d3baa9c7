/*
 * space.c - see space.h.
 */
#include "lib/sample/space.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/session/process.h"
#include "lib/stamp/trace.h"

enum { MAPS_MOST = 1 << 16, FILES_MOST = (1 << 20) - 1, LINE = 5000 };
enum { READ_MOST = 8192 }; /* executable mappings of a process that runs already */

struct space *space_open(void)
{
	return calloc(1, sizeof(struct space));
}

static void free_process(struct space_process *p)
{
	free(p->maps);
	free(p);
}

static void free_thread(struct space_thread *t)
{
	free(t->saved);
	free(t);
}

void space_close(struct space *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < SPACE_SLOTS; i++) {
		for (struct space_process *p = s->processes[i], *next; p; p = next) {
			next = p->next;
			free_process(p);
		}
		for (struct space_thread *t = s->threads[i], *next; t; t = next) {
			next = t->next;
			free_thread(t);
		}
	}
	for (size_t i = 0; i < s->file_count; i++) {
		unwind_module_close(s->files[i]->module);
		free(s->files[i]->path);
		free(s->files[i]->build_id);
		free(s->files[i]);
	}
	free(s->files);
	free(s);
}

/* ---- processes and threads --------------------------------------------------------------------- */

static struct space_process **process_at(struct space *s, pid_t pid)
{
	struct space_process **at = &s->processes[(unsigned)pid % SPACE_SLOTS];

	while (*at && (*at)->pid != pid)
		at = &(*at)->next;
	return at;
}

struct space_process *space_process(struct space *s, pid_t pid)
{
	struct space_process **at = process_at(s, pid);

	if (!*at && (*at = calloc(1, sizeof **at))) {
		(*at)->pid = pid;
		s->process_count++;
	}
	return *at;
}

static struct space_thread **thread_at(struct space *s, pid_t tid)
{
	struct space_thread **at = &s->threads[(unsigned)tid % SPACE_SLOTS];

	while (*at && (*at)->tid != tid)
		at = &(*at)->next;
	return at;
}

struct space_thread *space_thread(struct space *s, pid_t pid, pid_t tid)
{
	struct space_thread **at = thread_at(s, tid);

	if (!*at && (*at = calloc(1, sizeof **at)))
		**at = (struct space_thread){ .tid = tid, .pid = pid };
	return *at;
}

void space_fork(struct space *s, pid_t parent, pid_t pid, pid_t tid)
{
	struct space_thread *by = *thread_at(s, parent), *t;

	space_exit(s, 0, tid); /* the number's owner before */
	t = space_thread(s, pid, tid);
	if (t && by)
		memcpy(t->comm, by->comm, sizeof t->comm);
	struct space_process *from = *process_at(s, parent), *p;
	if (pid == parent || !from)
		return;
	p = space_process(s, pid);
	if (!p)
		return;
	free(p->maps);
	p->maps = from->count ? calloc(from->count, sizeof *p->maps) : NULL;
	p->count = p->room = p->maps ? from->count : 0;
	if (p->maps)
		memcpy(p->maps, from->maps, from->count * sizeof *p->maps);
}

void space_exec(struct space *s, pid_t pid)
{
	struct space_process *p = *process_at(s, pid);

	if (!p)
		return;
	p->count = 0;
	p->begins = true;
}

void space_exit(struct space *s, pid_t pid, pid_t tid)
{
	struct space_thread **t = thread_at(s, tid), *gone = *t;
	struct space_process **p = process_at(s, pid), *ended = *p;

	if (gone) {
		*t = gone->next;
		free_thread(gone);
	}
	if (ended && pid == tid) {
		for (size_t i = 0; i < SPACE_SLOTS; i++)
			for (const struct space_thread *o = s->threads[i]; o; o = o->next)
				if (o->pid == pid)
					return; /* its first thread has ended, others go on */
		*p = ended->next;
		s->process_count--;
		free_process(ended);
	}
}

void space_sweep(struct space *s, bool (*gone)(pid_t pid, pid_t tid))
{
	for (size_t i = 0; i < SPACE_SLOTS; i++) {
		for (struct space_thread *t = s->threads[i], *next; t; t = next) {
			next = t->next;
			const struct space_process *p = *process_at(s, t->pid);
			if (!(p && p->hidden) && gone(t->pid, t->tid))
				space_exit(s, 0, t->tid);
		}
	}
	for (size_t i = 0; i < SPACE_SLOTS; i++) {
		for (struct space_process *p = s->processes[i], *next; p; p = next) {
			next = p->next;
			if (!p->hidden && gone(p->pid, p->pid))
				space_exit(s, p->pid, p->pid);
		}
	}
}

/* ---- files and maps ---------------------------------------------------------------------------- */

struct space_file *space_file(struct space *s, const char *path, uint64_t device, uint64_t inode)
{
	for (size_t i = s->file_count; i > 0; i--) { /* the newest is the likeliest */
		struct space_file *f = s->files[i - 1];
		if (f->inode == inode && f->device == device && strcmp(f->path, path) == 0)
			return f;
	}
	struct space_file **files = NULL, *f = NULL;
	if (s->file_count < FILES_MOST)
		files = reallocarray(s->files, s->file_count + 1, sizeof(struct space_file *));
	if (files) {
		s->files = files;
		f = calloc(1, sizeof *f);
	}
	if (!f)
		return NULL;
	*f = (struct space_file){ .number = (uint32_t)s->file_count + 1, .path = strdup(path),
				  .build_id = strdup(""), .device = device, .inode = inode };
	if (!f->path || !f->build_id) {
		free(f->path);
		free(f->build_id);
		free(f);
		return NULL;
	}
	return s->files[s->file_count++] = f;
}

/* When a process began that does so now; 0: not known, as of one that has ended. */
static int64_t began(pid_t pid)
{
	uint64_t start = process_start(pid);
	struct timespec now, up;

	clock_gettime(CLOCK_REALTIME, &now);
	clock_gettime(CLOCK_BOOTTIME, &up);
	return start ? now.tv_sec - up.tv_sec + (int64_t)start / sysconf(_SC_CLK_TCK) - 1 : 0;
}

struct space_file *space_made(struct space *s, pid_t pid)
{
	struct space_file *f = space_file(s, "[anonymous]", UINT64_MAX, (uint64_t)pid);
	char path[PROCESS_PATH], name[32];
	struct stat st;

	if (!f || f->made_by)
		return f;
	snprintf(name, sizeof name, TRACE_MADE, pid);
	char *id = strdup(name);
	if (id) {
		free(f->build_id);
		f->build_id = id;
	}
	f->made_by = pid;
	f->owner = (uid_t)-1;
	f->since = began(pid);
	if (id && f->since && process_path(pid, "stat", path) == 0 && stat(path, &st) == 0)
		f->owner = st.st_uid;
	return f;
}

/* Rules are read when the first stack goes through it. */
static void open_module(struct space_file *f)
{
	f->opened = true;
	if (f->path[0] != '/' && strcmp(f->path, "[vdso]") != 0)
		return;
	f->module = unwind_module_open(f->path, f->build_id);
	if (!f->module || f->build_id[0])
		return;
	char *id = strdup(unwind_module_build_id(f->module));
	if (id) {
		free(f->build_id);
		f->build_id = id;
	}
}

static size_t first_behind(const struct space_process *p, uint64_t address)
{
	size_t low = 0, high = p->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (p->maps[middle].end <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool make_room(struct space_process *p, size_t more)
{
	if (p->count + more <= p->room)
		return true;
	size_t room = p->room < 16 ? 32 : 2 * p->room; /* a fork has as much as there was */
	struct space_map *maps =
		room <= MAPS_MOST ? reallocarray(p->maps, room, sizeof *maps) : NULL;
	if (!maps)
		return false;
	p->maps = maps;
	p->room = room;
	return true;
}

/* What the new one covers goes; what it covers a part of is cut, or becomes two. */
static size_t clear(struct space_process *p, uint64_t start, uint64_t end)
{
	size_t at = first_behind(p, start);

	if (at < p->count && p->maps[at].start < start) {
		struct space_map *m = &p->maps[at];
		if (m->end > end) {
			memmove(m + 1, m, (p->count - at) * sizeof *m);
			p->count++;
			m[1].start = end;
		}
		m->end = start;
		at++;
	}
	size_t gone = at;
	while (gone < p->count && p->maps[gone].end <= end)
		gone++;
	memmove(&p->maps[at], &p->maps[gone], (p->count - gone) * sizeof *p->maps);
	p->count -= gone - at;
	if (at < p->count && p->maps[at].start < end)
		p->maps[at].start = end;
	return at;
}

struct space_map *space_map(struct space *s, struct space_process *p, uint64_t start,
			    uint64_t bytes, uint64_t at, struct space_file *file)
{
	uint64_t offset;

	(void)s;
	if (!bytes || start + bytes < start || !make_room(p, 2))
		return NULL;
	if (!file->opened)
		open_module(file);
	size_t place = clear(p, start, start + bytes);
	struct space_map *m = &p->maps[place];
	memmove(m + 1, m, (p->count - place) * sizeof *m);
	p->count++;
	*m = (struct space_map){ .start = start, .end = start + bytes, .file = file };
	if (strcmp(file->path, "[vdso]") == 0)
		m->shift = -(int64_t)start;
	else if (file->module && unwind_module_offset(file->module, at, &offset))
		m->shift = (int64_t)(offset - start);
	else if (file->path[0] == '/')
		m->shift = (int64_t)(at - start);
	return m;
}

struct space_map *space_module(struct space *s, struct space_process *p, uint64_t start,
			       uint64_t end, const char *path, const char *build_id)
{
	uint64_t build = 0;

	for (const char *c = build_id; *c; c++) /* two builds of a path are two files */
		build = (build ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
	struct space_file *file = space_file(s, path, UINT64_MAX, build);
	if (!file)
		return NULL;
	if (!file->opened && build) {
		char *id = strdup(build_id);
		if (!id)
			return NULL;
		free(file->build_id);
		file->build_id = id;
	}
	struct space_map *m = space_map(s, p, start, end - start, 0, file);
	if (m)
		m->shift = -(int64_t)start;
	return m;
}

bool space_find(void *process, uint64_t address, struct unwind_place *place)
{
	struct space_process *p = process;
	size_t at = first_behind(p, address);

	if (at == p->count || address < p->maps[at].start) {
		p->missed = true;
		return false;
	}
	const struct space_map *m = &p->maps[at];
	*place = (struct unwind_place){ .module = m->file->module,
					.offset = address + (uint64_t)m->shift,
					.number = m->file->number };
	return true;
}

/* ---- a process that runs already --------------------------------------------------------------- */

static bool take_line(struct space *s, struct space_process *p, char *line)
{
	unsigned long long start, end, at, inode;
	unsigned major, minor;
	char perms[8];
	int name = 0;

	line[strcspn(line, "\n")] = '\0';
	if (sscanf(line, "%llx-%llx %7s %llx %x:%x %llu %n", &start, &end, perms, &at, &major,
		   &minor, &inode, &name) < 7 ||
	    perms[2] != 'x' || strcmp(line + name, "[vsyscall]") == 0)
		return false;
	const uint64_t device = (uint64_t)major << 32 | minor;
	struct space_file *file = name && line[name] ? space_file(s, line + name, device, inode)
						     : space_made(s, p->pid);
	if (file)
		space_map(s, p, start, end - start, at, file);
	return true;
}

static int read_maps(struct space *s, pid_t pid, bool anew)
{
	struct space_process *p = space_process(s, pid);
	char path[PROCESS_PATH], line[LINE];

	if (!p)
		return -ENOMEM;
	int error = process_path(pid, "maps", path);
	FILE *file = error ? NULL : fopen(path, "re");
	if (!file)
		return error ? error : -errno;
	for (unsigned taken = 0; taken < READ_MOST && fgets(line, sizeof line, file);
	     anew = false) {
		if (anew) /* there is something: of a process that has ended, nothing */
			p->count = 0;
		taken += take_line(s, p, line);
	}
	fclose(file);
	return 0;
}

int space_read(struct space *s, pid_t pid)
{
	return read_maps(s, pid, false);
}

int space_read_anew(struct space *s, pid_t pid)
{
	return read_maps(s, pid, true);
}
