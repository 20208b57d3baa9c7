/*
 * cmd_stats.c - `hark stats`: the live counters of a session.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "lib/base/level.h"
#include "lib/base/text.h"
#include "lib/format/escape.h"
#include "lib/session/lost.h"
#include "lib/session/session.h"
#include "lib/sink/sink.h"
#include "tools/cmds.h"
#include "tools/json.h"
#include "tools/pick.h"
#include "tools/remains.h"

struct sight {
	const struct place_session *session;
	const struct control *control;
	uint64_t ring_bytes, waiting_bytes;
};

/* The ring's positions, which the control block does not hold. */
static void look_at_ring(struct sight *sight)
{
	struct session session;

	if (session_join(&session, sight->session->dir) != 0)
		return;
	const struct ring *ring = &session.ring;
	uint64_t tail = atomic_load(&ring->shared->tail);
	uint64_t head = session_position(&session);
	sight->ring_bytes = (ring->number_mask + 1) << ring->chunk_shift;
	/* Both move, and head is but a hint. */
	sight->waiting_bytes = head > tail ? head - tail : 0;
	session_leave(&session);
}

static const char *error_text(const struct control_sink *sink)
{
	return sink->error ? sink_error_text(sink->error) : NULL;
}

static void copy_sink(const struct control *c, unsigned i, struct control_sink *sink)
{
	*sink = c->sink[i];
	sink->spec[sizeof sink->spec - 1] = '\0';
	sink->state[sizeof sink->state - 1] = '\0';
}

static void print_json_lost(const struct control *c)
{
	printf(",\"lost\":");
	for (unsigned i = 0; i < LOST_NR; i++)
		emit_number(stdout, i ? "," : "{", lost_key(i), c->lost[i].messages);
	printf("},\"lost_bytes\":");
	for (unsigned i = 0; i < LOST_NR; i++)
		emit_number(stdout, i ? "," : "{", lost_key(i), c->lost[i].bytes);
	printf("}");
}

static void print_json_sinks(const struct control *c)
{
	struct control_sink s;
	const char *comma = "";

	printf(",\"sinks\":[");
	for (unsigned i = 0; i < CONTROL_SINKS; i++) {
		copy_sink(c, i, &s);
		if (!s.in_use)
			continue;
		printf("%s", comma);
		emit_pair(stdout, "{", "spec", s.spec);
		emit_pair(stdout, ",", "state", s.state);
		emit_pair(stdout, ",", "error", error_text(&s));
		emit_number(stdout, ",", "written_messages", s.written_frames);
		emit_number(stdout, ",", "written_bytes", s.written_bytes);
		emit_number(stdout, ",", "queued_bytes", s.queued_bytes);
		emit_number(stdout, ",", "lost_messages", s.lost_messages);
		emit_number(stdout, ",", "lost_bytes", s.lost_bytes);
		emit_number(stdout, ",", "reconnects", s.reconnects);
		printf("}");
		comma = ",";
	}
	printf("]");
}

static void print_json(const struct sight *sight)
{
	const struct control *c = sight->control;

	emit_number(stdout, "{", "pid", (uint32_t)c->first_pid);
	emit_number(stdout, ",", "collector_pid", (uint32_t)c->collector_pid);
	emit_number(stdout, ",", "guardian_pid", (uint32_t)c->guardian_pid);
	emit_pair(stdout, ",", "dir", sight->session->dir);
	emit_pair(stdout, ",", "command", c->command);
	emit_time(stdout, ",", "started", c->started_ns);
	emit_number(stdout, ",", "processes", c->process_count);
	emit_number(stdout, ",", "messages", c->messages);
	emit_number(stdout, ",", "bytes", c->message_bytes);
	emit_number(stdout, ",", "records", c->records);
	emit_pair(stdout, ",", "stack", level_name((enum level)c->stack));
	print_json_lost(c);
	emit_number(stdout, ",", "queue_depth", sight->waiting_bytes);
	emit_number(stdout, ",", "ring_bytes", sight->ring_bytes);
	emit_number(stdout, ",", "restarts", c->restarts);
	print_json_sinks(c);
	printf("}\n");
}

static const char *bytes(uint64_t count)
{
	return text_one(count, "byte", "bytes");
}

static void print_messages(uint64_t count, uint64_t count_bytes)
{
	printf("%" PRIu64 " %s (%" PRIu64 " %s)", count, text_one(count, "message", "messages"),
	       count_bytes, bytes(count_bytes));
}

static void print_text_sinks(const struct control *c)
{
	struct control_sink s;

	for (unsigned i = 0; i < CONTROL_SINKS; i++) {
		copy_sink(c, i, &s);
		if (!s.in_use)
			continue;
		const char *error = error_text(&s);
		escape_tame(s.spec);
		escape_tame(s.state);
		printf("sink       %s\n", s.spec);
		printf("             %s%s%s, ", s.state, error ? ": " : "", error ? error : "");
		print_messages(s.written_frames, s.written_bytes);
		printf(" written, %" PRIu64 " %s queued\n", s.queued_bytes, bytes(s.queued_bytes));
		if (!s.lost_messages && !s.reconnects)
			continue;
		printf("             ");
		print_messages(s.lost_messages, s.lost_bytes);
		printf(" lost, %" PRIu64 " %s\n", s.reconnects,
		       text_one(s.reconnects, "reconnect", "reconnects"));
	}
}

static void print_text(const struct sight *sight)
{
	const struct control *c = sight->control;
	bool any = false;
	char when[32];

	remains_time(when, (int64_t)c->started_ns);
	printf("session    %" PRId32 ", since %s, %" PRIu32 " %s now\n", c->first_pid, when,
	       c->process_count, text_one(c->process_count, "process", "processes"));
	printf("collector  %" PRId32 ", restarted %" PRIu32 " %s\n", c->collector_pid, c->restarts,
	       text_one(c->restarts, "time", "times"));
	printf("messages   %" PRIu64 " (%" PRIu64 " %s)\n", c->messages, c->message_bytes,
	       bytes(c->message_bytes));
	if ((unsigned)c->stack < LEVEL_NR)
		printf("stacks     of messages of level %s or worse\n",
		       level_name((enum level)c->stack));
	printf("ring       %" PRIu64 " of %" PRIu64 " bytes wait for the collector\n",
	       sight->waiting_bytes, sight->ring_bytes);
	for (unsigned i = 0; i < LOST_NR; i++) {
		if (!c->lost[i].messages)
			continue;
		printf("lost       ");
		print_messages(c->lost[i].messages, c->lost[i].bytes);
		printf(": %s\n", lost_sentence(i));
		any = true;
	}
	if (!any)
		printf("lost       nothing\n");
	print_text_sinks(c);
}

int cmd_stats(struct cli *cli)
{
	static struct place_session session;
	const char *word;
	bool json;

	if (cli_only(cli, &json, &word) != 0 || pick_session(word, &session) != 0)
		return CLI_FAILED;
	struct sight sight = { .session = &session, .control = &session.control };
	look_at_ring(&sight);
	if (json)
		print_json(&sight);
	else
		print_text(&sight);
	return 0;
}
