/*
 * test_format.c - format.c: the registry, and what holds for every row of it: the bound is one, and
 * a frame ends in its only newline.
 */
#include "tests/unit/format_case.h"

#include <errno.h>

static void rows(void **state)
{
	static const char *const promised[] = {
		"raw", "text", "json", "logfmt", "rfc5424", "rfc3164", "pretty"
	};

	(void)state;
	for (size_t i = 0; i < sizeof(promised) / sizeof(promised[0]); i++) {
		struct format f;

		assert_int_equal(format_init(&f, promised[i], NULL, false), 0);
		assert_non_null(f.ops);
		assert_non_null(f.hostname);
		assert_true(f.hostname[0]);
	}
	for (size_t i = 0; i < format_count; i++) {
		assert_true(format_rows[i].doc[0]);
		assert_non_null(format_rows[i].ops->render);
		assert_non_null(format_rows[i].ops->bound);
	}
}

static void refused(void **state)
{
	struct format f;

	(void)state;
	assert_int_equal(format_init(&f, "", NULL, false), -ENOENT);
	assert_int_equal(format_init(&f, "JSON", NULL, false), -ENOENT);
	assert_int_equal(format_init(&f, "jsonl", NULL, false), -ENOENT);
	assert_int_equal(format_init(&f, "text", "%Q", false), -EINVAL);
	assert_int_equal(format_init(&f, "text", "", false), 0);
	assert_int_equal(format_init(&f, "json", "%Q", false), 0);
}

/* The worst that each byte can become: alone, alternating with plain text, in each string. */
static void hostile(struct format *f, const char *text, size_t length)
{
	static const char *const strings[] = {
		"", "x", "\n\n\n\n", "\x1b\x07\x1b\x07", "\xc2\x9b\xc2\x9b",
		"\xff\xfe\xfd", "]\"\\]",
		"\n.\n.\n.\n.\n.\n.\n.\n.\n.\n.\n.\n.\n.\n.\n.",
	};
	struct message m = case_message(text, length);
	bool raw = f->ops->render == format_raw.render;

	m.seq = UINT64_MAX;
	m.pid = m.tid = INT32_MAX;
	m.facility = 10;
	m.partial = true;
	m.level = LEVEL_WARNING;
	for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
		size_t end;
		char *frame;

		m.source = i & 1 ? strings[i] : "path:/\n\n\n\n\n\n\n\n\n\n\n\n\n\n";
		m.comm = strings[i];
		m.ident = i & 2 ? strings[i] : "";
		m.terminal = i & 1;
		frame = case_render(f, &m, &end);
		if (!raw)
			assert_ptr_equal(memchr(frame, '\n', end), frame + end - 1);
		free(frame);
	}
}

static void bounds_and_frames(void **state)
{
	static const char units[][5] = {
		"\n", "\n.", "\x1b", "\x1b.", "", ".", "\xff", "\xff.", "\xc2\x9b", "\xc2\x9b.",
		"\"", "\\", "\x7f", "\xe2\x80\xae", "\n\xff", "\x1b[m", "\r", "]", "\xf0\x9f\x98",
	};
	static const char *const patterns[] = {
		NULL, "%v%v%v%n%N%q%64v", "%64!v%-64n%^%$%F%u", "%c"
	};
	char text[600];

	(void)state;
	for (size_t i = 0; i < format_count; i++)
		for (size_t color = 0; color < 2; color++)
			for (size_t u = 0; u < sizeof(units) / sizeof(units[0]); u++) {
				size_t unit = strlen(units[u]), length = 0;
				struct format f;

				/* the empty unit stands for NUL */
				unit += !unit;
				for (; length + unit <= sizeof(text); length += unit)
					memcpy(text + length, units[u], unit);
				assert_int_equal(format_init(&f, format_rows[i].name,
							     patterns[u % 4], color), 0);
				hostile(&f, text, 0);
				hostile(&f, text, unit);
				hostile(&f, text, length);
			}
}

static void too_little_room(void **state)
{
	struct message m = CASE_MESSAGE("some \"text\" with\nall sorts of \x1b[1m bytes \xff");

	(void)state;
	for (size_t i = 0; i < format_count; i++) {
		struct format f;
		size_t whole;

		assert_int_equal(format_init(&f, format_rows[i].name, NULL, true), 0);
		free(case_render(&f, &m, &whole));
		for (size_t room = 0; room < whole; room++) {
			char *buffer = malloc(room + 1);
			struct text out = text_in(buffer, room);

			assert_non_null(buffer);
			f.ops->render(&f, &m, &out);
			assert_true(out.cut);
			assert_true(out.len <= room);
			free(buffer);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows),
		cmocka_unit_test(refused),
		cmocka_unit_test(bounds_and_frames),
		cmocka_unit_test(too_little_room),
	};

	case_zone("UTC0");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
