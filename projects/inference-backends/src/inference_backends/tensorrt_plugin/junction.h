/* The end of a residual block in integers: y = clamp(round(ka a + kb b), 0, 127), rounded to even.
 *
 * One source for two compilers. Under NVRTC or nvcc the macros are the GPU's instructions; under a
 * C compiler they are plain C, so that what each thread does is tested where there is no GPU. Both
 * must give the same bits: products and sums are rounded one by one, never fused (compile the C
 * side with -ffp-contract=off).
 *
 * No instruction converts between integers and floats: those run at a fraction of the adders' rate.
 * A byte u put under the exponent of 2^23 is the float 2^23 + u; subtracting 2^23 + 128 leaves the
 * signed value, exactly. And 1.5 * 2^23 added to a small float leaves its nearest integer in the
 * lowest byte.
 */

#if defined(__CUDACC__)
#define EACH static __device__ __forceinline__
#define MUL(a, b) __fmul_rn(a, b)
#define ADD(a, b) __fadd_rn(a, b)
#define BYTES(low, high, pick) __byte_perm(low, high, pick)
#define FLOAT_OF(bits) __uint_as_float(bits)
#define BITS_OF(value) __float_as_uint(value)
#define ADDRESS(pointer) ((unsigned long long)(pointer))
typedef uint4 quad;
#else
#include <math.h>
#include <stdint.h>
#include <string.h>
#define EACH static inline
#define MUL(a, b) ((a) * (b))
#define ADD(a, b) ((a) + (b))
#define ADDRESS(pointer) ((uintptr_t)(pointer))
typedef struct { unsigned int x, y, z, w; } quad;

/* The four bytes that the four digits of `pick` choose among the eight of high:low. */
static inline unsigned int BYTES(unsigned int low, unsigned int high, unsigned int pick) {
    uint64_t both = ((uint64_t)high << 32) | low;
    unsigned int made = 0;
    for (int k = 0; k < 4; ++k) {
        unsigned int digit = (pick >> (4 * k)) & 7u;
        made |= (unsigned int)((both >> (8 * digit)) & 0xffu) << (8 * k);
    }
    return made;
}

static inline float FLOAT_OF(unsigned int bits) {
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

static inline unsigned int BITS_OF(float value) {
    unsigned int bits;
    memcpy(&bits, &value, 4);
    return bits;
}
#endif

enum { PER_THREAD = 16, PER_BLOCK = 256 };

/* The k-th signed byte of a word whose bytes have had 128 added. */
EACH float value_of(unsigned int word, int k) {
    return ADD(FLOAT_OF(BYTES(word, 0x4b000000u, 0x7440u + (unsigned int)k)), -8388736.0f);
}

/* One result, in the lowest byte. */
EACH unsigned int joined(float a, float b, float ka, float kb) {
    float sum = ADD(MUL(a, ka), MUL(b, kb));
    return BITS_OF(ADD(fminf(fmaxf(sum, 0.0f), 127.0f), 12582912.0f));
}

/* Four results from two words of four. */
EACH unsigned int join_word(unsigned int a, unsigned int b, float ka, float kb) {
    unsigned int p = a ^ 0x80808080u, q = b ^ 0x80808080u;
    unsigned int r0 = joined(value_of(p, 0), value_of(q, 0), ka, kb);
    unsigned int r1 = joined(value_of(p, 1), value_of(q, 1), ka, kb);
    unsigned int r2 = joined(value_of(p, 2), value_of(q, 2), ka, kb);
    unsigned int r3 = joined(value_of(p, 3), value_of(q, 3), ka, kb);
    return BYTES(BYTES(r0, r1, 0x0040u), BYTES(r2, r3, 0x0040u), 0x5410u);
}

/* What one thread does: sixteen elements by 128-bit loads and one store, or the last few. */
EACH void join_thread(const signed char *a, const signed char *b, int n, float ka, float kb,
                      signed char *y, long long thread) {
    long long start = PER_THREAD * thread;
    if (start >= n) return;
    int whole = n - start >= PER_THREAD;
    if (whole && ((ADDRESS(a) | ADDRESS(b) | ADDRESS(y)) & 15) == 0) {
        quad p = *(const quad *)(a + start), q = *(const quad *)(b + start), r;
        r.x = join_word(p.x, q.x, ka, kb);
        r.y = join_word(p.y, q.y, ka, kb);
        r.z = join_word(p.z, q.z, ka, kb);
        r.w = join_word(p.w, q.w, ka, kb);
        *(quad *)(y + start) = r;
    } else {
        long long end = whole ? start + PER_THREAD : n;
        for (long long k = start; k < end; ++k)
            y[k] = (signed char)join_word((unsigned char)a[k], (unsigned char)b[k], ka, kb);
    }
}
