// SPDX-License-Identifier: GPL-2.0-only
/* ESP and AH as a host sent before: admitted by the SPI that it sends with, without a look at the grants. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdio.h>

#include <bpf/libbpf.h>

#include "run.h"

#define FROM_X1	"ip X1 > NA | ip NB > "
#define TO_Y	"eth n > y | ip NB > Y ttl 63 "

static const struct row esp = { "ESP", FROM_X1 "Y | esp 7", RSIP_OUT_ESP, TO_Y "| esp 7" };
static const struct row ah = { "AH", FROM_X1 "Y | ah 9 | udp 1 > 2", RSIP_OUT_AH, TO_Y "| ah 9 | udp 1 > 2" };

/* X1 has sent both, and from now on the grants say that it may not send from NB. */
static void open_noted(struct world *w)
{
	const struct rsip_grant_key key = { .client = pkt_addr("X1"), .addr = pkt_addr("NB") };
	struct run run;

	world_open(w);
	cr_assert(row_run(w, PRIVATE, &esp, &run));
	cr_assert(row_run(w, PRIVATE, &ah, &run));
	cr_assert_eq(bpf_map__delete_elem(w->skel->maps.rsip_grants, &key, sizeof(key), 0), 0);
}

/* covers: EG-07 EG-08 TUN-01 */
Test(outspi, admits_what_it_noted)
{
	static const struct row rows[] = {
		{ "ESP again", FROM_X1 "Y | esp 7 | data 30", RSIP_OUT_ESP, TO_Y "| esp 7 | data 30" },
		{ "in UDP", FROM_X1 "Y | udp 4500 > 4500 | esp 7", RSIP_OUT_NATT, TO_Y "| udp 4500 > 4500 | esp 7" },
		{ "AH again", FROM_X1 "Y | ah 9 | tcp 5 > 6", RSIP_OUT_AH, TO_Y "| ah 9 | tcp 5 > 6" },
		{ "the SPI of the AH in ESP", FROM_X1 "Y | esp 9", RSIP_OUT_ADDRESS, NULL },
		{ "the SPI of the ESP in AH", FROM_X1 "Y | ah 7", RSIP_OUT_ADDRESS, NULL },
		{ "another SPI", FROM_X1 "Y | esp 8", RSIP_OUT_ADDRESS, NULL },
		{ "another peer", FROM_X1 "Z | esp 7", RSIP_OUT_ADDRESS, NULL },
		{ "another address", "ip X1 > NA | ip NB3 > Y | esp 7", RSIP_OUT_ADDRESS, NULL },
		{ "another host", "ip X4 > NA | ip NB > Y | esp 7", RSIP_OUT_NO_IPSEC, NULL },
		{ "another tunnel", "ip X1 > NA | gre | ip NB > Y | esp 7", RSIP_OUT_ADDRESS, NULL },
		{ "another end of it", "ip X1 > NA2 | ip NB > Y | esp 7", RSIP_OUT_ADDRESS, NULL },
		{ "keepalive: no SPI", FROM_X1 "Y | udp 4500 > 4500 | bytes ff", RSIP_OUT_ADDRESS, NULL },
		{ "IKE: no SPI", FROM_X1 "Y | udp 500 > 500 | ike 7", RSIP_OUT_ADDRESS, NULL },
		{ "and after all that", FROM_X1 "Y | esp 7", RSIP_OUT_ESP, TO_Y "| esp 7" },
	};
	struct world w;

	open_noted(&w);
	rows_run(&w, PRIVATE, ROWS(rows));
	world_close(&w);
}

static void over(struct world *w, struct rsip_bind *bind)
{
	bind->ends = world_tick(w);
}

static void gone(struct world *w, struct rsip_bind *bind)
{
	bind->generation = 0;
}

static void next_in_the_slot(struct world *w, struct rsip_bind *bind)
{
	bind->generation++;
}

static void ports_only(struct world *w, struct rsip_bind *bind)
{
	bind->flags = 0;
}

static void another_hosts(struct world *w, struct rsip_bind *bind)
{
	bind->client = pkt_addr("X2");
}

static void at_another_address(struct world *w, struct rsip_bind *bind)
{
	bind->addr = pkt_addr("NB2");
}

static void hold(struct world *w, struct rsip_bind *bind, __be32 remote, unsigned int port)
{
	bind->flags |= RSIP_BIND_HELD;
	world_rare_set(w, 1, &(struct rsip_bind_rare){ .bind_id = 1, .remote = remote, .remote_port = htons((uint16_t)port) });
}

static void held_to_y(struct world *w, struct rsip_bind *bind)
{
	hold(w, bind, pkt_addr("Y"), 0);
}

static void held_to_z(struct world *w, struct rsip_bind *bind)
{
	hold(w, bind, pkt_addr("Z"), 0);
}

static void held_to_none_of_them(struct world *w, struct rsip_bind *bind)
{
	bind->flags |= RSIP_BIND_REMOTES;
}

static void held_to_port_3(struct world *w, struct rsip_bind *bind)
{
	hold(w, bind, 0, 3);
}

/* It is the bind that says so. What it does not allow is refused by the grants. */
/* covers: EG-08 FREE-04 FAIL-10 FLOW-03 APD-02 */
Test(outspi, the_bind_decides)
{
	static const struct {
		void (*change)(struct world *w, struct rsip_bind *bind);
		bool esp, ah;
	} cases[] = {
		{ over, false, false }, { gone, false, false }, { next_in_the_slot, false, false },
		{ ports_only, false, false }, { another_hosts, false, false }, { at_another_address, false, false },
		{ held_to_y, true, true }, { held_to_z, false, false }, { held_to_none_of_them, false, false },
		{ held_to_port_3, true, false },	/* behind AH it can be seen */
	};
	struct rsip_bind bind, changed;
	struct world w;

	open_noted(&w);
	world_bind(&w, 1, &bind);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const bool passes[] = { cases[i].esp, cases[i].ah };

		changed = bind;
		cases[i].change(&w, &changed);
		world_bind_set(&w, 1, &changed);
		for (int kind = 0; kind < 2; kind++) {
			struct row row = kind ? ah : esp;
			struct run run;

			if (!passes[kind])
				row = (struct row){ row.name, row.in, RSIP_OUT_ADDRESS, NULL };
			cr_expect(row_run(&w, PRIVATE, &row, &run), "case %zu: %s", i, row.name);
		}
		world_bind_set(&w, 1, &bind);
		cr_expect(row_run(&w, PRIVATE, &esp, &(struct run){ 0 }), "after case %zu", i);
	}
	world_close(&w);
}

/* Two binds of a host, one of each tunnel: by which it sends does not depend on which it used before. */
/* covers: EG-07 TUN-02 */
Test(outspi, another_bind_takes_over)
{
	static const struct row of_grants = { "by the grants", "ip X2 > NA | gre | ip NB2 > Y | esp 7", RSIP_OUT_ESP,
					      "eth n > y | ip NB2 > Y ttl 63 | esp 7" };
	static const struct row other = { "in the other tunnel", "ip X2 > NA | ip NB2 > Y | esp 7", RSIP_OUT_TUNNEL, NULL };
	const struct rsip_grant_key key = { .client = pkt_addr("X2"), .addr = pkt_addr("NB2") };
	struct rsip_grant grant = { { 26, world_generation(26) }, { 26, world_generation(26) }, 0, 0 };
	struct row row = other;
	struct rsip_bind bind;
	struct world w;
	struct run run;

	world_open(&w);
	cr_assert(row_run(&w, PRIVATE, &of_grants, &run));
	cr_assert(row_run(&w, PRIVATE, &other, &run));
	cr_assert(row_run(&w, PRIVATE, &of_grants, &run));
	/* the first bind ends: the grants name the other one */
	world_bind(&w, 9, &bind);
	bind.generation = 0;
	world_bind_set(&w, 9, &bind);
	cr_assert_eq(bpf_map__update_elem(w.skel->maps.rsip_grants, &key, sizeof(key), &grant, sizeof(grant), BPF_ANY), 0);
	row.outcome = RSIP_OUT_ESP;
	row.out = of_grants.out;
	cr_expect(row_run(&w, PRIVATE, &row, &run));
	cr_expect(row_run(&w, PRIVATE, &row, &run));
	world_close(&w);
}
