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

/* --- names ------------------------------------------------------------------------- */

static bool is_name(const struct msg_tuple *tuple)
{
	return tuple->indicator == RSIP_QUERY_ADDRESS && tuple->addr.type == RSIP_ADDR_FQDN && !tuple->addr.any;
}

bool query_name(const struct msg *m, unsigned int i, struct msg_addr *out)
{
	const uint8_t *at = m->tuples;
	size_t left = m->has & MSG_HAS_TUPLES ? m->tuples_len : 0;
	struct msg_tuple tuple;

	if (i >= QUERY_NAMES_MAX)
		return false;
	while (msg_tuple_next(&at, &left, &tuple)) {
		if (!is_name(&tuple) || i--)
			continue;
		*out = tuple.addr;
		return true;
	}
	return false;
}

void query_resolved(const struct config *config, struct query_names *names, const __be32 *addrs, size_t count)
{
	size_t local = 0;

	for (size_t i = 0; i < count; i++)
		local += is_local(config, addrs[i], addr_mask(32));
	if (count && local == count)
		names->local |= 1u << names->done;
	names->done++;
}

/* --- the answer ---------------------------------------------------------------------- */

/* `names` moves on to the next name. */
static bool tuple_is_local(const struct config *config, const struct msg_tuple *tuple, struct query_names *names)
{
	bool local = names->done && names->local & 1;

	if (tuple->addr.type == RSIP_ADDR_IPV4)
		return is_local(config, tuple->addr.v4,
				tuple->indicator == RSIP_QUERY_NETWORK ? tuple->mask : addr_mask(32));
	if (!is_name(tuple))
		return false;
	names->done -= names->done > 0;
	names->local >>= 1;
	return local;
}

/* Answers the tuples of one kind in their order. */
static void answer_kind(const struct config *config, const struct msg *m, uint16_t kind, struct query_names names,
			struct tuples *tuples)
{
	const uint8_t *at = m->tuples;
	size_t left = m->tuples_len;
	struct msg_tuple tuple;

	while (msg_tuple_next(&at, &left, &tuple)) {
		if (tuple.indicator != kind || !tuple_is_local(config, &tuple, &names))
			continue;
		tuple.indicator = kind == RSIP_QUERY_NETWORK ? RSIP_LOCAL_NETWORK : RSIP_LOCAL_ADDRESS;
		if (!add(tuples, &tuple))
			return;
	}
}

size_t query_answer(const struct config *config, const struct msg *m, const struct query_names *names, uint8_t *out,
		    size_t capacity)
{
	struct tuples tuples = { .out = out, .capacity = capacity };

	if (!(m->has & MSG_HAS_TUPLES)) {
		add_all_networks(config, &tuples);
		return tuples.len;
	}
	answer_kind(config, m, RSIP_QUERY_ADDRESS, *names, &tuples);
	if (config->query_all)
		add_all_networks(config, &tuples);
	else
		answer_kind(config, m, RSIP_QUERY_NETWORK, *names, &tuples);
	return tuples.len;
}
