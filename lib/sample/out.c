/*
 * out.c - see out.h. Called by the sampler for each record.
 */
#include "lib/sample/out.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/sysio.h"

int out_open(struct out *out, const char *dir, const struct trace_samples *head)
{
	char path[4096];
	const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;

	bool fits = (size_t)snprintf(path, sizeof path, "%s/" TRACE_SAMPLES, dir) < sizeof path;
	*out = (struct out){ .fd = fits ? open(path, flags, 0600) : -1 };
	if (out->fd < 0)
		return fits ? -errno : -ENAMETOOLONG;
	int error = sysio_write_all(out->fd, head, sizeof *head);
	out->at = sizeof *head;
	if (error)
		out_close(out);
	return error;
}

void out_close(struct out *out)
{
	if (out->fd >= 0)
		close(out->fd);
	out->fd = -1;
}

int out_flush(struct out *out)
{
	const char *bytes = (const char *)out->words;
	size_t count = out->used * sizeof *out->words, done = 0;

	while (done < count) {
		ssize_t n = pwrite(out->fd, bytes + done, count - done, (off_t)(out->at + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) { /* a part of it is written over the next time */
			out->stuck = true;
			return n ? -errno : -ENOSPC;
		}
		done += (size_t)n;
	}
	out->at += count;
	out->used = 0;
	out->stuck = false;
	return 0;
}

bool out_room(struct out *out, uint32_t words)
{
	if (out->used + words <= OUT_WORDS)
		return true;
	return !out->stuck && out_flush(out) == 0;
}

void out_put(struct out *out, enum trace_sample_record type, uint32_t number, uint32_t value,
	     const uint64_t *words, uint32_t count)
{
	/* Who asked for room knows what he needs; who was wrong in that loses a record, and writes nowhere. */
	if (count + 1 > OUT_WORDS - out->used)
		return;
	out->words[out->used++] = TRACE_SAMPLE_HEAD(type, count + 1, number, value);
	memcpy(&out->words[out->used], words, count * sizeof *words);
	out->used += count;
}

void out_file(struct out *out, uint32_t number, const char *build_id, const char *path)
{
	char text[TRACE_SAMPLE_TEXT + 8] = "";
	size_t id = strnlen(build_id, 128), length = strlen(path);

	if (length > TRACE_SAMPLE_TEXT - id - 1)
		length = TRACE_SAMPLE_TEXT - id - 1;
	memcpy(text, build_id, id);
	memcpy(text + id + 1, path, length);
	uint32_t bytes = (uint32_t)(id + 1 + length), words = (bytes + 7) / 8;
	uint64_t body[(TRACE_SAMPLE_TEXT + 8) / 8] = { 0 };
	memcpy(body, text, bytes);
	out_put(out, TRACE_SAMPLE_FILE, number, bytes, body, words);
}
