// SPDX-License-Identifier: GPL-2.0-only
/*
 * Any bytes as a message: read at the gateway and at the host, under all flags.
 * What can be read is written and read again, and must say the same. The input
 * is the message.
 */
#include "fuzz.h"

#include <string.h>

#include "lib/msg.h"

static void check_tuples(const struct msg *m)
{
	const uint8_t *at = m->tuples;
	size_t left = m->tuples_len;
	struct msg_tuple tuple;
	uint8_t out[512];

	claim(!!(m->has & MSG_HAS_TUPLES) == (left > 0), "%zu bytes", left);
	while (left) {
		claim(msg_tuple_next(&at, &left, &tuple), "%zu bytes are no tuple", left);
		claim(at + left == m->tuples + m->tuples_len, "it left the message");
		claim(msg_tuple_write(&tuple, out, sizeof(out)), "cannot be written");
	}
}

/* Cut at every length it must end, and not be longer than the buffer. */
static void check_text(const struct msg *m)
{
	static const size_t lengths[] = { 1, 2, 40, 400, 70000 };
	static char text[70000];

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		memset(text, 'x', sizeof(text));
		msg_text(m, text, lengths[i]);
		claim(strnlen(text, lengths[i]) < lengths[i], "no end within %zu", lengths[i]);
	}
}

static bool comes_first(const struct msg *m, uint8_t param, uint8_t other)
{
	for (unsigned int i = 0; i < m->order_count; i++) {
		if (m->order[i] == param || m->order[i] == other)
			return m->order[i] == param;
	}
	return false;
}

/* What a host takes though nobody sends it: no Tunnel Type, or Lease Time and Tunnel Type changed over. */
static bool is_liberal(const struct msg *m)
{
	bool grants = (m->has & MSG_HAS(RSIP_PARAM_BIND_ID)) && (m->has & MSG_HAS_LOCAL);

	return m->type == RSIP_LISTEN_RESPONSE ||
	       (grants && (!m->tunnel_count || comes_first(m, RSIP_PARAM_TUNNEL_TYPE, RSIP_PARAM_LEASE_TIME)));
}

static void check_round(const struct msg *m, size_t len, enum msg_role role, unsigned int flags)
{
	static uint8_t first[RSIP_MESSAGE_MAX], second[RSIP_MESSAGE_MAX];
	static char before[70000], after[70000];
	size_t written = msg_encode(m, first, sizeof(first)), again;
	struct msg_fault fault;
	struct msg copy;

	if (!written && role == MSG_AT_HOST && is_liberal(m))
		return;
	/* Repeated parameters beyond MSG_REPEAT_MAX are left out, and a list of 0 ports is written as 1. */
	claim(written, "%s of %zu bytes was read, but cannot be written", msg_type_name(m->type), len);
	claim(msg_frame_len(first, written) == (int)written, "%zu bytes", written);
	claim(msg_decode(first, written, role, flags, &copy, &fault), "%s", fault.text);
	again = msg_encode(&copy, second, sizeof(second));
	claim(again == written && !memcmp(first, second, again), "%zu bytes, then %zu", written, again);
	claim(copy.has == m->has, "has 0x%x, then 0x%x", m->has, copy.has);
	if (m->rports.count && m->remote.type != RSIP_ADDR_RESERVED && m->local.type != RSIP_ADDR_RESERVED) {
		msg_text(m, before, sizeof(before));
		msg_text(&copy, after, sizeof(after));
		claim(!strcmp(before, after), "%s\n%s", before, after);
	}
	claim(!msg_encode(m, second, written - 1), "%zu bytes fit into one less", written);
}

static void check(const uint8_t *data, size_t len, enum msg_role role, unsigned int flags)
{
	struct msg_fault fault;
	struct msg m;

	if (msg_decode(data, len, role, flags, &m, &fault)) {
		check_tuples(&m);
		check_round(&m, len, role, flags);
		if (!flags)
			check_text(&m);
		return;
	}
	claim(memchr(fault.text, 0, sizeof(fault.text)) && fault.text[0], "no reason for error %u", fault.error);
	claim(role == MSG_AT_GATEWAY || !fault.error, "a host answers %u", fault.error);
	claim(!fault.error || strcmp(msg_error_name(fault.error), "?"), "no such error: %u", fault.error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	int frame = msg_frame_len(data, len);

	claim(frame >= -1 && (frame < 0 || (size_t)frame <= len), "%d of %zu bytes", frame, len);
	for (unsigned int flags = 0; flags < 2 * MSG_NO_IPSEC; flags++)
		check(data, len, MSG_AT_GATEWAY, flags);
	check(data, len, MSG_AT_HOST, 0);
	check(data, len, MSG_AT_HOST, MSG_UDP);
	return 0;
}
