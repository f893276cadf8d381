// SPDX-License-Identifier: GPL-2.0-only
/*
 * The data plane behind datapath.h: hosts and binds in the maps, and
 * the parts that maps alone do not make: next hops, cookies, programs.
 */
#include "rsipd/datapath.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <utlist.h>

#include "lib/container.h"
#include "lib/log.h"
#include "rsipd/addresses.h"
#include "rsipd/adopt.h"
#include "rsipd/attach.h"
#include "rsipd/bpfmaps.h"
#include "rsipd/clock.h"
#include "rsipd/entries.h"
#include "rsipd/grants.h"
#include "rsipd/learn.h"
#include "rsipd/netlink.h"
#include "rsipd/nexthop.h"
#include "rsipd/peers.h"
#include "rsipd/senders.h"
#include "rsipd/slots.h"
#include "rsipd/slowpath.h"
#include "rsipd/table.h"

#define REARM_MS	1000	/* a host's violation is told again */
#define EVENTS_MAX	256	/* handled in one go, so that the loop is not held up */
#define SLOTS_OPEN	4096	/* so many at least does an SPI choose among: it is not to be guessed */

struct host {
	struct nexthop_host hop;	/* and its address */
	struct rsip_client value;
	struct bind_slot *slots;	/* of its binds */
	uint64_t rearm;			/* when violations are told again; 0: they are */
	struct host *rearm_prev, *rearm_next;
	bool stored;			/* datapath_settle(): its entry is right */
	struct table_node by_addr;
	struct host *prev, *next;
};

struct bind_slot {			/* the daemon's side of a slot of rsip_binds */
	struct host *host;		/* NULL: the host was removed before its bind */
	struct grantee grantee;		/* and where it is; generation 0: free */
	struct bind_slot *host_prev, *host_next;
};

struct datapath {
	const struct config *config;
	struct netlink *netlink;
	struct bpfmaps *maps;
	struct clock *clock;
	struct nexthops *nexthops;
	struct peers *peers;
	struct learn *learn;
	struct attach *attach;		/* NULL: nothing is attached */
	struct ring_buffer *events;
	uint32_t *private_ifindex;	/* of the private interfaces, in their order */
	struct table hosts_by_addr;
	struct entries entries;
	struct grants grants;
	struct host *hosts;
	struct host *told;		/* that violations of are not told for now; the first is due first */
	datapath_violation *tell;
	void *tell_arg;
	struct bind_slot *binds;	/* by slot */
	struct slots free;
	uint32_t generation;		/* of the last bind; any value but 0 */
	struct adopt *adopt;		/* until datapath_settle() */
	bool settled;			/* before, clients and grants are kept here only */
	struct slowpath *slow;
	__be32 speaker;			/* as the data plane knows it, see speaker_of() */
	unsigned int budget;		/* events still to be handled in this go */
	unsigned int slow_budget;	/* and fragments */
	uint64_t now;
};

/* --- hosts ------------------------------------------------------------------------------- */

static struct host *host_find(const struct datapath *dp, __be32 addr)
{
	struct table_node *node = table_find(&dp->hosts_by_addr, addr);

	return node ? container_of(node, struct host, by_addr) : NULL;
}

static int host_store(const struct datapath *dp, struct host *host)
{
	if (!dp->settled)
		return 0;
	return bpfmaps_put(dp->maps->fd[BPFMAP_CLIENTS], &host->hop.addr, &host->value);
}

static int interface_of(const struct datapath *dp, __be32 gateway, uint32_t *ifindex)
{
	for (size_t i = 0; i < dp->config->private_count; i++) {
		if (dp->config->private_interfaces[i].address != gateway)
			continue;
		*ifindex = dp->private_ifindex[i];
		return 0;
	}
	return -EADDRNOTAVAIL;
}

int datapath_client_add(struct datapath *dp, __be32 client, __be32 gateway, uint32_t client_id)
{
	struct host *host;
	int err;

	if (host_find(dp, client))
		return -EEXIST;
	host = calloc(1, sizeof(*host));
	if (!host)
		return -ENOMEM;
	host->hop.addr = client;
	host->value.client_id = client_id;
	err = interface_of(dp, gateway, &host->value.ifindex);
	if (!err)
		err = host_store(dp, host);
	if (err) {
		free(host);
		return err;
	}
	/* One that lives on goes where its binds say, until datapath_settle(). */
	if (dp->settled)
		nexthop_host_add(dp->nexthops, &host->hop);
	else
		nexthop_host_adopt(dp->nexthops, &host->hop, SLOT_NONE);
	table_add(&dp->hosts_by_addr, &host->by_addr, client);
	DL_APPEND(dp->hosts, host);
	return 0;
}

static uint32_t slot_of(const struct datapath *dp, const struct bind_slot *b)
{
	return (uint32_t)(b - dp->binds);
}

/* From here on no packet uses the bind. */
static void bind_stop(const struct datapath *dp, const struct bind_slot *b)
{
	senders_remove(dp->maps, slot_of(dp, b));
	__atomic_store_n(&dp->maps->binds[slot_of(dp, b)].generation, 0, __ATOMIC_SEQ_CST);
}

void datapath_client_remove(struct datapath *dp, __be32 client)
{
	struct host *host = host_find(dp, client);
	struct bind_slot *b, *next;

	if (!host)
		return;
	DL_FOREACH_SAFE2(host->slots, b, next, host_next) {
		bind_stop(dp, b);
		b->host = NULL;
	}
	if (host->rearm)
		DL_DELETE2(dp->told, host, rearm_prev, rearm_next);
	bpf_map_delete_elem(dp->maps->fd[BPFMAP_CLIENTS], &client);
	nexthop_host_remove(dp->nexthops, &host->hop);
	table_remove(&dp->hosts_by_addr, &host->by_addr);
	DL_DELETE(dp->hosts, host);
	free(host);
}

/* --- events ----------------------------------------------------------------------------------------- */

static void violation(struct datapath *dp, const struct rsip_event_violation *event)
{
	struct host *host = host_find(dp, event->client);

	if (!host)
		return;
	if (!host->rearm) {
		host->rearm = dp->now + REARM_MS;
		DL_APPEND2(dp->told, host, rearm_prev, rearm_next);
	}
	if (dp->tell)
		dp->tell(event, dp->now, dp->tell_arg);
}

/* Storing the entry anew clears the bits of what was told. */
static void rearm(struct datapath *dp)
{
	while (dp->told && dp->told->rearm <= dp->now) {
		struct host *host = dp->told;

		DL_DELETE2(dp->told, host, rearm_prev, rearm_next);
		host->rearm = 0;
		host_store(dp, host);
	}
}

void datapath_watch(struct datapath *dp, datapath_violation *tell, void *arg)
{
	dp->tell = tell;
	dp->tell_arg = arg;
}

static int on_event(void *arg, void *data, size_t size)
{
	struct datapath *dp = arg;
	const struct rsip_event_resolve *packet = data;
	const __u32 *kind = data;

	if (size >= sizeof(struct rsip_event_cookie) && *kind == RSIP_EVENT_COOKIE)
		learn_event(dp->learn, data, dp->now);
	else if (size >= sizeof(struct rsip_event_violation) && *kind == RSIP_EVENT_VIOLATION)
		violation(dp, data);
	else if (size >= offsetof(struct rsip_event_resolve, packet) && *kind == RSIP_EVENT_RESOLVE &&
		 packet->len <= size - offsetof(struct rsip_event_resolve, packet))
		nexthop_packet(dp->nexthops, packet, dp->now);
	return --dp->budget ? 0 : -EAGAIN;
}

static int on_slow(void *arg, void *data, size_t size)
{
	struct datapath *dp = arg;

	slowpath_event(dp->slow, data, size, dp->now);
	return --dp->slow_budget ? 0 : -EAGAIN;
}

static struct nexthop_host *on_find(__be32 addr, void *arg)
{
	struct host *host = host_find(arg, addr);

	return host ? &host->hop : NULL;
}

/* Packets see the one slot or the other, each of which leads to the host. */
static void on_moved(struct nexthop_host *hop, void *arg)
{
	const struct host *host = container_of(hop, struct host, hop);
	const struct datapath *dp = arg;
	const struct bind_slot *b;

	DL_FOREACH2(host->slots, b, host_next) {
		__atomic_store_n(&dp->maps->binds[slot_of(dp, b)].nexthop, nexthop_host_slot(hop), __ATOMIC_RELEASE);
	}
}

/* What is left keeps the descriptor readable. */
static void drain(struct datapath *dp)
{
	dp->budget = dp->slow_budget = EVENTS_MAX;
	ring_buffer__consume(dp->events);
}

/* --- binds ------------------------------------------------------------------------------------------ */

static __u8 bind_flags(const struct datapath_bind *bind)
{
	return (bind->ipsec ? RSIP_BIND_IPSEC : 0) | (bind->whole ? RSIP_BIND_WHOLE : 0) |
	       (bind->remote_count ? RSIP_BIND_REMOTES : 0) | (bind->remote || bind->remote_port ? RSIP_BIND_HELD : 0);
}

/* How many SPIs in a row are found in this slot: at most eight. */
static __u8 spis_in_slot(const struct datapath_bind *bind)
{
	__u8 count = 0;

	while (count < bind->spi_count && bind->spis[count] == bind->spis[0] + count &&
	       rsip_spi_slot(bind->spis[count]) == bind->slot)
		count++;
	return count;
}

static struct rsip_bind_rare rare_of(const struct datapath_bind *bind)
{
	return (struct rsip_bind_rare){ .bind_id = bind->bind_id, .remote = bind->remote, .remote_port = bind->remote_port };
}

/*
 * One that lives on: packets use it meanwhile, and count in the rest of it, which is kept.
 * False: something else of it than its end and its next hop is new.
 */
static bool bind_goes_on(struct rsip_bind *to, const struct rsip_bind_rare *rare, const struct rsip_bind *want,
			 struct rsip_bind_rare *want_rare)
{
	const struct rsip_bind_rare is_rare = *rare;	/* it may learn a cookie at any moment */
	struct rsip_bind is;

	to->ends = want->ends;
	to->nexthop = want->nexthop;
	is = *to;
	is.generation = want->generation;
	want_rare->cookies = is_rare.cookies;
	want_rare->query_second = is_rare.query_second;
	want_rare->queries = is_rare.queries;
	return !memcmp(&is, want, sizeof(is)) && !memcmp(&is_rare, want_rare, sizeof(is_rare));
}

static void bind_start(const struct datapath *dp, const struct bind_slot *b, const struct datapath_bind *bind)
{
	struct rsip_bind_rare *rare = &dp->maps->binds_rare[slot_of(dp, b)], want_rare = rare_of(bind);
	struct rsip_bind *to = &dp->maps->binds[slot_of(dp, b)], want = {
		.client = bind->client, .gateway = bind->gateway, .addr = bind->addr,
		.nexthop = nexthop_host_slot(&b->host->hop),
		.tunnel = bind->tunnel == RSIP_TUNNEL_GRE ? RSIP_PROTO_GRE : RSIP_PROTO_IPIP,
		.flags = bind_flags(bind),
		.ends = clock_tick_at(dp->clock, bind->ends),
		.spi_count = spis_in_slot(bind),
	};

	want.spi_first = want.spi_count ? bind->spis[0] : 0;
	if (to->generation != b->grantee.target.generation || !bind_goes_on(to, rare, &want, &want_rare)) {
		bind_stop(dp, b);
		*rare = want_rare;
		*to = want;
		__atomic_store_n(&to->generation, b->grantee.target.generation, __ATOMIC_RELEASE);
	}
	senders_put(dp->maps, slot_of(dp, b));
}

static void host_join(struct host *host, struct bind_slot *b)
{
	b->host = host;
	DL_APPEND2(host->slots, b, host_prev, host_next);
}

static void host_leave(struct bind_slot *b)
{
	if (!b->host)
		return;
	DL_DELETE2(b->host->slots, b, host_prev, host_next);
	b->host = NULL;
}

static void slot_free(struct datapath *dp, struct bind_slot *b)
{
	senders_remove(dp->maps, slot_of(dp, b));
	memset(&dp->maps->binds[slot_of(dp, b)], 0, sizeof(struct rsip_bind));
	memset(&dp->maps->binds_rare[slot_of(dp, b)], 0, sizeof(struct rsip_bind_rare));
	b->grantee.target.generation = 0;
	slots_give(&dp->free, slot_of(dp, b));
}

/* Whether the bind is still in the slot that it had, under an earlier daemon; then it is taken. */
static bool slot_adopt(struct datapath *dp, const struct datapath_bind *bind)
{
	const struct rsip_bind *known;

	if (!dp->adopt || bind->slot >= dp->maps->entries[BPFMAP_BINDS])
		return false;
	known = &dp->maps->binds[bind->slot];
	return known->generation && known->client == bind->client && known->addr == bind->addr &&
	       dp->maps->binds_rare[bind->slot].bind_id == bind->bind_id && slots_claim(&dp->free, bind->slot);
}

/* A host that lives on is reached as its binds say; they all say the same. */
static void host_adopt(struct datapath *dp, struct host *host, uint32_t slot)
{
	if (host->slots)
		return;
	nexthop_host_remove(dp->nexthops, &host->hop);
	nexthop_host_adopt(dp->nexthops, &host->hop, slot);
}

static bool slot_is_free(const struct datapath *dp, uint32_t slot)
{
	return slots_rested(&dp->free, slot) && !dp->maps->binds[slot].generation;
}

/* The slots that are given out by their SPIs: the more are in use the more. Half of them at
 * least are free while the table is less than half full. */
static uint32_t slots_open(const struct datapath *dp)
{
	uint64_t open = SLOTS_OPEN + 2ULL * slots_taken(&dp->free);
	uint32_t all = dp->maps->entries[BPFMAP_BINDS];

	if (all > RSIP_SPI_SLOTS)
		all = RSIP_SPI_SLOTS;
	return open < all ? (uint32_t)open : all;
}

uint32_t datapath_spi_place(const struct datapath *dp, uint32_t random)
{
	uint32_t slot = rsip_spi_slot(random) % slots_open(dp);

	return slot_is_free(dp, slot) ? rsip_spi_in_slot(random, slot) : 0;
}

/* Its SPIs' own slot or any other; before datapath_settle() one in which no bind waits to be adopted. */
static uint32_t slot_take(struct datapath *dp, const struct datapath_bind *bind)
{
	uint32_t slot = bind->spi_count ? rsip_spi_slot(bind->spis[0]) : SLOT_NONE;

	if (slot_is_free(dp, slot) && slots_claim(&dp->free, slot))
		return slot;
	slot = slots_take(&dp->free);
	if (!dp->adopt || slot == SLOT_NONE || !dp->maps->binds[slot].generation)
		return slot;
	slots_give(&dp->free, slot);
	for (slot = dp->maps->entries[BPFMAP_BINDS]; slot--;) {
		if (!dp->maps->binds[slot].generation && slots_claim(&dp->free, slot))
			return slot;
	}
	return SLOT_NONE;
}

static struct bind_slot *slot_fill(struct datapath *dp, const struct datapath_bind *bind, uint32_t generation)
{
	struct bind_slot *b = &dp->binds[bind->slot];

	*b = (struct bind_slot){ .grantee = { .target = { bind->slot, generation }, .whole = bind->whole } };
	return b;
}

int datapath_bind_add(struct datapath *dp, struct datapath_bind *bind)
{
	struct host *host = host_find(dp, bind->client);
	struct bind_slot *b;
	uint32_t known = 0;
	int err;

	if (!host)
		return -ENOENT;
	if (bind->remote_count > RSIP_REMOTES_MAX)
		return -E2BIG;
	if (slot_adopt(dp, bind)) {
		b = slot_fill(dp, bind, dp->maps->binds[bind->slot].generation);
		host_adopt(dp, host, dp->maps->binds[bind->slot].nexthop);
		known = adopt_entries(dp->adopt, bind->slot);
	} else {
		bind->slot = slot_take(dp, bind);
		if (bind->slot == SLOT_NONE)
			return -ENOSPC;
		dp->generation += dp->generation == UINT32_MAX ? 2 : 1;
		b = slot_fill(dp, bind, dp->generation);
	}
	err = entries_add(&dp->entries, bind, b->grantee.target, known);
	if (!err)
		err = grants_join(&dp->grants, &b->grantee, bind);
	if (err) {
		entries_remove(&dp->entries, bind, b->grantee.target);
		slot_free(dp, b);
		return err;
	}
	host_join(host, b);
	bind_start(dp, b, bind);
	return 0;
}

static struct bind_slot *bind_of(const struct datapath *dp, const struct datapath_bind *bind)
{
	struct bind_slot *b = bind->slot < dp->maps->entries[BPFMAP_BINDS] ? &dp->binds[bind->slot] : NULL;

	return b && b->grantee.target.generation ? b : NULL;
}

void datapath_bind_extend(struct datapath *dp, const struct datapath_bind *bind)
{
	if (!bind_of(dp, bind))
		return;
	dp->maps->binds[bind->slot].ends = clock_tick_at(dp->clock, bind->ends);
	senders_put(dp->maps, bind->slot);
}

void datapath_bind_remove(struct datapath *dp, const struct datapath_bind *bind)
{
	struct bind_slot *b = bind_of(dp, bind);
	struct host *host;

	if (!b)
		return;
	/* First the grants, so that another bind of the host takes over without a gap. */
	grants_leave(&dp->grants, &b->grantee);
	bind_stop(dp, b);
	entries_remove(&dp->entries, bind, b->grantee.target);
	/* Cookies that the data plane counted and this process has not heard of wait in the ring. */
	if (dp->maps->binds_rare[bind->slot].cookies != cookie_count(learn_cookies(dp->learn), bind->slot))
		drain(dp);
	learn_bind_ended(dp->learn, bind->slot);
	host = b->host;
	host_leave(b);
	slot_free(dp, b);
	if (host && host->slots)
		senders_put(dp->maps, slot_of(dp, host->slots));
}

/* --- devices ------------------------------------------------------------------------------------------ */

static int fill_device(const struct datapath *dp, const char *name)
{
	struct rsip_device device = { 0 };
	struct netlink_link link;
	int err = netlink_link_get(dp->netlink, 0, name, &link);

	if (err)
		return err;
	device.ifindex = link.lower;
	return bpfmaps_put(dp->maps->fd[BPFMAP_DEVICES], &device.ifindex, &device);
}

static int fill_devices(const struct datapath *dp)
{
	int err = 0;

	for (size_t i = 0; i < dp->config->private_count && !err; i++)
		err = fill_device(dp, dp->config->private_interfaces[i].name);
	for (size_t i = 0; i < dp->config->public_count && !err; i++)
		err = fill_device(dp, dp->config->public_interfaces[i].name);
	return err;
}

/* An interface that is gone is no reason to leave out the others; when it is back, it is told. */
static void follow_interfaces(struct datapath *dp)
{
	for (size_t i = 0; i < dp->config->private_count; i++)
		fill_device(dp, dp->config->private_interfaces[i].name);
	for (size_t i = 0; i < dp->config->public_count; i++)
		fill_device(dp, dp->config->public_interfaces[i].name);
	if (dp->attach)
		attach_follow(dp->attach, dp->netlink);
}

/* In whose name N speaks to peers: its address on the first public interface that has one. */
static __be32 speaker_of(const struct datapath *dp)
{
	for (size_t i = 0; i < dp->config->public_count; i++) {
		__be32 addr = netlink_address_get(dp->netlink, if_nametoindex(dp->config->public_interfaces[i].name));

		if (addr)
			return addr;
	}
	return 0;
}

/* It may change, with DHCP; while there is none the last one serves. */
static void follow_speaker(struct datapath *dp)
{
	__be32 now = speaker_of(dp);

	if (now && now != dp->speaker)
		datapath_pools_add(dp, dp->config);
}

/* --- the loop ----------------------------------------------------------------------------------------- */

int datapath_fd(const struct datapath *dp, unsigned int i)
{
	return i == 0 ? ring_buffer__epoll_fd(dp->events) : netlink_fd(dp->netlink);
}

void datapath_ready(struct datapath *dp, unsigned int i, uint64_t now_ms)
{
	dp->now = now_ms;
	if (i == 0)
		drain(dp);
	else
		nexthops_ready(dp->nexthops, now_ms);
	if (nexthops_moved(dp->nexthops))
		follow_interfaces(dp);
}

bool datapath_recheck(struct datapath *dp, uint64_t now_ms)
{
	return nexthops_recheck(dp->nexthops, now_ms);
}

int datapath_tick(struct datapath *dp, uint64_t now_ms)
{
	dp->now = now_ms;
	rearm(dp);
	nexthops_tick(dp->nexthops, now_ms);
	slowpath_tick(dp->slow, now_ms);
	learn_tick(dp->learn, now_ms);
	follow_speaker(dp);
	return dp->attach ? attach_keep(dp->attach) : 0;
}

/* --- for rsipctl, metrics, tests -------------------------------------------------------------------------- */

size_t datapath_interfaces(const struct datapath *dp, struct datapath_interface *out, size_t max)
{
	return dp->attach ? attach_interfaces(dp->attach, out, max) : 0;
}

int datapath_counters(const struct datapath *dp, struct rsip_counter out[static RSIP_OUTCOME_COUNT])
{
	int cpus = libbpf_num_possible_cpus();
	struct rsip_counter *values;
	int err = 0;

	if (cpus < 0)
		return cpus;
	values = calloc((size_t)cpus, sizeof(*values));
	if (!values)
		return -ENOMEM;
	memset(out, 0, RSIP_OUTCOME_COUNT * sizeof(*out));
	for (__u32 i = 0; i < RSIP_OUTCOME_COUNT && !err; i++) {
		err = bpf_map_lookup_elem(dp->maps->fd[BPFMAP_COUNTERS], &i, values);
		for (int cpu = 0; cpu < cpus && !err; cpu++) {
			out[i].packets += values[cpu].packets;
			out[i].bytes += values[cpu].bytes;
		}
	}
	free(values);
	return err;
}

struct cookie_visit {
	bool (*visit)(const struct datapath_cookie *cookie, void *arg);
	void *arg;
};

static bool visit_cookie(const struct cookie_entry *entry, void *arg)
{
	const struct cookie_visit *to = arg;
	struct datapath_cookie cookie = { .peer = entry->peer, .port = ntohs(entry->key.port) };

	memcpy(cookie.cookie, entry->key.cookie, sizeof(cookie.cookie));
	return to->visit(&cookie, to->arg);
}

void datapath_cookies(const struct datapath *dp, uint32_t slot,
		      bool (*visit)(const struct datapath_cookie *cookie, void *arg), void *arg)
{
	struct cookie_visit to = { visit, arg };

	cookie_each(learn_cookies(dp->learn), slot, visit_cookie, &to);
}

/* --- life ---------------------------------------------------------------------------------------------------- */

int datapath_pools_add(struct datapath *dp, const struct config *config)
{
	dp->speaker = speaker_of(dp);
	return addresses_add(dp->maps, config, dp->speaker);
}

void datapath_pools_remove(struct datapath *dp, const struct config *before, const struct config *now)
{
	addresses_remove(dp->maps, before, now);
}

/* Once: an interface that goes takes the programs with it, whatever comes in its place. */
static int find_interfaces(struct datapath *dp)
{
	const struct config *config = dp->config;

	dp->private_ifindex = calloc(config->private_count, sizeof(*dp->private_ifindex));
	if (!dp->private_ifindex)
		return -ENOMEM;
	for (size_t i = 0; i < config->private_count; i++) {
		dp->private_ifindex[i] = if_nametoindex(config->private_interfaces[i].name);
		if (!dp->private_ifindex[i])
			return -ENODEV;
	}
	return 0;
}

static int open_parts(struct datapath *dp)
{
	const struct nexthop_calls calls = { .find = on_find, .moved = on_moved, .arg = dp };
	struct bpfmaps *maps = dp->maps;
	int err = slots_init(&dp->free, 0, maps->entries[BPFMAP_BINDS]);

	if (!err)
		err = table_init(&dp->hosts_by_addr, maps->entries[BPFMAP_CLIENTS]);
	if (!err)
		err = grants_init(&dp->grants, maps);
	dp->binds = calloc(maps->entries[BPFMAP_BINDS], sizeof(*dp->binds));
	dp->peers = peers_new(maps, dp->config->datapath.peer_rekey);
	dp->learn = dp->peers ? learn_new(maps, dp->peers) : NULL;
	dp->entries = (struct entries){ maps, dp->peers };
	if (err || !dp->binds || !dp->learn)
		return -ENOMEM;
	err = find_interfaces(dp);
	if (!err)
		err = clock_open(maps, &dp->clock);
	if (err)
		return err;
	dp->events = ring_buffer__new(maps->fd[BPFMAP_EVENTS], on_event, dp, NULL);
	if (!dp->events)
		return -errno;
	err = ring_buffer__add(dp->events, maps->fd[BPFMAP_SLOW], on_slow, dp);
	if (err)
		return err;
	if (maps->adopted)
		err = adopt_begin(maps, &dp->adopt);
	if (err)
		return err;
	if (dp->adopt && adopt_generation(dp->adopt) > dp->generation)
		dp->generation = adopt_generation(dp->adopt);
	err = datapath_pools_add(dp, dp->config);
	if (!err)
		err = fill_devices(dp);
	if (!err)
		err = nexthops_new(dp->config, dp->netlink, &calls, maps->nexthops, maps->entries[BPFMAP_NEXTHOPS],
				   maps->routes, &dp->nexthops);
	if (err)
		return err;
	return slowpath_new(maps, dp->nexthops, &dp->slow);
}

/* --- from an earlier daemon ----------------------------------------------------------------------------------- */

static bool slot_lives(uint32_t slot, void *arg)
{
	const struct datapath *dp = arg;

	return dp->binds[slot].grantee.target.generation;
}

static void settle_client(const void *key, const void *value, void *arg)
{
	struct datapath *dp = arg;
	struct host *host = host_find(dp, *(const __be32 *)key);

	if (!host)
		bpf_map_delete_elem(dp->maps->fd[BPFMAP_CLIENTS], key);
	else
		host->stored = !memcmp(value, &host->value, sizeof(host->value));
}

static uint64_t monotonic_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* What lives on is written where it is not, or not so, in the maps that many share. */
static int settle_shared(struct datapath *dp)
{
	struct host *host;
	int err = bpfmaps_each(dp->maps->fd[BPFMAP_CLIENTS], sizeof(__be32), sizeof(struct rsip_client), settle_client, dp);

	dp->settled = true;
	DL_FOREACH(dp->hosts, host) {
		if (!err && !host->stored)
			err = host_store(dp, host);
	}
	return err ? err : grants_settle(&dp->grants);
}

int datapath_settle(struct datapath *dp)
{
	uint64_t now = monotonic_ms();
	int err;

	if (dp->settled)
		return 0;
	/* First what lives on, so that no packet of it finds the maps half done. */
	err = settle_shared(dp);
	if (err) {
		log_error("data plane: what lives on cannot be written into the maps: %s", strerror(-err));
		return err;
	}
	if (dp->adopt) {
		adopt_sweep(dp->adopt, slot_lives, dp);
		senders_sweep(dp->maps);
		addresses_sweep(dp->maps, dp->config);
		learn_adopt(dp->learn, now);
		peers_settle(dp->peers);
	}
	adopt_end(dp->adopt);
	dp->adopt = NULL;
	nexthops_settle(dp->nexthops, now);
	return 0;
}

static void remove_left(const struct config *config, struct netlink *netlink)
{
	unsigned int programs = attach_remove_left(config, netlink), pins = bpfmaps_remove_pins(config);

	if (programs || pins)
		log_info("data plane: removed what an earlier rsipd left: %u programs, %u pins under %s", programs,
			 pins, config->datapath.pin);
}

int datapath_open(const struct config *config, struct datapath **out)
{
	struct datapath *dp = calloc(1, sizeof(*dp));
	int err;

	if (!dp)
		return -ENOMEM;
	attach_log();
	dp->config = config;
	dp->generation = (uint32_t)time(NULL);
	err = netlink_open(&dp->netlink);
	if (err) {
		log_error("data plane: no netlink: %s", strerror(-err));
		datapath_close(dp);
		return err;
	}
	err = bpfmaps_open(config, &dp->maps);
	if (!err) {
		err = open_parts(dp);
		if (err)
			log_error("data plane: cannot be set up: %s", strerror(-err));
	}
	if (err) {
		datapath_close(dp);
		return err;
	}
	*out = dp;
	return 0;
}

int datapath_attach(struct datapath *dp)
{
	int err = dp->attach ? -EALREADY : datapath_settle(dp);

	return err ? err : attach_new(dp->config, dp->maps, dp->netlink, &dp->attach);
}

bool datapath_is_shared(const struct datapath *dp)
{
	return attach_is_shared(dp->attach);
}

void datapath_detach(struct datapath *dp)
{
	if (dp->attach) {
		attach_off(dp->attach);
		attach_free(dp->attach);
		dp->attach = NULL;
	}
	nexthops_release(dp->nexthops);
	bpfmaps_remove_pins(dp->config);
}

static void free_hosts(struct datapath *dp)
{
	struct host *host, *next;

	DL_FOREACH_SAFE(dp->hosts, host, next)
		free(host);
	table_destroy(&dp->hosts_by_addr);
}

void datapath_close(struct datapath *dp)
{
	if (!dp)
		return;
	attach_free(dp->attach);
	ring_buffer__free(dp->events);
	slowpath_free(dp->slow);
	nexthops_free(dp->nexthops);
	learn_free(dp->learn);
	peers_free(dp->peers);
	clock_close(dp->clock);
	free_hosts(dp);
	grants_fini(&dp->grants);
	slots_fini(&dp->free);
	free(dp->binds);
	free(dp->private_ifindex);
	bpfmaps_close(dp->maps);
	netlink_close(dp->netlink);
	free(dp);
}

int datapath_remove_pins(const struct config *config)
{
	struct netlink *netlink;
	int err = netlink_open(&netlink);

	if (err)
		return err;
	attach_log();
	remove_left(config, netlink);
	netlink_close(netlink);
	return 0;
}
