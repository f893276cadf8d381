// SPDX-License-Identifier: GPL-2.0-only
/* ICMP through the gateway, both ways. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "run.h"

#define TO_X1	"eth n > x1 | ip NA > X1 "
#define TO_X2	"eth n > x2 | ip NA > X2 "
#define FROM_X1	"ip X1 > NA | ip NB > "
#define FROM_X2	"ip X2 > NA | ip NB > "
#define TO_Y	"eth n > y | ip NB > Y ttl 63 "

/* An error from router R about what went from NB to Y: delivered to X1 or X2 as it is. */
#define ERROR_TO_X1(type, quote)	"ip R > NB | icmp type " type " | " quote, RSIP_IN_ICMP_ERROR,	\
				 TO_X1 "| ip R > NB ttl 63 | icmp type " type " | " quote
#define ERROR_TO_X2(type, quote)	"ip R > NB | icmp type " type " | " quote, RSIP_IN_ICMP_ERROR,	\
				 TO_X2 "| ip R > NB ttl 63 | icmp type " type " | " quote
#define ERROR_DROPPED(type, quote)	"ip R > NB | icmp type " type " | " quote, RSIP_IN_ICMP, NULL

static void run(enum side side, const struct row *rows, size_t count)
{
	struct world w;

	world_open(&w);
	rows_run(&w, side, rows, count);
	world_close(&w);
}

/* covers: IN-10 IN-11 IN-20 */
Test(icmp, errors_about_ports)
{
	static const struct row rows[] = {
		{ "port unreachable, UDP", ERROR_TO_X1("3 code 3", "ip NB > Y | udp 40000 > 53 | data 20") },
		{ "time exceeded, UDP", ERROR_TO_X2("11", "ip NB > Y ttl 1 | udp 40100 > 53") },
		{ "parameter problem", ERROR_TO_X1("12", "ip NB > Y | udp 40000 > 53") },
		{ "fragmentation needed, TCP", ERROR_TO_X1("3 code 4 mtu 1400", "ip NB > Y df len 1500 | tcp 40000 > 80 | data 9") },
		{ "8 bytes of TCP", ERROR_TO_X1("3 code 1", "ip NB > Y len 40 proto 6 | bytes 9c40 0050 00000001") },
		{ "8 bytes of UDP", ERROR_TO_X1("3 code 1", "ip NB > Y len 900 proto 17 | bytes 9c40 0035 0370 0000") },
		{ "the quote has options", ERROR_TO_X1("3", "ip NB > Y opts 12 | udp 40000 > 53") },
		{ "a first fragment", ERROR_TO_X1("3 code 4 mtu 1400", "ip NB > Y mf | udp 40000 > 53") },
		{ "through GRE", "ip R > NB | icmp type 11 | ip NB > Y | udp 41000 > 53", RSIP_IN_ICMP_ERROR,
		  TO_X1 "| gre | ip R > NB ttl 63 | icmp type 11 | ip NB > Y | udp 41000 > 53" },
		{ "7 bytes", ERROR_DROPPED("3 code 3", "ip NB > Y len 28 proto 17 | bytes 9c400035000800") },
		{ "4 bytes", ERROR_DROPPED("3 code 3", "ip NB > Y len 28 proto 17 | bytes 9c400035") },
		{ "7 bytes, the rest behind IP", ERROR_DROPPED("3", "ip NB > Y proto 17 | bytes 9c400035000800 | pad 9") },
		{ "a header and no more", ERROR_DROPPED("3 code 3", "ip NB > Y len 28 proto 17") },
		{ "less than a header", ERROR_DROPPED("3 code 3", "bytes 4500001c00000000") },
		{ "nothing quoted", "ip R > NB | icmp type 3", RSIP_IN_ICMP, NULL },
		{ "half an ICMP header", "ip R > NB proto 1 | bytes 03030000", RSIP_IN_ICMP, NULL },
		{ "a port of nobody", ERROR_DROPPED("3 code 3", "ip NB > Y | udp 40001 > 53") },
		{ "a port of a bind that ended", ERROR_DROPPED("3 code 3", "ip NB > Y | udp 40016 > 53") },
		{ "the leased port is the destination", ERROR_DROPPED("3 code 3", "ip NB > Y | udp 53 > 40000") },
		{ "quoted source is not where it goes", ERROR_DROPPED("3 code 3", "ip NB2 > Y | udp 40000 > 53") },
		{ "quoted the other way round", ERROR_DROPPED("3 code 3", "ip Y > NB | udp 40000 > 53") },
		{ "a later fragment", ERROR_DROPPED("3", "ip NB > Y frag 100 | udp 40000 > 53") },
		{ "IPv6 quoted", ERROR_DROPPED("3", "ip NB > Y ver 6 | udp 40000 > 53") },
		{ "IHL 4 quoted", ERROR_DROPPED("3", "ip NB > Y ihl 4 | udp 40000 > 53") },
		{ "IHL 4 quoted, a leased port where ports would be", ERROR_DROPPED("3", "ip NB > 156.64.0.53 ihl 4 | udp 40000 > 53") },
		{ "IHL beyond", ERROR_DROPPED("3", "ip NB > Y ihl 15 | udp 40000 > 53") },
		{ "SCTP quoted", ERROR_DROPPED("3", "ip NB > Y proto 132 | bytes 9c40 0035 00000000") },
		{ "a tunnel quoted", ERROR_DROPPED("3", "ip NB > Y | ip NB > Y | udp 40000 > 53") },
		{ "redirect", ERROR_DROPPED("5", "ip NB > Y | udp 40000 > 53") },
		{ "source quench", ERROR_DROPPED("4", "ip NB > Y | udp 40000 > 53") },
		{ "not our address", "ip R > N | icmp type 3 | ip N > Y | udp 40000 > 53", RSIP_IN_PASS, NULL },
		{ "shared: mapped", "ip R > SH | icmp type 3 | ip SH > Y | udp 40000 > 53", RSIP_IN_ICMP_ERROR,
		  TO_X1 "| ip R > SH ttl 63 | icmp type 3 | ip SH > Y | udp 40000 > 53" },
		{ "shared: N's own", "ip R > SH | icmp type 3 | ip SH > Y | udp 41 > 53", RSIP_IN_PASS, NULL },
		{ "padded frame", "ip R > NB | icmp type 3 | ip NB > Y | udp 40000 > 53 | pad 9", RSIP_IN_ICMP_ERROR,
		  TO_X1 "| ip R > NB ttl 63 | icmp type 3 | ip NB > Y | udp 40000 > 53" },
		{ "next hop unknown", "ip R > NB | icmp type 3 | ip NB > Y | udp 50001 > 53", RSIP_IN_RESOLVE,
		  "eth n > xd | ip NA > XD | ip R > NB ttl 63 | icmp type 3 | ip NB > Y | udp 50001 > 53" },
		{ "VLAN, options", "vlan 3 | ip R > NB opts 8 | icmp type 3 | ip NB > Y | udp 40000 > 53", RSIP_IN_ICMP_ERROR,
		  TO_X1 "| ip R > NB ttl 63 opts 8 | icmp type 3 | ip NB > Y | udp 40000 > 53" },
	};

	run(PUBLIC, ROWS(rows));
}

/* By where the quoted packet went, whoever sends the error. covers: FLOW-13 IN-10 */
Test(icmp, errors_and_policy)
{
	static const struct row rows[] = {
		{ "macro: a router about the peer", ERROR_TO_X2("11", "ip NB > Y | udp 42000 > 9") },
		{ "macro: about another peer", "ip Y > NB | icmp type 3 | ip NB > Z | udp 42000 > 9", RSIP_IN_REMOTE, NULL },
		{ "micro: about the peer's port", ERROR_TO_X2("11", "ip NB > Y | tcp 43000 > 80") },
		{ "micro: about another port", "ip R > NB | icmp type 11 | ip NB > Y | tcp 43000 > 81", RSIP_IN_REMOTE, NULL },
	};

	run(PUBLIC, ROWS(rows));
}

/* covers: IN-13 IN-31 IKE-06 */
Test(icmp, errors_about_ike)
{
	static const struct row rows[] = {
		{ "16 bytes quoted", ERROR_TO_X1("3 code 3", "ip NB > Y len 200 proto 17 | "
		  "bytes 01f4 01f4 0080 0000 0000000000000011") },
		{ "15 bytes quoted", ERROR_DROPPED("3 code 3", "ip NB > Y len 200 proto 17 | "
		  "bytes 01f4 01f4 0080 0000 00000000000000") },
		{ "15 bytes quoted, the rest behind IP", ERROR_DROPPED("3 code 3", "ip NB > Y len 200 proto 17 | "
		  "bytes 01f4 01f4 0080 0000 00000000000011 | pad 9") },
		{ "8 bytes quoted", ERROR_DROPPED("3 code 3", "ip NB > Y len 200 proto 17 | bytes 01f4 01f4 0080 0000") },
		{ "port 4500", ERROR_TO_X1("11", "ip NB > Y | udp 4500 > 4500 | marker | ike 0x12") },
		{ "port 4500, 19 bytes", ERROR_DROPPED("11", "ip NB > Y len 99 proto 17 | "
		  "bytes 1194 1194 0080 0000 00000000 00000000000000") },
		{ "port 4500, 19 bytes, the rest behind IP", ERROR_DROPPED("11", "ip NB > Y len 99 proto 17 | "
		  "bytes 1194 1194 0080 0000 00000000 00000000000012 | pad 9") },
		{ "another host's", ERROR_TO_X2("3 code 3", "ip NB > Y | udp 500 > 500 | ike 0x22") },
		{ "unknown cookie", ERROR_DROPPED("3 code 3", "ip NB > Y | udp 500 > 500 | ike 0x33") },
		{ "the cookie of another peer", "ip R > NB | icmp type 3 | ip NB > Z | udp 500 > 500 | ike 0x11", RSIP_IN_REMOTE,
		  NULL },
		{ "port 500 as any port", "ip R > NB3 | icmp type 3 | ip NB3 > Y | udp 500 > 500", RSIP_IN_ICMP_ERROR,
		  "eth n > x6 | ip NA > X6 | ip R > NB3 ttl 63 | icmp type 3 | ip NB3 > Y | udp 500 > 500" },
		{ "with a cookie that nobody has", "ip R > NB3 | icmp type 3 | ip NB3 > Y | udp 500 > 500 | ike 0x33", RSIP_IN_ICMP_ERROR,
		  "eth n > x6 | ip NA > X6 | ip R > NB3 ttl 63 | icmp type 3 | ip NB3 > Y | udp 500 > 500 | ike 0x33" },
		{ "port 4500 as any port", "ip R > NB3 | icmp type 3 | ip NB3 > Y | udp 4500 > 4500 | esp 0x33", RSIP_IN_ICMP_ERROR,
		  "eth n > x6 | ip NA > X6 | ip R > NB3 ttl 63 | icmp type 3 | ip NB3 > Y | udp 4500 > 4500 | esp 0x33" },
	};
	struct world w;

	world_open(&w);
	world_cookie(&w, 0x11, "NB", 500, 1, world_generation(1), "Y");
	world_cookie(&w, 0x12, "NB", 4500, 1, world_generation(1), "Y");
	world_cookie(&w, 0x22, "NB", 500, 2, world_generation(2), "Y");
	/* What is read by who takes the padding for the quote */
	world_cookie(&w, 0x11ee, "NB", 500, 1, world_generation(1), "Y");
	world_cookie(&w, 0x12ee, "NB", 4500, 1, world_generation(1), "Y");
	rows_run(&w, PUBLIC, ROWS(rows));
	world_close(&w);
}

/* By the SPI that the host used, which no lease knows. covers: IN-12 SEC-07 */
Test(icmp, errors_about_esp_and_ah)
{
	static const struct step steps[] = {
		{ PUBLIC, { "before X1 sent", ERROR_DROPPED("3 code 4 mtu 1400", "ip NB > Y | esp 0x77") } },
		{ PRIVATE, { "X1 sends ESP", FROM_X1 "Y | esp 0x77", RSIP_OUT_ESP, TO_Y "| esp 0x77" } },
		{ PRIVATE, { "X2 sends AH", FROM_X2 "Y | ah 0x77", RSIP_OUT_AH, TO_Y "| ah 0x77" } },
		{ PRIVATE, { "X2 sends ESP to Z", FROM_X2 "Z | esp 0x77", RSIP_OUT_ESP,
			     "eth n > y | ip NB > Z ttl 63 | esp 0x77" } },
		{ PRIVATE, { "X2 sends ESP in UDP", FROM_X2 "Y | udp 4500 > 4500 | esp 0x79", RSIP_OUT_NATT,
			     TO_Y "| udp 4500 > 4500 | esp 0x79" } },
		{ PUBLIC, { "ESP", ERROR_TO_X1("3 code 4 mtu 1400", "ip NB > Y df len 1500 | esp 0x77 | data 9") } },
		{ PUBLIC, { "8 bytes of ESP", ERROR_TO_X1("3 code 4 mtu 1400", "ip NB > Y len 1500 | esp 0x77") } },
		{ PUBLIC, { "AH", ERROR_TO_X2("11", "ip NB > Y | ah 0x77") } },
		{ PUBLIC, { "8 bytes of AH", ERROR_TO_X2("11", "ip NB > Y len 80 proto 51 | bytes 11040000 00000077") } },
		{ PUBLIC, { "ESP to Z", ERROR_TO_X2("11", "ip NB > Z | esp 0x77") } },
		{ PUBLIC, { "ESP in UDP", ERROR_TO_X2("3 code 4 mtu 1400", "ip NB > Y | udp 4500 > 4500 | esp 0x79") } },
		{ PUBLIC, { "ESP in UDP, 12 bytes", ERROR_TO_X2("3", "ip NB > Y proto 17 | bytes 1194 1194 0080 0000 00000079") } },
		{ PUBLIC, { "ESP in UDP, 11 bytes", ERROR_DROPPED("3", "ip NB > Y proto 17 | bytes 1194 1194 0080 0000 000000") } },
		{ PRIVATE, { "an SPI that ends as padding does", FROM_X2 "Y | udp 4500 > 4500 | esp 0x79ee", RSIP_OUT_NATT,
			     TO_Y "| udp 4500 > 4500 | esp 0x79ee" } },
		{ PUBLIC, { "11 bytes, the rest behind IP", ERROR_DROPPED("3", "ip NB > Y proto 17 | bytes 1194 1194 0080 0000 000079 | pad 9") } },
		{ PUBLIC, { "the leased SPI is not what X1 sends with", ERROR_DROPPED("11", "ip NB > Y | esp 0x1001") } },
		{ PUBLIC, { "another address", "ip R > NB2 | icmp type 11 | ip NB2 > Y | esp 0x77", RSIP_IN_ICMP, NULL } },
		{ PRIVATE, { "Y gives the SPI to X2", FROM_X2 "Y | esp 0x77", RSIP_OUT_ESP, TO_Y "| esp 0x77" } },
		{ PUBLIC, { "now it is X2's", ERROR_TO_X2("11", "ip NB > Y | esp 0x77") } },
	};
	struct rsip_bind bind;
	struct world w;

	world_open(&w);
	steps_run(&w, steps, sizeof(steps) / sizeof(steps[0]));
	world_bind(&w, 2, &bind);
	bind.generation++;
	world_bind_set(&w, 2, &bind);
	rows_run(&w, PUBLIC, &(struct row){ "bind 2 has ended", ERROR_DROPPED("11", "ip NB > Y | ah 0x77") }, 1);
	world_close(&w);
}

/* A host that uses SPIs without end takes no more room, and its neighbour's come back with the next packet. covers: SEC-07 */
Test(icmp, many_outbound_spis)
{
	static const struct row noted = { "noted", FROM_X2 "Y | esp 0x77", RSIP_OUT_ESP, TO_Y "| esp 0x77" };
	static const struct row error = { "ESP", ERROR_TO_X2("11", "ip NB > Y | esp 0x77") };
	struct world w;
	struct run run;

	world_open(&w);
	cr_assert(row_run(&w, PRIVATE, &noted, &run));
	for (unsigned int i = 0; i < RSIP_OUTSPI_SETS * RSIP_OUTSPI_WAYS; i++) {
		struct frame f;
		char text[64];

		snprintf(text, sizeof(text), FROM_X1 "Y | esp %u", 0x100000 + i);
		pkt_build(text, &f);
		world_run(&w, PRIVATE, &f, &run);
		cr_assert_eq(run.outcome, RSIP_OUT_ESP);
	}
	cr_assert(row_run(&w, PRIVATE, &noted, &run));
	cr_assert(row_run(&w, PUBLIC, &error, &run));
	world_close(&w);
}

/* Two hosts ping one peer at once. covers: IN-14 IN-20 EG-10 */
Test(icmp, requests_and_replies)
{
	static const struct step steps[] = {
		{ PUBLIC, { "a reply nobody asked for", "ip Y > NB | icmp type 0 id 7 seq 1", RSIP_IN_ICMP, NULL } },
		{ PRIVATE, { "X1 pings", FROM_X1 "Y | icmp id 7 seq 1 | data 40", RSIP_OUT_ICMP_QUERY,
			     TO_Y "| icmp id 7 seq 1 | data 40" } },
		{ PRIVATE, { "X2 pings", FROM_X2 "Y | icmp id 8 seq 1 | data 40", RSIP_OUT_ICMP_QUERY,
			     TO_Y "| icmp id 8 seq 1 | data 40" } },
		{ PUBLIC, { "X2's reply", "ip Y > NB | icmp type 0 id 8 seq 1 | data 40", RSIP_IN_ICMP_REPLY,
			    TO_X2 "| ip Y > NB ttl 63 | icmp type 0 id 8 seq 1 | data 40" } },
		{ PUBLIC, { "X1's reply", "ip Y > NB | icmp type 0 id 7 seq 1 | data 40", RSIP_IN_ICMP_REPLY,
			    TO_X1 "| ip Y > NB ttl 63 | icmp type 0 id 7 seq 1 | data 40" } },
		{ PUBLIC, { "another sequence number", "ip Y > NB | icmp type 0 id 7 seq 2", RSIP_IN_ICMP, NULL } },
		{ PUBLIC, { "another identifier", "ip Y > NB | icmp type 0 id 9 seq 1", RSIP_IN_ICMP, NULL } },
		{ PUBLIC, { "from another peer", "ip Z > NB | icmp type 0 id 7 seq 1", RSIP_IN_ICMP, NULL } },
		{ PUBLIC, { "to another address", "ip Y > NB2 | icmp type 0 id 7 seq 1", RSIP_IN_ICMP, NULL } },
		{ PUBLIC, { "a reply of another kind", "ip Y > NB | icmp type 14 id 7 seq 1", RSIP_IN_ICMP, NULL } },
		{ PRIVATE, { "X2 with X1's identifier", FROM_X2 "Y | icmp id 7 seq 1", RSIP_OUT_ICMP_TAKEN, NULL } },
		{ PRIVATE, { "X2 with it, to Z", FROM_X2 "Z | icmp id 7 seq 1", RSIP_OUT_ICMP_QUERY,
			     "eth n > y | ip NB > Z ttl 63 | icmp id 7 seq 1" } },
		{ PRIVATE, { "X1 again", FROM_X1 "Y | icmp id 7 seq 1", RSIP_OUT_ICMP_QUERY, TO_Y "| icmp id 7 seq 1" } },
		{ PRIVATE, { "timestamp", FROM_X1 "Y | icmp type 13 id 7 seq 1 | data 12", RSIP_OUT_ICMP_QUERY,
			     TO_Y "| icmp type 13 id 7 seq 1 | data 12" } },
		{ PUBLIC, { "its reply", "ip Y > NB | icmp type 14 id 7 seq 1 | data 12", RSIP_IN_ICMP_REPLY,
			    TO_X1 "| ip Y > NB ttl 63 | icmp type 14 id 7 seq 1 | data 12" } },
		{ PRIVATE, { "mask", FROM_X2 "Y | icmp type 17 id 7 seq 1 | data 4", RSIP_OUT_ICMP_QUERY,
			     TO_Y "| icmp type 17 id 7 seq 1 | data 4" } },
		{ PUBLIC, { "its reply", "ip Y > NB | icmp type 18 id 7 seq 1 | data 4", RSIP_IN_ICMP_REPLY,
			    TO_X2 "| ip Y > NB ttl 63 | icmp type 18 id 7 seq 1 | data 4" } },
		{ PUBLIC, { "an error about X1's", ERROR_TO_X1("11", "ip NB > Y ttl 1 | icmp id 7 seq 1") } },
		{ PUBLIC, { "an error about nobody's", ERROR_DROPPED("11", "ip NB > Y ttl 1 | icmp id 7 seq 5") } },
		{ PRIVATE, { "a host with ports only", "ip X4 > NA | ip NB > Y | icmp id 4 seq 1", RSIP_OUT_ICMP_QUERY,
			     TO_Y "| icmp id 4 seq 1" } },
		{ PUBLIC, { "its reply", "ip Y > NB | icmp type 0 id 4 seq 1", RSIP_IN_ICMP_REPLY,
			    "eth n > x4 | ip NA > X4 | ip Y > NB ttl 63 | icmp type 0 id 4 seq 1" } },
		{ PRIVATE, { "held to Y: to Y", "ip X5 > NA | ip NB > Y | icmp id 5 seq 1", RSIP_OUT_ICMP_QUERY,
			     TO_Y "| icmp id 5 seq 1" } },
		{ PRIVATE, { "held to Y: to Z", "ip X5 > NA | ip NB > Z | icmp id 5 seq 1", RSIP_OUT_REMOTE_ADDRESS, NULL } },
		{ PRIVATE, { "one bind held to Y, another to Z: to Z", "ip X2 > NA | ip NB3 > Z | icmp id 6 seq 1", RSIP_OUT_ICMP_QUERY,
			     "eth n > y | ip NB3 > Z ttl 63 | icmp id 6 seq 1" } },
		{ PRIVATE, { "address of others", "ip X4 > NA | ip NB2 > Y | icmp", RSIP_OUT_ADDRESS, NULL } },
		{ PRIVATE, { "not registered", "ip XU > NA | ip NB > Y | icmp", RSIP_OUT_UNREGISTERED, NULL } },
		{ PRIVATE, { "wrong tunnel", "ip X1 > NA | gre | ip NB > Y | icmp", RSIP_OUT_TUNNEL, NULL } },
		{ PRIVATE, { "too short", FROM_X1 "Y proto 1 | bytes 0800c5c5", RSIP_OUT_ICMP, NULL } },
		{ PRIVATE, { "router solicitation", FROM_X1 "Y | icmp type 10", RSIP_OUT_ICMP, NULL } },
	};
	struct world w;

	world_open(&w);
	steps_run(&w, steps, sizeof(steps) / sizeof(steps[0]));
	world_close(&w);
}

/* The address alone decides, and what it asks N to answer. covers: IN-01 IN-15 FLOW-13 */
Test(icmp, whole_address)
{
	static const struct step steps[] = {
		{ PRIVATE, { "ping", "ip X1 > NA | ip W1 > Y | icmp id 9", RSIP_OUT_WHOLE, "eth n > y | ip W1 > Y ttl 63 | icmp id 9" } },
		{ PUBLIC, { "any reply", "ip Y > W1 | icmp type 0 id 77", RSIP_IN_ICMP_REPLY,
			    TO_X1 "| ip Y > W1 ttl 63 | icmp type 0 id 77" } },
		{ PUBLIC, { "an error about any protocol", "ip R > W1 | icmp type 11 | ip W1 > Y proto 132 | data 8",
			    RSIP_IN_ICMP_ERROR, TO_X1 "| ip R > W1 ttl 63 | icmp type 11 | ip W1 > Y proto 132 | data 8" } },
		{ PUBLIC, { "an error about too little", "ip R > W1 | icmp type 11 | ip W1 > Y proto 132 | data 7", RSIP_IN_ICMP,
			    NULL } },
		{ PUBLIC, { "micro: about the peer's port", "ip R > W2 | icmp type 3 | ip W2 > Y | tcp 22 > 80", RSIP_IN_ICMP_ERROR,
			    TO_X2 "| gre | ip R > W2 ttl 63 | icmp type 3 | ip W2 > Y | tcp 22 > 80" } },
		{ PUBLIC, { "micro: about another port", "ip R > W2 | icmp type 3 | ip W2 > Y | tcp 22 > 81", RSIP_IN_REMOTE, NULL } },
		{ PUBLIC, { "a request", "ip Y > W1 | icmp", RSIP_IN_ICMP_REQUEST, NULL } },
	};
	struct world w;

	world_open(&w);
	steps_run(&w, steps, sizeof(steps) / sizeof(steps[0]));
	world_close(&w);
}

/* N's own stack answers; hosts never see them. covers: IN-15 */
Test(icmp, requests_from_outside)
{
	static const struct row rows[] = {
		{ "echo", "ip Y > NB | icmp | data 30", RSIP_IN_ICMP_REQUEST, "ip Y > NB | icmp | data 30" },
		{ "timestamp", "ip Y > NB | icmp type 13 | data 12", RSIP_IN_ICMP_REQUEST, NULL },
		{ "mask", "ip Y > NB | icmp type 17 | data 4", RSIP_IN_ICMP_REQUEST, NULL },
		{ "shared address", "ip Y > SH | icmp", RSIP_IN_PASS, NULL },
		{ "N", "ip Y > N | icmp", RSIP_IN_PASS, NULL },
		{ "router advertisement", "ip Y > NB | icmp type 9", RSIP_IN_ICMP, NULL },
	};

	run(PUBLIC, ROWS(rows));
}

/* What a host says about packets that it got; never about another host's. covers: EG-11 */
Test(icmp, errors_of_hosts)
{
	static const struct row rows[] = {
		{ "port unreachable", FROM_X1 "Y | icmp type 3 code 3 | ip Y > NB ttl 63 | udp 53 > 40000 | data 9",
		  RSIP_OUT_ICMP_ERROR, TO_Y "| icmp type 3 code 3 | ip Y > NB ttl 63 | udp 53 > 40000 | data 9" },
		{ "about ESP", FROM_X1 "Y | icmp type 3 code 2 | ip Y > NB | esp 0x1001", RSIP_OUT_ICMP_ERROR,
		  TO_Y "| icmp type 3 code 2 | ip Y > NB | esp 0x1001" },
		{ "about AH, 8 bytes", FROM_X1 "Y | icmp type 3 | ip Y > NB proto 51 | bytes 11040000 00001001",
		  RSIP_OUT_ICMP_ERROR, TO_Y "| icmp type 3 | ip Y > NB proto 51 | bytes 11040000 00001001" },
		{ "about IKE", FROM_X1 "Y | icmp type 3 code 3 | ip Y > NB | udp 500 > 500 | ike 0x11",
		  RSIP_OUT_ICMP_ERROR, TO_Y "| icmp type 3 code 3 | ip Y > NB | udp 500 > 500 | ike 0x11" },
		{ "through GRE", "ip X1 > NA | gre | ip NB > Y | icmp type 11 | ip Y > NB | udp 53 > 41000",
		  RSIP_OUT_ICMP_ERROR, TO_Y "| icmp type 11 | ip Y > NB | udp 53 > 41000" },
		{ "reply", FROM_X1 "Y | icmp type 0", RSIP_OUT_ICMP_QUERY, TO_Y "| icmp type 0" },
		{ "about X2's port", FROM_X1 "Y | icmp type 3 code 3 | ip Y > NB | udp 53 > 40100", RSIP_OUT_ICMP, NULL },
		{ "about X2's SPI", FROM_X1 "Y | icmp type 3 code 2 | ip Y > NB | esp 0x2001", RSIP_OUT_ICMP, NULL },
		{ "about a port of nobody", FROM_X1 "Y | icmp type 3 code 3 | ip Y > NB | udp 53 > 40001", RSIP_OUT_ICMP,
		  NULL },
		{ "to another than the quoted sender", FROM_X1 "Z | icmp type 3 | ip Y > NB | udp 53 > 40000", RSIP_OUT_ICMP,
		  NULL },
		{ "quoted for another address", FROM_X1 "Y | icmp type 3 | ip Y > NB2 | udp 53 > 40000", RSIP_OUT_ICMP, NULL },
		{ "about IKE that X1 listens for, and never got", "ip X1 > NA | ip NB2 > Y | icmp type 3 | ip Y > NB2 | udp 500 > 500 | ike 0x11",
		  RSIP_OUT_ICMP, NULL },
		{ "nothing quoted", FROM_X1 "Y | icmp type 3", RSIP_OUT_ICMP, NULL },
		{ "macro: the peer", FROM_X2 "Y | icmp type 3 | ip Y > NB | udp 9 > 42000", RSIP_OUT_ICMP_ERROR,
		  TO_Y "| icmp type 3 | ip Y > NB | udp 9 > 42000" },
		{ "macro: another peer", FROM_X2 "Z | icmp type 3 | ip Z > NB | udp 9 > 42000", RSIP_OUT_REMOTE_ADDRESS, NULL },
		{ "micro: another port", FROM_X2 "Y | icmp type 3 | ip Y > NB | udp 9 > 43000", RSIP_OUT_REMOTE_PORT, NULL },
		{ "source of others", "ip X4 > NA | ip NB2 > Y | icmp type 3 | ip Y > NB2 | udp 9 > 40000", RSIP_OUT_ADDRESS,
		  NULL },
		{ "redirect", FROM_X1 "Y | icmp type 5 | ip Y > NB | udp 53 > 40000", RSIP_OUT_ICMP, NULL },
	};
	struct world w;

	world_open(&w);
	world_cookie(&w, 0x11, "NB", 500, 1, world_generation(1), "Y");
	rows_run(&w, PRIVATE, ROWS(rows));
	world_close(&w);
}

/* One host floods, another still pings. covers: SEC-07 */
Test(icmp, flood_of_requests)
{
	static const struct row other = { "X2", FROM_X2 "Y | icmp id 5 seq 5", RSIP_OUT_ICMP_QUERY, TO_Y "| icmp id 5 seq 5" };
	unsigned int let = 0, refused = 0;
	struct world w;
	struct run run;

	world_open(&w);
	/* More than two seconds' worth: some must be refused, however the seconds fall. */
	for (unsigned int i = 0; i < 3 * RSIP_BIND_QUERIES; i++) {
		struct frame f;
		char text[64];

		snprintf(text, sizeof(text), FROM_X1 "Y | icmp id 9 seq %u", i);
		pkt_build(text, &f);
		world_run(&w, PRIVATE, &f, &run);
		let += run.outcome == RSIP_OUT_ICMP_QUERY;
		refused += run.outcome == RSIP_OUT_ICMP_LIMIT;
	}
	cr_expect_eq(let + refused, 3 * RSIP_BIND_QUERIES);
	cr_expect_geq(let, RSIP_BIND_QUERIES);
	cr_expect_gt(refused, 0);
	cr_expect(row_run(&w, PRIVATE, &other, &run));
	world_close(&w);
}

/* Its seconds over, a request is nobody's, and what it was known by another host's. covers: IN-14 */
Test(icmp, requests_get_old)
{
	static const struct row ping = { "X1 pings", FROM_X1 "Y | icmp id 7 seq 1", RSIP_OUT_ICMP_QUERY, TO_Y "| icmp id 7 seq 1" };
	static const struct row late = { "late", "ip Y > NB | icmp type 0 id 7 seq 1", RSIP_IN_ICMP, NULL };
	static const struct row other = { "X2 pings", FROM_X2 "Y | icmp id 7 seq 1", RSIP_OUT_ICMP_QUERY, TO_Y "| icmp id 7 seq 1" };
	struct rsip_echo_key key;
	struct rsip_echo value;
	struct bpf_map *map;
	struct world w;
	struct run run;

	world_open(&w);
	map = w.skel->maps.rsip_echoes;
	cr_assert(row_run(&w, PRIVATE, &ping, &run));
	cr_assert_eq(bpf_map__get_next_key(map, NULL, &key, sizeof(key)), 0);
	cr_assert_eq(bpf_map__lookup_elem(map, &key, sizeof(key), &value, sizeof(value), 0), 0);
	value.time -= (RSIP_ECHO_SECONDS + 1) * 1000000000ULL;
	cr_assert_eq(bpf_map__update_elem(map, &key, sizeof(key), &value, sizeof(value), BPF_ANY), 0);
	cr_expect(row_run(&w, PUBLIC, &late, &run));
	cr_expect(row_run(&w, PRIVATE, &other, &run));
	world_close(&w);
}

/* Who has used up a second begins the next one afresh; replies are not counted. covers: SEC-07 */
Test(icmp, requests_of_a_new_second)
{
	static const struct row ping = { "ping", FROM_X1 "Y | icmp id 7 seq 1", RSIP_OUT_ICMP_QUERY, TO_Y "| icmp id 7 seq 1" };
	static const struct row reply = { "reply", FROM_X1 "Y | icmp type 0 id 7 seq 1", RSIP_OUT_ICMP_QUERY, TO_Y "| icmp type 0 id 7 seq 1" };
	struct rsip_bind_rare rare;
	struct world w;
	struct run run;

	world_open(&w);
	world_rare(&w, 1, &rare);
	rare.query_second = 1;
	rare.queries = RSIP_BIND_QUERIES;
	world_rare_set(&w, 1, &rare);
	cr_expect(row_run(&w, PRIVATE, &reply, &run));
	world_rare(&w, 1, &rare);
	cr_expect_eq(rare.queries, RSIP_BIND_QUERIES);
	cr_expect(row_run(&w, PRIVATE, &ping, &run));
	world_rare(&w, 1, &rare);
	cr_expect_eq(rare.queries, 1);
	cr_expect_neq(rare.query_second, 1);
	world_close(&w);
}

/* --- what N says itself ------------------------------------------------------------------- */

/* covers: IN-22 TUN-13 EG-14 */
Test(answers, to_peers)
{
	static const struct row rows[] = {
		{ "1481 bytes of ESP", "ip Y > NB df | esp 0x1001 | data 1453", RSIP_IN_TOO_BIG_TOLD,
		  "eth n > r | ip N > Y df id 0 tos 0xc0 | icmp type 3 code 4 mtu 1480 sum | "
		  "ip Y > NB df len 1481 | esp 0x1001 | data 520" },
		{ "through GRE", "ip Y > NB df | udp 1 > 41000 | data 1449", RSIP_IN_TOO_BIG_TOLD,
		  "eth n > r | ip N > Y df id 0 tos 0xc0 | icmp type 3 code 4 mtu 1476 sum | "
		  "ip Y > NB df len 1477 | udp 1 > 41000 len 1457 | data 520" },
		{ "VLAN, options", "vlan 7 | ip Y > NB df opts 8 | esp 0x1001 | data 1453", RSIP_IN_TOO_BIG_TOLD,
		  "eth n > r | vlan 7 | ip N > Y df id 0 tos 0xc0 | icmp type 3 code 4 mtu 1480 sum | "
		  "ip Y > NB df opts 8 len 1489 | esp 0x1001 | data 512" },
		{ "QinQ, options", "svlan 6 | vlan 7 | ip Y > NB df opts 8 | esp 0x1001 | data 1453", RSIP_IN_TOO_BIG_TOLD,
		  "eth n > r | svlan 6 | vlan 7 | ip N > Y df id 0 tos 0xc0 | icmp type 3 code 4 mtu 1480 sum | "
		  "ip Y > NB df opts 8 len 1489 | esp 0x1001 | data 512" },
		{ "a link of 100 bytes", "ip Y > NB df | udp 1 > 50004 | data 55 | pad 9", RSIP_IN_TOO_BIG_TOLD,
		  "eth n > r | ip N > Y df id 0 tos 0xc0 | icmp type 3 code 4 mtu 80 sum | "
		  "ip Y > NB df len 83 | udp 1 > 50004 len 63 | data 52" },
		{ "an address that nobody speaks for", "ip Y > NB2 df | esp 0x1001 | data 1453", RSIP_IN_TOO_BIG_TOLD,
		  "eth n > r | ip NB2 > Y df id 0 tos 0xc0 | icmp type 3 code 4 mtu 1480 sum | "
		  "ip Y > NB2 df len 1481 | esp 0x1001 | data 520" },
		{ "TTL 1", "ip Y > NB ttl 1 | esp 0x1001", RSIP_IN_TTL_TOLD,
		  "eth n > r | ip N > Y df id 0 tos 0xc0 | icmp type 11 sum | ip Y > NB ttl 1 | esp 0x1001" },
		{ "TTL 0, a length that is no multiple of 4", "ip Y > NB ttl 0 | udp 9 > 40000 | data 7", RSIP_IN_TTL_TOLD,
		  "eth n > r | ip N > Y df id 0 tos 0xc0 | icmp type 11 sum | ip Y > NB ttl 0 len 35 | "
		  "udp 9 > 40000 len 15 | data 4" },
		{ "TTL 1, a reply", "ip Y > NB ttl 1 | icmp type 0 id 3 seq 1", RSIP_IN_TTL_TOLD,
		  "eth n > r | ip N > Y df id 0 tos 0xc0 | icmp type 11 sum | ip Y > NB ttl 1 | icmp type 0 id 3 seq 1" },
		{ "TTL 1, an error: never", "ip R > NB ttl 1 | icmp type 3 | ip NB > Y | udp 40000 > 53", RSIP_IN_TTL, NULL },
		{ "from nobody", "ip 0.0.0.0 > NB ttl 1 | esp 0x1001", RSIP_IN_TTL, NULL },
		{ "from many", "ip 224.0.0.1 > NB ttl 1 | esp 0x1001", RSIP_IN_TTL, NULL },
		{ "TTL 1, no host's", "ip Y > NB ttl 1 | esp 0x1002", RSIP_IN_NO_SPI, NULL },
	};
	static const struct row learned = { "X1 asks", FROM_X1 "Y | icmp id 3 seq 1", RSIP_OUT_ICMP_QUERY, NULL };
	struct world w;

	world_open(&w);
	rows_run(&w, PRIVATE, &(struct row){ learned.name, learned.in, learned.outcome, TO_Y "| icmp id 3 seq 1" }, 1);
	rows_run(&w, PUBLIC, ROWS(rows));
	world_close(&w);
}

#define TOLD_X1	"eth n > r | ip NA > X1 df id 0 tos 0xc0 | ip N > NB df id 0 tos 0xc0 | "

/* covers: EG-14 TUN-13 */
Test(answers, to_hosts)
{
	static const struct row rows[] = {
		{ "1501 bytes", FROM_X1 "Y df | esp 1 | data 1473", RSIP_OUT_TOO_BIG_TOLD,
		  TOLD_X1 "icmp type 3 code 4 mtu 1500 sum | ip NB > Y df len 1501 | esp 1 | data 520" },
		{ "a link of 100 bytes", FROM_X1 "YM df | esp 1 | data 73", RSIP_OUT_TOO_BIG_TOLD,
		  TOLD_X1 "icmp type 3 code 4 mtu 100 sum | ip NB > YM df len 101 | esp 1 | data 72" },
		{ "TTL 1, and a mark it cannot carry", "ip X1 > NA tos 3 | ip NB > Y ttl 1 | udp 40000 > 33434 | data 12",
		  RSIP_OUT_ECN, NULL },
		{ "TTL 1", FROM_X1 "Y ttl 1 | udp 40000 > 33434 | data 12", RSIP_OUT_TTL_TOLD,
		  TOLD_X1 "icmp type 11 sum | ip NB > Y ttl 1 | udp 40000 > 33434 | data 12" },
		{ "TTL 1, ping", FROM_X1 "Y ttl 1 | icmp | data 12", RSIP_OUT_TTL_TOLD,
		  TOLD_X1 "icmp type 11 sum | ip NB > Y ttl 1 | icmp | data 12" },
		{ "TTL 0, GRE, VLAN, options", "vlan 7 | ip X1 > NA opts 8 | gre key | ip NB > Y ttl 0 opts 4 | udp 41000 > 9",
		  RSIP_OUT_TTL_TOLD, "eth n > r | vlan 7 | ip NA > X1 df id 0 tos 0xc0 | gre | ip N > NB df id 0 tos 0xc0 | "
		  "icmp type 11 sum | ip NB > Y ttl 0 opts 4 | udp 41000 > 9" },
		{ "no way", FROM_X1 "YR | esp 1", RSIP_OUT_UNREACHABLE_TOLD,
		  TOLD_X1 "icmp type 3 sum | ip NB > YR | esp 1" },
		{ "an address that nobody speaks for", "ip X1 > NA | ip NB2 > Y ttl 1 | esp 1", RSIP_OUT_TTL_TOLD,
		  "eth n > r | ip NA > X1 df id 0 tos 0xc0 | ip NA > NB2 df id 0 tos 0xc0 | icmp type 11 sum | "
		  "ip NB2 > Y ttl 1 | esp 1" },
		{ "to nobody", FROM_X1 "0.0.0.0 | esp 1", RSIP_OUT_UNREACHABLE, NULL },
		{ "to many", FROM_X1 "224.0.0.5 | udp 40000 > 9", RSIP_OUT_UNREACHABLE, NULL },
		{ "an error of the host", FROM_X1 "Y ttl 1 | icmp type 3 | ip Y > NB | udp 53 > 40000", RSIP_OUT_TTL, NULL },
		{ "a port of another", FROM_X1 "Y ttl 1 | udp 40100 > 33434", RSIP_OUT_NO_PORT, NULL },
	};

	run(PRIVATE, ROWS(rows));
}

/* What may be fragmented goes to the daemon, ready. covers: IN-22 TUN-13 */
Test(answers, split)
{
	static const struct step steps[] = {
		{ PUBLIC, { "1481 bytes", "ip Y > NB | esp 0x1001 | data 1453", RSIP_IN_SPLIT,
			    TO_X1 "| ip Y > NB ttl 63 | esp 0x1001 | data 1453" } },
		{ PUBLIC, { "through GRE", "ip Y > NB | udp 1 > 41000 | data 1449", RSIP_IN_SPLIT,
			    TO_X1 "| gre | ip Y > NB ttl 63 | udp 1 > 41000 | data 1449" } },
		{ PUBLIC, { "VLAN", "ip Y > NB | udp 1 > 50004 | data 53", RSIP_IN_SPLIT,
			    "eth n > xm | ip NA > XM | ip Y > NB ttl 63 | udp 1 > 50004 | data 53" } },
		{ PRIVATE, { "1501 bytes", FROM_X1 "Y | esp 1 | data 1473", RSIP_OUT_SPLIT, TO_Y "| esp 1 | data 1473" } },
		{ PRIVATE, { "a small link, IKE", FROM_X1 "YM | udp 500 > 500 | ike 9 | data 100", RSIP_OUT_SPLIT,
			     "eth n > ym | ip NB > YM ttl 63 | udp 500 > 500 | ike 9 | data 100" } },
	};
	struct world w;

	world_open(&w);
	steps_run(&w, steps, sizeof(steps) / sizeof(steps[0]));
	cr_expect_eq(world_cookies(&w), 1, "a packet that leaves has its cookie learned");
	world_close(&w);
}

/* No more than the bucket holds; the rest is dropped as before. covers: SEC-07 */
Test(answers, are_limited)
{
	static const struct step steps[] = {
		{ PUBLIC, { "first", "ip Y > NB ttl 1 | esp 0x1001", RSIP_IN_TTL_TOLD, NULL } },
		{ PUBLIC, { "second", "ip Y > NB df | esp 0x1001 | data 1453", RSIP_IN_TOO_BIG_TOLD, NULL } },
		{ PUBLIC, { "third", "ip Y > NB ttl 1 | esp 0x1001", RSIP_IN_TTL, NULL } },
		{ PUBLIC, { "fourth", "ip Y > NB df | esp 0x1001 | data 1453", RSIP_IN_TOO_BIG, NULL } },
		{ PRIVATE, { "hosts have their own", FROM_X1 "Y ttl 1 | esp 1", RSIP_OUT_TTL_TOLD, NULL } },
		{ PRIVATE, { "of two", FROM_X1 "YR | esp 1", RSIP_OUT_UNREACHABLE_TOLD, NULL } },
		{ PRIVATE, { "too big", FROM_X1 "Y df | esp 1 | data 1473", RSIP_OUT_TOO_BIG, NULL } },
		{ PRIVATE, { "no way", FROM_X1 "YR | esp 1", RSIP_OUT_UNREACHABLE, NULL } },
		{ PRIVATE, { "TTL", FROM_X1 "Y ttl 1 | esp 1", RSIP_OUT_TTL, NULL } },
	};
	struct world w;

	world_open(&w);
	world_bucket(&w, 2);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct frame in;
		struct run got;

		pkt_build(steps[i].row.in, &in);
		world_run(&w, steps[i].side, &in, &got);
		cr_expect_eq(got.outcome, steps[i].row.outcome, "%s: %s", steps[i].row.name, outcome_name(got.outcome));
	}
	world_close(&w);
}

/* However long it was quiet, the bucket holds no more than a burst. covers: SEC-07 */
Test(answers, save_up_for_one_burst)
{
	static const struct row told = { "told", "ip Y > NB ttl 1 | esp 0x1001", RSIP_IN_TTL_TOLD,
					 "eth n > r | ip N > Y df id 0 tos 0xc0 | icmp type 11 sum | ip Y > NB ttl 1 | esp 0x1001" };
	int cpus = libbpf_num_possible_cpus();
	const __u32 side = RSIP_BUCKET_PUBLIC;
	struct rsip_bucket buckets[cpus];
	struct bpf_map *map;
	struct world w;
	struct run run;

	world_open(&w);
	map = w.skel->maps.rsip_buckets;
	memset(buckets, 0, sizeof(buckets));
	cr_assert_eq(bpf_map__update_elem(map, &side, sizeof(side), buckets, sizeof(buckets), BPF_ANY), 0);
	cr_assert(row_run(&w, PUBLIC, &told, &run));
	cr_assert_eq(bpf_map__lookup_elem(map, &side, sizeof(side), buckets, sizeof(buckets), 0), 0);
	for (int cpu = 0; cpu < cpus; cpu++)
		cr_expect(!buckets[cpu].time || buckets[cpu].tokens == RSIP_BUCKET_BURST - 1, "%u tokens", (unsigned int)buckets[cpu].tokens);
	world_close(&w);
}
