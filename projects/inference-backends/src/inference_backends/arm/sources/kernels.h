/* Two kernels of a network in 8-bit integers; each build has its own way to compute them. */
#ifndef KERNELS_H
#define KERNELS_H

#include <stdint.h>

/* The sum of values[i] * weights[i] over n. Weights are -127 to 127, as symmetric quantizers give
   them: then two products fit into 16 bits. */
int32_t dot(const int8_t *values, const int8_t *weights, int n);

/* Each channel of an image by its own 3x3 filter, in steps of one pixel.
   image: (height + 2, width + 2, channels), with its border; weights: (3, 3, channels), -127 to
   127; sums: (height, width, channels). channels is a multiple of 16. */
void depthwise(const int8_t *image, const int8_t *weights, int32_t *sums, int height, int width,
               int channels);

#endif
