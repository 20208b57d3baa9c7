/*
 * cxx.cc - C++ streams on stderr, with and without stdio beneath, and what the runtime says itself.
 *
 * In sync mode libstdc++ goes through stdio; without it, it calls write and writev by itself, from
 * the shared library or, in the variant static-cxx, from within the program.
 */
#include "tests/preload/case.h"

#include <cstdio>
#include <exception>
#include <ext/stdio_filebuf.h>
#include <ext/stdio_sync_filebuf.h>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <iterator>
#include <locale>
#include <stdexcept>
#include <string>
#include <syslog.h>
#include <thread>

static void unsync()
{
	std::ios_base::sync_with_stdio(false);
}

static void say_cerr() { std::cerr << "cerr " << 42 << ' ' << 2.5 << '\n'; }
static void say_cerr_endl() { std::cerr << "cerr with endl" << std::endl << "two" << std::endl; }
static void say_cerr_unfinished() { std::cerr << "cerr without a newline"; }

static void say_cerr_put()
{
	for (const char *p = "by put\n"; *p; p++)
		std::cerr.put(*p);
	std::cerr.write("by write\n", 9);
}

static void say_cerr_manipulators()
{
	std::cerr << std::hex << std::setw(8) << std::setfill('0') << 255 << std::boolalpha << true
		  << "\n";
}

static void say_clog()
{
	std::clog << "clog says\n";
	std::clog.flush();
}

static void say_clog_exit() { std::clog << "clog, not flushed before exit\n"; }

static void say_wcerr()
{
	std::setlocale(LC_ALL, "C.UTF-8");
	std::wcerr << L"wcerr \u00fc " << 42 << L'\n';
}

static void say_wclog()
{
	std::wclog << L"wclog" << std::endl;
}

static void say_unsync_cerr() { unsync(); say_cerr(); say_cerr_put(); }
static void say_unsync_clog() { unsync(); say_clog(); }

static void say_unsync_clog_exit()
{
	unsync();
	for (int i = 0; i < 2000; i++)
		std::clog << "clog line " << i << " waits in its buffer\n";
}

static void say_unsync_wcerr()
{
	unsync();
	std::wcerr << L"wcerr " << 42 << L'\n';
}

static void say_unsync_wclog_exit()
{
	unsync();
	std::wclog << L"wclog " << 42 << L'\n';
}

static void say_unsync_buffered()
{
	unsync();
	std::cerr << std::nounitbuf << "buffered cerr, ";
	std::cerr << "flushed\n" << std::flush;
}

/* One call of writev: what waits in the buffer, then what does not fit. */
static void say_unsync_long()
{
	unsync();
	std::string text(20000, 'x');

	for (std::size_t i = 99; i < text.size(); i += 100)
		text[i] = '\n';
	std::clog << "short\n" << text;
}

static void say_mixed()
{
	for (int i = 0; i < 50; i++) {
		std::cerr << "cerr " << i << '\n';
		std::fprintf(stderr, "fprintf %d\n", i);
		std::clog << "clog " << i << std::endl;
	}
}

static void say_rdbuf()
{
	std::streambuf *before = std::cout.rdbuf(std::cerr.rdbuf());

	std::cout << "cout with the buffer of cerr" << std::endl;
	std::cout.rdbuf(before);
}

static void say_iterator()
{
	const int numbers[] = { 1, 2, 3 };

	std::copy(numbers, numbers + 3, std::ostream_iterator<int>(std::cerr, "\n"));
}

static void say_ofstream()
{
	std::ofstream stream("/dev/stderr", std::ios::app);

	stream << "ofstream on /dev/stderr\n";
}

static void say_filebuf()
{
	__gnu_cxx::stdio_filebuf<char> buffer(2, std::ios::out);
	std::ostream stream(&buffer);

	stream << "stdio_filebuf on 2\n" << std::flush;
}

static void say_sync_filebuf()
{
	__gnu_cxx::stdio_sync_filebuf<char> buffer(stderr);
	std::ostream stream(&buffer);

	stream << "stdio_sync_filebuf on stderr\n";
}

static void say_cstdio()
{
	std::fputs("std::fputs\n", stderr);
	errno = ENOENT;
	std::perror("std::perror");
}

static void say_thread()
{
	std::thread thread([] { std::cerr << "std::thread\n"; });

	thread.join();
}

static void say_syslog()
{
	syslog(LOG_CRIT, "from C++");
	expect_syslog("crit", "user", "cxx", "from C++");
}

/* The runtime's own words */

static void say_uncaught() { throw std::runtime_error("what was thrown"); }
static void say_uncaught_int() { throw 5; }
static void say_terminate() { std::terminate(); }
static void throw_it() { throw std::logic_error("out of noexcept"); }
static void say_noexcept() { []() noexcept { throw_it(); }(); }

static void say_uncaught_thread()
{
	std::thread([] { throw std::runtime_error("thrown in a thread"); }).join();
}

static void say_joinable()
{
	std::thread thread([] { for (;;) pause(); });
}

static void say_terminate_handler()
{
	std::set_terminate([] {
		std::cerr << "a handler of the program's own\n";
		std::abort();
	});
	throw 1;
}

struct base {
	base() { early(this); }
	virtual ~base() {}
	virtual void call() = 0;
	static void __attribute__((noipa)) early(base *object) { object->call(); }
};

struct derived : base {
	void call() override {}
};

static void say_pure_virtual() { derived object; }

/* After main */

struct late {
	const char *text;
	bool speaks;
	~late()
	{
		if (!speaks)
			return;
		std::cerr << text << " by cerr\n";
		std::fprintf(stderr, "%s by stdio\n", text);
	}
};

static late global_object = { "a static destructor", false };
static void say_static_destructor() { global_object.speaks = true; }

static void say_local_static()
{
	static late object = { "a local static's destructor", true };

	std::cerr << object.text << " is to come\n";
}

static void say_thread_local()
{
	std::thread([] {
		thread_local late object = { "a thread-local destructor", true };
		object.speaks = true;
	}).join();
	thread_local late in_main = { "a thread-local destructor of the first thread", true };
	in_main.speaks = true;
}

static void say_unsync_static_destructor()
{
	unsync();
	global_object.speaks = true;
}

static void say_exit_with_exception()
{
	try {
		throw std::runtime_error("caught");
	} catch (const std::exception &error) {
		std::cerr << "error: " << error.what() << '\n';
	}
	std::exit(19);
}

static const struct test_case cases[] = {
	CASE(cerr, ""),
	CASE(cerr_endl, ""),
	CASE(cerr_unfinished, ""),
	CASE(cerr_put, ""),
	CASE(cerr_manipulators, ""),
	CASE(clog, ""),
	CASE(clog_exit, ""),
	CASE(wcerr, ""),
	CASE(wclog, ""),
	CASE(unsync_cerr, ""),
	CASE(unsync_clog, ""),
	CASE(unsync_clog_exit, "late"),
	CASE(unsync_wcerr, ""),
	CASE(unsync_wclog_exit, "late"),
	CASE(unsync_buffered, ""),
	CASE(unsync_long, "late"),
	CASE(mixed, ""),
	CASE(rdbuf, ""),
	CASE(iterator, ""),
	CASE(ofstream, "file pipe tty"),
	CASE(filebuf, ""),
	CASE(sync_filebuf, ""),
	CASE(cstdio, ""),
	CASE(thread, ""),
	CASE(syslog, "silent"),
	CASE(uncaught, "late"),
	CASE(uncaught_int, "late"),
	CASE(terminate, "late"),
	CASE(noexcept, "late"),
	CASE(uncaught_thread, "late"),
	CASE(joinable, "late"),
	CASE(terminate_handler, "late"),
	CASE(pure_virtual, "late dynamic"),
	CASE(static_destructor, ""),
	CASE(local_static, ""),
	CASE(thread_local, ""),
	CASE(unsync_static_destructor, ""),
	CASE(exit_with_exception, ""),
};

CASES_MAIN(cases)
