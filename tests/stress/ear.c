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
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "tests/stress/ear_lines.h"

enum { BUFFER = 1 << 20, FILES = 512 };

static char *buffer;
static size_t kept;                /* of the last line, whose end has not come */

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
		f->fd = openat(directory, entry->d_name, O_RDWR | O_CLOEXEC);
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

/* As an administrator would whose disk is full: what was moved away and read makes room for the next.
 * The file stays open, in case that something is written there yet, and would keep its room for ever: so
 * what was read of it is made a hole. Not while it has a name: hark may still compare with it. */
static void make_room(int directory)
{
	struct file *f = &files[0];
	struct stat st;

	if (file_count < 2 || now_ns() - fresh_ns < 300000000 || fstat(f->fd, &st) != 0)
		return;
	if (st.st_nlink)
		remove_file(directory, f);
	else if (st.st_blocks)
		fallocate(f->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			  lseek(f->fd, 0, SEEK_CUR));
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
			usleep(ledger->share < 100 ? 5000 : 500);
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
	loses = strcmp(argv[4], "fd") == 0;
	if (loses)
		hear_fd(fd);
	else
		while (wait_for(fd))
			hear_connection(accept(fd, NULL, NULL));
	return 0;
}
