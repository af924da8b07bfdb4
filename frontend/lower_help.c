/* What a diagnostic adds: the name that may have been meant, the names that there
 * are. A name is looked for among those that would do, first by its letters and
 * then among the words that other libraries have for the same thing. */
#include "frontend/lower.h"

#include <string.h>
#include <strings.h>

/* Theirs, ours. A theirs may stand in several rows: the first that would do
 * counts. */
static const char *const other_words[][2] = {
    /* arguments */
    {"learning_rate", "lr"}, {"rate", "lr"}, {"rate", "p"}, {"prob", "p"},
    {"drop", "p"}, {"units", "out"}, {"filters", "out"},
    {"out_features", "out"}, {"out_channels", "out"}, {"size", "kernel"},
    {"num_heads", "heads"}, {"num_groups", "groups"},
    {"num_embeddings", "count"}, {"embedding_dim", "width"},
    {"label_smoothing", "smooth"}, {"weight", "class_weights"},
    {"beta1", "betas"}, {"beta2", "betas"}, {"epsilon", "eps"},
    {"wd", "weight_decay"}, {"decay", "weight_decay"}, {"gamma", "factor"},
    {"milestones", "at"}, {"eta_min", "to"}, {"min_delta", "delta"},
    {"monitor", "on"}, {"dim", "axis"}, {"dims", "axes"}, {"alpha", "negative_slope"},
    /* layers */
    {"dense", "linear"}, {"fc", "linear"}, {"fully_connected", "linear"},
    {"deconv", "conv_transpose"}, {"pool", "maxpool"}, {"swish", "silu"},
    {"lrelu", "leaky_relu"}, {"view", "reshape"}, {"cat", "concat"},
    {"transpose", "permute"}, {"pow", "^"}, {"matmul", "@"},
    /* losses and metrics */
    {"mse", "squared_error"}, {"mse_loss", "squared_error"},
    {"mseloss", "squared_error"}, {"mean_squared_error", "squared_error"},
    {"l1_loss", "absolute_error"}, {"mae", "absolute_error"},
    {"bce", "binary_cross_entropy"}, {"nllloss", "nll"},
    {"crossentropyloss", "cross_entropy"}, {"rmse", "root_mean_squared_error"},
    {"acc", "accuracy"}, {"top_k", "top"}, {"top5", "top"},
    /* penalties and keys */
    {"lasso", "l1"}, {"ridge", "l2"}, {"regularization", "penalty"},
    {"regularizer", "penalty"}, {"early_stopping", "stop"},
    {"num_epochs", "epochs"}, {"grad_clip", "clip"}, {"gradient_clip", "clip"},
    {"pretrained", "init"}, {"checkpoint", "keep"}, {"transform", "augment"},
    {"transforms", "augment"},
    /* values */
    {"yes", "true"}, {"no", "false"}, {"True", "true"}, {"False", "false"}};
enum { OTHER_WORDS = sizeof other_words / sizeof *other_words };

static bool is_there(const Candidates *c, const char *name) {
  for (int i = 0; i < c->n; i++)
    if (!strcmp(c->name[i], name))
      return true;
  return false;
}

/* No candidate: words of the grammar. */
static bool is_grammar(const char *name) {
  return !strcmp(name, "true") || !strcmp(name, "false") ||
         !strcmp(name, "^") || !strcmp(name, "@");
}

static const char *near_name(const char *name, const Candidates *c) {
  for (int i = 0; i < OTHER_WORDS; i++)
    if (!strcasecmp(other_words[i][0], name) &&
        (is_there(c, other_words[i][1]) || is_grammar(other_words[i][1])))
      return other_words[i][1];
  return nearest_name(name, c->name, c->n);
}

void help_nearest(Diag *diag, const char *name, const Candidates *c) {
  const char *near = near_name(name, c);
  if (diag && near)
    diag_help(diag, "did you mean `%s`?", near);
}

void help_names(Diag *diag, const char *name, const Candidates *c,
                const char *what) {
  enum { MOST = 12 };
  if (!diag || c->n == 0 || near_name(name, c)) {
    help_nearest(diag, name, c);
    return;
  }
  Text t;
  text_init(&t, c->arena);
  for (int i = 0; i < c->n && i < MOST; i++)
    text_add(&t, "%s%s", i ? ", " : "", c->name[i]);
  diag_help(diag, "%s %s%s", what, t.s, c->n > MOST ? " .." : "");
}

void help_arguments(Diag *diag, const char *name, const Candidates *c) {
  help_names(diag, name, c, c->n == 1 ? "its argument is" : "its arguments are");
}

void too_many_arguments(const Scope *s, Span at, const char *name, int most) {
  if (most == 0)
    fail(s, "E0410", at, "%s takes no arguments", name);
  else
    fail(s, "E0410", at, "%s takes %d argument%s at most", name, most,
         most == 1 ? "" : "s");
}
