/*
 * stamp_names.c - which functions of a module the session's filter means. That takes names, and names
 * take libraries: so the hark command finds it out (tools/cmd_judge.c), for all processes of the session,
 * when the first of them calls the module first, and leaves a file that the others read.
 *
 * Where that fails, the trace says so, and all of the module's functions are recorded.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "lib/base/sysio.h"
#include "lib/session/rules.h"
#include "lib/stamp/event.h"
#include "shim/command.h"
#include "shim/plt.h"
#include "shim/shim.h"
#include "shim/stamp.h"

enum {
	MODULES = 1024,
	WAIT_NS = 10000000,
	JUDGE_MS = 10000, /* the program waits no longer for an answer, and not again */
};

_Atomic uint32_t stamp_names_changed;

/* Never changed once it is to be found, and never freed: others may be reading. */
struct judged {
	uint64_t of;         /* image << 32 | rules */
	uintptr_t base;
	const struct verdicts *verdicts; /* NULL: nobody knows */
	uint64_t bytes;
};

static struct judged *_Atomic judged[MODULES];
static _Atomic uint32_t judging; /* pid of who does; in a forked child, of one that is not there */

struct request {
	struct command command;
	char path[512], build[80], name[32], number[16];
	char *argv[8], *environment[1];
	struct judged answer;
	uint64_t of;
};

static const char *session_dir(void)
{
	return strchr(shim.session_entry, '=') + 1;
}

/* The same for the same file and rules, in whatever process. */
static void put_name(struct request *r, uint32_t rules)
{
	struct text t = text_in(r->name, sizeof r->name);
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (const char *c = r->build; *c; c++)
		hash = (hash ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
	for (const char *c = r->path; *c; c++)
		hash = (hash ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
	text_str(&t, "names.");
	text_u64(&t, rules);
	text_char(&t, '.');
	text_hex(&t, hash);
	text_cstr(&t);
}

static void put_build(struct request *r, const uint8_t *id, size_t bytes)
{
	static const char digits[] = "0123456789abcdef";
	struct text t = text_in(r->build, sizeof r->build);

	for (size_t i = 0; i < bytes && i < 32; i++) {
		text_char(&t, digits[id[i] >> 4]);
		text_char(&t, digits[id[i] & 15]);
	}
	if (!bytes)
		text_char(&t, '-');
	text_cstr(&t);
}

/* Its environment is empty: the program may be changing its own at this moment. */
static int run(struct request *r, uint32_t rules)
{
	struct text t = text_in(r->number, sizeof r->number);

	if (!command_find(&r->command))
		return -ENOENT;
	text_u64(&t, rules);
	text_cstr(&t);
	char *const argv[] = { r->command.program, (char *)"judge", (char *)session_dir(),
			       r->number, r->path, r->build, r->name, NULL };
	memcpy(r->argv, argv, sizeof argv);
	r->command.argv = r->argv;
	r->command.environment = r->environment;
	r->command.limit_ms = JUDGE_MS;
	int saved = errno;
	pid_t child = command_run(&r->command);
	command_wait(child);
	errno = saved;
	return child < 0 ? (int)child : r->command.error;
}

/* Who did not answer in time by these rules is not asked again by them. */
static uint64_t late;

static int judge(struct request *r, const struct stamp_module *module, uint32_t rules)
{
	const uint8_t *id = NULL;
	size_t id_bytes = 0;

	if (!stamp_module_file(module, r->path, sizeof r->path, &id, &id_bytes))
		return -ENOENT;
	put_build(r, id, id_bytes);
	put_name(r, rules);
	for (int turn = 0; turn < 2; turn++) {
		int error = turn ? late == r->of ? -ETIMEDOUT : run(r, rules) : 0;
		if (error == -ETIMEDOUT)
			late = r->of;
		if (error)
			return error;
		const struct verdicts *v =
			verdicts_read(session_dir(), r->name, rules, &r->answer.bytes);
		if (!sysio_is_error(v)) {
			r->answer.verdicts = v;
			return 0;
		}
		if ((intptr_t)v != -ENOENT)
			return (int)(intptr_t)v;
	}
	return -ENOENT;
}

static void tell(uint32_t module, int error)
{
	struct event event;

	event_begin(&event, "unfiltered");
	event_number(&event, "image", stamp_image_number());
	event_number(&event, "module", module);
	event_number(&event, "ticks", stamp_now());
	event_number(&event, "error", (uint64_t)-error);
	event_append(&event, stamp_events());
}

static struct judged *ask(const struct stamp_module *module, uint64_t of)
{
	const size_t bytes = sizeof(struct request) + 2 * COMMAND_STACK;
	struct judged *kept =
		sysio_map(sizeof *kept, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct request *r =
		sysio_map(bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (sysio_is_error(kept) || sysio_is_error(r)) {
		if (!sysio_is_error(kept))
			sysio_unmap(kept, sizeof *kept);
		return NULL;
	}
	r->command.stack = (char *)(r + 1);
	r->of = of;
	int error = judge(r, module, (uint32_t)of);
	if (error)
		tell(module->number, error);
	*kept = r->answer;
	kept->of = of;
	kept->base = module->base;
	sysio_unmap(r, bytes);
	return kept;
}

static struct judged *known(const struct stamp_module *module, uint64_t of)
{
	struct judged *j = atomic_load(&judged[module->number % MODULES]);

	return j && j->of == of && j->base == module->base ? j : NULL;
}

/* One thread asks, others wait for that. */
static struct judged *find(const struct stamp_module *module, uint64_t of)
{
	uint32_t pid = shim.epoch->value;
	struct judged *j;

	while (!(j = known(module, of))) {
		uint32_t owner = atomic_load(&judging);
		if (owner == pid) {
			sysio_futex_wait(&judging, pid, WAIT_NS);
			continue;
		}
		if (!atomic_compare_exchange_strong(&judging, &owner, pid))
			continue;
		j = known(module, of);
		if (!j && (j = ask(module, of)))
			atomic_store(&judged[module->number % MODULES], j);
		atomic_store(&judging, 0);
		sysio_futex_wake(&judging, INT32_MAX);
		break;
	}
	return j;
}

uint32_t stamp_fits(uintptr_t function, uint32_t rules)
{
	struct stamp_module module = stamp_module(function);
	uint64_t of = (uint64_t)stamp_image_number() << 32 | rules;

	if (!module.number)
		return FILTER_ONLY;
	if (plt_is_stub(function)) /* --calls has chosen it by its name: it is wanted where its caller is */
		return 0;
	struct judged *j = known(&module, of);
	if (!j && !shim.sandboxed)
		j = find(&module, of);
	return j && j->verdicts ? verdicts_find(j->verdicts, j->bytes, function - module.base) :
				  FILTER_ONLY;
}
