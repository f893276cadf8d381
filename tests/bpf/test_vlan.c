// SPDX-License-Identifier: GPL-2.0-only
/* QinQ: next hops behind two tags. One tag is in the tables of test_inbound.c and test_outbound.c. */
#include <criterion/criterion.h>

#include "run.h"

#define TO_XV	"eth n > xv | svlan 100 | vlan 7 | ip NA > XV "
#define TO_YV	"eth n > yv | svlan 200 | vlan 9 | ip NB > YV ttl 63 "

/* covers: IN-24 IN-19 */
Test(vlan, inbound)
{
	static const struct row rows[] = {
		{ "none in", "ip Y > NB | udp 53 > 50003 | data 3", RSIP_IN_PORT,
		  TO_XV "| ip Y > NB ttl 63 | udp 53 > 50003 | data 3" },
		{ "one in", "vlan 9 | ip Y > NB | udp 53 > 50003 | data 3", RSIP_IN_PORT,
		  TO_XV "| ip Y > NB ttl 63 | udp 53 > 50003 | data 3" },
		{ "two in", "svlan 8 | vlan 9 | ip Y > NB opts 8 | udp 53 > 50003 | data 3", RSIP_IN_PORT,
		  TO_XV "| ip Y > NB ttl 63 opts 8 | udp 53 > 50003 | data 3" },
		{ "tags are not counted in the MTU", "ip Y > NB df | udp 53 > 50003 | data 1452", RSIP_IN_PORT,
		  TO_XV "df id 0 | ip Y > NB df ttl 63 | udp 53 > 50003 | data 1452" },
	};
	struct world w;

	world_open(&w);
	world_hop_qinq(&w, HOP_XV, 100, 7);
	rows_run(&w, PUBLIC, ROWS(rows));
	world_close(&w);
}

/* covers: EG-14 IN-24 */
Test(vlan, outbound)
{
	static const struct row rows[] = {
		{ "none in", "ip X1 > NA | ip NB > YV | esp 1", RSIP_OUT_ESP, TO_YV "| esp 1" },
		{ "one in", "vlan 5 | ip X1 > NA | ip NB > YV | esp 1", RSIP_OUT_ESP, TO_YV "| esp 1" },
		{ "two in", "svlan 5 | vlan 6 | ip X1 > NA opts 4 | ip NB > YV | udp 40000 > 9 | data 5", RSIP_OUT_PORT,
		  TO_YV "| udp 40000 > 9 | data 5" },
		{ "two in, GRE", "svlan 5 | vlan 6 | ip X1 > NA | gre | ip NB > YV | udp 41000 > 9", RSIP_OUT_PORT,
		  TO_YV "| udp 41000 > 9" },
	};
	struct world w;

	world_open(&w);
	world_hop_qinq(&w, HOP_YV, 200, 9);
	rows_run(&w, PRIVATE, ROWS(rows));
	world_close(&w);
}
