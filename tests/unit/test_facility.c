/* test_facility.c - facility.c: the names that <syslog.h> gives to its numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define SYSLOG_NAMES
#include <limits.h>
#include <string.h>
#include <syslog.h>

#include "lib/message/message.h"

static void names_of_the_system(void **state)
{
	unsigned compared = 0;

	(void)state;
	for (const CODE *row = facilitynames; row->c_name; row++) {
		/* "mark" is internal, "security" an old name of "auth" */
		if (row->c_val == INTERNAL_MARK || !strcmp(row->c_name, "security"))
			continue;
		assert_string_equal(facility_name(LOG_FAC(row->c_val)), row->c_name);
		compared++;
	}
	assert_in_range(compared, 20, 24);
	(void)prioritynames;
}

static void every_number_has_its_own_name(void **state)
{
	(void)state;
	for (int i = 0; i < LOG_NFACILITIES; i++) {
		assert_non_null(facility_name(i));
		for (int j = 0; j < i; j++)
			assert_string_not_equal(facility_name(i), facility_name(j));
	}
}

static void none(void **state)
{
	(void)state;
	assert_null(facility_name(-1));
	assert_null(facility_name(24));
	assert_null(facility_name(INT_MAX));
	assert_null(facility_name(INT_MIN));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_of_the_system),
		cmocka_unit_test(every_number_has_its_own_name),
		cmocka_unit_test(none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
