/* The first answer of a program that does nothing else. */
#include "net.h"

_Alignas(64) static char workspace[NET_WORKSPACE_BYTES];
static float x[NET_INPUTS], probabilities[NET_OUTPUTS];

int main(void) {
  net_result result = {0};
  result.probabilities = probabilities;
  return net_predict(0, x, 1, &result, workspace);
}
