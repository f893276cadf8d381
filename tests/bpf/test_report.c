// SPDX-License-Identifier: GPL-2.0-only
/* What the daemon hears of packets that a host may not send. */
#include <arpa/inet.h>
#include <criterion/criterion.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include "run.h"

#define FROM_X2	"ip X2 > NA | ip "
#define IP_AT	14	/* of the tunnel header, in a frame without a tag */

struct reported {
	struct row row;
	const char *client;		/* NULL: nothing is reported */
	__u32 bind;
	unsigned int sport, dport;
};

static void expect(struct world *w, const struct reported *what)
{
	const struct rsip_event_violation *event;
	struct frame in;
	struct run run;

	pkt_build(what->row.in, &in);
	cr_expect(row_run(w, PRIVATE, &what->row, &run));
	cr_expect_eq(run.events, !!what->client, "%s: %d events", what->row.name, run.events);
	cr_expect_eq(run.violations, run.events);
	if (!what->client || !run.violations)
		return;
	event = &run.violation;
	cr_expect_eq(event->outcome, what->row.outcome, "%s", what->row.name);
	cr_expect_eq(event->client, pkt_addr(what->client), "%s", what->row.name);
	cr_expect_eq(event->bind_id, what->bind, "%s: bind %u", what->row.name, event->bind_id);
	cr_expect_arr_eq(&event->src, in.data + (in.data[IP_AT + 9] == RSIP_PROTO_GRE ? 4 : 0) + IP_AT + 20 + 12, 8, "%s",
			 what->row.name);
	cr_expect_eq(event->sport, htons((uint16_t)what->sport), "%s", what->row.name);
	cr_expect_eq(event->dport, htons((uint16_t)what->dport), "%s", what->row.name);
}

/* Stores a host's entry as the daemon does when it wants to hear again. */
static void rearm(struct world *w, const char *host)
{
	__be32 key = pkt_addr(host);
	struct rsip_client client = { .client_id = 9 };

	cr_assert_eq(bpf_map__update_elem(w->skel->maps.rsip_clients, &key, sizeof(key), &client, sizeof(client), 0), 0);
}

/* covers: EG-01 EG-02 EG-03 EG-04 EG-05 EG-06 EG-08 EG-13 ASY-06 */
Test(report, each_kind_once)
{
	static const struct reported table[] = {
		{ { "no such port", FROM_X2 "NB > Y | tcp 9 > 80", RSIP_OUT_NO_PORT, NULL }, "X2", 0, 9, 80 },
		{ { "again", FROM_X2 "NB > Y | tcp 9 > 80", RSIP_OUT_NO_PORT, NULL }, NULL, 0, 0, 0 },
		{ { "another one", FROM_X2 "NB > Y | udp 10 > 80", RSIP_OUT_NO_PORT, NULL }, NULL, 0, 0, 0 },
		{ { "a protocol without ports is the same kind", FROM_X2 "NB > Y proto 132 | data 20",
		    RSIP_OUT_PROTOCOL, NULL }, NULL, 0, 0, 0 },
		{ { "address", FROM_X2 "SH > Y | tcp 40000 > 80", RSIP_OUT_ADDRESS, NULL }, "X2", 0, 40000, 80 },
		{ { "remote address", FROM_X2 "NB > Z | tcp 42000 > 80", RSIP_OUT_REMOTE_ADDRESS, NULL }, "X2", 4, 42000,
		  80 },
		{ { "remote port", FROM_X2 "NB > Y | udp 43000 > 81", RSIP_OUT_REMOTE_PORT, NULL }, "X2", 5, 43000, 81 },
		{ { "tunnel", "ip X2 > NA | gre | ip NB > Y | udp 42000 > 80", RSIP_OUT_TUNNEL, NULL }, "X2", 4, 42000, 80 },
		{ { "no IPsec", "ip X4 > NA | ip NB > Y | esp 7", RSIP_OUT_NO_IPSEC, NULL }, "X4", 0, 0, 0 },
		{ { "another host, the same kind", "ip X4 > NA | ip NB > Y | tcp 9 > 80", RSIP_OUT_NO_PORT, NULL }, "X4", 0,
		  9, 80 },
		{ { "the port is another host's, so is its bind", "ip X1 > NA | ip NB > Y | udp 40100 > 80", RSIP_OUT_NO_PORT,
		    NULL }, "X1", 0, 40100, 80 },
		{ { "a protocol without ports", "ip X5 > NA | ip NB > Y proto 132 | data 20", RSIP_OUT_PROTOCOL, NULL }, "X5",
		  0, 0, 0 },
		{ { "ESP to a remote of no bind", "ip X5 > NA | ip NB > Z | esp 7", RSIP_OUT_REMOTE_ADDRESS, NULL }, "X5", 0,
		  0, 0 },
		{ { "not registered", "ip XU > NA | ip NB > Y | tcp 9 > 80", RSIP_OUT_UNREGISTERED, NULL }, NULL, 0, 0, 0 },
		{ { "a tunnel to somebody else", "ip X3 > Y | ip NB > Y | tcp 9 > 80", RSIP_OUT_PASS, NULL }, NULL, 0, 0, 0 },
		{ { "cookie 0", "ip X1 > NA | ip NB > Y | udp 500 > 500 | ike 0", RSIP_OUT_COOKIE_ZERO, NULL }, NULL, 0, 0,
		  0 },
		{ { "TTL", "ip X1 > NA | ip NB > Y ttl 1 | udp 40000 > 80", RSIP_OUT_TTL_TOLD, NULL }, NULL, 0, 0, 0 },
		{ { "malformed", "ip X3 > NA | ip NB > Y | udp 5 > 5 len 7", RSIP_OUT_MALFORMED, NULL }, NULL, 0, 0, 0 },
	};
	static const struct reported after = { { "heard again", FROM_X2 "NB > Y | tcp 9 > 80", RSIP_OUT_NO_PORT, NULL },
					       "X2", 0, 9, 80 };
	static const struct reported ended = { { "the slot of its bind was used again", "ip X1 > NA | ip NB > Y | udp 40017 > 80",
						 RSIP_OUT_NO_PORT, NULL }, "X1", 0, 40017, 80 };
	struct world w;

	world_open(&w);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		expect(&w, &table[i]);
	rearm(&w, "X2");
	expect(&w, &after);
	rearm(&w, "X1");
	expect(&w, &ended);
	world_close(&w);
}

#define FLOOD	10000

/* One event, all dropped, all counted. covers: ASY-06 SEC-07 ADM-05 */
Test(report, flood)
{
	static const struct row row = { "again", FROM_X2 "NB > Y | tcp 9 > 80", RSIP_OUT_NO_PORT, NULL };
	struct frame in;
	struct run run;
	struct world w;

	world_open(&w);
	pkt_build(row.in, &in);
	{
		LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in.data, .data_size_in = (__u32)in.len, .repeat = FLOOD - 1);

		cr_assert_eq(bpf_prog_test_run_opts(bpf_program__fd(w.skel->progs.rsip_private), &opts), 0);
		cr_expect_eq(opts.retval, XDP_DROP);
	}
	world_run(&w, PRIVATE, &in, &run);
	cr_expect_eq(run.events, 1, "%d events", run.events);
	cr_expect_eq(run.action, XDP_DROP);
	cr_expect_eq(world_counted(&w, RSIP_OUT_NO_PORT), FLOOD);
	world_close(&w);
}
