/* Times the answer for ROWS rows by the object and by the file in C and, for one row, by plain loops, in turn. Prints the nanoseconds of a call of each. */
#define _POSIX_C_SOURCE 199309L
#include "net.h"
#include "source.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

void plain_predict(const float *x, float *probabilities);

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

_Alignas(64) static char workspace[NET_WORKSPACE_BYTES], of_source[SOURCE_WORKSPACE_BYTES];
static float x[32 * NET_INPUTS], probabilities[32 * NET_OUTPUTS + 2], entropies[2][32];

int main(int count, char **arguments) {
  size_t rows = count > 1 ? (size_t)atoi(arguments[1]) : 1;
  int calls = count > 2 ? atoi(arguments[2]) : 1, times = count > 3 ? atoi(arguments[3]) : 1;
  /* fewer of what takes longer */
  int calls_of_source = calls / 8 + 1;
  double best[3] = {1e30, 1e30, 1e30}, sink = 0;
  for (size_t i = 0; i < rows * NET_INPUTS; i++)
    x[i] = (float)(i * 2654435761u % 1000) / 1000;
  net_result result = {0};
  result.probabilities = probabilities;
  result.predictive_entropy = entropies[0];
  result.expected_entropy = entropies[1];
  source_result same = {0};
  same.probabilities = probabilities;
  same.predictive_entropy = entropies[0];
  same.expected_entropy = entropies[1];
  if (net_predict(NULL, x, rows, &result, workspace) || source_predict(NULL, x, rows, &same, of_source))
    return 1;
  for (int time = 0; time < times; time++) {
    double start[4] = {now()};
    for (int call = 0; call < calls; call++)
      net_predict(NULL, x, rows, &result, workspace);
    start[1] = now();
    sink += probabilities[0];
    if (rows == 1)
      for (int call = 0; call < calls; call++)
        plain_predict(x, probabilities);
    start[2] = now();
    sink += probabilities[0];
    for (int call = 0; call < calls_of_source; call++)
      source_predict(NULL, x, rows, &same, of_source);
    start[3] = now();
    sink += probabilities[0];
    for (int i = 0; i < 3; i++) {
      double one = (start[i + 1] - start[i]) / (i < 2 ? calls : calls_of_source);
      if (one < best[i])
        best[i] = one;
    }
  }
  printf("%.1f %.1f %.1f\n", best[0], rows == 1 ? best[1] : 0, best[2]);
  return sink < 0;
}
