/*
 * once.c - a compiler that does the same work once: tests compile small programs in many ways, and
 * most `make check` of a day find them as the one before left them.
 *
 *	once [--anywhere] gcc -O2 -o program program.c
 *
 * runs the command as it stands, in this directory, and keeps what it made and said in a file of
 * compiled/, beside the folder that this program is in. The next one who asks for the same gets a
 * copy. The same is: the compiler, its words, what the environment adds to them, the bytes of each
 * file named there, and each other file that the compiler and the linker say they have read. Where
 * the paths of sources get into the program, by debug information or __FILE__, they must be the same,
 * too, unless the caller says with --anywhere that they are nothing to him.
 *
 * Tests call it, by tests/preload/harness.py and tests/unit/symbols_case.h. Whatever it cannot keep or
 * does not understand, it leaves to the compiler. Several may do so at a time: a file of compiled/ is
 * renamed when it is whole.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_WORDS = 200, MOST_READ = 3000, PATH_ROOM = 4096 };

extern char **environ;

struct bytes {
	char *at;
	size_t count;
};

struct command {
	char **words; /* NULL behind the last one */
	const char *out;
	bool links, paths_matter, clang;
	int sources;
};

static _Noreturn void leave_it(char **words)
{
	execvp(words[0], words);
	fprintf(stderr, "once: %s: %s\n", words[0], strerror(errno));
	_exit(127);
}

/* ---- the key ------------------------------------------------------------------------------------ */

static void mix(uint64_t *key, const void *bytes, size_t count)
{
	for (const unsigned char *b = bytes; count--; b++)
		*key = (*key ^ *b) * 0x100000001b3; /* FNV-1a */
}

static void mix_text(uint64_t *key, const char *text)
{
	mix(key, text, strlen(text) + 1);
}

/* false: it is no file that can be read */
static bool read_file(const char *path, struct bytes *file)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	bool good = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);

	*file = (struct bytes){ .at = NULL };
	if (good && (file->at = malloc((size_t)st.st_size + 1))) {
		ssize_t n;
		while (file->count < (size_t)st.st_size &&
		       (n = read(fd, file->at + file->count, (size_t)st.st_size - file->count)) > 0)
			file->count += (size_t)n;
		file->at[file->count] = '\0';
	}
	if (fd >= 0)
		close(fd);
	return file->at != NULL;
}

static bool mix_file(uint64_t *key, const char *path)
{
	struct bytes file;

	if (!read_file(path, &file))
		return false;
	mix(key, &file.count, sizeof file.count);
	mix(key, file.at, file.count);
	free(file.at);
	return true;
}

/* Which one it is: packages give what they replace another size or time. */
static void mix_program(uint64_t *key, const char *name)
{
	char path[PATH_ROOM];
	struct stat st;
	const char *dirs = strchr(name, '/') ? "" : getenv("PATH");

	for (const char *dir = dirs ? dirs : "/usr/bin:/bin"; dir; dir = strchr(dir, ':')) {
		dir += *dir == ':';
		snprintf(path, sizeof path, "%.*s%s%s", (int)strcspn(dir, ":"), dir,
			 *dir ? "/" : "", name);
		if (access(path, X_OK) == 0 && stat(path, &st) == 0 && S_ISREG(st.st_mode)) {
			mix(key, &st.st_size, sizeof st.st_size);
			mix(key, &st.st_mtim, sizeof st.st_mtim);
			return;
		}
	}
}

static bool is_source(const char *word, bool or_object)
{
	static const char *const endings[] = { ".c", ".cc", ".s", ".S", ".rs" };
	const char *dot = strrchr(word, '.');

	if (dot && or_object && strcmp(dot, ".o") == 0)
		return true;
	for (size_t i = 0; dot && i < sizeof endings / sizeof *endings; i++) {
		if (strcmp(dot, endings[i]) == 0)
			return true;
	}
	return false;
}

/* A source or an object by its name alone where its path makes no difference; options that name
 * files by both. */
static void mix_word(uint64_t *key, const struct command *c, const char *word)
{
	const char *slash = strrchr(word, '/'), *value = strchr(word, '=');

	mix_text(key, is_source(word, true) && slash && !c->paths_matter ? slash + 1 : word);
	if (!mix_file(key, word) && value)
		mix_file(key, value + 1);
}

static uint64_t key_of(const struct command *c)
{
	static const char *const more[] = { "CPATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH",
					    "LIBRARY_PATH", "COMPILER_PATH", "GCC_EXEC_PREFIX",
					    "LD_RUN_PATH", "SOURCE_DATE_EPOCH" };
	char here[PATH_ROOM] = "";
	uint64_t key = 0xcbf29ce484222325;

	mix_text(&key, c->words[0]);
	mix_program(&key, c->words[0]);
	mix_program(&key, "gcc"); /* by which musl-gcc compiles */
	mix_program(&key, "as");
	mix_program(&key, "ld");
	for (size_t i = 0; i < sizeof more / sizeof *more; i++)
		mix_text(&key, getenv(more[i]) ? getenv(more[i]) : "");
	for (char **word = c->words + 1; *word; word++) {
		if (strcmp(*word, "-o") == 0)
			word++;
		else
			mix_word(&key, c, *word);
	}
	if (c->paths_matter && getcwd(here, sizeof here))
		mix_text(&key, here);
	return key;
}

/* ---- what a command is for ---------------------------------------------------------------------- */

static bool names_its_file(const char *source)
{
	struct bytes file;
	bool does = false;

	if (read_file(source, &file)) {
		does = strstr(file.at, "__FILE__") || strstr(file.at, "assert(");
		free(file.at);
	}
	return does;
}

/* false: one of those that are not kept */
static bool understand(struct command *c, char **words, bool anywhere)
{
	size_t count = 1;

	*c = (struct command){ .words = words, .links = true, .clang = strstr(words[0], "clang") };
	for (; words[count]; count++) {
		const char *word = words[count];
		if (strcmp(word, "-o") == 0 && words[count + 1])
			c->out = words[++count];
		else if (strcmp(word, "-c") == 0)
			c->links = false;
		else if (strcmp(word, "-E") == 0 || strcmp(word, "-S") == 0 || word[0] == '@' ||
			 strncmp(word, "-M", 2) == 0 || strncmp(word, "-save", 5) == 0)
			return false;
		else if (strncmp(word, "-g", 2) == 0 && strcmp(word, "-g0") != 0)
			c->paths_matter = true;
		else if (is_source(word, false))
			c->sources++, c->paths_matter |= names_its_file(word);
	}
	c->paths_matter &= !anywhere;
	/* clang says of one source only what it has read */
	return c->out && count < MOST_WORDS && (c->sources < 2 || !c->clang);
}

/* ---- what a compiler read ----------------------------------------------------------------------- */

/* What packages bring has a time of its own; what a test has written is known by its bytes. */
static bool describe(const char *path, char *line, size_t room)
{
	struct stat st;
	uint64_t key = 0;

	if (stat(path, &st) != 0 || !S_ISREG(st.st_mode) || strchr(path, '\n'))
		return false;
	if (strncmp(path, "/usr/", 5) == 0 || strncmp(path, "/lib", 4) == 0)
		mix(&key, &st.st_mtim, sizeof st.st_mtim);
	else if (!mix_file(&key, path))
		return false;
	int n = snprintf(line, room, "%" PRIx64 " %jd %s", key, (intmax_t)st.st_size, path);
	return n > 0 && (size_t)n < room;
}

/* The next path of a makefile's rule, ended by NUL; NULL: there is none. */
static char *next_path(char **rest)
{
	char *from = *rest, *to;

	while (isspace((unsigned char)*from) || (*from == '\\' && from[1] == '\n'))
		from++;
	char *path = to = from;
	while (*from && !isspace((unsigned char)*from)) {
		from += *from == '\\' && from[1] == ' ';
		*to++ = *from++;
	}
	*rest = from + (*from != '\0');
	*to = '\0';
	return to > path ? path : NULL;
}

/* Each file that is read beside those of the command, a line each. */
static void write_read(FILE *file, const struct command *c, struct bytes rules)
{
	static char *seen[MOST_READ];
	char line[PATH_ROOM + 50], *rest = rules.at, *path;
	size_t count = 0, i;

	while (rest && (path = next_path(&rest)) && count < MOST_READ) {
		for (i = 0; i < count && strcmp(seen[i], path) != 0; i++)
			;
		if (i < count)
			continue;
		seen[count++] = path;
		for (i = 0; c->words[i] && strcmp(c->words[i], path) != 0; i++)
			;
		if (!c->words[i] && describe(path, line, sizeof line))
			fprintf(file, "%s\n", line);
	}
	fprintf(file, "\n");
}

/* All that was read is as it was. The file is left behind the empty line. */
static bool is_as_it_was(FILE *file)
{
	char line[PATH_ROOM + 50], now[PATH_ROOM + 50];

	while (fgets(line, sizeof line, file)) {
		line[strcspn(line, "\n")] = '\0';
		char *path = strchr(line, ' ');
		if (!path)
			return *line == '\0';
		path = strchr(path + 1, ' ');
		if (!path || !describe(path + 1, now, sizeof now) || strcmp(line, now) != 0)
			return false;
	}
	return false;
}

/* ---- what is kept ------------------------------------------------------------------------------- */

/* "BUILD/compiled/KEY" of "BUILD/tests/once"; NULL: that is not what this is called */
static const char *place_of(uint64_t key)
{
	static char path[PATH_ROOM + 40];
	ssize_t n = readlink("/proc/self/exe", path, PATH_ROOM - 1);
	char *end = n > 0 ? strstr(path, "/tests/once") : NULL;

	if (!end)
		return NULL;
	strcpy(end, "/compiled");
	mkdir(path, 0777);
	sprintf(end + strlen(end), "/%016" PRIx64, key);
	return path;
}

static bool write_out(const char *path, struct bytes made, mode_t mode)
{
	unlink(path);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	bool good = fd >= 0;

	for (size_t at = 0; good && at < made.count;) {
		ssize_t n = write(fd, made.at + at, made.count - at);
		good = n > 0;
		at += good ? (size_t)n : 0;
	}
	if (fd >= 0)
		good = close(fd) == 0 && good;
	return good;
}

static bool read_piece(FILE *file, struct bytes *piece)
{
	if (fscanf(file, "%zu", &piece->count) != 1 || fgetc(file) != '\n' ||
	    !(piece->at = malloc(piece->count + 1)))
		return false;
	return fread(piece->at, 1, piece->count, file) == piece->count;
}

static void write_piece(FILE *file, struct bytes piece)
{
	fprintf(file, "%zu\n", piece.count);
	fwrite(piece.at, 1, piece.count, file);
}

/* true: it was kept, and is there now */
static bool take(const struct command *c, const char *place)
{
	struct bytes said, made;
	FILE *file = fopen(place, "re");

	if (!file)
		return false;
	bool good = is_as_it_was(file) && read_piece(file, &said) && read_piece(file, &made) &&
		    write_out(c->out, made, c->links ? 0777 : 0666);
	fclose(file);
	if (good) {
		fwrite(said.at, 1, said.count, stderr);
		utimensat(AT_FDCWD, place, NULL, 0); /* it is of use: `make check` removes what is not */
	}
	return good;
}

static void keep(const struct command *c, const char *place, struct bytes said, struct bytes rules)
{
	char new[PATH_ROOM + 60];
	struct bytes made;

	if (!read_file(c->out, &made))
		return;
	snprintf(new, sizeof new, "%s.%d", place, getpid());
	FILE *file = fopen(new, "wxe");
	if (!file)
		return;
	write_read(file, c, rules);
	write_piece(file, said);
	write_piece(file, made);
	bool good = !ferror(file);
	if (fclose(file) != 0 || !good || rename(new, place) != 0)
		unlink(new);
}

/* ---- the compiler -------------------------------------------------------------------------------- */

/* Its status as of waitpid(); what it said goes to said, the rules of what it read to rules. */
static int compile(const struct command *c, int said, int rules)
{
	static char by_compiler[60], by_linker[90];
	char *words[MOST_WORDS + 4];
	size_t count = 0;
	posix_spawn_file_actions_t actions;
	int status;
	pid_t pid;

	for (; c->words[count]; count++)
		words[count] = c->words[count];
	/* Appended there by each compiler of the command; the linker empties its own. */
	snprintf(by_compiler, sizeof by_compiler, "/proc/%d/fd/%d", getpid(), rules);
	snprintf(by_linker, sizeof by_linker, "-Wl,--dependency-file=/proc/%d/fd/%d", getpid(),
		 rules + 1);
	if (strstr(c->words[0], "rustc")) { /* whose libraries are its own */
	} else if (c->clang) {
		words[count++] = (char *)"-MD";
		words[count++] = (char *)"-MF";
		words[count++] = by_compiler;
	} else {
		setenv("SUNPRO_DEPENDENCIES", by_compiler, 1);
	}
	if (c->links && !strstr(c->words[0], "rustc"))
		words[count++] = by_linker;
	words[count] = NULL;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, said, 2);
	if (posix_spawnp(&pid, words[0], &actions, NULL, words, environ) != 0)
		leave_it(c->words);
	while (waitpid(pid, &status, 0) < 0)
		;
	return status;
}

static struct bytes contents(int fd)
{
	char path[40];
	struct bytes file;

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	if (!read_file(path, &file))
		exit(EXIT_FAILURE);
	return file;
}

int main(int argc, char **argv)
{
	bool anywhere = argc > 2 && strcmp(argv[1], "--anywhere") == 0;
	char **words = argv + 1 + anywhere;
	struct command c;

	if (!words[0])
		return fputs("once: which compiler?\n", stderr), 2;
	const char *place = understand(&c, words, anywhere) ? place_of(key_of(&c)) : NULL;
	if (!place)
		leave_it(words);
	if (take(&c, place))
		return 0;
	int said = memfd_create("said", MFD_CLOEXEC);
	int rules = memfd_create("compiler", MFD_CLOEXEC);
	int more = memfd_create("linker", MFD_CLOEXEC);
	if (said < 0 || rules < 0 || more != rules + 1)
		leave_it(words);
	int status = compile(&c, said, rules);
	struct bytes text = contents(said), read = contents(rules), linked = contents(more);
	fwrite(text.at, 1, text.count, stderr);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
	read.at = realloc(read.at, read.count + linked.count + 2);
	if (!read.at)
		return 0;
	read.at[read.count] = '\n';
	memcpy(read.at + read.count + 1, linked.at, linked.count + 1);
	keep(&c, place, text, read);
	return 0;
}
