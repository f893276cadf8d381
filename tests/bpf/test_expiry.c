// SPDX-License-Identifier: GPL-2.0-only
/* A bind is over when its time is, whether or not anybody takes it out of the maps. */
#include <criterion/criterion.h>

#include "run.h"

/* The bind of X1 on NB ends so many ticks from now; what becomes of its packets? */
static void expect(struct world *w, int ticks, bool lives)
{
	const struct row in[] = {
		{ "ESP in", "ip Y > NB | esp 0x1001", lives ? RSIP_IN_ESP : RSIP_IN_NO_SPI,
		  "eth n > x1 | ip NA > X1 | ip Y > NB ttl 63 | esp 0x1001" },
		{ "IKE in", "ip Y > NB | udp 500 > 500 | ike 0xaa", lives ? RSIP_IN_IKE : RSIP_IN_NO_COOKIE,
		  "eth n > x1 | ip NA > X1 | ip Y > NB ttl 63 | udp 500 > 500 | ike 0xaa" },
		{ "port in", "ip Y > NB | tcp 80 > 40000", lives ? RSIP_IN_PORT : RSIP_IN_NO_PORT,
		  "eth n > x1 | ip NA > X1 | ip Y > NB ttl 63 | tcp 80 > 40000" },
	};
	const struct row out[] = {
		{ "ESP out", "ip X1 > NA | ip NB > Y | esp 7", lives ? RSIP_OUT_ESP : RSIP_OUT_NO_IPSEC,
		  "eth n > y | ip NB > Y ttl 63 | esp 7" },
		{ "IKE out", "ip X1 > NA | ip NB > Y | udp 500 > 500 | ike 0xaa", lives ? RSIP_OUT_IKE : RSIP_OUT_NO_PORT,
		  "eth n > y | ip NB > Y ttl 63 | udp 500 > 500 | ike 0xaa" },
		{ "port out", "ip X1 > NA | ip NB > Y | tcp 40000 > 80", lives ? RSIP_OUT_PORT : RSIP_OUT_NO_PORT,
		  "eth n > y | ip NB > Y ttl 63 | tcp 40000 > 80" },
	};
	struct rsip_bind bind;
	struct rsip_sender sender;

	for (int i = 0; i < 6; i++) {
		struct row row = i < 3 ? in[i] : out[i - 3];
		struct run run;

		if (!lives)
			row.out = NULL;
		world_bind(w, 1, &bind);
		bind.ends = world_tick(w) + (__u32)ticks;
		world_bind_set(w, 1, &bind);
		world_sender(w, "X1", &sender);
		sender.ends = bind.ends;
		world_sender_set(w, "X1", &sender);
		cr_expect(row_run(w, i < 3 ? PUBLIC : PRIVATE, &row, &run), "%s, %d ticks left", row.name, ticks);
	}
}

/* "None here" is slot 0 and no generation, which is not the bind that was in slot 0. covers: FREE-04 IN-28 EG-08 */
Test(expiry, no_target_is_slot_0)
{
	static const struct step steps[] = {
		{ PRIVATE, { "by its grant", "ip X4 > NA | ip NB > Y | esp 7", RSIP_OUT_NO_IPSEC, NULL } },
		{ PUBLIC, { "by its address", "ip Y > NB proto 132 | data 20", RSIP_IN_PROTOCOL, NULL } },
	};
	struct rsip_bind bind;
	struct world w;

	world_open(&w);
	world_bind(&w, 6, &bind);
	bind.generation = 0;
	world_bind_set(&w, 0, &bind);
	steps_run(&w, steps, sizeof(steps) / sizeof(steps[0]));
	world_close(&w);
}

/* covers: FAIL-10 IN-28 LSE-06 FREE-04 */
Test(expiry, ends_by_itself)
{
	struct world w;

	world_open(&w);
	world_cookie(&w, 0xaa, "NB", 500, 1, world_generation(1), "Y");
	expect(&w, 1000, true);
	expect(&w, 0, false);
	expect(&w, -1, false);
	expect(&w, -1000000, false);
	expect(&w, 1 << 30, true);
	world_close(&w);
}
