%code top {
/* The grammar of .net files. LALR(1) without conflicts; each action is one
 * builder call (ast.c). Words and signs come from lexer.l by way of lines.c,
 * which decides which line ends are a NEWLINE.
 *
 * Mistakes: the text goes to the list of diagnostics, in the user's terms
 * (mistake.c), and reading goes on at the next statement, so that
 * independent mistakes are told in one go. A section whose head cannot be read
 * is still read to its closing brace. */
#include "frontend/parse.h"
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
/* lexer.l: the next token, every line end included. */
int scan(YYSTYPE *value, YYLTYPE *at, void *scanner);
/* The token that the letters s[0..n) are: IDENT or a word of the language. */
int word_token(const char *s, size_t n);
/* lines.c: the next token of the grammar. */
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
%token <string> STATE "'state'" WITHOUT "'without'" LIMIT "'limit'"
%token IF "'if'" THEN "'then'" ELSE "'else'" AND "'and'" OR "'or'" NOT "'not'"
%token AS "'as'" EXCEPT "'except'" REPEAT "'repeat'" TRUE "'true'"
%token FALSE "'false'"
%token ARROW "'->'" GETS "'<-'" LE "'<='" GE "'>='" EQ "'=='" NE "'!='"
%token REST "'..'"
%token '+' "'+'" '-' "'-'" '*' "'*'" '/' "'/'" '@' "'@'" '^' "'^'"
%token '<' "'<'" '>' "'>'" '=' "'='" ',' "','" ';' "';'" ':' "':'" '.' "'.'"
%token '\'' "\"'\"" '(' "'('" ')' "')'" '[' "'['" ']' "']'" '{' "'{'" '}' "'}'"

%type <string> word
%type <name> name limit key
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
%type <entry> entry plain_entry setting key_setting train_setting
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
| broken                    { $$ = NULL; }
;

/* What could not be read, to the end of the line; if a block begins there, to
 * its end, and the lines of the block are read. */
broken: error | error '{' stmt_lines '}';

/* Statements end at a line's end or a semicolon; empty ones do not count. A
 * new statement may be told of a new mistake. No list of statements begins with
 * an empty rule: `error` could not be shifted before it was reduced. */
sep: NEWLINE { yyerrok; p->lost = false; } | ';' { yyerrok; p->lost = false; };
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
| broken    { $$ = NULL; }
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
train_setting: key_setting | broken { $$ = NULL; };
key_setting:
  setting
| limit '=' value { $$ = entry_value(p, @$, $1, $3); }
;
limit: LIMIT IDENT { $$ = name_pair(p, name_at(@1, $1), name_at(@2, $2)); };
key: name | limit;

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
  key_setting { $$ = (VariantLines){0}; list_add(p, &$$.entries, $1); }
| WITHOUT names { $$ = (VariantLines){.without = $2}; }
| broken { $$ = (VariantLines){0}; }
;
names:
  key           { $$ = empty; list_add(p, &$$, name_new(p, $1)); }
| names ',' key { $$ = $1; list_add(p, &$$, name_new(p, $3)); }
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
| broken                    { $$ = NULL; }
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

/* --- names: words that open a section or declaration may serve too -------- */

name: word { $$ = name_at(@1, $1); };
word:
  IDENT | CONST | IMPORT | LAYER | LOSS | PENALTY | INIT | SCHEDULE | OPTIMIZER
| NET | DATA | TRAIN | VARIANT | WEIGHT | BIAS | SCALE | STATE | WITHOUT
| LIMIT
;

%%

/* --- mistakes ------------------------------------------------------------- */

static void yyerror(Span *at, Parser *p, const char *message) {
  (void)message; /* syntax errors go another way: the stack is full */
  parser_too_deep(p, *at);
}

_Static_assert(YYNTOKENS <= MAX_TOKENS, "for syntax_error");

static int yyreport_syntax_error(const yypcontext_t *context, Parser *p) {
  yysymbol_kind_t kinds[YYNTOKENS], token = yypcontext_token(context);
  const char *expected[YYNTOKENS];
  int n = yypcontext_expected_tokens(context, kinds, YYNTOKENS);
  for (int i = 0; i < n; i++)
    expected[i] = yysymbol_name(kinds[i]);
  if (token != YYSYMBOL_YYEMPTY)
    syntax_error(p, *yypcontext_location(context), yysymbol_name(token), n,
                 expected);
  return 0;
}

Ast *parse(Arena *a, Diags *d, const Source *source) {
  int before = d->errors;
  if (!source_check(d, source))
    return NULL;
  Parser p = {.arena = a, .diags = d, .source = source, .pending = -1};
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
