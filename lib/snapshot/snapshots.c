/*
 * snapshots.c - see snapshots.h.
 */
#include "lib/snapshot/snapshots.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/parse.h"
#include "lib/snapshot/snapshot.h"
#include "lib/stamp/trace.h"

/* That messages have made. */
struct made {
	uint32_t *numbers;
	size_t count;
};

static DIR *list_of(int trace, const char *name)
{
	int fd = openat(trace, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *list = fd < 0 ? NULL : fdopendir(fd);

	if (!list && fd >= 0)
		close(fd);
	return list;
}

void snapshots_remove(int trace, const char *name)
{
	DIR *list = list_of(trace, name);

	if (!list)
		return;
	for (struct dirent *entry; (entry = readdir(list));)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			unlinkat(dirfd(list), entry->d_name, 0);
	closedir(list);
	unlinkat(trace, name, AT_REMOVEDIR);
}

static bool number_in(const char *name, uint32_t *number)
{
	const size_t prefix = strlen(SNAPSHOT_NAME);
	uint64_t value;

	if (strncmp(name, SNAPSHOT_NAME, prefix) != 0 ||
	    parse_u64(name + prefix, 1, UINT32_MAX - 1, &value) != 0)
		return false;
	*number = (uint32_t)value;
	return true;
}

/* The number of the message that made it; 0: none did. */
static uint64_t message_of(int trace, uint32_t number)
{
	char path[64], line[4096];
	uint64_t seq = 0;

	snprintf(path, sizeof path, SNAPSHOT_NAME "%u/" TRACE_IDENTITY, number);
	int fd = openat(trace, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
	if (!file) {
		if (fd >= 0)
			close(fd);
		return 0;
	}
	while (fgets(line, sizeof line, file)) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "seq=", 4) == 0 &&
		    parse_u64(line + 4, 1, UINT64_MAX, &seq) != 0)
			seq = 0;
	}
	fclose(file);
	return seq;
}

int snapshots_next(int trace, uint64_t seq, uint32_t *number)
{
	DIR *list = list_of(trace, ".");
	uint32_t highest = 0, found;
	int rc = 0;

	if (!list)
		return -errno;
	for (struct dirent *entry; rc == 0 && (entry = readdir(list));) {
		if (!number_in(entry->d_name, &found))
			continue;
		if (found > highest)
			highest = found;
		if (seq && message_of(trace, found) == seq)
			rc = -EEXIST;
	}
	closedir(list);
	*number = highest + 1;
	return rc;
}

static int by_number(const void *left, const void *right)
{
	const uint32_t *a = left, *b = right;

	return *a < *b ? -1 : *a > *b;
}

static void find(int trace, struct made *made)
{
	DIR *list = list_of(trace, ".");
	uint32_t number;

	for (struct dirent *entry; list && (entry = readdir(list));) {
		if (!number_in(entry->d_name, &number) || !message_of(trace, number))
			continue;
		uint32_t *numbers =
			reallocarray(made->numbers, made->count + 1, sizeof *numbers);
		if (!numbers)
			break;
		made->numbers = numbers;
		numbers[made->count++] = number;
	}
	if (list)
		closedir(list);
	if (made->count)
		qsort(made->numbers, made->count, sizeof *made->numbers, by_number);
}

/* What came first is often the cause of the rest. */
void snapshots_prune(int trace, uint32_t keep)
{
	struct made made = { .numbers = NULL };
	char name[32];

	find(trace, &made);
	size_t surplus = made.count > keep ? made.count - keep : 0;
	for (size_t i = keep > 1; surplus > 0 && i + 1 < made.count; i++, surplus--) {
		snprintf(name, sizeof name, SNAPSHOT_NAME "%u", made.numbers[i]);
		snapshots_remove(trace, name);
	}
	free(made.numbers);
}
