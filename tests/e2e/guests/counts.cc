// counts.cc - C++ that counts its own calls: templates, classes, exceptions. Built with
// -finstrument-functions; it knows nothing of hark. Prints a name and a number a line.
#include <atomic>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#define PLAIN __attribute__((no_instrument_function))
#define OWN __attribute__((noinline))

namespace {

struct Row {
	const char *name;
	long calls;
} rows[32];

// By the name's address: names are literals.
PLAIN void count(const char *name)
{
	for (Row &row : rows) {
		if (!row.name)
			row.name = name;
		if (row.name == name) {
			row.calls++;
			return;
		}
	}
}

} // namespace

template <typename T> OWN T twice(T value)
{
	count("twice");
	return value + value;
}

template <typename T, int N> struct Ring {
	T items[N];
	int at = 0;

	OWN void put(T item)
	{
		count("Ring::put");
		items[at++ % N] = twice(item);
	}
};

struct Guard {
	int *depth;

	OWN explicit Guard(int *where) : depth(where)
	{
		count("Guard::Guard");
		++*depth;
	}
	OWN ~Guard()
	{
		count("Guard::~Guard");
		--*depth;
	}
};

struct Shape {
	virtual ~Shape() = default;
	virtual int area(int side) = 0;
};

struct Square : Shape {
	OWN int area(int side) override
	{
		count("Square::area");
		return side * side;
	}
};

static int depth;

OWN static void thrower(int n)
{
	Guard guard(&depth);

	count("thrower");
	if (n == 0)
		throw std::string("enough");
	thrower(n - 1);
}

OWN static int catcher(int n)
{
	count("catcher");
	try {
		thrower(n);
	} catch (const std::string &) {
		return twice(n);
	}
	return 0;
}

// Passes through a function that neither catches nor destroys.
OWN static void between(int n)
{
	count("between");
	thrower(n);
	count("never");
}

PLAIN int main()
{
	Ring<int, 8> ints;
	Ring<double, 4> reals;
	Square square;
	Shape *shape = &square;
	int sum = 0;

	for (int i = 0; i < 100; i++) {
		ints.put(i);
		if (i % 2)
			reals.put(i);
		sum += shape->area(i);
	}
	for (int i = 0; i < 50; i++)
		sum += catcher(i % 9);
	for (int i = 0; i < 30; i++) {
		try {
			between(i % 5);
		} catch (...) {
			sum += twice(1);
		}
	}
	for (const Row &row : rows)
		if (row.name)
			std::printf("%s %ld\n", row.name, row.calls);
	return sum == 0 || depth != 0;
}
