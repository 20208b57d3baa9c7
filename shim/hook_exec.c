/*
 * hook_exec.c - the way into another program: the session goes with it.
 *
 * The new program finds the session in its environment. Where the caller passes one that lacks ours,
 * a copy with our two entries is made on the stack: no malloc, since the caller may be a vfork child.
 * Other preloads are kept; ours is added once, and taken out where the program's loader would choke
 * on it, or where it could not join: in another root, as another user, behind a filter.
 */
#include <alloca.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base/sysio.h"
#include "lib/base/text.h"
#include "shim/foreign.h"
#include "shim/hook.h"
#include "shim/libc.h"
#include "shim/real.h"
#include "shim/shim.h"


enum { FDS_ENTRY = 160 };

struct carried {
	size_t count;         /* entries of the given environment */
	const char *preload;  /* its LD_PRELOAD, NULL: none */
	bool ours;            /* … names us */
	bool session;         /* it has HARK_SESSION, and it is this one */
	bool foreign;         /* the program cannot load us, or we cannot join from where it is */
	bool disabled;        /* HARK_DISABLE=1: it shall not be heard */
	char fds[FDS_ENTRY];  /* HARK_FDS=…, "": only the chosen numbers are captured */
};

static bool starts(const char *entry, const char *with)
{
	return strncmp(entry, with, strlen(with)) == 0;
}

static bool lists(const char *preloads, const char *path)
{
	size_t length = strlen(path);

	for (const char *at = preloads; *at; at += strspn(at, ": ")) {
		size_t n = strcspn(at, ": ");
		if (n == length && memcmp(at, path, n) == 0)
			return true;
		at += n;
	}
	return false;
}

/* Duplicates of captured files under other numbers: after exec nobody could tell them from files that
 * merely are the same terminal. */
static void list_duplicates(char entry[FDS_ENTRY])
{
	struct text t = text_in(entry, FDS_ENTRY);
	bool borrows = thread_borrows(), any = false;

	text_str(&t, "HARK_FDS=");
	for (int fd = 0; fd < 64; fd++) {
		unsigned state = atomic_load(&shim.fds[fd]);
		bool marked = capture_is(state) && state < FD_CAPTURED_PATH;
		bool same_number = false;
		if (borrows && shim_thread.borrowed_fds >> fd & 1) {
			marked = true;
			state = FD_CAPTURED;
		}
		if (!marked)
			continue;
		unsigned which = state - FD_CAPTURED;
		for (unsigned i = 0; i < shim.chosen_count; i++)
			same_number = same_number || shim.chosen[i].fd == fd;
		if (same_number || !capture_still(fd, state))
			continue;
		if (any)
			text_char(&t, ',');
		text_u64(&t, (uint64_t)fd);
		text_char(&t, ':');
		text_u64(&t, which);
		any = true;
	}
	text_cstr(&t);
	if (!any || t.cut)
		entry[0] = 0;
}

static bool hears(void)
{
	return atomic_load(&shim.stage) == SHIM_LISTENING;
}

/* Where session or shim cannot be opened any more. Behind a filter they could be, but our first steps
 * in the new program are system calls that may be its end. */
static bool out_of_reach(void)
{
	char control[sizeof shim.session_entry + 16];
	struct text t = text_in(control, sizeof control);

	if (shim.sandboxed)
		return true;
	text_str(&t, shim.session_entry + strlen("HARK_SESSION="));
	text_str(&t, "/control");
	text_cstr(&t);
	return sysio_call(SYS_faccessat, AT_FDCWD, (long)shim.preload, R_OK, 0, 0, 0) != 0 ||
	       sysio_call(SYS_faccessat, AT_FDCWD, (long)control, R_OK | W_OK, 0, 0, 0) != 0;
}

/* As much of a string as is looked at. What the kernel would not read is left to it: EFAULT. */
static bool sound(const char *entry)
{
	enum { MOST = sizeof "HARK_DISABLE=1" };
	size_t readable = memory_readable(entry, MOST);

	return readable == MOST || memchr(entry, 0, readable);
}

/* Whether the environment has to be changed. */
static bool look(char *const *envp, bool foreign, struct carried *c)
{
	*c = (struct carried){ .foreign = foreign };
	if (!hears())
		return false;
	bool fds = false;
	for (; envp; c->count++) {
		if (memory_readable(&envp[c->count], sizeof *envp) < sizeof *envp)
			return false;
		const char *entry = envp[c->count];
		if (!entry)
			break;
		if (!sound(entry))
			return false;
		if (starts(entry, "LD_PRELOAD="))
			c->preload = entry + strlen("LD_PRELOAD=");
		else if (starts(entry, "HARK_SESSION="))
			c->session = strcmp(entry, shim.session_entry) == 0;
		else if (starts(entry, "HARK_FDS="))
			fds = true;
		else if (strcmp(entry, "HARK_DISABLE=1") == 0)
			c->disabled = true;
	}
	c->ours = c->preload && lists(c->preload, shim.preload);
	if (foreign)
		return c->ours;
	list_duplicates(c->fds);
	return !c->disabled && (!c->ours || !c->session || fds || c->fds[0]);
}

static size_t preload_bytes(const struct carried *c)
{
	size_t theirs = c->preload ? strlen(c->preload) : 0;
	return sizeof "LD_PRELOAD=" + strlen(shim.preload) + 1 + theirs;
}

/* Without us: what else is to be preloaded stays. */
static void fill_foreign(char *const *envp, const struct carried *c, char **to, char *preload,
			 size_t bytes)
{
	size_t n = 0;
	struct text t = text_in(preload, bytes);

	text_str(&t, "LD_PRELOAD=");
	size_t empty = t.len;
	for (const char *at = c->preload; *(at += strspn(at, ": "));) {
		size_t length = strcspn(at, ": ");
		if (length != strlen(shim.preload) || memcmp(at, shim.preload, length) != 0) {
			if (t.len > empty)
				text_char(&t, ':');
			text_bytes(&t, at, length);
		}
		at += length;
	}
	text_cstr(&t);
	for (size_t i = 0; i < c->count; i++)
		if (!starts(envp[i], "LD_PRELOAD="))
			to[n++] = envp[i];
	if (t.len > empty)
		to[n++] = preload;
	to[n] = NULL;
}

static void fill(char *const *envp, struct carried *c, char **to, char *preload, size_t bytes)
{
	size_t n = 0;

	if (c->foreign) {
		fill_foreign(envp, c, to, preload, bytes);
		return;
	}
	for (size_t i = 0; i < c->count; i++)
		if (!starts(envp[i], "LD_PRELOAD=") && !starts(envp[i], "HARK_SESSION=") &&
		    !starts(envp[i], "HARK_FDS="))
			to[n++] = envp[i];
	struct text t = text_in(preload, bytes);
	text_str(&t, "LD_PRELOAD=");
	if (!c->ours)
		text_str(&t, shim.preload);
	if (!c->ours && c->preload && *c->preload)
		text_char(&t, ':');
	if (c->preload)
		text_str(&t, c->preload);
	text_cstr(&t);
	to[n++] = preload;
	to[n++] = shim.session_entry;
	if (c->fds[0])
		to[n++] = c->fds;
	to[n] = NULL;
}

/* Tells the collector what is being started, which looks whether it can be heard. Not in our thread's
 * name: who has said nothing yet stays unknown, and a vfork child's memory is not its own. A full ring
 * is no reason to wait. */
static void announce(const char *path)
{
	enum { PATH_MOST = 255 };
	static const struct ring_policy at_once = { .overflow = RING_LOSE_NEWEST };
	struct record_info info = { .fd = 0xffff, .source = SOURCE_HARK, .kind = RECORD_IMAGE };
	struct ring_author author = { 0 };

	if (!shim_listening() || shim.sandboxed || shim.session.control->deep ||
	    atomic_load(&shim.session.control->state) != SESSION_LIVE)
		return;
	size_t readable = path ? memory_readable(path, PATH_MOST + 1) : 0;
	size_t length = readable ? strnlen(path, readable) : 0;
	if (length == 0 || length == readable)
		return;
	author.pid = (uint32_t)sysio_getpid();
	author.tid = (uint32_t)sysio_gettid();
	struct iovec part = { (void *)path, length };
	ring_append(&shim.session.ring, &author, &info, &part, 1, &at_once);
}

/* On the caller's stack, so a macro: alloca() belongs to the function that calls it. */
#define CARRY(path, envp, is_foreign)                                                             \
	char *const *const given = (envp);                                                        \
	struct carried carried;                                                                   \
	if (look((envp), hears() && (out_of_reach() || (is_foreign)), &carried)) {                \
		char **entries = alloca((carried.count + 4) * sizeof *entries);                   \
		size_t bytes = preload_bytes(&carried);                                           \
		char *preload = alloca(bytes);                                                    \
		fill((envp), &carried, entries, preload, bytes);                                  \
		(envp) = entries;                                                                 \
	}                                                                                         \
	int saved = errno;                                                                        \
	announce(path);                                                                           \
	hook_exec_settle();                                                                       \
	errno = saved

/* Where our entries are what makes it too long, it is started without them. */
#define CARRIED(failed, call)                                                                     \
	int result = (call);                                                                      \
	if (__builtin_expect((failed) == E2BIG && envp != given, 0)) {                            \
		envp = given;                                                                     \
		errno = saved;                                                                    \
		result = (call);                                                                  \
	}                                                                                         \
	return result
#define EXECUTED(call) CARRIED(result == 0 ? 0 : errno, call)
#define SPAWNED(call) CARRIED(result, call)

HOOKED int execve(const char *path, char *const argv[], char *const envp[])
{
	CARRY(path, envp, foreign_file(AT_FDCWD, path));
	EXECUTED(REAL(execve)(path, argv, envp));
}

HOOKED int execv(const char *path, char *const argv[])
{
	char *const *envp = environ;
	CARRY(path, envp, foreign_file(AT_FDCWD, path));
	EXECUTED(REAL(execve)(path, argv, envp));
}

HOOKED int execvpe(const char *file, char *const argv[], char *const envp[])
{
	CARRY(file, envp, foreign_command(file));
	EXECUTED(REAL(execvpe)(file, argv, envp));
}

HOOKED int execvp(const char *file, char *const argv[])
{
	char *const *envp = environ;
	CARRY(file, envp, foreign_command(file));
	EXECUTED(REAL(execvpe)(file, argv, envp));
}

HOOKED int fexecve(int fd, char *const argv[], char *const envp[])
{
	CARRY(NULL, envp, foreign_file(fd, ""));
	EXECUTED(REAL(fexecve)(fd, argv, envp));
}

HOOKED int execveat(int directory, const char *path, char *const argv[], char *const envp[],
		    int flags)
{
	CARRY(directory == AT_FDCWD ? path : NULL, envp, foreign_file(directory, path));
	EXECUTED(REAL(execveat)(directory, path, argv, envp, flags));
}

/* execl and its kin: the list becomes an array, the environment may stand behind it. */
static size_t count_list(va_list arguments)
{
	size_t count = 1;
	while (va_arg(arguments, const char *))
		count++;
	return count;
}

#define GATHER(first)                                                                             \
	va_list arguments;                                                                        \
	va_start(arguments, first);                                                               \
	size_t count = maybe_null(first) ? count_list(arguments) : 0;                             \
	va_end(arguments);                                                                        \
	char **argv = alloca((count + 1) * sizeof *argv);                                         \
	va_start(arguments, first);                                                               \
	argv[0] = (char *)(first);                                                                \
	for (size_t i = 1; i < count; i++)                                                        \
		argv[i] = va_arg(arguments, char *);                                              \
	argv[count] = NULL

HOOKED int execl(const char *path, const char *arg, ...)
{
	GATHER(arg);
	va_end(arguments);
	return execv(path, argv);
}

HOOKED int execlp(const char *file, const char *arg, ...)
{
	GATHER(arg);
	va_end(arguments);
	return execvp(file, argv);
}

HOOKED int execle(const char *path, const char *arg, ...)
{
	GATHER(arg);
	if (count)
		(void)va_arg(arguments, char *); /* the list's NULL */
	char *const *envp = va_arg(arguments, char *const *);
	va_end(arguments);
	return execve(path, argv, envp);
}

HOOKED int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
		       const posix_spawnattr_t *attributes, char *const argv[], char *const envp[])
{
	CARRY(path, envp, foreign_file(AT_FDCWD, path));
	SPAWNED(REAL(posix_spawn)(pid, path, actions, attributes, argv, envp));
}

HOOKED int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
			const posix_spawnattr_t *attributes, char *const argv[], char *const envp[])
{
	CARRY(file, envp, foreign_command(file));
	SPAWNED(REAL(posix_spawnp)(pid, file, actions, attributes, argv, envp));
}

/* ---- libc's own children, which get `environ` ---------------------------------------------------- */

/* Where the program has cleared it, a list of ours stands in its place for the moment; not where
 * other threads might meet it. In pages of its own: a handler may jump away, and leave it there. */
struct lent {
	size_t mapped;
	char **before;
	struct carried carried;
	char *entries[];
};

static struct lent *lend_environment(void)
{
	struct carried carried;

	/* Who joined no session has no memory to tell a borrower by. */
	if (!hears() || !libc_single_threaded() || thread_borrows() ||
	    !look(environ, out_of_reach(), &carried))
		return NULL;
	size_t list = (carried.count + 4) * sizeof(char *), text = preload_bytes(&carried);
	size_t mapped = sizeof(struct lent) + list + text;
	struct lent *lent =
		sysio_map(mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (sysio_is_error(lent))
		return NULL;
	lent->mapped = mapped;
	lent->before = environ;
	lent->carried = carried;
	fill(environ, &lent->carried, lent->entries, (char *)lent->entries + list, text);
	environ = lent->entries;
	return lent;
}

static void take_back(struct lent *lent)
{
	if (!lent)
		return;
	if (environ == lent->entries)
		environ = lent->before;
	sysio_unmap(lent, lent->mapped);
}

HOOKED int system(const char *command)
{
	struct lent *lent = maybe_null(command) ? lend_environment() : NULL;
	int status = REAL(system)(command);
	take_back(lent);
	return status;
}

HOOKED FILE *popen(const char *command, const char *mode)
{
	struct lent *lent = lend_environment();
	FILE *stream = REAL(popen)(command, mode);
	take_back(lent);
	if (stream)
		capture_created(stream->_fileno);
	return stream;
}
