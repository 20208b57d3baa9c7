/*
 * resolve.c - name resolution beside the collector's loop, in a short-lived detached thread.
 *
 * Called by sink_socket.c. Must never make its caller wait, neither for a result nor at the end,
 * and must leave all signals to the other threads.
 */
#include "lib/sink/resolve.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct resolve {
	atomic_int owners;   /* the thread and the one who started it */
	atomic_bool done;
	int fd;              /* an eventfd; lives as long as the last owner */
	int rc;
	int socktype;
	uint16_t port;
	char host[RESOLVE_HOST];
	int (*lookup)(const char *, uint16_t, int, struct resolve_list *);
	struct resolve_list found;
};

static int error_of(int eai)
{
	if (eai == EAI_SYSTEM && errno)
		return -errno;
	return eai == EAI_MEMORY ? -ENOMEM : -EDESTADDRREQ;
}

static int look_up(const char *host, uint16_t port, int socktype, int flags,
		   struct resolve_list *found)
{
	const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = socktype,
					.ai_flags = AI_NUMERICSERV | flags };
	struct addrinfo *list = NULL;
	char service[8];

	snprintf(service, sizeof(service), "%u", (unsigned)port);
	int eai = getaddrinfo(host, service, &hints, &list);
	if (eai)
		return error_of(eai);
	found->count = 0;
	for (const struct addrinfo *a = list; a && found->count < RESOLVE_MOST; a = a->ai_next) {
		if (a->ai_addrlen > sizeof(found->each[0].at))
			continue;
		memcpy(&found->each[found->count].at, a->ai_addr, a->ai_addrlen);
		found->each[found->count++].length = a->ai_addrlen;
	}
	freeaddrinfo(list);
	return found->count ? 0 : -EDESTADDRREQ;
}

int resolve_numeric(const char *host, uint16_t port, int socktype, struct resolve_list *found)
{
	return look_up(host, port, socktype, AI_NUMERICHOST, found);
}

static int look_up_name(const char *host, uint16_t port, int socktype, struct resolve_list *found)
{
	return look_up(host, port, socktype, 0, found);
}

int (*resolve_lookup)(const char *, uint16_t, int, struct resolve_list *) = look_up_name;

static void let_go(struct resolve *r)
{
	/* acq_rel: the last one must see all that the other did before it frees */
	if (atomic_fetch_sub_explicit(&r->owners, 1, memory_order_acq_rel) > 1)
		return;
	close(r->fd);
	free(r);
}

static void *work(void *argument)
{
	struct resolve *r = argument;
	r->rc = r->lookup(r->host, r->port, r->socktype, &r->found);
	atomic_store_explicit(&r->done, true, memory_order_release); /* pairs with resolve_result() */
	eventfd_write(r->fd, 1);
	let_go(r);
	return NULL;
}

static int start_thread(struct resolve *r)
{
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t all;

	int rc = pthread_attr_init(&attr);
	if (rc)
		return -rc;
	sigfillset(&all);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setsigmask_np(&attr, &all);
	/* The resolver's own buffers lie on the stack: some 100 KiB with a long list of servers. */
	pthread_attr_setstacksize(&attr, 512 << 10);
	rc = pthread_create(&thread, &attr, work, r);
	pthread_attr_destroy(&attr);
	return -rc;
}

int resolve_start(struct resolve **r, const char *host, uint16_t port, int socktype)
{
	size_t length = strlen(host);
	if (length >= RESOLVE_HOST)
		return -ENAMETOOLONG;
	struct resolve *made = calloc(1, sizeof(*made));
	if (!made)
		return -ENOMEM;
	memcpy(made->host, host, length + 1);
	made->lookup = resolve_lookup;
	made->port = port;
	made->socktype = socktype;
	atomic_init(&made->owners, 2);
	made->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int rc = made->fd < 0 ? -errno : start_thread(made);
	if (rc) {
		if (made->fd >= 0)
			close(made->fd);
		free(made);
		return rc;
	}
	*r = made;
	return 0;
}

int resolve_fd(const struct resolve *r)
{
	return r->fd;
}

int resolve_result(struct resolve *r, struct resolve_list *found)
{
	if (!atomic_load_explicit(&r->done, memory_order_acquire)) /* pairs with work() */
		return -EINPROGRESS;
	if (!r->rc)
		*found = r->found;
	return r->rc;
}

void resolve_drop(struct resolve *r)
{
	if (r)
		let_go(r);
}
