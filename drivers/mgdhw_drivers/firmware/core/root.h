/* Square root, correctly rounded as IEEE 754 demands. */
#ifndef MG_ROOT_H
#define MG_ROOT_H

/* With integers alone, for processors without an instruction for it. Negative numbers give not-a-number. */
double mg_root_of_integers(double v);

static inline double mg_root(double v) {
#if defined(__SSE2__) || defined(__aarch64__) || (defined(__ARM_FP) && (__ARM_FP & 8))
    return __builtin_sqrt(v); /* one instruction with -fno-math-errno; no library is called */
#else
    return mg_root_of_integers(v);
#endif
}

#endif
