/*
 * process.h - what /proc says of a process.
 *
 * Where it is that of another pid namespace, it says nothing: its numbers are not ours.
 */
#ifndef HARK_SESSION_PROCESS_H
#define HARK_SESSION_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { PROCESS_PATH = 32 };

int process_path(pid_t pid, const char *file, char path[PROCESS_PATH]);
	/* /proc/PID/FILE. 0, or -ENOENT where that would be about somebody else. */
uint64_t process_start(pid_t pid);
	/* Field 22 of /proc/PID/stat: clock ticks since boot. With the pid it names a process for ever.
	 * 0: there is none. */
bool process_is_zombie(pid_t pid);
	/* Ended, but not waited for: or not there at all. */
bool process_is_filtered(pid_t pid);
	/* Whether it lives behind a seccomp filter. False where we may not look. */
int process_comm(pid_t pid, char comm[16]);
	/* 0 or -errno */
bool process_maps(pid_t pid, uint64_t device, uint64_t inode);
	/* Whether that file is in its address space. False where we may not look. */
bool process_maps_at(int proc, pid_t pid, uint64_t device, uint64_t inode);
	/* The same below a /proc that is ours: a descriptor that process_each() hands out. */
bool process_hides(pid_t pid);
	/* Whether it is of our user and does not let us look at its address space all the same. */
bool process_holds(pid_t pid, uint64_t device, uint64_t inode);
	/* Whether it has a descriptor of that file. True where we may not look. */
pid_t process_newest(void);
	/* The number that was given last in this pid namespace, to a process or thread; -1: unknown. */
bool process_leads(pid_t pid);
	/* Whether that is a process, and no thread of one or nothing. */
int process_each(int (*visit)(void *arg, int proc, pid_t pid), void *arg);
	/* Every process, in no order, until visit returns other than 0. proc: /proc, for openat(). */

#endif
