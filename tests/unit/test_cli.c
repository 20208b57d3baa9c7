/* test_cli.c - cli.c: arguments, one-line errors and the help that the tables make. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tools/cli.h"

static int said_fd;

static int set_up(void **state)
{
	(void)state;
	said_fd = memfd_create("said", MFD_CLOEXEC);
	cli_say_on(said_fd);
	return said_fd < 0;
}

/* What was said since the last time. */
static const char *said(void)
{
	static char text[4096];
	ssize_t n = pread(said_fd, text, sizeof text - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	assert_int_equal(ftruncate(said_fd, 0), 0);
	lseek(said_fd, 0, SEEK_SET);
	return text;
}

static struct cli walk(const char *command, char **arguments)
{
	return (struct cli){ .command = cli_find(command), .next = arguments };
}

#define WORDS(...) ((char **)(const char *[]){ __VA_ARGS__ __VA_OPT__(,) NULL })

static void words_and_options(void **state)
{
	struct cli cli = walk("drain", WORDS("12", "--timeout", "--json", "--timeout=3s", "-", "--",
					     "--x", "--"));

	(void)state;
	assert_int_equal(cli_next(&cli), CLI_WORD);
	assert_string_equal(cli.value, "12");
	/* the next argument is the value, whatever it looks like */
	assert_int_equal(cli_next(&cli), CLI_OPTION);
	assert_string_equal(cli.option, "--timeout");
	assert_string_equal(cli.value, "--json");
	assert_null(cli.setting);
	assert_int_equal(cli_next(&cli), CLI_OPTION);
	assert_string_equal(cli.value, "3s");
	assert_int_equal(cli_next(&cli), CLI_WORD);
	assert_string_equal(cli.value, "-");
	assert_int_equal(cli_next(&cli), CLI_WORD);
	assert_string_equal(cli.value, "--x");
	assert_int_equal(cli_next(&cli), CLI_WORD);
	assert_string_equal(cli.value, "--");
	assert_int_equal(cli_next(&cli), CLI_END);
	assert_int_equal(cli_next(&cli), CLI_END);
	assert_string_equal(said(), "");
}

static void every_setting_is_an_option(void **state)
{
	(void)state;
	for (size_t i = 0; i < setting_count; i++) {
		const struct setting *s = &settings[i];
		if (!s->option)
			continue;
		struct cli cli = walk("run", WORDS(s->option, "value", "PROG"));
		assert_int_equal(cli_next(&cli), CLI_OPTION);
		assert_ptr_equal(cli.setting, s);
		if (s->metavar)
			assert_string_equal(cli.value, "value");
		else
			assert_null(cli.value);
		assert_int_equal(cli_next(&cli), CLI_WORD);
		assert_string_equal(cli.value, s->metavar ? "PROG" : "value");
	}
	assert_string_equal(said(), "");
}

static void a_flag_may_say_no(void **state)
{
	struct cli cli = walk("run", WORDS("--deep=0"));

	(void)state;
	assert_int_equal(cli_next(&cli), CLI_OPTION);
	assert_string_equal(cli.value, "0");
	cli = walk("ps", WORDS("--json=1"));
	assert_int_equal(cli_next(&cli), CLI_WRONG);
	assert_non_null(strstr(said(), "--json takes no value"));
}

static void misspelt(void **state)
{
	struct cli cli = walk("run", WORDS("--levle=info"));

	(void)state;
	assert_int_equal(cli_next(&cli), CLI_WRONG);
	assert_string_equal(said(), "hark: run has no option --levle; did you mean --level?; "
				    "`hark run --help` lists them\n");
	cli = walk("ps", WORDS("--zzzzzzzzz"));
	assert_int_equal(cli_next(&cli), CLI_WRONG);
	assert_string_equal(said(),
			    "hark: ps has no option --zzzzzzzzz; `hark ps --help` lists them\n");
	cli = walk("ps", WORDS("-j"));
	assert_int_equal(cli_next(&cli), CLI_WRONG);
	/* an option of another command is none of this one */
	said();
	cli = walk("ps", WORDS("--timeout", "3s"));
	assert_int_equal(cli_next(&cli), CLI_WRONG);
	said();
	cli = walk("run", WORDS("--level"));
	assert_int_equal(cli_next(&cli), CLI_WRONG);
	assert_non_null(strstr(said(), "--level needs a value: debug, info"));
	assert_string_equal(cli_nearest_command("stast"), "stats");
	assert_null(cli_nearest_command("collectt")); /* not for people */
}

static void only_json_and_a_word(void **state)
{
	const char *word;
	bool json;
	struct cli cli = walk("stats", WORDS("12", "--json"));

	(void)state;
	assert_int_equal(cli_only(&cli, &json, &word), 0);
	assert_true(json);
	assert_string_equal(word, "12");
	cli = walk("stats", WORDS());
	assert_int_equal(cli_only(&cli, &json, &word), 0);
	assert_false(json);
	assert_null(word);
	cli = walk("stats", WORDS("1", "2"));
	assert_int_equal(cli_only(&cli, &json, &word), -EINVAL);
	cli = walk("ps", WORDS("1"));
	assert_int_equal(cli_only(&cli, &json, NULL), -EINVAL);
	assert_non_null(strstr(said(), "ps does not understand \"1\""));
}

static void a_trace_by_a_word(void **state)
{
	struct cli cli = walk("report", WORDS("d", "--messages", "e"));

	(void)state;
	assert_int_equal(cli_next(&cli), CLI_OPTION);
	assert_string_equal(cli.option, "--data");
	assert_string_equal(cli.value, "d");
	assert_null(cli.setting);
	assert_int_equal(cli_next(&cli), CLI_OPTION);
	assert_string_equal(cli.option, "--messages");
	assert_int_equal(cli_next(&cli), CLI_WORD);
	cli = walk("snapshot", WORDS("12"));
	assert_int_equal(cli_next(&cli), CLI_WORD); /* a process */
	cli = walk("salvage", WORDS("d"));
	assert_int_equal(cli_next(&cli), CLI_WORD); /* no trace */
	cli = walk("run", WORDS("d"));
	assert_int_equal(cli_next(&cli), CLI_WORD);
}

static void numbers(void **state)
{
	struct cli cli = walk("collect", WORDS("--deep-fd", "7"));
	int number = -1;

	(void)state;
	assert_int_equal(cli_next(&cli), CLI_OPTION);
	assert_int_equal(cli_number(&cli, 0, &number), 0);
	assert_int_equal(number, 7);
	static const char *const bad[] = {
		"", "-1", "7x", "0", "2147483648", "99999999999999999999"
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		cli.value = bad[i];
		assert_int_equal(cli_number(&cli, 1, &number), -EINVAL);
	}
	assert_int_equal(number, 7);
	said();
}

static void says_it_harmlessly(void **state)
{
	char big[5000];

	(void)state;
	cli_say("%s", "a\nb\033[31m\x7f\xc2\x9b é");
	assert_string_equal(said(), "hark: a?b?[31m??? é\n");
	memset(big, 'x', sizeof big - 1);
	big[sizeof big - 1] = '\0';
	cli_say("%s", big);
	const char *line = said();
	assert_int_equal(strchr(line, '\n') - line, strlen(line) - 1);
}

static void nobody_listens(void **state)
{
	sigset_t pending;
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	close(fds[0]);
	cli_say_on(fds[1]);
	errno = 1234;
	cli_say("into a broken pipe"); /* survived, and nothing is left of it */
	assert_int_equal(errno, 1234);
	sigpending(&pending);
	assert_false(sigismember(&pending, SIGPIPE));
	close(fds[1]);
	cli_say("to a closed descriptor");
	cli_say_on(-1);
	cli_say("nowhere");
	cli_say_on(said_fd);
}

static void wraps(void **state)
{
	char *text = NULL;
	size_t bytes;
	FILE *f = open_memstream(&text, &bytes);

	(void)state;
	char word[100];
	memset(word, 'w', 90);
	word[90] = '\0';
	cli_wrap(f, 2, "one two");
	cli_wrap(f, 0, word);
	cli_wrap(f, 0,
		 "aaaaaaaaa aaaaaaaaa aaaaaaaaa aaaaaaaaa aaaaaaaaa aaaaaaaaa aaaaaaaaa aaaaaaaaaa "
		 "b");
	fclose(f);
	/* exactly 80 columns fit */
	char expected[400];
	snprintf(
		expected, sizeof expected, "  one two\n%s\n%s\nb\n", word,
		"aaaaaaaaa aaaaaaaaa aaaaaaaaa aaaaaaaaa aaaaaaaaa aaaaaaaaa aaaaaaaaa aaaaaaaaaa");
	assert_string_equal(text, expected);
	free(text);
}

static void the_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < cli_command_count; i++) {
		const struct cli_command *c = &cli_commands[i];
		assert_ptr_equal(cli_find(c->name), c);
		assert_non_null(c->run);
		/* a sentence that begins small and has no stop, so that it fits everywhere */
		assert_true(c->doc[0] >= 'a' && c->doc[0] <= 'z');
		assert_int_not_equal(c->doc[strlen(c->doc) - 1], '.');
	}
	for (size_t i = 0; i < cli_option_count; i++)
		assert_non_null(cli_find(cli_options[i].command));
	assert_null(cli_find("runn"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_and_options),
		cmocka_unit_test(every_setting_is_an_option),
		cmocka_unit_test(a_flag_may_say_no),
		cmocka_unit_test(misspelt),
		cmocka_unit_test(only_json_and_a_word),
		cmocka_unit_test(a_trace_by_a_word),
		cmocka_unit_test(numbers),
		cmocka_unit_test(says_it_harmlessly),
		cmocka_unit_test(nobody_listens),
		cmocka_unit_test(wraps),
		cmocka_unit_test(the_table),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
