/*
 * test_hook_report.c - the reporters (shim/hook_report.c) put together the very bytes that libc writes.
 *
 * Each case is made twice, by the hook with descriptor 2 captured and by libc's own function with
 * descriptor 2 in a file. libc itself is the expected value.
 */
#include "tests/unit/shim_case.h"

#include <link.h>
#include <locale.h>
#include <sys/auxv.h>

#include "shim/hook_report.c"

bool hook_stdio_public;

static char original_text[SAID_MOST];

static void *own(const char *name)
{
	void *found = dlsym(RTLD_NEXT, name);
	assert_non_null(found);
	return found;
}

static void assert_same(size_t n)
{
	assert_int_equal(said.length, n);
	assert_memory_equal(said.bytes, original_text, n);
}

/* ---- psiginfo ------------------------------------------------------------------------------------ */

static void same_psiginfo(const siginfo_t *info, const char *prefix)
{
	void (*by_libc)(const siginfo_t *, const char *) =
		(void (*)(const siginfo_t *, const char *))own("psiginfo");

	forget();
	errno = ENOENT;
	psiginfo(info, prefix);
	assert_int_equal(errno, ENOENT);
	divert_stderr();
	by_libc(info, prefix);
	assert_same(restore_stderr(original_text, sizeof original_text));
	assert_int_equal(said.calls, 1);
}

static void test_psiginfo_every_signal_and_code(void **state)
{
	static const int codes[] = { -61, -60, -59, -9, -8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3,
				     4, 5, 6, 7, 8, 9, 10, 11, 12, 15, 127, 128, 129, 0x7fffffff };
	(void)state;

	for (int number = -2; number < 70; number++)
		for (unsigned c = 0; c < sizeof codes / sizeof *codes; c++) {
			siginfo_t info = { .si_signo = number, .si_code = codes[c] };
			info.si_pid = 17;
			info.si_uid = 4000000000u;
			info.si_status = -19;
			same_psiginfo(&info, "prefix");
		}
}

static void test_psiginfo_addresses_and_numbers(void **state)
{
	static const int numbers[] = { SIGILL, SIGFPE, SIGSEGV, SIGBUS, SIGPOLL, SIGCHLD, SIGUSR1,
				       SIGTRAP, 4711, -2147483647 - 1 };
	static const uint64_t values[] = { 0, 1, 0x1234, 0x7ffffffff000, UINT64_MAX,
					   UINT64_C(1) << 63, 0xffffffff00000000, 0xffffffff };
	(void)state;

	for (unsigned i = 0; i < sizeof numbers / sizeof *numbers; i++)
		for (unsigned v = 0; v < sizeof values / sizeof *values; v++) {
			siginfo_t info = { .si_signo = numbers[i], .si_code = 1 };
			memcpy(&info.si_addr, &values[v], sizeof values[v]);
			info.si_status = (int)values[v];
			same_psiginfo(&info, "prefix");
		}
}

static void test_psiginfo_prefixes(void **state)
{
	static char large[20000];
	siginfo_t info = { .si_signo = SIGSEGV, .si_code = SEGV_MAPERR };
	(void)state;

	memset(large, 'x', sizeof large - 1);
	for (size_t n = 430; n < 520; n++) { /* libc has room for 511 bytes */
		large[n] = 0;
		same_psiginfo(&info, large);
		large[n] = 'x';
	}
	const char *const prefixes[] = { NULL, "", " ", "%s%n", "new\nline", large };
	for (unsigned i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
		info.si_signo = SIGSEGV;
		same_psiginfo(&info, prefixes[i]);
		info.si_signo = 4711;
		same_psiginfo(&info, prefixes[i]);
	}
}

/* ---- herror, perror ------------------------------------------------------------------------------ */

static void test_herror(void **state)
{
	void (*by_libc)(const char *) = (void (*)(const char *))own("herror");
	static const char *const prefixes[] = { NULL, "", "prefix", "%s%n" };
	(void)state;

	for (int value = -3; value < 8; value++)
		for (unsigned i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
			forget();
			h_errno = value;
			errno = ENOENT;
			herror(prefixes[i]);
			assert_int_equal(errno, ENOENT);
			assert_int_equal(h_errno, value);
			divert_stderr();
			h_errno = value;
			by_libc(prefixes[i]);
			assert_same(restore_stderr(original_text, sizeof original_text));
			assert_int_equal(said.calls, 1);
		}
}

/* perror is libc's where stdio's slot is ours, ours where it is not. */
static void test_perror(void **state)
{
	void (*by_libc)(const char *) = (void (*)(const char *))own("perror");
	static const char *const prefixes[] = { NULL, "", "prefix", "%s%n" };
	static const int errors[] = { 0, ENOENT, -1, 4711, EHWPOISON };
	(void)state;

	for (unsigned e = 0; e < sizeof errors / sizeof *errors; e++)
		for (unsigned i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
			forget();
			divert_stderr();
			errno = errors[e];
			by_libc(prefixes[i]);
			size_t n = restore_stderr(original_text, sizeof original_text);
			hook_stdio_public = true;
			errno = errors[e];
			perror(prefixes[i]);
			hook_stdio_public = false;
			assert_int_equal(errno, errors[e]);
			assert_same(n);
			divert_stderr();
			errno = errors[e];
			perror(prefixes[i]);
			assert_int_equal(restore_stderr(original_text, sizeof original_text), n);
			assert_int_equal(said.calls, 1);
			assert_int_equal(shim_thread.adopt, 0);
		}
}

/* ---- backtrace_symbols_fd ------------------------------------------------------------------------ */

static void same_frames(void *const *frames, int count)
{
	void (*by_libc)(void *const *, int, int) =
		(void (*)(void *const *, int, int))own("backtrace_symbols_fd");

	forget();
	errno = ENOENT;
	backtrace_symbols_fd(frames, count, STDERR_FILENO);
	assert_int_equal(errno, ENOENT);
	divert_stderr();
	by_libc(frames, count, STDERR_FILENO);
	assert_same(restore_stderr(original_text, sizeof original_text));
}

static void test_backtrace(void **state)
{
	void *frames[64];
	int count = backtrace(frames, 64);

	assert_true(count > 2);
	same_frames(frames, count);
	same_frames(frames, 0);
	same_frames(frames, -1);
	(void)state;
}

static int each_module(struct dl_phdr_info *module, size_t size, void *argument)
{
	void *frames[32];
	int count = 0;
	(void)size;
	(void)argument;

	for (unsigned i = 0; i < module->dlpi_phnum && count < 24; i++) {
		const ElfW(Phdr) *part = &module->dlpi_phdr[i];
		if (part->p_type != PT_LOAD)
			continue;
		char *at = (char *)(module->dlpi_addr + part->p_vaddr);
		frames[count++] = at;
		frames[count++] = at + part->p_memsz / 3;
		frames[count++] = at + part->p_memsz / 2;
		frames[count++] = at + part->p_memsz - 1;
	}
	same_frames(frames, count);
	return 0;
}

static void test_addresses_of_every_kind(void **state)
{
	static int data;
	void *frames[] = { (void *)test_backtrace, own("printf"), (char *)own("printf") + 5, &data,
			   &frames, NULL, (void *)1, (void *)~0ul,
			   (void *)getauxval(AT_SYSINFO_EHDR) };
	(void)state;

	same_frames(frames, sizeof frames / sizeof *frames);
	dl_iterate_phdr(each_module, NULL);
}

/* ---- not captured ------------------------------------------------------------------------------- */

static void test_uncaptured_goes_to_libc(void **state)
{
	void *frame = (void *)test_backtrace;
	siginfo_t info = { .si_signo = SIGTERM };
	(void)state;

	shim.fds[2] = FD_PASS;
	divert_stderr();
	h_errno = HOST_NOT_FOUND;
	herror("one");
	psiginfo(&info, "two");
	backtrace_symbols_fd(&frame, 1, STDERR_FILENO);
	restore_stderr(original_text, sizeof original_text);
	assert_non_null(strstr(original_text, "one: Unknown host\ntwo: Terminated"));
	assert_non_null(strstr(original_text, "]\n"));
	assert_int_equal(said.calls, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_psiginfo_every_signal_and_code, play),
		cmocka_unit_test_setup(test_psiginfo_addresses_and_numbers, play),
		cmocka_unit_test_setup(test_psiginfo_prefixes, play),
		cmocka_unit_test_setup(test_herror, play),
		cmocka_unit_test_setup(test_perror, play),
		cmocka_unit_test_setup(test_backtrace, play),
		cmocka_unit_test_setup(test_addresses_of_every_kind, play),
		cmocka_unit_test_setup(test_uncaptured_goes_to_libc, play),
	};
	setlocale(LC_ALL, "");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
