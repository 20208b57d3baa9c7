/*
 * checkpoint.c - see checkpoint.h.
 */
#include "lib/collect/checkpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/testpoint.h"

struct checkpoint_slot {
	_Atomic uint64_t generation; /* 0: never written, or being written */
	struct checkpoint state;
	_Alignas(64) char lines[CHECKPOINT_LINES];
};

enum { SLOTS = 2 };

int checkpoint_open(struct checkpoint_file *f, const char *path)
{
	struct stat st;
	const size_t bytes = SLOTS * sizeof(struct checkpoint_slot);

	int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	int error = fstat(fd, &st) != 0 ? -errno : 0;
	if (!error && st.st_size == 0)
		error = -posix_fallocate(fd, 0, (off_t)bytes);
	else if (!error && (size_t)st.st_size != bytes)
		error = -EINVAL;
	void *at = error ? MAP_FAILED : mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (!error && at == MAP_FAILED)
		error = -errno;
	close(fd);
	*f = (struct checkpoint_file){ .slots = error ? NULL : at };
	return error;
}

void checkpoint_close(struct checkpoint_file *f)
{
	if (f->slots)
		munmap(f->slots, SLOTS * sizeof *f->slots);
	f->slots = NULL;
}

bool checkpoint_load(struct checkpoint_file *f, struct checkpoint *state, const void **lines)
{
	uint64_t a = atomic_load(&f->slots[0].generation), b = atomic_load(&f->slots[1].generation);
	struct checkpoint_slot *newest = &f->slots[b > a];

	f->generation = b > a ? b : a;
	if (f->generation == 0)
		return false;
	*state = newest->state;
	if (state->lines_bytes > CHECKPOINT_LINES)
		state->lines_bytes = 0;
	*lines = newest->lines;
	return true;
}

static struct checkpoint_slot *next_slot(struct checkpoint_file *f)
{
	/* The newest one is the one that bears the present generation; the other may go. */
	return &f->slots[atomic_load(&f->slots[0].generation) == f->generation];
}

void *checkpoint_lines(struct checkpoint_file *f)
{
	struct checkpoint_slot *slot = next_slot(f);

	atomic_store(&slot->generation, 0);
	return slot->lines;
}

void checkpoint_save(struct checkpoint_file *f, const struct checkpoint *state)
{
	struct checkpoint_slot *slot = next_slot(f);

	atomic_store(&slot->generation, 0);
	slot->state = *state;
	TESTPOINT(checkpoint_written);
	atomic_store_explicit(&slot->generation, ++f->generation, memory_order_release);
}
