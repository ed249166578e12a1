/* As one writes it down. The build decides whether the compiler may turn it into vectors. */
#include "kernels.h"

int32_t dot(const int8_t *restrict values, const int8_t *restrict weights, int n)
{
    int32_t sum = 0;
    for (int i = 0; i < n; i++)
        sum += values[i] * weights[i];
    return sum;
}

void depthwise(const int8_t *restrict image, const int8_t *restrict weights, int32_t *restrict sums,
               int height, int width, int channels)
{
    long row = (long)(width + 2) * channels;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            const int8_t *from = image + y * row + (long)x * channels;
            int32_t *to = sums + ((long)y * width + x) * channels;
            for (int c = 0; c < channels; c++) {
                int32_t sum = 0;
#pragma GCC unroll 3
                for (int i = 0; i < 3; i++)
#pragma GCC unroll 3
                    for (int j = 0; j < 3; j++)
                        sum += from[i * row + j * channels + c] * weights[(3 * i + j) * channels + c];
                to[c] = sum;
            }
        }
}
