// stamping.cc - libhark from C++: a scope that is left by an exception.
#include <cstdio>
#include <stdexcept>

#include "lib/hark.h"

namespace
{
struct hark_timer parsing = HARK_TIMER_INIT("parsing");

__attribute__((noinline)) void parse(bool fails)
{
	HARK_SCOPE(&parsing);
	if (fails)
		throw std::runtime_error("no");
}
}

int main()
{
	struct hark_figures figures;

	parse(false);
	try {
		parse(true);
	} catch (const std::exception &) {
		hark_stamp("caught");
	}
	if (hark_timer_read(&parsing, &figures) == 0)
		std::printf("%llu\n", static_cast<unsigned long long>(figures.count));
}
