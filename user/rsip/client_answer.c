// SPDX-License-Identifier: GPL-2.0-only
/*
 * A message of the gateway: is it the answer to what is in flight, or does it
 * speak for itself, and what follows from it. See client_answer.h.
 */
#include "rsip/client_answer.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "rsip/client_request.h"

#define CHECK_MS	60000u	/* reports of violations lead to one check in this time */

/* --- answers ------------------------------------------------------------------------- */

static bool is_assign_request(uint8_t type)
{
	return type == RSIP_ASSIGN_REQUEST_RSA || type == RSIP_ASSIGN_REQUEST_RSAP || type == RSIP_LISTEN_REQUEST ||
	       type == RSIP_ASSIGN_REQUEST_RSIPSEC;
}

static bool is_assign_response(uint8_t type)
{
	return type == RSIP_ASSIGN_RESPONSE_RSA || type == RSIP_ASSIGN_RESPONSE_RSAP ||
	       type == RSIP_LISTEN_RESPONSE || type == RSIP_ASSIGN_RESPONSE_RSIPSEC;
}

void answer_none(struct client *c, uint64_t now)
{
	struct request was = c->pending.is;
	struct slot *slot = slot_by_id(c, was.slot);
	uint64_t again = 0;

	c->pending.is.type = 0;
	if (was.type == RSIP_REGISTER_REQUEST)
		again = backoff_next(&c->reg, now);
	else if (is_assign_request(was.type))
		again = backoff_next(&slot->ask, now);
	else if (was.type == RSIP_EXTEND_REQUEST)
		again = slot_plan_extension(slot, now);
	else if (was.type == RSIP_FREE_REQUEST)
		slot->to_free = false;
	else if (was.type == RSIP_DEREGISTER_REQUEST)
		client_forgotten(c);
	else
		client_end_query(c, NULL);
	client_fail(c, was.type, 0, was.slot, again);
}

/* Under local micro policy a bind has one port (FLOW-02): several ports are several leases. */
static void split_ports(struct client *c)
{
	struct slot *slot, *more;

	LL_FOREACH(c->slots, slot) {
		if (slot->want.kind != WANT_PORTS || slot->want.exact)
			continue;
		while (slot->want.ports > 1 && (more = slot_new(c, &slot->want))) {
			more->want.ports = 1;
			more->want.first_port = 0;
			slot->want.ports--;
		}
	}
}

static void take_registration(struct client *c, const struct request *was, const struct msg *m, uint64_t now)
{
	struct slot *slot;

	if (!m->lease) {
		client_fail(c, was->type, 0, 0, backoff_next(&c->reg, now));
		return;
	}
	c->registered = true;
	c->client_id = m->client_id;
	c->registration_expires = was->first_ms + (uint64_t)m->lease * MS_PER_S;
	c->local_policy = m->local_policy;
	c->remote_policy = m->remote_policy;
	memcpy(c->methods, m->methods, sizeof(c->methods));
	c->method_count = m->method_count;
	memcpy(c->tunnels, m->tunnels, sizeof(c->tunnels));
	c->tunnel_count = m->tunnel_count;
	if (!c->started_over)
		backoff_reset(&c->reg);
	if (c->local_policy == RSIP_POLICY_MICRO)
		split_ports(c);
	LL_FOREACH(c->slots, slot) {
		slot->ask.at = 0;
		slot->unnamed = false;
	}
	client_show_state(c);
}

/* The SPI list of a message, as our own copy. False: no memory. */
static bool keep_spis(struct msg_spis *spis)
{
	uint8_t *copy;

	if (spis->form != MSG_LIST) {
		spis->list = NULL;
		return true;
	}
	copy = malloc((size_t)spis->count * sizeof(uint32_t));
	if (!copy)
		return false;
	memcpy(copy, spis->list, (size_t)spis->count * sizeof(uint32_t));
	spis->list = copy;
	return true;
}

/* R = max(R, Bi), which both sides compute (LSE-03). */
static void set_expiry(struct client *c, struct slot *slot, const struct request *was, uint32_t seconds, uint64_t now)
{
	slot->lease.expires = was->first_ms + (uint64_t)seconds * MS_PER_S;
	if (c->registration_expires < slot->lease.expires)
		c->registration_expires = slot->lease.expires;
	slot_plan_extension(slot, now);
}

/* An assignment that cannot be used goes back (FAIL-14). */
static void give_back(struct client *c, struct slot *slot, const struct request *was, uint32_t bind_id, uint64_t now)
{
	slot_free_bind(slot, bind_id);
	client_fail(c, was->type, 0, slot->id, backoff_next(&slot->ask, now));
}

/* The lease as the answer has it; false: no memory, or the host cannot use it. */
static bool take_lease(struct client *c, struct slot *slot, const struct request *was, const struct msg *m)
{
	struct client_lease lease = {
		.id = slot->id,
		.want = slot->want,
		.bind_id = m->bind_id,
		.local = m->local.v4,
		.endpoint = m->has & MSG_HAS_ENDPOINT ? m->endpoint.v4 : 0,
		.ports = m->lports,
		.spis = m->spis,
		.tunnel = m->tunnel_count ? m->tunnels[0] : RSIP_TUNNEL_IPIP,
	};

	if (!want_fits(&slot->want, was->named && !slot->unnamed, m) || !keep_spis(&lease.spis))
		return false;
	if (c->ops->accepts && !c->ops->accepts(&lease, c->arg)) {
		free((void *)lease.spis.list);
		return false;
	}
	slot->lease = lease;
	slot->has_lease = true;
	return true;
}

static void take_assignment(struct client *c, struct slot *slot, const struct request *was, const struct msg *m,
			    uint64_t now)
{
	/* Not wanted any more; or given to a sending so old that it may have run out since: asked for
	 * anew, with the next counter. */
	if (slot->dropped || (was->first_ms + (uint64_t)m->lease * MS_PER_S <= now && m->lease)) {
		slot_free_bind(slot, m->bind_id);
		return;
	}
	if (!take_lease(c, slot, was, m)) {
		give_back(c, slot, was, m->bind_id, now);
		return;
	}
	c->started_over = false;
	set_expiry(c, slot, was, m->lease, now);
	backoff_reset(&slot->ask);
	backoff_reset(&c->reg);
	client_show_state(c);
	c->ops->granted(&slot->lease, c->arg);
}

static void take_extension(struct client *c, struct slot *slot, const struct request *was, const struct msg *m,
			   uint64_t now)
{
	if (!slot->has_lease || m->bind_id != slot->lease.bind_id) {
		slot_free_bind(slot, m->bind_id);	/* we let it run out meanwhile */
		return;
	}
	set_expiry(c, slot, was, m->lease, now);
	c->ops->extended(&slot->lease, c->arg);
}

static void take_answer(struct client *c, const struct msg *m, uint64_t now)
{
	struct request was = request_settle(c);
	struct slot *slot = slot_by_id(c, was.slot);

	/* The registration ended while this was on its way. */
	if (!c->registered && m->type != RSIP_REGISTER_RESPONSE && m->type != RSIP_DEREGISTER_RESPONSE)
		return;
	switch (m->type) {
	case RSIP_REGISTER_RESPONSE:
		take_registration(c, &was, m, now);
		break;
	case RSIP_ASSIGN_RESPONSE_RSA:
	case RSIP_ASSIGN_RESPONSE_RSAP:
	case RSIP_ASSIGN_RESPONSE_RSIPSEC:
	case RSIP_LISTEN_RESPONSE:
		take_assignment(c, slot, &was, m, now);
		break;
	case RSIP_EXTEND_RESPONSE:
		take_extension(c, slot, &was, m, now);
		break;
	case RSIP_FREE_RESPONSE:
		slot->to_free = false;
		client_lose_bind(c, m->bind_id, now);	/* in place of an EXTEND_RESPONSE */
		break;
	case RSIP_DEREGISTER_RESPONSE:
		client_forgotten(c);
		break;
	case RSIP_QUERY_RESPONSE:
		client_end_query(c, m);
		break;
	}
}

/* --- errors -------------------------------------------------------------------------- */

/* The gateway knows no such registration: 301, and what other gateways may send for it. */
static bool means_unregistered(uint16_t error)
{
	return error == RSIP_E_REGISTER_FIRST || error == RSIP_E_ALREADY_UNREGISTERED || error == RSIP_E_BAD_CLIENT_ID;
}

/* any other error leaves us registered; once more, then it has to do. */
static uint64_t refused_deregistration(struct client *c, uint16_t error, uint64_t now)
{
	if (c->forget || c->last_try || means_unregistered(error)) {
		client_forgotten(c);
		return 0;
	}
	c->last_try = true;
	return c->reg.at = now + BACKOFF_FIRST_MS;
}

static uint64_t refused_registration(struct client *c, const struct msg *m, uint64_t now)
{
	if (m->error == RSIP_E_ALREADY_REGISTERED && m->has & MSG_HAS(RSIP_PARAM_CLIENT_ID))
		return client_start_over(c, m->client_id, now);	/* FAIL-02 */
	return backoff_next(&c->reg, now);
}

/* Is an error about what was named, and can others do instead? Of an address that was only preferred
 * any error is. */
static bool try_unnamed(const struct slot *slot, const struct request *was, uint16_t error)
{
	if (!was->named || slot->want.exact)
		return false;
	if (error == RSIP_E_LOCAL_ADDRPORT_INUSE || error == RSIP_E_IPSEC_SPI_INUSE)
		return true;
	return !slot->want.local && !slot->want.first_port && error >= RSIP_E_LOCAL_ADDR_UNAVAILABLE;
}

/* HOST-11: what was asked for by name is asked for again without; what is short is waited for. */
static uint64_t refused_assignment(struct slot *slot, const struct request *was, uint16_t error, uint64_t now)
{
	if (!try_unnamed(slot, was, error))
		return backoff_next(&slot->ask, now);
	slot->unnamed = true;
	return slot->ask.at = now;
}

static uint64_t refused_extension(struct client *c, struct slot *slot, const struct request *was, uint16_t error,
				  uint64_t now)
{
	if (error == RSIP_E_BAD_BIND_ID)
		client_lose_bind(c, was->bind_id, now);
	else if (slot->has_lease)
		slot_plan_extension(slot, now);
	return slot->has_lease ? slot->extend_at : slot->ask.at;
}

/* What an error means for what was asked. Returns when that is tried again, 0: not at all. */
static uint64_t refused(struct client *c, const struct request *was, const struct msg *m, uint64_t now)
{
	struct slot *slot = slot_by_id(c, was->slot);

	if (m->error == RSIP_E_USE_TCP && !c->tcp_tried) {
		c->tcp_tried = true;
		c->ops->use_tcp(c->arg);	/* HOST-12: the same goes out again */
		return now;
	}
	if (was->type == RSIP_DEREGISTER_REQUEST)
		return refused_deregistration(c, m->error, now);
	if (was->type == RSIP_QUERY_REQUEST)
		client_end_query(c, NULL);
	if (was->type == RSIP_FREE_REQUEST)
		slot->to_free = false;
	if (means_unregistered(m->error))
		return client_lose(c, now);
	if (was->type == RSIP_REGISTER_REQUEST)
		return refused_registration(c, m, now);
	if (is_assign_request(was->type))
		return refused_assignment(slot, was, m->error, now);
	if (was->type == RSIP_EXTEND_REQUEST)
		return refused_extension(c, slot, was, m->error, now);
	/* 306: it is free. Otherwise only a new registration frees it (FREE-06). */
	if (was->type == RSIP_FREE_REQUEST && m->error != RSIP_E_BAD_BIND_ID)
		return client_lose(c, now);
	return 0;
}

static void take_error(struct client *c, const struct msg *m, uint64_t now)
{
	struct request was = request_settle(c);
	uint64_t again;

	c->last_error = m->error;
	again = refused(c, &was, m, now);
	client_fail(c, was.type, m->error, was.slot, again);
}

/* --- what the gateway says of its own accord ----------------------------------------- */

/* A report of the data plane: is our state what the gateway has? One EXTEND tells; reports come in swarms (ASY-08). */
static void take_report(struct client *c, const struct msg *m, uint64_t now)
{
	struct slot *slot = m->has & MSG_HAS(RSIP_PARAM_BIND_ID) ? slot_by_bind(c, m->bind_id) : slot_with_lease(c);
	uint64_t again = 0;

	c->last_error = m->error;
	if (means_unregistered(m->error)) {
		again = client_lose(c, now);
	} else if (slot && now >= c->check_at) {
		c->check_at = now + CHECK_MS;
		slot->extend_at = again = now;
	}
	client_fail(c, RSIP_ERROR_RESPONSE, m->error, slot ? slot->id : 0, again);
}

/* The gateway speaks for itself (ASY-01); what we wait for is still to come (ASY-02). */
static void take_asynchronous(struct client *c, const struct msg *m, uint64_t now)
{
	if (!c->registered || !(m->has & MSG_HAS(RSIP_PARAM_CLIENT_ID)) || m->client_id != c->client_id)
		return;
	switch (m->type) {
	case RSIP_DEREGISTER_RESPONSE:
		client_end_registration(c, CLIENT_TAKEN_BACK);
		backoff_next(&c->reg, now);
		break;
	case RSIP_FREE_RESPONSE:
		client_lose_bind(c, m->bind_id, now);
		break;
	case RSIP_ERROR_RESPONSE:
		take_report(c, m, now);
		break;
	}
}

/* --- input --------------------------------------------------------------------------- */

/* One place for what comes in with a key: false, it is none of the gateway's, or an old one. */
static bool is_authentic(struct client *c, const uint8_t *data, size_t len, uint64_t now)
{
	struct auth_stamp stamp;

	if (!c->has_key)
		return true;
	if (!auth_open(c->key, data, len, &stamp)) {
		c->unauthentic++;
		return false;
	}
	switch (auth_hear(&c->auth, stamp, data[1] == RSIP_ERROR_RESPONSE)) {
	case AUTH_ANSWER:
	case AUTH_TOLD:
		return true;
	case AUTH_ASK_AGAIN:
		if (c->pending.is.type) {
			request_seal(c);
			request_begin(c, now);
		}
		break;
	case AUTH_NOTHING:
		break;
	}
	return false;
}

/* Is it the type that is waited for? FREE_RESPONSE may stand in for EXTEND_RESPONSE. */
static bool type_answers(uint8_t request, uint8_t response)
{
	return response == msg_response_of(request) ||
	       (request == RSIP_EXTEND_REQUEST && response == RSIP_FREE_RESPONSE);
}

/*
 * Is it what the pending request waits for (T-36)? A gateway that serves TCP
 * without counters may leave it out (T-26), but not in an error: that could be
 * asynchronous.
 */
static bool answers(const struct client *c, const struct msg *m)
{
	const struct request *is = &c->pending.is;
	bool has_counter = m->has & MSG_HAS(RSIP_PARAM_MESSAGE_COUNTER);

	if (!is->type || (has_counter && m->counter != c->counter))
		return false;
	if (m->type == RSIP_ERROR_RESPONSE)
		return has_counter;
	if (!type_answers(is->type, m->type))
		return false;
	if (is->bind_id && m->bind_id != is->bind_id)
		return false;
	return !is->client_id || m->client_id == is->client_id;
}

/* An assignment in answer to ours that is not understood, but can be named: it goes back. */
static void take_foreign(struct client *c, uint8_t type, uint32_t client_id, uint32_t bind_id, uint32_t counter,
			 uint64_t now)
{
	struct request was;

	if (!is_assign_request(c->pending.is.type) || !is_assign_response(type) ||
	    client_id != c->pending.is.client_id || counter != c->counter)
		return;
	was = request_settle(c);
	if (c->registered)
		give_back(c, slot_by_id(c, was.slot), &was, bind_id, now);
}

void client_input(struct client *c, const uint8_t *data, size_t len, uint64_t now)
{
	struct msg_fault f;
	bool has_counter;
	struct msg m;

	c->received++;
	if (!is_authentic(c, data, len, now))
		return;
	if (!msg_decode(data, len, MSG_AT_HOST, 0, &m, &f)) {
		if (f.has_client && f.has_bind && f.has_counter)
			take_foreign(c, f.type, f.client_id, f.bind_id, f.counter, now);
		return;
	}
	has_counter = m.has & MSG_HAS(RSIP_PARAM_MESSAGE_COUNTER);
	if (has_counter && m.counter == 0) {
		take_asynchronous(c, &m, now);
	} else if (answers(c, &m)) {
		if (m.type == RSIP_ERROR_RESPONSE)
			take_error(c, &m, now);
		else
			take_answer(c, &m, now);
	} else if (!has_counter) {
		take_asynchronous(c, &m, now);
	} else {
		take_foreign(c, m.type, m.client_id, m.bind_id, m.counter, now);
	}
}
