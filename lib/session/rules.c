/*
 * rules.c - see rules.h.
 */
#include "lib/session/rules.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/base/sysio.h"
#include "lib/base/text.h"
#include "lib/session/session.h"

struct file {
	struct rules rules;
	struct rules_text text;
};

bool rules_are(const struct config *c)
{
	return c->filter[0] || c->notrace[0] || c->depth || c->min_time_ns || c->stamp_budget;
}

void rules_from(const struct config *c, struct rules *rules, struct rules_text *text)
{
	static struct filter filter;
	const char *why;

	/* they were taken as settings: nothing is wrong with them */
	filter_init(&filter);
	if (c->filter[0])
		filter_add(&filter, c->filter, false, &why);
	if (c->notrace[0])
		filter_add(&filter, c->notrace, true, &why);
	*rules = (struct rules){
		.magic = RULES_MAGIC,
		.filter = filter.rules,
		.named = filter.count != 0,
		.budget = c->stamp_budget,
		.min_ns = c->min_time_ns,
	};
	rules->filter.depth = (uint32_t)c->depth;
	if (rules->filter.only) /* what nobody can name is let through, whatever the paths are */
		rules->filter.only |= FILTER_ONLY;
	_Static_assert(sizeof text->only == sizeof c->filter, "one is copied into the other");
	memcpy(text->only, c->filter, sizeof text->only);
	memcpy(text->never, c->notrace, sizeof text->never);
}

static void put_name(char name[32], uint32_t number)
{
	struct text t = text_in(name, 32);

	text_str(&t, "rules.");
	text_u64(&t, number);
	text_cstr(&t);
}

int rules_write(int dirfd, uint32_t number, const struct rules *rules,
		const struct rules_text *text)
{
	const struct file file = { *rules, *text };
	char name[32], hidden[64];

	put_name(name, number);
	snprintf(hidden, sizeof hidden, ".%s-%d", name, getpid());
	int fd = openat(dirfd, hidden, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	ssize_t n = write(fd, &file, sizeof file);
	int error = n < 0 ? -errno : n == (ssize_t)sizeof file ? 0 : -ENOSPC;
	close(fd);
	if (!error && linkat(dirfd, hidden, dirfd, name, 0) != 0)
		error = -errno;
	unlinkat(dirfd, hidden, 0);
	return error;
}

int rules_read(const char *dir, uint32_t number, struct rules *rules, struct rules_text *text)
{
	char name[32];
	struct stat st;

	put_name(name, number);
	int fd = session_open(dir, name, O_RDONLY, sizeof(struct file), &st);
	if (fd < 0)
		return fd;
	ssize_t n = sysio_read(fd, rules, sizeof *rules);
	int error = n < 0 ? (int)n : 0;
	if (n >= 0 && ((size_t)n != sizeof *rules || rules->magic != RULES_MAGIC))
		error = -EINVAL;
	if (!error && text) {
		n = sysio_read(fd, text, sizeof *text);
		error = n == (ssize_t)sizeof *text ? 0 : n < 0 ? (int)n : -EINVAL;
		text->only[sizeof text->only - 1] = text->never[sizeof text->never - 1] = '\0';
	}
	sysio_close(fd);
	return error;
}

static int read_whole(int fd, char *to, uint64_t bytes)
{
	while (bytes) {
		ssize_t n = sysio_read(fd, to, bytes);
		if (n <= 0)
			return n < 0 ? (int)n : -EINVAL;
		to += n;
		bytes -= (uint64_t)n;
	}
	return 0;
}

const struct verdicts *verdicts_read(const char *dir, const char *name, uint32_t rules,
				     uint64_t *bytes)
{
	struct stat st;

	int fd = session_open(dir, name, O_RDONLY, sizeof(struct verdicts), &st);
	if (fd < 0)
		return (void *)(intptr_t)fd;
	*bytes = (uint64_t)st.st_size;
	struct verdicts *v = *bytes > VERDICTS_MOST ?
				     (void *)(intptr_t)-EFBIG :
				     sysio_map(*bytes, PROT_READ | PROT_WRITE,
					       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int error = sysio_is_error(v) ? 0 : read_whole(fd, (char *)v, *bytes);
	sysio_close(fd);
	if (!sysio_is_error(v) && !error && (v->magic != VERDICTS_MAGIC || v->rules != rules))
		error = -EINVAL;
	if (error) {
		sysio_unmap(v, *bytes);
		return (void *)(intptr_t)error;
	}
	return v;
}

/* What the file says of its length may be wrong. */
uint32_t verdicts_find(const struct verdicts *v, uint64_t bytes, uint64_t offset)
{
	uint64_t most = (bytes - sizeof *v) / sizeof v->verdict[0];
	uint64_t from = 0, to = v->count < most ? v->count : most;
	uint32_t fits = 0;

	while (from < to) {
		uint64_t middle = from + (to - from) / 2;
		if (v->verdict[middle].start <= offset) {
			fits = v->verdict[middle].fits;
			from = middle + 1;
		} else {
			to = middle;
		}
	}
	return fits;
}
