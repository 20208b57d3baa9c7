/*
 * long.c - one long text in one call: `long WAY BYTES`, after a byte on stdin. Run by test_inside.py.
 *
 * The text is the alphabet again and again, so that a piece that is missing or twice shows.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <syslog.h>
#include <unistd.h>

enum { PARTS = 40 };

int main(int argc, char **argv)
{
	size_t bytes = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
	char *text = malloc(bytes + 1), go;
	struct iovec parts[PARTS];

	if (argc < 3 || !text || read(0, &go, 1) < 0)
		return 99;
	for (size_t i = 0; i < bytes; i++)
		text[i] = (char)('a' + i % 26);
	text[bytes] = '\0';
	if (strcmp(argv[1], "write") == 0)
		return write(2, text, bytes) == (ssize_t)bytes ? 0 : 1;
	if (strcmp(argv[1], "fprintf") == 0)
		return fprintf(stderr, "%s", text) == (int)bytes ? 0 : 1;
	if (strcmp(argv[1], "syslog") == 0) {
		openlog("long", 0, LOG_DAEMON);
		syslog(LOG_NOTICE, "%s", text);
		return 0;
	}
	for (size_t i = 0; i < PARTS; i++)
		parts[i] = (struct iovec){ text + bytes / PARTS * i, bytes / PARTS };
	return writev(2, parts, PARTS) == (ssize_t)(bytes / PARTS * PARTS) ? 0 : 1;
}
