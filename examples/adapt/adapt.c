/* Reads a stream of digits and goes on learning: `adapt STATE` begins with the state of that file, if there is
   one, and leaves it there. The standard input has the number of batches, then each batch, its pixels and its
   labels, then a number of further digits, which are not learned, with their labels. It writes for each batch how
   many digits it read right before it learned them, and the bits of the loss; then how many of the further ones it
   read right. */
#include "digits.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = DIGITS_BATCH_ROWS, PIXELS = DIGITS_INPUTS, CLASSES = DIGITS_OUTPUTS };

/* All that it needs: nothing is allocated. */
static uint8_t state_memory[DIGITS_STATE_BYTES + DIGITS_STATE_ALIGN];
static uint8_t workspace_memory[DIGITS_WORKSPACE_BYTES + DIGITS_WORKSPACE_ALIGN];
static float pixels[ROWS * PIXELS], probabilities[ROWS * CLASSES];
static uint32_t labels[ROWS];

static void *aligned(uint8_t *memory) { return memory + (DIGITS_STATE_ALIGN - (size_t)memory % DIGITS_STATE_ALIGN); }

static void check(int status)
{
  if (status != DIGITS_OK) {
    fprintf(stderr, "status %d\n", status);
    exit(1);
  }
}

static void read_all(void *to, size_t bytes, FILE *file)
{
  if (fread(to, 1, bytes, file) != bytes) {
    fprintf(stderr, "the input ends too soon\n");
    exit(1);
  }
}

/* Reads `rows` digits with their labels, and tells how many of them it would have named right. */
static int read_right(size_t rows, const void *state, void *workspace)
{
  digits_result result = {0};
  size_t row, class;
  int right = 0;
  read_all(pixels, 4 * rows * PIXELS, stdin);
  read_all(labels, 4 * rows, stdin);
  result.probabilities = probabilities;
  check(digits_predict(NULL, pixels, rows, &result, state, workspace));
  for (row = 0; row < rows; row++) {
    const float *of = probabilities + row * CLASSES;
    size_t best = 0;
    for (class = 1; class < CLASSES; class++)
      best = of[class] > of[best] ? class : best;
    right += best == labels[row];
  }
  return right;
}

int main(int count, char **arguments)
{
  void *state = aligned(state_memory), *workspace = aligned(workspace_memory);
  uint32_t batches, others;
  int right = 0;
  FILE *file;
  if (count != 2)
    return 2;
  file = fopen(arguments[1], "rb");
  if (file) {
    /* what was learned before: a state of another network, or a damaged one, is refused */
    read_all(state, DIGITS_STATE_BYTES, file);
    fclose(file);
    check(digits_open(state));
  } else {
    check(digits_start(state));
  }
  for (read_all(&batches, 4, stdin); batches > 0; batches--) {
    digits_loss loss;
    uint32_t bits;
    right = read_right(ROWS, state, workspace);
    check(digits_step(state, pixels, labels, ROWS, &loss, workspace));
    memcpy(&bits, &loss.loss, 4);
    printf("%d %lx\n", right, (unsigned long)bits);
  }
  right = 0;
  for (read_all(&others, 4, stdin); others > 0; others--)
    right += read_right(1, state, workspace);
  printf("%d\n", right);
  check(digits_seal(state));
  file = fopen(arguments[1], "wb");
  return !file || fwrite(state, 1, DIGITS_STATE_BYTES, file) != DIGITS_STATE_BYTES || fclose(file) != 0;
}
