// SPDX-License-Identifier: GPL-2.0-only
/* See model.h. */
#include "model.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "lib/msg.h"
#include "unit/requests.h"

struct model_group model_group(unsigned int host)
{
	static const struct model_group groups[MODEL_GROUPS] = {
		{ 0 }, { .local_micro = true }, { .remote_macro = true }, { .local_micro = true, .remote_micro = true },
	};

	return groups[host / MODEL_GROUP_HOSTS];
}

static struct span later(struct span span, uint32_t seconds)
{
	return (struct span){ span.first + seconds * 1000ull, span.last + seconds * 1000ull };
}

/* The later of two ends: a lease never ends sooner than was said once. */
static struct span no_sooner(struct span a, struct span b)
{
	return (struct span){ a.first > b.first ? a.first : b.first, a.last > b.last ? a.last : b.last };
}

/* --- who has what ---------------------------------------------------------------------- */

struct model_lease *model_lease(struct model *m, unsigned int host, uint32_t bind_id)
{
	for (unsigned int i = 0; bind_id && i < MODEL_PLACES; i++) {
		if (m->hosts[host].binds[i].id == bind_id)
			return &m->hosts[host].binds[i];
	}
	return NULL;
}

static void let_rest(struct holding *holdings, unsigned int count, unsigned int host, uint32_t bind, struct span until)
{
	for (unsigned int i = 0; i < count; i++) {
		if (holdings[i].host == host && holdings[i].bind_id == bind)
			holdings[i] = (struct holding){ .rests = until };
	}
}

static void end_lease(struct model *m, unsigned int host, struct model_lease *lease, struct span when)
{
	struct span until = later(when, m->driver->hold_down);

	if (lease->whole) {
		let_rest(m->whole, MODEL_WHOLE, host + 1, lease->id, until);
	} else {
		let_rest(m->ports[lease->address], MODEL_PORTS, host + 1, lease->id, until);
		let_rest(m->spis[lease->address], MODEL_SPIS, host + 1, lease->id, until);
	}
	*lease = (struct model_lease){ 0 };
}

/* What ended by itself did so when it had to, or when the gateway noticed. */
static struct span by_itself(const struct model *m, struct span ends)
{
	return (struct span){ ends.first, ends.last + m->driver->lateness };
}

static void end_host(struct model *m, unsigned int host, struct span when)
{
	for (unsigned int i = 0; i < MODEL_PLACES; i++) {
		struct model_lease *lease = &m->hosts[host].binds[i];
		/* Perhaps it was over before. */
		struct span ended = { lease->ends.first < when.first ? lease->ends.first : when.first, when.last };

		if (lease->id)
			end_lease(m, host, lease, ended);
	}
	m->hosts[host].registered = false;
}

void model_run_out(struct model *m)
{
	struct span now = m->driver->now(m->driver->arg);

	for (unsigned int i = 0; i < MODEL_HOSTS; i++) {
		for (unsigned int j = 0; j < MODEL_PLACES; j++) {
			struct model_lease *lease = &m->hosts[i].binds[j];

			if (lease->id && by_itself(m, lease->ends).last <= now.first)
				end_lease(m, i, lease, by_itself(m, lease->ends));
		}
		if (m->hosts[i].registered && by_itself(m, m->hosts[i].ends).last <= now.first)
			end_host(m, i, by_itself(m, m->hosts[i].ends));
	}
}

static bool is_surely_registered(const struct model_host *host, struct span when)
{
	return host->registered && host->ends.first > when.last;
}

/* From when on it may be lent again, if nobody extends what it is part of. */
static struct span is_free_from(struct model *m, const struct holding *holding)
{
	const struct model_lease *lease = holding->host ? model_lease(m, holding->host - 1, holding->bind_id) : NULL;

	return lease ? later(lease->ends, m->driver->hold_down) : holding->rests;
}

static bool may_be_free(struct model *m, const struct holding *holding, struct span when)
{
	return is_free_from(m, holding).first <= when.last;
}

static bool is_surely_free(struct model *m, const struct holding *holding, struct span when)
{
	return !holding->host && holding->rests.last <= when.first;
}

/* How many are free, at most or at least. */
static unsigned int count_free(struct model *m, const struct holding *holdings, unsigned int count, struct span when,
			       bool at_most)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < count; i++)
		n += at_most ? may_be_free(m, &holdings[i], when) : is_surely_free(m, &holdings[i], when);
	return n;
}

/* What a host has, at least or at most. */
struct share {
	unsigned int binds, ports, spis, addresses;
};

static struct share share_of(const struct model_host *host, struct span when, bool at_least)
{
	struct share share = { 0 };

	for (unsigned int i = 0; i < MODEL_PLACES; i++) {
		const struct model_lease *lease = &host->binds[i];

		if (!lease->id || (at_least && lease->ends.first <= when.last))
			continue;
		share.binds++;
		share.ports += lease->ports;
		share.spis += lease->spis;
		share.addresses += lease->whole;
	}
	return share;
}

/* --- what is asked for ------------------------------------------------------------------- */

enum kind { RSA, RSAP, LISTEN, RSIPSEC };

struct wish {
	enum kind kind;
	bool named;			/* the address, and ports and SPIs with it */
	unsigned int ports, spis, address, first_port, first_spi;
	uint32_t lease;			/* s; 0: not said */
	__be32 remote;			/* 0: whichever */
	uint16_t remote_port;		/* the same */
};

static __be32 some_remote(void)
{
	unsigned int i = arc4random_uniform(2 * MODEL_PEERS);

	if (arc4random_uniform(12) == 0)
		return htonl(0x0a000063);	/* in a local network */
	return i < MODEL_PEERS ? htonl(MODEL_FIRST_PEER + i) : htonl(MODEL_FIRST_PEER);
}

/* A host knows its policy, most of the time. */
static void keep_to_policy(unsigned int host, struct wish *wish)
{
	struct model_group group = model_group(host);
	bool keep = arc4random_uniform(10);

	if (keep ? group.remote_macro || group.remote_micro : !arc4random_uniform(2))
		wish->remote = some_remote();
	if (keep ? group.remote_micro : !arc4random_uniform(2))
		wish->remote_port = (uint16_t)(4000 + arc4random_uniform(3));
	if (keep && group.local_micro && wish->ports > 1)
		wish->ports = 1;
	if (keep && group.local_micro && wish->kind == RSA)
		wish->kind = LISTEN;
}

static struct wish make_wish(const struct model *m, unsigned int host)
{
	static const enum kind kinds[] = { RSA, RSAP, RSAP, RSAP, LISTEN, RSIPSEC, RSIPSEC, RSIPSEC };
	struct wish wish = {
		.kind = kinds[arc4random_uniform(8)], .named = !arc4random_uniform(3),
		.lease = arc4random_uniform(3) ? 1 + arc4random_uniform(m->driver->maximum * 4 / 3) : 0,
	};

	wish.ports = wish.kind == RSIPSEC ? arc4random_uniform(3) : 1 + arc4random_uniform(12);
	keep_to_policy(host, &wish);
	wish.spis = wish.kind == RSIPSEC ? 1 + arc4random_uniform(12) : 0;
	if (wish.kind == RSA)
		wish.ports = 0;
	wish.address = arc4random_uniform(wish.kind == RSA ? MODEL_WHOLE : MODEL_ADDRESSES);
	wish.first_port = arc4random_uniform(MODEL_PORTS - wish.ports + 1);
	wish.first_spi = arc4random_uniform(MODEL_SPIS - wish.spis + 1);
	return wish;
}

static void name_local(const struct wish *wish, struct msg *msg)
{
	uint32_t first = wish->kind == RSA ? MODEL_FIRST_WHOLE : MODEL_FIRST_ADDR;

	msg->local = (struct msg_addr){ .type = RSIP_ADDR_IPV4, .v4 = htonl(first + wish->address) };
	if (wish->ports)
		msg->lports = (struct msg_ports){ .form = MSG_RUN, .count = wish->ports,
						  .first = MODEL_FIRST_PORT + wish->first_port };
	if (wish->spis)
		msg->spis = (struct msg_spis){ .form = MSG_RUN, .count = wish->spis,
					       .first = MODEL_FIRST_SPI + wish->first_spi };
}

static struct msg message_of(const struct model_host *host, const struct wish *wish)
{
	struct msg msg;

	if (wish->kind == RSA)
		msg = req_rsa(host->client_id, host->counter);
	else if (wish->kind == RSIPSEC)
		msg = req_ipsec(host->client_id, wish->spis, host->counter);
	else
		msg = wish->kind == RSAP ? req_rsap(host->client_id, wish->ports, host->counter) :
					   req_listen(host->client_id, 1, host->counter);
	if (wish->ports)
		msg.lports = (struct msg_ports){ .form = MSG_ANY, .count = wish->ports };
	if (wish->named)
		name_local(wish, &msg);
	if (wish->remote)
		msg.remote = (struct msg_addr){ .type = RSIP_ADDR_IPV4, .v4 = wish->remote };
	if (wish->remote_port && (wish->kind != RSIPSEC || wish->ports))
		msg.rports = (struct msg_ports){ .form = MSG_RUN, .count = 1, .first = wish->remote_port };
	if (wish->lease) {
		msg.has |= MSG_HAS(RSIP_PARAM_LEASE_TIME);
		msg.lease = wish->lease;
	}
	return msg;
}

/* --- what is to be answered ---------------------------------------------------------------- */

/* What the flow policy says to it, whatever is free; 0: nothing (RFC 3103 7). */
static uint16_t policy_error(unsigned int host, const struct wish *wish)
{
	struct model_group group = model_group(host);

	if (group.local_micro && (wish->kind == RSA || wish->ports > 1))
		return RSIP_E_FLOW_POLICY_VIOLATION;
	if (!group.remote_macro && !group.remote_micro)
		return 0;
	if (!wish->remote)
		return RSIP_E_FLOW_POLICY_VIOLATION;
	if (group.remote_micro && !wish->remote_port && wish->kind != RSIPSEC)
		return RSIP_E_FLOW_POLICY_VIOLATION;
	if (ntohl(wish->remote) >> 24 == 10)
		return RSIP_E_REMOTE_ADDR_UNALLOWED;
	return group.remote_micro && wish->kind == LISTEN ? RSIP_E_REMOTE_ADDRPORT_UNALLOWED : 0;
}

/* Whole addresses: no more for this host, none left, or the one that it named is not. */
static bool whole_reason(struct model *m, const struct wish *wish, const struct share *share, uint16_t error,
			 struct span when, bool must)
{
	unsigned int left = count_free(m, m->whole, MODEL_WHOLE, when, must);

	if (error == RSIP_E_LOCAL_ADDR_UNAVAILABLE)
		return share->addresses >= MODEL_MAX_ADDRESSES || !left;
	return error == RSIP_E_LOCAL_ADDR_INUSE && wish->named &&
	       !count_free(m, &m->whole[wish->address], 1, when, must);
}

static bool named_reason(struct model *m, const struct wish *wish, uint16_t error, struct span when, bool must)
{
	unsigned int ports = count_free(m, &m->ports[wish->address][wish->first_port], wish->ports, when, must);
	unsigned int spis = count_free(m, &m->spis[wish->address][wish->first_spi], wish->spis, when, must);

	return (error == RSIP_E_LOCAL_ADDRPORT_INUSE && ports < wish->ports) ||
	       (error == RSIP_E_IPSEC_SPI_INUSE && spis < wish->spis);
}

/* Is there a reason for this refusal? `must`: one that leaves no choice. */
static bool is_reason(struct model *m, unsigned int host, const struct wish *wish, uint16_t error, struct span when,
		      bool must)
{
	struct share share = share_of(&m->hosts[host], when, must);
	bool fits = false;

	if (error == RSIP_E_LOCAL_ADDR_UNAVAILABLE && share.binds >= MODEL_MAX_BINDS)
		return true;
	if (wish->kind == RSA)
		return whole_reason(m, wish, &share, error, when, must);
	if (error == RSIP_E_LOCAL_ADDRPORT_UNAVAILABLE && share.ports + wish->ports > MODEL_MAX_PORTS)
		return true;
	if (error == RSIP_E_IPSEC_SPI_UNAVAILABLE && share.spis + wish->spis > MODEL_MAX_SPIS)
		return true;
	if (wish->named)
		return named_reason(m, wish, error, when, must);
	for (unsigned int i = 0; i < MODEL_ADDRESSES; i++)
		fits = fits || (count_free(m, m->ports[i], MODEL_PORTS, when, must) >= wish->ports &&
				count_free(m, m->spis[i], MODEL_SPIS, when, must) >= wish->spis);
	return !fits && (error == RSIP_E_LOCAL_ADDRPORT_UNAVAILABLE || error == RSIP_E_IPSEC_SPI_UNAVAILABLE ||
			 error == RSIP_E_LOCAL_ADDR_UNAVAILABLE);
}

static bool must_refuse(struct model *m, unsigned int host, const struct wish *wish, struct span when)
{
	static const uint16_t errors[] = {
		RSIP_E_LOCAL_ADDR_UNAVAILABLE, RSIP_E_LOCAL_ADDR_INUSE, RSIP_E_LOCAL_ADDRPORT_UNAVAILABLE,
		RSIP_E_IPSEC_SPI_UNAVAILABLE, RSIP_E_LOCAL_ADDRPORT_INUSE, RSIP_E_IPSEC_SPI_INUSE,
	};

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		if (is_reason(m, host, wish, errors[i], when, true))
			return true;
	}
	return false;
}

/* A: don't-care, or as it was sent. */
static void check_remote(unsigned int host, const struct wish *wish, const struct msg *answer, struct model_lease *lease)
{
	struct model_group group = model_group(host);
	bool port = group.remote_micro && (wish->kind != RSIPSEC || wish->ports) && wish->remote_port;

	if (!group.remote_macro && !group.remote_micro) {
		model_check(answer->remote.any && answer->rports.form != MSG_RUN, "host %u: tied to a remote", host);
		return;
	}
	model_check(!answer->remote.any && answer->remote.v4 == wish->remote, "host %u: another remote", host);
	model_check(port ? answer->rports.form == MSG_RUN && answer->rports.first == wish->remote_port :
			   answer->rports.form != MSG_RUN, "host %u: another remote port", host);
	lease->remote = wish->remote;
	lease->remote_port = port ? wish->remote_port : 0;
}

static void hold(struct model *m, struct holding *holdings, unsigned int count, unsigned int i, unsigned int host,
		 uint32_t bind, struct span when)
{
	model_check(i < count, "host %u: granted what was not to be lent", host);
	model_check(may_be_free(m, &holdings[i], when), "granted to host %u, but %s", host,
		    holdings[i].host ? "another lease has it" : "it rests");
	holdings[i] = (struct holding){ host + 1, bind, { 0 } };
}

static void hold_all(struct model *m, unsigned int host, const struct wish *wish, const struct msg *answer,
		     const struct model_lease *lease, struct span when)
{
	unsigned int at = lease->address;

	if (wish->kind == RSA) {
		hold(m, m->whole, MODEL_WHOLE, at, host, lease->id, when);
		return;
	}
	model_check(wish->ports ? answer->lports.count == wish->ports : answer->lports.form == MSG_NOT_NEEDED,
		    "host %u: %u ports, not %u", host, answer->lports.count, wish->ports);
	model_check(!wish->spis || answer->spis.count == wish->spis, "host %u: %u SPIs, not %u", host,
		    answer->spis.count, wish->spis);
	for (unsigned int i = 0; i < wish->ports; i++)
		hold(m, m->ports[at], MODEL_PORTS, msg_port_at(&answer->lports, i) - MODEL_FIRST_PORT, host, lease->id,
		     when);
	for (unsigned int i = 0; i < wish->spis; i++)
		hold(m, m->spis[at], MODEL_SPIS, msg_spi_at(&answer->spis, i) - MODEL_FIRST_SPI, host, lease->id, when);
	if (!wish->named)
		return;
	model_check(!wish->ports || answer->lports.first == MODEL_FIRST_PORT + wish->first_port, "other ports");
	model_check(!wish->spis || answer->spis.first == MODEL_FIRST_SPI + wish->first_spi, "other SPIs");
}

static struct model_lease *free_place(struct model_host *host)
{
	for (unsigned int i = 0; i < MODEL_PLACES; i++) {
		if (!host->binds[i].id)
			return &host->binds[i];
	}
	return NULL;
}

static void book_grant(struct model *m, unsigned int host, const struct wish *wish, const struct msg *answer,
		       struct span when)
{
	uint32_t seconds = !wish->lease ? m->driver->registration :
			   wish->lease > m->driver->maximum ? m->driver->maximum : wish->lease;
	struct model_lease *place = free_place(&m->hosts[host]);
	struct model_lease lease = {
		answer->bind_id, later(when, seconds), wish->kind == RSA, 0, wish->ports, wish->spis, 0, 0,
	};

	model_check(place, "host %u: more binds than its limit", host);
	model_check(lease.id && !model_lease(m, host, lease.id), "host %u: bind %u a second time", host, lease.id);
	lease.address = ntohl(answer->local.v4) - (lease.whole ? MODEL_FIRST_WHOLE : MODEL_FIRST_ADDR);
	model_check(lease.address < (lease.whole ? MODEL_WHOLE : MODEL_ADDRESSES), "an address that is not lent");
	model_check(!wish->named || lease.address == wish->address, "another address than the one that was named");
	model_check(answer->lease == seconds, "%u s, not %u", answer->lease, seconds);
	check_remote(host, wish, answer, &lease);
	hold_all(m, host, wish, answer, &lease, when);
	*place = lease;
	m->hosts[host].ends = no_sooner(m->hosts[host].ends, lease.ends);
	m->granted++;
}

/* --- one operation -------------------------------------------------------------------------- */

/* Is an answer that does not say "register first" right? Otherwise the registration is over. */
static bool goes_by_registration(struct model *m, unsigned int host, const struct msg *answer, struct span when)
{
	struct model_host *h = &m->hosts[host];

	if (answer->error != RSIP_E_REGISTER_FIRST) {
		model_check(h->registered, "host %u is not registered, and gets %u, error %u", host, answer->type,
			    answer->error);
		return true;
	}
	model_check(!is_surely_registered(h, when), "host %u is registered, and is to register first", host);
	if (h->registered)
		end_host(m, host, by_itself(m, h->ends));
	return false;
}

static struct msg call(struct model *m, unsigned int host, const struct msg *request, struct span *when)
{
	const struct model_driver *driver = m->driver;
	static uint8_t data[RSIP_MESSAGE_MAX];
	struct model_host *h = &m->hosts[host];
	bool registered = h->registered;
	struct msg_fault fault;
	struct msg answer;
	size_t len;

	memcpy(h->late, h->request, h->request_len);
	h->late_len = h->request_len;
	h->request_len = msg_encode(request, h->request, sizeof(h->request));
	model_check(h->request_len, "%s cannot be encoded", msg_type_name(request->type));
	*when = driver->ask(host, h->request, h->request_len, data, &len, driver->arg);
	model_check(msg_decode(data, len, MSG_AT_HOST, MSG_UDP, &answer, &fault), "%s", fault.text);
	model_check(answer.counter == request->counter, "counter %u", answer.counter);
	/* A REGISTER_REQUEST with a low counter may be that of a host that was started anew: 302. */
	if (registered && request->type != RSIP_DEREGISTER_REQUEST && h->late_len &&
	    h->late[1] != RSIP_REGISTER_REQUEST && !arc4random_uniform(8))
		driver->late(host, h->late, h->late_len, driver->arg);
	return answer;
}

static void do_register(struct model *m, unsigned int host)
{
	struct model_host *h = &m->hosts[host];
	struct msg request = req_register(++h->counter), answer;
	struct span when;

	answer = call(m, host, &request, &when);
	if (answer.error == RSIP_E_ALREADY_REGISTERED) {
		model_check(h->registered && answer.client_id == h->client_id, "host %u is not registered as %u", host,
			    answer.client_id);
		return;
	}
	model_check(answer.type == RSIP_REGISTER_RESPONSE, "host %u cannot register: %u", host, answer.error);
	model_check(!is_surely_registered(h, when), "host %u is registered twice", host);
	if (h->registered)
		end_host(m, host, by_itself(m, h->ends));
	for (unsigned int i = 0; i < MODEL_HOSTS; i++)
		model_check(!m->hosts[i].registered || m->hosts[i].client_id != answer.client_id, "two clients %u",
			    answer.client_id);
	h->registered = true;
	h->client_id = answer.client_id;
	h->ends = later(when, m->driver->registration);
}

void model_leave(struct model *m, unsigned int host)
{
	struct model_host *h = &m->hosts[host];
	struct msg request = req_deregister(h->client_id, ++h->counter), answer;
	struct span when;

	answer = call(m, host, &request, &when);
	if (!goes_by_registration(m, host, &answer, when))
		return;
	model_check(answer.type == RSIP_DEREGISTER_RESPONSE, "host %u cannot leave: %u", host, answer.error);
	end_host(m, host, when);
}

static void do_assign(struct model *m, unsigned int host)
{
	struct model_host *h = &m->hosts[host];
	struct wish wish = make_wish(m, host);
	uint16_t error = policy_error(host, &wish);
	struct msg request, answer;
	struct span when;

	h->counter++;
	request = message_of(h, &wish);
	answer = call(m, host, &request, &when);
	if (!goes_by_registration(m, host, &answer, when))
		return;
	if (error) {
		model_check(answer.error == error, "host %u, %s: %u, and not %u", host, msg_type_name(request.type),
			    answer.error, error);
	} else if (answer.type == RSIP_ERROR_RESPONSE) {
		model_check(is_reason(m, host, &wish, answer.error, when, false), "host %u, %s: %u without a reason", host,
			    msg_type_name(request.type), answer.error);
		m->refused++;
	} else {
		model_check(answer.type == request.type + 1, "host %u, %s: answer %u", host,
			    msg_type_name(request.type), answer.type);
		model_check(!must_refuse(m, host, &wish, when), "host %u, %s: granted against a limit", host,
			    msg_type_name(request.type));
		book_grant(m, host, &wish, &answer, when);
	}
}

static struct model_lease *some_bind(struct model_host *host)
{
	unsigned int i = arc4random_uniform(MODEL_PLACES), tries = arc4random_uniform(4) ? MODEL_PLACES : 0;

	while (tries-- && !host->binds[i].id)
		i = (i + 1) % MODEL_PLACES;
	return &host->binds[i];
}

/* Is an answer that does not say that there is no such bind right? Otherwise it is over. */
static bool goes_by_bind(struct model *m, unsigned int host, struct model_lease *bind, const struct msg *answer,
			 struct span when)
{
	if (answer->error != RSIP_E_BAD_BIND_ID) {
		model_check(bind->id, "host %u: something for a bind that is none", host);
		return true;
	}
	model_check(!bind->id || bind->ends.first <= when.last, "host %u: bind %u ended early", host, bind->id);
	if (bind->id)
		end_lease(m, host, bind, by_itself(m, bind->ends));
	return false;
}

static void do_extend(struct model *m, unsigned int host)
{
	struct model_host *h = &m->hosts[host];
	struct model_lease *bind = some_bind(h);
	uint32_t seconds = 1 + arc4random_uniform(m->driver->maximum);
	struct msg request = req_extend(h->client_id, bind->id ? bind->id : 0xffff, seconds, ++h->counter), answer;
	struct span when;

	answer = call(m, host, &request, &when);
	if (!goes_by_registration(m, host, &answer, when) || !goes_by_bind(m, host, bind, &answer, when))
		return;
	model_check(answer.type == RSIP_EXTEND_RESPONSE, "host %u cannot extend: %u", host, answer.error);
	bind->ends = no_sooner(bind->ends, later(when, seconds));
	h->ends = no_sooner(h->ends, bind->ends);
	/* Whole seconds that are left, one at least. */
	model_check(when.last + (answer.lease + 1) * 1000ull > bind->ends.first &&
			    (answer.lease == 1 || when.first + answer.lease * 1000ull <= bind->ends.last),
		    "host %u: %u s left", host, answer.lease);
}

static void do_free(struct model *m, unsigned int host)
{
	struct model_host *h = &m->hosts[host];
	struct model_lease *bind = some_bind(h);
	struct msg request = req_free(h->client_id, bind->id ? bind->id : 0xffff, ++h->counter), answer;
	struct span when;

	answer = call(m, host, &request, &when);
	if (!goes_by_registration(m, host, &answer, when) || !goes_by_bind(m, host, bind, &answer, when))
		return;
	model_check(answer.type == RSIP_FREE_RESPONSE, "host %u cannot free: %u", host, answer.error);
	end_lease(m, host, bind, when);
}

static void do_wait(const struct model *m)
{
	uint32_t most = arc4random_uniform(16) ? m->driver->wait : 100 * m->driver->wait;

	m->driver->wait_ms(arc4random_uniform(most), m->driver->arg);
}

static struct span since(const struct model *m, struct span before)
{
	return (struct span){ before.first, m->driver->now(m->driver->arg).last };
}

static void operator_deregisters(struct model *m, unsigned int host)
{
	const struct model_driver *driver = m->driver;
	struct model_host *h = &m->hosts[host];
	struct span when = driver->now(driver->arg);
	bool done = driver->deregister(h->registered ? h->client_id : 0, driver->arg);

	when = since(m, when);
	model_check(done ? h->registered : !is_surely_registered(h, when), "the operator and host %u: %d", host, done);
	if (h->registered)
		end_host(m, host, done ? when : by_itself(m, h->ends));
}

static void operator_frees(struct model *m, unsigned int host)
{
	const struct model_driver *driver = m->driver;
	struct model_host *h = &m->hosts[host];
	struct model_lease *bind = some_bind(h);
	struct span when = driver->now(driver->arg);
	bool done = driver->free_bind(h->registered ? h->client_id : 0, bind->id, driver->arg);

	when = since(m, when);
	model_check(done ? bind->id : !bind->id || bind->ends.first <= when.last, "the operator and bind %u of host %u: %d",
		    bind->id, host, done);
	if (bind->id)
		end_lease(m, host, bind, done ? when : by_itself(m, bind->ends));
}

void model_operate(struct model *m)
{
	unsigned int host = arc4random_uniform(MODEL_HOSTS), what = arc4random_uniform(200);

	model_run_out(m);
	if (what < 16 || (!m->hosts[host].registered && what % 2))
		do_register(m, host);
	else if (what < 20)
		model_leave(m, host);
	else if (what < 100)
		do_assign(m, host);
	else if (what < 120)
		do_extend(m, host);
	else if (what < 170)
		do_free(m, host);
	else if (what < 198)
		do_wait(m);
	else if (what < 199)
		operator_deregisters(m, host);
	else
		operator_frees(m, host);
}

void model_told(const struct model *m, unsigned int host, const uint8_t *data, size_t len)
{
	const struct model_host *h = &m->hosts[host];
	struct span now = m->driver->now(m->driver->arg);
	struct msg_fault fault;
	struct msg told;

	model_check(msg_decode(data, len, MSG_AT_HOST, MSG_UDP, &told, &fault), "%s", fault.text);
	model_check(told.type == RSIP_FREE_RESPONSE || told.type == RSIP_DEREGISTER_RESPONSE, "host %u is told %s", host,
		    msg_type_name(told.type));
	if (!h->registered || told.client_id != h->client_id)
		return;			/* of an earlier registration, said again */
	if (told.type == RSIP_DEREGISTER_RESPONSE)
		model_check(!is_surely_registered(h, now), "the registration of host %u ended early", host);
	for (unsigned int i = 0; i < MODEL_PLACES; i++)
		model_check(h->binds[i].id != told.bind_id || !told.bind_id || h->binds[i].ends.first <= now.last,
			    "bind %u of host %u ended early", told.bind_id, host);
}
