%code top {
/* The grammar of .net files. LALR(1) without conflicts; each action is one
 * builder call (ast.c). Which line ends reach it as NEWLINE the scanner
 * decides (lexer.l).
 *
 * Mistakes: the text goes to the list of diagnostics, in the user's terms
 * (`yyreport_syntax_error`), and reading goes on at the next statement, so that
 * independent mistakes are told in one go. A section whose head cannot be read
 * is still read to its closing brace. */
#include "frontend/parse.h"
#include <string.h>
}

%code requires {
#include "frontend/parse.h"

/* Lines of a variant, and a pipeline, while they are read. */
typedef struct VariantLines {
  List entries /* Entry */, without /* Name */;
} VariantLines;
typedef struct PipeText {
  Expr *input;
  List stages /* Stage */;
} PipeText;
}

%define api.pure full
%define api.location.type {Span}
%define parse.error custom
%define parse.lac full
%locations
%initial-action { @$ = (Span){p->source, 0, 0}; }
%param {Parser *p}
%expect 0

%union {
  double number;
  const char *string;
  Name name;
  List list;
  VariantLines lines;
  PipeText pipe;
  Expr *expr;
  Stage *stage;
  Shape *shape;
  Arg *arg;
  Param *param;
  Stmt *stmt;
  Entry *entry;
  Item *item;
  BinaryOp binary;
  DefKind def_kind;
  VarKind role;
}

%code provides {
int yylex(YYSTYPE *value, YYLTYPE *at, Parser *p);
}

%code {
/* Deeper than any tree of MAX_NESTING levels needs. */
#define YYMAXDEPTH 20000
#define YYLLOC_DEFAULT(current, rhs, n)                                  \
  (current) = (Span){p->source,                                          \
                     (n) ? YYRHSLOC(rhs, 1).begin : YYRHSLOC(rhs, 0).end, \
                     (n) ? YYRHSLOC(rhs, n).end : YYRHSLOC(rhs, 0).end}

static void yyerror(Span *at, Parser *p, const char *message);

static Name name_at(Span at, const char *s) {
  return (Name){s, at};
}
static const Name no_name;
static const List empty;
}

%token YYEOF 0    "the end of the file"
%token NEWLINE    "the end of the line"
%token <number> NUMBER "a number"
%token <string> STRING "a string"
%token <string> IDENT  "a name"
%token <string> CONST "'const'" IMPORT "'import'" LAYER "'layer'"
%token <string> LOSS "'loss'" PENALTY "'penalty'" INIT "'init'"
%token <string> SCHEDULE "'schedule'" OPTIMIZER "'optimizer'" NET "'net'"
%token <string> DATA "'data'" TRAIN "'train'" VARIANT "'variant'"
%token <string> WEIGHT "'weight'" BIAS "'bias'" SCALE "'scale'"
%token <string> STATE "'state'" WITHOUT "'without'"
%token IF "'if'" THEN "'then'" ELSE "'else'" AND "'and'" OR "'or'" NOT "'not'"
%token AS "'as'" EXCEPT "'except'" REPEAT "'repeat'" TRUE "'true'"
%token FALSE "'false'"
%token ARROW "'->'" GETS "'<-'" LE "'<='" GE "'>='" EQ "'=='" NE "'!='"
%token REST "'..'"
%token '+' "'+'" '-' "'-'" '*' "'*'" '/' "'/'" '@' "'@'" '^' "'^'"
%token '<' "'<'" '>' "'>'" '=' "'='" ',' "','" ';' "';'" ':' "':'" '.' "'.'"
%token '\'' "\"'\"" '(' "'('" ')' "')'" '[' "'['" ']' "']'" '{' "'{'" '}' "'}'"

%type <string> word
%type <name> name
%type <list> params param_list items item_list args arg_list names chain
%type <list> stmt_lines stmt_seq entries entry_lines entry_seq
%type <list> plain_entry_lines plain_entry_seq setting_lines setting_seq
%type <lines> variant_lines variant_seq variant_line
%type <pipe> pipeline
%type <expr> value pipe except or and not compare sum term unary power exponent
%type <expr> postfix primary list_item path
%type <stage> stage plain_stage
%type <shape> shape plain_shape
%type <arg> arg
%type <param> param
%type <stmt> stmt
%type <entry> entry plain_entry setting train_setting
%type <item> item definition data train variant
%type <binary> compare_op
%type <def_kind> def_kind
%type <role> role

%%

file: %empty | seps | item_seq | item_seq seps;
item_seq: section | seps section | item_seq seps section;
section: item { parser_add_item(p, $item); };

item:
  CONST name '=' value      { $$ = item_const(p, @$, $name, $value); }
| IMPORT STRING             { $$ = item_import(p, @$, name_at(@2, $2)); }
| definition
| data
| train
| variant
| error                     { $$ = NULL; }
| error '{' stmt_lines '}'       { $$ = NULL; }
;

/* Statements end at a line's end or a semicolon; empty ones do not count. A
 * new statement may be told of a new mistake. No list of statements begins with
 * an empty rule: `error` could not be shifted before it was reduced. */
sep: NEWLINE { yyerrok; } | ';' { yyerrok; };
seps: sep | seps sep;

/* --- sections ------------------------------------------------------------- */

definition:
  def_kind name params '{' stmt_lines '}'
    { $$ = item_definition(p, @$, $1, $2, $3, $5, true); }
| def_kind name params '=' value {
    List body = {0};
    list_add(p, &body, stmt_value(p, @5, $5));
    $$ = item_definition(p, @$, $1, $2, $3, body, false);
  }
;

def_kind:
  LAYER     { $$ = DEF_LAYER; }
| LOSS      { $$ = DEF_LOSS; }
| PENALTY   { $$ = DEF_PENALTY; }
| INIT      { $$ = DEF_INIT; }
| SCHEDULE  { $$ = DEF_SCHEDULE; }
| OPTIMIZER { $$ = DEF_OPTIMIZER; }
| NET       { $$ = DEF_NET; }
;

params: '(' ')' { $$ = empty; } | '(' param_list ')' { $$ = $2; };
param_list:
  param                { $$ = empty; list_add(p, &$$, $1); }
| param_list ',' param { $$ = $1; list_add(p, &$$, $3); }
;
param:
  name                     { $$ = param_new(p, @$, $1, NULL, NULL); }
| name ':' shape           { $$ = param_new(p, @$, $1, $3, NULL); }
| name '=' value           { $$ = param_new(p, @$, $1, NULL, $3); }
| name ':' shape '=' value { $$ = param_new(p, @$, $1, $3, $5); }
;

shape:
  plain_shape
| IDENT items { $$ = shape_new(p, @$, name_at(@1, $1), $2); }
;
plain_shape: items { $$ = shape_new(p, @$, no_name, $1); };

data:
  DATA name args entries {
    Span at = {p->source, @2.begin, @3.end};
    Expr *reader = expr_call(p, at, expr_name(p, $2), $3, false);
    $$ = item_data(p, @$, reader, $4);
  }
| DATA name entries {
    Expr *reader = expr_call(p, @2, expr_name(p, $2), empty, true);
    $$ = item_data(p, @$, reader, $3);
  }
;
entries: %empty { $$ = empty; } | '{' entry_lines '}' { $$ = $2; };
entry_lines:
  %empty   { $$ = empty; }
| seps     { $$ = empty; }
| entry_seq
| entry_seq seps
;
entry_seq:
  entry                { $$ = empty; list_add(p, &$$, $1); }
| seps entry { $$ = empty; list_add(p, &$$, $2); }
| entry_seq seps entry { $$ = $1; list_add(p, &$$, $3); }
;
entry:
  plain_entry
| name '{' plain_entry_lines '}' { $$ = entry_block(p, @$, $1, $3); }
| error                          { $$ = NULL; }
;
plain_entry_lines:
  %empty   { $$ = empty; }
| seps     { $$ = empty; }
| plain_entry_seq
| plain_entry_seq seps
;
plain_entry_seq:
  plain_entry                      { $$ = empty; list_add(p, &$$, $1); }
| seps plain_entry { $$ = empty; list_add(p, &$$, $2); }
| plain_entry_seq seps plain_entry { $$ = $1; list_add(p, &$$, $3); }
;
plain_entry:
  setting
| name      { $$ = entry_call(p, @$, $1, empty, true); }
| name args { $$ = entry_call(p, @$, $1, $2, false); }
;
setting: name '=' value { $$ = entry_value(p, @$, $1, $3); };

train: TRAIN '{' setting_lines '}' { $$ = item_train(p, @$, $3); };
setting_lines:
  %empty   { $$ = empty; }
| seps     { $$ = empty; }
| setting_seq
| setting_seq seps
;
setting_seq:
  train_setting                  { $$ = empty; list_add(p, &$$, $1); }
| seps train_setting { $$ = empty; list_add(p, &$$, $2); }
| setting_seq seps train_setting { $$ = $1; list_add(p, &$$, $3); }
;
train_setting: setting | error { $$ = NULL; };

variant:
  VARIANT name '{' variant_lines '}'
    { $$ = item_variant(p, @$, $2, $4.entries, $4.without); }
;
variant_lines:
  %empty   { $$ = (VariantLines){0}; }
| seps     { $$ = (VariantLines){0}; }
| variant_seq
| variant_seq seps
;
variant_seq:
  variant_line
| seps variant_line { $$ = $2; }
| variant_seq seps variant_line {
    $$ = $1;
    list_append(p, &$$.entries, $3.entries);
    list_append(p, &$$.without, $3.without);
  }
;
variant_line:
  setting { $$ = (VariantLines){0}; list_add(p, &$$.entries, $1); }
| WITHOUT names { $$ = (VariantLines){.without = $2}; }
| error { $$ = (VariantLines){0}; }
;
names:
  name           { $$ = empty; list_add(p, &$$, name_new(p, $1)); }
| names ',' name { $$ = $1; list_add(p, &$$, name_new(p, $3)); }
;

/* --- statements ----------------------------------------------------------- */

stmt_lines:
  %empty   { $$ = empty; }
| seps     { $$ = empty; }
| stmt_seq
| stmt_seq seps
;
stmt_seq:
  stmt               { $$ = empty; list_add(p, &$$, $1); }
| seps stmt { $$ = empty; list_add(p, &$$, $2); }
| stmt_seq seps stmt { $$ = $1; list_add(p, &$$, $3); }
;
stmt:
  value                     { $$ = stmt_value(p, @$, $1); }
| postfix '=' value         { $$ = stmt_assign(p, @$, $1, $3); }
| postfix GETS value        { $$ = stmt_update(p, @$, $1, $3); }
| role name ':' plain_shape '=' value
    { $$ = stmt_param(p, @$, $1, $2, $4, $6); }
| STATE name '=' value      { $$ = stmt_state(p, @$, $2, NULL, $4); }
| STATE name ':' plain_shape '=' value
    { $$ = stmt_state(p, @$, $2, $4, $6); }
| error                     { $$ = NULL; }
;
role:
  WEIGHT { $$ = VAR_WEIGHT; }
| BIAS   { $$ = VAR_BIAS; }
| SCALE  { $$ = VAR_SCALE; }
;

/* --- expressions, from the loosest to the tightest ------------------------ */

value:
  pipe
| IF value THEN value ELSE value { $$ = expr_if(p, @$, $2, $4, $6); }
;
pipe: except | pipeline { $$ = expr_pipeline(p, @$, $1.input, $1.stages); };
pipeline:
  except ARROW stage {
    $$ = (PipeText){.input = $1};
    list_add(p, &$$.stages, $3);
  }
| pipeline ARROW stage { $$ = $1; list_add(p, &$$.stages, $3); }
;
except: or | except EXCEPT or { $$ = expr_except(p, @$, $1, $3); };
or: and | or OR and { $$ = expr_binary(p, @$, BINARY_OR, @2, $1, $3); };
and: not | and AND not { $$ = expr_binary(p, @$, BINARY_AND, @2, $1, $3); };
not: compare | NOT not { $$ = expr_unary(p, @$, UNARY_NOT, $2); };
compare: sum | sum compare_op sum { $$ = expr_binary(p, @$, $2, @2, $1, $3); };
compare_op:
  '<' { $$ = BINARY_LT; } | LE { $$ = BINARY_LE; }
| '>' { $$ = BINARY_GT; } | GE { $$ = BINARY_GE; }
| EQ  { $$ = BINARY_EQ; } | NE { $$ = BINARY_NE; }
;
sum:
  term
| sum '+' term { $$ = expr_binary(p, @$, BINARY_ADD, @2, $1, $3); }
| sum '-' term { $$ = expr_binary(p, @$, BINARY_SUB, @2, $1, $3); }
;
term:
  unary
| term '*' unary { $$ = expr_binary(p, @$, BINARY_MUL, @2, $1, $3); }
| term '/' unary { $$ = expr_binary(p, @$, BINARY_DIV, @2, $1, $3); }
| term '@' unary { $$ = expr_binary(p, @$, BINARY_MATMUL, @2, $1, $3); }
;
unary: power | '-' unary { $$ = expr_unary(p, @$, UNARY_NEG, $2); };
power:
  postfix
| postfix '^' exponent { $$ = expr_binary(p, @$, BINARY_POW, @2, $1, $3); }
;
exponent: power | '-' exponent { $$ = expr_unary(p, @$, UNARY_NEG, $2); };
postfix:
  primary
| postfix '\''          { $$ = expr_unary(p, @$, UNARY_TRANSPOSE, $1); }
| postfix '[' value ']' { $$ = expr_index(p, @$, $1, $3); }
| postfix '.' name      { $$ = expr_member(p, @$, $1, $3); }
| postfix args          { $$ = expr_call(p, @$, $1, $2, false); }
;
primary:
  NUMBER        { $$ = expr_number(p, @$, $1); }
| STRING        { $$ = expr_string(p, @$, $1); }
| TRUE          { $$ = expr_bool(p, @$, true); }
| FALSE         { $$ = expr_bool(p, @$, false); }
| name          { $$ = expr_name(p, $1); }
| items         { $$ = expr_list(p, @$, $1); }
| '(' value ')' { $$ = $2; }
;
items: '[' ']' { $$ = empty; } | '[' item_list ']' { $$ = $2; };
item_list:
  list_item               { $$ = empty; list_add(p, &$$, $1); }
| item_list ',' list_item { $$ = $1; list_add(p, &$$, $3); }
;
list_item: value | REST { $$ = expr_rest(p, @$); };

args: '(' ')' { $$ = empty; } | '(' arg_list ')' { $$ = $2; };
arg_list:
  arg              { $$ = empty; list_add(p, &$$, $1); }
| arg_list ',' arg { $$ = $1; list_add(p, &$$, $3); }
;
arg:
  value          { $$ = arg_new(p, @$, no_name, $1); }
| name '=' value { $$ = arg_new(p, @$, $1, $3); }
;

/* --- pipelines ------------------------------------------------------------ */

stage:
  plain_stage
| plain_stage AS name            { $$ = $1; $$->as = $3; }
| REPEAT '(' value ')' stage     { $$ = stage_repeat(p, @$, $3, $5); }
;
plain_stage:
  path          { $$ = stage_call(p, expr_call(p, @$, $1, empty, true)); }
| path args     { $$ = stage_call(p, expr_call(p, @$, $1, $2, false)); }
| '(' chain ')' { $$ = stage_chain(p, @$, $2); }
;
path: name { $$ = expr_name(p, $1); } | path '.' name
  { $$ = expr_member(p, @$, $1, $3); };
chain:
  stage             { $$ = empty; list_add(p, &$$, $1); }
| chain ARROW stage { $$ = $1; list_add(p, &$$, $3); }
;

/* --- names: the words that open a section or declaration may serve too ----- */

name: word { $$ = name_at(@1, $1); };
word:
  IDENT | CONST | IMPORT | LAYER | LOSS | PENALTY | INIT | SCHEDULE | OPTIMIZER
| NET | DATA | TRAIN | VARIANT | WEIGHT | BIAS | SCALE | STATE | WITHOUT
;

%%

/* --- mistakes ------------------------------------------------------------- */

static void yyerror(Span *at, Parser *p, const char *message) {
  (void)message; /* syntax errors go another way: the stack is full */
  parser_too_deep(p, *at);
}

void parser_too_deep(Parser *p, Span at) {
  if (p->stopped)
    return;
  Diag *diag = diag_error(p->diags, "E0106", at,
                          "this is nested more than %d deep", MAX_NESTING);
  diag_help(diag, "give a part of it a name");
  p->stopped = true;
}

/* What could have stood in the place of the token found: aliases of tokens, or
 * the name of a group of them. */
typedef struct Expected {
  int n;
  const char *name[YYNTOKENS + 1];
} Expected;

static bool expects(const Expected *e, const char *name) {
  for (int i = 0; i < e->n; i++)
    if (strcmp(e->name[i], name) == 0)
      return true;
  return false;
}

/* Lists of aliases end with NULL. */
static const char *const section_words[] = {
    "'const'", "'import'",    "'layer'", "'loss'", "'penalty'", "'init'",
    "'schedule'", "'optimizer'", "'net'", "'data'", "'train'", "'variant'",
    NULL};
static const char *const other_names[] = {"a name",  "'weight'", "'bias'",
                                          "'scale'", "'state'",  "'without'",
                                          NULL};
static const char *const reserved_words[] = {
    "'if'", "'then'", "'else'", "'and'", "'or'", "'not'", "'as'", "'except'",
    "'repeat'", "'true'", "'false'", NULL};
static const char *const expression_starts[] = {
    "a number", "a string", "'true'", "'false'", "'['", "'('",
    "'-'",      "'not'",    "'if'",   "'..'",    NULL};
static const char *const stage_starts[] = {"'('", "'repeat'", NULL};
static const char *const operators[] = {
    "'+'",  "'-'",  "'*'",  "'/'",   "'@'",  "'^'",      "'<'",  "'>'",
    "'<='", "'>='", "'=='", "'!='",  "'and'", "'or'", "'except'", "'->'",
    "\"'\"", "'.'",  "'['",  "'('",   "'='",  "'<-'",     "'as'", NULL};
static const char *const line_ends[] = {"';'", "'}'", "the end of the file",
                                        NULL};

static bool listed(const char *const *list, const char *name) {
  for (; *list; list++)
    if (strcmp(*list, name) == 0)
      return true;
  return false;
}

static void drop(Expected *e, const char *const *list) {
  int kept = 0;
  for (int i = 0; i < e->n; i++)
    if (!listed(list, e->name[i]))
      e->name[kept++] = e->name[i];
  e->n = kept;
}

/* Replaces what belongs together by the name that a user has for it. */
static void group(Expected *e, const char *found) {
  const char *kind = expects(e, "a number")   ? "an expression"
                     : expects(e, "'repeat'") ? "a stage"
                     : expects(e, "a name")   ? "a name"
                     : expects(e, "'const'")  ? "a section"
                                              : NULL;
  if (strcmp(found, "the end of the file") == 0 && expects(e, "'}'")) {
    *e = (Expected){1, {"'}'"}};
    return;
  }
  if (kind) {
    drop(e, section_words);
    drop(e, other_names);
    if (strcmp(kind, "an expression") == 0)
      drop(e, expression_starts);
    if (strcmp(kind, "a stage") == 0)
      drop(e, stage_starts);
    if (strcmp(kind, "a section") == 0)
      e->n = 0;
    memmove(e->name + 1, e->name, (size_t)e->n * sizeof e->name[0]);
    e->name[0] = kind;
    e->n++;
  } else if (expects(e, "'+'") || expects(e, "'->'")) {
    drop(e, operators);
    if (e->n == 0)
      e->name[e->n++] = "an operator";
  }
  if (kind)
    drop(e, (const char *const[]){"';'", "the end of the line", NULL});
  else if (expects(e, "the end of the line"))
    drop(e, line_ends);
}

/* Remedies: the token found, one that was expected there and one that was not
 * (NULL: any). */
static const struct {
  const char *found, *expected, *missing, *help;
} remedies[] = {
    {"'='", "'=='", NULL, "== compares two values"},
    {"'=='", "'='", "'=='", "a single = gives a value to a name"},
    {"'<-'", "'<'", NULL, "to compare, write a space between < and -"},
    {"','", "the end of the line", NULL, "no comma parts one line from another"},
    {"'<'", "'and'", "'<'", "compare two by two: a < b and b < c"},
    {"'<='", "'and'", "'<'", "compare two by two: a <= b and b <= c"},
    {"'>'", "'and'", "'<'", "compare two by two: a > b and b > c"},
    {"'>='", "'and'", "'<'", "compare two by two: a >= b and b >= c"},
    {"'=='", "'and'", "'<'", "compare two by two: a == b and b == c"},
    {"'if'", "a number", "'if'", "put the if in parentheses"},
    {"'->'", "a number", NULL, "a pipeline begins with a value: x -> .."},
    {"'->'", "a name", NULL, "a pipeline begins with a value: x -> .."},
    {"'as'", "'+'", NULL, "`as` names a stage, behind an arrow: -> f as name"},
    {"'repeat'", "a number", NULL, "`repeat` stands behind an arrow: x -> repeat(n) f"},
};

static void add_help(Parser *p, Diag *diag, const Expected *all,
                     const char *found, const char *text) {
  for (size_t i = 0; i < sizeof remedies / sizeof remedies[0]; i++)
    if (strcmp(remedies[i].found, found) == 0 &&
        expects(all, remedies[i].expected) &&
        !(remedies[i].missing && expects(all, remedies[i].missing))) {
      diag_help(diag, "%s", remedies[i].help);
      return;
    }
  if (listed(operators, found) && expects(all, "a number") &&
      expects(all, "the end of the line"))
    diag_help(diag, "an operator stands at the end of the line that goes on");
  else if (strcmp(found, "the end of the line") == 0 && expects(all, "'{'") &&
      p->pending == '{')
    diag_help(diag, "put the '{' on the line before");
  else if (expects(all, "a name") && listed(reserved_words, found))
    diag_help(diag, "%s is a word of the language: choose another name", found);
  else if (expects(all, "'const'") && !expects(all, "a name") &&
           strcmp(found, "a name") == 0) {
    const char *words[sizeof section_words / sizeof section_words[0]];
    int n = 0;
    for (; section_words[n]; n++)
      words[n] = arena_strndup(p->arena, section_words[n] + 1,
                               strlen(section_words[n]) - 2);
    const char *near = nearest_name(text, words, n);
    if (near)
      diag_help(diag, "did you mean '%s'?", near);
  }
}

/* Points at the bracket that should have been closed, unless it is near. */
static void note_opening(Parser *p, Diag *diag, const Expected *all, Span at,
                         const char *found) {
  static const char *const ends[] = {"')'", "']'", "'}'", "'{'",
                                     "the end of the line",
                                     "the end of the file", NULL};
  if ((expects(all, "')'") || expects(all, "']'")) && p->innermost.source) {
    int line, column, open_line, open_column;
    span_position(at, &line, &column);
    span_position(p->innermost, &open_line, &open_column);
    if (line != open_line || listed(ends, found))
      diag_note(diag, p->innermost, "to close this '%c'",
                p->source->text[p->innermost.begin]);
  } else if (strcmp(found, "the end of the file") == 0 && p->n_braces > 0) {
    diag_note(diag, p->brace, "to close this '{'");
  }
}

static int yyreport_syntax_error(const yypcontext_t *context, Parser *p) {
  if (p->stopped)
    return 0;
  Expected all = {0};
  yysymbol_kind_t kinds[YYNTOKENS];
  int n = yypcontext_expected_tokens(context, kinds, YYNTOKENS);
  for (int i = 0; i < n; i++)
    all.name[all.n++] = yysymbol_name(kinds[i]);
  yysymbol_kind_t token = yypcontext_token(context);
  const char *found = token == YYSYMBOL_YYEMPTY ? "" : yysymbol_name(token);
  Span at = *yypcontext_location(context);
  const char *text =
      arena_strndup(p->arena, p->source->text + at.begin, at.end - at.begin);

  Text t;
  text_init(&t, p->arena);
  Expected e = all;
  group(&e, found);
  for (int i = 0; i < e.n; i++)
    text_add(&t, "%s%s", i == 0 ? "" : i == e.n - 1 ? " or " : ", ", e.name[i]);
  bool is_word = token == YYSYMBOL_IDENT || token == YYSYMBOL_NUMBER;
  Diag *diag =
      is_word ? diag_error(p->diags, "E0105", at, "expected %s, found '%.60s'",
                           t.s, text)
              : diag_error(p->diags, "E0105", at, "expected %s, found %s", t.s,
                           found);
  note_opening(p, diag, &all, at, found);
  add_help(p, diag, &all, found, text);
  if (p->n_open > 0)
    p->lost = true;
  return 0;
}

Ast *parse(Arena *a, Diags *d, const Source *source) {
  int before = d->errors;
  if (!source_check(d, source))
    return NULL;
  Parser p = {.arena = a, .diags = d, .source = source};
  p.ast = arena_alloc(a, sizeof *p.ast);
  p.ast->source = source;
  scanner_begin(&p);
  yyparse(&p);
  scanner_end(&p);
  if (d->errors > before)
    return NULL;
  parser_finish(&p);
  return p.ast;
}
