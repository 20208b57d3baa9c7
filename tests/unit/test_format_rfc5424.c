/* test_format_rfc5424.c - format_rfc5424.c: the header, structured data, limits of the RFC. */
#include "tests/unit/format_case.h"

static struct format f;

static int setup(void **state)
{
	int error = format_init(&f, "rfc5424", NULL, false);

	(void)state;
	f.hostname = "box.example.org";
	return error;
}

static void ordinary(void **state)
{
	struct message m = CASE_MESSAGE("hello, w\xc3\xb6rld");

	(void)state;
	case_expect(&f, &m, "<14>1 2024-02-29T12:00:00.123456Z box.example.org nginx 812 - "
			    "[hark@32473 seq=\"7\" source=\"stderr\" tid=\"813\"] "
			    "hello, w\xc3\xb6rld\n");
}

static void from_syslog(void **state)
{
	struct message m = CASE_MESSAGE("a\nb\0c");

	(void)state;
	m.facility = 10;
	m.level = LEVEL_CRIT;
	m.ident = "my daemon";
	m.source = "syslog";
	m.partial = true;
	case_expect(&f, &m, "<82>1 2024-02-29T12:00:00.123456Z box.example.org my_daemon 812 - "
			    "[hark@32473 seq=\"7\" source=\"syslog\" tid=\"813\" partial=\"true\"] "
			    "a#012b#000c\n");
}

static void parameters_are_escaped(void **state)
{
	struct message m = CASE_MESSAGE("\"]\\");

	(void)state;
	m.source = "path:/x]\"\\\n";
	case_expect(&f, &m, "<14>1 2024-02-29T12:00:00.123456Z box.example.org nginx 812 - "
			    "[hark@32473 seq=\"7\" source=\"path:/x\\]\\\"\\\\#012\" "
			    "tid=\"813\"] \"]\\\n");
}

static void nothing_known(void **state)
{
	struct message m = CASE_MESSAGE("");

	(void)state;
	m.comm = "";
	m.pid = m.tid = 0;
	m.seq = 0;
	m.source = "";
	case_expect(&f, &m, "<14>1 2024-02-29T12:00:00.123456Z box.example.org - - - "
			    "[hark@32473]\n");
}

static void limits(void **state)
{
	char name[101], host[301], *frame, *at;
	struct message m = CASE_MESSAGE("x");

	(void)state;
	memset(name, 'n', sizeof(name) - 1);
	name[100] = '\0';
	memset(host, 'h', sizeof(host) - 1);
	host[300] = '\0';
	m.comm = name;
	f.hostname = host;
	frame = case_render(&f, &m, NULL);
	at = strchr(frame, 'h');
	assert_non_null(at);
	assert_int_equal(strspn(at, "h"), 255);
	assert_int_equal(strspn(at + 256, "n"), 48);
	free(frame);
	f.hostname = "box.example.org";
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ordinary),
		cmocka_unit_test(from_syslog),
		cmocka_unit_test(parameters_are_escaped),
		cmocka_unit_test(nothing_known),
		cmocka_unit_test(limits),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
