/* The syntax tree of a .net file, as the parser builds it and lowering reads
 * it. It says what was written, not what it means: names are not resolved, and
 * a parenthesis leaves no node. Everything lies in the arena of the
 * compilation, nothing is changed after parsing, and every node has the span of
 * the text that it came from.
 *
 * The tree is shallow: no path from an item to a leaf has more than MAX_NESTING
 * expressions or stages (a deeper one is the user's mistake, E0106), so walks
 * may recurse. The stages of a pipeline and the items of a list are arrays and
 * do not count. */
#ifndef NETC_AST_H
#define NETC_AST_H

#include "frontend/frontend.h"

enum { MAX_NESTING = 256 };

typedef struct Expr Expr;
typedef struct Stage Stage;
typedef struct Stmt Stmt;
typedef struct Entry Entry;

/* An identifier where it stands. `s` is NULL where the name was left out. */
typedef struct Name {
  const char *s;
  Span span;
} Name;

/* Expressions */

typedef enum ExprKind {
  EXPR_NUMBER,   /* 1e-4 */
  EXPR_BOOL,     /* true, false */
  EXPR_STRING,   /* "data/x"; the text without quotes, escapes undone */
  EXPR_NAME,     /* x */
  EXPR_LIST,     /* [a, b]; may be empty */
  EXPR_REST,     /* the .. of a list or a shape */
  EXPR_CALL,     /* f(a, k = b); a stage `-> f` is one too */
  EXPR_MEMBER,   /* a.b */
  EXPR_INDEX,    /* x[i] */
  EXPR_UNARY,    /* -x, not x, x' */
  EXPR_BINARY,   /* a + b, a < b, a and b */
  EXPR_IF,       /* if c then a else b */
  EXPR_PIPELINE, /* x -> f -> g */
  EXPR_EXCEPT,   /* A except B */
  EXPR_COUNT
} ExprKind;

/* The operators: name, as it is written. */
#define UNARY_OPERATORS(X) X(NEG, "-") X(NOT, "not") X(TRANSPOSE, "'")
#define BINARY_OPERATORS(X)                                               \
  X(ADD, "+") X(SUB, "-") X(MUL, "*") X(DIV, "/") X(MATMUL, "@")          \
  X(POW, "^") X(LT, "<") X(LE, "<=") X(GT, ">") X(GE, ">=") X(EQ, "==")   \
  X(NE, "!=") X(AND, "and") X(OR, "or")

typedef enum UnaryOp {
#define ROW(name, text) UNARY_##name,
  UNARY_OPERATORS(ROW)
#undef ROW
  UNARY_COUNT
} UnaryOp;

typedef enum BinaryOp {
#define ROW(name, text) BINARY_##name,
  BINARY_OPERATORS(ROW)
#undef ROW
  BINARY_COUNT
} BinaryOp;

extern const char *const unary_text[UNARY_COUNT];
extern const char *const binary_text[BINARY_COUNT];

/* An argument: positional ones (name.s is NULL) come before named ones. That a
 * name is given twice is for lowering to find. */
typedef struct Arg {
  Name name;
  Expr *value;
  Span span;
} Arg;

struct Expr {
  ExprKind kind;
  int depth; /* 1 for a leaf, else one more than the deepest child */
  Span span;
  union {
    double number;
    bool truth;
    const char *string;
    const char *name;
    struct {
      int n;
      Expr **item;
    } list;
    struct {
      Expr *callee; /* EXPR_NAME, or EXPR_MEMBER of one: lenet.conv1 */
      int n_args;
      Arg *args;    /* in a pipeline: without the value from the left */
      int ordinal;  /* see Item */
      bool bare;    /* a stage or entry without parentheses: -> relu */
    } call;
    struct {
      Expr *of;
      Name name;
    } member;
    struct {
      Expr *of, *index;
    } index;
    struct {
      UnaryOp op;
      Expr *a;
    } unary;
    struct {
      BinaryOp op;
      Expr *a, *b;
      Span at; /* of the operator */
    } binary;
    struct {
      Expr *condition, *yes, *no;
    } select;
    struct {
      Expr *input;
      int n_stages; /* at least 1 */
      Stage **stage;
    } pipeline;
    struct {
      Expr *set, *without;
    } except;
  };
};

/* Pipelines: what stands behind an arrow. */
typedef enum StageKind {
  STAGE_CALL,  /* f, f(a), net.stage(a): `call` is an EXPR_CALL */
  STAGE_CHAIN, /* (f -> g): the same stages as if without parentheses, but a
                  unit for `as` and `repeat` */
  STAGE_REPEAT /* repeat(n) stage; a name after it belongs to the stage inside:
                  repeat(2) f as b */
} StageKind;

struct Stage {
  StageKind kind;
  int depth;
  Span span; /* without the arrow and without `as name` */
  Name as;   /* s is NULL without `as` */
  union {
    Expr *call;
    struct {
      int n;
      Stage **stage;
    } chain;
    struct {
      Expr *count;
      Stage *body;
    } repeat;
  };
};

/* The shape of a parameter or variable. In the header of a definition each dim
 * is a pattern: EXPR_NAME binds or must agree, EXPR_NUMBER must agree,
 * EXPR_REST stands for any axes (at most one), anything else is an expression
 * that must agree. In `weight` and `state` each dim is an expression. `class[k]`: an
 * integer below k; one dim. `[]`: a single number. */
typedef struct Shape {
  bool is_class;
  int n;
  Expr **dim;
  Span span;
} Shape;

/* A parameter in the header of a definition. */
typedef struct Param {
  Name name;
  Shape *shape;       /* NULL: none given */
  Expr *default_value; /* NULL: must be given */
  Span span;
} Param;

/* Statements of a definition's body */

typedef enum StmtKind {
  STMT_LET,    /* name = value */
  STMT_PARAM,  /* weight|bias|scale name: shape = value (an initialiser) */
  STMT_STATE,  /* state name[: shape] = value */
  STMT_UPDATE, /* name <- value */
  STMT_PROX,   /* prox(name) = value */
  STMT_VALUE,  /* value */
  STMT_COUNT
} StmtKind;

struct Stmt {
  StmtKind kind;
  Span span;
  Name name;    /* s is NULL for STMT_VALUE */
  VarKind role; /* STMT_PARAM: VAR_WEIGHT, VAR_BIAS, VAR_SCALE */
  Shape *shape; /* STMT_PARAM; STMT_STATE or NULL */
  Expr *value;
};

/* Sections of the file */

typedef enum DefKind {
  DEF_LAYER,
  DEF_LOSS,
  DEF_PENALTY,
  DEF_INIT,
  DEF_SCHEDULE,
  DEF_OPTIMIZER,
  DEF_NET,
  DEF_COUNT
} DefKind;

extern const char *const def_kind_text[DEF_COUNT]; /* "layer" .. */

/* kind name(params) { body }, or kind name(params) = value: then the body is
 * one STMT_VALUE. An empty block has n_stmts 0. */
typedef struct Definition {
  DefKind kind;
  Name name;
  int n_params, n_stmts;
  Param *params;
  Stmt **stmts;
  bool is_block;
} Definition;

/* A line of `data`, `augment`, `train` or `variant`. */
typedef enum EntryKind {
  ENTRY_VALUE, /* name = value                (data, train, variant) */
  ENTRY_CALL,  /* name(args) or name; `value` is an EXPR_CALL (data) */
  ENTRY_BLOCK  /* name { entries }            (data: augment) */
} EntryKind;

struct Entry {
  EntryKind kind;
  Span span;
  Name name;
  Expr *value;
  int n_entries;
  Entry **entries;
};

typedef enum ItemKind {
  ITEM_CONST,      /* const name = value */
  ITEM_IMPORT,     /* import "other.net" */
  ITEM_DEFINITION, /* layer, loss .. net */
  ITEM_DATA,       /* data READER(args) { entries } */
  ITEM_TRAIN,      /* train { entries } */
  ITEM_VARIANT,    /* variant name { name = value; without a, b } */
  ITEM_COUNT
} ItemKind;

/* Each item numbers its calls from 0 in the order of the text (by the first
 * byte of the callee): `ordinal`. So a call is addressed by place: renaming
 * does not change it, nor does an edit to another item. */
typedef struct Item {
  ItemKind kind;
  Span span;
  int n_calls;
  union {
    struct {
      Name name;
      Expr *value;
    } constant;
    Name import; /* the path, with the string's span */
    Definition definition;
    struct {
      Expr *reader; /* EXPR_CALL whose callee is an EXPR_NAME */
      int n_entries;
      Entry **entries;
    } data;
    struct {
      int n_entries;
      Entry **entries; /* ENTRY_VALUE alone */
    } train;
    struct {
      Name name;
      int n_entries, n_without;
      Entry **entries; /* ENTRY_VALUE alone */
      Name *without;
    } variant;
  };
} Item;

struct Ast {
  const Source *source;
  int n_items;
  Item **items; /* in the order of the file */
};

#endif
