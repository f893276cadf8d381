// SPDX-License-Identifier: GPL-2.0-only
/* ESP and AH of a host that stands in its place in rsip_senders: admitted without a look at the grants. */
#include <arpa/inet.h>
#include <criterion/criterion.h>

#include <bpf/libbpf.h>

#include "run.h"

#define FROM_X1	"ip X1 > NA | ip NB > "
#define TO_Y	"eth n > y | ip NB > Y ttl 63 "

static const struct row esp = { "ESP", FROM_X1 "Y | esp 7", RSIP_OUT_ESP, TO_Y "| esp 7" };

/* The grants say that X1 may not send from NB, nor X2 from NB2. */
static void open_without_grants(struct world *w)
{
	static const char *const grants[][2] = { { "X1", "NB" }, { "X2", "NB2" } };

	world_open(w);
	for (int i = 0; i < 2; i++) {
		const struct rsip_grant_key key = { .client = pkt_addr(grants[i][0]), .addr = pkt_addr(grants[i][1]) };

		cr_assert_eq(bpf_map__delete_elem(w->skel->maps.rsip_grants, &key, sizeof(key), 0), 0);
	}
}

/* covers: EG-07 EG-08 TUN-01 TUN-02 */
Test(sender, admitted)
{
	static const struct row rows[] = {
		{ "ESP", FROM_X1 "Y | esp 7 | data 30", RSIP_OUT_ESP, TO_Y "| esp 7 | data 30" },
		{ "in UDP", FROM_X1 "Y | udp 4500 > 4500 | esp 7", RSIP_OUT_NATT, TO_Y "| udp 4500 > 4500 | esp 7" },
		{ "AH", FROM_X1 "Y | ah 9 | tcp 5 > 6", RSIP_OUT_AH, TO_Y "| ah 9 | tcp 5 > 6" },
		{ "another peer", FROM_X1 "Z | esp 7", RSIP_OUT_ESP, "eth n > y | ip NB > Z ttl 63 | esp 7" },
		{ "another address", "ip X1 > NA | ip NB3 > Y | esp 7", RSIP_OUT_ADDRESS, NULL },
		{ "another host", "ip X4 > NA | ip NB > Y | esp 7", RSIP_OUT_NO_IPSEC, NULL },
		{ "another tunnel", "ip X1 > NA | gre | ip NB > Y | esp 7", RSIP_OUT_ADDRESS, NULL },
		{ "another end of it", "ip X1 > NA2 | ip NB > Y | esp 7", RSIP_OUT_ADDRESS, NULL },
		{ "keepalive: no SPI", FROM_X1 "Y | udp 4500 > 4500 | bytes ff", RSIP_OUT_ADDRESS, NULL },
		{ "IKE: no SPI", FROM_X1 "Y | udp 500 > 500 | ike 7", RSIP_OUT_ADDRESS, NULL },
		{ "TTL of 1", FROM_X1 "Y ttl 1 | esp 7", RSIP_OUT_TTL_TOLD, NULL },
		{ "through GRE", "ip X2 > NA | gre | ip NB2 > Y | esp 7", RSIP_OUT_ESP, "eth n > y | ip NB2 > Y ttl 63 | esp 7" },
		{ "not through GRE", "ip X2 > NA | ip NB2 > Y | esp 7", RSIP_OUT_ADDRESS, NULL },
		{ "and after all that", FROM_X1 "Y | esp 7", RSIP_OUT_ESP, TO_Y "| esp 7" },
	};
	struct world w;

	open_without_grants(&w);
	rows_run(&w, PRIVATE, ROWS(rows));
	world_close(&w);
}

static void over(struct world *w, struct rsip_sender *sender)
{
	sender->ends = world_tick(w);
}

static void nobodys(struct world *w, struct rsip_sender *sender)
{
	(void)w;
	sender->client = 0;
}

static void another_hosts(struct world *w, struct rsip_sender *sender)
{
	(void)w;
	sender->client = pkt_addr("X2");
}

static void at_another_address(struct world *w, struct rsip_sender *sender)
{
	(void)w;
	sender->addr = pkt_addr("NB2");
}

static void at_another_gateway(struct world *w, struct rsip_sender *sender)
{
	(void)w;
	sender->gateway = pkt_addr("NA2");
}

static void in_another_tunnel(struct world *w, struct rsip_sender *sender)
{
	(void)w;
	sender->tunnel = RSIP_PROTO_GRE;
}

/* Whatever does not fit, the grants have the last word. */
/* covers: EG-08 FREE-04 FAIL-10 */
Test(sender, must_fit)
{
	static void (*const changes[])(struct world *w, struct rsip_sender *sender) = {
		over, nobodys, another_hosts, at_another_address, at_another_gateway, in_another_tunnel,
	};
	const struct row refused = { "refused", esp.in, RSIP_OUT_ADDRESS, NULL };
	struct rsip_sender sender, changed;
	struct world w;
	struct run run;

	open_without_grants(&w);
	world_sender(&w, "X1", &sender);
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		changed = sender;
		changes[i](&w, &changed);
		world_sender_set(&w, "X1", &changed);
		cr_expect(row_run(&w, PRIVATE, &refused, &run), "change %zu", i);
		world_sender_set(&w, "X1", &sender);
		cr_expect(row_run(&w, PRIVATE, &esp, &run), "after change %zu", i);
	}
	world_close(&w);
}
