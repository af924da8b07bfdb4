/* The text form of graphs, which read.c reads back to the same text, and the
 * same for graphviz. One node a line; what stands in a line, and in which
 * order, comes from the operation table.
 *
 *   %3 = window %0 axis=2 size=5 .. : f32[4,3,28,32,5]  @ a.net:15:8 conv1
 */
#include "ir/ir.h"

#include <string.h>

bool is_name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         (c >= '0' && c <= '9') || (c && strchr("_.-+/<>~$", c));
}

void text_add_name(Text *t, const char *name) {
  const char *s = name;
  while (is_name_char(*s))
    s++;
  if (*name && !*s) {
    text_add(t, "%s", name);
    return;
  }
  text_add(t, "\"");
  for (s = name; *s; s++) {
    unsigned char c = (unsigned char)*s;
    if (c == '"' || c == '\\')
      text_add(t, "\\%c", c);
    else if (c < 0x20 || c == 0x7f)
      text_add(t, "\\x%02x", c);
    else
      text_add(t, "%c", c);
  }
  text_add(t, "\"");
}

void text_add_ending(Text *t, const Type *type, int n_locs, const Loc *locs) {
  text_add(t, " : ");
  text_add_type(t, type);
  text_add_locs(t, n_locs, locs);
}

void text_add_locs(Text *t, int n_locs, const Loc *locs) {
  for (int i = 0; i < n_locs; i++) {
    text_add(t, i ? ", " : "  @ ");
    text_add_name(t, locs[i].file);
    text_add(t, ":%d:%d", locs[i].line, locs[i].column);
    if (locs[i].stage) {
      text_add(t, " ");
      text_add_name(t, locs[i].stage);
    }
  }
}

static void add_attributes(Text *t, const Node *n) {
  AttrField f = attr_fields(n->op);
  while (attr_next(&f)) {
    text_add(t, " ");
    bool bare = f.kind == ATTR_NAME ||
                (f.kind == ATTR_VALUE && op_info[n->op].leaf);
    if (!bare)
      text_add(t, "%.*s=", f.length, f.word);
    switch (f.kind) {
    case ATTR_NAME:
      text_add_name(t, n->attr.name);
      break;
    case ATTR_VALUE:
      text_add_number(t, n->attr.value);
      break;
    case ATTR_NUM:
      text_add(t, "%lld", (long long)n->attr.num[f.num]);
      break;
    case ATTR_AXES:
      text_add(t, "[");
      for (int i = 0; i < n->attr.n_axes; i++)
        text_add(t, i ? ",%lld" : "%lld", (long long)n->attr.axes[i]);
      text_add(t, "]");
      break;
    }
  }
}

static void add_node(Text *t, const Node *n) {
  text_add(t, "  %%%d = %s", n->id, op_info[n->op].text);
  for (int i = 0; i < n->n_in; i++)
    text_add(t, "%s%%%d", i ? ", " : " ", n->in[i]->id);
  add_attributes(t, n);
  text_add_ending(t, &n->type, n->n_locs, n->locs);
  text_add(t, "\n");
}

static const char *const out_text[] = {
    [OUT_RESULT] = "result",
    [OUT_UPDATE_PARAM] = "update param",
    [OUT_UPDATE_STATE] = "update state",
};

void print_graph(Text *t, const Graph *g) {
  text_add(t, "func ");
  text_add_name(t, g->name);
  text_add(t, " {\n");
  for (int i = 0; i < g->n_nodes; i++)
    add_node(t, g->node[i]);
  for (int i = 0; i < g->n_outputs; i++) {
    const Output *o = &g->output[i];
    text_add(t, "  %s ", out_text[o->kind]);
    text_add_name(t, o->name);
    text_add(t, " = %%%d\n", o->node->id);
  }
  text_add(t, "}\n");
}

void print_module(Text *t, const Module *m) {
  text_add(t, "module");
  if (m->limit > 0)
    text_add(t, " limit=%lld", (long long)m->limit);
  text_add(t, "\n");
  for (int i = 0; i < m->n_vars; i++) {
    const Var *v = &m->var[i];
    text_add(t, "var ");
    text_add_name(t, v->name);
    text_add(t, " %s ", var_kind_name[v->kind]);
    text_add_type(t, &v->type);
    text_add(t, "\n");
  }
  for (int i = 0; i < m->n_graphs; i++)
    print_graph(t, m->graph[i]);
}

/* A text inside the quotes of graphviz. */
static void add_quoted(Text *t, const char *s) {
  for (; *s; s++)
    text_add(t, *s == '"' || *s == '\\' ? "\\%c" : "%c", *s);
}

void print_graph_dot(Text *t, const Graph *g) {
  Text label;
  text_add(t, "digraph \"");
  add_quoted(t, g->name);
  text_add(t, "\" {\n  node [shape=box];\n");
  for (int i = 0; i < g->n_nodes; i++) {
    const Node *n = g->node[i];
    text_init(&label, t->arena);
    text_add(&label, "%s", op_info[n->op].text);
    add_attributes(&label, n);
    text_add(t, "  n%d [label=\"%%%d ", i, i);
    add_quoted(t, label.s);
    text_add(t, "\\n");
    text_add_type(t, &n->type);
    if (n->n_locs && n->locs[0].stage) {
      text_add(t, "\\n");
      add_quoted(t, n->locs[0].stage);
    }
    text_add(t, "\"];\n");
    for (int k = 0; k < n->n_in; k++)
      text_add(t, "  n%d -> n%d;\n", n->in[k]->id, i);
  }
  for (int i = 0; i < g->n_outputs; i++) {
    const Output *o = &g->output[i];
    text_add(t, "  o%d [shape=oval, label=\"%s ", i, out_text[o->kind]);
    add_quoted(t, o->name);
    text_add(t, "\"];\n  n%d -> o%d;\n", o->node->id, i);
  }
  text_add(t, "}\n");
}
