/*
 * session.c - see session.h.
 */
#include "lib/session/session.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>

#include "lib/base/sysio.h"
#include "lib/base/text.h"

enum { PATIENCE = 1000 }; /* milliseconds */

/* Ours alone: whoever could change it, or cut it short, could have the program do what he likes. Not
 * geteuid(2): a filter that the program inherited may not know that call. */
static int check(int fd, size_t least, struct stat *st)
{
	int error = sysio_fstat(fd, st);

	if (!error && (st->st_uid != getauxval(AT_EUID) || (st->st_mode & 077) != 0))
		error = -EPERM;
	if (!error && (!S_ISREG(st->st_mode) || (size_t)st->st_size < least))
		error = -EINVAL;
	return error;
}

/* The collector asks now and then, for some microseconds, whether it is alone with a file (alone.h). */
static int open_patiently(const char *path, int flags)
{
	const struct timespec moment = { .tv_nsec = 1000000 };
	int fd = sysio_open(path, flags, 0);

	for (int i = 0; fd == -EAGAIN && i < PATIENCE; i++) {
		sysio_call(SYS_nanosleep, (long)&moment, 0, 0, 0, 0, 0);
		fd = sysio_open(path, flags, 0);
	}
	return fd;
}

/* O_NONBLOCK and O_NOCTTY: the name may lead to a FIFO or a device. */
int session_open(const char *dir, const char *name, int access, size_t least, struct stat *st)
{
	char path[512];
	struct text t = text_in(path, sizeof path);

	text_str(&t, dir);
	text_char(&t, '/');
	text_str(&t, name);
	text_cstr(&t);
	if (t.cut)
		return -ENAMETOOLONG;
	int fd = open_patiently(path, access | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	int error = fd < 0 ? fd : check(fd, least, st);
	if (fd >= 0 && error)
		sysio_close(fd);
	return error ? error : fd;
}

static int map_for_reading(struct session *s, const char *dir, struct stat *st)
{
	int fd = session_open(dir, "control", O_RDONLY, sizeof(struct control), st);
	if (fd < 0)
		return fd;
	void *at = sysio_map(sizeof(struct control), PROT_READ, MAP_SHARED, fd, 0);
	sysio_close(fd);
	if (sysio_is_error(at))
		return (int)(intptr_t)at;
	s->control = at;
	return 0;
}

/* In the same place, what everybody writes. The settings' mapping is of a descriptor that cannot write: so
 * nobody who has lost the right to open the file can make it do so. */
static int map_for_writing(struct session *s, const char *dir, const struct stat *seen)
{
	struct stat st;

	int fd = session_open(dir, "control", O_RDWR, sizeof(struct control), &st);
	if (fd < 0)
		return fd;
	long result = -EINVAL;
	/* Where pages are larger than the settings, one protection serves all. */
	for (long from = CONTROL_SETTINGS; from >= 0; from -= CONTROL_SETTINGS) {
		if (st.st_ino != seen->st_ino || st.st_dev != seen->st_dev)
			break;
		result = sysio_call(SYS_mmap, (long)((char *)s->control + from),
				    (long)sizeof(struct control) - from, PROT_READ | PROT_WRITE,
				    MAP_SHARED | MAP_FIXED, fd, from);
		if (result != -EINVAL)
			break;
	}
	sysio_close(fd);
	return result < 0 && result > -4096 ? (int)result : 0;
}

/* One descriptor at a time: the program may have no more to spare. */
static int map_control(struct session *s, const char *dir)
{
	struct stat st;

	int error = map_for_reading(s, dir, &st);
	return error ? error : map_for_writing(s, dir, &st);
}

static int map_ring(struct session *s, const char *dir, int *kept)
{
	struct stat st;

	int fd = session_open(dir, "ring", O_RDWR, sizeof(struct ring_shared), &st);
	if (fd < 0)
		return fd;
	int error = ring_map(&s->ring, fd);
	if (kept && !error)
		*kept = fd;
	else
		sysio_close(fd);
	return error;
}

int session_attach(struct session *s, const char *dir)
{
	return session_attach_with(s, dir, NULL);
}

int session_attach_with(struct session *s, const char *dir, int *ring_fd)
{
	if (ring_fd)
		*ring_fd = -1;
	int error = session_attach_control(s, dir);
	if (!error)
		error = map_ring(s, dir, ring_fd);
	if (error) {
		session_leave(s);
		return error;
	}
	s->ring.counter = s->control->clock.counter != 0;
	return 0;
}

int session_attach_control(struct session *s, const char *dir)
{
	*s = (struct session){ 0 };
	int error = map_control(s, dir);
	const struct control *c = s->control;
	if (!error && (c->magic != CONTROL_MAGIC || c->bytes != sizeof *c ||
		       c->chosen_count > CONTROL_CHOSEN))
		error = -EINVAL;
	if (error)
		session_leave(s);
	return error;
}

int session_join(struct session *s, const char *dir)
{
	int error = session_attach(s, dir);
	if (!error && atomic_load(&s->control->state) != SESSION_LIVE) {
		session_leave(s);
		error = -ESTALE;
	}
	return error;
}

void session_leave(struct session *s)
{
	ring_unmap(&s->ring);
	if (s->control)
		sysio_unmap(s->control, sizeof *s->control);
	s->control = NULL;
}

int session_owns(const char *dir, int fd)
{
	struct chosen_file chosen[CONTROL_CHOSEN];
	struct stat st;

	int control = session_open(dir, "control", O_RDONLY, sizeof(struct control), &st);
	if (control < 0)
		return control;
	ssize_t n = sysio_call(SYS_pread64, control, (long)chosen, sizeof chosen,
			       offsetof(struct control, chosen), 0, 0);
	sysio_close(control);
	if (n != sizeof chosen)
		return n < 0 ? (int)n : -EINVAL;
	int error = sysio_fstat(fd, &st);
	if (error)
		return error == -EBADF ? 0 : error;
	for (int i = 0; i < CONTROL_CHOSEN; i++)
		if (chosen[i].known && chosen[i].device == st.st_dev &&
		    chosen[i].inode == st.st_ino && chosen[i].special == st.st_rdev)
			return 1;
	return 0;
}

bool session_alive(const struct control *control)
{
	return life_goes_on(&control->collector_life) || life_goes_on(&control->guardian_life) ||
	       clock_monotonic_ns() < atomic_load(&control->handover_ns);
}

static bool reached(const struct control *c, enum session_wait what, uint64_t position)
{
	const _Atomic uint64_t *far = what == SESSION_SHOWN ? &c->shown : &c->delivered;
	return atomic_load_explicit(far, memory_order_acquire) >= position;
}

int session_wait_for(struct session *s, enum session_wait what, uint64_t position,
		     uint64_t timeout_ns)
{
	const uint64_t look_ns = 50000000;
	struct control *c = s->control;

	if (reached(c, what, position))
		return 0;
	uint64_t until = clock_monotonic_ns() + timeout_ns;
	for (;;) {
		uint32_t seen = atomic_load(&c->progress);
		/* pairs with session_progress(): either it sees that we wait, or we see its progress */
		atomic_store(&c->progress_wanted, 1);
		atomic_thread_fence(memory_order_seq_cst); /* reached() is an acquire alone */
		if (reached(c, what, position))
			return 0;
		uint64_t now = clock_monotonic_ns();
		if (now >= until)
			return -ETIMEDOUT;
		ring_poke(&s->ring);
		uint64_t left = until - now;
		int result = sysio_futex_wait(&c->progress, seen, left < look_ns ? left : look_ns);
		if (result == -ETIMEDOUT)
			ring_rouse(&s->ring);
		if (result == -ETIMEDOUT &&
		    (atomic_load(&c->state) != SESSION_LIVE || !session_alive(c)))
			return reached(c, what, position) ? 0 : -EPIPE;
	}
}

void session_progress(struct control *c, uint64_t shown, uint64_t delivered)
{
	atomic_store(&c->shown, shown);
	atomic_store(&c->delivered, delivered);
	atomic_fetch_add(&c->progress, 1);
	if (atomic_load(&c->progress_wanted)) {
		atomic_store(&c->progress_wanted, 0);
		sysio_futex_wake(&c->progress, INT32_MAX);
	}
}
