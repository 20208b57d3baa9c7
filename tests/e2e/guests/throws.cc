/*
 * throws.cc - exceptions through functions of a library (leaf.c): caught near and far, thrown again,
 * with destructors on the way, and not caught at all by who must not see them. It knows nothing of hark.
 *
 * Prints what it counted; the exit status is 1 where an exception went astray.
 */
#include <cstdio>
#include <cstdlib>
#include <exception>

extern "C" {
int leaf_plain(int n);
void leaf_back(void (*function)(void *), void *argument);
}

static long plain, back, destroyed, caught;

struct Guard {
	~Guard() { destroyed++, plain++, leaf_plain(1); }
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

int main(int argc, char **argv)
{
	int times = argc > 1 ? atoi(argv[1]) : 10;
	long expected = 0, guards = 0;

	for (int i = 0; i < times; i++) {
		Job job = { i % 23, i % 5, i % 3 == 0 };
		guards += job.depth + 1;
		try {
			call(work, &job);
			expected++;
			if (job.again || job.catch_at > job.depth || job.catch_at == 0)
				return 1;
		} catch (const Number &) {
			expected++;
			if (!job.again && job.catch_at <= job.depth && job.catch_at > 0)
				return 1;
		}
		plain++, leaf_plain(3);
	}
	std::printf("leaf_plain %ld\nleaf_back %ld\n", plain, back);
	return expected == times && guards == destroyed ? 0 : 1;
}
