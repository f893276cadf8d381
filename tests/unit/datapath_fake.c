// SPDX-License-Identifier: GPL-2.0-only
/* See datapath_fake.h. */
#include "datapath_fake.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

/* A port, an SPI, all of an address, or a peer that is listened to at it; the kinds never meet. */
struct key {
	uint32_t kind, addr, value;
};

enum { KIND_PORT = 1, KIND_SPI, KIND_WHOLE, KIND_IKE, KIND_BIND };

struct entry {
	struct key key;
	__be32 client;
	uint32_t slot;
	struct datapath_bind bind;	/* KIND_BIND: addr is the client, value the Bind ID */
	__be32 *remotes;		/* KIND_BIND: a copy, owned */
	uint32_t resources;		/* KIND_BIND: its ports and SPIs */
	UT_hash_handle hh;
};

struct host {
	__be32 client;
	uint32_t client_id, binds;
	UT_hash_handle hh;
};

struct datapath {
	struct entry *entries;
	struct host *hosts;
	uint32_t binds, next_slot;
	uint32_t *free_slots;
	size_t free_count, free_capacity;
	uint64_t calls;
	unsigned int fail_in;
	int fail_with;
	char fault[160];
};

struct datapath *datapath_fake_new(void)
{
	return calloc(1, sizeof(struct datapath));
}

static void drop(struct datapath *dp, struct entry *entry)
{
	HASH_DEL(dp->entries, entry);
	free(entry->remotes);
	free(entry);
}

void datapath_fake_free(struct datapath *dp)
{
	struct entry *entry, *next_entry;
	struct host *host, *next_host;

	HASH_ITER(hh, dp->entries, entry, next_entry)
		drop(dp, entry);
	HASH_ITER(hh, dp->hosts, host, next_host) {
		HASH_DEL(dp->hosts, host);
		free(host);
	}
	free(dp->free_slots);
	free(dp);
}

void datapath_fake_fail(struct datapath *dp, unsigned int n, int err)
{
	dp->fail_in = n;
	dp->fail_with = err;
}

const char *datapath_fake_fault(const struct datapath *dp)
{
	return dp->fault[0] ? dp->fault : NULL;
}

/* The first fault is the one that tells. */
__attribute__((format(printf, 2, 3))) static void fault(struct datapath *dp, const char *format, ...)
{
	va_list args;

	if (dp->fault[0])
		return;
	va_start(args, format);
	vsnprintf(dp->fault, sizeof(dp->fault), format, args);
	va_end(args);
}

static bool fails_now(struct datapath *dp)
{
	dp->calls++;
	return dp->fail_in && --dp->fail_in == 0;
}

static struct entry *find(const struct datapath *dp, uint32_t kind, uint32_t addr, uint32_t value)
{
	const struct key key = { kind, addr, value };
	struct entry *entry;

	HASH_FIND(hh, dp->entries, &key, sizeof(key), entry);
	return entry;
}

static struct entry *add(struct datapath *dp, uint32_t kind, uint32_t addr, uint32_t value, __be32 client,
			 uint32_t slot)
{
	struct entry *entry = find(dp, kind, addr, value);

	if (entry) {
		fault(dp, "kind %u: %u is held twice at address %08x", kind, value, addr);
		return entry;
	}
	entry = calloc(1, sizeof(*entry));
	entry->key = (struct key){ kind, addr, value };
	entry->client = client;
	entry->slot = slot;
	HASH_ADD(hh, dp->entries, key, sizeof(entry->key), entry);
	return entry;
}

static void remove_entry(struct datapath *dp, uint32_t kind, uint32_t addr, uint32_t value, uint32_t slot)
{
	struct entry *entry = find(dp, kind, addr, value);

	if (!entry || entry->slot != slot) {
		fault(dp, "kind %u: %u at address %08x is not of slot %u", kind, value, addr, slot);
		return;
	}
	drop(dp, entry);
}

static struct host *find_host(const struct datapath *dp, __be32 client)
{
	struct host *host;

	HASH_FIND(hh, dp->hosts, &client, sizeof(client), host);
	return host;
}

/* Pools are the session's affair: this data plane takes any address. */
int datapath_pools_add(struct datapath *dp, const struct config *config)
{
	return 0;
}

void datapath_pools_remove(struct datapath *dp, const struct config *before, const struct config *now)
{
}

int datapath_client_add(struct datapath *dp, __be32 client, __be32 gateway, uint32_t client_id)
{
	struct host *host;

	if (fails_now(dp))
		return dp->fail_with;
	if (find_host(dp, client)) {
		fault(dp, "host %08x is added twice", client);
		return -EEXIST;
	}
	host = calloc(1, sizeof(*host));
	host->client = client;
	host->client_id = client_id;
	HASH_ADD(hh, dp->hosts, client, sizeof(host->client), host);
	return 0;
}

void datapath_client_remove(struct datapath *dp, __be32 client)
{
	struct host *host = find_host(dp, client);

	dp->calls++;
	if (!host)
		return;
	if (host->binds)
		fault(dp, "host %08x goes with %u binds", client, host->binds);
	HASH_DEL(dp->hosts, host);
	free(host);
}

static uint32_t take_slot(struct datapath *dp)
{
	return dp->free_count ? dp->free_slots[--dp->free_count] : dp->next_slot++;
}

static void give_slot(struct datapath *dp, uint32_t slot)
{
	if (dp->free_count == dp->free_capacity) {
		dp->free_capacity = dp->free_capacity ? 2 * dp->free_capacity : 64;
		dp->free_slots = realloc(dp->free_slots, dp->free_capacity * sizeof(*dp->free_slots));
	}
	dp->free_slots[dp->free_count++] = slot;
}

static unsigned int port_count(const struct datapath_bind *bind)
{
	return bind->ike_listen || bind->whole || bind->ports->form == MSG_NOT_NEEDED ? 0 : bind->ports->count;
}

static unsigned int peer_count(const struct datapath_bind *bind)
{
	if (!bind->ike_listen)
		return 0;
	return bind->remote_count ? (unsigned int)bind->remote_count : 1;
}

static uint32_t resource_count(const struct datapath_bind *bind)
{
	return port_count(bind) + bind->spi_count + bind->whole + peer_count(bind);
}

/* The i-th thing at bind->addr that is the bind's alone. */
static struct key resource(const struct datapath_bind *bind, unsigned int i)
{
	if (i < port_count(bind))
		return (struct key){ KIND_PORT, bind->addr, msg_port_at(bind->ports, i) };
	i -= port_count(bind);
	if (i < bind->spi_count)
		return (struct key){ KIND_SPI, bind->addr, bind->spis[i] };
	i -= bind->spi_count;
	if (bind->whole)
		return (struct key){ KIND_WHOLE, bind->addr, 0 };
	return (struct key){ KIND_IKE, bind->addr, bind->remote_count ? bind->remotes[i] : bind->remote };
}

static bool is_shared(const struct datapath *dp, __be32 addr)
{
	const struct entry *entry, *next;

	HASH_ITER(hh, dp->entries, entry, next) {
		if (entry->key.addr == addr && entry->key.kind != KIND_WHOLE && entry->key.kind != KIND_BIND)
			return true;
	}
	return false;
}

/* What no bind may be: an address is lent whole or shared, never both. */
static void check_bind(struct datapath *dp, const struct datapath_bind *bind)
{
	if (bind->whole && (resource_count(bind) > 1 || bind->ipsec))
		fault(dp, "bind %u is whole and more", bind->bind_id);
	if (bind->whole ? is_shared(dp, bind->addr) : find(dp, KIND_WHOLE, bind->addr, 0) != NULL)
		fault(dp, "address %08x is lent whole and shared", bind->addr);
	if (bind->ike_listen && (port_count(bind) || (!bind->remote && !bind->remote_count)))
		fault(dp, "bind %u listens for IKE with ports or without a peer", bind->bind_id);
	if (bind->remote_count && (bind->remote || bind->remote_count < 2 || bind->remote_count > RSIP_REMOTES_MAX))
		fault(dp, "bind %u has %zu remotes", bind->bind_id, bind->remote_count);
}

static void keep_bind(struct entry *entry, const struct datapath_bind *bind)
{
	size_t size = bind->remote_count * sizeof(*bind->remotes);

	entry->bind = *bind;
	entry->bind.ports = NULL;
	entry->bind.spis = NULL;
	entry->remotes = size ? malloc(size) : NULL;
	if (size)
		memcpy(entry->remotes, bind->remotes, size);
	entry->bind.remotes = entry->remotes;
	entry->resources = resource_count(bind);
}

static bool same_bind(const struct datapath_bind *a, const struct datapath_bind *b)
{
	return a->slot == b->slot && a->addr == b->addr && a->gateway == b->gateway && a->remote == b->remote &&
	       a->remote_port == b->remote_port && a->tunnel == b->tunnel && a->ipsec == b->ipsec &&
	       a->whole == b->whole && a->ike_listen == b->ike_listen && a->remote_count == b->remote_count &&
	       (!a->remote_count || !memcmp(a->remotes, b->remotes, a->remote_count * sizeof(*a->remotes)));
}

int datapath_bind_add(struct datapath *dp, struct datapath_bind *bind)
{
	struct host *host = find_host(dp, bind->client);
	struct entry *entry;

	if (fails_now(dp))
		return dp->fail_with;
	if (!host) {
		fault(dp, "bind %u of host %08x, which is not there", bind->bind_id, bind->client);
		return -ENOENT;
	}
	check_bind(dp, bind);
	bind->slot = take_slot(dp);
	for (unsigned int i = 0; i < resource_count(bind); i++) {
		const struct key key = resource(bind, i);

		add(dp, key.kind, key.addr, key.value, bind->client, bind->slot);
	}
	entry = add(dp, KIND_BIND, bind->client, bind->bind_id, bind->client, bind->slot);
	keep_bind(entry, bind);
	host->binds++;
	dp->binds++;
	return 0;
}

/* As many as half of the slots are taken. */
uint32_t datapath_spi_place(const struct datapath *dp, uint32_t random)
{
	return random & 8 ? random : 0;
}

void datapath_bind_extend(struct datapath *dp, const struct datapath_bind *bind)
{
	struct entry *entry = find(dp, KIND_BIND, bind->client, bind->bind_id);

	dp->calls++;
	if (!entry || !same_bind(&entry->bind, bind))
		fault(dp, "bind %u of host %08x is extended but not there as it is", bind->bind_id, bind->client);
	else
		entry->bind.ends = bind->ends;
}

void datapath_bind_remove(struct datapath *dp, const struct datapath_bind *bind)
{
	const struct entry *entry = find(dp, KIND_BIND, bind->client, bind->bind_id);
	struct host *host = find_host(dp, bind->client);

	dp->calls++;
	if (!entry || !host) {
		fault(dp, "bind %u of host %08x is removed but not there", bind->bind_id, bind->client);
		return;
	}
	if (!same_bind(&entry->bind, bind) || entry->resources != resource_count(bind))
		fault(dp, "bind %u of host %08x is not removed as it was added", bind->bind_id, bind->client);
	for (unsigned int i = 0; i < resource_count(bind); i++) {
		const struct key key = resource(bind, i);

		remove_entry(dp, key.kind, key.addr, key.value, bind->slot);
	}
	remove_entry(dp, KIND_BIND, bind->client, bind->bind_id, bind->slot);
	give_slot(dp, bind->slot);
	host->binds--;
	dp->binds--;
}

uint32_t datapath_fake_clients(const struct datapath *dp)
{
	return HASH_COUNT(dp->hosts);
}

uint32_t datapath_fake_binds(const struct datapath *dp)
{
	return dp->binds;
}

uint64_t datapath_fake_calls(const struct datapath *dp)
{
	return dp->calls;
}

__be32 datapath_fake_port(const struct datapath *dp, __be32 addr, uint16_t port)
{
	const struct entry *entry = find(dp, KIND_PORT, addr, port);

	return entry ? entry->client : 0;
}

__be32 datapath_fake_spi(const struct datapath *dp, __be32 addr, uint32_t spi)
{
	const struct entry *entry = find(dp, KIND_SPI, addr, spi);

	return entry ? entry->client : 0;
}

__be32 datapath_fake_whole(const struct datapath *dp, __be32 addr)
{
	const struct entry *entry = find(dp, KIND_WHOLE, addr, 0);

	return entry ? entry->client : 0;
}

__be32 datapath_fake_ike_listen(const struct datapath *dp, __be32 addr, __be32 peer)
{
	const struct entry *entry = find(dp, KIND_IKE, addr, peer);

	return entry ? entry->client : 0;
}

bool datapath_fake_bind(const struct datapath *dp, __be32 client, uint32_t bind_id, struct datapath_bind *out)
{
	const struct entry *entry = find(dp, KIND_BIND, client, bind_id);

	if (entry)
		*out = entry->bind;
	return entry;
}

/* --- the rest of datapath.h: nothing to load, to wait for or to show ---------------- */

int datapath_open(const struct config *config, struct datapath **out)
{
	*out = datapath_fake_new();
	return *out ? 0 : -ENOMEM;
}

int datapath_attach(struct datapath *dp)
{
	return 0;
}

void datapath_detach(struct datapath *dp)
{
}

void datapath_close(struct datapath *dp)
{
	if (dp)
		datapath_fake_free(dp);
}

void datapath_watch(struct datapath *dp, datapath_violation *tell, void *arg)
{
}

int datapath_fd(const struct datapath *dp, unsigned int i)
{
	return -1;
}

void datapath_ready(struct datapath *dp, unsigned int i, uint64_t now_ms)
{
}

bool datapath_recheck(struct datapath *dp, uint64_t now_ms)
{
	return false;
}

int datapath_tick(struct datapath *dp, uint64_t now_ms)
{
	return 0;
}

size_t datapath_interfaces(const struct datapath *dp, struct datapath_interface *out, size_t max)
{
	return 0;
}

int datapath_counters(const struct datapath *dp, struct rsip_counter out[static RSIP_OUTCOME_COUNT])
{
	memset(out, 0, RSIP_OUTCOME_COUNT * sizeof(*out));
	return 0;
}

void datapath_cookies(const struct datapath *dp, uint32_t slot,
		      bool (*visit)(const struct datapath_cookie *cookie, void *arg), void *arg)
{
}
