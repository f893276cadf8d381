// SPDX-License-Identifier: GPL-2.0-only
/* See datapath_fake.h. */
#include "datapath_fake.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

/* A port or an SPI at an address; the kinds never meet. */
struct key {
	uint32_t kind, addr, value;
};

enum { KIND_PORT = 1, KIND_SPI, KIND_BIND };

struct entry {
	struct key key;
	__be32 client;
	uint32_t slot;
	struct datapath_bind bind;	/* KIND_BIND: addr is the client, value the Bind ID */
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

void datapath_fake_free(struct datapath *dp)
{
	struct entry *entry, *next_entry;
	struct host *host, *next_host;

	HASH_ITER(hh, dp->entries, entry, next_entry) {
		HASH_DEL(dp->entries, entry);
		free(entry);
	}
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
	HASH_DEL(dp->entries, entry);
	free(entry);
}

static struct host *find_host(const struct datapath *dp, __be32 client)
{
	struct host *host;

	HASH_FIND(hh, dp->hosts, &client, sizeof(client), host);
	return host;
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
	bind->slot = take_slot(dp);
	for (unsigned int i = 0; bind->ports->form != MSG_NOT_NEEDED && i < bind->ports->count; i++)
		add(dp, KIND_PORT, bind->addr, msg_port_at(bind->ports, i), bind->client, bind->slot);
	for (unsigned int i = 0; i < bind->spi_count; i++)
		add(dp, KIND_SPI, bind->addr, bind->spis[i], bind->client, bind->slot);
	entry = add(dp, KIND_BIND, bind->client, bind->bind_id, bind->client, bind->slot);
	entry->bind = *bind;
	entry->bind.ports = NULL;
	entry->bind.spis = NULL;
	entry->resources = (bind->ports->form == MSG_NOT_NEEDED ? 0 : bind->ports->count) + bind->spi_count;
	host->binds++;
	dp->binds++;
	return 0;
}

void datapath_bind_remove(struct datapath *dp, const struct datapath_bind *bind)
{
	const struct entry *entry = find(dp, KIND_BIND, bind->client, bind->bind_id);
	struct host *host = find_host(dp, bind->client);
	uint32_t resources = (bind->ports->form == MSG_NOT_NEEDED ? 0 : bind->ports->count) + bind->spi_count;

	dp->calls++;
	if (!entry || !host) {
		fault(dp, "bind %u of host %08x is removed but not there", bind->bind_id, bind->client);
		return;
	}
	if (entry->slot != bind->slot || entry->bind.addr != bind->addr || entry->bind.gateway != bind->gateway ||
	    entry->bind.remote != bind->remote || entry->bind.remote_port != bind->remote_port ||
	    entry->bind.tunnel != bind->tunnel || entry->bind.ipsec != bind->ipsec || entry->resources != resources)
		fault(dp, "bind %u of host %08x is not removed as it was added", bind->bind_id, bind->client);
	for (unsigned int i = 0; bind->ports->form != MSG_NOT_NEEDED && i < bind->ports->count; i++)
		remove_entry(dp, KIND_PORT, bind->addr, msg_port_at(bind->ports, i), bind->slot);
	for (unsigned int i = 0; i < bind->spi_count; i++)
		remove_entry(dp, KIND_SPI, bind->addr, bind->spis[i], bind->slot);
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

int datapath_fd(const struct datapath *dp, unsigned int i)
{
	return -1;
}

void datapath_ready(struct datapath *dp, unsigned int i, uint64_t now_ms)
{
}

void datapath_tick(struct datapath *dp, uint64_t now_ms)
{
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
