// SPDX-License-Identifier: GPL-2.0-only
/* Cutting IPv4 packets. */
#include "rsipd/split.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/ip.h>
#include <string.h>

#define HEADER		20	/* without options */
#define HEADER_MAX	60
#define UNIT		8	/* offsets count in it */

static uint16_t get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static void put16(uint8_t *at, size_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static uint16_t checksum(const uint8_t *header, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i += 2)
		sum += get16(header + i);
	sum = (sum >> 16) + (sum & 0xffff);
	return (uint16_t)~(sum + (sum >> 16));
}

/* The length of an IPv4 header with everything in it as it should be, else 0. */
static size_t header_of(const uint8_t *ip, size_t len)
{
	size_t header;

	if (len < HEADER || ip[0] >> 4 != 4)
		return 0;
	header = (ip[0] & 15u) * 4;
	if (header < HEADER || header > len || get16(ip + 2) != len || checksum(ip, header))
		return 0;
	return header;
}

/* The header of all parts but the first: with those options that have the copied flag. Returns its length. */
static size_t header_later(const uint8_t *first, size_t header, uint8_t out[static HEADER_MAX])
{
	size_t len = HEADER;

	memcpy(out, first, HEADER);
	for (size_t at = HEADER; at < header && first[at] != IPOPT_EOL;) {
		size_t option = first[at] == IPOPT_NOP ? 1 : at + 1 < header ? first[at + 1] : 0;

		if (!option || at + option > header || (first[at] != IPOPT_NOP && option < 2))
			break;
		if (IPOPT_COPIED(first[at])) {
			memcpy(out + len, first + at, option);
			len += option;
		}
		at += option;
	}
	while (len % 4)
		out[len++] = IPOPT_EOL;
	out[0] = (uint8_t)(4 << 4 | len / 4);
	return len;
}

static void header_finish(uint8_t *ip, size_t header, size_t len)
{
	put16(ip + 2, len);
	put16(ip + 10, 0);
	put16(ip + 10, checksum(ip, header));
}

int split_packet(const uint8_t *packet, size_t len, size_t front, size_t mtu, split_send *send, void *arg)
{
	const uint8_t *ip = packet + front;
	size_t header = len > front && len <= SPLIT_MAX ? header_of(ip, len - front) : 0;
	uint8_t part[SPLIT_MAX], later[HEADER_MAX];
	size_t at, end = len - front, offset;
	bool more;

	if (!header || (front && front < HEADER))
		return -EINVAL;
	if (get16(ip + 6) & IP_DF || mtu < front + header + UNIT)
		return -EMSGSIZE;
	offset = (get16(ip + 6) & IP_OFFMASK) * UNIT;
	more = get16(ip + 6) & IP_MF;
	memcpy(part, packet, front + header);
	for (at = header; at < end;) {
		size_t room = (mtu - front - header) / UNIT * UNIT, left = end - at;
		size_t n = left <= mtu - front - header ? left : room;

		memcpy(part + front + header, ip + at, n);
		at += n;
		put16(part + front + 6, offset / UNIT | (at < end || more ? IP_MF : 0));
		offset += n;
		header_finish(part + front, header, header + n);
		if (front)
			header_finish(part, HEADER, front + header + n);
		if (!send(part, front + header + n, arg))
			return -ECANCELED;
		if (at < end && part[front] == ip[0] && header > HEADER) {
			header = header_later(ip, header, later);
			memcpy(part + front, later, header);
		}
	}
	return 0;
}
