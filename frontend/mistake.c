/* Syntax errors in the user's terms: of the tokens that could have stood where
 * one was found, what a user would call them, where the bracket stands that
 * should have been closed, and the remedy for mistakes that are often made.
 * Tokens are known by the aliases that parser.y gives them. Going on after a
 * mistake is the grammar's part (`broken`) and that of lines.c. */
#include "frontend/parse.h"

#include <string.h>

void parser_too_deep(Parser *p, Span at) {
  if (p->stopped)
    return;
  Diag *diag = diag_error(p->diags, "E0106", at,
                          "this is nested more than %d deep", MAX_NESTING);
  diag_help(diag, "give a part of it a name");
  p->stopped = true;
}

/* A file with more mistakes is no .net file: reading on would only take time.
 */
enum { MAX_ERRORS = 100 };

/* What could have stood in the place of the token found: aliases of tokens, or
 * the name of a group of them. */
typedef struct Expected {
  int n;
  const char *name[MAX_TOKENS];
} Expected;

static bool expects(const Expected *e, const char *name) {
  for (int i = 0; i < e->n; i++)
    if (strcmp(e->name[i], name) == 0)
      return true;
  return false;
}

/* Lists of aliases end with NULL. */
static const char *const section_words[] = {
    "'const'", "'import'",   "'layer'",     "'loss'", "'penalty'",
    "'init'",  "'schedule'", "'optimizer'", "'net'",  "'data'",
    "'train'", "'variant'",  NULL};
static const char *const other_names[] = {
    "a name", "'weight'", "'bias'", "'scale'", "'state'", "'without'",
    "'limit'", NULL};
static const char *const reserved_words[] = {
    "'if'", "'then'",   "'else'",   "'and'",  "'or'",    "'not'",
    "'as'", "'except'", "'repeat'", "'true'", "'false'", NULL};
static const char *const expression_starts[] = {
    "a number", "a string", "'true'", "'false'", "'['", "'('",
    "'-'",      "'not'",    "'if'",   "'..'",    NULL};
static const char *const stage_starts[] = {"'('", "'repeat'", NULL};
static const char *const shape_starts[] = {"'['", NULL};
static const char *const no_starts[] = {NULL};
static const char *const section_starts[] = {"the end of the file", NULL};
static const char *const operators[] = {
    "'+'",   "'-'",  "'*'",  "'/'",  "'@'",   "'^'",  "'<'",      "'>'",
    "'<='",  "'>='", "'=='", "'!='", "'and'", "'or'", "'except'", "'->'",
    "\"'\"", "'.'",  "'['",  "'('",  "'='",   "'<-'", "'as'",     NULL};
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

/* What a user has one word for: if `sign` is among the tokens that could have
 * stood here, they were the starts of `name`, and `starts` (and all names) are
 * covered by it. The first row that fits counts. */
static const struct {
  const char *sign, *name;
  const char *const *starts;
} groups[] = {
    {"a number", "an expression", expression_starts},
    {"'repeat'", "a stage", stage_starts},
    {"'['", "a shape", shape_starts},
    {"a name", "a name", no_starts},
    {"'const'", "a section", section_starts},
};

static void group(Expected *e, const char *found) {
  if (strcmp(found, "the end of the file") == 0 && expects(e, "'}'")) {
    *e = (Expected){1, {"'}'"}};
    return;
  }
  if (expects(e, "'+'") || expects(e, "'->'")) { /* behind a value or stage */
    drop(e, operators);
    if (e->n == 0)
      e->name[e->n++] = "an operator";
  } else {
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
      if (!expects(e, groups[i].sign))
        continue;
      drop(e, section_words);
      drop(e, other_names);
      drop(e, groups[i].starts);
      drop(e, (const char *const[]){"';'", "the end of the line", NULL});
      memmove(e->name + 1, e->name, (size_t)e->n * sizeof e->name[0]);
      e->name[0] = groups[i].name;
      e->n++;
      return;
    }
  }
  if (expects(e, "the end of the line"))
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
    {"','", "the end of the line", NULL,
     "no comma parts one line from another"},
    {"'<'", "'and'", "'<'", "compare two by two: a < b and b < c"},
    {"'<='", "'and'", "'<'", "compare two by two: a <= b and b <= c"},
    {"'>'", "'and'", "'<'", "compare two by two: a > b and b > c"},
    {"'>='", "'and'", "'<'", "compare two by two: a >= b and b >= c"},
    {"'=='", "'and'", "'<'", "compare two by two: a == b and b == c"},
    {"'if'", "a number", "'if'", "put the if in parentheses"},
    {"a name", "a string", "a number", "a text stands in quotes: \"..\""},
    {"the end of the line", "'else'", NULL,
     "an `if` has two values: if .. then .. else .."},
    {"'='", "':'", "'='", "a parameter has a shape: weight W: [..] = .."},
    {"':'", "'<-'", NULL,
     "a parameter begins with its role: weight W: [..] = .."},
    {"':'", "'='", "'{'", "a name gets its value by ="},
    {"a number", "'='", "'{'", "its value stands behind ="},
    {"':'", "'{'", NULL, "a body is a block { .. }, or = and one expression"},
    {"the end of the line", "'='", "'{'", "its value stands behind ="},
    {"':'", "']'", NULL, "several along an axis: slice(x, axis, start, end)"},
    {"','", "']'", "','", "one index each: x[i][j]"},
    {"'{'", "'then'", NULL, "an `if` is a value: if .. then .. else .."},
    {"':'", "'then'", NULL, "an `if` is a value: if .. then .. else .."},
    {"'->'", "a number", NULL, "a pipeline begins with a value: x -> .."},
    {"'->'", "a name", NULL, "a pipeline begins with a value: x -> .."},
    {"'as'", "'+'", NULL, "`as` names a stage, behind an arrow: -> f as name"},
    {"'repeat'", "a number", NULL,
     "`repeat` stands behind an arrow: x -> repeat(n) f"},
};

static bool add_remedy(Parser *p, Diag *diag, const Expected *all,
                       const char *found) {
  if (p->joined.source) /* the note on that says enough */
    return false;
  for (size_t i = 0; i < sizeof remedies / sizeof remedies[0]; i++)
    if (strcmp(remedies[i].found, found) == 0 &&
        expects(all, remedies[i].expected) &&
        !(remedies[i].missing && expects(all, remedies[i].missing))) {
      diag_help(diag, "%s", remedies[i].help);
      return true;
    }
  return false;
}

/* Words of other languages: in front of a statement, where a name follows them;
 * and for a section. */
static const struct {
  const char *word, *help;
} foreign[] = {
    {"let", "a value needs no word before it: name = .."},
    {"var", "a value needs no word before it: name = .."},
    {"val", "a value needs no word before it: name = .."},
    {"auto", "a value needs no word before it: name = .."},
    {"return", "the last line is the value, without a word before it"},
    {"for", "`repeat` is the loop of the language: x -> repeat(3) f"},
    {"while", "`repeat` is the loop of the language: x -> repeat(3) f"},
    {"param", "a parameter begins with its role: weight W: [..] = .."},
    {"parameter", "a parameter begins with its role: weight W: [..] = .."},
    {NULL, NULL}};
static const struct {
  const char *word, *section;
} foreign_sections[] = {
    {"def", "layer"},    {"fn", "layer"},     {"func", "layer"},
    {"function", "layer"}, {"module", "layer"}, {"class", "layer"},
    {"model", "net"},    {"network", "net"},  {"dataset", "data"},
    {"training", "train"}, {"include", "import"}, {"use", "import"},
    {"let", "const"},    {"var", "const"},    {"optim", "optimizer"},
    {NULL, NULL}};

/* The word in front of what was found, on the same line. */
static bool add_foreign_help(const Parser *p, Diag *diag, Span at) {
  const char *text = p->source->text;
  uint32_t end = at.begin, begin;
  while (end > 0 && text[end - 1] == ' ')
    end--;
  for (begin = end; begin > 0 && text[begin - 1] >= 'a' && text[begin - 1] <= 'z';)
    begin--;
  for (int i = 0; foreign[i].word; i++)
    if (strlen(foreign[i].word) == end - begin &&
        !strncmp(text + begin, foreign[i].word, end - begin)) {
      diag_help(diag, "%s", foreign[i].help);
      return true;
    }
  return false;
}

/* A section was expected, and this word found. */
static void add_section_help(Parser *p, Diag *diag, Span at, const char *word) {
  for (int i = 0; foreign_sections[i].word; i++)
    if (!strcmp(foreign_sections[i].word, word)) {
      diag_help(diag, "did you mean '%s'?", foreign_sections[i].section);
      return;
    }
  const char *words[sizeof section_words / sizeof section_words[0]];
  int n = 0;
  for (; section_words[n]; n++) /* without quotes */
    words[n] = arena_strndup(p->arena, section_words[n] + 1,
                             strlen(section_words[n]) - 2);
  const char *near = nearest_name(word, words, n);
  const char *rest = p->source->text + at.end;
  if (near)
    diag_help(diag, "did you mean '%s'?", near);
  else if (rest[strspn(rest, " \t")] == '=')
    diag_help(diag, "a constant begins with a word: const %s = ..", word);
}

static bool begins_line(const Parser *p, Span at) {
  size_t i = at.begin;
  while (i > 0 && strchr(" \t", p->source->text[i - 1]))
    i--;
  return i == 0 || p->source->text[i - 1] == '\n';
}

static void add_help(Parser *p, Diag *diag, const Expected *all, Span at,
                     const char *found, const char *text) {
  if (expects(all, "the end of the line") && add_foreign_help(p, diag, at))
    return;
  if (add_remedy(p, diag, all, found))
    return;
  if (listed(operators, found) && expects(all, "'->'") && !expects(all, "'+'"))
    diag_help(diag, "a pipeline that is an operand stands in parentheses");
  else if (listed(operators, found) && expects(all, "the end of the line") &&
           (expects(all, "a number") || begins_line(p, at)))
    diag_help(diag, "an operator stands at the end of the line that goes on");
  else if (expects(all, "a name") && listed(reserved_words, found))
    diag_help(diag, "%s is a word of the language: choose another name", found);
  else if (expects(all, "'const'") && !expects(all, "a name") &&
           strcmp(found, "a name") == 0)
    add_section_help(p, diag, at, text);
  else if (expects(all, "'{'") && strcmp(found, "the end of the line") == 0 &&
           p->pending == '{') {
    diag_help(diag, "put the '{' on the line before");
    p->brace_told = true;
  } else if (expects(all, "'{'") && strcmp(found, "the end of the line") == 0) {
    diag_help(diag, "a body is a block { .. }, or = and one expression");
  }
}

/* Points at the bracket that should have been closed, unless it is near. */
static void note_opening(Parser *p, Diag *diag, const Expected *all, Span at,
                         const char *found) {
  static const char *const ends[] = {
      "')'", "']'", "'}'", "'{'", "the end of the line", "the end of the file",
      NULL};
  if ((expects(all, "')'") || expects(all, "']'")) && p->innermost.source) {
    int line, column, open_line, open_column;
    span_position(at, &line, &column);
    span_position(p->innermost, &open_line, &open_column);
    if (line != open_line || listed(ends, found))
      diag_note(diag, p->innermost, "to close this '%c'",
                p->source->text[p->innermost.begin]);
  } else if (strcmp(found, "the end of the file") == 0 && p->n_braces > 0 &&
             p->n_braces <= MAX_NESTING) {
    diag_note(diag, p->brace[p->n_braces - 1], "to close this '{'");
  }
  if (p->joined.source) {
    int line, column;
    span_position(p->joined, &line, &column);
    diag_note(diag, p->joined,
              "line %d goes on in the next, since it ends with '%.*s'", line,
              (int)(p->joined.end - p->joined.begin),
              p->source->text + p->joined.begin);
  }
}

void syntax_error(Parser *p, Span at, const char *found, int n,
                  const char *const *expected) {
  if (p->stopped)
    return;
  if (p->diags->errors >= MAX_ERRORS) {
    p->stopped = true;
    return;
  }
  p->lost = p->shaken = true;
  p->lost_at = at.begin;
  if (p->brace_told && strcmp(found, "'{'") == 0) {
    p->brace_told = false;
    return;
  }
  Expected all = {0};
  for (; all.n < n && all.n < MAX_TOKENS; all.n++)
    all.name[all.n] = expected[all.n];
  Expected e = all;
  group(&e, found);
  Text t;
  text_init(&t, p->arena);
  for (int i = 0; i < e.n; i++)
    text_add(&t, "%s%s", i == 0 ? "" : i == e.n - 1 ? " or " : ", ", e.name[i]);

  const char *text =
      arena_strndup(p->arena, p->source->text + at.begin, at.end - at.begin);
  bool shown = listed((const char *const[]){"a name", "a number", NULL}, found);
  Diag *diag = shown ? diag_error(p->diags, "E0105", at,
                                  "expected %s, found '%.60s'", t.s, text)
                     : diag_error(p->diags, "E0105", at,
                                  "expected %s, found %s", t.s, found);
  note_opening(p, diag, &all, at, found);
  add_help(p, diag, &all, at, found, text);
}
