/* SPDX-License-Identifier: GPL-2.0-only */
/* Values of the data plane as text and JSON. */
#include "lib/show.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/addr.h"

static const struct {
	const char *name, *verdict, *text;
} outcomes[RSIP_OUTCOME_COUNT] = {
#define X(name, verdict, text) [RSIP_##name] = { #name, #verdict, text },
	RSIP_OUTCOMES(X)
#undef X
};

/* IN_NO_SPI: in-no-spi */
static void put_name(char *out, size_t capacity, const char *name)
{
	size_t i = 0;

	for (; name[i] && i + 1 < capacity; i++)
		out[i] = name[i] == '_' ? '-' : (char)tolower((unsigned char)name[i]);
	out[i] = 0;
}

const struct show_outcome *show_outcome(unsigned int outcome)
{
	static struct show_outcome shown[RSIP_OUTCOME_COUNT];
	static char verdicts[RSIP_OUTCOME_COUNT][8];
	struct show_outcome *out = &shown[outcome];

	if (!out->text) {
		put_name(out->name, sizeof(out->name), outcomes[outcome].name);
		put_name(verdicts[outcome], sizeof(verdicts[outcome]), outcomes[outcome].verdict);
		out->verdict = verdicts[outcome];
		out->text = outcomes[outcome].text;
	}
	return out;
}

json_t *show_counters(const struct rsip_counter counters[static RSIP_OUTCOME_COUNT])
{
	json_t *list = json_array();

	for (unsigned int i = 1; i < RSIP_OUTCOME_COUNT; i++) {
		const struct show_outcome *outcome = show_outcome(i);

		json_array_append_new(list, json_pack("{ss ss sI sI ss}", "outcome", outcome->name,
						      "verdict", outcome->verdict,
						      "packets", (json_int_t)counters[i].packets,
						      "bytes", (json_int_t)counters[i].bytes,
						      "text", outcome->text));
	}
	return list;
}

json_t *show_numbers(const uint32_t *numbers, size_t count, bool hex)
{
	char *text = NULL;
	size_t len;
	FILE *memory;
	json_t *shown;

	if (!count)
		return json_null();
	memory = open_memstream(&text, &len);
	if (!memory)
		return NULL;
	for (size_t i = 0; i < count;) {
		size_t last = i;

		while (last + 1 < count && numbers[last] != UINT32_MAX && numbers[last + 1] == numbers[last] + 1)
			last++;
		fprintf(memory, hex ? "%s0x%" PRIx32 : "%s%" PRIu32, i ? "," : "", numbers[i]);
		if (last > i)
			fprintf(memory, hex ? "-0x%" PRIx32 : "-%" PRIu32, numbers[last]);
		i = last + 1;
	}
	shown = fclose(memory) ? NULL : json_string(text);
	free(text);
	return shown;
}

json_t *show_addr(__be32 addr)
{
	char text[ADDR_TEXT_LEN];

	return json_string(addr_text(addr, text));
}

json_t *show_remote(__be32 addr, uint16_t port)
{
	char text[ADDR_TEXT_LEN];

	if (!addr)
		return json_string("any");
	if (!port)
		return show_addr(addr);
	return json_sprintf("%s:%u", addr_text(addr, text), port);
}
