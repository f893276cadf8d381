// SPDX-License-Identifier: GPL-2.0-only
/* See query.h. */
#include "rsipd/query.h"

#include <arpa/inet.h>

/* The answer so far. */
struct tuples {
	uint8_t *out;
	size_t len, capacity;
};

static bool add(struct tuples *tuples, const struct msg_tuple *tuple)
{
	size_t len = msg_tuple_write(tuple, tuples->out + tuples->len, tuples->capacity - tuples->len);

	tuples->len += len;
	return len > 0;
}

static void add_all_networks(const struct config *config, struct tuples *tuples)
{
	for (size_t i = 0; i < config->local_network_count; i++) {
		const struct addr_prefix *network = &config->local_networks[i];
		struct msg_tuple tuple = {
			.indicator = RSIP_LOCAL_NETWORK,
			.addr = { .type = RSIP_ADDR_IPV4, .v4 = network->network },
			.mask = addr_mask(network->length),
		};

		if (!add(tuples, &tuple))
			return;
	}
}

/* All of `addr`/`mask` is in one local network. */
static bool is_local(const struct config *config, __be32 addr, __be32 mask)
{
	for (size_t i = 0; i < config->local_network_count; i++) {
		const struct addr_prefix *network = &config->local_networks[i];

		if (addr_in_prefix(addr, network) && ntohl(mask) >= ntohl(addr_mask(network->length)))
			return true;
	}
	return false;
}

/* Answers the tuples of one kind in their order. */
static void answer_kind(const struct config *config, const struct msg *m, uint16_t kind, struct tuples *tuples)
{
	const uint8_t *at = m->tuples;
	size_t left = m->tuples_len;
	struct msg_tuple tuple;

	while (msg_tuple_next(&at, &left, &tuple)) {
		__be32 mask = kind == RSIP_QUERY_NETWORK ? tuple.mask : addr_mask(32);

		if (tuple.indicator != kind || tuple.addr.type != RSIP_ADDR_IPV4 ||
		    !is_local(config, tuple.addr.v4, mask))
			continue;
		tuple.indicator = kind == RSIP_QUERY_NETWORK ? RSIP_LOCAL_NETWORK : RSIP_LOCAL_ADDRESS;
		if (!add(tuples, &tuple))
			return;
	}
}

size_t query_answer(const struct config *config, const struct msg *m, uint8_t *out, size_t capacity)
{
	struct tuples tuples = { .out = out, .capacity = capacity };

	if (!(m->has & MSG_HAS_TUPLES)) {
		add_all_networks(config, &tuples);
		return tuples.len;
	}
	answer_kind(config, m, RSIP_QUERY_ADDRESS, &tuples);
	if (config->query_all)
		add_all_networks(config, &tuples);
	else
		answer_kind(config, m, RSIP_QUERY_NETWORK, &tuples);
	return tuples.len;
}
