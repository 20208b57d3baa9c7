// inlined.cc - burns processor time, seven parts in Burner<7>::burn and three in Burner<3>::burn, which are
// inlined into main() with all that they call. usage: inlined SECONDS
#include <cstdio>
#include <cstdlib>
#include <ctime>

#define INLINED __attribute__((always_inline)) inline

namespace work {
static volatile unsigned long sink;

static INLINED long long now()
{
	timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static INLINED unsigned long turn(unsigned long x)
{
	for (int i = 0; i < 40000; i++)
		x = x * 31 + (unsigned long)i;
	return x;
}

template <int parts> struct Burner {
	INLINED void burn(long long until)
	{
		do
			sink = sink + turn(sink + parts);
		while (now() < until);
	}
};
}

int main(int argc, char **argv)
{
	long long at = work::now(), end = at + (long long)(atof(argc > 1 ? argv[1] : "1") * 1e9);
	work::Burner<7> seven;
	work::Burner<3> three;

	for (; at < end; at += 100000000) {
		seven.burn(at + 70000000);
		three.burn(at + 100000000);
	}
	printf("cpu_ns %lld\n", work::now());
	return 0;
}
