/* SPDX-License-Identifier: GPL-2.0-only */
/* Addresses, prefixes and ranges, from text and to text. */
#include "lib/addr.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

bool addr_parse(const char *text, __be32 *out)
{
	struct in_addr addr;

	/* glibc takes dotted quads only here, and no leading zeros. */
	if (inet_pton(AF_INET, text, &addr) != 1)
		return false;
	*out = addr.s_addr;
	return true;
}

/* Copies text[0..len) where it can be parsed alone. */
static bool parse_part(const char *text, size_t len, __be32 *out)
{
	char part[ADDR_TEXT_LEN];

	if (len >= sizeof(part))
		return false;
	memcpy(part, text, len);
	part[len] = '\0';
	return addr_parse(part, out);
}

/* One number at *at, which moves behind it: decimal without leading zeros, or 0x. */
static bool parse_number(const char **at, uint32_t max, uint32_t *out)
{
	const char *digits = "0123456789", *p = *at;
	unsigned int base = 10, count = 0;
	uint64_t value = 0;
	char lower;

	if (p[0] == '0' && (p[1] == 'x' || p[1] == 'X')) {
		digits = "0123456789abcdef";
		base = 16;
		p += 2;
	} else if (p[0] == '0' && p[1] >= '0' && p[1] <= '9') {
		return false;
	}
	for (;; p++, count++) {
		lower = *p >= 'A' && *p <= 'Z' ? *p + ('a' - 'A') : *p;
		if (!lower || !strchr(digits, lower))
			break;
		value = value * base + (strchr(digits, lower) - digits);
		if (value > max)
			return false;
	}
	*at = p;
	*out = value;
	return count > 0;
}

bool addr_parse_prefix(const char *text, struct addr_prefix *out)
{
	const char *slash = strchr(text, '/'), *at;
	uint32_t length = 32;
	__be32 network;

	if (!parse_part(text, slash ? (size_t)(slash - text) : strlen(text), &network))
		return false;
	if (slash) {
		at = slash + 1;
		if (strspn(at, "0123456789") != strlen(at) || !parse_number(&at, 32, &length))
			return false;
	}
	if (network & ~addr_mask(length))
		return false;
	out->network = network;
	out->length = length;
	return true;
}

bool addr_parse_range(const char *text, struct addr_range *out)
{
	const char *dash = strchr(text, '-');
	struct addr_prefix prefix;
	__be32 first, last;

	if (dash) {
		if (!parse_part(text, dash - text, &first) || !addr_parse(dash + 1, &last))
			return false;
	} else {
		if (!addr_parse_prefix(text, &prefix))
			return false;
		first = prefix.network;
		last = prefix.network | ~addr_mask(prefix.length);
	}
	if (ntohl(first) > ntohl(last))
		return false;
	out->first = ntohl(first);
	out->last = ntohl(last);
	return true;
}

bool num_parse_range(const char *text, uint32_t max, struct num_range *out)
{
	struct num_range range;

	if (!parse_number(&text, max, &range.first))
		return false;
	range.last = range.first;
	if (*text == '-') {
		text++;
		if (!parse_number(&text, max, &range.last))
			return false;
	}
	if (*text || range.first > range.last)
		return false;
	*out = range;
	return true;
}

const char *addr_text(__be32 addr, char out[static ADDR_TEXT_LEN])
{
	const uint8_t *b = (const uint8_t *)&addr;

	snprintf(out, ADDR_TEXT_LEN, "%u.%u.%u.%u", b[0], b[1], b[2], b[3]);
	return out;
}

const char *addr_prefix_text(const struct addr_prefix *prefix, char out[static PREFIX_TEXT_LEN])
{
	char addr[ADDR_TEXT_LEN];

	snprintf(out, PREFIX_TEXT_LEN, "%s/%u", addr_text(prefix->network, addr), prefix->length % 100u);
	return out;
}

bool addr_in_prefix(__be32 addr, const struct addr_prefix *prefix)
{
	return (addr & addr_mask(prefix->length)) == prefix->network;
}

__be32 addr_mask(uint8_t length)
{
	return length ? htonl(0xffffffffu << (32 - length)) : 0;
}

int addr_mask_length(__be32 mask)
{
	uint32_t zeros = ~ntohl(mask);

	if (zeros & (zeros + 1))
		return -1;
	return 32 - __builtin_popcount(zeros);
}
