// SPDX-License-Identifier: GPL-2.0-only
/* Both programs against the naive model: packets cut at every byte, and packets made wrong at random. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"

static const char *const public_packets[] = {
	"ip Y > NB | esp 0x1001 | data 9",
	"ip Y > NB opts 8 | esp 0x2005 | data 9",
	"vlan 7 | ip Y > NB2 | esp 0x2001 | data 9",
	"ip Y > NB | ah 0x1001 | data 9",
	"vlan 7 | ip Z > NB opts 4 | ah 0x5001 icv 24 | data 9",
	"ip Y > NB | udp 500 > 500 | ike 0xaa | data 9",
	"ip Y > NB opts 12 | udp 500 > 500 | ike 0xaa | data 9",
	"vlan 7 | ip Y > NB | udp 4500 > 4500 | marker | ike 0xaa | data 9",
	"ip Y > NB | udp 4500 > 4500 | esp 0x2001 | data 9",
	"ip Y > NB | udp 4500 > 4500 | bytes ff",
	"ip Y > NB df | udp 53 > 40000 | data 9",
	"ip Y > NB | udp 80 > 43000 | data 9 | pad 20",
	"ip Y > NB tos 3 | tcp 80 > 40100 | data 9",
	"vlan 7 | ip Y > NB opts 40 | tcp 80 > 41000 opts 20 | data 9",
	"ip Y > NB3 | udp 500 > 500 | ike 0xab",
	"ip Y > NB3 | udp 500 > 4500 | data 9",
	"ip Y > NB | udp 1 > 50001 | data 9",
	"ip Y > NB | udp 1 > 50003 | data 9",
	"ip Y > NB | udp 1 > 50004 | data 52",
	"ip Y > NB | icmp | data 9",
	"ip Y > NB3 | ah 0x5025 | tcp 80 > 9 | data 9",
	"ip YV > NB3 | ah 0x5025 icv 24 | udp 80 > 9 | data 9",
	"ip Z > NB3 | udp 80 > 46000 | data 9",
	"ip Y > NB2 | udp 500 > 500 | ike 0xc1 | data 9",
	"ip Z > NB2 opts 4 | udp 4500 > 4500 | marker | ike 0xc2 | data 9",
	"ip Y > W1 | esp 0x1001 | data 9",
	"ip Y > W1 opts 4 | udp 500 > 500 | ike 0xaa | data 9",
	"ip Y > W1 | gre | ip Y > NB | esp 0x1001",
	"ip Z > W1 frag 5 | data 32",
	"ip Y > W2 | tcp 80 > 22 | data 9",
	"ip Y > W2 | udp 4500 > 4500 | bytes ff",
	"ip Y > W2 proto 132 | data 20",
	"ip Y > W3 | tcp 80 > 22 | data 9",
	"ip Y > NB | icmp type 0 id 1 seq 1 | data 9",
	"ip Y > NB opts 4 | icmp type 14 id 2 seq 1 | data 12",
	"vlan 7 | ip R > NB | icmp type 11 | ip NB > Y ttl 1 | udp 40000 > 53 | data 9",
	"ip R > NB opts 4 | icmp type 3 code 3 | ip NB > Y opts 8 | udp 500 > 500 | ike 0xaa",
	"ip R > NB | icmp type 3 code 4 mtu 1400 | ip NB > Y | udp 4500 > 4500 | marker | ike 0xaa",
	"ip R > NB | icmp type 3 code 4 mtu 1400 | ip NB > Y | udp 4500 > 4500 | esp 0x77",
	"ip R > NB | icmp type 3 code 4 mtu 1400 | ip NB > Y | esp 0x77",
	"ip R > NB | icmp type 3 | ip NB > Y | ah 0x78",
	"ip Y > NB | icmp type 3 | ip NB > Y | tcp 43000 > 80",
	"ip R > NB | icmp type 11 | ip NB > Y | icmp id 1 seq 1",
	"ip R > NB3 | icmp type 3 | ip NB3 > Y | udp 500 > 500",
	"ip Y > NB df | udp 1 > 50004 | data 70",
	"ip Y > NB ttl 1 | udp 53 > 40000 | data 9",
	"ip Y > SH | icmp",
	"ip Y > W1 | icmp type 0 id 99 | data 9",
	"ip R > W2 | icmp type 3 | ip W2 > Y | tcp 22 > 80",
	"ip R > W1 | icmp type 11 | ip W1 > Y proto 132 | data 9",
	"ip Y > NB mf | udp 53 > 40000 | data 32",
	"ip Y > NB mf frag 5 | data 32",
	"ip Y > NB frag 9 | data 13",
	"ip Y > NB frag 5 | udp 53 > 40000 | data 9",
	"vlan 7 | ip Y > NB mf | esp 0x1001 | data 16",
	"ip Y > NB frag 3 id 7 | esp 0x1001 | data 16",
	"ip Y > NB mf | udp 500 > 500 len 200 | ike 0xaa | data 4",
	"ip Y > NB mf opts 8 | icmp type 0 | data 16",
	"ip Y > SH mf | udp 53 > 40000 len 100 | data 16",
	"ip Y > SH frag 3 | data 16",
	"ip Y > W2 mf | tcp 80 > 22 | data 20",
	"ip Y > W2 frag 5 | data 20",
	"ip Y > NB | gre | ip Y > NB | esp 0x1001",
	"ip Y > SH | esp 0x9001",
	"ip Y > SH | udp 53 > 41 | data 9",
	"ip Y > N | udp 53 > 40000 | data 9",
};

static const char *const private_packets[] = {
	"ip X1 > NA | ip NB > Y | esp 0x77 | data 9",
	"ip X1 > NA opts 8 | ip NB > Y opts 4 | esp 0x77 | data 9",
	"vlan 7 | ip X2 > NA | gre | ip NB2 > Y | ah 0x77 | data 9",
	"ip X2 > NA | ip NB > Z | ah 0x77 icv 24 | data 9",
	"ip X1 > NA | ip NB > Y | udp 500 > 500 | ike 0xaa | data 9",
	"vlan 7 | ip X2 > NA opts 4 | ip NB > Y | udp 500 > 500 | ike 0xbb | data 9",
	"ip X1 > NA | ip NB > Y | udp 4500 > 4500 | marker | ike 0xaa | data 9",
	"ip X2 > NA | gre key | ip NB2 > Y | udp 500 > 500 | ike 0xcc",
	"ip X5 > NA | ip NB > Y | udp 500 > 500 | ike 0xdd",
	"ip X5 > NA | ip NB > Y | esp 5",
	"ip X5 > NA | ip NB2 > Y | udp 45001 > 80",
	"ip X3 > NA | ip NB > Y | udp 500 > 500 | ike 0xee",
	"ip X2 > NA | ip NB3 > Z | udp 500 > 500 | ike 0xef",
	"ip X4 > NA | ip NB3 > Y | esp 5",
	"ip X1 > NA | ip NB > Y | udp 4500 > 4500 | esp 0x77 | data 9",
	"ip X1 > NA | ip NB > Y | udp 4500 > 4500 | bytes ff",
	"ip X1 > NA | ip NB > Y | udp 40000 > 53 | data 9",
	"ip X1 > NA tos 3 | gre csum key seq | ip NB > Y tos 2 | udp 41000 > 53 | data 9",
	"ip X2 > NA | ip NB > Y | tcp 43000 > 80 opts 12 | data 9",
	"ip X2 > NA | ip NB > Y | udp 42000 > 80 | data 9",
	"ip X4 > NA | ip NB > YV | tcp 44000 > 80 | data 9",
	"ip X6 > NA | ip NB3 > Y | udp 500 > 500 | ike 0xab",
	"ip X6 > NA | ip NB3 > YD | udp 4500 > 500 | bytes 01",
	"ip X1 > NA | ip NB > YN | udp 40000 > 53 | data 9",
	"ip X1 > NA | ip NB > YM | udp 40000 > 53 | data 72",
	"ip X1 > NA | ip NB > Y | icmp | data 9",
	"vlan 7 | ip X2 > NA | ip NB > Y | icmp | data 9",
	"ip X1 > NA | gre | ip NB > Y | icmp id 3 | data 9",
	"ip X4 > NA | ip NB > Y opts 4 | icmp type 13 id 2 | data 12",
	"ip X5 > NA | ip NB > Y | icmp type 17 id 5 | data 4",
	"ip X1 > NA | ip NB > Y | icmp type 0 | data 9",
	"ip X1 > NA | ip NB > Y | icmp type 3 code 3 | ip Y > NB | udp 53 > 40000 | data 9",
	"ip X1 > NA | gre key | ip NB > Y opts 4 | icmp type 11 | ip Y > NB opts 4 | tcp 80 > 41000",
	"ip X2 > NA | ip NB > Y | icmp type 3 | ip Y > NB | esp 0x2001",
	"ip X2 > NA | ip NB > Y | icmp type 3 | ip Y > NB | udp 500 > 500 | ike 0xbb",
	"ip X2 > NA | ip NB > Y | icmp type 12 | ip Y > NB | udp 4500 > 4500 | esp 0x2001",
	"ip X1 > NA | ip NB > YM df | udp 40000 > 53 | data 73",
	"ip X1 > NA | ip NB > Y ttl 1 | udp 40000 > 53 | data 9",
	"ip X1 > NA | ip NB > YR | esp 0x77",
	"ip X1 > NA | ip NB > Y mf | udp 40000 > 53 len 80 | data 32",
	"ip X1 > NA | ip NB > Y mf frag 5 | data 32",
	"ip X1 > NA tos 3 | ip NB > Y frag 9 tos 2 | data 12",
	"ip X2 > NA | ip NB > Y mf | esp 0x77 | data 8",
	"vlan 7 | ip X2 > NA | ip NB > Y frag 2 | data 8",
	"ip X2 > NA | ip NB > Y mf | udp 500 > 500 len 300 | ike 0xb7 | data 4",
	"ip X1 > NA | ip NB > Y mf | icmp id 12 | data 16",
	"ip X2 > NA | gre | ip W2 > Y mf | tcp 22 > 80 | data 20",
	"ip X2 > NA | gre | ip W2 > Y frag 5 | data 20",
	"ip X1 > NA mf | ip NB > Y | udp 40000 > 53 | data 4",
	"ip X1 > NA frag 6 | data 40",
	"ip X1 > NA | ip NB > Y | ip NB > Y | esp 0x1001",
	"ip X5 > NA | ip NB3 > YV | ah 0x5025 | tcp 9 > 80 | data 9",
	"ip X5 > NA | ip NB3 > Y | ah 0x5025 icv 24 | udp 9 > 80 | data 9",
	"ip X5 > NA | ip NB3 > Y | udp 46000 > 80 | data 9",
	"ip X5 > NA | ip NB3 > YV | udp 500 > 500 | ike 0xf1 | data 9",
	"ip X1 > NA tos 1 | ip NB > NB2 tos 2 | udp 40000 > 40200 | data 9",
	"ip X2 > NA | gre | ip NB2 > W1 | tcp 40200 > 80 | data 9",
	"ip X2 > NA | ip NB > NB | esp 0x1001 | data 9",
	"ip X1 > NA | ip NB2 > NB | udp 500 > 500 | ike 0xc4 | data 9",
	"ip X2 > NA | ip NB > NB | icmp type 3 code 3 | ip NB > NB | udp 40000 > 40100",
	"ip X2 > NA | gre | ip NB2 > NB | icmp type 3 code 4 mtu 900 | ip NB > NB2 | udp 40000 > 40200",
	"vlan 7 | ip X1 > NA opts 4 | ip NB > NB2 tos 8 | icmp id 5 sum | data 9",
	"ip X1 > NA | ip NB > NB2 mf id 6 | udp 40000 > 40200 len 80 | data 32",
	"ip X1 > NA | ip NB > NB2 frag 5 id 6 proto 17 | data 32",
	"ip X1 > NA | ip W1 > NB mf id 7 | udp 9 > 40100 len 80 | data 32",
	"ip X1 > NA | ip W1 > NB frag 5 id 7 proto 17 | data 32",
	"ip X1 > NA | ip NB > NB df | udp 40000 > 50004 | data 60",
	"ip X1 > NA | ip W1 > Y | esp 0x1001 | data 9",
	"ip X1 > NA | ip W1 > Y | udp 500 > 500 | ike 0xaa | data 9",
	"ip X1 > NA | ip W1 > Y | ip W1 > Y | esp 0x1001",
	"ip X1 > NA | ip W1 > Z mf | data 32",
	"ip X2 > NA | gre | ip W2 > Y | tcp 22 > 80 | data 9",
	"ip X2 > NA | gre | ip W2 > Y | udp 4500 > 4500 | bytes ff",
	"ip X2 > NA | gre | ip W2 > Y proto 132 | data 20",
	"ip X2 > NA | gre | ip W2 > Y | icmp | data 20",
	"ip XU > NA | ip NB > Y | udp 40000 > 53 | data 9",
	"ip X1 > NA2 | ip NB > Y | udp 40000 > 53 | data 9",
	"ip X1 > Y | ip NB > Y | udp 40000 > 53 | data 9",
	"ip X1 > NA | udp 1 > 4555 | data 9",
};

#define COUNT(a)	(sizeof(a) / sizeof((a)[0]))

/* --- comparing --------------------------------------------------------------------- */

static void handed(const struct run *run, struct frame *out)
{
	*out = (struct frame){ .len = 14 };
	memcpy(out->data + 14, run->resolve.packet, run->resolve.len);
	out->len += run->resolve.len;
}

/* What hosts sent before, for the ICMP that follows. */
static void send_first(struct world *w, struct model *m)
{
	static const char *const sent[] = {
		"ip X1 > NA | ip NB > Y | icmp id 1 seq 1", "ip X4 > NA | ip NB > Y | icmp type 13 id 2 seq 1",
		"ip X1 > NA | ip NB > Y | esp 0x77", "ip X2 > NA | ip NB > Y | ah 0x78",
	};

	for (size_t i = 0; i < COUNT(sent); i++) {
		struct verdict verdict;
		struct run run;
		struct frame f;

		pkt_build(sent[i], &f);
		model_run(m, PRIVATE, &f, &verdict);
		world_run(w, PRIVATE, &f, &run);
		if (run.outcome != verdict.outcome)
			cr_assert_fail("%s", sent[i]);
	}
}

/* The world, and the cookies that the public side needs, in both. */
static void open_both(struct world *w, struct model *m)
{
	static const struct {
		uint64_t cookie;
		unsigned int port;
		__u32 bind;	/* place in world_binds: its slot - 1 */
	} known[] = { { 0xaa, 500, 0 }, { 0xaa, 4500, 0 }, { 0xbb, 500, 1 } };

	world_open(w);
	memset(m, 0, sizeof(*m));
	for (size_t i = 0; i < COUNT(known); i++) {
		const struct world_bind *bind = &world_binds[known[i].bind];
		struct rsip_bind_rare counted;

		world_rare(w, bind->slot, &counted);
		counted.cookies++;
		world_rare_set(w, bind->slot, &counted);
		world_cookie(w, known[i].cookie, "NB", known[i].port, bind->slot, world_generation(bind->slot), "Y");
		m->cookies[m->cookie_count++] = (struct model_cookie){
			known[i].cookie, __builtin_bswap32(pkt_addr("NB")), known[i].port,
			__builtin_bswap32(pkt_addr("Y")), bind
		};
	}
	send_first(w, m);
}

/* Runs a packet through the program and the model. False and a report if they differ. */
static bool agree(struct world *w, struct model *m, enum side side, const struct frame *in,
		  enum rsip_outcome *outcome)
{
	struct verdict want;
	struct frame got;
	struct run run;

	model_run(m, side, in, &want);
	world_run_fast(w, side, in, want.outcome, &run);
	*outcome = want.outcome;
	got = run.out;
	if (outcome_action(want.outcome) == XDP_PASS)
		want.out = *in;
	if (outcome_hands(want.outcome)) {
		handed(&run, &got);
		memset(want.out.data, 0, 14);
	}
	if (run.counted == 1 && run.bytes == in->len && run.outcome == want.outcome &&
	    run.action == outcome_action(want.outcome) &&
	    (!want.out.len || (want.out.len == got.len && !memcmp(want.out.data, got.data, got.len))))
		return true;
	fprintf(stderr, "  model says %s, program %s (counted %lu, action %d)\n", outcome_name(want.outcome),
		outcome_name(run.outcome), run.counted, run.action);
	pkt_diff(in, in);
	pkt_diff(&want.out, &got);
	return false;
}

/* --- truncation -------------------------------------------------------------------- */

static void set16(struct frame *f, size_t at, size_t value)
{
	f->data[at] = (uint8_t)(value >> 8);
	f->data[at + 1] = (uint8_t)value;
}

static size_t ip_at(const struct frame *f)
{
	return f->data[12] == 0x81 ? 18 : 14;
}

/* Lets the total lengths say what is left of the frame, and the inner UDP length if `udp`. */
static void shrink_lengths(struct frame *f, bool udp)
{
	size_t at = ip_at(f), payload;

	if (at + 20 > f->len)
		return;
	set16(f, at + 2, f->len - at);
	payload = at + (f->data[at] & 15) * 4;
	if (f->data[at + 9] == 47 && payload + 4 <= f->len) {
		unsigned int flags = f->data[payload];

		payload += 4 + (flags >> 7 & 1) * 4 + (flags >> 5 & 1) * 4 + (flags >> 4 & 1) * 4;
		at = payload;
	} else if (f->data[at + 9] == 4) {
		at = payload;
	}
	if (at == payload) {
		if (at + 20 > f->len)
			return;
		set16(f, at + 2, f->len - at);
		payload = at + (f->data[at] & 15) * 4;
	}
	if (udp && f->data[at + 9] == 17 && payload + 6 <= f->len)
		set16(f, payload + 4, f->len - payload);
}

/*
 * Cut after every byte; then with the lengths in the headers made to fit, so
 * that only what is missing is missing; and with the rest as padding that the
 * headers do not cover.
 */
static void cut_everywhere(enum side side, const char *const *packets, size_t count)
{
	static struct model m;
	enum rsip_outcome outcome;
	size_t cuts = 0;
	struct world w;

	open_both(&w, &m);
	for (size_t i = 0; i < count; i++) {
		struct frame whole;

		pkt_build(packets[i], &whole);
		for (size_t len = 14; len <= whole.len; len++)
			for (int how = 0; how < 4; how++, cuts++) {
				struct frame cut = whole;

				cut.len = len;
				if (how)
					shrink_lengths(&cut, how >= 2);
				if (how == 3)
					cut.len = whole.len;
				model_fix(&cut);
				if (!agree(&w, &m, side, &cut, &outcome))
					cr_expect_fail("\"%s\" cut to %zu of %zu bytes, way %d", packets[i], len, whole.len, how);
			}
	}
	printf("%zu cuts\n", cuts);
	world_close(&w);
}

/* covers: IN-24 IN-27 */
Test(model, truncated_public)
{
	cut_everywhere(PUBLIC, public_packets, COUNT(public_packets));
}

/* covers: IN-24 */
Test(model, truncated_private)
{
	cut_everywhere(PRIVATE, private_packets, COUNT(private_packets));
}

/* --- checksums at the edge ----------------------------------------------------------- */

static unsigned int checksum_of(const struct frame *f, size_t at)
{
	return (unsigned int)f->data[at + 10] << 8 | f->data[at + 11];
}

/* Gives the header at `at` this checksum, by its ID. */
static void aim(struct frame *f, size_t at, unsigned int checksum)
{
	unsigned int id;

	set16(f, at + 4, 0);
	model_fix(f);
	/* ~checksum = ~(checksum with ID 0) + ID, in ones' complement */
	id = (~checksum & 0xffff) + checksum_of(f, at);
	set16(f, at + 4, (id & 0xffff) + (id >> 16));
	model_fix(f);
}

static unsigned long header_sum(const struct frame *f)
{
	unsigned long sum = 0;

	for (size_t i = 14; i < 34; i += 2) {
		uint16_t word;

		memcpy(&word, f->data + i, 2);	/* in the order of this machine, as the program adds them */
		sum += word;
	}
	return sum;
}

/* Outer headers whose words add up to a sum with a second carry: with these addresses there are some. covers: TUN-02 */
Test(model, outer_checksum_carries)
{
	struct rsip_bind bind;
	struct frame in, outer;
	struct run run;
	struct world w;
	int tried = 0;

	world_open(&w);
	world_bind(&w, 1, &bind);
	bind.gateway = pkt_addr("254.254.255.255");
	bind.client = pkt_addr("254.253.255.255");
	world_bind_set(&w, 1, &bind);
	pkt_build("ip Y > NB id 0 | esp 0x1001", &in);
	pkt_build("ip 254.254.255.255 > 254.253.255.255 proto 4 | data 28", &outer);
	for (unsigned int id = 0; id < 65536; id++) {
		unsigned long sum;

		set16(&outer, 18, id);
		set16(&outer, 24, 0);
		sum = header_sum(&outer);
		if ((sum & 0xffff) + (sum >> 16) < 0x10000)
			continue;
		set16(&in, 18, id);
		model_fix(&in);
		world_run(&w, PUBLIC, &in, &run);
		sum = header_sum(&run.out);
		cr_expect_eq(run.outcome, RSIP_IN_ESP);
		cr_expect_eq(sum % 0xffff, 0, "ID %u: the checksum of the outer header is wrong", id);
		tried++;
	}
	cr_expect_gt(tried, 1);
	world_close(&w);
}

/* The carries of incremental updates: TTL both ways, ECN outwards. covers: IN-20 TUN-11 */
Test(model, checksum_carries)
{
	static const unsigned int checksums[] = { 0xfeff, 0xfefe, 0xff00, 0xfffe, 0xfffd, 0xfdff, 0xfcff, 0xfffc,
						  0x0001, 0x00ff, 0x0100, 0x0000, 0x7fff, 0x8000, 0xfe00, 0xfe01,
						  0xfe02 };
	static struct model m;
	struct world w;

	open_both(&w, &m);
	for (size_t i = 0; i < COUNT(checksums); i++)
		for (unsigned int tos = 0; tos < 8; tos++) {
			enum rsip_outcome outcome;
			struct frame in, out;
			char text[100];

			pkt_build("ip Y > NB | esp 0x1001", &in);
			aim(&in, 14, checksums[i]);
			cr_assert_eq(checksum_of(&in, 14), checksums[i]);
			cr_expect(agree(&w, &m, PUBLIC, &in, &outcome), "inbound, checksum %04x", checksums[i]);
			cr_expect_eq(outcome, RSIP_IN_ESP);
			snprintf(text, sizeof(text), "ip X1 > NA tos %u | ip NB > Y tos %u | esp 1", 1 + (tos & 2),
				 1 + tos % 3);
			pkt_build(text, &out);
			aim(&out, 34, checksums[i]);
			cr_assert_eq(checksum_of(&out, 34), checksums[i]);
			cr_expect(agree(&w, &m, PRIVATE, &out, &outcome), "outbound, checksum %04x, \"%s\"",
				  checksums[i], text);
			cr_expect_eq(outcome, RSIP_OUT_ESP);
		}
	world_close(&w);
}

/* --- at random --------------------------------------------------------------------- */

#define PACKETS		700000	/* for each side */
#define FRAGMENTS	300000

static uint64_t seed;

/* xorshift64 */
static unsigned int any(unsigned int below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned int)((seed >> 20) % below);
}

static void any_address(struct frame *f, size_t at)
{
	static const char *const names[] = { "Y", "Z", "YD", "YR", "YV", "YM", "YN", "NB", "NB2", "NB3", "SH", "W1", "W2", "W3",
					     "NA", "NA2", "X1", "X2", "X3", "X4", "X5", "X6", "XU", "239.1.1.1" };
	__be32 value = pkt_addr(names[any(COUNT(names))]);

	memcpy(f->data + at, &value, 4);
}

static void any_port(struct frame *f, size_t at)
{
	static const uint16_t ports[] = { 0, 80, 500, 4500, 40000, 40100, 41000, 42000, 43000, 44000, 45000,
					  40016, 40017, 50001, 50002, 50003, 50004, 45001 };

	set16(f, at, ports[any(COUNT(ports))]);
}

/* One change of a field of the header at `at`, or of what follows it. */
static void spoil(struct frame *f, size_t at)
{
	static const uint8_t protos[] = { 1, 4, 6, 17, 47, 50, 51, 132 };
	static const uint32_t spis[] = { 0, 0x1001, 0x2001, 0x2005, 0x5001, 0x9001, 0x1016, 0x1017, 0xaa };
	size_t payload = at + (f->data[at] & 15) * 4;

	switch (any(16)) {
	case 0:
		any_address(f, at + 12);
		break;
	case 1:
		any_address(f, at + 16);
		break;
	case 2:
		f->data[at] = (uint8_t)any(256);
		break;
	case 3:
		f->data[at] = (uint8_t)(0x40 | any(16));
		break;
	case 4:
		f->data[at + 1] = (uint8_t)any(256);
		break;
	case 5:
		set16(f, at + 2, (size_t)(f->data[at + 2] << 8 | f->data[at + 3]) + any(40) - 20);
		break;
	case 6:
		set16(f, at + 6, any(4) ? any(4) << 13 : any(65536));
		break;
	case 7:
		f->data[at + 8] = (uint8_t)any(4);
		break;
	case 8:
		f->data[at + 9] = protos[any(COUNT(protos))];
		break;
	case 9:
		any_port(f, payload);
		break;
	case 10:
		any_port(f, payload + 2);
		break;
	case 11:
		set16(f, payload + 4, any(60));
		break;
	case 12:
		memcpy(f->data + payload + any(2) * 4, &(uint32_t){ __builtin_bswap32(spis[any(COUNT(spis))]) }, 4);
		break;
	case 13:
		f->data[payload + any(24)] = (uint8_t)any(256);
		break;
	case 14:
		f->data[payload + 1] = (uint8_t)any(12);	/* AH: length */
		break;
	default:
		f->data[at + any(40)] ^= (uint8_t)(1 << any(8));
	}
}

static void any_packet(const char *const *packets, size_t count, enum side side, struct frame *f)
{
	size_t at;

	pkt_build(packets[any((unsigned int)count)], f);
	for (unsigned int changes = any(4); changes; changes--) {
		at = ip_at(f);
		if (side == PRIVATE && any(3))
			at += (f->data[at] & 15) * 4 + (f->data[at + 9] == 47 ? 4 : 0);
		spoil(f, at);
	}
	if (!any(8))
		f->len -= any((unsigned int)f->len - 14);
	else if (!any(8))
		f->len += any(50);
	if (!any(40))
		f->data[12 + any(2)] = (uint8_t)any(256);
	model_fix(f);
}

/* What is a matter of time, which the model does not know: ICMP requests and their limit, fragments under way. */
static void forget(struct world *w, struct model *m)
{
	world_forget(w->skel->maps.rsip_fragments);
	m->fragments_count = 0;
	world_forget(w->skel->maps.rsip_echoes);
	model_forget_requests(m);
	for (size_t i = 0; i < WORLD_BINDS; i++) {
		struct rsip_bind_rare rare;

		world_rare(w, world_binds[i].slot, &rare);
		rare.queries = 0;
		world_rare_set(w, world_binds[i].slot, &rare);
	}
	send_first(w, m);
}

typedef void make_packet(const char *const *packets, size_t count, enum side side, struct frame *f);

static unsigned long total(struct world *w)
{
	unsigned long sum = 0;

	for (unsigned int i = 0; i < RSIP_OUTCOME_COUNT; i++)
		sum += world_counted(w, i);
	return sum;
}

static void compare_at_random(enum side side, const char *const *packets, size_t count, make_packet *make, int runs)
{
	static unsigned long seen[RSIP_OUTCOME_COUNT];
	static struct model m;
	unsigned long before = 0, sum = 0;
	struct world w;
	int differ = 0;

	open_both(&w, &m);
	for (int i = 0; i < runs && differ < 5; i++) {
		enum rsip_outcome outcome;
		struct frame f;
		uint64_t from = seed;

		make(packets, count, side, &f);
		if (i % RSIP_BIND_QUERIES == 0) {
			forget(&w, &m);
			before = total(&w) - sum;
		}
		if (!agree(&w, &m, side, &f, &outcome)) {
			cr_expect_fail("packet %d, seed %#llx", i, (unsigned long long)from);
			differ++;
		}
		seen[outcome]++;
		sum++;
	}
	cr_expect_eq(total(&w) - before, sum, "each packet is counted once");
	for (unsigned int i = 0; i < RSIP_OUTCOME_COUNT; i++)
		if (seen[i])
			printf("  %-20s %lu\n", outcome_name(i), seen[i]);
	world_close(&w);
}

/* covers: IN-03 IN-04 IN-05 IN-07 IN-24 ADM-05 */
Test(model, random_public)
{
	seed = 0x9e3779b97f4a7c15;
	compare_at_random(PUBLIC, public_packets, COUNT(public_packets), any_packet, PACKETS);
}

/* covers: EG-01 EG-02 EG-03 EG-04 EG-05 IKE-01 IKE-02 ADM-05 */
Test(model, random_private)
{
	seed = 0x2545f4914f6cdd1d;
	compare_at_random(PRIVATE, private_packets, COUNT(private_packets), any_packet, PACKETS);
}

/* --- fragments at random ------------------------------------------------------------ */

static const char *const public_wholes[] = {
	"ip Y > NB | udp 53 > 40000 | data 120", "ip Y > NB | tcp 80 > 40100 | data 80", "vlan 7 | ip Y > NB opts 8 | esp 0x1001 | data 90",
	"ip Y > NB | udp 500 > 500 | ike 0xaa | data 70", "ip Y > NB2 | udp 500 > 500 | ike 0xc8 | data 70",
	"ip Y > NB | udp 4500 > 4500 | esp 0x2001 | data 60", "ip Y > NB | icmp type 0 id 1 seq 1 | data 70",
	"ip Y > NB | icmp | data 70", "ip Y > SH | udp 53 > 40000 | data 60", "ip Y > SH | udp 53 > 41 | data 60",
	"ip Y > W1 | udp 53 > 9 | data 60", "ip Y > W2 | tcp 80 > 22 | data 60", "ip Z > NB | udp 53 > 42000 | data 60",
	"ip Y > NB ttl 1 | udp 53 > 40000 | data 60", "ip Y > NB df | udp 1 > 50004 | data 170",
};

static const char *const private_wholes[] = {
	"ip X1 > NA | ip NB > Y | udp 40000 > 53 | data 120", "ip X2 > NA | ip NB > Y opts 4 | tcp 40100 > 80 | data 90",
	"ip X2 > NA | ip NB > Y | esp 0x77 | data 90", "ip X1 > NA | ip NB > Y | udp 500 > 500 | ike 0xaa | data 60",
	"ip X2 > NA | ip NB > Y | udp 500 > 500 | ike 0xb9 | data 60", "ip X1 > NA | ip NB > Y | icmp id 12 | data 60",
	"ip X1 > NA tos 3 | ip NB > Y tos 2 | udp 40000 > 53 | data 60", "ip X2 > NA | gre | ip W2 > Y | tcp 22 > 80 | data 60",
	"ip X1 > NA | ip W1 > Y | udp 9 > 53 | data 60", "ip X1 > NA | ip NB > NB2 | udp 40000 > 40200 | data 80",
	"ip X2 > NA | ip NB > NB | tcp 40100 > 40000 | data 70", "ip X1 > NA | ip NB > NB | esp 0x2001 | data 70",
	"ip X1 > NA | ip W1 > NB | udp 9 > 40100 | data 60", "ip X2 > NA | ip NB > W1 | udp 40100 > 53 | data 60",
	"ip X1 > NA tos 3 | ip NB > NB2 | udp 40000 > 40200 | data 80", "ip X1 > NA | ip NB > NB | udp 40000 > 9 | data 60",
	"ip X1 > NA | ip NB2 > NB | udp 500 > 500 | ike 0xc6 | data 60", "ip X1 > NA | ip NB > YM df | udp 40000 > 53 | data 120",
	"ip X1 > NA | ip NB > Y | udp 40100 > 53 | data 60", "ip X1 > NA | ip NB > NB | udp 40000 > 50004 | data 70",
};

#define PIECES	6

/* A packet of which fragments are still to come. */
struct flight {
	struct frame whole;
	size_t at;		/* its IPv4 header, the one in the tunnel */
	unsigned int cuts[PIECES + 1], order[PIECES], count, next;	/* cuts: in units of 8 bytes */
};

static void take_off(struct flight *flight, const char *text, enum side side)
{
	unsigned int units, swaps;
	struct frame *f = &flight->whole;

	pkt_build(text, f);
	flight->at = ip_at(f);
	if (side == PRIVATE)
		flight->at += (f->data[flight->at] & 15) * 4u + (f->data[flight->at + 9] == 47 ? 4 : 0);
	set16(f, flight->at + 4, any(16));	/* few numbers, so that they are used again */
	units = (unsigned int)((f->len - flight->at - (f->data[flight->at] & 15) * 4u + 7) / 8);
	flight->count = 2 + any(PIECES - 1);
	flight->next = 0;
	for (unsigned int i = 0; i < flight->count; i++) {
		flight->cuts[i] = i * units / flight->count;
		flight->order[i] = i;
	}
	flight->cuts[flight->count] = units;
	for (swaps = any(2) ? 0 : any(4); swaps; swaps--) {
		unsigned int a = any(flight->count), b = any(flight->count), was = flight->order[a];

		flight->order[a] = flight->order[b];
		flight->order[b] = was;
	}
}

static void cut_out(const struct flight *flight, unsigned int from, unsigned int to, bool more, struct frame *f)
{
	size_t payload = flight->at + (flight->whole.data[flight->at] & 15) * 4u;
	size_t begin = payload + from * 8, end = payload + to * 8;

	if (end > flight->whole.len)
		end = flight->whole.len;
	if (begin > end)
		begin = end;
	memcpy(f->data, flight->whole.data, payload);
	memcpy(f->data + payload, flight->whole.data + begin, end - begin);
	f->len = payload + end - begin;
	set16(f, flight->at + 6, from | (more ? 0x2000 : 0) | (flight->whole.data[flight->at + 6] & 0x40) << 8);
	shrink_lengths(f, false);
	model_fix(f);
}

/* The next fragment of one of a few packets on their way, or one that overlaps, comes again, or never comes. */
static void any_fragment(const char *const *packets, size_t count, enum side side, struct frame *f)
{
	static struct flight flights[2][3];
	struct flight *flight = &flights[side][any(3)];
	unsigned int from, to;

	if (flight->next >= flight->count)
		take_off(flight, packets[any((unsigned int)count)], side);
	from = flight->cuts[flight->order[flight->next]];
	to = flight->cuts[flight->order[flight->next] + 1];
	if (!any(12))
		from = any(to + 1);
	if (!any(12))
		to = from + any(8);
	cut_out(flight, from, to, to < flight->cuts[flight->count], f);
	if (!any(20))
		spoil(f, flight->at);
	model_fix(f);
	if (any(12))
		flight->next += any(12) ? 1 : 2;
}

/* covers: IN-16 IN-17 IN-27 APF-04 */
Test(model, random_fragments_public)
{
	seed = 0x8a5cd789635d2dff;
	compare_at_random(PUBLIC, public_wholes, COUNT(public_wholes), any_fragment, FRAGMENTS);
}

/* covers: EG-12 IN-23 */
Test(model, random_fragments_private)
{
	seed = 0x121fd2155c472f96;
	compare_at_random(PRIVATE, private_wholes, COUNT(private_wholes), any_fragment, FRAGMENTS);
}
