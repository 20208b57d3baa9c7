/*
 * watch_thread.c - the thread of watch.h: it waits for events, for the collector sleeps on the ring.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/base/sysio.h"
#include "lib/base/testpoint.h"
#include "lib/collect/watch.h"

enum { TELL_AGAIN_NS = 2000000 };

static void *wait_for_events(void *argument)
{
	struct watch *w = argument;
	struct pollfd poll_epoll = { .fd = w->epoll, .events = POLLIN };

	for (;;) {
		if (poll(&poll_epoll, 1, -1) <= 0)
			continue;
		if (atomic_load(&w->closing) || poll_epoll.revents & POLLNVAL)
			return NULL;
		TESTPOINT(watch_woken);
		atomic_store(&w->pending, 1);
		/* The collector may be about to sleep just now: until it has heard, it is told again. */
		while (atomic_load(&w->pending) && !atomic_load(&w->closing)) {
			ring_poke(w->ring);
			if (sysio_futex_wait(&w->pending, 1, TELL_AGAIN_NS) == -ETIMEDOUT)
				ring_rouse(w->ring);
		}
	}
}

int watch_start(struct watch *w)
{
	pthread_attr_t attributes;
	sigset_t all, before;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 64 << 10);
	/* Signals are for the collector's own thread: its sleep is what they must end. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	int error = pthread_create(&w->thread, &attributes, wait_for_events, w);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	w->running = error == 0;
	return -error;
}

/* Cancelling a thread loads a library for its unwinding, which takes longer than all else at the end:
 * only where there is no descriptor. */
void watch_stop(struct watch *w)
{
	int fd = eventfd(1, EFD_CLOEXEC);

	atomic_store(&w->closing, true);
	if (fd < 0 || watch_add_fd(w, fd, WATCH_NONE, false) != 0)
		pthread_cancel(w->thread);
	atomic_store(&w->pending, 0);
	sysio_futex_wake(&w->pending, 1);
	pthread_join(w->thread, NULL);
	if (fd >= 0)
		close(fd);
}
