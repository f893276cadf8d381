// SPDX-License-Identifier: GPL-2.0-only
/*
 * nexthop.c and the modules under it against a real kernel's routes and
 * neighbours, without any BPF: the maps' memory is the test's own. What the data
 * plane would read is compared as a whole.
 */
#include <arpa/inet.h>
#include <netinet/ip.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>
#include <linux/if_ether.h>

#include "net.h"
#include "rsipd/nexthop.h"
#include "rsipd/recheck.h"

#define SLOTS	64
#define ROUTES	(RSIP_ROUTE_SETS * RSIP_ROUTE_WAYS)

static struct netlink *netlink;
static struct nexthops *nh;
static struct nexthop_slot slots[SLOTS];
static struct rsip_route routes[ROUTES];
static struct nexthop_host hosts[2 * SLOTS];
static unsigned int host_count, moves;

static struct nexthop_host *find(__be32 addr, void *arg)
{
	(void)arg;
	for (unsigned int i = 0; i < host_count; i++)
		if (hosts[i].via && hosts[i].addr == addr)
			return &hosts[i];
	return NULL;
}

static void moved(struct nexthop_host *host, void *arg)
{
	(void)host;
	(void)arg;
	moves++;
}

static const struct nexthop_calls calls = { .find = find, .moved = moved };

static void open_on(const struct config *config)
{
	cr_assert_eq(netlink_open(&netlink), 0);
	cr_assert_eq(nexthops_new(config, netlink, &calls, slots, SLOTS, routes, &nh), 0);
}

static void open_all(void)
{
	net_enter();
	open_on(net_config());
}

static void close_all(void)
{
	nexthops_free(nh);
	netlink_close(netlink);
}

TestSuite(nexthop, .init = open_all, .fini = close_all);

/* --- waiting for a slot ------------------------------------------------------------------ */

struct wanted {
	uint32_t slot;
	const struct nexthop_host *host;	/* its slot instead */
	struct rsip_nexthop hop;
	bool ticks;		/* let time pass as well */
};

static void step(void *arg)
{
	const struct wanted *wanted = arg;

	nexthops_ready(nh, net_now());
	nexthops_recheck(nh, net_now());
	if (wanted->ticks)
		nexthops_tick(nh, net_now());
}

static bool reached(void *arg)
{
	const struct wanted *wanted = arg;

	uint32_t slot = wanted->host ? nexthop_host_slot(wanted->host) : wanted->slot;

	return !memcmp(&slots[slot].hop, &wanted->hop, sizeof(wanted->hop));
}

static struct rsip_nexthop way(const char *device, const char *src, const char *dst)
{
	struct rsip_nexthop hop = { .state = RSIP_NEXTHOP_VALID, .ifindex = if_nametoindex(device), .mtu = 1500 };

	net_mac(src, hop.src);
	net_mac(dst, hop.dst);
	return hop;
}

static struct rsip_nexthop to_host(void)
{
	return way("lan0", NET_MAC_LAN, NET_MAC_X);
}

static struct rsip_nexthop to_peer(void)
{
	return way("wan0", NET_MAC_WAN, NET_MAC_Y);
}

static const struct rsip_nexthop unresolved = { .state = RSIP_NEXTHOP_UNRESOLVED };
static const struct rsip_nexthop rejected = { .state = RSIP_NEXTHOP_REJECT };

static void expect(uint32_t slot, struct rsip_nexthop hop)
{
	struct wanted wanted = { slot, NULL, hop, false };

	cr_assert(net_until(step, reached, &wanted), "slot %u: state %u ifindex %u mtu %u", slot,
		  slots[slot].hop.state, slots[slot].hop.ifindex, slots[slot].hop.mtu);
}

static void expect_in_time(uint32_t slot, struct rsip_nexthop hop)
{
	struct wanted wanted = { slot, NULL, hop, true };

	cr_assert(net_until(step, reached, &wanted), "slot %u: state %u", slot, slots[slot].hop.state);
}

static void expect_host(const struct nexthop_host *host, struct rsip_nexthop hop, bool ticks)
{
	struct wanted wanted = { 0, host, hop, ticks };

	cr_assert(net_until(step, reached, &wanted), "slot %u: state %u", nexthop_host_slot(host),
		  slots[nexthop_host_slot(host)].hop.state);
}

/* --- packets as the data plane hands them over --------------------------------------------- */

static uint16_t checksum(const uint8_t *header)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < 20; i += 2)
		sum += (uint32_t)header[i] << 8 | header[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~(sum + (sum >> 16));
}

/* 60 bytes: protocol, addresses and a mark that tells one packet from another. */
static struct rsip_event_resolve packet(bool inbound, const char *src, const char *dst, uint8_t mark)
{
	struct rsip_event_resolve event = {
		.kind = RSIP_EVENT_RESOLVE, .dst = net_addr(dst), .inbound = inbound, .len = 60,
	};
	struct iphdr ip = {
		.version = 4, .ihl = 5, .tot_len = htons(60), .id = 0, .frag_off = htons(IP_DF), .ttl = 61,
		.protocol = inbound ? RSIP_PROTO_IPIP : RSIP_PROTO_AH, .saddr = net_addr(src), .daddr = event.dst,
	};

	memcpy(event.packet, &ip, sizeof(ip));
	ip.check = htons(checksum(event.packet));
	memcpy(event.packet, &ip, sizeof(ip));
	for (uint8_t i = 20; i < 60; i++)
		event.packet[i] = (uint8_t)(mark + i);
	return event;
}

static void hand(const struct rsip_event_resolve *event)
{
	nexthop_packet(nh, event, net_now());
}

static void expect_frame(int sniffer, const struct rsip_event_resolve *event, const struct rsip_nexthop *hop)
{
	uint8_t want[14 + 60], got[2048];
	size_t len = net_frame(sniffer, got, sizeof(got));

	memcpy(want, hop->dst, 6);
	memcpy(want + 6, hop->src, 6);
	want[12] = ETH_P_IP >> 8;
	want[13] = ETH_P_IP & 0xff;
	memcpy(want + 14, event->packet, event->len);
	cr_assert_eq(len, sizeof(want), "%zu bytes", len);
	cr_assert_arr_eq(got, want, sizeof(want));
}

static uint32_t slot_of_route(const char *peer)
{
	uint32_t first = rsip_route_set(net_addr(peer)) * RSIP_ROUTE_WAYS;

	for (uint32_t i = first; i < first + RSIP_ROUTE_WAYS; i++)
		if (routes[i].addr == net_addr(peer))
			return routes[i].nexthop;
	return UINT32_MAX;
}

static unsigned int route_count(void)
{
	unsigned int count = 0;

	for (uint32_t i = 0; i < ROUTES; i++)
		count += routes[i].addr != 0;
	return count;
}

/* --- hosts ------------------------------------------------------------------------------------ */

static struct nexthop_host *add_host(const char *addr)
{
	struct nexthop_host *host = &hosts[host_count++];

	*host = (struct nexthop_host){ .addr = net_addr(addr) };
	nexthop_host_add(nh, host);
	return host;
}

static void remove_host(struct nexthop_host *host)
{
	nexthop_host_remove(nh, host);
	host->via = NULL;
}

/* covers: IN-19 */
Test(nexthop, host_is_found_at_registration)
{
	expect_host(add_host("10.0.0.5"), to_host(), false);
}

Test(nexthop, host_that_moves_to_another_mac_is_followed)
{
	struct rsip_nexthop moved = to_host();
	struct nexthop_host *host = add_host("10.0.0.5");

	expect_host(host, moved, false);
	net_outside("echo 1 > /proc/sys/net/ipv4/conf/x0/arp_notify; ip link set x0 address 02:00:00:00:00:77");
	net_mac("02:00:00:00:00:77", moved.dst);
	expect_host(host, moved, false);
}

Test(nexthop, link_down_and_up)
{
	struct nexthop_host *host = add_host("10.0.0.5");

	expect_host(host, to_host(), false);
	net_run("ip link set lan0 down");
	expect_host(host, unresolved, true);
	net_run("ip link set lan0 up");
	expect_host(host, to_host(), true);
	net_outside("ip link set x0 down");
	expect_host(host, unresolved, true);
	net_outside("ip link set x0 up");
	expect_host(host, to_host(), true);
}

/* Down and up again before the daemon looks: the kernel keeps the network, but not the route, and says nothing of that. */
Test(nexthop, link_that_was_down_for_a_moment)
{
	struct nexthop_host *direct = add_host("10.0.0.5"), *behind;

	net_run("ip route add 10.9.0.0/16 via 10.0.0.5");
	behind = add_host("10.9.1.1");
	expect_host(direct, to_host(), false);
	expect_host(behind, to_host(), false);
	net_run("ip link set lan0 down; ip link set lan0 up");
	expect_host(behind, rejected, false);
	expect_host(direct, to_host(), true);
}

/* A search that fails just after its device changed may have begun too early: it is begun once more, without a packet. */
Test(nexthop, search_that_was_under_way_when_the_device_changed)
{
	struct rsip_nexthop hop = to_host();
	struct nexthop_host *host;

	net_outside("ip link set x0 arp off");
	net_run("ip link set lan0 mtu 1400");		/* heard of after the search has begun */
	host = add_host("10.0.0.5");
	expect_host(host, rejected, false);
	net_outside("ip link set x0 arp on");
	hop.mtu = 1400;
	expect_host(host, hop, true);
}

Test(nexthop, mtu_and_own_mac_follow_the_link)
{
	struct rsip_nexthop hop = to_host();
	struct nexthop_host *host = add_host("10.0.0.5");

	expect_host(host, hop, false);
	net_run("ip link set lan0 mtu 1400");
	hop.mtu = 1400;
	expect_host(host, hop, false);
	net_run("ip link set lan0 address 02:00:00:00:00:99");
	net_mac("02:00:00:00:00:99", hop.src);
	expect_host(host, hop, false);
}

Test(nexthop, host_behind_a_router_and_a_new_route_to_it)
{
	struct rsip_nexthop hop = to_host();
	struct nexthop_host *host;

	net_run("ip route add 10.9.0.0/16 via 10.0.0.5");
	host = add_host("10.9.1.1");
	expect_host(host, hop, false);
	net_run("ip neigh add 10.0.0.7 lladdr 02:00:00:00:00:07 dev lan0");
	net_run("ip route add 10.9.1.0/24 via 10.0.0.7");
	net_mac("02:00:00:00:00:07", hop.dst);
	expect_host(host, hop, false);
	net_run("ip route del 10.9.1.0/24");
	expect_host(host, to_host(), false);
}

Test(nexthop, static_neighbour_stays_static)
{
	struct rsip_nexthop hop = to_host();

	net_run("ip neigh add 10.0.0.8 lladdr 02:00:00:00:00:08 dev lan0 nud permanent");
	net_mac("02:00:00:00:00:08", hop.dst);
	expect_host(add_host("10.0.0.8"), hop, false);
	net_run("ip neigh show 10.0.0.8 | grep -q PERMANENT");
}

/* And for a minute more: it may come back. */
Test(nexthop, kernel_keeps_a_host_fresh_until_it_is_removed)
{
	struct nexthop_host *host = add_host("10.0.0.5");
	uint64_t now = net_now();
	uint32_t slot;

	expect_host(host, to_host(), false);
	net_run("ip neigh show 10.0.0.5 | grep -q managed");
	slot = nexthop_host_slot(host);
	remove_host(host);
	cr_assert_eq(slots[slot].hop.state, RSIP_NEXTHOP_VALID);
	for (unsigned int s = 0; s <= 60; s++)
		nexthops_tick(nh, now += 1000);
	cr_assert_arr_eq(&slots[slot].hop, &unresolved, sizeof(unresolved));
	net_run("ip neigh show 10.0.0.5 | grep -qv managed");
}

Test(nexthop, neighbour_that_is_flushed_is_found_again)
{
	struct rsip_event_resolve event;
	int sniffer = net_sniff("x0");
	struct rsip_nexthop hop = to_host();
	struct nexthop_host *host = add_host("10.0.0.5");

	expect_host(host, hop, false);
	net_run("ip neigh flush to 10.0.0.5 nud all");
	expect_host(host, unresolved, false);
	event = packet(true, "10.0.0.1", "10.0.0.5", 1);
	hand(&event);
	expect_host(host, hop, false);
	expect_frame(sniffer, &event, &hop);
	net_run("ip neigh show 10.0.0.5 | grep -q managed");
	close(sniffer);
}

/* More events than the socket has room for: what came after them is asked for. */
Test(nexthop, events_that_were_lost)
{
	struct rsip_nexthop hop = to_host();
	struct nexthop_host *host = add_host("10.0.0.5");

	expect_host(host, hop, false);
	net_run("awk 'BEGIN { for (i = 0; i < 30000; i++) printf \"route add blackhole 198.18.%%d.%%d\\n\", i / 250, i %% 250 }' | "
		"ip -batch -");
	net_run("ip neigh replace 10.0.0.5 lladdr 02:00:00:00:00:08 dev lan0 nud permanent");
	net_mac("02:00:00:00:00:08", hop.dst);
	expect_host(host, hop, false);
}

/* covers: IN-20 */
Test(nexthop, handed_packets_to_a_host_arrive_once_and_unchanged)
{
	struct rsip_nexthop hop = to_host();
	int sniffer = net_sniff("x0");
	struct nexthop_host *host = add_host("10.0.0.6");

	/* Before the answer to the first ARP request can have been read: the slot is not filled. */
	cr_assert_eq(slots[nexthop_host_slot(host)].hop.state, RSIP_NEXTHOP_UNRESOLVED);
	for (uint8_t mark = 1; mark <= 3; mark++) {
		struct rsip_event_resolve event = packet(true, "10.0.0.1", "10.0.0.6", mark);

		hand(&event);
	}
	expect_host(host, hop, false);
	/* In order: a packet that came twice would stand where the next one is awaited. */
	for (uint8_t mark = 1; mark <= 3; mark++) {
		struct rsip_event_resolve event = packet(true, "10.0.0.1", "10.0.0.6", mark);

		expect_frame(sniffer, &event, &hop);
	}
	close(sniffer);
}

/* A host must be reached by a private interface, and at all. */
Test(nexthop, hosts_that_may_not_be_reached_are_rejected)
{
	static const struct {
		const char *route, *host;
	} cases[] = {
		{ "ip route add 10.8.0.0/16 via 203.0.113.2", "10.8.0.1" },	/* the public side */
		{ "ip route add blackhole 10.8.1.0/24", "10.8.1.1" },
		{ "ip route add unreachable 10.8.2.0/24", "10.8.2.1" },
		{ "ip route add local 10.8.3.0/24 dev lo", "10.8.3.1" },
		{ "true", "192.0.2.1" },					/* no route */
		{ "true", "10.0.0.255" },					/* broadcast */
		{ "true", "10.0.0.1" },						/* N itself */
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t slot;

		net_run("%s", cases[i].route);
		slot = nexthop_host_slot(add_host(cases[i].host));
		cr_expect_arr_eq(&slots[slot].hop, &rejected, sizeof(rejected), "%s", cases[i].host);
	}
}

Test(nexthop, host_that_was_rejected_comes_back_with_a_route)
{
	struct rsip_event_resolve late = packet(true, "10.0.0.1", "10.9.0.1", 1);
	struct nexthop_host *host = add_host("10.9.0.1");
	uint32_t slot = nexthop_host_slot(host);

	expect_host(host, rejected, false);
	nexthops_tick(nh, net_now());
	hand(&late);
	cr_expect_eq(nexthop_host_slot(host), slot);	/* the refusal is not prolonged */
	net_run("ip route add 10.9.0.0/16 via 10.0.0.5");
	expect_host(host, to_host(), false);
}

Test(nexthop, host_that_does_not_answer_is_rejected_and_tried_again)
{
	struct rsip_event_resolve event;
	struct nexthop_host *host = add_host("10.0.0.50");

	expect_host(host, rejected, false);
	expect_host(host, unresolved, true);
	net_outside("ip addr add 10.0.0.50/24 dev x0");
	event = packet(true, "10.0.0.1", "10.0.0.50", 1);
	hand(&event);
	expect_host(host, to_host(), false);
}

Test(nexthop, event_for_a_host_that_is_gone_sends_nothing)
{
	struct rsip_nexthop hop = to_host();
	int sniffer = net_sniff("x0");
	struct nexthop_host *gone = add_host("10.0.0.6");
	struct rsip_event_resolve stale = packet(true, "10.0.0.1", "10.0.0.6", 1);
	struct rsip_event_resolve good = packet(true, "10.0.0.1", "10.0.0.5", 2);

	add_host("10.0.0.5");
	remove_host(gone);
	hand(&stale);
	hand(&good);
	expect_frame(sniffer, &good, &hop);
	close(sniffer);
}

/* More neighbours than slots: the last one's packets go through the daemon. Idle ones make room. */
Test(nexthop, slots_run_out)
{
	struct rsip_event_resolve event = packet(true, "10.0.0.1", "10.0.0.5", 1);
	struct rsip_nexthop hop = to_host();
	int sniffer = net_sniff("x0");
	struct nexthop_host *last;

	net_run("ip route add 10.0.1.0/24 dev lan0; for i in $(seq 0 59); do "
		"ip neigh add 10.0.1.$i lladdr 02:00:00:00:00:07 dev lan0 nud permanent; done");
	for (unsigned int i = 0; i < SLOTS - 4; i++) {		/* four are the fixed ones */
		char addr[32];

		sprintf(addr, "10.0.1.%u", i);
		cr_assert_geq(nexthop_host_slot(add_host(addr)), 4);
	}
	last = add_host("10.0.0.5");
	cr_assert_arr_eq(&slots[nexthop_host_slot(last)].hop, &unresolved, sizeof(unresolved));
	hand(&event);
	expect_frame(sniffer, &event, &hop);
	cr_assert_arr_eq(&slots[nexthop_host_slot(last)].hop, &unresolved, sizeof(unresolved));
	remove_host(&hosts[7]);
	hand(&event);
	expect_host(last, hop, false);
	close(sniffer);
}

/* --- hosts that share a neighbour ---------------------------------------------------------------- */

static void route_to_hosts(void)
{
	net_run("ip route add 10.9.0.0/16 via 10.0.0.5");
}

/* covers: IN-19 */
Test(nexthop, hosts_behind_one_router_share_a_slot)
{
	struct nexthop_host *a, *b, *direct;

	route_to_hosts();
	a = add_host("10.9.1.1");
	b = add_host("10.9.2.2");
	direct = add_host("10.0.0.6");
	expect_host(a, to_host(), false);
	expect_host(direct, to_host(), false);
	cr_expect_eq(nexthop_host_slot(a), nexthop_host_slot(b));
	cr_expect_neq(nexthop_host_slot(a), nexthop_host_slot(direct));
	remove_host(a);
	expect_host(b, to_host(), false);
	cr_expect_eq(moves, 0);
}

/* One of two hosts is led elsewhere: it gets another slot, and the one they shared never says anything else. */
Test(nexthop, only_the_host_whose_route_changes_moves)
{
	struct rsip_nexthop other = to_host();
	struct nexthop_host *a, *b;
	uint32_t shared;

	route_to_hosts();
	a = add_host("10.9.1.1");
	b = add_host("10.9.2.2");
	expect_host(a, to_host(), false);
	shared = nexthop_host_slot(a);
	net_mac("02:00:00:00:00:07", other.dst);
	net_run("ip neigh add 10.0.0.7 lladdr 02:00:00:00:00:07 dev lan0 nud permanent; ip route add 10.9.1.0/24 via 10.0.0.7");
	expect_host(a, other, false);
	cr_expect_eq(moves, 1);
	cr_expect_eq(nexthop_host_slot(b), shared);
	expect_host(b, to_host(), false);
	net_run("ip route del 10.9.1.0/24");
	expect_host(a, to_host(), false);
	cr_expect_eq(nexthop_host_slot(a), shared);
	cr_expect_eq(moves, 2);
}

/* --- many hosts ------------------------------------------------------------------------------------- */

#define CROWD	5000
#define PART	(RECHECK_PART / RECHECK_LOOK)

static struct nexthop_host crowd[CROWD];	/* the first one added is the last one looked at */

static void add_crowd(void)
{
	net_run("ip route add 10.16.0.0/12 via 10.0.0.5");
	net_run("ip neigh add 10.0.0.7 lladdr 02:00:00:00:00:07 dev lan0 nud permanent");
	expect_host(add_host("10.0.0.5"), to_host(), false);
	for (uint32_t i = 0; i < CROWD; i++) {
		crowd[i].addr = htonl(0x0a100000 + i);
		nexthop_host_add(nh, &crowd[i]);
	}
	while (nexthops_recheck(nh, net_now()))
		;
	cr_assert_eq(moves, 0);
}

/* However many they are, a call looks at so many that it takes some milliseconds, and all are looked at without any time. */
Test(nexthop, many_hosts_are_led_elsewhere_in_parts)
{
	uint64_t now = net_now();
	unsigned int parts = 1;

	add_crowd();
	net_run("ip route replace 10.16.0.0/12 via 10.0.0.7");
	nexthops_ready(nh, now);
	for (bool left = true; left; parts++) {
		unsigned int before = moves;

		left = nexthops_recheck(nh, now);
		cr_assert_leq(moves - before, PART);
	}
	cr_expect_eq(moves, CROWD);
	cr_expect_leq(parts, CROWD / PART + 2);
	for (uint32_t i = 0; i < CROWD; i++)
		cr_assert_eq(nexthop_host_slot(&crowd[i]), nexthop_host_slot(&crowd[0]));
}

/* While everybody is looked at, as after an address changed, a route to one host changes: it does not wait for them. */
Test(nexthop, host_whose_route_changed_comes_first)
{
	uint64_t now = net_now();

	add_crowd();
	net_run("ip addr add 10.0.0.99/32 dev lan0");
	nexthops_ready(nh, now);
	cr_assert(nexthops_recheck(nh, now));
	net_run("ip route add 10.16.0.0/32 via 10.0.0.7");
	nexthops_ready(nh, now);
	cr_assert(nexthops_recheck(nh, now));
	cr_expect_eq(moves, 1);
	cr_expect_neq(nexthop_host_slot(&crowd[0]), nexthop_host_slot(&crowd[1]));
}

/* --- after another daemon --------------------------------------------------------------------------- */

/* Another daemon takes over the memory, the hosts and the slot that the binds of each name. */
static void restart(void)
{
	uint32_t before[2 * SLOTS];

	for (unsigned int i = 0; i < host_count; i++)
		before[i] = nexthop_host_slot(&hosts[i]);
	close_all();
	open_on(net_config());
	for (unsigned int i = 0; i < host_count; i++)
		nexthop_host_adopt(nh, &hosts[i], before[i]);
	moves = 0;
}

static void settle(void)
{
	nexthops_settle(nh, net_now());
	nexthops_ready(nh, net_now());
	nexthops_recheck(nh, net_now());
}

Test(nexthop, another_daemon_changes_nothing)
{
	struct rsip_event_resolve event = packet(false, "203.0.113.10", "203.0.113.2", 1);
	static struct nexthop_slot before[SLOTS];
	static struct rsip_route routes_before[ROUTES];
	struct nexthop_host *a;
	uint32_t shared;

	route_to_hosts();
	a = add_host("10.9.1.1");
	expect_host(add_host("10.9.2.2"), to_host(), false);
	expect_host(add_host("10.0.0.6"), to_host(), false);
	hand(&event);
	expect(slot_of_route("203.0.113.2"), to_peer());
	shared = nexthop_host_slot(a);
	memcpy(before, slots, sizeof(before));
	memcpy(routes_before, routes, sizeof(routes));
	restart();
	settle();
	cr_expect_arr_eq(slots, before, sizeof(before));
	cr_expect_arr_eq(routes, routes_before, sizeof(routes));
	cr_expect_eq(moves, 0);
	cr_expect_eq(nexthop_host_slot(a), shared);
	/* And they are known by name again. */
	cr_expect_eq(nexthop_host_slot(add_host("10.9.3.3")), shared);
}

/* Routing changed while no daemon ran, for one of two hosts that share a slot. */
static void change_meanwhile(unsigned int which)
{
	struct rsip_nexthop other = to_host();
	uint32_t shared;

	route_to_hosts();
	add_host("10.9.0.1");
	add_host("10.9.1.1");
	expect_host(&hosts[0], to_host(), false);
	shared = nexthop_host_slot(&hosts[0]);
	net_mac("02:00:00:00:00:07", other.dst);
	net_run("ip neigh add 10.0.0.7 lladdr 02:00:00:00:00:07 dev lan0 nud permanent; "
		"ip route add 10.9.%u.0/24 via 10.0.0.7", which);
	restart();
	expect(shared, to_host());
	settle();
	expect_host(&hosts[which], other, false);
	cr_expect_eq(moves, 1);
	cr_expect_eq(nexthop_host_slot(&hosts[!which]), shared);
	expect(shared, to_host());
}

/* Whoever is looked at first does not decide what the slot says. */
Test(nexthop, another_daemon_finds_the_way_of_the_first_changed)
{
	change_meanwhile(0);
}

Test(nexthop, another_daemon_finds_the_way_of_the_second_changed)
{
	change_meanwhile(1);
}

/* The kernel knows nothing of the router any more: what the slot says goes on until it does. */
Test(nexthop, another_daemon_goes_on_with_what_it_found)
{
	struct rsip_nexthop other = to_host();
	struct nexthop_host *a, *b;

	route_to_hosts();
	a = add_host("10.9.1.1");
	b = add_host("10.9.2.2");
	expect_host(a, to_host(), false);
	nexthops_release(nh);
	net_outside("ip link set x0 arp off");
	net_run("ip neigh flush to 10.0.0.5 nud all");
	restart();
	settle();
	expect_host(a, to_host(), false);
	expect_host(b, to_host(), false);
	net_mac("02:00:00:00:00:08", other.dst);
	net_run("ip neigh replace 10.0.0.5 lladdr 02:00:00:00:00:08 dev lan0 nud permanent");
	expect_host(a, other, false);
	expect_host(b, other, false);
}

/* Interfaces that come back with another index: hosts and peers are found there. covers: IN-19 */
Test(nexthop, interfaces_made_anew)
{
	struct rsip_event_resolve event = packet(false, "203.0.113.10", "203.0.113.2", 1);
	struct nexthop_host *host = add_host("10.0.0.5");
	unsigned int lan = if_nametoindex("lan0");

	expect_host(host, to_host(), false);
	hand(&event);
	expect(slot_of_route("203.0.113.2"), to_peer());
	cr_expect_not(nexthops_moved(nh));
	net_anew();
	cr_assert_neq(if_nametoindex("lan0"), lan);
	expect_host(host, to_host(), false);
	cr_expect(nexthops_moved(nh));
	cr_expect_not(nexthops_moved(nh));
	hand(&event);
	expect(slot_of_route("203.0.113.2"), to_peer());
}

static struct config_interface vlan_interface = { .name = "lan0.7" };

static void open_vlan(void)
{
	struct config *config;

	net_enter();
	net_vlan();
	config = net_config();
	config->private_interfaces = &vlan_interface;
	open_on(config);
}

/* The tag is pushed by the data plane, which sends by the device below. */
Test(nexthop_vlan, host_on_a_vlan, .init = open_vlan, .fini = close_all)
{
	struct rsip_nexthop hop = to_host();

	hop.vlan[0] = (struct rsip_vlan){ htons(ETH_P_8021Q), htons(7) };
	expect_host(add_host("10.7.0.5"), hop, false);
}

static struct config_interface qinq_interface = { .name = "lan0.100.7" };

static void open_qinq(void)
{
	struct config *config;

	net_enter();
	net_qinq();
	config = net_config();
	config->private_interfaces = &qinq_interface;
	open_on(config);
}

/* A VLAN on a provider's VLAN. The events tell of the upper one only; both tags must last. covers: IN-24 */
Test(nexthop_vlan, host_behind_two_tags, .init = open_qinq, .fini = close_all)
{
	struct rsip_nexthop hop = to_host();
	struct nexthop_host *host = add_host("10.8.0.5");

	hop.vlan[0] = (struct rsip_vlan){ htons(ETH_P_8021AD), htons(100) };
	hop.vlan[1] = (struct rsip_vlan){ htons(ETH_P_8021Q), htons(7) };
	expect_host(host, hop, false);
	net_run("ip link set lan0.100.7 mtu 1400");
	hop.mtu = 1400;
	expect_host(host, hop, false);
}

/* --- peers --------------------------------------------------------------------------------------- */

/* covers: EG-14 */
Test(nexthop, handed_packet_to_a_peer_arrives_once_and_fills_the_cache)
{
	struct rsip_nexthop hop = to_peer();
	struct rsip_event_resolve first = packet(false, "203.0.113.10", "203.0.113.2", 1);
	struct rsip_event_resolve second = packet(false, "203.0.113.10", "203.0.113.2", 2);
	int sniffer = net_sniff("y0");
	uint32_t slot;

	hand(&first);
	hand(&second);
	slot = slot_of_route("203.0.113.2");
	expect(slot, hop);
	expect_frame(sniffer, &first, &hop);
	expect_frame(sniffer, &second, &hop);
	cr_assert_eq(route_count(), 1);
	close(sniffer);
}

Test(nexthop, peers_behind_one_router_share_a_slot)
{
	static const char *const peers[] = { "198.51.100.1", "198.51.100.2", "192.0.2.77" };

	net_run("ip route add default via 203.0.113.3");
	for (size_t i = 0; i < 3; i++) {
		struct rsip_event_resolve event = packet(false, "203.0.113.10", peers[i], 1);

		hand(&event);
	}
	expect(slot_of_route(peers[0]), to_peer());
	cr_assert_eq(slot_of_route(peers[1]), slot_of_route(peers[0]));
	cr_assert_eq(slot_of_route(peers[2]), slot_of_route(peers[0]));
}

/* covers: EG-16 */
Test(nexthop, peers_that_may_not_be_reached_are_rejected_for_a_while)
{
	static const char *const peers[] = {
		"10.0.0.5", "10.0.0.1", "203.0.113.1", "127.0.0.1", "203.0.113.255", "255.255.255.255",
		"224.0.0.5", "10.9.0.1", "192.0.2.1", "192.0.3.1",
	};
	struct rsip_event_resolve good = packet(false, "203.0.113.10", "203.0.113.2", 9);
	int x = net_sniff("x0"), y = net_sniff("y0");
	struct rsip_nexthop hop = to_peer();
	uint64_t now = net_now();

	net_run("ip route add 10.9.0.0/16 via 10.0.0.5; ip route add blackhole 192.0.3.0/24");
	for (size_t i = 0; i < sizeof(peers) / sizeof(peers[0]); i++) {
		struct rsip_event_resolve event = packet(false, "203.0.113.10", peers[i], 1);
		uint32_t slot;

		hand(&event);
		slot = slot_of_route(peers[i]);
		cr_assert_lt(slot, SLOTS, "%s", peers[i]);
		cr_expect_arr_eq(&slots[slot].hop, &rejected, sizeof(rejected), "%s", peers[i]);
	}
	hand(&good);
	expect_frame(y, &good, &hop);		/* nothing before it */
	for (unsigned int s = 0; s < 2; s++)
		nexthops_tick(nh, now + s * 1000);
	cr_assert_eq(slot_of_route(peers[0]) == UINT32_MAX, false);
	nexthops_tick(nh, now + 2000);
	for (size_t i = 0; i < sizeof(peers) / sizeof(peers[0]); i++)
		cr_expect_eq(slot_of_route(peers[i]), UINT32_MAX, "%s", peers[i]);
	add_host("10.0.0.5");
	good = packet(true, "10.0.0.1", "10.0.0.5", 7);
	hop = to_host();
	hand(&good);
	expect_frame(x, &good, &hop);		/* nor here */
	close(x);
	close(y);
}

Test(nexthop, peer_that_does_not_answer_is_rejected_and_tried_again)
{
	struct rsip_event_resolve event = packet(false, "203.0.113.10", "203.0.113.50", 1);
	int sniffer = net_sniff("y0");
	struct rsip_nexthop hop = to_peer();
	uint32_t slot;

	hand(&event);
	slot = slot_of_route("203.0.113.50");
	expect(slot, rejected);
	hand(&event);
	expect(slot, rejected);		/* not tried before its time */
	expect_in_time(slot, unresolved);
	net_outside("ip addr add 203.0.113.50/24 dev y0");
	event = packet(false, "203.0.113.10", "203.0.113.50", 2);
	hand(&event);
	expect(slot, hop);
	expect_frame(sniffer, &event, &hop);
	close(sniffer);
}

Test(nexthop, changed_routes_empty_the_cache_where_they_apply)
{
	struct rsip_event_resolve near = packet(false, "203.0.113.10", "203.0.113.2", 1);
	struct rsip_event_resolve far = packet(false, "203.0.113.10", "198.51.100.1", 1);
	struct wanted wanted = { 0 };

	net_run("ip route add default via 203.0.113.3");
	step(&wanted);
	hand(&near);
	hand(&far);
	expect(slot_of_route("198.51.100.1"), to_peer());
	net_run("ip route add 198.51.0.0/16 via 203.0.113.2");
	for (uint64_t end = net_now() + 5000; slot_of_route("198.51.100.1") != UINT32_MAX && net_now() < end;)
		step(&wanted);
	cr_assert_eq(slot_of_route("198.51.100.1"), UINT32_MAX);
	cr_assert_neq(slot_of_route("203.0.113.2"), UINT32_MAX);
	hand(&far);
	cr_assert_eq(slot_of_route("198.51.100.1"), slot_of_route("203.0.113.2"));
}

/* Addresses of one set, so that ways run out. */
static __be32 in_set(uint32_t set, unsigned int which)
{
	for (uint32_t host = 1;; host++) {
		__be32 addr = htonl(0x64400000 + host);		/* 100.64.0.0/10 */

		if (rsip_route_set(addr) == set && !which--)
			return addr;
	}
}

Test(nexthop, full_set_replaces_one_way_after_another)
{
	uint32_t first = 7 * RSIP_ROUTE_WAYS;

	net_run("ip route add default via 203.0.113.3");
	for (unsigned int i = 0; i < 6; i++) {
		struct rsip_event_resolve event = packet(false, "203.0.113.10", "203.0.113.2", 1);

		event.dst = in_set(7, i);
		hand(&event);
	}
	cr_assert_eq(route_count(), RSIP_ROUTE_WAYS);
	cr_expect_eq(routes[first].addr, in_set(7, 4));
	cr_expect_eq(routes[first + 1].addr, in_set(7, 5));
	cr_expect_eq(routes[first + 2].addr, in_set(7, 2));
	cr_expect_eq(routes[first + 3].addr, in_set(7, 3));
}

/* Ten minutes without any change: each route was looked up again, and an unused hop is given back. */
Test(nexthop, routes_age_and_unused_hops_are_forgotten)
{
	struct rsip_event_resolve event = packet(false, "203.0.113.10", "203.0.113.2", 1);
	uint64_t now = net_now();
	uint32_t slot;

	hand(&event);
	slot = slot_of_route("203.0.113.2");
	expect(slot, to_peer());
	net_run("ip neigh show 203.0.113.2 | grep -q managed");
	for (unsigned int s = 0; s <= 600; s++)
		nexthops_tick(nh, now += 1000);
	cr_assert_eq(route_count(), 0);
	for (unsigned int s = 0; s <= 60; s++)
		nexthops_tick(nh, now += 1000);
	cr_assert_arr_eq(&slots[slot].hop, &unresolved, sizeof(unresolved));
	net_run("ip neigh show 203.0.113.2 | grep -qv managed");
}
