// SPDX-License-Identifier: GPL-2.0-only
/*
 * Any bytes as a record of the store: alone, and with the checksum that belongs to
 * them. What is taken is within all limits, and written again it is the same bytes.
 * The input is the record without its checksum.
 */
#include "fuzz.h"

#include <arpa/inet.h>
#include <string.h>
#include <zlib.h>

#include "rsipd/record.h"

#define NUMBER	3

static struct record record;

/* As record.c does: over the number, then the record. */
static size_t add_checksum(uint8_t *data, size_t len)
{
	const uint8_t number[8] = { [7] = NUMBER };
	uint32_t sum = htonl(crc32(crc32(0, number, sizeof(number)), data, len));

	memcpy(data + len, &sum, sizeof(sum));
	return len + sizeof(sum);
}

static void check_bind(const struct record_bind *bind)
{
	const struct pool_grant *grant = &bind->grant;

	claim(bind->client_id && bind->bind_id, "no IDs");
	claim(bind->remote_count <= RSIP_REMOTES_MAX, "%u remotes", bind->remote_count);
	claim(grant->port_count <= RSIP_PORTS_MAX, "%u ports", grant->port_count);
	claim(grant->port_form != MSG_RUN || grant->port_first + grant->port_count <= 65536, "port %u", grant->port_first);
	for (unsigned int i = 0; grant->port_form == MSG_LIST && i < grant->port_count; i++)
		claim(grant->port_list[i], "port 0");
	for (unsigned int i = 0; i < grant->spi_count; i++)
		claim(grant->spis[i], "SPI 0");
}

static size_t encode(uint8_t *out)
{
	switch (record.kind) {
	case RECORD_CLOCK:
		return record_clock_encode(NUMBER, &record.clock, out);
	case RECORD_CLIENT:
		claim(record.client.last.answer_len <= RSIP_MESSAGE_MAX, "an answer of %zu bytes",
		      (size_t)record.client.last.answer_len);
		return record_client_encode(NUMBER, &record.client, out);
	case RECORD_BIND:
		check_bind(&record.bind);
		return record_bind_encode(NUMBER, &record.bind, out);
	}
	claim(false, "kind %d", record.kind);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static uint8_t out[RECORD_MAX];
	uint8_t *copy = malloc(len + 4);
	size_t written;

	memcpy(copy, data, len);
	record_decode(NUMBER, data, len, &record);
	len = add_checksum(copy, len);
	if (!record_decode(NUMBER, copy, len, &record)) {
		written = encode(out);
		claim(written == len && !memcmp(out, copy, len), "%zu bytes, then %zu", len, written);
	}
	free(copy);
	return 0;
}
