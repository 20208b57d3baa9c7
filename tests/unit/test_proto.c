/* test_proto.c - proto.c: bytes as the public description of the wire format has them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "lib/profile/proto.h"

static struct proto p;

static void expect(const char *bytes, size_t count)
{
	assert_false(p.failed);
	assert_int_equal(p.len, count);
	assert_memory_equal(p.at, bytes, count);
	proto_fini(&p);
}

#define EXPECT(literal) expect(literal, sizeof(literal) - 1)

static void numbers(void **state)
{
	(void)state;
	proto_number(&p, 1, 150); /* the example of the description */
	EXPECT("\x08\x96\x01");
	proto_number(&p, 15, 0);
	proto_number(&p, 16, 127);
	EXPECT("\x78\x00\x80\x01\x7f");
	proto_number(&p, 1, (uint64_t)-2);
	EXPECT("\x08\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01");
}

static void texts(void **state)
{
	(void)state;
	proto_text(&p, 2, "testing"); /* likewise */
	EXPECT("\x12\x07testing");
	proto_text(&p, 2, "");
	EXPECT("\x12\x00");
	proto_text(&p, 2, "a\xff" "caf\xc3\xa9\xe2\x82");
	EXPECT("\x12\x0c" "a\xef\xbf\xbd" "caf\xc3\xa9\xef\xbf\xbd");
	proto_text_of(&p, 2, "a\0b", 3);
	EXPECT("\x12\x03" "a\0b");
}

static void messages(void **state)
{
	struct proto inner = { 0 };
	char big[1000];

	(void)state;
	proto_number(&inner, 1, 150);
	proto_message(&p, 3, &inner);
	EXPECT("\x1a\x03\x08\x96\x01");
	memset(big, 'x', sizeof big);
	for (int i = 0; i < 100; i++)
		proto_bytes(&p, 1, big, sizeof big);
	assert_int_equal(p.len, 100 * (3 + sizeof big));
	proto_clear(&p);
	assert_int_equal(p.len, 0);
	inner.failed = true;
	proto_message(&p, 3, &inner);
	assert_true(p.failed);
	proto_fini(&inner);
	proto_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers),
		cmocka_unit_test(texts),
		cmocka_unit_test(messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
