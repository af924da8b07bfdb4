/* Columns: signs, names and shapes of neighbouring statements of one kind, and
 * the names of stages in neighbouring lines of a pipeline, stand under each
 * other. An empty line parts neighbours, a comment does not. */
#include "frontend/fmt.h"

/* --- statements ----------------------------------------------------------- */

/* Does the row have its columns on one line, and all of it where that counts?
 */
static bool fits_group(const Fmt *f, const Row *r) {
  const Tok *first = &f->tok[r->first];
  bool whole = r->kind == ROW_LET || r->kind == ROW_VARIANT;
  if (first->line != r->first ||
      (whole && f->tok[r->last].line != r->first))
    return false;
  for (int c = 0; c < MAX_COLUMNS && r->column[c] >= 0; c++)
    if (f->tok[r->column[c]].line != r->first)
      return false;
  return true;
}

static bool behind_blank(const Fmt *f, int i) {
  const Tok *t = &f->tok[i];
  for (int k = 0; k < t->n_own; k++)
    if (f->comment[t->own + k].blank)
      return true;
  return t->blank;
}

/* The row that ends before this one begins and belongs to its group, or NULL.
 * `ending` tells the row that a token ends. */
static const Row *neighbour(const Fmt *f, const Row *r, const int *ending) {
  int i = r->first > 0 ? ending[r->first - 1] : NO_TOKEN;
  if (i < 0 || f->row[i].kind != r->kind || behind_blank(f, r->first) ||
      !fits_group(f, &f->row[i]))
    return NULL;
  return &f->row[i];
}

/* Names are aligned where they begin, signs where they end: = and <-. */
static int edge(const Fmt *f, const Row *r, int c) {
  const Tok *t = &f->tok[r->column[c]];
  return r->kind == ROW_DECLARE && c == 0 ? t->column : t->column + t->width;
}

/* Moves column c of the n rows, found in `group`, as far as the furthest. */
static void align_group(Fmt *f, int n, const int *group, int c) {
  int most = 0;
  for (int k = 0; k < n; k++) {
    const Row *r = &f->row[group[k]];
    if (r->column[c] >= 0 && edge(f, r, c) > most)
      most = edge(f, r, c);
  }
  for (int k = 0; k < n; k++) {
    const Row *r = &f->row[group[k]];
    if (r->column[c] >= 0)
      f->tok[r->column[c]].pad = most - edge(f, r, c);
  }
}

static void align_rows(Fmt *f, const int *ending, int c) {
  int *group = arena_alloc(f->arena, (size_t)f->n_rows * sizeof *group + 1);
  /* The group that a row is in: its number, counted from 1. */
  int *number = arena_alloc(f->arena, (size_t)f->n_rows * sizeof *number + 1);
  int n_groups = 0, n = 0;
  for (int i = 0; i < f->n_rows; i++) {
    if (!fits_group(f, &f->row[i]))
      continue;
    const Row *before = neighbour(f, &f->row[i], ending);
    number[i] = before ? number[before - f->row] : ++n_groups;
  }
  /* Rows of two groups do not mix: a group's rows follow each other but for
   * rows that are in none. */
  for (int i = 0, current = 0; i <= f->n_rows; i++) {
    if (i < f->n_rows && number[i] == 0)
      continue;
    if (i == f->n_rows || number[i] != current) {
      align_group(f, n, group, c);
      n = 0;
      current = i < f->n_rows ? number[i] : 0;
    }
    if (i < f->n_rows)
      group[n++] = i;
  }
}

/* --- pipelines ------------------------------------------------------------ */

/* The `as` of the stage behind this arrow, if both stand on one line. */
static int stage_name(const Fmt *f, int arrow) {
  int as = f->tok[arrow].as;
  return as >= 0 && f->tok[as].line == f->tok[arrow].line &&
                 as != f->tok[as].line
             ? as
             : NO_TOKEN;
}

/* Aligns the names of the stages behind `arrow` and the arrows that begin the
 * lines below it, to the first one without a name; returns that one, or the one
 * behind it. */
static int align_names(Fmt *f, int arrow) {
  int most = 0, end = arrow;
  for (; end >= 0; end = f->tok[end].next_arrow) {
    if (end != arrow && f->tok[end].line != end)
      continue;
    int as = stage_name(f, end);
    if (as < 0)
      break;
    if (f->tok[as].column > most)
      most = f->tok[as].column;
  }
  for (int i = arrow; i != end; i = f->tok[i].next_arrow)
    if (i == arrow || f->tok[i].line == i)
      f->tok[f->tok[i].as].pad = most - f->tok[f->tok[i].as].column;
  return end;
}

static void align_pipe(Fmt *f, int arrow) {
  int head = arrow;
  while (arrow >= 0) {
    bool counts = arrow == head || f->tok[arrow].line == arrow;
    if (counts && stage_name(f, arrow) >= 0)
      arrow = align_names(f, arrow);
    else
      arrow = f->tok[arrow].next_arrow;
  }
}

/* Columns from left to right: each moves what stands behind it. */
void fmt_align(Fmt *f) {
  int *ending = arena_alloc(f->arena, (size_t)f->n_toks * sizeof *ending);
  for (int i = 0; i < f->n_toks; i++) {
    ending[i] = NO_TOKEN;
    f->tok[i].pad = 0;
  }
  for (int i = 0; i < f->n_rows; i++)
    ending[f->row[i].last] = i;
  for (int c = 0; c < MAX_COLUMNS; c++) {
    fmt_columns(f, false);
    align_rows(f, ending, c);
  }
  fmt_columns(f, false);
  for (int i = 0; i < f->n_pipes; i++)
    align_pipe(f, f->pipe[i]);
}
