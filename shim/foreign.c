/*
 * foreign.c - see foreign.h. Called before exec, perhaps in a vfork child on a small stack. Must never
 * believe what stands in the file beyond what it checks: the kernel judges it after us.
 */
#include "shim/foreign.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base/sysio.h"
#include "lib/base/text.h"

#if defined(__x86_64__)
enum { OUR_MACHINE = EM_X86_64 };
#elif defined(__aarch64__)
enum { OUR_MACHINE = EM_AARCH64 };
#endif

enum {
	HEAD = 512,    /* an ELF header and the program headers that matter, or a script's first line */
	NAME = 256,
	DEPTH_MOST = 5, /* scripts that are interpreted by scripts: the kernel's limit */
	HEADERS_MOST = 64,
};

static ssize_t read_at(int fd, void *to, size_t bytes, uint64_t offset)
{
	return sysio_call(SYS_pread64, fd, (long)to, (long)bytes, (long)offset, 0, 0);
}

/* What the loader is called says whose it is. */
static bool foreign_loader(int fd, const Elf64_Phdr *where)
{
	char name[NAME];
	size_t bytes = where->p_filesz < sizeof name ? where->p_filesz : sizeof name;

	ssize_t n = read_at(fd, name, bytes, where->p_offset);
	if (n <= 0)
		return false;
	name[n - 1] = 0;
	const char *base = strrchr(name, '/');
	return strncmp(base ? base + 1 : name, "ld-linux", 8) != 0;
}

static bool foreign_elf(int fd, const char *head, size_t have)
{
	const Elf64_Ehdr *e = (const void *)head;
	Elf64_Phdr one;

	if (have < sizeof *e)
		return false;
	if (head[EI_CLASS] != ELFCLASS64 || head[EI_DATA] != ELFDATA2LSB ||
	    e->e_machine != OUR_MACHINE)
		return true;
	if (e->e_phentsize != sizeof one)
		return false;
	for (unsigned i = 0; i < e->e_phnum && i < HEADERS_MOST; i++) {
		uint64_t at = e->e_phoff + i * sizeof one;
		if (at <= have - sizeof one)
			memcpy(&one, head + at, sizeof one);
		else if (read_at(fd, &one, sizeof one, at) != sizeof one)
			return false;
		if (one.p_type == PT_INTERP)
			return foreign_loader(fd, &one);
	}
	return false;
}

/* The name behind "#!", put at the beginning of head. */
static bool take_interpreter(char head[HEAD], size_t have)
{
	head[have < HEAD ? have : HEAD - 1] = 0;
	char *name = head + 2 + strspn(head + 2, " \t");
	size_t length = strcspn(name, " \t\n");

	memmove(head, name, length);
	head[length] = 0;
	return length > 0;
}

static bool looks_foreign(int directory, const char *path)
{
	_Alignas(Elf64_Ehdr) char head[HEAD];

	for (unsigned depth = 0; depth < DEPTH_MOST; depth++) {
		int fd = *path ? (int)sysio_call(SYS_openat, directory, (long)path,
						 O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0, 0,
						 0)
			       : directory;
		if (fd < 0)
			return false;
		ssize_t n = read_at(fd, head, sizeof head, 0);
		bool elf = n > SELFMAG && memcmp(head, ELFMAG, SELFMAG) == 0;
		bool foreign = elf && foreign_elf(fd, head, (size_t)n);
		if (fd != directory)
			sysio_close(fd);
		if (elf || n < 3 || memcmp(head, "#!", 2) != 0 ||
		    !take_interpreter(head, (size_t)n))
			return foreign;
		path = head;
		directory = AT_FDCWD;
	}
	return false;
}

bool foreign_file(int directory, const char *path)
{
	/* A bad pointer is the kernel's to refuse, and nobody else's to follow. */
	if (!path || sysio_call(SYS_faccessat, directory, (long)path, F_OK, 0, 0, 0) == -EFAULT)
		return false;
	return looks_foreign(directory, path);
}

bool foreign_command(const char *file)
{
	char path[HEAD];
	const char *list = NULL;

	if (!file || !*file || strchr(file, '/'))
		return file && *file && foreign_file(AT_FDCWD, file);
	for (char **entry = environ; entry && *entry && !list; entry++)
		if (strncmp(*entry, "PATH=", 5) == 0)
			list = *entry + 5;
	if (!list)
		list = "/bin:/usr/bin";
	for (;;) {
		size_t length = strcspn(list, ":");
		struct text t = text_in(path, sizeof path);
		text_bytes(&t, list, length);
		if (length)
			text_char(&t, '/');
		text_str(&t, file);
		text_cstr(&t);
		if (!t.cut && sysio_call(SYS_faccessat, AT_FDCWD, (long)path, X_OK, 0, 0, 0) == 0)
			return looks_foreign(AT_FDCWD, path);
		if (!list[length])
			return false;
		list += length + 1;
	}
}
