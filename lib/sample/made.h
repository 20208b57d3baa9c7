/*
 * made.h - programs that make code at run time may say in /tmp/perf-PID.map what it is: that becomes a part
 * of the trace.
 *
 * For the sampler. Anybody may have put anything there.
 */
#ifndef HARK_SAMPLE_MADE_H
#define HARK_SAMPLE_MADE_H

#include "lib/sample/space.h"

#define MADE_FOLDER "/tmp"

int made_keep(const char *folder, const char *data, const struct space_file *file);
	/* Copies FOLDER/perf-PID.map (file->build_id) to DATA, in place of one that is there. Only a regular
	 * file without other names, of file->owner's, not older than file->since, of at most 64 MiB.
	 * 0, -ENOENT, -EPERM (it is none of these), or -errno. */

#endif
