/*
 * test_hook_sandbox.c - system calls by number and sandboxes (shim/hook_sandbox.c): what is noted, what
 * comes back, and that calls which return twice find the stack that they left.
 */
#include "tests/unit/shim_case.h"

#include <linux/filter.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "shim/hook_sandbox.c"

bool hook_stdio_public;

void hook_fd_received(const struct msghdr *m)
{
	tell("received %d ", m->msg_controllen > 0);
}

void stamp_look_again(void) { } /* stamps have a shim of their own behind them */

/* Samples, too. */
void sample_stop(const char *why)
{
	assert_non_null(why);
	assert_false(shim.sandboxed); /* it makes system calls */
}

void hook_file_settle(int fd)
{
	tell("settle %d ", fd);
}

static bool abort_is_ours;

bool hook_abort_stand_down(void)
{
	assert_false(shim.sandboxed);
	bool was = abort_is_ours;
	abort_is_ours = false;
	return was;
}

void hook_abort(void) { abort_is_ours = true; }

static unsigned pokes;

void ring_poke(struct ring *ring)
{
	assert_ptr_equal(ring, &shim.session.ring);
	assert_int_equal(played_control.polled, 1); /* who is woken must see it */
	assert_false(shim.sandboxed);
	pokes++;
}

static int fresh(void **state)
{
	pokes = 0;
	return play(state);
}

static void assert_told(const char *want)
{
	assert_string_equal(told, want);
	told[0] = 0;
}

/* ---- writing ------------------------------------------------------------------------------------- */

static void test_write_is_captured(void **state)
{
	struct iovec parts[2] = { { (char *)"two ", 4 }, { (char *)"parts", 5 } };
	(void)state;

	assert_int_equal(syscall(SYS_write, 2, "text", 4), 4);
	assert_int_equal(syscall(SYS_writev, 2, parts, 2), 9);
	assert_int_equal(syscall(SYS_pwritev2, 2, parts, 2, -1L, 0L, 0), 9);
	assert_int_equal(said.length, 22);
	assert_memory_equal(said.bytes, "texttwo partstwo parts", 22);
	assert_int_equal(said.calls, 3);
}

static void test_what_the_kernel_refuses(void **state)
{
	struct iovec part = { (char *)"x", 1 }, endless[2] = { { (char *)"x", SIZE_MAX / 2 },
							       { (char *)"y", SIZE_MAX / 2 } };
	(void)state;

	divert_stderr();
	errno = 0;
	long results[] = { syscall(SYS_writev, 2, &part, -1), syscall(SYS_writev, 2, &part, 5000),
			   syscall(SYS_writev, 2, (void *)8, 1), syscall(SYS_writev, 2, endless, 2),
			   syscall(SYS_write, -1, "x", 1),
			   syscall(SYS_pwritev2, 2, &part, 1, -1L, 0L, 0x40000000),
			   syscall(SYS_pwritev2, 2, &part, 1, -2L, 0L, 0) };
	int error = errno;
	char text[64];
	restore_stderr(text, sizeof text);
	for (unsigned i = 0; i < sizeof results / sizeof *results; i++)
		assert_int_equal(results[i], -1);
	assert_int_equal(error, EINVAL); /* the last one's */
	assert_int_equal(said.calls, 0);
}

static void test_write_elsewhere(void **state)
{
	struct iovec part = { (char *)"vector", 6 };
	char text[64];
	(void)state;

	shim.fds[2] = FD_PASS;
	divert_stderr();
	assert_int_equal(syscall(SYS_write, 2, "text ", 5), 5);
	assert_int_equal(syscall(SYS_writev, 2, &part, 1), 6);
	assert_int_equal(syscall(SYS_pwritev2, 2, &part, 1, 20L, 0L, 0), 6); /* the sixth arrives */
	assert_int_equal(syscall(SYS_pwritev2, 2, &part, 1, 20L, 0L, 0x40000000), -1);
	assert_int_equal(restore_stderr(text, sizeof text), 26);
	assert_string_equal(text, "text vector");
	assert_string_equal(text + 20, "vector");
	assert_int_equal(said.calls, 0);
}

/* At a place in a captured file it is no message that follows others. */
static void test_write_at_a_place(void **state)
{
	struct iovec part = { (char *)"x", 1 };
	char text[8];
	(void)state;

	divert_stderr();
	assert_int_equal(syscall(SYS_pwritev2, 2, &part, 1, 3L, 0L, 0), 1);
	assert_int_equal(restore_stderr(text, sizeof text), 4);
	assert_int_equal(said.calls, 0);
}

/* ---- descriptors --------------------------------------------------------------------------------- */

static void test_descriptors(void **state)
{
	int fds[2];
	(void)state;

	int fd = (int)syscall(SYS_openat, AT_FDCWD, "/dev/null", O_WRONLY);
	assert_true(fd > 2);
	assert_told("opened well /dev/null 1 ");
	assert_int_equal(syscall(SYS_open, "/no/such/file", O_RDONLY), -1);
	assert_int_equal(errno, ENOENT);
	assert_told("");
	int copy = (int)syscall(SYS_dup, fd);
	char want[128];
	snprintf(want, sizeof want, "copied %d well ", fd);
	assert_told(want);
	assert_int_equal(syscall(SYS_dup2, fd, copy), copy);
	assert_told(want);
	assert_int_equal(syscall(SYS_dup3, fd, copy, O_CLOEXEC), copy);
	assert_told(want);
	int third = (int)syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 50);
	assert_true(third >= 50);
	assert_told(want);
	assert_int_equal(syscall(SYS_fcntl, fd, F_GETFD), 0);
	assert_told("");
	assert_int_equal(syscall(SYS_close, copy), 0);
	snprintf(want, sizeof want, "closed %d ", copy);
	assert_told(want);
	assert_int_equal(syscall(SYS_close_range, third, third + 1, 0), 0);
	snprintf(want, sizeof want, "closed %d closed %d ", third, third + 1);
	assert_told(want);
	assert_int_equal(syscall(SYS_close_range, 9, 8, 0), -1);
	assert_told("");
	assert_int_equal(syscall(SYS_dup, -1), -1);
	assert_int_equal(errno, EBADF);
	assert_told("copied -1 in vain ");
	assert_int_equal(syscall(SYS_pipe2, fds, O_CLOEXEC), 0);
	assert_told("created created ");
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_told("created created ");
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(syscall(SYS_pipe2, fds, -1), -1);
	assert_told("");
	int other = (int)syscall(SYS_memfd_create, "x", 0);
	assert_told("created ");
	close(other);
	other = (int)syscall(SYS_eventfd2, 0, 0);
	assert_told("created ");
	close(other);
	close(fd);
}

static void test_received(void **state)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { .header = { .cmsg_level = SOL_SOCKET,
				  .cmsg_type = SCM_RIGHTS,
				  .cmsg_len = CMSG_LEN(sizeof(int)) } };
	char byte = 0;
	struct iovec part = { &byte, 1 };
	struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
			    .msg_controllen = sizeof control };
	int fds[2], got;
	(void)state;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	memcpy(CMSG_DATA(&control.header), &fds[0], sizeof fds[0]);
	assert_int_equal(syscall(SYS_sendmsg, fds[0], &m, 0), 1);
	assert_told("");
	assert_int_equal(syscall(SYS_recvmsg, fds[1], &m, 0), 1);
	assert_told("received 1 ");
	memcpy(&got, CMSG_DATA(&control.header), sizeof got);
	close(got);
	close(fds[0]);
	assert_int_equal(syscall(SYS_recvmsg, fds[1], NULL, 0), -1);
	assert_told("");
	close(fds[1]);
}

static void test_memory(void **state)
{
	char *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	(void)state;

	assert_int_equal(syscall(SYS_mprotect, page, 4096, PROT_NONE), 0);
	assert_told("memory ");
	assert_int_equal(syscall(SYS_munmap, page, 4096), 0);
	assert_told("memory ");
}

static void test_the_rest_passes(void **state)
{
	uint32_t word = 1;
	struct timespec moment = { 0, 1 };
	(void)state;

	assert_int_equal(syscall(SYS_getpid), getpid());
	assert_int_equal(syscall(100000L), -1);
	assert_int_equal(errno, ENOSYS);
	assert_int_equal(syscall(-1L), -1);
	assert_int_equal(syscall(511L), -1);
	/* six arguments, the last of them seen by the kernel */
	char *page = (char *)syscall(SYS_mmap, NULL, 4096L, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS, -1, 1L);
	assert_ptr_equal(page, MAP_FAILED); /* an offset that is no multiple of a page */
	assert_int_equal(errno, EINVAL);
	assert_int_equal(syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, 1, &moment, NULL, 0L), -1);
	assert_int_equal(errno, EINVAL); /* for want of bits in the sixth */
	assert_told("");
}

/* ---- what returns twice, or never ---------------------------------------------------------------- */

static volatile int child_ran;

static void raw_exit(long how, int status)
{
	__asm__ volatile("syscall"
			 :
			 : "a"(how), "D"(status)
			 : "rcx", "r11", "memory");
	__builtin_unreachable();
}

/* A child in our memory on a stack of its own: whatever lay above it there is where it returns to. */
__attribute__((no_sanitize("address"))) static void cloned(void)
{
	child_ran++;
	raw_exit(SYS_exit, 23);
}

static void test_clone_returns_to_the_callers(void **state)
{
	enum { STACK = 64 << 10 };
	const long flags = CLONE_VM | CLONE_VFORK | SIGCHLD;
	char *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uintptr_t *top = (uintptr_t *)(void *)(stack + STACK - 64);
	int status;
	(void)state;

	for (int i = 0; i < 3; i++) {
		top[0] = (uintptr_t)cloned;
		long pid = syscall(SYS_clone, flags, top, NULL, NULL, NULL);
		assert_true(pid > 0);
		assert_int_equal(waitpid((pid_t)pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 23);
		assert_int_equal(child_ran, i + 1);
	}
	munmap(stack, STACK);
}

static int status_of(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void test_fork_exec_exit(void **state)
{
	(void)state;

	long pid = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
	if (pid == 0)
		syscall(SYS_exit_group, 7);
	assert_int_equal(status_of((pid_t)pid), 7);
	char *argv[] = { (char *)"sh", (char *)"-c", (char *)"exit $status", NULL };
	char *envp[] = { (char *)"status=9", NULL };
	pid = syscall(SYS_fork);
	if (pid == 0) {
		syscall(SYS_execve, "/bin/sh", argv, envp);
		_exit(1);
	}
	assert_int_equal(status_of((pid_t)pid), 9);
	pid = syscall(SYS_fork);
	if (pid == 0) {
		syscall(SYS_execveat, AT_FDCWD, "/bin/sh", argv, envp, 0);
		_exit(1);
	}
	assert_int_equal(status_of((pid_t)pid), 9);
	assert_int_equal(syscall(SYS_execve, "/no/such/program", argv, envp), -1);
	assert_int_equal(errno, ENOENT);
}

static void test_who_looks_waits(void **state)
{
	struct stat st;
	struct statx stx;
	(void)state;

	assert_int_equal(syscall(SYS_fstat, 2, &st), 0);
	assert_int_equal(syscall(SYS_statx, 2, "", AT_EMPTY_PATH, STATX_SIZE, &stx), 0);
	assert_int_equal(syscall(SYS_fsync, -1), -1);
	assert_int_equal(syscall(SYS_fdatasync, -1), -1);
	assert_int_equal(syscall(SYS_lseek, -1, 0, SEEK_CUR), -1);
	assert_int_equal(errno, EBADF);
	assert_told("settle 2 settle 2 settle -1 settle -1 settle -1 ");
}

/* ---- sandboxes ----------------------------------------------------------------------------------- */

static void assert_free(void)
{
	assert_false(shim.sandboxed);
	assert_false(shim.policy.no_calls);
	assert_int_equal(played_control.polled, 0);
}

/* Programs ask in this way whether there is seccomp at all. */
static void test_refused_sandbox_is_undone(void **state)
{
	(void)state;

	abort_is_ours = true;
	assert_int_equal(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL), -1);
	assert_int_equal(errno, EFAULT);
	assert_free();
	assert_true(abort_is_ours);
	assert_int_equal(pokes, 1);
	assert_int_equal(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, NULL), -1);
	assert_int_equal(errno, EFAULT);
	assert_free();
	assert_int_equal(syscall(SYS_prctl, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL, 0, 0), -1);
	assert_free();
	assert_int_equal(pokes, 3);
	uint32_t action = SECCOMP_RET_ALLOW;
	syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action); /* only asks */
	assert_int_equal(pokes, 3);
	shim.policy.no_calls = true; /* for some other reason */
	assert_int_equal(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL), -1);
	assert_true(shim.policy.no_calls);
}

static void test_prctl_passes(void **state)
{
	char name[16];
	(void)state;

	assert_int_equal(prctl(PR_GET_NAME, name), 0);
	assert_int_equal(prctl(-1, 0, 0, 0, 0), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(pokes, 0);
}

/* Behind a filter that kills for whatever is not exit_group. */
static int in_a_sandbox(void)
{
	struct sock_filter rules[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
	struct sock_fprog filter = { sizeof rules / sizeof *rules, rules };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || shim.sandboxed ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0)
		return 77;
	bool prepared = shim.sandboxed && shim.policy.no_calls && !abort_is_ours;
	int status = prepared && played_control.polled == 1 ? 0 : 1;
	if (syscall(SYS_write, 2, "said", 4) != 4 || said.length != 4)
		status = 2;
	raw_exit(SYS_exit_group, status);
	return 3;
}

static void test_sandbox(void **state)
{
	(void)state;
	shim.fds[2] = FD_CAPTURED;
	shim.chosen_count = 2;
	shim.chosen[1].fd = 40; /* not looked at yet */
	abort_is_ours = true;
	pid_t pid = fork();
	if (pid == 0)
		_exit(in_a_sandbox());
	assert_int_equal(status_of(pid), 0);
	/* What nobody may look at later is looked at before. */
	enter_sandbox();
	assert_told("classify 40 ");
	struct before again = enter_sandbox(); /* a second filter counts for nothing */
	assert_int_equal(played_control.polled, 1);
	leave_sandbox(again);
	assert_true(shim.sandboxed);
}

static void test_not_listening(void **state)
{
	(void)state;
	shim.stage = SHIM_PASSING;
	assert_int_equal(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL), -1);
	assert_free();
	assert_int_equal(pokes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_write_is_captured, fresh),
		cmocka_unit_test_setup(test_what_the_kernel_refuses, fresh),
		cmocka_unit_test_setup(test_write_elsewhere, fresh),
		cmocka_unit_test_setup(test_write_at_a_place, fresh),
		cmocka_unit_test_setup(test_descriptors, fresh),
		cmocka_unit_test_setup(test_received, fresh),
		cmocka_unit_test_setup(test_memory, fresh),
		cmocka_unit_test_setup(test_the_rest_passes, fresh),
		cmocka_unit_test_setup(test_clone_returns_to_the_callers, fresh),
		cmocka_unit_test_setup(test_fork_exec_exit, fresh),
		cmocka_unit_test_setup(test_who_looks_waits, fresh),
		cmocka_unit_test_setup(test_refused_sandbox_is_undone, fresh),
		cmocka_unit_test_setup(test_prctl_passes, fresh),
		cmocka_unit_test_setup(test_sandbox, fresh),
		cmocka_unit_test_setup(test_not_listening, fresh),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
