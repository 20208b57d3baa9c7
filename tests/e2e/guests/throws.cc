/*
 * throws.cc - exceptions through functions of a library (leaf.c): caught near and far, thrown again,
 * with destructors on the way, and not caught at all by who must not see them. It knows nothing of hark.
 *
 *	throws [TIMES [looks|forbids]]
 *
 * looks: destructors ask where they were called from. forbids: all system calls but those that it makes itself.
 * Prints what it counted; the exit status is 1 where an exception went astray.
 */
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <execinfo.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <string>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

extern "C" {
int leaf_plain(int n);
void leaf_back(void (*function)(void *), void *argument);
}

static long plain, back, destroyed, caught;
static bool looks;

struct Guard {
	~Guard()
	{
		void *frames[64];
		destroyed++, plain++, leaf_plain(1);
		if (looks && backtrace(frames, 64) < 3)
			_exit(3);
		if (destroyed % 2)
			plain++, leaf_plain(4);
	}
};

struct Job {
	int depth, catch_at;
	bool again;
};

struct Number : std::exception {
	explicit Number(int n) : number(n) {}
	int number;
};

static void call(void (*function)(void *), void *argument)
{
	back++;
	leaf_back(function, argument);
}

static void work(void *argument)
{
	Job job = *static_cast<Job *>(argument);
	Guard guard;

	if (job.depth-- == 0)
		throw Number(job.catch_at);
	if (job.depth + 1 != job.catch_at) {
		call(work, &job);
		return;
	}
	try {
		call(work, &job);
	} catch (const std::exception &e) {
		caught++;
		plain++, leaf_plain(2);
		if (static_cast<const Number &>(e).number != job.catch_at)
			exit(1);
		if (job.again)
			throw;
	}
}

static bool forbid()
{
	sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_read, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_write, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	sock_fprog program = { sizeof code / sizeof *code, code };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static bool throws(int times)
{
	long expected = 0, guards = 0;

	destroyed = 0;
	for (int i = 0; i < times; i++) {
		Job job = { i % 23, i % 5, i % 3 == 0 };
		guards += job.depth + 1;
		try {
			call(work, &job);
			expected++;
			if (job.again || job.catch_at > job.depth || job.catch_at == 0)
				return false;
		} catch (const Number &) {
			expected++;
			if (!job.again && job.catch_at <= job.depth && job.catch_at > 0)
				return false;
		}
		plain++, leaf_plain(3);
	}
	return expected == times && guards == destroyed;
}

int main(int argc, char **argv)
{
	int times = argc > 1 ? atoi(argv[1]) : 10;
	std::string how = argc > 2 ? argv[2] : "";
	char text[100];
	bool good = true;

	looks = how == "looks";
	if (how == "forbids") {
		good = throws(2); /* memory that this takes is there then */
		if (!forbid())
			return 2;
	}
	good = throws(times) && good;
	int bytes = snprintf(text, sizeof text, "leaf_plain %ld\nleaf_back %ld\n", plain, back);
	good = write(1, text, bytes) == bytes && good;
	_exit(!good);
}
