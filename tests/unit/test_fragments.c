// SPDX-License-Identifier: GPL-2.0-only
/* Fragments that wait: in every order, against a packet that was never cut; tricks; limits; simulated time. */
#include <criterion/criterion.h>
#include <arpa/inet.h>
#include <netinet/ip.h>
#include <stdlib.h>
#include <string.h>

#include "rsipd/fragments.h"

#define HEADER	20

static struct fragments *f;
static struct rsip_event_fragment event;

/* What came out. */
static uint8_t got[65536], whole[65536];
static size_t got_bytes, whole_len;
static unsigned int sends, wholes, dones;
static struct rsip_target got_target;

static void on_send(const struct rsip_event_fragment *sent, void *arg)
{
	size_t at = (size_t)((sent->packet[6] << 8 | sent->packet[7]) & 0x1fff) * 8;

	memcpy(got + at, sent->packet + HEADER, sent->len - HEADER);
	got_bytes += sent->len - HEADER;
	got_target = sent->target;
	sends++;
}

static void on_whole(const uint8_t *packet, size_t len, void *arg)
{
	memcpy(whole, packet, len);
	whole_len = len;
	wholes++;
}

static void on_done(const struct rsip_fragment_key *key, void *arg)
{
	dones++;
}

static void open_all(void)
{
	const struct fragments_calls calls = { .send = on_send, .whole = on_whole, .done = on_done };

	f = fragments_new(&calls);
	cr_assert_not_null(f);
}

static void close_all(void)
{
	fragments_free(f);
}

TestSuite(fragments, .init = open_all, .fini = close_all);

static uint8_t pattern(size_t at)
{
	return (uint8_t)(at * 7 + at / 256);
}

/* A fragment of packet `id` from `source`: bytes from `from` to `to` of its payload. */
static struct rsip_event_fragment *piece(__u32 kind, unsigned int source, unsigned int id, size_t from, size_t to,
					 bool more)
{
	size_t len = HEADER + to - from;

	memset(&event, 0, offsetof(struct rsip_event_fragment, packet));
	event.kind = kind;
	event.key = (struct rsip_fragment_key){ .src = htonl(source), .dst = htonl(2), .id = htons((uint16_t)id), .proto = 17 };
	event.len = (__u32)len;
	memset(event.packet, 0, HEADER);
	event.packet[0] = 0x45;
	event.packet[2] = (uint8_t)(len >> 8);
	event.packet[3] = (uint8_t)len;
	event.packet[6] = (uint8_t)(from / 8 >> 8 | (more ? 0x20 : 0));
	event.packet[7] = (uint8_t)(from / 8);
	event.packet[9] = 17;
	for (size_t i = from; i < to; i++)
		event.packet[HEADER + i - from] = pattern(i);
	return &event;
}

static void add(struct rsip_event_fragment *what, uint64_t now)
{
	fragments_add(f, what, now);
}

/* With the target that the data plane knows once it has seen the first. */
static struct rsip_event_fragment *known(struct rsip_event_fragment *what)
{
	what->target = (struct rsip_target){ 5, 105 };
	return what;
}

static void expect_payload(const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		cr_assert_eq(bytes[i], pattern(i), "byte %zu", i);
}

static void expect_empty(void)
{
	struct fragments_held held = fragments_held(f);

	cr_expect_eq(held.packets, 0);
	cr_expect_eq(held.bytes, 0);
}

/* xorshift */
static uint64_t seed = 88172645463325252;

static unsigned int any(unsigned int below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned int)((seed >> 20) % below);
}

/* Cuts a packet at random, sends the pieces in random order, some of them twice. */
static size_t in_random_order(__u32 kind, unsigned int id, uint64_t now)
{
	size_t cuts[64], count = 1 + any(40), len = 0, twice = 0;
	unsigned int order[64];

	for (size_t i = 0; i < count; i++) {
		cuts[i] = len;
		len += (1 + any(180)) * 8;
	}
	len -= any(8);
	for (unsigned int i = 0; i < count; i++) {
		unsigned int j = any(i + 1);

		order[i] = order[j];
		order[j] = i;
	}
	for (unsigned int i = 0; i < count; i++) {
		unsigned int at = order[i];
		size_t to = at + 1 < count ? cuts[at + 1] : len;

		for (unsigned int times = 1 + !any(10); times && i + 1 < count; times--, twice += times > 0) {
			struct rsip_event_fragment *what = piece(kind, 1, id, cuts[at], to, at + 1 < count);

			add(at ? what : known(what), now);
		}
		if (i + 1 == count) {
			struct rsip_event_fragment *what = piece(kind, 1, id, cuts[at], to, at + 1 < count);

			add(at ? what : known(what), now);
		}
	}
	return len;
}

/* covers: IN-16 EG-12 */
Test(fragments, of_a_packet_in_every_order)
{
	for (unsigned int round = 0; round < 2000; round++) {
		size_t len;

		got_bytes = sends = dones = 0;
		memset(got, 0, sizeof(got));
		len = in_random_order(RSIP_EVENT_FRAGMENT, round, round);
		cr_assert_eq(got_bytes, len, "round %u: %zu of %zu", round, got_bytes, len);
		expect_payload(got, len);
		cr_assert_eq(got_target.bind, 5);
		cr_assert_eq(dones, 1);
		expect_empty();
	}
}

/* covers: TUN-12 */
Test(fragments, of_a_tunnel_packet_in_every_order)
{
	for (unsigned int round = 0; round < 2000; round++) {
		size_t len;

		wholes = 0;
		len = in_random_order(RSIP_EVENT_OUTER, round, round);
		cr_assert_eq(wholes, 1);
		cr_assert_eq(whole_len, HEADER + len);
		expect_payload(whole + HEADER, len);
		cr_assert_eq(whole[2] << 8 | whole[3], HEADER + len);
		cr_assert_eq(whole[6] << 8 | whole[7], 0);
		expect_empty();
	}
	cr_expect_eq(dones, 0, "of tunnel packets nobody is told");
	cr_expect_eq(sends, 0);
}

/* A congestion mark on any piece is one on the whole; the checksum covers it. covers: TUN-11 TUN-12 */
Test(fragments, congestion_mark)
{
	unsigned int sum = 0;

	add(piece(RSIP_EVENT_OUTER, 1, 1, 0, 64, true), 0);
	piece(RSIP_EVENT_OUTER, 1, 1, 64, 128, false)->packet[1] = 3;
	add(&event, 0);
	cr_assert_eq(wholes, 1);
	cr_expect_eq(whole[1], 3);
	for (size_t i = 0; i < HEADER; i += 2)
		sum += (unsigned int)(whole[i] << 8 | whole[i + 1]);
	cr_expect_eq((sum >> 16) + (sum & 0xffff), 0xffff);
}

/* What the data plane has sent already counts as there. covers: IN-16 */
Test(fragments, after_some_went_on)
{
	struct rsip_event_fragment *what = known(piece(RSIP_EVENT_FRAGMENT, 1, 1, 160, 200, false));

	what->passed = 10;
	add(what, 0);
	cr_expect_eq(sends, 1);
	cr_expect_eq(dones, 0);
	what = known(piece(RSIP_EVENT_FRAGMENT, 1, 1, 72, 160, true));
	what->passed = 10;
	add(what, 0);
	cr_expect_eq(sends, 1, "it overlaps what has gone on");
	what = known(piece(RSIP_EVENT_FRAGMENT, 1, 1, 80, 160, true));
	what->passed = 10;
	add(what, 0);
	cr_expect_eq(sends, 2);
	cr_expect_eq(dones, 1);
	expect_empty();
}

/* Nothing goes before it is known whose it is. covers: IN-16 EG-12 */
Test(fragments, wait_for_the_first)
{
	add(piece(RSIP_EVENT_FRAGMENT, 1, 1, 80, 160, true), 0);
	add(piece(RSIP_EVENT_FRAGMENT, 1, 1, 160, 170, false), 0);
	cr_expect_eq(sends, 0);
	add(known(piece(RSIP_EVENT_FRAGMENT, 1, 1, 0, 80, true)), 0);
	cr_expect_eq(sends, 3);
	cr_expect_eq(dones, 1);
	expect_payload(got, 170);
}

struct trick {
	size_t from, to;
	bool more;
};

/* covers: IN-16 IN-17 SEC-07 */
Test(fragments, tricks)
{
	/* After bytes 80 to 160 and the end at 200 came. */
	static const struct trick tricks[] = {
		{ 152, 168, true }, { 72, 88, true }, { 80, 152, true }, { 80, 168, true }, { 0, 240, true },
		{ 200, 240, true }, { 160, 199, false }, { 240, 248, false }, { 160, 208, false }, { 88, 96, true },
	};

	for (unsigned int i = 0; i < sizeof(tricks) / sizeof(tricks[0]); i++) {
		struct fragments_held before = fragments_held(f);

		wholes = 0;
		add(piece(RSIP_EVENT_OUTER, 1, i, 80, 160, true), 0);
		add(piece(RSIP_EVENT_OUTER, 1, i, 160, 200, false), 0);
		add(piece(RSIP_EVENT_OUTER, 1, i, tricks[i].from, tricks[i].to, tricks[i].more), 0);
		add(piece(RSIP_EVENT_OUTER, 1, i, 0, 80, true), 0);
		cr_expect_eq(wholes, 0, "trick %u", i);
		cr_expect_eq(fragments_held(f).dropped, before.dropped + 2, "trick %u", i);
		cr_expect_eq(fragments_held(f).bytes, 0, "trick %u: a spoilt packet holds nothing", i);
	}
	fragments_tick(f, FRAGMENTS_MS);
	expect_empty();
}

/* An end before what is there already: as many bytes as it has, and some of them missing. covers: IN-17 SEC-07 */
Test(fragments, end_before_the_rest)
{
	add(piece(RSIP_EVENT_OUTER, 1, 1, 16, 24, true), 0);
	add(piece(RSIP_EVENT_OUTER, 1, 1, 8, 16, false), 0);
	cr_expect_eq(wholes, 0);
	cr_expect_eq(fragments_held(f).dropped, 1);
	cr_expect_eq(fragments_held(f).bytes, 0);
}

/* All fit behind their own headers, not behind that of the first. covers: IN-17 SEC-07 */
Test(fragments, longer_than_a_packet)
{
	const size_t end = IP_MAXPACKET - HEADER, each = 4000, options = 40;
	struct rsip_event_fragment *first;

	for (size_t at = each; at < end; at += each)
		add(piece(RSIP_EVENT_OUTER, 1, 1, at, at + each < end ? at + each : end, at + each < end), 0);
	first = piece(RSIP_EVENT_OUTER, 1, 1, 0, each, true);
	first->packet[0] = 0x4f;
	first->len += options;
	first->packet[2] = (uint8_t)(first->len >> 8);
	first->packet[3] = (uint8_t)first->len;
	memset(first->packet + HEADER + each, 0, options);
	add(first, 0);
	cr_expect_eq(wholes, 0);
	expect_empty();
}

/* Two firsts that lead to different hosts. */
Test(fragments, another_target)
{
	struct rsip_event_fragment *what = known(piece(RSIP_EVENT_FRAGMENT, 1, 1, 0, 80, true));

	add(what, 0);
	what = known(piece(RSIP_EVENT_FRAGMENT, 1, 1, 80, 160, true));
	what->target.bind = 6;
	add(what, 0);
	cr_expect_eq(sends, 1);
	cr_expect_eq(fragments_held(f).dropped, 1);
}

/* Lengths that lie. */
Test(fragments, senseless)
{
	struct rsip_event_fragment *what = piece(RSIP_EVENT_FRAGMENT, 1, 1, 0, 80, true);

	what->len = 19;
	add(what, 0);
	what = piece(RSIP_EVENT_FRAGMENT, 1, 1, 0, 80, true);
	what->packet[0] = 0x44;
	add(what, 0);
	what = piece(RSIP_EVENT_FRAGMENT, 1, 1, 0, 80, true);
	what->packet[3]++;
	add(what, 0);
	add(piece(RSIP_EVENT_FRAGMENT, 1, 1, 0, 81, true), 0);
	add(piece(RSIP_EVENT_FRAGMENT, 1, 1, 0, 0, true), 0);
	add(piece(RSIP_EVENT_FRAGMENT, 1, 1, 65528, 65528 + 80, false), 0);
	cr_expect_eq(fragments_held(f).dropped, 6);
	cr_expect_eq(fragments_held(f).bytes, 0);
	cr_expect_eq(sends, 0);
}

/* covers: IN-17 */
Test(fragments, time_out)
{
	add(piece(RSIP_EVENT_FRAGMENT, 1, 1, 80, 160, true), 1000);
	add(piece(RSIP_EVENT_FRAGMENT, 1, 2, 80, 160, true), 2000);
	fragments_tick(f, 1000 + FRAGMENTS_MS - 1);
	cr_expect_eq(fragments_held(f).packets, 2);
	fragments_tick(f, 1000 + FRAGMENTS_MS);
	cr_expect_eq(fragments_held(f).packets, 1);
	cr_expect_eq(dones, 1);
	/* Later ones of the first are a new packet: nothing is sent for the old one. */
	add(known(piece(RSIP_EVENT_FRAGMENT, 1, 1, 0, 80, true)), 1000 + FRAGMENTS_MS);
	cr_expect_eq(sends, 1);
	fragments_tick(f, 1000 + 3 * FRAGMENTS_MS);
	expect_empty();
}

/* One source cannot take the room of another; all of them no more than there is. covers: SEC-07 IN-17 */
Test(fragments, limits)
{
	for (unsigned int id = 0; id < 1000; id++)
		add(piece(RSIP_EVENT_FRAGMENT, 1, id, 80, 4080, true), 0);
	cr_expect_eq(fragments_held(f).packets, FRAGMENTS_SOURCE_PACKETS);
	cr_expect_leq(fragments_held(f).bytes, FRAGMENTS_SOURCE_BYTES);
	add(piece(RSIP_EVENT_FRAGMENT, 9, 1, 80, 160, true), 0);
	cr_expect_eq(fragments_held(f).packets, FRAGMENTS_SOURCE_PACKETS + 1);
	for (unsigned int source = 100; source < 300; source++)
		for (unsigned int id = 0; id < FRAGMENTS_SOURCE_PACKETS; id++)
			add(piece(RSIP_EVENT_FRAGMENT, source, id, 80, 4080, true), 0);
	cr_expect_eq(fragments_held(f).packets, FRAGMENTS_PACKETS);
	cr_expect_leq(fragments_held(f).bytes, FRAGMENTS_BYTES);
	fragments_tick(f, FRAGMENTS_MS);
	expect_empty();
}

/* A packet without end: no more than so many pieces. covers: IN-17 */
Test(fragments, endless)
{
	for (unsigned int i = 1; i < 1000; i++)
		add(piece(RSIP_EVENT_OUTER, 1, 1, i * 16, i * 16 + 8, true), 0);
	cr_expect_eq(fragments_held(f).dropped, 999 - FRAGMENTS_PIECES);
	cr_expect_eq(wholes, 0);
}
