/*
 * report_messages.h - `hark report --messages`: what was said, and from where.
 */
#ifndef HARK_TOOLS_REPORT_MESSAGES_H
#define HARK_TOOLS_REPORT_MESSAGES_H

#include "tools/trace_options.h"

int report_messages(const struct trace_options *options, bool json);
	/* The exit status. What is wrong has been said. */

#endif
