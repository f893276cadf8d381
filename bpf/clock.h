/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * When a bind is over, whether or not there is a daemon that ends it (FAIL-10).
 * bpf_jiffies64() is no call: the verifier makes a load of it (Linux 5.6).
 */
#pragma once

#include "maps.h"

static __always_inline bool bind_is_over(const struct rsip_bind *bind)
{
	return rsip_is_over(bind->ends, rsip_tick(bpf_jiffies64()));
}
