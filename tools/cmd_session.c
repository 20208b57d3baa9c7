/*
 * cmd_session.c - `hark session`: makes a session for a program that was started with LD_PRELOAD
 * alone. The shim calls it from its constructor and waits for the answer.
 *
 * Whatever goes wrong costs the program one line on its standard error, and nothing else.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/parse.h"
#include "lib/base/sysio.h"
#include "lib/session/process.h"
#include "tools/cmds.h"
#include "tools/launch.h"
#include "tools/remains.h"

struct request {
	int answer_fd, pid;
	const char *command;     /* NULL: not given */
};

/* Not from the settings: they may be what is wrong. */
static bool strict(void)
{
	const char *value = getenv("HARK_STRICT");
	bool yes = false;

	return value && parse_bool(value, &yes) == 0 && yes;
}

static int refuse(const char *why)
{
	return launch_refuse(why, strict());
}

static int take_request(struct cli *cli, struct request *request)
{
	enum cli_found found;

	while ((found = cli_next(cli)) == CLI_OPTION) {
		int error = 0;
		if (strcmp(cli->option, "--answer-fd") == 0)
			error = cli_number(cli, 0, &request->answer_fd);
		else if (strcmp(cli->option, "--pid") == 0)
			error = cli_number(cli, 1, &request->pid);
		else
			request->command = cli->value;
		if (error)
			return error;
	}
	if (found != CLI_END || request->answer_fd < 0 || request->pid <= 0) {
		if (found != CLI_WRONG)
			cli_say("session needs --answer-fd N and --pid P; the shim calls it");
		return -EINVAL;
	}
	return 0;
}

/* The shim may not look at its arguments so early; the kernel knows them. */
static void find_command(char command[LAUNCH_COMMAND], int pid)
{
	char path[PROCESS_PATH];

	int fd = process_path(pid, "cmdline", path) == 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	ssize_t n = fd >= 0 ? read(fd, command, LAUNCH_COMMAND - 1) : 0;
	if (fd >= 0)
		close(fd);
	while (n > 0 && command[n - 1] == '\0')
		n--;
	for (ssize_t i = 0; i < n; i++)
		if (command[i] == '\0')
			command[i] = ' ';
	command[n > 0 ? n : 0] = '\0';
}

static int resolve(struct config *config, struct config_problem *problem)
{
	const char *file = getenv("HARK_CONFIG");
	int error = 0;

	config_defaults(config);
	if (file && *file)
		error = config_file(config, file, problem);
	return error ? error : config_environment(config, environ, problem);
}

int cmd_session(struct cli *cli)
{
	static struct config config;
	static struct launch launch;
	struct request request = { .answer_fd = -1 };
	struct config_problem problem;
	char why[1024], command[LAUNCH_COMMAND];

	int console_fd = launch_console();
	cli_say_on(console_fd);
	if (take_request(cli, &request) != 0)
		return CLI_FAILED;
	if (resolve(&config, &problem) != 0)
		return refuse(problem.text);
	launch_warn_unknown();
	remains_announce();
	if (config.deep) {
		cli_say("HARK_DEEP=1: deep mode needs `hark run`; going on without it");
		config.deep = false;
	}
	if (!request.command)
		find_command(command, request.pid);
	struct session_plan plan = {
		.config = &config, .first_pid = request.pid,
		.command = request.command ? request.command : command,
		.console_fd = console_fd
	};
	int error = launch_find(&launch, why, sizeof why);
	if (!error)
		error = launch_session(&launch, &plan, -1, why, sizeof why);
	if (error)
		return refuse(why);
	if (sysio_write_all(request.answer_fd, launch.dir, strlen(launch.dir)) != 0) {
		launch_cancel(&launch);
		return refuse("the program did not wait for its session");
	}
	return 0;
}
