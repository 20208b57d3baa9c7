/*
 * leaf.c - a library for calls.c: functions that take and give back whatever the ABI has.
 */
#include <complex.h>
#include <stdarg.h>
#include <string.h>

struct pair { long a, b; };
struct mixed { double d; long n; };
struct large { long n[9]; };

int leaf_plain(int n) { return n + 1; }
long leaf_stack(long a, long b, long c, long d, long e, long f, long g, long h, double x)
{
	return a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f + 7 * g + 8 * h + (long)x;
}
double leaf_doubles(double a, double b, double c, double d, double e, double f, double g, double h)
{
	return a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f + 7 * g + 8 * h;
}
double leaf_varargs(int n, ...)
{
	va_list list;
	double sum = 0;

	va_start(list, n);
	for (int i = 0; i < n; i++)
		sum += va_arg(list, double);
	va_end(list);
	return sum;
}
struct pair leaf_pair(long n) { return (struct pair){ n, ~n }; }
struct mixed leaf_mixed(long n) { return (struct mixed){ n / 2.0, n }; }
struct large leaf_large(long n) { return (struct large){ { n, 0, 0, 0, 0, 0, 0, 0, -n } }; }
long double leaf_long_double(long double x) { return x / 3; }
double complex leaf_complex(double complex x) { return x * I; }
long double complex leaf_long_complex(long double x) { return x + 2 * x * I; }
#ifdef __x86_64__
typedef double ymm __attribute__((vector_size(32)));
typedef double zmm __attribute__((vector_size(64)));
__attribute__((target("avx"))) ymm leaf_wide(ymm a, ymm b) { return a + b; }
__attribute__((target("avx512f"))) zmm leaf_widest(zmm a, zmm b) { return a + b; }
#endif
void leaf_back(void (*function)(void *), void *argument) { function(argument); }
int leaf_deep(int (*function)(int), int n) { return function(n); }
