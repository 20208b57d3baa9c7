/*
 * fuzz_binary.c - a program as a stranger may have made it: header, dynamic section, relocations, code.
 *
 * A libFuzzer target. The input is the file. Beyond crashes it looks for counts that no file of this size
 * can have, for a refusal without a reason, and for a verdict without one.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/image/verdict.h"

enum { FILE_MOST = 1 << 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void insist(int holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "not so: %s\n", what);
	abort();
}

static void judge(const struct binary *b, const char *path)
{
	static const struct verdict_means means = { .calls = true, .samples = true };
	struct libraries *libraries = libraries_open("/nonexistent");
	struct libraries_needed *needed = calloc(1, sizeof *needed);
	struct verdict all[VERDICT_NR];

	insist(libraries && needed, "there is memory");
	insist(libraries_find(libraries, needed, b, path) == 0, "no lack of memory");
	verdict_all(all, b, path, needed, &means);
	for (unsigned i = 0; i < VERDICT_NR; i++)
		insist(all[i].why[0] != '\0', "each verdict has a reason");
	struct verdict cheap = verdict_capture(&b->elf, path);
	insist(cheap.answer == VERDICT_YES || all[VERDICT_CAPTURE].answer == VERDICT_NO,
	       "a closer look makes nobody hear");
	libraries_close(libraries);
	free(needed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct binary binary;
	char path[40], why[256] = "";
	int fd = size <= FILE_MOST ? memfd_create("program", MFD_CLOEXEC) : -1;

	if (fd < 0)
		return 0;
	insist(write(fd, data, size) == (ssize_t)size, "memory is not full");
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	int error = binary_read(&binary, path, BINARY_PROGRAM, why, sizeof why);
	if (error) {
		insist(strstr(why, path) != NULL, "a refusal says what is refused");
	} else {
		insist(binary.plt_slots <= size && binary.framed <= size &&
			       binary.syscalls.count <= 64 * size,
		       "counts are within reason");
		insist(binary.syscalls.writes + binary.syscalls.unknown <= binary.syscalls.count,
		       "parts are within the whole");
		judge(&binary, path);
		binary_fini(&binary);
	}
	close(fd);
	return 0;
}
