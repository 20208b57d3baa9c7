/*
 * returns.c - what calls on descriptor 2 return, with good and with hostile arguments.
 *
 * States every result and errno; they must be those of a native run on the same kind of descriptor.
 * `partly` results are judged by themselves (see test_identity.py): a range of which only the
 * beginning can be read may fail or be written as far as it goes, but what is said to be written is
 * what is captured.
 */
#include "tests/preload/case.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <wchar.h>

#define SAW(call)                                                                                 \
	do {                                                                                      \
		errno = 0;                                                                        \
		long saw_ = (long)(call);                                                         \
		state("%s = %ld, errno %d", #call, saw_, saw_ < 0 ? errno : 0);                   \
	} while (0)

/* Through volatile, since compilers refuse what we are about to do. */
static void *volatile nowhere = (void *)8, *volatile null = NULL, *volatile kernel;
static volatile size_t huge = SIZE_MAX;
static volatile int minus = -1, most = INT_MAX, negative = INT_MIN;

/* A page that can be read, then one that cannot; then one that can. */
static char *pages(void)
{
	char *at = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		give_up("mmap");
	memset(at, 'x', 3 * 4096);
	if (mprotect(at + 4096, 4096, PROT_NONE))
		give_up("mprotect");
	kernel = (void *)0xffff800000000000UL;
	return at;
}

static void say_counts(void)
{
	static char big[100000];
	struct iovec iov[3] = { { (void *)"ab", 2 }, { NULL, 0 }, { (void *)"cd\n", 3 } };

	memset(big, 'y', sizeof(big));
	for (size_t i = 99; i < sizeof(big); i += 100)
		big[i] = '\n';
	SAW(write(2, "x\n", 2));
	SAW(write(2, big, sizeof(big)));
	SAW(write(2, big, 4096));
	SAW(write(2, "\n", 1));
	SAW(writev(2, iov, 3));
	SAW(fprintf(stderr, "%s\n", "12345"));
	SAW(fputs("fputs\n", stderr) >= 0);
	SAW(fputc('c', stderr));
	SAW(fputc('\n', stderr));
	SAW(fwrite(big, 100, 7, stderr));
	SAW(dprintf(2, "%0300d\n", 1));
	SAW(fflush(stderr));
	SAW(ferror(stderr));
}

static void say_nothing(void)
{
	struct iovec iov[2] = { { NULL, 0 }, { (void *)"", 0 } };

	SAW(write(2, "", 0));
	SAW(write(2, null, 0));
	SAW(write(2, nowhere, 0));
	SAW(writev(2, iov, 2));
	SAW(writev(2, iov, 0));
	SAW(writev(2, null, 0));
	SAW(writev(2, nowhere, 0));
	SAW(fprintf(stderr, "%s", ""));
	SAW(fwrite("", 1, 0, stderr));
	SAW(fputs("", stderr) >= 0);
	SAW(dprintf(2, "%s", ""));
	SAW(syscall(SYS_write, 2, null, 0));
}

static void say_bad_pointers(void)
{
	char *at = pages();
	struct iovec bad = { at + 4096, 10 }, bad2 = { nowhere, 1 };
	struct msghdr message = { .msg_iov = &bad, .msg_iovlen = 1 };

	SAW(write(2, nowhere, 1));
	SAW(write(2, null, 5));
	SAW(write(2, at + 4096, 4096));
	SAW(write(2, kernel, 16));
	SAW(write(2, (void *)-1L, 1));
	SAW(write(2, (void *)-4096L, 8192));
	SAW(writev(2, &bad, 1));
	SAW(writev(2, &bad2, 1));
	SAW(writev(2, nowhere, 1));
	SAW(writev(2, null, 3));
	SAW(writev(2, (struct iovec *)(at + 4096), 2));
	SAW(pwritev2(2, &bad, 1, -1, 0));
	SAW(syscall(SYS_write, 2, nowhere, 1));
	SAW(syscall(SYS_writev, 2, &bad, 1));
	SAW(send(2, nowhere, 1, 0));
	SAW(sendto(2, at + 4096, 1, 0, NULL, 0));
	SAW(sendmsg(2, &message, 0));
	SAW(sendmsg(2, nowhere, 0));
	SAW(fwrite(at + 4096, 1, 10, stderr));
	SAW(write(2, "after\n", 6));
}

/* A page that could be read a moment ago. */
static void say_changing_pages(void)
{
	char *at = pages();

	at[9] = '\n';
	for (int i = 0; i < 3; i++) {
		SAW(write(2, at, 10));
		SAW(mprotect(at, 4096, PROT_NONE));
		SAW(write(2, at, 10));
		SAW(mprotect(at, 4096, PROT_READ | PROT_WRITE));
	}
	SAW(write(2, at, 10));
	SAW(munmap(at, 4096));
	SAW(write(2, at, 10));
	SAW(raw_syscall3(SYS_munmap, (long)at + 8192, 4096, 0));
	SAW(write(2, at + 8192, 10));
	at = pages();
	SAW(write(2, at + 8192, 10));
	SAW(mremap(at + 8192, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, at + 4096) == at + 4096);
	SAW(write(2, at + 8192, 10));
	SAW(write(2, at + 4096, 10));
	SAW(pkey_mprotect(at + 4096, 4096, PROT_NONE, -1));
	SAW(write(2, at + 4096, 10));
	int id = shmget(IPC_PRIVATE, 4096, 0600);
	at = shmat(id, NULL, 0);
	shmctl(id, IPC_RMID, NULL);
	SAW(write(2, at, 10));
	SAW(shmdt(at));
	SAW(write(2, at, 10));
}

/* A mapped file that was cut short: reading it raises SIGBUS in a process, EFAULT in the kernel. */
static void say_cut_file(void)
{
	int fd = memfd_create("cut", 0);

	if (ftruncate(fd, 8192))
		give_up("ftruncate");
	char *at = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		give_up("mmap");
	memset(at, '\n', 8192);
	SAW(write(2, at + 4096, 3));
	if (ftruncate(fd, 4096))
		give_up("ftruncate");
	SAW(write(2, at + 4096, 3));
	SAW(write(2, at, 3));
}

static void say_partly_bad(void)
{
	char *at = pages();

	memset(at, 'g', 4096);
	errno = 0;
	long n = write(2, at + 4096 - 10, 4106);
	state("partly %ld errno %d good 10", n, n < 0 ? errno : 0);
}

static void say_partly_bad_vector(void)
{
	char *at = pages();
	struct iovec iov[3] = { { (void *)"gggggg", 6 }, { at + 4096, 10 }, { (void *)"h\n", 2 } };

	errno = 0;
	long n = writev(2, iov, 3);
	state("partly %ld errno %d good 6", n, n < 0 ? errno : 0);
}

static void say_bad_beginning(void)
{
	char *at = pages();

	SAW(write(2, at + 4096 + 4090, 20));
	SAW(write(2, "after\n", 6));
}

static void say_bad_lengths(void)
{
	static struct iovec many[1025];
	struct iovec two[2] = { { (void *)"a", 1 }, { (void *)"b", SIZE_MAX / 2 } };
	struct iovec one = { (void *)"c", huge };

	for (int i = 0; i < 1025; i++)
		many[i] = (struct iovec){ (void *)"m", 1 };
	SAW(writev(2, many, 1025));
	SAW(writev(2, many, minus));
	SAW(writev(2, many, most));
	SAW(writev(2, two, 2));
	SAW(writev(2, &one, 1));
	SAW(write(2, "x", huge));
	SAW(pwritev2(2, many, 1025, -1, 0));
	SAW(pwritev2(2, many, 1, -1, 0x40000000));
	SAW(write(2, "after\n", 6));
}

static void say_closed(void)
{
	struct iovec iov = { (void *)"x", 1 };

	fprintf(stderr, "before\n");
	SAW(close(2));
	SAW(write(2, "x", 1));
	SAW(write(2, nowhere, 1));
	SAW(write(2, "", 0));
	SAW(writev(2, &iov, 1));
	SAW(writev(2, nowhere, 1));
	SAW(pwrite(2, "x", 1, 0));
	SAW(send(2, "x", 1, 0));
	SAW(sendfile(2, 0, NULL, 1));
	SAW(dprintf(2, "x"));
	SAW(fprintf(stderr, "x"));
	SAW(fputs("x", stderr));
	SAW(fputc('x', stderr));
	SAW(fwrite("x", 1, 1, stderr));
	SAW(ferror(stderr));
	SAW(fflush(stderr));
	SAW(fclose(stderr));
}

static void say_other_descriptors(void)
{
	fprintf(stderr, "before\n");
	SAW(write(-1, "x", 1));
	SAW(write(4711, "x", 1));
	SAW(write(most, "x", 1));
	SAW(write(negative, "x", 1));
	SAW(dprintf(-1, "x"));
	SAW(close(-1));
	SAW(dup(-1));
	SAW(write(0, "x", 1));
	SAW(write(open(".", O_RDONLY), "x", 1));
}

static void say_plain(void)
{
	struct iovec iov = { (void *)"writev\n", 7 };

	signal(SIGPIPE, SIG_IGN);
	SAW(write(2, "write\n", 6));
	SAW(writev(2, &iov, 1));
	SAW(dprintf(2, "dprintf\n"));
	SAW(fputs("fputs\n", stderr) >= 0);
	SAW(ferror(stderr));
	SAW(write(2, "", 0));
	SAW(fclose(stderr));
}

static void say_plain_syscall(void)
{
	signal(SIGPIPE, SIG_IGN);
	SAW(syscall(SYS_write, 2, "syscall\n", 8));
	SAW(raw_syscall3(SYS_getppid, 0, 0, 0) > 0);
}

static void say_sigpipe(void)
{
	SAW(write(2, "one\n", 4));
	SAW(write(2, "two\n", 4));
}

static void say_pwrite(void)
{
	SAW(pwrite(2, "x\n", 2, -5));
	SAW(pwrite(2, nowhere, 2, 0));
	SAW(pwrite(2, "", 0, 0));
	SAW(pwrite(2, "text\n", 5, 0));
}

static void say_data_in_place(void)
{
	int fd;

	/* From the start 2 may be closed: the first file that is opened gets it. */
	fd = open("data", O_WRONLY | O_CREAT, 0600);
	if (fd != 2) {
		close(2);
		fd = dup(fd);
	}
	state("data is %d", fd);
	SAW(write(2, "data\n", 5));
	SAW(dprintf(2, "data by dprintf\n"));
	SAW(fprintf(stderr, "data by fprintf\n"));
}

static int piped(size_t bytes)
{
	static char some[8192];
	int ends[2];

	memset(some, 'p', sizeof(some));
	if (pipe(ends) || write(ends[1], some, bytes) != (ssize_t)bytes)
		give_up("pipe");
	return ends[0]; /* the other end stays open: nothing says that there is no more */
}

/* What the kernel copies from one descriptor to the other, or refuses to. */
static void say_copies(void)
{
	int fd = memfd_create("some", 0), ends[2];
	off_t at = -1, behind = 9000;

	alarm(10); /* for who waits for more than there is */
	if (ftruncate(fd, 8192) || pipe(ends))
		give_up("files");
	for (size_t bytes = 1024; bytes <= 4096; bytes *= 4)
		SAW(splice(piped(bytes), NULL, 2, NULL, 8192, 0));
	SAW(splice(piped(1024), NULL, 2, NULL, 8192, SPLICE_F_NONBLOCK));
	SAW(splice(ends[0], NULL, 2, NULL, 10, SPLICE_F_NONBLOCK));
	SAW(splice(piped(10), NULL, 2, NULL, 10, 0x100));
	SAW(splice(piped(10), &at, 2, NULL, 10, 0));
	SAW(splice(fd, nowhere, 2, NULL, 10, 0));
	SAW(splice(-1, NULL, 2, NULL, 10, 0));
	SAW(vmsplice(2, &(struct iovec){ (void *)"x", 1 }, 1, 0x100));
	SAW(sendfile(2, fd, nowhere, 10));
	SAW(sendfile(2, fd, &at, 10));
	SAW(sendfile(2, fd, &behind, 10));
	SAW(sendfile(2, piped(10), NULL, 10));
	SAW(sendfile(2, open("/", O_RDONLY), NULL, 10));
	SAW(sendfile(2, open("/proc/self/stat", O_RDONLY), NULL, 10));
	SAW(sendfile(2, fd, NULL, 100));
	SAW(lseek(fd, 0, SEEK_CUR));
}

/* Environments that the kernel refuses to read. */
static void say_bad_environments(void)
{
	char *const argv[] = { (char *)"true", NULL };
	char *const bad[] = { (char *)"A=1", nowhere, NULL };
	char *last = pages() + 4096;
	pid_t pid;

	strcpy(last - 4, "B=2");
	char *const sound[] = { last - 4, NULL };
	SAW(execve("/bin/true", argv, nowhere));
	SAW(execve("/bin/true", argv, bad));
	SAW(execve("/bin/true", argv, (char **)last));
	SAW(execve("/nonexistent", argv, sound));
	SAW(execve(nowhere, argv, sound));
	SAW(posix_spawn(&pid, "/bin/true", NULL, NULL, argv, nowhere));
	SAW(posix_spawn(&pid, "/bin/true", NULL, NULL, argv, bad));
}

static const struct test_case cases[] = {
	CASE(counts, "file pipe tty socket"),
	CASE(nothing, "file pipe tty socket"),
	CASE(bad_pointers, "file pipe tty socket"),
	CASE(changing_pages, "file pipe tty socket"),
	CASE(cut_file, "file pipe tty socket"),
	CASE(partly_bad, "file pipe tty socket"),
	CASE(partly_bad_vector, "file pipe tty socket"),
	CASE(bad_beginning, "file pipe tty socket"),
	CASE(bad_lengths, "file pipe tty socket"),
	CASE(closed, "file pipe tty socket"),
	CASE(other_descriptors, "file pipe tty socket"),
	CASE(plain, "file pipe tty socket null closed readonly broken"),
	CASE(plain_syscall, "file pipe closed readonly broken"),
	CASE(sigpipe, "pipe broken"),
	CASE(pwrite, "pipe tty socket"),
	CASE(copies, "file pipe socket"),
	CASE(bad_environments, "pipe"),
	CASE(data_in_place, "closed"),
};

CASES_MAIN(cases)
