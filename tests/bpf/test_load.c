// SPDX-License-Identifier: GPL-2.0-only
/* The verifier's view, and what the maps must be for those who share them. */
#include <criterion/criterion.h>
#include <stdio.h>

#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include "run.h"

/* Printed on each run, so that a jump is seen; the limit is a tenth of the kernel's. */
Test(load, verifier)
{
	struct world w;

	world_open(&w);
	printf("rsip_public: processed %lu insns\nrsip_private: processed %lu insns\n", w.insns[PUBLIC],
	       w.insns[PRIVATE]);
	cr_expect_neq(w.insns[PUBLIC], 0);
	cr_expect_lt(w.insns[PUBLIC], 100000);
	cr_expect_neq(w.insns[PRIVATE], 0);
	cr_expect_lt(w.insns[PRIVATE], 100000);
	world_close(&w);
}

/* rsipd maps three of them into its memory, and all are pinned by name. covers: ADM-05 */
Test(load, maps)
{
	struct rsip_bpf *skel = rsip_bpf__open();
	struct bpf_map *map;
	int maps = 0;

	cr_assert_not_null(skel);
	bpf_object__for_each_map(map, skel->obj) {
		if (bpf_map__is_internal(map))
			continue;
		maps++;
		cr_expect_not_null(bpf_map__pin_path(map), "%s is not pinned", bpf_map__name(map));
		cr_expect_leq(strlen(bpf_map__name(map)), 15);
	}
	cr_expect_eq(maps, 12);
	cr_expect(bpf_map__map_flags(skel->maps.rsip_binds) & BPF_F_MMAPABLE);
	cr_expect(bpf_map__map_flags(skel->maps.rsip_nexthops) & BPF_F_MMAPABLE);
	cr_expect(bpf_map__map_flags(skel->maps.rsip_routes) & BPF_F_MMAPABLE);
	cr_expect_eq(bpf_map__max_entries(skel->maps.rsip_counters), RSIP_OUTCOME_COUNT);
	cr_expect_eq(bpf_map__max_entries(skel->maps.rsip_routes), RSIP_ROUTE_SETS * RSIP_ROUTE_WAYS);
	rsip_bpf__destroy(skel);
}
