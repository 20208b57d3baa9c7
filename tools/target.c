/*
 * target.c - see target.h. Called by `hark run` before anything is made; must never execute or
 * change what it looks at, and takes nothing in it for granted.
 */
#include "tools/target.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	HEAD_BYTES = 256,  /* as much of a script's first line as the kernel looks at */
	WORDS_MOST = 32,
};

static int executable(const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EACCES;
	return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0 ? 0 : -errno;
}

int target_find(const char *name, char path[PATH_MAX])
{
	const char *list = getenv("PATH");
	int result = -ENOENT;

	if (!*name)
		return -ENOENT;
	if (strchr(name, '/')) {
		if (snprintf(path, PATH_MAX, "%s", name) >= PATH_MAX)
			return -ENAMETOOLONG;
		return executable(path);
	}
	if (!list)
		list = "/bin:/usr/bin"; /* execvp(3)'s, confstr(_CS_PATH) */
	for (;;) {
		size_t length = strcspn(list, ":");
		int n = snprintf(path, PATH_MAX, "%.*s%s%s", (int)length, list, length ? "/" : "",
				 name);
		int error = n < PATH_MAX ? executable(path) : -ENAMETOOLONG;
		if (!error)
			return 0;
		if (error == -EACCES)
			result = error;
		if (!list[length])
			return result;
		list += length + 1;
	}
}

/* ---- scripts ----------------------------------------------------------------------------------- */

/* What `env ARGUMENT` would execute: the word behind its options and assignments. */
static const char *env_program(char *argument)
{
	char *rest = argument;
	bool skip = false;

	if (strncmp(rest, "-S", 2) != 0 && strncmp(rest, "-vS", 3) != 0 &&
	    strncmp(rest, "--split-string", 14) != 0)
		return *rest == '-' || strchr(rest, '=') ? NULL
							 : rest; /* the kernel makes it one word */
	if (strncmp(rest, "--split-string=", 15) == 0)
		rest += 15;
	else
		rest += rest[1] == '-' ? 14 : rest[1] == 'v' ? 3 : 2;
	for (char *word; (word = strsep(&rest, " \t"));) {
		bool taken = skip;
		skip = strcmp(word, "-u") == 0 || strcmp(word, "-C") == 0;
		if (*word && *word != '-' && !taken && !strchr(word, '='))
			return word;
	}
	return NULL;
}

/* Puts the interpreter that a first line names into `subject`. 0; -ENOEXEC where it names none. */
static int interpreter_of(char *line, char subject[PATH_MAX])
{
	char *name = line + 2 + strspn(line + 2, " \t");
	char *end = name + strcspn(name, " \t");
	char *argument = end + strspn(end, " \t");
	char found[PATH_MAX];

	*end = '\0';
	for (size_t n = strlen(argument); n && strchr(" \t\r", argument[n - 1]);)
		argument[--n] = '\0';
	if (!*name)
		return -ENOEXEC;
	const char *base = strrchr(name, '/');
	const char *program = strcmp(base ? base + 1 : name, "env") == 0 && *argument
				      ? env_program(argument)
				      : NULL;
	/* What env does not find is env's to complain about. */
	if (program && target_find(program, found) == 0)
		strcpy(subject, found);
	else
		snprintf(subject, PATH_MAX, "%s", name);
	return 0;
}

/* ---- the program ------------------------------------------------------------------------------- */

static int judge_elf(struct target *t, const struct elf_facts *facts, char *why, size_t why_bytes)
{
	if (facts->interpreter[0] && access(facts->interpreter, F_OK) != 0) {
		snprintf(why, why_bytes, "%s needs the loader %s, which is not there", t->subject,
			 facts->interpreter);
		return -ENOENT;
	}
	t->capture = verdict_capture(facts, t->subject);
	return 0;
}

/* One file. 1: it is a script, and `subject` names its interpreter now. */
static int look_at(struct target *t, char *why, size_t why_bytes)
{
	struct elf_facts facts;
	char head[HEAD_BYTES + 1];

	int fd = open(t->subject, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0) {
		t->capture = verdict_capture(NULL, t->subject);
		return 0;
	}
	int error = elf_facts_read(&facts, fd);
	ssize_t n = error == -ENOEXEC ? pread(fd, head, HEAD_BYTES, 0) : 0;
	close(fd);
	if (!error)
		return judge_elf(t, &facts, why, why_bytes);
	if (error == -EINVAL) {
		snprintf(why, why_bytes, "%s is a damaged ELF file", t->subject);
		return -ENOEXEC;
	}
	head[n > 0 ? n : 0] = '\0';
	strcpy(t->scripts[t->script_count++], t->subject);
	if (strncmp(head, "#!", 2) == 0) {
		head[strcspn(head, "\n")] = '\0';
		if (interpreter_of(head, t->subject) == 0)
			return 1;
	}
	/* No format that we know: the kernel may know more (binfmt_misc), or execvp(3) takes it for a
	 * shell script. */
	strcpy(t->subject, "/bin/sh");
	return 1;
}

int target_look(struct target *t, char *why, size_t why_bytes)
{
	strcpy(t->subject, t->path);
	t->script_count = 0;
	while (t->script_count < TARGET_SCRIPTS) {
		int result = look_at(t, why, why_bytes);
		if (result <= 0)
			return result;
		int error = executable(t->subject);
		if (error) {
			snprintf(why, why_bytes, "%s is a script for %s: %s", t->path, t->subject,
				 strerror(-error));
			return error;
		}
	}
	snprintf(why, why_bytes, "%s is a script for a script, and so on", t->path);
	return -ELOOP;
}
