/*
 * test_unwind.c - stacks of a program that is stopped at every single instruction: who called whom is known
 * from the calls and returns that it executed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <elf.h>
#include <errno.h>
#include <execinfo.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <ucontext.h>

#include "lib/image/unwind.h"
#include "tests/unit/symbols_case.h"

enum { MAPS = 64, DEEP = 200, COPY = 64 << 10, STEPS = 12000, FIRST_STEPS = 300 };

struct map {
	uint64_t start, end, base;
	char path[400];
	struct unwind_module *module;
};

static struct map maps[MAPS];
static size_t map_count;

static void forget_maps(void)
{
	for (size_t i = 0; i < map_count; i++)
		if (i + 1 == map_count || maps[i].module != maps[i + 1].module)
			unwind_module_close(maps[i].module);
	map_count = 0;
}

/* What is executable; a file's base is its lowest mapping. */
static void read_maps(pid_t pid)
{
	char path[64], line[800], name[400], last[400] = "";
	unsigned long long start, end, base = 0;
	char perms[8];

	forget_maps();
	snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
	FILE *file = fopen(path, "r");
	assert_non_null(file);
	while (fgets(line, sizeof line, file)) {
		name[0] = '\0';
		assert_true(sscanf(line, "%llx-%llx %7s %*s %*s %*s %399[^\n]", &start, &end, perms,
				   name) >= 3);
		if (strcmp(name, last) != 0)
			base = start;
		strcpy(last, name);
		if (perms[2] != 'x' || strcmp(name, "[vsyscall]") == 0)
			continue;
		assert_true(map_count < MAPS);
		struct map *m = &maps[map_count++];
		*m = (struct map){ .start = start, .end = end, .base = base };
		strcpy(m->path, name);
		if (map_count > 1 && strcmp(m[-1].path, name) == 0)
			m->module = m[-1].module;
		else if (name[0])
			m->module = unwind_module_open(name, "");
	}
	fclose(file);
}

static bool find(void *arg, uint64_t address, struct unwind_place *place)
{
	(void)arg;
	for (size_t i = 0; i < map_count; i++) {
		if (address < maps[i].start || address >= maps[i].end)
			continue;
		*place = (struct unwind_place){
			.module = maps[i].module,
			.offset = maps[i].module ? address - maps[i].base : address,
			.number = (uint32_t)i,
		};
		return true;
	}
	return false;
}

static void set(struct unwind_stack *s, unsigned number, uint64_t value)
{
	s->reg[number] = value;
	s->known |= UINT64_C(1) << number;
}

#if defined(__x86_64__)

static void take_registers(struct unwind_stack *s, const struct user_regs_struct *r)
{
	const unsigned long long values[] = { r->rax, r->rdx, r->rcx, r->rbx, r->rsi, r->rdi,
					      r->rbp, r->rsp, r->r8, r->r9, r->r10, r->r11,
					      r->r12, r->r13, r->r14, r->r15 };

	*s = (struct unwind_stack){ .pc = r->rip, .address = r->rsp };
	for (unsigned i = 0; i < 16; i++)
		set(s, i, values[i]);
}

static uint64_t word_at(pid_t pid, uint64_t address)
{
	errno = 0;
	uint64_t word = (uint64_t)ptrace(PTRACE_PEEKDATA, pid, (void *)address, NULL);
	assert_int_equal(errno, 0);
	return word;
}

/* ---- a program, instruction by instruction ----------------------------------------------------- */

static const char guest[] =
	"#define _GNU_SOURCE\n"
	"#include <alloca.h>\n#include <signal.h>\n#include <stdio.h>\n"
	"#include <stdlib.h>\n"
	"#include <string.h>\n#include <sys/syscall.h>\n#include <unistd.h>\n"
	"#define NOINLINE __attribute__((noinline))\n"
	"volatile int sink;\n"
	"NOINLINE int leaf(int n) { char b[64]; memset(b, n, sizeof b); return b[n & 63]; }\n"
	"NOINLINE int with_alloca(int n) { char *p = alloca(n * 16); strcpy(p, \"ab\");\n"
	"	sink += leaf(n); return (int)strlen(p) + p[0]; }\n"
	"NOINLINE int aligned(int n) { _Alignas(64) volatile char b[128]; b[n] = 1;\n"
	"	sink += leaf(n); return b[n] + n; }\n"
	"NOINLINE int recurse(int n) {\n"
	"	return n ? recurse(n - 1) + with_alloca(n) + aligned(n) : 1; }\n"
	"NOINLINE int compare(const void *a, const void *b) { return *(int *)a - *(int *)b; }\n"
	"static void handler(int s) { sink += recurse(1) + s; }\n"
	"int tail(int n) { return recurse(n); }\n"
	"int main(void) {\n"
	"	int v[] = { 5, 2, 9, 1 };\n"
	"	signal(SIGUSR1, handler);\n"
	"	syscall(SYS_kill, (int)syscall(SYS_getpid), SIGSTOP);\n"
	"	sink += recurse(3) + tail(2);\n"
	"	qsort(v, 4, sizeof *v, compare);\n"
	"	raise(SIGUSR1);\n"
	"	char text[32]; snprintf(text, sizeof text, \"%d\", v[2]);\n"
	"	_exit(0);\n"
	"}\n";

struct shadow {
	uint64_t returns[DEEP];
	size_t count;
};

struct tally {
	size_t steps, wrong, incomplete;
	uint64_t example;
};

/* call: to the next instruction's address on the stack; return: to what stood there */
static void follow(struct shadow *s, const struct user_regs_struct *before,
		   const struct user_regs_struct *now, uint64_t code, pid_t pid, bool signalled)
{
	uint8_t first = (uint8_t)code;
	unsigned prefix = first >= 0x40 && first <= 0x4f ? 8 : 0;
	unsigned prefix_bnd = first == 0xf2 || first == 0xf3 ? 8 : 0;
	uint8_t op = (uint8_t)(code >> (prefix | prefix_bnd));
	uint8_t mod = (uint8_t)(code >> (prefix + 8));
	bool call = op == 0xe8 || (op == 0xff && (mod >> 3 & 7) == 2);

	if (call && now->rsp == before->rsp - 8) {
		assert_true(s->count < DEEP);
		s->returns[s->count++] = word_at(pid, now->rsp);
	} else if ((op == 0xc3 || op == 0xc2) && s->count && now->rip == s->returns[s->count - 1]) {
		s->count--;
	} else if (signalled) {
		s->returns[s->count++] = before->rip;            /* who was interrupted */
		s->returns[s->count++] = word_at(pid, now->rsp); /* __restore_rt */
	} else if ((uint16_t)code == 0x050f && s->count && now->rip == s->returns[s->count - 1]) {
		s->count--; /* sigreturn */
	}
}

static bool agrees(const struct shadow *shadow, const struct unwind_frame *frames,
		   size_t count)
{
	size_t at = 1;

	for (size_t i = shadow->count; i > 0; i--, at++) {
		if (at < count && frames[at].pc == shadow->returns[i - 1])
			continue;
		return false;
	}
	return true;
}

static void look(pid_t pid, const struct shadow *shadow, struct tally *tally,
		 const struct user_regs_struct *r)
{
	static char copy[COPY];
	struct unwind_frame frames[DEEP];
	struct unwind_stack stack;
	enum unwind_end end;

	take_registers(&stack, r);
	struct iovec local = { copy, COPY }, remote = { (void *)r->rsp, COPY };
	/* the copy ends where the stack does */
	while (process_vm_readv(pid, &local, 1, &remote, 1, 0) < 0 && remote.iov_len > 4096)
		remote.iov_len -= 4096;
	ssize_t n = process_vm_readv(pid, &local, 1, &remote, 1, 0);
	assert_true(n > 0);
	stack.bytes = copy;
	stack.count = (size_t)n;
	size_t count = unwind(&stack, find, NULL, frames, DEEP, &end);
	tally->steps++;
	if (!agrees(shadow, frames, count)) {
		tally->example = tally->wrong++ ? tally->example : r->rip;
	} else if (end != UNWIND_OUTERMOST) {
		tally->example = tally->incomplete++ ? tally->example : r->rip;
	}
}

/* Until it ends, or so many steps have been looked at. */
static int step_on(pid_t pid, struct tally *tally, size_t until)
{
	struct shadow shadow = { .count = 0 };
	struct user_regs_struct before, now;
	int status = 0, signal_number = 0;

	read_maps(pid);
	ptrace(PTRACE_GETREGS, pid, NULL, &before);
	look(pid, &shadow, tally, &before);
	while (tally->steps < until) {
		uint64_t code = word_at(pid, before.rip);
		bool signalled = signal_number != 0;
		ptrace(PTRACE_SINGLESTEP, pid, NULL, (void *)(long)signal_number);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (!WIFSTOPPED(status))
			break;
		signal_number = WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status);
		ptrace(PTRACE_GETREGS, pid, NULL, &now);
		follow(&shadow, &before, &now, code, pid, signalled);
		look(pid, &shadow, tally, &now);
		before = now;
	}
	return status;
}

/* Its first instructions, of the loader if it has one, and all from where it stops itself in main(). */
static struct tally step_through(const char *path)
{
	struct tally tally = { .steps = 0 };
	int status;

	pid_t pid = fork();
	if (pid == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		execl(path, path, (char *)NULL);
		_exit(1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSTOPPED(status)); /* its exec */
	ptrace(PTRACE_SETOPTIONS, pid, NULL, (void *)PTRACE_O_EXITKILL);
	step_on(pid, &tally, FIRST_STEPS);
	ptrace(PTRACE_CONT, pid, NULL, NULL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
	status = step_on(pid, &tally, STEPS);
	if (WIFSTOPPED(status)) {
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
	}
	return tally;
}

static void every_instruction(const char *flags)
{
	char path[700];

	write_file("guest.c", guest);
	run("$ONCE gcc -o guest guest.c %s", flags);
	snprintf(path, sizeof path, "%s/guest", symbols_case_dir);
	struct tally t = step_through(path);
	if (t.steps < 1000 || t.wrong || t.incomplete)
		fail_msg("%s: of %zu instructions, %zu wrong, %zu incomplete, such as at %#llx",
			 flags, t.steps, t.wrong, t.incomplete, (unsigned long long)t.example);
	forget_maps();
}

static void optimised(void **state)
{
	(void)state;
	every_instruction("-O2");
	every_instruction("-O2 -s -fomit-frame-pointer -Wl,-z,lazy");
	every_instruction("-O2 -no-pie -fno-plt");
}

static void with_frame_pointers(void **state)
{
	(void)state;
	every_instruction("-O0");
	every_instruction("-O2 -fno-omit-frame-pointer -Wl,-z,lazy");
}

static void static_program(void **state)
{
	(void)state;
	every_instruction("-O2 -static");
}

#endif

/* ---- what a stack may hold --------------------------------------------------------------------- */

static void hostile_bytes(void **state)
{
	static unsigned char copy[4096];
	struct unwind_frame frames[DEEP];
	enum unwind_end end;

	(void)state;
	read_maps(getpid());
	srand(1);
	for (int round = 0; round < 3000; round++) {
		struct unwind_stack s = { .bytes = copy, .count = sizeof copy, .address = 0x1000 };
		const struct map *m = &maps[(size_t)rand() % map_count];
		s.pc = m->start + (uint64_t)rand() % (m->end - m->start);
		for (size_t i = 0; i < sizeof copy; i += 8) {
			uint64_t word = rand() % 3 ? 0x1000 + (uint64_t)rand() % sizeof copy
						   : m->start + (uint64_t)rand() % 4096;
			memcpy(copy + i, &word, sizeof word);
		}
		for (unsigned i = 0; i < UNWIND_REGISTERS; i++)
			set(&s, i, 0x1000 + (uint64_t)rand() % sizeof copy);
		size_t count = unwind(&s, find, NULL, frames, DEEP, &end);
		assert_in_range(count, 0, DEEP);
	}
	forget_maps();
}

static void torn_files(void **state)
{
	(void)state;
	write_file("x.c", "int f(int n) { return n; }\n");
	run("$ONCE gcc -O2 -shared -fPIC -o x.so x.c");
	run("head -c 3000 x.so >torn.so; head -c 100 x.so >less.so");
	for (int i = 0; i < 3; i++) {
		static const char *const names[] = { "torn.so", "less.so", "none.so" };
		struct unwind_module *m = unwind_module_open(names[i], "");
		assert_non_null(m);
		unwind_module_close(m);
	}
	/* another build's rules would be wrong ones */
	struct unwind_module *m = unwind_module_open("x.so", "00112233");
	assert_non_null(m);
	assert_string_equal(unwind_module_build_id(m), "");
	unwind_module_close(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#if defined(__x86_64__)
		SYMBOLS_CASE(optimised),
		SYMBOLS_CASE(with_frame_pointers),
		SYMBOLS_CASE(static_program),
#endif
		SYMBOLS_CASE(hostile_bytes),
		SYMBOLS_CASE(torn_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
