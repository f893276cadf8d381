// SPDX-License-Identifier: GPL-2.0-only
/* Public side: frames from peers. */
#include <arpa/inet.h>
#include <criterion/criterion.h>

#include <bpf/libbpf.h>

#include "run.h"

/* Outer header of what goes to a host; the ID and DF follow the inner header. */
#define TO_X1	"eth n > x1 | ip NA > X1 "
#define TO_X2	"eth n > x2 | ip NA > X2 "
#define TO_X5	"eth n > x5 | ip NA > X5 "

static void run(const struct row *rows, size_t count)
{
	struct world w;

	world_open(&w);
	rows_run(&w, PUBLIC, rows, count);
	world_close(&w);
}

/* covers: IN-03 IN-04 IN-05 IN-06 IN-18 IN-19 IN-20 IPS-12 TUN-01 TUN-02 APA-03 */
Test(inbound, ipsec)
{
	static const struct row rows[] = {
		{ "ESP to X1", "ip Y > NB | esp 0x1001 | data 60", RSIP_IN_ESP,
		  TO_X1 "| ip Y > NB ttl 63 | esp 0x1001 | data 60" },
		{ "ESP to X2 on the same address", "ip Y > NB | esp 0x2001 | data 60", RSIP_IN_ESP,
		  TO_X2 "| ip Y > NB ttl 63 | esp 0x2001 | data 60" },
		{ "AH to X1", "ip Y > NB | ah 0x1001 | udp 5 > 6 | data 20", RSIP_IN_AH,
		  TO_X1 "| ip Y > NB ttl 63 | ah 0x1001 | udp 5 > 6 | data 20" },
		{ "AH to X2, long check value", "ip Y > NB | ah 0x2001 icv 32 | tcp 5 > 6", RSIP_IN_AH,
		  TO_X2 "| ip Y > NB ttl 63 | ah 0x2001 icv 32 | tcp 5 > 6" },
		{ "ESP without a payload", "ip Y > NB | esp 0x1001", RSIP_IN_ESP,
		  TO_X1 "| ip Y > NB ttl 63 | esp 0x1001" },
		{ "same SPI, another address, another bind", "ip Y > NB2 | esp 0x1001", RSIP_IN_ESP,
		  TO_X1 "| ip Y > NB2 ttl 63 | esp 0x1001" },
		{ "found in the slot that the SPI names", "ip Y > NB2 | esp 0xb0e519", RSIP_IN_ESP,
		  TO_X2 "| ip Y > NB2 ttl 63 | esp 0xb0e519" },
		{ "AH, the same", "ip Y > NB2 | ah 0xb0e519", RSIP_IN_AH, TO_X2 "| ip Y > NB2 ttl 63 | ah 0xb0e519" },
		{ "in UDP, the same", "ip Y > NB2 | udp 4500 > 4500 | esp 0xb0e519", RSIP_IN_NATT,
		  TO_X2 "| ip Y > NB2 ttl 63 | udp 4500 > 4500 | esp 0xb0e519" },
		{ "its neighbour in that slot", "ip Y > NB2 | esp 0xb0e51a", RSIP_IN_NO_SPI, NULL },
		{ "the one before it", "ip Y > NB2 | esp 0xb0e518", RSIP_IN_NO_SPI, NULL },
		{ "another SPI that names the slot", "ip Y > NB2 | esp 0x10000d1", RSIP_IN_NO_SPI, NULL },
		{ "that slot, another address", "ip Y > NB | esp 0xb0e519", RSIP_IN_NO_SPI, NULL },
		{ "an SPI that names an ended bind's slot", "ip Y > NB | esp 0x81", RSIP_IN_NO_SPI, NULL },
		{ "unknown SPI", "ip Y > NB | esp 0x1002 | data 60", RSIP_IN_NO_SPI, NULL },
		{ "unknown SPI in AH", "ip Y > NB | ah 0x1002", RSIP_IN_NO_SPI, NULL },
		{ "unknown SPI in AH, a leased port behind it", "ip Y > NB | ah 0x1002 | udp 53 > 40000", RSIP_IN_NO_SPI, NULL },
		{ "SPI 0", "ip Y > NB | esp 0", RSIP_IN_NO_SPI, NULL },
		{ "an SPI of another address", "ip Y > NB | esp 0x9001", RSIP_IN_NO_SPI, NULL },
		{ "a port number as SPI: 40000", "ip Y > NB | esp 40000", RSIP_IN_NO_SPI, NULL },
		{ "an SPI as ports: 0x0000 > 0x1001", "ip Y > NB | udp 0 > 0x1001", RSIP_IN_NO_PORT, NULL },
		{ "SPI at AH's place in ESP", "ip Y > NB | esp 0x03040000 | bytes 00001001", RSIP_IN_NO_SPI, NULL },
	};

	run(ROWS(rows));
}

/* A bind that ends, or whose slot is another's, is not found by its slot either. */
/* covers: FREE-04 IN-28 */
Test(inbound, spi_in_a_slot_ends)
{
	static const struct row over[] = {
		{ "ended", "ip Y > NB2 | esp 0xb0e519", RSIP_IN_NO_SPI, NULL },
	};
	struct rsip_bind bind;
	struct world w;

	world_open(&w);
	world_bind(&w, 26, &bind);
	bind.generation = 0;
	world_bind_set(&w, 26, &bind);
	rows_run(&w, PUBLIC, ROWS(over));
	bind.generation = 7;
	bind.ends = world_tick(&w) - 1;
	world_bind_set(&w, 26, &bind);
	rows_run(&w, PUBLIC, ROWS(over));
	bind.ends = world_tick(&w) + (1 << 20);
	bind.spi_count = 0;
	world_bind_set(&w, 26, &bind);
	rows_run(&w, PUBLIC, ROWS(over));
	world_close(&w);
}

/* covers: IN-02 IN-08 IN-21 IN-30 APE-02 APG-01 FLOW-03 */
Test(inbound, ports)
{
	static const struct row rows[] = {
		{ "UDP to X1", "ip Y > NB | udp 53 > 40000 | data 33", RSIP_IN_PORT,
		  TO_X1 "| ip Y > NB ttl 63 | udp 53 > 40000 | data 33" },
		{ "UDP to X2", "ip Y > NB | udp 53 > 40100 | data 33", RSIP_IN_PORT,
		  TO_X2 "| ip Y > NB ttl 63 | udp 53 > 40100 | data 33" },
		{ "TCP to X1", "ip Y > NB | tcp 80 > 40000 opts 12 | data 100", RSIP_IN_PORT,
		  TO_X1 "| ip Y > NB ttl 63 | tcp 80 > 40000 opts 12 | data 100" },
		{ "another peer", "ip Z > NB | udp 53 > 40000", RSIP_IN_PORT,
		  TO_X1 "| ip Z > NB ttl 63 | udp 53 > 40000" },
		{ "IKE to a leased port, unknown cookie", "ip Y > NB | udp 500 > 40100 | ike 7", RSIP_IN_PORT,
		  TO_X2 "| ip Y > NB ttl 63 | udp 500 > 40100 | ike 7" },
		{ "from 500 is not to 500", "ip Y > NB | udp 500 > 40001 | ike 7", RSIP_IN_NO_PORT, NULL },
		{ "same port, another address", "ip Y > NB2 | udp 53 > 40000", RSIP_IN_PORT,
		  TO_X1 "| ip Y > NB2 ttl 63 | udp 53 > 40000" },
		{ "UDP port of nobody", "ip Y > NB | udp 53 > 40001", RSIP_IN_NO_PORT, NULL },
		{ "TCP port of nobody", "ip Y > NB | tcp 53 > 40001", RSIP_IN_NO_PORT, NULL },
		{ "bytes of the port swapped", "ip Y > NB | udp 53 > 0x409c", RSIP_IN_NO_PORT, NULL },
		{ "source port is a leased one", "ip Y > NB | udp 40000 > 9", RSIP_IN_NO_PORT, NULL },
		{ "UDP shorter than IP says", "ip Y > NB | udp 53 > 40000 len 12 | data 33", RSIP_IN_PORT,
		  TO_X1 "| ip Y > NB ttl 63 | udp 53 > 40000 len 12 | data 33" },
	};

	run(ROWS(rows));
}

/* Cookies are bytes: 0x11.. belongs to X1 towards Y, 0x22.. to X2 towards Y. */
#define C1	"0x1111111122222222"
#define C2	"0x2222222211111111"

/* covers: IN-07 IN-26 IN-27 IN-31 IKE-03 IKE-05 IKE-06 IKE-12 APE-01 APE-05 */
Test(inbound, ike)
{
	static const struct row rows[] = {
		{ "to X1", "ip Y > NB | udp 500 > 500 | ike " C1, RSIP_IN_IKE,
		  TO_X1 "| ip Y > NB ttl 63 | udp 500 > 500 | ike " C1 },
		{ "to X2", "ip Y > NB | udp 500 > 500 | ike " C2 " | data 300", RSIP_IN_IKE,
		  TO_X2 "| ip Y > NB ttl 63 | udp 500 > 500 | ike " C2 " | data 300" },
		{ "a peer may use any port", "ip Y > NB | udp 1024 > 500 | ike " C1, RSIP_IN_IKE,
		  TO_X1 "| ip Y > NB ttl 63 | udp 1024 > 500 | ike " C1 },
		{ "port 4500", "ip Y > NB | udp 4500 > 4500 | marker | ike " C1, RSIP_IN_IKE,
		  TO_X1 "| ip Y > NB ttl 63 | udp 4500 > 4500 | marker | ike " C1 },
		{ "a cookie of 8 bytes and no more", "ip Y > NB | udp 500 > 500 | bytes 1111111122222222", RSIP_IN_IKE,
		  TO_X1 "| ip Y > NB ttl 63 | udp 500 > 500 | bytes 1111111122222222" },
		{ "unknown cookie", "ip Y > NB | udp 500 > 500 | ike 0x1111111122222223", RSIP_IN_NO_COOKIE, NULL },
		{ "cookie 0", "ip Y > NB | udp 500 > 500 | ike 0", RSIP_IN_NO_COOKIE, NULL },
		{ "cookie of another address", "ip R > NB2 | udp 500 > 500 | ike " C1, RSIP_IN_NO_COOKIE, NULL },
		{ "cookie of port 500 only, on 4500", "ip Y > NB | udp 4500 > 4500 | marker | ike " C2,
		  RSIP_IN_NO_COOKIE, NULL },
		{ "marker on port 500", "ip Y > NB | udp 500 > 500 | marker | ike " C1, RSIP_IN_NO_COOKIE, NULL },
		{ "right cookie, wrong peer", "ip Z > NB | udp 500 > 500 | ike " C1, RSIP_IN_REMOTE, NULL },
		{ "right cookie, wrong peer, 4500", "ip Z > NB | udp 4500 > 4500 | marker | ike " C1, RSIP_IN_REMOTE,
		  NULL },
		{ "7 bytes", "ip Y > NB | udp 500 > 500 | bytes 11111111222222", RSIP_IN_NO_COOKIE, NULL },
		{ "7 bytes, the rest behind UDP", "ip Y > NB | udp 500 > 500 len 15 | bytes 1111111122222222",
		  RSIP_IN_NO_COOKIE, NULL },
		{ "7 bytes, the rest behind IP", "ip Y > NB | udp 500 > 500 | bytes 11111111222222 | pad 20",
		  RSIP_IN_NO_COOKIE, NULL },
		{ "no bytes", "ip Y > NB | udp 500 > 500", RSIP_IN_NO_COOKIE, NULL },
		{ "marker and 7 bytes", "ip Y > NB | udp 4500 > 4500 | marker | bytes 11111111222222",
		  RSIP_IN_NO_COOKIE, NULL },
		{ "TCP to 500", "ip Y > NB | tcp 500 > 500 | ike " C1, RSIP_IN_NO_PORT, NULL },
		{ "cookie of a bind that ended", "ip Y > NB | udp 500 > 500 | ike 0x1717", RSIP_IN_NO_COOKIE, NULL },
	};
	struct world w;
	struct rsip_cookie cookie;

	world_open(&w);
	world_cookie(&w, 0x1111111122222222, "NB", 500, 1, world_generation(1), "Y");
	world_cookie(&w, 0x1111111122222222, "NB", 4500, 1, world_generation(1), "Y");
	world_cookie(&w, 0x2222222211111111, "NB", 500, 2, world_generation(2), "Y");
	world_cookie(&w, 0x1717, "NB", 500, 17, world_generation(17), "Y");
	rows_run(&w, PUBLIC, ROWS(rows));
	cr_assert(world_cookie_get(&w, 0x2222222211111111, "NB", 500, &cookie));
	cr_expect_eq(cookie.used, 1, "a packet keeps its cookie from the idle sweep");
	cr_assert(world_cookie_get(&w, 0x1717, "NB", 500, &cookie));
	cr_expect_eq(cookie.used, 0);
	world_close(&w);
}

/* A stranger who knows the cookie does not keep it alive. covers: IKE-06 IKE-07 */
Test(inbound, spoofed_cookie_is_not_used)
{
	static const struct row spoofed = { "spoofed", "ip Z > NB | udp 500 > 500 | ike 0x11", RSIP_IN_REMOTE, NULL };
	struct rsip_cookie cookie;
	struct world w;

	world_open(&w);
	world_cookie(&w, 0x11, "NB", 500, 1, world_generation(1), "Y");
	rows_run(&w, PUBLIC, &spoofed, 1);
	cr_assert(world_cookie_get(&w, 0x11, "NB", 500, &cookie));
	cr_expect_eq(cookie.used, 0);
	world_close(&w);
}

/* covers: IN-09 */
Test(inbound, nat_traversal)
{
	static const struct row rows[] = {
		{ "ESP in UDP to X1", "ip Y > NB | udp 4500 > 4500 | esp 0x1001 | data 40", RSIP_IN_NATT,
		  TO_X1 "| ip Y > NB ttl 63 | udp 4500 > 4500 | esp 0x1001 | data 40" },
		{ "ESP in UDP to X2", "ip Y > NB | udp 1025 > 4500 | esp 0x2001 | data 40", RSIP_IN_NATT,
		  TO_X2 "| ip Y > NB ttl 63 | udp 1025 > 4500 | esp 0x2001 | data 40" },
		{ "unknown SPI", "ip Y > NB | udp 4500 > 4500 | esp 0x1002 | data 40", RSIP_IN_NO_SPI, NULL },
		{ "one that begins as a keepalive", "ip Y > NB | udp 4500 > 4500 | esp 0xff001001", RSIP_IN_NO_SPI, NULL },
		{ "keepalive", "ip Y > NB | udp 4500 > 4500 | bytes ff", RSIP_IN_KEEPALIVE, NULL },
		{ "keepalive in a padded frame", "ip Y > NB | udp 4500 > 4500 | bytes ff | pad 17", RSIP_IN_KEEPALIVE,
		  NULL },
		{ "one byte, no keepalive", "ip Y > NB | udp 4500 > 4500 | bytes fe", RSIP_IN_MALFORMED, NULL },
		{ "no bytes", "ip Y > NB | udp 4500 > 4500", RSIP_IN_MALFORMED, NULL },
		{ "ESP header cut", "ip Y > NB | udp 4500 > 4500 | bytes 00001001000000", RSIP_IN_MALFORMED, NULL },
		{ "ESP header cut by UDP", "ip Y > NB | udp 4500 > 4500 len 15 | esp 0x1001", RSIP_IN_MALFORMED, NULL },
		{ "TCP to 4500", "ip Y > NB | tcp 4500 > 4500 | esp 0x1001", RSIP_IN_NO_PORT, NULL },
	};

	run(ROWS(rows));
}

/* Ports 500 and 4500 lent as plain ports, to X6 on NB3. covers: APG-03 */
Test(inbound, plain_500_and_4500)
{
	static const struct row rows[] = {
		{ "500", "ip Y > NB3 | udp 500 > 500 | ike 1", RSIP_IN_PORT,
		  "eth n > x6 | ip NA > X6 | ip Y > NB3 ttl 63 | udp 500 > 500 | ike 1" },
		{ "500, short", "ip Y > NB3 | udp 500 > 500 | bytes 01", RSIP_IN_PORT,
		  "eth n > x6 | ip NA > X6 | ip Y > NB3 ttl 63 | udp 500 > 500 | bytes 01" },
		{ "4500, ESP", "ip Y > NB3 | udp 500 > 4500 | esp 7", RSIP_IN_PORT,
		  "eth n > x6 | ip NA > X6 | ip Y > NB3 ttl 63 | udp 500 > 4500 | esp 7" },
		{ "4500, IKE", "ip Y > NB3 | udp 500 > 4500 | marker | ike 7", RSIP_IN_PORT,
		  "eth n > x6 | ip NA > X6 | ip Y > NB3 ttl 63 | udp 500 > 4500 | marker | ike 7" },
		{ "4500, keepalive", "ip Y > NB3 | udp 500 > 4500 | bytes ff", RSIP_IN_PORT,
		  "eth n > x6 | ip NA > X6 | ip Y > NB3 ttl 63 | udp 500 > 4500 | bytes ff" },
		{ "4500, two bytes", "ip Y > NB3 | udp 500 > 4500 | bytes 0102", RSIP_IN_PORT,
		  "eth n > x6 | ip NA > X6 | ip Y > NB3 ttl 63 | udp 500 > 4500 | bytes 0102" },
		{ "a cookie of a host comes first", "ip Y > NB3 | udp 500 > 500 | ike 0x77", RSIP_IN_IKE,
		  TO_X1 "| ip Y > NB3 ttl 63 | udp 500 > 500 | ike 0x77" },
	};
	struct world w;

	world_open(&w);
	world_cookie(&w, 0x77, "NB3", 500, 1, world_generation(1), "Y");
	rows_run(&w, PUBLIC, ROWS(rows));
	world_close(&w);
}

/* covers: FLOW-07 FLOW-08 FLOW-10 APD-01 APD-03 */
Test(inbound, flow_policy)
{
	static const struct row rows[] = {
		{ "macro: the peer, any port", "ip Y > NB | udp 999 > 42000", RSIP_IN_PORT,
		  TO_X2 "| ip Y > NB ttl 63 | udp 999 > 42000" },
		{ "macro: another peer", "ip Z > NB | udp 999 > 42000", RSIP_IN_REMOTE, NULL },
		{ "micro: the peer, the port", "ip Y > NB | tcp 80 > 43000", RSIP_IN_PORT,
		  TO_X2 "| ip Y > NB ttl 63 | tcp 80 > 43000" },
		{ "micro: the peer, another port", "ip Y > NB | tcp 81 > 43000", RSIP_IN_REMOTE, NULL },
		{ "micro: another peer, the port", "ip Z > NB | tcp 80 > 43000", RSIP_IN_REMOTE, NULL },
		{ "micro: ESP has no port to see", "ip Y > NB | esp 0x2005", RSIP_IN_ESP,
		  TO_X2 "| ip Y > NB ttl 63 | esp 0x2005" },
		{ "micro: ESP of another peer", "ip Z > NB | esp 0x2005", RSIP_IN_REMOTE, NULL },
		{ "micro: AH of another peer", "ip Z > NB | ah 0x5001", RSIP_IN_REMOTE, NULL },
		{ "micro: ESP in UDP, any port", "ip Y > NB | udp 7 > 4500 | esp 0x5001", RSIP_IN_NATT,
		  TO_X5 "| ip Y > NB ttl 63 | udp 7 > 4500 | esp 0x5001" },
		{ "micro: ESP in UDP of another peer", "ip Z > NB | udp 80 > 4500 | esp 0x5001", RSIP_IN_REMOTE, NULL },
	};

	run(ROWS(rows));
}

/* covers: SEC-10 */
Test(inbound, forged_sources)
{
	static const struct row rows[] = {
		{ "a host", "ip X1 > NB | esp 0x1001", RSIP_IN_SPOOFED, NULL },
		{ "the last of the private realm", "ip 10.255.255.255 > NB | udp 53 > 40000", RSIP_IN_SPOOFED, NULL },
		{ "one after it", "ip 11.0.0.0 > NB | udp 53 > 40000", RSIP_IN_PORT,
		  TO_X1 "| ip 11.0.0.0 > NB ttl 63 | udp 53 > 40000" },
		{ "one before it", "ip 9.255.255.255 > NB | udp 53 > 40000", RSIP_IN_PORT,
		  TO_X1 "| ip 9.255.255.255 > NB ttl 63 | udp 53 > 40000" },
		{ "the pool", "ip NB2 > NB | udp 53 > 40000", RSIP_IN_SPOOFED, NULL },
		{ "the address itself", "ip NB > NB | tcp 53 > 40000", RSIP_IN_SPOOFED, NULL },
		{ "a shared one", "ip SH > NB | udp 53 > 40000", RSIP_IN_SPOOFED, NULL },
		{ "to a whole address", "ip W2 > W1 | udp 53 > 40000", RSIP_IN_SPOOFED, NULL },
		{ "N's own affair", "ip X1 > N | udp 53 > 40000", RSIP_IN_PASS, NULL },
	};

	run(ROWS(rows));
}

/* There may be as many ranges as there is room for, and the count says which are any. covers: SEC-10 */
Test(inbound, as_many_forged_sources_as_counted)
{
	static const struct row spoofed = { "in the last range", "ip Z > NB | udp 53 > 40000", RSIP_IN_SPOOFED, NULL };
	static const struct row peer = { "behind the last", "ip Z > NB | udp 53 > 40000", RSIP_IN_PORT,
					 TO_X1 "| ip Z > NB ttl 63 | udp 53 > 40000" };
	struct rsip_realm realm = { .count = RSIP_REALM_RANGES };
	struct world w;
	struct run run;

	world_open(&w);
	realm.ranges[RSIP_REALM_RANGES - 1].first = ntohl(pkt_addr("Z"));
	for (; realm.count >= RSIP_REALM_RANGES - 1; realm.count--) {
		cr_assert_eq(bpf_map__update_elem(w.skel->maps.rsip_realm, &(__u32){ 0 }, sizeof(__u32), &realm,
						  sizeof(realm), 0), 0);
		cr_expect(row_run(&w, PUBLIC, realm.count == RSIP_REALM_RANGES ? &spoofed : &peer, &run));
	}
	world_close(&w);
}

/* What has ended: a free slot, a slot of somebody else. covers: FREE-04 IN-28 LSE-06 */
Test(inbound, ended_binds)
{
	static const struct row rows[] = {
		{ "free slot, ESP", "ip Y > NB | esp 0x1016", RSIP_IN_NO_SPI, NULL },
		{ "free slot, AH", "ip Y > NB | ah 0x1016", RSIP_IN_NO_SPI, NULL },
		{ "free slot, port", "ip Y > NB | udp 53 > 40016", RSIP_IN_NO_PORT, NULL },
		{ "slot used again, ESP", "ip Y > NB | esp 0x1017", RSIP_IN_NO_SPI, NULL },
		{ "slot used again, NAT-T", "ip Y > NB | udp 1 > 4500 | esp 0x1017", RSIP_IN_NO_SPI, NULL },
		{ "slot used again, port", "ip Y > NB | tcp 53 > 40017", RSIP_IN_NO_PORT, NULL },
	};

	run(ROWS(rows));
}

/* covers: IN-10 IN-21 TUN-15 */
Test(inbound, not_to_be_demultiplexed)
{
	static const struct row rows[] = {
		{ "SCTP", "ip Y > NB proto 132 | data 30", RSIP_IN_PROTOCOL, NULL },
		{ "IP-IP", "ip Y > NB | ip Y > X1 | udp 1 > 40000", RSIP_IN_PROTOCOL, NULL },
		{ "GRE", "ip Y > NB | gre | ip Y > X1 | udp 1 > 40000", RSIP_IN_PROTOCOL, NULL },
		{ "DF is no fragment", "ip Y > NB df | udp 53 > 40000", RSIP_IN_PORT,
		  TO_X1 "df id 0 | ip Y > NB df ttl 63 | udp 53 > 40000" },
	};

	run(ROWS(rows));
}

/* Everything that is not RSIP's goes on untouched, however odd. covers: MC-01 APF-04 IN-21 IN-24 */
Test(inbound, passes)
{
	static const struct row rows[] = {
		{ "not our address", "ip Y > N | udp 53 > 40000", RSIP_IN_PASS, NULL },
		{ "not our address, ESP", "ip Y > N | esp 0x1001", RSIP_IN_PASS, NULL },
		{ "not our address, ICMP", "ip Y > N | icmp", RSIP_IN_PASS, NULL },
		{ "not our address, fragment", "ip Y > N mf | udp 53 > 40000", RSIP_IN_PASS, NULL },
		{ "not our address, bad IHL", "ip Y > N ihl 4 | udp 53 > 40000", RSIP_IN_PASS, NULL },
		{ "not our address, bad UDP", "ip Y > N | udp 53 > 40000 len 7", RSIP_IN_PASS, NULL },
		{ "not our address, TTL 1", "ip Y > N ttl 1 | udp 53 > 40000", RSIP_IN_PASS, NULL },
		{ "not our address, padded", "ip Y > N | udp 53 > 40000 | pad 18", RSIP_IN_PASS, NULL },
		{ "an address of the tunnel", "ip Y > NA | udp 4555 > 4555", RSIP_IN_PASS, NULL },
		{ "multicast", "ip Y > 239.1.2.3 | udp 53 > 40000", RSIP_IN_PASS, NULL },
		{ "broadcast", "ip Y > 255.255.255.255 | udp 67 > 68", RSIP_IN_PASS, NULL },
		{ "ARP", "eth y > n type 0x0806 | data 46", RSIP_IN_PASS, NULL },
		{ "IPv6", "eth y > n type 0x86dd | data 60", RSIP_IN_PASS, NULL },
		{ "three tags", "svlan 7 | vlan 8 | vlan 9 | ip Y > NB | esp 0x1001", RSIP_IN_PASS, NULL },
		{ "a tag and no IPv4", "vlan 7 | data 60", RSIP_IN_PASS, NULL },
		{ "two tags and no IPv4", "svlan 7 | vlan 8 | data 60", RSIP_IN_PASS, NULL },
		{ "shared: no SPI", "ip Y > SH | esp 0x1001", RSIP_IN_PASS, NULL },
		{ "shared: no port", "ip Y > SH | tcp 53 > 22", RSIP_IN_PASS, NULL },
		{ "shared: no cookie", "ip Y > SH | udp 500 > 500 | ike 5", RSIP_IN_PASS, NULL },
		{ "shared: ICMP", "ip Y > SH | icmp", RSIP_IN_PASS, NULL },
		{ "shared: fragment", "ip Y > SH frag 3 | data 16", RSIP_IN_PASS, NULL },
		{ "shared: malformed", "ip Y > SH | udp 53 > 40000 len 4", RSIP_IN_PASS, NULL },
		{ "shared: keepalive", "ip Y > SH | udp 4500 > 4500 | bytes ff", RSIP_IN_PASS, NULL },
		{ "shared: what is leased is not passed", "ip Y > SH | esp 0x9001", RSIP_IN_ESP,
		  TO_X1 "| ip Y > SH ttl 63 | esp 0x9001" },
	};

	run(ROWS(rows));
}

/* covers: IN-24 */
Test(inbound, odd_headers)
{
	static const struct row rows[] = {
		{ "IP options", "ip Y > NB opts 8 | esp 0x1001 | data 20", RSIP_IN_ESP,
		  TO_X1 "| ip Y > NB ttl 63 opts 8 | esp 0x1001 | data 20" },
		{ "40 bytes of options, TCP", "ip Y > NB opts 40 | tcp 80 > 40000 opts 40 | data 9", RSIP_IN_PORT,
		  TO_X1 "| ip Y > NB ttl 63 opts 40 | tcp 80 > 40000 opts 40 | data 9" },
		{ "options, IKE short", "ip Y > NB opts 4 | udp 500 > 500 | data 7", RSIP_IN_NO_COOKIE, NULL },
		{ "VLAN", "vlan 7 | ip Y > NB | esp 0x1001 | data 20", RSIP_IN_ESP,
		  TO_X1 "| ip Y > NB ttl 63 | esp 0x1001 | data 20" },
		{ "QinQ", "svlan 7 | vlan 8 | ip Y > NB | esp 0x1001 | data 20", RSIP_IN_ESP,
		  TO_X1 "| ip Y > NB ttl 63 | esp 0x1001 | data 20" },
		{ "two 802.1ad tags", "svlan 7 | svlan 8 | ip Y > NB | esp 0x1001 | data 20", RSIP_IN_ESP,
		  TO_X1 "| ip Y > NB ttl 63 | esp 0x1001 | data 20" },
		{ "two 802.1Q tags", "vlan 7 | vlan 8 | ip Y > NB | udp 53 > 40000", RSIP_IN_PORT,
		  TO_X1 "| ip Y > NB ttl 63 | udp 53 > 40000" },
		{ "802.1ad alone", "svlan 7 | ip Y > NB opts 8 | ah 0x2001 | data 20", RSIP_IN_AH,
		  TO_X2 "| ip Y > NB ttl 63 opts 8 | ah 0x2001 | data 20" },
		{ "VLAN and options, AH", "vlan 7 | ip Y > NB opts 12 | ah 0x2001 | data 20", RSIP_IN_AH,
		  TO_X2 "| ip Y > NB ttl 63 opts 12 | ah 0x2001 | data 20" },
		{ "padded frame", "ip Y > NB | udp 53 > 40000 | pad 18", RSIP_IN_PORT,
		  TO_X1 "| ip Y > NB ttl 63 | udp 53 > 40000" },
		{ "padded VLAN frame", "vlan 7 | ip Y > NB | udp 53 > 40000 | data 3 | pad 11", RSIP_IN_PORT,
		  TO_X1 "| ip Y > NB ttl 63 | udp 53 > 40000 | data 3" },
		{ "a long trailer", "ip Y > NB | esp 0x1001 | data 20 | pad 1400", RSIP_IN_ESP,
		  TO_X1 "| ip Y > NB ttl 63 | esp 0x1001 | data 20" },
		{ "IHL 4", "ip Y > NB ihl 4 | esp 0x1001 | data 20", RSIP_IN_MALFORMED, NULL },
		{ "IHL 0", "ip Y > NB ihl 0 | esp 0x1001 | data 20", RSIP_IN_MALFORMED, NULL },
		{ "IHL beyond the packet", "ip Y > NB ihl 15 | esp 0x1001 | data 20", RSIP_IN_MALFORMED, NULL },
		{ "version 6", "ip Y > NB ver 6 | esp 0x1001 | data 20", RSIP_IN_MALFORMED, NULL },
		{ "total length beyond the frame", "ip Y > NB len 100 | esp 0x1001 | data 20", RSIP_IN_MALFORMED, NULL },
		{ "total length below the header", "ip Y > NB len 19 | esp 0x1001 | data 20", RSIP_IN_MALFORMED, NULL },
		{ "total length 0", "ip Y > NB len 0 | esp 0x1001 | data 20", RSIP_IN_MALFORMED, NULL },
		{ "UDP length 7", "ip Y > NB | udp 53 > 40000 len 7", RSIP_IN_MALFORMED, NULL },
		{ "UDP longer than IP", "ip Y > NB | udp 53 > 40000 len 13 | data 4", RSIP_IN_MALFORMED, NULL },
		{ "UDP reaches into the padding", "ip Y > NB | udp 53 > 40000 len 26 | pad 18", RSIP_IN_MALFORMED, NULL },
		{ "TCP offset 4", "ip Y > NB | tcp 80 > 40000 off 4", RSIP_IN_MALFORMED, NULL },
		{ "TCP offset beyond", "ip Y > NB | tcp 80 > 40000 off 7 | data 4", RSIP_IN_MALFORMED, NULL },
		{ "AH length beyond", "ip Y > NB len 40 | ah 0x1001 icv 12", RSIP_IN_MALFORMED, NULL },
		{ "AH of 8 bytes", "ip Y > NB proto 51 | bytes 0600000000001001 | pad 20", RSIP_IN_MALFORMED, NULL },
		{ "AH length 0", "ip Y > NB proto 51 | bytes 060000000000100100000001", RSIP_IN_MALFORMED, NULL },
		{ "a wrong header checksum stays wrong", "eth y > n type 0x0800 | "
		  "bytes 4500001c 00004000 40320001 c6336407 cb00710a 00001001 00000001", RSIP_IN_ESP,
		  TO_X1 "df id 0 proto 4 | bytes 4500001c 00004000 3f320101 c6336407 cb00710a 00001001 00000001" },
	};

	run(ROWS(rows));
}

/* covers: TUN-03 TUN-10 TUN-11 TUN-13 IN-22 EG-14 */
Test(inbound, encapsulation)
{
	static const struct row rows[] = {
		{ "GRE", "ip Y > NB | udp 53 > 41000 | data 33", RSIP_IN_PORT,
		  TO_X1 "| gre | ip Y > NB ttl 63 | udp 53 > 41000 | data 33" },
		{ "GRE, ESP, VLAN and options in", "vlan 4 | ip Y > NB2 opts 4 df tos 0xb8 | esp 0x2001", RSIP_IN_ESP,
		  TO_X2 "df id 0 tos 0xb8 | gre | ip Y > NB2 ttl 63 opts 4 df tos 0xb8 | esp 0x2001" },
		{ "DSCP and ECT(0)", "ip Y > NB tos 0xba | esp 0x1001", RSIP_IN_ESP,
		  TO_X1 "tos 0xba | ip Y > NB tos 0xba ttl 63 | esp 0x1001" },
		{ "CE", "ip Y > NB tos 0x03 | esp 0x1001", RSIP_IN_ESP,
		  TO_X1 "tos 0x03 | ip Y > NB tos 0x03 ttl 63 | esp 0x1001" },
		{ "ECT(1)", "ip Y > NB tos 0x01 | esp 0x1001", RSIP_IN_ESP,
		  TO_X1 "tos 0x01 | ip Y > NB tos 0x01 ttl 63 | esp 0x1001" },
		{ "DF", "ip Y > NB df id 7 | esp 0x1001", RSIP_IN_ESP,
		  TO_X1 "df id 0 | ip Y > NB df id 7 ttl 63 | esp 0x1001" },
		{ "no DF", "ip Y > NB id 0xffff | esp 0x1001", RSIP_IN_ESP,
		  TO_X1 "id 0xffff | ip Y > NB id 0xffff ttl 63 | esp 0x1001" },
		{ "TTL 2", "ip Y > NB ttl 2 | esp 0x1001", RSIP_IN_ESP,
		  TO_X1 "| ip Y > NB ttl 1 | esp 0x1001" },
		{ "TTL 255", "ip Y > NB ttl 255 id 1 | esp 0x1001", RSIP_IN_ESP,
		  TO_X1 "id 1 | ip Y > NB ttl 254 id 1 | esp 0x1001" },
		{ "VLAN out", "ip Y > NB | udp 53 > 50003 | data 3", RSIP_IN_PORT,
		  "eth n > xv | vlan 7 | ip NA > XV | ip Y > NB ttl 63 | udp 53 > 50003 | data 3" },
		{ "VLAN in and out", "vlan 9 | ip Y > NB | udp 53 > 50003 | data 3", RSIP_IN_PORT,
		  "eth n > xv | vlan 7 | ip NA > XV | ip Y > NB ttl 63 | udp 53 > 50003 | data 3" },
		{ "1480 bytes fit", "ip Y > NB df | esp 0x1001 | data 1452", RSIP_IN_ESP,
		  TO_X1 "df id 0 | ip Y > NB df ttl 63 | esp 0x1001 | data 1452" },
		{ "GRE: 1476 bytes fit", "ip Y > NB df | udp 1 > 41000 | data 1448", RSIP_IN_PORT,
		  TO_X1 "df id 0 | gre | ip Y > NB df ttl 63 | udp 1 > 41000 | data 1448" },
		{ "an MTU of 100", "ip Y > NB | udp 1 > 50004 | data 52", RSIP_IN_PORT,
		  "eth n > xm | ip NA > XM | ip Y > NB ttl 63 | udp 1 > 50004 | data 52" },
		{ "padding is not in the way", "ip Y > NB | udp 1 > 50004 | data 52 | pad 40", RSIP_IN_PORT,
		  "eth n > xm | ip NA > XM | ip Y > NB ttl 63 | udp 1 > 50004 | data 52" },
		{ "no way", "ip Y > NB | udp 53 > 50002", RSIP_IN_UNREACHABLE, NULL },
	};

	run(ROWS(rows));
}

/* The daemon gets what would have left. covers: IN-19 */
Test(inbound, unresolved)
{
	static const struct row row = {
		"unresolved", "ip Y > NB df | udp 53 > 50001 | data 40 | pad 3", RSIP_IN_RESOLVE,
		"eth n > xd | ip NA > XD df id 0 | ip Y > NB df ttl 63 | udp 53 > 50001 | data 40"
	};
	static const struct row longest = {
		"longest", "ip Y > NB | udp 53 > 50001 | data 3400", RSIP_IN_RESOLVE,
		"eth n > xd | ip NA > XD | ip Y > NB ttl 63 | udp 53 > 50001 | data 3400"
	};
	struct world w;
	struct run run;

	world_open(&w);
	cr_assert(row_run(&w, PUBLIC, &row, &run));
	cr_expect_eq(run.events, 1);
	cr_expect_eq(run.resolve.dst, pkt_addr("XD"));
	cr_expect_eq(run.resolve.inbound, 1);
	cr_expect_eq(run.resolve.len, 20 + 20 + 8 + 40);
	cr_expect(row_run(&w, PUBLIC, &longest, &run));
	world_close(&w);
}
