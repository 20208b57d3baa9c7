/*
 * loader.c - a program that loads the library ARG into a namespace of its own (`loader own LIB`), or
 * bound to its own dependencies first (`loader deep LIB`), and lets it speak.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	if (argc < 3)
		return 99;
	fputs("before\n", stderr);
	void *library = strcmp(argv[1], "own") == 0
				? dlmopen(LM_ID_NEWLM, argv[2], RTLD_NOW)
				: dlopen(argv[2], RTLD_NOW | RTLD_DEEPBIND);
	if (!library) {
		fprintf(stderr, "loader: %s\n", dlerror());
		return 98;
	}
	int (*speak)(void) = (int (*)(void))dlsym(library, "speak");
	int status = speak ? speak() : 97;
	fputs("after\n", stderr);
	return write(STDERR_FILENO, "by write\n", 9) == 9 ? status : 96;
}
