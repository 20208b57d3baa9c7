/*
 * replay.c - goes through kept inputs with a fuzz target, without a fuzzer.
 *
 * Linked to each target as replay_TARGET, which `make check` runs: all of tests/fuzz/corpus/TARGET,
 * or, to look at one crash again, the files named as arguments.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);
__attribute__((weak)) int LLVMFuzzerInitialize(int *argc, char ***argv);

static int replay_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	struct stat st;
	if (!file || fstat(fileno(file), &st) < 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return -1;
	}
	/* exactly as long as the input, so that the sanitizer sees a read past its end */
	size_t count = (size_t)st.st_size;
	uint8_t *bytes = malloc(count);
	int complete = !count || (bytes && fread(bytes, count, 1, file) == 1);
	fclose(file);
	if (complete) {
		fprintf(stderr, "%s\n", path); /* the last one named is the one that crashed */
		LLVMFuzzerTestOneInput(bytes, count);
	}
	free(bytes);
	return complete ? 0 : -1;
}

static int replay_folder(const char *folder)
{
	struct dirent **entries;
	int count = scandir(folder, &entries, NULL, alphasort);
	int replayed = 0;
	for (int i = 0; i < count; i++) {
		char path[1024];
		snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
		if (entries[i]->d_name[0] != '.' && replayed >= 0)
			replayed = replay_file(path) ? -1 : replayed + 1;
		free(entries[i]);
	}
	if (count >= 0)
		free(entries);
	return replayed;
}

int main(int argc, char **argv)
{
	if (LLVMFuzzerInitialize)
		LLVMFuzzerInitialize(&argc, &argv);
	for (int i = 1; i < argc; i++) {
		if (replay_file(argv[i]))
			return 1;
	}
	if (argc > 1)
		return 0;

	const char *target = strstr(argv[0], "replay_");
	char folder[512];
	target = target ? target + strlen("replay_") : "";
	snprintf(folder, sizeof folder, "tests/fuzz/corpus/%s", target);
	int replayed = replay_folder(folder);
	if (!replayed)
		puts("1..0 # skip no inputs are kept for this target");
	else if (replayed > 0)
		printf("1..1\nok 1 - %d inputs of %s\n", replayed, folder);
	return replayed < 0;
}
