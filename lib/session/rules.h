/*
 * rules.h - which calls a session records: what `hark set` may change while it runs.
 *
 * A change is another file of the session's directory, which gets its name when it is whole; its
 * number goes into the control block afterwards, so that whoever reads rules finds them whole.
 */
#ifndef HARK_SESSION_RULES_H
#define HARK_SESSION_RULES_H

#include <stdint.h>

#include "lib/base/filter.h"
#include "lib/config/config.h"

enum {
	RULES_MOST = 1 << 20,     /* changes of a session */
	VERDICTS_MOST = 64 << 20, /* bytes of them, of one module */
};

struct rules {
	uint64_t magic;
	struct filter_rules filter;
	uint32_t named;      /* functions are judged by their names, module by module */
	uint32_t budget;     /* of the program's time, in hundredths of a percent; 0: as much as it takes */
	uint64_t min_ns;     /* shorter calls are taken back */
};

struct rules_text {
	char only[FILTER_TEXT], never[FILTER_TEXT];
};

/* A module's functions, judged: a file, too. Sorted; what begins at `start` fits these elements up to
 * where the next one starts. The first one starts at 0. */
struct verdicts {
	uint64_t magic;
	uint32_t rules;      /* by which */
	uint32_t count;
	struct verdict {
		uint32_t start; /* offset in the module */
		uint32_t fits;
	} verdict[];
};

#define RULES_MAGIC UINT64_C(0x316c75726b726168)    /* "harkrul1" */
#define VERDICTS_MAGIC UINT64_C(0x3164756a6b726168) /* "harkjud1" */

bool rules_are(const struct config *config);
	/* Whether there are any: else everything is recorded. */
void rules_from(const struct config *config, struct rules *rules, struct rules_text *text);
int rules_write(int dirfd, uint32_t number, const struct rules *rules,
		const struct rules_text *text);
	/* number: from 1 on. 0; -EEXIST: such rules are there already; or -errno. For the hark command. */
int rules_read(const char *dir, uint32_t number, struct rules *rules, struct rules_text *text);
	/* text NULL: not wanted. 0; -EINVAL: that is none; -EPERM: somebody else's; or open(2)'s.
	 * Async-signal-safe. */
const struct verdicts *verdicts_read(const char *dir, const char *name, uint32_t rules,
				     uint64_t *bytes);
	/* A copy of so many bytes, to be unmapped: a file that is cut short under a mapping kills. An
	 * -errno as a pointer: -ENOENT: nobody has judged it yet; -EINVAL: they are of other rules, or
	 * nonsense; -EFBIG. Async-signal-safe. */
uint32_t verdicts_find(const struct verdicts *verdicts, uint64_t bytes, uint64_t offset);
	/* The elements that the function there fits. */

#endif
