/* Times the answer for ROWS rows by the object and, for one row, by plain loops, in turn. Prints the nanoseconds of a call of each. */
#define _POSIX_C_SOURCE 199309L
#include "net.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

void plain_predict(const float *x, float *probabilities);

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

_Alignas(64) static char workspace[NET_WORKSPACE_BYTES];
static float x[32 * NET_INPUTS], probabilities[32 * NET_OUTPUTS + 2], entropies[2][32];

int main(int count, char **arguments) {
  size_t rows = count > 1 ? (size_t)atoi(arguments[1]) : 1;
  int calls = count > 2 ? atoi(arguments[2]) : 1, times = count > 3 ? atoi(arguments[3]) : 1;
  double best[2] = {1e30, 1e30}, sink = 0;
  for (size_t i = 0; i < rows * NET_INPUTS; i++)
    x[i] = (float)(i * 2654435761u % 1000) / 1000;
  net_result result = {0};
  result.probabilities = probabilities;
  result.predictive_entropy = entropies[0];
  result.expected_entropy = entropies[1];
  if (net_predict(NULL, x, rows, &result, workspace))
    return 1;
  for (int time = 0; time < times; time++) {
    double start = now();
    for (int call = 0; call < calls; call++)
      net_predict(NULL, x, rows, &result, workspace);
    double middle = now();
    sink += probabilities[0];
    if (rows == 1)
      for (int call = 0; call < calls; call++)
        plain_predict(x, probabilities);
    double end = now();
    sink += probabilities[0];
    if (middle - start < best[0] * calls)
      best[0] = (middle - start) / calls;
    if (end - middle < best[1] * calls)
      best[1] = (end - middle) / calls;
  }
  printf("%.1f %.1f\n", best[0], rows == 1 ? best[1] : 0);
  return sink < 0;
}
