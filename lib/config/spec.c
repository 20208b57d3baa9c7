/*
 * spec.c - reads sink specifications.
 *
 * Called by config.c, which judges what the user gave, and by the collector, which makes sinks of
 * it. Must never open, resolve or look up anything: a specification is judged by its text alone.
 */
#include "lib/config/spec.h"

#include <errno.h>
#include <string.h>

#include "lib/base/parse.h"
#include "lib/config/refuse.h"

enum { MS = 1000000, KEYS_MOST = 32 /* a bit for each */ };

#define SINK(kind, name, syntax, doc, ops) [SINK_##kind] = name,
static const char *const kind_names[SINK_KIND_NR] = {
#include "lib/sink/sinks.def"
};

#define SINK(kind, name, syntax, doc, ops) ", " name
static const char kind_words[] =
#include "lib/sink/sinks.def"
	;

static const char *const later_kinds[] = {
	"tls", "syslog+tcp", "forward", "otlp+http", "journald", "sqlite", "plugin"
};

static int word_in(const char *word, const char *const *among, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(word, among[i]) == 0)
			return (int)i;
	return -EINVAL;
}

static int copy(char *to, size_t room, const char *from)
{
	size_t length = strlen(from);
	if (length == 0 || length >= room)
		return -EINVAL;
	memcpy(to, from, length + 1);
	return 0;
}

/* ---- the parts of a specification -------------------------------------------------------------- */

static int hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c ? strchr(digits, c >= 'A' && c <= 'F' ? c + 32 : c) : NULL;
	return at ? (int)(at - digits) : -1;
}

/* out has room for `length` bytes and a NUL. lenient: only %20, %26 and %09 are escapes, any other % stays.
 * 0, or -EINVAL: a % without two hexadecimal digits, or %00. */
static int unescape(const char *from, size_t length, bool lenient, char *out)
{
	for (size_t i = 0; i < length; i++) {
		int high = -1, low = -1;
		if (from[i] == '%' && length - i > 2) {
			high = hex_digit(from[i + 1]);
			low = hex_digit(from[i + 2]);
		}
		int byte = high < 0 || low < 0 ? 0 : high * 16 + low;
		if (from[i] != '%' || (lenient && byte != ' ' && byte != '&' && byte != '\t')) {
			*out++ = from[i];
		} else if (byte) {
			*out++ = (char)byte;
			i += 2;
		} else {
			return -EINVAL;
		}
	}
	*out = '\0';
	return 0;
}

static int wrong_escape(struct text *t, const char *part)
{
	refuse_show(t, part);
	text_str(t, ": two hexadecimal digits must follow %; accepted: %25 for % itself, not %00");
	return -EINVAL;
}

static int no_such_kind(struct text *t, const char *word)
{
	if (word_in(word, later_kinds, sizeof later_kinds / sizeof *later_kinds) >= 0) {
		text_str(t, word);
		text_str(t, " sinks belong to a later version;");
	} else {
		text_str(t, *word ? "no such sink \"" : "no sink is named");
		refuse_show(t, word);
		text_str(t, *word ? "\";" : ";");
		refuse_nearest(t, word, kind_names, SINK_KIND_NR);
	}
	text_str(t, " accepted: ");
	text_str(t, &kind_words[2]);
	return -EINVAL;
}

static int wrong_target(struct text *t, enum sink_kind kind, const char *what)
{
#define SINK(kind, name, syntax, doc, ops) [SINK_##kind] = syntax,
	static const char *const syntaxes[SINK_KIND_NR] = {
#include "lib/sink/sinks.def"
	};
	text_str(t, what);
	text_str(t, "; accepted: ");
	text_bytes(t, syntaxes[kind], strcspn(syntaxes[kind], "[?"));
	return -EINVAL;
}

/* host:port, [v6]:port */
static int take_address(struct sink_spec *spec, char *address, struct text *t)
{
	uint64_t port;
	char *host = address, *end;

	if (*address == '[') {
		host++;
		end = strchr(address, ']');
		if (!end || end[1] != ':')
			return wrong_target(t, spec->kind, "]:PORT must follow the address");
		*end++ = '\0';
	} else {
		end = strrchr(address, ':');
		if (!end)
			return wrong_target(t, spec->kind, "no port");
		if (memchr(address, ':', (size_t)(end - address)))
			return wrong_target(t, spec->kind, "IPv6 needs brackets, as in [::1]:514");
	}
	*end++ = '\0';
	if (*host == '\0')
		return wrong_target(t, spec->kind, "no host");
	for (const char *c = host; *c; c++)
		if ((unsigned char)*c <= ' ' || *c == '/' || *c == '@' || *c == 0x7f)
			return wrong_target(t, spec->kind, "not the name of a host");
	if (parse_u64(end, 1, 65535, &port) != 0) {
		refuse_show(t, end);
		text_str(t, ": not a port; accepted: 1 to 65535");
		return -EINVAL;
	}
	if (copy(spec->target, sizeof spec->target, host) != 0)
		return wrong_target(t, spec->kind, "the name of the host is too long");
	spec->port = (uint16_t)port;
	return 0;
}

static int take_target(struct sink_spec *spec, const char *given, size_t length, struct text *t)
{
	char target[sizeof spec->given] = "";
	bool is_unix = spec->kind == SINK_UNIX || spec->kind == SINK_UNIXGRAM;

	if (spec->kind == SINK_CONSOLE)
		return given ? wrong_target(t, spec->kind, "console takes no target") : 0;
	if (!given)
		return wrong_target(t, spec->kind, "no target");
	if (unescape(given, length, false, target) != 0)
		return wrong_escape(t, given);
	if (spec->kind == SINK_TCP || spec->kind == SINK_UDP) {
		if (strncmp(target, "//", 2) != 0)
			return wrong_target(t, spec->kind, "// must follow the colon");
		return take_address(spec, target + 2, t);
	}
	if (!*target)
		return wrong_target(t, spec->kind, "no path");
	if (is_unix && strlen(target) > SPEC_UNIX_PATH)
		return wrong_target(t, spec->kind, "a socket's path has at most 107 bytes");
	if (copy(spec->target, sizeof spec->target, target) != 0)
		return wrong_target(t, spec->kind, "a path has at most 255 bytes");
	return 0;
}

static int no_such_key(const struct sink_spec *spec, const char *name, struct text *t)
{
	const char *among[KEYS_MOST];
	size_t count = 0;

	for (size_t i = 0; i < spec_key_count && count < KEYS_MOST; i++)
		if (spec_keys[i].on & 1u << spec->kind && spec_keys[i].accepted)
			among[count++] = spec_keys[i].name;
	text_str(t, *name ? "no such key \"" : "a key is missing");
	refuse_show(t, name);
	text_str(t, *name ? "\";" : ";");
	refuse_nearest(t, name, among, count);
	text_str(t, " accepted: ");
	for (size_t i = 0; i < count; i++) {
		text_str(t, i ? ", " : "");
		text_str(t, among[i]);
	}
	return -EINVAL;
}

static const struct spec_key *key_named(const char *name)
{
	for (size_t i = 0; i < spec_key_count; i++)
		if (strcmp(name, spec_keys[i].name) == 0)
			return &spec_keys[i];
	return NULL;
}

static int take_value(struct sink_spec *spec, const struct spec_key *key, const char *value,
		      struct text *t)
{
	int rc = key->take(spec, value);
	if (rc == 0)
		return 0;
	text_str(t, key->name);
	text_char(t, '=');
	refuse_show(t, value);
	if (rc == -ENOTSUP) {
		text_str(t, " belongs to a later version");
		return -EINVAL;
	}
	text_str(t, ": ");
	refuse_value(t, value, rc == -ERANGE ? "out of range" : key->wrong, key->accepted);
	return -EINVAL;
}

/* pair: key=value, modified. taken: a bit for each key that was there before. */
static int take_pair(struct sink_spec *spec, char *pair, uint32_t *taken, struct text *t)
{
	char value[sizeof spec->given];
	char *equals = strchr(pair, '=');

	if (equals)
		*equals = '\0';
	const struct spec_key *key = key_named(pair);
	if (!key)
		return no_such_key(spec, pair, t);
	if (!(key->on & 1u << spec->kind)) {
		text_str(t, key->name);
		text_str(t, "= belongs to ");
		text_str(t, key->whose);
		text_str(t, ", not to ");
		text_str(t, kind_names[spec->kind]);
		return -EINVAL;
	}
	if (*taken & 1u << (key - spec_keys)) {
		text_str(t, key->name);
		text_str(t, "= is given twice");
		return -EINVAL;
	}
	*taken |= 1u << (key - spec_keys);
	if (!equals)
		return take_value(spec, key, "", t);
	/* A pattern is full of % signs. One with %25 in it was encoded by somebody who cared. */
	bool lenient = key->lenient && !strstr(equals + 1, "%25");
	if (unescape(equals + 1, strlen(equals + 1), lenient, value) != 0)
		return wrong_escape(t, equals + 1);
	return take_value(spec, key, value, t);
}

static int take_keys(struct sink_spec *spec, char *query, struct text *t)
{
	uint32_t taken = 0;

	while (query) {
		char *next = strchr(query, '&');
		if (next)
			*next++ = '\0';
		int rc = take_pair(spec, query, &taken, t);
		if (rc)
			return rc;
		query = next;
	}
	if (spec->pattern[0] && strcmp(spec->format, "text") != 0) {
		text_str(t, "pattern= belongs to format=text; accepted: format=text&pattern=...");
		return -EINVAL;
	}
	return 0;
}

static int parse(const char *given, struct sink_spec *spec, struct text *t)
{
	char buffer[sizeof spec->given];

	if (copy(spec->given, sizeof spec->given, given) != 0 && *given) {
		text_str(t, "a specification has at most 511 bytes");
		return -EINVAL;
	}
	memcpy(buffer, spec->given, sizeof buffer);
	char *query = strchr(buffer, '?');
	if (query)
		*query++ = '\0';
	char *target = strchr(buffer, ':');
	if (target)
		*target++ = '\0';
	int kind = word_in(buffer, kind_names, SINK_KIND_NR);
	if (kind < 0)
		return no_such_kind(t, buffer);
	spec->kind = (enum sink_kind)kind;
	int rc = take_target(spec, target, target ? strlen(target) : 0, t);
	return rc ? rc : take_keys(spec, query, t);
}

/* ---- what others call -------------------------------------------------------------------------- */

int spec_parse(const char *text, struct sink_spec *spec, char *why, size_t why_bytes)
{
	struct text t = text_in(why, why_bytes);

	memset(spec, 0, sizeof *spec);
	spec->level = LEVEL_DEBUG;
	spec->keep = 7;
	spec->mode = 0640;
	spec->sync_ns = -1;
	spec->backoff_least_ns = 100 * MS;
	spec->backoff_most_ns = UINT64_C(30000) * MS;
	int rc = parse(text, spec, &t);
	text_cstr(&t);
	return rc;
}

int spec_parse_list(const char *text, struct sink_spec *specs, unsigned most, char *why,
		    size_t why_bytes)
{
	static const char blanks[] = " \t\n\r\v\f";
	struct text t = text_in(why, why_bytes);
	char one[sizeof specs->given + 1];
	char reason[320];
	unsigned count = 0;
	bool several = strcspn(text + strspn(text, blanks), blanks) < strlen(text);

	for (text += strspn(text, blanks); *text; text += strspn(text, blanks)) {
		size_t length = strcspn(text, blanks);
		size_t copied = length < sizeof one ? length : sizeof one - 1;
		memcpy(one, text, copied);
		one[copied] = '\0';
		text += length;
		if (count == most) {
			text_str(&t, "too many sinks; accepted: at most ");
			text_u64(&t, most);
			text_cstr(&t);
			return -E2BIG;
		}
		if (spec_parse(one, &specs[count++], reason, sizeof reason) == 0)
			continue;
		if (several) {
			text_str(&t, "in ");
			refuse_show(&t, one);
			text_str(&t, ": ");
		}
		text_str(&t, reason);
		text_cstr(&t);
		return -EINVAL;
	}
	if (count == 0)
		no_such_kind(&t, "");
	text_cstr(&t);
	return count ? (int)count : -EINVAL;
}

int spec_absolute(struct sink_spec *spec, const char *cwd)
{
	bool has_path = spec->kind == SINK_FILE || spec->kind == SINK_UNIX ||
			spec->kind == SINK_UNIXGRAM;
	size_t room = spec->kind == SINK_FILE ? sizeof spec->target : SPEC_UNIX_PATH + 1;
	char path[sizeof spec->target];

	if (!has_path || spec->target[0] == '/')
		return 0;
	if (cwd[0] != '/')
		return -EINVAL;
	struct text t = text_in(path, room);
	text_str(&t, cwd);
	if (cwd[1])
		text_char(&t, '/');
	text_str(&t, spec->target);
	text_char(&t, '\0');
	if (t.cut)
		return -ENAMETOOLONG;
	memcpy(spec->target, path, t.len);
	return 0;
}

bool spec_takes_source(const struct sink_spec *spec, const char *source)
{
	char list[sizeof spec->source];

	if (!spec->source[0])
		return true;
	memcpy(list, spec->source, sizeof list);
	for (char *rest = list, *one; (one = strsep(&rest, ","));)
		if (parse_glob(one, source))
			return true;
	return false;
}

bool spec_takes_stamps(const struct sink_spec *spec)
{
	return spec->source[0] ? spec_takes_source(spec, "stamp") :
				 strcmp(spec->format, "trace") == 0;
}
