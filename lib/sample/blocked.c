/*
 * blocked.c - see blocked.h. Called by the sampler, whose program samples itself.
 */
#include "lib/sample/blocked.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/session/process.h"

enum { LOOK_MOST = 64 /* threads at a time */, STATUS = 4096 };

int blocked_read(const char *status, uint64_t signal)
{
	const char *line = strstr(status, "\nSigBlk:");
	char *end;

	if (!line)
		return -EINVAL;
	uint64_t mask = strtoull(line + strlen("\nSigBlk:"), &end, 16);
	return *end == '\n' ? (int)(mask >> (signal - 1) & 1) : -EINVAL;
}

static bool read_file(int tasks, const char *tid, const char *name, char *text, size_t room)
{
	char path[64];

	if ((size_t)snprintf(path, sizeof path, "%s/%s", tid, name) >= sizeof path)
		return false;
	int fd = openat(tasks, path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, room - 1);
	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = '\0';
	return n > 0;
}

/* Processor time that it has consumed; 0: this kernel does not say. */
static uint64_t consumed_ns(int tasks, const char *tid)
{
	char text[128];

	return read_file(tasks, tid, "schedstat", text, sizeof text) ? strtoull(text, NULL, 10) : 0;
}

static void tell(struct sampler *s, struct space_thread *t, uint64_t count)
{
	if (!sampler_ready(s))
		return;
	if (!t->number)
		sampler_tell_thread(s, t);
	const uint64_t words[2] = { s->ticks, t->number };
	out_put(&s->out, TRACE_SAMPLE_GAP, TRACE_SAMPLE_GAP_BLOCKED,
		count > UINT32_MAX ? UINT32_MAX : (uint32_t)count, words, 2);
}

void blocked_begun(struct sampler *s, struct space_thread *t)
{
	t->blocked = true;
	t->blocked_ns = 0;
	t->unseen_ns = 0;
	t->unlooked = true;
	s->some_blocked = true;
	s->unlooked++;
}

static bool is_there(const struct space_thread *t)
{
	char task[PROCESS_PATH], path[2 * PROCESS_PATH];

	if (process_path(t->pid, "task", task) != 0)
		return false;
	snprintf(path, sizeof path, "%s/%d", task, t->tid);
	return access(path, F_OK) == 0;
}

void blocked_ended(struct sampler *s, bool all)
{
	for (size_t i = 0; i < SPACE_SLOTS && s->unlooked; i++) {
		for (struct space_thread *t = s->space->threads[i]; t; t = t->next) {
			if (!t->unlooked || (!all && is_there(t)))
				continue;
			t->unlooked = false;
			s->unlooked--;
			tell(s, t, 0);
		}
	}
}

/* A sample in between says that it was not blocked but in our own handler when it was looked at. */
static bool look_at(struct sampler *s, int tasks, const char *name, struct space_thread *t)
{
	char status[STATUS];
	bool was = t->blocked && !t->seen;

	t->seen = false;
	if (!read_file(tasks, name, "status", status, sizeof status))
		return was;
	if (t->unlooked)
		s->unlooked--;
	t->unlooked = false;
	t->blocked = blocked_read(status, SIGPROF) == 1;
	if (!t->blocked)
		return false;
	uint64_t now = consumed_ns(tasks, name);
	if (was && now > t->blocked_ns)
		t->unseen_ns += now - t->blocked_ns;
	t->blocked_ns = now;
	if (t->unseen_ns >= s->period_ns) {
		tell(s, t, t->unseen_ns / s->period_ns);
		t->unseen_ns %= s->period_ns;
	}
	return was;
}

/* Where it has more threads than may be looked at now, the others are next. */
static unsigned look_at_process(struct sampler *s, struct space_process *p, bool *any)
{
	char path[PROCESS_PATH];
	DIR *dir = process_path(p->pid, "task", path) == 0 ? opendir(path) : NULL;
	unsigned looked = 0;
	uint32_t at = 0;
	struct dirent *e = NULL;

	while (dir && looked < LOOK_MOST && (e = readdir(dir))) {
		if (at++ < p->asked)
			continue;
		pid_t tid = (pid_t)strtol(e->d_name, NULL, 10);
		struct space_thread *t = tid > 0 ? space_thread(s->space, p->pid, tid) : NULL;
		if (!t || t->pid != p->pid)
			continue;
		*any |= look_at(s, dirfd(dir), e->d_name, t);
		looked++;
	}
	p->asked = e ? at : 0;
	if (dir)
		closedir(dir);
	return looked + 1;
}

bool blocked_look(struct sampler *s)
{
	const uint64_t ms = s->some_blocked ? BLOCKED_LOOK_MS : BLOCKED_NONE_MS;
	unsigned looked = 0;

	if (s->ns - s->asked_ns < ms * 900000) /* a nap may end a moment early */
		return s->some_blocked;
	s->asked_ns = s->ns;
	bool some = s->some_blocked;
	s->some_blocked = false;
	for (size_t i = 0; i < SPACE_SLOTS && looked < LOOK_MOST; i++) {
		size_t slot = s->asked_slot;
		for (struct space_process *p = s->space->processes[slot]; p; p = p->next)
			if (!p->hidden)
				looked += look_at_process(s, p, &s->some_blocked);
		s->asked_slot = (slot + 1) % SPACE_SLOTS;
	}
	/* They may be among those that are next. */
	s->some_blocked |= some && looked >= LOOK_MOST;
	blocked_ended(s, false);
	return s->some_blocked;
}
