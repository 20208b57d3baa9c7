/*
 * cmd_judge.c - `hark judge`: which functions of a module a session's filter means. The shim calls it
 * when a module is called first, and waits; the answer is a file of the session's (lib/session/rules.h).
 *
 * Says nothing: it runs amid a program. Names are those that readers of the trace will show.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/array.h"
#include "lib/image/symbols.h"
#include "lib/session/rules.h"
#include "tools/cmds.h"

enum { JUDGE_SECONDS = 15 }; /* the program waits, and what it runs may be anything */

struct judge {
	struct filter filter;
	const char *path;
	struct verdict *verdicts;
	size_t count;
};

static int add(struct judge *j, uint64_t start, uint32_t fits)
{
	if (start > UINT32_MAX || (j->count && j->verdicts[j->count - 1].fits == fits))
		return 0;
	struct verdict *verdicts = array_grown(j->verdicts, j->count, sizeof *verdicts);
	if (!verdicts)
		return -ENOMEM;
	j->verdicts = verdicts;
	verdicts[j->count++] = (struct verdict){ (uint32_t)start, fits };
	return 0;
}

static int judge(void *argument, const struct symbol *symbol)
{
	struct judge *j = argument;

	if (j->count == 1 && symbol->start == 0)
		j->count = 0;
	return add(j, symbol->start,
		   filter_fits(&j->filter, symbol->name, symbol->linkage, j->path));
}

/* Whole before it has its name; who was faster has written the same. */
static int store(const struct judge *j, const char *dir, const char *name, uint32_t number)
{
	const struct verdicts head = { VERDICTS_MAGIC, number, (uint32_t)j->count };
	char hidden[PATH_MAX], path[PATH_MAX];

	int a = snprintf(path, sizeof path, "%s/%s", dir, name);
	int b = snprintf(hidden, sizeof hidden, "%s/.%s-%d", dir, name, getpid());
	if (a >= (int)sizeof path || b >= (int)sizeof hidden)
		return -ENAMETOOLONG;
	int fd = open(hidden, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
	if (!file)
		return -errno;
	fwrite(&head, sizeof head, 1, file);
	fwrite(j->verdicts, sizeof *j->verdicts, j->count, file);
	bool failed = ferror(file) != 0;
	if (fclose(file) != 0 || failed || rename(hidden, path) != 0) {
		unlink(hidden);
		return -EIO;
	}
	return 0;
}

static int judge_module(const char *dir, uint32_t number, const char *path, const char *build,
			const char *name)
{
	static struct judge j;
	static struct rules_text text;
	struct rules rules;
	const char *why;

	int error = rules_read(dir, number, &rules, &text);
	if (error)
		return error;
	filter_init(&j.filter);
	if ((text.only[0] && filter_add(&j.filter, text.only, false, &why) != 0) ||
	    (text.never[0] && filter_add(&j.filter, text.never, true, &why) != 0))
		return -EINVAL;
	j.path = path;
	struct symbols *symbols = symbols_open(path, build, NULL);
	/* what has no name is called by its address: only a glob of anything fits that */
	error = add(&j, 0, filter_fits(&j.filter, "0x", NULL, path));
	if (!error && symbols)
		error = symbols_each(symbols, judge, &j);
	return error ? error : store(&j, dir, name, number);
}

int cmd_judge(struct cli *cli)
{
	const char *words[5];
	sigset_t none;
	uint64_t number = 0;
	unsigned count = 0;

	cli_say_on(-1);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL); /* the program has blocked them all to wait for us */
	signal(SIGALRM, SIG_DFL);
	alarm(JUDGE_SECONDS);
	while (count < 5 && cli_next(cli) == CLI_WORD)
		words[count++] = cli->value;
	if (count < 5 || sscanf(words[1], "%" SCNu64, &number) != 1 || number > RULES_MOST)
		return CLI_FAILED;
	if (strcmp(words[3], "-") == 0)
		words[3] = "";
	int rc = judge_module(words[0], (uint32_t)number, words[2], words[3], words[4]);
	return rc ? CLI_FAILED : 0;
}
