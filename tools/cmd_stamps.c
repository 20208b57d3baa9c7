/*
 * cmd_stamps.c - `hark stamps`: the public stamps of a trace, in the order of steps or of time, and the
 * figures of its timers.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/base/array.h"
#include "lib/base/text.h"
#include "lib/profile/export.h"
#include "lib/profile/messages.h"
#include "lib/session/session.h"
#include "tools/cmds.h"
#include "tools/data.h"
#include "tools/figures.h"
#include "tools/json.h"
#include "tools/show_as.h"

enum { WAIT_NS = 2000000000 };

struct wish {
	const char *data;
	bool json;
	unsigned sort;             /* of sorts[] */
};

static const char *const sorts[] = { "step", "time", NULL };
enum { BY_STEP, BY_TIME };

struct stamp {
	int64_t time_ns;
	uint64_t id, step;
	int32_t pid, tid;
	char comm[16];
	size_t text, bytes;        /* in list.texts */
};

struct list {
	struct stamp *stamps;
	size_t count;
	char *texts;
	size_t used, texts_room;
};

/* ---- what there is ----------------------------------------------------------------------------- */

static int keep(struct list *list, const struct message *m)
{
	struct stamp *stamps = array_grown(list->stamps, list->count, sizeof *stamps);

	if (!stamps)
		return -ENOMEM;
	list->stamps = stamps;
	if (list->used + m->text_bytes > list->texts_room) {
		size_t room = (list->used + m->text_bytes) * 2;
		char *texts = realloc(list->texts, room);
		if (!texts)
			return -ENOMEM;
		list->texts = texts;
		list->texts_room = room;
	}
	struct stamp *s = &list->stamps[list->count++];
	*s = (struct stamp){ .time_ns = m->time_ns, .id = m->id, .step = m->step, .pid = m->pid,
			     .tid = m->tid, .text = list->used, .bytes = m->text_bytes };
	snprintf(s->comm, sizeof s->comm, "%s", m->comm);
	if (m->text_bytes)
		memcpy(list->texts + list->used, m->text, m->text_bytes);
	list->used += m->text_bytes;
	return 0;
}

static int by_time(const void *left, const void *right)
{
	const struct stamp *a = left, *b = right;

	if (a->time_ns != b->time_ns)
		return a->time_ns < b->time_ns ? -1 : 1;
	return a->id < b->id ? -1 : a->id > b->id;
}

static int by_step(const void *left, const void *right)
{
	const struct stamp *a = left, *b = right;

	if (a->step != b->step)
		return a->step < b->step ? -1 : 1;
	return by_time(left, right);
}

/* Whatever was said before we were asked, in a session that lives or is just about to end. */
static void catch_up(const char *data)
{
	struct session session;
	char dir[512];

	data_session(data, dir, sizeof dir);
	if (!*dir || session_join(&session, dir) != 0)
		return;
	session_wait_for(&session, SESSION_DELIVERED, session_position(&session), WAIT_NS);
	session_leave(&session);
}

/* ---- for people -------------------------------------------------------------------------------- */

static void put_who(const char *comm, int32_t pid, int width)
{
	char text[48];

	snprintf(text, sizeof text, "%.16s[%" PRId32 "]", comm, pid);
	char *safe = show_as_safe(text);
	printf("%-*s", width, safe);
	free(safe);
}

static void put_stamps(const struct list *list)
{
	char when[32];

	if (list->count)
		printf("%6s %6s  %-15s  %-24s %7s  %s\n", "STEP", "ID", "TIME", "PROCESS", "THREAD",
		       "STAMP");
	for (size_t i = 0; i < list->count; i++) {
		const struct stamp *s = &list->stamps[i];
		time_t second = (time_t)(s->time_ns / 1000000000);
		struct tm tm;
		char *text = list->texts ? strndup(list->texts + s->text, s->bytes) : NULL;
		char *safe = show_as_safe(text ? text : "?");

		if (!localtime_r(&second, &tm) || !strftime(when, sizeof when, "%H:%M:%S", &tm))
			strcpy(when, "?");
		printf("%6" PRIu64 " %6" PRIu64 "  %s.%06" PRId64 "  ", s->step, s->id, when,
		       s->time_ns % 1000000000 / 1000);
		put_who(s->comm, s->pid, 24);
		printf(" %7" PRId32 "  %s\n", s->tid, safe);
		free(safe);
		free(text);
	}
}

static void put_timers(const struct timer_list *timers, bool gap)
{
	if (timers->count)
		printf("%s%-24s %-24s  %s\n", gap ? "\n" : "", "TIMER", "PROCESS", "MEASURED");
	for (size_t i = 0; i < timers->count; i++) {
		char *safe = show_as_safe(timers->timers[i].name);

		printf("%-24s ", safe);
		put_who(timers->timers[i].comm, timers->timers[i].pid, 24);
		fputs("  ", stdout);
		figures_text(stdout, &timers->timers[i]);
		putchar('\n');
		free(safe);
	}
}

/* ---- as JSON ----------------------------------------------------------------------------------- */

static uint64_t utc(int64_t time_ns)
{
	return time_ns > 0 ? (uint64_t)time_ns : 0;
}

static void put_json(const struct list *list, const struct timer_list *timers)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct stamp *s = &list->stamps[i];

		fputs("{\"type\":\"stamp\"", stdout);
		emit_time(stdout, ",", "time", utc(s->time_ns));
		emit_number(stdout, ",", "step", s->step);
		emit_number(stdout, ",", "id", s->id);
		fputs(",\"text\":", stdout);
		export_json(stdout, list->texts + s->text, s->bytes);
		printf(",\"pid\":%" PRId32 ",\"tid\":%" PRId32, s->pid, s->tid);
		emit_pair(stdout, ",", "comm", s->comm);
		puts("}");
	}
	for (size_t i = 0; i < timers->count; i++) {
		const struct timer_figures *f = &timers->timers[i];

		fputs("{\"type\":\"timer\"", stdout);
		emit_pair(stdout, ",", "timer", f->name);
		figures_json(stdout, f);
		if (f->last_count)
			emit_time(stdout, ",", "last_end", utc(f->end_ns));
		printf(",\"pid\":%" PRId32, f->pid);
		emit_pair(stdout, ",", "comm", f->comm);
		puts("}");
	}
}

/* ---- the command ------------------------------------------------------------------------------- */

static int list_all(const struct wish *wish, struct trace_dir *dir)
{
	struct list list = { .count = 0 };
	struct messages *messages = NULL;
	struct message message;
	int rc = messages_open(&messages, dir);

	while (rc == 0 && messages_next(messages, &message))
		if (message.kind == MARK_STAMP)
			rc = keep(&list, &message);
	if (rc == 0) {
		const struct timer_list *timers = messages_timers(messages);

		if (list.count)
			qsort(list.stamps, list.count, sizeof *list.stamps,
			      wish->sort == BY_TIME ? by_time : by_step);
		if (wish->json) {
			put_json(&list, timers);
		} else {
			put_stamps(&list);
			put_timers(timers, list.count > 0);
		}
		if (!list.count && !timers->count)
			cli_say("%s holds no stamps and no timers: programs make them by libhark "
				"(hark.h)",
				dir->path);
	} else {
		cli_say("cannot read the trace %s: %s", dir->path, strerror(-rc));
	}
	messages_close(messages);
	free(list.stamps);
	free(list.texts);
	return rc == 0 ? 0 : CLI_FAILED;
}

static int show(const struct wish *wish)
{
	struct trace_dir dir;
	char why[512];

	catch_up(wish->data);
	if (trace_dir_open(&dir, wish->data, why, sizeof why) != 0) {
		cli_say("%s", why);
		return CLI_FAILED;
	}
	int status = list_all(wish, &dir);
	fflush(stdout);
	if (dir.torn)
		cli_say("%u %s of the trace %s cannot be read, and %s left out; the first: %s",
			dir.torn, text_one(dir.torn, "place", "places"), dir.path,
			text_one(dir.torn, "was", "were"), dir.trouble);
	trace_dir_close(&dir);
	return status;
}

static int take(struct wish *wish, const struct cli *cli)
{
	if (strcmp(cli->option, "--data") == 0) {
		wish->data = cli->value;
		return 0;
	}
	if (strcmp(cli->option, "--sort") == 0)
		return show_as_choice(cli, sorts, &wish->sort);
	return show_as_format(cli, &wish->json);
}

int cmd_stamps(struct cli *cli)
{
	const char *data = getenv("HARK_DATA");
	struct wish wish = { .data = data && *data ? data : "hark.data" };
	enum cli_found found;
	int error = 0;

	while (!error && (found = cli_next(cli)) != CLI_END) {
		if (found == CLI_OPTION) {
			error = take(&wish, cli);
			continue;
		}
		if (found == CLI_WORD)
			show_as_unknown(cli);
		error = -EINVAL;
	}
	return error ? CLI_FAILED : show(&wish);
}
