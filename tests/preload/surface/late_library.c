/*
 * late_library.c - a library that speaks when it is loaded and when it is unloaded.
 *
 * Linked by late.c and loaded by it again under another name. LATE_CASE chooses what it says.
 */
/* cc: -shared -fPIC */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

void library_speak(const char *text);

static int chosen(const char *what)
{
	const char *value = getenv("LATE_CASE");

	return value && strstr(value, what);
}

void library_speak(const char *text)
{
	fprintf(stderr, "the library says %s\n", text);
}

__attribute__((constructor)) static void loaded(void)
{
	if (chosen("constructor"))
		fprintf(stderr, "a library's constructor\n");
}

__attribute__((destructor)) static void unloaded(void)
{
	if (chosen("destructor_write") && write(2, "a library's destructor by write\n", 32) < 0)
		abort();
	if (chosen("destructor_stdio"))
		fprintf(stderr, "a library's destructor\n");
	if (chosen("destructor_syslog"))
		syslog(LOG_ERR, "a library's destructor by syslog");
}
