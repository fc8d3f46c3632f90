/* Two models in one program, eight threads, a host that has set another floating-point environment, pages that trap around all memory, and calls
   that are wrong. Prints what is not as it should be, and returns how often. */
#include "first.h"
#include "second.h"
#include <fenv.h>
#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>
#ifdef __x86_64__
#include <xmmintrin.h>
#endif

#define ROWS 37

static int failures = 0;

static void check(int holds, const char *what) {
  if (!holds) {
    printf("%s\n", what);
    failures++;
  }
}

/* Memory between pages that trap: at the end of what may be touched, or at its beginning. */
static void *guarded(size_t bytes, int at_end) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE), pages = (bytes + page - 1) / page;
  char *all = (char *)mmap(NULL, (pages + 2) * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (all == (char *)MAP_FAILED)
    exit(99);
  mprotect(all, page, PROT_NONE);
  mprotect(all + (pages + 1) * page, page, PROT_NONE);
  memset(all + page, 0xa5, pages * page);
  return all + page + (at_end ? pages * page - bytes : 0);
}

static float x[ROWS * FIRST_INPUTS];

typedef struct {
  float probabilities[ROWS * FIRST_OUTPUTS], entropies[3][ROWS];
} answer;

static void ask(answer *a, void *workspace) {
  first_result result;
  first_request request;
  request.seed = 3;
  request.first_row = 1;
  request.first_sample = 0;
  request.samples = 9;
  result.probabilities = a->probabilities;
  result.predictive_entropy = a->entropies[0];
  result.expected_entropy = a->entropies[1];
  result.mutual_information = a->entropies[2];
  check(first_predict(&request, x, ROWS, &result, workspace) == FIRST_OK, "predict");
}

static answer expected;

static void *thread(void *unused) {
  int i;
  void *workspace = guarded(FIRST_WORKSPACE_BYTES, 1);
  for (i = 0; i < 20; i++) {
    answer mine;
    ask(&mine, workspace);
    if (memcmp(&mine, &expected, sizeof mine))
      return workspace;
  }
  return unused;
}

static void threads(void) {
  pthread_t all[8];
  int i;
  for (i = 0; i < 8; i++)
    check(pthread_create(&all[i], NULL, thread, NULL) == 0, "pthread_create");
  for (i = 0; i < 8; i++) {
    void *differs;
    pthread_join(all[i], &differs);
    check(differs == NULL, "a thread had other bits");
  }
}

static void environments(void *workspace) {
  static const int roundings[] = {FE_DOWNWARD, FE_UPWARD, FE_TOWARDZERO};
  int i;
  for (i = 0; i < 3; i++) {
    answer mine;
    volatile float one = 1, three = 3;
    fesetround(roundings[i]);
    feclearexcept(FE_ALL_EXCEPT);
    feraiseexcept(FE_DIVBYZERO);
#ifdef __x86_64__
    _mm_setcsr(_mm_getcsr() | 0x8040);
#endif
    ask(&mine, workspace);
    check(memcmp(&mine, &expected, sizeof mine) == 0, "bits depend on the host's environment");
    check(fegetround() == roundings[i], "the rounding mode was not restored");
    check(fetestexcept(FE_ALL_EXCEPT) == FE_DIVBYZERO, "flags were not restored");
#ifdef __x86_64__
    check((_mm_getcsr() & 0x8040) == 0x8040, "flushing was not restored");
    _mm_setcsr(_mm_getcsr() & ~0x8040u);
#endif
    one = one / three;
    fesetround(FE_TONEAREST);
    check(first_self_test(workspace) == FIRST_OK, "self-test");
  }
}

/* A stack as large as the header says, and what this function itself takes. */
static ucontext_t outside, inside;
static char *stacked_workspace;
static answer stacked;

static void on_small_stack(void) {
  ask(&stacked, stacked_workspace);
}

static void stacks(char *workspace) {
  size_t own = 1024, bytes = (FIRST_STACK_BYTES + own + 15) / 16 * 16;
  stacked_workspace = workspace;
  check(getcontext(&inside) == 0, "getcontext");
  inside.uc_stack.ss_sp = guarded(bytes, 0);
  inside.uc_stack.ss_size = bytes;
  inside.uc_link = &outside;
  makecontext(&inside, on_small_stack, 0);
  check(swapcontext(&outside, &inside) == 0, "swapcontext");
  check(memcmp(&stacked, &expected, sizeof stacked) == 0, "other bits on a small stack");
}

/* Results and inputs that end, or begin, where memory does. */
static void borders(void) {
  int at_end;
  for (at_end = 0; at_end < 2; at_end++) {
    void *workspace = guarded(FIRST_WORKSPACE_BYTES, at_end);
    size_t sizes[4] = {sizeof expected.probabilities, sizeof expected.entropies[0], 0, 0};
    float *inputs = (float *)guarded(sizeof x, at_end), *results[2];
    first_request request = {3, 1, 0, 9};
    first_result result;
    memcpy(inputs, x, sizeof x);
    results[0] = (float *)guarded(sizes[0], at_end);
    results[1] = (float *)guarded(sizes[1], at_end);
    memset(&result, 0, sizeof result);
    result.probabilities = results[0];
    result.mutual_information = results[1];
    check(first_predict(&request, inputs, ROWS, &result, workspace) == FIRST_OK, "predict at a border");
    check(memcmp(results[0], expected.probabilities, sizes[0]) == 0, "other bits at a border");
    check(memcmp(results[1], expected.entropies[2], sizes[1]) == 0, "other bits at a border");
  }
}

static void wrong(char *workspace) {
  answer kept, mine;
  first_result result, none;
  first_request request = {3, 1, 0, 9};
  uint32_t least = 1;
  float large = 0, y[ROWS * FIRST_INPUTS];
  memset(&none, 0, sizeof none);
  memset(&kept, 0x5a, sizeof kept);
  mine = kept;
  result.probabilities = mine.probabilities;
  result.predictive_entropy = mine.entropies[0];
  result.expected_entropy = mine.entropies[1];
  result.mutual_information = mine.entropies[2];
  check(first_predict(&request, NULL, 1, &result, workspace) == FIRST_ERROR_NULL, "no inputs");
  check(first_predict(&request, x, 1, NULL, workspace) == FIRST_ERROR_NULL, "no result");
  check(first_predict(&request, x, 1, &result, NULL) == FIRST_ERROR_NULL, "no workspace");
  check(first_predict(&request, x, 1, &result, workspace + 4) == FIRST_ERROR_MISALIGNED, "a workspace that is not aligned");
  check(first_predict(&request, x, SIZE_MAX, &result, workspace) == FIRST_ERROR_ROWS, "too many rows");
  check(first_predict(&request, NULL, 0, &result, workspace) == FIRST_OK, "no rows");
  check(first_predict(&request, x, ROWS, &none, workspace) == FIRST_OK, "nothing asked");
  request.samples = 0;
  check(first_predict(&request, x, 1, &result, workspace) == FIRST_ERROR_SAMPLES, "no samples");
  request.samples = 2;
  request.first_sample = UINT32_MAX;
  check(first_predict(&request, x, 1, &result, workspace) == FIRST_ERROR_SAMPLES, "samples beyond 2^32");
  request.first_sample = 0;
  memcpy(y, x, sizeof y);
  y[ROWS * FIRST_INPUTS - 1] = NAN;
  check(first_predict(&request, y, ROWS, &result, workspace) == FIRST_ERROR_NOT_FINITE_INPUT, "not a number");
  y[ROWS * FIRST_INPUTS - 1] = 0;
  y[2] = -INFINITY;
  check(first_predict(&request, y, ROWS, &result, workspace) == FIRST_ERROR_NOT_FINITE_INPUT, "infinite");
  memcpy(&large, &least, 4);
  y[2] = large;
  check(first_predict(&request, y, ROWS, &none, workspace) == FIRST_OK, "a denormal input");
  if (FIRST_LARGEST_INPUT < 1e38f) {
    y[2] = FIRST_LARGEST_INPUT * 2;
    check(first_predict(&request, y, ROWS, &result, workspace) == FIRST_ERROR_LARGE_INPUT, "a large input");
  }
  check(memcmp(&mine, &kept, sizeof mine) == 0, "something was written");
}

static void pieces(char *workspace) {
  char *state = (char *)guarded(FIRST_STATE_BYTES(ROWS), 1);
  answer mine;
  first_result result;
  first_request request = {3, 1, 0, 9};
  result.probabilities = mine.probabilities;
  result.predictive_entropy = mine.entropies[0];
  result.expected_entropy = mine.entropies[1];
  result.mutual_information = mine.entropies[2];
  check(first_add(1, x, ROWS, state, workspace) == FIRST_ERROR_UNINITIALISED, "a state that was not begun");
  check(first_begin(&request, ROWS, state + 8) == FIRST_ERROR_MISALIGNED, "a state that is not aligned");
  check(first_begin(&request, ROWS, state) == FIRST_OK, "begin");
  check(first_finish(&result, state, workspace) == FIRST_ERROR_SAMPLES, "nothing was added");
  check(first_add(4, x, ROWS - 1, state, workspace) == FIRST_ERROR_ROWS, "other rows");
  check(first_add(4, x, ROWS, state, workspace) == FIRST_OK, "add");
  check(first_finish(&result, state, workspace) == FIRST_OK, "an answer meanwhile");
  check(first_add(5, x, ROWS, state, workspace) == FIRST_OK, "add");
  check(first_finish(&result, state, workspace) == FIRST_OK, "finish");
  check(memcmp(&mine, &expected, sizeof mine) == 0, "pieces gave other bits");
}

int main(void) {
  int i;
  char *workspace = (char *)guarded(FIRST_WORKSPACE_BYTES, 1), *other = (char *)guarded(SECOND_WORKSPACE_BYTES, 1);
  for (i = 0; i < ROWS * FIRST_INPUTS; i++)
    x[i] = (float)(i * 37 % 101) / 50 - 1;
  ask(&expected, workspace);
  check(first_self_test(workspace) == FIRST_OK && second_self_test(other) == SECOND_OK, "self-test");
  check(first_info()->inputs == FIRST_INPUTS && first_info()->abi == FIRST_ABI, "info");
  check(strcmp(second_info()->name, "second") == 0 && strlen(second_info()->digest) == 64, "info of the second");
  check(strcmp(first_info()->input_names, "") == 0, "names of the first");
  check(strcmp(second_info()->input_names, "x [m]\ny [m]\nheading") == 0, "names of the second's inputs");
  check(strcmp(second_info()->output_names, "steering\nspeed [m/s]") == 0, "names of the second's outputs");
  stacks(workspace);
  environments(workspace);
  borders();
  wrong(workspace);
  pieces(workspace);
  threads();
  return failures;
}
