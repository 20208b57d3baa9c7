/*
 * resolve.h - finding the addresses of a host without waiting for them.
 *
 * getaddrinfo() may take half a minute and cannot be cancelled. It runs in a thread of its own, which
 * nobody ever waits for: whoever is last to let go of the lookup, the thread or its owner, frees it.
 */
#ifndef HARK_SINK_RESOLVE_H
#define HARK_SINK_RESOLVE_H

#include <stdint.h>
#include <sys/socket.h>

enum { RESOLVE_MOST = 8, RESOLVE_HOST = 256 };

struct resolve_list {
	unsigned count;
	struct {
		struct sockaddr_storage at;
		socklen_t length;
	} each[RESOLVE_MOST];
};

struct resolve;

int resolve_numeric(const char *host, uint16_t port, int socktype, struct resolve_list *found);
	/* Never blocks. socktype: SOCK_STREAM or SOCK_DGRAM. 0, or -EDESTADDRREQ: a name, not a number. */
int resolve_start(struct resolve **r, const char *host, uint16_t port, int socktype);
	/* 0, -ENAMETOOLONG, -ENOMEM, -EAGAIN (no thread), or eventfd(2)'s. */
int resolve_fd(const struct resolve *r);
	/* becomes readable with the result; not owned by the caller */
int resolve_result(struct resolve *r, struct resolve_list *found);
	/* 0, -EINPROGRESS, -EDESTADDRREQ (no such host, or no server to ask), -ENOMEM, or what the
	 * system said. *found is touched on success only. */
void resolve_drop(struct resolve *r);
	/* Never waits. NULL is fine. */

extern int (*resolve_lookup)(const char *host, uint16_t port, int socktype,
			     struct resolve_list *found);
	/* What the thread calls: 0 or -errno. Tests put their own here before they start a lookup. */

#endif
