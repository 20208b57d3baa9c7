/*
 * stream.cc - C++ streams that get the number 2 for a file of their own.
 *
 * std::ofstream opens by fopen and writes by write and writev, past stdio.
 */
#include "tests/preload/case.h"

#include <fcntl.h>
#include <fstream>
#include <iostream>

static void check(int number)
{
	state("number 2 is %s", number ? "the stream's" : "somebody else's");
}

static void fill(std::ostream &stream)
{
	for (int i = 0; i < 3000; i++)
		stream << "line " << i << " of the stream's file\n";
	stream << std::string(20000, 'x') << std::endl;
}

static void say_ofstream_after_close()
{
	std::cerr << "before\n";
	close(2);
	std::ofstream stream("data");
	check(fcntl(2, F_GETFD) >= 0);
	fill(stream);
	std::cerr << "cerr follows the number\n";
}

static void say_ofstream_unsync()
{
	std::ios_base::sync_with_stdio(false);
	std::cerr << "before\n";
	close(2);
	std::ofstream stream("data");
	check(fcntl(2, F_GETFD) >= 0);
	fill(stream);
	std::cerr << "cerr follows the number\n";
}

static void say_filebuf_after_unseen_close()
{
	std::cerr << "before\n";
	raw_syscall3(SYS_close, 2, 0, 0);
	std::filebuf buffer;
	buffer.open("data", std::ios::out);
	check(fcntl(2, F_GETFD) >= 0);
	std::ostream stream(&buffer);
	fill(stream);
}

static const struct test_case cases[] = {
	CASE(ofstream_after_close, ""),
	CASE(ofstream_unsync, ""),
	CASE(filebuf_after_unseen_close, ""),
};

CASES_MAIN(cases)
