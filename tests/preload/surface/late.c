/*
 * late.c - text before main and after it: constructors, atexit, destructors, the last flush.
 *
 * The library that it is linked with (late_library.c) obeys LATE_CASE, hence each such case runs
 * itself again with that variable set; the process stays the same.
 */
#include "tests/preload/case.h"

#include <dlfcn.h>

extern void library_speak(const char *text) __attribute__((weak)); /* in late_library.c */

static char *own_path(void)
{
	static char path[512];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	if (n <= 0)
		give_up("readlink");
	path[n] = '\0';
	return path;
}

/* Sets the variable that libraries and constructors look at, and begins again. */
static int again(const char *what)
{
	if (getenv("LATE_CASE"))
		return 0;
	setenv("LATE_CASE", what, 1);
	execv(own_path(), case_argv);
	give_up("execv");
}

static int chosen(const char *what)
{
	const char *value = getenv("LATE_CASE");

	return value && strcmp(value, what) == 0;
}

static void preinit(int argc, char **argv, char **envp)
{
	(void)argc;
	(void)argv;
	for (; *envp; envp++)
		if (strcmp(*envp, "LATE_CASE=preinit") == 0 && write(2, "preinit\n", 8) < 0)
			abort();
}

typedef void preinit_function(int argc, char **argv, char **envp);

__attribute__((section(".preinit_array"), used)) static preinit_function *preinit_entry = preinit;

__attribute__((constructor)) static void begin(void)
{
	if (chosen("own_beginning"))
		fprintf(stderr, "the program's own first words\n");
}

__attribute__((destructor)) static void end(void)
{
	if (chosen("own_ending")) {
		fprintf(stderr, "the program's own last words\n");
		dprintf(2, "and by dprintf\n");
	}
}

static void say_preinit(void) { again("preinit"); }
static void say_constructor(void) { if (!again("own_beginning")) fprintf(stderr, "main\n"); }
static void say_destructor(void) { if (!again("own_ending")) fprintf(stderr, "main\n"); }

static void say_library(void)
{
	library_speak("hello");
}

static void say_library_constructor(void)
{
	if (!again("constructor"))
		fprintf(stderr, "main\n");
}

static void say_library_destructor(void)
{
	if (!again("destructor_stdio"))
		fprintf(stderr, "main\n");
}

static void say_library_destructor_write(void)
{
	if (!again("destructor_write"))
		fprintf(stderr, "main\n");
}

static void say_library_destructor_syslog(void)
{
	if (again("destructor_syslog"))
		return;
	fprintf(stderr, "main\n");
	expect_syslog("error", "user", "late", "a library's destructor by syslog");
}

/* Loaded and unloaded while main runs. */
static void say_dlopen(void)
{
	char path[600];

	if (again("constructor destructor_stdio destructor_write"))
		return;
	snprintf(path, sizeof(path), "%s.plugin.so", own_path());
	void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!handle)
		give_up(dlerror());
	void (*speak)(const char *);
	*(void **)&speak = dlsym(handle, "library_speak");
	speak("that it was loaded");
	state("dlclose %d", dlclose(handle));
	fprintf(stderr, "main\n");
}

static void say_dlopen_deep(void)
{
	char path[600];

	snprintf(path, sizeof(path), "%s.plugin.so", own_path());
	void *handle = dlopen(path, RTLD_NOW | RTLD_DEEPBIND);
	if (!handle)
		give_up(dlerror());
	void (*speak)(const char *);
	*(void **)&speak = dlsym(handle, "library_speak");
	speak("with bindings of its own");
}

/* A second libc, in a namespace where nothing of ours is. */
static void say_dlmopen(void)
{
	void *handle = dlmopen(LM_ID_NEWLM, "libc.so.6", RTLD_NOW | RTLD_LOCAL);
	if (!handle)
		give_up(dlerror());
	ssize_t (*writes)(int, const void *, size_t);
	int (*prints)(int, const char *, ...);
	*(void **)&writes = dlsym(handle, "write");
	*(void **)&prints = dlsym(handle, "dprintf");
	fprintf(stderr, "by the first libc\n");
	state("write %zd", writes(2, "by the second libc\n", 19));
	state("dprintf %d", prints(2, "%s\n", "by its stdio"));
	fprintf(stderr, "by the first again\n");
}

static void first(void) { fprintf(stderr, "registered first, said last\n"); }
static void second(void) { dprintf(2, "registered second\n"); }
static void third(int status, void *text) { fprintf(stderr, "%s %d\n", (char *)text, status); }

static void say_atexit(void)
{
	atexit(first);
	atexit(second);
	on_exit(third, (void *)"on_exit with status");
	fprintf(stderr, "main\n");
	exit(17);
}

static void leaves(void)
{
	fprintf(stderr, "the rest is cut short\n");
	_exit(18);
}

static void say_atexit_leaves(void)
{
	atexit(first);
	atexit(leaves);
	fprintf(stderr, "main\n");
}

static void say_last_flush(void)
{
	setvbuf(stderr, NULL, _IOFBF, 65536);
	fprintf(stderr, "written out by exit itself, after all destructors\n");
}

static void say_last_flush_duplicate(void)
{
	FILE *stream = fdopen(dup(2), "w");

	setvbuf(stream, NULL, _IOFBF, 4096); /* a terminal's would be line buffered */
	fprintf(stream, "a stream nobody closes\n");
	fprintf(stderr, "main\n");
}

static void say_closed_early(void)
{
	fprintf(stderr, "main\n");
	fclose(stderr);
	atexit(first);
}

static const struct test_case cases[] = {
	CASE(preinit, "either"),
	CASE(constructor, ""),
	CASE(destructor, ""),
	CASE(library, ""),
	CASE(library_constructor, "either"),
	CASE(library_destructor, "late"),
	CASE(library_destructor_write, "late"),
	CASE(library_destructor_syslog, "late"),
	CASE(dlopen, "either late"),
	CASE(dlopen_deep, ""),
	CASE(dlmopen, "either"),
	CASE(atexit, ""),
	CASE(atexit_leaves, "late"),
	CASE(last_flush, ""),
	CASE(last_flush_duplicate, ""),
	CASE(closed_early, ""),
};

CASES_MAIN(cases)
