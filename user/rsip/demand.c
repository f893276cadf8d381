// SPDX-License-Identifier: GPL-2.0-only
/*
 * What programs need, as the program on connect() tells it: more ports when
 * none is free (RSAP-22), a lease for a peer that has none under a remote flow
 * policy (FLOW-12), a word of the gateway on a destination (HOST-04). What was
 * leased so goes back when no socket has used it for a while, sockets in
 * TIME_WAIT included (FREE-07, HOST-07).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "rsip/sources.h"
#include "rsip/instance.h"
#include "rsip/sockets.h"

#define LEASES_MAX	128	/* of all kinds, as the program is told */
#define DEMANDS_MAX	64
#define REFUSED_MS	10000	/* after a refusal nothing more is asked for on demand */
#define LATE_MS		500	/* wishes may have been made before what was asked for came */
#define LOOK_MS		1000

/* A lease that was asked for on demand */
struct demand {
	struct demand *next;
	unsigned int id;
	uint64_t asked_ms;
	uint64_t used_ms;	/* when a socket was last seen on it */
	bool drop;		/* refused, or not used any more: demand_settle() drops it */
};

/* How many of a lease's ports, its first, are not for programs: IKE's, and a server's. */
static size_t own_ports(const struct up *up, const struct client_lease *lease)
{
	uint16_t ike, natt;

	if (lease->want.kind == WANT_LISTEN)
		return lease->ports.count;
	return announce_ike_ports(up, lease, &ike, &natt) ? 2 : 0;
}

/* Ports that `up` leases for programs */
static unsigned int ports_asked(const struct up *up)
{
	return up->options->ports - (up->options->ike_leased ? 2 : 0);
}

/* --- what the program is told ---------------------------------------------------------- */

static size_t ports_of(const struct client_lease *lease, uint16_t out[static RSIP_PORTS_MAX])
{
	if (lease->want.kind == WANT_WHOLE) {
		out[0] = 0;	/* any: the kernel chooses */
		return 1;
	}
	if (lease->ports.form == MSG_NOT_NEEDED)
		return 0;
	for (unsigned int i = 0; i < lease->ports.count; i++)
		out[i] = msg_port_at(&lease->ports, i);
	return lease->ports.count;
}

void demand_leases(struct up *up, const struct client_lease *over)
{
	static uint16_t ports[LEASES_MAX][RSIP_PORTS_MAX];
	struct source_lease leases[LEASES_MAX];
	struct client_item item = { 0 };
	struct client_status status;
	size_t count = 0;

	if (up->sources == NULL)
		return;
	client_status(up->client, &status);
	while (count < LEASES_MAX && client_next(up->client, item.id, &item)) {
		if (item.lease == NULL || (over != NULL && item.id == over->id) || item.want->remote_name[0] != 0 ||
		    commands_closing(up, item.id))
			continue;
		leases[count] = (struct source_lease){
			.peer = { .addr = item.want->remote, .port = htons(item.want->remote_port) },
			.address = item.lease->local,
			.ports = ports[count],
			.port_count = ports_of(item.lease, ports[count]),
			.own_count = own_ports(up, item.lease),
		};
		count++;
	}
	sources_leases(up->sources, leases, count,
		       status.registered && status.remote_policy != RSIP_POLICY_NONE && ports_asked(up) > 0);
	demand_places(up);
}

static void tell_place(struct up *up, const struct addr_prefix *prefix, enum rsip_place place)
{
	struct locality *told = &up->demand.told;

	sources_place(up->sources, prefix, place);
	locality_learn(told, prefix, true);
}

static void tell_subnet(const struct addr_prefix *prefix, void *arg)
{
	tell_place(arg, prefix, RSIP_PLACE_LOCAL);
}

/* Never through the tunnel: this host itself, its links, everybody at once; and the gateway. */
static void tell_always(struct up *up)
{
	static const char *const always[] = {
		"0.0.0.0/32", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "255.255.255.255/32",
	};
	struct addr_prefix gateway = { up->options->gateway.sin_addr.s_addr, 32 }, prefix;

	for (size_t i = 0; i < sizeof(always) / sizeof(*always); i++)
		if (addr_parse_prefix(always[i], &prefix))
			tell_place(up, &prefix, RSIP_PLACE_LOCAL);
	kernel_subnets(&up->asks, tell_subnet, up);
	tell_place(up, &gateway, RSIP_PLACE_LOCAL);
}

static void tell_leased(struct up *up)
{
	struct client_item item = { 0 };

	while (client_next(up->client, item.id, &item)) {
		struct addr_prefix address = { 0, 32 };

		if (item.lease == NULL)
			continue;
		address.network = item.lease->local;
		tell_place(up, &address, item.want->kind == WANT_WHOLE ? RSIP_PLACE_LOCAL : RSIP_PLACE_OWN);
	}
}

void demand_places(struct up *up)
{
	struct locality before = up->demand.told, *told = &up->demand.told;
	const struct locality *known = &up->queries.known;

	if (up->sources == NULL)
		return;
	*told = (struct locality){ 0 };
	for (size_t i = 0; i < known->count; i++)
		tell_place(up, &known->list[i].prefix, known->list[i].local ? RSIP_PLACE_LOCAL : RSIP_PLACE_REMOTE);
	tell_always(up);
	tell_leased(up);
	/* What was told before and is not any more */
	for (size_t i = 0; i < before.count; i++) {
		bool again = false;

		for (size_t n = 0; n < told->count && !again; n++)
			again = told->list[n].prefix.network == before.list[i].prefix.network &&
				told->list[n].prefix.length == before.list[i].prefix.length;
		if (!again)
			sources_place(up->sources, &before.list[i].prefix, RSIP_PLACE_UNKNOWN);
	}
	locality_forget(&before);
}

bool demand_serves(const struct up *up, const struct want *want)
{
	return up->sources != NULL && want->kind == WANT_PORTS && want->remote == 0 && want->remote_name[0] == 0;
}

/* --- what it wishes for ------------------------------------------------------------------- */

static struct demand *demand_of(const struct up *up, unsigned int id)
{
	struct demand *demand;

	LL_SEARCH_SCALAR(up->demand.list, demand, id, id);
	return demand;
}

/* The remote that a lease for this peer has under the flow policy */
static void set_remote(struct want *want, uint8_t policy, const struct rsip_wish *wish)
{
	if (policy != RSIP_POLICY_NONE)
		want->remote = wish->addr;
	if (policy == RSIP_POLICY_MICRO)
		want->remote_port = ntohs(wish->port);
}

/* Is one for the same peer asked for already, or was just now? */
static bool asked_already(const struct up *up, const struct want *want, size_t *count)
{
	const struct demand *demand;

	*count = 0;
	LL_FOREACH(up->demand.list, demand) {
		struct client_item item;

		++*count;
		if (client_next(up->client, demand->id - 1, &item) && item.id == demand->id &&
		    (item.lease == NULL || up_now() - demand->asked_ms < LATE_MS) &&
		    item.want->remote == want->remote && item.want->remote_port == want->remote_port)
			return true;
	}
	return false;
}

static void more_ports(struct up *up, const struct rsip_wish *wish)
{
	struct want want = { .kind = WANT_PORTS, .ports = (uint8_t)ports_asked(up), .tunnel = up->options->tunnel };
	struct client_status status;
	struct demand *demand;
	size_t count;

	client_status(up->client, &status);
	if (!status.registered || up->stopping != STAY || want.ports == 0 || up_now() < up->demand.not_before)
		return;
	set_remote(&want, status.remote_policy, wish);
	if (status.local_policy == RSIP_POLICY_MICRO)
		want.ports = 1;
	if (asked_already(up, &want, &count) || count >= DEMANDS_MAX)
		return;
	demand = calloc(1, sizeof(*demand));
	if (demand == NULL)
		return;
	demand->asked_ms = demand->used_ms = up_now();
	demand->id = client_add(up->client, &want, up_now());
	LL_APPEND(up->demand.list, demand);
	demand_look(up);
	log_info("%u more ports are asked for", want.ports);
}

static void on_wish(const struct rsip_wish *wish, void *arg)
{
	struct up *up = arg;

	if (wish->kind == RSIP_WISH_PORTS)
		more_ports(up, wish);
	else
		queries_unknown(up, wish->addr);
}

static void on_wishes(uv_poll_t *poll, int status, int events)
{
	struct up *up = poll->data;

	sources_read(up->sources, on_wish, up);
	up_step(up);
}

void demand_failed(struct up *up, const struct client_failure *failure)
{
	struct demand *demand = demand_of(up, failure->id);

	if (demand == NULL || failure->type == RSIP_ERROR_RESPONSE || failure->type == RSIP_EXTEND_REQUEST)
		return;
	demand->drop = true;
	up->demand.not_before = up_now() + REFUSED_MS;
}

void demand_gone(struct up *up, unsigned int id)
{
	struct demand *demand = demand_of(up, id);

	if (demand == NULL)
		return;
	LL_DELETE(up->demand.list, demand);
	free(demand);
}

void demand_settle(struct up *up)
{
	struct demand *demand;

	/* Dropping may take it off the list, at once or later. */
	do {
		LL_SEARCH_SCALAR(up->demand.list, demand, drop, true);
		if (demand != NULL) {
			demand->drop = false;
			client_drop(up->client, demand->id, up_now());
		}
	} while (demand != NULL);
}

/* --- what is not needed any more ------------------------------------------------------------ */

/* Does `uses` say yes to one of its ports? True as well if it cannot be told. */
static bool any_port(const struct client_lease *lease, bool (*uses)(const struct sockets *s, uint16_t port))
{
	struct sockets *sockets = malloc(sizeof(*sockets));
	bool used = sockets == NULL || sockets_read(lease->local, sockets) != 0;

	for (unsigned int i = 0; !used && i < lease->ports.count; i++)
		used = uses(sockets, msg_port_at(&lease->ports, i));
	free(sockets);
	return used;
}

bool demand_rests(const struct client_lease *lease)
{
	return any_port(lease, sockets_rest);
}

static void on_look(uv_timer_t *timer)
{
	struct up *up = timer->data;
	struct client_item item = { 0 };

	while (client_next(up->client, item.id, &item)) {
		struct demand *demand = demand_of(up, item.id);

		if (demand == NULL || item.lease == NULL)
			continue;
		if (any_port(item.lease, sockets_use))
			demand->used_ms = up_now();
		else if (up_now() - demand->used_ms >= up->options->idle * 1000ULL)
			demand->drop = true;
	}
	if (!commands_look(up) && up->demand.list == NULL)
		uv_timer_stop(timer);
	up_step(up);
}

void demand_look(struct up *up)
{
	if (!uv_is_active((uv_handle_t *)&up->look))
		uv_timer_start(&up->look, on_look, LOOK_MS, LOOK_MS);
}

int demand_open(struct up *up)
{
	up->look.data = up;
	uv_timer_init(&up->loop, &up->look);
	if (up->options->manual || sources_open(&up->sources))
		return 0;	/* which is said in the log: programs then have to be told their ports */
	up->wishes.data = up;
	uv_poll_init(&up->loop, &up->wishes, sources_fd(up->sources));
	return uv_poll_start(&up->wishes, UV_READABLE, on_wishes);
}

void demand_forget(struct up *up)
{
	struct demand *demand, *next;

	LL_FOREACH_SAFE(up->demand.list, demand, next)
		free(demand);
	up->demand.list = NULL;
}

void demand_close(struct up *up)
{
	demand_forget(up);
	locality_forget(&up->demand.told);
	sources_close(up->sources);
	up->sources = NULL;
}
