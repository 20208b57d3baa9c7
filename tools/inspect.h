/*
 * inspect.h - what `hark inspect` knows of one program, and the two ways to say it.
 */
#ifndef HARK_TOOLS_INSPECT_H
#define HARK_TOOLS_INSPECT_H

#include <stdbool.h>

#include "lib/image/capabilities.h"
#include "lib/image/verdict.h"
#include "tools/target.h"

struct inspect {
	const char *name;        /* as it was given */
	struct target target;
	const struct binary *binary; /* of target.subject */
	struct libraries_needed needed;
	struct verdict_rights rights; /* of target.subject, as is what follows */
	char capabilities[CAPABILITIES_TEXT]; /* "": none */
	struct verdict verdicts[VERDICT_NR];
	char commands[VERDICT_NR][256 + 64]; /* what to type for it; "": there is nothing to be had */
};

extern const char *const inspect_abilities[VERDICT_NR];

void inspect_text(const struct inspect *inspect, bool color);
	/* for people, on standard output; what names hold is shown harmlessly */
void inspect_json(const struct inspect *inspect);
	/* one object on a line of its own */
const char *inspect_linkage(const struct inspect *inspect);
	/* "static", "static-pie", "dynamic" */
const char *inspect_libc(const struct inspect *inspect);
	/* "glibc", "musl", "other"; NULL: none of its own */
bool inspect_no_plt(const struct inspect *inspect);
	/* calls other modules through slots alone */

#endif
