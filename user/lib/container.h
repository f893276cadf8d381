/* SPDX-License-Identifier: GPL-2.0-only */
/* Structs that carry nodes of tables and wheels. */
#pragma once

#include <stddef.h>

/* The struct of that type whose `member` is at `ptr`. */
#define container_of(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))
