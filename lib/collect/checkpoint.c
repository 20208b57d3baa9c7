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
	struct checkpoint_person people[CHECKPOINT_PEOPLE];
	_Alignas(64) char lines[CHECKPOINT_LINES];
};

enum { SLOTS = 2, SLOTS_BYTES = SLOTS * sizeof(struct checkpoint_slot) };
enum { ALL_BYTES = SLOTS_BYTES + SLOTS * CHECKPOINT_JOINS };

static int allocate(int fd, size_t bytes)
{
	int error;

	do
		error = posix_fallocate(fd, 0, (off_t)bytes);
	while (error == EINTR);
	return -error;
}

int checkpoint_open(struct checkpoint_file *f, const char *path)
{
	struct stat st;

	*f = (struct checkpoint_file){ .fd = -1, .people_version = { UINT64_MAX, UINT64_MAX } };
	int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	int error = fstat(fd, &st) != 0 ? -errno : 0;
	if (!error && st.st_uid != geteuid())
		error = -EPERM;
	if (!error && (!S_ISREG(st.st_mode) || st.st_size > ALL_BYTES))
		error = -EINVAL;
	/* Also where its making was cut short. A hole would be a SIGBUS on a full file system. */
	if (!error)
		error = allocate(fd, st.st_size == ALL_BYTES ? ALL_BYTES : SLOTS_BYTES);
	void *at = error ? MAP_FAILED
			 : mmap(NULL, ALL_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (!error && at == MAP_FAILED)
		error = -errno;
	if (error) {
		close(fd);
		return error;
	}
	f->slots = at;
	f->fd = fd;
	f->joins = st.st_size == ALL_BYTES;
	return 0;
}

void checkpoint_close(struct checkpoint_file *f)
{
	if (!f->slots)
		return;
	munmap(f->slots, ALL_BYTES);
	close(f->fd);
	*f = (struct checkpoint_file){ .fd = -1 };
}

static void *joins_of(const struct checkpoint_file *f, const struct checkpoint_slot *slot)
{
	return (char *)f->slots + SLOTS_BYTES + (slot - f->slots) * CHECKPOINT_JOINS;
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
	if (state->joins_bytes > CHECKPOINT_JOINS || !f->joins)
		state->joins_bytes = 0;
	if (state->people > CHECKPOINT_PEOPLE)
		state->people = 0;
	*lines = newest->lines;
	return true;
}

static const struct checkpoint_slot *loaded_slot(const struct checkpoint_file *f)
{
	return &f->slots[atomic_load(&f->slots[1].generation) == f->generation];
}

const void *checkpoint_loaded_joins(const struct checkpoint_file *f)
{
	return joins_of(f, loaded_slot(f));
}

const struct checkpoint_person *checkpoint_loaded_people(const struct checkpoint_file *f)
{
	return loaded_slot(f)->people;
}

static struct checkpoint_slot *next_slot(struct checkpoint_file *f)
{
	/* The newest one is the one that bears the present generation; the other may go. */
	return &f->slots[atomic_load(&f->slots[0].generation) == f->generation];
}

struct checkpoint_person *checkpoint_people(struct checkpoint_file *f, uint64_t version)
{
	struct checkpoint_slot *slot = next_slot(f);
	uint64_t *written = &f->people_version[slot - f->slots];

	if (*written == version)
		return NULL;
	*written = version;
	atomic_store(&slot->generation, 0);
	return slot->people;
}

void *checkpoint_lines(struct checkpoint_file *f)
{
	struct checkpoint_slot *slot = next_slot(f);

	atomic_store(&slot->generation, 0);
	return slot->lines;
}

bool checkpoint_can_join(struct checkpoint_file *f)
{
	if (!f->joins)
		f->joins = allocate(f->fd, ALL_BYTES) == 0;
	return f->joins;
}

void *checkpoint_joins(struct checkpoint_file *f)
{
	struct checkpoint_slot *slot = next_slot(f);

	atomic_store(&slot->generation, 0);
	return joins_of(f, slot);
}

void checkpoint_save(struct checkpoint_file *f, const struct checkpoint *state)
{
	struct checkpoint_slot *slot = next_slot(f);

	atomic_store(&slot->generation, 0);
	slot->state = *state;
	TESTPOINT(checkpoint_written);
	atomic_store_explicit(&slot->generation, ++f->generation, memory_order_release);
}
