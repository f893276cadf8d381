// SPDX-License-Identifier: GPL-2.0-only
/* SPIs that hosts send with: who is entered, and when a packet need not look whether it is. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include <bpf/libbpf.h>

#include "run.h"

#define SEND(host, peer, spi)	"ip " host " > NA | ip NB > " peer " | esp " spi
#define SENT(peer, spi)		"eth n > y | ip NB > " peer " ttl 63 | esp " spi
#define ERROR(peer, spi)	"ip R > NB | icmp type 11 | ip NB > " peer " | esp " spi
#define TO(x, X, peer, spi)	"eth n > " x " | ip NA > " X " | ip R > NB ttl 63 | icmp type 11 | ip NB > " peer " | esp " spi

static const struct row x1_sends = { "X1 sends", SEND("X1", "Y", "7"), RSIP_OUT_ESP, SENT("Y", "7") };
static const struct row x2_sends = { "X2 sends", SEND("X2", "Y", "7"), RSIP_OUT_ESP, SENT("Y", "7") };
static const struct row of_x1 = { "X1 is told", ERROR("Y", "7"), RSIP_IN_ICMP_ERROR, TO("x1", "X1", "Y", "7") };
static const struct row of_x2 = { "X2 is told", ERROR("Y", "7"), RSIP_IN_ICMP_ERROR, TO("x2", "X2", "Y", "7") };
static const struct row of_nobody = { "nobody is told", ERROR("Y", "7"), RSIP_IN_ICMP, NULL };

static struct rsip_sender x1(struct world *w)
{
	struct rsip_sender sender;

	world_sender(w, "X1", &sender);
	return sender;
}

static void forget_marks(struct world *w)
{
	struct rsip_sender sender = x1(w);

	sender.mark[0] = sender.mark[1] = 0;
	world_sender_set(w, "X1", &sender);
}

static void forget_entries(struct world *w)
{
	const struct rsip_outspi_set none = { 0 };

	for (__u32 set = 0; set < RSIP_OUTSPI_SETS; set++)
		cr_assert_eq(bpf_map__update_elem(w->skel->maps.rsip_outspis, &set, sizeof(set), &none, sizeof(none), 0), 0);
}

/* The first of its two sets. */
static __u32 set_of(const char *addr, const char *peer, __u32 spi)
{
	return rsip_outspi_sets(pkt_addr(addr), pkt_addr(peer), htonl(spi), RSIP_OUTSPI_SETS).set[0];
}

static struct rsip_outspi_set set_at(struct world *w, __u32 at)
{
	struct rsip_outspi_set set;

	cr_assert_eq(bpf_map__lookup_elem(w->skel->maps.rsip_outspis, &at, sizeof(at), &set, sizeof(set), 0), 0);
	return set;
}

static unsigned int entries(struct world *w)
{
	unsigned int count = 0;

	for (__u32 at = 0; at < RSIP_OUTSPI_SETS; at++) {
		const struct rsip_outspi_set set = set_at(w, at);

		for (int i = 0; i < RSIP_OUTSPI_WAYS; i++)
			count += !!set.way[i].generation;
	}
	return count;
}

/* While its mark stands, a packet does not look for its entry. covers: IN-12 */
Test(outspi, marked)
{
	static const struct row no_spi = { "no SPI", "ip X1 > NA | ip NB > Y | udp 40000 > 53", RSIP_OUT_PORT,
					   "eth n > y | ip NB > Y ttl 63 | udp 40000 > 53" };
	struct world w;
	struct run run;

	world_open(&w);
	cr_expect(row_run(&w, PUBLIC, &of_nobody, &run));
	cr_expect(row_run(&w, PRIVATE, &no_spi, &run));
	cr_expect_eq(entries(&w), 0);
	cr_expect(row_run(&w, PRIVATE, &x1_sends, &run));
	cr_expect_eq(entries(&w), 1);
	cr_expect_eq(x1(&w).mark[0], rsip_sent_mark(pkt_addr("Y"), htonl(7), 0));
	cr_expect(row_run(&w, PUBLIC, &of_x1, &run));
	forget_entries(&w);
	cr_expect(row_run(&w, PRIVATE, &x1_sends, &run));
	cr_expect(row_run(&w, PUBLIC, &of_nobody, &run));
	forget_marks(&w);
	cr_expect(row_run(&w, PRIVATE, &x1_sends, &run));
	cr_expect(row_run(&w, PUBLIC, &of_x1, &run));
	world_close(&w);
}

/* Two SPIs have marks, and those of AH and of other peers are others. covers: IN-12 */
Test(outspi, two_marks)
{
	static const struct row rows[] = {
		{ "ESP to Y", SEND("X1", "Y", "7"), RSIP_OUT_ESP, SENT("Y", "7") },
		{ "AH to Y", "ip X1 > NA | ip NB > Y | ah 7", RSIP_OUT_AH, "eth n > y | ip NB > Y ttl 63 | ah 7" },
		{ "ESP to Z", SEND("X1", "Z", "7"), RSIP_OUT_ESP, SENT("Z", "7") },
	};
	const __u32 marks[] = {
		rsip_sent_mark(pkt_addr("Y"), htonl(7), 0), rsip_sent_mark(pkt_addr("Y"), htonl(7), RSIP_OUTSPI_AH),
		rsip_sent_mark(pkt_addr("Z"), htonl(7), 0),
	};
	struct world w;
	struct run run;

	world_open(&w);
	for (unsigned int i = 0; i < 6; i++) {
		struct rsip_sender sent;

		cr_assert(row_run(&w, PRIVATE, &rows[i % 3], &run));
		sent = x1(&w);
		cr_expect_eq(sent.mark[0], marks[i % 3], "packet %u", i);
		cr_expect_eq(sent.mark[1], i ? marks[(i + 2) % 3] : 0, "packet %u", i);
	}
	/* neither of the two writes anything */
	cr_assert(row_run(&w, PRIVATE, &rows[1], &run));
	cr_assert(row_run(&w, PRIVATE, &rows[2], &run));
	cr_assert(row_run(&w, PRIVATE, &rows[1], &run));
	cr_expect_eq(x1(&w).mark[0], marks[2]);
	world_close(&w);
}

/* Who takes an entry away clears the marks of its owner, whose next packet brings it back. covers: IN-12 */
Test(outspi, taken_and_taken_back)
{
	static const struct row x1_sends_8 = { "X1 sends 8", SEND("X1", "Y", "8"), RSIP_OUT_ESP, SENT("Y", "8") };
	struct world w;
	struct run run;

	world_open(&w);
	cr_expect(row_run(&w, PRIVATE, &x1_sends, &run));
	cr_expect(row_run(&w, PRIVATE, &x1_sends_8, &run));
	cr_expect(row_run(&w, PRIVATE, &x2_sends, &run));
	cr_expect(row_run(&w, PUBLIC, &of_x2, &run));
	cr_expect_eq(x1(&w).mark[0], 0);
	cr_expect_eq(x1(&w).mark[1], 0);
	cr_expect(row_run(&w, PRIVATE, &x1_sends, &run));
	cr_expect(row_run(&w, PUBLIC, &of_x1, &run));
	cr_expect(row_run(&w, PRIVATE, &x2_sends, &run));
	cr_expect(row_run(&w, PUBLIC, &of_x2, &run));
	world_close(&w);
}

/* A host with one SPI towards one peer. */
struct sent {
	const char *x, *peer;
	__u32 spi;
	enum rsip_outcome outcome;
};

static void expect_sent(struct world *w, const struct sent *s)
{
	char in[120], out[120];
	const struct row row = { in, in, s->outcome, out };
	struct run run;

	snprintf(in, sizeof(in), SEND("%s", "%s", "%u"), s->x, s->peer, s->spi);
	snprintf(out, sizeof(out), SENT("%s", "%u"), s->peer, s->spi);
	cr_expect(row_run(w, PRIVATE, &row, &run));
}

static void expect_told(struct world *w, const struct sent *s)
{
	char in[120], out[160];
	const struct row row = { in, in, RSIP_IN_ICMP_ERROR, out };
	struct run run;

	snprintf(in, sizeof(in), ERROR("%s", "%u"), s->peer, s->spi);
	snprintf(out, sizeof(out), TO("%s", "%s", "%s", "%u"), s->x, s->x, s->peer, s->spi);
	cr_expect(row_run(w, PUBLIC, &row, &run));
}

/* Where one host looks for its entry stands another's, which differs in the peer or in the SPI alone. covers: IN-12 */
Test(outspi, apart_in_one_set)
{
	__u32 to_both = 1, another = 8;

	while (to_both < 1 << 20 && set_of("NB", "Y", to_both) != set_of("NB", "R", to_both))
		to_both++;
	while (another < 1 << 20 && set_of("NB", "Y", another) != set_of("NB", "Y", 7))
		another++;

	const struct sent pairs[][2] = {
		{ { "X1", "Y", to_both, RSIP_OUT_ESP }, { "X2", "R", to_both, RSIP_OUT_RESOLVE } },
		{ { "X1", "Y", 7, RSIP_OUT_ESP }, { "X2", "Y", another, RSIP_OUT_ESP } },
	};

	for (int i = 0; i < 2; i++) {
		struct world w;

		world_open(&w);
		expect_sent(&w, &pairs[i][0]);
		expect_sent(&w, &pairs[i][1]);
		expect_told(&w, &pairs[i][0]);
		expect_told(&w, &pairs[i][1]);
		world_close(&w);
	}
}

/* Another bind in the slot of the one that sent: its host is told, once it has sent. covers: IN-12 FREE-04 */
Test(outspi, slot_used_again)
{
	struct rsip_bind bind;
	struct world w;
	struct run run;

	world_open(&w);
	cr_expect(row_run(&w, PRIVATE, &x1_sends, &run));
	world_bind(&w, 1, &bind);
	bind.generation++;
	world_bind_set(&w, 1, &bind);
	forget_marks(&w);
	cr_expect(row_run(&w, PUBLIC, &of_nobody, &run));
	cr_expect(row_run(&w, PRIVATE, &x1_sends, &run));
	cr_expect(row_run(&w, PUBLIC, &of_x1, &run));
	world_close(&w);
}

/* An entry is believed no further than its bind's address goes. covers: IN-12 */
Test(outspi, of_another_address)
{
	static const struct row about_nb2 = { "about NB2", "ip R > NB2 | icmp type 11 | ip NB2 > Y | esp 7", RSIP_IN_ICMP, NULL };
	__u32 of_nb2 = set_of("NB2", "Y", 7);
	struct rsip_outspi_set of_nb;
	struct world w;
	struct run run;

	world_open(&w);
	cr_expect(row_run(&w, PRIVATE, &x1_sends, &run));
	of_nb = set_at(&w, set_of("NB", "Y", 7));
	cr_assert_eq(bpf_map__update_elem(w.skel->maps.rsip_outspis, &of_nb2, sizeof(of_nb2), &of_nb, sizeof(of_nb), 0), 0);
	cr_expect(row_run(&w, PUBLIC, &about_nb2, &run));
	world_close(&w);
}

/* An SPI whose mark would be 0, which is none, has one all the same. */
Test(outspi, mark_of_zero)
{
	__be32 spi = rsip_sent_mark(pkt_addr("Y"), 0, 0);
	struct world w;
	struct run run;
	struct frame f;

	cr_assert_eq(rsip_sent_mark(pkt_addr("Y"), spi, 0), 1);
	world_open(&w);
	pkt_build(SEND("X1", "Y", "7"), &f);
	memcpy(f.data + 14 + 20 + 20, &spi, sizeof(spi));
	world_run(&w, PRIVATE, &f, &run);
	cr_expect_eq(run.outcome, RSIP_OUT_ESP);
	cr_expect_eq(x1(&w).mark[0], 1);
	world_close(&w);
}

/* In so many ways of a set stand others. */
static void fill_set(struct world *w, __u32 at, int ways)
{
	struct rsip_outspi_set set = { 0 };

	for (int i = 0; i < ways; i++)
		set.way[i] = (struct rsip_outspi){ pkt_addr("Z"), htonl(100 + (__u32)i), 2, world_generation(2) };
	cr_assert_eq(bpf_map__update_elem(w->skel->maps.rsip_outspis, &at, sizeof(at), &set, sizeof(set), 0), 0);
}

/* Of its two sets it goes to the one with more room, and is found in either; when both are full, another gives way. */
/* covers: IN-12 SEC-07 */
Test(outspi, two_sets)
{
	static const struct {
		int others[2];		/* in the first set and in the second */
		int set, way;		/* where it goes */
	} cases[] = {
		{ { 0, 0 }, 0, 0 }, { { 2, 2 }, 0, 2 }, { { 2, 1 }, 1, 1 }, { { 1, 2 }, 0, 1 },
		{ { 4, 0 }, 1, 0 }, { { 4, 3 }, 1, 3 }, { { 3, 4 }, 0, 3 }, { { 4, 4 }, 0, 7 & 3 },
	};
	struct world w;
	struct run run;

	world_open(&w);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rsip_outspi_sets sets = rsip_outspi_sets(pkt_addr("NB"), pkt_addr("Y"), htonl(7), RSIP_OUTSPI_SETS);
		const struct rsip_outspi want = { pkt_addr("Y"), htonl(7), 1, world_generation(1) };
		struct rsip_outspi_set set;

		cr_assert_neq(sets.set[0], sets.set[1]);
		fill_set(&w, sets.set[0], cases[i].others[0]);
		fill_set(&w, sets.set[1], cases[i].others[1]);
		forget_marks(&w);
		cr_expect(row_run(&w, PRIVATE, &x1_sends, &run), "case %zu", i);
		set = set_at(&w, sets.set[cases[i].set]);
		cr_expect_arr_eq(&set.way[cases[i].way], &want, sizeof(want), "case %zu", i);
		cr_expect(row_run(&w, PUBLIC, &of_x1, &run), "case %zu", i);
		/* there it stays: it is not entered twice */
		forget_marks(&w);
		fill_set(&w, sets.set[!cases[i].set], 0);
		cr_expect(row_run(&w, PRIVATE, &x1_sends, &run), "case %zu, again", i);
		set = set_at(&w, sets.set[!cases[i].set]);
		cr_expect_eq(set.way[0].generation, 0, "case %zu", i);
	}
	world_close(&w);
}
