// SPDX-License-Identifier: GPL-2.0-only
/*
 * See replay.h. A request is remembered by a hash of its bytes: a host that
 * makes two of its own collide only deceives itself.
 *
 * Over TCP nothing is lost or repeated on one connection, and counters are a
 * host's own affair: there a duplicate is what comes again on the next
 * connection, and no counter is too old.
 */
#include "rsipd/replay.h"

#include <stdlib.h>
#include <string.h>

#include "rsipd/table.h"

#define DEPARTED_SLOTS	8192

uint64_t replay_hash(const uint8_t *data, size_t len)
{
	uint64_t hash = 0, word;

	for (; len >= sizeof(word); data += sizeof(word), len -= sizeof(word)) {
		memcpy(&word, data, sizeof(word));
		hash = table_hash(hash ^ word, 0);
	}
	word = 0;
	memcpy(&word, data, len);
	return table_hash(hash ^ word, len);
}

static bool is_same(const struct replay *last, const struct replay_request *request)
{
	return last->known && request->has_counter && last->counter == request->counter &&
	       last->type == request->type && last->len == request->len && last->hash == request->hash;
}

enum replay_verdict replay_judge(const struct replay *last, const struct replay_request *request)
{
	bool same = is_same(last, request);

	if (!last->known || !request->has_counter || last->tcp != request->from->tcp)
		return REPLAY_NEW;
	if (last->tcp)
		return same && last->connection != request->from->connection ? REPLAY_AGAIN : REPLAY_NEW;
	if (request->type == RSIP_REGISTER_REQUEST)
		return same && request->now - last->when <= REPLAY_REGISTER_MS ? REPLAY_AGAIN : REPLAY_NEW;
	if (same)
		return REPLAY_AGAIN;
	return (int32_t)(request->counter - last->counter) < 0 ? REPLAY_OLD : REPLAY_NEW;
}

void replay_store(struct replay *last, const struct replay_request *request, const uint8_t *answer, size_t len)
{
	replay_clear(last);
	if (!request->has_counter)
		return;
	*last = (struct replay){
		.hash = request->hash,
		.when = request->now,
		.connection = request->from->connection,
		.counter = request->counter,
		.len = request->len,
		.type = request->type,
		.known = true,
		.tcp = request->from->tcp,
	};
	replay_answer(last, answer, len);
}

void replay_answer(struct replay *last, const uint8_t *answer, size_t len)
{
	free(last->answer);
	last->answer_len = 0;
	last->answer = len ? malloc(len) : NULL;
	if (!last->answer)
		return;
	memcpy(last->answer, answer, len);
	last->answer_len = len;
}

void replay_clear(struct replay *last)
{
	free(last->answer);
	*last = (struct replay){ 0 };
}

/* --- hosts that are gone ------------------------------------------------------------ */

struct departed {
	uint64_t secret;
	struct {
		__be32 source;
		uint64_t until;
		struct replay last;
	} slots[DEPARTED_SLOTS];
};

static size_t slot_of(const struct departed *departed, __be32 source)
{
	return table_hash(source, departed->secret) % DEPARTED_SLOTS;
}

struct departed *departed_new(void)
{
	struct departed *departed = calloc(1, sizeof(*departed));

	if (departed)
		arc4random_buf(&departed->secret, sizeof(departed->secret));
	return departed;
}

void departed_free(struct departed *departed)
{
	for (size_t i = 0; departed && i < DEPARTED_SLOTS; i++)
		replay_clear(&departed->slots[i].last);
	free(departed);
}

void departed_add(struct departed *departed, __be32 source, struct replay *last, uint64_t now)
{
	size_t i = slot_of(departed, source);

	replay_clear(&departed->slots[i].last);
	departed->slots[i].source = source;
	departed->slots[i].until = now + REPLAY_DEPARTED_MS;
	departed->slots[i].last = *last;
	*last = (struct replay){ 0 };
}

const struct replay *departed_find(const struct departed *departed, const struct replay_request *request)
{
	size_t i = slot_of(departed, request->from->source);
	const struct replay *last = &departed->slots[i].last;

	/* A stored REGISTER_RESPONSE would name a registration that is over. */
	if (departed->slots[i].source != request->from->source || request->now > departed->slots[i].until ||
	    !last->answer || request->type == RSIP_REGISTER_REQUEST)
		return NULL;
	return replay_judge(last, request) == REPLAY_AGAIN ? last : NULL;
}
