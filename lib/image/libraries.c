/*
 * libraries.c - see libraries.h. Called by `hark inspect`. What the files say of each other may be
 * hostile: paths are bounded, a library is taken once, and one that cannot be read is missing.
 */
#include "lib/image/libraries.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/text.h"
#include "lib/image/libraries_cache.h"

enum { DIRS_MOST = 64 };

#if defined(__x86_64__)
#define MULTIARCH "x86_64-linux-gnu"
#define PLATFORM  "x86_64"
#elif defined(__aarch64__)
#define MULTIARCH "aarch64-linux-gnu"
#define PLATFORM  "aarch64"
#endif
#define DEFAULT_DIRS                                                                                 \
	"/lib/" MULTIARCH ":/usr/lib/" MULTIARCH ":/lib64:/usr/lib64:/lib:/usr/lib"

struct libraries {
	struct library *all;
	char *library_path;      /* NULL: none */
	struct libraries_cache cache;
	char *missing;
};

/* One file and who needs it, up to the program. */
struct needing {
	const struct binary *binary;
	const char *path;
	const struct needing *by;
};

struct search {
	struct libraries *libraries;
	struct libraries_needed *needed;
	struct needing line[LIBRARIES_MOST + 1]; /* the program, then as needed->all */
	char path[PATH_MAX];     /* where it was found */
};

/* ---- one file ---------------------------------------------------------------------------------- */

static bool of_libc(const struct binary *b)
{
	static const char *const parts[] = {
		"libc.so.6", "ld-linux", "libpthread.so.0", "libm.so.6", "libdl.so.2", "librt.so.1",
		"libresolv.so.2", "libutil.so.1", "libanl.so.1", "libnss_", "libnsl.so.1",
		"libthread_db.so.1", "libmvec.so.1", "libBrokenLocale.so.1",
	};

	for (size_t i = 0; b->soname && i < sizeof parts / sizeof *parts; i++)
		if (strncmp(b->soname, parts[i], strlen(parts[i])) == 0)
			return true;
	return false;
}

/* Read before, or now. NULL: it is none of this machine. */
static const struct library *read_library(struct libraries *l, const char *path)
{
	char real[PATH_MAX], why[PATH_MAX + 128];

	if (!realpath(path, real))
		return NULL;
	for (struct library *one = l->all; one; one = one->next)
		if (strcmp(one->path, real) == 0)
			return one;
	struct library *one = calloc(1, sizeof *one);
	if (!one)
		return NULL;
	if (binary_read(&one->binary, real, BINARY_LIBRARY, why, sizeof why) != 0) {
		free(one);
		return NULL;
	}
	one->path = strdup(real);
	if (!one->path || !elf_facts_native(&one->binary.elf)) {
		binary_fini(&one->binary);
		free(one->path);
		free(one);
		return NULL;
	}
	one->libc = of_libc(&one->binary);
	one->next = l->all;
	l->all = one;
	return one;
}

/* ---- folders ----------------------------------------------------------------------------------- */

/* How long "$NAME" or "${NAME}" is, that stands there; 0: something else does. */
static size_t token(const char *at, size_t rest, const char *name)
{
	size_t length = strlen(name);

	if (rest > length && strncmp(at + 1, name, length) == 0)
		return length + 1;
	if (rest > length + 2 && at[1] == '{' && strncmp(at + 2, name, length) == 0 &&
	    at[length + 2] == '}')
		return length + 3;
	return 0;
}

static void expand(struct text *to, const char *dir, size_t length, const char *origin)
{
	const char *slash = strrchr(origin, '/');

	for (size_t i = 0, n; i < length; i += n) {
		n = 1;
		if (dir[i] != '$')
			text_char(to, dir[i]);
		else if ((n = token(dir + i, length - i, "ORIGIN")))
			text_bytes(to, slash ? origin : ".", slash ? (size_t)(slash - origin) : 1);
		else if ((n = token(dir + i, length - i, "LIB")))
			text_str(to, "lib/" MULTIARCH);
		else if ((n = token(dir + i, length - i, "PLATFORM")))
			text_str(to, PLATFORM);
		else
			text_bytes(to, dir + i, n = 1);
	}
}

static const struct library *in_dirs(struct search *s, const char *dirs, const char *name,
				     const char *origin)
{
	for (unsigned i = 0; dirs && i < DIRS_MOST; i++) {
		size_t length = strcspn(dirs, ":;");
		struct text path = text_in(s->path, sizeof s->path);
		expand(&path, dirs, length, origin);
		if (!length)
			text_char(&path, '.');
		text_char(&path, '/');
		text_str(&path, name);
		if (!path.cut && access(text_cstr(&path), F_OK) == 0) {
			const struct library *found = read_library(s->libraries, s->path);
			if (found)
				return found;
		}
		if (!dirs[length])
			break;
		dirs += length + 1;
	}
	return NULL;
}

static const struct library *in_cache(struct search *s, const char *name)
{
	const char *path;

	for (size_t at = 0; (path = libraries_cache_next(&s->libraries->cache, name, &at));) {
		const struct library *found = read_library(s->libraries, path);
		if (found)
			return found;
	}
	return NULL;
}

static const struct library *look_for(struct search *s, const struct needing *who, const char *name)
{
	const struct library *found = NULL;

	if (strchr(name, '/')) {
		struct text path = text_in(s->path, sizeof s->path);
		expand(&path, name, strlen(name), who->path);
		return path.cut ? NULL : read_library(s->libraries, text_cstr(&path));
	}
	if (!who->binary->runpath)
		for (const struct needing *up = who; up && !found; up = up->by)
			found = up->binary->runpath
					? NULL
					: in_dirs(s, up->binary->rpath, name, up->path);
	if (!found && s->libraries->library_path)
		found = in_dirs(s, s->libraries->library_path, name, s->line[0].path);
	if (!found)
		found = in_dirs(s, who->binary->runpath, name, who->path);
	if (!found)
		found = in_cache(s, name);
	return found ? found : in_dirs(s, DEFAULT_DIRS, name, "/");
}

/* ---- all of them ------------------------------------------------------------------------------- */

static bool have(const struct search *s, const char *name)
{
	for (size_t i = 0; i < s->needed->count; i++) {
		const char *soname = s->needed->all[i]->binary.soname;
		if (soname && strcmp(soname, name) == 0)
			return true;
	}
	return false;
}

static int take(struct search *s, const struct needing *who, const char *name)
{
	struct libraries_needed *n = s->needed;

	if (have(s, name) || n->count == LIBRARIES_MOST)
		return 0;
	const struct library *found = look_for(s, who, name);
	if (!found) {
		if (n->missing)
			return 0;
		free(s->libraries->missing);
		n->missing = s->libraries->missing = strdup(name);
		n->missed_by = who->path;
		return n->missing ? 0 : -ENOMEM;
	}
	for (size_t i = 0; i < n->count; i++)
		if (n->all[i] == found)
			return 0;
	n->all[n->count++] = found;
	s->line[n->count] = (struct needing){ &found->binary, found->path, who };
	return 0;
}

int libraries_find(struct libraries *libraries, struct libraries_needed *needed,
		   const struct binary *program, const char *path)
{
	struct search *s = malloc(sizeof *s);
	int error = 0;

	*needed = (struct libraries_needed){ .count = 0 };
	if (!s)
		return -ENOMEM;
	s->libraries = libraries;
	s->needed = needed;
	s->line[0] = (struct needing){ program, path, NULL };
	/* breadth first, as the loader: the row grows while it is walked along */
	for (size_t at = 0; at <= needed->count && !error; at++)
		for (char **name = s->line[at].binary->needed; name && *name && !error; name++)
			error = take(s, &s->line[at], *name);
	if (needed->missed_by == path)
		needed->missed_by = NULL; /* the program itself */
	free(s);
	return error;
}

struct libraries *libraries_open(const char *library_path)
{
	struct libraries *l = calloc(1, sizeof *l);

	if (!l)
		return NULL;
	if (library_path && *library_path && !(l->library_path = strdup(library_path))) {
		free(l);
		return NULL;
	}
	libraries_cache_open(&l->cache, LIBRARIES_CACHE);
	return l;
}

void libraries_close(struct libraries *l)
{
	while (l->all) {
		struct library *next = l->all->next;
		binary_fini(&l->all->binary);
		free(l->all->path);
		free(l->all);
		l->all = next;
	}
	libraries_cache_close(&l->cache);
	free(l->library_path);
	free(l->missing);
	free(l);
}
