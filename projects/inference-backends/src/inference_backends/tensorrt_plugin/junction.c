#include "junction.h"

/* The threads of so many blocks, one after the other: what the GPU is asked for, here. */
#if defined(_WIN32)
__declspec(dllexport)
#endif
void junction(const signed char *a, const signed char *b, int n, int ka_bits, int kb_bits,
              signed char *y, int blocks) {
    float ka = FLOAT_OF((unsigned int)ka_bits), kb = FLOAT_OF((unsigned int)kb_bits);
    for (long long thread = 0; thread < (long long)blocks * PER_BLOCK; ++thread)
        join_thread(a, b, n, ka, kb, y, thread);
}
