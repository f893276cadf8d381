/* SPDX-License-Identifier: GPL-2.0-only */
/* One lease, from the first REGISTER_REQUEST to the last DE-REGISTER_RESPONSE. */
#include "client_trace.h"

TestSuite(client, .init = setup, .fini = teardown);

/* covers: T-14 REG-01 LSE-03 HOST-15 IPS-02 IPS-10 */
Test(client, registers_and_gets_its_lease)
{
	struct client_status s;

	client_status(c, &s);
	cr_assert(eq(int, s.state, CLIENT_UNREGISTERED));
	start();
	client_status(c, &s);
	cr_assert(eq(str, (char *)s.pending, "REGISTER_REQUEST"));
	now = 3;
	registered(1);
	expect("3 registered\n" "3 " ASSIGN(2));
	client_status(c, &s);
	cr_assert(eq(int, s.state, CLIENT_REGISTERED));
	cr_assert(s.registered && s.client_id == CLIENT && s.registration_expires == BASE + REG * 1000);
	cr_assert(s.local_policy == RSIP_POLICY_MACRO && s.remote_policy == RSIP_POLICY_NONE);
	now = 7;
	granted(2, BIND, 1800);
	expect("7 assigned\n7 granted bind=7 until=1800003\n");
	client_status(c, &s);
	cr_assert(eq(int, s.state, CLIENT_ASSIGNED));
	cr_assert(lease_of_first()->bind_id == BIND && lease_of_first()->local == inet_addr("192.0.2.1") && lease_of_first()->endpoint == 0);
	cr_assert(lease_of_first()->spis.count == 2 && msg_spi_at(&lease_of_first()->spis, 1) == 0x1001);
	cr_assert(eq(u64, s.registration_expires, BASE + 1800003), "R = max(R, B)");
	cr_assert(s.pending == NULL && s.sent == 2 && s.resent == 0 && s.received == 2);
}

/* What is asked for, in the bytes of the golden vectors where they have the same wish. */
/* covers: IPS-02 IPS-10 W-17 W-19 W-20 A-02 A-04 A-05 */
Test(client, asks_for_what_is_wanted)
{
	static const struct { struct want want; const char *request; } rows[] = {
		{ { .kind = WANT_IPSEC, .spis = 1, .lease = 3600, .tunnel = RSIP_TUNNEL_IPIP },
		  "ASSIGN_REQUEST_RSIPSEC(client=9 local=any-v4 lports=not-needed remote=any-v4 rports=not-needed "
		  "spi=1-any counter=2 lease=3600 tunnel=IP-IP)" },
		{ { .kind = WANT_IPSEC, .spis = 2, .ports = 16 },
		  "ASSIGN_REQUEST_RSIPSEC(client=9 local=any-v4 lports=16-any remote=any-v4 rports=1-any spi=2-any counter=2)" },
		{ { .kind = WANT_IPSEC, .spis = 2, .ports = 2, .first_port = 40000 },
		  "ASSIGN_REQUEST_RSIPSEC(client=9 local=any-v4 lports=40000..40001 remote=any-v4 rports=1-any spi=2-any "
		  "counter=2)" },
		{ { .ports = 255 },
		  "ASSIGN_REQUEST_RSAP-IP(client=9 local=any-v4 lports=255-any remote=any-v4 rports=1-any counter=2)" },
		{ { .ports = 1, .local = 0x010200c0, .remote = 0x057100cb, .remote_port = 21, .tunnel = RSIP_TUNNEL_GRE },
		  "ASSIGN_REQUEST_RSAP-IP(client=9 local=192.0.2.1 lports=1-any remote=203.0.113.5 rports=21 counter=2 "
		  "tunnel=GRE)" },
	};

	for (size_t i = 0; i < ARRAY(rows); i++) {
		char line[512];

		client_free(c);
		make(NULL);
		begin(&rows[i].want);
		forget_trace();
		registered(1);
		snprintf(line, sizeof(line), "0 registered\n0 > %s\n", rows[i].request);
		cr_expect(eq(str, trace, line));
	}
}

#define SILENCE								\
	"13 > again\n38 > again\n88 > again\n188 > again\n388 > again\n788 > again\n"

/* covers: T-16 T-17 FAIL-12 */
Test(client, seven_sends_then_failure)
{
	start();
	run_to(1587);
	expect(SILENCE);
	run_to(2587);
	expect("1588 failed REGISTER_REQUEST 0 again=2588\n");
	run_to(2588);
	expect("2588 > again\n");
}

/* covers: T-17 */
Test(client, timer_and_tries_can_be_set)
{
	client_free(c);
	make(&(struct client_timing){ .first_us = 100000, .sends = 3 });
	start();
	run_to(699);
	expect("100 > again\n300 > again\n");
	run_to(700);
	expect("700 failed REGISTER_REQUEST 0 again=1700\n");
}

/* A process that slept does not send the missed copies in one burst. */
Test(client, late_calls_send_one_copy)
{
	start();
	now = 500;
	client_run(c, NOW);
	expect("500 > again\n");
	run_to(524);
	expect("");
	run_to(525);
	expect("525 > again\n");
}

/* Backoff between schedules: 1 s doubled to 60 s, as long as it should be up. */
/* covers: T-13 HOST-11 */
Test(client, a_silent_gateway_is_tried_for_ever)
{
	static const unsigned int waits[] = { 1, 2, 4, 8, 16, 32, 60, 60, 60 };
	uint64_t at = 0;
	char line[128];

	start();
	forget_trace();
	for (size_t i = 0; i < ARRAY(waits); i++) {
		run_to(at + 1587);
		forget_trace();
		run_to(at + 1588);
		snprintf(line, sizeof(line), "%llu failed REGISTER_REQUEST 0 again=%llu\n", (unsigned long long)at + 1588,
			 (unsigned long long)at + 1588 + waits[i] * 1000);
		cr_assert(eq(str, trace, line));
		forget_trace();
		at += 1588 + waits[i] * 1000;
		run_to(at);
		snprintf(line, sizeof(line), "%llu > again\n", (unsigned long long)at);
		cr_assert(eq(str, trace, line), "the counter is 1 until the gateway has answered it");
		forget_trace();
	}
	registered(1);
	cr_assert(trace_len > 0);
	forget_trace();
	/* After an answer it begins with 1 s again. */
	run_to(at + 1588);
	cr_assert(strstr(trace, "failed ASSIGN_REQUEST_RSIPSEC 0 again=") != NULL);
	snprintf(line, sizeof(line), "again=%llu\n", (unsigned long long)at + 2588);
	cr_assert(strstr(trace, line) != NULL, "%s", trace);
}

/* covers: T-36 T-13 W-31 W-33 W-35 */
Test(client, only_the_right_counter_answers)
{
	to_registered();
	granted(1, BIND, LEASE);
	granted(3, BIND, LEASE);
	registered(2);
	extended(2, BIND, LEASE);
	refused_with(1, RSIP_E_REGISTER_FIRST, CLIENT);
	expect("");
	run_to(13);
	expect("13 > again\n");
	granted(2, BIND, LEASE);
	expect("13 assigned\n13 granted bind=7 until=600000\n");
	granted(2, BIND, LEASE);
	expect("");
}

/* covers: T-13 */
Test(client, an_answer_with_another_client_id_is_none)
{
	struct msg m;

	to_registered();
	m = make_assign(2, BIND, LEASE);
	m.client_id = CLIENT + 1;
	answer(&m);
	expect("");
}

/* covers: T-15 */
Test(client, counter_wraps_to_1)
{
	c->counter = UINT32_MAX - 1;
	begin(&want);
	registered(UINT32_MAX - 1);
	granted(UINT32_MAX, BIND, LEASE);
	run_to(300000);
	extended(1, BIND, LEASE);
	expect("0 " REGISTER(4294967294) "0 registered\n" "0 " ASSIGN(4294967295)
	       "0 assigned\n0 granted bind=7 until=600000\n"
	       "300000 " EXTEND(1) "300000 extended bind=7 until=900000\n");
}

/* Two requests at once go out one after another, and their repeats too. */
/* covers: T-13 QRY-14 */
Test(client, one_request_at_a_time)
{
	const struct msg_tuple tuple = {
		RSIP_QUERY_ADDRESS, { .type = RSIP_ADDR_IPV4, .v4 = inet_addr("198.51.100.7") }, 0
	};

	to_registered();
	cr_assert(client_query(c, &tuple, 1, NOW));
	cr_assert(not(client_query(c, &tuple, 1, NOW)), "one query at a time");
	run_to(13);
	expect("13 > again\n");
	granted(2, BIND, LEASE);
	expect("13 assigned\n13 granted bind=7 until=600000\n"
	       "13 > QUERY_REQUEST(client=9 counter=3 address(198.51.100.7))\n");
	answer_bytes((const uint8_t[]){ 1, 15, 0, 18, 4, 0, 4, 0, 0, 0, 9, 11, 0, 4, 0, 0, 0, 3 }, 18);
	expect("13 answer QUERY_RESPONSE(client=9 counter=3)\n");
}

/* covers: QRY-01 */
Test(client, queries)
{
	struct msg_tuple tuple = { RSIP_QUERY_ADDRESS, { .type = RSIP_ADDR_IPV4, .v4 = 1 }, 0 };
	struct msg_tuple *many = calloc(6000, sizeof(*many));

	cr_assert(not(client_query(c, NULL, 0, NOW)), "not registered");
	to_assigned();
	tuple.indicator = RSIP_REMOTE_ADDRESS;
	cr_assert(not(client_query(c, &tuple, 1, NOW)), "no such question");
	for (int i = 0; i < 6000; i++)
		many[i] = (struct msg_tuple){ RSIP_QUERY_ADDRESS, { .type = RSIP_ADDR_IPV4, .v4 = 1 }, 0 };
	cr_assert(not(client_query(c, many, 6000, NOW)), "more than a message holds");
	free(many);
	expect("");
	cr_assert(client_query(c, NULL, 0, NOW));
	expect("0 > QUERY_REQUEST(client=9 counter=3)\n");
	refused_with(3, RSIP_E_INTERNAL_SERVER_ERROR, CLIENT);
	expect("0 answer none\n0 failed QUERY_REQUEST 104\n");
	cr_assert(client_query(c, NULL, 0, NOW));
	expect("0 > QUERY_REQUEST(client=9 counter=4)\n");
	run_to(1588);
	expect(SILENCE "1588 answer none\n1588 failed QUERY_REQUEST 0\n");
}

/* --- resynchronisation ---------------------------------------------------------------- */

/* covers: FAIL-01 FAIL-02 T-22 */
Test(client, an_old_registration_is_cleared)
{
	start();
	refused_with(1, RSIP_E_ALREADY_REGISTERED, 77);
	expect("0 failed REGISTER_REQUEST 302 again=0\n"
	       "0 > DE-REGISTER_REQUEST(client=77 counter=2)\n");
	deregistered(2, 77);
	expect("0 " REGISTER(3));
	/* Once more at the same point: not at once, or two gateways' disagreement makes a storm. */
	refused_with(3, RSIP_E_ALREADY_REGISTERED, 78);
	expect("0 failed REGISTER_REQUEST 302 again=1000\n"
	       "0 > DE-REGISTER_REQUEST(client=78 counter=4)\n");
	refused_with(4, RSIP_E_BAD_CLIENT_ID, 78);
	expect("0 failed DE-REGISTER_REQUEST 305\n");
	run_to(999);
	expect("");
	run_to(1000);
	expect("1000 " REGISTER(5));
	registered(5);
	expect("1000 registered\n" "1000 " ASSIGN(6));
}

/* 301 and what means the same, in answer to each request: all is dropped, then a new start. */
/* covers: FAIL-06 FAIL-07 A-19 REG-17 */
Test(client, lost_synchronisation)
{
	static const uint16_t errors[] = { RSIP_E_REGISTER_FIRST, RSIP_E_ALREADY_UNREGISTERED, RSIP_E_BAD_CLIENT_ID };
	char line[512];

	for (size_t i = 0; i < ARRAY(errors); i++) {
		client_free(c);
		make(NULL);
		to_assigned();
		run_to(300000);
		expect("300000 " EXTEND(3));
		refused_with(3, errors[i], CLIENT);
		snprintf(line, sizeof(line), "300000 ended bind=7 lost\n300000 unregistered\n"
			 "300000 failed EXTEND_REQUEST %u again=300000\n300000 " DEREGISTER(4), errors[i]);
		cr_assert(eq(str, trace, line));
		forget_trace();
		refused_with(4, RSIP_E_REGISTER_FIRST, CLIENT);
		expect("300000 failed DE-REGISTER_REQUEST 301\n" "300000 " REGISTER(5));
		registered(5);
		granted(6, 8, LEASE);
		expect("300000 registered\n" "300000 " ASSIGN(6) "300000 assigned\n300000 granted bind=8 until=900000\n");
	}
}

/* With a lease in between the next loss is mended at once again. */
/* covers: FAIL-06 FAIL-07 */
Test(client, lost_again_and_again)
{
	to_assigned();
	for (uint32_t n = 3; n < 12; n += 3) {
		refused_with(0, RSIP_E_REGISTER_FIRST, CLIENT);
		cr_assert(eq(u8, c->pending.is.type, RSIP_DEREGISTER_REQUEST));
		deregistered(n, CLIENT);
		cr_assert(eq(u8, c->pending.is.type, RSIP_REGISTER_REQUEST), "at once");
		registered(n + 1);
		granted(n + 2, BIND, LEASE);
		cr_assert(c->shown == CLIENT_ASSIGNED);
	}
}

/* De-registered by the gateway, which then says so once more: no reason to hurry. */
/* covers: REG-15 FAIL-06 */
Test(client, lost_when_it_is_known)
{
	to_registered();
	deregistered(0, CLIENT);
	refused_with(2, RSIP_E_REGISTER_FIRST, CLIENT);
	expect("0 unregistered\n0 failed ASSIGN_REQUEST_RSIPSEC 301 again=1000\n");
	run_to(1000);
	expect("1000 " REGISTER(3));
}

/* covers: T-36 */
Test(client, another_bind_is_no_answer)
{
	to_assigned();
	run_to(300000);
	extended(3, BIND + 1, LEASE);
	freed(3, BIND + 1);
	expect("300000 " EXTEND(3));
	extended(3, BIND, LEASE);
	expect("300000 extended bind=7 until=900000\n");
}

/* A gateway that uses no counters over TCP. */
/* covers: T-26 ASY-01 FREE-05 */
Test(client, no_counters_over_tcp)
{
	const struct want ports = { .ports = 4 };

	begin(&ports);
	answer_vector("c1-02-register-response");	/* client 1 */
	answer_vector("c1-04-assign-response");		/* bind 1 */
	cr_assert(c->shown == CLIENT_ASSIGNED);
	forget_trace();
	answer_vector("c1-13-free-response-async");	/* bind 2 */
	answer_vector("err-tcp-no-counter");		/* client 9 */
	expect("");
	answer_vector("c1-10-free-response");
	expect("0 ended bind=1 taken back\n0 registered\n");
	answer_vector("c1-15-deregister-response");
	expect("0 unregistered\n");
}

/* A gateway that registers, and knows nothing of it at the next message. */
/* covers: FAIL-06 */
Test(client, endless_loss_is_slow)
{
	start();
	for (uint32_t n = 1; n < 3000 && now < 60000; n++) {
		uint64_t before = now;

		switch (c->pending.is.type) {
		case RSIP_REGISTER_REQUEST:
			registered(c->counter);
			break;
		case 0:
			run_to(now + 100);
			break;
		default:
			refused_with(c->counter, RSIP_E_REGISTER_FIRST, CLIENT);
		}
		if (now == before)
			now++;
	}
	cr_assert(lt(sz, sent_count, 40), "%zu messages in a minute", sent_count);
}

/* --- HOST-11, HOST-12 ------------------------------------------------------------------- */

/* covers: HOST-11 */
Test(client, what_is_short_is_waited_for)
{
	static const uint16_t errors[] = {
		RSIP_E_LOCAL_ADDR_UNAVAILABLE, RSIP_E_LOCAL_ADDRPORT_UNAVAILABLE, RSIP_E_IPSEC_SPI_UNAVAILABLE,
		RSIP_E_IPSEC_UNALLOWED, 999,
	};
	char line[256];

	for (size_t i = 0; i < ARRAY(errors); i++) {
		client_free(c);
		make(NULL);
		to_registered();
		refused_with(2, errors[i], CLIENT);
		snprintf(line, sizeof(line), "0 failed ASSIGN_REQUEST_RSIPSEC %u again=1000\n", errors[i]);
		cr_assert(eq(str, trace, line));
		forget_trace();
		run_to(1000);
		expect("1000 " ASSIGN(3));
		refused_with(3, errors[i], CLIENT);
		snprintf(line, sizeof(line), "1000 failed ASSIGN_REQUEST_RSIPSEC %u again=3000\n", errors[i]);
		cr_assert(eq(str, trace, line));
		forget_trace();
		run_to(3000);
		expect("3000 " ASSIGN(4));
		/* A lease ends the waiting; the next shortage begins with 1 s. */
		granted(4, BIND, LEASE);
		freed(0, BIND);
		forget_trace();
		run_to(4000);
		expect("4000 " ASSIGN(5));
	}
}

/* covers: HOST-11 */
Test(client, what_is_taken_is_asked_for_without_a_name)
{
	static const uint16_t errors[] = { RSIP_E_LOCAL_ADDRPORT_INUSE, RSIP_E_IPSEC_SPI_INUSE };
	struct want named = want;
	char line[256];

	named.local = inet_addr("192.0.2.9");
	for (size_t i = 0; i < ARRAY(errors); i++) {
		client_free(c);
		make(NULL);
		begin(&named);
		registered(1);
		expect("0 " REGISTER(1) "0 registered\n0 > ASSIGN_REQUEST_RSIPSEC(client=9 local=192.0.2.9 lports=not-needed "
		       "remote=any-v4 rports=not-needed spi=2-any counter=2)\n");
		refused_with(2, errors[i], CLIENT);
		snprintf(line, sizeof(line), "0 failed ASSIGN_REQUEST_RSIPSEC %u again=0\n0 " ASSIGN(3), errors[i]);
		cr_assert(eq(str, trace, line));
		forget_trace();
		/* Without a name to leave out it waits. */
		refused_with(3, errors[i], CLIENT);
		snprintf(line, sizeof(line), "0 failed ASSIGN_REQUEST_RSIPSEC %u again=1000\n", errors[i]);
		cr_assert(eq(str, trace, line));
		forget_trace();
	}
	named = (struct want){ .ports = 2, .first_port = 40000 };
	client_free(c);
	make(NULL);
	begin(&named);
	registered(1);
	forget_trace();
	refused_with(2, RSIP_E_LOCAL_ADDRPORT_INUSE, CLIENT);
	expect("0 failed ASSIGN_REQUEST_RSAP-IP 311 again=0\n"
	       "0 > ASSIGN_REQUEST_RSAP-IP(client=9 local=any-v4 lports=2-any remote=any-v4 rports=1-any counter=3)\n");
}

/* covers: HOST-12 A-31 */
Test(client, tcp_once)
{
	start();
	refused_with(1, RSIP_E_USE_TCP, 0);
	expect("0 use tcp\n0 failed REGISTER_REQUEST 102 again=0\n" "0 " REGISTER(2));
	refused_with(2, RSIP_E_USE_TCP, 0);
	expect("0 failed REGISTER_REQUEST 102 again=1000\n");
	run_to(1000);
	registered(3);
	expect("1000 " REGISTER(3) "1000 registered\n" "1000 " ASSIGN(4));
}

/* the registration outlives its connection; what is pending goes out again. */
/* covers: A-33 LSE-10 */
Test(client, reconnected)
{
	client_reconnected(c, NOW);
	expect("");
	to_registered();
	run_to(12);
	client_reconnected(c, NOW);
	expect("12 > again\n");
	run_to(25);
	expect("25 > again\n");
	granted(2, BIND, LEASE);
	expect("25 assigned\n25 granted bind=7 until=600000\n");
}

/* --- leases ------------------------------------------------------------------------------- */

/* covers: EXT-02 EXT-07 LSE-03 SCALE-03 */
Test(client, extends_at_half_time_for_ever)
{
	struct client_status s;
	uint32_t n = 3;

	to_assigned();
	for (uint64_t at = 300000; at < 3000000; at += 300000, n++) {
		run_to(at - 1);
		expect("");
		run_to(at + 20);
		extended(n, BIND, LEASE);
		forget_trace();
		client_status(c, &s);
		cr_assert(eq(u64, shown(lease_of_first()->expires), at + LEASE * 1000), "from the sending, not from the answer");
		cr_assert(eq(u64, shown(s.registration_expires), shown(lease_of_first()->expires)));
		/* The next one is at half of what is left, 10 ms later each time: keep step. */
		c->slots->extend_at = BASE + at + 300000;
	}
	cr_assert(eq(sz, sent_count, 2 + 2 * (n - 3)), "one EXTEND and one repeat each time");
}

/* Half time, three quarters, and so on; at the end of the lease nothing is used any more. */
/* covers: EXT-07 FAIL-12 REG-17 LSE-07 */
Test(client, a_silent_gateway_loses_the_lease_in_time)
{
	char *at;
	int tries = 0;

	to_assigned();
	run_to(301588);
	expect("300000 " EXTEND(3) "300013 > again\n300038 > again\n300088 > again\n300188 > again\n300388 > again\n"
	       "300788 > again\n301588 failed EXTEND_REQUEST 0 again=450794\n");
	run_to(450794);
	expect("450794 > again\n");
	run_to(599999);
	for (at = trace; (at = strstr(at, "failed EXTEND_REQUEST 0")); at++)
		tries++;
	cr_assert(6 <= tries && tries <= 10, "%d tries", tries);
	forget_trace();
	run_to(600000);
	cr_assert(strstr(trace, "600000 ended bind=7 expired\n600000 registered\n") != NULL, "%s", trace);
	forget_trace();
	/* The registration has its own end. */
	run_to(900000);
	cr_assert(strstr(trace, "900000 unregistered\n") != NULL, "%s", trace);
	run_to(1000000);
	cr_assert(strstr(trace, "> REGISTER_REQUEST(") != NULL, "%s", trace);
	cr_assert(strstr(strstr(trace, "unregistered"), "> ASSIGN") == NULL, "%s", trace);
}

/* covers: LSE-10 */
Test(client, a_lease_counts_from_before_the_request)
{
	to_registered();
	run_to(1000);
	forget_trace();
	granted(2, BIND, 10);
	expect("1000 assigned\n1000 granted bind=7 until=10000\n");
	run_to(5500);
	expect("5500 " EXTEND(3));
	now = 5900;
	extended(3, BIND, 10);
	expect("5900 extended bind=7 until=15500\n");
}

/* The answer to the second schedule may be the stored one of the first: same counter, same bytes. */
/* covers: LSE-10 T-13 */
Test(client, a_lease_counts_from_the_first_of_equal_requests)
{
	to_registered();
	run_to(2600);
	forget_trace();
	granted(2, BIND, 10);
	expect("2600 assigned\n2600 granted bind=7 until=10000\n");
}

/* Such an answer may even have run out: it is given back, and asked for with a new counter. */
/* covers: LSE-10 */
Test(client, a_grant_that_is_over_goes_back)
{
	to_registered();
	run_to(2600);
	forget_trace();
	granted(2, BIND, 2);
	expect("2600 " FREE(7, 3));
	refused_with(3, RSIP_E_BAD_BIND_ID, CLIENT);
	expect("2600 failed FREE_REQUEST 306\n" "2600 " ASSIGN(4));
	granted(4, 8, 10);
	expect("2600 assigned\n2600 granted bind=8 until=12600\n");
}

/* covers: LSE-10 */
Test(client, a_registration_is_no_older_than_a_duplicate_can_be)
{
	struct client_status s;

	start();
	run_to(100000);
	while (c->pending.is.type)
		run_to(now + 1);
	run_to(c->reg.at - BASE);
	registered(1);
	client_status(c, &s);
	cr_assert(s.registered);
	cr_assert(eq(u64, s.registration_expires, NOW - 5000 + REG * 1000));
}

/* covers: EXT-05 EXT-09 A-37 */
Test(client, refused_extensions)
{
	to_assigned();
	run_to(300000);
	forget_trace();
	/* Any other error: the lease goes on, later again. */
	refused_with(3, RSIP_E_INTERNAL_SERVER_ERROR, CLIENT);
	expect("300000 failed EXTEND_REQUEST 104 again=450000\n");
	run_to(450000);
	expect("450000 " EXTEND(4));
	/* The time that is left. */
	extended(4, BIND, 100);
	expect("450000 extended bind=7 until=550000\n");
	run_to(500000);
	expect("500000 " EXTEND(5));
	/* FREE_RESPONSE in its place. */
	freed(5, BIND);
	expect("500000 ended bind=7 taken back\n500000 registered\n");
	run_to(501000);
	expect("501000 " ASSIGN(6));
	granted(6, BIND, LEASE);
	forget_trace();
	run_to(801000);
	expect("801000 " EXTEND(7));
	refused_with(7, RSIP_E_BAD_BIND_ID, CLIENT);
	expect("801000 ended bind=7 taken back\n801000 registered\n801000 failed EXTEND_REQUEST 306 again=802000\n");
	run_to(802000);
	expect("802000 " ASSIGN(8));
}

/* Half of what is left each time, but the last 200 ms are left alone. covers: EXT-07 SCALE-03 */
Test(client, not_extended_at_the_last_moment)
{
	to_registered();
	granted(2, BIND, 1);
	forget_trace();
	run_to(500);
	refused_with(3, RSIP_E_INTERNAL_SERVER_ERROR, CLIENT);
	run_to(750);
	refused_with(4, RSIP_E_INTERNAL_SERVER_ERROR, CLIENT);
	run_to(1000);
	expect("500 " EXTEND(3) "500 failed EXTEND_REQUEST 104 again=750\n"
	       "750 " EXTEND(4) "750 failed EXTEND_REQUEST 104 again=1000\n"
	       "1000 ended bind=7 expired\n1000 registered\n1000 " ASSIGN(5));
}

/* The lease runs out while its EXTEND is on the way; the answer must not leave a bind that nobody knows. */
/* covers: EXT-07 */
Test(client, an_extension_that_comes_too_late_is_freed)
{
	to_registered();
	granted(2, BIND, 1);
	forget_trace();
	run_to(1010);
	expect("500 " EXTEND(3) "513 > again\n538 > again\n588 > again\n688 > again\n888 > again\n"
	       "1000 ended bind=7 expired\n1000 registered\n");
	extended(3, BIND, 100);
	expect("1010 " FREE(7, 4));
	freed(4, BIND);
	expect("1010 " ASSIGN(5));
}

/* --- asynchronous messages ------------------------------------------------------------------ */

/* In every state, with every request pending. */
/* covers: REG-15 FREE-05 ASY-01 ASY-02 */
Test(client, taken_back_while_a_request_is_pending)
{
	to_registered();
	deregistered(0, CLIENT);
	expect("0 unregistered\n");
	/* The answer that was on its way grants nothing. */
	granted(2, BIND, LEASE);
	expect("");
	run_to(1000);
	expect("1000 " REGISTER(3));
	deregistered(0, CLIENT);
	expect("");
	registered(3);
	granted(4, BIND, LEASE);
	forget_trace();
	run_to(301000);
	expect("301000 " EXTEND(5));
	freed(0, BIND);
	expect("301000 ended bind=7 taken back\n301000 registered\n");
	freed(0, BIND);		/* gateways repeat it */
	expect("");
	run_to(301013);
	expect("301013 > again\n");
	refused_with(5, RSIP_E_BAD_BIND_ID, CLIENT);
	expect("301013 failed EXTEND_REQUEST 306 again=302000\n");
	run_to(302000);
	granted(6, 8, LEASE);
	expect("302000 " ASSIGN(6) "302000 assigned\n302000 granted bind=8 until=902000\n");
	deregistered(0, CLIENT);
	expect("302000 ended bind=8 taken back\n302000 unregistered\n");
	run_to(303000);
	expect("303000 " REGISTER(7));
}

/* covers: ASY-01 HOST-13 */
Test(client, taken_back_while_stopping)
{
	to_assigned();
	client_stop(c, NOW);
	deregistered(0, CLIENT);
	deregistered(3, CLIENT);
	expect("0 ended bind=7 released\n0 registered\n" "0 " DEREGISTER(3) "0 unregistered\n0 stopped\n");
}

/* covers: ASY-03 ASY-04 FREE-05 */
Test(client, what_is_not_ours_is_ignored)
{
	to_assigned();
	deregistered(0, CLIENT + 1);
	freed(0, BIND + 1);
	answer_vector("host-bad-dereg-unknown");
	answer_vector("host-bad-free-unknown");
	extended(0x29, BIND, LEASE);
	registered(17);
	refused_with(0, RSIP_E_LOCAL_ADDRPORT_UNALLOWED, CLIENT + 1);
	expect("");
}

/* covers: ASY-08 */
Test(client, reports_make_no_storm)
{
	to_assigned();
	now = 100000;
	for (int i = 0; i < 100; i++) {
		refused_with(0, i % 2 ? RSIP_E_LOCAL_ADDRPORT_UNALLOWED : RSIP_E_REMOTE_ADDR_UNALLOWED, CLIENT);
		if (i == 0) {
			expect("100000 failed ERROR_RESPONSE 314 again=100000\n" "100000 " EXTEND(3));
			extended(3, BIND, LEASE);
		}
		now += 100;
	}
	run_to(159999);
	for (int i = 0; i < 100; i++)
		refused_with(0, RSIP_E_LOCAL_ADDRPORT_UNALLOWED, CLIENT);
	cr_assert(strstr(trace, "> ") == NULL, "no second check within a minute");
	forget_trace();
	now = 160000;
	refused_with(0, RSIP_E_LOCAL_ADDRPORT_UNALLOWED, CLIENT);
	expect("160000 failed ERROR_RESPONSE 313 again=160000\n" "160000 " EXTEND(4));
}

/* covers: FAIL-06 ASY-08 */
Test(client, a_report_that_it_does_not_know_us)
{
	to_assigned();
	refused_with(0, RSIP_E_REGISTER_FIRST, CLIENT);
	expect("0 ended bind=7 lost\n0 unregistered\n0 failed ERROR_RESPONSE 301 again=0\n" "0 " DEREGISTER(3));
}

/* --- faulty messages --------------------------------------------------------------------------- */

/* covers: W-31 W-33 W-35 FAIL-14 ASY-03 ASY-04 A-21 */
Test(client, faulty_vectors)
{
	static const char *const silent[] = {
		"host-bad-register-no-flow", "host-bad-counter-mismatch", "host-bad-dereg-unknown", "host-bad-free-unknown",
		"host-bad-assign-no-bind", "host-bad-request", "host-bad-version", "bad-short-1", "bad-type-18",
	};
	static const char *const faulty[] = { "host-bad-assign-ports", "host-bad-assign-tunnel" };
	const struct want ports = { .ports = 1 };

	/* In each state: nothing is said, the wait goes on. */
	start();
	for (size_t i = 0; i < ARRAY(silent); i++)
		answer_vector(silent[i]);
	expect("");
	registered(1);
	forget_trace();
	for (size_t i = 0; i < ARRAY(silent); i++)
		answer_vector(silent[i]);
	for (size_t i = 0; i < ARRAY(faulty); i++) {
		client_free(c);
		make(NULL);
		/* Not in answer to anything. */
		answer_vector(faulty[i]);
		expect("");
		begin(&ports);
		answer_vector(faulty[i]);
		registered(1);
		forget_trace();
		answer_vector(faulty[i]);
		expect("0 failed ASSIGN_REQUEST_RSAP-IP 0 again=1000\n" "0 " FREE(5, 3));
		/* The same again is no second answer. */
		answer_vector(faulty[i]);
		expect("");
		freed(3, 5);
		expect("");
		run_to(1000);
		expect("1000 > ASSIGN_REQUEST_RSAP-IP(client=9 local=any-v4 lports=1-any remote=any-v4 rports=1-any counter=4)\n");
	}
}

/* covers: W-33 TUN-05 A-10 */
Test(client, a_missing_tunnel_type_is_ip_ip)
{
	const struct want ports = { .ports = 8 };
	struct client_status s;

	begin(&ports);
	registered(1);
	answer_vector("lib-response-no-tunnel");
	client_status(c, &s);
	cr_assert(lease_of_first() != NULL);
	cr_assert(eq(u8, lease_of_first()->tunnel, RSIP_TUNNEL_IPIP));
	cr_assert(eq(u32, lease_of_first()->endpoint, 0));
	cr_assert(eq(u16, msg_port_at(&lease_of_first()->ports, 7), 1312));
}

/* covers: TUN-06 W-05 */
Test(client, tunnel_end_point)
{
	const struct want ports = { .ports = 2 };
	struct client_status s;

	begin(&ports);
	registered(1);
	answer_vector("form-rsap-tunnel-endpoint");
	client_status(c, &s);
	cr_assert(lease_of_first() != NULL);
	cr_assert(eq(u32, lease_of_first()->endpoint, inet_addr("10.0.0.254")));
	cr_assert(eq(u16, msg_port_at(&lease_of_first()->ports, 1), 3002));
}

/* covers: FAIL-14 A-20 A-21 LSE-08 IPS-15 */
Test(client, grants_that_cannot_be_used)
{
#define WITH(...)									\
	client_free(c);									\
	make(NULL);									\
	to_registered();								\
	m = make_assign(2, 5, LEASE);							\
	__VA_ARGS__;									\
	answer(&m);									\
	cr_expect(eq(str, trace, (char *)"0 failed ASSIGN_REQUEST_RSIPSEC 0 again=1000\n" "0 " FREE(5, 3)), #__VA_ARGS__)
	struct msg m;

	WITH(m.lease = 0);
	WITH(m.local.any = true);
	WITH(m.local = (struct msg_addr){ .type = RSIP_ADDR_IPV6, .v6 = { 0x20, 1 } });
	WITH(m.tunnels[0] = RSIP_TUNNEL_L2TP);
	WITH(m.spis.count = 1);
	WITH(m.spis.form = MSG_ANY);
	WITH(m.spis.first = 255);
	WITH(m.lports = (struct msg_ports){ .form = MSG_RUN, .count = 1, .first = 9 });
	WITH(m.has |= MSG_HAS_ENDPOINT; m.endpoint = (struct msg_addr){ .type = RSIP_ADDR_IPV6, .v6 = { 0x20, 1 } });
	/* Not what was asked, whatever it is. */
	WITH(m.type = RSIP_ASSIGN_RESPONSE_RSAP; m.has &= ~MSG_HAS(RSIP_PARAM_SPI); m.lports.form = MSG_ANY;
	     m.lports.count = 1; m.rports.form = MSG_ANY; m.rports.count = 1);
	WITH(m.type = RSIP_LISTEN_RESPONSE; m.has &= ~MSG_HAS(RSIP_PARAM_SPI); m.lports.form = MSG_ANY; m.lports.count = 1;
	     m.rports.form = MSG_ANY; m.rports.count = 1);
	WITH(m.type = RSIP_ASSIGN_RESPONSE_RSA; m.has &= ~(MSG_HAS(RSIP_PARAM_SPI) | MSG_HAS_LPORTS);
	     m.rports.form = MSG_ANY; m.rports.count = 1);
#undef WITH
}

/* */
Test(client, the_address_and_tunnel_asked_for_or_none)
{
	struct want named = want;
	struct msg m;

	named.local = inet_addr("192.0.2.9");
	named.tunnel = RSIP_TUNNEL_GRE;
	begin(&named);
	registered(1);
	m = make_assign(2, 5, LEASE);
	m.tunnels[0] = RSIP_TUNNEL_GRE;
	answer(&m);
	run_to(1000);
	forget_trace();
	freed(3, 5);
	forget_trace();
	m.counter = 4;
	m.local.v4 = named.local;
	m.tunnels[0] = RSIP_TUNNEL_IPIP;
	answer(&m);
	cr_assert(strstr(trace, FREE(5, 5)) != NULL, "%s", trace);
	freed(5, 5);
	run_to(3000);
	forget_trace();
	m.counter = 6;
	m.tunnels[0] = RSIP_TUNNEL_GRE;
	answer(&m);
	expect("3000 assigned\n3000 granted bind=5 until=603000\n");
}

/* covers: FREE-06 */
Test(client, a_bind_that_cannot_be_freed)
{
	struct msg m;

	to_registered();
	m = make_assign(2, 5, 0);
	answer(&m);
	forget_trace();
	refused_with(3, RSIP_E_INTERNAL_SERVER_ERROR, CLIENT);
	expect("0 unregistered\n0 failed FREE_REQUEST 104 again=0\n" "0 " DEREGISTER(4));
	deregistered(4, CLIENT);
	expect("0 " REGISTER(5));
}

/* Own copies: the SPIs stay when the message is gone. */
Test(client, spi_lists_are_kept)
{
	struct client_status s;
	struct msg m;
	const uint8_t list[] = { 0x83, 0xb1, 0xd2, 0x04, 0x1d, 0xe0, 0x9a, 0x5c };

	to_registered();
	m = make_assign(2, BIND, LEASE);
	m.spis = (struct msg_spis){ .form = MSG_LIST, .count = 2, .list = list };
	answer(&m);
	client_status(c, &s);
	cr_assert(eq(u32, msg_spi_at(&lease_of_first()->spis, 0), 0x83b1d204));
	cr_assert(eq(u32, msg_spi_at(&lease_of_first()->spis, 1), 0x1de09a5c));
}

/* covers: REG-05 W-26 */
Test(client, registrations_that_are_none)
{
	struct msg m;

	start();
	m = make_register(1, CLIENT, 0);
	answer(&m);
	expect("0 failed REGISTER_REQUEST 0 again=1000\n");
	run_to(1000);
	expect("1000 " REGISTER(2));
	answer_bytes((const uint8_t[]){ 1, 3, 0, 30, 4, 0, 4, 0, 0, 0, 9, 3, 0, 4, 0, 0, 2, 88, 9, 0, 2, 0, 3,
					11, 0, 4, 0, 0, 0, 2 }, 30);
	expect("");
	answer_vector("form-register-response-min");	/* TCP, without counters (T-26) */
	expect("1000 registered\n" "1000 " ASSIGN(3));
}

/* --- FAIL-12 ------------------------------------------------------------------------------------ */

/* Each request without an answer: where it falls back to. */
/* covers: FAIL-12 */
Test(client, every_pending_state_falls_back)
{
	static const struct {
		uint8_t type;
		enum client_state after;
	} rows[] = {
		{ RSIP_REGISTER_REQUEST, CLIENT_UNREGISTERED },
		{ RSIP_ASSIGN_REQUEST_RSIPSEC, CLIENT_REGISTERED },
		{ RSIP_FREE_REQUEST, CLIENT_REGISTERED },
		{ RSIP_EXTEND_REQUEST, CLIENT_ASSIGNED },
		{ RSIP_QUERY_REQUEST, CLIENT_ASSIGNED },
		{ RSIP_DEREGISTER_REQUEST, CLIENT_UNREGISTERED },
	};
	struct client_status s;
	struct msg m;

	for (size_t i = 0; i < ARRAY(rows); i++) {
		client_free(c);
		make(NULL);
		start();
		if (rows[i].type != RSIP_REGISTER_REQUEST)
			registered(1);
		if (rows[i].type == RSIP_FREE_REQUEST) {
			m = make_assign(2, 5, 0);
			answer(&m);
		} else if (c->registered && rows[i].type != RSIP_ASSIGN_REQUEST_RSIPSEC) {
			granted(2, BIND, LEASE);
		}
		if (rows[i].type == RSIP_QUERY_REQUEST)
			client_query(c, NULL, 0, NOW);
		if (rows[i].type == RSIP_EXTEND_REQUEST)
			run_to(300000);
		if (rows[i].type == RSIP_DEREGISTER_REQUEST)
			client_stop(c, NOW);
		client_status(c, &s);
		cr_assert(eq(str, (char *)s.pending, (char *)msg_type_name(rows[i].type)));
		run_to(now + 1587);
		client_status(c, &s);
		cr_assert(s.pending != NULL, "%s", msg_type_name(rows[i].type));
		cr_assert(eq(u32, s.resent, 6));
		now++;
		client_run(c, NOW);
		client_status(c, &s);
		cr_assert(eq(int, s.state, rows[i].after), "%s", msg_type_name(rows[i].type));
	}
}

/* --- stopping ------------------------------------------------------------------------------------- */

/* covers: HOST-13 REG-16 REG-17 */
Test(client, clean_stop)
{
	to_assigned();
	client_stop(c, NOW);
	expect("0 ended bind=7 released\n0 registered\n" "0 " DEREGISTER(3));
	client_stop(c, NOW);
	expect("");
	cr_assert(not(client_query(c, NULL, 0, NOW)));
	deregistered(3, CLIENT);
	expect("0 unregistered\n0 stopped\n");
	cr_assert(eq(u64, client_run(c, NOW), 0));
	run_to(10000000);
	expect("");
	/* Nothing is registered: nothing to de-register. */
	client_stop(c, NOW);
	expect("10000000 stopped\n");
	/* And it can begin again. */
	begin(&want);
	expect("10000000 " REGISTER(4));
}

/* covers: HOST-13 FAIL-12 */
Test(client, stop_with_a_silent_gateway)
{
	to_assigned();
	client_stop(c, NOW);
	expect("0 ended bind=7 released\n0 registered\n" "0 " DEREGISTER(3));
	run_to(1588);
	expect(SILENCE "1588 unregistered\n1588 failed DE-REGISTER_REQUEST 0\n1588 stopped\n");
}

/* covers: HOST-13 FAIL-12 A-51 */
Test(client, stop_refused)
{
	static const uint16_t errors[] = { RSIP_E_REGISTER_FIRST, RSIP_E_ALREADY_UNREGISTERED, RSIP_E_BAD_CLIENT_ID };
	char line[256];

	for (size_t i = 0; i < ARRAY(errors); i++) {
		client_free(c);
		make(NULL);
		to_assigned();
		client_stop(c, NOW);
		forget_trace();
		refused_with(3, errors[i], CLIENT);
		snprintf(line, sizeof(line), "0 unregistered\n0 failed DE-REGISTER_REQUEST %u\n0 stopped\n", errors[i]);
		cr_assert(eq(str, trace, line));
	}
	/* Any other error leaves it registered: once more, then that is all. */
	client_free(c);
	make(NULL);
	to_assigned();
	client_stop(c, NOW);
	forget_trace();
	refused_with(3, RSIP_E_INTERNAL_SERVER_ERROR, CLIENT);
	expect("0 failed DE-REGISTER_REQUEST 104\n");
	run_to(999);
	expect("");
	run_to(1000);
	expect("1000 " DEREGISTER(4));
	refused_with(4, RSIP_E_INTERNAL_SERVER_ERROR, CLIENT);
	expect("1000 unregistered\n1000 failed DE-REGISTER_REQUEST 104\n1000 stopped\n");
}

/* covers: HOST-13 */
Test(client, stop_at_any_moment)
{
	/* Registering: the answer has the ID to de-register. */
	start();
	client_stop(c, NOW);
	expect("");
	registered(1);
	expect("0 registered\n" "0 " DEREGISTER(2));
	deregistered(2, CLIENT);
	expect("0 unregistered\n0 stopped\n");

	/* Known from before. */
	client_free(c);
	make(NULL);
	start();
	client_stop(c, NOW);
	refused_with(1, RSIP_E_ALREADY_REGISTERED, 77);
	expect("0 failed REGISTER_REQUEST 302\n0 > DE-REGISTER_REQUEST(client=77 counter=2)\n");
	deregistered(2, 77);
	expect("0 stopped\n");

	/* Never answered. */
	client_free(c);
	make(NULL);
	start();
	client_stop(c, NOW);
	run_to(1588);
	expect(SILENCE "1588 failed REGISTER_REQUEST 0\n1588 stopped\n");

	/* Assigning, with a query waiting: that is over, the counter is used again. */
	client_free(c);
	make(NULL);
	to_registered();
	client_query(c, NULL, 0, NOW);
	client_stop(c, NOW);
	expect("0 answer none\n" "0 " DEREGISTER(2));
	granted(2, BIND, LEASE);
	expect("");

	/* Waiting for the next try. */
	client_free(c);
	make(NULL);
	to_registered();
	refused_with(2, RSIP_E_LOCAL_ADDRPORT_UNAVAILABLE, CLIENT);
	forget_trace();
	client_stop(c, NOW);
	expect("0 " DEREGISTER(3));
}

/* covers: HOST-13 */
Test(client, stop_from_within_an_answer)
{
	to_registered();
	refuse_reentry = true;
	granted(2, BIND, LEASE);
	expect("0 assigned\n0 granted bind=7 until=600000\n0 ended bind=7 released\n0 registered\n" "0 " DEREGISTER(3));
	deregistered(3, CLIENT);
	expect("0 unregistered\n0 stopped\n");
}

/* covers: REG-25 */
Test(client, a_registered_host_does_not_register)
{
	to_assigned();
	client_start(c, NOW);
	expect("");
	run_to(300000);
	client_start(c, NOW);
	expect("300000 " EXTEND(3));
}

/* Whatever comes, at whatever moment: no crash, no request that a gateway would not take (see on_send). */
/* covers: W-28 */
Test(client, random_gateway, .timeout = 60)
{
	static const struct want wants[] = {
		{ .kind = WANT_PORTS, .ports = 4 }, { .kind = WANT_WHOLE }, { .kind = WANT_LISTEN, .ports = 1 },
		{ .kind = WANT_IPSEC, .spis = 1, .remote_name = "peer.example.net" },
	};
	const struct vector *v = vectors();
	unsigned int seed = 1;
	struct client_item item;
	uint8_t data[512];

	begin(&want);
	for (int i = 0; i < 300000; i++) {
		switch (rand_r(&seed) % 8) {
		case 0: {
			const struct vector *any = &v[rand_r(&seed) % VECTORS];

			memcpy(data, any->data, any->len);
			data[rand_r(&seed) % any->len] = rand_r(&seed);
			answer_bytes(data, any->len);
			break;
		}
		case 1:
			registered(c->counter);
			break;
		case 2:
			granted(c->counter, 5 + rand_r(&seed) % 3, rand_r(&seed) % 20);
			break;
		case 3:
			extended(c->counter, 5 + rand_r(&seed) % 3, rand_r(&seed) % 20);
			break;
		case 4:
			freed(rand_r(&seed) % 2 ? 0 : c->counter, 5 + rand_r(&seed) % 3);
			break;
		case 5:
			deregistered(rand_r(&seed) % 2 ? 0 : c->counter, c->client_id);
			break;
		case 6:
			refused_with(rand_r(&seed) % 2 ? 0 : c->counter,
				     (const uint16_t[]){ 301, 302, 306, 102, 104, 309, 403, 313 }[rand_r(&seed) % 8], CLIENT);
			break;
		case 7:
			run_to(now + rand_r(&seed) % 2000);
			if (rand_r(&seed) % 50 == 0)
				client_stop(c, NOW);
			if (rand_r(&seed) % 20 == 0 && !client_next(c, 0, &item))
				begin(&want);
			if (rand_r(&seed) % 20 == 0)
				client_add(c, &wants[rand_r(&seed) % ARRAY(wants)], NOW);
			if (rand_r(&seed) % 10 == 0)
				client_drop(c, c->last_id - rand_r(&seed) % 4, NOW);
			if (rand_r(&seed) % 20 == 0)
				client_query(c, NULL, 0, NOW);
			break;
		}
		cr_assert(not(c->shown == CLIENT_ASSIGNED && !c->registered));
		for (const struct slot *slot = c->slots; slot; slot = slot->next)
			cr_assert(not(slot->has_lease && slot->lease.expires > c->registration_expires));
		forget_trace();
	}
}
