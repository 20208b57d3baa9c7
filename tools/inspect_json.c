/*
 * inspect_json.c - `hark inspect --json`: one object with the same keys for every program. Keys are added
 * and never change; what there is none of is null, false, 0 or an empty array.
 */
#include "tools/inspect.h"
#include "tools/json.h"

static void put_bool(const char *key, bool value)
{
	printf(",\"%s\":%s", key, value ? "true" : "false");
}

static void put_number(const char *key, unsigned value)
{
	emit_number(stdout, ",", key, value);
}

static void put_text(const char *key, const char *value)
{
	emit_pair(stdout, ",", key, value && *value ? value : NULL);
}

static void put_names(const char *key, const struct binary_name *names, unsigned bits)
{
	const char *comma = "";

	printf(",\"%s\":[", key);
	for (; names->name; names++) {
		if (!(bits & names->bit))
			continue;
		fputs(comma, stdout);
		emit_string(stdout, names->name);
		comma = ",";
	}
	putchar(']');
}

static void put_hooks(const char *before, const char *key, const struct binary_hooks *hooks)
{
	const char *comma = "";

	printf("%s\"%s\":[", before, key);
	for (unsigned i = 0; i < binary_hook_count(); i++) {
		if (!binary_hook_has(hooks, i))
			continue;
		fputs(comma, stdout);
		emit_string(stdout, binary_hook_name(i));
		comma = ",";
	}
	putchar(']');
}

static void put_syscalls(const char *key, const struct binary_syscalls *s)
{
	printf(",\"%s\":", key);
	emit_number(stdout, "{", "instructions", s->count);
	emit_number(stdout, ",", "writes", s->writes);
	emit_number(stdout, ",", "unknown", s->unknown);
	printf(",\"certain\":%s}", s->unsure ? "false" : "true");
}

static void put_libraries(const struct libraries_needed *needed)
{
	fputs(",\"libraries\":[", stdout);
	for (size_t i = 0; i < needed->count; i++) {
		const struct library *l = needed->all[i];
		emit_pair(stdout, i ? ",{" : "{", "path", l->path);
		put_bool("libc", l->libc);
		put_hooks(",", "hooks", &l->binary.hooks);
		put_syscalls("system_calls", &l->binary.syscalls);
		put_bool("io_uring", l->binary.io_uring);
		put_names("instrumented", binary_instruments, l->binary.instruments);
		putchar('}');
	}
	putchar(']');
	put_text("missing_library", needed->missing);
}

static void put_protection(const struct elf_facts *elf)
{
	static const struct binary_name names[] = {
		{ ELF_IBT, "ibt" }, { ELF_SHSTK, "shstk" }, { ELF_BTI, "bti" }, { ELF_PAC, "pac" },
		{ 0, NULL },
	};

	put_text("relro", !elf->relro ? "none" : elf->bind_now ? "full" : "partial");
	put_bool("bind_now", elf->bind_now);
	put_names("cet", names, elf->protection);
}

static void put_file(const struct inspect *i)
{
	const struct binary *b = i->binary;

	put_number("class", b->elf.bits);
	put_text("endian", b->elf.big_endian ? "big" : "little");
	put_text("machine", elf_machine_name(b->elf.machine));
	put_text("linkage", inspect_linkage(i));
	put_text("interpreter", b->elf.interpreter);
	put_text("libc", inspect_libc(i));
	put_bool("pie", b->elf.pie || (b->elf.type == ET_DYN && b->elf.interpreter[0]));
	put_protection(&b->elf);
	put_bool("no_plt", inspect_no_plt(i));
	put_bool("setuid", i->rights.setuid);
	put_bool("setgid", i->rights.setgid);
	put_text("capabilities", i->capabilities);
	put_bool("raises_rights", i->rights.raised);
}

static void put_symbols(const struct inspect *i)
{
	const struct binary *b = i->binary;

	put_bool("stripped", !b->symtab);
	put_text("build_id", b->build_id);
	put_text("debug_file", b->debug_file);
	put_bool("eh_frame", b->eh_frame);
	put_number("functions_by_symbol", b->named);
	put_number("functions_by_eh_frame", b->framed);
	put_number("plt_functions", b->plt_slots);
	put_number("got_functions", b->got_slots);
	put_names("instrumented", binary_instruments, b->instruments);
	put_names("languages", binary_languages, b->languages);
	put_names("sanitizers", binary_sanitizers, b->sanitizers);
}

void inspect_json(const struct inspect *i)
{
	emit_pair(stdout, "{", "name", i->name);
	put_text("path", i->target.path);
	fputs(",\"scripts\":[", stdout);
	for (unsigned k = 0; k < i->target.script_count; k++) {
		fputs(k ? "," : "", stdout);
		emit_string(stdout, i->target.scripts[k]);
	}
	putchar(']');
	put_text("program", i->target.subject);
	put_file(i);
	put_symbols(i);
	put_hooks(",", "hooks", &i->binary->hooks);
	put_syscalls("system_calls", &i->binary->syscalls);
	put_bool("io_uring", i->binary->io_uring);
	put_bool("dlopen", i->binary->opens);
	put_libraries(&i->needed);
	for (unsigned k = 0; k < VERDICT_NR; k++) {
		printf("%s\"%s\":", k ? "," : ",\"verdicts\":{", inspect_abilities[k]);
		emit_pair(stdout, "{", "verdict", verdict_answer_name(i->verdicts[k].answer));
		put_text("reason", i->verdicts[k].why);
		put_text("command", i->commands[k]);
		putchar('}');
	}
	puts("}}");
}
