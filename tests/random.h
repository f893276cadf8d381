/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * In place of the random numbers of the C library, for programs that link it:
 * arc4random() and its kin give the same numbers after each random_reset().
 */
#pragma once

#include <stdint.h>

void random_reset(uint64_t seed);
