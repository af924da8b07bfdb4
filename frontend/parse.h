/* What scanner, grammar, tree builders and formatter share. Only lexer.l,
 * lines.c, parser.y, ast.c, mistake.c, source.c and fmt.h include it; the rest of
 * the compiler calls `parse` (frontend.h). */
#ifndef NETC_PARSE_H
#define NETC_PARSE_H

#include "frontend/ast.h"

/* An array of pointers that grows while the grammar reads a list; the builders
 * copy it into the tree with its proper type. */
typedef struct List {
  void **v;
  int n, capacity;
} List;

enum { MAX_TOKENS = 96 }; /* kinds of token, at most */

typedef struct Parser {
  Arena *arena;
  Diags *diags;
  const Source *source;
  Ast *ast;      /* the result */
  List items;    /* what it will hold */
  List calls;    /* of the item being read, to be numbered at its end */
  bool stopped;  /* gave up: a limit was passed; no more is told */

  /* lexer.l */
  void *scanner;
  uint32_t offset; /* bytes matched */
  uint32_t indent; /* blanks that begin this line */

  /* lines.c */
  int last;       /* the token handed out before, 0 at first */
  Span last_span; /* and where it stood */
  int pending;    /* a token read ahead of a line end, or -1 */
  Span pending_span;
  const char *pending_text;
  double pending_number;
  int n_open;              /* ( and [ that are open, and where: */
  Span open[MAX_NESTING];
  uint32_t open_indent;    /* of the line with open[0] */
  Span innermost;          /* of `open`, before the last token */
  int n_braces;            /* { that are open, and where: */
  Span brace[MAX_NESTING]; /* (deeper ones, all mistakes, only count) */
  int closing; /* } that are not there, and a line end, to hand out yet */
  Span joined; /* the token that made the line before go on in this one */

  /* After a mistake. */
  bool lost;        /* to the end of its statement */
  uint32_t lost_at; /* the token that was the mistake */
  bool shaken;      /* to the end of its section */
  bool brace_told;  /* a { on a line of its own was told of */
} Parser;

/* source.c: is it text, and not too long? False after E0100 or E0101. */
bool source_check(Diags *d, const Source *source);

/* lexer.l */
void scanner_begin(Parser *p);
void scanner_end(Parser *p);

/* mistake.c: E0106, once; nothing is told after it. */
void parser_too_deep(Parser *p, Span at);
/* E0105: `found` stands at `at` where one of n others was expected; all are
 * aliases of tokens. */
void syntax_error(Parser *p, Span at, const char *found, int n,
                  const char *const *expected);

/* ast.c: one builder for each node. `at` is the whole text of the node. A List
 * holds pointers to the type in brackets. */
void list_add(Parser *p, List *list, void *element); /* NULL: nothing */
void list_append(Parser *p, List *list, List tail);

Expr *expr_number(Parser *p, Span at, double value);
Expr *expr_bool(Parser *p, Span at, bool value);
Expr *expr_string(Parser *p, Span at, const char *s);
Expr *expr_name(Parser *p, Name name);
Expr *expr_list(Parser *p, Span at, List items /* Expr */);
Expr *expr_rest(Parser *p, Span at);
/* E0108 if the callee is no name; E0109 if a positional argument is late. */
Expr *expr_call(Parser *p, Span at, Expr *callee, List args /* Arg */,
                bool bare);
Expr *expr_member(Parser *p, Span at, Expr *of, Name name);
Expr *expr_index(Parser *p, Span at, Expr *of, Expr *index);
Expr *expr_unary(Parser *p, Span at, UnaryOp op, Expr *a);
Expr *expr_binary(Parser *p, Span at, BinaryOp op, Span op_at, Expr *a,
                  Expr *b);
Expr *expr_if(Parser *p, Span at, Expr *condition, Expr *yes, Expr *no);
Expr *expr_except(Parser *p, Span at, Expr *set, Expr *without);
Expr *expr_pipeline(Parser *p, Span at, Expr *input, List stages /* Stage */);
Name *name_new(Parser *p, Name name);
/* `limit memory`: a key of two words. */
Name name_pair(Parser *p, Name first, Name second);
Arg *arg_new(Parser *p, Span at, Name name, Expr *value);

Stage *stage_call(Parser *p, Expr *call);
Stage *stage_chain(Parser *p, Span at, List stages /* Stage */);
Stage *stage_repeat(Parser *p, Span at, Expr *count, Stage *body);

/* E0110 if `word` is not `class`; pass an empty name for a plain shape. */
Shape *shape_new(Parser *p, Span at, Name word, List dims /* Expr */);
Param *param_new(Parser *p, Span at, Name name, Shape *shape, Expr *value);

Stmt *stmt_value(Parser *p, Span at, Expr *value);
/* name = value, or prox(name) = value; E0107 if `target` is neither. */
Stmt *stmt_assign(Parser *p, Span at, Expr *target, Expr *value);
Stmt *stmt_update(Parser *p, Span at, Expr *target, Expr *value); /* E0107 */
Stmt *stmt_param(Parser *p, Span at, VarKind role, Name name, Shape *shape,
                 Expr *value);
Stmt *stmt_state(Parser *p, Span at, Name name, Shape *shape, Expr *value);

Entry *entry_value(Parser *p, Span at, Name name, Expr *value);
Entry *entry_call(Parser *p, Span at, Name name, List args /* Arg */,
                  bool bare);
Entry *entry_block(Parser *p, Span at, Name name, List entries /* Entry */);

Item *item_const(Parser *p, Span at, Name name, Expr *value);
Item *item_import(Parser *p, Span at, Name path);
Item *item_definition(Parser *p, Span at, DefKind kind, Name name,
                      List params /* Param */, List stmts /* Stmt */,
                      bool is_block);
Item *item_data(Parser *p, Span at, Expr *reader, List entries /* Entry */);
Item *item_train(Parser *p, Span at, List entries /* Entry */);
Item *item_variant(Parser *p, Span at, Name name, List entries /* Entry */,
                   List without /* Name */);
/* Numbers the calls of the item that ends and adds it to the tree; an item that
 * could not be read is NULL. */
void parser_add_item(Parser *p, Item *item);
void parser_finish(Parser *p); /* fills p->ast */

#endif
