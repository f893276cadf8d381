// SPDX-License-Identifier: GPL-2.0-only
/*
 * datapath_bpf.c: what hosts and binds are in the maps, each map compared as a
 * whole. Packets are played by hand where they would write into a map.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <criterion/criterion.h>

#include "net.h"
#include "rsipd/cookie.h"
#include "rsipd/datapath.h"

#define FOLDER	"/sys/fs/bpf/rsip/" RSIP_LAYOUT
#define X1	"10.0.0.5"
#define X2	"10.0.0.6"
#define NA	"10.0.0.1"
#define NB	"203.0.113.10"
#define NB2	"203.0.113.11"
#define Y	"203.0.113.2"
#define Z	"203.0.113.3"

static struct config *config;
static struct datapath *dp;

static void open_one(void)
{
	net_enter();
	config = net_config();
	cr_assert_eq(datapath_open(config, &dp), 0);
	cr_assert_eq(datapath_settle(dp), 0);
	cr_assert_eq(datapath_client_add(dp, net_addr(X1), net_addr(NA), 1001), 0);
	cr_assert_eq(datapath_client_add(dp, net_addr(X2), net_addr(NA), 1002), 0);
}

static void close_one(void)
{
	datapath_detach(dp);
	datapath_close(dp);
}

TestSuite(datapath, .init = open_one, .fini = close_one);

/* --- maps as a whole ------------------------------------------------------------------- */

/* Exactly these elements: `size` bytes each, key first. */
static void expect_map(const char *name, const void *elements, size_t count, size_t key_size, size_t size)
{
	uint8_t key[64], value[64];
	size_t found = 0;
	int fd = net_map(name);

	for (size_t i = 0; i < count; i++) {
		const uint8_t *element = (const uint8_t *)elements + i * size;

		cr_expect_eq(bpf_map_lookup_elem(fd, element, value), 0, "%s: element %zu is missing", name, i);
		cr_expect_arr_eq(value, element + key_size, size - key_size, "%s: element %zu", name, i);
	}
	for (int err = bpf_map_get_next_key(fd, NULL, key); !err; err = bpf_map_get_next_key(fd, key, key))
		found++;
	cr_expect_eq(found, count, "%s has %zu elements instead of %zu", name, found, count);
	close(fd);
}

#define EXPECT_MAP(name, elements)									\
	expect_map(name, elements, sizeof(elements) / sizeof((elements)[0]), sizeof((elements)[0].key),	\
		   sizeof((elements)[0].key) + sizeof((elements)[0].value))
#define EXPECT_EMPTY(name)	expect_map(name, NULL, 0, 0, 0)

struct spi_element {
	struct rsip_spi_key key;
	struct rsip_target value;
};

struct port_element {
	struct rsip_port_key key;
	struct rsip_target value;
};

struct grant_element {
	struct rsip_grant_key key;
	struct rsip_grant value;
};

struct cookie_element {
	struct rsip_cookie_key key;
	struct rsip_cookie value;
};

static struct rsip_bind slot(uint32_t at)
{
	struct rsip_bind value;

	net_get("rsip_binds", &at, &value);
	return value;
}

static struct rsip_bind_rare rare(uint32_t at)
{
	struct rsip_bind_rare value;

	net_get("rsip_binds_rare", &at, &value);
	return value;
}

static struct rsip_target target(const struct datapath_bind *bind)
{
	return (struct rsip_target){ bind->slot, slot(bind->slot).generation };
}

static struct spi_element spi(const char *addr, uint32_t value, uint8_t proto, struct rsip_target to)
{
	return (struct spi_element){ { .addr = net_addr(addr), .spi = htonl(value), .proto = proto }, to };
}

static struct port_element port(const char *addr, uint16_t value, struct rsip_target to)
{
	return (struct port_element){ { .addr = net_addr(addr), .port = htons(value) }, to };
}

static struct rsip_client client(const char *addr)
{
	struct rsip_client value = { 0 };
	__be32 key = net_addr(addr);
	int fd = net_map("rsip_clients");

	bpf_map_lookup_elem(fd, &key, &value);
	close(fd);
	return value;
}

/* --- binds to try ------------------------------------------------------------------------- */

static struct msg_ports ports_run = { .form = MSG_RUN, .count = 3, .first = 5000 };
static struct msg_ports ports_list = { .form = MSG_LIST, .count = 2, .list = { 6000, 7001 } };
static struct msg_ports ports_none = { .form = MSG_NOT_NEEDED };
static uint32_t two_spis[] = { 0x1000, 0xfedcba98 };

static struct datapath_bind rsap(const char *host, const char *addr, const struct msg_ports *ports)
{
	return (struct datapath_bind){
		.bind_id = 7, .client = net_addr(host), .gateway = net_addr(NA), .addr = net_addr(addr),
		.tunnel = RSIP_TUNNEL_IPIP, .ports = ports, .ends = net_now() + 3600 * 1000,
	};
}

static struct datapath_bind rsipsec(const char *host, const char *addr, const char *remote)
{
	struct datapath_bind bind = rsap(host, addr, &ports_none);

	bind.ipsec = true;
	bind.remote = remote ? net_addr(remote) : 0;
	return bind;
}

static void add(struct datapath_bind *bind)
{
	cr_assert_eq(datapath_bind_add(dp, bind), 0);
}

/* --- opening ---------------------------------------------------------------------------------- */

/* covers: IN-21 */
Test(datapath, open_fills_addresses_and_devices)
{
	const struct {
		__be32 key;
		struct rsip_address value;
	} addresses[] = {
		{ net_addr(NB), { .flags = RSIP_ADDRESS_POOL, .speaker = net_addr("203.0.113.1") } },
		{ net_addr(NB2), { .flags = RSIP_ADDRESS_POOL, .speaker = net_addr("203.0.113.1") } },
		{ net_addr(NA), { .flags = RSIP_ADDRESS_TUNNEL } },
	};
	const struct {
		__u32 key;
		struct rsip_device value;
	} devices[] = {
		{ if_nametoindex("lan0"), { if_nametoindex("lan0") } },
		{ if_nametoindex("wan0"), { if_nametoindex("wan0") } },
	};

	EXPECT_MAP("rsip_addresses", addresses);
	EXPECT_MAP("rsip_devices", devices);
	EXPECT_EMPTY("rsip_spis");
	EXPECT_EMPTY("rsip_ports");
	EXPECT_EMPTY("rsip_grants");
	EXPECT_EMPTY("rsip_cookies");
}

/* N speaks to peers in the name of the address that it has now; while it has none, of the last. covers: APF-03 */
Test(datapath, its_own_address_changes)
{
	static const struct {
		const char *command, *speaker;
	} steps[] = {
		{ "ip addr flush dev wan0", "203.0.113.1" },
		{ "ip addr add 203.0.113.9/24 dev wan0", "203.0.113.9" },
		{ "ip addr add 203.0.113.7/24 dev wan0", "203.0.113.9" },
		{ "ip addr flush dev wan0", "203.0.113.9" },
		{ "ip addr add 203.0.113.7/24 dev wan0", "203.0.113.7" },
	};

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		const struct {
			__be32 key;
			struct rsip_address value;
		} addresses[] = {
			{ net_addr(NB), { .flags = RSIP_ADDRESS_POOL, .speaker = net_addr(steps[i].speaker) } },
			{ net_addr(NB2), { .flags = RSIP_ADDRESS_POOL, .speaker = net_addr(steps[i].speaker) } },
			{ net_addr(NA), { .flags = RSIP_ADDRESS_TUNNEL } },
		};

		net_run("%s", steps[i].command);
		cr_assert_eq(datapath_tick(dp, net_now()), 0);
		EXPECT_MAP("rsip_addresses", addresses);
	}
}

/* The pool; and the private realm, of which 203.0.113.0/24 can be none. covers: SEC-10 */
Test(datapath, what_no_peer_can_be)
{
	struct addr_prefix networks[] = { { net_addr("10.0.0.0"), 8 }, { net_addr("203.0.113.0"), 24 } };
	const struct rsip_realm want = {
		.count = 2, .ranges = { { ntohl(net_addr("10.0.0.0")), 0xffffff }, { ntohl(net_addr(NB)), 1 } },
	};
	struct config changed = *config;
	struct rsip_realm got;
	int fd = net_map("rsip_realm");

	changed.local_networks = networks;
	changed.local_network_count = 2;
	cr_assert_eq(datapath_pools_add(dp, &changed), 0);
	cr_assert_eq(bpf_map_lookup_elem(fd, &(__u32){ 0 }, &got), 0);
	cr_expect_arr_eq(&got, &want, sizeof(want));
	close(fd);
}

Test(datapath, address_of_the_gateway_itself_is_shared)
{
	struct rsip_address value;
	__be32 key = net_addr(NB);
	int fd;

	datapath_detach(dp);
	datapath_close(dp);
	config->pools[0].gateway_address = true;
	cr_assert_eq(datapath_open(config, &dp), 0);
	cr_assert_eq(datapath_settle(dp), 0);
	fd = net_map("rsip_addresses");
	cr_assert_eq(bpf_map_lookup_elem(fd, &key, &value), 0);
	cr_expect_eq(value.flags, RSIP_ADDRESS_POOL | RSIP_ADDRESS_SHARED);
	close(fd);
}

/* A reload: .10 and .11 were lent, then .11 and 301 addresses elsewhere. */
Test(datapath, pools_of_a_reload)
{
	struct addr_range before = { ntohl(net_addr(NB)), ntohl(net_addr(NB2)) };
	uint32_t other = ntohl(net_addr("198.51.100.0"));
	struct addr_range after[] = { { before.last, before.last }, { other, other + 300 } };
	struct config_pool pools[2] = {
		{ .addresses = &before, .address_count = 1 },
		{ .addresses = after, .address_count = 2, .gateway_address = true },
	};
	struct config old = *config, new = *config;
	struct {
		__be32 key;
		struct rsip_address value;
	} addresses[303] = { { net_addr(NA), { .flags = RSIP_ADDRESS_TUNNEL } } };
	const struct rsip_address lent = { .flags = RSIP_ADDRESS_POOL, .speaker = net_addr("203.0.113.1") };
	const struct rsip_address shared = { .flags = lent.flags | RSIP_ADDRESS_SHARED, .speaker = lent.speaker };

	old.pools = &pools[0];
	new.pools = &pools[1];
	old.pool_count = new.pool_count = 1;
	cr_assert_eq(datapath_pools_add(dp, &new), 0);
	for (uint32_t i = 0; i < 301; i++) {
		addresses[i + 1].key = htonl(after[1].first + i);
		addresses[i + 1].value = shared;
	}
	addresses[302].key = net_addr(NB2);
	addresses[302].value = shared;
	datapath_pools_remove(dp, &old, &new);
	EXPECT_MAP("rsip_addresses", addresses);
	/* And back: all but .10 goes. */
	cr_assert_eq(datapath_pools_add(dp, &old), 0);
	datapath_pools_remove(dp, &new, &old);
	addresses[1].key = net_addr(NB);
	addresses[2].key = net_addr(NB2);
	addresses[1].value = addresses[2].value = lent;
	expect_map("rsip_addresses", addresses, 3, sizeof(addresses[0].key), sizeof(addresses[0]));
}

/* covers: SCALE-06 */
Test(datapath, sizes_follow_the_configuration)
{
	static const struct {
		const char *name;
		__u32 entries;
	} wanted[] = {
		{ "rsip_spis", 128 }, { "rsip_ports", 64 }, { "rsip_binds", 64 }, { "rsip_clients", 64 },
		{ "rsip_grants", 128 }, { "rsip_cookies", 1024 }, { "rsip_addresses", 2 * CONFIG_ADDRESSES_MAX + 1 },
		{ "rsip_nexthops", 64 + 65536 }, { "rsip_routes", RSIP_ROUTE_SETS * RSIP_ROUTE_WAYS },
	};

	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		struct bpf_map_info info = { 0 };
		__u32 len = sizeof(info);
		int fd = net_map(wanted[i].name);

		cr_assert_eq(bpf_obj_get_info_by_fd(fd, &info, &len), 0);
		cr_expect_eq(info.max_entries, wanted[i].entries, "%s", wanted[i].name);
		close(fd);
	}
}

/* --- hosts --------------------------------------------------------------------------------------- */

/* covers: REG-19 */
Test(datapath, hosts_come_and_go)
{
	struct rsip_client x1 = client(X1);

	cr_expect_eq(x1.client_id, 1001);
	cr_expect_eq(x1.ifindex, if_nametoindex("lan0"));
	cr_expect_eq(datapath_client_add(dp, net_addr(X1), net_addr(NA), 1), -EEXIST);
	cr_expect_eq(datapath_client_add(dp, net_addr("10.0.0.9"), net_addr("10.0.0.2"), 1), -EADDRNOTAVAIL);
	datapath_client_remove(dp, net_addr("10.0.0.9"));
	datapath_client_remove(dp, net_addr(X1));
	datapath_client_remove(dp, net_addr(X2));
	EXPECT_EMPTY("rsip_clients");
}

/* covers: REG-19 FREE-04 */
Test(datapath, removing_a_host_stops_its_binds)
{
	struct datapath_bind bind = rsap(X1, NB, &ports_run);

	add(&bind);
	datapath_client_remove(dp, net_addr(X1));
	cr_expect_eq(slot(bind.slot).generation, 0);
	datapath_bind_remove(dp, &bind);
	EXPECT_EMPTY("rsip_ports");
	EXPECT_EMPTY("rsip_grants");
	cr_expect_eq(datapath_bind_add(dp, &bind), -ENOENT);
}

/* --- binds ------------------------------------------------------------------------------------------ */

/* covers: IN-02 IN-19 SCALE-07 */
Test(datapath, bind_of_ports_as_a_run_and_as_a_list)
{
	struct datapath_bind run = rsap(X1, NB, &ports_run), list = rsap(X2, NB2, &ports_list);

	run.bind_id = 41;
	list.tunnel = RSIP_TUNNEL_GRE;
	list.remote = net_addr(Y);
	list.remote_port = htons(80);
	add(&run);
	add(&list);
	{
		const struct port_element ports[] = {
			port(NB, 5000, target(&run)), port(NB, 5001, target(&run)), port(NB, 5002, target(&run)),
			port(NB2, 6000, target(&list)), port(NB2, 7001, target(&list)),
		};
		const struct grant_element grants[] = {
			{ { .client = net_addr(X1), .addr = net_addr(NB) }, { .any = target(&run) } },
			{ { .client = net_addr(X2), .addr = net_addr(NB2) }, { .flags = 0 } },
			{ { net_addr(X2), net_addr(NB2), net_addr(Y) }, { .any = target(&list) } },
		};
		const struct rsip_bind want_run = {
			.generation = target(&run).generation, .client = net_addr(X1),
			.gateway = net_addr(NA), .addr = net_addr(NB), .nexthop = slot(run.slot).nexthop,
			.tunnel = RSIP_PROTO_IPIP, .ends = slot(run.slot).ends,
		};
		const struct rsip_bind want_list = {
			.generation = target(&list).generation, .client = net_addr(X2),
			.gateway = net_addr(NA), .addr = net_addr(NB2), .nexthop = slot(list.slot).nexthop,
			.tunnel = RSIP_PROTO_GRE, .flags = RSIP_BIND_HELD, .ends = slot(list.slot).ends,
		};
		const struct rsip_bind_rare want_rare[] = {
			{ .bind_id = 41 }, { .bind_id = 7, .remote = net_addr(Y), .remote_port = htons(80) },
		};
		const struct rsip_bind_rare got_rare[] = { rare(run.slot), rare(list.slot) };
		struct rsip_bind got_run = slot(run.slot), got_list = slot(list.slot);

		EXPECT_MAP("rsip_ports", ports);
		EXPECT_MAP("rsip_grants", grants);
		EXPECT_EMPTY("rsip_spis");
		cr_expect_arr_eq(&got_run, &want_run, sizeof(want_run));
		cr_expect_arr_eq(&got_list, &want_list, sizeof(want_list));
		cr_expect_arr_eq(got_rare, want_rare, sizeof(want_rare));
		cr_expect_neq(got_run.generation, 0);
		cr_expect_neq(got_run.generation, got_list.generation);
	}
	datapath_bind_remove(dp, &run);
	datapath_bind_remove(dp, &list);
	EXPECT_EMPTY("rsip_ports");
	EXPECT_EMPTY("rsip_grants");
}

/* The slot that an SPI names is its bind's, if it can be. */
/* covers: IN-04 SCALE-05 */
Test(datapath, spis_name_their_slot)
{
	static const uint32_t run[] = { 0xb0e518, 0xb0e519 }, same_slot[] = { 0x161c960 }, list[] = { 0xb0e528, 0x5000 };
	struct datapath_bind first = rsipsec(X1, NB, NULL), second = rsipsec(X2, NB2, NULL), third = rsipsec(X1, NB2, NULL);

	first.spis = run;
	first.spi_count = 2;
	second.spis = same_slot;
	second.spi_count = 1;
	third.spis = list;
	third.spi_count = 2;
	cr_expect_eq(datapath_spi_place(dp, 0xb0e518), 0xb0e518);
	cr_expect_eq(rsip_spi_slot(datapath_spi_place(dp, 0xfffffffb)), rsip_spi_slot(0xfffffffb) % 64, "beyond the table");
	cr_expect_eq(datapath_spi_place(dp, 0xfffffffb) >> 23, 0x1ff);
	cr_expect_eq(datapath_spi_place(dp, 0xfffffffb) & 7, 3);
	add(&first);
	cr_expect_eq(datapath_spi_place(dp, 0x161c960), 0);
	add(&second);
	add(&third);
	cr_expect_eq(first.slot, 26);
	cr_expect_eq(slot(first.slot).spi_first, 0xb0e518);
	cr_expect_eq(slot(first.slot).spi_count, 2);
	cr_expect_neq(second.slot, 26);
	cr_expect_eq(slot(second.slot).spi_first, 0);
	cr_expect_eq(slot(second.slot).spi_count, 0);
	cr_expect_eq(third.slot, 28);
	cr_expect_eq(slot(third.slot).spi_first, 0xb0e528);
	cr_expect_eq(slot(third.slot).spi_count, 1, "what is not in a row is in rsip_spis");
	datapath_bind_remove(dp, &first);
	cr_expect_eq(datapath_spi_place(dp, 0xb0e518), 0, "it rests");
	datapath_bind_remove(dp, &second);
	datapath_bind_remove(dp, &third);
	EXPECT_EMPTY("rsip_spis");
}

/* Whatever the size of the table: each bind is found in its slot, and its SPI is no more to be guessed than any. */
/* covers: IPS-14 SCALE-05 */
Test(datapath, spis_fit_any_table)
{
	enum { TRIES = 1000 };
	unsigned int placed = 0, ones[32] = { 0 };
	uint32_t spis[60];

	for (unsigned int i = 0; i < 60; i++) {
		struct datapath_bind bind = rsipsec(X1, NB, NULL);

		for (unsigned int try = 0; try < TRIES && !(spis[i] = datapath_spi_place(dp, arc4random())); try++)
			;
		bind.spis = &spis[i];
		bind.spi_count = 1;
		add(&bind);
		cr_expect_eq(slot(bind.slot).spi_count, 1, "bind %u is in rsip_spis alone", i);
	}
	for (unsigned int i = 0; i < TRIES;) {
		uint32_t spi = datapath_spi_place(dp, arc4random());

		cr_assert(placed++ < 1000 * TRIES);
		for (unsigned int bit = 0; spi && bit < 32; bit++)
			ones[bit] += spi >> bit & 1;
		i += spi != 0;
	}
	/* four free slots; 500, deviation 15.8 */
	for (unsigned int bit = 0; bit < 32; bit++)
		cr_expect(ones[bit] >= 400 && ones[bit] <= 600, "bit %u is set in %u of %u", bit, ones[bit], TRIES);
}

/* covers: IN-04 IN-05 */
Test(datapath, bind_of_spis_for_esp_and_ah)
{
	struct datapath_bind bind = rsipsec(X1, NB, NULL);
	const struct rsip_bind nothing = { 0 };
	const struct rsip_bind_rare nothing_rare = { 0 };
	struct rsip_bind got;
	struct rsip_bind_rare got_rare;

	bind.spis = two_spis;
	bind.spi_count = 2;
	add(&bind);
	{
		const struct spi_element spis[] = {
			spi(NB, 0x1000, RSIP_PROTO_ESP, target(&bind)), spi(NB, 0x1000, RSIP_PROTO_AH, target(&bind)),
			spi(NB, 0xfedcba98, RSIP_PROTO_ESP, target(&bind)),
			spi(NB, 0xfedcba98, RSIP_PROTO_AH, target(&bind)),
		};
		const struct grant_element grants[] = {
			{ { .client = net_addr(X1), .addr = net_addr(NB) }, { .ipsec = target(&bind), .any = target(&bind) } },
		};

		EXPECT_MAP("rsip_spis", spis);
		EXPECT_MAP("rsip_grants", grants);
		cr_expect_eq(slot(bind.slot).flags, RSIP_BIND_IPSEC);
	}
	datapath_bind_remove(dp, &bind);
	got = slot(bind.slot);
	cr_expect_arr_eq(&got, &nothing, sizeof(nothing));
	got_rare = rare(bind.slot);
	cr_expect_arr_eq(&got_rare, &nothing_rare, sizeof(nothing_rare));
	EXPECT_EMPTY("rsip_spis");
	EXPECT_EMPTY("rsip_grants");
	datapath_bind_remove(dp, &bind);	/* twice: no effect */
}

/* More than one batch, and not a multiple of it. */
Test(datapath, bind_of_many_spis)
{
	static uint32_t many[1000];
	struct datapath_bind bind = rsipsec(X1, NB, NULL);
	uint8_t key[12];
	size_t found = 0;
	int fd;

	datapath_detach(dp);
	datapath_close(dp);
	config->datapath.max_bindings = 1000;
	cr_assert_eq(datapath_open(config, &dp), 0);
	cr_assert_eq(datapath_settle(dp), 0);
	cr_assert_eq(datapath_client_add(dp, net_addr(X1), net_addr(NA), 1), 0);
	for (uint32_t i = 0; i < 1000; i++)
		many[i] = 0x100 + 3 * i;
	bind.spis = many;
	bind.spi_count = 1000;
	add(&bind);
	fd = net_map("rsip_spis");
	for (int err = bpf_map_get_next_key(fd, NULL, key); !err; err = bpf_map_get_next_key(fd, key, key))
		found++;
	close(fd);
	cr_expect_eq(found, 2000);
	datapath_bind_remove(dp, &bind);
	EXPECT_EMPTY("rsip_spis");
}

Test(datapath, generations_do_not_come_again)
{
	struct datapath_bind bind = rsap(X1, NB, &ports_run);
	uint32_t last = 0;

	for (unsigned int i = 0; i < 1000; i++) {
		add(&bind);
		cr_assert_neq(target(&bind).generation, 0);
		cr_assert_neq(target(&bind).generation, last);
		last = target(&bind).generation;
		datapath_bind_remove(dp, &bind);
	}
}

/* --- no room ------------------------------------------------------------------------------------------- */

/* covers: E-07 SCALE-06 */
Test(datapath, full_maps_leave_nothing_of_a_bind)
{
	static uint32_t many[100];
	struct msg_ports too_many = { .form = MSG_RUN, .count = 65, .first = 8000 };
	struct datapath_bind ports = rsap(X1, NB, &too_many), spis = rsipsec(X1, NB, Y);
	struct datapath_bind kept = rsap(X2, NB2, &ports_list);

	add(&kept);
	for (uint32_t i = 0; i < 100; i++)
		many[i] = 0x100 + i;
	spis.spis = many;
	spis.spi_count = 65;
	spis.ports = &ports_run;
	cr_expect_eq(datapath_bind_add(dp, &ports), -ENOSPC);
	cr_expect_eq(datapath_bind_add(dp, &spis), -ENOSPC);
	EXPECT_EMPTY("rsip_spis");
	{
		const struct port_element left[] = {
			port(NB2, 6000, target(&kept)), port(NB2, 7001, target(&kept)),
		};
		const struct grant_element grants[] = {
			{ { .client = net_addr(X2), .addr = net_addr(NB2) }, { .any = target(&kept) } },
		};

		EXPECT_MAP("rsip_ports", left);
		EXPECT_MAP("rsip_grants", grants);
	}
	spis.spi_count = 64;
	cr_expect_eq(datapath_bind_add(dp, &spis), 0);	/* what was given back is there again */
}

/* covers: SCALE-06 */
Test(datapath, slots_run_out_and_come_back)
{
	struct datapath_bind binds[65];

	for (unsigned int i = 0; i < 65; i++) {
		binds[i] = rsap(X1, NB, &ports_none);
		cr_assert_eq(datapath_bind_add(dp, &binds[i]), i < 64 ? 0 : -ENOSPC, "%u", i);
	}
	for (unsigned int i = 0; i < 64; i++)
		datapath_bind_remove(dp, &binds[i]);
	EXPECT_EMPTY("rsip_grants");
	for (unsigned int i = 0; i < 64; i++)
		add(&binds[i]);
}

/* --- grants ----------------------------------------------------------------------------------------------- */

enum { A, B, C, D, E, BINDS };

/* covers: EG-07 EG-08 EG-03 */
Test(datapath, grants_follow_the_binds_of_a_pair)
{
	struct datapath_bind binds[BINDS] = {
		[A] = rsap(X1, NB, &ports_none), [B] = rsipsec(X1, NB, NULL), [C] = rsipsec(X1, NB, NULL),
		[D] = rsipsec(X1, NB, Y), [E] = rsipsec(X1, NB, Y),
	};
	/* After each step: whose RSIPSEC bind and whose of any kind the entry without a remote names, its flag,
	 * and whose the one for Y. */
	static const struct {
		bool add;
		int bind, pair, any, by_remote, remote;	/* -1: none named; -2: no entry */
	} steps[] = {
		{ true, A, -1, A, 0, -2 }, { true, B, B, A, 0, -2 }, { true, C, B, A, 0, -2 }, { true, D, B, A, 1, D },
		{ true, E, B, A, 1, D }, { false, B, C, A, 1, D }, { false, D, C, A, 1, E }, { false, C, -1, A, 1, E },
		{ false, A, -1, -1, 1, E }, { false, E, -2, -2, 0, -2 }, { true, D, -1, -1, 1, D },
		{ true, A, -1, A, 1, D }, { false, D, -1, A, 0, -2 }, { false, A, -2, -2, 0, -2 },
	};

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct grant_element want[2] = { 0 };
		size_t count = 0;

		if (steps[i].add)
			add(&binds[steps[i].bind]);
		else
			datapath_bind_remove(dp, &binds[steps[i].bind]);
		if (steps[i].pair != -2) {
			want[count].key = (struct rsip_grant_key){ net_addr(X1), net_addr(NB), 0 };
			want[count].value.flags = steps[i].by_remote ? RSIP_GRANT_BY_REMOTE : 0;
			if (steps[i].pair >= 0)
				want[count].value.ipsec = target(&binds[steps[i].pair]);
			if (steps[i].any >= 0)
				want[count].value.any = target(&binds[steps[i].any]);
			count++;
		}
		if (steps[i].remote != -2) {
			want[count].key = (struct rsip_grant_key){ net_addr(X1), net_addr(NB), net_addr(Y) };
			want[count].value.ipsec = want[count].value.any = target(&binds[steps[i].remote]);
			count++;
		}
		expect_map("rsip_grants", want, count, sizeof(struct rsip_grant_key), sizeof(want[0]));
	}
}

/* --- whole addresses, several remotes ----------------------------------------------------------- */

struct address_element {
	__be32 key;
	struct rsip_address value;
};

struct remote_element {
	struct rsip_remote_key key;
	__u32 value;
};

/* That NB leads to this bind. */
static void expect_whole(struct rsip_target to)
{
	const __be32 speaker = net_addr("203.0.113.1");
	const struct address_element addresses[] = {
		{ net_addr(NA), { .flags = RSIP_ADDRESS_TUNNEL } },
		{ net_addr(NB), { .flags = RSIP_ADDRESS_POOL, .whole = to, .speaker = speaker } },
		{ net_addr(NB2), { .flags = RSIP_ADDRESS_POOL, .speaker = speaker } },
	};

	EXPECT_MAP("rsip_addresses", addresses);
}

/* covers: RSA-12 RSA-08 IN-01 FREE-04 */
Test(datapath, bind_of_a_whole_address)
{
	struct datapath_bind bind = rsap(X1, NB, &ports_none);

	bind.whole = true;
	bind.remote = net_addr(Y);
	add(&bind);
	expect_whole(target(&bind));
	{
		const struct grant_element grant = {
			{ .client = net_addr(X1), .addr = net_addr(NB) },
			{ .ipsec = target(&bind), .any = target(&bind), .flags = RSIP_GRANT_WHOLE },
		};

		expect_map("rsip_grants", &grant, 1, sizeof(grant.key), sizeof(grant));
	}
	cr_expect_eq(datapath_pools_add(dp, config), 0);
	expect_whole(target(&bind));
	cr_expect_eq(slot(bind.slot).flags, RSIP_BIND_WHOLE | RSIP_BIND_HELD);
	cr_expect_eq(rare(bind.slot).remote, net_addr(Y));
	EXPECT_EMPTY("rsip_ports");
	datapath_bind_remove(dp, &bind);
	expect_whole((struct rsip_target){ 0 });
	EXPECT_EMPTY("rsip_grants");
}

/* Two binds share one of their remotes. covers: FLOW-14 FLOW-10 */
Test(datapath, binds_of_several_remotes)
{
	const __be32 both[] = { net_addr(Y), net_addr(Z) };
	struct datapath_bind a = rsipsec(X1, NB, NULL), b = rsipsec(X1, NB, Y);

	a.remotes = both;
	a.remote_count = 2;
	add(&a);
	add(&b);
	{
		const struct remote_element remotes[] = {
			{ { .bind = target(&a), .addr = net_addr(Y) }, 1 }, { { .bind = target(&a), .addr = net_addr(Z) }, 1 },
		};
		const struct grant_element grants[] = {
			{ { .client = net_addr(X1), .addr = net_addr(NB) }, { .flags = RSIP_GRANT_BY_REMOTE } },
			{ { net_addr(X1), net_addr(NB), net_addr(Y) }, { .ipsec = target(&a), .any = target(&a) } },
			{ { net_addr(X1), net_addr(NB), net_addr(Z) }, { .ipsec = target(&a), .any = target(&a) } },
		};

		EXPECT_MAP("rsip_remotes", remotes);
		EXPECT_MAP("rsip_grants", grants);
	}
	cr_expect_eq(slot(a.slot).flags, RSIP_BIND_IPSEC | RSIP_BIND_REMOTES);
	cr_expect_eq(rare(a.slot).remote, 0);
	datapath_bind_remove(dp, &a);
	EXPECT_EMPTY("rsip_remotes");
	{
		const struct grant_element grants[] = {
			{ { .client = net_addr(X1), .addr = net_addr(NB) }, { .flags = RSIP_GRANT_BY_REMOTE } },
			{ { net_addr(X1), net_addr(NB), net_addr(Y) }, { .ipsec = target(&b), .any = target(&b) } },
		};

		EXPECT_MAP("rsip_grants", grants);
	}
	a.remote_count = RSIP_REMOTES_MAX + 1;
	cr_expect_eq(datapath_bind_add(dp, &a), -E2BIG);
	datapath_bind_remove(dp, &b);
	EXPECT_EMPTY("rsip_grants");
}

/* --- cookies: what packets would have put into the map --------------------------------------------------------- */

static struct rsip_cookie_key cookie_key(uint32_t n)
{
	struct rsip_cookie_key key = { .addr = net_addr(NB), .port = htons(n % 2 ? 4500 : 500) };

	memcpy(key.cookie, &n, sizeof(n));
	return key;
}

static void learn(const struct rsip_target *to, uint32_t n)
{
	struct rsip_cookie value = { .target = *to, .peer = net_addr(Y), .used = 1 };
	struct rsip_cookie_key key = cookie_key(n);
	struct rsip_bind_rare bind = rare(to->bind);
	int fd = net_map("rsip_cookies"), binds = net_map("rsip_binds_rare");

	cr_assert_eq(bpf_map_update_elem(fd, &key, &value, BPF_NOEXIST), 0);
	bind.cookies++;
	cr_assert_eq(bpf_map_update_elem(binds, &to->bind, &bind, BPF_EXIST), 0);
	close(fd);
	close(binds);
}

struct seen {
	uint32_t n[RSIP_BIND_COOKIES];
	unsigned int count;
};

static bool see(const struct datapath_cookie *cookie, void *arg)
{
	struct seen *seen = arg;
	uint32_t n;

	memcpy(&n, cookie->cookie, sizeof(n));
	cr_expect_eq(cookie->peer, net_addr(Y));
	cr_expect_eq(cookie->port, n % 2 ? 4500 : 500);
	seen->n[seen->count++] = n;
	return seen->count < RSIP_BIND_COOKIES;
}

static struct seen cookies_of(const struct datapath_bind *bind)
{
	struct seen seen = { 0 };

	datapath_cookies(dp, bind->slot, see, &seen);
	return seen;
}

static bool in_map(uint32_t n)
{
	struct rsip_cookie_key key = cookie_key(n);
	struct rsip_cookie value;
	int fd = net_map("rsip_cookies"), err = bpf_map_lookup_elem(fd, &key, &value);

	close(fd);
	return !err;
}

/* covers: IKE-13 */
Test(datapath, cookie_without_an_event_is_found_all_the_same)
{
	struct datapath_bind bind = rsipsec(X1, NB, NULL);
	struct rsip_target to;

	add(&bind);
	to = target(&bind);
	learn(&to, 1);
	cr_expect_eq(cookies_of(&bind).count, 0);
	datapath_tick(dp, 1000);
	cr_assert_eq(cookies_of(&bind).count, 1);
	cr_expect_eq(cookies_of(&bind).n[0], 1);
	datapath_tick(dp, 2000);
	cr_expect_eq(cookies_of(&bind).count, 1);
}

/* covers: IKE-07 SEC-07 */
Test(datapath, oldest_cookie_goes_when_a_bind_has_too_many)
{
	struct datapath_bind bind = rsipsec(X1, NB, NULL);
	struct rsip_target to;

	add(&bind);
	to = target(&bind);
	for (uint32_t n = 1; n <= COOKIES_PER_BIND + 3; n++) {
		learn(&to, n);
		for (unsigned int i = 0; i < 3; i++)
			datapath_tick(dp, n * 3000 + i * 1000);
	}
	cr_assert_eq(cookies_of(&bind).count, COOKIES_PER_BIND);
	cr_expect_eq(cookies_of(&bind).n[0], 4);
	for (uint32_t n = 1; n <= COOKIES_PER_BIND + 3; n++)
		cr_expect_eq(in_map(n), n > 3, "%u", n);
	cr_expect_eq(rare(bind.slot).cookies, COOKIES_PER_BIND);
}

/* covers: IKE-07 */
Test(datapath, cookies_end_with_their_bind)
{
	struct datapath_bind bind = rsipsec(X1, NB, NULL), other = rsipsec(X2, NB, NULL);
	struct rsip_target to, to_other;

	add(&bind);
	add(&other);
	to = target(&bind);
	to_other = target(&other);
	learn(&to, 1);
	learn(&to_other, 2);
	learn(&to, 3);
	datapath_tick(dp, 1000);
	datapath_bind_remove(dp, &bind);
	cr_expect_not(in_map(1));
	cr_expect(in_map(2));
	cr_expect_not(in_map(3));
	cr_expect_eq(cookies_of(&bind).count, 0);
}

/* The data plane gave a cookie of an ended bind to another: that one keeps it. */
Test(datapath, cookie_taken_over_stays)
{
	struct datapath_bind bind = rsipsec(X1, NB, NULL), other = rsipsec(X2, NB, NULL);
	struct rsip_cookie_key key = cookie_key(1);
	struct rsip_cookie value = { .peer = net_addr(Y) };
	struct rsip_target to;
	int fd;

	add(&bind);
	add(&other);
	to = target(&bind);
	learn(&to, 1);
	datapath_tick(dp, 1000);
	value.target = target(&other);
	fd = net_map("rsip_cookies");
	bpf_map_update_elem(fd, &key, &value, BPF_EXIST);
	close(fd);
	datapath_bind_remove(dp, &bind);
	cr_expect(in_map(1));
}

Test(datapath, cookie_of_an_ended_bind_is_swept)
{
	struct rsip_cookie_key key = cookie_key(9);
	struct rsip_cookie value = { .target = { 3, 12345 }, .peer = net_addr(Y) };
	struct rsip_cookie beyond = { .target = { 1 << 30, 1 }, .peer = net_addr(Y) };
	int fd = net_map("rsip_cookies");

	bpf_map_update_elem(fd, &key, &value, BPF_ANY);
	key = cookie_key(10);
	bpf_map_update_elem(fd, &key, &beyond, BPF_ANY);
	close(fd);
	datapath_tick(dp, 1000);
	EXPECT_EMPTY("rsip_cookies");
}

/* covers: IKE-07 */
Test(datapath, idle_cookie_goes_after_a_day_and_a_used_one_stays)
{
	struct datapath_bind bind = rsipsec(X1, NB, NULL);
	uint64_t hour = 3600 * 1000, now = 1000;
	struct rsip_target to;

	add(&bind);
	to = target(&bind);
	learn(&to, 1);
	learn(&to, 2);
	datapath_tick(dp, now);
	for (unsigned int h = 0; h < 27; h++) {
		struct rsip_cookie_key key = cookie_key(2);
		struct rsip_cookie value = { .target = to, .peer = net_addr(Y), .used = 1 };
		int fd = net_map("rsip_cookies");

		bpf_map_update_elem(fd, &key, &value, BPF_EXIST);
		close(fd);
		now += hour;
		datapath_tick(dp, now);
		if (h < 22)
			cr_assert(in_map(1), "gone after %u hours", h + 1);
	}
	cr_expect_not(in_map(1));
	cr_expect(in_map(2));
	cr_expect_eq(rare(bind.slot).cookies, 1);
}

/* --- peers that may begin IKE ------------------------------------------------------------------- */

struct peer_element {
	struct rsip_peer_key key;
	struct rsip_target value;
};

static struct datapath_bind listener(const char *host, const char *remote)
{
	static const struct msg_ports ike = { .form = MSG_RUN, .first = 500, .count = 1 };
	struct datapath_bind bind = rsap(host, NB, &ike);

	bind.remote = remote ? net_addr(remote) : 0;
	bind.ike_listen = true;
	return bind;
}

/* covers: LSN-11 APG-01 APG-03 */
Test(datapath, listeners_on_port_500_share_an_address)
{
	const __be32 names[] = { net_addr("203.0.113.7"), net_addr("203.0.113.8") };
	struct datapath_bind a = listener(X1, Y), b = listener(X2, Z), c = listener(X1, NULL), again = listener(X2, Y);

	c.remotes = names;
	c.remote_count = 2;
	add(&a);
	add(&b);
	add(&c);
	EXPECT_EMPTY("rsip_ports");
	cr_expect_eq(datapath_bind_add(dp, &again), -EEXIST);
	{
		const struct peer_element peers[] = {
			{ { net_addr(Y), net_addr(NB) }, target(&a) }, { { net_addr(Z), net_addr(NB) }, target(&b) },
			{ { names[0], net_addr(NB) }, target(&c) }, { { names[1], net_addr(NB) }, target(&c) },
		};

		EXPECT_MAP("rsip_peers", peers);
	}
	EXPECT_EMPTY("rsip_ports");
	datapath_bind_remove(dp, &a);
	datapath_bind_remove(dp, &b);
	datapath_bind_remove(dp, &c);
	EXPECT_EMPTY("rsip_peers");
}

static void expect_rekey(const struct datapath_bind *to)
{
	struct peer_element peer = { { net_addr(Y), net_addr(NB) }, { 0 } };

	if (to)
		peer.value = target(to);
	expect_map("rsip_peers", &peer, to ? 1 : 0, sizeof(peer.key), sizeof(peer));
}

static void learned(const struct datapath_bind *bind, uint32_t n)
{
	struct rsip_target to = target(bind);

	learn(&to, n);
	datapath_tick(dp, n * 1000);
	datapath_tick(dp, n * 1000 + 500);
}

/* covers: APE-01 */
Test(datapath, no_peer_begins_unless_it_is_wanted)
{
	struct datapath_bind a = rsipsec(X1, NB, NULL);

	add(&a);
	learned(&a, 1);
	expect_rekey(NULL);
}

/* RFC 3104, Appendix E, and what goes beyond it: one host, or nobody. covers: APE-01 LSN-11 */
Test(datapath, peer_rekeys_with_the_only_host_it_has)
{
	struct datapath_bind a = rsipsec(X1, NB, NULL), more = rsipsec(X1, NB, NULL), b = rsipsec(X2, NB, NULL);
	struct datapath_bind listens = listener(X2, Y);

	datapath_detach(dp);
	datapath_close(dp);
	config->datapath.peer_rekey = true;
	cr_assert_eq(datapath_open(config, &dp), 0);
	cr_assert_eq(datapath_settle(dp), 0);
	cr_assert_eq(datapath_client_add(dp, net_addr(X1), net_addr(NA), 1001), 0);
	cr_assert_eq(datapath_client_add(dp, net_addr(X2), net_addr(NA), 1002), 0);
	add(&a);
	add(&more);
	add(&b);
	expect_rekey(NULL);
	learned(&a, 1);
	expect_rekey(&a);
	learned(&a, 2);
	learned(&more, 3);
	expect_rekey(&a);
	learned(&b, 4);
	expect_rekey(NULL);
	add(&listens);
	expect_rekey(&listens);
	datapath_bind_remove(dp, &listens);
	expect_rekey(NULL);
	datapath_bind_remove(dp, &b);
	expect_rekey(&a);
	datapath_bind_remove(dp, &a);
	expect_rekey(&more);
	datapath_bind_remove(dp, &more);
	expect_rekey(NULL);
}

/* --- counters ------------------------------------------------------------------------------------------------------ */

/* covers: ADM-05 */
Test(datapath, counters_are_summed_over_cpus)
{
	int cpus = libbpf_num_possible_cpus(), fd = net_map("rsip_counters");
	struct rsip_counter *values = calloc((size_t)cpus, sizeof(*values)), got[RSIP_OUTCOME_COUNT];
	__u32 last = RSIP_OUTCOME_COUNT - 1;

	for (int i = 0; i < cpus; i++)
		values[i] = (struct rsip_counter){ 10, 1000u + (unsigned int)i };
	cr_assert_eq(bpf_map_update_elem(fd, &last, values, BPF_ANY), 0);
	cr_assert_eq(datapath_counters(dp, got), 0);
	cr_expect_eq(got[last].packets, 10u * (unsigned int)cpus);
	cr_expect_eq(got[last].bytes, 1000u * (unsigned int)cpus + (unsigned int)(cpus * (cpus - 1) / 2));
	cr_expect_eq(got[RSIP_IN_ESP].packets, 0);
	free(values);
	close(fd);
}
