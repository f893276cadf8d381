// SPDX-License-Identifier: GPL-2.0-only
/* See senders.h. */
#include "rsipd/senders.h"

#include <arpa/inet.h>
#include <string.h>

static struct rsip_sender *place_of(const struct bpfmaps *maps, __be32 client)
{
	return &maps->senders[rsip_sender_place(ntohl(client), maps->entries[BPFMAP_SENDERS])];
}

static bool may_stand(const struct rsip_bind *bind)
{
	return bind->generation && bind->flags & RSIP_BIND_IPSEC &&
	       !(bind->flags & (RSIP_BIND_WHOLE | RSIP_BIND_REMOTES | RSIP_BIND_HELD));
}

static void clear(struct rsip_sender *sender)
{
	__atomic_store_n(&sender->client, 0, __ATOMIC_SEQ_CST);
	memset(sender, 0, sizeof(*sender));
}

void senders_put(const struct bpfmaps *maps, uint32_t slot)
{
	const struct rsip_bind *bind = &maps->binds[slot];
	struct rsip_sender *sender = place_of(maps, bind->client);

	if (!may_stand(bind))
		return;
	if (sender->client == bind->client && sender->bind == slot)
		sender->ends = bind->ends;
	if (sender->client)
		return;
	*sender = (struct rsip_sender){
		.addr = bind->addr, .gateway = bind->gateway, .bind = slot, .ends = bind->ends, .tunnel = bind->tunnel,
	};
	__atomic_store_n(&sender->client, bind->client, __ATOMIC_RELEASE);
}

void senders_remove(const struct bpfmaps *maps, uint32_t slot)
{
	__be32 client = maps->binds[slot].client;
	struct rsip_sender *sender = place_of(maps, client);

	if (sender->client == client && sender->bind == slot)
		clear(sender);
}

void senders_sweep(const struct bpfmaps *maps)
{
	for (uint32_t i = 0; i < maps->entries[BPFMAP_SENDERS]; i++) {
		struct rsip_sender *sender = &maps->senders[i];
		const struct rsip_bind *bind = &maps->binds[sender->bind < maps->entries[BPFMAP_BINDS] ? sender->bind : 0];

		if (sender->client && (!may_stand(bind) || bind->client != sender->client || bind->addr != sender->addr ||
				       bind->gateway != sender->gateway || bind->tunnel != sender->tunnel))
			clear(sender);
	}
}
