/* The entry of an executable: `netc build` links this with the program that it
 * compiled and with the runtime. */
#include "runtime/net.h"

extern const NetProgram net_program;

int main(int argc, char **argv) {
  return net_main(&net_program, argc, argv);
}
