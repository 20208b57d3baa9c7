/*
 * graph_arcs.c - see graph_arcs.h. Called by cmd_graph.c.
 */
#include "tools/graph_arcs.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/base/parse.h"
#include "tools/json.h"
#include "tools/show_as.h"
#include "tools/units.h"

static void print_function(const struct function *f)
{
	char *name = show_as_safe(f ? f->name : "(outside)");
	char *module = show_as_safe(f ? f->module : "");

	printf("%s%s%s%s\n", name, *module ? "  [" : "", module, *module ? "]" : "");
	free(module);
	free(name);
}

void graph_figures(const struct function *f, uint64_t total_ns, uint64_t self_ns, uint64_t calls,
		   const char *before)
{
	const char *mark = f->method == METHOD_SAMPLE ? "~" : "";
	char text[UNITS_TEXT], marked[UNITS_TEXT + 2];

	snprintf(marked, sizeof marked, "%s%s", mark, units_ns(text, total_ns));
	printf("%9s ", marked);
	snprintf(marked, sizeof marked, "%s%s", mark, units_ns(text, self_ns));
	printf("%9s ", marked);
	snprintf(marked, sizeof marked, "%s%s", mark, units_count(text, calls));
	printf("%13s  %s", marked, before);
}

/* The count of samples is no count of calls. */
void graph_json_figures(const struct function *f, uint64_t total_ns, uint64_t self_ns,
			uint64_t calls)
{
	bool sampled = f->method == METHOD_SAMPLE;

	emit_pair(stdout, ",", "method", calls_method(f));
	emit_number(stdout, ",", sampled ? "samples" : "calls", calls);
	emit_number(stdout, ",", "total_ns", total_ns);
	emit_number(stdout, ",", "self_ns", self_ns);
	if (sampled)
		printf(",\"estimated\":true");
}

static void print_heading(void)
{
	printf("%9s %9s %13s  %s\n", "TOTAL", "SELF", "CALLS", "FUNCTION");
}

/* ---- around a function ------------------------------------------------------------------------- */

static struct arc sum_of(const struct arcs *arcs, const struct function *f)
{
	struct arc sum = { .callee = f };

	for (size_t i = 0; i < arcs->count; i++)
		if (arcs->slots[i].callee == f) {
			sum.calls += arcs->slots[i].calls;
			sum.total_ns += arcs->slots[i].total_ns;
			sum.self_ns += arcs->slots[i].self_ns;
		}
	return sum;
}

static void print_around(const struct arcs *arcs, const struct arc *sum)
{
	for (size_t i = 0; i < arcs->count; i++) {
		const struct arc *arc = &arcs->slots[i];
		if (arc->callee != sum->callee)
			continue;
		graph_figures(arc->callee, arc->total_ns, arc->self_ns, arc->calls, "  called by ");
		print_function(arc->caller);
	}
	graph_figures(sum->callee, sum->total_ns, sum->self_ns, sum->calls, "");
	print_function(sum->callee);
	for (size_t i = 0; i < arcs->count; i++) {
		const struct arc *arc = &arcs->slots[i];
		if (arc->caller != sum->callee)
			continue;
		graph_figures(arc->callee, arc->total_ns, arc->self_ns, arc->calls, "  calls ");
		print_function(arc->callee);
	}
}

static void json_list(const struct arcs *arcs, const struct function *f, bool callers)
{
	const char *comma = "";

	printf(",\"%s\":[", callers ? "callers" : "callees");
	for (size_t i = 0; i < arcs->count; i++) {
		const struct arc *arc = &arcs->slots[i];
		const struct function *other = callers ? arc->caller : arc->callee;
		if ((callers ? arc->callee : arc->caller) != f)
			continue;
		printf("%s", comma);
		emit_pair(stdout, "{", "function", other ? other->name : NULL);
		emit_pair(stdout, ",", "module", other ? other->module : NULL);
		graph_json_figures(arc->callee, arc->total_ns, arc->self_ns, arc->calls);
		printf("}");
		comma = ",";
	}
	printf("]");
}

static void json_around(const struct arcs *arcs, const struct arc *sum)
{
	emit_pair(stdout, "{", "function", sum->callee->name);
	emit_pair(stdout, ",", "module", sum->callee->module);
	graph_json_figures(sum->callee, sum->total_ns, sum->self_ns, sum->calls);
	json_list(arcs, sum->callee, true);
	json_list(arcs, sum->callee, false);
	printf("}\n");
}

/* Each function once: at the first arc that leads to it. */
static bool told_before(const struct arcs *arcs, size_t at)
{
	for (size_t i = 0; i < at; i++)
		if (arcs->slots[i].callee == arcs->slots[at].callee)
			return true;
	return false;
}

size_t graph_arcs_around(const struct arcs *arcs, const char *glob, bool json)
{
	size_t found = 0;

	for (size_t i = 0; i < arcs->count; i++) {
		const struct function *f = arcs->slots[i].callee;
		if (!parse_glob(glob, f->name) || told_before(arcs, i))
			continue;
		struct arc sum = sum_of(arcs, f);
		if (!json && found == 0)
			print_heading();
		else if (!json)
			printf("\n");
		if (json)
			json_around(arcs, &sum);
		else
			print_around(arcs, &sum);
		found++;
	}
	return found;
}

/* ---- all --------------------------------------------------------------------------------------- */

static int by_caller(const void *left, const void *right)
{
	const struct arc *a = *(const struct arc *const *)left;
	const struct arc *b = *(const struct arc *const *)right;
	uint32_t x = a->caller ? a->caller->number + 1 : 0;
	uint32_t y = b->caller ? b->caller->number + 1 : 0;

	/* arcs of one caller stay in the order that they have */
	return x != y ? (x < y ? -1 : 1) : a < b ? -1 : a > b;
}

static void json_arc(const struct arc *arc)
{
	emit_pair(stdout, "{", "caller", arc->caller ? arc->caller->name : NULL);
	emit_pair(stdout, ",", "caller_module", arc->caller ? arc->caller->module : NULL);
	emit_pair(stdout, ",", "function", arc->callee->name);
	emit_pair(stdout, ",", "module", arc->callee->module);
	graph_json_figures(arc->callee, arc->total_ns, arc->self_ns, arc->calls);
	printf("}\n");
}

void graph_arcs_all(const struct arcs *arcs, bool json)
{
	const struct arc **order = calloc(arcs->count + 1, sizeof(struct arc *));

	for (size_t i = 0; order && i < arcs->count; i++)
		order[i] = &arcs->slots[i];
	if (order)
		qsort(order, arcs->count, sizeof(struct arc *), by_caller);
	if (!json)
		printf("A profile has no call paths. Who called whom:\n\n%9s %9s %13s  %s\n",
		       "TOTAL", "SELF", "CALLS", "CALLER, AND WHOM IT CALLED");
	for (size_t i = 0; order && i < arcs->count; i++) {
		const struct arc *arc = order[i];
		if (json) {
			json_arc(arc);
			continue;
		}
		if (i == 0 || order[i - 1]->caller != arc->caller) {
			printf("%9s %9s %13s  ", "", "", "");
			print_function(arc->caller);
		}
		bool last = i + 1 == arcs->count || order[i + 1]->caller != arc->caller;
		graph_figures(arc->callee, arc->total_ns, arc->self_ns, arc->calls,
			      last ? "└─ " : "├─ ");
		print_function(arc->callee);
	}
	free(order);
}
