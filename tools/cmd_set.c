/*
 * cmd_set.c - `hark set`: changes what a live session does.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/level.h"
#include "lib/session/rules.h"
#include "lib/session/session.h"
#include "tools/cmds.h"
#include "tools/data.h"
#include "tools/pick.h"

enum { SET_CHANGES = 16, AS_IT_IS = -2 };

struct set {
	int mode;                  /* enum stamp_mode; AS_IT_IS */
	int stack;                 /* enum level; AS_IT_IS */
	bool rules;                /* some of them change */
	const char *changes[SET_CHANGES];
	unsigned count;
};

/* The settings that make up a session's rules. */
static const struct setting *set_row(const char *change)
{
	static const char *const options[] = { "--filter", "--notrace", "--depth", "--min-time",
					       "--stamp-budget" };
	size_t length = strcspn(change, "=");

	for (unsigned i = 0; i < sizeof options / sizeof *options; i++)
		if (strlen(options[i] + 2) == length &&
		    strncmp(options[i] + 2, change, length) == 0)
			return config_option(options[i]);
	return NULL;
}

static const char *const modes[] = { "off", "trace", "profile", "flight" };

static int mode_of(const char *word)
{
	for (unsigned i = 0; i < sizeof modes / sizeof *modes; i++)
		if (strcmp(word, modes[i]) == 0)
			return (int)i;
	return -1;
}

/* A session that began without stamps has no trace yet. */
static int make_trace(const struct place_session *found, const char *path)
{
	char why[1024], session[PLACE_PATH];

	if (!*path) {
		cli_say("session %d has no place for a trace: where it was started is gone",
			found->control.first_pid);
		return -ENOENT;
	}
	data_session(path, session, sizeof session);
	if (strcmp(session, found->dir) == 0)
		return 0;
	int error = data_make(path, why, sizeof why);
	if (!error)
		error = data_identify(path, found->dir, found->control.command,
				      found->control.first_pid, why, sizeof why);
	if (error)
		cli_say("%s", why);
	else
		cli_say("calls are recorded in %s, without what the program says: that is there "
			"where it was started with --stamp",
			path);
	return error;
}

/* ---- rules ------------------------------------------------------------------------------------- */

/* What is not changed stays. */
static int rules_now(const struct place_session *found, uint32_t number, struct config *config)
{
	struct rules rules = { .magic = RULES_MAGIC };
	struct rules_text text = { .only = "" };
	int error = number ? rules_read(found->dir, number, &rules, &text) : 0;

	config->depth = rules.filter.depth;
	config->min_time_ns = rules.min_ns;
	config->stamp_budget = rules.budget;
	memcpy(config->filter, text.only, sizeof text.only);
	memcpy(config->notrace, text.never, sizeof text.never);
	return error;
}

static int take(struct config *config, const char *change)
{
	const char *value = strchr(change, '=') + 1;
	const struct setting *setting = set_row(change);
	struct config_problem problem;

	if (!*value && setting->type == SETTING_GLOBS) {
		*((char *)config + setting->offset) = '\0';
		return 0;
	}
	if (config_set(config, setting, setting->key, value, &problem) == 0)
		return 0;
	cli_say("%s", problem.text);
	return -EINVAL;
}

static int change_rules(const struct place_session *found, struct control *c, const struct set *set)
{
	static struct config config;
	struct rules rules;
	struct rules_text text;
	uint32_t number = atomic_load(&c->rules);
	int error = rules_now(found, number, &config);

	for (unsigned i = 0; !error && i < set->count; i++)
		if (set->changes[i] && (error = take(&config, set->changes[i])) != 0)
			return error;
	int dirfd = error ? -1 : open(found->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (!error && dirfd < 0)
		error = -errno;
	if (!error && rules_are(&config)) {
		rules_from(&config, &rules, &text);
		do
			error = rules_write(dirfd, ++number, &rules, &text);
		while (error == -EEXIST && number < RULES_MOST);
	} else {
		number = 0;
	}
	if (dirfd >= 0)
		close(dirfd);
	if (error)
		cli_say("session %d: cannot change what it records: %s", found->control.first_pid,
			strerror(-error));
	else
		atomic_store(&c->rules, number);
	return error;
}

/* ---- all of it --------------------------------------------------------------------------------- */

/* By one word, which all calls of functions look at. */
static void change_stamps(struct control *c, const struct set *set)
{
	uint32_t word = atomic_load(&c->stamp), next;

	do {
		uint32_t mode = set->mode < 0 ? word & STAMP_MODE : (uint32_t)set->mode;
		next = ((word & ~(uint32_t)STAMP_MODE) + STAMP_CHANGE) | mode;
	} while (!atomic_compare_exchange_weak(&c->stamp, &word, next));
}

static int change(const struct place_session *found, const struct set *set)
{
	struct session session;
	int error = session_join(&session, found->dir);

	if (error) {
		cli_say("session %d: %s", found->control.first_pid, strerror(-error));
		return error;
	}
	if (set->mode > STAMP_OFF)
		error = make_trace(found, session.control->trace);
	if (!error && set->rules)
		error = change_rules(found, session.control, set);
	if (!error && (set->mode != AS_IT_IS || set->rules))
		change_stamps(session.control, set);
	if (!error && set->stack != AS_IT_IS)
		atomic_store(&session.control->stack, set->stack);
	session_leave(&session);
	return error;
}

static int take_stack(struct set *set, const char *value)
{
	static struct config scratch;
	const struct setting *setting = config_option("--stack");
	struct config_problem problem;

	if (strcmp(value, "off") == 0)
		value = level_name(LEVEL_NONE);
	if (config_set(&scratch, setting, setting->key, value, &problem) != 0) {
		cli_say("%s", problem.text);
		return -EINVAL;
	}
	set->stack = scratch.stack;
	return 0;
}

static int take_change(struct set *set, const char *word)
{
	static struct config scratch;

	if (strncmp(word, "stamp=", 6) == 0) {
		set->mode = mode_of(word + 6);
		if (set->mode >= 0)
			return 0;
	} else if (strncmp(word, "stack=", 6) == 0) {
		return take_stack(set, word + 6);
	} else if (set_row(word) && set->count < SET_CHANGES) {
		if (take(&scratch, word) != 0)
			return -EINVAL;
		set->changes[set->count++] = word;
		set->rules = true;
		return 0;
	}
	cli_say("%s: no such change; accepted: stamp=off, stamp=trace, stamp=profile, "
		"stamp=flight, filter=GLOBS, notrace=GLOBS, depth=N, min-time=D, stamp-budget=P, "
		"stack=LEVEL, stack=off",
		word);
	return -EINVAL;
}

int cmd_set(struct cli *cli)
{
	static struct place_session found;
	struct set set = { .mode = AS_IT_IS, .stack = AS_IT_IS };
	const char *pid = NULL;
	enum cli_found got;
	unsigned words = 0;

	for (; (got = cli_next(cli)) != CLI_END; words++) {
		if (got == CLI_WRONG)
			return CLI_FAILED;
		if (strchr(cli->value, '=')) {
			if (take_change(&set, cli->value) != 0)
				return CLI_FAILED;
			continue;
		}
		if (pid) {
			cli_say("set takes one PID; `hark set --help` says more");
			return CLI_FAILED;
		}
		pid = cli->value;
	}
	if (words == (pid ? 1 : 0)) {
		cli_say("set needs a change, such as stamp=trace; `hark set --help` says more");
		return CLI_FAILED;
	}
	if (pick_session(pid, &found) != 0)
		return CLI_FAILED;
	return change(&found, &set) ? CLI_FAILED : 0;
}
