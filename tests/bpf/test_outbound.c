// SPDX-License-Identifier: GPL-2.0-only
/* Private side: frames from hosts. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "run.h"

#define FROM_X1	"ip X1 > NA | ip NB > "
#define FROM_X2	"ip X2 > NA | ip NB > "
#define FROM_X5	"ip X5 > NA | ip NB > "
#define TO_Y	"eth n > y | ip NB > Y ttl 63 "
#define TO_Z	"eth n > y | ip NB > Z ttl 63 "

static void run(const struct row *rows, size_t count)
{
	struct world w;

	world_open(&w);
	rows_run(&w, PRIVATE, rows, count);
	world_close(&w);
}

/* covers: EG-07 EG-08 EG-13 IN-20 TUN-01 TUN-02 APA-03 IPS-12 */
Test(outbound, ipsec)
{
	static const struct row rows[] = {
		{ "ESP of X1", FROM_X1 "Y | esp 0xabcdef01 | data 60", RSIP_OUT_ESP, TO_Y "| esp 0xabcdef01 | data 60" },
		{ "ESP of X2", FROM_X2 "Y | esp 0xabcdef01 | data 60", RSIP_OUT_ESP, TO_Y "| esp 0xabcdef01 | data 60" },
		{ "the leased SPI is not special", FROM_X1 "Z | esp 0x1001", RSIP_OUT_ESP, TO_Z "| esp 0x1001" },
		{ "nor that of another host", FROM_X1 "Z | esp 0x2001", RSIP_OUT_ESP, TO_Z "| esp 0x2001" },
		{ "AH", FROM_X1 "Y | ah 7 | udp 1 > 2 | data 9", RSIP_OUT_AH, TO_Y "| ah 7 | udp 1 > 2 | data 9" },
		{ "ESP, no RSIPSEC bind", "ip X4 > NA | ip NB > Y | esp 7", RSIP_OUT_NO_IPSEC, NULL },
		{ "AH, no RSIPSEC bind", "ip X4 > NA | ip NB > Y | ah 7", RSIP_OUT_NO_IPSEC, NULL },
		{ "ESP, RSIPSEC bind ended", "ip X5 > NA | ip NB2 > Y | esp 7", RSIP_OUT_NO_IPSEC, NULL },
		{ "SCTP", FROM_X1 "Y proto 132 | data 20", RSIP_OUT_PROTOCOL, NULL },
	};

	run(ROWS(rows));
}

/* covers: EG-01 EG-02 EG-06 REG-18 REG-19 FLOW-03 */
Test(outbound, ports_and_addresses)
{
	static const struct row rows[] = {
		{ "UDP of X1", FROM_X1 "Y | udp 40000 > 53 | data 3", RSIP_OUT_PORT, TO_Y "| udp 40000 > 53 | data 3" },
		{ "TCP of X1", FROM_X1 "Y | tcp 40000 > 53 opts 8", RSIP_OUT_PORT, TO_Y "| tcp 40000 > 53 opts 8" },
		{ "to another peer", FROM_X1 "Z | udp 40000 > 53", RSIP_OUT_PORT, TO_Z "| udp 40000 > 53" },
		{ "port of nobody", FROM_X1 "Y | udp 40001 > 53", RSIP_OUT_NO_PORT, NULL },
		{ "TCP port of nobody", FROM_X1 "Y | tcp 40001 > 53", RSIP_OUT_NO_PORT, NULL },
		{ "port of X2", FROM_X1 "Y | udp 40100 > 53", RSIP_OUT_NO_PORT, NULL },
		{ "port of a bind that ended", FROM_X1 "Y | udp 40016 > 53", RSIP_OUT_NO_PORT, NULL },
		{ "port of a slot used again", FROM_X1 "Y | udp 40017 > 53", RSIP_OUT_NO_PORT, NULL },
		{ "destination port is the leased one", FROM_X1 "Y | udp 53 > 40000", RSIP_OUT_NO_PORT, NULL },
		{ "address of another host", "ip X4 > NA | ip NB2 > Y | udp 40000 > 53", RSIP_OUT_ADDRESS, NULL },
		{ "its own private address", "ip X1 > NA | ip X1 > Y | udp 40000 > 53", RSIP_OUT_ADDRESS, NULL },
		{ "no lease on this address, ESP", "ip X4 > NA | ip NB2 > Y | esp 7", RSIP_OUT_ADDRESS, NULL },
		{ "no lease on this address, ICMP", "ip X4 > NA | ip NB2 > Y | icmp", RSIP_OUT_ADDRESS, NULL },
		{ "registered, no bind", "ip XR > NA | ip NB > Y | udp 40000 > 53", RSIP_OUT_ADDRESS, NULL },
		{ "registered, no bind, ESP", "ip XR > NA | ip NB > Y | esp 7", RSIP_OUT_ADDRESS, NULL },
		{ "not registered", "ip XU > NA | ip NB > Y | udp 40000 > 53", RSIP_OUT_UNREGISTERED, NULL },
		{ "not registered, ESP", "ip XU > NA | ip NB > Y | esp 7", RSIP_OUT_UNREGISTERED, NULL },
		{ "not registered, IKE", "ip XU > NA | ip NB > Y | udp 500 > 500 | ike 7", RSIP_OUT_UNREGISTERED, NULL },
		{ "not registered, nested", "ip XU > NA | ip NB > Y | ip NB > Y | esp 1", RSIP_OUT_UNREGISTERED, NULL },
		{ "not registered, malformed", "ip XU > NA | ip NB > Y | udp 40000 > 53 len 7", RSIP_OUT_MALFORMED, NULL },
		{ "not registered, outer fragment", "ip XU > NA mf | ip NB > Y | esp 1", RSIP_OUT_UNREGISTERED, NULL },
	};

	run(ROWS(rows));
}

/* covers: FLOW-09 FLOW-15 EG-03 EG-04 APD-01 APD-03 */
Test(outbound, flow_policy)
{
	static const struct row rows[] = {
		{ "macro: the peer", FROM_X2 "Y | udp 42000 > 9", RSIP_OUT_PORT, TO_Y "| udp 42000 > 9" },
		{ "macro: another peer", FROM_X2 "Z | udp 42000 > 9", RSIP_OUT_REMOTE_ADDRESS, NULL },
		{ "micro: the peer, the port", FROM_X2 "Y | tcp 43000 > 80", RSIP_OUT_PORT, TO_Y "| tcp 43000 > 80" },
		{ "micro: the peer, another port", FROM_X2 "Y | tcp 43000 > 81", RSIP_OUT_REMOTE_PORT, NULL },
		{ "micro: another peer", FROM_X2 "Z | tcp 43000 > 80", RSIP_OUT_REMOTE_ADDRESS, NULL },
		{ "ESP to the peer", FROM_X5 "Y | esp 7", RSIP_OUT_ESP, TO_Y "| esp 7" },
		{ "ESP to another peer", FROM_X5 "Z | esp 7", RSIP_OUT_REMOTE_ADDRESS, NULL },
		{ "AH to the peer", FROM_X5 "Y | ah 7 | tcp 9 > 80", RSIP_OUT_AH, TO_Y "| ah 7 | tcp 9 > 80" },
		{ "AH to another peer", FROM_X5 "Z | ah 7", RSIP_OUT_REMOTE_ADDRESS, NULL },
		{ "two binds by remote: the first", "ip X2 > NA | ip NB3 > Y | esp 7", RSIP_OUT_ESP,
		  "eth n > y | ip NB3 > Y ttl 63 | esp 7" },
		{ "two binds by remote: the second", "ip X2 > NA | ip NB3 > Z | esp 7", RSIP_OUT_ESP,
		  "eth n > y | ip NB3 > Z ttl 63 | esp 7" },
		{ "two binds by remote: neither", "ip X2 > NA | ip NB3 > YV | esp 7", RSIP_OUT_REMOTE_ADDRESS, NULL },
		{ "IKE by the second", "ip X2 > NA | ip NB3 > Z | udp 500 > 500 | ike 7", RSIP_OUT_IKE,
		  "eth n > y | ip NB3 > Z ttl 63 | udp 500 > 500 | ike 7" },
		{ "a grant for all with a remote", "ip X4 > NA | ip NB3 > Y | esp 7", RSIP_OUT_ESP,
		  "eth n > y | ip NB3 > Y ttl 63 | esp 7" },
		{ "a grant for all, another peer", "ip X4 > NA | ip NB3 > Z | esp 7", RSIP_OUT_REMOTE_ADDRESS, NULL },
		{ "a grant for all, AH, another peer", "ip X4 > NA | ip NB3 > Z | ah 7", RSIP_OUT_REMOTE_ADDRESS, NULL },
		{ "micro: IKE to the peer, whose port is 500", FROM_X5 "Y | udp 500 > 500 | ike 5", RSIP_OUT_IKE,
		  TO_Y "| udp 500 > 500 | ike 5" },
		{ "micro: known cookie", FROM_X5 "Y | udp 500 > 500 | ike 5", RSIP_OUT_IKE,
		  TO_Y "| udp 500 > 500 | ike 5" },
		{ "micro: IKE to another peer", FROM_X5 "Z | udp 500 > 500 | ike 6", RSIP_OUT_REMOTE_ADDRESS, NULL },
		{ "micro: ESP in UDP to the peer", FROM_X5 "Y | udp 4500 > 4500 | esp 6", RSIP_OUT_NATT,
		  TO_Y "| udp 4500 > 4500 | esp 6" },
		{ "micro: ESP in UDP to another", FROM_X5 "Z | udp 4500 > 4500 | esp 6", RSIP_OUT_REMOTE_ADDRESS, NULL },
	};

	run(ROWS(rows));
}

/* covers: EG-09 IN-31 IKE-09 APG-03 */
Test(outbound, ike_and_nat_traversal_ports)
{
	static const struct row rows[] = {
		{ "IKE of X1", FROM_X1 "Y | udp 500 > 500 | ike 0x51", RSIP_OUT_IKE, TO_Y "| udp 500 > 500 | ike 0x51" },
		{ "IKE on 4500", FROM_X1 "Y | udp 4500 > 4500 | marker | ike 0x52", RSIP_OUT_IKE,
		  TO_Y "| udp 4500 > 4500 | marker | ike 0x52" },
		{ "ESP in UDP", FROM_X1 "Y | udp 4500 > 4500 | esp 7 | data 20", RSIP_OUT_NATT,
		  TO_Y "| udp 4500 > 4500 | esp 7 | data 20" },
		{ "keepalive", FROM_X1 "Y | udp 4500 > 4500 | bytes ff", RSIP_OUT_NATT,
		  TO_Y "| udp 4500 > 4500 | bytes ff" },
		{ "to port 500 from a port of nobody", FROM_X1 "Y | udp 501 > 500 | ike 0x53", RSIP_OUT_NO_PORT, NULL },
		{ "from a leased port", FROM_X1 "Y | udp 40000 > 500 | ike 0x54", RSIP_OUT_PORT,
		  TO_Y "| udp 40000 > 500 | ike 0x54" },
		{ "IKE without a RSIPSEC bind", "ip X4 > NA | ip NB > Y | udp 500 > 500 | ike 0x55", RSIP_OUT_NO_PORT, NULL },
		{ "the same on 4500", "ip X4 > NA | ip NB > Y | udp 4500 > 4500 | marker | ike 0x55", RSIP_OUT_NO_PORT,
		  NULL },
		{ "ESP in UDP without a RSIPSEC bind", "ip X4 > NA | ip NB > Y | udp 4500 > 4500 | esp 7",
		  RSIP_OUT_NO_PORT, NULL },
		{ "keepalive without a RSIPSEC bind", "ip X4 > NA | ip NB > Y | udp 4500 > 4500 | bytes ff",
		  RSIP_OUT_NO_PORT, NULL },
		{ "TCP from 500", FROM_X1 "Y | tcp 500 > 500 | ike 0x56", RSIP_OUT_NO_PORT, NULL },
		{ "IKE too short", FROM_X1 "Y | udp 500 > 500 | bytes 01020304050607", RSIP_OUT_MALFORMED, NULL },
		{ "IKE on 4500 too short", FROM_X1 "Y | udp 4500 > 4500 | marker | bytes 01020304050607",
		  RSIP_OUT_MALFORMED, NULL },
		{ "ESP in UDP too short", FROM_X1 "Y | udp 4500 > 4500 | bytes 01020304050607", RSIP_OUT_MALFORMED, NULL },
		{ "plain 500: as any port", "ip X6 > NA | ip NB3 > Y | udp 500 > 500 | ike 0", RSIP_OUT_PORT,
		  "eth n > y | ip NB3 > Y ttl 63 | udp 500 > 500 | ike 0" },
		{ "plain 500: short", "ip X6 > NA | ip NB3 > Y | udp 500 > 500 | bytes 01", RSIP_OUT_PORT,
		  "eth n > y | ip NB3 > Y ttl 63 | udp 500 > 500 | bytes 01" },
		{ "plain 4500: like ESP", "ip X6 > NA | ip NB3 > Y | udp 4500 > 500 | esp 7", RSIP_OUT_PORT,
		  "eth n > y | ip NB3 > Y ttl 63 | udp 4500 > 500 | esp 7" },
		{ "plain 4500: one byte", "ip X6 > NA | ip NB3 > Y | udp 4500 > 500 | bytes ff", RSIP_OUT_PORT,
		  "eth n > y | ip NB3 > Y ttl 63 | udp 4500 > 500 | bytes ff" },
	};
	struct world w;

	world_open(&w);
	rows_run(&w, PRIVATE, ROWS(rows));
	cr_expect_eq(world_cookies(&w), 2, "only two of these packets are IKE of a RSIPSEC bind");
	world_close(&w);
}

/* covers: EG-05 TUN-03 TUN-06 TUN-10 TUN-15 */
Test(outbound, tunnels)
{
	static const struct row rows[] = {
		{ "GRE", "ip X1 > NA | gre | ip NB > Y | udp 41000 > 53 | data 3", RSIP_OUT_PORT,
		  TO_Y "| udp 41000 > 53 | data 3" },
		{ "GRE, ESP", "ip X2 > NA | gre | ip NB2 > Y | esp 9 | data 3", RSIP_OUT_ESP,
		  "eth n > y | ip NB2 > Y ttl 63 | esp 9 | data 3" },
		{ "GRE with checksum", "ip X1 > NA | gre csum | ip NB > Y | udp 41000 > 53 | data 3", RSIP_OUT_PORT,
		  TO_Y "| udp 41000 > 53 | data 3" },
		{ "GRE with key", "ip X1 > NA | gre key | ip NB > Y | udp 41000 > 53", RSIP_OUT_PORT,
		  TO_Y "| udp 41000 > 53" },
		{ "GRE with all, outer options", "ip X1 > NA opts 8 | gre csum key seq | ip NB > Y opts 4 | udp 41000 > 53",
		  RSIP_OUT_PORT, TO_Y "opts 4 | udp 41000 > 53" },
		{ "GRE, reserved bits set", "ip X1 > NA | gre flags 0x00f8 | ip NB > Y | udp 41000 > 53", RSIP_OUT_PORT,
		  TO_Y "| udp 41000 > 53" },
		{ "GRE on an IP-IP bind", "ip X1 > NA | gre | ip NB > Y | udp 40000 > 53", RSIP_OUT_TUNNEL, NULL },
		{ "IP-IP on a GRE bind", FROM_X1 "Y | udp 41000 > 53", RSIP_OUT_TUNNEL, NULL },
		{ "ESP by GRE on an IP-IP bind", "ip X1 > NA | gre | ip NB > Y | esp 1", RSIP_OUT_TUNNEL, NULL },
		{ "IKE by GRE: nothing is learned", "ip X1 > NA | gre | ip NB > Y | udp 500 > 500 | ike 9",
		  RSIP_OUT_TUNNEL, NULL },
		{ "another tunnel end point", "ip X1 > NA2 | ip NB > Y | udp 40000 > 53", RSIP_OUT_TUNNEL, NULL },
		{ "GRE version 1", "ip X1 > NA | gre flags 1 | ip NB > Y | udp 41000 > 53", RSIP_OUT_MALFORMED, NULL },
		{ "GRE strict source route", "ip X1 > NA | gre flags 0x0800 | ip NB > Y | udp 41000 > 53", RSIP_OUT_MALFORMED, NULL },
		{ "GRE bit 5", "ip X1 > NA | gre flags 0x0400 | ip NB > Y | udp 41000 > 53", RSIP_OUT_MALFORMED, NULL },
		{ "GRE version 4", "ip X1 > NA | gre flags 4 | ip NB > Y | udp 41000 > 53", RSIP_OUT_MALFORMED, NULL },
		{ "GRE routing", "ip X1 > NA | gre flags 0x4000 | ip NB > Y | udp 41000 > 53", RSIP_OUT_MALFORMED, NULL },
		{ "GRE of Ethernet", "ip X1 > NA | gre type 0x6558 | ip NB > Y | udp 41000 > 53", RSIP_OUT_MALFORMED, NULL },
		{ "GRE of IPv6", "ip X1 > NA | gre type 0x86dd | data 60", RSIP_OUT_MALFORMED, NULL },
		{ "nested IP-IP", "ip X1 > NA | ip NB > Y | ip NB > Y | esp 1", RSIP_OUT_NESTED, NULL },
		{ "nested to NA", "ip X1 > NA | ip X1 > NA | ip NB > Y | esp 1", RSIP_OUT_NESTED, NULL },
		{ "nested GRE", "ip X1 > NA | ip NB > Y | gre | ip NB > Y | esp 1", RSIP_OUT_NESTED, NULL },
		{ "outer DSCP stays outside", "ip X1 > NA tos 0xb8 | ip NB > Y tos 0x28 | esp 1", RSIP_OUT_ESP,
		  TO_Y "tos 0x28 | esp 1" },
		{ "VLAN", "vlan 5 | " FROM_X1 "Y | esp 1", RSIP_OUT_ESP, TO_Y "| esp 1" },
		{ "QinQ", "svlan 5 | vlan 6 | " FROM_X1 "Y | esp 1", RSIP_OUT_ESP, TO_Y "| esp 1" },
		{ "VLAN out", FROM_X1 "YV | esp 1", RSIP_OUT_ESP, "eth n > yv | vlan 9 | ip NB > YV ttl 63 | esp 1" },
		{ "VLAN in and out", "vlan 5 | " FROM_X1 "YV | esp 1", RSIP_OUT_ESP,
		  "eth n > yv | vlan 9 | ip NB > YV ttl 63 | esp 1" },
		{ "outer and inner options", "ip X1 > NA opts 40 | ip NB > Y opts 40 | ah 7 icv 64", RSIP_OUT_AH,
		  TO_Y "opts 40 | ah 7 icv 64" },
		{ "padded frame", FROM_X1 "Y | udp 40000 > 9 | pad 4", RSIP_OUT_PORT, TO_Y "| udp 40000 > 9" },
		{ "outer packet longer than the inner one", "ip X1 > NA len 68 | ip NB > Y len 28 | udp 40000 > 9 len 8 | data 20",
		  RSIP_OUT_PORT, "eth n > y | ip NB > Y ttl 63 | udp 40000 > 9" },
	};
	struct world w;

	world_open(&w);
	rows_run(&w, PRIVATE, ROWS(rows));
	cr_expect_eq(world_cookies(&w), 0);
	world_close(&w);
}

/* RFC 6040 4.2, each cell of its table. covers: TUN-11 */
Test(outbound, ecn)
{
	/* [inner][outer], by the two bits: not-ECT, ECT(1), ECT(0), CE. -1: dropped */
	static const int cells[4][4] = {
		{ 0, 0, 0, -1 },
		{ 1, 1, 1, 3 },
		{ 2, 1, 2, 3 },
		{ 3, 3, 3, 3 },
	};
	struct world w;

	world_open(&w);
	for (int inner = 0; inner < 4; inner++)
		for (int outer = 0; outer < 4; outer++) {
			int cell = cells[inner][outer];
			char name[32], in[128], out[128];
			struct row row = { name, in, cell < 0 ? RSIP_OUT_ECN : RSIP_OUT_ESP, cell < 0 ? NULL : out };

			snprintf(name, sizeof(name), "ECN %d in %d", inner, outer);
			snprintf(in, sizeof(in), "ip X1 > NA tos %d | ip NB > Y tos %d | esp 1", outer | 0x48, inner | 0xb8);
			snprintf(out, sizeof(out), TO_Y "tos %d | esp 1", cell | 0xb8);
			rows_run(&w, PRIVATE, &row, 1);
		}
	world_close(&w);
}

/* covers: EG-14 TUN-13 */
Test(outbound, limits)
{
	static const struct row rows[] = {
		{ "TTL 2", "ip X1 > NA ttl 1 | ip NB > Y ttl 2 | esp 1", RSIP_OUT_ESP,
		  "eth n > y | ip NB > Y ttl 1 | esp 1" },
		{ "TTL 1, IKE: nothing is learned", "ip X1 > NA | ip NB > Y ttl 1 | udp 500 > 500 | ike 9",
		  RSIP_OUT_TTL_TOLD, NULL },
		{ "1500 bytes", FROM_X1 "Y df | esp 1 | data 1472", RSIP_OUT_ESP, TO_Y "df | esp 1 | data 1472" },
		{ "an MTU of 100", FROM_X1 "YM | esp 1 | data 72", RSIP_OUT_ESP,
		  "eth n > ym | ip NB > YM ttl 63 | esp 1 | data 72" },
		{ "too big, IKE: nothing is learned", FROM_X1 "YM df | udp 500 > 500 | ike 9 | data 100",
		  RSIP_OUT_TOO_BIG_TOLD, NULL },
	};
	struct world w;

	world_open(&w);
	rows_run(&w, PRIVATE, ROWS(rows));
	cr_expect_eq(world_cookies(&w), 0);
	world_close(&w);
}

/* covers: EG-16 MC-02 EG-14 */
Test(outbound, destinations)
{
	static const struct row rows[] = {
		{ "no way, IKE: nothing is learned", FROM_X1 "YR | udp 500 > 500 | ike 9", RSIP_OUT_UNREACHABLE_TOLD,
		  NULL },
		{ "multicast", FROM_X1 "224.0.0.5 | udp 40000 > 9", RSIP_OUT_UNREACHABLE, NULL },
		{ "multicast, scoped", FROM_X1 "239.1.2.3 | udp 40000 > 9", RSIP_OUT_UNREACHABLE, NULL },
		{ "class E", FROM_X1 "240.0.0.1 | udp 40000 > 9", RSIP_OUT_UNREACHABLE, NULL },
		{ "broadcast", FROM_X1 "255.255.255.255 | udp 40000 > 9", RSIP_OUT_UNREACHABLE, NULL },
		{ "loopback", FROM_X1 "127.0.0.1 | udp 40000 > 9", RSIP_OUT_UNREACHABLE, NULL },
		{ "0.0.0.0, as in a free way", FROM_X1 "0.0.0.0 | udp 40000 > 9", RSIP_OUT_UNREACHABLE, NULL },
	};
	struct world w;

	world_open(&w);
	rows_run(&w, PRIVATE, ROWS(rows));
	cr_expect_eq(world_cookies(&w), 0);
	world_close(&w);
}

/* The daemon gets what would have left. */
Test(outbound, unresolved)
{
	static const struct row row = {
		"unresolved", "ip X1 > NA tos 1 | ip NB > YD tos 2 | udp 40000 > 5 | data 40 | pad 3", RSIP_OUT_RESOLVE,
		"eth n > yd | ip NB > YD ttl 63 tos 1 | udp 40000 > 5 | data 40"
	};
	static const struct row not_cached = {
		"in no cache", "vlan 3 | ip X1 > NA | gre seq | ip NB > YN | udp 41000 > 5", RSIP_OUT_RESOLVE,
		"eth n > yd | ip NB > YN ttl 63 | udp 41000 > 5"
	};
	struct world w;
	struct run run;

	world_open(&w);
	cr_assert(row_run(&w, PRIVATE, &row, &run));
	cr_expect_eq(run.events, 1);
	cr_expect_eq(run.resolve.dst, pkt_addr("YD"));
	cr_expect_eq(run.resolve.inbound, 0);
	cr_assert(row_run(&w, PRIVATE, &not_cached, &run));
	cr_expect_eq(run.resolve.dst, pkt_addr("YN"));
	cr_expect_eq(run.resolve.len, 28);
	world_close(&w);
}

/* covers: EG-15 IN-24 */
Test(outbound, passes)
{
	static const struct row rows[] = {
		{ "plain packet", "ip X1 > Y | udp 40000 > 53", RSIP_OUT_PASS, NULL },
		{ "RSIP itself", "ip X1 > NA | udp 1025 > 4555 | data 20", RSIP_OUT_PASS, NULL },
		{ "ping of NA", "ip X1 > NA | icmp", RSIP_OUT_PASS, NULL },
		{ "ESP to N's own stack", "ip X1 > NA | esp 1", RSIP_OUT_PASS, NULL },
		{ "transit IP-IP", "ip X1 > Y | ip X1 > Z | udp 40000 > 9", RSIP_OUT_PASS, NULL },
		{ "transit IP-IP that looks like a lease", "ip X1 > Y | ip NB > Y | udp 40000 > 9", RSIP_OUT_PASS, NULL },
		{ "transit, ESP inside", "ip X1 > Y | ip NB > Y | esp 9", RSIP_OUT_PASS, NULL },
		{ "transit, IKE inside", "ip X1 > Y | ip NB > Y | udp 500 > 500 | ike 9", RSIP_OUT_PASS, NULL },
		{ "transit, fragment", "ip X1 > Y mf | ip NB > Y | esp 9", RSIP_OUT_PASS, NULL },
		{ "transit, malformed", "ip X1 > Y | ip NB > Y ihl 3 | esp 9", RSIP_OUT_PASS, NULL },
		{ "transit GRE of Ethernet", "ip X1 > Y | gre type 0x6558 | data 60", RSIP_OUT_PASS, NULL },
		{ "transit, bad IHL", "ip X1 > Y ihl 2 | ip NB > Y | esp 9", RSIP_OUT_PASS, NULL },
		{ "not a tunnel, bad IHL", "ip X1 > NA ihl 2 | udp 1 > 2", RSIP_OUT_PASS, NULL },
		{ "a pool address ends no tunnel", "ip X1 > NB | ip NB > Y | udp 40000 > 9", RSIP_OUT_PASS, NULL },
		{ "ARP", "eth y > n type 0x0806 | data 46", RSIP_OUT_PASS, NULL },
		{ "IPv6", "eth y > n type 0x86dd | data 60", RSIP_OUT_PASS, NULL },
		{ "three tags", "svlan 7 | vlan 8 | vlan 9 | " FROM_X1 "Y | esp 1", RSIP_OUT_PASS, NULL },
		{ "multicast", "ip X1 > 224.0.0.22 proto 2 | data 8", RSIP_OUT_PASS, NULL },
	};
	struct world w;

	world_open(&w);
	rows_run(&w, PRIVATE, ROWS(rows));
	cr_expect_eq(world_cookies(&w), 0);
	world_close(&w);
}

/* covers: IN-24 */
Test(outbound, odd_headers)
{
	static const struct row rows[] = {
		{ "outer IHL 4", "ip X1 > NA ihl 4 | ip NB > Y | esp 1", RSIP_OUT_MALFORMED, NULL },
		{ "outer version 5", "ip X1 > NA ver 5 | ip NB > Y | esp 1", RSIP_OUT_MALFORMED, NULL },
		{ "outer longer than the frame", "ip X1 > NA len 49 | ip NB > Y | esp 1", RSIP_OUT_MALFORMED, NULL },
		{ "outer length 20", "ip X1 > NA len 20 | ip NB > Y | esp 1", RSIP_OUT_MALFORMED, NULL },
		{ "outer length cuts the inner header", "ip X1 > NA len 39 | ip NB > Y | esp 1", RSIP_OUT_MALFORMED, NULL },
		{ "outer length cuts the payload", "ip X1 > NA len 47 | ip NB > Y | esp 1", RSIP_OUT_MALFORMED, NULL },
		{ "inner IHL 4", FROM_X1 "Y ihl 4 | esp 1", RSIP_OUT_MALFORMED, NULL },
		{ "inner version 6", FROM_X1 "Y ver 6 | esp 1", RSIP_OUT_MALFORMED, NULL },
		{ "inner longer than outer", FROM_X1 "Y len 29 | esp 1 | pad 8", RSIP_OUT_MALFORMED, NULL },
		{ "inner length cuts ESP", FROM_X1 "Y len 27 | esp 1", RSIP_OUT_MALFORMED, NULL },
		{ "inner UDP length 7", FROM_X1 "Y | udp 40000 > 9 len 7", RSIP_OUT_MALFORMED, NULL },
		{ "inner UDP too long", FROM_X1 "Y | udp 40000 > 9 len 9 | pad 9", RSIP_OUT_MALFORMED, NULL },
		{ "inner TCP offset 4", FROM_X1 "Y | tcp 40000 > 9 off 4", RSIP_OUT_MALFORMED, NULL },
		{ "inner AH length 0", FROM_X1 "Y proto 51 | bytes 060000000000100100000001", RSIP_OUT_MALFORMED, NULL },
		{ "nothing inside", "ip X1 > NA proto 4", RSIP_OUT_MALFORMED, NULL },
		{ "GRE and nothing inside", "ip X1 > NA | gre", RSIP_OUT_MALFORMED, NULL },
		{ "GRE cut in its key", "ip X1 > NA proto 47 | bytes 200008000000", RSIP_OUT_MALFORMED, NULL },
	};

	run(ROWS(rows));
}
