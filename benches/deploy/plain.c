/* What somebody would write by hand: a network of three layers as plain loops, its weights in read-only data.
   Compiled with -DINPUTS=.. -DHIDDEN=.. -DOUTPUTS=.. and -DSAMPLES=.. (0: the means of the weights alone). */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "weights.h" /* float mean_1[INPUTS][HIDDEN], variance_1.., bias_1[HIDDEN], and so on */

/* y = x W, a row of W at a time, so that compilers make vectors of it. */
static void product(const float *x, const float *w, int inputs, int outputs, float *restrict y) {
  memset(y, 0, (size_t)outputs * sizeof *y);
  for (int i = 0; i < inputs; i++)
    for (int o = 0; o < outputs; o++)
      y[o] += x[i] * w[i * outputs + o];
}

static void softmax(const float *x, float *p) {
  float most = x[0], sum = 0;
  for (int o = 1; o < OUTPUTS; o++)
    most = x[o] > most ? x[o] : most;
  for (int o = 0; o < OUTPUTS; o++)
    sum += p[o] = expf(x[o] - most);
  for (int o = 0; o < OUTPUTS; o++)
    p[o] /= sum;
}

#if SAMPLES == 0
static void layer(const float *x, const float *w, const float *bias, int inputs, int outputs, int relu, float *y) {
  product(x, w, inputs, outputs, y);
  for (int o = 0; o < outputs; o++) {
    y[o] += bias[o];
    if (relu)
      y[o] = y[o] > 0 ? y[o] : 0;
  }
}

void plain_predict(const float *x, float *probabilities) {
  static _Thread_local float a[HIDDEN], b[HIDDEN], c[OUTPUTS];
  layer(x, mean_1[0], bias_1, INPUTS, HIDDEN, 1, a);
  layer(a, mean_2[0], bias_2, HIDDEN, HIDDEN, 1, b);
  layer(b, mean_3[0], bias_3, HIDDEN, OUTPUTS, 0, c);
  softmax(c, probabilities);
}
#else
/* Threefry with two words and twenty rounds, and normal numbers by Box and Muller. */
static void threefry(uint32_t k0, uint32_t k1, uint32_t c0, uint32_t c1, uint32_t out[2]) {
  static const int rotations[8] = {13, 15, 26, 6, 17, 29, 16, 24};
  uint32_t keys[3] = {k0, k1, k0 ^ k1 ^ 0x1bd11bdau}, x = c0 + k0, y = c1 + k1;
  for (int round = 0; round < 20; round++) {
    int by = rotations[round % 8];
    x += y;
    y = (y << by) | (y >> (32 - by));
    y ^= x;
    if (round % 4 == 3) {
      int group = round / 4 + 1;
      x += keys[group % 3];
      y += keys[(group + 1) % 3] + (uint32_t)group;
    }
  }
  out[0] = x;
  out[1] = y;
}

static void noise(uint32_t layer, uint32_t sample, int count, float *z) {
  for (int i = 0; i < count; i += 2) {
    uint32_t words[2];
    threefry(layer, sample, 0, (uint32_t)i, words);
    float radius = sqrtf(-2 * logf(((float)(words[0] >> 8) + 1) * (1.0f / 16777216)));
    float angle = (float)(words[1] >> 8) * (6.2831853f / 16777216);
    z[i] = radius * cosf(angle);
    z[i + 1] = radius * sinf(angle);
  }
}

static void sampled(const float *mean, const float *variance, const float *bias, uint32_t number, uint32_t sample,
                    int outputs, int relu, float *y) {
  static _Thread_local float z[HIDDEN + OUTPUTS];
  noise(number, sample, outputs, z);
  for (int o = 0; o < outputs; o++) {
    y[o] = mean[o] + sqrtf(variance[o]) * z[o] + bias[o];
    if (relu)
      y[o] = y[o] > 0 ? y[o] : 0;
  }
}

static void moments(const float *x, const float *m, const float *v, int inputs, int outputs, float *mean, float *variance) {
  static _Thread_local float squares[INPUTS + HIDDEN];
  for (int i = 0; i < inputs; i++)
    squares[i] = x[i] * x[i];
  product(x, m, inputs, outputs, mean);
  product(squares, v, inputs, outputs, variance);
}

static float entropy(const float *p) {
  float sum = 0;
  for (int o = 0; o < OUTPUTS; o++)
    sum -= p[o] > 0 ? p[o] * logf(p[o]) : 0;
  return sum;
}

/* The first layer's moments are those of all samples. */
void plain_predict(const float *x, float *probabilities) {
  static _Thread_local float m1[HIDDEN], v1[HIDDEN], m[HIDDEN + OUTPUTS], v[HIDDEN + OUTPUTS];
  static _Thread_local float a[HIDDEN], b[HIDDEN], c[OUTPUTS], p[OUTPUTS];
  float expected = 0;
  moments(x, mean_1[0], variance_1[0], INPUTS, HIDDEN, m1, v1);
  memset(probabilities, 0, OUTPUTS * sizeof *probabilities);
  for (uint32_t sample = 0; sample < SAMPLES; sample++) {
    sampled(m1, v1, bias_1, 1, sample, HIDDEN, 1, a);
    moments(a, mean_2[0], variance_2[0], HIDDEN, HIDDEN, m, v);
    sampled(m, v, bias_2, 2, sample, HIDDEN, 1, b);
    moments(b, mean_3[0], variance_3[0], HIDDEN, OUTPUTS, m, v);
    sampled(m, v, bias_3, 3, sample, OUTPUTS, 0, c);
    softmax(c, p);
    for (int o = 0; o < OUTPUTS; o++)
      probabilities[o] += p[o];
    expected += entropy(p);
  }
  for (int o = 0; o < OUTPUTS; o++)
    probabilities[o] /= SAMPLES;
  probabilities[OUTPUTS] = entropy(probabilities);
  probabilities[OUTPUTS + 1] = expected / SAMPLES;
}
#endif
