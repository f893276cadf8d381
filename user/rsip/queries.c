// SPDX-License-Identifier: GPL-2.0-only
/*
 * Local or remote (HOST-04)? All that the gateway tells is asked for after each
 * registration and whenever the host's own networks change; what that does not
 * cover is asked about one by one, and every answer is kept (QRY-10).
 */
#include <string.h>

#include "rsip/instance.h"

static struct msg_tuple tuple_of(const struct addr_prefix *prefix)
{
	bool network = prefix->length < 32;

	return (struct msg_tuple){
		.indicator = network ? RSIP_QUERY_NETWORK : RSIP_QUERY_ADDRESS,
		.addr = { .type = RSIP_ADDR_IPV4, .v4 = prefix->network },
		.mask = network ? addr_mask(prefix->length) : 0,
	};
}

static json_t *shown(const struct addr_prefix *prefix, bool local)
{
	char text[PREFIX_TEXT_LEN];

	if (prefix->length == 32)
		addr_text(prefix->network, text);
	else
		addr_prefix_text(prefix, text);
	return json_pack("{ss ss}", "destination", text, "is", local ? "local" : "remote");
}

/* All that the gateway tells */
static json_t *tuples_shown(const struct msg *response)
{
	const uint8_t *at = response->tuples;
	size_t left = response->has & MSG_HAS_TUPLES ? response->tuples_len : 0;
	json_t *list = json_array();
	struct addr_prefix prefix;
	struct msg_tuple tuple;
	bool local;

	while (msg_tuple_next(&at, &left, &tuple))
		if (locality_of(&tuple, &prefix, &local))
			json_array_append_new(list, shown(&prefix, local));
	return list;
}

/* --- `rsip query` ------------------------------------------------------------------------- */

void queries_command(struct up *up, const char *const *words, size_t count, struct serve_reply *reply)
{
	struct queries *q = &up->queries;
	struct client_status status;

	client_status(up->client, &status);
	if (q->reply != NULL) {
		serve_refuse(reply, "another query is under way");
		return;
	}
	if (count > QUERY_MAX) {
		serve_refuse(reply, "%zu destinations: at most %d at once", count, QUERY_MAX);
		return;
	}
	for (size_t i = 0; i < count; i++) {
		if (addr_parse_prefix(words[i], &q->asked[i]))
			continue;
		serve_refuse(reply, "%.64s: want an IPv4 address or a network like 10.0.0.0/8", words[i]);
		return;
	}
	q->asked_count = count;
	if (!status.registered || up->stopping != STAY)
		serve_refuse(reply, "not registered at the gateway");
	else
		q->reply = reply;	/* queries_run() */
}

/* A person wants the gateway's word, not ours; it is kept all the same. */
static void answer_command(struct up *up, const struct msg *response)
{
	struct queries *q = &up->queries;
	struct serve_reply *reply = q->reply;
	json_t *list;

	q->reply = NULL;
	if (response == NULL) {
		serve_refuse(reply, "the gateway did not answer");
		return;
	}
	if (q->asked_count == 0) {
		serve_answer(reply, tuples_shown(response));
		return;
	}
	list = json_array();
	for (size_t i = 0; i < q->asked_count; i++) {
		bool local = locality_is_local(response, &q->asked[i]);

		locality_learn(&q->known, &q->asked[i], local);
		json_array_append_new(list, shown(&q->asked[i], local));
	}
	serve_answer(reply, list);
}

/* --- all of them ---------------------------------------------------------------------------- */

static void answer_unknown(struct queries *q, const struct msg *response)
{
	struct addr_prefix asked = { q->unknown[0], 32 };

	if (response != NULL && locality_known(&q->known, &asked) == LOCALITY_UNKNOWN)
		locality_learn(&q->known, &asked, locality_is_local(response, &asked));
	q->unknown_count--;
	memmove(q->unknown, q->unknown + 1, q->unknown_count * sizeof(*q->unknown));
}

void queries_answer(struct up *up, const struct msg *response)
{
	struct queries *q = &up->queries;
	int current = q->current;

	q->current = NO_QUERY;
	if (response != NULL) {
		if (current == QUERY_ALL)
			locality_forget(&q->known);
		locality_learn_all(&q->known, response);
	}
	if (current == QUERY_UNKNOWN)
		answer_unknown(q, response);
	else if (current == QUERY_COMMAND && q->reply != NULL)
		answer_command(up, response);
	if (response != NULL)
		demand_places(up);
}

static bool ask(struct up *up, const struct addr_prefix *prefixes, size_t count)
{
	struct msg_tuple tuples[QUERY_MAX];

	for (size_t i = 0; i < count; i++)
		tuples[i] = tuple_of(&prefixes[i]);
	return client_query(up->client, tuples, count, up_now());
}

void queries_run(struct up *up)
{
	struct queries *q = &up->queries;
	struct addr_prefix unknown = { q->unknown[0], 32 };
	struct client_status status;

	if (q->current != NO_QUERY)
		return;
	client_status(up->client, &status);
	/* The answer may come from within the call. */
	if (q->reply != NULL) {
		q->current = QUERY_COMMAND;
		if (ask(up, q->asked, q->asked_count))
			return;
		queries_answer(up, NULL);
	}
	/* Leases first: they must not wait for a gateway that does not answer queries. */
	if (status.state != CLIENT_ASSIGNED || status.pending != NULL)
		return;
	if (q->refresh) {
		q->current = QUERY_ALL;
		q->refresh = false;
		if (ask(up, NULL, 0))
			return;
		q->refresh = true;
	} else if (q->unknown_count > 0) {
		q->current = QUERY_UNKNOWN;
		if (ask(up, &unknown, 1))
			return;
	}
	q->current = NO_QUERY;
}

void queries_refresh(struct up *up)
{
	up->queries.refresh = true;
}

/* FNV-1a over the prefixes, whatever their order */
static void add_network(const struct addr_prefix *prefix, void *arg)
{
	uint64_t hash = 0xcbf29ce484222325, value = (uint64_t)prefix->network << 8 | prefix->length;

	for (unsigned int i = 0; i < 5; i++)
		hash = (hash ^ (value >> 8 * i & 0xff)) * 0x100000001b3;
	*(uint64_t *)arg += hash;
}

void queries_networks(struct up *up)
{
	uint64_t digest = 0;

	if (kernel_subnets(&up->asks, add_network, &digest) || digest == up->queries.networks)
		return;
	up->queries.networks = digest;
	queries_refresh(up);
}

void queries_unknown(struct up *up, __be32 addr)
{
	struct queries *q = &up->queries;
	struct addr_prefix prefix = { addr, 32 };

	if (q->unknown_count == UNKNOWN_MAX || locality_known(&q->known, &prefix) != LOCALITY_UNKNOWN)
		return;
	for (size_t i = 0; i < q->unknown_count; i++)
		if (q->unknown[i] == addr)
			return;
	q->unknown[q->unknown_count++] = addr;
}

void queries_end(struct up *up)
{
	queries_answer(up, NULL);
	if (up->queries.reply != NULL)
		answer_command(up, NULL);
}
