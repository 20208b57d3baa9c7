/*
 * cmd_stats.c - `hark stats`: the live counters of a session.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

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
		json_number(stdout, i ? "," : "{", lost_key(i), c->lost[i].messages);
	printf("},\"lost_bytes\":");
	for (unsigned i = 0; i < LOST_NR; i++)
		json_number(stdout, i ? "," : "{", lost_key(i), c->lost[i].bytes);
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
		json_pair(stdout, "{", "spec", s.spec);
		json_pair(stdout, ",", "state", s.state);
		json_pair(stdout, ",", "error", error_text(&s));
		json_number(stdout, ",", "written_messages", s.written_frames);
		json_number(stdout, ",", "written_bytes", s.written_bytes);
		json_number(stdout, ",", "queued_bytes", s.queued_bytes);
		json_number(stdout, ",", "lost_messages", s.lost_messages);
		json_number(stdout, ",", "lost_bytes", s.lost_bytes);
		json_number(stdout, ",", "reconnects", s.reconnects);
		printf("}");
		comma = ",";
	}
	printf("]");
}

static void print_json(const struct sight *sight)
{
	const struct control *c = sight->control;

	json_number(stdout, "{", "pid", (uint32_t)c->first_pid);
	json_number(stdout, ",", "collector_pid", (uint32_t)c->collector_pid);
	json_number(stdout, ",", "guardian_pid", (uint32_t)c->guardian_pid);
	json_pair(stdout, ",", "dir", sight->session->dir);
	json_pair(stdout, ",", "command", c->command);
	json_time(stdout, ",", "started", c->started_ns);
	json_number(stdout, ",", "processes", c->process_count);
	json_number(stdout, ",", "messages", c->messages);
	json_number(stdout, ",", "bytes", c->message_bytes);
	json_number(stdout, ",", "records", c->records);
	print_json_lost(c);
	json_number(stdout, ",", "queue_depth", sight->waiting_bytes);
	json_number(stdout, ",", "ring_bytes", sight->ring_bytes);
	json_number(stdout, ",", "restarts", c->restarts);
	print_json_sinks(c);
	printf("}\n");
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
		printf("             %s%s%s, %" PRIu64 " messages (%" PRIu64
		       " bytes) written, %" PRIu64 " bytes queued\n",
		       s.state, error ? ": " : "", error ? error : "", s.written_frames,
		       s.written_bytes, s.queued_bytes);
		if (s.lost_messages || s.reconnects)
			printf("             %" PRIu64 " messages (%" PRIu64
			       " bytes) lost, %" PRIu64 " reconnects\n",
			       s.lost_messages, s.lost_bytes, s.reconnects);
	}
}

static void print_text(const struct sight *sight)
{
	const struct control *c = sight->control;
	bool any = false;
	char when[32];

	remains_time(when, (int64_t)c->started_ns);
	printf("session    %" PRId32 ", since %s, %" PRIu32 " processes now\n", c->first_pid, when,
	       c->process_count);
	printf("collector  %" PRId32 ", restarted %" PRIu32 " times\n", c->collector_pid,
	       c->restarts);
	printf("messages   %" PRIu64 " (%" PRIu64 " bytes)\n", c->messages, c->message_bytes);
	printf("ring       %" PRIu64 " of %" PRIu64 " bytes wait for the collector\n",
	       sight->waiting_bytes, sight->ring_bytes);
	for (unsigned i = 0; i < LOST_NR; i++) {
		if (!c->lost[i].messages)
			continue;
		printf("lost       %" PRIu64 " messages (%" PRIu64 " bytes): %s\n",
		       c->lost[i].messages, c->lost[i].bytes, lost_sentence(i));
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
