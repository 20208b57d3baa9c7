/*
 * title.c - see title.h.
 *
 * The kernel is told another place of the arguments. Writing over them where they are would do only as
 * long as the new ones are no longer.
 */
#include "lib/collect/title.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "lib/base/text.h"

/* Fields of /proc/PID/stat, as proc(5) counts them. */
enum {
	STATE = 3,
	START_CODE = 26, END_CODE, START_STACK,
	START_DATA = 45, END_DATA, START_BRK, ARG_START, ARG_END, ENV_START, ENV_END,
	FIELDS,
};

static int read_fields(uint64_t fields[FIELDS])
{
	char text[1024];

	int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ssize_t n = read(fd, text, sizeof text - 1);
	close(fd);
	text[n > 0 ? n : 0] = 0;
	char *at = strrchr(text, ')'); /* the name may hold anything */
	if (!at || strtol(text, NULL, 10) != getpid())
		return -ENOENT;
	at += 2 + 1; /* the state is a letter */
	for (int i = STATE + 1; i < FIELDS; i++) {
		char *end;
		fields[i] = strtoull(at, &end, 10);
		if (end == at)
			return -EINVAL;
		at = end;
	}
	return 0;
}

int title_set(const char *const *argv)
{
	static char title[1024];
	char line[sizeof title];
	struct text t = text_in(line, sizeof line);
	uint64_t f[FIELDS];

	for (; *argv; argv++)
		text_bytes(&t, *argv, strlen(*argv) + 1);
	if (t.cut)
		return -ENAMETOOLONG;
	int error = read_fields(f);
	if (error)
		return error;
	memcpy(title, line, t.len);
	struct prctl_mm_map map = {
		.start_code = f[START_CODE], .end_code = f[END_CODE],
		.start_data = f[START_DATA], .end_data = f[END_DATA],
		.start_brk = f[START_BRK], .brk = (uintptr_t)sbrk(0),
		.start_stack = f[START_STACK],
		.arg_start = (uintptr_t)title, .arg_end = (uintptr_t)title + t.len,
		.env_start = f[ENV_START], .env_end = f[ENV_END],
		.exe_fd = UINT32_MAX, /* as it is */
	};
	return prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof map, 0) == 0 ? 0 : -errno;
}
