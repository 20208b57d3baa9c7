/*
 * life.h - whether a process lives, told by the kernel through a word in shared memory.
 *
 * The holder puts its thread id there and lists the word with the kernel as a robust futex; however
 * it ends, and also when it execs, the kernel marks the word. Others look with one load: no pid that
 * may mean something else in another namespace or name a zombie, and no system call.
 */
#ifndef HARK_SESSION_LIFE_H
#define HARK_SESSION_LIFE_H

#include <linux/futex.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef _Atomic uint32_t life; /* 0: not taken yet */

int life_hold(life *word);
	/* For the rest of the calling thread's life; one word a process. Uses set_robust_list(2), so the
	 * thread must own no robust mutex of libc's. 0 or -errno. */

static inline bool life_goes_on(const life *word)
{
	uint32_t value = atomic_load_explicit((life *)word, memory_order_acquire);
	return value != 0 && !(value & FUTEX_OWNER_DIED);
}

#endif
