// sieve.cc - a program in C++, built with -finstrument-functions, whose calls are worth choosing from. It
// counts its own calls, and prints the counts at its end: a number and a name a line.
//
//	sieve names|naps|hot [N]
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <sys/wait.h>
#include <unistd.h>

#define PLAIN __attribute__((no_instrument_function))
#define OWN __attribute__((noinline))

static struct { const char *name; long calls; } counts[16];

PLAIN static void count(const char *name)
{
	for (auto &c : counts) {
		if (!c.name)
			c.name = name;
		if (strcmp(c.name, name) == 0) {
			c.calls++;
			return;
		}
	}
}

namespace shop {
template <typename T> struct shelf {
	OWN T put(T x) { count("shop::shelf::put"); return x + 1; }
};
OWN int operator>>(shelf<int> &s, int x) { count("shop::operator>>"); return s.put(x); }
OWN long sell(shelf<int> &a, shelf<long> &b)
{
	count("shop::sell");
	return (a >> 3) + b.put(4) + b.put(5);
}
}

OWN static int outside(int x) { count("outside"); return x * 2; }

OWN static long market(int n)
{
	shop::shelf<int> a;
	shop::shelf<long> b;
	long sum = 0;

	count("market");
	for (int i = 0; i < n; i++)
		sum += shop::sell(a, b) + outside(i);
	return sum;
}

// ---- short and long ----

OWN static int blink(int x) { count("blink"); return x + 1; }
OWN static int blinks(int n)
{
	count("blinks");
	for (int i = 0; i < n; i++)
		blink(i);
	return n;
}
OWN static void nap()
{
	count("nap");
	blinks(10);
	usleep(5000);
	blinks(10);
}
OWN static void naps(int n)
{
	count("naps");
	for (int i = 0; i < n; i++) {
		nap();
		for (int k = 0; k < 100; k++)
			blinks(10);
	}
}

// ---- hot ----

static volatile unsigned sink;
static long tiny_calls;

OWN static void tiny(unsigned x) { sink = sink * 31 + x; tiny_calls++; }
PLAIN OWN static void grind(int n)
{
	for (int i = 0; i < n; i++)
		sink = sink * 31 + 7;
}
OWN static void chunk(int n)
{
	count("chunk");
	grind(200000);
	for (int i = 0; i < n; i++) {
		tiny(i);
		grind(10);
	}
}
OWN static int hot_fib(int n) { return n < 2 ? n : hot_fib(n - 1) + hot_fib(n - 2); }

static volatile sig_atomic_t died;

PLAIN static void told(int) { died++; }

PLAIN static double cpu()
{
	timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

PLAIN int main(int argc, char **argv)
{
	const char *which = argc > 1 ? argv[1] : "";
	int n = argc > 2 ? atoi(argv[2]) : 10;
	double begin = cpu();

	signal(SIGCHLD, told);
	if (strcmp(which, "names") == 0)
		sink = market(n);
	else if (strcmp(which, "naps") == 0)
		naps(n);
	else if (strcmp(which, "hot") == 0)
		for (int i = 0; i < n; i++)
			chunk(5000);
	else if (strcmp(which, "fib") == 0)
		sink = hot_fib(n);
	else
		return 2;
	printf("%.6f cpu\n", cpu() - begin);
	printf("%d strangers\n", (int)died + (waitpid(-1, nullptr, __WALL | WNOHANG) != -1));
	if (tiny_calls)
		printf("%ld tiny\n", tiny_calls);
	for (auto &c : counts)
		if (c.name)
			printf("%ld %s\n", c.calls, c.name);
	return 0;
}
