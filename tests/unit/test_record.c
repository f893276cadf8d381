// SPDX-License-Identifier: GPL-2.0-only
/* Records of hosts and leases as bytes: there and back, and what a disk may have made of them. */
#include <criterion/criterion.h>
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "rsipd/record.h"

static uint8_t bytes[RECORD_MAX];
static struct record out;

static struct record_client client(void)
{
	static uint8_t answer[] = { 1, 5, 0, 10, 1, 2, 3, 4, 5, 6 };

	return (struct record_client){
		.client_id = 0x81234567,
		.origin = { .source = htonl(0x0a00000b), .source_port = htons(5000), .local = htonl(0x0a000001), .tcp = true },
		.local_policy = RSIP_POLICY_MICRO, .remote_policy = RSIP_POLICY_NONE,
		.counted = true, .resync = true, .bind_ids = 7, .registered = 5, .expires = 0x123456789abcULL,
		.last = { .hash = 0xfeedface12345678ULL, .when = 77, .counter = 9, .len = 40, .type = 6, .known = true,
			  .tcp = true, .answer = answer, .answer_len = sizeof(answer) },
	};
}

static struct record_bind bind_of(enum msg_form ports, enum msg_form spis)
{
	static uint16_t port_list[] = { 5000, 7000, 65535 };
	static uint32_t spi_list[] = { 0x100, 0x101, 0x102 }, spi_other[] = { 0x5000, 0x100, 0xffffffff };

	return (struct record_bind){
		.client_id = 1, .bind_id = 2, .kind = LEASE_RSIPSEC, .tunnel = RSIP_TUNNEL_GRE, .gateway = htonl(0x0a000001),
		.remote = htonl(0xc6336407), .remote_port = 443, .slot = 99, .granted = 3, .expires = 4, .rests = 5,
		.grant = { .addr = htonl(0xcb00710a), .port_form = ports, .port_count = ports == MSG_NOT_NEEDED ? 0 : 3,
			   .port_first = ports == MSG_RUN ? 4000 : 0, .port_list = port_list, .spi_form = spis, .spi_count = 3,
			   .spis = spis == MSG_RUN ? spi_list : spi_other },
	};
}

Test(record, a_host_there_and_back)
{
	struct record_client in = client();
	size_t len = record_client_encode(12, &in, bytes);
	const char *why = record_decode(12, bytes, len, &out);

	cr_assert_null(why, "%s", why);
	cr_assert_eq(out.kind, RECORD_CLIENT);
	cr_assert_eq(out.client.last.answer_len, in.last.answer_len);
	cr_assert_arr_eq(out.client.last.answer, in.last.answer, in.last.answer_len);
	out.client.last.answer = in.last.answer;
	cr_assert_eq(out.client.origin.source, in.origin.source);
	cr_assert_eq(out.client.origin.source_port, in.origin.source_port);
	cr_assert_eq(out.client.origin.local, in.origin.local);
	cr_assert_eq(out.client.origin.tcp, in.origin.tcp);
	cr_assert_eq(out.client.origin.connection, 0);
	cr_assert_eq(out.client.client_id, in.client_id);
	cr_assert_eq(out.client.local_policy, in.local_policy);
	cr_assert_eq(out.client.remote_policy, in.remote_policy);
	cr_assert(out.client.counted && out.client.resync);
	cr_assert_eq(out.client.bind_ids, in.bind_ids);
	cr_assert_eq(out.client.registered, in.registered);
	cr_assert_eq(out.client.expires, in.expires);
	cr_assert_eq(out.client.last.hash, in.last.hash);
	cr_assert_eq(out.client.last.when, in.last.when);
	cr_assert_eq(out.client.last.counter, in.last.counter);
	cr_assert_eq(out.client.last.len, in.last.len);
	cr_assert_eq(out.client.last.type, in.last.type);
	cr_assert(out.client.last.known && out.client.last.tcp);
}

static void check_bind(enum msg_form ports, enum msg_form spis)
{
	struct record_bind in = bind_of(ports, spis);
	size_t len = record_bind_encode(3, &in, bytes);
	const char *why = record_decode(3, bytes, len, &out);

	cr_assert_null(why, "%s", why);
	cr_assert_eq(out.kind, RECORD_BIND);
	cr_assert_eq(out.bind.client_id, in.client_id);
	cr_assert_eq(out.bind.bind_id, in.bind_id);
	cr_assert_eq(out.bind.kind, in.kind);
	cr_assert_eq(out.bind.tunnel, in.tunnel);
	cr_assert_eq(out.bind.gateway, in.gateway);
	cr_assert_eq(out.bind.remote, in.remote);
	cr_assert_eq(out.bind.remote_port, in.remote_port);
	cr_assert_eq(out.bind.slot, in.slot);
	cr_assert_eq(out.bind.granted, in.granted);
	cr_assert_eq(out.bind.expires, in.expires);
	cr_assert_eq(out.bind.rests, in.rests);
	cr_assert_eq(out.bind.grant.addr, in.grant.addr);
	cr_assert_eq(out.bind.grant.port_form, in.grant.port_form);
	cr_assert_eq(out.bind.grant.port_count, in.grant.port_count);
	cr_assert_eq(out.bind.grant.port_first, in.grant.port_first);
	if (ports == MSG_LIST)
		cr_assert_arr_eq(out.bind.grant.port_list, in.grant.port_list, 3 * sizeof(uint16_t));
	cr_assert_eq(out.bind.grant.spi_form, in.grant.spi_form);
	cr_assert_eq(out.bind.grant.spi_count, in.grant.spi_count);
	cr_assert_arr_eq(out.bind.grant.spis, in.grant.spis, 3 * sizeof(uint32_t));
}

Test(record, a_lease_there_and_back)
{
	check_bind(MSG_NOT_NEEDED, MSG_RUN);
	check_bind(MSG_RUN, MSG_LIST);
	check_bind(MSG_LIST, MSG_RUN);
}

/* The highest ports and SPIs that there are. */
Test(record, the_last_ones)
{
	static uint32_t last[] = { 0xfffffffd, 0xfffffffe, 0xffffffff };
	struct record_bind in = bind_of(MSG_RUN, MSG_RUN);
	const char *why;

	in.grant.spis = last;
	in.grant.port_first = 65533;
	why = record_decode(3, bytes, record_bind_encode(3, &in, bytes), &out);
	cr_assert_null(why, "%s", why);
	cr_assert_arr_eq(out.bind.grant.spis, last, sizeof(last));
}

Test(record, a_clock_there_and_back)
{
	struct record_clock in = { .journal = 1ULL << 40, .monotonic = 5, .wall = 1700000000000ULL, .boot = { 1, 2, 3 } };
	size_t len = record_clock_encode(0, &in, bytes);

	cr_assert_null(record_decode(0, bytes, len, &out));
	cr_assert_eq(out.kind, RECORD_CLOCK);
	cr_assert_eq(memcmp(&out.clock, &in, sizeof(in)), 0);
}

/* Every single bit that flips, every byte that is missing, and another's number. */
Test(record, damage_is_found)
{
	struct record_bind in = bind_of(MSG_LIST, MSG_LIST);
	size_t len = record_bind_encode(3, &in, bytes);

	for (size_t bit = 0; bit < 8 * len; bit++) {
		bytes[bit / 8] ^= 1u << bit % 8;
		cr_assert(record_decode(3, bytes, len, &out), "bit %zu", bit);
		bytes[bit / 8] ^= 1u << bit % 8;
	}
	for (size_t cut = 0; cut < len; cut++)
		cr_assert(record_decode(3, bytes, cut, &out), "%zu bytes", cut);
	cr_assert(record_decode(4, bytes, len, &out));
	cr_assert_null(record_decode(3, bytes, len, &out));
}

/* A record with a right checksum may still say what cannot be. */
Test(record, nonsense_is_found)
{
	static __be32 remotes[RSIP_REMOTES_MAX + 1] = { 1, 2 };
	struct record_bind good = bind_of(MSG_LIST, MSG_LIST), bad[16];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		bad[i] = good;
	bad[0].kind = 99;
	bad[1].bind_id = 0;
	bad[2].client_id = 0;
	bad[3].grant.port_form = MSG_RUN;
	bad[3].grant.port_first = 4000;
	bad[3].grant.port_count = 256;
	bad[4].grant.port_form = MSG_RUN;
	bad[4].grant.port_first = 65534;
	bad[5].grant.port_count = 0;
	bad[6].grant.port_form = MSG_ANY;
	bad[7].grant.spi_form = MSG_RUN;
	bad[7].grant.spis = (uint32_t[]){ 0xfffffffe };
	bad[8].grant.spi_form = MSG_ANY;
	bad[9].grant.port_list = (uint16_t[]){ 5000, 0, 7000 };
	bad[10].grant.port_form = MSG_RUN;
	bad[10].grant.port_first = 0;
	bad[11].grant.spis = (uint32_t[]){ 0x5000, 0, 0x100 };
	bad[12].remotes = bad[13].remotes = remotes;
	bad[12].remote_count = 1;
	bad[13].remote_count = RSIP_REMOTES_MAX + 1;
	bad[14].grant.whole = true;
	bad[15].grant.ike_peer = htonl(0xc6336407);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert(record_decode(3, bytes, record_bind_encode(3, &bad[i], bytes), &out), "%zu", i);
	good.remotes = remotes;
	good.remote_count = RSIP_REMOTES_MAX;
	cr_assert_null(record_decode(3, bytes, record_bind_encode(3, &good, bytes), &out));
	cr_assert_eq(out.bind.remote_count, RSIP_REMOTES_MAX);
	cr_assert_arr_eq(out.bind.remotes, remotes, RSIP_REMOTES_MAX * sizeof(*remotes));
}

/* A byte of a host's record that is another, under a checksum that is right. */
static const struct {
	size_t at;
	uint8_t byte;
	const char *why;
} bytes_of_a_host[] = {
	{ 0, RECORD_VERSION + 1, "its version is unknown" }, { 1, 99, "its kind is unknown" },
	{ 16, 0x00, NULL }, { 16, 0x07, NULL }, { 16, 0x0f, "unknown flags" }, { 16, 0x80, "unknown flags" },
	{ 17, 3, NULL }, { 17, 4, "an unknown flow policy" }, { 18, 4, "an unknown flow policy" },
	{ 39, 0x07, NULL }, { 39, 0x0f, "the last request has flags that make no sense" },
	{ 39, 0x03, "the last request has flags that make no sense" },	/* without an answer, which is there */
};

/* A right checksum, of record 12. */
static void sum_up(size_t len)
{
	const uint8_t number[8] = { [7] = 12 };
	uint32_t sum = htonl((uint32_t)crc32(crc32(0, number, sizeof(number)), bytes, (uInt)len - 4));

	memcpy(bytes + len - 4, &sum, sizeof(sum));
}

Test(record, a_host_that_cannot_be)
{
	struct record_client in = client();
	size_t whole = record_client_encode(12, &in, bytes);

	sum_up(whole - 1);
	cr_expect_str_eq(record_decode(12, bytes, whole - 1, &out), "it is too short or too long");
	record_client_encode(12, &in, bytes);
	sum_up(whole + 1);
	cr_expect_str_eq(record_decode(12, bytes, whole + 1, &out), "it is too short or too long");
	for (size_t i = 0; i < sizeof(bytes_of_a_host) / sizeof(bytes_of_a_host[0]); i++) {
		size_t len = record_client_encode(12, &in, bytes);
		const char *why, *wanted = bytes_of_a_host[i].why;

		bytes[bytes_of_a_host[i].at] = bytes_of_a_host[i].byte;
		sum_up(len);
		why = record_decode(12, bytes, len, &out);
		cr_expect(wanted ? why && !strcmp(why, wanted) : !why, "%zu: %s", i, why);
	}
	in.origin.source = 0;
	cr_expect(record_decode(12, bytes, record_client_encode(12, &in, bytes), &out), "no address");
	in = client();
	in.client_id = 0;
	cr_expect(record_decode(12, bytes, record_client_encode(12, &in, bytes), &out), "no Client ID");
}
