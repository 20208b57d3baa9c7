/*
 * cmd_inspect.c - `hark inspect`: what can be captured, stamped and sampled in a program, said before it
 * is run. Looks at files only: nothing is executed, nothing is changed.
 */
#include <elf.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base/text.h"
#include "lib/sink/sink.h"
#include "tools/cmds.h"
#include "tools/inspect.h"
#include "tools/json.h"

const char *const inspect_abilities[VERDICT_NR] = {
	[VERDICT_CAPTURE] = "capture", [VERDICT_DEEP] = "deep",       [VERDICT_STAMPS] = "stamps",
	[VERDICT_CALLS] = "calls",     [VERDICT_SAMPLES] = "samples",
};

static const char *const options[VERDICT_NR] = {
	[VERDICT_CAPTURE] = "", [VERDICT_DEEP] = "--deep ", [VERDICT_STAMPS] = "--stamp trace ",
	[VERDICT_CALLS] = "--calls '*' ", [VERDICT_SAMPLES] = "--sample cpu@999 ",
};

/* ---- what both ways to say it need -------------------------------------------------------------- */

const char *inspect_linkage(const struct inspect *i)
{
	if (!elf_facts_static(&i->binary->elf))
		return "dynamic";
	return i->binary->elf.type == ET_DYN ? "static-pie" : "static";
}

const char *inspect_libc(const struct inspect *i)
{
	const char *loader = i->binary->elf.interpreter, *base = strrchr(loader, '/');

	if (!*loader)
		return NULL;
	base = base ? base + 1 : loader;
	if (strncmp(base, "ld-linux", 8) == 0 || strncmp(base, "ld64.so", 7) == 0)
		return "glibc";
	return strncmp(base, "ld-musl", 7) == 0 ? "musl" : "other";
}

bool inspect_no_plt(const struct inspect *i)
{
	return i->binary->got_slots && !i->binary->plt_slots;
}

/* ---- programs ---------------------------------------------------------------------------------- */

/* One that was read: a hundred scripts have one interpreter. */
struct known {
	struct known *next;
	dev_t device;
	ino_t inode;
	struct binary binary;
};

struct looking {
	struct libraries *libraries;
	struct known *known;
	struct verdict_means means;
	bool json, color;
};

/* NULL, and a sentence. */
static const struct binary *read_program(struct looking *l, const char *path, char *why,
					 size_t why_bytes)
{
	struct stat st;

	if (stat(path, &st) != 0) {
		snprintf(why, why_bytes, "%s: %s", path, strerror(errno));
		return NULL;
	}
	for (struct known *k = l->known; k; k = k->next)
		if (k->device == st.st_dev && k->inode == st.st_ino)
			return &k->binary;
	struct known *k = calloc(1, sizeof *k);
	if (!k)
		snprintf(why, why_bytes, "no memory");
	else if (binary_read(&k->binary, path, BINARY_PROGRAM, why, why_bytes) != 0)
		free(k);
	else {
		k->device = st.st_dev;
		k->inode = st.st_ino;
		k->next = l->known;
		l->known = k;
		return &k->binary;
	}
	return NULL;
}

static void forget_programs(struct looking *l)
{
	while (l->known) {
		struct known *next = l->known->next;
		binary_fini(&l->known->binary);
		free(l->known);
		l->known = next;
	}
}

/* ---- looking ----------------------------------------------------------------------------------- */

static bool perf_permitted(void)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE, .size = sizeof attr, .config = PERF_COUNT_SW_CPU_CLOCK,
		.disabled = 1, .exclude_kernel = 1,
	};
	long fd = syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);

	if (fd >= 0)
		close((int)fd);
	return fd >= 0;
}

static void quote(struct text *t, const char *word)
{
	static const char harmless[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				       "0123456789/._-+:,@%=";

	if (*word == '-')
		text_str(t, "-- ");
	if (*word && strspn(word, harmless) == strlen(word)) {
		text_str(t, word);
		return;
	}
	text_char(t, '\'');
	for (; *word; word++) {
		if (*word == '\'')
			text_str(t, "'\\'");
		text_char(t, *word);
	}
	text_char(t, '\'');
}

static void make_commands(struct inspect *i)
{
	for (unsigned k = 0; k < VERDICT_NR; k++) {
		struct text t = text_in(i->commands[k], sizeof i->commands[k]);
		if (i->verdicts[k].answer != VERDICT_NO) {
			text_str(&t, "hark run ");
			text_str(&t, options[k]);
			quote(&t, i->name);
		}
		if (t.cut)
			t.len = 0;
		text_cstr(&t);
	}
}

/* 0, or the exit status and a sentence. */
static int find(struct inspect *i, char *why, size_t why_bytes)
{
	int error = target_find(i->name, i->target.path);

	if (error == -ENOENT || error == -ENOTDIR) {
		snprintf(why, why_bytes, "%s: not found%s", i->name,
			 strchr(i->name, '/') ? "" : " in PATH");
		return CLI_NOT_FOUND;
	}
	if (error) {
		snprintf(why, why_bytes, "%s: cannot be executed: %s", i->name, strerror(-error));
		return CLI_CANNOT;
	}
	if (target_look(&i->target, why, why_bytes) != 0)
		return CLI_CANNOT;
	return 0;
}

/* Of another loader, libraries are not looked at: where it finds them is its own affair. */
static bool by_glibc(const struct inspect *i)
{
	return elf_facts_native(&i->binary->elf) && i->binary->elf.interpreter[0] &&
	       strcmp(inspect_libc(i), "glibc") == 0;
}

static int look(struct inspect *i, struct looking *l, char *why, size_t why_bytes)
{
	char real[PATH_MAX];
	int status = find(i, why, why_bytes);

	if (status)
		return status;
	i->binary = read_program(l, i->target.subject, why, why_bytes);
	if (!i->binary)
		return CLI_CANNOT;
	i->needed.count = 0;
	i->needed.missing = NULL;
	/* $ORIGIN is where the file is, not where a link to it is */
	if (by_glibc(i) &&
	    libraries_find(l->libraries, &i->needed, i->binary,
			   realpath(i->target.subject, real) ? real : i->target.subject) != 0) {
		snprintf(why, why_bytes, "no memory");
		return CLI_FAILED;
	}
	i->rights = verdict_rights(i->target.subject);
	capabilities_read(i->target.subject, i->capabilities);
	verdict_all(i->verdicts, i->binary, i->target.subject, &i->needed, &l->means);
	make_commands(i);
	return 0;
}

/* ---- the command ------------------------------------------------------------------------------- */

static void refuse(const char *name, const char *why, bool json)
{
	cli_say("%s", why);
	if (!json)
		return;
	emit_pair(stdout, "{", "name", name);
	emit_pair(stdout, ",", "error", why);
	puts("}");
}

/* In the order of the arguments; the first thing that went wrong is the exit status. */
static int inspect_each(struct inspect *i, struct looking *l, char **names)
{
	char why[2 * PATH_MAX + 256];
	int first = 0;
	bool shown = false;

	for (; *names; names++) {
		i->name = *names;
		int status = look(i, l, why, sizeof why);
		if (!first)
			first = status;
		if (status) {
			refuse(*names, why, l->json);
			continue;
		}
		if (shown && !l->json)
			putchar('\n');
		if (l->json)
			inspect_json(i);
		else
			inspect_text(i, l->color);
		shown = true;
	}
	return first;
}

static int inspect_names(char **names, bool json)
{
	struct inspect *i = calloc(1, sizeof *i);
	struct looking l = { .libraries = libraries_open(getenv("LD_LIBRARY_PATH")), .json = json };
	int status = CLI_FAILED;

	l.means.calls = config_option("--calls") != NULL;
	l.means.samples = config_option("--sample") != NULL;
	l.means.perf = l.means.samples && perf_permitted();
	l.color = sink_console_color(COLOR_AUTO, isatty(STDOUT_FILENO), getenv("NO_COLOR"),
				     getenv("CLICOLOR_FORCE"), getenv("TERM"));
	if (i && l.libraries)
		status = inspect_each(i, &l, names);
	else
		cli_say("no memory");
	if (l.libraries)
		libraries_close(l.libraries);
	forget_programs(&l);
	free(i);
	return status;
}

int cmd_inspect(struct cli *cli)
{
	enum cli_found found;
	size_t count = 0, most = 0;
	bool json = false;
	int status = CLI_FAILED;

	while (cli->next[most])
		most++;
	char **names = calloc(most + 1, sizeof *names);
	if (!names) {
		cli_say("no memory");
		return CLI_FAILED;
	}
	while ((found = cli_next(cli)) != CLI_END && found != CLI_WRONG) {
		if (found == CLI_WORD)
			names[count++] = (char *)cli->value;
		else
			json = true;
	}
	if (found == CLI_END && count)
		status = inspect_names(names, json);
	else if (found == CLI_END)
		cli_say("inspect needs a program to look at: hark inspect [--json] BIN...");
	free(names);
	return status;
}
