/*
 * waits.c - see waits.h. Called by the sampler for threads that wait.
 */
#include "lib/sample/waits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/session/process.h"

#define CALL(name) { SYS_##name, #name }

/* Those that programs wait in for long. Where the name is missing, the number tells who looks it up. */
static const struct {
	long number;
	const char *name;
} calls[] = {
	CALL(futex), CALL(read), CALL(write), CALL(readv), CALL(writev), CALL(pread64),
	CALL(pwrite64), CALL(preadv), CALL(pwritev), CALL(ppoll), CALL(pselect6),
	CALL(epoll_pwait), CALL(nanosleep), CALL(clock_nanosleep), CALL(restart_syscall),
	CALL(wait4), CALL(waitid), CALL(accept), CALL(accept4), CALL(connect), CALL(recvfrom),
	CALL(recvmsg), CALL(recvmmsg), CALL(sendto), CALL(sendmsg), CALL(sendmmsg),
	CALL(sendfile), CALL(splice), CALL(tee), CALL(vmsplice), CALL(fcntl), CALL(flock),
	CALL(fsync), CALL(fdatasync), CALL(sync), CALL(syncfs), CALL(sync_file_range),
	CALL(msync), CALL(openat), CALL(close), CALL(ioctl), CALL(getdents64), CALL(getrandom),
	CALL(rt_sigtimedwait), CALL(rt_sigsuspend), CALL(semop), CALL(semtimedop), CALL(msgrcv),
	CALL(msgsnd), CALL(mq_timedreceive), CALL(mq_timedsend), CALL(io_getevents),
	CALL(copy_file_range), CALL(fallocate), CALL(ftruncate), CALL(exit), CALL(execve),
	CALL(clone), CALL(mmap), CALL(munmap), CALL(mprotect), CALL(madvise),
#ifdef SYS_poll /* x86_64 has these from before there were the ones above */
	CALL(poll), CALL(select), CALL(epoll_wait), CALL(pause), CALL(open), CALL(getdents),
	CALL(fork), CALL(vfork),
#endif
#ifdef SYS_io_uring_enter
	CALL(io_uring_enter),
#endif
#ifdef SYS_io_pgetevents
	CALL(io_pgetevents),
#endif
#ifdef SYS_epoll_pwait2
	CALL(epoll_pwait2),
#endif
#ifdef SYS_clone3
	CALL(clone3),
#endif
#ifdef SYS_futex_waitv
	CALL(futex_waitv),
#endif
};

void waits_name(long number, char name[WAITS_NAME])
{
	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
		if (calls[i].number == number) {
			snprintf(name, WAITS_NAME, "[waiting in %s]", calls[i].name);
			return;
		}
	}
	snprintf(name, WAITS_NAME, "[waiting in system call %ld]", number);
}

int waits_read(const char *text, struct waits *w)
{
	unsigned long long sp, pc;
	int number;

	if (sscanf(text, "%d %*x %*x %*x %*x %*x %*x %llx %llx", &number, &sp, &pc) != 3 ||
	    number < 0 || sp <= UINT32_MAX)
		return -EAGAIN;
	w->number = number;
	w->stack = (struct unwind_stack){
		.known = UINT64_C(1) << UNWIND_SP, .pc = pc, .bytes = w->bytes, .address = sp,
	};
	w->stack.reg[UNWIND_SP] = sp;
	return 0;
}

/* A page at a time: what is behind the stack's end must not cost what is before it. */
static size_t read_stack(pid_t pid, uint64_t from, uint8_t bytes[WAITS_STACK])
{
	enum { PAGE = 4096, PARTS = WAITS_STACK / PAGE + 1 };
	struct iovec to = { bytes, WAITS_STACK }, parts[PARTS];
	size_t count = 0, part = PAGE - from % PAGE;

	for (size_t at = 0; at < WAITS_STACK; at += part, part = PAGE) {
		if (part > WAITS_STACK - at)
			part = WAITS_STACK - at;
		parts[count++] = (struct iovec){ (void *)(uintptr_t)(from + at), part };
	}
	ssize_t n = process_vm_readv(pid, &to, 1, parts, count, 0);
	return n < 0 ? 0 : (size_t)n;
}

int waits_ask(pid_t pid, pid_t tid, struct waits *w)
{
	char path[2 * PROCESS_PATH], task[PROCESS_PATH], text[256];
	int error = process_path(pid, "task", task);

	if (error)
		return error;
	snprintf(path, sizeof path, "%s/%d/syscall", task, tid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ssize_t n = read(fd, text, sizeof text - 1);
	error = n < 0 ? -errno : 0;
	close(fd);
	if (error)
		return error;
	text[n] = '\0';
	error = waits_read(text, w);
	if (!error)
		w->stack.count = read_stack(tid, w->stack.address, w->bytes);
	return error;
}
