/*
 * values.c - see values.h. Called by calls_step.c; what it is given comes from a file and is not believed.
 */
#include "lib/profile/values.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>

#include "lib/stamp/values.h"

static const struct flag {
	unsigned bits;
	const char *name;
} open_flags[] = {
	/* those of several bits first */
	{ O_TMPFILE, "O_TMPFILE" }, { O_SYNC, "O_SYNC" },	    { O_CREAT, "O_CREAT" },
	{ O_EXCL, "O_EXCL" },	    { O_NOCTTY, "O_NOCTTY" },	    { O_TRUNC, "O_TRUNC" },
	{ O_APPEND, "O_APPEND" },   { O_NONBLOCK, "O_NONBLOCK" },   { O_DSYNC, "O_DSYNC" },
	{ O_ASYNC, "O_ASYNC" },	    { O_DIRECT, "O_DIRECT" },	    { 0100000, "O_LARGEFILE" },
	{ O_DIRECTORY, "O_DIRECTORY" }, { O_NOFOLLOW, "O_NOFOLLOW" }, { O_NOATIME, "O_NOATIME" },
	{ O_CLOEXEC, "O_CLOEXEC" }, { O_PATH, "O_PATH" },
};

static void put_hex(struct text *t, uint64_t value)
{
	text_str(t, "0x");
	text_hex(t, value);
}

static void put_open_flags(struct text *t, uint64_t flags)
{
	static const char *const ways[] = { "O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE" };

	text_str(t, ways[flags & O_ACCMODE]);
	flags &= ~(uint64_t)O_ACCMODE;
	for (unsigned i = 0; i < sizeof open_flags / sizeof *open_flags; i++)
		if (open_flags[i].bits && (flags & open_flags[i].bits) == open_flags[i].bits) {
			text_char(t, '|');
			text_str(t, open_flags[i].name);
			flags &= ~(uint64_t)open_flags[i].bits;
		}
	if (flags) {
		text_char(t, '|');
		put_hex(t, flags);
	}
}

static void put_octal(struct text *t, uint64_t value)
{
	char digits[24];
	unsigned at = sizeof digits;

	do
		digits[--at] = (char)('0' + (value & 7));
	while (value >>= 3);
	text_char(t, '0');
	text_bytes(t, digits + at, sizeof digits - at);
}

static void put_signal(struct text *t, int64_t number)
{
	const char *name = number > 0 && number < NSIG ? sigabbrev_np((int)number) : NULL;

	if (!name) {
		text_i64(t, number);
		return;
	}
	text_str(t, "SIG");
	text_str(t, name);
}

static void put_errno(struct text *t, int64_t number)
{
	const char *name = number > 0 && number < 4096 ? strerrorname_np((int)number) : NULL;

	if (name)
		text_str(t, name);
	else
		text_i64(t, number);
}

static void put_string(struct text *t, const unsigned char *at, size_t bytes, bool cut)
{
	static const char plain[] = "\n\t\r\"\\", letters[] = "ntr\"\\";

	text_char(t, '"');
	for (size_t i = 0; i < bytes; i++) {
		const char *special = at[i] ? strchr(plain, at[i]) : NULL;
		if (special) {
			text_char(t, '\\');
			text_char(t, letters[special - plain]);
		} else if (at[i] < ' ' || at[i] == 127) {
			text_char(t, '\\');
			text_padded(t, at[i] >> 6, 1);
			text_padded(t, at[i] >> 3 & 7, 1);
			text_padded(t, at[i] & 7, 1);
		} else {
			text_char(t, (char)at[i]);
		}
	}
	text_str(t, cut ? "\"..." : "\"");
}

static void put(struct text *t, unsigned kind, const unsigned char *at, size_t bytes)
{
	uint64_t number = 0;

	if (kind == VALUE_STRING || kind == VALUE_CUT) {
		put_string(t, at, bytes, kind == VALUE_CUT);
		return;
	}
	memcpy(&number, at, bytes < sizeof number ? bytes : sizeof number);
	switch (kind) {
	case VALUE_SIGNED: text_i64(t, (int64_t)number); break;
	case VALUE_UNSIGNED: text_u64(t, number); break;
	case VALUE_FD:
		if ((int64_t)number == AT_FDCWD)
			text_str(t, "AT_FDCWD");
		else
			text_i64(t, (int64_t)number);
		break;
	case VALUE_OPEN_FLAGS: put_open_flags(t, number); break;
	case VALUE_MODE: put_octal(t, number); break;
	case VALUE_SIGNAL: put_signal(t, (int64_t)number); break;
	case VALUE_ERRNO: put_errno(t, (int64_t)number); break;
	default:
		if (kind == VALUE_POINTER && !number)
			text_str(t, "NULL");
		else
			put_hex(t, number);
	}
}

void values_text(struct text *text, const void *values, size_t bytes)
{
	const unsigned char *at = values, *end = at + bytes;
	uint32_t word;

	while ((size_t)(end - at) >= sizeof word) {
		memcpy(&word, at, sizeof word);
		size_t size = VALUE_WORD_BYTES(word);
		const unsigned char *value = at + sizeof word;
		if (word == 0 || size > (size_t)(end - value))
			break;
		if (at != values)
			text_str(text, VALUE_WORD_KIND(word) == VALUE_ERRNO ? " " : ", ");
		put(text, VALUE_WORD_KIND(word), value, size);
		size = (size + 3) & ~(size_t)3;
		at = size < (size_t)(end - value) ? value + size : end;
	}
}
