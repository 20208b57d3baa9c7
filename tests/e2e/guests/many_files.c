/* many_files.c - a stack through as many files as it has arguments, copies of one library, in the
 * innermost of which it burns time. Says "ready" before, ends with its standard input.
 * The library: this file, with LIBRARY. */
#include <dlfcn.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

typedef void (*step_function)(void *const *steps, int count);

#ifdef LIBRARY
void step(void *const *steps, int count)
{
	struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };

	if (count)
		((step_function)steps[count - 1])(steps, count - 1);
	while (!count && poll(&in, 1, 0) == 0)
		for (volatile int i = 0; i < 100000; i++)
			;
	__asm__ volatile("");
}
#else
int main(int argc, char **argv)
{
	static void *steps[4096];

	for (int i = 1; i < argc && i < 4096; i++) {
		void *library = dlopen(argv[i], RTLD_NOW | RTLD_LOCAL);
		steps[i - 1] = library ? dlsym(library, "step") : NULL;
		if (!steps[i - 1]) {
			fprintf(stderr, "%s\n", dlerror());
			return 1;
		}
	}
	puts("ready");
	fflush(stdout);
	((step_function)steps[argc - 2])(steps, argc - 2);
	return 0;
}
#endif
