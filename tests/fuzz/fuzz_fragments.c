// SPDX-License-Identifier: GPL-2.0-only
/*
 * Any fragments at the daemon: of few packets and sources, so that they meet,
 * with any offsets, lengths and times. What comes out is held against what went
 * in: no byte of a packet twice, each where it was, and nothing is kept for
 * longer than it may be. The input is a row of steps of STEP bytes:
 *
 *	0	bit 0: of a tunnel packet; 1: more follow; 2: of a host; 3: its target is known; 4: header with options;
 *		5: the ID is another; 6: the next bytes are the fragment, as they are
 *	1	time that has passed, in 40 ms
 *	2, 3	offset, in units of 8 bytes
 *	4, 5	bytes of payload
 *	6	source
 *	7	units that went on without rsipd
 */
#include "fuzz.h"

#include <arpa/inet.h>
#include <string.h>

#include "rsipd/fragments.h"

#define STEP	8
#define SOURCES	4
#define IDS	2
#define KINDS	2
#define UNITS	8192	/* of a packet */

enum { OUTER = 1, MORE = 2, OF_HOST = 4, KNOWN = 8, OPTIONS = 16, OTHER_ID = 32, RAW = 64 };

static struct rsip_event_fragment event;
static uint8_t gone[SOURCES][IDS][2][UNITS];	/* has gone on since its packet began: by source, ID and host or not */
static uint64_t now;

static uint8_t pattern(size_t at)
{
	return (uint8_t)(at * 7 + at / 256);
}

static uint8_t *gone_of(const struct rsip_fragment_key *key)
{
	return gone[ntohl(key->src) % SOURCES][ntohs(key->id) % IDS][key->client != 0];
}

static void on_send(const struct rsip_event_fragment *sent, void *arg)
{
	size_t header = (sent->packet[0] & 15u) * 4, at = ((sent->packet[6] & 0x1fu) << 8 | sent->packet[7]);
	uint8_t *units = gone_of(&sent->key);

	(void)arg;
	claim(sent->kind == RSIP_EVENT_FRAGMENT, "kind %u", sent->kind);
	claim(sent->target.generation, "nobody's goes on");
	claim(sent->len > header && at * 8 + sent->len <= 65535, "%u bytes at unit %zu", sent->len, at);
	for (size_t unit = at; unit < at + (sent->len - header + 7) / 8; unit++) {
		claim(!units[unit], "unit %zu twice", unit);
		units[unit] = 1;
	}
}

static void on_whole(const uint8_t *packet, size_t len, void *arg)
{
	size_t header = (packet[0] & 15u) * 4;
	uint32_t sum = 0;

	(void)arg;
	claim(len > header && len <= 65535 && (size_t)(packet[2] << 8 | packet[3]) == len, "%zu bytes", len);
	claim(!(packet[6] & 0x3f) && !packet[7], "still a fragment");
	for (size_t i = 0; i < header; i += 2)
		sum += (uint32_t)(packet[i] << 8 | packet[i + 1]);
	while (sum >> 16)
		sum = (sum >> 16) + (sum & 0xffff);
	claim(sum == 0xffff, "checksum %x", sum);
}

static void on_done(const struct rsip_fragment_key *key, void *arg)
{
	(void)arg;
	memset(gone_of(key), 0, UNITS);
}

/* A fragment with a header that is right, as the data plane hands on nothing else. */
static void make(const uint8_t *step)
{
	size_t header = step[0] & OPTIONS ? 24 : 20, payload = (step[4] << 8 | step[5]) % 1500 + 1;
	unsigned int units = (step[2] << 8 | step[3]) % UNITS;

	if (step[0] & MORE)
		payload = (payload + 7) / 8 * 8;
	event.len = (uint32_t)(header + payload);
	memset(event.packet, 0, header);
	event.packet[0] = (uint8_t)(0x40 | header / 4);
	event.packet[2] = (uint8_t)(event.len >> 8);
	event.packet[3] = (uint8_t)event.len;
	event.packet[6] = (uint8_t)(units >> 8 | (step[0] & MORE ? 0x20 : 0));
	event.packet[7] = (uint8_t)units;
	for (size_t i = 0; i < payload; i++)
		event.packet[header + i] = pattern(units * 8 + i);
}

static size_t take_raw(const uint8_t *data, size_t len, const uint8_t *step)
{
	size_t n = (step[4] << 8 | step[5]) % sizeof(event.packet);

	event.len = (uint32_t)(n < len ? n : len);
	memcpy(event.packet, data, event.len);
	return event.len;
}

/* Returns how many bytes of what follows the step it took. */
static size_t do_step(struct fragments *f, const uint8_t *step, const uint8_t *rest, size_t len)
{
	struct fragments_held held;
	size_t used = 0;

	event.kind = step[0] & OUTER ? RSIP_EVENT_OUTER : RSIP_EVENT_FRAGMENT;
	event.key = (struct rsip_fragment_key){
		.src = htonl(1 * SOURCES + step[6] % SOURCES), .dst = htonl(9), .proto = 17, .id = htons(!!(step[0] & OTHER_ID)),
		.client = step[0] & OF_HOST ? htonl(77) : 0,
	};
	event.target = (struct rsip_target){ 1, step[0] & KNOWN ? 5 : 0 };
	event.passed = step[0] & OUTER ? 0 : step[7];
	if (step[0] & RAW)
		used = take_raw(rest, len, step);
	else
		make(step);
	now += step[1] * 40;
	fragments_add(f, &event, now);
	held = fragments_held(f);
	claim(held.packets <= SOURCES * IDS * KINDS * 2 && held.bytes <= FRAGMENTS_BYTES, "%zu packets with %zu bytes", held.packets,
	      held.bytes);
	return used;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const struct fragments_calls calls = { .send = on_send, .whole = on_whole, .done = on_done };
	struct fragments *f = fragments_new(&calls);
	struct fragments_held held;

	now = 0;
	while (len >= STEP) {
		const uint8_t *step = data;
		size_t used;

		data += STEP;
		len -= STEP;
		used = do_step(f, step, data, len);
		data += used;
		len -= used;
	}
	fragments_tick(f, now + FRAGMENTS_MS);
	held = fragments_held(f);
	claim(!held.packets && !held.bytes, "%zu packets with %zu bytes are kept", held.packets, held.bytes);
	fragments_free(f);
	return 0;
}
