/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whose are the SPIs in packets to a peer? The peer chose them, so no lease
 * knows; ICMP errors about ESP and AH quote nothing else (IN-12). Each packet
 * that leaves compares its entry and writes it only when it is not there: the
 * common case is one load from an array.
 */
#pragma once

#include "demux.h"
#include "maps.h"
#include "packet.h"

static __always_inline struct rsip_outspi_set *outspi_set(__be32 addr, __be32 peer, __be32 spi)
{
	__u32 set = rsip_outspi_set(addr, peer, spi);

	return bpf_map_lookup_elem(&rsip_outspis, &set);
}

static __always_inline __u32 outspi_bind(__u32 slot, bool ah)
{
	return ah ? slot | RSIP_OUTSPI_AH : slot;
}

/* In two words: a reader may see the old target with the new key, whose address will not fit or is healed. */
static __always_inline void outspi_write(struct rsip_outspi *to, const struct rsip_outspi *from)
{
	*(volatile __u32 *)&to->generation = 0;
	barrier();
	to->peer = from->peer;
	to->spi = from->spi;
	to->bind = from->bind;
	barrier();
	*(volatile __u32 *)&to->generation = from->generation;
}

static __always_inline bool outspi_is(const struct rsip_outspi *a, const struct rsip_outspi *b)
{
	return a->spi == b->spi && a->peer == b->peer && a->bind == b->bind && a->generation == b->generation;
}

static __always_inline bool outspi_rivals(const struct rsip_outspi *a, const struct rsip_outspi *b)
{
	return a->spi == b->spi && a->peer == b->peer && !((a->bind ^ b->bind) & RSIP_OUTSPI_AH);
}

/* The packet's SPI is from now on its bind's. */
static __always_inline void outspi_note(const struct packet *p, const struct rsip_target *target)
{
	const struct rsip_outspi now = {
		.peer = p->ip.dst, .spi = p->spi, .bind = outspi_bind(target->bind, p->kind == PACKET_AH),
		.generation = target->generation,
	};
	struct rsip_outspi_set *set = outspi_set(p->ip.src, p->ip.dst, p->spi);
	struct rsip_outspi *place;

	if (!set)
		return;
	place = &set->way[bpf_ntohl(p->spi) & (RSIP_OUTSPI_WAYS - 1)];
#pragma unroll
	for (int i = 0; i < RSIP_OUTSPI_WAYS; i++) {
		if (outspi_is(&set->way[i], &now))
			return;
		if (!set->way[i].generation || outspi_rivals(&set->way[i], &now))
			place = &set->way[i];
	}
	outspi_write(place, &now);
}

/* The bind that sent the quoted packet. */
static __always_inline bool outspi_find(const struct packet *q, struct lease *lease)
{
	struct rsip_outspi_set *set = outspi_set(q->ip.src, q->ip.dst, q->spi);
	bool ah = q->kind == PACKET_AH;

	if (!set)
		return false;
	for (int i = 0; i < RSIP_OUTSPI_WAYS; i++) {
		const struct rsip_outspi *way = &set->way[i];
		struct rsip_target target = { way->bind & ~RSIP_OUTSPI_AH, way->generation };

		if (way->spi == q->spi && way->peer == q->ip.dst && !!(way->bind & RSIP_OUTSPI_AH) == ah &&
		    lease_get(&target, lease) && lease->bind->addr == q->ip.src)
			return true;
	}
	return false;
}
