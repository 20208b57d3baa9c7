/*
 * text.c - numbers into bounded text.
 *
 * Called on both sides of the ring, signal handlers included; must never allocate, look at the
 * locale or write beyond what the caller gave.
 */
#include "lib/base/text.h"

static const char pairs[] =
	"00010203040506070809" "10111213141516171819" "20212223242526272829"
	"30313233343536373839" "40414243444546474849" "50515253545556575859"
	"60616263646566676869" "70717273747576777879" "80818283848586878889"
	"90919293949596979899";

enum { MOST_DIGITS = 20 };

static unsigned digits_of(uint64_t value)
{
	for (unsigned n = 1;; n += 4) {
		if (value < 10)
			return n;
		if (value < 100)
			return n + 1;
		if (value < 1000)
			return n + 2;
		if (value < 10000)
			return n + 3;
		value /= 10000;
	}
}

/* Writes `count` digits, zeros in front included; value has no more than that. */
static void put_digits(char *to, uint64_t value, unsigned count)
{
	while (count >= 2) {
		count -= 2;
		memcpy(to + count, pairs + value % 100 * 2, 2);
		value /= 100;
	}
	if (count)
		to[0] = (char)('0' + value % 10);
}

static void number(struct text *t, uint64_t value, unsigned count)
{
	char digits[MOST_DIGITS];

	if (t->cap - t->len >= count) {
		put_digits(t->at + t->len, value, count);
		t->len += count;
		return;
	}
	put_digits(digits, value, count);
	text_bytes(t, digits, count);
}

void text_u64(struct text *t, uint64_t value)
{
	number(t, value, digits_of(value));
}

void text_i64(struct text *t, int64_t value)
{
	uint64_t magnitude = (uint64_t)value;

	if (value < 0) {
		text_char(t, '-');
		magnitude = -magnitude;
	}
	text_u64(t, magnitude);
}

void text_hex(struct text *t, uint64_t value)
{
	unsigned shift = 60;

	while (shift && !(value >> shift))
		shift -= 4;
	for (;; shift -= 4) {
		text_char(t, "0123456789abcdef"[value >> shift & 15]);
		if (!shift)
			return;
	}
}

void text_padded(struct text *t, uint64_t value, unsigned digits)
{
	unsigned least = digits_of(value);

	for (; digits > MOST_DIGITS; digits--)
		text_char(t, '0');
	number(t, value, digits > least ? digits : least);
}

const char *text_cstr(struct text *t)
{
	if (t->len == t->cap) {
		t->len--;
		t->cut = true;
	}
	t->at[t->len] = '\0';
	return t->at;
}
