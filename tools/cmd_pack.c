/*
 * cmd_pack.c - `hark pack`: compresses a trace, file by file, or unpacks it. Readers read it either way.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/profile/pack.h"
#include "lib/profile/store.h"
#include "lib/profile/trace_dir.h"
#include "tools/cmds.h"
#include "tools/data.h"
#include "tools/json.h"
#include "tools/show_as.h"
#include "tools/progress.h"
#include "tools/units.h"

enum { COMMAND = 256 };

struct packing {
	const char *data;
	bool unpack, json;
	int dir;
	uint64_t all, done;        /* bytes that are read, of files that are to be changed */
	unsigned files;            /* that were changed */
	bool failed;               /* some could not be: the user has been told which */
	struct progress progress;
};

static volatile sig_atomic_t interrupted;

static void on_signal(int signal)
{
	interrupted = signal;
}

/* ---- whether nobody writes to it ------------------------------------------------------------------ */

/* Recording needs no collector: a program may outlive its session. */
static const struct trace_image *writer(const struct trace_dir *trace)
{
	for (size_t i = 0; i < trace->image_count; i++)
		if (trace_dir_runs(trace, &trace->images[i], trace->images[i].pid))
			return &trace->images[i];
	return NULL;
}

static int check(const struct packing *p)
{
	struct trace_dir trace;
	char why[512], command[COMMAND];
	int status = 0;
	pid_t pid;

	if (trace_dir_open(&trace, p->data, why, sizeof why) != 0) {
		cli_say("%s", why);
		return CLI_FAILED;
	}
	const struct trace_image *image = writer(&trace);
	if (data_live(p->data, &pid, command, sizeof command)) {
		cli_say("%s is still written to, by the session of process %d (%s): pack it when "
			"that has ended; `hark ps` shows it",
			p->data, pid, command);
		status = CLI_FAILED;
	} else if (image) {
		cli_say("%s is still written to, by process %d (%s), whose session is gone: pack "
			"it when that has ended, too",
			p->data, image->pid, image->path);
		status = CLI_FAILED;
	} else if (trace.torn) {
		cli_say("%s has places that cannot be read, which stay as they are; the first: %s",
			p->data, trace.trouble);
	}
	trace_dir_close(&trace);
	return status;
}

/* ---- files ---------------------------------------------------------------------------------------- */

/* Visits each file of the trace, until visit says other than 0. */
static int each(struct packing *p, int (*visit)(struct packing *p, const char *name, void *arg),
		void *arg)
{
	int copy = openat(p->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
	DIR *list = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *entry;

	if (!list) {
		rc = -errno;
		if (copy >= 0)
			close(copy);
		return rc;
	}
	while (rc == 0 && (entry = readdir(list)) != NULL)
		rc = visit(p, entry->d_name, arg);
	closedir(list);
	return rc;
}

static int add_size(struct packing *p, const char *name, void *sum)
{
	struct stat st;

	if (fstatat(p->dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
		*(uint64_t *)sum += (uint64_t)st.st_size;
	return 0;
}

/* Whether this is one that has to be changed, and its name when it is not packed. */
static bool wanted(const struct packing *p, const char *name, char plain[PACK_NAME])
{
	struct stat st;
	bool packed;

	return pack_wants(name, plain, &packed) && packed == p->unpack &&
	       fstatat(p->dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
	       st.st_size > 0;
}

static int add_wanted(struct packing *p, const char *name, void *sum)
{
	char plain[PACK_NAME];

	return wanted(p, name, plain) ? add_size(p, name, sum) : 0;
}

/* One that is damaged is left alone, and others go on; a full disk will be full for all of them. */
static int tell(struct packing *p, const char *name, int rc)
{
	cli_say("%s/%s stays as it is: %s", p->data, name,
		rc == -EBUSY ? "somebody writes to it" : store_error(rc));
	p->failed = true;
	switch (rc) {
	case -EBADMSG:
	case -EPROTO:
	case -EINVAL:
	case -EEXIST:
	case -EBUSY: return 0;
	default: return rc;
	}
}

static int change(struct packing *p, const char *name, void *arg)
{
	char plain[PACK_NAME];
	struct pack pack;

	(void)arg;
	if (!wanted(p, name, plain))
		return 0;
	int rc = pack_begin(&pack, p->dir, plain, p->unpack);
	for (rc = rc ? rc : 1; rc > 0 && !interrupted;) {
		rc = pack_step(&pack);
		progress_tell(&p->progress, p->done + pack.done, p->all);
	}
	p->done += pack.all;
	p->files += rc == 0;
	pack_end(&pack);
	if (interrupted)
		return -EINTR;
	return rc ? tell(p, name, rc) : 0;
}

/* ---- the whole ------------------------------------------------------------------------------------ */

static void print(const struct packing *p, uint64_t before, uint64_t after)
{
	char old[UNITS_TEXT], now[UNITS_TEXT];

	if (p->json) {
		emit_pair(stdout, "{", "data", p->data);
		emit_number(stdout, ",", "files", p->files);
		emit_number(stdout, ",", "before_bytes", before);
		emit_number(stdout, ",", "after_bytes", after);
		printf("}\n");
	} else if (p->files) {
		printf("%s: %s became %s (%.0f %%)\n", p->data, units_bytes(old, before),
		       units_bytes(now, after),
		       before ? 100.0 * (double)after / (double)before : 100.0);
	} else if (!p->failed) {
		printf("%s is %s already\n", p->data, p->unpack ? "unpacked" : "packed");
	}
}

/* Ends as whom the signal was meant for, once all is in order. */
static void die_of_it(const struct packing *p)
{
	cli_say("interrupted: %s can be read as it is; `hark pack%s` goes on", p->data,
		p->unpack ? " --unpack" : "");
	signal(interrupted, SIG_DFL);
	raise(interrupted);
}

static int pack_all(struct packing *p)
{
	uint64_t before = 0, after = 0;

	if (flock(p->dir, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
		cli_say("%s is being packed or unpacked by somebody else at the moment", p->data);
		return CLI_FAILED;
	}
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	signal(SIGHUP, on_signal);
	progress_begin(&p->progress, p->unpack ? "unpacking" : "packing");
	int rc = each(p, add_size, &before);
	if (rc == 0)
		rc = each(p, add_wanted, &p->all);
	if (rc == 0)
		rc = each(p, change, NULL);
	progress_end(&p->progress);
	if (interrupted)
		die_of_it(p);
	if (rc == 0)
		rc = each(p, add_size, &after);
	if (rc == 0)
		print(p, before, after);
	else if (!p->failed)
		cli_say("%s: %s", p->data, strerror(-rc));
	return rc || p->failed ? CLI_FAILED : 0;
}

int cmd_pack(struct cli *cli)
{
	const char *data = getenv("HARK_DATA");
	struct packing p = { .data = data && *data ? data : "hark.data" };
	enum cli_found found;

	while ((found = cli_next(cli)) != CLI_END) {
		if (found == CLI_WRONG)
			return CLI_FAILED;
		if (found == CLI_WORD)
			return show_as_unknown(cli);
		if (strcmp(cli->option, "--data") == 0)
			p.data = cli->value;
		else if (strcmp(cli->option, "--json") == 0)
			p.json = true;
		else
			p.unpack = true;
	}
	if (check(&p) != 0)
		return CLI_FAILED;
	p.dir = open(p.data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (p.dir < 0) {
		cli_say("%s: %s", p.data, strerror(errno));
		return CLI_FAILED;
	}
	int status = pack_all(&p);
	close(p.dir);
	return status;
}
