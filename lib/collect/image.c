/*
 * image.c - a process of the session starts a program that no hook hears: that is said once, so that
 * nobody wonders why its words are missing.
 *
 * The shim names each program that it sees started (RECORD_IMAGE); what it is, is looked up here. That
 * depends on files, so it is said between two rounds and never while records are delivered: those a
 * successor delivers again must come to the same messages.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/collect/collector.h"
#include "lib/image/verdict.h"

void image_started(struct collector *c)
{
	const struct reader_record *r = &c->record;

	/* In deep mode it is heard. Those that find no room are named when they are started again. */
	if (c->plan->deep_fd >= 0 || c->plan->salvage || c->image_count == IMAGES_WAITING ||
	    r->bytes == 0 || r->bytes >= IMAGE_PATH)
		return;
	struct image *image = &c->images[c->image_count++];
	image->pid = r->pid;
	memcpy(image->path, r->payload, r->bytes);
	image->path[r->bytes] = 0;
}

/* Its file as we find it: what is relative is so to the process's directory. */
static int open_image(const struct image *image, char *path, size_t bytes, struct stat *st)
{
	const char *list = getenv("PATH");

	if (*image->path == '/')
		snprintf(path, bytes, "%s", image->path);
	else if (strchr(image->path, '/'))
		snprintf(path, bytes, "/proc/%u/cwd/%s", image->pid, image->path);
	else
		for (*path = 0; list && *list && access(path, X_OK) != 0;) {
			size_t length = strcspn(list, ":");
			snprintf(path, bytes, "%.*s/%s", (int)length, list, image->path);
			list += length + (list[length] == ':');
		}
	if (stat(path, st) != 0 || !S_ISREG(st->st_mode))
		return -1;
	return open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
}

static bool known(struct collector *c, uint64_t name)
{
	for (unsigned i = 0; i < CHECKPOINT_DEAF; i++)
		if (c->state.deaf[i] == name)
			return true;
	return false;
}

/* Where it is no part of what a caller reads back: not among the program's own bytes. */
static uint32_t listeners(const struct collector *c)
{
	uint32_t sinks = 0;

	for (unsigned i = 0; i < c->sink_count; i++)
		if (!c->routes[i].stream && !c->sinks[i].error)
			sinks |= 1u << i;
	return sinks;
}

/* Whether no hook hears it. A script, or what is none of both, is left to its interpreter. */
static bool is_deaf(int fd, const char *path, struct verdict *verdict)
{
	struct elf_facts facts;

	if (elf_facts_read(&facts, fd) != 0)
		return false;
	*verdict = verdict_capture(&facts, path);
	return verdict->answer == VERDICT_NO;
}

static void look_at(struct collector *c, const struct image *image)
{
	char path[PATH_MAX], text[IMAGE_PATH + 500];
	struct verdict verdict;
	struct stat st;

	int fd = open_image(image, path, sizeof path, &st);
	if (fd < 0)
		return;
	uint64_t name = (uint64_t)st.st_ino << 16 ^ (uint64_t)st.st_dev ^ 1;
	uint64_t *hears = &c->heard[name % IMAGES_HEARD];
	bool deaf = *hears != name && !known(c, name) && is_deaf(fd, path, &verdict);
	close(fd);
	uint32_t sinks = deaf ? listeners(c) : 0;
	if (!sinks) {
		*hears = name;
		return;
	}
	snprintf(text, sizeof text, "started %s, which %s: only deep mode hears it", image->path,
		 verdict.why);
	if (!deliver_note(c, LEVEL_NOTICE, text, sinks))
		return;
	c->state.deaf[c->state.deaf_count++ % CHECKPOINT_DEAF] = name;
	c->dirty = true;
}

void image_announce(struct collector *c)
{
	if (!c->image_count || c->joins.leaving) /* not into the middle of a write */
		return;
	for (unsigned i = 0; i < c->image_count; i++)
		look_at(c, &c->images[i]);
	c->image_count = 0;
}
