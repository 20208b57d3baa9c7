/*
 * cleared.c - clears its environment and starts commands by system() and popen(). Run by test_inside.py.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

extern char **environ;

int main(void)
{
	char line[256] = "nothing";

	clearenv();
	int status = system("echo by system >&2; exit 4");
	FILE *pipe = popen("echo by popen >&2; echo read", "r");
	if (!pipe || !fgets(line, sizeof line, pipe) || pclose(pipe) != 0)
		return 99;
	printf("%d %d %s%s\n", system(NULL), status >> 8, line,
	       environ && *environ ? "something" : "nothing");
	fflush(stdout);
	setenv("MINE", "1", 1);
	system("echo $MINE");
	return 0;
}
