/*
 * messages_tail.c - see messages_tail.h.
 *
 * Lines are those of format_trace.c; their numbers are found without a parser: in JSON, no string has a
 * quote that is not escaped.
 */
#include "lib/snapshot/messages_tail.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static uint64_t number_behind(const char *line, const char *key)
{
	const char *at = strstr(line, key);

	return at ? strtoull(at + strlen(key), NULL, 10) : 0;
}

/* At the beginning of a line, MESSAGES_TAIL from the end or less. */
static void go_near_the_end(FILE *from)
{
	int c;

	if (fseek(from, 0, SEEK_END) != 0)
		return;
	long all = ftell(from);
	long at = all > MESSAGES_TAIL ? all - MESSAGES_TAIL : 0;
	if (fseek(from, at, SEEK_SET) != 0 || at == 0)
		return;
	while ((c = getc(from)) != EOF && c != '\n')
		;
}

void messages_tail(FILE *from, FILE *to, uint64_t since_ticks, const struct snapshot_plan *plan)
{
	char *line = NULL;
	size_t room = 0;
	ssize_t bytes;
	bool told = !plan->line, within = false;

	if (from)
		go_near_the_end(from);
	while (from && (bytes = getline(&line, &room, from)) > 0 && line[bytes - 1] == '\n') {
		uint64_t ticks = number_behind(line, "\"ticks\":");
		uint64_t seq = number_behind(line, "\"seq\":");
		if (!told && seq >= plan->seq) {
			fwrite(plan->line, 1, plan->line_bytes, to);
			told = true;
		}
		within = ticks ? ticks >= since_ticks : within; /* hark's own have none */
		if (within && (!plan->line || seq != plan->seq))
			fwrite(line, 1, (size_t)bytes, to);
	}
	if (!told)
		fwrite(plan->line, 1, plan->line_bytes, to);
	free(line);
}
