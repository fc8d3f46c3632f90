#include "digits.h"
#include <stdio.h>

_Alignas(64) static char workspace[DIGITS_WORKSPACE_BYTES];

int main(void) {
  float image[DIGITS_INPUTS] = {0}, probabilities[DIGITS_OUTPUTS], doubt;
  digits_result result = {.probabilities = probabilities, .mutual_information = &doubt};
  for (int i = 0; i < DIGITS_INPUTS && scanf("%f", &image[i]) == 1; i++) {}
  int status = digits_predict(NULL, image, 1, &result, workspace);
  for (int digit = 0; digit < DIGITS_OUTPUTS; digit++)
    printf("%d: %.3f\n", digit, probabilities[digit]);
  printf("not known: %.3f nats\n", doubt);
  return status;
}
