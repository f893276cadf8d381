// SPDX-License-Identifier: GPL-2.0-only
/* The verifier's view, and what the maps must be for those who share them. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include <rsip/encap.h>
#include "rsipd/bpfmaps.h"
#include "run.h"
#include "tunnel.skel.h"

#define PROGRAMS_MAX	8
#define LOG_SIZE	(1 << 16)
#define INSNS_MAX	200000	/* a fifth of what the kernel allows */

/* What the verifier processed of one program. */
static void show(const struct bpf_program *program, const char *log)
{
	const char *line = strstr(log, "processed ");
	unsigned long insns = line ? strtoul(line + strlen("processed "), NULL, 10) : 0;
	struct utsname kernel;

	uname(&kernel);
	printf("note: Linux %s: %s: verifier processed %lu insns\n", kernel.release, bpf_program__name(program), insns);
	cr_expect_neq(insns, 0);
	cr_expect_lt(insns, INSNS_MAX, "%s: %lu insns", bpf_program__name(program), insns);
}

static void load(struct bpf_object *object)
{
	static char logs[PROGRAMS_MAX][LOG_SIZE];
	struct bpf_program *program;
	struct bpf_map *map;
	int i = 0, err;

	bpf_object__for_each_map(map, object)
		bpf_map__set_pin_path(map, NULL);
	bpf_object__for_each_program(program, object) {
		cr_assert_lt(i, PROGRAMS_MAX);
		bpf_program__set_log_level(program, 4);	/* BPF_LOG_STATS */
		bpf_program__set_log_buf(program, logs[i++], LOG_SIZE);
	}
	err = bpf_object__load(object);
	for (int j = 0; j < i && err; j++)
		printf("%s\n", logs[j]);
	cr_assert_eq(err, 0, "%s: %s", bpf_object__name(object), strerror(-err));
	i = 0;
	bpf_object__for_each_program(program, object)
		show(program, logs[i++]);
}

/* All programs there are. What it cost is printed on each run, so that a jump is seen. */
Test(load, verifier)
{
	struct rsip_bpf *gateway = rsip_bpf__open();
	struct tunnel_bpf *host = tunnel_bpf__open();

	cr_assert_not_null(gateway);
	cr_assert_not_null(host);
	if (geteuid())
		cr_skip_test("loading BPF programs needs root");
	load(gateway->obj);
	load(host->obj);
	rsip_bpf__destroy(gateway);
	tunnel_bpf__destroy(host);
}

/* Arrays that rsipd maps into its memory, or whose elements must not be split over two lines; all are pinned by name. */
/* covers: ADM-05 */
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
	cr_expect_eq(maps, BPFMAP_COUNT);
	cr_expect(bpf_map__map_flags(skel->maps.rsip_binds) & BPF_F_MMAPABLE);
	cr_expect(bpf_map__map_flags(skel->maps.rsip_binds_rare) & BPF_F_MMAPABLE);
	cr_expect(bpf_map__map_flags(skel->maps.rsip_senders) & BPF_F_MMAPABLE);
	cr_expect(bpf_map__map_flags(skel->maps.rsip_outspis) & BPF_F_MMAPABLE);
	cr_expect(bpf_map__map_flags(skel->maps.rsip_nexthops) & BPF_F_MMAPABLE);
	cr_expect(bpf_map__map_flags(skel->maps.rsip_routes) & BPF_F_MMAPABLE);
	cr_expect_eq(bpf_map__max_entries(skel->maps.rsip_counters), RSIP_OUTCOME_COUNT);
	cr_expect_eq(bpf_map__max_entries(skel->maps.rsip_outspis), skel->rodata->outspi_sets);
	cr_expect_eq(bpf_map__max_entries(skel->maps.rsip_senders), skel->rodata->sender_places);
	cr_expect_eq(bpf_map__max_entries(skel->maps.rsip_routes), RSIP_ROUTE_SETS * RSIP_ROUTE_WAYS);
	rsip_bpf__destroy(skel);
}
