// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random operations of many hosts, with datagrams lost, doubled and late, against
 * the real sessions, leases and pools, beside a model that is as naive as can be:
 * arrays that say who holds which port and which SPI until when. A grant of what
 * the model knows to be held or resting, a refusal without a reason, an answer to
 * what should be ignored, a lease that ends early or late, or a packet that would
 * go astray, fails.
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdlib.h>
#include <string.h>

#include "../random.h"
#include "../unit/gateway.h"
#include "lib/log.h"

#define HOSTS		40
#define ADDRESSES	3
#define FIRST_ADDR	0xc0000201u	/* 192.0.2.1 */
#define PORTS		64		/* of an address */
#define FIRST_PORT	1000
#define SPIS		96
#define FIRST_SPI	0x100
#define BINDS		6		/* of a host, at most */
#define MAX_PORTS	24
#define MAX_SPIS	32
#define REGISTRATION	600
#define MAXIMUM		900
#define HOLD_DOWN	120
#define FIRST_HOST	11
#define OPERATIONS	250000

/* --- the model --------------------------------------------------------------------- */

struct holding {
	unsigned int host;		/* 0: nobody */
	uint32_t bind_id;
	uint64_t rests;			/* not lent before then, ms */
};

struct lease_of_model {
	uint32_t id;			/* 0: none */
	uint64_t ends;
	unsigned int address, ports, spis;
};

struct host_of_model {
	bool registered;
	uint32_t client_id, counter;
	uint64_t ends;
	struct lease_of_model binds[BINDS];
	/* the last request, to be sent again */
	uint8_t request[512], answer[1024];
	size_t request_len, answer_len;
};

struct model {
	struct gateway *g;
	struct holding ports[ADDRESSES][PORTS], spis[ADDRESSES][SPIS];
	struct host_of_model hosts[HOSTS];
	uint64_t granted, refused, repeated;
};

static unsigned int held(const struct host_of_model *host, bool ports)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < BINDS; i++)
		count += ports ? host->binds[i].ports : host->binds[i].spis;
	return count;
}

static void let_rest(struct holding *holdings, unsigned int count, unsigned int host, uint32_t bind, uint64_t from)
{
	for (unsigned int i = 0; i < count; i++) {
		if (holdings[i].host == host && holdings[i].bind_id == bind)
			holdings[i] = (struct holding){ .rests = from + HOLD_DOWN * 1000 };
	}
}

static void end_lease(struct model *m, unsigned int host, struct lease_of_model *lease, uint64_t when)
{
	let_rest(m->ports[lease->address], PORTS, host + 1, lease->id, when);
	let_rest(m->spis[lease->address], SPIS, host + 1, lease->id, when);
	*lease = (struct lease_of_model){ 0 };
}

static void end_host(struct model *m, unsigned int host, uint64_t when)
{
	for (unsigned int i = 0; i < BINDS; i++) {
		if (m->hosts[host].binds[i].id)
			end_lease(m, host, &m->hosts[host].binds[i], when);
	}
	m->hosts[host].registered = false;
}

/* What has run out is over. */
static void run_out(struct model *m)
{
	uint64_t now = m->g->now;

	for (unsigned int i = 0; i < HOSTS; i++) {
		for (unsigned int j = 0; j < BINDS; j++) {
			struct lease_of_model *lease = &m->hosts[i].binds[j];

			if (lease->id && lease->ends <= now)
				end_lease(m, i, lease, lease->ends);
		}
		if (m->hosts[i].registered && m->hosts[i].ends <= now)
			end_host(m, i, now);
	}
}

static bool is_free(const struct model *m, const struct holding *holding)
{
	return !holding->host && holding->rests <= m->g->now;
}

static unsigned int count_free(const struct model *m, const struct holding *holdings, unsigned int count)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < count; i++)
		n += is_free(m, &holdings[i]);
	return n;
}

/* --- requests ------------------------------------------------------------------------ */

struct wish {
	bool ipsec, named;
	unsigned int ports, spis, address, first_port, first_spi, lease;
};

static struct msg message_of(const struct model *m, unsigned int host, const struct wish *wish)
{
	const struct host_of_model *h = &m->hosts[host];
	struct msg msg = wish->ipsec ? req_ipsec(h->client_id, wish->spis, h->counter) :
				       req_rsap(h->client_id, wish->ports, h->counter);

	if (wish->ipsec && wish->ports)
		msg.lports = (struct msg_ports){ .form = MSG_ANY, .count = wish->ports };
	if (wish->named) {
		msg.local = (struct msg_addr){ .type = RSIP_ADDR_IPV4, .v4 = htonl(FIRST_ADDR + wish->address) };
		if (msg.lports.form == MSG_ANY)
			msg.lports = (struct msg_ports){ .form = MSG_RUN, .count = wish->ports,
							 .first = FIRST_PORT + wish->first_port };
		if (wish->ipsec)
			msg.spis = (struct msg_spis){ .form = MSG_RUN, .count = wish->spis,
						      .first = FIRST_SPI + wish->first_spi };
	}
	if (wish->lease) {
		msg.has |= MSG_HAS(RSIP_PARAM_LEASE_TIME);
		msg.lease = wish->lease;
	}
	return msg;
}

static struct wish make_wish(void)
{
	struct wish wish = {
		.ipsec = arc4random_uniform(2), .named = !arc4random_uniform(3),
		.address = arc4random_uniform(ADDRESSES), .lease = arc4random_uniform(3) ? 1 + arc4random_uniform(1200) : 0,
	};

	wish.ports = wish.ipsec ? arc4random_uniform(3) : 1 + arc4random_uniform(12);
	wish.spis = wish.ipsec ? 1 + arc4random_uniform(12) : 0;
	wish.first_port = arc4random_uniform(PORTS - wish.ports + 1);
	wish.first_spi = arc4random_uniform(SPIS - wish.spis + 1);
	return wish;
}

/* Is there a reason for this refusal? */
static bool may_refuse(const struct model *m, unsigned int host, const struct wish *wish, uint16_t error)
{
	const struct host_of_model *h = &m->hosts[host];
	unsigned int binds = 0;
	bool fits = false;

	for (unsigned int i = 0; i < BINDS; i++)
		binds += h->binds[i].id != 0;
	if (error == RSIP_E_LOCAL_ADDR_UNAVAILABLE && binds == BINDS)
		return true;
	if (held(h, true) + wish->ports > MAX_PORTS && error == RSIP_E_LOCAL_ADDRPORT_UNAVAILABLE)
		return true;
	if (held(h, false) + wish->spis > MAX_SPIS && error == RSIP_E_IPSEC_SPI_UNAVAILABLE)
		return true;
	if (wish->named) {
		unsigned int ports = count_free(m, &m->ports[wish->address][wish->first_port], wish->ports);
		unsigned int spis = count_free(m, &m->spis[wish->address][wish->first_spi], wish->spis);

		return (error == RSIP_E_LOCAL_ADDRPORT_INUSE && ports < wish->ports) ||
		       (error == RSIP_E_IPSEC_SPI_INUSE && spis < wish->spis);
	}
	for (unsigned int i = 0; i < ADDRESSES; i++)
		fits = fits || (count_free(m, m->ports[i], PORTS) >= wish->ports &&
				count_free(m, m->spis[i], SPIS) >= wish->spis);
	return !fits && (error == RSIP_E_LOCAL_ADDRPORT_UNAVAILABLE || error == RSIP_E_IPSEC_SPI_UNAVAILABLE ||
			 error == RSIP_E_LOCAL_ADDR_UNAVAILABLE);
}

/* Must it be refused? */
static bool must_refuse(const struct model *m, unsigned int host, const struct wish *wish)
{
	static const uint16_t errors[] = {
		RSIP_E_LOCAL_ADDR_UNAVAILABLE, RSIP_E_LOCAL_ADDRPORT_UNAVAILABLE, RSIP_E_IPSEC_SPI_UNAVAILABLE,
		RSIP_E_LOCAL_ADDRPORT_INUSE, RSIP_E_IPSEC_SPI_INUSE,
	};

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		if (may_refuse(m, host, wish, errors[i]))
			return true;
	}
	return false;
}

static void hold(const struct model *m, struct holding *holding, unsigned int host, uint32_t bind)
{
	cr_assert(is_free(m, holding), "granted to host %u, but held by %u or resting", host + 1, holding->host);
	*holding = (struct holding){ host + 1, bind, 0 };
}

static void book_grant(struct model *m, unsigned int host, const struct wish *wish, const struct msg *answer)
{
	struct host_of_model *h = &m->hosts[host];
	unsigned int address = ntohl(answer->local.v4) - FIRST_ADDR, slot = 0;
	uint32_t lease = !wish->lease ? REGISTRATION : wish->lease > MAXIMUM ? MAXIMUM : wish->lease;

	cr_assert_lt(address, ADDRESSES);
	cr_assert(!wish->named || address == wish->address);
	while (h->binds[slot].id)
		slot++;
	cr_assert_lt(slot, BINDS);
	for (unsigned int i = 0; i < wish->ports; i++)
		hold(m, &m->ports[address][msg_port_at(&answer->lports, i) - FIRST_PORT], host, answer->bind_id);
	for (unsigned int i = 0; i < wish->spis; i++)
		hold(m, &m->spis[address][msg_spi_at(&answer->spis, i) - FIRST_SPI], host, answer->bind_id);
	cr_assert_eq(answer->lease, lease);
	h->binds[slot] = (struct lease_of_model){
		answer->bind_id, m->g->now + lease * 1000ull, address, wish->ports, wish->spis,
	};
	if (h->ends < h->binds[slot].ends)
		h->ends = h->binds[slot].ends;
	m->granted++;
}

/* --- one operation -------------------------------------------------------------------- */

static struct origin origin_of(unsigned int host)
{
	return udp_host(FIRST_HOST + host);
}

/* Sends and keeps both, for repeats. Some requests come twice, and late ones are ignored. */
static struct msg call(struct model *m, unsigned int host, const struct msg *request)
{
	struct host_of_model *h = &m->hosts[host];
	static uint8_t late[512];
	size_t late_len = h->request_len;
	struct msg_fault fault;
	struct msg answer;

	memcpy(late, h->request, late_len);
	h->request_len = msg_encode(request, h->request, sizeof(h->request));
	cr_assert_gt(h->request_len, 0);
	gateway_input(m->g, origin_of(host), h->request, h->request_len);
	cr_assert_eq(m->g->sent, 1, "%zu answers to %s", m->g->sent, msg_type_name(request->type));
	h->answer_len = m->g->box[0].len;
	cr_assert_leq(h->answer_len, sizeof(h->answer));
	memcpy(h->answer, m->g->box[0].data, h->answer_len);
	cr_assert(msg_decode(h->answer, h->answer_len, MSG_AT_HOST, MSG_UDP, &answer, &fault), "%s", fault.text);
	cr_assert_eq(answer.counter, request->counter);
	if (!arc4random_uniform(4)) {		/* its answer was lost, or it came twice */
		gateway_input(m->g, origin_of(host), h->request, h->request_len);
		cr_assert_eq(m->g->sent, 1);
		cr_assert_eq(m->g->box[0].len, h->answer_len);
		cr_assert_arr_eq(m->g->box[0].data, h->answer, h->answer_len);
		m->repeated++;
	}
	/* A REGISTER_REQUEST with a low counter may be that of a host that was started anew: 302. */
	if (late_len && late[1] != RSIP_REGISTER_REQUEST && h->registered && !arc4random_uniform(8)) {
		gateway_input(m->g, origin_of(host), late, late_len);
		cr_assert_eq(m->g->sent, 0, "an old %s is answered", msg_type_name(late[1]));
	}
	return answer;
}

static void do_register(struct model *m, unsigned int host)
{
	struct host_of_model *h = &m->hosts[host];
	struct msg request = req_register(++h->counter), answer = call(m, host, &request);

	if (h->registered) {
		cr_assert_eq(answer.error, RSIP_E_ALREADY_REGISTERED);
		cr_assert_eq(answer.client_id, h->client_id);
		return;
	}
	cr_assert_eq(answer.type, RSIP_REGISTER_RESPONSE, "error %u", answer.error);
	for (unsigned int i = 0; i < HOSTS; i++)
		cr_assert(!m->hosts[i].registered || m->hosts[i].client_id != answer.client_id);
	h->registered = true;
	h->client_id = answer.client_id;
	h->ends = m->g->now + REGISTRATION * 1000;
}

static void do_deregister(struct model *m, unsigned int host)
{
	struct host_of_model *h = &m->hosts[host];
	struct msg request = req_deregister(h->client_id, ++h->counter), answer;
	bool registered = h->registered;

	if (registered)
		end_host(m, host, m->g->now);
	answer = call(m, host, &request);
	cr_assert_eq(answer.type, registered ? RSIP_DEREGISTER_RESPONSE : RSIP_ERROR_RESPONSE);
	cr_assert(registered || answer.error == RSIP_E_REGISTER_FIRST);
}

static void do_assign(struct model *m, unsigned int host)
{
	struct host_of_model *h = &m->hosts[host];
	struct wish wish = make_wish();
	struct msg request, answer;

	h->counter++;
	request = message_of(m, host, &wish);
	answer = call(m, host, &request);
	if (!h->registered) {
		cr_assert_eq(answer.error, RSIP_E_REGISTER_FIRST);
	} else if (answer.type == RSIP_ERROR_RESPONSE) {
		cr_assert(may_refuse(m, host, &wish, answer.error), "refused with %u for no reason", answer.error);
		m->refused++;
	} else {
		cr_assert(!must_refuse(m, host, &wish), "granted against a limit or what is in use");
		book_grant(m, host, &wish, &answer);
	}
}

static struct lease_of_model *some_bind(struct host_of_model *h)
{
	return &h->binds[arc4random_uniform(BINDS)];
}

static void do_extend(struct model *m, unsigned int host)
{
	struct host_of_model *h = &m->hosts[host];
	struct lease_of_model *bind = some_bind(h);
	uint32_t seconds = 1 + arc4random_uniform(MAXIMUM);
	struct msg request = req_extend(h->client_id, bind->id ? bind->id : 0xffff, seconds, ++h->counter), answer;

	answer = call(m, host, &request);
	if (!h->registered || !bind->id) {
		cr_assert_eq(answer.error, h->registered ? RSIP_E_BAD_BIND_ID : RSIP_E_REGISTER_FIRST);
		return;
	}
	if (bind->ends < m->g->now + seconds * 1000ull)
		bind->ends = m->g->now + seconds * 1000ull;	/* never nearer */
	if (h->ends < bind->ends)
		h->ends = bind->ends;
	cr_assert_eq(answer.type, RSIP_EXTEND_RESPONSE);
	cr_assert_eq(answer.lease, lease_seconds_left(bind->ends, m->g->now));
}

static void do_free(struct model *m, unsigned int host)
{
	struct host_of_model *h = &m->hosts[host];
	struct lease_of_model *bind = some_bind(h);
	struct msg request = req_free(h->client_id, bind->id ? bind->id : 0xffff, ++h->counter), answer;
	bool is_bind = h->registered && bind->id;

	if (is_bind)
		end_lease(m, host, bind, m->g->now);
	answer = call(m, host, &request);
	cr_assert_eq(answer.type, is_bind ? RSIP_FREE_RESPONSE : RSIP_ERROR_RESPONSE);
	cr_assert(is_bind || answer.error == (h->registered ? RSIP_E_BAD_BIND_ID : RSIP_E_REGISTER_FIRST));
}

static void do_wait(struct model *m)
{
	gateway_wait(m->g, arc4random_uniform(16) ? arc4random_uniform(500) : arc4random_uniform(60000));
	run_out(m);
}

static void operator_takes(struct model *m, unsigned int host)
{
	struct host_of_model *h = &m->hosts[host];
	struct lease_of_model *bind = some_bind(h);

	m->g->sent = 0;
	if (arc4random_uniform(2)) {
		cr_assert_eq(session_evict(m->g->s, h->registered ? h->client_id : 0, m->g->now), h->registered);
		if (h->registered)
			end_host(m, host, m->g->now);
	} else if (h->registered && bind->id) {
		cr_assert(session_free_bind(m->g->s, h->client_id, bind->id, m->g->now));
		end_lease(m, host, bind, m->g->now);
	}
}

static void operate(struct model *m)
{
	unsigned int host = arc4random_uniform(HOSTS), what = arc4random_uniform(100);

	if (what < 8)
		do_register(m, host);
	else if (what < 10)
		do_deregister(m, host);
	else if (what < 50)
		do_assign(m, host);
	else if (what < 60)
		do_extend(m, host);
	else if (what < 85)
		do_free(m, host);
	else if (what < 99)
		do_wait(m);
	else
		operator_takes(m, host);
}

/* --- the whole -------------------------------------------------------------------------- */

static __be32 owner(const struct holding *holding)
{
	return holding->host ? origin_of(holding->host - 1).source : 0;
}

static void compare(const struct model *m)
{
	uint32_t clients = 0, binds = 0;

	for (unsigned int i = 0; i < HOSTS; i++) {
		clients += m->hosts[i].registered;
		for (unsigned int j = 0; j < BINDS; j++)
			binds += m->hosts[i].binds[j].id != 0;
	}
	cr_assert_eq(lease_client_count(session_leases(m->g->s)), clients);
	cr_assert_eq(lease_bind_count(session_leases(m->g->s)), binds);
	cr_assert_eq(datapath_fake_binds(m->g->dp), binds);
	for (unsigned int a = 0; a < ADDRESSES; a++) {
		__be32 addr = htonl(FIRST_ADDR + a);

		for (unsigned int i = 0; i < PORTS; i++)
			cr_assert_eq(datapath_fake_port(m->g->dp, addr, FIRST_PORT + i), owner(&m->ports[a][i]));
		for (unsigned int i = 0; i < SPIS; i++)
			cr_assert_eq(datapath_fake_spi(m->g->dp, addr, FIRST_SPI + i), owner(&m->spis[a][i]));
	}
	cr_assert_null(datapath_fake_fault(m->g->dp), "%s", datapath_fake_fault(m->g->dp));
}

ParameterizedTestParameters(model, random_operations)
{
	static unsigned int seeds[] = { 1, 2, 3, 4, 5, 6 };

	return cr_make_param_array(unsigned int, seeds, sizeof(seeds) / sizeof(seeds[0]));
}

/* covers: E-05 RSAP-16 IPS-19 T-18 LSE-03 EXT-08 */
ParameterizedTest(unsigned int *seed, model, random_operations)
{
	struct model *m = calloc(1, sizeof(*m));

	random_reset(*seed);
	m->g = gateway_new();
	m->g->range = (struct addr_range){ FIRST_ADDR, FIRST_ADDR + ADDRESSES - 1 };
	m->g->pool.ports.first = FIRST_PORT;
	m->g->pool.ports.last = FIRST_PORT + PORTS - 1;
	m->g->pool.spis.first = FIRST_SPI;
	m->g->pool.spis.last = FIRST_SPI + SPIS - 1;
	m->g->rule.max_binds = BINDS;
	m->g->rule.max_ports = MAX_PORTS;
	m->g->rule.max_spis = MAX_SPIS;
	m->g->config.leases.registration = REGISTRATION;
	m->g->config.leases.normal = REGISTRATION;
	m->g->config.leases.maximum = MAXIMUM;
	m->g->config.leases.hold_down = HOLD_DOWN;
	gateway_start(m->g);
	for (unsigned int i = 0; i < OPERATIONS; i++) {
		operate(m);
		if (i % 512 == 0)
			compare(m);
	}
	cr_assert_gt(m->granted, OPERATIONS / 50);
	cr_assert_gt(m->refused, OPERATIONS / 50);
	cr_assert_gt(m->repeated, OPERATIONS / 50);
	compare(m);
	gateway_free(m->g);
	free(m);
}
