// SPDX-License-Identifier: GPL-2.0-only
/* What an answer to a query says about a destination. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <string.h>

#include "rsip/locality.h"

static size_t add(uint8_t *at, size_t capacity, uint16_t indicator, const char *text)
{
	struct msg_tuple tuple = { .indicator = indicator, .addr.type = RSIP_ADDR_IPV4 };
	struct addr_prefix prefix;
	size_t len;

	cr_assert(addr_parse_prefix(text, &prefix), "%s", text);
	tuple.addr.v4 = prefix.network;
	tuple.mask = addr_mask(prefix.length);
	len = msg_tuple_write(&tuple, at, capacity);
	cr_assert(len > 0, "%s", text);
	return len;
}

/* The answer says: 10/8 is local but for 10.9/16, in which 10.9.8.7 is local. covers: QRY-07 QRY-09 QRY-13 */
Test(locality, longest_wins)
{
	static const struct {
		const char *destination;
		bool local;
	} rows[] = {
		{ "10.1.2.3", true },	   { "10.0.0.0", true },    { "10.255.255.255", true }, { "11.0.0.0", false },
		{ "9.255.255.255", false }, { "10.9.0.1", false },  { "10.9.8.7", true },	  { "10.9.8.6", false },
		{ "10.0.0.0/8", true },	   { "10.0.0.0/7", false }, { "0.0.0.0/0", false },	  { "10.9.0.0/16", false },
		{ "10.9.8.0/24", false },  { "10.8.0.0/16", true }, { "192.0.2.1", false },	  { "192.0.2.2", true },
	};
	uint8_t tuples[256];
	struct msg response = { .has = MSG_HAS_TUPLES, .tuples = tuples };
	size_t len = 0;

	len += add(tuples + len, sizeof(tuples) - len, RSIP_REMOTE_NETWORK, "10.9.0.0/16");
	len += add(tuples + len, sizeof(tuples) - len, RSIP_LOCAL_ADDRESS, "10.9.8.7");
	len += add(tuples + len, sizeof(tuples) - len, RSIP_LOCAL_NETWORK, "10.0.0.0/8");
	len += add(tuples + len, sizeof(tuples) - len, RSIP_LOCAL_NETWORK, "192.0.2.0/30");
	len += add(tuples + len, sizeof(tuples) - len, RSIP_REMOTE_ADDRESS, "192.0.2.1");
	response.tuples_len = len;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct addr_prefix destination;

		cr_assert(addr_parse_prefix(rows[i].destination, &destination));
		cr_expect(locality_is_local(&response, &destination) == rows[i].local, "%s", rows[i].destination);
	}
}

/* A network that is told by one of its addresses is that network. */
Test(locality, any_address_of_a_network)
{
	struct msg_tuple tuple = {
		.indicator = RSIP_LOCAL_NETWORK, .addr = { .type = RSIP_ADDR_IPV4, .v4 = inet_addr("10.9.8.7") }, .mask = addr_mask(16),
	};
	struct addr_prefix prefix;
	bool local = false;

	cr_assert(locality_of(&tuple, &prefix, &local));
	cr_expect(prefix.network == inet_addr("10.9.0.0") && prefix.length == 16 && local);
}

/* covers: QRY-09 */
Test(locality, nothing_said)
{
	struct msg response = { 0 };
	struct addr_prefix destination;

	cr_assert(addr_parse_prefix("10.1.2.3", &destination));
	cr_expect(!locality_is_local(&response, &destination));
}

/* Answers are kept: the second destination in a network needs no query. covers: QRY-10 */
Test(locality, kept)
{
	struct addr_prefix in = { inet_addr("10.1.2.3"), 32 }, other = { inet_addr("10.9.1.1"), 32 };
	struct addr_prefix network = { inet_addr("10.0.0.0"), 8 }, inside = { inet_addr("10.9.0.0"), 16 };
	struct locality l = { 0 };
	uint8_t tuples[64];
	struct msg response = { .has = MSG_HAS_TUPLES, .tuples = tuples };

	cr_expect(locality_known(&l, &in) == LOCALITY_UNKNOWN);
	response.tuples_len = add(tuples, sizeof(tuples), RSIP_LOCAL_NETWORK, "10.0.0.0/8");
	locality_learn_all(&l, &response);
	cr_expect(locality_known(&l, &in) == LOCALITY_LOCAL && locality_known(&l, &network) == LOCALITY_LOCAL);
	locality_learn(&l, &inside, false);
	cr_expect(locality_known(&l, &other) == LOCALITY_REMOTE && locality_known(&l, &in) == LOCALITY_LOCAL);
	locality_learn(&l, &inside, true);
	cr_expect(locality_known(&l, &other) == LOCALITY_LOCAL);
	cr_expect(l.count == 2, "the same prefix takes the place of the old one");
	for (uint32_t i = 0; i < LOCALITY_MAX + 10; i++)
		locality_learn(&l, &(struct addr_prefix){ htonl(0xc0000000 + i), 32 }, true);
	cr_expect(l.count == LOCALITY_MAX);
	locality_forget(&l);
	cr_expect(locality_known(&l, &in) == LOCALITY_UNKNOWN);
}
