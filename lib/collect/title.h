/*
 * title.h - what `ps` shows of a process that does something else than it was started for.
 */
#ifndef HARK_COLLECT_TITLE_H
#define HARK_COLLECT_TITLE_H

int title_set(const char *const *argv);
	/* From now on, /proc/PID/cmdline has these arguments, which are copied; of the last call, where there
	 * are several. 0, or -errno, and nothing has changed: -ENAMETOOLONG above 1 KiB; /proc is
	 * another's, or the kernel does not do it (CONFIG_CHECKPOINT_RESTORE). Needs no privilege. */

#endif
