/*
 * data.c - see data.h. Called where a session is made (launch.c).
 */
#include "tools/data.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "lib/base/text.h"
#include "lib/session/place.h"
#include "lib/session/process.h"
#include "lib/snapshot/snapshots.h"
#include "lib/stamp/trace.h"

enum { ENDING_MS = 3000 };

static const char *const modes[] = { "off", "trace", "profile", "flight" };

/* ---- what is there already -------------------------------------------------------------------- */

static unsigned digit(char c)
{
	return c >= 'a' ? (unsigned)(c - 'a' + 10) : (unsigned)(c - '0');
}

/* In place: the result is never longer. */
static void unescape(char *text)
{
	char *to = text;

	for (const char *at = text; *at; at++)
		if (*at == '%' && at[1] && at[2]) {
			*to++ = (char)(digit(at[1]) << 4 | digit(at[2]));
			at += 2;
		} else {
			*to++ = *at;
		}
	*to = '\0';
}

/* The value of a key in the identity of the trace there: 0; -ENOENT: there is no trace. */
static int look_up(const char *path, const char *key, char *value, size_t bytes)
{
	char name[PATH_MAX], line[1024];
	size_t length = strlen(key);

	snprintf(name, sizeof name, "%s/" TRACE_IDENTITY, path);
	FILE *file = fopen(name, "re");
	if (!file)
		return -ENOENT;
	*value = '\0';
	bool trace = false;
	while (fgets(line, sizeof line, file)) {
		line[strcspn(line, "\n")] = '\0';
		trace = trace || strncmp(line, "hark-trace=", 11) == 0;
		if (strncmp(line, key, length) == 0 && line[length] == '=')
			unescape(line), snprintf(value, bytes, "%s", line + length + 1);
	}
	fclose(file);
	return trace ? 0 : -ENOENT;
}

void data_session(const char *path, char *dir, size_t bytes)
{
	if (look_up(path, "session", dir, bytes) != 0)
		*dir = '\0';
}

static bool is_empty(const char *path)
{
	DIR *dir = opendir(path);
	int count = 0;

	while (dir && readdir(dir))
		count++;
	if (dir)
		closedir(dir);
	return count <= 2;
}

/* Whether the session goes on. One whose program has ended will be at its own end in a moment. */
static bool live(const char *session, struct place_session *found)
{
	const struct timespec nap = { 0, 1000000 };

	for (int i = 0; i < ENDING_MS; i++) {
		if (!*session || place_read(session, found) != 0 || !found->alive)
			return false;
		if (process_start(found->control.first_pid) == found->control.first_start)
			return true;
		nanosleep(&nap, NULL);
	}
	return true;
}

bool data_live(const char *path, pid_t *pid, char *command, size_t bytes)
{
	static struct place_session found;
	char session[1024];

	data_session(path, session, sizeof session);
	if (!live(session, &found))
		return false;
	*pid = found.control.first_pid;
	snprintf(command, bytes, "%s", found.control.command);
	return true;
}

static bool only_trace(DIR *dir)
{
	int others = 0;

	rewinddir(dir);
	for (struct dirent *entry; (entry = readdir(dir));)
		others += strcmp(entry->d_name, "trace") != 0;
	return others <= 2;
}

/* The folders in a trace are its snapshots. What says that it is one goes last: should this be cut
 * off, the next one goes on. */
static int remove_trace(const char *path)
{
	DIR *dir = opendir(path);

	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	for (struct dirent *entry; (entry = readdir(dir));)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
		    strcmp(entry->d_name, "trace") != 0 &&
		    unlinkat(dirfd(dir), entry->d_name, 0) != 0 && errno == EISDIR)
			snapshots_remove(dirfd(dir), entry->d_name);
	if (only_trace(dir))
		unlinkat(dirfd(dir), "trace", 0);
	closedir(dir);
	return rmdir(path) == 0 ? 0 : -errno;
}

static int put_aside(const char *path, char *why, size_t why_bytes)
{
	static struct place_session writer;
	char session[1024], old[PATH_MAX];
	struct stat st;

	if (lstat(path, &st) != 0)
		return errno == ENOENT ? 0 : -errno;
	if (S_ISDIR(st.st_mode) && is_empty(path))
		return rmdir(path) == 0 ? 0 : -errno;
	int error = look_up(path, "session", session, sizeof session);
	snprintf(old, sizeof old, "%s.old", path);
	if (error) {
		snprintf(why, why_bytes,
			 "%s is there, and no trace; name another place with --data (HARK_DATA)",
			 path);
		return -EEXIST;
	}
	if (live(session, &writer)) {
		snprintf(why, why_bytes,
			 "%s is being written by a live session (`hark ps` shows it); name another "
			 "place with --data (HARK_DATA)",
			 path);
		return -EBUSY;
	}
	if (access(old, F_OK) == 0 && look_up(old, "session", session, sizeof session) == 0)
		error = remove_trace(old);
	if (!error && rename(path, old) != 0)
		error = -errno;
	if (error)
		snprintf(why, why_bytes, "%s cannot become %s: %s", path, old, strerror(-error));
	return error;
}

/* ---- what is made ----------------------------------------------------------------------------- */

static void escape(struct text *to, const char *from)
{
	static const char digits[] = "0123456789abcdef";

	for (; *from; from++) {
		unsigned char c = (unsigned char)*from;
		if (c > ' ' && c < 127 && !strchr("%?&#;", c)) {
			text_char(to, (char)c);
			continue;
		}
		text_char(to, '%');
		text_char(to, digits[c >> 4]);
		text_char(to, digits[c & 15]);
	}
}

static int absolute(const char *given, char path[DATA_PATH])
{
	struct text t = text_in(path, DATA_PATH);

	if (*given != '/') {
		if (!getcwd(path, DATA_PATH - 1))
			return -errno;
		t.len = strlen(path);
		text_char(&t, '/');
	}
	text_str(&t, given);
	while (t.len > 1 && t.at[t.len - 1] == '/')
		t.len--;
	text_cstr(&t);
	return t.cut ? -ENAMETOOLONG : 0;
}

int data_path(const struct config *config, char path[DATA_PATH], char *why, size_t why_bytes)
{
	int error = absolute(config->data, path);

	if (error)
		snprintf(why, why_bytes, "--data %s: %s", config->data, strerror(-error));
	return error;
}

int data_make(const char *path, char *why, size_t why_bytes)
{
	*why = '\0';
	int error = put_aside(path, why, why_bytes);
	if (!error && mkdir(path, 0700) != 0)
		error = -errno;
	if (error && !*why)
		snprintf(why, why_bytes, "%s cannot be made for the trace (--data): %s", path,
			 strerror(-error));
	return error;
}

int data_listen(struct config *config, const char *path)
{
	struct text t = text_in(config->sinks, sizeof config->sinks);

	t.len = strlen(config->sinks);
	text_str(&t, t.len ? " file:" : "file:");
	escape(&t, path);
	text_str(&t, "/" TRACE_MESSAGES "?format=trace");
	text_cstr(&t);
	return t.cut ? -E2BIG : 0;
}

static void put(FILE *file, const char *key, const char *value)
{
	char line[4096];
	struct text t = text_in(line, sizeof line);

	escape(&t, value);
	fprintf(file, "%s=%s\n", key, text_cstr(&t));
}

int data_identify(const char *path, const char *session_dir, const char *command, pid_t pid,
		  char *why, size_t why_bytes)
{
	static struct place_session session;
	char name[PATH_MAX];
	struct utsname system;

	snprintf(name, sizeof name, "%s/" TRACE_IDENTITY, path);
	int error = place_read(session_dir, &session);
	FILE *file = error ? NULL : fopen(name, "wxe");
	if (!error && !file)
		error = -errno;
	if (file) {
		const struct control *c = &session.control;
		uname(&system);
		fprintf(file, "hark-trace=%d\nmode=%s\ncounter=%u\n", TRACE_VERSION,
			modes[c->stamp & STAMP_MODE], c->clock.counter);
		fprintf(file, "ticks=%llu\nmonotonic_ns=%llu\nrealtime_ns=%lld\npid=%d\n",
			(unsigned long long)c->clock.ticks,
			(unsigned long long)c->clock.monotonic_ns, (long long)c->clock.realtime_ns,
			pid);
		put(file, "session", session_dir);
		put(file, "command", command);
		put(file, "directory", c->directory);
		put(file, "host", system.nodename);
		put(file, "machine", system.machine);
		put(file, "kernel", system.release);
		put(file, "hark", HARK_VERSION);
		if (fclose(file) != 0)
			error = -errno;
	}
	if (error)
		snprintf(why, why_bytes, "%s: %s", name, strerror(-error));
	return error;
}
