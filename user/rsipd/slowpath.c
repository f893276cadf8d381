// SPDX-License-Identifier: GPL-2.0-only
/* Fragments on their way out, and the program run on packets that were put together. */
#include "rsipd/slowpath.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/ip.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>

#include "lib/log.h"
#include "rsip.skel.h"
#include "rsipd/fragments.h"

#define PROGRAM		"rsip_private"
#define OUTER_TTL	64
#define GRE_LEN		4
#define FRAME_MAX	3500	/* what the kernel takes for a run: a page less its own needs */
#define VLAN_LEN	4

struct slowpath {
	const struct bpfmaps *maps;
	struct nexthops *nexthops;
	struct fragments *fragments;
	struct rsip_bpf *program;	/* of its own: what libxdp attaches cannot be run */
	struct rsip_event_resolve out;	/* being sent */
	uint64_t now;
	struct log_limit limit;
};

/* --- fragments go on -------------------------------------------------------------------- */

static void header_changed(uint8_t *packet)
{
	struct iphdr *ip = (void *)packet;
	uint32_t sum = 0;

	ip->check = 0;
	for (size_t i = 0; i < ip->ihl * 4u; i += 2)
		sum += (uint32_t)(packet[i] << 8 | packet[i + 1]);
	sum = (sum >> 16) + (sum & 0xffff);
	ip->check = htons((uint16_t)~(sum + (sum >> 16)));
}

static bool header_is_right(const uint8_t *packet)
{
	struct iphdr ip;
	uint8_t copy[60];

	memcpy(&ip, packet, sizeof(ip));
	memcpy(copy, packet, ip.ihl * 4u);
	header_changed(copy);
	return !memcmp(copy, packet, ip.ihl * 4u);
}

static bool is_live(const struct slowpath *slow, const struct rsip_target *target)
{
	return target->bind < slow->maps->entries[BPFMAP_BINDS] && target->generation &&
	       slow->maps->binds[target->bind].generation == target->generation;
}

/* The tunnel's headers, as the data plane writes them (bpf/encap.h); returns their length. */
static size_t put_tunnel(const struct rsip_bind *bind, const struct iphdr *inner, uint8_t *out)
{
	size_t front = sizeof(*inner) + (bind->tunnel == RSIP_PROTO_GRE ? GRE_LEN : 0);
	bool df = inner->frag_off & htons(IP_DF);
	struct iphdr outer = {
		.version = 4, .ihl = 5, .tos = inner->tos, .tot_len = htons((uint16_t)(ntohs(inner->tot_len) + front)),
		.id = df ? 0 : inner->id, .frag_off = df ? htons(IP_DF) : 0, .ttl = OUTER_TTL, .protocol = bind->tunnel,
		.saddr = bind->gateway, .daddr = bind->client,
	};

	memcpy(out, &outer, sizeof(outer));
	header_changed(out);
	if (front > sizeof(outer))
		memcpy(out + sizeof(outer), (const uint8_t[GRE_LEN]){ 0, 0, ETH_P_IP >> 8, ETH_P_IP & 0xff }, GRE_LEN);
	return front;
}

static void to_peer(struct slowpath *slow, size_t len)
{
	struct rsip_event_resolve *out = &slow->out;
	struct iphdr ip;

	memcpy(&ip, out->packet, sizeof(ip));
	out->kind = RSIP_EVENT_RESOLVE;
	out->dst = ip.daddr;
	out->inbound = 0;
	out->len = (__u32)len;
	nexthop_packet(slow->nexthops, out, slow->now);
}

/* RFC 6040 4.2; a mark that a fragment cannot carry was refused by the data plane. */
static uint8_t congestion(uint8_t outer, uint8_t inner)
{
	if (!(inner & IPTOS_ECN_MASK) || (inner & IPTOS_ECN_MASK) == IPTOS_ECN_CE)
		return inner;
	if ((outer & IPTOS_ECN_MASK) == IPTOS_ECN_CE)
		return inner | IPTOS_ECN_CE;
	if ((outer & IPTOS_ECN_MASK) == IPTOS_ECN_ECT1)
		return (uint8_t)((inner & ~IPTOS_ECN_MASK) | IPTOS_ECN_ECT1);
	return inner;
}

/* Into the tunnel of a host: from a peer, or turned round. */
static void send_to_host(struct slowpath *slow, const struct rsip_event_fragment *event, __u32 slot)
{
	const struct rsip_bind *bind = &slow->maps->binds[slot];
	struct rsip_event_resolve *out = &slow->out;
	struct iphdr inner;
	size_t front;

	memcpy(&inner, event->packet, sizeof(inner));
	inner.tos = congestion((uint8_t)event->tos, inner.tos);
	front = put_tunnel(bind, &inner, out->packet);
	if (event->len + front > sizeof(out->packet))
		return;
	inner.ttl--;
	memcpy(out->packet + front, event->packet, event->len);
	memcpy(out->packet + front, &inner, sizeof(inner));
	header_changed(out->packet + front);
	out->kind = RSIP_EVENT_RESOLVE;
	out->dst = bind->client;
	out->inbound = 1;
	out->len = (__u32)(event->len + front);
	nexthop_packet(slow->nexthops, out, slow->now);
}

static void send_to_peer(struct slowpath *slow, const struct rsip_event_fragment *event)
{
	struct iphdr ip;

	memcpy(slow->out.packet, event->packet, event->len);
	memcpy(&ip, event->packet, sizeof(ip));
	ip.ttl--;
	ip.tos = congestion((uint8_t)event->tos, ip.tos);
	memcpy(slow->out.packet, &ip, sizeof(ip));
	header_changed(slow->out.packet);
	to_peer(slow, event->len);
}

/* Who gets a host's packet to a leased address was noted with its first fragment. False: it is for a peer. */
static bool turned_to(const struct slowpath *slow, const struct rsip_event_fragment *event, struct rsip_target *out)
{
	struct rsip_fragment_key key = event->key;
	struct rsip_fragment noted;

	key.turned = 1;
	if (!key.client || bpf_map_lookup_elem(slow->maps->fd[BPFMAP_FRAGMENTS], &key, &noted))
		return false;
	*out = noted.target;
	return true;
}

static void on_send(const struct rsip_event_fragment *event, void *arg)
{
	struct rsip_target target = event->target;
	struct slowpath *slow = arg;
	bool to_host = turned_to(slow, event, &target) || !event->key.client;

	/* A wrong checksum must not become a right one. */
	if (!is_live(slow, &target) || !header_is_right(event->packet))
		return;
	if (to_host)
		send_to_host(slow, event, target.bind);
	else
		send_to_peer(slow, event);
}

static void on_done(const struct rsip_fragment_key *key, void *arg)
{
	struct slowpath *slow = arg;

	bpf_map_delete_elem(slow->maps->fd[BPFMAP_FRAGMENTS], key);
}

/* --- whole tunnel packets ------------------------------------------------------------------- */

/* At the start, while rsipd may still load programs (SEC-11). */
static int program_load(struct slowpath *slow)
{
	int err;

	slow->program = bpfmaps_program_open(slow->maps, PROGRAM);
	err = slow->program ? bpf_object__load(slow->program->obj) : -EINVAL;
	if (err)
		log_error("program " PROGRAM " cannot be loaded once more, for tunnel packets in fragments: %s",
			  strerror(-err));
	return err;
}

static int program_fd(const struct slowpath *slow)
{
	return bpf_program__fd(bpf_object__find_program_by_name(slow->program->obj, PROGRAM));
}

/* An answer, or a packet that was turned round: from Na, to a host. */
static void to_host(struct slowpath *slow, __be32 host, size_t len)
{
	struct rsip_event_resolve *out = &slow->out;

	out->kind = RSIP_EVENT_RESOLVE;
	out->dst = host;
	out->inbound = 1;
	out->len = (__u32)len;
	nexthop_packet(slow->nexthops, out, slow->now);
}

/* Where IPv4 starts in a frame with up to two tags. */
static size_t link_len(const uint8_t *frame)
{
	size_t len = ETH_HLEN;

	for (unsigned int tag = 0; tag < 2; tag++) {
		unsigned int type = frame[len - 2] << 8 | frame[len - 1];

		if (type == ETH_P_8021Q || type == ETH_P_8021AD)
			len += VLAN_LEN;
	}
	return len;
}

/* What the program made of it; what it dropped or handed over is done with. */
static void on_verdict(struct slowpath *slow, __u32 verdict, const uint8_t *frame, size_t len)
{
	struct rsip_address from = { 0 };
	struct iphdr ip;
	size_t link;

	if (verdict != XDP_REDIRECT || len < ETH_HLEN + 2 * VLAN_LEN + sizeof(struct iphdr))
		return;
	link = link_len(frame);
	memcpy(slow->out.packet, frame + link, len - link);
	memcpy(&ip, frame + link, sizeof(ip));
	bpf_map_lookup_elem(slow->maps->fd[BPFMAP_ADDRESSES], &ip.saddr, &from);
	if (from.flags & RSIP_ADDRESS_TUNNEL)
		to_host(slow, ip.daddr, len - link);
	else
		to_peer(slow, len - link);
}

static __be32 source_of(const uint8_t *packet)
{
	struct iphdr ip;

	memcpy(&ip, packet, sizeof(ip));
	return ip.saddr;
}

static void on_whole(const uint8_t *packet, size_t len, void *arg)
{
	uint8_t in[FRAME_MAX] = { 0 }, out[FRAME_MAX];
	struct slowpath *slow = arg;
	/* An answer leaves by the device that a packet came in on. */
	struct xdp_md context = { .data_end = (__u32)(ETH_HLEN + len),
				  .ingress_ifindex = nexthop_host_device(slow->nexthops, source_of(packet)) };
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = in, .data_size_in = (__u32)(ETH_HLEN + len), .data_out = out,
		    .data_size_out = sizeof(out), .repeat = 1, .ctx_in = &context, .ctx_size_in = sizeof(context));
	int err, fd = len + ETH_HLEN <= sizeof(in) ? program_fd(slow) : -EMSGSIZE;

	in[12] = ETH_P_IP >> 8;
	in[13] = ETH_P_IP & 0xff;
	if (fd >= 0)
		memcpy(in + ETH_HLEN, packet, len);
	err = fd < 0 ? fd : bpf_prog_test_run_opts(fd, &run);
	if (!err)
		on_verdict(slow, run.retval, out, run.data_size_out);
	else if (log_allowed(&slow->limit, 1, slow->now))
		log_warn("a tunnel packet of %zu bytes that came in fragments is lost: %s", len, strerror(-err));
}

/* --- life ----------------------------------------------------------------------------------------- */

int slowpath_new(const struct bpfmaps *maps, struct nexthops *nexthops, struct slowpath **out)
{
	struct slowpath *slow = calloc(1, sizeof(*slow));
	const struct fragments_calls calls = { .send = on_send, .whole = on_whole, .done = on_done, .arg = slow };
	int err;

	if (!slow)
		return -ENOMEM;
	slow->maps = maps;
	slow->nexthops = nexthops;
	slow->fragments = fragments_new(&calls);
	err = slow->fragments ? program_load(slow) : -ENOMEM;
	if (err)
		slowpath_free(slow);
	else
		*out = slow;
	return err;
}

void slowpath_free(struct slowpath *slow)
{
	if (!slow)
		return;
	fragments_free(slow->fragments);
	bpfmaps_program_close(slow->program);
	free(slow);
}

void slowpath_event(struct slowpath *slow, const void *data, size_t size, uint64_t now)
{
	const struct rsip_event_fragment *event = data;

	slow->now = now;
	if (size >= sizeof(*event) && event->len <= sizeof(event->packet) &&
	    (event->kind == RSIP_EVENT_FRAGMENT || event->kind == RSIP_EVENT_OUTER))
		fragments_add(slow->fragments, event, now);
}

void slowpath_tick(struct slowpath *slow, uint64_t now)
{
	slow->now = now;
	fragments_tick(slow->fragments, now);
}
