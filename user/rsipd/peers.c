// SPDX-License-Identifier: GPL-2.0-only
/* See peers.h. */
#include "rsipd/peers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <uthash.h>
#include <utlist.h>

struct holder {				/* a bind that has cookies for a peer at an address */
	struct holder_key {
		struct rsip_peer_key peer;
		struct rsip_target bind;
	} key;
	__be32 client;
	unsigned int cookies;
	struct holder *prev, *next;	/* of the same peer */
	UT_hash_handle hh;
};

struct peer {
	struct rsip_peer_key key;
	struct rsip_target listener;	/* generation 0: none */
	struct holder *holders;
	struct rsip_target stored;	/* what the map says; generation 0: nothing */
	UT_hash_handle hh;
};

struct peers {
	const struct bpfmaps *maps;
	bool rekey;
	struct peer *peers;
	struct holder *holders;
};

struct peers *peers_new(const struct bpfmaps *maps, bool rekey)
{
	struct peers *peers = calloc(1, sizeof(*peers));

	if (!peers)
		return NULL;
	peers->maps = maps;
	peers->rekey = rekey;
	return peers;
}

void peers_free(struct peers *peers)
{
	struct holder *holder, *next_holder;
	struct peer *peer, *next_peer;

	if (!peers)
		return;
	HASH_ITER(hh, peers->holders, holder, next_holder) {
		HASH_DEL(peers->holders, holder);
		free(holder);
	}
	HASH_ITER(hh, peers->peers, peer, next_peer) {
		HASH_DEL(peers->peers, peer);
		free(peer);
	}
	free(peers);
}

static struct peer *peer_find(const struct peers *peers, const struct rsip_peer_key *key)
{
	struct peer *peer;

	HASH_FIND(hh, peers->peers, key, sizeof(*key), peer);
	return peer;
}

static struct peer *peer_get(struct peers *peers, const struct rsip_peer_key *key)
{
	struct peer *peer = peer_find(peers, key);

	if (peer)
		return peer;
	peer = calloc(1, sizeof(*peer));
	if (!peer)
		return NULL;
	peer->key = *key;
	HASH_ADD(hh, peers->peers, key, sizeof(peer->key), peer);
	return peer;
}

/* One of the binds of the only host; generation 0: there is none, or more than one. */
static struct rsip_target only_host(const struct peer *peer)
{
	const struct holder *holder;

	if (!peer->holders)
		return (struct rsip_target){ 0 };
	/* The binds of one host at most: the first of another ends the walk. */
	DL_FOREACH(peer->holders, holder) {
		if (holder->client != peer->holders->client)
			return (struct rsip_target){ 0 };
	}
	return peer->holders->key.bind;
}

/* Brings the map in line; a peer of which nothing is left to know goes. */
static int peer_store(struct peers *peers, struct peer *peer)
{
	int fd = peers->maps->fd[BPFMAP_PEERS], err = 0;
	struct rsip_target want = peer->listener.generation ? peer->listener : only_host(peer);

	if (!want.generation) {
		if (peer->stored.generation)
			bpf_map_delete_elem(fd, &peer->key);
	} else if (memcmp(&want, &peer->stored, sizeof(want))) {
		err = bpfmaps_put(fd, &peer->key, &want);
	}
	if (!err)
		peer->stored = want;
	if (!peer->listener.generation && !peer->holders) {
		HASH_DEL(peers->peers, peer);
		free(peer);
	}
	return err;
}

/* --- listening ---------------------------------------------------------------------------- */

int peers_listen(struct peers *peers, __be32 addr_of_peer, __be32 addr, struct rsip_target bind)
{
	const struct rsip_peer_key key = { .peer = addr_of_peer, .addr = addr };
	struct peer *peer = peer_get(peers, &key);
	int err;

	if (!peer)
		return -ENOMEM;
	if (peer->listener.generation)
		return -EEXIST;
	peer->listener = bind;
	err = peer_store(peers, peer);
	if (err)
		peers_unlisten(peers, addr_of_peer, addr, bind);
	return err;
}

void peers_unlisten(struct peers *peers, __be32 addr_of_peer, __be32 addr, struct rsip_target bind)
{
	const struct rsip_peer_key key = { .peer = addr_of_peer, .addr = addr };
	struct peer *peer = peer_find(peers, &key);

	if (!peer || memcmp(&peer->listener, &bind, sizeof(bind)))
		return;
	peer->listener = (struct rsip_target){ 0 };
	peer_store(peers, peer);
}

/* --- cookies -------------------------------------------------------------------------------- */

static struct holder_key holder_key(const struct cookie_entry *cookie)
{
	return (struct holder_key){ { .peer = cookie->peer, .addr = cookie->key.addr }, cookie->target };
}

static struct holder *holder_find(const struct peers *peers, const struct holder_key *key)
{
	struct holder *holder;

	HASH_FIND(hh, peers->holders, key, sizeof(*key), holder);
	return holder;
}

void peers_cookie_added(struct peers *peers, const struct cookie_entry *cookie)
{
	const struct holder_key key = holder_key(cookie);
	struct holder *holder;
	struct peer *peer;

	if (!peers->rekey)
		return;
	holder = holder_find(peers, &key);
	if (holder) {
		holder->cookies++;
		return;
	}
	peer = peer_get(peers, &key.peer);
	holder = calloc(1, sizeof(*holder));
	if (holder && peer) {
		*holder = (struct holder){
			.key = key, .client = peers->maps->binds[key.bind.bind].client, .cookies = 1,
		};
		HASH_ADD(hh, peers->holders, key, sizeof(holder->key), holder);
		DL_APPEND(peer->holders, holder);
	} else {
		free(holder);
	}
	if (peer)
		peer_store(peers, peer);
}

void peers_cookie_removed(struct peers *peers, const struct cookie_entry *cookie)
{
	const struct holder_key key = holder_key(cookie);
	struct holder *holder = holder_find(peers, &key);
	struct peer *peer;

	if (!holder || --holder->cookies)
		return;
	peer = peer_find(peers, &key.peer);
	DL_DELETE(peer->holders, holder);
	HASH_DEL(peers->holders, holder);
	free(holder);
	peer_store(peers, peer);
}

/* --- from an earlier daemon ------------------------------------------------------------------- */

static void settle_entry(const void *key, const void *value, void *arg)
{
	const struct peers *peers = arg;
	const struct peer *peer = peer_find(peers, key);

	if (!peer || !peer->stored.generation)
		bpf_map_delete_elem(peers->maps->fd[BPFMAP_PEERS], key);
}

void peers_settle(struct peers *peers)
{
	bpfmaps_each(peers->maps->fd[BPFMAP_PEERS], sizeof(struct rsip_peer_key), sizeof(struct rsip_target), settle_entry,
		     peers);
}
