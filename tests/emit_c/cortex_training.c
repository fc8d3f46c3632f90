/* Goes on training on a bare Cortex-M: a step for each batch of the file `batches`. After half of them it stores
   its state as the file `state`, forgets it, and reads it again. It writes the status and the losses of each step
   to the file `results`, then the status and the results of predictions of the rows of the file `rows`, the state,
   how much of the stack was used, and the instructions of the last step and of the last prediction. */
#include NETWORK_H
#include "cortex_m.h"

static uint8_t state[STATE_BYTES] __attribute__((aligned(64)));
static uint8_t workspace[WORKSPACE_BYTES] __attribute__((aligned(64)));
static float inputs[BATCH_ROWS * INPUTS];
static TARGET targets[BATCH_ROWS * TARGETS];
static float results[RESULTS];

enum { READ = 6, WRITE = 5 };

static void check(uint32_t number, int status)
{
  if (status)
    leave(number + (uint32_t)status);
}

/* Whatever forgets memory. */
static void forget(void)
{
  volatile uint8_t *at;
  for (at = state; at < state + STATE_BYTES; at++)
    *at = 0xa5u;
}

void reset(void)
{
  int batches, rows, to, file, status;
  uint32_t used[3] = {0, 0, 0}, begun, step;
  NETWORK_result result;
  begin();
  batches = open_file("batches", 7u, 1u);
  rows = open_file("rows", 4u, 1u);
  to = open_file("results", 7u, 5u);
  if (batches < 0 || rows < 0 || to < 0)
    leave(100);
  check(101, NETWORK_start(state));
  for (step = 0; step < STEPS; step++) {
    NETWORK_loss loss;
    if (step == STEPS / 2) {
      check(120, NETWORK_seal(state));
      file = open_file("state", 5u, 5u);
      check(140, transfer(WRITE, file, state, sizeof state));
      /* closed */
      ask(2, &file);
      forget();
      if (NETWORK_open(state) != NETWORK_ERROR_STATE)
        leave(141);
      file = open_file("state", 5u, 1u);
      check(142, transfer(READ, file, state, sizeof state));
      check(143, NETWORK_open(state));
    }
    check(160, transfer(READ, batches, inputs, sizeof inputs));
    check(160, transfer(READ, batches, targets, sizeof targets));
    begun = now();
    status = NETWORK_step(state, inputs, targets, BATCH_ROWS, &loss, workspace);
    used[1] = instructions_since(begun);
    check(161, transfer(WRITE, to, &status, sizeof status));
    check(161, transfer(WRITE, to, &loss, sizeof loss));
  }
  place_results(&result, results, 1);
  while (transfer(READ, rows, inputs, 4 * INPUTS) == 0) {
    begun = now();
    check(180, NETWORK_predict((void *)0, inputs, 1, &result, state, workspace));
    used[2] = instructions_since(begun);
    check(200, transfer(WRITE, to, results, sizeof results));
  }
  check(200, transfer(WRITE, to, state, sizeof state));
  used[0] = stack_used();
  check(200, transfer(WRITE, to, used, sizeof used));
  leave(0);
}
