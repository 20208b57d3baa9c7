/*
 * test_memory.c - whether a pointer may be followed (shim/memory.c), by the kernel's advice and, where
 * that is not to be believed, by a call that reads.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "shim/shim.h"

struct shim shim;
_Thread_local struct shim_thread shim_thread __attribute__((tls_model("initial-exec")));

enum { PAGE = 4096 };

static char *pages; /* of which the second may not be read */

static void look(void)
{
	memory_changed(); /* nothing is remembered */
	assert_int_equal(memory_readable(pages, 1), 1);
	assert_int_equal(memory_readable(pages + PAGE - 3, 3), 3);
	assert_int_equal(memory_readable(pages + PAGE - 3, 4), 3);
	assert_int_equal(memory_readable(pages + PAGE, 4), 0);
	assert_int_equal(memory_readable((void *)8, 4), 0);
	assert_int_equal(memory_readable((void *)(PAGE - 8), 4), 0);
}

static void test_advised(void **state)
{
	(void)state;
	shim.unadvised = false;
	look();
}

static void test_unadvised(void **state)
{
	(void)state;
	shim.unadvised = true;
	look();
	shim.unadvised = false;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_advised),
		cmocka_unit_test(test_unadvised),
	};

	pages = mmap(NULL, 2 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (pages == MAP_FAILED || mprotect(pages + PAGE, PAGE, PROT_NONE) != 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
