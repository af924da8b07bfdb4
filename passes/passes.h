/* The passes over modules. Each is a file and a row of the pass table in
 * pass.c, from which the command line, the dumps and the golden folders come.
 * A pass makes new graphs; it leaves its operand alone. */
#ifndef NETC_PASSES_H
#define NETC_PASSES_H

#include "ir/ir.h"

/* grad.c: expands OP_GRAD into the adjoints. NULL after a diagnostic that
 * lists every derivative that is missing. */
Module *pass_grad(Arena *a, const Module *m, Diags *d);

/* simplify.c: algebra that keeps the value. */
Module *pass_simplify(Arena *a, const Module *m, Diags *d);

#endif
