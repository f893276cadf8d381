// SPDX-License-Identifier: GPL-2.0-only
/* One walk over the tuples for each destination. */
#include "rsip/locality.h"

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

		if (!locality_of(&tuple, &prefix, &local) || prefix.length > destination->length ||
		    prefix.length <= longest || !addr_in_prefix(destination->network, &prefix))
			continue;
		longest = prefix.length;
		result = local;
	}
	return result;
}
