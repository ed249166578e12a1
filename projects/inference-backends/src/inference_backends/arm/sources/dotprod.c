/* The dot-product extension of ARMv8.2: an instruction adds four neighbouring 8-bit products to each
   of four 32-bit sums, 16 multiplications at once. */
#include <arm_neon.h>

#include "kernels.h"

int32_t dot(const int8_t *values, const int8_t *weights, int n)
{
    int32x4_t sums[4] = {0};
    int i = 0;
    for (; i + 64 <= n; i += 64)
#pragma GCC unroll 4
        for (int k = 0; k < 4; k++)
            sums[k] = vdotq_s32(sums[k], vld1q_s8(values + i + 16 * k), vld1q_s8(weights + i + 16 * k));
    int32_t sum = vaddvq_s32(vaddq_s32(vaddq_s32(sums[0], sums[1]), vaddq_s32(sums[2], sums[3])));
    for (; i < n; i++)
        sum += values[i] * weights[i];
    return sum;
}

/* A column of three pixels of 16 channels, so turned that the three values of a channel (and a zero)
   are neighbours: four vectors of four channels. */
typedef struct {
    int8x16_t part[4];
} column;

static inline column turn(const int8_t *from, long row)
{
    int8x16_t a = vld1q_s8(from), b = vld1q_s8(from + row), c = vld1q_s8(from + 2 * row);
    int8x16_t zero = vdupq_n_s8(0);
    int16x8_t ab_low = vreinterpretq_s16_s8(vzip1q_s8(a, b));
    int16x8_t ab_high = vreinterpretq_s16_s8(vzip2q_s8(a, b));
    int16x8_t c_low = vreinterpretq_s16_s8(vzip1q_s8(c, zero));
    int16x8_t c_high = vreinterpretq_s16_s8(vzip2q_s8(c, zero));
    return (column){{
        vreinterpretq_s8_s16(vzip1q_s16(ab_low, c_low)),
        vreinterpretq_s8_s16(vzip2q_s16(ab_low, c_low)),
        vreinterpretq_s8_s16(vzip1q_s16(ab_high, c_high)),
        vreinterpretq_s8_s16(vzip2q_s16(ab_high, c_high)),
    }};
}

static inline void put(int32_t *to, column left, column middle, column right, const column *w)
{
    for (int k = 0; k < 4; k++) {
        int32x4_t sum = vdotq_s32(vdupq_n_s32(0), left.part[k], w[0].part[k]);
        sum = vdotq_s32(sum, middle.part[k], w[1].part[k]);
        vst1q_s32(to + 4 * k, vdotq_s32(sum, right.part[k], w[2].part[k]));
    }
}

/* Each column is turned once and serves the three pixels that it is beside. */
void depthwise(const int8_t *image, const int8_t *weights, int32_t *sums, int height, int width,
               int channels)
{
    long row = (long)(width + 2) * channels, next = channels;
    for (int block = 0; block < channels; block += 16) {
        column w[3];
        for (int k = 0; k < 3; k++)
            w[k] = turn(weights + k * next + block, 3 * next);
        for (int y = 0; y < height; y++) {
            const int8_t *from = image + y * row + block;
            int32_t *to = sums + (long)y * width * channels + block;
            column a = turn(from, row), b = turn(from + next, row), c;
            from += 2 * next;
            int x = 0;
            for (; x + 3 <= width; x += 3, from += 3 * next, to += 3 * next) {
                put(to, a, b, c = turn(from, row), w);
                put(to + next, b, c, a = turn(from + next, row), w);
                put(to + 2 * next, c, a, b = turn(from + 2 * next, row), w);
            }
            for (; x < width; x++, from += next, to += next) {
                put(to, a, b, c = turn(from, row), w);
                a = b;
                b = c;
            }
        }
    }
}
