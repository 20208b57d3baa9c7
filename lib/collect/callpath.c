/*
 * callpath.c - see callpath.h.
 *
 * Two processes are asked (frames.h). One knows names, and may be at it for seconds when it reads debug
 * information for the first time; the other knows only where addresses lie, and is quick. While the first
 * one is late, messages have what the second says.
 */
#include "lib/collect/callpath.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/collect/collector.h"

enum { NAMES, ADDRESSES, HELPERS };

/* ---- the processes ----------------------------------------------------------------------------- */

static int start(struct callpath_helper *h, bool addresses)
{
	static char *const arguments[] = { (char *)"hark", (char *)"frames", NULL, NULL };
	char *argv[4] = { arguments[0], arguments[1], addresses ? (char *)"--addresses" : NULL };
	char *none[] = { NULL };
	posix_spawn_file_actions_t actions;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return -errno;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, pair[1], STDIN_FILENO);
	posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
	int error = posix_spawn(&h->pid, "/proc/self/exe", &actions, NULL, argv, none);
	posix_spawn_file_actions_destroy(&actions);
	close(pair[1]);
	if (error) {
		close(pair[0]);
		return -error;
	}
	h->fd = pair[0];
	return 0;
}

static void stop(struct callpath_helper *h)
{
	if (!h->fd)
		return;
	close(h->fd);
	kill(h->pid, SIGKILL);
	while (waitpid(h->pid, NULL, 0) < 0 && errno == EINTR)
		;
	h->fd = 0;
	h->failed = true;
}

static bool is_there(struct callpath *all, unsigned i)
{
	struct callpath_helper *h = &all->helper[i];

	if (!h->fd && !h->failed && start(h, i == ADDRESSES) != 0)
		h->failed = true;
	return h->fd != 0;
}

static void send_to(struct callpath_helper *h, enum frames_type type, uint32_t pid, uint64_t id,
		    const void *bytes, size_t count)
{
	struct frames_head head = { .type = type, .pid = pid, .id = id };
	struct iovec parts[] = { { &head, sizeof head }, { (void *)bytes, count } };
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };

	ssize_t n = sendmsg(h->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		stop(h);
	else if (n > 0 && type == FRAMES_STACK)
		h->asked = id;
}

/* What it has worked, in milliseconds. */
static int64_t worked_ms(const struct callpath_helper *h)
{
	struct timespec t;
	clockid_t clock;

	if (clock_getcpuclockid(h->pid, &clock) != 0 || clock_gettime(clock, &t) != 0)
		return INT64_MAX;
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Its time is that of its own work, since other programs may keep it from that for a while. */
static bool answers(const struct callpath_helper *h, bool wait)
{
	struct pollfd ready = { .fd = h->fd, .events = POLLIN };
	int64_t from = wait ? worked_ms(h) : 0;
	int n = poll(&ready, 1, wait ? CALLPATH_TURN_MS : 0);

	for (int turns = 1; n == 0 && wait && turns < CALLPATH_TURNS &&
			    worked_ms(h) - from < CALLPATH_WORK_MS; turns++)
		n = poll(&ready, 1, CALLPATH_TURN_MS);
	return n == 1;
}

/* Its answer, if it comes in time: how many bytes; 0: it did not, or knows nothing. */
static size_t hear(struct callpath_helper *h, uint64_t id, bool wait, char text[FRAMES_TEXT])
{
	struct { struct frames_head head; char text[FRAMES_TEXT]; } in;

	while (h->fd && h->asked && answers(h, wait)) {
		ssize_t n = recv(h->fd, &in, sizeof in, MSG_DONTWAIT);
		if (n < (ssize_t)sizeof in.head) {
			if (n >= 0 || (errno != EAGAIN && errno != EINTR))
				stop(h);
			return 0;
		}
		if (in.head.id == h->asked)
			h->asked = 0;
		size_t count = (size_t)n - sizeof in.head;
		if (in.head.id != id || !count)
			continue; /* too late for that one */
		memcpy(text, in.text, count);
		text[count - 1] = '\0';
		return count;
	}
	return 0;
}

static void ask(struct callpath *all, struct callpath_stack *s)
{
	uint64_t id = ++all->ids;

	s->asked = true;
	for (unsigned i = 0; i < HELPERS; i++) {
		struct callpath_helper *h = &all->helper[i];
		if (!is_there(all, i))
			continue;
		hear(h, 0, false, s->text);
		if (h->fd && !h->asked)
			send_to(h, FRAMES_STACK, s->key.pid, id, s->bytes, s->count);
	}
	for (unsigned i = 0; i < HELPERS && !s->text_bytes; i++)
		if (all->helper[i].asked == id)
			s->text_bytes = hear(&all->helper[i], id, true, s->text);
}

static void tell(struct callpath *all, enum frames_type type, uint32_t pid, const void *bytes,
		 size_t count)
{
	for (unsigned i = 0; i < HELPERS; i++)
		if (is_there(all, i))
			send_to(&all->helper[i], type, pid, 0, bytes, count);
}

void callpath_module(struct collector *c)
{
	tell(&c->callpath, FRAMES_MODULE, c->record.pid, c->record.payload, c->record.bytes);
}

void callpath_image(struct collector *c, uint32_t pid)
{
	struct callpath *all = &c->callpath;

	if (all->helper[NAMES].fd || all->helper[ADDRESSES].fd)
		tell(all, FRAMES_IMAGE, pid, NULL, 0);
}

/* ---- which stack ------------------------------------------------------------------------------- */

static bool is_key(const struct callpath_key *a, const struct callpath_key *b)
{
	return a->pid == b->pid && a->tid == b->tid && a->detail == b->detail && a->fd == b->fd &&
	       a->source == b->source;
}

static struct callpath_key key_of(const struct reader_record *r)
{
	return (struct callpath_key){ .pid = r->pid, .tid = r->tid, .detail = r->detail,
				      .fd = r->fd, .source = r->source };
}

static struct callpath_stack **kept_of(struct callpath *all, const struct callpath_key *key)
{
	for (unsigned i = 0; i < CALLPATH_KEPT; i++)
		if (all->kept[i] && is_key(&all->kept[i]->key, key))
			return &all->kept[i];
	return NULL;
}

/* In one piece with its bytes: the reader's are not there for long. */
static void keep(struct callpath *all, const struct callpath_key *key)
{
	const struct callpath_stack *now = all->now;
	struct callpath_stack **at = kept_of(all, key);
	struct callpath_stack *copy = malloc(sizeof *copy + now->count);

	if (!copy)
		return;
	memcpy(copy, now, sizeof *copy);
	memcpy(copy + 1, now->bytes, now->count);
	copy->bytes = (const char *)(copy + 1);
	if (!at)
		at = &all->kept[all->next++ % CALLPATH_KEPT];
	free(*at);
	*at = copy;
}

bool callpath_take(struct collector *c)
{
	struct callpath *all = &c->callpath;
	struct reader_record *r = &c->record;
	struct record_stack head;

	if (all->now && all->position != r->position)
		all->now->count = 0;
	all->position = r->position;
	if (!(r->flags & RECORD_STACK))
		return true;
	r->flags &= (uint8_t)~RECORD_STACK;
	if (r->bytes < sizeof head)
		return true;
	memcpy(&head, r->payload, sizeof head);
	if (head.bytes < sizeof head || head.bytes > r->bytes)
		return true;
	if (!all->now)
		all->now = calloc(1, sizeof *all->now);
	if (all->now) {
		all->now->key = key_of(r);
		all->now->bytes = r->payload;
		all->now->count = head.bytes;
		all->now->asked = false;
		all->now->text_bytes = 0;
	}
	r->payload += head.bytes;
	r->bytes -= head.bytes;
	if (r->bytes)
		return true;
	if (all->now)
		keep(all, &all->now->key);
	return false;
}

/* The stack of the line's first piece stays its stack. */
void callpath_keep(struct collector *c)
{
	struct callpath *all = &c->callpath;
	const struct reader_record *r = &c->record;

	if (all->now && all->now->count && r->bytes && r->payload[r->bytes - 1] != '\n' &&
	    !kept_of(all, &all->now->key))
		keep(all, &all->now->key);
}

const struct callpath_stack *callpath_of(struct collector *c, const struct callpath_key *key,
					 enum level level, struct message *message)
{
	struct callpath *all = &c->callpath;
	struct callpath_stack **at = kept_of(all, key), *s = at ? *at : NULL;

	if (!s && all->feeding && all->now && all->now->count && is_key(&all->now->key, key))
		s = all->now;
	if (!s || (int)level > atomic_load(&c->session.control->stack))
		return s;
	if (!s->asked)
		ask(all, s);
	message->stack = s->text;
	message->stack_bytes = s->text_bytes;
	return s;
}

void callpath_done(struct collector *c, const struct callpath_stack *stack)
{
	struct callpath_stack **at = stack ? kept_of(&c->callpath, &stack->key) : NULL;

	if (!at || *at != stack)
		return;
	free(*at);
	*at = NULL;
}

void callpath_close(struct collector *c)
{
	struct callpath *all = &c->callpath;

	for (unsigned i = 0; i < HELPERS; i++)
		stop(&all->helper[i]);
	for (unsigned i = 0; i < CALLPATH_KEPT; i++)
		free(all->kept[i]);
	free(all->now);
	*all = (struct callpath){ .ids = 0 };
}
