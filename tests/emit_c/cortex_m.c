/* Answers for the rows of the file `inputs`, one after the other, and writes the bits to the file `results`: on a
   bare Cortex-M. The last words are how much of the stack was used, and the instructions of the last call. */
#include NETWORK_H
#include "cortex_m.h"

static uint8_t workspace[WORKSPACE_BYTES] __attribute__((aligned(64)));
static float inputs[INPUTS];
static float results[RESULTS];

void reset(void)
{
  int from, to, status = 0;
  uint32_t used[2], begun;
  uint64_t row;
  NETWORK_request request = {SEED, 0, 0, SAMPLES};
  NETWORK_result result;
  begin();
  from = open_file("inputs", 6u, 1u);
  to = open_file("results", 7u, 5u);
  if (from < 0 || to < 0)
    leave(100);
  place_results(&result, results);
  status = NETWORK_self_test(workspace);
  if (status)
    leave(110u + (uint32_t)status);
  used[1] = 0;
  for (row = 0; transfer(6, from, inputs, sizeof inputs) == 0; row++) {
    request.first_row = FIRST_ROW + row;
    begun = now();
    status = NETWORK_predict(&request, inputs, 1, &result, workspace);
    used[1] = instructions_since(begun);
    if (status)
      leave(150u + (uint32_t)status);
    if (transfer(5, to, results, sizeof results))
      leave(101);
  }
  used[0] = stack_used();
  if (transfer(5, to, used, sizeof used))
    leave(102);
  leave(0);
}
