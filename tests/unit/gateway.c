// SPDX-License-Identifier: GPL-2.0-only
/* See gateway.h. */
#include "gateway.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"

__be32 ip4(const char *text)
{
	__be32 addr = 0;

	cr_assert(addr_parse(text, &addr), "%s", text);
	return addr;
}

struct gateway *gateway_new(void)
{
	struct gateway *g = calloc(1, sizeof(*g));

	g->box = calloc(GATEWAY_BOX, sizeof(*g->box));
	g->now = 1000000;
	g->private_interface = (struct config_interface){ .name = "lan0", .address = ip4(GATEWAY_NA) };
	g->range = (struct addr_range){ ntohl(ip4("192.0.2.1")), ntohl(ip4("192.0.2.254")) };
	g->pool = (struct config_pool){
		.name = "shared", .addresses = &g->range, .address_count = 1, .rsap = true, .rsipsec = true,
		.ports = { 1, 65535 }, .spis = { 0x100, 0xffffffff },
	};
	g->rule = (struct config_client){
		.match = { ip4("10.0.0.0"), 8 }, .local_policy = RSIP_POLICY_MACRO, .remote_policy = RSIP_POLICY_NONE,
		.ipsec = true, .listen = CONFIG_LISTEN_POLICY,
		.max_binds = 1000, .max_ports = 65535, .max_spis = 65535, .max_addresses = 16,
	};
	g->local_network = (struct addr_prefix){ ip4("10.0.0.0"), 8 };
	g->config = (struct config){
		.private_interfaces = &g->private_interface, .private_count = 1,
		.pools = &g->pool, .pool_count = 1,
		.clients = &g->rule, .client_count = 1,
		.leases = { .registration = 600, .normal = 600, .maximum = 3600, .hold_down = 120 },
		.server = { .port = RSIP_PORT, .tcp = true, .udp = true },
		.local_networks = &g->local_network, .local_network_count = 1,
		.tunnels = { RSIP_TUNNEL_IPIP, RSIP_TUNNEL_GRE }, .tunnel_count = 2,
		.datapath.max_bindings = 200000,
	};
	return g;
}

void gateway_lend_whole(struct gateway *g, const char *first, const char *last)
{
	g->whole_range = (struct addr_range){ ntohl(ip4(first)), ntohl(ip4(last)) };
	g->both[0] = g->pool;
	g->both[1] = (struct config_pool){ .name = "whole", .addresses = &g->whole_range, .address_count = 1, .rsa = true };
	g->config.pools = g->both;
	g->config.pool_count = 2;
}

static void keep(const struct origin *to, const uint8_t *data, size_t len, bool close, void *arg)
{
	struct gateway *g = arg;
	struct sent *sent = &g->box[g->sent++];

	cr_assert_lt(g->sent, GATEWAY_BOX);
	sent->to = *to;
	memcpy(sent->data, data, len);
	sent->len = len;
	sent->close = close;
	sent->binds = datapath_fake_binds(g->dp);
}

void gateway_start(struct gateway *g)
{
	log_set_level(LOG_LEVEL_ERROR);
	g->dp = datapath_fake_new();
	if (!g->journal)
		g->journal = journal_fake_new();
	g->s = sessions_new(&g->config, g->dp, g->journal, keep, g);
	cr_assert_not_null(g->s);
}

static void stop(struct gateway *g)
{
	cr_assert_null(datapath_fake_fault(g->dp), "%s", datapath_fake_fault(g->dp));
	sessions_free(g->s);
	datapath_fake_free(g->dp);
}

struct restore_counts gateway_restart(struct gateway *g)
{
	struct restore_counts counts;

	stop(g);
	gateway_start(g);
	datapath_fake_fail(g->dp, g->fail, -ENOSPC);
	cr_assert_eq(sessions_restore(g->s, g->now, &counts), 0);
	return counts;
}

void gateway_free(struct gateway *g)
{
	stop(g);
	journal_fake_free(g->journal);
	free(g->box);
	free(g);
}

struct origin udp_host(uint32_t n)
{
	return (struct origin){ .source = htonl(0x0a000000 + n), .source_port = htons(5000), .local = ip4(GATEWAY_NA) };
}

struct origin tcp_host(uint32_t n)
{
	struct origin origin = udp_host(n);

	origin.tcp = true;
	origin.connection = n;
	return origin;
}

void gateway_input(struct gateway *g, struct origin from, const void *data, size_t len)
{
	/* of its own size: a read past the end is seen by the sanitizer */
	uint8_t *copy = malloc(len ? len : 1);

	if (len)
		memcpy(copy, data, len);
	g->sent = 0;
	session_input(g->s, &from, copy, len, g->now);
	free(copy);
}

size_t gateway_stream(struct gateway *g, struct origin from, const uint8_t *data, size_t len)
{
	g->sent = 0;
	while (len) {
		int frame = msg_frame_len(data, len);

		if (frame == 0)
			return len;
		session_input(g->s, &from, data, frame < 0 ? RSIP_HEADER_LEN : frame, g->now);
		if (frame < 0)
			return 0;
		data += frame;
		len -= frame;
	}
	return 0;
}

void gateway_wait(struct gateway *g, uint64_t ms)
{
	uint64_t until = g->now + ms, next;

	g->sent = 0;
	while ((next = session_tick(g->s, g->now)) && next <= until) {
		cr_assert_gt(next, g->now, "it asks to be called at once");
		g->now = next;
	}
	g->now = until;
	session_tick(g->s, g->now);
}

static bool is_same_origin(const struct origin *a, const struct origin *b)
{
	return a->source == b->source && a->source_port == b->source_port && a->local == b->local &&
	       a->tcp == b->tcp && a->connection == b->connection;
}

const struct sent *gateway_ask(struct gateway *g, struct origin from, const struct msg *m)
{
	static uint8_t data[RSIP_MESSAGE_MAX];
	size_t len = msg_encode(m, data, sizeof(data));

	cr_assert_gt(len, 0, "the test's own message cannot be encoded");
	gateway_input(g, from, data, len);
	cr_assert_leq(g->sent, 1);
	if (!g->sent)
		return NULL;
	cr_assert(is_same_origin(&g->box[0].to, &from), "the answer goes where the request came from (T-31)");
	return &g->box[0];
}

struct msg gateway_call(struct gateway *g, struct origin from, const struct msg *m)
{
	const struct sent *sent = gateway_ask(g, from, m);
	struct msg_fault fault;
	struct msg answer;

	cr_assert_not_null(sent, "no answer");
	cr_assert(msg_decode(sent->data, sent->len, MSG_AT_HOST, from.tcp ? 0 : MSG_UDP, &answer, &fault), "%s",
		  fault.text);
	return answer;
}

/* --- the whole ------------------------------------------------------------------------- */

uint32_t gateway_register(struct gateway *g, uint32_t n)
{
	struct msg m = req_register(1), answer = gateway_call(g, udp_host(n), &m);

	cr_assert_eq(answer.type, RSIP_REGISTER_RESPONSE, "host %u: error %u", n, answer.error);
	return answer.client_id;
}

static bool add_up(const struct pool_usage *usage, void *arg)
{
	struct lent *lent = arg;

	lent->ports_leased += usage->ports_leased;
	lent->spis_leased += usage->spis_leased;
	lent->ports_resting += usage->ports_resting;
	lent->spis_resting += usage->spis_resting;
	lent->grants += usage->grants;
	return true;
}

struct lent gateway_lent(const struct gateway *g)
{
	struct lent lent = { 0 };

	pools_each(session_pools(g->s), add_up, &lent);
	return lent;
}
