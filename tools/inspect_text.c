/*
 * inspect_text.c - `hark inspect` for people: what the program is in a few lines, then a verdict for each
 * ability with the command for it.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/text.h"
#include "lib/format/escape.h"
#include "tools/inspect.h"

enum {
	COLUMNS = 100,
	LABEL = 13,              /* columns before what a line says, */
	VERDICT = 18,            /* and before a reason */
	LINE = 4096,
	HOOKS_SHOWN = 8,
	LIBRARIES_SHOWN = 8,
};

/* Words behind what stands in the line already, wrapped to where they began. */
static void put_words(char *line, unsigned indent)
{
	unsigned column = indent;

	escape_tame(line);
	for (char *rest = line, *word; (word = strsep(&rest, " "));) {
		unsigned length = (unsigned)strlen(word);
		if (column > indent && column + 1 + length > COLUMNS)
			column = (unsigned)printf("\n%*s", indent, "") - 1;
		else if (column > indent)
			column += (unsigned)printf(" ");
		column += (unsigned)printf("%s", word);
	}
	putchar('\n');
}

static void put(const char *label, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(const char *label, const char *format, ...)
{
	char line[LINE];
	va_list values;

	va_start(values, format);
	vsnprintf(line, sizeof line, format, values);
	va_end(values);
	printf("  %-*s", LABEL - 2, label);
	put_words(line, LABEL);
}

static struct text *listed(struct text *t, const char *word)
{
	if (t->len)
		text_str(t, ", ");
	text_str(t, word);
	return t;
}

static void list_names(struct text *t, const struct binary_name *names, unsigned bits)
{
	for (; names->name; names++)
		if (bits & names->bit)
			listed(t, names->name);
}

/* ---- lines ------------------------------------------------------------------------------------- */

static void put_head(const struct inspect *i)
{
	char path[PATH_MAX];

	for (unsigned k = 0; k < i->target.script_count; k++) {
		snprintf(path, sizeof path, "%s", i->target.scripts[k]);
		escape_tame(path);
		printf("%s, a script for\n", path);
	}
	snprintf(path, sizeof path, "%s", i->target.subject);
	escape_tame(path);
	puts(path);
}

static void put_file(const struct inspect *i)
{
	const struct elf_facts *elf = &i->binary->elf;
	const char *libc = inspect_libc(i), *linkage = inspect_linkage(i);
	bool pie = elf->pie || (elf->type == ET_DYN && elf->interpreter[0]);
	char line[LINE];
	struct text t = text_in(line, sizeof line);

	put("file", "%u-bit %s%s%s, %s%s%s%s%s%s", elf->bits, elf_machine_name(elf->machine),
	    elf->big_endian ? ", big-endian" : "",
	    pie && strcmp(linkage, "static-pie") != 0 ? ", PIE" : "", linkage, libc ? ", " : "",
	    !libc ? "" : strcmp(libc, "other") == 0 ? "a C library unknown here" : libc,
	    libc ? " (" : "", elf->interpreter, libc ? ")" : "");
	listed(&t, !elf->relro ? "no RELRO" : elf->bind_now ? "full RELRO" : "partial RELRO");
	listed(&t, elf->bind_now ? "bound at the start" : "bound when called first");
	if (elf->protection & ELF_IBT)
		listed(&t, "IBT");
	if (elf->protection & ELF_SHSTK)
		listed(&t, "SHSTK");
	if (elf->protection & ELF_BTI)
		listed(&t, "BTI");
	if (elf->protection & ELF_PAC)
		listed(&t, "PAC");
	if (inspect_no_plt(i))
		listed(&t, "no PLT");
	put("linked", "%s", text_cstr(&t));
}

static void put_rights(const struct inspect *i)
{
	char line[LINE];
	struct text t = text_in(line, sizeof line);

	if (i->rights.setuid)
		listed(&t, "setuid");
	if (i->rights.setgid)
		listed(&t, "setgid");
	if (i->capabilities[0])
		listed(&t, i->capabilities);
	if (t.len)
		put("rights", "%s%s", text_cstr(&t),
		    i->rights.raised ? "" : " (which gives you none that you have not)");
}

static void put_symbols(const struct inspect *i)
{
	const struct binary *b = i->binary;
	bool own = b->debug_file && strcmp(b->debug_file, i->target.subject) == 0;

	put("symbols", "%s, %s%s, %s%s", b->symtab ? "not stripped" : "stripped",
	    b->build_id ? "build-id " : "no build-id", b->build_id ? b->build_id : "",
	    own             ? "with debug information"
	    : b->debug_file ? "debug file "
			    : "no debug information",
	    own || !b->debug_file ? "" : b->debug_file);
	put("functions", "%u by symbols, %u by .eh_frame%s; of libraries %u by PLT, %u by GOT",
	    b->named, b->framed, b->eh_frame ? "" : " (there is none)", b->plt_slots, b->got_slots);
}

static void put_built(const struct inspect *i)
{
	const struct binary *b = i->binary;
	char line[LINE];
	struct text t = text_in(line, sizeof line);

	list_names(&t, binary_languages, b->languages);
	list_names(&t, binary_instruments, b->instruments);
	for (const struct binary_name *n = binary_sanitizers; n->name; n++)
		if (b->sanitizers & n->bit) {
			listed(&t, n->name);
			text_str(&t, " sanitizer");
		}
	if (t.len)
		put("built", "%s", text_cstr(&t));
}

static void put_hooks(const struct inspect *i)
{
	unsigned sum = binary_hook_sum(&i->binary->hooks), shown = 0;
	char line[LINE];
	struct text t = text_in(line, sizeof line);

	for (unsigned k = 0; k < binary_hook_count() && shown < HOOKS_SHOWN; k++)
		if (binary_hook_has(&i->binary->hooks, k)) {
			listed(&t, binary_hook_name(k));
			shown++;
		}
	put("hooks", "%u imported%s%s%s", sum, sum ? ": " : "", text_cstr(&t),
	    sum > shown ? ", ..." : "");
}

static void put_libraries(const struct inspect *i)
{
	const struct libraries_needed *n = &i->needed;
	struct binary_hooks hooks = { { 0 } };
	char line[LINE];
	struct text t = text_in(line, sizeof line);

	for (size_t k = 0; k < n->count; k++) {
		const char *slash = strrchr(n->all[k]->path, '/');
		if (k < LIBRARIES_SHOWN)
			listed(&t, slash ? slash + 1 : n->all[k]->path);
		for (unsigned w = 0; !n->all[k]->libc && w < BINARY_HOOKS_MOST / 64; w++)
			hooks.bits[w] |= n->all[k]->binary.hooks.bits[w];
	}
	if (n->count)
		put("libraries", "%zu: %s%s; %u hooks imported beside libc's own", n->count,
		    text_cstr(&t), n->count > LIBRARIES_SHOWN ? ", ..." : "",
		    binary_hook_sum(&hooks));
}

static void put_unseen(const struct inspect *i)
{
	const struct binary *b = i->binary;
	struct binary_syscalls sum = { .count = 0 };
	char line[LINE];
	struct text t = text_in(line, sizeof line);

	for (size_t k = 0; k <= i->needed.count; k++) {
		const struct binary_syscalls *s = &b->syscalls;
		if (k && i->needed.all[k - 1]->libc)
			continue;
		if (k)
			s = &i->needed.all[k - 1]->binary.syscalls;
		sum.count += s->count;
		sum.writes += s->writes;
		sum.unknown += s->unknown;
	}
	if (sum.count) {
		text_u64(&t, sum.count);
		text_str(&t, text_one(sum.count, " system call", " system calls"));
		text_str(&t, " beside libc's (");
		text_u64(&t, sum.writes);
		text_str(&t, text_one(sum.writes, " writes, ", " write, "));
		text_u64(&t, sum.unknown);
		text_str(&t, " unknown)");
	}
	if (b->io_uring)
		listed(&t, "io_uring");
	if (b->opens && i->needed.count)
		listed(&t, "libraries that it loads later (dlopen)");
	if (t.len)
		put("unseen", "%s", text_cstr(&t));
}

/* ---- verdicts ---------------------------------------------------------------------------------- */

static void put_verdict(const struct inspect *i, unsigned k, bool color)
{
	static const char *const colors[] = {
		[VERDICT_NO] = "\033[31m", [VERDICT_PARTLY] = "\033[33m", [VERDICT_YES] = "\033[32m"
	};
	enum verdict_answer answer = i->verdicts[k].answer;
	char command[sizeof i->commands[k]], why[sizeof i->verdicts[k].why];

	/* the colour takes no column: it is put around what has its width already */
	printf("  %-8s %s%-6s%s ", inspect_abilities[k], color ? colors[answer] : "",
	       verdict_answer_name(answer), color ? "\033[0m" : "");
	snprintf(why, sizeof why, "%s", i->verdicts[k].why);
	put_words(why, VERDICT);
	if (!i->commands[k][0])
		return;
	snprintf(command, sizeof command, "%s", i->commands[k]);
	escape_tame(command);
	printf("%*s%s%s%s\n", VERDICT, "", color ? "\033[1m" : "", command, color ? "\033[0m" : "");
}

void inspect_text(const struct inspect *i, bool color)
{
	put_head(i);
	put_file(i);
	put_rights(i);
	put_symbols(i);
	put_built(i);
	put_hooks(i);
	put_libraries(i);
	put_unseen(i);
	for (unsigned k = 0; k < VERDICT_NR; k++)
		put_verdict(i, k, color);
}
