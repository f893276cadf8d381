/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whose are the SPIs in packets to a peer? The peer chose them, so no lease
 * knows. Who sent with one before may send again without a look at the grants;
 * and ICMP errors about ESP and AH quote nothing else (IN-12). A packet that
 * finds its entry writes nothing: the common case is one load from an array.
 */
#pragma once

#include "demux.h"
#include "maps.h"
#include "packet.h"

/* Of the map, as it was made. */
const volatile __u32 outspi_sets = RSIP_OUTSPI_SETS;

static __always_inline struct rsip_outspi_set *outspi_set(const struct packet *p)
{
	__u32 set = rsip_outspi_set(p->ip.src, p->ip.dst, p->spi, outspi_sets);

	return bpf_map_lookup_elem(&rsip_outspis, &set);
}

static __always_inline __u32 outspi_ah(const struct packet *p)
{
	return p->kind == PACKET_AH ? RSIP_OUTSPI_AH : 0;
}

/* The entry of the packet's SPI. NULL: none. */
static __always_inline struct rsip_outspi *outspi_way(struct rsip_outspi_set *set, const struct packet *p)
{
#pragma unroll
	for (int i = 0; i < RSIP_OUTSPI_WAYS; i++) {
		struct rsip_outspi *way = &set->way[i];

		if (way->spi == p->spi && way->peer == p->ip.dst && (way->bind & RSIP_OUTSPI_AH) == outspi_ah(p))
			return way;
	}
	return NULL;
}

/* The bind that last sent with the SPI of this packet, or of one that is quoted, if it lasts. */
static __always_inline bool outspi_find(const struct packet *p, struct lease *lease)
{
	struct rsip_outspi_set *set = outspi_set(p);
	struct rsip_outspi *way = set ? outspi_way(set, p) : NULL;
	struct rsip_target target;

	if (!way)
		return false;
	target = (struct rsip_target){ way->bind & ~RSIP_OUTSPI_AH, way->generation };
	return lease_of(target, lease) && lease->bind->addr == p->ip.src;
}

/*
 * Field by field: a reader may see one bind under the key of another, or half of
 * each. So it looks at the bind itself: whose it is, and whether its address fits.
 */
static __always_inline void outspi_write(struct rsip_outspi *way, const struct packet *p,
					 const struct rsip_target *target)
{
	*(volatile __u32 *)&way->generation = 0;
	barrier();
	way->peer = p->ip.dst;
	way->spi = p->spi;
	way->bind = target->bind | outspi_ah(p);
	barrier();
	*(volatile __u32 *)&way->generation = target->generation;
}

/* Where a new entry goes: to what is free, or in place of another. */
static __always_inline struct rsip_outspi *outspi_room(struct rsip_outspi_set *set, const struct packet *p)
{
#pragma unroll
	for (int i = 0; i < RSIP_OUTSPI_WAYS; i++) {
		if (!set->way[i].generation)
			return &set->way[i];
	}
	return &set->way[bpf_ntohl(p->spi) & (RSIP_OUTSPI_WAYS - 1)];
}

/* The SPI of a packet that leaves, if it has one, is from now on its bind's. */
static __always_inline void outspi_note(const struct packet *p, const struct lease *lease)
{
	struct rsip_outspi_set *set;
	struct rsip_outspi *way;

	if (lease->again || !packet_has_spi(p))
		return;
	set = outspi_set(p);
	if (!set)
		return;
	way = outspi_way(set, p);
	outspi_write(way ? way : outspi_room(set, p), p, &lease->target);
}
