/*
 * complaints.c - a program that asks the loader in vain, or as unwinders do, and one that has little stack. It
 * counts its calls of leaf.c as calls.c does, and knows nothing of hark.
 *
 *	loader complains TIMES | asks TIMES | shallow BYTES
 */
#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int leaf_plain(int n);
void leaf_back(void (*function)(void *), void *argument);

static int calls, backs, wrong;

#define CHECK(what) ((what) ? 0 : (wrong++, fprintf(stderr, "%d: " #what "\n", __LINE__)))

__attribute__((noinline)) static int call(int n) { return calls++, leaf_plain(n) + 1; }

/* What failed is still said after calls of the library, and once. */
static void complains(int times)
{
	for (int i = 0; i < times; i++) {
		const char *file = i % 2 ? "/nonexistent/status" : "/proc/self/status";
		CHECK(dlopen(file, RTLD_NOW) == NULL);
		CHECK(call(i) == i + 2);
		const char *said = dlerror();
		CHECK(said && strstr(said, file));
		CHECK(dlerror() == NULL);
	}
}

static int next(struct dl_phdr_info *info, size_t bytes, void *data)
{
	return (void)info, (void)bytes, (void)data, 0;
}

/* As an unwinder of its own does: it asks for what is known of an address, then reads the stack. */
static void ask(void *argument)
{
	void *volatile *back = (void **)__builtin_frame_address(0) + 1;
	void *data[6] = { (void *)ask };
	Dl_info info;

	dl_iterate_phdr(next, data);
	CHECK(call(2) == 4);
	CHECK(!dladdr(*back, &info) || !strstr(info.dli_fname, "libhark"));
	(void)argument;
}

static void asks(int times)
{
	for (int i = 0; i < times; i++) {
		backs++;
		leaf_back(ask, NULL);
		CHECK(call(i) == i + 2);
	}
}

/* How much of the stack a function's first call writes to. */
__attribute__((noinline)) static void shallow(int most)
{
	enum { PAINTED = 32 << 10, OWN = 256 };
	volatile char *here = __builtin_frame_address(0);
	int used = PAINTED;

	for (int i = PAINTED; i > OWN; i--)
		here[-i] = 0x5a;
	call(1);
	while (used > OWN && here[-used] == 0x5a)
		used--;
	if (used > most)
		fprintf(stderr, "%d bytes of stack\n", used);
	CHECK(used <= most);
}

int main(int argc, char **argv)
{
	int n = argc == 3 ? atoi(argv[2]) : 0;

	if (argc == 3 && strcmp(argv[1], "complains") == 0)
		complains(n);
	else if (argc == 3 && strcmp(argv[1], "asks") == 0)
		asks(n);
	else if (argc == 3 && strcmp(argv[1], "shallow") == 0)
		shallow(n);
	printf("leaf_plain %d\n", calls);
	if (backs)
		printf("leaf_back %d\n", backs);
	return wrong || !calls;
}
