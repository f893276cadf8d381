// SPDX-License-Identifier: GPL-2.0-only
/* Asynchronous messages that are said again, alone and out of the gateway. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <string.h>

#include "gateway.h"
#include "rsipd/repeat.h"

static struct repeat of_host(uint32_t host, uint32_t bind)
{
	return (struct repeat){ .to = udp_host(host), .type = RSIP_FREE_RESPONSE, .client_id = host, .bind_id = bind };
}

/* How often something was due by `now`. */
static unsigned int count_due(struct repeats *r, uint64_t now)
{
	struct repeat what;
	unsigned int count = 0;

	while (repeat_due(r, now, &what))
		count++;
	return count;
}

/* covers: T-27 */
Test(repeat, three_times)
{
	struct repeats *r = repeats_new();
	struct repeat what = of_host(2, 7), due;

	cr_expect_eq(repeat_next(r), 0);
	repeat_add(r, &what, 1000);
	cr_expect_eq(count_due(r, 1249), 0);
	for (uint64_t now = 1250; now <= 1750; now += 250) {
		cr_expect_leq(repeat_next(r), now);
		cr_assert(repeat_due(r, now, &due));
		cr_expect_eq(memcmp(&due, &what, sizeof(what)), 0);
		cr_expect_eq(count_due(r, now + 249), 0);
	}
	cr_expect_eq(repeat_next(r), 0);
	cr_expect_eq(count_due(r, 100000), 0);
	repeats_free(r);
}

/* A host that is heard is left alone, others are not. */
Test(repeat, until_it_is_heard)
{
	struct repeats *r = repeats_new();
	struct repeat what;

	for (uint32_t i = 0; i < 6; i++) {
		what = of_host(2 + i % 2, i);
		repeat_add(r, &what, 1000);
	}
	cr_expect_eq(count_due(r, 1250), 6);
	repeat_stop(r, udp_host(2).source);
	repeat_stop(r, udp_host(9).source);
	cr_expect_eq(count_due(r, 1500), 3);
	repeat_stop(r, udp_host(3).source);
	cr_expect_eq(repeat_next(r), 0);
	what = of_host(2, 1);
	repeat_add(r, &what, 2000);
	cr_expect_eq(count_due(r, 2250), 1, "it can be told other things");
	repeats_free(r);
}

/* More than there is room for are said once; what ends makes room. */
Test(repeat, room)
{
	struct repeats *r = repeats_new();
	struct repeat what;

	for (unsigned int round = 0; round < 3; round++) {
		for (uint32_t i = 0; i < REPEATS_MAX + 100; i++) {
			what = of_host(i, 1);
			repeat_add(r, &what, 10000 * round);
		}
		for (unsigned int i = 1; i <= REPEAT_TIMES; i++)
			cr_expect_eq(count_due(r, 10000 * round + i * REPEAT_MS), REPEATS_MAX);
		cr_expect_eq(repeat_next(r), 0);
	}
	repeats_free(r);
}

/* --- out of the gateway ------------------------------------------------------------------- */

/* The messages since the last look are `count` times that one, with counter 0. */
static void expect_said(struct gateway *g, unsigned int count, uint8_t type, uint32_t client, uint32_t bind)
{
	struct msg_fault fault;
	struct msg m;

	cr_expect_eq(g->sent, count, "%zu messages", g->sent);
	for (size_t i = 0; i < g->sent; i++) {
		cr_assert(msg_decode(g->box[i].data, g->box[i].len, MSG_AT_HOST, MSG_UDP, &m, &fault), "%s", fault.text);
		cr_expect_eq(m.type, type);
		cr_expect_eq(m.client_id, client);
		cr_expect_eq(m.bind_id, bind);
		cr_expect_eq(m.counter, 0);
	}
}

/* covers: T-27 T-23 ASY-05 FREE-08 LSE-06 */
Test(repeat, a_lease_that_ran_out)
{
	struct gateway *g = gateway_new();
	uint32_t id;
	struct msg m;

	g->config.leases.registration = 3600;
	gateway_start(g);
	id = gateway_register(g, 2);
	m = req_rsap(id, 1, 2);
	gateway_call(g, udp_host(2), &m);
	gateway_wait(g, 599999);
	cr_expect_eq(g->sent, 0);
	gateway_wait(g, 1);
	expect_said(g, 1, RSIP_FREE_RESPONSE, id, 1);
	gateway_wait(g, 249);
	cr_expect_eq(g->sent, 0);
	gateway_wait(g, 60000);
	expect_said(g, 3, RSIP_FREE_RESPONSE, id, 1);
	gateway_free(g);
}

/* Any message of the host ends it, a refused one as well. covers: T-27 REG-14 ADM-03 */
Test(repeat, a_host_that_was_taken_off)
{
	struct gateway *g = gateway_new();
	uint32_t id;
	struct msg m;

	gateway_start(g);
	id = gateway_register(g, 2);
	gateway_register(g, 3);
	g->sent = 0;
	cr_expect(session_evict(g->s, id, g->now));
	expect_said(g, 1, RSIP_DEREGISTER_RESPONSE, id, 0);
	gateway_wait(g, 300);
	expect_said(g, 1, RSIP_DEREGISTER_RESPONSE, id, 0);
	m = req_query(lease_client_by_address(session_leases(g->s), udp_host(3).source)->client_id, 2);
	gateway_call(g, udp_host(3), &m);
	gateway_wait(g, 200);
	expect_said(g, 1, RSIP_DEREGISTER_RESPONSE, id, 0);
	m = req_query(id, 2);
	cr_expect_eq(gateway_call(g, udp_host(2), &m).error, 301);
	gateway_wait(g, 5000);
	cr_expect_eq(g->sent, 0, "it was heard");
	gateway_free(g);
}

/* TCP says when it has lost something. covers: T-27 ASY-07 */
Test(repeat, not_over_tcp)
{
	struct gateway *g = gateway_new();
	struct msg m = req_register(0);
	uint32_t id;

	gateway_start(g);
	id = gateway_call(g, tcp_host(2), &m).client_id;
	g->sent = 0;
	cr_expect(session_evict(g->s, id, g->now));
	cr_expect_eq(g->sent, 1);
	gateway_wait(g, 5000);
	cr_expect_eq(g->sent, 0);
	gateway_free(g);
}
