// SPDX-License-Identifier: GPL-2.0-only
/* See entries.h. */
#include "rsipd/entries.h"

#include <arpa/inet.h>

#include "rsipd/addresses.h"

static void port_key(unsigned int i, void *key, const void *arg)
{
	const struct datapath_bind *bind = arg;

	*(struct rsip_port_key *)key = (struct rsip_port_key){
		.addr = bind->addr, .port = htons(msg_port_at(bind->ports, i)),
	};
}

struct remotes {
	struct rsip_target target;
	const __be32 *addrs;
};

/* Each SPI twice: for ESP and for AH. */
static void spi_key(unsigned int i, void *key, const void *arg)
{
	const struct datapath_bind *bind = arg;

	*(struct rsip_spi_key *)key = (struct rsip_spi_key){
		.addr = bind->addr, .spi = htonl(bind->spis[i / 2]), .proto = i % 2 ? RSIP_PROTO_AH : RSIP_PROTO_ESP,
	};
}

static void remote_key(unsigned int i, void *key, const void *arg)
{
	const struct remotes *of = arg;

	*(struct rsip_remote_key *)key = (struct rsip_remote_key){ .bind = of->target, .addr = of->addrs[i] };
}

static unsigned int port_count(const struct datapath_bind *bind)
{
	bool named = bind->ports && (bind->ports->form == MSG_RUN || bind->ports->form == MSG_LIST);

	/* Port 500 of a listener is several hosts': rsip_peers tells them apart. */
	return named && !bind->ike_listen ? bind->ports->count : 0;
}

static size_t peer_count(const struct datapath_bind *bind)
{
	if (!bind->ike_listen)
		return 0;
	return bind->remote_count ? bind->remote_count : 1;
}

static void stop_listening(const struct entries *e, const struct datapath_bind *bind, struct rsip_target target)
{
	for (size_t i = 0; i < peer_count(bind); i++)
		peers_unlisten(e->peers, datapath_bind_remote(bind, i), bind->addr, target);
}

static int listen_for(const struct entries *e, const struct datapath_bind *bind, struct rsip_target target)
{
	int err = 0;

	for (size_t i = 0; i < peer_count(bind) && !err; i++)
		err = peers_listen(e->peers, datapath_bind_remote(bind, i), bind->addr, target);
	return err;
}

static uint32_t entry_count(const struct datapath_bind *bind)
{
	return port_count(bind) + 2u * bind->spi_count + (uint32_t)bind->remote_count;
}

/* In the maps where an entry is the bind's alone. */
static int own_add(const struct entries *e, const struct datapath_bind *bind, struct rsip_target target)
{
	const struct remotes remotes = { target, bind->remotes };
	int err = bpfmaps_update(e->maps->fd[BPFMAP_PORTS], sizeof(struct rsip_port_key), port_count(bind),
				 port_key, bind, &target, sizeof(target));

	if (!err)
		err = bpfmaps_update(e->maps->fd[BPFMAP_SPIS], sizeof(struct rsip_spi_key), 2u * bind->spi_count,
				     spi_key, bind, &target, sizeof(target));
	if (!err)
		err = bpfmaps_update(e->maps->fd[BPFMAP_REMOTES], sizeof(struct rsip_remote_key),
				     (unsigned int)bind->remote_count, remote_key, &remotes, &(__u32){ 1 }, sizeof(__u32));
	return err;
}

int entries_add(const struct entries *e, const struct datapath_bind *bind, struct rsip_target target, uint32_t known)
{
	int err = 0;

	if (known != entry_count(bind))
		err = own_add(e, bind, target);
	if (!err)
		err = listen_for(e, bind, target);
	if (!err && bind->whole)
		err = addresses_lend(e->maps, bind->addr, target);
	return err;
}

void entries_remove(const struct entries *e, const struct datapath_bind *bind, struct rsip_target target)
{
	const struct remotes remotes = { target, bind->remotes };

	bpfmaps_delete(e->maps->fd[BPFMAP_PORTS], sizeof(struct rsip_port_key), port_count(bind), port_key, bind);
	bpfmaps_delete(e->maps->fd[BPFMAP_SPIS], sizeof(struct rsip_spi_key), 2u * bind->spi_count, spi_key, bind);
	bpfmaps_delete(e->maps->fd[BPFMAP_REMOTES], sizeof(struct rsip_remote_key),
		       (unsigned int)bind->remote_count, remote_key, &remotes);
	stop_listening(e, bind, target);
	if (bind->whole)
		addresses_lend(e->maps, bind->addr, (struct rsip_target){ 0 });
}
