// SPDX-License-Identifier: GPL-2.0-only
/* RSA-IP: all of an address, and the flow policy of binds with several remotes and of what AH carries. */
#include <arpa/inet.h>
#include <criterion/criterion.h>

#include "run.h"

#define TO_X1	"eth n > x1 | ip NA > X1 "
#define TO_X2	"eth n > x2 | ip NA > X2 "
#define TO_X5	"eth n > x5 | ip NA > X5 | "
#define TO_Y	"eth n > y | "

static void run(enum side side, const struct row *rows, size_t count)
{
	struct world w;

	world_open(&w);
	rows_run(&w, side, rows, count);
	world_close(&w);
}

/* covers: IN-01 RSA-08 RSA-09 IN-19 IN-20 APG-02 */
Test(whole, inbound)
{
	static const struct row rows[] = {
		{ "a server's port", "ip Y > W1 | tcp 1025 > 80", RSIP_IN_WHOLE,
		  TO_X1 "| ip Y > W1 ttl 63 | tcp 1025 > 80" },
		{ "any peer, UDP", "ip Z > W1 | udp 53 > 53 | data 20", RSIP_IN_WHOLE,
		  TO_X1 "| ip Z > W1 ttl 63 | udp 53 > 53 | data 20" },
		{ "ESP, no SPI was leased", "ip Y > W1 | esp 0x7777 | data 20", RSIP_IN_WHOLE,
		  TO_X1 "| ip Y > W1 ttl 63 | esp 0x7777 | data 20" },
		{ "an SPI that is leased elsewhere", "ip Y > W1 | esp 0x2001 | data 20", RSIP_IN_WHOLE,
		  TO_X1 "| ip Y > W1 ttl 63 | esp 0x2001 | data 20" },
		{ "AH", "ip Y > W1 | ah 9 | data 20", RSIP_IN_WHOLE, TO_X1 "| ip Y > W1 ttl 63 | ah 9 | data 20" },
		{ "IKE, Y begins", "ip Y > W1 | udp 500 > 500 | ike 0x99", RSIP_IN_WHOLE,
		  TO_X1 "| ip Y > W1 ttl 63 | udp 500 > 500 | ike 0x99" },
		{ "too short for IKE", "ip Y > W1 | udp 500 > 500 | bytes 01", RSIP_IN_WHOLE,
		  TO_X1 "| ip Y > W1 ttl 63 | udp 500 > 500 | bytes 01" },
		{ "4500, ESP", "ip Y > W1 | udp 4500 > 4500 | esp 3", RSIP_IN_WHOLE,
		  TO_X1 "| ip Y > W1 ttl 63 | udp 4500 > 4500 | esp 3" },
		{ "4500, keepalive", "ip Y > W1 | udp 4500 > 4500 | bytes ff", RSIP_IN_WHOLE,
		  TO_X1 "| ip Y > W1 ttl 63 | udp 4500 > 4500 | bytes ff" },
		{ "SCTP", "ip Y > W1 proto 132 | data 40", RSIP_IN_WHOLE,
		  TO_X1 "| ip Y > W1 ttl 63 proto 132 | data 40" },
		{ "GRE goes on as it is", "ip Y > W1 | gre | ip Y > NB | esp 0x1001", RSIP_IN_WHOLE,
		  TO_X1 "| ip Y > W1 ttl 63 | gre | ip Y > NB | esp 0x1001" },
		{ "a later fragment", "ip Y > W1 frag 4 | data 64", RSIP_IN_WHOLE,
		  TO_X1 "| ip Y > W1 ttl 63 frag 4 | data 64" },
		{ "malformed", "ip Y > W1 | udp 53 > 53 len 7", RSIP_IN_MALFORMED, NULL },
		{ "TTL", "ip Y > W1 ttl 1 | tcp 1025 > 80", RSIP_IN_TTL_TOLD, NULL },
		{ "too big", "ip Y > W1 df | udp 1 > 2 | data 1453", RSIP_IN_TOO_BIG_TOLD, NULL },
		{ "an address that nobody has", "ip Y > W3 | tcp 1025 > 80", RSIP_IN_NO_PORT, NULL },
		{ "an address that nobody has, SCTP", "ip Y > W3 proto 132 | data 40", RSIP_IN_PROTOCOL, NULL },
		{ "a shared one: SCTP is nobody's", "ip Y > NB proto 132 | data 40", RSIP_IN_PROTOCOL, NULL },
	};

	run(PUBLIC, ROWS(rows));
}

/* covers: FLOW-07 FLOW-08 RSA-08 TUN-03 */
Test(whole, inbound_flow_policy)
{
	static const struct row rows[] = {
		{ "peer and port", "ip Y > W2 | tcp 80 > 9", RSIP_IN_WHOLE,
		  TO_X2 "| gre | ip Y > W2 ttl 63 | tcp 80 > 9" },
		{ "another port", "ip Y > W2 | tcp 81 > 9", RSIP_IN_REMOTE, NULL },
		{ "another peer", "ip Z > W2 | tcp 80 > 9", RSIP_IN_REMOTE, NULL },
		{ "no port: the peer", "ip Y > W2 proto 132 | data 40", RSIP_IN_WHOLE,
		  TO_X2 "| gre | ip Y > W2 ttl 63 proto 132 | data 40" },
		{ "no port: another peer", "ip Z > W2 proto 132 | data 40", RSIP_IN_REMOTE, NULL },
		{ "IKE is a port like others here", "ip Y > W2 | udp 500 > 500 | ike 1", RSIP_IN_REMOTE, NULL },
		{ "behind AH", "ip Y > W2 | ah 7 | udp 80 > 9", RSIP_IN_WHOLE,
		  TO_X2 "| gre | ip Y > W2 ttl 63 | ah 7 | udp 80 > 9" },
		{ "another port behind AH", "ip Y > W2 | ah 7 | udp 81 > 9", RSIP_IN_REMOTE, NULL },
		{ "a fragment waits for the port", "ip Y > W2 frag 4 | data 64", RSIP_IN_FRAGMENT_HELD, NULL },
	};

	run(PUBLIC, ROWS(rows));
}

/* covers: RSA-08 IN-20 EG-07 EG-13 TUN-15 */
Test(whole, outbound)
{
	static const struct row rows[] = {
		{ "any port", "ip X1 > NA | ip W1 > Y | tcp 80 > 1025", RSIP_OUT_WHOLE,
		  TO_Y "ip W1 > Y ttl 63 | tcp 80 > 1025" },
		{ "ESP", "ip X1 > NA | ip W1 > Y | esp 7", RSIP_OUT_WHOLE, TO_Y "ip W1 > Y ttl 63 | esp 7" },
		{ "AH", "ip X1 > NA | ip W1 > Y | ah 7", RSIP_OUT_WHOLE, TO_Y "ip W1 > Y ttl 63 | ah 7" },
		{ "4500", "ip X1 > NA | ip W1 > Y | udp 4500 > 4500 | esp 7", RSIP_OUT_WHOLE,
		  TO_Y "ip W1 > Y ttl 63 | udp 4500 > 4500 | esp 7" },
		{ "SCTP", "ip X1 > NA | ip W1 > Y proto 132 | data 20", RSIP_OUT_WHOLE,
		  TO_Y "ip W1 > Y ttl 63 proto 132 | data 20" },
		{ "a tunnel of its own stays one", "ip X1 > NA | ip W1 > Y | ip NB > Y | esp 7", RSIP_OUT_WHOLE,
		  TO_Y "ip W1 > Y ttl 63 | ip NB > Y | esp 7" },
		{ "a fragment", "ip X1 > NA | ip W1 > Y frag 4 | data 64", RSIP_OUT_WHOLE,
		  TO_Y "ip W1 > Y ttl 63 frag 4 | data 64" },
		{ "another host's", "ip X2 > NA | ip W1 > Y | tcp 80 > 1025", RSIP_OUT_ADDRESS, NULL },
		{ "another host's, SCTP", "ip X2 > NA | ip W1 > Y proto 132 | data 20", RSIP_OUT_ADDRESS, NULL },
		{ "nobody's", "ip X1 > NA | ip W3 > Y | tcp 80 > 1025", RSIP_OUT_ADDRESS, NULL },
		{ "a shared one: SCTP is not covered", "ip X1 > NA | ip NB > Y proto 132 | data 20", RSIP_OUT_PROTOCOL,
		  NULL },
		{ "malformed", "ip X1 > NA | ip W1 > Y | udp 5 > 5 len 7", RSIP_OUT_MALFORMED, NULL },
		{ "micro: peer and port", "ip X2 > NA | gre | ip W2 > Y | tcp 9 > 80", RSIP_OUT_WHOLE,
		  TO_Y "ip W2 > Y ttl 63 | tcp 9 > 80" },
		{ "micro: another port", "ip X2 > NA | gre | ip W2 > Y | tcp 9 > 81", RSIP_OUT_REMOTE_PORT, NULL },
		{ "micro: another peer", "ip X2 > NA | gre | ip W2 > Z | tcp 9 > 80", RSIP_OUT_REMOTE_ADDRESS, NULL },
		{ "micro: another peer, ESP", "ip X2 > NA | gre | ip W2 > Z | esp 9", RSIP_OUT_REMOTE_ADDRESS, NULL },
		{ "micro: a fragment", "ip X2 > NA | gre | ip W2 > Y mf | tcp 9 > 80 | data 20", RSIP_OUT_WHOLE,
		  TO_Y "ip W2 > Y mf ttl 63 | tcp 9 > 80 | data 20" },
		{ "micro: a fragment, another port", "ip X2 > NA | gre | ip W2 > Y mf id 3 | tcp 9 > 81 | data 20",
		  RSIP_OUT_REMOTE_PORT, NULL },
		{ "the other tunnel", "ip X2 > NA | ip W2 > Y | tcp 9 > 80", RSIP_OUT_TUNNEL, NULL },
	};

	run(PRIVATE, ROWS(rows));
}

/* IKE of a whole address needs no cookie, and leaves none. covers: RSA-08 */
Test(whole, learns_no_cookie)
{
	static const struct row row = { "IKE", "ip X1 > NA | ip W1 > Y | udp 500 > 500 | ike 0x33", RSIP_OUT_WHOLE,
					TO_Y "ip W1 > Y ttl 63 | udp 500 > 500 | ike 0x33" };
	struct run result;
	struct world w;

	world_open(&w);
	cr_expect(row_run(&w, PRIVATE, &row, &result));
	cr_expect_eq(result.events, 0);
	cr_expect_eq(world_cookies(&w), 0);
	world_close(&w);
}

/* covers: FLOW-14 FLOW-07 FLOW-15 */
Test(remotes, several_of_one_bind)
{
	static const struct row in[] = {
		{ "the first", "ip Y > NB3 | udp 80 > 46000", RSIP_IN_PORT, TO_X5 "ip Y > NB3 ttl 63 | udp 80 > 46000" },
		{ "the second", "ip YV > NB3 | esp 0x5025", RSIP_IN_ESP, TO_X5 "ip YV > NB3 ttl 63 | esp 0x5025" },
		{ "none of them", "ip Z > NB3 | udp 80 > 46000", RSIP_IN_REMOTE, NULL },
		{ "none of them, ESP", "ip Z > NB3 | esp 0x5025", RSIP_IN_REMOTE, NULL },
		{ "the port", "ip YV > NB3 | udp 81 > 46000", RSIP_IN_REMOTE, NULL },
	};
	static const struct row out[] = {
		{ "to the first", "ip X5 > NA | ip NB3 > Y | udp 46000 > 80", RSIP_OUT_PORT,
		  TO_Y "ip NB3 > Y ttl 63 | udp 46000 > 80" },
		{ "ESP to the second", "ip X5 > NA | ip NB3 > YV | esp 7", RSIP_OUT_ESP,
		  "eth n > yv | vlan 9 | ip NB3 > YV ttl 63 | esp 7" },
		{ "IKE to the second", "ip X5 > NA | ip NB3 > YV | udp 500 > 500 | ike 0x51", RSIP_OUT_IKE,
		  "eth n > yv | vlan 9 | ip NB3 > YV ttl 63 | udp 500 > 500 | ike 0x51" },
		{ "to neither", "ip X5 > NA | ip NB3 > Z | udp 46000 > 80", RSIP_OUT_REMOTE_ADDRESS, NULL },
		{ "ESP to neither", "ip X5 > NA | ip NB3 > Z | esp 7", RSIP_OUT_REMOTE_ADDRESS, NULL },
		{ "another port", "ip X5 > NA | ip NB3 > Y | udp 46000 > 81", RSIP_OUT_REMOTE_PORT, NULL },
	};

	run(PUBLIC, ROWS(in));
	run(PRIVATE, ROWS(out));
}

/* Any peer, one port of its: that is a policy as well. covers: FLOW-08 FLOW-10 EG-04 */
Test(remotes, port_alone)
{
	static const struct step steps[] = {
		{ PUBLIC, { "any peer, the port", "ip Z > NB | udp 80 > 42000", RSIP_IN_PORT,
			    TO_X2 "| ip Z > NB ttl 63 | udp 80 > 42000" } },
		{ PUBLIC, { "any peer, another port", "ip Z > NB | udp 81 > 42000", RSIP_IN_REMOTE, NULL } },
		{ PRIVATE, { "to the port", "ip X2 > NA | ip NB > Z | udp 42000 > 80", RSIP_OUT_PORT,
			     TO_Y "ip NB > Z ttl 63 | udp 42000 > 80" } },
		{ PRIVATE, { "to another port", "ip X2 > NA | ip NB > Z | udp 42000 > 81", RSIP_OUT_REMOTE_PORT, NULL } },
	};
	struct rsip_bind_rare rare;
	struct world w;

	world_open(&w);
	world_rare(&w, 4, &rare);
	rare.remote = 0;
	rare.remote_port = htons(80);
	world_rare_set(&w, 4, &rare);
	steps_run(&w, steps, sizeof(steps) / sizeof(steps[0]));
	world_close(&w);
}

/* Behind AH in transport mode the ports are readable. covers: APD-01 APD-02 APD-03 APD-04 FLOW-08 FLOW-10 EG-04 EG-03 */
Test(remotes, ports_behind_ah)
{
	static const struct row in[] = {
		{ "the peer's port", "ip Y > NB | ah 0x5001 | tcp 80 > 9", RSIP_IN_AH,
		  TO_X5 "ip Y > NB ttl 63 | ah 0x5001 | tcp 80 > 9" },
		{ "long check value", "ip Y > NB opts 8 | ah 0x5001 icv 32 | udp 80 > 9", RSIP_IN_AH,
		  TO_X5 "ip Y > NB opts 8 ttl 63 | ah 0x5001 icv 32 | udp 80 > 9" },
		{ "another port", "ip Y > NB | ah 0x5001 | tcp 81 > 9", RSIP_IN_REMOTE, NULL },
		{ "another port, long check value", "ip Y > NB | ah 0x5001 icv 32 | udp 81 > 80", RSIP_IN_REMOTE, NULL },
		{ "too short for ports", "ip Y > NB proto 51 | bytes 06010000 00005001 00000001 0050", RSIP_IN_REMOTE, NULL },
		{ "ESP inside", "ip Y > NB | ah 0x5001 | esp 5", RSIP_IN_AH, TO_X5 "ip Y > NB ttl 63 | ah 0x5001 | esp 5" },
		{ "tunnel mode", "ip Y > NB | ah 0x5001 | ip Y > NB | udp 9 > 9", RSIP_IN_AH,
		  TO_X5 "ip Y > NB ttl 63 | ah 0x5001 | ip Y > NB | udp 9 > 9" },
		{ "macro: any port", "ip Y > NB3 | ah 0x2022 | tcp 81 > 9", RSIP_IN_AH,
		  "eth n > x4 | ip NA > X4 | ip Y > NB3 ttl 63 | ah 0x2022 | tcp 81 > 9" },
		{ "macro: the peer", "ip Z > NB3 | ah 0x2022 | tcp 81 > 9", RSIP_IN_REMOTE, NULL },
	};
	static const struct row out[] = {
		{ "to the peer's port", "ip X5 > NA | ip NB > Y | ah 7 | tcp 9 > 80", RSIP_OUT_AH,
		  TO_Y "ip NB > Y ttl 63 | ah 7 | tcp 9 > 80" },
		{ "to another port", "ip X5 > NA | ip NB > Y | ah 7 | tcp 9 > 81", RSIP_OUT_REMOTE_PORT, NULL },
		{ "to another port, UDP", "ip X5 > NA | ip NB > Y opts 4 | ah 7 icv 24 | udp 80 > 81", RSIP_OUT_REMOTE_PORT,
		  NULL },
		{ "too short for ports", "ip X5 > NA | ip NB > Y proto 51 | bytes 11010000 00000007 00000001",
		  RSIP_OUT_REMOTE_PORT, NULL },
		{ "ESP inside", "ip X5 > NA | ip NB > Y | ah 7 | esp 5", RSIP_OUT_AH, TO_Y "ip NB > Y ttl 63 | ah 7 | esp 5" },
		{ "to another peer", "ip X5 > NA | ip NB > Z | ah 7 | tcp 9 > 80", RSIP_OUT_REMOTE_ADDRESS, NULL },
		{ "ESP to another peer", "ip X5 > NA | ip NB > Z | esp 7", RSIP_OUT_REMOTE_ADDRESS, NULL },
		{ "no policy: any port", "ip X1 > NA | ip NB > Y | ah 7 | tcp 9 > 81", RSIP_OUT_AH,
		  TO_Y "ip NB > Y ttl 63 | ah 7 | tcp 9 > 81" },
	};

	run(PUBLIC, ROWS(in));
	run(PRIVATE, ROWS(out));
}
