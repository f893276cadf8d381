// SPDX-License-Identifier: GPL-2.0-only
/* The host's tc programs: whole frame in, verdict, whole frame out, the counter that moved. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <rsip/encap.h>

#include "pkt.h"
#include "tunnel.skel.h"

#define TC_UNSPEC	(-1)
#define TC_SHOT		2
#define TC_REDIRECT	7
#define NO_COUNTER	(-1)
#define LOOPBACK	1	/* the interface a test run takes place on */
#define IPIP		4
#define GRE		47

/* X1 holds NB; its tunnel ends at NA. rsipN has X2's MAC address. */
struct row {
	const char *what, *in;
	int verdict;
	const char *out;	/* NULL: as it came in */
	int counter;		/* of packets; the one of bytes is checked with it */
};

static struct tunnel_bpf *open_tunnel(unsigned char proto)
{
	struct tunnel_bpf *skel;
	struct rsip_tunnel_config config = {
		.address = pkt_addr("NB"),
		.host = pkt_addr("X1"),
		.end = pkt_addr("NA"),
		.tunnel = LOOPBACK,
		.underlay = LOOPBACK,
		.proto = proto,
	};

	if (geteuid() != 0)
		cr_skip_test("loading BPF programs needs root");
	skel = tunnel_bpf__open_and_load();
	cr_assert(skel != NULL, "the programs do not load: %s", strerror(errno));
	pkt_mac("X2", config.mac);
	skel->bss->config = config;
	return skel;
}

static int run(struct bpf_program *program, const struct frame *in, struct frame *out)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in->data, .data_size_in = (__u32)in->len,
		    .data_out = out->data, .data_size_out = sizeof(out->data), .repeat = 1);
	int err = bpf_prog_test_run_opts(bpf_program__fd(program), &opts);

	cr_assert(err == 0, "test run: %s", strerror(-err));
	out->len = opts.data_size_out;
	return (int)opts.retval;
}

static unsigned int total_length(const struct frame *frame)
{
	return (unsigned int)frame->data[16] << 8 | frame->data[17];
}

static void run_row(struct tunnel_bpf *skel, struct bpf_program *program, const struct row *row)
{
	struct frame in, want, got;
	int verdict;

	memset(skel->bss->counters, 0, sizeof(skel->bss->counters));
	pkt_build(row->in, &in);
	pkt_build(row->out ? row->out : row->in, &want);
	verdict = run(program, &in, &got);
	cr_expect(verdict == row->verdict, "%s: verdict %d, want %d", row->what, verdict, row->verdict);
	if (verdict != TC_SHOT && (got.len != want.len || memcmp(got.data, want.data, want.len) != 0)) {
		cr_expect(0, "%s: another frame", row->what);
		pkt_diff(&want, &got);
	}
	for (int i = 0; i < RSIP_TUNNEL_COUNTER_COUNT; i++) {
		bool bytes = i == RSIP_TUNNEL_SENT_BYTES || i == RSIP_TUNNEL_RECEIVED_BYTES;
		unsigned long long moved = skel->bss->counters[i], right = i == row->counter;

		if (bytes && row->counter == i - 1)	/* by the inner header's total length */
			right = row->counter == RSIP_TUNNEL_SENT ? total_length(&in) : total_length(&got);
		cr_expect(moved == right, "%s: counter %d is %llu, want %llu", row->what, i, moved, right);
	}
}

static void run_rows(unsigned char proto, bool in, const struct row *rows, size_t count)
{
	struct tunnel_bpf *skel = open_tunnel(proto);

	for (size_t i = 0; i < count; i++)
		run_row(skel, in ? skel->progs.rsip_decap : skel->progs.rsip_encap, &rows[i]);
	tunnel_bpf__destroy(skel);
}

#define ROWS(rows)	(rows), sizeof(rows) / sizeof(*(rows))
#define OUTER		"| ip X1 > NA id 0 df "
#define SENT		TC_REDIRECT
#define RECEIVED	TC_REDIRECT

/* --- out -------------------------------------------------------------------------- */

/* covers: TUN-01 TUN-02 TUN-10 TUN-11 HOST-03 */
Test(tunnel, encapsulate)
{
	static const struct row rows[] = {
		{ "ESP", "eth x2 > x2 | ip NB > Y | esp 0x99 | data 60", SENT,
		  "eth x2 > x2 " OUTER "| ip NB > Y | esp 0x99 | data 60", RSIP_TUNNEL_SENT },
		{ "an odd length", "eth x2 > x2 | ip NB > Y ttl 1 | udp 40000 > 53 | data 33", SENT,
		  "eth x2 > x2 " OUTER "| ip NB > Y ttl 1 | udp 40000 > 53 | data 33", RSIP_TUNNEL_SENT },
		{ "nothing behind the IPv4 header", "eth x2 > x2 | ip NB > Y proto 6", SENT,
		  "eth x2 > x2 " OUTER "| ip NB > Y proto 6", RSIP_TUNNEL_SENT },
		{ "options", "eth x2 > x2 | ip NB > Y opts 40 | tcp 5 > 6", SENT,
		  "eth x2 > x2 " OUTER "| ip NB > Y opts 40 | tcp 5 > 6", RSIP_TUNNEL_SENT },
		{ "a fragment", "eth x2 > x2 | ip NB > Y mf frag 100 | data 64", SENT,
		  "eth x2 > x2 " OUTER "| ip NB > Y mf frag 100 | data 64", RSIP_TUNNEL_SENT },
		{ "as long as the MTU", "eth x2 > x2 | ip NB > Y df | udp 1 > 2 | data 1452", SENT,
		  "eth x2 > x2 " OUTER "| ip NB > Y df | udp 1 > 2 | data 1452", RSIP_TUNNEL_SENT },
		{ "DSCP and ECT(0)", "eth x2 > x2 | ip NB > Y tos 0xba | esp 1", SENT,
		  "eth x2 > x2 " OUTER "tos 0xba | ip NB > Y tos 0xba | esp 1", RSIP_TUNNEL_SENT },
		{ "CE", "eth x2 > x2 | ip NB > Y tos 3 | esp 1", SENT,
		  "eth x2 > x2 " OUTER "tos 3 | ip NB > Y tos 3 | esp 1", RSIP_TUNNEL_SENT },
		{ "the host's private address", "eth x2 > x2 | ip X1 > Y | esp 1", TC_SHOT, NULL,
		  RSIP_TUNNEL_DROP_SOURCE },
		{ "an address of another host", "eth x2 > x2 | ip NB2 > Y | esp 1", TC_SHOT, NULL,
		  RSIP_TUNNEL_DROP_SOURCE },
		{ "IPv6", "eth x2 > x2 type 0x86dd | bytes 6000000000000000 | data 40", TC_SHOT, NULL,
		  RSIP_TUNNEL_DROP_SOURCE },
		{ "ARP", "eth x2 > x2 type 0x0806 | data 28", TC_SHOT, NULL, RSIP_TUNNEL_DROP_SOURCE },
	};

	run_rows(IPIP, false, ROWS(rows));
}

/* covers: TUN-03 */
Test(tunnel, encapsulate_gre)
{
	static const struct row rows[] = {
		{ "ESP", "eth x2 > x2 | ip NB > Y | esp 0x99 | data 60", SENT,
		  "eth x2 > x2 " OUTER "| gre | ip NB > Y | esp 0x99 | data 60", RSIP_TUNNEL_SENT },
		{ "marked", "eth x2 > x2 | ip NB > Y tos 0xb9 | tcp 5 > 6 | data 7", SENT,
		  "eth x2 > x2 " OUTER "tos 0xb9 | gre | ip NB > Y tos 0xb9 | tcp 5 > 6 | data 7", RSIP_TUNNEL_SENT },
		{ "the host's private address", "eth x2 > x2 | ip X1 > Y | esp 1", TC_SHOT, NULL,
		  RSIP_TUNNEL_DROP_SOURCE },
	};

	run_rows(GRE, false, ROWS(rows));
}

/* --- in --------------------------------------------------------------------------- */

#define ARP_HEAD	"type 0x0806 | bytes 0001080006040001"
#define ARP_REPLY	"type 0x0806 | bytes 0001080006040002"
#define ARP_FROM_NA	" 020000000001 0a000001 000000000000 "

/* covers: TUN-01 TUN-02 TUN-10 TUN-15 HOST-14 */
Test(tunnel, decapsulate)
{
	static const struct row rows[] = {
		{ "ESP", "eth na > x1 | ip NA > X1 | ip Y > NB | esp 0x1001 | data 60", RECEIVED,
		  "eth na > x2 | ip Y > NB | esp 0x1001 | data 60", RSIP_TUNNEL_RECEIVED },
		{ "options inside", "eth na > x1 | ip NA > X1 | ip Y > NB opts 40 | tcp 5 > 6 | data 9", RECEIVED,
		  "eth na > x2 | ip Y > NB opts 40 | tcp 5 > 6 | data 9", RSIP_TUNNEL_RECEIVED },
		{ "nothing inside but the header", "eth na > x1 | ip NA > X1 | ip Y > NB proto 6", RECEIVED,
		  "eth na > x2 | ip Y > NB proto 6", RSIP_TUNNEL_RECEIVED },
		{ "padded by the link", "eth na > x1 | ip NA > X1 | ip Y > NB | udp 1 > 2 | pad 6", RECEIVED,
		  "eth na > x2 | ip Y > NB | udp 1 > 2 | pad 6", RSIP_TUNNEL_RECEIVED },
		{ "the outer DSCP is not taken over", "eth na > x1 | ip NA > X1 tos 0xb8 | ip Y > NB tos 0x20 | esp 1",
		  RECEIVED, "eth na > x2 | ip Y > NB tos 0x20 | esp 1", RSIP_TUNNEL_RECEIVED },
		{ "a tunnel inside is unpacked once", "eth na > x1 | ip NA > X1 | ip Y > NB | ip Z > NB | esp 1",
		  RECEIVED, "eth na > x2 | ip Y > NB | ip Z > NB | esp 1", RSIP_TUNNEL_RECEIVED },
		{ "another outer source", "eth na > x1 | ip NA2 > X1 | ip Y > NB | esp 0x1001", TC_UNSPEC, NULL,
		  NO_COUNTER },
		{ "another outer destination", "eth na > x1 | ip NA > X2 | ip Y > NB | esp 0x1001", TC_UNSPEC, NULL,
		  NO_COUNTER },
		{ "another inner destination", "eth na > x1 | ip NA > X1 | ip Y > NB2 | esp 0x1001", TC_UNSPEC, NULL,
		  NO_COUNTER },
		{ "to the private address inside", "eth na > x1 | ip NA > X1 | ip Y > X1 | esp 0x1001", TC_UNSPEC,
		  NULL, NO_COUNTER },
		{ "the other tunnel", "eth na > x1 | ip NA > X1 | gre | ip Y > NB | esp 0x1001", TC_UNSPEC, NULL,
		  NO_COUNTER },
		{ "no tunnel at all", "eth na > x1 | ip NA > X1 | udp 4555 > 4555 | data 40", TC_UNSPEC, NULL,
		  NO_COUNTER },
		{ "to NB without a tunnel", "eth na > x1 | ip Y > NB | esp 0x1001 | data 40", TC_UNSPEC, NULL,
		  NO_COUNTER },
		{ "first outer fragment", "eth na > x1 | ip NA > X1 mf | ip Y > NB | esp 1", TC_UNSPEC, NULL,
		  NO_COUNTER },
		{ "later outer fragment", "eth na > x1 | ip NA > X1 frag 1 | ip Y > NB | esp 1", TC_UNSPEC, NULL,
		  NO_COUNTER },
		{ "outer options", "eth na > x1 | ip NA > X1 opts 4 | ip Y > NB | esp 1", TC_UNSPEC, NULL, NO_COUNTER },
		{ "IPv6 inside", "eth na > x1 | ip NA > X1 | ip Y > NB ver 6 | esp 1", TC_UNSPEC, NULL, NO_COUNTER },
		{ "inner header length 4", "eth na > x1 | ip NA > X1 | ip Y > NB ihl 4 | esp 1", TC_UNSPEC, NULL,
		  NO_COUNTER },
		{ "inner header longer than the packet", "eth na > x1 | ip NA > X1 | ip Y > NB ihl 15 | esp 1",
		  TC_UNSPEC, NULL, NO_COUNTER },
		{ "inner packet longer than the outer", "eth na > x1 | ip NA > X1 len 60 | ip Y > NB | esp 1 | data 20",
		  TC_UNSPEC, NULL, NO_COUNTER },
		{ "outer packet longer than the frame", "eth na > x1 | ip NA > X1 len 200 | ip Y > NB | esp 1",
		  TC_UNSPEC, NULL, NO_COUNTER },
		{ "inner length 19", "eth na > x1 | ip NA > X1 | ip Y > NB len 19 | esp 1", TC_UNSPEC, NULL,
		  NO_COUNTER },
	};

	run_rows(IPIP, true, ROWS(rows));
}

/* covers: TUN-03 HOST-14 */
Test(tunnel, decapsulate_gre)
{
	static const struct row rows[] = {
		{ "ESP", "eth na > x1 | ip NA > X1 | gre | ip Y > NB | esp 0x1001 | data 60", RECEIVED,
		  "eth na > x2 | ip Y > NB | esp 0x1001 | data 60", RSIP_TUNNEL_RECEIVED },
		{ "checksum", "eth na > x1 | ip NA > X1 | gre csum | ip Y > NB | esp 1", RECEIVED,
		  "eth na > x2 | ip Y > NB | esp 1", RSIP_TUNNEL_RECEIVED },
		{ "key and sequence", "eth na > x1 | ip NA > X1 | gre key seq | ip Y > NB | esp 1", RECEIVED,
		  "eth na > x2 | ip Y > NB | esp 1", RSIP_TUNNEL_RECEIVED },
		{ "all three", "eth na > x1 | ip NA > X1 | gre csum key seq | ip Y > NB | esp 1", RECEIVED,
		  "eth na > x2 | ip Y > NB | esp 1", RSIP_TUNNEL_RECEIVED },
		{ "routing", "eth na > x1 | ip NA > X1 | gre flags 0x4000 | ip Y > NB | esp 1", TC_UNSPEC, NULL,
		  NO_COUNTER },
		{ "version 1", "eth na > x1 | ip NA > X1 | gre flags 1 | ip Y > NB | esp 1", TC_UNSPEC, NULL,
		  NO_COUNTER },
		{ "Ethernet inside", "eth na > x1 | ip NA > X1 | gre type 0x6558 | ip Y > NB | esp 1", TC_UNSPEC, NULL,
		  NO_COUNTER },
		{ "IP-IP", "eth na > x1 | ip NA > X1 | ip Y > NB | esp 1", TC_UNSPEC, NULL, NO_COUNTER },
		{ "another outer source", "eth na > x1 | ip NA2 > X1 | gre | ip Y > NB | esp 1", TC_UNSPEC, NULL,
		  NO_COUNTER },
	};

	run_rows(GRE, true, ROWS(rows));
}

/* covers: HOST-02 */
Test(tunnel, arp)
{
	static const struct row rows[] = {
		{ "request for NB", "eth na > x1 " ARP_HEAD ARP_FROM_NA "cb00710a", TC_SHOT, NULL,
		  RSIP_TUNNEL_DROP_ARP },
		{ "padded", "eth na > x1 " ARP_HEAD ARP_FROM_NA "cb00710a | pad 18", TC_SHOT, NULL,
		  RSIP_TUNNEL_DROP_ARP },
		{ "request for X1", "eth na > x1 " ARP_HEAD ARP_FROM_NA "0a00000b", TC_UNSPEC, NULL, NO_COUNTER },
		{ "request for the next address", "eth na > x1 " ARP_HEAD ARP_FROM_NA "cb00710b", TC_UNSPEC, NULL,
		  NO_COUNTER },
		{ "reply", "eth na > x1 " ARP_REPLY ARP_FROM_NA "cb00710a", TC_UNSPEC, NULL, NO_COUNTER },
		{ "cut short", "eth na > x1 " ARP_HEAD ARP_FROM_NA "cb0071", TC_UNSPEC, NULL, NO_COUNTER },
	};

	run_rows(IPIP, true, ROWS(rows));
}

/* RFC 6040 figure 4: inner row, outer column, what comes out; -1: dropped. covers: TUN-11 */
Test(tunnel, ecn)
{
	static const int figure[4][4] = {
		/* outer:    not  ECT1 ECT0  CE */
		[0] = { 0, 0, 0, -1 },
		[1] = { 1, 1, 1, 3 },
		[2] = { 2, 1, 2, 3 },
		[3] = { 3, 3, 3, 3 },
	};
	struct tunnel_bpf *skel = open_tunnel(IPIP);

	for (int inner = 0; inner < 4; inner++) {
		for (int outer = 0; outer < 4; outer++) {
			char what[40], in[160], out[160];
			struct row row = { what, in, RECEIVED, out, RSIP_TUNNEL_RECEIVED };

			snprintf(what, sizeof(what), "inner %d, outer %d", inner, outer);
			snprintf(in, sizeof(in), "eth na > x1 | ip NA > X1 tos %d | ip Y > NB tos %d | tcp 5 > 6 | data 9",
				 0x40 | outer, 0xb8 | inner);
			snprintf(out, sizeof(out), "eth na > x2 | ip Y > NB tos %d | tcp 5 > 6 | data 9",
				 0xb8 | (figure[inner][outer] & 3));
			if (figure[inner][outer] < 0) {
				row.verdict = TC_SHOT;
				row.counter = RSIP_TUNNEL_DROP_ECN;
			}
			run_row(skel, skel->progs.rsip_decap, &row);
		}
	}
	tunnel_bpf__destroy(skel);
}

/* A frame cut anywhere is left to the stack as it is. Less than an IPv4 header
 * is refused by the kernel's test run. covers: HOST-14 */
Test(tunnel, truncated)
{
	static const struct {
		unsigned char proto;
		const char *text;
	} whole[] = {
		{ IPIP, "eth na > x1 | ip NA > X1 | ip Y > NB opts 8 | tcp 5 > 6 opts 12 | data 30" },
		{ GRE, "eth na > x1 | ip NA > X1 | gre csum key seq | ip Y > NB | esp 0x1001 | data 30" },
	};

	for (size_t i = 0; i < sizeof(whole) / sizeof(*whole); i++) {
		struct tunnel_bpf *skel = open_tunnel(whole[i].proto);
		struct frame frame, got;
		size_t full;

		pkt_build(whole[i].text, &frame);
		for (full = frame.len, frame.len = 34; frame.len < full; frame.len++) {
			int verdict = run(skel->progs.rsip_decap, &frame, &got);

			cr_expect(verdict == TC_UNSPEC, "%s: %zu bytes: verdict %d", whole[i].text, frame.len, verdict);
			cr_expect(got.len == frame.len && memcmp(got.data, frame.data, frame.len) == 0,
				  "%s: %zu bytes: changed", whole[i].text, frame.len);
		}
		cr_expect(run(skel->progs.rsip_decap, &frame, &got) == RECEIVED);
		tunnel_bpf__destroy(skel);
	}
}

/* What is sent elsewhere may come in here. covers: HOST-14 */
Test(tunnel, other_interface)
{
	static const struct row row = {
		"a tunnel packet", "eth na > x1 | ip NA > X1 | ip Y > NB | esp 0x1001", RECEIVED,
		"eth na > x2 | ip Y > NB | esp 0x1001", RSIP_TUNNEL_RECEIVED
	};
	struct tunnel_bpf *skel = open_tunnel(IPIP);

	skel->bss->config.underlay = LOOPBACK + 1;
	run_row(skel, skel->progs.rsip_decap, &row);
	tunnel_bpf__destroy(skel);
}

/* Beside a kernel tunnel device only ARP is looked at. */
Test(tunnel, kernel_device)
{
	static const struct row rows[] = {
		{ "a tunnel packet", "eth na > x1 | ip NA > X1 | ip Y > NB | esp 0x1001", TC_UNSPEC, NULL, NO_COUNTER },
		{ "ARP for NB", "eth na > x1 " ARP_HEAD ARP_FROM_NA "cb00710a", TC_SHOT, NULL, RSIP_TUNNEL_DROP_ARP },
	};
	struct tunnel_bpf *skel = open_tunnel(IPIP);

	skel->bss->config.underlay = 0;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		run_row(skel, skel->progs.rsip_decap, &rows[i]);
	tunnel_bpf__destroy(skel);
}
