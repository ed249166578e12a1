/* Time the kernels of a build on the machine itself: a line of JSON for each.

     timing BUILD [SECONDS]
*/
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernels.h"

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + 1e-9 * t.tv_nsec;
}

/* The sizes fit into a first-level cache of 32 KiB. */
enum { N = 4096, SIDE = 8, CHANNELS = 32 };

static void tell(const char *build, const char *kernel, double macs, double seconds, long calls)
{
    printf("{\"build\": \"%s\", \"kernel\": \"%s\", \"macs\": %.0f, \"seconds\": %.9g}\n", build,
           kernel, macs, seconds / calls);
}

static int run_timing(const char *build, double wanted)
{
    static int8_t values[N], weights[N], image[(SIDE + 2) * (SIDE + 2) * CHANNELS];
    static int32_t sums[SIDE * SIDE * CHANNELS];
    volatile int32_t sink = 0;
    for (int i = 0; i < N; i++) {
        values[i] = (int8_t)(i * 37);
        weights[i] = (int8_t)(i * 11 % 255 - 127);
    }
    memcpy(image, values, sizeof image);
    double start = now(), passed;
    long calls = 0;
    do {
        for (int k = 0; k < 100; k++)
            sink += dot(values, weights, N);
        calls += 100;
    } while ((passed = now() - start) < wanted);
    tell(build, "dot", N, passed, calls);
    start = now();
    calls = 0;
    do {
        for (int k = 0; k < 100; k++) {
            depthwise(image, weights, sums, SIDE, SIDE, CHANNELS);
            sink += sums[k];
        }
        calls += 100;
    } while ((passed = now() - start) < wanted);
    tell(build, "depthwise", 9.0 * SIDE * SIDE * CHANNELS, passed, calls);
    return 0;
}

int main(int count, char **words)
{
    if (count >= 2)
        return run_timing(words[1], count > 2 ? atof(words[2]) : 0.5);
    fprintf(stderr, "timing BUILD [SECONDS]\n");
    return 2;
}
