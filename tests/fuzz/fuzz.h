/* What every fuzz target offers: libFuzzer calls it, and so does replay.c for the corpus in a plain build. */
#ifndef FULFILLD_TESTS_FUZZ_FUZZ_H
#define FULFILLD_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/** Tries one input; aborts when something is wrong. The name is libFuzzer's. Always 0. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

#endif
