/*
 * cmd_ps.c - `hark ps`: the live sessions.
 */
#include <inttypes.h>
#include <string.h>

#include "lib/format/escape.h"
#include "lib/session/place.h"
#include "tools/cmds.h"
#include "tools/json.h"
#include "tools/remains.h"

struct list {
	bool json;
	unsigned count;
};

static void print_object(const struct place_session *s)
{
	const struct control *c = &s->control;

	emit_number(stdout, "{", "pid", (uint32_t)c->first_pid);
	emit_number(stdout, ",", "collector_pid", (uint32_t)c->collector_pid);
	emit_number(stdout, ",", "guardian_pid", (uint32_t)c->guardian_pid);
	emit_pair(stdout, ",", "dir", s->dir);
	emit_pair(stdout, ",", "command", c->command);
	emit_time(stdout, ",", "started", c->started_ns);
	printf("}\n");
}

static void print_row(const struct place_session *s)
{
	const struct control *c = &s->control;
	char when[32], command[sizeof c->command];

	remains_time(when, (int64_t)c->started_ns);
	strcpy(command, c->command); /* place_read() ended it */
	escape_tame(command);
	printf("%9" PRId32 " %9" PRId32 " %9" PRId32 "  %s  %s\n", c->first_pid, c->collector_pid,
	       c->guardian_pid, when, command);
}

static int visit(void *arg, const struct place_session *session)
{
	struct list *list = arg;

	if (!session->alive)
		return 0;
	if (list->json) {
		print_object(session);
	} else {
		if (list->count == 0)
			printf("%9s %9s %9s  %-19s  %s\n", "PID", "COLLECTOR", "GUARDIAN",
			       "STARTED", "COMMAND");
		print_row(session);
	}
	list->count++;
	return 0;
}

int cmd_ps(struct cli *cli)
{
	struct list list = { .count = 0 };

	if (cli_only(cli, &list.json, NULL) != 0)
		return CLI_FAILED;
	place_each(visit, &list);
	if (list.count == 0 && !list.json)
		cli_say("no live sessions");
	return 0;
}
