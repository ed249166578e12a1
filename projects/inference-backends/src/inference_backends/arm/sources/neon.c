/* NEON as every 64-bit ARM core has it: 8-bit products in 16 bits, two of them added there, and the
   pair widened to 32 bits. */
#include <arm_neon.h>

#include "kernels.h"

static inline int32x4_t add_16(int32x4_t sum, int8x16_t a, int8x16_t b)
{
    int16x8_t pair = vmull_s8(vget_low_s8(a), vget_low_s8(b));
    return vpadalq_s16(sum, vmlal_high_s8(pair, a, b));
}

int32_t dot(const int8_t *values, const int8_t *weights, int n)
{
    int32x4_t sums[4] = {0};
    int i = 0;
    for (; i + 64 <= n; i += 64)
#pragma GCC unroll 4
        for (int k = 0; k < 4; k++)
            sums[k] = add_16(sums[k], vld1q_s8(values + i + 16 * k), vld1q_s8(weights + i + 16 * k));
    int32_t sum = vaddvq_s32(vaddq_s32(vaddq_s32(sums[0], sums[1]), vaddq_s32(sums[2], sums[3])));
    for (; i < n; i++)
        sum += values[i] * weights[i];
    return sum;
}

void depthwise(const int8_t *image, const int8_t *weights, int32_t *sums, int height, int width,
               int channels)
{
    long row = (long)(width + 2) * channels;
    for (int block = 0; block < channels; block += 16) {
        int8x16_t w[9];
        for (int k = 0; k < 9; k++)
            w[k] = vld1q_s8(weights + k * channels + block);
        for (int y = 0; y < height; y++) {
            const int8_t *from = image + y * row + block;
            int32_t *to = sums + (long)y * width * channels + block;
            for (int x = 0; x < width; x++, from += channels, to += channels) {
                int32x4_t s[4] = {0};
#pragma GCC unroll 9
                for (int k = 0; k < 9; k += 2) {
                    int8x16_t a = vld1q_s8(from + (k / 3) * row + (k % 3) * channels);
                    int16x8_t low = vmull_s8(vget_low_s8(a), vget_low_s8(w[k]));
                    int16x8_t high = vmull_high_s8(a, w[k]);
                    if (k < 8) {
                        int8x16_t b = vld1q_s8(from + ((k + 1) / 3) * row + ((k + 1) % 3) * channels);
                        low = vmlal_s8(low, vget_low_s8(b), vget_low_s8(w[k + 1]));
                        high = vmlal_high_s8(high, b, w[k + 1]);
                    }
                    s[0] = vaddw_s16(s[0], vget_low_s16(low));
                    s[1] = vaddw_high_s16(s[1], low);
                    s[2] = vaddw_s16(s[2], vget_low_s16(high));
                    s[3] = vaddw_high_s16(s[3], high);
                }
                for (int k = 0; k < 4; k++)
                    vst1q_s32(to + 4 * k, s[k]);
            }
        }
    }
}
