/* SPDX-License-Identifier: GPL-2.0-only */
/* Several leases at once, of every kind and under every flow policy; and every message in every state. */
#include "client_trace.h"

TestSuite(leases, .init = setup, .fini = teardown);

#define Y1	"198.51.100.7"
#define Y2	"198.51.100.8"

static void registered_under(uint32_t counter, uint8_t local, uint8_t remote)
{
	struct msg m = make_register(counter, CLIENT, REG);

	m.local_policy = local;
	m.remote_policy = remote;
	answer(&m);
}

/* The grant of `ports` ports from `first`; `type` is the answer's. */
static void granted_ports(uint8_t type, uint32_t counter, uint32_t bind, uint16_t first, uint16_t ports)
{
	struct msg m = make_assign(counter, bind, LEASE);

	m.type = type;
	m.has &= ~MSG_HAS(RSIP_PARAM_SPI);
	m.lports = (struct msg_ports){ .form = MSG_RUN, .count = ports, .first = first };
	m.rports = (struct msg_ports){ .form = MSG_ANY, .count = 1 };
	answer(&m);
}

static const struct client_lease *lease_of(unsigned int id)
{
	struct client_item item;

	return client_next(c, id - 1, &item) && item.id == id ? item.lease : NULL;
}

/* --- one after the other -------------------------------------------------------------------- */

/* One lease for each remote: asked for one at a time, extended and lost each for itself. */
/* covers: FLOW-12 RSAP-23 T-13 FREE-05 EXT-07 LSE-03 */
Test(leases, one_for_each_remote)
{
	const struct want y1 = { .kind = WANT_IPSEC, .spis = 2, .remote = inet_addr(Y1) };
	const struct want y2 = { .kind = WANT_IPSEC, .spis = 2, .remote = inet_addr(Y2), .lease = 100 };

	client_add(c, &y1, NOW);
	begin(&y2);
	registered_under(1, RSIP_POLICY_MACRO, RSIP_POLICY_MACRO);
	expect("0 " REGISTER(1) "0 registered\n"
	       "0 > ASSIGN_REQUEST_RSIPSEC(client=9 local=any-v4 lports=not-needed remote=" Y1
	       " rports=not-needed spi=2-any counter=2)\n");
	granted(2, 5, LEASE);
	expect("0 assigned\n0 granted bind=5 until=600000\n"
	       "0 > ASSIGN_REQUEST_RSIPSEC(client=9 local=192.0.2.1 lports=not-needed remote=" Y2
	       " rports=not-needed spi=2-any counter=3 lease=100)\n");
	granted(3, 6, 100);
	expect("0 granted bind=6 until=100000\n");
	run_to(50000);
	expect("50000 > EXTEND_REQUEST(client=9 bind=6 lease=100 counter=4)\n");
	extended(4, 6, 100);
	expect("50000 extended bind=6 until=150000\n");
	freed(0, 5);
	expect("50000 ended bind=5 taken back\n");
	cr_assert(lease_of(1) == NULL && lease_of(2)->bind_id == 6);
	run_to(51000);
	expect("51000 > ASSIGN_REQUEST_RSIPSEC(client=9 local=192.0.2.1 lports=not-needed remote=" Y1
	       " rports=not-needed spi=2-any counter=5)\n");
	granted(5, 7, LEASE);
	expect("51000 granted bind=7 until=651000\n");
}

/* Of two that are due the one that ends first is extended first. */
/* covers: EXT-07 */
Test(leases, the_most_urgent_first)
{
	const struct want any = { .kind = WANT_PORTS, .ports = 1 };

	client_add(c, &any, NOW);
	begin(&any);
	registered(1);
	granted_ports(RSIP_ASSIGN_RESPONSE_RSAP, 2, 5, 4000, 1);
	granted_ports(RSIP_ASSIGN_RESPONSE_RSAP, 3, 6, 4001, 1);
	c->slots->next->lease.expires -= 1000;
	forget_trace();
	now = 300000;
	client_run(c, NOW);
	expect("300000 > EXTEND_REQUEST(client=9 bind=6 counter=4)\n");
	extended(4, 6, LEASE);
	expect("300000 extended bind=6 until=900000\n" "300000 > EXTEND_REQUEST(client=9 bind=5 counter=5)\n");
}

/* An address that is ours already is preferred, so that one tunnel does; it need not be had. */
/* covers: HOST-11 RSA-14 */
Test(leases, the_same_address_if_possible)
{
	const struct want first = { .kind = WANT_PORTS, .ports = 1 }, second = { .kind = WANT_PORTS, .ports = 200 };

	client_add(c, &first, NOW);
	begin(&second);
	registered(1);
	granted_ports(RSIP_ASSIGN_RESPONSE_RSAP, 2, 5, 4000, 1);
	forget_trace();
	refused_with(3, RSIP_E_LOCAL_ADDRPORT_UNAVAILABLE, CLIENT);
	expect("0 failed ASSIGN_REQUEST_RSAP-IP 309 again=0\n"
	       "0 > ASSIGN_REQUEST_RSAP-IP(client=9 local=any-v4 lports=200-any remote=any-v4 rports=1-any counter=4)\n");
	refused_with(4, RSIP_E_LOCAL_ADDRPORT_UNAVAILABLE, CLIENT);
	expect("0 failed ASSIGN_REQUEST_RSAP-IP 309 again=1000\n");
}

/* --- kinds and policies ----------------------------------------------------------------------- */

/* covers: LSN-08 IPS-02 IPS-10 W-16 W-17 W-19 A-25 */
Test(leases, every_kind_of_request)
{
	static const struct {
		struct want want;
		const char *request;
	} rows[] = {
		{ { .kind = WANT_WHOLE },
		  "ASSIGN_REQUEST_RSA-IP(client=9 local=any-v4 remote=any-v4 rports=1-any counter=2)" },
		{ { .kind = WANT_WHOLE, .local = 0x010200c0, .remote = 0x076433c6, .lease = 60, .tunnel = RSIP_TUNNEL_GRE },
		  "ASSIGN_REQUEST_RSA-IP(client=9 local=192.0.2.1 remote=198.51.100.7 rports=1-any counter=2 lease=60 "
		  "tunnel=GRE)" },
		{ { .kind = WANT_PORTS, .ports = 2, .remote_name = "www.example.net", .remote_port = 80 },
		  "ASSIGN_REQUEST_RSAP-IP(client=9 local=any-v4 lports=2-any remote=\"www.example.net\" rports=80 "
		  "counter=2)" },
		{ { .kind = WANT_LISTEN, .ports = 1, .first_port = 80, .exact = true },
		  "LISTEN_REQUEST(client=9 local=any-v4 lports=80 remote=any-v4 rports=1-any counter=2)" },
		{ { .kind = WANT_LISTEN, .ports = 2, .remote = 0x076433c6, .remote_port = 25 },
		  "LISTEN_REQUEST(client=9 local=any-v4 lports=2-any remote=198.51.100.7 rports=25 counter=2)" },
	};
	char line[256];

	for (size_t i = 0; i < ARRAY(rows); i++) {
		client_free(c);
		make(NULL);
		begin(&rows[i].want);
		registered(1);
		snprintf(line, sizeof(line), "0 > REGISTER_REQUEST(counter=1)\n0 registered\n0 > %s\n", rows[i].request);
		cr_assert(eq(str, trace, line));
	}
}

/* What the policy has no room for is not asked for; what it wants is. */
/* covers: FLOW-12 LSN-08 A-08 A-22 A-25 A-26 */
Test(leases, the_flow_policy_is_kept)
{
	enum { MACRO = RSIP_POLICY_MACRO, MICRO = RSIP_POLICY_MICRO, NONE = RSIP_POLICY_NONE };
	static const struct {
		uint8_t local, remote;
		struct want want;
		bool asked;
	} rows[] = {
		{ MACRO, NONE, { .kind = WANT_PORTS, .ports = 9 }, true },
		{ MICRO, NONE, { .kind = WANT_PORTS, .ports = 1 }, true },
		{ MICRO, NONE, { .kind = WANT_PORTS, .ports = 4, .first_port = 4000, .exact = true }, false },
		{ MICRO, NONE, { .kind = WANT_IPSEC, .spis = 8 }, true },
		{ MICRO, NONE, { .kind = WANT_IPSEC, .spis = 8, .ports = 2 }, false },
		{ MICRO, NONE, { .kind = WANT_WHOLE }, false },
		{ MACRO, MACRO, { .kind = WANT_PORTS, .ports = 1 }, false },
		{ MACRO, MACRO, { .kind = WANT_IPSEC, .spis = 8 }, false },
		{ MACRO, MACRO, { .kind = WANT_WHOLE }, false },
		{ MACRO, MACRO, { .kind = WANT_LISTEN, .ports = 1 }, false },
		{ MACRO, MACRO, { .kind = WANT_LISTEN, .ports = 1, .remote = 1 }, true },
		{ MACRO, MACRO, { .kind = WANT_PORTS, .ports = 1, .remote_name = "y" }, true },
		{ MACRO, MICRO, { .kind = WANT_PORTS, .ports = 1, .remote = 1 }, false },
		{ MACRO, MICRO, { .kind = WANT_PORTS, .ports = 1, .remote = 1, .remote_port = 80 }, true },
		{ MACRO, MICRO, { .kind = WANT_LISTEN, .ports = 1, .remote = 1 }, false },
		{ MACRO, MICRO, { .kind = WANT_WHOLE, .remote = 1, .remote_port = 80 }, true },
		{ MACRO, MICRO, { .kind = WANT_IPSEC, .spis = 8, .remote = 1 }, true },
		{ MACRO, MICRO, { .kind = WANT_IPSEC, .spis = 8, .ports = 1, .remote = 1 }, false },
	};

	for (size_t i = 0; i < ARRAY(rows); i++) {
		client_free(c);
		make(NULL);
		begin(&rows[i].want);
		registered_under(1, rows[i].local, rows[i].remote);
		cr_assert(eq(int, c->pending.is.type != 0, rows[i].asked), "row %zu: %s", i, trace);
		cr_assert(rows[i].asked || strstr(trace, " 103\n"), "row %zu: it is said", i);
		run_to(600000);
		cr_assert(rows[i].asked || !strstr(strstr(trace, " 103\n"), ">"), "row %zu: once", i);
	}
}

/* Under local micro policy each bind has one port: four ports are four requests. */
/* covers: FLOW-12 A-08 */
Test(leases, ports_one_by_one)
{
	const struct want ports = { .kind = WANT_PORTS, .ports = 4 };
	struct client_item item = { 0 };
	unsigned int count = 0;

	begin(&ports);
	registered_under(1, RSIP_POLICY_MICRO, RSIP_POLICY_NONE);
	for (uint32_t i = 0; i < 4; i++)
		granted_ports(RSIP_ASSIGN_RESPONSE_RSAP, 2 + i, 5 + i, 4000 + 7 * i, 1);
	while (client_next(c, item.id, &item)) {
		cr_assert(item.lease != NULL);
		cr_assert(eq(u16, item.lease->ports.count, 1));
		count++;
	}
	cr_assert(eq(u32, count, 4));
	cr_assert(eq(u8, c->pending.is.type, 0));
}

/* A server wants its port, no other. */
/* covers: LSN-08 HOST-11 A-20 */
Test(leases, what_has_to_be_so_is_not_replaced)
{
	const struct want server = { .kind = WANT_LISTEN, .ports = 1, .first_port = 80, .exact = true };

	begin(&server);
	registered(1);
	forget_trace();
	refused_with(2, RSIP_E_LOCAL_ADDRPORT_INUSE, CLIENT);
	expect("0 failed LISTEN_REQUEST 311 again=1000\n");
	run_to(1000);
	expect("1000 > LISTEN_REQUEST(client=9 local=any-v4 lports=80 remote=any-v4 rports=1-any counter=3)\n");
	granted_ports(RSIP_LISTEN_RESPONSE, 3, 5, 81, 1);
	expect("1000 failed LISTEN_REQUEST 0 again=3000\n1000 > FREE_REQUEST(client=9 bind=5 counter=4)\n");
	freed(4, 5);
	run_to(3000);
	forget_trace();
	granted_ports(RSIP_LISTEN_RESPONSE, 5, 6, 80, 1);
	expect("3000 assigned\n3000 granted bind=6 until=603000\n");
}

/* covers: LSN-10 */
Test(leases, no_listening_beside_a_whole_address)
{
	const struct want whole = { .kind = WANT_WHOLE }, server = { .kind = WANT_LISTEN, .ports = 1, .first_port = 80 };

	begin(&whole);
	cr_assert(eq(u32, client_add(c, &server, NOW), 0));
	client_drop(c, 1, NOW);
	cr_assert(ne(u32, client_add(c, &server, NOW), 0));
}

/* covers: RSA-14 A-09 A-10 */
Test(leases, whole_addresses)
{
	const struct want whole = { .kind = WANT_WHOLE };
	struct msg m;

	client_add(c, &whole, NOW);
	begin(&whole);
	registered(1);
	for (uint32_t i = 0; i < 2; i++) {
		m = make_assign(2 + i, 5 + i, LEASE);
		m.type = RSIP_ASSIGN_RESPONSE_RSA;
		m.has &= ~(MSG_HAS(RSIP_PARAM_SPI) | MSG_HAS_LPORTS);
		m.rports = (struct msg_ports){ .form = MSG_ANY, .count = 1 };
		m.local.v4 = htonl(0xc0000201 + i);
		forget_trace();
		answer(&m);
	}
	cr_assert(lease_of(1)->local == inet_addr("192.0.2.1") && lease_of(2)->local == inet_addr("192.0.2.2"));
	cr_assert(eq(u16, lease_of(1)->ports.count, 0));
}

/* --- giving back ------------------------------------------------------------------------------- */

/* One port each: bind 5 of number 1, bind 6 of number 2. */
static void two_leases(void)
{
	const struct want any = { .kind = WANT_PORTS, .ports = 1 };

	show_gone = true;
	client_add(c, &any, NOW);
	begin(&any);
	registered(1);
	granted_ports(RSIP_ASSIGN_RESPONSE_RSAP, 2, 5, 4000, 1);
	granted_ports(RSIP_ASSIGN_RESPONSE_RSAP, 3, 6, 4001, 1);
	forget_trace();
}

/* covers: HOST-13 FREE-05 REG-17 */
Test(leases, one_is_dropped_the_other_goes_on)
{
	two_leases();
	client_drop(c, 1, NOW);
	expect("0 ended bind=5 released\n" "0 > FREE_REQUEST(client=9 bind=5 counter=4)\n");
	client_drop(c, 1, NOW);
	expect("");
	freed(4, 5);
	expect("0 gone 1\n");
	run_to(299999);
	expect("");
	cr_assert(lease_of(2)->bind_id == 6);
}

/* What is still to be freed when the registration ends went with it: nobody is asked for it any more. */
/* covers: HOST-13 */
Test(leases, dropped_and_gone_with_the_registration)
{
	two_leases();
	client_drop(c, 1, NOW);
	client_drop(c, 2, NOW);
	forget_trace();
	deregistered(0, CLIENT);
	expect("0 unregistered\n0 gone 2\n");
	freed(4, 5);
	expect("0 gone 1\n");
	run_to(1000);
	registered(5);
	expect("1000 " REGISTER(5) "1000 registered\n");
}

/* Its request is on the way: the answer names the bind that goes back. */
/* covers: HOST-13 FAIL-14 */
Test(leases, dropped_while_it_is_asked_for)
{
	const struct want any = { .kind = WANT_PORTS, .ports = 1 };

	show_gone = true;
	begin(&any);
	registered(1);
	forget_trace();
	client_drop(c, 1, NOW);
	expect("");
	granted_ports(RSIP_ASSIGN_RESPONSE_RSAP, 2, 5, 4000, 1);
	expect("0 > FREE_REQUEST(client=9 bind=5 counter=3)\n");
	run_to(1588);
	cr_assert(strstr(trace, "1588 failed FREE_REQUEST 0\n1588 gone 1\n") != NULL, "%s", trace);
	/* Refused instead; waiting; not even registered. */
	client_free(c);
	make(NULL);
	show_gone = true;
	begin(&any);
	registered(1);
	client_drop(c, 1, NOW);
	forget_trace();
	refused_with(2, RSIP_E_LOCAL_ADDR_UNAVAILABLE, CLIENT);
	expect("0 failed ASSIGN_REQUEST_RSAP-IP 308 again=1000\n0 gone 1\n");
	client_add(c, &any, NOW);
	refused_with(3, RSIP_E_LOCAL_ADDR_UNAVAILABLE, CLIENT);
	forget_trace();
	client_drop(c, 2, NOW);
	expect("0 gone 2\n");
	deregistered(0, CLIENT);
	client_add(c, &any, NOW);
	forget_trace();
	client_drop(c, 3, NOW);
	expect("0 gone 3\n");
}

static unsigned int refused_leases;

static bool accepts_the_third(const struct client_lease *lease, void *arg)
{
	return refused_leases++ == 2;
}

/* The host has an SA with that SPI: it goes back and another one is asked for. */
/* covers: IPS-16 */
Test(leases, what_the_host_cannot_use_goes_back)
{
	struct client_ops picky = ops;

	picky.accepts = accepts_the_third;
	client_free(c);
	c = client_new(&picky, NULL, NULL);
	refused_leases = 0;
	to_registered();
	granted(2, 5, LEASE);
	expect("0 failed ASSIGN_REQUEST_RSIPSEC 0 again=1000\n" "0 " FREE(5, 3));
	freed(3, 5);
	run_to(1000);
	expect("1000 " ASSIGN(4));
	granted(4, 6, LEASE);
	freed(5, 6);
	run_to(3000);
	forget_trace();
	granted(6, 7, LEASE);
	expect("3000 assigned\n3000 granted bind=7 until=603000\n");
}

/* */
Test(leases, errors_that_nobody_knows)
{
	cr_assert(eq(str, (char *)client_error_name(400), "IPsec failure"));
	cr_assert(eq(str, (char *)client_error_name(403), "IPSEC_SPI_INUSE"));
	cr_assert(eq(str, (char *)client_error_name(500), "?"));
	to_registered();
	refused_with(2, 444, CLIENT);
	expect("0 failed ASSIGN_REQUEST_RSIPSEC 444 again=1000\n");
}

/* --- every message in every state ------------------------------------------------------------------ */

enum state { UNREGISTERED, REGISTERING, WAITING, REGISTERED, ASSIGNING, ASSIGNED, EXTENDING, FREEING, ASKING, LEAVING, STATES };

static const struct {
	const char *name;
	uint8_t pending;
} states[] = {
	[UNREGISTERED] = { "unregistered", 0 },
	[REGISTERING] = { "registering", RSIP_REGISTER_REQUEST },
	[WAITING] = { "waiting to register", 0 },
	[REGISTERED] = { "registered", 0 },
	[ASSIGNING] = { "assigning", RSIP_ASSIGN_REQUEST_RSAP },
	[ASSIGNED] = { "assigned", 0 },
	[EXTENDING] = { "extending", RSIP_EXTEND_REQUEST },
	[FREEING] = { "freeing", RSIP_FREE_REQUEST },
	[ASKING] = { "asking", RSIP_QUERY_REQUEST },
	[LEAVING] = { "leaving", RSIP_DEREGISTER_REQUEST },
};

static void free_a_third(const struct want *any)
{
	unsigned int id = client_add(c, any, NOW);

	granted_ports(RSIP_ASSIGN_RESPONSE_RSAP, 4, 8, 4002, 1);
	client_drop(c, id, NOW);
}

/* Two leases, binds 5 and BIND, in the states that have any. */
static void bring_to(enum state state)
{
	const struct want any = { .kind = WANT_PORTS, .ports = 1 };

	make(NULL);
	if (state == UNREGISTERED)
		return;
	if (state != REGISTERED)
		client_add(c, &any, NOW);
	client_start(c, NOW);
	if (state == WAITING)
		run_to(1700);
	if (state <= WAITING)
		return;
	registered(1);
	if (state <= ASSIGNING)
		return;
	granted_ports(RSIP_ASSIGN_RESPONSE_RSAP, 2, 5, 4000, 1);
	client_add(c, &any, NOW);
	granted_ports(RSIP_ASSIGN_RESPONSE_RSAP, 3, BIND, 4001, 1);
	if (state == EXTENDING)
		run_to(300000);
	else if (state == FREEING)
		free_a_third(&any);
	else if (state == ASKING)
		client_query(c, NULL, 0, NOW);
	else if (state == LEAVING)
		client_stop(c, NOW);
}

enum effect { NOTHING, ONE_BIND, ALL, REPORT };

/* Every message that a gateway can send unasked, and those that nobody should send. */
/* covers: ASY-01 ASY-02 ASY-03 ASY-04 ASY-08 FREE-05 REG-15 T-36 W-31 W-35 FAIL-12 */
Test(leases, every_message_in_every_state)
{
	static const struct {
		uint8_t type;
		uint32_t counter, client, bind;
		uint16_t error;
		enum effect effect;
	} rows[] = {
		{ RSIP_FREE_RESPONSE, 0, CLIENT, BIND, 0, ONE_BIND },
		{ RSIP_FREE_RESPONSE, 0, CLIENT, 99, 0, NOTHING },
		{ RSIP_FREE_RESPONSE, 0, CLIENT + 1, BIND, 0, NOTHING },
		{ RSIP_FREE_RESPONSE, 77, CLIENT, BIND, 0, NOTHING },
		{ RSIP_DEREGISTER_RESPONSE, 0, CLIENT, 0, 0, ALL },
		{ RSIP_DEREGISTER_RESPONSE, 0, CLIENT + 1, 0, 0, NOTHING },
		{ RSIP_DEREGISTER_RESPONSE, 77, CLIENT, 0, 0, NOTHING },
		{ RSIP_ERROR_RESPONSE, 0, CLIENT, 0, RSIP_E_LOCAL_ADDRPORT_UNALLOWED, REPORT },
		{ RSIP_ERROR_RESPONSE, 0, CLIENT, BIND, RSIP_E_REMOTE_ADDR_UNALLOWED, REPORT },
		{ RSIP_ERROR_RESPONSE, 0, CLIENT, 0, RSIP_E_INTERNAL_SERVER_ERROR, REPORT },
		{ RSIP_ERROR_RESPONSE, 0, CLIENT, 0, 444, REPORT },
		{ RSIP_ERROR_RESPONSE, 0, CLIENT, 0, RSIP_E_REGISTER_FIRST, ALL },
		{ RSIP_ERROR_RESPONSE, 0, CLIENT + 1, 0, RSIP_E_REGISTER_FIRST, NOTHING },
		{ RSIP_ERROR_RESPONSE, 77, CLIENT, 0, RSIP_E_REGISTER_FIRST, NOTHING },
		{ RSIP_REGISTER_RESPONSE, 77, CLIENT + 1, 0, 0, NOTHING },
		{ RSIP_EXTEND_RESPONSE, 77, CLIENT, BIND, 0, NOTHING },
		{ RSIP_EXTEND_RESPONSE, 0, CLIENT, BIND, 0, NOTHING },
		{ RSIP_QUERY_RESPONSE, 77, CLIENT, 0, 0, NOTHING },
		{ RSIP_REGISTER_REQUEST, 1, 0, 0, 0, NOTHING },
		{ RSIP_FREE_REQUEST, 1, CLIENT, BIND, 0, NOTHING },
		{ RSIP_DEREGISTER_REQUEST, 1, CLIENT, 0, 0, NOTHING },
	};

	for (enum state state = UNREGISTERED; state < STATES; state++) {
		for (size_t i = 0; i < ARRAY(rows); i++) {
			struct msg m = {
				.type = rows[i].type, .counter = rows[i].counter, .client_id = rows[i].client,
				.bind_id = rows[i].bind, .error = rows[i].error, .lease = LEASE,
				.local_policy = RSIP_POLICY_MACRO, .remote_policy = RSIP_POLICY_NONE,
				.has = (rows[i].client ? MSG_HAS(RSIP_PARAM_CLIENT_ID) : 0) |
				       (rows[i].bind ? MSG_HAS(RSIP_PARAM_BIND_ID) : 0) |
				       (rows[i].error ? MSG_HAS(RSIP_PARAM_ERROR) : 0),
			};
			struct pending before;
			uint32_t counter;
			bool was_registered, had_leases;

			client_free(c);
			bring_to(state);
			cr_assert(eq(u8, c->pending.is.type, states[state].pending), "%s", states[state].name);
			if (m.type == RSIP_REGISTER_RESPONSE || m.type == RSIP_EXTEND_RESPONSE)
				m.has |= MSG_HAS(RSIP_PARAM_LEASE_TIME);
			if (m.type == RSIP_REGISTER_RESPONSE)
				m.has |= MSG_HAS(RSIP_PARAM_FLOW_POLICY);
			before = c->pending;
			counter = c->counter;
			was_registered = c->registered;
			had_leases = c->shown == CLIENT_ASSIGNED;
			answer(&m);
#define HOLDS(condition) if (!(condition)) cr_fatal("%s, row %zu: %s: %s", states[state].name, i, #condition, trace)
			HOLDS(c->registered == (was_registered && rows[i].effect != ALL));
			HOLDS((lease_of(1) != NULL) == (had_leases && rows[i].effect != ALL));
			HOLDS((lease_of(2) != NULL) == (had_leases && rows[i].effect != ALL && rows[i].effect != ONE_BIND));
			/* What was waited for still is, with its counter and its time. */
			HOLDS(!before.is.type || c->pending.is.type == before.is.type);
			HOLDS(!before.is.type || c->counter == counter);
			HOLDS(!before.is.type || before.due_us == c->pending.due_us);
			HOLDS(!before.is.type || !memcmp(before.bytes, c->pending.bytes, before.len));
#undef HOLDS
		}
	}
}

/* What a gateway may answer: at least what was asked for, and by name only while it was named. */
static const struct {
	const char *what;
	struct want want;
	bool named;
	const char *local;
	struct msg_ports ports;
	struct msg_spis spis;
	bool fits;
} answers[] = {
	{ "the lowest SPIs", { .kind = WANT_IPSEC, .spis = 2 }, false, "203.0.113.1", { .form = MSG_NOT_NEEDED },
	  { .form = MSG_RUN, .first = 256, .count = 2 }, true },
	{ "a reserved SPI", { .kind = WANT_IPSEC, .spis = 2 }, false, "203.0.113.1", { .form = MSG_NOT_NEEDED },
	  { .form = MSG_RUN, .first = 255, .count = 2 }, false },
	{ "too few SPIs", { .kind = WANT_IPSEC, .spis = 2 }, false, "203.0.113.1", { .form = MSG_NOT_NEEDED },
	  { .form = MSG_RUN, .first = 256, .count = 1 }, false },
	{ "any SPIs", { .kind = WANT_IPSEC, .spis = 2 }, false, "203.0.113.1", { .form = MSG_NOT_NEEDED },
	  { .form = MSG_ANY, .first = 256, .count = 2 }, false },
	{ "too few ports", { .kind = WANT_PORTS, .ports = 2 }, false, "203.0.113.1",
	  { .form = MSG_RUN, .first = 4000, .count = 1 }, { 0 }, false },
	{ "other ports than those that were named", { .kind = WANT_PORTS, .ports = 2, .first_port = 4000 }, true, "203.0.113.1",
	  { .form = MSG_RUN, .first = 5000, .count = 2 }, { 0 }, false },
	{ "other ports, not named any more", { .kind = WANT_PORTS, .ports = 2, .first_port = 4000 }, false, "203.0.113.1",
	  { .form = MSG_RUN, .first = 5000, .count = 2 }, { 0 }, true },
	{ "another address than the one that was named", { .kind = WANT_PORTS, .ports = 1, .local = 0x097100cb }, true,
	  "203.0.113.1", { .form = MSG_RUN, .first = 5000, .count = 1 }, { 0 }, false },
	{ "that address", { .kind = WANT_PORTS, .ports = 1, .local = 0x097100cb }, true,
	  "203.0.113.9", { .form = MSG_RUN, .first = 5000, .count = 1 }, { 0 }, true },
	{ "another address, not named any more", { .kind = WANT_PORTS, .ports = 1, .local = 0x097100cb }, false,
	  "203.0.113.1", { .form = MSG_RUN, .first = 5000, .count = 1 }, { 0 }, true },
};

Test(leases, what_fits)
{
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		struct msg answer = {
			.local = { .type = RSIP_ADDR_IPV4, .v4 = inet_addr(answers[i].local) }, .lease = 600,
			.lports = answers[i].ports, .spis = answers[i].spis,
		};

		cr_expect_eq(want_fits(&answers[i].want, answers[i].named, &answer), answers[i].fits, "%s", answers[i].what);
	}
}
