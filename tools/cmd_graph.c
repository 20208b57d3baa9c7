/*
 * cmd_graph.c - `hark graph`: the call tree of a trace with totals, or who calls a function and whom
 * it calls.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/parse.h"
#include "lib/base/text.h"
#include "lib/profile/tree.h"
#include "tools/cmds.h"
#include "tools/graph_arcs.h"
#include "tools/json.h"
#include "tools/reading.h"
#include "tools/show_as.h"
#include "tools/units.h"

enum { DRAWN = 48 };               /* levels; deeper ones are told by their number */

struct graph {
	struct trace_options options;
	const char *function;
	bool json;
	struct reading reading;
	struct tree tree;
	struct arcs arcs;
};

/* ---- reading ----------------------------------------------------------------------------------- */

static void on_enter(void *arg, const struct trace_thread *thread, struct call *call)
{
	struct graph *graph = arg;

	(void)thread;
	if (!graph->function)
		tree_enter(&graph->tree, call);
}

static void on_leave(void *arg, const struct trace_thread *thread, struct call *call)
{
	struct graph *graph = arg;

	(void)thread;
	if (graph->function)
		arcs_leave(&graph->arcs, call);
	else
		tree_leave(&graph->tree, call);
}

static void on_mark(void *arg, const struct trace_thread *thread, const struct mark *mark,
		    const struct call *innermost)
{
	reading_mark(&((struct graph *)arg)->reading, thread, mark, innermost);
}

static void on_progress(void *arg, uint64_t done, uint64_t all)
{
	reading_progress(&((struct graph *)arg)->reading, done, all);
}

static int read_all(struct graph *graph)
{
	static const struct calls_visitor visitor = { .enter = on_enter, .leave = on_leave,
						      .mark = on_mark, .progress = on_progress };
	struct edges_found found = { 0 };
	int rc = tree_init(&graph->tree, TREE_NODES);

	if (rc == 0)
		rc = calls_walk(graph->reading.calls, &visitor, graph);
	if (rc == 0)
		rc = edges_each(graph->reading.calls, arcs_edge, &graph->arcs, &found);
	graph->reading.others = found.others;
	if (rc == 0)
		rc = tree_sort(&graph->tree);
	if (rc == 0)
		rc = arcs_sort(&graph->arcs);
	return rc;
}

/* ---- the tree ---------------------------------------------------------------------------------- */

/* The lines that lead to the node: on each level, whether more comes there. */
static void draw(const struct tree_node *node)
{
	const struct tree_node *around[DRAWN];
	uint32_t depth = node->depth;

	if (depth > DRAWN) {
		printf("(%" PRIu32 " deep) ", depth + 1);
		return;
	}
	for (const struct tree_node *n = node; n->depth > 0; n = n->parent)
		around[n->depth - 1] = n;
	for (uint32_t i = 0; i + 1 < depth; i++)
		printf("%s", around[i]->sibling ? "│  " : "   ");
	if (depth)
		printf("%s", node->sibling ? "├─ " : "└─ ");
}

static void print_node(const struct tree_node *node)
{
	char *name = show_as_safe(node->function->name);
	char *module = show_as_safe(node->function->module);

	graph_figures(node->function, node->total_ns, node->self_ns, node->calls, "");
	draw(node);
	/* whoever is called within a module is of that, as a rule */
	bool elsewhere = node->depth == 0 ||
			 strcmp(node->function->path, node->parent->function->path) != 0;
	printf("%s%s%s%s\n", name, elsewhere && *module ? "  [" : "", elsewhere ? module : "",
	       elsewhere && *module ? "]" : "");
	free(module);
	free(name);
}

/* Nodes have numbers in the order of printing: a node's parent is the last one of a lesser depth. */
static void print_object(const struct tree_node *node, uint64_t id, uint64_t parent)
{
	emit_number(stdout, "{", "id", id);
	if (node->depth)
		emit_number(stdout, ",", "parent", parent);
	else
		printf(",\"parent\":null");
	emit_number(stdout, ",", "depth", node->depth);
	emit_pair(stdout, ",", "function", node->function->name);
	emit_pair(stdout, ",", "module", node->function->module);
	graph_json_figures(node->function, node->total_ns, node->self_ns, node->calls);
	if (node->function->method != METHOD_SAMPLE) { /* nobody knows of single calls */
		emit_number(stdout, ",", "min_ns", node->min_ns);
		emit_number(stdout, ",", "max_ns", node->max_ns);
	}
	printf("}\n");
}

static int print_tree(const struct graph *graph)
{
	const struct tree *tree = &graph->tree;
	uint64_t *ids = NULL, id = 0; /* by depth */
	size_t room = 0;
	bool estimated = false;

	if (tree->count && !graph->json)
		printf("%9s %9s %13s  %s\n", "TOTAL", "SELF", "CALLS", "CALL PATH");
	for (const struct tree_node *node = tree_next(&tree->root); node; node = tree_next(node)) {
		estimated = estimated || node->function->method == METHOD_SAMPLE;
		if (!graph->json) {
			print_node(node);
			continue;
		}
		if (node->depth >= room) {
			room = node->depth * 2UL + 64;
			uint64_t *more = reallocarray(ids, room, sizeof *ids);
			if (!more) {
				free(ids);
				return -ENOMEM;
			}
			ids = more;
		}
		ids[node->depth] = ++id;
		print_object(node, id, node->depth ? ids[node->depth - 1] : 0);
	}
	free(ids);
	if (estimated && !graph->json)
		printf("\n~ is estimated, from samples of stacks: CALLS is how many samples "
		       "there are.\n");
	return 0;
}

/* ---- the command ------------------------------------------------------------------------------- */

static int print(struct graph *graph)
{
	if (graph->function) {
		if (graph_arcs_around(&graph->arcs, graph->function, graph->json) > 0)
			return 0;
		cli_say("no function that fits %s was called; `hark report` lists them",
			graph->function);
		return 1;
	}
	if (print_tree(graph) != 0)
		return reading_failed(&graph->reading, -ENOMEM);
	if (graph->tree.missed)
		cli_say("%" PRIu64 " %s left out: there are more call paths than it can "
			"hold; --depth, --filter and --notrace make them fewer",
			graph->tree.missed, text_one(graph->tree.missed, "call is", "calls are"));
	if (graph->arcs.count)
		graph_arcs_all(&graph->arcs, graph->json);
	if (!graph->tree.count && !graph->arcs.count)
		cli_say("the trace %s holds no calls to show", graph->reading.dir.path);
	return 0;
}

static int show(struct graph *graph)
{
	if (reading_open(&graph->reading, graph->options.data, &graph->options.filter) != 0)
		return CLI_FAILED;
	int rc = read_all(graph), status;
	progress_end(&graph->reading.progress);
	status = rc == 0 ? print(graph) : reading_failed(&graph->reading, rc);
	if (rc == 0)
		reading_tell(&graph->reading, graph->json ? NULL : stdout);
	tree_fini(&graph->tree);
	arcs_fini(&graph->arcs);
	reading_close(&graph->reading);
	return status;
}

static int take_options(struct cli *cli, struct graph *graph)
{
	enum cli_found found;

	while ((found = cli_next(cli)) != CLI_END) {
		if (found == CLI_WRONG)
			return -EINVAL;
		if (found == CLI_WORD) {
			show_as_unknown(cli);
			return -EINVAL;
		}
		int rc = trace_options_take(&graph->options, cli);
		if (rc == 0 && strcmp(cli->option, "--format") == 0)
			rc = show_as_format(cli, &graph->json);
		else if (rc == 0)
			graph->function = cli->value;
		if (rc < 0)
			return rc;
	}
	return 0;
}

int cmd_graph(struct cli *cli)
{
	struct graph graph = { .function = NULL };

	trace_options_init(&graph.options);
	int status = take_options(cli, &graph) == 0 ? show(&graph) : CLI_FAILED;
	trace_options_fini(&graph.options);
	return status;
}
