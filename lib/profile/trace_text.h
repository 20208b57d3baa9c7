/*
 * trace_text.h - the text files of a trace: `trace`, whose it is, and `events`, what happened to it.
 *
 * For trace_dir.c only. Lines of key=value, of which nothing is believed before it is checked.
 */
#ifndef HARK_PROFILE_TRACE_TEXT_H
#define HARK_PROFILE_TRACE_TEXT_H

#include "lib/profile/trace_dir.h"

int trace_text_identity(struct trace_dir *dir, const char *path, char *why, size_t why_bytes);
	/* As trace_dir_open(). */
int trace_text_events(struct trace_dir *dir, uint64_t *ticks, uint64_t *monotonic_ns);
	/* Images, modules, notes. ticks: taken forward to the latest pair of clocks. What is torn is
	 * counted; 0 or -ENOMEM. */
int trace_text_image(struct trace_dir *dir, uint32_t number);
	/* an image that nothing is known of */
void trace_text_sort(struct trace_dir *dir);

#endif
