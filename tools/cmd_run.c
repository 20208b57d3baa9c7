/*
 * cmd_run.c - `hark run`: starts a session and becomes PROG.
 *
 * What PROG then finds is what it would have found without us, but for its environment and, in deep
 * mode, descriptor 2: no further descriptor, no signal disposition or mask, no child.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base/sysio.h"
#include "tools/cmds.h"
#include "tools/deep.h"
#include "tools/launch.h"
#include "tools/remains.h"
#include "tools/target.h"

struct given {
	const struct setting *setting;
	const char *value;
};

struct run {
	struct given *given;       /* options, in their order */
	size_t given_count;
	char **argv;               /* PROG and its arguments */
	struct config config;
	struct target target;
	struct launch launch;
	struct deep deep;
	int console_fd;
};

static int take_arguments(struct run *r, struct cli *cli)
{
	enum cli_found found;
	size_t most = 0;

	while (cli->next[most])
		most++;
	r->given = calloc(most + 1, sizeof *r->given);
	if (!r->given)
		return -ENOMEM;
	while ((found = cli_next(cli)) == CLI_OPTION)
		r->given[r->given_count++] = (struct given){ cli->setting, cli->value };
	if (found == CLI_WRONG)
		return -EINVAL;
	if (found == CLI_END) {
		cli_say("run needs a program to run: hark run [options] PROG [ARG...]; "
			"`hark run --help` says more");
		return -EINVAL;
	}
	r->argv = cli->next - 1;
	return 0;
}

/* Weakest first: presets, the file, variables, options. */
static int resolve(struct run *r)
{
	const struct setting *named = config_option("--config");
	const char *file = getenv(named->variable);
	struct config_problem problem;
	struct config *c = &r->config;
	int error = 0;

	config_defaults(c);
	for (size_t i = 0; i < r->given_count; i++)
		if (r->given[i].setting == named)
			file = r->given[i].value;
	if (file && *file)
		error = config_file(c, file, &problem);
	if (!error)
		error = config_environment(c, environ, &problem);
	for (size_t i = 0; i < r->given_count && !error; i++)
		error = config_set(c, r->given[i].setting, r->given[i].setting->option,
				   r->given[i].value, &problem);
	if (error)
		cli_say("%s", problem.text);
	return error;
}

static int find(struct run *r)
{
	int error = target_find(r->argv[0], r->target.path);

	if (!error)
		return 0;
	const char *verb = strchr(r->argv[0], '/') ? NULL : cli_nearest_command(r->argv[0]);
	if (error == -ENOENT || error == -ENOTDIR) {
		cli_say("%s: not found%s%s%s%s", r->argv[0],
			strchr(r->argv[0], '/') ? "" : " in PATH",
			verb ? "; did you mean hark " : "", verb ? verb : "", verb ? "?" : "");
		return CLI_NOT_FOUND;
	}
	cli_say("%s: cannot be executed: %s", r->argv[0], strerror(-error));
	return CLI_CANNOT;
}

/* Options become variables, for sessions that the program's descendants might start. */
static void hand_down(const struct run *r)
{
	for (size_t i = 0; i < r->given_count; i++) {
		const struct setting *s = r->given[i].setting;
		const char *value = r->given[i].value ? r->given[i].value : "1";
		char *absolute = NULL;
		if (s->type == SETTING_SINKS)
			value = r->config.sinks;
		else if (s->type == SETTING_PATH && *value)
			value = (absolute = realpath(value, NULL)) ? absolute : value;
		setenv(s->variable, value, 1);
		free(absolute);
	}
}

static int change_environment(const struct run *r)
{
	setenv("HARK_SESSION", r->launch.dir, 1);
	unsetenv("HARK_FDS"); /* an outer session's */
	hand_down(r);
	if (r->target.capture.foreign)
		return 0; /* its loader would complain, or die */
	char *list = launch_preload(r->launch.preload, getenv("LD_PRELOAD"));
	int error = list ? setenv("LD_PRELOAD", list, 1) : -1;
	free(list);
	return error ? -ENOMEM : 0;
}

/* Decides on deep mode and puts the pipe or terminal in place. */
static int go_deep(struct run *r, char *why, size_t why_bytes)
{
	const struct capture_set *set = &r->config.capture;
	bool asked = r->config.deep;

	if (!asked && r->target.capture.answer != VERDICT_NO)
		return 0;
	r->config.deep = true;
	int error = deep_open(&r->deep, set->on_stderr, set->on_stdout);
	if (error) {
		snprintf(why, why_bytes, "deep mode: no pipe can be made: %s%s", strerror(-error),
			 launch_advice(error));
		return error;
	}
	r->config.deep = r->deep.fd >= 0;
	if (asked)
		return 0;
	if (r->config.deep)
		cli_say("%s %s: only deep mode hears it; listening through a %s", r->target.subject,
			r->target.capture.why, r->deep.terminal ? "pseudo-terminal" : "pipe");
	else
		cli_say("%s %s: only deep mode would hear it, and that on stderr and stdout alone",
			r->target.subject, r->target.capture.why);
	return 0;
}

static int start(struct run *r, char *why, size_t why_bytes)
{
	char command[LAUNCH_COMMAND];

	launch_command(command, r->argv);
	struct session_plan plan = {
		.config = &r->config, .first_pid = getpid(), .command = command,
		.console_fd = r->console_fd
	};
	return launch_session(&r->launch, &plan, r->deep.fd, why, why_bytes);
}

/* By system call: where an outer session listens to us, its hook would carry that one on. */
static int execute(const char *path, char *const *argv)
{
	return -(int)sysio_call(SYS_execve, (long)path, (long)argv, (long)environ, 0, 0, 0);
}

/* Becomes PROG; comes back only where that fails. */
static int become(char *path, char **argv)
{
	int error = execute(path, argv);

	if (error == ENOEXEC) { /* as execvp(3) does: a shell script without its first line */
		size_t count = 0;
		while (argv[count])
			count++;
		char **shell = calloc(count + 2, sizeof *shell);
		if (shell) {
			shell[0] = (char *)"/bin/sh";
			shell[1] = path;
			for (size_t i = 1; i < count; i++)
				shell[i + 1] = argv[i];
			error = execute(shell[0], shell);
			free(shell);
		}
	}
	cli_say("%s: cannot be executed: %s", path, strerror(error));
	return CLI_CANNOT;
}

static int listen_and_become(struct run *r)
{
	char why[1600];

	/* What we say from here on must not be heard as the program's. */
	cli_say_on(r->console_fd);
	remains_announce();
	if (launch_find(&r->launch, why, sizeof why) != 0) {
		cli_say("%s", why);
		return CLI_FAILED;
	}
	int error = go_deep(r, why, sizeof why);
	if (!error)
		error = start(r, why, sizeof why);
	if (error) {
		/* Nothing was said yet, so nothing is lost: the program runs as it would without us. */
		deep_undo(&r->deep);
		return launch_refuse(why, r->config.strict) == CLI_FAILED
			       ? CLI_FAILED
			       : become(r->target.path, r->argv);
	}
	if (change_environment(r) != 0) {
		cli_say("no memory for the environment");
		launch_cancel(&r->launch);
		deep_undo(&r->deep);
		return CLI_FAILED;
	}
	if (r->launch.inside && r->target.capture.answer == VERDICT_NO)
		cli_say("%s %s: it cannot sample itself, and nobody else may", r->target.subject,
			r->target.capture.why);
	int status = become(r->target.path, r->argv);
	launch_cancel(&r->launch);
	deep_undo(&r->deep);
	return status;
}

int cmd_run(struct cli *cli)
{
	static struct run r;
	char why[2 * PATH_MAX + 256];

	r.console_fd = launch_console();
	r.deep = (struct deep){ .fd = -1, .saved_stdout = -1, .saved_stderr = -1 };
	cli_say_on(r.console_fd);
	if (take_arguments(&r, cli) != 0 || resolve(&r) != 0)
		return CLI_FAILED;
	int status = find(&r);
	if (status)
		return status;
	launch_warn_unknown();
	if (r.config.disable)
		return become(r.target.path, r.argv);
	if (r.config.arguments && !r.config.calls[0])
		cli_say("--arguments records nothing without --calls");
	if (target_look(&r.target, why, sizeof why) != 0) {
		cli_say("%s: cannot be executed: %s", r.argv[0], why);
		return CLI_CANNOT;
	}
	return listen_and_become(&r);
}
