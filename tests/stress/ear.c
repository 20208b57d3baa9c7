/*
 * ear.c - the soak's reader behind one sink: checks every line and keeps account in the ledger.
 *
 *	ear LEDGER RUN NUMBER fd|listen FD             a pipe or terminal; a listening socket
 *	ear LEDGER RUN NUMBER tail DIRECTORY NAME      a file that grows, rotates, is moved and removed
 *
 * It may be killed and started anew: what it had is in the ledger, and bytes are taken from a socket only
 * when they are accounted for. A file is removed when all of it is read and the next one has begun. Says
 * on stderr what is odd, and judges nothing.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "tests/stress/ledger.h"

enum { BUFFER = 1 << 20, FILES = 512, SAID = 40, REMEMBERED = 1 << 16 };

struct said {
	uint64_t seq, slot, number;
};

static struct ledger *ledger;
static struct heard *me;
static const char *run;
static size_t run_bytes;
static char pads[26][LONGEST + 1];
static char *buffer;
static size_t kept;                /* of the last line, whose end has not come */
static uint64_t nothing_ns;        /* when it was last seen that there is no more */
static bool may_repeat;            /* the file in which things were said before is removed */
static bool back;                  /* the stream goes over what it had brought already */
static struct said said[REMEMBERED];
static uint64_t cut_number[SLOTS]; /* of whose message only the beginning has come */
static const char *live_name;      /* of a file; NULL: it is something else */

/* ---- lines -------------------------------------------------------------------------------------- */

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
static uint64_t seq_in(const char *line, const char *end)
{
	const char *at = memmem(line, (size_t)(end - line), "\"seq\":", 6);

	if (!at)
		at = memmem(line, (size_t)(end - line), " seq=", 5);
	if (!at)
		return 0;
	at += *at == '"' ? 6 : 5;
	return take_number(&at, end);
}

static void note_gap(struct gap *gaps, uint64_t *count, uint64_t slot, uint64_t from, uint64_t to)
{
	if (*count < GAPS)
		gaps[*count] = (struct gap){ slot, from, to };
	++*count;
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

/* The rest of a long message, of which hark has sent on the beginning: its writer stood still for so
 * long, or died. Whether the line is one. */
static bool take_rest(const char *line, size_t bytes)
{
	const char *end = line + bytes, *at = memmem(line, bytes, "msg", 3);
	int letter;

	at = at ? at + 3 : line;
	while (at < end && strchr("\":=", *at))
		at++;
	const char *from = at;
	while (at < end && *at == *from)
		at++;
	for (uint64_t slot = 0; slot < SLOTS; slot++) {
		padding(cut_number[slot], &letter);
		if (!cut_number[slot] || from == end || (*from != letter && *from != '.'))
			continue;
		if (*from != '.' && (at == end || *at != '.'))
			return true; /* nor is this the end */
		if (cut_number[slot] == me->last[slot] + 1) {
			me->last[slot]++;
			me->messages++;
		}
		for (uint64_t i = 0; i < me->cuts_count && i < GAPS; i++)
			if (me->cuts[i].slot == slot && me->cuts[i].from == cut_number[slot])
				me->cuts[i] = me->cuts[--me->cuts_count];
		cut_number[slot] = 0;
		return true;
	}
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

static void take_message(const char *line, size_t bytes, const char *at)
{
	const char *end = line + bytes;
	int letter;

	at += run_bytes + 1;
	uint64_t slot = take_number(&at, end);
	at++;
	uint64_t number = take_number(&at, end);
	at++;
	size_t pad = padding(number, &letter);
	if (slot >= SLOTS || at > end) {
		odd("torn", line, bytes);
		return;
	}
	bool whole = pad < (size_t)(end - at) && memcmp(at, pads[letter - 'a'], pad) == 0 &&
		     at[pad] == '.';
	if (!whole) { /* its writer died; among bytes, another may go on in the same line */
		const char *other = memmem(at, (size_t)(end - at), run, run_bytes);
		if (number > me->last[slot]) {
			note_gap(me->cuts, &me->cuts_count, slot, number, number);
			cut_number[slot] = number;
		}
		if (other)
			take_message(line, bytes, other);
		return;
	}
	uint64_t seq = seq_in(at + pad, end);
	if (number <= me->last[slot]) {
		heard_again(line, bytes, (struct said){ seq, slot, number });
		return;
	}
	back = may_repeat = false;
	if (number > me->last[slot] + 1)
		note_gap(me->gaps, &me->gaps_count, slot, me->last[slot] + 1, number - 1);
	me->last[slot] = number;
	me->messages++;
	if (seq) {
		if (seq <= me->seq)
			odd("seq goes back", line, bytes);
		me->seq = seq;
		said[seq % REMEMBERED] = (struct said){ seq, slot, number };
	}
	measure(line, bytes);
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
		me->others++;
		if (!take_rest(line, bytes))
			odd("nobody has said this", line, bytes);
		return;
	}
	if (seq && seq <= me->seq)
		return; /* again */
	me->seq = seq ? seq : me->seq;
	me->notes++;
	me->others += !sink;
	if (!sink)
		return;
	const char *at = memmem(line, bytes, " message", 8); /* one, or several */
	while (at && at > line && isdigit((unsigned char)at[-1]))
		at--;
	me->announced += at ? take_number(&at, end) : 0;
}

static void take_line(const char *line, size_t bytes)
{
	while (bytes && line[bytes - 1] == '\r') /* a terminal's */
		bytes--;
	const char *at = memmem(line, bytes < 200 ? bytes : 200, run, run_bytes);
	me->bytes += bytes + 1;
	if (at)
		take_message(line, bytes, at);
	else if (bytes)
		take_note(line, bytes);
}

/* `fresh` more bytes are in the buffer. */
static void take_bytes(size_t fresh)
{
	const char *at = buffer, *end = buffer + kept + fresh;

	const char *newline;

	while ((newline = memchr(at, '\n', (size_t)(end - at)))) {
		take_line(at, (size_t)(newline - at));
		at = newline + 1;
	}
	kept = (size_t)(end - at);
	memmove(buffer, at, kept);
	if (kept > BUFFER / 2) {
		odd("no end of a line", buffer, kept);
		kept = 0;
	}
}

static void end_of_stream(bool may_be_torn)
{
	if (kept && !may_be_torn)
		odd("the end is torn", buffer, kept);
	kept = 0;
}

/* ---- pipes, terminals, sockets ------------------------------------------------------------------ */

static bool wait_for(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	while (poll(&p, 1, 20) < 1)
		if (atomic_load(&ledger->closing))
			return false;
	return true;
}

/* Bytes are taken away only when they are accounted for: until then they are hark's to send again. */
static void hear_connection(int fd)
{
	while (wait_for(fd)) {
		ssize_t n = recv(fd, buffer + kept, BUFFER - kept, MSG_PEEK);
		if (n <= 0)
			break;
		take_bytes((size_t)n);
		for (char gone[1 << 16]; n > 0;) {
			size_t most = (size_t)n < sizeof gone ? (size_t)n : sizeof gone;
			ssize_t taken = recv(fd, gone, most, 0);
			if (taken <= 0)
				break;
			n -= taken;
		}
	}
	end_of_stream(true); /* it comes again */
	close(fd);
}

static void hear_fd(int fd)
{
	while (wait_for(fd)) {
		ssize_t n = read(fd, buffer + kept, BUFFER - kept);
		if (n <= 0)
			break;
		take_bytes((size_t)n);
	}
	end_of_stream(false);
}

/* ---- files -------------------------------------------------------------------------------------- */

struct file {
	int fd;
	ino_t inode;
	uint64_t first;   /* seq of its first message */
};

static struct file files[FILES]; /* files[0] is being read, the others come later */
static unsigned file_count;
static uint64_t fresh_ns;        /* when something was last read */

/* UINT64_MAX: not begun */
static uint64_t first_seq(int fd)
{
	char line[LONGEST + 1000];
	ssize_t n = pread(fd, line, sizeof line, 0);
	const char *newline = n > 0 ? memchr(line, '\n', (size_t)n) : NULL;

	return newline ? seq_in(line, newline) : UINT64_MAX;
}

static bool known(ino_t inode)
{
	for (unsigned i = 0; i < file_count; i++)
		if (files[i].inode == inode)
			return true;
	return false;
}

static void look_for_files(int directory)
{
	int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fdopendir(fd);
	const struct dirent *entry;

	while ((entry = readdir(dir))) {
		struct stat st;
		if (strncmp(entry->d_name, live_name, strlen(live_name)) != 0 ||
		    known(entry->d_ino))
			continue;
		if (file_count == FILES)
			abort();
		struct file *f = &files[file_count];
		f->fd = openat(directory, entry->d_name, O_RDONLY | O_CLOEXEC);
		if (f->fd < 0)
			continue; /* it was renamed just now */
		if (fstat(f->fd, &st) != 0 || known(st.st_ino)) {
			close(f->fd);
			continue;
		}
		f->inode = st.st_ino;
		file_count++;
	}
	closedir(dir);
}

/* The one that follows files[0]; 0: none has begun. */
static unsigned next_file(void)
{
	unsigned next = 0;

	for (unsigned i = 1; i < file_count; i++) {
		files[i].first = first_seq(files[i].fd);
		if (files[i].first != UINT64_MAX && (!next || files[i].first < files[next].first))
			next = i;
	}
	return next;
}

static ssize_t read_on(int fd)
{
	ssize_t n, all = 0;

	while ((n = read(fd, buffer + kept, BUFFER - kept)) > 0) {
		take_bytes((size_t)n);
		all += n;
	}
	return all;
}

/* By whatever name it has now. */
static void remove_file(int directory, const struct file *f)
{
	const struct dirent *entry;
	struct stat st;

	while (fstat(f->fd, &st) == 0 && st.st_nlink) {
		DIR *dir = fdopendir(openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
		while ((entry = readdir(dir)))
			if (entry->d_ino == f->inode)
				unlinkat(directory, entry->d_name, 0);
		closedir(dir);
	}
}

/* The present one is done with, for another has begun since. */
static void go_on_with(int directory, unsigned next)
{
	struct file old = files[0];
	struct stat st;

	read_on(old.fd);
	may_repeat = fstat(old.fd, &st) == 0 && st.st_nlink == 0;
	end_of_stream(may_repeat);
	remove_file(directory, &old);
	close(old.fd);
	files[0] = files[next];
	files[next] = files[--file_count];
}

/* As an administrator would whose disk is full: what was moved away and read makes room for the next. */
static void make_room(int directory)
{
	struct stat st;

	if (file_count > 1 && now_ns() - fresh_ns > 300000000 && fstat(files[0].fd, &st) == 0 &&
	    st.st_nlink)
		remove_file(directory, &files[0]);
}

static void hear_files(const char *path)
{
	int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	for (;;) {
		bool last = atomic_load(&ledger->closing);
		uint64_t before = now_ns();
		if (file_count && read_on(files[0].fd) > 0) {
			fresh_ns = before;
			continue;
		}
		unsigned next = 0;
		if (file_count && fstatat(directory, live_name, &st, 0) == 0 &&
		    st.st_ino == files[0].inode) {
			nothing_ns = before;
		} else {
			look_for_files(directory);
			next = next_file();
			if (!next)
				make_room(directory);
		}
		if (next)
			go_on_with(directory, next);
		else if (last)
			break;
		else
			usleep(500);
	}
	end_of_stream(false);
}

int main(int argc, char **argv)
{
	if (argc != 6 && argc != 7)
		return 2;
	ledger = ledger_map(argv[1]);
	run = argv[2];
	run_bytes = strlen(run);
	me = &ledger->heard[atoi(argv[3])];
	buffer = malloc(BUFFER);
	for (int i = 0; i < 26; i++)
		memset(pads[i], 'a' + i, LONGEST);
	if (strcmp(argv[4], "tail") == 0) {
		live_name = argv[6];
		hear_files(argv[5]);
		return 0;
	}
	int fd = atoi(argv[5]);
	if (strcmp(argv[4], "fd") == 0)
		hear_fd(fd);
	else
		while (wait_for(fd))
			hear_connection(accept(fd, NULL, NULL));
	return 0;
}
