/* `netc check`: the front end alone. Silent if all is well; with --gradients the
 * derivatives are checked as well, on a small batch unless --batch says. */
#include "codegen/driver.h"

enum { GRADIENT_BATCH = 2 }; /* the interpreter is slow */

Status command_check(const Options *given) {
  Options o = *given;
  Compile c;
  if (o.batch && !o.gradients)
    return usage_error("--batch means nothing to check without --gradients");
  if (o.gradients && !o.batch) o.batch = GRADIENT_BATCH;
  Status status = compile(&c, &o, AT_IR);
  if (!status && o.gradients) status = check_gradients(&c);
  compile_free(&c);
  return status;
}
