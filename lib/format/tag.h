/*
 * tag.h - the priority and the name of the speaker, as both syslog formats write them.
 */
#ifndef HARK_FORMAT_TAG_H
#define HARK_FORMAT_TAG_H

#include "lib/base/text.h"
#include "lib/message/message.h"

void tag_priority(struct text *out, const struct message *m);
	/* "<13>": the facility, user where there is none, and the level */
void tag_name(struct text *out, const struct message *m, const char *accepted, size_t most);
	/* Who speaks: ident, else comm, else "hark" for its own messages, else "-". At most `most` bytes,
	 * what is not in `accepted` or an ASCII letter or digit as '_'. */

#endif
