// SPDX-License-Identifier: GPL-2.0-only
/* Cutting packets: against a reassembly that is as simple as can be. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "rsipd/split.h"

static uint16_t get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static void set16(uint8_t *at, unsigned int value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static unsigned int sum(const uint8_t *at, size_t len)
{
	unsigned long total = 0;

	for (size_t i = 0; i < len; i += 2)
		total += get16(at + i);
	while (total > 0xffff)
		total = (total >> 16) + (total & 0xffff);
	return (unsigned int)total;
}

/* An IPv4 packet with these options and a payload that tells each byte's place. */
static size_t make(uint8_t *out, const uint8_t *options, size_t option_len, size_t payload, unsigned int frag)
{
	size_t header = 20 + option_len;

	memset(out, 0, header);
	out[0] = (uint8_t)(0x40 | header / 4);
	set16(out + 2, (unsigned int)(header + payload));
	set16(out + 4, 0x1234);
	set16(out + 6, frag);
	out[8] = 63;
	out[9] = 17;
	memcpy(out + 12, "\xc6\x33\x64\x07\xcb\x00\x71\x0a", 8);
	if (option_len)
		memcpy(out + 20, options, option_len);
	for (size_t i = 0; i < payload; i++)
		out[header + i] = (uint8_t)(i * 7 + i / 256);
	set16(out + 10, ~sum(out, header) & 0xffff);
	return header + payload;
}

struct parts {
	size_t front, mtu;
	uint8_t whole[SPLIT_MAX + 8];
	size_t len, count, stop;
	unsigned int last_mf, header[64];
};

static bool take(const uint8_t *packet, size_t len, void *arg)
{
	struct parts *parts = arg;
	const uint8_t *ip = packet + parts->front;
	size_t header = (ip[0] & 15u) * 4, at = (get16(ip + 6) & 0x1fffu) * 8u;

	cr_assert_leq(len, parts->mtu);
	cr_assert_eq(get16(ip + 2), len - parts->front);
	cr_assert_eq(sum(ip, header), 0xffff);
	if (parts->front) {
		cr_assert_eq(get16(packet + 2), len);
		cr_assert_eq(sum(packet, 20), 0xffff);
	}
	cr_assert_eq(get16(ip + 4), 0x1234);
	memcpy(parts->whole + at, ip + header, len - parts->front - header);
	parts->len = at + len - parts->front - header;
	parts->last_mf = get16(ip + 6) & 0x2000;
	if (parts->count < 64)
		parts->header[parts->count] = (unsigned int)header;
	return ++parts->count != parts->stop;
}

static int cut(const uint8_t *packet, size_t len, size_t front, size_t mtu, struct parts *parts)
{
	memset(parts, 0, sizeof(*parts));
	parts->front = front;
	parts->mtu = mtu;
	return split_packet(packet, len, front, mtu, take, parts);
}

static uint8_t packet[SPLIT_MAX + 64];
static struct parts parts;

/* covers: IN-22 */
Test(split, every_length_and_mtu)
{
	for (size_t payload = 1; payload < 3000; payload += payload < 200 ? 1 : 97)
		for (size_t mtu = 68; mtu < 1600; mtu += mtu < 100 ? 1 : 111) {
			size_t len = make(packet, NULL, 0, payload, 0);

			cr_assert_eq(cut(packet, len, 0, mtu, &parts), 0);
			cr_assert_eq(parts.len, payload);
			cr_assert_arr_eq(parts.whole, packet + 20, payload);
			cr_assert_eq(parts.last_mf, 0);
			cr_assert_eq(parts.count, len <= mtu ? 1 : (payload + (mtu - 20) / 8 * 8 - 1) / ((mtu - 20) / 8 * 8) -
				     ((payload - 1) % ((mtu - 20) / 8 * 8) + 1 <= (mtu - 20) % 8 && payload > (mtu - 20) / 8 * 8),
				     "%zu of %zu: %zu", payload, mtu, parts.count);
		}
}

/* covers: IN-22 */
Test(split, behind_tunnel_headers)
{
	for (size_t front = 20; front <= 24; front += 4) {
		uint8_t tunnelled[2000];
		size_t len = make(packet, NULL, 0, 1480, 0) + front;

		make(tunnelled, NULL, 0, front - 20, 0);
		set16(tunnelled + 10, 0);
		set16(tunnelled + 2, (unsigned int)len);
		set16(tunnelled + 10, ~sum(tunnelled, 20) & 0xffff);
		memcpy(tunnelled + front, packet, 1500);
		cr_assert_eq(cut(tunnelled, len, front, 1500, &parts), 0);
		cr_assert_eq(parts.count, 2);
		cr_assert_eq(parts.len, 1480);
		cr_assert_arr_eq(parts.whole, packet + 20, 1480);
	}
}

/* A fragment is cut on: its place and its "more" stay. */
Test(split, of_a_fragment)
{
	size_t len = make(packet, NULL, 0, 800, 0x2000 | 100);

	cr_assert_eq(cut(packet, len, 0, 576, &parts), 0);
	cr_expect_eq(parts.count, 2);
	cr_expect_eq(parts.len, 1600);
	cr_expect_eq(parts.last_mf, 0x2000);
	cr_expect_arr_eq(parts.whole + 800, packet + 20, 800);
}

/* Only an option with the copied flag stands in every part. */
Test(split, options)
{
	static const uint8_t options[] = { 7, 7, 4, 0, 0, 0, 0, 1, 148, 4, 0, 0 };	/* record route, no-op, alert */
	size_t len = make(packet, options, sizeof(options), 400, 0);

	cr_assert_eq(cut(packet, len, 0, 200, &parts), 0);
	cr_expect_eq(parts.count, 3);
	cr_expect_eq(parts.header[0], 32);
	cr_expect_eq(parts.header[1], 24);
	cr_expect_eq(parts.header[2], 24);
	cr_expect_arr_eq(parts.whole, packet + 32, 400);
}

/* Options that lie about their length are not read beyond the header. */
Test(split, broken_options)
{
	static const uint8_t broken[][4] = { { 148, 0, 0, 0 }, { 148, 1, 0, 0 }, { 148, 40, 0, 0 }, { 1, 1, 1, 148 } };

	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		size_t len = make(packet, broken[i], 4, 400, 0);

		cr_expect_eq(cut(packet, len, 0, 200, &parts), 0);
		cr_expect_eq(parts.len, 400);
		cr_expect_eq(parts.header[1], 20);
	}
}

Test(split, refusals)
{
	size_t len = make(packet, NULL, 0, 1480, 0x4000);

	cr_expect_eq(cut(packet, len, 0, 576, &parts), -EMSGSIZE);
	len = make(packet, NULL, 0, 1480, 0);
	cr_expect_eq(cut(packet, len, 0, 27, &parts), -EMSGSIZE);
	cr_expect_eq(cut(packet, len, 0, 28, &parts), 0);
	cr_expect_eq(cut(packet, len - 1, 0, 576, &parts), -EINVAL);
	cr_expect_eq(cut(packet, 19, 0, 576, &parts), -EINVAL);
	cr_expect_eq(cut(packet, 0, 0, 576, &parts), -EINVAL);
	cr_expect_eq(cut(packet, len, len, 576, &parts), -EINVAL);
	packet[11] ^= 1;
	cr_expect_eq(cut(packet, len, 0, 576, &parts), -EINVAL);
	packet[11] ^= 1;
	packet[0] = 0x44;
	cr_expect_eq(cut(packet, len, 0, 576, &parts), -EINVAL);
	len = make(packet, NULL, 0, 1480, 0);
	memset(&parts, 0, sizeof(parts));
	parts.mtu = 576;
	parts.stop = 1;
	cr_expect_eq(split_packet(packet, len, 0, 576, take, &parts), -ECANCELED);
	cr_expect_eq(parts.count, 1);
}

/* The largest there is. */
Test(split, largest)
{
	size_t len = make(packet, NULL, 0, SPLIT_MAX - 20, 0);

	cr_assert_eq(cut(packet, len, 0, 1500, &parts), 0);
	cr_expect_eq(parts.len, SPLIT_MAX - 20);
	cr_expect_arr_eq(parts.whole, packet + 20, SPLIT_MAX - 20);
}
