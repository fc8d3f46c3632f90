/* Answers for the rows of the file `inputs`, one after the other, and writes the bits to the file `results`: on a bare Cortex-M, without any library.
   Files are the emulator's, by semihosting. The last words are how much of the stack was used, and the instructions of the last call. */
#include NETWORK_H

struct vector_table {
  void *stack;
  void (*reset)(void);
};

extern uint32_t stack_limit[], stack_top[];
void reset(void);

const struct vector_table vectors __attribute__((section(".vectors"), used)) = {stack_top, reset};

static uint8_t workspace[WORKSPACE_BYTES] __attribute__((aligned(64)));
static float inputs[INPUTS];
static float results[RESULTS];

static int ask(int operation, void *arguments)
{
  register int r0 __asm__("r0") = operation;
  register void *r1 __asm__("r1") = arguments;
  __asm__ __volatile__("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}

static int open_file(const char *name, uint32_t length, uint32_t mode)
{
  uint32_t arguments[3] = {(uint32_t)name, mode, length};
  return ask(1, arguments);
}

/* How many bytes were not read or written. */
static int transfer(int operation, int file, void *memory, uint32_t bytes)
{
  uint32_t arguments[3] = {(uint32_t)file, (uint32_t)memory, bytes};
  return ask(operation, arguments);
}

static void leave(uint32_t status)
{
  /* application exit */
  uint32_t arguments[2] = {0x20026u, status};
  ask(0x20, arguments);
  for (;;) {
  }
}

#define SYSTICK ((volatile uint32_t *)0xe000e010u)
/* The emulator counts an instruction as a nanosecond; the clock has 25 MHz. */
#define INSTRUCTIONS_PER_TICK 40u

void reset(void)
{
  int from, to, status = 0;
  uint32_t *at, used[2], begun;
  uint64_t row;
  NETWORK_request request = {SEED, 0, 0, SAMPLES};
  NETWORK_result result;
  /* floating point on */
  *(volatile uint32_t *)0xe000ed88u |= 0xfu << 20;
  __asm__ __volatile__("dsb\n\tisb" : : : "memory");
  /* what is not used yet */
  for (at = stack_limit; (uint32_t)at < (uint32_t)__builtin_frame_address(0) - 256u; at++)
    *(volatile uint32_t *)at = 0xa5a5a5a5u;
  SYSTICK[1] = 0xffffffu;
  SYSTICK[0] = 5u;
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
    SYSTICK[2] = 0;
    begun = SYSTICK[2];
    status = NETWORK_predict(&request, inputs, 1, &result, workspace);
    used[1] = ((begun - SYSTICK[2]) & 0xffffffu) * INSTRUCTIONS_PER_TICK;
    if (status)
      leave(150u + (uint32_t)status);
    if (transfer(5, to, results, sizeof results))
      leave(101);
  }
  for (at = stack_limit; *(volatile uint32_t *)at == 0xa5a5a5a5u; at++) {
  }
  used[0] = (uint32_t)stack_top - (uint32_t)at;
  if (transfer(5, to, used, sizeof used))
    leave(102);
  leave(0);
}
