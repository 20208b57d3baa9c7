/*
 * hook.h - what the families of hooks offer to the start of the shim and to each other.
 */
#ifndef HARK_SHIM_HOOK_H
#define HARK_SHIM_HOOK_H

#include <stdbool.h>

bool hook_stdio(void);
	/* Takes the write slot of stdio's jump tables. False: this libc is made differently. */
extern bool hook_stdio_public;
	/* Whether the public functions of stdio have to stand in for it. */
struct msghdr;
void hook_fd_received(const struct msghdr *message);
	/* The message has come, perhaps with descriptors. */
void hook_file_settle(int fd);
	/* Before somebody looks at the open file: what was said to it, as far as we know the descriptor, is
	 * there. */
void hook_abort(void);
	/* Where SIGABRT has its default disposition: reports libc's last words before dying of it. */
bool hook_abort_is_hidden(void);
	/* whether the handler of SIGABRT is ours, and the program believes that there is none */
void hook_abort_yield(void);
	/* it has one of its own now */
bool hook_abort_stand_down(void);
	/* Takes our handler away, if it is there. Whether it did; hook_abort() puts it back. */
bool hook_stdio_pending(void);
	/* Whether a stream still holds something that will be captured when it is flushed. */
void hook_exit_settle(void);
	/* Where the program is about to end: waits until what was said is where the user will look. */
extern _Thread_local bool hook_asserted __attribute__((tls_model("initial-exec")));
	/* libc's last words are an assertion's, which stdio has said already. */
void hook_exec_settle(void);
	/* Before another program takes over: what was said is on the terminal. */
void sanitizer_begin(void);
	/* Once at the start; see sanitizer.c. */

#endif
