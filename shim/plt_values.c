/*
 * plt_values.c - arguments and results of well-known library functions (calls.def), where --arguments
 * asks for them.
 *
 * Functions that are in the table go by the slow half of plt_slow.c, all others do not notice. Registers
 * are read where the trampolines have pushed them (plt_code.h). Strings are copied by the kernel, which
 * fails where we would crash: the pointer is the program's and may be anything. Behind a filter, nothing
 * may be asked of the kernel, and strings are shown as pointers.
 *
 * Runs on the program's thread, perhaps in a signal handler: no malloc, no lock, little stack.
 */
#include "shim/plt.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "lib/base/sysio.h"
#include "shim/shim.h"
#include "shim/stamp.h"

#if PLT_AVAILABLE

enum kind {
	NOTHING,
	INT, UNSIGNED, LONG, SIZE, /* of 32 bits with and without sign, of 64 */
	FD, POINTER, STRING, MODE, OPEN_FLAGS, SIGNAL,
	OPEN_MODE,                 /* there is one where a file may be made */
	ERROR,                     /* an errno, or 0 */
};
enum failure { NEVER, MINUS_ONE, NULL_POINTER };

enum { ARGUMENTS = 6, STRING_MOST = 96, PAGE = 4096 };

static const struct row {
	const char *name;
	uint8_t result, failure;
	uint8_t arguments[ARGUMENTS];
} rows[] = {
#define CALL(name, result, failure, ...) { #name, result, failure, { __VA_ARGS__ } },
#include "shim/calls.def"
};
_Static_assert(sizeof rows / sizeof *rows < 1 << 16, "a row's number fits beside the flags");

struct values {
	unsigned words;
	uint32_t at[ARGUMENTS * (1 + STRING_MOST / 4)];
};

uint32_t plt_values_flags(const char *name)
{
	for (uint32_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (*name == *rows[i].name && strcmp(name, rows[i].name) == 0)
			return PLT_VALUES | i << PLT_ROW_SHIFT;
	return 0;
}

static void put_number(struct values *v, enum value_kind kind, uint64_t number)
{
	v->at[v->words] = VALUE_WORD(kind, sizeof number);
	memcpy(&v->at[v->words + 1], &number, sizeof number);
	v->words += 3;
}

/* How many bytes of a string could be read, up to `most`. */
static size_t read_string(uintptr_t from, char *to, size_t most)
{
	size_t first = PAGE - from % PAGE; /* the kernel reads pieces whole, or not at all */

	first = first < most ? first : most;
	struct iovec here = { to, most };
	struct iovec there[] = { { (void *)from, first },
				 { (void *)(from + first), most - first } };
	long n = sysio_call(SYS_process_vm_readv, sysio_getpid(), (long)&here, 1, (long)there,
			    most > first ? 2 : 1, 0);
	if (n == -EPERM || n == -ENOSYS) { /* in some containers */
		n = (long)memory_readable((const void *)from, most);
		memcpy(to, (const void *)from, (size_t)n);
	}
	return n > 0 ? (size_t)n : 0;
}

static void put_string(struct values *v, uintptr_t from)
{
	uint32_t *word = &v->at[v->words];
	char *text = (char *)(word + 1);
	size_t got = from && !shim.sandboxed ? read_string(from, text, STRING_MOST) : 0;
	size_t length = strnlen(text, got);

	if (!got) {
		put_number(v, VALUE_POINTER, from);
		return;
	}
	*word = VALUE_WORD(length < got ? VALUE_STRING : VALUE_CUT, length);
	v->words += 1 + (unsigned)(length + 3) / 4;
}

static void put(struct values *v, enum kind kind, uintptr_t word)
{
	uint64_t number = (uint64_t)(int64_t)(int32_t)word;

	switch (kind) {
	case INT: put_number(v, VALUE_SIGNED, number); break;
	case LONG: put_number(v, VALUE_SIGNED, word); break;
	case UNSIGNED: put_number(v, VALUE_UNSIGNED, (uint32_t)word); break;
	case SIZE: put_number(v, VALUE_UNSIGNED, word); break;
	case FD: put_number(v, VALUE_FD, number); break;
	case POINTER: put_number(v, VALUE_POINTER, word); break;
	case STRING: put_string(v, word); break;
	case OPEN_FLAGS: put_number(v, VALUE_OPEN_FLAGS, (uint32_t)word); break;
	case MODE:
	case OPEN_MODE: put_number(v, VALUE_MODE, (uint32_t)word); break;
	case SIGNAL: put_number(v, VALUE_SIGNAL, number); break;
	case ERROR: put_number(v, VALUE_ERRNO, number); break;
	case NOTHING: break;
	}
}

static uintptr_t argument(uintptr_t slot, unsigned i)
{
	intptr_t below = PLT_ARGUMENT + PLT_ARGUMENT_STEP * (intptr_t)i;

	return *(const uintptr_t *)((intptr_t)slot + below);
}

static bool makes_files(uintptr_t flags)
{
	return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;
}

__attribute__((noinline)) void plt_values_entry(uint32_t flags, uintptr_t slot)
{
	const struct row *row = &rows[flags >> PLT_ROW_SHIFT];
	struct values v;

	v.words = 0;
	for (unsigned i = 0; i < ARGUMENTS && row->arguments[i]; i++)
		if (row->arguments[i] != OPEN_MODE || makes_files(argument(slot, i - 1)))
			put(&v, row->arguments[i], argument(slot, i));
	stamp_values(VALUES_ARGUMENTS, v.at, v.words);
}

static bool failed(const struct row *row, uintptr_t result)
{
	bool narrow = row->result == INT || row->result == FD;

	if (row->failure == MINUS_ONE)
		return narrow ? (int32_t)result == -1 : (intptr_t)result == -1;
	return row->failure == NULL_POINTER && !result;
}

__attribute__((noinline)) void plt_values_exit(uint32_t flags, uintptr_t slot, int error)
{
	const struct row *row = &rows[flags >> PLT_ROW_SHIFT];
	uintptr_t result = *(const uintptr_t *)((intptr_t)slot + PLT_RESULT);
	struct values v;

	v.words = 0;
	put(&v, row->result, result);
	if (failed(row, result))
		put_number(&v, VALUE_ERRNO, (uint64_t)error);
	if (v.words)
		stamp_values(VALUES_RESULT, v.at, v.words);
}

#endif
