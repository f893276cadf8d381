/* SPDX-License-Identifier: GPL-2.0-only */
/* What makes a loaded BPF program another one than the next. */
#pragma once

#include <stdbool.h>

#include <linux/types.h>

/* Whether `program`, a descriptor, and the program with that id have the same instructions, constants
 * and maps: there is nothing to replace. False also if one of them cannot be asked. */
bool identity_same(int program, __u32 id);
