/* Goes on training: `program FROM STEPS TO PREDICTED` begins with the state of the file FROM, or with the first
   one for `-`, makes steps on batches from the standard input, and stores the state as the file TO. Before that it
   predicts PREDICTED rows of the input's end. It writes the status and the three losses of each step, then the
   status and the results of the prediction. */
#include NETWORK_H
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *aligned(size_t bytes)
{
  char *memory = (char *)malloc(bytes + 64);
  return memory + (64 - (size_t)memory % 64);
}

static void write_words(const void *words, size_t count) { fwrite(words, 4, count, stdout); }

int main(int count, char **arguments)
{
  void *state = aligned(STATE_BYTES), *before = aligned(STATE_BYTES), *workspace = aligned(WORKSPACE_BYTES);
  float *inputs = (float *)malloc(4 * BATCH_ROWS * INPUTS);
  TARGET *targets = (TARGET *)malloc(4 * BATCH_ROWS * TARGETS);
  NETWORK_result result;
  FILE *file;
  int i, steps, rows, status;
  if (count != 5)
    return 100;
  steps = atoi(arguments[2]);
  rows = atoi(arguments[4]);
  memset(state, 0xa5, STATE_BYTES);
  memset(workspace, 0x5a, WORKSPACE_BYTES);
  /* what is no state yet */
  if (NETWORK_step(state, inputs, targets, BATCH_ROWS, NULL, workspace) != NETWORK_ERROR_STATE)
    return 101;
  if (strcmp(arguments[1], "-") == 0) {
    if (NETWORK_start(state) != 0)
      return 102;
  } else {
    file = fopen(arguments[1], "rb");
    if (!file || fread(state, 1, STATE_BYTES, file) != STATE_BYTES)
      return 103;
    fclose(file);
    /* one that is sealed, one that is damaged, and then the good one */
    if (NETWORK_step(state, inputs, targets, BATCH_ROWS, NULL, workspace) != NETWORK_ERROR_STATE)
      return 104;
    ((char *)state)[STATE_BYTES - 64] ^= 4;
    if (NETWORK_open(state) != NETWORK_ERROR_DAMAGED)
      return 105;
    ((char *)state)[STATE_BYTES - 64] ^= 4;
    ((char *)state)[9] ^= 4;
    if (NETWORK_open(state) != NETWORK_ERROR_STATE)
      return 106;
    ((char *)state)[9] ^= 4;
    if (NETWORK_open(state) != 0)
      return 107;
  }
  if (NETWORK_step(state, inputs, targets, BATCH_ROWS + 1, NULL, workspace) != NETWORK_ERROR_ROWS)
    return 108;
  for (i = 0; i < steps; i++) {
    NETWORK_loss loss = {0, 0, 0};
    uint64_t made = NETWORK_steps(state);
    if (fread(inputs, 4, BATCH_ROWS * INPUTS, stdin) != BATCH_ROWS * INPUTS)
      return 109;
    if (fread(targets, 4, BATCH_ROWS * TARGETS, stdin) != BATCH_ROWS * TARGETS)
      return 110;
    memcpy(before, state, STATE_BYTES);
    status = NETWORK_step(state, inputs, targets, BATCH_ROWS, &loss, workspace);
    write_words(&status, 1);
    write_words(&loss, 3);
    if (status != 0 && memcmp(before, state, STATE_BYTES) != 0)
      return 111;
    if (NETWORK_steps(state) != made + (status == 0))
      return 112;
  }
  inputs = (float *)malloc(4 * (size_t)rows * INPUTS + 4);
  if (fread(inputs, 4, (size_t)rows * INPUTS, stdin) != (size_t)rows * INPUTS)
    return 113;
  {
    float *results = (float *)malloc(4 * (size_t)rows * RESULTS + 4);
    place_results(&result, results, (size_t)rows);
    memcpy(before, state, STATE_BYTES);
    status = NETWORK_predict(NULL, inputs, (size_t)rows, &result, state, workspace);
    write_words(&status, 1);
    write_words(results, (size_t)rows * RESULTS);
    if (memcmp(before, state, STATE_BYTES) != 0)
      return 114;
  }
  if (NETWORK_seal(state) != 0 || NETWORK_predict(NULL, inputs, 1, &result, state, workspace) != NETWORK_ERROR_STATE)
    return 115;
  file = fopen(arguments[3], "wb");
  if (!file || fwrite(state, 1, STATE_BYTES, file) != STATE_BYTES || fclose(file) != 0)
    return 116;
  return 0;
}
