// SPDX-License-Identifier: GPL-2.0-only
/* The two XDP programs. Each reads as the story of a packet; the steps are in the headers. */
#include "maps.h"
#include "stats.h"

SEC("xdp")
int rsip_public(struct xdp_md *ctx)
{
	return finish(RSIP_IN_PASS, ctx->data_end - ctx->data);
}

SEC("xdp")
int rsip_private(struct xdp_md *ctx)
{
	return finish(RSIP_OUT_PASS, ctx->data_end - ctx->data);
}

char LICENSE[] SEC("license") = "GPL";
