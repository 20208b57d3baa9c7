/*
 * test_infer.c - the level of a line, on lines as real programs write them.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/message/infer.h"

struct sample {
	enum level level;
	size_t skip;
	const char *text;
};

/* A level that no line below claims, so that "nothing found" is told from "info". */
#define NOTHING LEVEL_ALERT

static int check(const struct sample *samples, size_t count)
{
	int wrong = 0;

	for (size_t i = 0; i < count; i++) {
		size_t skip = 77;
		size_t length = strlen(samples[i].text);
		enum level level = infer_level(samples[i].text, length, NOTHING, &skip);

		if (level == samples[i].level && skip == samples[i].skip)
			continue;
		print_error("%s: %s, skip %zu; should be %s, skip %zu\n", samples[i].text,
			    level_name(level), skip, level_name(samples[i].level), samples[i].skip);
		wrong++;
	}
	return wrong;
}

#define CHECK(samples) assert_int_equal(check(samples, sizeof(samples) / sizeof(samples[0])), 0)

static const struct sample servers[] = {
	/* nginx */
	{ LEVEL_ERROR, 0,
	  "2024/01/01 12:00:00 [error] 12#12: *1 open() \"/x\" failed (2: No such file)" },
	{ LEVEL_NOTICE, 0, "2024/01/01 12:00:00 [notice] 1#1: nginx/1.22.1" },
	{ LEVEL_WARNING, 0, "nginx: [warn] conflicting server name \"x\" on 0.0.0.0:80, ignored" },
	{ LEVEL_EMERG, 0, "nginx: [emerg] bind() to 0.0.0.0:80 failed" },
	{ LEVEL_CRIT, 0, "2024/01/01 12:00:00 [crit] 7#7: SSL_do_handshake() failed" },
	{ NOTHING, 0,
	  "127.0.0.1 - - [01/Jan/2024:12:00:00 +0000] \"GET /error HTTP/1.1\" 404 146" },
	/* apache */
	{ LEVEL_ERROR, 0,
	  "[Wed Oct 11 14:32:52.123456 2023] [core:error] [pid 1:tid 2] AH00124: x" },
	{ LEVEL_NOTICE, 0,
	  "[Wed Oct 11 14:32:52.123456 2023] [mpm_event:notice] [pid 1] AH00489: ok" },
	{ LEVEL_ERROR, 0, "[Wed Oct 11 14:32:52 2000] [error] [client 127.0.0.1] client denied" },
	/* redis */
	{ LEVEL_NOTICE, 0, "812:M 01 Jan 2024 12:00:00.123 * Ready to accept connections" },
	{ LEVEL_WARNING, 0, "812:C 01 Jan 2024 12:00:00.123 # Warning: no config file" },
	{ LEVEL_INFO, 0, "1:S 01 Jan 2024 12:00:00.123 - Accepted 10.0.0.1:6379" },
	{ LEVEL_DEBUG, 0, "12345:M 01 Jan 2024 12:00:00.123 . DB 0: 1 keys" },
	/* postgres */
	{ LEVEL_INFO, 0, "2024-01-01 12:00:00.000 UTC [123] LOG:  database system is ready" },
	{ LEVEL_CRIT, 0, "2024-01-01 12:00:00.000 UTC [123] FATAL:  role \"x\" does not exist" },
	{ LEVEL_CRIT, 0, "2024-01-01 12:00:00.000 UTC [123] PANIC:  could not write to file" },
	{ LEVEL_ERROR, 0, "2024-01-01 12:00:00.000 UTC [123] ERROR:  syntax error at or near" },
	{ NOTHING, 0, "2024-01-01 12:00:00.000 UTC [123] DETAIL:  Key (id)=(1) exists." },
	/* mysql, haproxy, rabbitmq, docker */
	{ LEVEL_WARNING, 0, "2024-01-01T12:00:00.000000Z 0 [Warning] [MY-010068] [Server] CA" },
	{ LEVEL_ERROR, 0, "2024-01-01T12:00:00.000000Z 0 [ERROR] [MY-010119] Aborting" },
	{ LEVEL_INFO, 0, "2024-01-01 12:00:00 0 [Note] InnoDB: ready" },
	{ LEVEL_WARNING, 0, "[WARNING] 001/120000 (8) : config : missing timeouts" },
	{ LEVEL_ERROR, 0, "2024-01-01 12:00:00.123 [error] <0.123.0> closing AMQP connection" },
	{ LEVEL_WARNING, 0, "time=\"2024-01-01T12:00:00.123456789Z\" level=warning msg=\"x\"" },
	/* sshd */
	{ LEVEL_ERROR, 0, "error: kex_exchange_identification: Connection closed" },
	{ LEVEL_DEBUG, 0, "debug1: sshd version OpenSSH_9.2, OpenSSL 3.0.11" },
	{ LEVEL_DEBUG, 0, "debug3: mm_request_send: entering, type 5" },
	{ NOTHING, 0, "Accepted publickey for joe from 10.0.0.1 port 50000 ssh2" },
	/* systemd, NetworkManager, the kernel */
	{ NOTHING, 0, "systemd[1]: Failed to start foo.service - Foo." },
	{ LEVEL_INFO, 0, "<info>  [1704110400.1234] device (eth0): state change" },
	{ LEVEL_WARNING, 0, "<warn>  [1704110400.1234] dhcp4 (eth0): timed out" },
	{ NOTHING, 0, "[    1.234567] EXT4-fs (sda1): mounted filesystem" },
	{ LEVEL_ERROR, 3, "<3>[    1.234567] ata1: failed" },
	{ LEVEL_ERROR, 0, "(EE) Failed to load module \"vesa\"" },
	{ LEVEL_WARNING, 0, "[     9.123] (WW) Falling back to old probe method" },
};

static void test_servers(void **state)
{
	(void)state;
	CHECK(servers);
}

static const struct sample libraries[] = {
	/* glog, klog, abseil */
	{ LEVEL_ERROR, 0, "E1120 12:34:56.789012    1234 file.go:12] cannot" },
	{ LEVEL_WARNING, 0, "W1120 12:34:56.789012 1 reflector.go:324] watch" },
	{ LEVEL_INFO, 0, "I20240101 12:34:56.789012 77 main.cc:8] up" },
	{ LEVEL_CRIT, 0, "F1120 12:34:56.789012 1 main.cc:8] Check failed: x" },
	{ LEVEL_ERROR, 0, "[812:812:1120/123456.789012:ERROR:gpu_init.cc(440)] Passthrough" },
	/* Python */
	{ LEVEL_WARNING, 0, "WARNING:root:be careful" },
	{ LEVEL_ERROR, 0, "2024-01-01 12:00:00,123 - app.db - ERROR - lost connection" },
	{ LEVEL_INFO, 0, "[2024-01-01 12:00:00,123: INFO/MainProcess] mingle: all alone" },
	{ LEVEL_ERROR, 0, "Traceback (most recent call last):" },
	{ NOTHING, 0, "  File \"x.py\", line 1, in <module>" },
	{ LEVEL_ERROR, 0, "ValueError: invalid literal for int() with base 10: 'x'" },
	{ LEVEL_ERROR, 0, "requests.exceptions.ConnectionError: HTTPSConnectionPool" },
	{ LEVEL_INFO, 0, "INFO:     Uvicorn running on http://127.0.0.1:8000" },
	{ LEVEL_WARNING, 0, "[W 2024-01-01 12:00:00.123 ServerApp] no token" },
	/* Java */
	{ LEVEL_WARNING, 0, "12:00:00.123 [main] WARN  com.example.App - careful" },
	{ LEVEL_ERROR, 0, "[2024-01-01T12:00:00,123][ERROR][o.e.b.Bootstrap] [node] stopped" },
	{ LEVEL_INFO, 0, "[2024-01-01T12:00:00,123][INFO ][o.e.n.Node     ] [node] started" },
	{ LEVEL_ERROR, 0, "SEVERE: Servlet.service() threw exception" },
	{ LEVEL_DEBUG, 0, "FINE: a detail" },
	{ LEVEL_ERROR, 0, "Exception in thread \"main\" java.lang.NullPointerException" },
	{ LEVEL_ERROR, 0, "java.lang.IllegalStateException: not now" },
	{ LEVEL_WARNING, 0, "[12:00:00] [Server thread/WARN]: Can't keep up!" },
	/* Rust */
	{ LEVEL_INFO, 0, "[2024-01-01T12:00:00Z INFO  app::net] listening" },
	{ LEVEL_DEBUG, 0, "[2024-01-01T12:00:00Z TRACE app] polled" },
	{ LEVEL_ERROR, 0,
	  "\x1b[2m2024-01-01T12:00:00.1Z\x1b[0m \x1b[31mERROR\x1b[0m \x1b[2mapp\x1b[0m: x" },
	{ LEVEL_CRIT, 0, "thread 'main' panicked at src/main.rs:2:5:" },
	{ LEVEL_ERROR, 0, "\x1b[1m\x1b[38;5;9merror\x1b[0m\x1b[1m: could not compile `x`\x1b[0m" },
	/* Go */
	{ LEVEL_CRIT, 0, "panic: runtime error: index out of range [5] with length 3" },
	{ LEVEL_ERROR, 0, "fatal error: all goroutines are asleep - deadlock!" },
	{ LEVEL_ERROR, 0, "2024/01/01 12:00:00 ERROR cannot connect err=\"refused\"" },
	{ LEVEL_DEBUG, 0, "time=2024-01-01T12:00:00.000Z level=DEBUG msg=hello" },
	{ LEVEL_ERROR, 0, "t=2024-01-01T12:00:00+0000 lvl=eror msg=broken" },
	{ LEVEL_INFO, 0, "\x1b[36mINFO\x1b[0m[0000] started" },
	{ LEVEL_WARNING, 0, "12:00PM WRN slow query" },
	/* C++ */
	{ LEVEL_WARNING, 0, "[2024-01-01 12:00:00.123] [app] [\x1b[33m\x1b[1mwarning\x1b[m] hot" },
	/* .NET, PHP, Erlang */
	{ LEVEL_WARNING, 0, "warn: Microsoft.AspNetCore.Server[0]" },
	{ LEVEL_WARNING, 0, "[12:00:00 WRN] Serilog says" },
	{ LEVEL_WARNING, 0, "PHP Warning:  Undefined variable $x in /x.php on line 3" },
	{ LEVEL_ERROR, 0, "PHP Fatal error:  Uncaught Exception" },
	{ LEVEL_CRIT, 0, "[2024-01-01T12:00:00.1+00:00] app.CRITICAL: Uncaught [] []" },
	{ LEVEL_ERROR, 0, "=ERROR REPORT==== 1-Jan-2024::12:00:00 ===" },
};

static void test_libraries(void **state)
{
	(void)state;
	CHECK(libraries);
}

static const struct sample objects[] = {
	{ LEVEL_INFO, 0, "{\"level\":30,\"time\":1704110400000,\"pid\":8,\"msg\":\"hi\"}" },
	{ LEVEL_ERROR, 0, "{\"level\":50,\"msg\":\"hi\"}" },
	{ LEVEL_CRIT, 0, "{\"level\":60}" },
	{ NOTHING, 0, "{\"level\":300}" },
	{ LEVEL_WARNING, 0, "{\"level\":\"warn\",\"ts\":1704110400.1,\"msg\":\"ERROR in text\"}" },
	{ LEVEL_INFO, 0, "{\"msg\":\"ERROR in text\",\"level\":\"info\"}" },
	{ LEVEL_DEBUG, 0, "{\"msg\":\"say \\\"level\\\":\\\"error\\\"\",\"severity\": \"DEBUG\"}" },
	{ LEVEL_ERROR, 0, "{ \"log.level\" : \"ERROR\", \"message\": \"x\"}" },
	{ LEVEL_WARNING, 0, "{'levelname': 'WARNING', 'x': 1}" },
	{ LEVEL_WARNING, 0, "{\"@t\":\"2024-01-01T12:00:00Z\",\"@l\":\"Warning\",\"@m\":\"x\"}" },
	{ LEVEL_WARNING, 0,
	  "{\"hostname\":\"a-rather-long-name-of-a-host.example.org\",\"pid\":4711,"
	  "\"name\":\"service\",\"level\":40}" },
	{ NOTHING, 0, "{\"msg\":\"ERROR: nothing says which level\"}" },
	{ NOTHING, 0, "{\"level\":" },
	{ NOTHING, 0, "{\"" },
	{ NOTHING, 0, "{" },
};

static void test_objects(void **state)
{
	(void)state;
	CHECK(objects);
}

static const struct sample tools[] = {
	{ LEVEL_ERROR, 0, "x.c:1:10: fatal error: y.h: No such file or directory" },
	{ LEVEL_WARNING, 0, "x.c:3:9: warning: unused variable 'y' [-Wunused-variable]" },
	{ LEVEL_ERROR, 0,
	  "\x1b[01m\x1b[Kx.c:3:9:\x1b[m\x1b[K \x1b[01;31m\x1b[Kerror: \x1b[m\x1b[K'y' undeclared" },
	{ NOTHING, 0, "x.c:3:9: note: declared here" },
	{ NOTHING, 0, "In file included from error.h:3," },
	{ LEVEL_ERROR, 0, "make: *** [Makefile:3: all] Error 1" },
	{ LEVEL_ERROR, 0, "make[1]: *** No rule to make target 'x'.  Stop." },
	{ NOTHING, 0, "make[1]: Entering directory '/x'" },
	{ LEVEL_ERROR, 0, "fatal: not a git repository (or any of the parent directories): .git" },
	{ LEVEL_WARNING, 0, "warning: redirecting to https://example.org/" },
	{ NOTHING, 0, "curl: (7) Failed to connect to localhost port 1" },
	{ NOTHING, 0, "bash: line 1: foo: command not found" },
	{ LEVEL_WARNING, 0, "bash: warning: setlocale: LC_ALL: cannot change locale" },
	{ NOTHING, 0, "[h264 @ 0x55d0c0ffee00] error while decoding MB 5 7" },
	{ LEVEL_ERROR, 0, "[h264 @ 0x55d0c0ffee00] [error] no frame!" },
	{ LEVEL_ERROR, 0, "E: Unable to locate package foo" },
	{ LEVEL_WARNING, 0, "W: GPG error: http://example.org stable InRelease" },
	{ LEVEL_ERROR, 0, "npm ERR! code ELIFECYCLE" },
	{ LEVEL_WARNING, 0, "perl: warning: Setting locale failed." },
	{ LEVEL_ERROR, 0, "TypeError: Cannot read properties of undefined" },
	{ LEVEL_ERROR, 0, "ERROR 1045 (28000): Access denied for user" },
	{ NOTHING, 0, "    at Error (native)" },
};

static void test_tools(void **state)
{
	(void)state;
	CHECK(tools);
}

/* What stands in prose, names and addresses must not count. */
static const struct sample prose[] = {
	{ NOTHING, 0, "no error found" },
	{ NOTHING, 0, "0 errors, 0 warnings" },
	{ NOTHING, 0, "there was an error somewhere" },
	{ NOTHING, 0, "compiled without error: good" },
	{ NOTHING, 0, "NO ERROR" },
	{ NOTHING, 0, "log level set to DEBUG" },
	{ NOTHING, 0, "reading /var/log/ERROR" },
	{ NOTHING, 0, "wrote ERROR.txt" },
	{ NOTHING, 0, "ERROR_CODE 7" },
	{ NOTHING, 0, "MY_ERROR happened" },
	{ NOTHING, 0, "ERRORS follow" },
	{ NOTHING, 0, "export DEBUG=1" },
	{ NOTHING, 0, "mode=DEBUG" },
	{ NOTHING, 0, "std::error::Error" },
	{ NOTHING, 0, "use error::Error;" },
	{ NOTHING, 0, "expected 'ERROR' but got \"WARN\"" },
	{ NOTHING, 0, "--WARNING" },
	{ NOTHING, 0, "SSL alert: close notify" },
	{ LEVEL_ERROR, 0, "list[error] = 1 and (error code) are prose" }, /* brackets count */
	{ NOTHING, 0, "(error code 5)" },
	{ NOTHING, 0, "[error" },
	{ NOTHING, 0, "(ii) the second" },
	{ NOTHING, 0, "licensed (CC) by us" },
	{ NOTHING, 0, "water_level=critical" },
	{ NOTHING, 0, "level=high" },
	{ NOTHING, 0, "level=errors" },
	{ NOTHING, 0, "information: see the trace file" },
	{ NOTHING, 0, "T1120 12:34:56 is no such line" },
	{ NOTHING, 0, "E1120 is a number" },
	{ NOTHING, 0, "I/O error" },
	{ NOTHING, 0, "Terror: none" },
	{ NOTHING, 0, "LOG in" },
	{ NOTHING, 0, "A FINE day" },
	{ NOTHING, 0, "812:M 01 Jan 2024 12:00:00.123 ? what" },
	{ NOTHING, 0, " " },
};

static void test_prose(void **state)
{
	(void)state;
	CHECK(prose);
}

static const struct sample priorities[] = {
	{ LEVEL_EMERG, 3, "<0>gone" },
	{ LEVEL_DEBUG, 3, "<7>details" },
	{ LEVEL_NOTICE, 4, "<13>user.notice" },
	{ LEVEL_DEBUG, 5, "<191>local7.debug" },
	{ LEVEL_WARNING, 3, "<4>ERROR: the number wins" },
	{ LEVEL_INFO, 3, "<6>" },
	{ NOTHING, 0, "<192>too much" },
	{ NOTHING, 0, "<999>too much" },
	{ NOTHING, 0, "<1234>too long" },
	{ NOTHING, 0, "<07>no leading zeros" },
	{ NOTHING, 0, "<>" },
	{ NOTHING, 0, "<3" },
	{ NOTHING, 0, "<33" },
	{ NOTHING, 0, "<" },
	{ NOTHING, 0, "<-1>x" },
	{ NOTHING, 0, " <3>not leading" },
};

static void test_priorities(void **state)
{
	(void)state;
	CHECK(priorities);
}

static void test_only_the_beginning_counts(void **state)
{
	char line[256];
	size_t skip;

	(void)state;
	for (size_t at = 0; at < 200; at++) {
		enum level level;

		memset(line, '.', sizeof(line));
		line[0] = line[at] = ' ';
		memcpy(line + at + 1, "ERROR ", 6);
		level = infer_level(line, sizeof(line), NOTHING, &skip);
		if (at + 2 < INFER_SCAN)
			assert_int_equal(level, LEVEL_ERROR);
		else if (at >= INFER_SCAN)
			assert_int_equal(level, NOTHING);
	}
}

/* Nothing outside of the line is read: it lies at the end of a page that nothing follows, cut to
 * every length. Control bytes and halves of sequences stand anywhere. */
static void test_bounds(void **state)
{
	static const char *const lines[] = {
		"{\"a\":1,\"level\":\"error\"}", "<191>x", "[core:error] [", "(WW)", "[W 1",
		"\x1b[31mERROR\x1b[0m\x1b[", "812:M 01 Jan 2024 12:00:00.123 * x",
		"make[1]: *** x", "level=error", "thread 'a' panicked at ", "app.ERROR: ", "E: ",
		"Traceback (most recent call last)", "[ ", "no error:", "[Server thread/INFO]",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa ERROR",
	};
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *map = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t skip;

	(void)state;
	assert_ptr_not_equal(map, MAP_FAILED);
	assert_int_equal(mprotect(map + page, page, PROT_NONE), 0);
	for (size_t k = 0; k < sizeof(lines) / sizeof(lines[0]); k++)
		for (size_t length = 0; length <= strlen(lines[k]); length++) {
			char *at = map + page - length;
			enum level level;

			memcpy(at, lines[k], length);
			level = infer_level(at, length, NOTHING, &skip);
			assert_in_range(level, 0, LEVEL_NR - 1);
			assert_in_range(skip, 0, length);
		}
	munmap(map, 2 * page);
}

static void test_noise(void **state)
{
	static const char alphabet[] = "[]()<>{}:=\"' \x1b[mERORWAN0123levlrogf\0\r\t_.-";
	unsigned seed = 1;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		size_t length = (size_t)rand_r(&seed) % 120, skip;
		char *line = malloc(length ? length : 1);
		enum level level;

		for (size_t i = 0; i < length; i++)
			line[i] = alphabet[(size_t)rand_r(&seed) % (sizeof(alphabet) - 1)];
		level = infer_level(line, length, LEVEL_INFO, &skip);
		assert_in_range(level, 0, LEVEL_NR - 1);
		assert_in_range(skip, 0, length);
		free(line);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_servers),
		cmocka_unit_test(test_libraries),
		cmocka_unit_test(test_objects),
		cmocka_unit_test(test_tools),
		cmocka_unit_test(test_prose),
		cmocka_unit_test(test_priorities),
		cmocka_unit_test(test_only_the_beginning_counts),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
