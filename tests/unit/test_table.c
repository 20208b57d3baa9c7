/*
 * test_table.c - table.c, tree.c, arcs.c: figures of programs that are made up at random, beside those
 * of a model that keeps every single call.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/profile/arcs.h"
#include "lib/profile/table.h"
#include "lib/profile/tree.h"
#include "tests/unit/trace_case.h"

enum { FUNCTIONS = 9, CALLS = 20000, THREADS = 3, DEPTH = 12 };

/* One call as the model knows it. */
struct made {
	int function, caller; /* caller: another call's index; -1: none */
	unsigned thread;
	uint64_t begin, end;
};

static struct made made[CALLS];
static int made_count;
static uint64_t seed;

static unsigned chance(unsigned below)
{
	seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
	return (unsigned)((seed >> 20) % below);
}

static void name_it(char name[16], int function)
{
	snprintf(name, 16, "function%d", function);
}

/* Calls at random, told to the model and to the trace. */
static void make_thread(struct trace_case *c, unsigned image, unsigned number)
{
	struct trace_case_thread t = trace_case_thread(c, image, number, (int)number * 100);
	int open[DEPTH], depth = 0, most = made_count + CALLS / THREADS;
	char name[16], word[24];

	while (made_count < most || depth) {
		t.now += chance(4) ? chance(50) : chance(1000000);
		if (made_count < most && depth < DEPTH && (depth == 0 || chance(2))) {
			int f = (int)chance(FUNCTIONS);
			made[made_count] = (struct made){ .function = f, .thread = number,
							  .caller = depth ? open[depth - 1] : -1,
							  .begin = t.now };
			open[depth++] = made_count++;
			name_it(name, f);
			snprintf(word, sizeof word, "%s(", name);
			trace_case_script(&t, word);
		} else if (depth) {
			made[open[--depth]].end = t.now;
			trace_case_script(&t, ")");
		}
	}
	trace_case_script(&t, "end:1");
	trace_case_cut(&t);
}

/* ---- what the model says ----------------------------------------------------------------------- */

static uint64_t took(int i)
{
	return made[i].end - made[i].begin;
}

static bool outermost(int i)
{
	for (int j = made[i].caller; j >= 0; j = made[j].caller)
		if (made[j].function == made[i].function)
			return false;
	return true;
}

static uint64_t self(int i)
{
	uint64_t time = took(i);

	for (int j = i + 1; j < made_count && made[j].begin <= made[i].end; j++)
		if (made[j].caller == i)
			time -= took(j);
	return time;
}

static int ascending(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

	return a < b ? -1 : a > b;
}

static void assert_near(uint64_t is, uint64_t should)
{
	assert_true((is > should ? is - should : should - is) <= should / 32);
}

static void assert_row(const struct table_row *row, int function)
{
	static uint64_t times[CALLS];
	uint64_t total = 0, own = 0, sum = 0;
	unsigned count = 0, threads = 0;

	for (int i = 0; i < made_count; i++) {
		if (made[i].function != function)
			continue;
		times[count++] = took(i);
		sum += took(i);
		own += self(i);
		total += outermost(i) ? took(i) : 0;
		threads |= 1U << made[i].thread;
	}
	qsort(times, count, sizeof *times, ascending);
	assert_int_equal(row->calls, count);
	assert_int_equal(row->total_ns, total);
	assert_int_equal(row->self_ns, own);
	assert_int_equal(row->min_ns, times[0]);
	assert_int_equal(row->max_ns, times[count - 1]);
	assert_int_equal(row->avg_ns, sum / count);
	assert_int_equal(row->threads, __builtin_popcount(threads));
	assert_near(row->p50_ns, times[(count * 50 + 99) / 100 - 1]);
	assert_near(row->p99_ns, times[(count * 99 + 99) / 100 - 1]);
}

/* ---- what is read ------------------------------------------------------------------------------ */

struct all {
	struct table *table;
	struct tree tree;
	struct arcs arcs;
	struct trace_case *c;
};

static void on_enter(void *arg, const struct trace_thread *thread, struct call *call)
{
	(void)thread;
	tree_enter(&((struct all *)arg)->tree, call);
}

static void on_leave(void *arg, const struct trace_thread *thread, struct call *call)
{
	struct all *all = arg;

	table_leave(all->table, thread, call);
	tree_leave(&all->tree, call);
	arcs_leave(&all->arcs, call);
}

static int number_of(const struct all *all, const struct function *f)
{
	return f ? atoi(all->c->names[(f->start - TRACE_CASE_CODE) / 16] + strlen("function")) : -1;
}

/* Whether the call stands on the path that the node is. */
static bool on_path(const struct all *all, int i, const struct tree_node *node)
{
	for (; i >= 0 && node->function; i = made[i].caller, node = node->parent)
		if (made[i].function != number_of(all, node->function))
			return false;
	return i < 0 && !node->function;
}

static void check_tree(const struct all *all)
{
	uint64_t calls = 0, nodes = 0;

	for (const struct tree_node *n = tree_next(&all->tree.root); n; n = tree_next(n)) {
		calls += n->calls;
		if (nodes++ % 97) /* each would take the model too long */
			continue;
		uint64_t count = 0, total = 0;
		for (int i = 0; i < made_count; i++)
			if (on_path(all, i, n)) {
				count++;
				total += took(i);
			}
		assert_int_equal(n->calls, count);
		assert_int_equal(n->total_ns, total);
		assert_true(!n->sibling || n->sibling->total_ns <= n->total_ns);
	}
	assert_int_equal(calls, made_count);
	assert_int_equal(nodes, all->tree.count);
}

static void check_arcs(const struct all *all)
{
	for (size_t a = 0; a < all->arcs.count; a++) {
		const struct arc *arc = &all->arcs.slots[a];
		int caller = number_of(all, arc->caller), callee = number_of(all, arc->callee);
		uint64_t calls = 0, total = 0, own = 0;
		for (int i = 0; i < made_count; i++) {
			int by = made[i].caller < 0 ? -1 : made[made[i].caller].function;
			if (made[i].function != callee || by != caller)
				continue;
			calls++;
			own += self(i);
			total += outermost(i) ? took(i) : 0;
		}
		assert_int_equal(arc->calls, calls);
		assert_int_equal(arc->total_ns, total);
		assert_int_equal(arc->self_ns, own);
	}
	assert_in_range(all->arcs.count, FUNCTIONS, FUNCTIONS * (FUNCTIONS + 1));
}

static void figures_of_a_model(void **state)
{
	static struct trace_case c;
	const struct calls_visitor visitor = { .enter = on_enter, .leave = on_leave };
	struct all all = { .table = table_open(), .c = &c };
	char top[] = "/tmp/hark-table-XXXXXX", text[128];
	struct trace_dir dir;
	struct table_row *rows;
	size_t count;

	(void)state;
	seed = 0x2545f4914f6cdd1d;
	assert_non_null(mkdtemp(top));
	snprintf(text, sizeof text, "%s/data", top);
	trace_case_open(&c, text);
	unsigned image = trace_case_image(&c, 1, 0);
	for (unsigned i = 1; i <= THREADS; i++)
		make_thread(&c, image, i);
	trace_case_close(&c);

	assert_int_equal(trace_dir_open(&dir, c.dir, text, sizeof text), 0);
	struct calls *calls = calls_open(&dir, NULL);
	assert_int_equal(tree_init(&all.tree, TREE_NODES), 0);
	assert_int_equal(calls_walk(calls, &visitor, &all), 0);
	assert_int_equal(table_sort(all.table, TABLE_SELF, &rows, &count), 0);
	assert_int_equal(count, FUNCTIONS);
	for (size_t i = 0; i < count; i++) {
		char name[16];
		name_it(name, number_of(&all, rows[i].function));
		assert_string_equal(rows[i].function->name, name);
		assert_row(&rows[i], number_of(&all, rows[i].function));
		assert_true(i == 0 || rows[i - 1].self_ns >= rows[i].self_ns);
	}
	assert_int_equal(tree_sort(&all.tree), 0);
	check_tree(&all);
	assert_int_equal(arcs_sort(&all.arcs), 0);
	check_arcs(&all);
	table_close(all.table);
	tree_fini(&all.tree);
	arcs_fini(&all.arcs);
	calls_close(calls);
	trace_dir_close(&dir);
	snprintf(text, sizeof text, "rm -rf %s", top);
	assert_int_equal(system(text), 0);
}

/* Where there is no room for more paths, what is there is right and the rest is counted. */
static void a_full_tree(void **state)
{
	struct function f[3] = { { .number = 0 }, { .number = 1 }, { .number = 2 } };
	struct call main_call = { .function = &f[0], .begin_ns = 0, .end_ns = 9 };
	struct call calls[2] = { { .function = &f[1], .caller = &main_call, .end_ns = 4 },
				 { .function = &f[2], .caller = &main_call, .end_ns = 3 } };
	struct tree tree;

	(void)state;
	assert_int_equal(tree_init(&tree, 2), 0);
	tree_enter(&tree, &main_call);
	for (unsigned i = 0; i < 2; i++) {
		tree_enter(&tree, &calls[i]);
		tree_leave(&tree, &calls[i]);
	}
	tree_leave(&tree, &main_call);
	assert_int_equal(tree.missed, 1);
	assert_int_equal(tree.count, 2);
	assert_int_equal(tree.root.child->calls, 1);
	assert_int_equal(tree.root.child->child->total_ns, 4);
	tree_fini(&tree);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(figures_of_a_model),
		cmocka_unit_test(a_full_tree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
