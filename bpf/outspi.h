/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whose are the SPIs in packets to a peer? The peer chose them, so no lease
 * knows; and ICMP errors about ESP and AH quote nothing else (IN-12). Who sends
 * with one is entered. The common packet's SPI is one that its host sent with
 * before: one look at the marks of the sender, and nothing is written.
 */
#pragma once

#include "demux.h"
#include "maps.h"
#include "packet.h"

/* Of the map, as it was made. */
const volatile __u32 outspi_sets = RSIP_OUTSPI_SETS;

struct outspi_place {		/* where an SPI is, or goes */
	struct rsip_outspi_set *a, *b;
};

static __always_inline bool outspi_place(__be32 addr, __be32 peer, __be32 spi, struct outspi_place *place)
{
	struct rsip_outspi_sets sets = rsip_outspi_sets(addr, peer, spi, outspi_sets);

	place->a = bpf_map_lookup_elem(&rsip_outspis, &sets.set[0]);
	place->b = bpf_map_lookup_elem(&rsip_outspis, &sets.set[1]);
	return place->a && place->b;
}

static __always_inline __u32 outspi_ah(const struct packet *p)
{
	return p->kind == PACKET_AH ? RSIP_OUTSPI_AH : 0;
}

/* The entry of an SPI; `ah`: RSIP_OUTSPI_AH or 0. NULL: none. */
static __always_inline struct rsip_outspi *outspi_way(struct rsip_outspi_set *set, __be32 peer, __be32 spi, __u32 ah)
{
#pragma unroll
	for (int i = 0; i < RSIP_OUTSPI_WAYS; i++) {
		struct rsip_outspi *way = &set->way[i];

		if (way->spi == spi && way->peer == peer && (way->bind & RSIP_OUTSPI_AH) == ah)
			return way;
	}
	return NULL;
}

static __always_inline struct rsip_outspi *outspi_entry(const struct outspi_place *place, __be32 peer, __be32 spi, __u32 ah)
{
	struct rsip_outspi *way = outspi_way(place->a, peer, spi, ah);

	return way ? way : outspi_way(place->b, peer, spi, ah);
}

/* The bind that last sent with the SPI that is quoted, if it lasts. */
static __always_inline bool outspi_find(const struct packet *p, struct lease *lease)
{
	struct outspi_place place;
	struct rsip_outspi *way;

	if (!outspi_place(p->ip.src, p->ip.dst, p->spi, &place))
		return false;
	way = outspi_entry(&place, p->ip.dst, p->spi, outspi_ah(p));
	if (!way)
		return false;
	return lease_of((struct rsip_target){ way->bind & ~RSIP_OUTSPI_AH, way->generation }, lease) &&
	       lease->bind->addr == p->ip.src;
}

static __always_inline __u32 outspi_free(const struct rsip_outspi_set *set)
{
	__u32 count = 0;

#pragma unroll
	for (int i = 0; i < RSIP_OUTSPI_WAYS; i++)
		count += !set->way[i].generation;
	return count;
}

/* Where a new entry goes: to what is free, or in place of another. */
static __always_inline struct rsip_outspi *outspi_room(const struct outspi_place *place, __be32 spi)
{
	struct rsip_outspi_set *set = outspi_free(place->b) > outspi_free(place->a) ? place->b : place->a;

#pragma unroll
	for (int i = 0; i < RSIP_OUTSPI_WAYS; i++) {
		if (!set->way[i].generation)
			return &set->way[i];
	}
	return &set->way[bpf_ntohl(spi) & (RSIP_OUTSPI_WAYS - 1)];
}

/* Whose entry it was has to enter it anew with its next packet. */
static __always_inline void outspi_leave(const struct rsip_outspi *way)
{
	__u32 slot = way->bind & ~RSIP_OUTSPI_AH;
	const struct rsip_bind *bind = bpf_map_lookup_elem(&rsip_binds, &slot);
	struct rsip_sender *sender = bind ? sender_at(bind->client) : NULL;

	if (sender && sender->bind == slot)
		sender->mark[0] = sender->mark[1] = 0;
}

/*
 * Field by field: a reader may see one bind under the key of another, or half of
 * each. So it looks at the bind itself, whether its address fits.
 */
static __always_inline void outspi_write(struct rsip_outspi *way, __be32 peer, __be32 spi, __u32 bind, __u32 generation)
{
	*(volatile __u32 *)&way->generation = 0;
	barrier();
	way->peer = peer;
	way->spi = spi;
	way->bind = bind;
	barrier();
	*(volatile __u32 *)&way->generation = generation;
}

/* From now on the SPI, towards this peer, is the bind's; `bind` as in struct rsip_outspi. */
RARE int outspi_enter(__u32 addr, __u32 peer, __u32 spi, __u32 bind)
{
	__u32 slot = bind & ~RSIP_OUTSPI_AH;
	const struct rsip_bind *of = bpf_map_lookup_elem(&rsip_binds, &slot);
	struct outspi_place place;
	struct rsip_outspi *way;

	if (!of || !outspi_place(addr, peer, spi, &place))
		return RSIP_ERROR;
	way = outspi_entry(&place, peer, spi, bind & RSIP_OUTSPI_AH);
	if (way && way->bind == bind && way->generation == of->generation)
		return RSIP_GO_ON;
	if (!way)
		way = outspi_room(&place, spi);
	if (way->generation)
		outspi_leave(way);
	outspi_write(way, peer, spi, bind, of->generation);
	return RSIP_GO_ON;
}

/* A packet leaves: its SPI, if it has one, is its bind's. */
static __always_inline void outspi_note(const struct packet *p, const struct lease *lease)
{
	__u32 mark = rsip_sent_mark(p->ip.dst, p->spi, outspi_ah(p));
	struct rsip_sender *sender = lease->sender;

	if (!packet_has_spi(p) || (sender && (sender->mark[0] == mark || sender->mark[1] == mark)))
		return;
	outspi_enter(p->ip.src, p->ip.dst, p->spi, lease->target.bind | outspi_ah(p));
	if (sender) {
		sender->mark[1] = sender->mark[0];
		sender->mark[0] = mark;
	}
}
