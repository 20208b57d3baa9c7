/*
 * ear_lines.h - what a line that came out of a sink says, and the account of it in the ledger.
 *
 * Part of ear.c, which sets `ledger`, `me`, `run` and what kind of sink it is. Must know every shape in which
 * hark may bring a message: again, cut, in two pieces, or not at all where the sink may lose.
 */
#ifndef TESTS_STRESS_EAR_LINES_H
#define TESTS_STRESS_EAR_LINES_H

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>

#include "tests/stress/ledger.h"

enum { SAID = 40, REMEMBERED = 1 << 16 };

struct said {
	uint64_t seq, slot, number;
};

static struct ledger *ledger;
static struct heard *me;
static const char *run;
static size_t run_bytes;
static char pads[26][LONGEST + 1];
static uint64_t nothing_ns;   /* when it was last seen that there is no more */
static bool may_repeat;       /* the file in which things were said before is removed */
static bool back;             /* the stream goes over what it had brought already */
static struct said said[REMEMBERED];
static const char *live_name; /* of a file; NULL: it is something else */
static bool loses;            /* the console: a message's beginning may be lost, and its rest not */

static void odd(const char *why, const char *line, size_t bytes)
{
	if (me->odd++ < SAID)
		fprintf(stderr, "%s: %.*s%s\n", why, (int)(bytes < 400 ? bytes : 400), line,
			bytes < 400 ? "" : " …");
}

static uint64_t take_number(const char **at, const char *end)
{
	uint64_t n = 0;

	while (*at < end && isdigit((unsigned char)**at))
		n = n * 10 + (uint64_t)(*(*at)++ - '0');
	return n;
}

/* As JSON and logfmt have it; 0: none. */
static uint64_t figure_in(const char *line, const char *end, const char *json, const char *logfmt)
{
	const char *key = json, *at = memmem(line, (size_t)(end - line), json, strlen(json));

	if (!at)
		at = memmem(line, (size_t)(end - line), key = logfmt, strlen(logfmt));
	if (!at)
		return 0;
	at += strlen(key);
	return take_number(&at, end);
}

static uint64_t seq_in(const char *line, const char *end)
{
	return figure_in(line, end, "\"seq\":", " seq=");
}

static uint64_t tid_in(const char *line, const char *end)
{
	return figure_in(line, end, "\"tid\":", " tid=");
}

/* A message is there, whole, for the first time. */
static void count_message(uint64_t slot, uint64_t number)
{
	if (number > me->last[slot] + 1) {
		if (me->gaps_count < GAPS)
			me->gaps[me->gaps_count] =
				(struct gap){ slot, me->last[slot] + 1, number - 1 };
		me->gaps_count++;
	}
	me->last[slot] = number;
	me->messages++;
}

/* Its rest will not come. */
static void leave_cut(uint64_t slot)
{
	struct begun *b = &me->begun[slot];

	if (b->number > me->last[slot]) {
		if (me->cuts_count < CUTS)
			me->cuts[me->cuts_count] = (struct gap){ slot, b->number, b->tid };
		me->cuts_count++;
	}
	b->number = 0;
}

static void begin_message(uint64_t slot, uint64_t number, uint64_t tid, size_t bytes)
{
	struct begun *b = &me->begun[slot];

	if (b->number && b->number < number)
		leave_cut(slot);
	b->number = number;
	b->tid = tid;
	b->bytes = bytes;
}

/* {"time":"2024-01-31T12:34:56.123456789Z",…: within the day, which is all that is needed. */
static void measure(const char *line, size_t bytes)
{
	const uint64_t second = 1000000000, day = 86400 * second;
	uint64_t part[4] = { 0 };
	static const int places[4] = { 20, 23, 26, 29 };

	if (bytes < 40 || memcmp(line, "{\"time\":\"", 9) != 0 || nothing_ns == 0)
		return;
	for (int i = 0; i < 4; i++) {
		const char *at = line + places[i];
		part[i] = take_number(&at, line + bytes);
	}
	uint64_t at = ((part[0] * 60 + part[1]) * 60 + part[2]) * second + part[3];
	uint64_t held = (nothing_ns % day + day - at) % day;
	if (held > day / 2 || held < second / 10)
		return; /* not there yet when it was said, or not for long */
	uint64_t begun = nothing_ns - held;
	bool ours = atomic_load(&ledger->trouble_until_ns) > begun &&
		    atomic_load(&ledger->trouble_since_ns) < nothing_ns;
	me->held[ours]++;
	if (me->longest_ns[ours] < held)
		me->longest_ns[ours] = held;
}

/* Its last piece has come. Whether there were all of them; without seq, one may have come again. */
static bool end_message(uint64_t slot)
{
	struct begun *b = &me->begun[slot];
	int letter;

	if (b->bytes < padding(ledger, slot, b->number, &letter) && !loses)
		return false;
	if (b->number > me->last[slot])
		count_message(slot, b->number);
	b->ended = b->number;
	b->number = 0;
	return true;
}

/* Whose rest that may be, by its thread and its letter ('.': any); SLOTS: nobody's. */
static uint64_t slot_of_rest(uint64_t tid, int letter)
{
	uint64_t slot = 0;

	while (slot < SLOTS && !(me->begun[slot].number && me->begun[slot].tid == tid &&
				 (letter == '.' || letter == 'a' + (int)slot)))
		slot++;
	return slot;
}

/* Whether one with that letter has come in pieces before. */
static bool has_ended(int letter)
{
	for (uint64_t slot = 0; slot < SLOTS; slot++)
		if (me->begun[slot].ended && (letter == '.' || letter == 'a' + (int)slot))
			return true;
	return false;
}

/* The furthest is left as it is. */
static void heard_again(const char *line, size_t bytes, struct said now)
{
	const struct said *before = &said[now.seq % REMEMBERED];

	me->backs += !back;
	back = true;
	me->repeated++;
	me->again += may_repeat;
	if (live_name && !may_repeat && me->repeated - me->again < SAID)
		fprintf(stderr, "again: %.*s … %.*s\n", (int)(bytes < 150 ? bytes : 150), line,
			bytes > 250 ? 100 : 0, line + (bytes > 250 ? bytes - 100 : 0));
	if (now.seq && before->seq == now.seq &&
	    (before->slot != now.slot || before->number != now.number))
		odd("another message with the same seq", line, bytes);
}

static void take_message(const char *line, size_t bytes, const char *at);
static bool take_piece(const char *line, size_t bytes, const char *from, uint64_t seq);

static const char *end_of_run(const char *at, const char *end, int letter)
{
	while (at < end && *at == letter)
		at++;
	return at;
}

/* The padding of a message that is not whole: its writer died, or stood still. Among bytes, others may
 * go on in the same line. */
static void take_beginning(const char *line, size_t bytes, const char *at, struct said now,
			   int letter)
{
	const char *end = line + bytes, *rest = end_of_run(at, end, letter);
	const char *other = memmem(at, (size_t)(end - at), run, run_bytes);
	uint64_t tid = tid_in(at, end);

	begin_message(now.slot, now.number, tid, (size_t)(rest - at));
	if (rest != other && rest < end && islower((unsigned char)*rest) &&
	    slot_of_rest(tid, *rest) != SLOTS)
		take_piece(line, bytes, rest, now.seq);
	else if (other)
		take_message(line, bytes, other);
}

static void take_message(const char *line, size_t bytes, const char *at)
{
	const char *end = line + bytes;
	int letter;

	at += run_bytes + 1;
	uint64_t slot = take_number(&at, end);
	at++;
	uint64_t number = take_number(&at, end);
	at++;
	if (slot >= SLOTS || at > end) {
		odd("torn", line, bytes);
		return;
	}
	size_t pad = padding(ledger, slot, number, &letter);
	bool whole = pad < (size_t)(end - at) && memcmp(at, pads[letter - 'a'], pad) == 0 &&
		     at[pad] == '.';
	uint64_t seq = seq_in(at, end);
	if (!whole) {
		take_beginning(line, bytes, at, (struct said){ seq, slot, number }, letter);
		return;
	}
	if (number <= me->last[slot]) {
		heard_again(line, bytes, (struct said){ seq, slot, number });
		return;
	}
	back = may_repeat = false;
	if (me->begun[slot].number && me->begun[slot].number < number)
		leave_cut(slot);
	count_message(slot, number);
	if (seq && seq <= me->seq) { /* on a terminal, the number may be cut by a kill */
		odd("seq goes back", line, bytes);
	} else if (seq) {
		me->seq = seq;
		said[seq % REMEMBERED] = (struct said){ seq, slot, number };
	}
	measure(line, bytes);
}

/* From there on, the rest of a long message of which hark has sent on the beginning: its writer stood
 * still for so long, or died. Among bytes, others may go on in the same line. */
static bool take_piece(const char *line, size_t bytes, const char *from, uint64_t seq)
{
	const char *end = line + bytes, *at = end_of_run(from, end, *from);

	if (from == end || (*from != '.' && !islower((unsigned char)*from)))
		return false;
	uint64_t slot = slot_of_rest(tid_in(line, end), *from);
	/* Without seq, nothing else tells what comes again. */
	bool is_known = slot != SLOTS || loses || (!seq && has_ended(*from));
	bool again = seq && seq <= me->seq;
	if (slot != SLOTS && *from != '.' && !again)
		me->begun[slot].bytes += (size_t)(at - from);
	if ((size_t)(end - at) > run_bytes && memcmp(at, run, run_bytes) == 0) {
		take_message(line, bytes, at);
		return true;
	}
	if (at < end && islower((unsigned char)*at) && is_known)
		return take_piece(line, bytes, at, seq);
	if (at < end && !strchr(".\" ", *at))
		return false;
	if (again)
		return !live_name;
	me->seq = seq ? seq : me->seq;
	if (slot == SLOTS || (*from != '.' && (at == end || *at != '.')))
		return is_known; /* nor is this the end */
	return end_message(slot);
}

/* Whether the line is such a rest. */
static bool take_rest(const char *line, size_t bytes, uint64_t seq)
{
	const char *end = line + bytes, *at = memmem(line, bytes, "msg", 3);

	at = at ? at + 3 : line;
	while (at < end && strchr("\":=", *at))
		at++;
	return take_piece(line, bytes, at, seq);
}

/* By hark, or by a shell of its child's end. */
static bool is_note(const char *line, size_t bytes)
{
	static const char *const words[] = { " lost: ", "cannot reach ", "Segmentation fault",
					     "Killed", "Aborted", "Terminated" };

	for (unsigned i = 0; i < sizeof words / sizeof *words; i++)
		if (memmem(line, bytes, words[i], strlen(words[i])))
			return true;
	return false;
}

/* What hark has to say; also of losses, which add up. */
static void take_note(const char *line, size_t bytes)
{
	const char *end = line + bytes;
	uint64_t seq = seq_in(line, end);
	const char *sink = memmem(line, bytes, " lost: a sink's queue", 21);

	if (!is_note(line, bytes)) {
		if (!take_rest(line, bytes, seq))
			odd("nobody has said this", line, bytes);
		return;
	}
	if (seq && seq <= me->seq)
		return; /* again */
	me->seq = seq ? seq : me->seq;
	me->notes++;
	if (!sink)
		return;
	const char *at = memmem(line, bytes, " message", 8); /* one, or several */
	while (at && at > line && isdigit((unsigned char)at[-1]))
		at--;
	me->announced += at ? take_number(&at, end) : 0;
}

/* By the last number in it: before that may be the beginning of one that is sent again, since a collector was
 * killed. */
static void number_line(const char *line, size_t bytes)
{
	static const char key[] = "\"seq\":";
	static uint64_t furthest;
	const char *end = line + bytes, *at = NULL;

	for (const char *next = line; (next = memmem(next, (size_t)(end - next), key, 6)); next++)
		at = next;
	uint64_t seq = at ? seq_in(at, end) : 0;
	if (seq <= furthest)
		return;
	furthest = seq;
	me->lines += !memmem(line, bytes, "\"source\":\"hark\"", 15);
}

static void take_line(const char *line, size_t bytes)
{
	while (bytes && line[bytes - 1] == '\r') /* a terminal's */
		bytes--;
	number_line(line, bytes);
	const char *at = memmem(line, bytes < 200 ? bytes : 200, run, run_bytes);
	me->bytes += bytes + 1;
	if (at)
		take_message(line, bytes, at);
	else if (bytes)
		take_note(line, bytes);
}

#endif
