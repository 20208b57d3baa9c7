/*
 * cmd_show.c - `hark show`: the tables that the program is built from, and what is made of them.
 */
#include <string.h>

#include "lib/profile/export.h"
#include "lib/sink/sink.h"
#include "tools/cmds.h"
#include "tools/json.h"
#include "tools/man.h"

static const struct {
	const char *name, *result, *parameters, *when, *alias_of;
} hooks[] = {
#define HOOK(result, name, parameters, when) { #name, #result, #parameters, #when, NULL },
#define HOOK_ALIAS(name, of) { #name, NULL, NULL, NULL, #of },
#include "shim/hooks.def"
#undef HOOK
#undef HOOK_ALIAS
};

enum { HOOKS = sizeof hooks / sizeof *hooks };

static void show_settings(void)
{
	char text[256];

	for (size_t i = 0; i < setting_count; i++) {
		const struct setting *s = &settings[i];
		printf("%s%s%s%s%s\n", s->option ? s->option : "", s->metavar ? " " : "",
		       s->metavar ? s->metavar : "", s->option ? "  " : "", s->variable);
		cli_wrap(stdout, 8, s->doc);
		snprintf(text, sizeof text, "accepted: %s", s->accepted);
		cli_wrap(stdout, 8, text);
		printf("        default: %s\n", *s->preset ? s->preset : "none");
	}
}

static void json_settings(void)
{
	for (size_t i = 0; i < setting_count; i++) {
		const struct setting *s = &settings[i];
		emit_pair(stdout, i ? ",\n{" : "{", "key", s->key);
		emit_pair(stdout, ",", "option", s->option);
		emit_pair(stdout, ",", "metavar", s->metavar);
		emit_pair(stdout, ",", "variable", s->variable);
		emit_pair(stdout, ",", "default", s->preset);
		emit_pair(stdout, ",", "accepted", s->accepted);
		emit_pair(stdout, ",", "doc", s->doc);
		printf(",\"repeatable\":%s}", s->repeatable ? "true" : "false");
	}
}

static void show_sinks(void)
{
	for (unsigned i = 0; i < SINK_KIND_NR; i++) {
		printf("%s\n", sink_rows[i].syntax);
		cli_wrap(stdout, 8, sink_rows[i].doc);
	}
	printf("\nWhat may stand behind the question mark, separated by &:\n");
	for (size_t i = 0; i < spec_key_count; i++) {
		const struct spec_key *k = &spec_keys[i];
		char text[512];
		printf("%s=  (%s)\n", k->name, k->whose);
		cli_wrap(stdout, 8, k->doc);
		if (!k->accepted)
			continue;
		snprintf(text, sizeof text, "accepted: %s", k->accepted);
		cli_wrap(stdout, 8, text);
	}
}

static void json_sinks(void)
{
	for (unsigned i = 0; i < SINK_KIND_NR; i++) {
		emit_pair(stdout, i ? ",\n{" : "{", "name", sink_rows[i].name);
		emit_pair(stdout, ",", "syntax", sink_rows[i].syntax);
		emit_pair(stdout, ",", "doc", sink_rows[i].doc);
		printf(",\"keys\":[");
		const char *comma = "";
		for (size_t k = 0; k < spec_key_count; k++) {
			if (!(spec_keys[k].on & 1u << i))
				continue;
			printf("%s", comma);
			emit_pair(stdout, "{", "name", spec_keys[k].name);
			emit_pair(stdout, ",", "accepted", spec_keys[k].accepted);
			emit_pair(stdout, ",", "doc", spec_keys[k].doc);
			printf("}");
			comma = ",";
		}
		printf("]}");
	}
}

static void show_formats(void)
{
	for (size_t i = 0; i < format_count; i++)
		printf("%-8s  %s\n", format_rows[i].name, format_rows[i].doc);
}

static void json_formats(void)
{
	for (size_t i = 0; i < format_count; i++) {
		emit_pair(stdout, i ? ",\n{" : "{", "name", format_rows[i].name);
		emit_pair(stdout, ",", "doc", format_rows[i].doc);
		printf("}");
	}
}

static void show_hooks(void)
{
	for (unsigned i = 0; i < HOOKS; i++)
		if (hooks[i].alias_of)
			printf("%s = %s\n", hooks[i].name, hooks[i].alias_of);
		else
			printf("%s %s%s\n", hooks[i].result, hooks[i].name, hooks[i].parameters);
}

static void json_hooks(void)
{
	for (unsigned i = 0; i < HOOKS; i++) {
		emit_pair(stdout, i ? ",\n{" : "{", "name", hooks[i].name);
		emit_pair(stdout, ",", "result", hooks[i].result);
		emit_pair(stdout, ",", "parameters", hooks[i].parameters);
		emit_pair(stdout, ",", "alias_of", hooks[i].alias_of);
		if (hooks[i].when)
			emit_pair(stdout, ",", "resolved",
				  strcmp(hooks[i].when, "EARLY") == 0 ? "at start"
								      : "at first call");
		printf("}");
	}
}

static void show_exports(void)
{
	for (size_t i = 0; i < export_count; i++)
		printf("%-10s  %s\n", export_rows[i].name, export_rows[i].doc);
}

static void json_exports(void)
{
	for (size_t i = 0; i < export_count; i++) {
		emit_pair(stdout, i ? ",\n{" : "{", "name", export_rows[i].name);
		emit_pair(stdout, ",", "suffix", export_rows[i].suffix);
		emit_pair(stdout, ",", "doc", export_rows[i].doc);
		printf(",\"directory\":%s}", export_rows[i].ops->directory ? "true" : "false");
	}
}

/* The manual pages are made when hark is built; people read them with man(1). */
static const struct {
	const char *name;
	void (*text)(void), (*json)(void); /* json: the rows of an array */
} tables[] = {
	{ "settings", show_settings, json_settings },
	{ "sinks", show_sinks, json_sinks },
	{ "formats", show_formats, json_formats },
	{ "hooks", show_hooks, json_hooks },
	{ "exports", show_exports, json_exports },
	{ "man1", man_command, NULL },
	{ "man7", man_overview, NULL },
};

int cmd_show(struct cli *cli)
{
	const char *word;
	bool json;

	if (cli_only(cli, &json, &word) != 0)
		return CLI_FAILED;
	for (size_t i = 0; word && i < sizeof tables / sizeof *tables; i++) {
		if (strcmp(tables[i].name, word) != 0)
			continue;
		if (json && !tables[i].json) {
			cli_say("show %s: a manual page is no JSON", word);
			return CLI_FAILED;
		}
		if (json) {
			printf("[");
			tables[i].json();
			printf("]\n");
		} else {
			tables[i].text();
		}
		return 0;
	}
	cli_say("show %s: it shows settings, sinks, formats, hooks or exports",
		word ? word : "what?");
	return CLI_FAILED;
}
