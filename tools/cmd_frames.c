/*
 * cmd_frames.c - `hark frames`: names what messages' stacks hold, for the collector at its descriptor 0.
 */
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/sample/frames.h"
#include "tools/cmds.h"

/* Debug information may be larger than memory: then there are no names. */
static void limit_memory(void)
{
	struct rlimit limit;
	const rlim_t most = (rlim_t)4 << 30;

	if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur > most) {
		limit.rlim_cur = most;
		setrlimit(RLIMIT_AS, &limit);
	}
}

int cmd_frames(struct cli *cli)
{
	bool addresses = false;
	enum cli_found found;
	int type;
	socklen_t bytes = sizeof type;

	while ((found = cli_next(cli)) == CLI_OPTION)
		addresses = strcmp(cli->option, "--addresses") == 0;
	if (found != CLI_END)
		return CLI_FAILED;
	if (getsockopt(STDIN_FILENO, SOL_SOCKET, SO_TYPE, &type, &bytes) != 0 ||
	    type != SOCK_SEQPACKET) {
		cli_say("frames has no use without a collector, which starts it; see --stack");
		return CLI_FAILED;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, "hark-frames");
	signal(SIGINT, SIG_IGN);
	limit_memory();
	return frames_serve(STDIN_FILENO, addresses) ? CLI_FAILED : 0;
}
