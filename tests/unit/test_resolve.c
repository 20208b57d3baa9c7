/*
 * test_resolve.c - names into addresses without waiting, and letting go of a lookup at any moment.
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/sink/resolve.h"

enum { WAIT_MS = 10000 };

static int (*system_lookup)(const char *, uint16_t, int, struct resolve_list *);
static sem_t entered, leave;

static int setup(void **state)
{
	(void)state;
	if (!system_lookup)
		system_lookup = resolve_lookup;
	resolve_lookup = system_lookup;
	sem_init(&entered, 0, 0);
	sem_init(&leave, 0, 0);
	return 0;
}

static void expect_done(const struct resolve *r)
{
	struct pollfd p = { .fd = resolve_fd(r), .events = POLLIN };
	assert_int_equal(poll(&p, 1, WAIT_MS), 1);
}

static void numbers_need_no_thread(void **state)
{
	(void)state;
	struct resolve_list found;
	assert_int_equal(resolve_numeric("127.0.0.1", 514, SOCK_DGRAM, &found), 0);
	assert_int_equal(found.count, 1);
	const struct sockaddr_in *v4 = (const void *)&found.each[0].at;
	assert_int_equal(v4->sin_family, AF_INET);
	assert_int_equal(v4->sin_port, htons(514));
	assert_int_equal(v4->sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	assert_int_equal(found.each[0].length, sizeof(*v4));

	assert_int_equal(resolve_numeric("::1", 65535, SOCK_STREAM, &found), 0);
	const struct sockaddr_in6 *v6 = (const void *)&found.each[0].at;
	assert_int_equal(v6->sin6_family, AF_INET6);
	assert_int_equal(v6->sin6_port, htons(65535));
	assert_memory_equal(&v6->sin6_addr, &in6addr_loopback, sizeof(in6addr_loopback));
}

static void names_are_no_numbers(void **state)
{
	(void)state;
	static const char *const names[] = { "localhost", "host.invalid", "1.2.3.4.5", "[::1]" };
	struct resolve_list found;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_int_equal(resolve_numeric(names[i], 1, SOCK_STREAM, &found), -EDESTADDRREQ);
}

static void the_systems_names_are_found(void **state)
{
	(void)state;
	struct resolve *r;
	struct resolve_list found = { .count = 0 };
	assert_int_equal(resolve_start(&r, "localhost", 7, SOCK_STREAM), 0);
	expect_done(r);
	assert_int_equal(resolve_result(r, &found), 0);
	assert_true(found.count >= 1);
	resolve_drop(r);
}

static int waits(const char *host, uint16_t port, int socktype, struct resolve_list *found)
{
	sigset_t blocked;
	sem_post(&entered);
	sem_wait(&leave);
	if (pthread_sigmask(SIG_BLOCK, NULL, &blocked) || !sigismember(&blocked, SIGHUP) ||
	    !sigismember(&blocked, SIGTERM))
		return -ENOTRECOVERABLE;
	if (strcmp(host, "name.test") != 0 || port != 99 || socktype != SOCK_DGRAM)
		return -EINVAL;
	return resolve_numeric("127.0.0.9", port, socktype, found);
}

static void a_result_is_awaited_without_waiting(void **state)
{
	(void)state;
	struct resolve *r;
	struct resolve_list found = { .count = 77 };
	resolve_lookup = waits;
	assert_int_equal(resolve_start(&r, "name.test", 99, SOCK_DGRAM), 0);
	sem_wait(&entered);
	struct pollfd p = { .fd = resolve_fd(r), .events = POLLIN };
	assert_int_equal(poll(&p, 1, 0), 0);
	assert_int_equal(resolve_result(r, &found), -EINPROGRESS);
	assert_int_equal(found.count, 77);
	sem_post(&leave);
	expect_done(r);
	assert_int_equal(resolve_result(r, &found), 0);
	assert_int_equal(resolve_result(r, &found), 0); /* as often as one likes */
	assert_int_equal(found.count, 1);
	resolve_drop(r);
}

static int fails(const char *host, uint16_t port, int socktype, struct resolve_list *found)
{
	(void)host, (void)port, (void)socktype;
	found->count = 5;
	return -EDESTADDRREQ;
}

static void a_failure_leaves_the_list_alone(void **state)
{
	(void)state;
	struct resolve *r;
	struct resolve_list found = { .count = 77 };
	resolve_lookup = fails;
	assert_int_equal(resolve_start(&r, "name.test", 99, SOCK_DGRAM), 0);
	expect_done(r);
	assert_int_equal(resolve_result(r, &found), -EDESTADDRREQ);
	assert_int_equal(found.count, 77);
	resolve_drop(r);
}

static void letting_go_never_waits(void **state)
{
	(void)state;
	struct resolve *r;
	resolve_lookup = waits;
	for (int i = 0; i < 20; i++) {
		assert_int_equal(resolve_start(&r, "name.test", 99, SOCK_DGRAM), 0);
		if (i % 2)
			sem_wait(&entered);
		resolve_drop(r); /* before the thread began, or while it is at it */
	}
	for (int i = 0; i < 10; i++)
		sem_wait(&entered);
	for (int i = 0; i < 20; i++)
		sem_post(&leave);
	resolve_drop(NULL);
}

static void a_name_longer_than_any_is_refused(void **state)
{
	(void)state;
	struct resolve *r;
	char name[RESOLVE_HOST + 1];
	memset(name, 'n', sizeof(name));
	name[RESOLVE_HOST] = '\0';
	assert_int_equal(resolve_start(&r, name, 1, SOCK_STREAM), -ENAMETOOLONG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(numbers_need_no_thread, setup),
		cmocka_unit_test_setup(names_are_no_numbers, setup),
		cmocka_unit_test_setup(the_systems_names_are_found, setup),
		cmocka_unit_test_setup(a_result_is_awaited_without_waiting, setup),
		cmocka_unit_test_setup(a_failure_leaves_the_list_alone, setup),
		cmocka_unit_test_setup(a_name_longer_than_any_is_refused, setup),
		/* the last: its threads end when they like, and must find their semaphores */
		cmocka_unit_test_setup(letting_go_never_waits, setup),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
