// SPDX-License-Identifier: GPL-2.0-only
/* Loads the programs, fills the world of run.h, runs packets. */
#include "run.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#define LOG_SIZE	(1 << 16)
#define PLACES		64

const struct world_hop world_hops[WORLD_HOPS] = {
	[HOP_X1] = { "x1", RSIP_NEXTHOP_VALID, 1500, 0 },
	[HOP_X2] = { "x2", RSIP_NEXTHOP_VALID, 1500, 0 },
	[HOP_X3] = { "x3", RSIP_NEXTHOP_VALID, 1500, 0 },
	[HOP_X4] = { "x4", RSIP_NEXTHOP_VALID, 1500, 0 },
	[HOP_X5] = { "x5", RSIP_NEXTHOP_VALID, 1500, 0 },
	[HOP_X6] = { "x6", RSIP_NEXTHOP_VALID, 1500, 0 },
	[HOP_XD] = { "xd", RSIP_NEXTHOP_UNRESOLVED, 0, 0 },
	[HOP_XR] = { "xr", RSIP_NEXTHOP_REJECT, 1500, 0 },
	[HOP_XV] = { "xv", RSIP_NEXTHOP_VALID, 1500, 7 },
	[HOP_XM] = { "xm", RSIP_NEXTHOP_VALID, 100, 0 },
	[HOP_Y] = { "y", RSIP_NEXTHOP_VALID, 1500, 0 },
	[HOP_YD] = { "yd", RSIP_NEXTHOP_UNRESOLVED, 0, 0 },
	[HOP_YR] = { "yr", RSIP_NEXTHOP_REJECT, 1500, 0 },
	[HOP_YV] = { "yv", RSIP_NEXTHOP_VALID, 1500, 9 },
	[HOP_YM] = { "ym", RSIP_NEXTHOP_VALID, 100, 0 },
};

const struct world_route world_routes[WORLD_ROUTES] = {
	{ "Y", HOP_Y }, { "Z", HOP_Y }, { "YD", HOP_YD }, { "YR", HOP_YR }, { "YV", HOP_YV }, { "YM", HOP_YM },
};

const struct world_bind world_binds[WORLD_BINDS] = {
	{ 1, "X1", "NB", NULL, 0, RSIP_PROTO_IPIP, HOP_X1, 0x1001, { 40000 }, true },
	{ 2, "X2", "NB", NULL, 0, RSIP_PROTO_IPIP, HOP_X2, 0x2001, { 40100 }, true },
	{ 3, "X1", "NB", NULL, 0, RSIP_PROTO_GRE, HOP_X1, 0, { 41000 }, false },
	{ 4, "X2", "NB", "Y", 0, RSIP_PROTO_IPIP, HOP_X2, 0, { 42000 }, false },
	{ 5, "X2", "NB", "Y", 80, RSIP_PROTO_IPIP, HOP_X2, 0x2005, { 43000 }, true },
	{ 6, "X4", "NB", NULL, 0, RSIP_PROTO_IPIP, HOP_X4, 0, { 44000 }, false },
	{ 7, "X5", "NB", "Y", 80, RSIP_PROTO_IPIP, HOP_X5, 0x5001, { 45000 }, true },
	{ 8, "X1", "NB2", NULL, 0, RSIP_PROTO_IPIP, HOP_X1, 0x1001, { 40000 }, true },
	{ 9, "X2", "NB2", NULL, 0, RSIP_PROTO_GRE, HOP_X2, 0x2001, { 40200 }, true },
	{ 10, "X1", "SH", NULL, 0, RSIP_PROTO_IPIP, HOP_X1, 0x9001, { 40000 }, true },
	{ 11, "X6", "NB3", NULL, 0, RSIP_PROTO_IPIP, HOP_X6, 0, { 500, 4500 }, false },
	{ 12, "XD", "NB", NULL, 0, RSIP_PROTO_IPIP, HOP_XD, 0, { 50001 }, false },
	{ 13, "XR", "NB", NULL, 0, RSIP_PROTO_IPIP, HOP_XR, 0, { 50002 }, false },
	{ 14, "XV", "NB", NULL, 0, RSIP_PROTO_IPIP, HOP_XV, 0, { 50003 }, false },
	{ 15, "XM", "NB", NULL, 0, RSIP_PROTO_IPIP, HOP_XM, 0, { 50004 }, false },
	{ SLOT_FREE, "X1", "NB", NULL, 0, RSIP_PROTO_IPIP, HOP_X1, 0x1016, { 40016 }, false },
	{ SLOT_REUSED, "X1", "NB", NULL, 0, RSIP_PROTO_IPIP, HOP_X1, 0x1017, { 40017 }, false },
	{ SLOT_FULL, "X3", "NB", NULL, 0, RSIP_PROTO_IPIP, HOP_X3, 0x3001, { 0 }, true },
	{ 19, "X5", "NB2", NULL, 0, RSIP_PROTO_IPIP, HOP_X5, 0, { 45001 }, false },
	{ 20, "X2", "NB3", "Y", 0, RSIP_PROTO_IPIP, HOP_X2, 0x2020, { 0 }, true },
	{ 21, "X2", "NB3", "Z", 0, RSIP_PROTO_IPIP, HOP_X2, 0x2021, { 0 }, true },
	{ 22, "X4", "NB3", "Y", 0, RSIP_PROTO_IPIP, HOP_X4, 0x2022, { 0 }, true },
	{ 23, "X1", "W1", NULL, 0, RSIP_PROTO_IPIP, HOP_X1, 0, { 0 }, false, true },
	{ 24, "X2", "W2", "Y", 80, RSIP_PROTO_GRE, HOP_X2, 0, { 0 }, false, true },
	{ 25, "X5", "NB3", NULL, 80, RSIP_PROTO_IPIP, HOP_X5, 0x5025, { 46000 }, true, false, { "Y", "YV" } },
	{ 26, "X2", "NB2", NULL, 0, RSIP_PROTO_IPIP, HOP_X2, 0xb0e519, { 0 }, true },
};

static const char *const outcome_names[] = {
	"GO_ON",
#define X(name, verdict, text) #name,
	RSIP_OUTCOMES(X)
#undef X
};

const char *outcome_name(enum rsip_outcome outcome)
{
	return outcome < RSIP_OUTCOME_COUNT ? outcome_names[outcome] : "none";
}

int outcome_action(enum rsip_outcome outcome)
{
	enum { FORWARD = XDP_REDIRECT, PASS = XDP_PASS, DROP = XDP_DROP, HAND = XDP_DROP, ANSWER = XDP_REDIRECT };
	static const int actions[] = {
		0,
#define X(name, verdict, text) verdict,
		RSIP_OUTCOMES(X)
#undef X
	};

	return actions[outcome];
}

bool outcome_hands(enum rsip_outcome outcome)
{
	return outcome == RSIP_IN_RESOLVE || outcome == RSIP_OUT_RESOLVE || outcome == RSIP_IN_SPLIT ||
	       outcome == RSIP_OUT_SPLIT;
}

__u32 world_generation(__u32 slot)
{
	return slot + 100;
}

static void set(struct bpf_map *map, const void *key, const void *value)
{
	int err = bpf_map__update_elem(map, key, bpf_map__key_size(map), value, bpf_map__value_size(map), BPF_ANY);

	cr_assert_eq(err, 0, "%s: %s", bpf_map__name(map), strerror(-err));
}

__u32 world_tick(struct world *w)
{
	struct rsip_clock now = { 0 };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = &now, .ctx_size_in = sizeof(now));

	cr_assert_eq(bpf_prog_test_run_opts(bpf_program__fd(w->skel->progs.rsip_clock), &opts), 0);
	return rsip_tick(now.jiffies);
}

void world_bind(struct world *w, __u32 slot, struct rsip_bind *out)
{
	cr_assert_eq(bpf_map__lookup_elem(w->skel->maps.rsip_binds, &slot, sizeof(slot), out, sizeof(*out), 0), 0);
}

void world_bind_set(struct world *w, __u32 slot, const struct rsip_bind *bind)
{
	set(w->skel->maps.rsip_binds, &slot, bind);
}

static __u32 place_of(const char *client)
{
	return rsip_sender_place(ntohl(pkt_addr(client)), PLACES);
}

void world_sender(struct world *w, const char *client, struct rsip_sender *out)
{
	__u32 place = place_of(client);

	cr_assert_eq(bpf_map__lookup_elem(w->skel->maps.rsip_senders, &place, sizeof(place), out, sizeof(*out), 0), 0);
}

void world_sender_set(struct world *w, const char *client, const struct rsip_sender *sender)
{
	__u32 place = place_of(client);

	set(w->skel->maps.rsip_senders, &place, sender);
}

void world_rare(struct world *w, __u32 slot, struct rsip_bind_rare *out)
{
	cr_assert_eq(bpf_map__lookup_elem(w->skel->maps.rsip_binds_rare, &slot, sizeof(slot), out, sizeof(*out), 0), 0);
}

void world_rare_set(struct world *w, __u32 slot, const struct rsip_bind_rare *rare)
{
	set(w->skel->maps.rsip_binds_rare, &slot, rare);
}

void world_hop_qinq(struct world *w, __u32 hop, unsigned int outer, unsigned int inner)
{
	struct rsip_nexthop value;

	bpf_map__lookup_elem(w->skel->maps.rsip_nexthops, &hop, sizeof(hop), &value, sizeof(value), 0);
	value.vlan[0] = (struct rsip_vlan){ htons(0x88a8), htons((uint16_t)outer) };
	value.vlan[1] = (struct rsip_vlan){ htons(0x8100), htons((uint16_t)inner) };
	set(w->skel->maps.rsip_nexthops, &hop, &value);
}

static void fill_grant(struct world *w, const struct world_grant *from)
{
	struct rsip_grant_key key = { .client = pkt_addr(from->client), .addr = pkt_addr(from->addr) };
	struct rsip_grant grant = { .flags = from->flags };

	if (from->remote)
		key.remote = pkt_addr(from->remote);
	if (from->slot)
		grant.ipsec = (struct rsip_target){ from->slot, world_generation(from->slot) };
	if (from->any)
		grant.any = (struct rsip_target){ from->any, world_generation(from->any) };
	set(w->skel->maps.rsip_grants, &key, &grant);
}

static void fill_bind(struct world *w, size_t i)
{
	struct rsip_target target = { world_binds[i].slot, world_generation(world_binds[i].slot) };
	struct rsip_spi_key spi = { .addr = pkt_addr(world_binds[i].addr), .spi = htonl(world_binds[i].spi) };
	struct rsip_bind bind = {
		.generation = target.generation,
		.client = pkt_addr(world_binds[i].client),
		.gateway = pkt_addr("NA"),
		.addr = spi.addr,
		.nexthop = world_binds[i].hop,
		.tunnel = (__u8)world_binds[i].tunnel,
		.flags = (world_binds[i].ipsec ? RSIP_BIND_IPSEC : 0) | (world_binds[i].whole ? RSIP_BIND_WHOLE : 0) |
			 (world_binds[i].remotes[0] ? RSIP_BIND_REMOTES : 0) |
			 (world_binds[i].remote || world_binds[i].remote_port ? RSIP_BIND_HELD : 0),
		.ends = world_tick(w) + (1 << 20),
	};
	struct rsip_bind_rare rare = {
		.bind_id = world_binds[i].slot,
		.remote = world_binds[i].remote ? pkt_addr(world_binds[i].remote) : 0,
		.remote_port = htons((uint16_t)world_binds[i].remote_port),
		.cookies = world_binds[i].slot == SLOT_FULL ? RSIP_BIND_COOKIES : 0,
	};

	if (world_binds[i].spi && rsip_spi_slot(world_binds[i].spi) == world_binds[i].slot) {
		bind.spi_first = world_binds[i].spi;
		bind.spi_count = 1;
	}
	if (world_binds[i].slot == SLOT_FREE)
		bind.generation = 0;
	if (world_binds[i].slot == SLOT_REUSED)
		bind.generation++;
	world_bind_set(w, world_binds[i].slot, &bind);
	world_rare_set(w, world_binds[i].slot, &rare);
	for (int p = 0; p < 2 && world_binds[i].ports[p]; p++)
		set(w->skel->maps.rsip_ports,
		    &(struct rsip_port_key){ .addr = spi.addr, .port = htons((uint16_t)world_binds[i].ports[p]) }, &target);
	for (int r = 0; r < 2 && world_binds[i].remotes[r]; r++)
		set(w->skel->maps.rsip_remotes,
		    &(struct rsip_remote_key){ .bind = target, .addr = pkt_addr(world_binds[i].remotes[r]) }, &(__u32){ 1 });
	if (world_binds[i].whole)
		set(w->skel->maps.rsip_addresses, &spi.addr,
		    &(struct rsip_address){ .flags = RSIP_ADDRESS_POOL, .whole = target, .speaker = pkt_addr("N") });
	if (!world_binds[i].spi || bind.spi_count)
		return;
	spi.proto = RSIP_PROTO_ESP;
	set(w->skel->maps.rsip_spis, &spi, &target);
	spi.proto = RSIP_PROTO_AH;
	set(w->skel->maps.rsip_spis, &spi, &target);
}

static void fill_hops(struct world *w)
{
	/* where packets of a test run come in, and answers go out */
	set(w->skel->maps.rsip_devices, &(__u32){ 1 }, &(__u32){ 1 });
	for (__u32 i = 1; i < WORLD_HOPS; i++) {
		struct rsip_nexthop hop = {
			.state = world_hops[i].state,
			.ifindex = 100 + i,
			.mtu = world_hops[i].mtu,
		};

		pkt_mac(world_hops[i].dst, hop.dst);
		pkt_mac("n", hop.src);
		if (world_hops[i].vlan)
			hop.vlan[0] = (struct rsip_vlan){ htons(0x8100), htons((uint16_t)world_hops[i].vlan) };
		set(w->skel->maps.rsip_nexthops, &i, &hop);
		/* any device: nothing is sent. The keys tell next hops apart */
		if (hop.state == RSIP_NEXTHOP_VALID)
			set(w->skel->maps.rsip_devices, &hop.ifindex, &(__u32){ 1 });
	}
	for (size_t i = 0; i < WORLD_ROUTES; i++) {
		struct rsip_route route = { pkt_addr(world_routes[i].peer), world_routes[i].hop }, there;
		__u32 key = rsip_route_set(route.addr) * RSIP_ROUTE_WAYS + (i & 1) * 3;

		bpf_map__lookup_elem(w->skel->maps.rsip_routes, &key, sizeof(key), &there, sizeof(there), 0);
		cr_assert_eq(there.addr, 0, "two peers of this world share a way");
		set(w->skel->maps.rsip_routes, &key, &route);
	}
}

const char *const world_clients[WORLD_CLIENTS] = { "X1", "X2", "X3", "X4", "X5", "X6", "XD", "XR", "XV", "XM" };

const struct world_address world_addresses[WORLD_ADDRESSES] = {
	{ "NB", RSIP_ADDRESS_POOL, "N" },
	{ "NB2", RSIP_ADDRESS_POOL, NULL },
	{ "NB3", RSIP_ADDRESS_POOL, "N" },
	{ "W1", RSIP_ADDRESS_POOL, "N" },
	{ "W2", RSIP_ADDRESS_POOL, "N" },
	{ "W3", RSIP_ADDRESS_POOL, "N" },
	{ "SH", RSIP_ADDRESS_POOL | RSIP_ADDRESS_SHARED, "SH" },
	{ "NA", RSIP_ADDRESS_TUNNEL, NULL },
	{ "NA2", RSIP_ADDRESS_TUNNEL, NULL },
};

const struct world_grant world_grants[WORLD_GRANTS] = {
	{ "X1", "NB", NULL, 1, 1, 0 },
	{ "X1", "NB2", NULL, 8, 8, 0 },
	{ "X1", "SH", NULL, 10, 10, 0 },
	{ "X2", "NB", NULL, 2, 2, 0 },
	{ "X2", "NB2", NULL, 9, 9, 0 },
	{ "X3", "NB", NULL, SLOT_FULL, SLOT_FULL, 0 },
	{ "X4", "NB", NULL, 0, 6, 0 },
	{ "X5", "NB", NULL, 0, 0, RSIP_GRANT_BY_REMOTE },
	{ "X5", "NB", "Y", 7, 7, 0 },
	{ "X5", "NB2", NULL, SLOT_REUSED, 19, 0 },
	{ "X6", "NB3", NULL, 0, 11, 0 },
	{ "XV", "NB", NULL, 0, 14, 0 },
	{ "X2", "NB3", NULL, 20, 20, RSIP_GRANT_BY_REMOTE },
	{ "X2", "NB3", "Y", 20, 20, 0 },
	{ "X2", "NB3", "Z", 21, 21, 0 },
	{ "X4", "NB3", NULL, 22, 22, 0 },
	{ "X1", "W1", NULL, 23, 23, RSIP_GRANT_WHOLE },
	{ "X2", "W2", NULL, 24, 24, RSIP_GRANT_WHOLE },
	{ "X5", "NB3", NULL, 0, 0, RSIP_GRANT_BY_REMOTE },
	{ "X5", "NB3", "Y", 25, 25, 0 },
	{ "X5", "NB3", "YV", 25, 25, 0 },
};

const struct world_peer world_peers[WORLD_PEERS] = {
	{ "Y", "NB2", 8 },
	{ "Z", "NB2", 9 },
};

static void fill_peer(struct world *w, const struct world_peer *from)
{
	struct rsip_peer_key key = { .peer = pkt_addr(from->peer), .addr = pkt_addr(from->addr) };

	set(w->skel->maps.rsip_peers, &key, &(struct rsip_target){ from->slot, world_generation(from->slot) });
}

static void fill_address(struct world *w, const struct world_address *from)
{
	struct rsip_address address = { .flags = from->flags };

	if (from->speaker)
		address.speaker = pkt_addr(from->speaker);
	set(w->skel->maps.rsip_addresses, &(__be32){ pkt_addr(from->addr) }, &address);
}

const struct world_range world_realm[WORLD_REALM] = {
	{ 0x0a000000, 0x0affffff }, { 0xcb00710a, 0xcb00710c }, { 0xcb007114, 0xcb007114 }, { 0xcb00711f, 0xcb007121 },
};

static void fill_realm(struct world *w)
{
	struct rsip_realm realm = { .count = WORLD_REALM };

	for (size_t i = 0; i < WORLD_REALM; i++)
		realm.ranges[i] = (struct rsip_range){ world_realm[i].first, world_realm[i].last - world_realm[i].first };
	set(w->skel->maps.rsip_realm, &(__u32){ 0 }, &realm);
}

static void fill_sender(struct world *w, __u32 slot)
{
	const struct world_bind *from = &world_binds[slot - 1];
	struct rsip_bind bind;
	struct rsip_sender sender = { .client = pkt_addr(from->client), .addr = pkt_addr(from->addr), .bind = slot };

	world_bind(w, slot, &bind);
	sender.gateway = bind.gateway;
	sender.ends = bind.ends;
	sender.tunnel = bind.tunnel;
	world_sender_set(w, from->client, &sender);
}

static void fill(struct world *w)
{
	for (size_t i = 0; i < WORLD_ADDRESSES; i++)
		fill_address(w, &world_addresses[i]);
	for (__u32 i = 0; i < WORLD_CLIENTS; i++)
		set(w->skel->maps.rsip_clients, &(__be32){ pkt_addr(world_clients[i]) },
		    &(struct rsip_client){ .client_id = i + 1 });
	fill_hops(w);
	fill_realm(w);
	for (size_t i = 0; i < WORLD_BINDS; i++)
		fill_bind(w, i);
	fill_sender(w, 1);
	fill_sender(w, 9);
	for (size_t i = 0; i < WORLD_GRANTS; i++)
		fill_grant(w, &world_grants[i]);
	for (size_t i = 0; i < WORLD_PEERS; i++)
		fill_peer(w, &world_peers[i]);
}

static struct run *run_now;	/* gets the events; NULL: they are left over from elsewhere */

static int on_event(void *arg __attribute__((unused)), void *data, size_t size)
{
	struct run *run = run_now;

	if (!run)
		return 0;
	run->events++;
	if (*(__u32 *)data == RSIP_EVENT_COOKIE && size == sizeof(run->cookie)) {
		memcpy(&run->cookie, data, size);
		run->cookies++;
	} else if (*(__u32 *)data == RSIP_EVENT_RESOLVE && size == sizeof(run->resolve)) {
		memcpy(&run->resolve, data, size);
		run->resolves++;
	} else if (*(__u32 *)data >= RSIP_EVENT_FRAGMENT && size == sizeof(run->fragment)) {
		memcpy(&run->fragment, data, size);
		run->fragments++;
	} else if (*(__u32 *)data == RSIP_EVENT_VIOLATION && size == sizeof(run->violation)) {
		memcpy(&run->violation, data, size);
		run->violations++;
	}
	return 0;
}

void world_open(struct world *w)
{
	static char log[2][LOG_SIZE];
	struct bpf_map *map;
	int err;

	if (geteuid())
		cr_skip_test("loading BPF programs needs root");
	memset(w, 0, sizeof(*w));
	w->skel = rsip_bpf__open();
	cr_assert_not_null(w->skel);
	bpf_object__for_each_map(map, w->skel->obj) {
		bpf_map__set_pin_path(map, NULL);
		if (bpf_map__type(map) == BPF_MAP_TYPE_HASH)
			bpf_map__set_max_entries(map, 1024);
	}
	bpf_map__set_max_entries(w->skel->maps.rsip_binds, 256);
	bpf_map__set_max_entries(w->skel->maps.rsip_binds_rare, 256);
	bpf_map__set_max_entries(w->skel->maps.rsip_senders, PLACES);
	w->skel->rodata->sender_places = PLACES;
	bpf_map__set_max_entries(w->skel->maps.rsip_nexthops, 64);
	for (int i = 0; i < 2; i++) {
		struct bpf_program *prog = i == PUBLIC ? w->skel->progs.rsip_public : w->skel->progs.rsip_private;

		bpf_program__set_log_level(prog, 4);	/* BPF_LOG_STATS */
		bpf_program__set_log_buf(prog, log[i], LOG_SIZE);
	}
	err = rsip_bpf__load(w->skel);
	cr_assert_eq(err, 0, "load: %s\n%s\n%s", strerror(-err), log[0], log[1]);
	w->ring = ring_buffer__new(bpf_map__fd(w->skel->maps.rsip_events), on_event, NULL, NULL);
	cr_assert_not_null(w->ring);
	cr_assert_eq(ring_buffer__add(w->ring, bpf_map__fd(w->skel->maps.rsip_slow), on_event, NULL), 0);
	fill(w);
	world_bucket(w, 1 << 30);
}

void world_close(struct world *w)
{
	ring_buffer__free(w->ring);
	rsip_bpf__destroy(w->skel);
}

/* Sums over all CPUs. */
static void counters(struct world *w, struct rsip_counter out[RSIP_OUTCOME_COUNT])
{
	int cpus = libbpf_num_possible_cpus();
	struct rsip_counter percpu[RSIP_OUTCOME_COUNT][cpus];
	__u32 keys[RSIP_OUTCOME_COUNT], next, count = RSIP_OUTCOME_COUNT;
	int err;

	err = bpf_map_lookup_batch(bpf_map__fd(w->skel->maps.rsip_counters), NULL, &next, keys, percpu, &count, NULL);
	/* No assertion: one that holds costs more than the run itself, Criterion counts them in another process. */
	if ((err && err != -ENOENT) || count != RSIP_OUTCOME_COUNT)
		cr_assert_fail("%u of %d counters: %s", count, RSIP_OUTCOME_COUNT, strerror(-err));
	for (__u32 i = 0; i < RSIP_OUTCOME_COUNT; i++) {
		out[i] = (struct rsip_counter){ 0 };
		for (int cpu = 0; cpu < cpus; cpu++) {
			out[i].packets += percpu[i][cpu].packets;
			out[i].bytes += percpu[i][cpu].bytes;
		}
	}
}

unsigned long world_counted(struct world *w, enum rsip_outcome outcome)
{
	struct rsip_counter all[RSIP_OUTCOME_COUNT];

	counters(w, all);
	return all[outcome].packets;
}

static bool counted_as(struct world *w, enum rsip_outcome guess, struct run *out)
{
	int cpus = libbpf_num_possible_cpus();
	struct rsip_counter percpu[cpus], now = { 0 };
	__u32 key = guess;

	if (bpf_map__lookup_elem(w->skel->maps.rsip_counters, &key, sizeof(key), percpu, sizeof(percpu), 0))
		return false;
	for (int cpu = 0; cpu < cpus; cpu++) {
		now.packets += percpu[cpu].packets;
		now.bytes += percpu[cpu].bytes;
	}
	out->outcome = guess;
	out->counted = now.packets - w->counters[guess].packets;
	out->bytes = now.bytes - w->counters[guess].bytes;
	if (out->counted == 1)
		w->counters[guess] = now;
	return out->counted == 1;
}

static void count(struct world *w, struct run *out)
{
	struct rsip_counter now[RSIP_OUTCOME_COUNT];

	counters(w, now);
	out->outcome = RSIP_OUTCOME_COUNT;
	out->counted = out->bytes = 0;
	for (__u32 i = 0; i < RSIP_OUTCOME_COUNT; i++) {
		out->counted += now[i].packets - w->counters[i].packets;
		out->bytes += now[i].bytes - w->counters[i].bytes;
		if (now[i].packets != w->counters[i].packets)
			out->outcome = i;
	}
	memcpy(w->counters, now, sizeof(now));
}

void world_run_fast(struct world *w, enum side side, const struct frame *in, enum rsip_outcome guess, struct run *out)
{
	const struct bpf_program *prog = side == PUBLIC ? w->skel->progs.rsip_public : w->skel->progs.rsip_private;
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in->data, .data_size_in = (__u32)in->len,
		    .data_out = out->out.data, .data_size_out = sizeof(out->out.data), .repeat = 1);
	int err;

	memset(out, 0, sizeof(*out));
	err = bpf_prog_test_run_opts(bpf_program__fd(prog), &opts);
	if (err)
		cr_assert_fail("test run of %zu bytes: %s", in->len, strerror(-err));
	out->action = (int)opts.retval;
	out->out.len = opts.data_size_out;
	if (!counted_as(w, guess, out))
		count(w, out);
	run_now = out;
	ring_buffer__consume(w->ring);
	run_now = NULL;
}

void world_run(struct world *w, enum side side, const struct frame *in, struct run *out)
{
	counters(w, w->counters);
	world_run_fast(w, side, in, RSIP_GO_ON, out);
}

static bool frames_equal(const struct frame *a, const struct frame *b)
{
	return a->len == b->len && !memcmp(a->data, b->data, a->len);
}

/* The packet that the daemon was given, behind the Ethernet header that a row has. */
static void handed(const struct run *run, struct frame *out)
{
	*out = (struct frame){ .len = 14 };
	memcpy(out->data + out->len, run->resolve.packet, run->resolve.len);
	out->len += run->resolve.len;
}

static bool out_matches(const struct row *row, const struct frame *in, const struct run *run)
{
	bool resolve = outcome_hands(row->outcome);
	struct frame want, got = run->out;

	if (resolve != (run->resolves == 1)) {
		fprintf(stderr, "  %s: %d packets handed over\n", row->name, run->resolves);
		return false;
	}
	if (!row->out && !resolve && outcome_action(row->outcome) != XDP_PASS)
		return true;
	if (row->out)
		pkt_build(row->out, &want);
	else
		want = *in;
	if (resolve) {
		handed(run, &got);
		memset(want.data, 0, 14);
	}
	if (frames_equal(&want, &got))
		return true;
	fprintf(stderr, "  %s: another packet came out\n", row->name);
	pkt_diff(&want, &got);
	return false;
}

bool row_run(struct world *w, enum side side, const struct row *row, struct run *run)
{
	struct frame in;

	pkt_build(row->in, &in);
	world_run(w, side, &in, run);
	if (run->counted != 1 || run->outcome != row->outcome || run->bytes != in.len) {
		fprintf(stderr, "  %s: want %s, counted %lu: %s, %lu of %zu bytes\n", row->name,
			outcome_name(row->outcome), run->counted, outcome_name(run->outcome), run->bytes, in.len);
		return false;
	}
	if (run->action != outcome_action(row->outcome)) {
		fprintf(stderr, "  %s: %s, but action %d\n", row->name, outcome_name(run->outcome), run->action);
		return false;
	}
	return out_matches(row, &in, run);
}

void rows_run(struct world *w, enum side side, const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct run run;

		cr_expect(row_run(w, side, &rows[i], &run), "%s: \"%s\"", rows[i].name, rows[i].in);
	}
}

void steps_run(struct world *w, const struct step *steps, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct run run;

		cr_expect(row_run(w, steps[i].side, &steps[i].row, &run), "step %zu, %s: \"%s\"", i,
			  steps[i].row.name, steps[i].row.in);
	}
}

void world_forget(struct bpf_map *map)
{
	char key[64];
	size_t size = bpf_map__key_size(map);

	while (!bpf_map__get_next_key(map, NULL, key, size))
		bpf_map__delete_elem(map, key, size, 0);
}

/* Of a time that is to come: no refill. */
void world_bucket(struct world *w, unsigned int tokens)
{
	int cpus = libbpf_num_possible_cpus();
	struct rsip_bucket percpu[cpus];

	for (int cpu = 0; cpu < cpus; cpu++)
		percpu[cpu] = (struct rsip_bucket){ .time = ~0ULL >> 1, .tokens = tokens };
	for (__u32 i = 0; i < RSIP_BUCKETS; i++)
		cr_assert_eq(bpf_map__update_elem(w->skel->maps.rsip_buckets, &i, sizeof(i), percpu,
						  sizeof(percpu), BPF_ANY), 0);
}

void world_cookie(struct world *w, uint64_t cookie, const char *addr, unsigned int port, __u32 slot,
		  __u32 generation, const char *peer)
{
	struct rsip_cookie_key key = { .addr = pkt_addr(addr), .port = htons((uint16_t)port) };
	struct rsip_cookie value = { .target = { slot, generation }, .peer = pkt_addr(peer) };

	for (int i = 0; i < 8; i++)
		key.cookie[i] = (uint8_t)(cookie >> (56 - 8 * i));
	set(w->skel->maps.rsip_cookies, &key, &value);
}

bool world_cookie_get(struct world *w, uint64_t cookie, const char *addr, unsigned int port,
		      struct rsip_cookie *out)
{
	struct rsip_cookie_key key = { .addr = pkt_addr(addr), .port = htons((uint16_t)port) };

	for (int i = 0; i < 8; i++)
		key.cookie[i] = (uint8_t)(cookie >> (56 - 8 * i));
	return !bpf_map__lookup_elem(w->skel->maps.rsip_cookies, &key, sizeof(key), out, sizeof(*out), 0);
}

size_t world_cookies(struct world *w)
{
	struct rsip_cookie_key key;
	void *from = NULL;
	size_t count = 0;

	while (!bpf_map__get_next_key(w->skel->maps.rsip_cookies, from, &key, sizeof(key))) {
		from = &key;
		count++;
	}
	return count;
}
