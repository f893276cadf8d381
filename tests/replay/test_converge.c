// SPDX-License-Identifier: GPL-2.0-only
/*
 * Real hosts (client.c) and the real gateway (session.c) in simulated time, with
 * a network between them that loses, doubles, delays and reorders datagrams. At
 * every moment: what a host holds, the gateway has granted to it and the data
 * plane delivers. Once the network is good again: everybody gets what was asked for,
 * and nobody holds more; after the hosts have stopped, nothing is left.
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdlib.h>
#include <string.h>

#include "../random.h"
#include "../unit/gateway.h"
#include "rsip/client.h"

#define HOSTS		6
#define FIRST		11		/* 10.0.0.11 */
#define WANTS		3
#define FLIGHTS		4096		/* datagrams on their way, at most */
#define STEP_MS		20
#define BAD_MS		(20 * 60000)
#define GOOD_MS		(15 * 60000)
#define QUIET_MS	5000

struct flight {
	uint64_t due;
	uint32_t host;
	bool to_gateway;
	uint8_t *data;
	size_t len;
};

struct network {
	unsigned int lost, doubled;	/* of 100 */
	unsigned int delay_ms;		/* at most */
};

struct host {
	struct world *world;
	uint32_t number;
	struct client *c;
	uint64_t next;
	unsigned int ids[WANTS], count;
	bool stopped;
};

struct world {
	struct gateway *g;
	struct network network;
	struct flight flights[FLIGHTS];
	size_t flight_count;
	struct host hosts[HOSTS];
	uint64_t granted, lost_leases;
};

static void fly(struct world *w, bool to_gateway, uint32_t host, const uint8_t *data, size_t len)
{
	struct flight *f = &w->flights[w->flight_count];
	uint8_t *copy = malloc(len);

	cr_assert_lt(w->flight_count, FLIGHTS);
	memcpy(copy, data, len);
	*f = (struct flight){ w->g->now + 1 + arc4random_uniform(w->network.delay_ms), host, to_gateway, copy, len };
	w->flight_count++;
}

static void post(struct world *w, bool to_gateway, uint32_t host, const uint8_t *data, size_t len)
{
	if (arc4random_uniform(100) < w->network.lost)
		return;
	fly(w, to_gateway, host, data, len);
	while (arc4random_uniform(100) < w->network.doubled)
		fly(w, to_gateway, host, data, len);
}

/* What the gateway said since it was looked at last. */
static void post_box(struct world *w)
{
	for (size_t i = 0; i < w->g->sent; i++) {
		const struct sent *sent = &w->g->box[i];

		post(w, false, ntohl(sent->to.source) - 0x0a000000, sent->data, sent->len);
	}
	w->g->sent = 0;
}

/* --- what a host says -------------------------------------------------------------------- */

static void on_send(const uint8_t *data, size_t len, void *arg)
{
	struct host *host = arg;

	post(host->world, true, host->number, data, len);
}

static void on_granted(const struct client_lease *lease, void *arg)
{
	struct host *host = arg;

	host->world->granted++;
}

static void on_ended(const struct client_lease *lease, enum client_end why, void *arg)
{
	struct host *host = arg;

	host->world->lost_leases += why != CLIENT_RELEASED;
}

static void on_stopped(void *arg)
{
	struct host *host = arg;

	host->stopped = true;
}

static void on_lease(const struct client_lease *lease, void *arg) {}
static void on_tcp(void *arg) { cr_assert_fail("changed to TCP"); }
static void on_failed(const struct client_failure *failure, void *arg) {}
static void on_state(enum client_state state, void *arg) {}
static void on_answer(const struct msg *response, void *arg) {}

static const struct client_ops ops = {
	.send = on_send, .use_tcp = on_tcp, .granted = on_granted, .extended = on_lease, .ended = on_ended,
	.failed = on_failed, .state = on_state, .answer = on_answer, .stopped = on_stopped,
};

/* --- claims -------------------------------------------------------------------------------- */

static void check_lease(const struct world *w, const struct host *host, const struct client_lease *lease)
{
	__be32 source = udp_host(host->number).source;

	if (lease->expires <= w->g->now)
		return;			/* it is told at its next client_run() */
	for (unsigned int i = 0; i < lease->ports.count; i++)
		cr_assert_eq(datapath_fake_port(w->g->dp, lease->local, msg_port_at(&lease->ports, i)), source,
			     "host %u holds port %u, which leads elsewhere", host->number,
			     msg_port_at(&lease->ports, i));
	for (unsigned int i = 0; i < lease->spis.count; i++)
		cr_assert_eq(datapath_fake_spi(w->g->dp, lease->local, msg_spi_at(&lease->spis, i)), source,
			     "host %u holds SPI 0x%x, which leads elsewhere", host->number,
			     msg_spi_at(&lease->spis, i));
}

/* Returns how many leases the host has. */
static unsigned int check_host(const struct world *w, const struct host *host)
{
	struct client_item item = { 0 };
	unsigned int leases = 0;

	while (client_next(host->c, item.id, &item)) {
		if (!item.lease)
			continue;
		leases++;
		check_lease(w, host, item.lease);
	}
	return leases;
}

static void check(const struct world *w)
{
	cr_assert_null(datapath_fake_fault(w->g->dp), "%s", datapath_fake_fault(w->g->dp));
	for (uint32_t i = 0; i < HOSTS; i++)
		check_host(w, &w->hosts[i]);
}

/* --- time ---------------------------------------------------------------------------------- */

static void run_host(struct world *w, struct host *host)
{
	host->next = client_run(host->c, w->g->now);
}

static void deliver(struct world *w, struct flight f)
{
	struct host *host = &w->hosts[f.host - FIRST];

	if (f.to_gateway) {
		gateway_input(w->g, udp_host(f.host), f.data, f.len);
		post_box(w);
	} else {
		client_input(host->c, f.data, f.len, w->g->now);
		run_host(w, host);
	}
	free(f.data);
}

static void step(struct world *w)
{
	gateway_wait(w->g, STEP_MS);
	post_box(w);
	for (size_t i = 0; i < w->flight_count;) {
		struct flight f = w->flights[i];

		if (f.due > w->g->now) {
			i++;
			continue;
		}
		w->flights[i] = w->flights[--w->flight_count];
		deliver(w, f);
	}
	for (uint32_t i = 0; i < HOSTS; i++) {
		if (w->hosts[i].next && w->hosts[i].next <= w->g->now)
			run_host(w, &w->hosts[i]);
	}
	check(w);
}

static void pass(struct world *w, uint64_t ms)
{
	for (uint64_t end = w->g->now + ms; w->g->now < end;)
		step(w);
}

/* --- a run ----------------------------------------------------------------------------------- */

static void ask(struct world *w, struct host *host)
{
	struct want want = { .kind = arc4random_uniform(2) ? WANT_IPSEC : WANT_PORTS };

	if (want.kind == WANT_IPSEC)
		want.spis = 1 + arc4random_uniform(8);
	else
		want.ports = 1 + arc4random_uniform(20);
	want.lease = arc4random_uniform(2) ? 30 + arc4random_uniform(300) : 0;
	host->ids[host->count++] = client_add(host->c, &want, w->g->now);
}

/* Leases come and go while the network is bad. */
static void live(struct world *w, uint64_t ms)
{
	for (uint64_t end = w->g->now + ms; w->g->now < end;) {
		struct host *host = &w->hosts[arc4random_uniform(HOSTS)];

		pass(w, 1000 * (1 + arc4random_uniform(60)));
		if (host->count < WANTS) {
			ask(w, host);
		} else if (!arc4random_uniform(4)) {
			client_drop(host->c, host->ids[--host->count], w->g->now);
		}
		run_host(w, host);
	}
}

static void check_end(const struct world *w)
{
	uint32_t binds = 0;

	for (uint32_t i = 0; i < HOSTS; i++) {
		cr_assert_eq(check_host(w, &w->hosts[i]), w->hosts[i].count, "host %u has %u leases of %u", i,
			     check_host(w, &w->hosts[i]), w->hosts[i].count);
		binds += w->hosts[i].count;
	}
	cr_assert_eq(lease_bind_count(session_leases(w->g->s)), binds, "%u binds, but the hosts have %u",
		     lease_bind_count(session_leases(w->g->s)), binds);
}

static void stop_all(struct world *w)
{
	for (uint32_t i = 0; i < HOSTS; i++) {
		w->hosts[i].count = 0;
		client_stop(w->hosts[i].c, w->g->now);
		run_host(w, &w->hosts[i]);
	}
	pass(w, 60000);
	for (uint32_t i = 0; i < HOSTS; i++)
		cr_assert(w->hosts[i].stopped, "host %u did not stop", i);
	cr_assert_eq(lease_client_count(session_leases(w->g->s)), 0);
	cr_assert_eq(datapath_fake_binds(w->g->dp), 0);
	cr_assert_eq(datapath_fake_clients(w->g->dp), 0);
}

struct trial {
	unsigned int seed;
	struct network network;
};

ParameterizedTestParameters(converge, bad_network)
{
	static struct trial trials[] = {
		{ 1, { 0, 0, 1 } }, { 2, { 0, 60, 10 } }, { 9, { 5, 5, 10 } }, { 3, { 20, 10, 50 } }, { 4, { 40, 30, 200 } },
		{ 5, { 60, 0, 400 } }, { 6, { 10, 60, 1500 } }, { 7, { 90, 0, 10 } }, { 8, { 30, 30, 3000 } },
	};

	return cr_make_param_array(struct trial, trials, sizeof(trials) / sizeof(trials[0]));
}

/* covers: T-18 */
ParameterizedTest(struct trial *trial, converge, bad_network)
{
	struct world *w = calloc(1, sizeof(*w));

	random_reset(trial->seed);
	w->g = gateway_new();
	w->network = trial->network;
	gateway_start(w->g);
	for (uint32_t i = 0; i < HOSTS; i++) {
		struct host *host = &w->hosts[i];

		*host = (struct host){ .world = w, .number = FIRST + i };
		host->c = client_new(&ops, NULL, host);
		client_start(host->c, w->g->now);
		ask(w, host);
		run_host(w, host);
	}
	live(w, BAD_MS);
	w->network = (struct network){ .delay_ms = 5 };
	/* Where nothing was lost there is nothing that only time ends. */
	pass(w, trial->network.lost ? GOOD_MS : QUIET_MS);
	check_end(w);
	cr_assert_gt(w->granted, 0);
	stop_all(w);
	for (uint32_t i = 0; i < HOSTS; i++)
		client_free(w->hosts[i].c);
	gateway_free(w->g);
	free(w);
}
