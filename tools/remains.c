/*
 * remains.c - see remains.h. Called by `hark run`, which must not be held up by what others left, and
 * by `hark salvage`.
 */
#include "tools/remains.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/text.h"
#include "lib/collect/checkpoint.h"
#include "tools/cli.h"

struct search {
	uint64_t until_ns;    /* CLOCK_MONOTONIC */
	unsigned found;
	char command[256];    /* of the first one */
	int64_t said_ns;
};

bool remains_in(const struct place_session *session)
{
	return !session->alive && session->control.state != SESSION_ENDED;
}

int64_t remains_said_ns(const struct place_session *session)
{
	static struct checkpoint state;
	struct checkpoint_file file;
	char path[PLACE_PATH + 16];
	const void *lines;
	int64_t said = (int64_t)session->control.started_ns;

	snprintf(path, sizeof path, "%s/state", session->dir);
	/* checkpoint_open() would make one */
	if (access(path, F_OK) != 0 || checkpoint_open(&file, path) != 0)
		return said;
	if (checkpoint_load(&file, &state, &lines) && state.time_ns > said)
		said = state.time_ns;
	checkpoint_close(&file);
	return said;
}

void remains_time(char text[32], int64_t time_ns)
{
	time_t second = time_ns / 1000000000;
	struct tm tm;

	if (!localtime_r(&second, &tm) || !strftime(text, 32, "%Y-%m-%d %H:%M:%S", &tm))
		strcpy(text, "an unknown time");
}

/* Of several that start at once, one gets the word. */
static bool first_to_say(const char *dir)
{
	char path[PLACE_PATH + 16];

	snprintf(path, sizeof path, "%s/announced", dir);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* One that ended as it should, while we looked, has said so before its collector was gone. */
static bool still_remains(const char *dir)
{
	static struct place_session again;

	return place_read(dir, &again) == 0 && remains_in(&again);
}

static int look(void *arg, const struct place_session *session)
{
	struct search *search = arg;

	if (remains_in(session) && still_remains(session->dir) && first_to_say(session->dir) &&
	    search->found++ == 0) {
		strcpy(search->command, session->control.command);
		search->said_ns = remains_said_ns(session);
	}
	return clock_monotonic_ns() >= search->until_ns;
}

void remains_announce(void)
{
	struct search search = { .until_ns = clock_monotonic_ns() + 1000000 };
	char when[32], more[32] = "";

	place_each(look, &search);
	if (!search.found)
		return;
	remains_time(when, search.said_ns);
	if (search.found > 1)
		snprintf(more, sizeof more, ", as may %u %s", search.found - 1,
			 text_one(search.found - 1, "other", "others"));
	cli_say("a session of %s that died after %s may still hold messages%s; `hark salvage` "
		"delivers them", search.command, when, more);
}
