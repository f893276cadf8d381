// SPDX-License-Identifier: GPL-2.0-only
/* Which addresses cannot be a peer's. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "rsipd/realm.h"

/* Words: "A/N" is a local network, "A-B" a pool's addresses, "!A" an address of a public interface. */
static size_t realm(const char *text, struct rsip_realm *out)
{
	static struct addr_prefix networks[64];
	static struct addr_range ranges[64];
	struct config_pool pool = { .addresses = ranges };
	struct config config = { .pools = &pool, .pool_count = 1, .local_networks = networks };
	__be32 addresses[8];
	size_t count = 0;
	char copy[2048], *at = copy;

	snprintf(copy, sizeof(copy), "%s", text);
	for (char *word; (word = strsep(&at, " "));) {
		if (word[0] == '!')
			cr_assert(addr_parse(word + 1, &addresses[count++]));
		else if (strchr(word, '/'))
			cr_assert(addr_parse_prefix(word, &networks[config.local_network_count++]), "%s", word);
		else if (*word)
			cr_assert(addr_parse_range(word, &ranges[pool.address_count++]), "%s", word);
	}
	return realm_of(&config, addresses, count, out);
}

static const char *text_of(const struct rsip_realm *realm)
{
	static char text[2048];
	size_t len = 0;

	text[0] = '\0';
	for (__u32 i = 0; i < realm->count; i++) {
		char first[ADDR_TEXT_LEN], last[ADDR_TEXT_LEN];

		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s-%s", i ? " " : "",
					addr_text(htonl(realm->ranges[i].first), first),
					addr_text(htonl(realm->ranges[i].first + realm->ranges[i].span), last));
	}
	return text;
}

/* covers: SEC-10 APF-05 */
Test(realm, ranges)
{
	static const struct {
		const char *config, *ranges;
	} rows[] = {
		{ "203.0.113.10 10.0.0.0/8 !203.0.113.1", "10.0.0.0-10.255.255.255 203.0.113.10-203.0.113.10" },
		{ "203.0.113.10-203.0.113.20 203.0.113.21 203.0.113.15-203.0.113.30", "203.0.113.10-203.0.113.30" },
		{ "203.0.113.10 203.0.113.12", "203.0.113.10-203.0.113.10 203.0.113.12-203.0.113.12" },
		{ "10.1.0.0-10.1.0.255 10.0.0.0/8", "10.1.0.0-10.1.0.255" },
		{ "203.0.113.10 10.0.0.0/8 192.168.0.0/16 !10.0.0.1", "192.168.0.0-192.168.255.255 203.0.113.10-203.0.113.10" },
		{ "203.0.113.10 10.0.0.0/9 10.128.0.0/9", "10.0.0.0-10.255.255.255 203.0.113.10-203.0.113.10" },
		{ "203.0.113.10 0.0.0.0/0 !192.0.2.1", "203.0.113.10-203.0.113.10" },
		{ "10.0.0.255-10.0.1.5 10.0.0.0/24", "10.0.0.255-10.0.1.5" },
		{ "9.255.255.250-10.0.0.0 10.0.0.0/24", "9.255.255.250-10.0.0.0" },
		{ "203.0.113.10 10.0.0.0/24 !10.0.0.0", "203.0.113.10-203.0.113.10" },
		{ "203.0.113.10 10.0.0.0/24 !10.0.0.255", "203.0.113.10-203.0.113.10" },
		{ "203.0.113.10 10.0.1.0/24 !10.0.0.255 !10.0.2.0", "10.0.1.0-10.0.1.255 203.0.113.10-203.0.113.10" },
		{ "255.255.255.255 0.0.0.0-0.0.0.1", "0.0.0.0-0.0.0.1 255.255.255.255-255.255.255.255" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rsip_realm out;

		cr_expect_eq(realm(rows[i].config, &out), 0);
		cr_expect_str_eq(text_of(&out), rows[i].ranges, "%s: %s", rows[i].config, text_of(&out));
	}
}

/* covers: SEC-10 */
Test(realm, smallest_have_no_room)
{
	char text[2048] = "193.0.0.0/8";
	struct rsip_realm out;

	for (unsigned int i = 0; i < RSIP_REALM_RANGES + 2; i++)
		sprintf(text + strlen(text), " 192.0.2.%u", 2 * i);
	cr_expect_eq(realm(text, &out), 3);
	cr_expect_eq(out.count, RSIP_REALM_RANGES);
	cr_expect_eq(out.ranges[0].first, 0xc1000000);
}
