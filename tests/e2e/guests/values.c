/*
 * values.c - a program that calls well-known functions and says what it gave them and got: what a trace with
 * --arguments has to say of each. It knows nothing of hark.
 *
 *	values kinds | threads N | interrupted N
 *
 * Prints a line for each call of them, FUNCTION(ARGUMENTS) = RESULT; of threads, the thread's number first.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#define SAY(...) (printf(__VA_ARGS__), fflush(stdout))

/* volatile: compilers know what these do with constants */
static const char *volatile bad = (const char *)16;

/* A string that ends, or not, where its page does; the next one cannot be read. */
static char *at_the_end(size_t length)
{
	char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	mprotect(pages + 4096, 4096, PROT_NONE);
	return memset(pages + 4096 - length, 'e', length);
}

static void files(void)
{
	char long_name[201];
	int fd = open("/etc/passwd", O_RDONLY);

	SAY("open(\"/etc/passwd\", O_RDONLY) = %d\n", fd);
	SAY("close(%d) = %d\n", fd, close(fd));
	fd = open("made \"here\"\n\001", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
	SAY("open(\"made \\\"here\\\"\\n\\001\", O_WRONLY|O_CREAT|O_EXCL|O_CLOEXEC, 0640) = %d\n",
	    fd);
	SAY("lseek(%d, -1, 0) = %ld EINVAL\n", fd, (long)lseek(fd, -1, SEEK_SET));
	SAY("close(%d) = %d\n", fd, close(fd));
	SAY("close(%d) = %d EBADF\n", fd, close(fd));
	SAY("openat(AT_FDCWD, \"nowhere/at all\", O_RDWR) = %d ENOENT\n",
	    openat(AT_FDCWD, "nowhere/at all", O_RDWR));
	SAY("mkdir(\"d\xc3\xa9\", 0700) = %d\n", mkdir("d\xc3\xa9", 0700));
	memset(long_name, 'n', 200);
	long_name[200] = '\0';
	SAY("access(\"%.96s\"..., 4) = %d ENOENT\n", long_name, access(long_name, R_OK));
}

static void pointers(void)
{
	char *end = at_the_end(5), *ended = at_the_end(5);

	ended[4] = '\0';
	SAY("access(0x10, 0) = %d EFAULT\n", access(bad, F_OK));
	SAY("access(NULL, 0) = %d EFAULT\n", access(bad - 16, F_OK));
	SAY("access(\"eeeee\"..., 0) = %d EFAULT\n", access(end, F_OK));
	SAY("access(\"eeee\", 0) = %d ENOENT\n", access(ended, F_OK));
	void *some = malloc(1234567);
	SAY("malloc(1234567) = %p\n", some);
	free(some);
	SAY("free(%p)\n", some);
	some = malloc((size_t)-100);
	SAY("malloc(%zu) = NULL ENOMEM\n", (size_t)-100);
	if (some)
		exit(1);
}

static void kinds(void)
{
	errno = 0;
	files();
	pointers();
	setenv("OF_MINE", "what it is", 1);
	SAY("setenv(\"OF_MINE\", \"what it is\", 1) = 0\n");
	SAY("getenv(\"OF_MINE\") = \"%s\"\n", getenv("OF_MINE"));
	SAY("getenv(\"NOT_THERE\") = %s\n", getenv("NOT_THERE") ? "?" : "NULL");
	SAY("kill(-1234567, SIGCHLD) = %d ESRCH\n", kill(-1234567, SIGCHLD));
	pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	pthread_mutex_lock(&mutex);
	SAY("pthread_mutex_trylock(%p) = EBUSY\n",
	    pthread_mutex_trylock(&mutex) == EBUSY ? (void *)&mutex : NULL);
	SAY("exit(7)\n");
	exit(7);
}

static int times;

static void *thread(void *number)
{
	char name[64];

	for (int i = 0; i < times; i++) {
		snprintf(name, sizeof name, "nowhere/%ld/%d", (long)number, i);
		int rc = access(name, i % 8), error = errno;
		printf("%ld access(\"%s\", %d) = %d %s\n", (long)number, name, i % 8, rc,
		       error == ENOENT ? "ENOENT" : "?");
	}
	return NULL;
}

static void threads(void)
{
	pthread_t ids[8];

	for (long i = 0; i < 8; i++)
		pthread_create(&ids[i], NULL, thread, (void *)i);
	for (int i = 0; i < 8; i++)
		pthread_join(ids[i], NULL);
}

static volatile sig_atomic_t ticks;

static void tick(int number)
{
	int saved = errno;

	ticks++;
	access(number == SIGALRM ? "in/the/handler" : "", F_OK);
	errno = saved;
}

static void interrupted(void)
{
	struct itimerval often = { { 0, 150 }, { 0, 150 } }, never = { { 0, 0 }, { 0, 0 } };
	long calls = 0;

	signal(SIGALRM, tick);
	setitimer(ITIMER_REAL, &often, NULL);
	for (; ticks < times; calls++)
		if (access("outside", W_OK) != -1 || errno != ENOENT)
			exit(1);
	setitimer(ITIMER_REAL, &never, NULL);
	printf("access(\"outside\", 2) = -1 ENOENT %ld\n", calls);
	printf("access(\"in/the/handler\", 0) = -1 ENOENT %d\n", ticks);
}

int main(int argc, char **argv)
{
	const char *which = argc > 1 ? argv[1] : "";

	times = argc > 2 ? atoi(argv[2]) : 0;
	if (strcmp(which, "kinds") == 0)
		kinds();
	else if (strcmp(which, "threads") == 0)
		threads();
	else if (strcmp(which, "interrupted") == 0)
		interrupted();
	return 0;
}
