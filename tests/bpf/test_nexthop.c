// SPDX-License-Identifier: GPL-2.0-only
/*
 * nexthop.c against a real kernel's routes and neighbours, without any BPF: the
 * maps' memory is the test's own. What the data plane would read is compared
 * as a whole.
 */
#include <arpa/inet.h>
#include <netinet/ip.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>
#include <linux/if_ether.h>

#include "net.h"
#include "rsipd/nexthop.h"

#define SLOTS	64
#define ROUTES	(RSIP_ROUTE_SETS * RSIP_ROUTE_WAYS)

static struct netlink *netlink;
static struct nexthops *nh;
static struct nexthop_slot slots[SLOTS];
static struct rsip_route routes[ROUTES];

static void open_all(void)
{
	net_enter();
	cr_assert_eq(netlink_open(&netlink), 0);
	cr_assert_eq(nexthops_new(net_config(), netlink, slots, SLOTS, routes, &nh), 0);
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
	struct rsip_nexthop hop;
	bool ticks;		/* let time pass as well */
};

static void step(void *arg)
{
	const struct wanted *wanted = arg;

	nexthops_ready(nh, net_now());
	if (wanted->ticks)
		nexthops_tick(nh, net_now());
}

static bool reached(void *arg)
{
	const struct wanted *wanted = arg;

	return !memcmp(&slots[wanted->slot].hop, &wanted->hop, sizeof(wanted->hop));
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
	struct wanted wanted = { slot, hop, false };

	cr_assert(net_until(step, reached, &wanted), "slot %u: state %u ifindex %u mtu %u", slot,
		  slots[slot].hop.state, slots[slot].hop.ifindex, slots[slot].hop.mtu);
}

static void expect_in_time(uint32_t slot, struct rsip_nexthop hop)
{
	struct wanted wanted = { slot, hop, true };

	cr_assert(net_until(step, reached, &wanted), "slot %u: state %u", slot, slots[slot].hop.state);
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
static struct rsip_event_resolve packet(bool inbound, uint32_t slot, const char *src, const char *dst, uint8_t mark)
{
	struct rsip_event_resolve event = {
		.kind = RSIP_EVENT_RESOLVE, .nexthop = slot, .dst = net_addr(dst), .inbound = inbound, .len = 60,
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

static uint32_t add_host(const char *addr)
{
	uint32_t slot;

	cr_assert_eq(nexthop_host_add(nh, net_addr(addr), &slot), 0);
	return slot;
}

/* covers: IN-19 */
Test(nexthop, host_is_found_at_registration)
{
	expect(add_host("10.0.0.5"), to_host());
}

Test(nexthop, host_that_moves_to_another_mac_is_followed)
{
	struct rsip_nexthop moved = to_host();
	uint32_t slot = add_host("10.0.0.5");

	expect(slot, moved);
	net_outside("echo 1 > /proc/sys/net/ipv4/conf/x0/arp_notify; ip link set x0 address 02:00:00:00:00:77");
	net_mac("02:00:00:00:00:77", moved.dst);
	expect(slot, moved);
}

Test(nexthop, link_down_and_up)
{
	uint32_t slot = add_host("10.0.0.5");

	expect(slot, to_host());
	net_run("ip link set lan0 down");
	expect_in_time(slot, unresolved);
	net_run("ip link set lan0 up");
	expect_in_time(slot, to_host());
	net_outside("ip link set x0 down");
	expect_in_time(slot, unresolved);
	net_outside("ip link set x0 up");
	expect_in_time(slot, to_host());
}

Test(nexthop, mtu_and_own_mac_follow_the_link)
{
	struct rsip_nexthop hop = to_host();
	uint32_t slot = add_host("10.0.0.5");

	expect(slot, hop);
	net_run("ip link set lan0 mtu 1400");
	hop.mtu = 1400;
	expect(slot, hop);
	net_run("ip link set lan0 address 02:00:00:00:00:99");
	net_mac("02:00:00:00:00:99", hop.src);
	expect(slot, hop);
}

Test(nexthop, host_behind_a_router_and_a_new_route_to_it)
{
	struct rsip_nexthop hop = to_host();
	uint32_t slot;

	net_run("ip route add 10.9.0.0/16 via 10.0.0.5");
	slot = add_host("10.9.1.1");
	expect(slot, hop);
	net_run("ip neigh add 10.0.0.7 lladdr 02:00:00:00:00:07 dev lan0");
	net_run("ip route add 10.9.1.0/24 via 10.0.0.7");
	net_mac("02:00:00:00:00:07", hop.dst);
	expect(slot, hop);
	net_run("ip route del 10.9.1.0/24");
	expect(slot, to_host());
}

Test(nexthop, static_neighbour_stays_static)
{
	struct rsip_nexthop hop = to_host();

	net_run("ip neigh add 10.0.0.8 lladdr 02:00:00:00:00:08 dev lan0 nud permanent");
	net_mac("02:00:00:00:00:08", hop.dst);
	expect(add_host("10.0.0.8"), hop);
	net_run("ip neigh show 10.0.0.8 | grep -q PERMANENT");
}

Test(nexthop, kernel_keeps_a_host_fresh_until_it_is_removed)
{
	uint32_t slot = add_host("10.0.0.5");

	expect(slot, to_host());
	net_run("ip neigh show 10.0.0.5 | grep -q managed");
	nexthop_host_remove(nh, slot);
	cr_assert_arr_eq(&slots[slot].hop, &unresolved, sizeof(unresolved));
	net_run("ip neigh show 10.0.0.5 | grep -qv managed");
}

Test(nexthop, neighbour_that_is_flushed_is_found_again)
{
	struct rsip_event_resolve event;
	int sniffer = net_sniff("x0");
	struct rsip_nexthop hop = to_host();
	uint32_t slot = add_host("10.0.0.5");

	expect(slot, hop);
	net_run("ip neigh flush to 10.0.0.5 nud all");
	expect(slot, unresolved);
	event = packet(true, slot, "10.0.0.1", "10.0.0.5", 1);
	hand(&event);
	expect(slot, hop);
	expect_frame(sniffer, &event, &hop);
	close(sniffer);
}

/* covers: IN-20 */
Test(nexthop, handed_packets_to_a_host_arrive_once_and_unchanged)
{
	struct rsip_nexthop hop = to_host();
	int sniffer = net_sniff("x0");
	uint32_t slot = add_host("10.0.0.6");

	/* Before the answer to the first ARP request can have been read: the slot is not filled. */
	cr_assert_eq(slots[slot].hop.state, RSIP_NEXTHOP_UNRESOLVED);
	for (uint8_t mark = 1; mark <= 3; mark++) {
		struct rsip_event_resolve event = packet(true, slot, "10.0.0.1", "10.0.0.6", mark);

		hand(&event);
	}
	expect(slot, hop);
	/* In order: a packet that came twice would stand where the next one is awaited. */
	for (uint8_t mark = 1; mark <= 3; mark++) {
		struct rsip_event_resolve event = packet(true, slot, "10.0.0.1", "10.0.0.6", mark);

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
		slot = add_host(cases[i].host);
		cr_expect_arr_eq(&slots[slot].hop, &rejected, sizeof(rejected), "%s", cases[i].host);
	}
}

Test(nexthop, host_that_was_rejected_comes_back_with_a_route)
{
	uint32_t slot = add_host("10.9.0.1");

	expect(slot, rejected);
	net_run("ip route add 10.9.0.0/16 via 10.0.0.5");
	expect(slot, to_host());
}

Test(nexthop, host_that_does_not_answer_is_rejected_and_tried_again)
{
	struct rsip_event_resolve event;
	uint32_t slot = add_host("10.0.0.50");

	expect(slot, rejected);
	expect_in_time(slot, unresolved);
	net_outside("ip addr add 10.0.0.50/24 dev x0");
	event = packet(true, slot, "10.0.0.1", "10.0.0.50", 1);
	hand(&event);
	expect(slot, to_host());
}

Test(nexthop, event_for_a_slot_that_ended_sends_nothing)
{
	struct rsip_nexthop hop = to_host();
	int sniffer = net_sniff("x0");
	uint32_t gone = add_host("10.0.0.6"), other = add_host("10.0.0.5");
	struct rsip_event_resolve stale = packet(true, gone, "10.0.0.1", "10.0.0.6", 1);
	struct rsip_event_resolve foreign = packet(true, other, "10.0.0.1", "10.0.0.6", 2);
	struct rsip_event_resolve beyond = packet(true, SLOTS, "10.0.0.1", "10.0.0.6", 3);
	struct rsip_event_resolve good = packet(true, other, "10.0.0.1", "10.0.0.5", 4);

	nexthop_host_remove(nh, gone);
	hand(&stale);
	hand(&foreign);
	hand(&beyond);
	hand(&good);
	expect_frame(sniffer, &good, &hop);
	close(sniffer);
}

Test(nexthop, slots_run_out)
{
	uint32_t slot, count = 0;

	while (nexthop_host_add(nh, htonl(0x0a000100 + count), &slot) == 0)
		count++;
	cr_assert_eq(count, SLOTS - 3, "%u", count);	/* three are the fixed ones */
}

/* Interfaces that come back with another index: hosts and peers are found there. covers: IN-19 */
Test(nexthop, interfaces_made_anew)
{
	struct rsip_event_resolve event = packet(false, UINT32_MAX, "203.0.113.10", "203.0.113.2", 1);
	uint32_t slot = add_host("10.0.0.5");
	unsigned int lan = if_nametoindex("lan0");

	expect(slot, to_host());
	hand(&event);
	expect(slot_of_route("203.0.113.2"), to_peer());
	cr_expect_not(nexthops_moved(nh));
	net_anew();
	cr_assert_neq(if_nametoindex("lan0"), lan);
	expect(slot, to_host());
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
	cr_assert_eq(netlink_open(&netlink), 0);
	cr_assert_eq(nexthops_new(config, netlink, slots, SLOTS, routes, &nh), 0);
}

/* The tag is pushed by the data plane, which sends by the device below. */
Test(nexthop_vlan, host_on_a_vlan, .init = open_vlan, .fini = close_all)
{
	struct rsip_nexthop hop = to_host();

	hop.vlan[0] = (struct rsip_vlan){ htons(ETH_P_8021Q), htons(7) };
	expect(add_host("10.7.0.5"), hop);
}

static struct config_interface qinq_interface = { .name = "lan0.100.7" };

static void open_qinq(void)
{
	struct config *config;

	net_enter();
	net_qinq();
	config = net_config();
	config->private_interfaces = &qinq_interface;
	cr_assert_eq(netlink_open(&netlink), 0);
	cr_assert_eq(nexthops_new(config, netlink, slots, SLOTS, routes, &nh), 0);
}

/* A VLAN on a provider's VLAN. The events tell of the upper one only; both tags must last. covers: IN-24 */
Test(nexthop_vlan, host_behind_two_tags, .init = open_qinq, .fini = close_all)
{
	struct rsip_nexthop hop = to_host();
	uint32_t slot = add_host("10.8.0.5");

	hop.vlan[0] = (struct rsip_vlan){ htons(ETH_P_8021AD), htons(100) };
	hop.vlan[1] = (struct rsip_vlan){ htons(ETH_P_8021Q), htons(7) };
	expect(slot, hop);
	net_run("ip link set lan0.100.7 mtu 1400");
	hop.mtu = 1400;
	expect(slot, hop);
}

/* --- peers --------------------------------------------------------------------------------------- */

/* covers: EG-14 */
Test(nexthop, handed_packet_to_a_peer_arrives_once_and_fills_the_cache)
{
	struct rsip_nexthop hop = to_peer();
	struct rsip_event_resolve first = packet(false, UINT32_MAX, "203.0.113.10", "203.0.113.2", 1);
	struct rsip_event_resolve second = packet(false, UINT32_MAX, "203.0.113.10", "203.0.113.2", 2);
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
		struct rsip_event_resolve event = packet(false, UINT32_MAX, "203.0.113.10", peers[i], 1);

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
	struct rsip_event_resolve good = packet(false, UINT32_MAX, "203.0.113.10", "203.0.113.2", 9);
	int x = net_sniff("x0"), y = net_sniff("y0");
	struct rsip_nexthop hop = to_peer();
	uint64_t now = net_now();

	net_run("ip route add 10.9.0.0/16 via 10.0.0.5; ip route add blackhole 192.0.3.0/24");
	for (size_t i = 0; i < sizeof(peers) / sizeof(peers[0]); i++) {
		struct rsip_event_resolve event = packet(false, UINT32_MAX, "203.0.113.10", peers[i], 1);
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
	good = packet(true, add_host("10.0.0.5"), "10.0.0.1", "10.0.0.5", 7);
	hop = to_host();
	hand(&good);
	expect_frame(x, &good, &hop);		/* nor here */
	close(x);
	close(y);
}

Test(nexthop, peer_that_does_not_answer_is_rejected_and_tried_again)
{
	struct rsip_event_resolve event = packet(false, UINT32_MAX, "203.0.113.10", "203.0.113.50", 1);
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
	event = packet(false, slot, "203.0.113.10", "203.0.113.50", 2);
	hand(&event);
	expect(slot, hop);
	expect_frame(sniffer, &event, &hop);
	close(sniffer);
}

Test(nexthop, changed_routes_empty_the_cache_where_they_apply)
{
	struct rsip_event_resolve near = packet(false, UINT32_MAX, "203.0.113.10", "203.0.113.2", 1);
	struct rsip_event_resolve far = packet(false, UINT32_MAX, "203.0.113.10", "198.51.100.1", 1);
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
		struct rsip_event_resolve event = packet(false, UINT32_MAX, "203.0.113.10", "203.0.113.2", 1);

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
	struct rsip_event_resolve event = packet(false, UINT32_MAX, "203.0.113.10", "203.0.113.2", 1);
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
