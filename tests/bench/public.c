/*
 * public.c - what a program's own stamps and timers cost it, beside a stamped call of a function and a
 * logged message. Built with -finstrument-functions and libhark.
 *
 *	public    nanoseconds each: one line of JSON on fd 1
 */
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include "lib/hark.h"

#define PLAIN __attribute__((no_instrument_function))

enum { TIMES = 200000, BATCHES = 20, BATCH = 500 };

static struct hark_timer timer = HARK_TIMER_INIT("bench");

PLAIN static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

__attribute__((noinline)) static void call(void)
{
	__asm__ volatile("");
}

PLAIN static double calls(void)
{
	uint64_t begin = now_ns();

	for (int i = 0; i < TIMES; i++)
		call();
	return (double)(now_ns() - begin) / TIMES;
}

PLAIN static double scopes(void)
{
	uint64_t begin = now_ns();

	for (int i = 0; i < TIMES; i++) {
		HARK_SCOPE(&timer);
	}
	return (double)(now_ns() - begin) / TIMES;
}

/* In batches that the ring has room for, while the collector keeps up. */
PLAIN static double said(int stamps)
{
	static const char text[] = "chunking complete";
	uint64_t spent = 0;

	for (int batch = 0; batch < BATCHES; batch++) {
		uint64_t begin = now_ns();
		for (int i = 0; i < BATCH; i++) {
			if (stamps)
				hark_stamp(text);
			else
				hark_log(HARK_INFO, text, sizeof text - 1);
		}
		spent += now_ns() - begin;
		hark_flush(UINT64_C(5000000000));
	}
	return (double)spent / (BATCHES * BATCH);
}

PLAIN int main(void)
{
	calls();
	scopes();
	said(1);
	double call_ns = calls(), scope_ns = scopes(), stamp_ns = said(1), log_ns = said(0);

	printf("{\"call\":%.2f,\"timer\":%.2f,\"stamp\":%.2f,\"log\":%.2f}\n", call_ns, scope_ns,
	       stamp_ns, log_ns);
	return 0;
}
