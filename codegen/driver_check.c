/* `netc check`: the front end alone. Silent if all is well; with --gradients the
 * derivatives are checked as well, on a small batch unless --batch says; with
 * --replay a step whose numbers are not finite is interpreted. */
#include "codegen/driver.h"

enum { GRADIENT_BATCH = 2 }; /* the interpreter is slow */

Status command_check(const Options *given) {
  Options o = *given;
  Compile c;
  if (o.batch && !o.gradients)
    return usage_error("--batch means nothing to check without --gradients");
  if (o.gradients && !o.batch) o.batch = GRADIENT_BATCH;
  if (o.gradients && o.replay)
    return usage_error("--gradients and --replay ask for different things");
  Status status = compile(&c, &o, o.replay ? AT_PLAN : AT_IR);
  if (!status && o.gradients) status = check_gradients(&c);
  if (!status && o.replay) status = check_replay(&c);
  compile_free(&c);
  return status;
}
