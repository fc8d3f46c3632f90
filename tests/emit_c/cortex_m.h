/* A bare Cortex-M under an emulator, without any library: where it starts, files by semihosting, how much of the
   stack was used, and how many instructions were run. */
#include <stdint.h>

struct vector_table {
  void *stack;
  void (*reset)(void);
};

extern uint32_t stack_limit[], stack_top[];
void reset(void);

const struct vector_table vectors __attribute__((section(".vectors"), used)) = {stack_top, reset};

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

/* The processor as programs have it: floating point on, the stack painted, the clock running. */
static inline __attribute__((always_inline)) void begin(void)
{
  uint32_t *at;
  /* floating point on */
  *(volatile uint32_t *)0xe000ed88u |= 0xfu << 20;
  __asm__ __volatile__("dsb\n\tisb" : : : "memory");
  /* what is not used yet */
  for (at = stack_limit; (uint32_t)at < (uint32_t)__builtin_frame_address(0) - 256u; at++)
    *(volatile uint32_t *)at = 0xa5a5a5a5u;
  SYSTICK[1] = 0xffffffu;
  SYSTICK[0] = 5u;
}

/* The bytes of the stack that were used. */
static uint32_t stack_used(void)
{
  uint32_t *at = stack_limit;
  while (*(volatile uint32_t *)at == 0xa5a5a5a5u)
    at++;
  return (uint32_t)stack_top - (uint32_t)at;
}

static uint32_t now(void)
{
  SYSTICK[2] = 0;
  return SYSTICK[2];
}

/* The instructions since then: fewer than 2^24 ticks have passed. */
static uint32_t instructions_since(uint32_t then)
{
  return ((then - SYSTICK[2]) & 0xffffffu) * INSTRUCTIONS_PER_TICK;
}
