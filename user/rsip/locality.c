// SPDX-License-Identifier: GPL-2.0-only
/* Linear walks: gateways tell of a handful of networks. */
#include "rsip/locality.h"

#include <stdlib.h>

bool locality_of(const struct msg_tuple *tuple, struct addr_prefix *prefix, bool *local)
{
	bool network = tuple->indicator == RSIP_LOCAL_NETWORK || tuple->indicator == RSIP_REMOTE_NETWORK;
	int length = network ? addr_mask_length(tuple->mask) : 32;

	if (tuple->addr.type != RSIP_ADDR_IPV4 || length < 0)
		return false;
	*prefix = (struct addr_prefix){ tuple->addr.v4 & addr_mask((uint8_t)length), (uint8_t)length };
	*local = tuple->indicator == RSIP_LOCAL_ADDRESS || tuple->indicator == RSIP_LOCAL_NETWORK;
	return true;
}

/* Does `prefix` contain the destination, and better than one of `longest` bits? */
static bool better(const struct addr_prefix *prefix, const struct addr_prefix *destination, int longest)
{
	return prefix->length <= destination->length && prefix->length > longest &&
	       addr_in_prefix(destination->network, prefix);
}

bool locality_is_local(const struct msg *response, const struct addr_prefix *destination)
{
	const uint8_t *at = response->tuples;
	size_t left = response->has & MSG_HAS_TUPLES ? response->tuples_len : 0;
	struct msg_tuple tuple;
	int longest = -1;
	bool result = false;

	while (msg_tuple_next(&at, &left, &tuple)) {
		struct addr_prefix prefix;
		bool local;

		if (!locality_of(&tuple, &prefix, &local) || !better(&prefix, destination, longest))
			continue;
		longest = prefix.length;
		result = local;
	}
	return result;
}

/* --- what was learned so far --------------------------------------------------- */

enum locality_is locality_known(const struct locality *l, const struct addr_prefix *destination)
{
	enum locality_is result = LOCALITY_UNKNOWN;
	int longest = -1;

	for (size_t i = 0; i < l->count; i++) {
		if (!better(&l->list[i].prefix, destination, longest))
			continue;
		longest = l->list[i].prefix.length;
		result = l->list[i].local ? LOCALITY_LOCAL : LOCALITY_REMOTE;
	}
	return result;
}

void locality_learn(struct locality *l, const struct addr_prefix *prefix, bool local)
{
	struct locality_entry *list;

	for (size_t i = 0; i < l->count; i++) {
		if (l->list[i].prefix.network == prefix->network && l->list[i].prefix.length == prefix->length) {
			l->list[i].local = local;
			return;
		}
	}
	if (l->count == LOCALITY_MAX)
		return;
	list = reallocarray(l->list, l->count + 1, sizeof(*list));
	if (list == NULL)
		return;
	l->list = list;
	list[l->count++] = (struct locality_entry){ *prefix, local };
}

void locality_learn_all(struct locality *l, const struct msg *response)
{
	const uint8_t *at = response->tuples;
	size_t left = response->has & MSG_HAS_TUPLES ? response->tuples_len : 0;
	struct addr_prefix prefix;
	struct msg_tuple tuple;
	bool local;

	while (msg_tuple_next(&at, &left, &tuple))
		if (locality_of(&tuple, &prefix, &local))
			locality_learn(l, &prefix, local);
}

void locality_forget(struct locality *l)
{
	free(l->list);
	*l = (struct locality){ 0 };
}
