// SPDX-License-Identifier: GPL-2.0-only
/*
 * The pool: what is granted, what is refused and why, and what is free again
 * when. Time is an argument.
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "rsipd/pool.h"
#include "rsipd/portmap.h"
#include "rsipd/spiset.h"

#define HOLD_DOWN_MS	120000

static __be32 ip(const char *text)
{
	__be32 addr = 0;

	cr_assert(addr_parse(text, &addr), "%s", text);
	return addr;
}

/* --- pools and requests by hand ---------------------------------------------------- */

/* One pool with one range of addresses. */
struct setup {
	struct addr_range range;
	struct config_pool pool;
	struct config config;
};

static void describe(struct setup *setup, uint32_t addresses, struct num_range ports, struct num_range spis)
{
	uint32_t first = ntohl(ip("192.0.2.1"));

	*setup = (struct setup){
		.range = { first, first + addresses - 1 },
		.pool = { .name = "p", .address_count = 1, .rsap = true, .rsipsec = true, .ports = ports, .spis = spis },
		.config = { .pool_count = 1, .leases.hold_down = HOLD_DOWN_MS / 1000 },
	};
	setup->pool.addresses = &setup->range;
	setup->config.pools = &setup->pool;
}

static struct pools *make(struct setup *setup, uint32_t addresses, struct num_range ports, struct num_range spis)
{
	struct pools *pools;

	describe(setup, addresses, ports, spis);
	pools = pools_new(&setup->config);
	cr_assert_not_null(pools);
	return pools;
}

static struct msg_ports ports_any(uint16_t count)
{
	return (struct msg_ports){ .form = MSG_ANY, .count = count };
}

static struct msg_ports ports_run(uint16_t first, uint16_t count)
{
	return (struct msg_ports){ .form = MSG_RUN, .first = first, .count = count };
}

static struct msg_ports ports_none(void)
{
	return (struct msg_ports){ .form = MSG_NOT_NEEDED };
}

static struct msg_spis spis_any(uint16_t count)
{
	return (struct msg_spis){ .form = MSG_ANY, .count = count };
}

static struct msg_spis spis_run(uint32_t first, uint16_t count)
{
	return (struct msg_spis){ .form = MSG_RUN, .first = first, .count = count };
}

/* Who takes a grant owns it: these are given back at the end of a test. */
static struct pool_grant *held[65536];
static size_t held_count;

static void disown(const struct pool_grant *grant)
{
	size_t i = held_count;

	while (held[--i] != grant)
		cr_assert_gt(i, 0);
	held[i] = held[--held_count];
}

static void give_back(struct pools *pools, struct pool_grant *grant, uint64_t now)
{
	disown(grant);
	pool_release(pools, grant, now);
}

static void cancel(struct pools *pools, struct pool_grant *grant)
{
	disown(grant);
	pool_cancel(pools, grant);
}

static void finish(struct pools *pools)
{
	while (held_count)
		pool_cancel(pools, held[--held_count]);
	pools_free(pools);
}

static uint16_t try_take(struct pools *pools, const struct pool_request *request, __be32 preferred, uint64_t now,
			 struct pool_grant **out)
{
	uint16_t error;

	*out = NULL;
	error = pool_take(pools, request, preferred, now, out);
	if (!error)
		held[held_count++] = *out;
	return error;
}

/* addr NULL: any. spis NULL: RSAP-IP. */
static uint16_t take(struct pools *pools, const char *addr, struct msg_ports ports, const struct msg_spis *spis,
		     uint64_t now, struct pool_grant **out)
{
	struct pool_request request = {
		.ipsec = spis,
		.local = { .type = RSIP_ADDR_IPV4, .any = !addr, .v4 = addr ? ip(addr) : 0 },
		.ports = &ports,
		.spis = spis,
		.ports_max = UINT32_MAX,
		.spis_max = UINT32_MAX,
	};

	return try_take(pools, &request, 0, now, out);
}

static struct pool_grant *must_take(struct pools *pools, const char *addr, struct msg_ports ports,
				    const struct msg_spis *spis, uint64_t now)
{
	struct pool_grant *grant;
	uint16_t error = take(pools, addr, ports, spis, now, &grant);

	cr_assert_eq(error, 0, "refused with %u", error);
	return grant;
}

static const struct num_range all_ports = { 1024, 65535 }, all_spis = { 0x100, 0xffffffff };

/* --- refusals ------------------------------------------------------------------------ */

/*
 * The state: 192.0.2.1 and .2 (ports 400-5000, SPIs 0x100-0x1fff) serve RSAP-IP
 * and IPsec; 192.0.2.9 is an RSA-IP address. Port 1000 and SPI 0x1000 of .1 are
 * leased, port 2000 and SPI 0x1100 of .1 rest, port 3000 is leased on both.
 *
 * covers: RSAP-03 RSAP-04 RSAP-06 RSAP-07 RSAP-08 RSAP-09 RSAP-25 IPS-04 IPS-05 IPS-06 IPS-15 IPS-19 E-02 E-04 APG-03
 */
static const struct refusal {
	const char *name, *addr;
	struct msg_ports ports;
	struct msg_spis spis;		/* count 0: RSAP-IP */
	uint32_t ports_max, spis_max;	/* 0: no limit */
	uint16_t error;
} refusals[] = {
	{ "foreign address", "198.51.100.1", { MSG_ANY, 1 }, { 0 }, 0, 0, 312 },
	{ "address of another method", "192.0.2.9", { MSG_ANY, 1 }, { 0 }, 0, 0, 312 },
	{ "address of another method, IPsec", "192.0.2.9", { MSG_NOT_NEEDED }, { MSG_ANY, 1 }, 0, 0, 312 },
	{ "foreign address before forbidden port", "198.51.100.1", { MSG_RUN, 1, 500 }, { 0 }, 0, 0, 312 },
	{ "IKE port", "192.0.2.1", { MSG_RUN, 1, 500 }, { 0 }, 0, 0, 313 },
	{ "NAT-T port", "192.0.2.1", { MSG_RUN, 1, 4500 }, { 0 }, 0, 0, 313 },
	{ "IKE port at any address", NULL, { MSG_RUN, 1, 500 }, { 0 }, 0, 0, 313 },
	{ "port outside the range", "192.0.2.1", { MSG_RUN, 1, 399 }, { 0 }, 0, 0, 313 },
	{ "run that leaves the range", "192.0.2.1", { MSG_RUN, 2, 5000 }, { 0 }, 0, 0, 313 },
	{ "list with a port outside", "192.0.2.1", { MSG_LIST, 2, 0, { 3500, 6000 } }, { 0 }, 0, 0, 313 },
	{ "forbidden port before leased port", "192.0.2.1", { MSG_LIST, 2, 0, { 1000, 6000 } }, { 0 }, 0, 0, 313 },
	{ "leased port", "192.0.2.1", { MSG_RUN, 1, 1000 }, { 0 }, 0, 0, 311 },
	{ "resting port", "192.0.2.1", { MSG_RUN, 1, 2000 }, { 0 }, 0, 0, 311 },
	{ "run over a leased port", "192.0.2.1", { MSG_RUN, 8, 996 }, { 0 }, 0, 0, 311 },
	{ "port leased everywhere", NULL, { MSG_RUN, 1, 3000 }, { 0 }, 0, 0, 311 },
	{ "leased port before too many", "192.0.2.1", { MSG_RUN, 1, 1000 }, { 0 }, 1, 0, 311, },
	{ "more ports than the host may have", "192.0.2.1", { MSG_RUN, 8, 1100 }, { 0 }, 7, 0, 309 },
	{ "more unspecified ports than the host may have", NULL, { MSG_ANY, 8 }, { 0 }, 7, 0, 309 },
	{ "ports before SPIs", NULL, { MSG_ANY, 8 }, { MSG_ANY, 8 }, 7, 7, 309 },
	{ "reserved SPI", NULL, { MSG_NOT_NEEDED }, { MSG_RUN, 1, 0xff }, 0, 0, 402 },
	{ "SPI outside the range", "192.0.2.1", { MSG_NOT_NEEDED }, { MSG_RUN, 1, 0x2000 }, 0, 0, 402 },
	{ "run of SPIs that leaves the range", NULL, { MSG_NOT_NEEDED }, { MSG_RUN, 2, 0x1fff }, 0, 0, 402 },
	{ "reserved before leased", "192.0.2.1", { MSG_NOT_NEEDED },
	  { MSG_LIST, 2, 0, (const uint8_t *)"\0\0\x10\0\0\0\0\xff" }, 0, 0, 402 },
	{ "more SPIs than there are", NULL, { MSG_NOT_NEEDED }, { MSG_ANY, 0x2000 }, 0, 0, 402 },
	{ "more SPIs than the host may have", NULL, { MSG_NOT_NEEDED }, { MSG_ANY, 9 }, 0, 8, 402 },
	{ "more named SPIs than the host may have", "192.0.2.1", { MSG_NOT_NEEDED }, { MSG_RUN, 2, 0x1000 }, 0, 1, 402 },
	{ "leased SPI", "192.0.2.1", { MSG_NOT_NEEDED }, { MSG_RUN, 1, 0x1000 }, 0, 0, 403 },
	{ "resting SPI", "192.0.2.1", { MSG_NOT_NEEDED }, { MSG_RUN, 1, 0x1100 }, 0, 0, 403 },
	{ "leased SPI in a list", "192.0.2.1", { MSG_NOT_NEEDED },
	  { MSG_LIST, 2, 0, (const uint8_t *)"\0\0\x01\x80\0\0\x10\0" }, 0, 0, 403 },
	{ "one SPI named twice", "192.0.2.1", { MSG_NOT_NEEDED },
	  { MSG_LIST, 2, 0, (const uint8_t *)"\0\0\x01\x80\0\0\x01\x80" }, 0, 0, 403 },
	{ "free ports do not help a leased SPI", "192.0.2.1", { MSG_ANY, 4 }, { MSG_RUN, 1, 0x1000 }, 0, 0, 403 },
};

static struct pools *refusal_pools(struct setup *setup)
{
	static struct config_pool both[2];
	static struct addr_range whole;
	struct pools *pools;

	pools_free(make(setup, 2, (struct num_range){ 400, 5000 }, (struct num_range){ 0x100, 0x1fff }));
	whole = (struct addr_range){ ntohl(ip("192.0.2.9")), ntohl(ip("192.0.2.9")) };
	both[0] = setup->pool;
	both[1] = (struct config_pool){ .name = "whole", .addresses = &whole, .address_count = 1, .rsa = true,
					.ports = all_ports, .spis = all_spis };
	setup->config.pools = both;
	setup->config.pool_count = 2;
	pools = pools_new(&setup->config);
	cr_assert_not_null(pools);
	return pools;
}

struct sums {
	uint64_t ports_leased, spis_leased, ports_resting, spis_resting, grants;
};

static bool add_up(const struct pool_usage *usage, void *arg)
{
	struct sums *sums = arg;

	sums->ports_leased += usage->ports_leased;
	sums->spis_leased += usage->spis_leased;
	sums->ports_resting += usage->ports_resting;
	sums->spis_resting += usage->spis_resting;
	sums->grants += usage->grants;
	return true;
}

static struct sums sum(const struct pools *pools)
{
	struct sums sums = { 0 };

	pools_each(pools, add_up, &sums);
	return sums;
}

/* covers: E-05 IPS-18 */
Test(pool, refusals_change_nothing)
{
	struct setup setup;
	struct pools *pools = refusal_pools(&setup);
	struct msg_spis spi = spis_run(0x1000, 1), resting = spis_run(0x1100, 1), refused = spis_run(0x180, 1);
	struct sums before, after;

	must_take(pools, "192.0.2.1", ports_run(1000, 1), &spi, 0);
	must_take(pools, "192.0.2.1", ports_run(3000, 1), NULL, 0);
	must_take(pools, "192.0.2.2", ports_run(3000, 1), NULL, 0);
	give_back(pools, must_take(pools, "192.0.2.1", ports_run(2000, 1), &resting, 0), 0);
	before = sum(pools);
	cr_assert_eq(before.ports_leased, 3);
	cr_assert_eq(before.ports_resting, 1);
	cr_assert_eq(before.spis_resting, 1);

	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		const struct refusal *row = &refusals[i];
		struct pool_request request = {
			.ipsec = row->spis.count,
			.local = { .type = RSIP_ADDR_IPV4, .any = !row->addr, .v4 = row->addr ? ip(row->addr) : 0 },
			.ports = &row->ports,
			.spis = row->spis.count ? &row->spis : NULL,
			.ports_max = row->ports_max ? row->ports_max : UINT32_MAX,
			.spis_max = row->spis_max ? row->spis_max : UINT32_MAX,
		};
		struct pool_grant *grant = NULL;
		uint16_t error = try_take(pools, &request, 0, 1000, &grant);

		cr_expect_eq(error, row->error, "%s: %u", row->name, error);
		cr_expect_null(grant, "%s", row->name);
		error = pool_allowed(pools, &request);
		cr_expect_eq(error, row->error == 312 || row->error == 313 ? row->error : 0, "%s: policy says %u",
			     row->name, error);
		after = sum(pools);
		cr_expect_eq(memcmp(&before, &after, sizeof(before)), 0, "%s: something was taken", row->name);
	}
	must_take(pools, "192.0.2.1", ports_none(), &refused, 1000);
	finish(pools);
}

/* covers: RSAP-04 */
Test(pool, no_pool_serves_the_method)
{
	struct setup setup;
	struct pools *pools;
	struct pool_grant *grant;
	struct msg_spis spis = spis_any(1);

	pools_free(make(&setup, 1, all_ports, all_spis));
	setup.pool.rsap = false;
	setup.pool.rsipsec = false;
	setup.pool.rsa = true;
	pools = pools_new(&setup.config);
	cr_expect_eq(take(pools, NULL, ports_any(1), NULL, 0, &grant), 308);
	cr_expect_eq(take(pools, NULL, ports_none(), &spis, 0, &grant), 308);
	pools_free(pools);
	setup.config.pool_count = 0;
	pools = pools_new(&setup.config);
	cr_expect_eq(take(pools, NULL, ports_any(1), NULL, 0, &grant), 308);
	finish(pools);
}

/* covers: W-16 */
Test(pool, ipv6)
{
	struct setup setup;
	struct pools *pools = make(&setup, 1, all_ports, all_spis);
	struct msg_ports ports = ports_any(1);
	struct pool_request request = {
		.local = { .type = RSIP_ADDR_IPV6, .v6 = { 0x20, 1 } }, .ports = &ports, .ports_max = 8,
	};
	struct pool_grant *grant;

	cr_expect_eq(try_take(pools, &request, 0, 0, &grant), 312);
	request.local.any = true;
	cr_expect_eq(try_take(pools, &request, 0, 0, &grant), 308);
	finish(pools);
}

/* --- what is granted ------------------------------------------------------------------ */

/* covers: RSAP-03 RSAP-02 IPS-03 IPS-04 */
Test(pool, named_is_granted_exactly)
{
	struct setup setup;
	struct pools *pools = make(&setup, 2, all_ports, all_spis);
	struct msg_ports list = { .form = MSG_LIST, .count = 3, .list = { 2000, 1999, 60000 } }, out;
	struct msg_spis spis = { .form = MSG_LIST, .count = 2, .list = (const uint8_t *)"\0\0\x30\x03\0\0\x10\x01" };
	struct pool_grant *grant = must_take(pools, "192.0.2.2", list, &spis, 0);

	cr_expect_eq(grant->addr, ip("192.0.2.2"));
	pool_grant_ports(grant, &out);
	cr_expect_eq(out.form, MSG_LIST);
	cr_expect_eq(out.count, 3);
	cr_expect_eq(memcmp(out.list, list.list, 3 * sizeof(out.list[0])), 0);
	cr_expect_eq(grant->spi_form, MSG_LIST);
	cr_expect_eq(grant->spi_count, 2);
	cr_expect_eq(grant->spis[0], 0x3003);
	cr_expect_eq(grant->spis[1], 0x1001);

	spis = spis_run(0xfffffffe, 2);
	grant = must_take(pools, "192.0.2.2", ports_run(65281, 255), &spis, 0);
	pool_grant_ports(grant, &out);
	cr_expect_eq(out.form, MSG_RUN);
	cr_expect_eq(out.first, 65281);
	cr_expect_eq(out.count, 255);
	cr_expect_eq(grant->spi_form, MSG_RUN);
	cr_expect_eq(grant->spis[0], 0xfffffffe);
	cr_expect_eq(grant->spis[1], 0xffffffff);

	grant = must_take(pools, NULL, ports_none(), &spis, 0);
	cr_expect_eq(grant->addr, ip("192.0.2.1"), "the SPIs are free there");
	cr_expect_eq(grant->port_form, MSG_NOT_NEEDED);
	cr_expect_eq(grant->port_count, 0);
	finish(pools);
}

/* Every count, ports and SPIs: one run, aligned, until nothing else is left. covers: RSAP-02 IPS-03 SPI-02 */
Test(pool, unspecified_are_aligned_runs)
{
	struct setup setup;
	struct pools *pools = make(&setup, 1, all_ports, all_spis);

	for (unsigned int count = 1; count <= 255; count++) {
		struct msg_spis spis = spis_any(count);
		struct pool_grant *grant = must_take(pools, NULL, ports_any(count), &spis, 0);
		unsigned int size = 1;

		while (size < count)
			size *= 2;
		cr_assert_eq(grant->port_form, MSG_RUN, "%u", count);
		cr_assert_eq(grant->port_count, count);
		cr_assert_eq(grant->port_first % size, 0, "%u ports from %u", count, grant->port_first);
		cr_assert_geq(grant->port_first, 1024);
		cr_assert_leq(grant->port_first + count - 1, 65535);
		cr_assert_eq(grant->spi_form, MSG_RUN);
		cr_assert_eq(grant->spis[0] % size, 0);
		for (unsigned int i = 0; i < count; i++)
			cr_assert_eq(grant->spis[i], grant->spis[0] + i);
		cancel(pools, grant);
	}
	finish(pools);
}

/* Holes of one port and one SPI: a list of as many as asked for. covers: SPI-02 IPS-06 RSAP-09 IPS-18 */
Test(pool, fragmented_space_gives_lists)
{
	struct setup setup;
	struct pools *pools = make(&setup, 1, (struct num_range){ 2000, 2031 }, (struct num_range){ 0x1000, 0x101f });
	struct msg_spis eight = spis_any(8), nine = spis_any(9);
	struct pool_grant *grant;

	for (unsigned int i = 0; i < 16; i++) {
		struct msg_spis odd = spis_run(0x1001 + 2 * i, 1);

		must_take(pools, NULL, ports_run(2001 + 2 * i, 1), &odd, 0);
	}
	must_take(pools, NULL, ports_any(8), &eight, 0);
	cr_expect_eq(take(pools, NULL, ports_any(9), &eight, 0, &grant), 309);
	cr_expect_eq(take(pools, NULL, ports_any(8), &nine, 0, &grant), 402);
	grant = must_take(pools, NULL, ports_any(8), &eight, 0);
	cr_expect_eq(grant->port_form, MSG_LIST);
	cr_expect_eq(grant->spi_form, MSG_LIST);
	for (unsigned int i = 0; i < 8; i++) {
		cr_expect_eq(grant->port_list[i] % 2, 0);
		cr_expect_eq(grant->spis[i] % 2, 0);
		for (unsigned int k = 0; k < i; k++) {
			cr_expect_neq(grant->port_list[i], grant->port_list[k]);
			cr_expect_neq(grant->spis[i], grant->spis[k]);
		}
	}
	cr_expect_eq(sum(pools).ports_leased, 32);
	cr_expect_eq(sum(pools).spis_leased, 32);
	finish(pools);
}

/* As many as the range has, or as an address still has at its end. covers: SPI-02 */
Test(pool, a_run_may_be_all_there_is)
{
	struct setup setup;
	struct pools *pools;

	for (unsigned int count = 7; count <= 8; count++) {
		struct msg_spis all = spis_any(count);
		struct pool_grant *grant;

		pools = make(&setup, 1, all_ports, (struct num_range){ 0x1000, 0x1000 + count - 1 });
		grant = must_take(pools, NULL, ports_none(), &all, 0);
		cr_expect_eq(grant->spi_form, MSG_RUN, "%u", count);
		cr_expect_eq(grant->spis[0], 0x1000);
		finish(pools);
	}
}

/* Of the four places for a run that long each is spoilt. */
Test(pool, an_answer_lists_so_many)
{
	struct setup setup;
	struct pools *pools = make(&setup, 1, all_ports, (struct num_range){ 0x10000, 0x1ffff });
	struct msg_spis listed = spis_any(RSIP_SPIS_MAX), too_many = spis_any(RSIP_SPIS_MAX + 1);
	struct pool_grant *grant;

	for (uint32_t place = 0x10000; place < 0x20000; place += 0x4000) {
		struct msg_spis one = spis_run(place + 0x1234, 1);

		must_take(pools, NULL, ports_none(), &one, 0);
	}
	cr_expect_eq(take(pools, NULL, ports_none(), &too_many, 0, &grant), 402);
	cr_expect_eq(sum(pools).spis_leased, 4);
	cr_expect_eq(must_take(pools, NULL, ports_none(), &listed, 0)->spi_form, MSG_LIST);
	finish(pools);
}

/* covers: RSAP-19 RSAP-09 */
Test(pool, ike_ports_are_never_leased)
{
	struct setup setup;
	struct pools *pools = make(&setup, 1, (struct num_range){ 1, 65535 }, all_spis);
	struct pool_grant *grant;
	unsigned int ports = 0;
	bool seen[65536] = { false };

	while (take(pools, NULL, ports_any(1), NULL, 0, &grant) == 0) {
		cr_assert(!seen[grant->port_first], "port %u twice", grant->port_first);
		seen[grant->port_first] = true;
		ports++;
	}
	cr_expect_eq(ports, 65533);
	cr_expect(!seen[0] && !seen[500] && !seen[4500]);
	cr_expect_eq(take(pools, NULL, ports_any(1), NULL, 0, &grant), 309);
	cr_expect_eq(sum(pools).ports_leased, 65533);
	finish(pools);
}

/* Without IPsec they are ports like others. covers: APG-03 */
Test(pool, port_500_without_ipsec)
{
	struct setup setup;
	struct pools *pools;

	pools_free(make(&setup, 1, (struct num_range){ 1, 65535 }, all_spis));
	setup.pool.rsipsec = false;
	pools = pools_new(&setup.config);
	cr_expect_eq(must_take(pools, NULL, ports_run(500, 1), NULL, 0)->port_first, 500);
	cr_expect_eq(must_take(pools, "192.0.2.1", ports_run(4500, 1), NULL, 0)->port_first, 4500);
	finish(pools);
}

/* Addresses are shared before new ones are touched. covers: RSAP-25 IPS-12 RSAP-13 */
Test(pool, which_address)
{
	struct setup setup;
	struct pools *pools = make(&setup, 3, (struct num_range){ 2000, 2099 }, all_spis);
	struct msg_ports ports = ports_any(10);
	struct pool_request request = { .local = { .any = true }, .ports = &ports, .ports_max = 100 };
	struct pool_grant *grant;

	for (unsigned int i = 0; i < 20; i++) {
		grant = must_take(pools, NULL, ports_any(10), NULL, 0);
		cr_expect_eq(grant->addr, ip(i < 10 ? "192.0.2.1" : "192.0.2.2"), "grant %u", i);
	}
	cr_assert_eq(try_take(pools, &request, ip("192.0.2.3"), 0, &grant), 0);
	cr_expect_eq(grant->addr, ip("192.0.2.3"), "the address that the host has already");
	cr_assert_eq(try_take(pools, &request, ip("192.0.2.1"), 0, &grant), 0);
	cr_expect_eq(grant->addr, ip("192.0.2.3"), "which is full");
	cr_expect_eq(must_take(pools, NULL, ports_run(grant->port_first == 2099 ? 2000 : 2099, 1), NULL, 0)->addr,
		     ip("192.0.2.3"), "named ports, where they are free");
	cr_expect_eq(must_take(pools, NULL, ports_none(), &(struct msg_spis){ .form = MSG_ANY, .count = 4 }, 0)->addr,
		     ip("192.0.2.1"), "SPIs are left where ports are not");
	cr_expect_eq(take(pools, NULL, ports_any(90), NULL, 0, &grant), 309);
	finish(pools);
}

/* Several ranges, a pool for each kind; the address is found in the right one. */
Test(pool, addresses_of_several_ranges)
{
	struct addr_range a[] = { { 0xc0000264, 0xc0000265 }, { 0xc0000201, 0xc0000202 } }, b[] = { { 0xc0000232, 0xc0000232 } };
	struct config_pool list[] = {
		{ .name = "a", .addresses = a, .address_count = 2, .rsap = true, .ports = all_ports, .spis = all_spis },
		{ .name = "b", .addresses = b, .address_count = 1, .rsap = true, .rsipsec = true, .ports = all_ports,
		  .spis = all_spis },
	};
	struct config config = { .pools = list, .pool_count = 2, .leases.hold_down = 120 };
	struct pools *pools = pools_new(&config);
	const char *there[] = { "192.0.2.100", "192.0.2.101", "192.0.2.1", "192.0.2.2", "192.0.2.50" };
	const char *not_there[] = { "192.0.2.99", "192.0.2.102", "192.0.2.0", "192.0.2.3", "192.0.2.51", "0.0.0.0",
				    "255.255.255.255" };
	struct msg_spis spis = spis_any(1);
	struct pool_grant *grant;

	for (size_t i = 0; i < sizeof(there) / sizeof(there[0]); i++)
		cr_expect_eq(must_take(pools, there[i], ports_any(1), NULL, 0)->addr, ip(there[i]), "%s", there[i]);
	for (size_t i = 0; i < sizeof(not_there) / sizeof(not_there[0]); i++)
		cr_expect_eq(take(pools, not_there[i], ports_any(1), NULL, 0, &grant), 312, "%s", not_there[i]);
	cr_expect_eq(must_take(pools, NULL, ports_none(), &spis, 0)->addr, ip("192.0.2.50"));
	finish(pools);
}

/* --- hold-down ---------------------------------------------------------------------------- */

/* covers: RSAP-16 IPS-19 */
Test(pool, freed_tuples_rest)
{
	struct setup setup;
	struct pools *pools = make(&setup, 1, all_ports, all_spis);
	struct msg_spis spis = spis_run(0x5000, 4);
	struct pool_grant *grant;

	give_back(pools, must_take(pools, NULL, ports_run(5060, 4), &spis, 0), 7000);
	cr_expect_eq(sum(pools).ports_resting, 4);
	cr_expect_eq(sum(pools).spis_resting, 4);
	cr_expect_eq(sum(pools).ports_leased, 0);
	cr_expect_eq(take(pools, NULL, ports_run(5063, 1), NULL, 7000, &grant), 311);
	cr_expect_eq(take(pools, NULL, ports_none(), &spis, 7000, &grant), 403);
	cr_expect_eq(take(pools, NULL, ports_run(5063, 1), NULL, 6999 + HOLD_DOWN_MS, &grant), 311);
	cr_expect_eq(take(pools, NULL, ports_none(), &spis, 6999 + HOLD_DOWN_MS, &grant), 403);
	must_take(pools, NULL, ports_run(5063, 1), &spis, 7000 + HOLD_DOWN_MS);
	cr_expect_eq(sum(pools).ports_resting, 0);
	cr_expect_eq(sum(pools).spis_resting, 0);
	finish(pools);
}

/* What was never heard of does not rest. covers: E-07 */
Test(pool, cancelled_is_free_at_once)
{
	struct setup setup;
	struct pools *pools = make(&setup, 1, all_ports, all_spis);
	struct msg_spis spis = spis_run(0x5000, 4);

	cancel(pools, must_take(pools, NULL, ports_run(5060, 4), &spis, 0));
	cancel(pools, must_take(pools, NULL, ports_run(5060, 4), &spis, 0));
	cr_expect_eq(sum(pools).ports_leased + sum(pools).ports_resting, 0);
	finish(pools);
}

/* Eight ports, all used: they come back in the order of their release. covers: RSAP-17 */
Test(pool, scarce_ports_in_order_of_release)
{
	struct setup setup;
	struct pools *pools = make(&setup, 1, (struct num_range){ 3000, 3007 }, all_spis);
	static const unsigned int order[] = { 5, 2, 7, 0, 6, 1, 4, 3 };
	struct pool_grant *grants[8], *grant;

	for (unsigned int i = 0; i < 8; i++) {
		grant = must_take(pools, NULL, ports_any(1), NULL, 0);
		grants[grant->port_first - 3000] = grant;
	}
	for (unsigned int i = 0; i < 8; i++)
		give_back(pools, grants[order[i]], 1000 + i);
	cr_expect_eq(take(pools, NULL, ports_any(1), NULL, 999 + HOLD_DOWN_MS, &grant), 309, "all of them rest");
	for (unsigned int i = 0; i < 8; i++) {
		grant = must_take(pools, NULL, ports_any(1), NULL, 2000 + HOLD_DOWN_MS);
		cr_expect_eq(grant->port_first, 3000 + order[i], "grant %u", i);
	}
	finish(pools);
}

/* Scarce: 16 are left, or a sixteenth of all. One more, and none is kept back. covers: RSAP-17 */
static const struct scarce {
	uint32_t total, released;
	bool spis, in_order;
} scarce[] = {
	{ 64, 16, false, true }, { 64, 17, false, false }, { 512, 32, false, true }, { 512, 33, false, false },
	{ 64, 16, true, true },	 { 64, 17, true, false },  { 512, 32, true, true },  { 512, 33, true, false },
};

static bool is_in_order(const struct scarce *row)
{
	struct setup setup;
	struct pools *pools = make(&setup, 1, (struct num_range){ 3000, 3000 + row->total - 1 },
				   (struct num_range){ 0x1000, 0x1000 + row->total - 1 });
	struct msg_ports ports = row->spis ? ports_none() : ports_any(1);
	struct msg_spis one = spis_any(1);
	const struct msg_spis *spis = row->spis ? &one : NULL;
	struct pool_grant *grant;
	uint32_t released[64];
	bool same = true;

	for (uint32_t i = 0; i < row->total; i++)
		must_take(pools, NULL, ports, spis, 0);
	for (uint32_t i = 0; i < row->released; i++) {
		grant = held[0];
		released[i] = row->spis ? grant->spis[0] : grant->port_first;
		give_back(pools, grant, 1000 + i);
	}
	for (uint32_t i = 0; i < row->released; i++) {
		grant = must_take(pools, NULL, ports, spis, 2000 + HOLD_DOWN_MS);
		same &= released[i] == (row->spis ? grant->spis[0] : grant->port_first);
	}
	finish(pools);
	return same;
}

Test(pool, order_of_release_where_it_is_scarce)
{
	for (size_t i = 0; i < sizeof(scarce) / sizeof(scarce[0]); i++) {
		const struct scarce *row = &scarce[i];

		cr_expect_eq(is_in_order(row), row->in_order, "%u %s of %u", row->released,
			     row->spis ? "SPIs" : "ports", row->total);
	}
}

/* The four that have rested longest are no run, all eight are: none is kept back from it. covers: RSAP-17 SPI-02 */
Test(pool, rested_ones_make_a_run)
{
	static const unsigned int order[] = { 0, 2, 4, 6, 1, 3, 5, 7 };
	struct msg_spis four = spis_any(4);

	for (int ipsec = 0; ipsec < 2; ipsec++) {
		struct setup setup;
		struct pools *pools = make(&setup, 1, (struct num_range){ 3000, 3007 }, (struct num_range){ 0x1000, 0x1007 });
		struct pool_grant *grants[8], *grant;

		for (unsigned int i = 0; i < 8; i++) {
			struct msg_spis one = spis_run(0x1000 + i, 1);

			grants[i] = ipsec ? must_take(pools, NULL, ports_none(), &one, 0) :
					    must_take(pools, NULL, ports_run(3000 + i, 1), NULL, 0);
		}
		for (unsigned int i = 0; i < 8; i++)
			give_back(pools, grants[order[i]], 1000 + i);
		grant = must_take(pools, NULL, ipsec ? ports_none() : ports_any(4), ipsec ? &four : NULL,
				  2000 + HOLD_DOWN_MS);
		cr_expect_eq(ipsec ? grant->spi_form : grant->port_form, MSG_RUN, "%s", ipsec ? "SPIs" : "ports");
		finish(pools);
	}
}

/* Behind a port that is kept back. covers: LSN-11 RSAP-16 RSAP-17 */
Test(pool, rested_listener_for_ike)
{
	struct setup setup;
	struct pools *pools = make(&setup, 1, (struct num_range){ 3000, 3007 }, all_spis);
	struct msg_ports port = ports_run(500, 1);
	struct pool_request request = {
		.ike = true, .ike_peer = ip("198.51.100.9"), .local = { .type = RSIP_ADDR_IPV4, .any = true },
		.ports = &port, .ports_max = 1,
	};
	struct pool_grant *grants[8], *listener, *grant;

	for (unsigned int i = 0; i < 8; i++)
		grants[i] = must_take(pools, NULL, ports_any(1), NULL, 0);
	cr_assert_eq(try_take(pools, &request, 0, 0, &listener), 0);
	give_back(pools, grants[0], 1000);
	give_back(pools, listener, 1000);
	cr_expect_eq(try_take(pools, &request, 0, 999 + HOLD_DOWN_MS, &grant), 311);
	cr_expect_eq(try_take(pools, &request, 0, 1000 + HOLD_DOWN_MS, &grant), 0);
	finish(pools);
}

/* A rested port that is kept back can be asked for by name, and several make a run. covers: RSAP-17 */
Test(pool, rested_ports_are_free)
{
	struct setup setup;
	struct pools *pools = make(&setup, 1, (struct num_range){ 3000, 3007 }, all_spis);
	struct pool_grant *grants[8];

	for (unsigned int i = 0; i < 8; i++)
		grants[i] = must_take(pools, NULL, ports_any(1), NULL, 0);
	for (unsigned int i = 0; i < 8; i++)
		give_back(pools, grants[i], 1000 + i);
	must_take(pools, NULL, ports_run(3005, 1), NULL, 2000 + HOLD_DOWN_MS);
	cr_expect_eq(must_take(pools, NULL, ports_any(4), NULL, 2000 + HOLD_DOWN_MS)->port_first, 3000);
	cr_expect_eq(sum(pools).ports_leased, 5);
	finish(pools);
}

/* --- another configuration ---------------------------------------------------------------- */

static void change(struct pools *pools, const struct setup *setup)
{
	cr_assert_eq(pools_change(pools, &setup->config), 0);
}

/* Half of what rests is not lent any more when its hold-down ends: it is not kept back to be lent. covers: ADM-01 RSAP-16 */
Test(pool, what_is_not_lent_any_more_is_no_room, .timeout = 10)
{
	struct setup before, after;
	struct pools *pools = make(&before, 1, (struct num_range){ 3000, 3007 }, (struct num_range){ 0x1000, 0x1007 });
	struct msg_spis two = spis_any(2);
	struct pool_grant *grant;

	for (unsigned int i = 0; i < 4; i++) {
		struct msg_spis spis = spis_run(0x1000 + 2 * i, 2);

		must_take(pools, NULL, ports_run(3000 + 2 * i, 2), &spis, 0);
	}
	while (held_count > 2)
		give_back(pools, held[held_count - 1], 0);
	describe(&after, 1, (struct num_range){ 3000, 3003 }, (struct num_range){ 0x1000, 0x1003 });
	change(pools, &after);
	cr_expect_eq(take(pools, NULL, ports_any(1), NULL, HOLD_DOWN_MS, &grant), 309);
	cr_expect_eq(take(pools, NULL, ports_none(), &two, HOLD_DOWN_MS, &grant), 402);
	while (held_count)
		give_back(pools, held[held_count - 1], HOLD_DOWN_MS);
	must_take(pools, NULL, ports_any(4), NULL, 2 * HOLD_DOWN_MS);
	must_take(pools, NULL, ports_none(), &two, 2 * HOLD_DOWN_MS);
	finish(pools);
}

/* More SPIs are held than are lent now, all of them others. */
Test(pool, held_spis_outside_of_the_range)
{
	struct setup before, after;
	struct pools *pools = make(&before, 1, all_ports, (struct num_range){ 0x1000, 0x100f });
	struct msg_spis eight = spis_run(0x1008, 8), one = spis_any(1);
	struct pool_grant *grant;

	must_take(pools, NULL, ports_none(), &eight, 0);
	describe(&after, 1, all_ports, (struct num_range){ 0x1000, 0x1003 });
	change(pools, &after);
	cr_expect_eq(take(pools, NULL, ports_none(), &one, 0, &grant), 402, "too little is said rather than too much");
	give_back(pools, held[0], 0);
	cr_expect_lt(must_take(pools, NULL, ports_none(), &one, HOLD_DOWN_MS)->spis[0], 0x1004);
	finish(pools);
}

/* Two addresses that are lent as a whole, and are both held: then they are shared. covers: RSA-04 RSA-07 */
Test(pool, whole_addresses_stay_whole)
{
	struct setup before, after;
	struct pools *pools;
	struct msg_ports none = ports_none();
	struct pool_request request = {
		.whole = true, .local = { .type = RSIP_ADDR_IPV4, .any = true }, .ports = &none,
	};
	struct pool_grant *grant;

	describe(&before, 2, all_ports, all_spis);
	before.pool.rsa = true;
	before.pool.rsap = before.pool.rsipsec = false;
	pools = pools_new(&before.config);
	cr_assert_eq(try_take(pools, &request, 0, 0, &grant), 0);
	cr_assert_eq(try_take(pools, &request, 0, 0, &grant), 0);
	change(pools, &before);
	request.local.any = false;
	request.local.v4 = ip("192.0.2.1");
	cr_expect_eq(try_take(pools, &request, 0, 0, &grant), 308, "none is left");

	describe(&after, 2, all_ports, all_spis);
	change(pools, &after);
	cr_expect_eq(take(pools, "192.0.2.1", ports_any(1), NULL, 0, &grant), 310);
	cr_expect_eq(take(pools, NULL, ports_any(1), NULL, 0, &grant), 309);
	give_back(pools, held[0], 1000);
	cr_expect_eq(take(pools, "192.0.2.1", ports_any(1), NULL, 999 + HOLD_DOWN_MS, &grant), 310, "it rests");
	must_take(pools, "192.0.2.1", ports_any(1), NULL, 1000 + HOLD_DOWN_MS);
	finish(pools);
}

/* Another hold-down is that of what rests already. covers: ADM-01 RSAP-16 */
Test(pool, hold_down_changes)
{
	struct setup before, after;
	struct pools *pools = make(&before, 1, all_ports, all_spis);
	struct pool_grant *grant;

	give_back(pools, must_take(pools, NULL, ports_run(5060, 1), NULL, 0), 1000);
	describe(&after, 1, all_ports, all_spis);
	after.config.leases.hold_down = 10;
	change(pools, &after);
	cr_expect_eq(take(pools, NULL, ports_run(5060, 1), NULL, 10999, &grant), 311);
	must_take(pools, NULL, ports_run(5060, 1), NULL, 11000);
	finish(pools);
}

/* --- unpredictable ---------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

#define SAMPLES 1000

/* No two steps from one value to the next alike, beyond what chance does; no neighbours. */
static void check_no_pattern(const uint32_t *values, uint32_t range, unsigned int alike)
{
	uint32_t steps[SAMPLES - 1], run = 1, longest = 1, neighbours = 0, buckets[16] = { 0 };

	for (unsigned int i = 0; i < SAMPLES; i++)
		buckets[(uint64_t)(values[i]) * 16 / range]++;
	for (unsigned int i = 0; i + 1 < SAMPLES; i++) {
		steps[i] = values[i + 1] - values[i];
		neighbours += steps[i] == 1 || steps[i] == UINT32_MAX;
	}
	qsort(steps, SAMPLES - 1, sizeof(*steps), compare);
	for (unsigned int i = 1; i < SAMPLES - 1; i++) {
		run = steps[i] == steps[i - 1] ? run + 1 : 1;
		longest = run > longest ? run : longest;
	}
	cr_expect_leq(longest, alike, "a step occurs %u times", longest);
	cr_expect_leq(neighbours, alike, "%u neighbours", neighbours);
	/* 1000 in 16: 62.5 each, deviation 7.7. Six of them: once in a billion runs. */
	for (unsigned int i = 0; i < 16; i++)
		cr_expect(buckets[i] >= 16 && buckets[i] <= 109, "%u of %u in part %u", buckets[i], SAMPLES, i);
}

/* covers: RSAP-24 */
Test(pool, ports_are_unpredictable)
{
	struct setup setup;
	struct pools *pools = make(&setup, 1, all_ports, all_spis);
	uint32_t values[SAMPLES];

	for (unsigned int i = 0; i < SAMPLES; i++)
		values[i] = must_take(pools, NULL, ports_any(1), NULL, 0)->port_first - 1024;
	check_no_pattern(values, 65536 - 1024, 4);
	finish(pools);
}

/* covers: IPS-14 */
Test(pool, spis_are_random_over_the_whole_space)
{
	struct setup setup;
	struct pools *pools = make(&setup, 1, all_ports, all_spis);
	struct msg_spis one = spis_any(1);
	uint32_t values[SAMPLES];

	for (unsigned int i = 0; i < SAMPLES; i++)
		values[i] = must_take(pools, NULL, ports_none(), &one, 0)->spis[0];
	check_no_pattern(values, UINT32_MAX, 1);
	for (unsigned int bit = 0; bit < 32; bit++) {
		unsigned int ones = 0;

		for (unsigned int i = 0; i < SAMPLES; i++)
			ones += values[i] >> bit & 1;
		/* 500, deviation 15.8 */
		cr_expect(ones >= 400 && ones <= 600, "bit %u is set in %u of %u", bit, ones, SAMPLES);
	}
	finish(pools);
}

static uint32_t odd_eights(uint32_t random, const void *arg)
{
	++*(unsigned int *)(uintptr_t)arg;
	return random & 0x10 ? random | 8 : 0;
}

static uint32_t nothing(uint32_t random, const void *arg)
{
	return 0;
}

static uint32_t below_the_range(uint32_t random, const void *arg)
{
	return 0xf8;
}

static uint32_t beyond_the_range(uint32_t random, const void *arg)
{
	return UINT32_MAX - 6;
}

static uint32_t first_place(uint32_t random, const void *arg)
{
	return 0x100;
}

static uint32_t last_place(uint32_t random, const void *arg)
{
	return UINT32_MAX - 7;
}

static uint32_t askew(uint32_t random, const void *arg)
{
	return 0x5004;
}

static uint32_t taken(uint32_t random, const void *arg)
{
	return 0x4000;
}

/* A preference is followed where it can be, and is none about what the host names. */
Test(pool, spis_preferred)
{
	struct setup setup;
	struct pools *pools = make(&setup, 1, all_ports, all_spis);
	struct msg_ports no_ports = ports_none();
	struct msg_spis eight = spis_any(8), named = spis_run(0x4000, 8);
	unsigned int asked = 0, wrong = 0;
	struct pool_request request = {
		.ipsec = true, .local = { .type = RSIP_ADDR_IPV4, .any = true }, .ports = &no_ports, .spis = &eight,
		.spis_max = UINT32_MAX, .place = odd_eights, .place_arg = &asked,
	};
	uint32_t (*const of_no_use[])(uint32_t, const void *) = { nothing, below_the_range, beyond_the_range, askew, taken };
	struct pool_grant *grant;

	for (unsigned int i = 0; i < SAMPLES; i++) {
		cr_assert_eq(try_take(pools, &request, 0, 0, &grant), 0);
		wrong += (grant->spis[0] & 0x18) != 0x18;
	}
	cr_expect_eq(wrong, 0, "%u of %u not as preferred", wrong, SAMPLES);
	cr_expect(asked > 3 * SAMPLES / 2);
	asked = 0;
	request.spis = &named;
	cr_assert_eq(try_take(pools, &request, 0, 0, &grant), 0);
	cr_expect_eq(grant->spis[0], 0x4000);
	cr_expect_eq(asked, 0);
	request.spis = &eight;
	for (unsigned int i = 0; i < sizeof(of_no_use) / sizeof(of_no_use[0]); i++) {
		request.place = of_no_use[i];
		cr_assert_eq(try_take(pools, &request, 0, 0, &grant), 0, "%u: any will do", i);
		cr_expect_eq(grant->spi_form, MSG_RUN);
		cr_expect_eq(grant->spis[0] % 8, 0);
		cr_expect(grant->spis[0] != 0x4000 && grant->spis[0] >= 0x100);
	}
	request.place = first_place;
	cr_assert_eq(try_take(pools, &request, 0, 0, &grant), 0);
	cr_expect_eq(grant->spis[0], 0x100);
	request.place = last_place;
	cr_assert_eq(try_take(pools, &request, 0, 0, &grant), 0);
	cr_expect_eq(grant->spis[0], UINT32_MAX - 7);
	finish(pools);
}

/* --- against a naive model ------------------------------------------------------------------ */

#define MODEL_PORTS	64
#define MODEL_SPIS	64
#define MODEL_ADDRESSES	2
#define MODEL_GRANTS	96
#define MODEL_HOLD	50

/* Who holds each port and SPI, and when it may be lent again: two arrays, read from end to end. */
struct model {
	int holder[MODEL_ADDRESSES][MODEL_PORTS + MODEL_SPIS];	/* grant + 1, 0: free */
	uint64_t rests_until[MODEL_ADDRESSES][MODEL_PORTS + MODEL_SPIS];
	struct pool_grant *grants[MODEL_GRANTS];
};

static unsigned int model_free(const struct model *model, unsigned int address, unsigned int from, unsigned int count,
			       uint64_t now)
{
	unsigned int n = 0;

	for (unsigned int i = from; i < from + count; i++)
		n += !model->holder[address][i] && model->rests_until[address][i] <= now;
	return n;
}

static void model_mark(struct model *model, const struct pool_grant *grant, int holder, uint64_t rests_until,
		       uint64_t now)
{
	unsigned int address = ntohl(grant->addr) - ntohl(ip("192.0.2.1"));

	for (unsigned int i = 0; i < (unsigned int)grant->port_count + grant->spi_count; i++) {
		unsigned int at = i >= grant->port_count ? MODEL_PORTS + grant->spis[i - grant->port_count] - 0x1000 :
				  grant->port_form == MSG_LIST ? grant->port_list[i] - 2000u :
								 grant->port_first + i - 2000;

		cr_assert_lt(at, MODEL_PORTS + MODEL_SPIS);
		if (holder)
			cr_assert(!model->holder[address][at] && model->rests_until[address][at] <= now,
				  "value %u of address %u is lent twice or too early", at, address);
		model->holder[address][at] = holder;
		model->rests_until[address][at] = rests_until;
	}
}

/* covers: RSAP-13 IPS-13 RSAP-16 IPS-19 RSAP-09 IPS-06 */
Test(pool, random_operations_agree_with_a_naive_model)
{
	struct setup setup;
	struct pools *pools = make(&setup, MODEL_ADDRESSES, (struct num_range){ 2000, 2000 + MODEL_PORTS - 1 },
				   (struct num_range){ 0x1000, 0x1000 + MODEL_SPIS - 1 });
	struct model *model = calloc(1, sizeof(*model));
	uint64_t now = 1000;

	pools_free(pools);
	setup.config.leases.hold_down = MODEL_HOLD;
	pools = pools_new(&setup.config);
	srandom(20261);
	for (unsigned int step = 0; step < 60000; step++) {
		unsigned int i = random() % MODEL_GRANTS;
		struct pool_grant *grant = model->grants[i];

		now += random() % 500;
		if (grant) {
			model_mark(model, grant, 0, now + MODEL_HOLD * 1000, now);
			give_back(pools, grant, now);
			model->grants[i] = NULL;
			continue;
		}
		bool ipsec = random() % 2;
		unsigned int ports = ipsec ? random() % 4 : 1 + random() % 8;
		struct msg_spis spis = spis_any(1 + random() % 8);
		uint16_t error = take(pools, NULL, ports ? ports_any(ports) : ports_none(), ipsec ? &spis : NULL, now, &grant);
		bool fits = false, ports_fit = false;

		for (unsigned int a = 0; a < MODEL_ADDRESSES; a++) {
			bool enough = model_free(model, a, 0, MODEL_PORTS, now) >= ports;

			ports_fit |= enough;
			fits |= enough && (!ipsec || model_free(model, a, MODEL_PORTS, MODEL_SPIS, now) >= spis.count);
		}
		cr_assert_eq(error, fits ? 0 : ports_fit ? 402 : 309, "step %u: %u, %d %d", step, error, fits, ports_fit);
		if (error)
			continue;
		cr_assert_eq(grant->port_count, ports);
		cr_assert_eq(grant->spi_count, ipsec ? spis.count : 0);
		model_mark(model, grant, i + 1, 0, now);
		model->grants[i] = grant;
	}

	/* Nothing is lost: with all given back and rested, all can be lent again. */
	for (unsigned int i = 0; i < MODEL_GRANTS; i++) {
		if (model->grants[i])
			give_back(pools, model->grants[i], now);
	}
	now += MODEL_HOLD * 1000;
	pool_tick(pools, now);
	for (unsigned int a = 0; a < MODEL_ADDRESSES; a++) {
		struct msg_spis all = spis_any(MODEL_SPIS);

		must_take(pools, NULL, ports_any(MODEL_PORTS), &all, now);
	}
	cr_expect_eq(sum(pools).ports_leased, MODEL_ADDRESSES * MODEL_PORTS);
	free(model);
	finish(pools);
}

/* --- the parts ------------------------------------------------------------------------------- */

/* Adds and removes so that the probe sequences of few slots overlap and close gaps. */
Test(spiset, agrees_with_an_array)
{
	struct spiset set = { 0 };
	bool model[512] = { false };
	unsigned int count = 0;

	srandom(7);
	for (unsigned int step = 0; step < 100000; step++) {
		uint32_t value = random() % 512;

		if (random() % 2) {
			cr_assert_eq(spiset_reserve(&set, 1), 0);
			cr_assert_eq(spiset_add(&set, value + 256), !model[value]);
			count += !model[value];
			model[value] = true;
		} else {
			spiset_remove(&set, value + 256);
			count -= model[value];
			model[value] = false;
		}
		cr_assert_eq(set.count, count);
		value = random() % 512;
		cr_assert_eq(spiset_has(&set, value + 256), model[value], "step %u", step);
	}
	spiset_free(&set);
}

/* A run that is found is free and aligned, and one is found when the naive search finds one. */
Test(portmap, finds_a_run_if_there_is_one)
{
	struct portmap *map = malloc(sizeof(*map));

	srandom(11);
	for (unsigned int round = 0; round < 400; round++) {
		unsigned int holes = random() % 300, count = 1 + random() % 255, size = 1;
		bool there = false;

		portmap_init(map, (struct num_range){ 1000, 3000 }, false);
		for (unsigned int i = 0; i < holes; i++)
			portmap_set(map, 1000 + random() % 2001, 1, false);
		while (size < count)
			size *= 2;
		for (unsigned int first = 0; first + count <= 65536 && !there; first += size) {
			there = true;
			for (unsigned int i = 0; i < count && there; i++)
				there = portmap_has(map, first + i);
		}
		int found = portmap_find(map, count);

		cr_assert_eq(found >= 0, there, "round %u: %u ports, found at %d", round, count, found);
		if (found < 0)
			continue;
		cr_assert_eq(found % size, 0);
		for (unsigned int i = 0; i < count; i++)
			cr_assert(portmap_has(map, found + i));
	}
	free(map);
}
