/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The message codec against the golden vectors, both ways, and against what
 * can be made of them: cut at every byte, every byte changed.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "lib/msg.h"
#include "vectors.h"

#define ARRAY(x) (sizeof(x) / sizeof((x)[0]))
#define TEXT 2048

static uint8_t out[RSIP_MESSAGE_MAX + 1];

static enum msg_role role_of(const struct vector *v)
{
	return v->to_host ? MSG_AT_HOST : MSG_AT_GATEWAY;
}

static unsigned int flags_of(const struct vector *v)
{
	/* This one has no counter, so it is TCP, though not marked. */
	bool tcp = v->tcp || !strcmp(v->name, "form-register-response-min");
	unsigned int flags = tcp ? 0 : MSG_UDP;

	if (strstr(v->notes, "[config: RSA-IP off]"))
		flags |= MSG_NO_RSA;
	if (strstr(v->notes, "[config: LISTEN off]"))
		flags |= MSG_NO_LISTEN;
	if (strstr(v->notes, "[config: IPsec off]"))
		flags |= MSG_NO_IPSEC;
	if (strstr(v->notes, "[config: UDP off]"))
		flags |= MSG_REFUSE_UDP;
	return flags;
}

static bool named(const struct vector *v, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (!strcmp(v->name, names[i]))
			return true;
	}
	return false;
}
#define NAMED(v, names) named(v, names, ARRAY(names))

/* Hex with blanks; the second byte pair of the length may be "..": filled in. */
static size_t bytes_of(const char *hex, uint8_t *to)
{
	size_t len = 0;
	bool fill = false;
	unsigned int byte;

	for (; *hex; hex++) {
		if (*hex == ' ')
			continue;
		if (!strncmp(hex, "....", 4)) {
			fill = true;
			len += 2;
			hex += 3;
			continue;
		}
		cr_assert(sscanf(hex, "%2x", &byte) == 1, "%s", hex);
		to[len++] = byte;
		hex++;
	}
	if (fill) {
		to[2] = len >> 8;
		to[3] = len;
	}
	return len;
}

/* covers: W-01 W-03 W-04 W-05 W-16 W-17 W-18 W-19 W-20 W-21 W-22 W-25 W-29 W-32 T-11 */
Test(msg, canonical_vectors_both_ways)
{
	const struct vector *v = vectors();
	struct msg_fault fault;
	struct msg m;
	char text[TEXT];
	int count = 0;

	for (int i = 0; i < VECTORS; i++, v++) {
		if (!v->canonical)
			continue;
		count++;
		if (!msg_decode(v->data, v->len, role_of(v), flags_of(v) & ~MSG_REFUSE_UDP, &m, &fault)) {
			cr_expect(0, "%s: %u %s", v->name, fault.error, fault.text);
			continue;
		}
		cr_expect(eq(str, (char *)msg_text(&m, text, sizeof(text)), v->summary), "%s", v->name);
		cr_expect(eq(sz, msg_encode(&m, out, sizeof(out)), v->len), "%s", v->name);
		cr_expect_arr_eq(out, v->data, v->len, "%s", v->name);
	}
	/* 31 of RFC 3103, 23 ips, 45 form, 34 err, 27 st */
	cr_expect(eq(int, count, 160));
}

/* Messages made here stand in the order of the grammar, which is the one of the traces. */
/* covers: W-04 W-32 IPS-11 */
Test(msg, the_order_we_send)
{
	static const char *const other[] = {
		"form-rsap-tunnel-endpoint", "form-optional-order", "form-vendor-twice", "form-query-counter-last",
		"form-listen-two-tunnels", "st-tunnel-l2tp", "st-tunnel-reserved",
	};
	const struct vector *v = vectors();
	struct msg_fault fault;
	struct msg m;
	int count = 0;

	for (int i = 0; i < VECTORS; i++, v++) {
		if (!v->canonical)
			continue;
		cr_assert(msg_decode(v->data, v->len, role_of(v), 0, &m, &fault), "%s", v->name);
		m.order_count = 0;
		cr_expect(eq(sz, msg_encode(&m, out, sizeof(out)), v->len), "%s", v->name);
		cr_expect(eq(int, !memcmp(out, v->data, v->len), !NAMED(v, other)), "%s", v->name);
		count += !memcmp(out, v->data, v->len);
	}
	cr_expect(eq(int, count, 153));
}

static void drop(char *text, const char *what)
{
	char *at;

	while ((at = strstr(text, what)))
		memmove(at, at + strlen(what), strlen(at + strlen(what)) + 1);
}

/* covers: W-17 W-19 W-23 W-33 A-01 A-02 A-04 A-09 A-10 A-11 A-54 */
Test(msg, liberal_forms_are_read_and_never_sent)
{
	static const char *const never[] = { "lib-response-swapped", "lib-response-no-tunnel" };
	static const char *const plain[] = { "lib-error-unknown-code", "lib-error-400" };
	const struct vector *v = vectors();
	struct msg_fault fault;
	struct msg m, again;
	char text[TEXT], expected[TEXT];
	int count = 0;
	size_t len;

	for (int i = 0; i < VECTORS; i++, v++) {
		if (!v->accept)
			continue;
		count++;
		cr_assert(msg_decode(v->data, v->len, role_of(v), flags_of(v), &m, &fault), "%s: %s", v->name, fault.text);
		strcpy(expected, v->summary);
		/* How don't-care was written is not kept. */
		drop(expected, "(0.0.0.0)");
		drop(expected, "(::)");
		if (strstr(expected, "-any(0)"))
			drop(expected, "(0)");
		cr_expect(eq(str, (char *)msg_text(&m, text, sizeof(text)), expected), "%s", v->name);
		len = msg_encode(&m, out, sizeof(out));
		if (NAMED(v, never)) {
			cr_expect(eq(sz, len, 0), "%s", v->name);
			continue;
		}
		cr_expect(gt(sz, len, 0), "%s", v->name);
		cr_expect(eq(int, len == v->len && !memcmp(out, v->data, len), NAMED(v, plain)), "%s", v->name);
		cr_expect(msg_decode(out, len, role_of(v), flags_of(v), &again, &fault), "%s: %s", v->name, fault.text);
	}
	cr_expect(eq(int, count, 12));
}

/* covers: E-02 E-03 W-02 W-06 W-07 W-08 W-09 W-10 W-11 W-12 W-13 W-16 W-18 W-21 W-24 W-27 T-10 T-12 T-24 T-25 QRY-05 */
Test(msg, malformed_vectors_give_their_error)
{
	/* The others have a Client ID that can be read. */
	static const char *const no_client[] = {
		"bad-length-3", "bad-length-long", "bad-length-short", "bad-client-len-0", "bad-client-len-3",
		"bad-client-len-5", "bad-vendor-len-3", "bad-missing-client", "bad-missing-client-dereg", "bad-extra-method",
		"bad-extra-flow",
		/* 105, 106 and 206 go without (table 1.4) */
		"bad-udp-no-counter", "bad-udp-register-no-counter", "bad-version-0", "bad-version-2", "bad-version-255",
		"bad-type-0", "bad-type-18", "bad-type-24", "bad-type-241",
	};
	const struct vector *v = vectors();
	struct msg_fault fault;
	struct msg m;
	int count = 0;

	for (int i = 0; i < VECTORS; i++, v++) {
		if (!vector_is(v, "bad-") || !v->error)
			continue;
		count++;
		cr_expect(not(msg_decode(v->data, v->len, MSG_AT_GATEWAY, flags_of(v), &m, &fault)), "%s", v->name);
		cr_expect(eq(u16, fault.error, v->error), "%s: %s", v->name, fault.text);
		cr_expect(eq(u32, fault.counter, v->counter), "%s: %s", v->name, fault.text);
		cr_expect(eq(int, fault.has_client, !NAMED(v, no_client)), "%s", v->name);
		cr_expect(eq(u32, fault.client_id, fault.has_client ? 9 : 0), "%s", v->name);
		cr_expect(eq(u8, fault.type, v->data[1]), "%s", v->name);
		cr_expect(not(fault.has_bind), "%s", v->name);
		cr_expect(not(fault.close), "%s: UDP has nothing to close", v->name);
		cr_expect(ne(chr, fault.text[0], '\0'), "%s", v->name);
	}
	cr_expect(eq(int, count, 97));
}

/* covers: T-07 */
Test(msg, udp_refused)
{
	const struct vector *v = vector_named("st-udp-refused");
	struct msg_fault fault;
	struct msg m;

	cr_expect(not(msg_decode(v->data, v->len, MSG_AT_GATEWAY, flags_of(v), &m, &fault)));
	cr_expect(eq(u16, fault.error, v->error));
	cr_expect(eq(u32, fault.counter, v->counter));
	cr_expect(not(fault.has_client));
	/* The same over TCP is welcome. */
	cr_expect(msg_decode(v->data, v->len, MSG_AT_GATEWAY, MSG_REFUSE_UDP, &m, &fault));
}

/* covers: W-14 W-35 E-01 E-02 */
Test(msg, silence_at_the_gateway)
{
	const struct vector *v = vectors();
	struct msg_fault fault;
	struct msg m;
	int count = 0;

	for (int i = 0; i < VECTORS; i++, v++) {
		if (!vector_is(v, "bad-") || !v->silence)
			continue;
		count++;
		cr_expect(not(msg_decode(v->data, v->len, MSG_AT_GATEWAY, flags_of(v), &m, &fault)), "%s", v->name);
		cr_expect(eq(u16, fault.error, 0), "%s: %s", v->name, fault.text);
	}
	cr_expect(eq(int, count, 5));
	/* And every response, sent to a gateway, whatever else is wrong with an ERROR_RESPONSE. */
	for (v = vectors(); v < vectors() + VECTORS; v++) {
		if (!v->to_host || v->data[0] != RSIP_VERSION || v->data[1] % 2 == 0)
			continue;
		cr_expect(not(msg_decode(v->data, v->len, MSG_AT_GATEWAY, flags_of(v), &m, &fault)), "%s", v->name);
		cr_expect(eq(u16, fault.error, 0), "%s: %s", v->name, fault.text);
	}
	v = vector_named("bad-response-1");
	cr_expect(not(msg_decode(v->data, v->len, MSG_AT_GATEWAY, MSG_UDP | MSG_REFUSE_UDP, &m, &fault)));
	cr_expect(eq(u16, fault.error, 0), "%s", fault.text);
	cr_expect(not(msg_decode(v->data, v->len - 1, MSG_AT_GATEWAY, MSG_UDP, &m, &fault)));
	cr_expect(eq(u16, fault.error, 0), "%s", fault.text);
}

/* covers: W-31 W-35 FAIL-14 A-21 */
Test(msg, faulty_messages_at_the_host)
{
	static const struct { const char *name; bool good; bool client, bind; uint32_t client_id, bind_id; } rows[] = {
		{ "host-bad-register-no-flow", false, true, false, 9, 0 },
		{ "host-bad-counter-mismatch", true },
		{ "host-bad-dereg-unknown", true },
		{ "host-bad-free-unknown", true },
		{ "host-bad-assign-no-bind", false, true, false, 9, 0 },
		{ "host-bad-assign-ports", false, true, true, 9, 5 },
		{ "host-bad-assign-tunnel", true },
		{ "host-bad-request", false },
		{ "host-bad-version", false, true, true, 9, 1 },
	};
	struct msg_fault fault;
	struct msg m;

	for (size_t i = 0; i < ARRAY(rows); i++) {
		const struct vector *v = vector_named(rows[i].name);

		cr_expect(eq(int, msg_decode(v->data, v->len, MSG_AT_HOST, MSG_UDP, &m, &fault), rows[i].good), "%s: %s",
			  v->name, fault.text);
		cr_expect(eq(u16, fault.error, 0), "%s: hosts never send errors", v->name);
		cr_expect(eq(int, fault.has_client, rows[i].client), "%s", v->name);
		cr_expect(eq(int, fault.has_bind, rows[i].bind), "%s", v->name);
		cr_expect(eq(u32, fault.client_id, rows[i].client_id), "%s", v->name);
		cr_expect(eq(u32, fault.bind_id, rows[i].bind_id), "%s", v->name);
		if (!rows[i].good)
			cr_expect(eq(u8, fault.type, v->data[1]), "%s", v->name);
	}
}

/* covers: E-01 E-02 E-03 A-53 T-12 T-25 W-27 */
Test(msg, of_two_faults_the_first_by_order_or_place)
{
	static const struct { const char *hex; uint16_t error; uint32_t counter; const char *what; } rows[] = {
		{ "0201 0003", 106, 0, "version before everything" },
		{ "0202 0004 0b0004 00000007", 106, 0, "version; nothing beyond the overall length" },
		{ "0212 000c 0b0004 00000007", 106, 7, "version before the overall length and the type" },
		{ "0112 000c 0b0004 00000007", 207, 7, "overall length before the type" },
		{ "0112 .... 0b0004 00000007 04", 206, 7, "type before the framing" },
		{ "0106 .... 0b0004 00000007 04", 208, 7, "off before the framing" },
		{ "010c .... 0d0000 0b0004 00000007 04", 207, 7, "framing before an unknown parameter" },
		{ "010c .... 0d0000 040000 0b0004 00000007", 204, 7, "204 left of 205" },
		{ "010c .... 040000 0d0000 0b0004 00000007", 205, 7, "205 left of 204" },
		{ "0102 .... 040000 0b0004 00000007", 203, 7, "203 before 205 in one parameter" },
		{ "010c .... 040004 00000009 040000 0b0004 00000007", 202, 7, "202 before 205 in one parameter" },
		{ "010c .... 050000 040004 00000009 0b0004 00000007", 205, 7, "205 before 207 in one parameter" },
		{ "010c .... 050004 00000001 040000 0b0004 00000007", 207, 7, "207 left of 205" },
		{ "010c .... 050004 00000001 040000", 207, 0, "207 left of 205, nothing to copy" },
		{ "010c .... 050004 00000001 0d0000 0b0004 00000007", 201, 7, "201 left of 204" },
		{ "010c .... 040004 00000009", 201, 0, "201 before 105" },
		{ "010c .... 040004 00000009 050004 00000001 0b0004 00000000", 205, 0, "counter 0" },
		{ "010c .... 040004 00000009 050004 00000001 0b0002 0007 0b0004 00000007", 205, 7, "the first that is well-formed" },
		{ "010c .... 0b0004 00000007 0b0004 00000008 0b00", 207, 7, "the first of two counters" },
		{ "010c .... 04ffff 00000009 0b0004 00000007", 207, 0, "no counter behind a framing fault" },
		{ "0108 .... 040004 00000009 020001 04 010001 01 020001 01 0b0004 00000007", 201, 7, "one Address of two" },
		{ "010e .... 0a0002 0001 010005 01 0a000001 040004 00000009 0b0004 00000007", 207, 7, "tuple before Client ID" },
		{ "010e .... 040004 00000009 0a0002 0001 0a0002 0001 010005 01 0a000001 0b0004 00000007", 201, 7,
		  "an Indicator instead of the Address" },
		{ "010e .... 040004 00000009 0a0002 0002 010005 01 0a000000 0b0004 00000007 010005 02 ff000000", 207, 7,
		  "a counter before the netmask" },
		{ "010e .... 040004 00000009 0a0002 0002 010005 01 0a000000 0b0004 00000007", 201, 7, "no netmask at all" },
		{ "010e .... 040004 00000009 0a0002 0001 0c0004 00f10001 010005 01 0a000001 0b0004 00000007", 207, 7,
		  "a vendor parameter inside a tuple" },
		{ "010e .... 040004 00000009 010000 0b0004 00000007", 205, 7, "a malformed Address without Indicator" },
		{ "010e .... 040004 00000009 0a0002 0001 010005 02 ff000000 0b0004 00000007", 205, 7, "a netmask as address" },
		{ "0116 .... 040004 00000009 010001 01 020000 010001 01 020000 16000a 0002 00001001 00001001 0b0004 00000007", 205,
		  7, "an SPI twice" },
		{ "0116 .... 040004 00000009 010001 01 020000 010001 01 020000 16000a 0002 00001001 00000000 0b0004 00000007", 205,
		  7, "SPI 0 in a list" },
		{ "0108 .... 040004 00000009 010001 01 020003 02 ffff 010001 01 020001 01 0b0004 00000007", 205, 7,
		  "ports 65535 and 65536" },
		{ "0116 .... 040004 00000009 010001 01 020000 010001 01 020000 16000e 0003 00011001 00021001 00011001"
		  " 0b0004 00000007", 205, 7, "an SPI twice, another between" },
		{ "0108 .... 040004 00000009 010001 01 020001 04 010001 01 020003 00 0050 0b0004 00000007", 205, 7,
		  "0 remote ports from 80" },
		{ "0108 .... 040004 00000009 010001 01 020001 01 010005 04 612e2e62 020001 01 0b0004 00000007", 205, 7,
		  "a name with an empty label" },
	};
	struct msg_fault fault;
	uint8_t data[256];
	struct msg m;
	size_t len;

	for (size_t i = 0; i < ARRAY(rows); i++) {
		len = bytes_of(rows[i].hex, data);
		cr_expect(not(msg_decode(data, len, MSG_AT_GATEWAY, MSG_UDP | MSG_NO_RSA, &m, &fault)), "%s", rows[i].what);
		cr_expect(eq(u16, fault.error, rows[i].error), "%s: %s", rows[i].what, fault.text);
		cr_expect(eq(u32, fault.counter, rows[i].counter), "%s: %s", rows[i].what, fault.text);
	}
}

/* covers: W-16 W-31 W-33 W-26 W-15 T-11 A-09 A-10 A-17 */
Test(msg, what_the_host_takes_and_drops)
{
#define GRANTED "040004 00000009 050004 00000002 010005 01 c0000209 020003 08 0519 010001 01 020001 01"
	static const struct { const char *hex; bool good; const char *what; } rows[] = {
		{ "0103 .... 040004 00000009 030004 00000258 090002 0203 0b0004 00000001", true, "a plain registration" },
		{ "0103 .... 040004 00000009 030004 00000258 090002 0003 0b0004 00000001", false, "local policy 0" },
		{ "0103 .... 040004 00000009 030004 00000258 090002 0200 0b0004 00000001", false, "remote policy 0" },
		{ "0103 .... 040004 00000009 030004 00000258 090002 0303 0b0004 00000001", false, "local policy none" },
		{ "0103 .... 040004 00000009 030004 00000258 090002 0104 0b0004 00000001", false, "remote policy 4" },
		{ "0103 .... 040004 00000009 030004 00000258 090002 0203 0b0004 00000001 070001 00", false, "method 0" },
		{ "0103 .... 040004 00000009 030004 00000258 090002 0203 0b0004 00000001 060001 00", false, "tunnel 0" },
		{ "0103 .... 040004 00000009 030004 00000258 090002 0203 0b0004 00000001 0d0003 010203", true, "unknown parameter" },
		{ "0103 .... 040004 00000009 0d0000 030004 00000258 090002 0203 0b0004 00000001", true, "unknown, in between" },
		{ "0103 .... 040004 00000009 060001 01 030004 00000258 090002 0203 0b0004 00000001", false, "tunnel too early" },
		{ "0103 .... 040004 00000009 030004 00000258 090002 0203 0b0004 00000000", false, "counter 0 in an answer" },
		{ "0103 .... 040004 00000009 030004 00000258 090002 0203", false, "no counter over UDP" },
		{ "010d .... 040004 00000009 050004 00000001 0b0004 00000000", true, "counter 0 of its own accord" },
		{ "0109 .... " GRANTED " 030004 00000708 060001 01 0b0004 00000002", true, "the order of the grammar" },
		{ "0109 .... " GRANTED " 060001 01 030004 00000708 0b0004 00000002", true, "tunnel before lease" },
		{ "0109 .... " GRANTED " 030004 00000708 0b0004 00000002", true, "no tunnel" },
		{ "0109 .... " GRANTED " 030004 00000708 0b0004 00000002 060001 01", true, "tunnel last" },
		{ "0109 .... " GRANTED " 060001 01 0b0004 00000002", false, "no lease" },
		{ "0109 .... " GRANTED " 060001 01 060001 01 030004 00000708 0b0004 00000002", false, "two tunnels" },
		{ "0109 .... " GRANTED " 030004 00000708 060001 01 010005 01 0a0000fe 0b0004 00000002", true, "an end point" },
		{ "0109 .... " GRANTED " 030004 00000708 060001 01 010001 01 0b0004 00000002", false, "don't-care end point" },
		{ "0109 .... " GRANTED " 030004 00000708 060001 01 010005 01 00000000 0b0004 00000002", false, "0.0.0.0 end point" },
		{ "0111 .... " GRANTED " 060001 01 030004 00000708 0b0004 00000002", true, "LISTEN, the order of the grammar" },
		{ "0111 .... " GRANTED " 030004 00000708 060001 01 0b0004 00000002", true, "LISTEN, lease before tunnel" },
		{ "0111 .... " GRANTED " 030004 00000708 0b0004 00000002", true, "LISTEN, no tunnel" },
		{ "010b .... 040004 00000009 050004 00000001 060001 01 030004 00000708 0b0004 00000002", false, "tunnel in EXTEND" },
		{ "0112 .... 0b0004 00000002", false, "an unknown message" },
	};
	struct msg_fault fault;
	uint8_t data[256];
	struct msg m;
	size_t len;

	for (size_t i = 0; i < ARRAY(rows); i++) {
		len = bytes_of(rows[i].hex, data);
		cr_expect(eq(int, msg_decode(data, len, MSG_AT_HOST, MSG_UDP, &m, &fault), rows[i].good), "%s: %s", rows[i].what,
			  fault.text);
		cr_expect(eq(u16, fault.error, 0));
	}
}

/* covers: T-09 T-26 */
Test(msg, tcp_closes_when_the_framing_is_lost)
{
	static const struct { const char *hex; uint16_t error; bool close; bool counter; } rows[] = {
		{ "01020003", 207, true, false },
		{ "0202 .... 0b0004 00000002", 106, true, true },
		{ "010c .... 040004 00000009 050004 00000001 0d0000 0b0004 00000002", 204, false, true },
		{ "010c .... 040004 00000009 050004 00000001 0d0000", 204, false, false },
		{ "0112 .... ", 206, false, false },
	};
	struct msg_fault fault;
	uint8_t data[64];
	struct msg m;
	size_t len;

	for (size_t i = 0; i < ARRAY(rows); i++) {
		len = bytes_of(rows[i].hex, data);
		cr_expect(not(msg_decode(data, len, MSG_AT_GATEWAY, 0, &m, &fault)));
		cr_expect(eq(u16, fault.error, rows[i].error), "row %zu", i);
		cr_expect(eq(int, fault.close, rows[i].close), "row %zu", i);
		cr_expect(eq(int, fault.has_counter, rows[i].counter), "row %zu", i);
	}
}

/* All that is sent is read again as the same thing, and sent as the same bytes. */
static void check_stable(const struct msg *m, enum msg_role role, const char *name)
{
	static uint8_t once[RSIP_MESSAGE_MAX], twice[RSIP_MESSAGE_MAX];
	struct msg_fault fault;
	struct msg again;
	size_t len = msg_encode(m, once, sizeof(once));

	if (!len) {
		/* Tunnel Type missing or early: read by a host, never sent. */
		cr_assert(role == MSG_AT_HOST && m->has & MSG_HAS_LOCAL, "%s is read but cannot be sent", name);
		return;
	}
	cr_assert(msg_decode(once, len, role, 0, &again, &fault), "%s: %s", name, fault.text);
	cr_assert(msg_encode(&again, twice, sizeof(twice)) == len && !memcmp(once, twice, len), "%s", name);
}

/* Decodes a copy that has nothing behind it, at both ends and over both transports. */
static unsigned int decode_all(const uint8_t *data, size_t len, const char *name)
{
	uint8_t *copy = malloc(len ? len : 1);
	unsigned int good = 0;
	struct msg_fault fault;
	char text[TEXT];
	struct msg m;

	memcpy(copy, data, len);
	for (int role = MSG_AT_GATEWAY; role <= MSG_AT_HOST; role++) {
		for (unsigned int flags = 0; flags <= MSG_UDP; flags += MSG_UDP) {
			if (!msg_decode(copy, len, role, flags, &m, &fault))
				continue;
			good++;
			if (!flags)
				check_stable(&m, role, name);
			msg_text(&m, text, sizeof(text));
		}
	}
	free(copy);
	return good;
}

/* covers: W-28 W-29 */
Test(msg, every_vector_cut_at_every_byte, .timeout = 120)
{
	const struct vector *v = vectors();
	uint8_t data[512];

	for (int i = 0; i < VECTORS; i++, v++) {
		for (size_t len = 0; len < v->len; len++) {
			cr_assert(decode_all(v->data, len, v->name) == 0 || !strcmp(v->name, "bad-length-short") ||
				  !strcmp(v->name, "bad-two-messages"), "%s cut at %zu is a message", v->name, len);
			if (len < RSIP_HEADER_LEN)
				continue;
			/* Once more with an overall length that fits, to get behind the first check. */
			memcpy(data, v->data, len);
			data[2] = len >> 8;
			data[3] = len;
			decode_all(data, len, v->name);
		}
	}
}

/* covers: W-28 W-29 */
Test(msg, every_vector_with_every_byte_changed, .timeout = 300)
{
	const struct vector *v = vectors();
	uint8_t data[512];

	for (int i = 0; i < VECTORS; i++, v++) {
		cr_assert(lt(sz, v->len, sizeof(data)));
		memcpy(data, v->data, v->len);
		for (size_t at = 0; at < v->len; at++) {
			for (unsigned int byte = 0; byte < 256; byte++) {
				data[at] = byte;
				decode_all(data, v->len, v->name);
			}
			data[at] = v->data[at];
		}
	}
}

/* covers: T-08 */
Test(msg, a_stream_is_cut_by_the_overall_length)
{
	static uint8_t stream[VECTORS * 512];
	const struct vector *v;
	size_t len = 0, from = 0;

	for (v = vectors(); v < vectors() + VECTORS; v++) {
		if (!v->canonical)
			continue;
		for (size_t some = 0; some < v->len; some++)
			cr_assert(eq(int, msg_frame_len(v->data, some), 0), "%s at %zu", v->name, some);
		cr_assert(eq(int, msg_frame_len(v->data, v->len), (int)v->len), "%s", v->name);
		memcpy(stream + len, v->data, v->len);
		len += v->len;
	}
	/* All of them in one piece. */
	for (v = vectors(); v < vectors() + VECTORS; v++) {
		if (!v->canonical)
			continue;
		cr_assert(eq(int, msg_frame_len(stream + from, len - from), (int)v->len), "%s", v->name);
		cr_assert_arr_eq(stream + from, v->data, v->len, "%s", v->name);
		from += v->len;
	}
	cr_assert(eq(sz, from, len));
	for (unsigned int overall = 0; overall < 4; overall++)
		cr_assert(eq(int, msg_frame_len((uint8_t[]){ 1, 2, 0, overall }, 4), -1));
	memcpy(stream, (uint8_t[]){ 1, 2, 0xff, 0xff }, 4);
	cr_assert(eq(int, msg_frame_len(stream, 65534), 0));
	cr_assert(eq(int, msg_frame_len(stream, 65535), 65535));
}

/* covers: QRY-02 QRY-07 W-23 A-01 */
Test(msg, tuples_are_read_one_by_one)
{
	const struct vector *v = vector_named("form-query-response-four-kinds");
	static const struct { uint16_t indicator; const char *addr, *mask; } rows[] = {
		{ RSIP_LOCAL_ADDRESS, "10.1.1.1", "0.0.0.0" },
		{ RSIP_LOCAL_NETWORK, "10.0.0.0", "255.0.0.0" },
		{ RSIP_REMOTE_ADDRESS, "198.51.100.7", "0.0.0.0" },
		{ RSIP_REMOTE_NETWORK, "198.51.100.0", "255.255.255.0" },
	};
	struct msg_fault fault;
	struct msg_tuple tuple;
	struct msg m;
	const uint8_t *at;
	size_t left;

	cr_assert(msg_decode(v->data, v->len, MSG_AT_HOST, MSG_UDP, &m, &fault));
	cr_assert(eq(u32, m.has & MSG_HAS_TUPLES, MSG_HAS_TUPLES));
	at = m.tuples;
	left = m.tuples_len;
	for (size_t i = 0; i < ARRAY(rows); i++) {
		cr_assert(msg_tuple_next(&at, &left, &tuple));
		cr_expect(eq(u16, tuple.indicator, rows[i].indicator));
		cr_expect(eq(u8, tuple.addr.type, RSIP_ADDR_IPV4));
		cr_expect(eq(u32, tuple.addr.v4, inet_addr(rows[i].addr)));
		cr_expect(eq(u32, tuple.mask, inet_addr(rows[i].mask)));
	}
	cr_expect(not(msg_tuple_next(&at, &left, &tuple)));

	/* None at all, and tuples on both sides of a counter. */
	v = vector_named("form-query-all");
	cr_assert(msg_decode(v->data, v->len, MSG_AT_GATEWAY, MSG_UDP, &m, &fault));
	cr_expect(eq(u32, m.has & MSG_HAS_TUPLES, 0));
	uint8_t data[64];
	size_t len = bytes_of("010e .... 040004 00000009 0a0002 0001 010005 01 0a000001 0b0004 00000002"
			      " 0a0001 01 010005 01 0a000002", data);
	cr_assert(msg_decode(data, len, MSG_AT_GATEWAY, MSG_UDP, &m, &fault), "%s", fault.text);
	at = m.tuples;
	left = m.tuples_len;
	for (uint32_t i = 1; i <= 2; i++) {
		cr_assert(msg_tuple_next(&at, &left, &tuple));
		cr_expect(eq(u32, ntohl(tuple.addr.v4), 0x0a000000 + i));
	}
	cr_expect(not(msg_tuple_next(&at, &left, &tuple)));
}

/* covers: T-34 */
Test(msg, a_tuple_is_written_whole_or_not_at_all)
{
	const struct msg_tuple rows[] = {
		{ RSIP_LOCAL_NETWORK, { .type = RSIP_ADDR_IPV4, .v4 = inet_addr("10.0.0.0") }, inet_addr("255.0.0.0") },
		{ RSIP_LOCAL_ADDRESS, { .type = RSIP_ADDR_IPV4, .v4 = inet_addr("10.1.1.1") }, 0 },
		{ RSIP_REMOTE_ADDRESS, { .type = RSIP_ADDR_FQDN, .name = (const uint8_t *)"a.b", .name_len = 3 }, 0 },
	};
	static const size_t lengths[] = { 5 + 8 + 8, 5 + 8, 5 + 7 };
	uint8_t small[64];

	for (size_t i = 0; i < ARRAY(rows); i++) {
		for (size_t capacity = 0; capacity <= 32; capacity++) {
			memset(small, 0xee, sizeof(small));
			cr_expect(eq(sz, msg_tuple_write(&rows[i], small, capacity), capacity < lengths[i] ? 0 : lengths[i]));
			cr_expect(eq(u8, small[capacity], 0xee));
		}
	}
	/* Written tuples make the message of the golden vector. */
	const struct vector *v = vector_named("c1-06-query-response");
	struct msg m = { .type = RSIP_QUERY_RESPONSE, .has = MSG_HAS(RSIP_PARAM_CLIENT_ID) | MSG_HAS_TUPLES, .client_id = 1 };
	const struct msg_tuple tuple = {
		RSIP_LOCAL_NETWORK, { .type = RSIP_ADDR_IPV4, .v4 = inet_addr("10.20.60.0") }, inet_addr("255.255.255.0")
	};

	m.tuples = small;
	m.tuples_len = msg_tuple_write(&tuple, small, sizeof(small));
	cr_expect(eq(sz, msg_encode(&m, out, sizeof(out)), v->len));
	cr_expect_arr_eq(out, v->data, v->len);
}

/* covers: T-34 */
Test(msg, nothing_is_written_past_the_capacity)
{
	const struct vector *v = vectors();
	struct msg_fault fault;
	struct msg m;

	for (int i = 0; i < VECTORS; i++, v++) {
		if (!v->canonical)
			continue;
		cr_assert(msg_decode(v->data, v->len, role_of(v), 0, &m, &fault));
		for (size_t capacity = 0; capacity < v->len; capacity++) {
			uint8_t *small = malloc(capacity + 1);

			small[capacity] = 0xee;
			cr_assert(eq(sz, msg_encode(&m, small, capacity), 0), "%s in %zu", v->name, capacity);
			cr_assert(eq(u8, small[capacity], 0xee), "%s in %zu", v->name, capacity);
			free(small);
		}
	}
}

/* covers: W-29 */
Test(msg, what_is_no_valid_message_is_not_written)
{
	const struct vector *v = vector_named("ips-12-x2-assign-response");
	struct msg_fault fault;
	struct msg good, m;

	cr_assert(msg_decode(v->data, v->len, MSG_AT_HOST, MSG_UDP, &good, &fault));
	good.order_count = 0;
	cr_assert(eq(sz, msg_encode(&good, out, sizeof(out)), v->len));
#define REFUSED(change)								\
	do {									\
		m = good;							\
		change;								\
		cr_expect(eq(sz, msg_encode(&m, out, sizeof(out)), 0), #change); \
	} while (0)
	REFUSED(m.has &= ~MSG_HAS(RSIP_PARAM_BIND_ID));
	REFUSED(m.has &= ~MSG_HAS_RPORTS);
	REFUSED(m.tunnel_count = 0);
	REFUSED(m.tunnel_count = 0; m.has &= ~MSG_HAS(RSIP_PARAM_MESSAGE_COUNTER));
	REFUSED(m.tunnel_count = 2);
	REFUSED(m.tunnel_count = MSG_REPEAT_MAX + 1);
	REFUSED(m.tunnels[0] = 0);
	REFUSED(m.type = 0);
	REFUSED(m.type = 18);
	REFUSED(m.type = 255);
	REFUSED(m.lports.count = 0);
	REFUSED(m.lports.count = 256);
	REFUSED(m.lports.first = 65530);
	REFUSED(m.lports.form = MSG_LIST);
	REFUSED(m.spis.count = 0);
	REFUSED(m.spis.form = MSG_RUN; m.spis.first = UINT32_MAX);
	REFUSED(m.local.type = RSIP_ADDR_NETMASK);
	REFUSED(m.local.type = 9);
	REFUSED(m.local.type = RSIP_ADDR_RESERVED);
	REFUSED(m.counter = 0);
	REFUSED(m.order_count = MSG_ORDER_MAX + 1);
	REFUSED(m.order_count = 1; m.order[0] = 200);
	REFUSED(m.order_count = 1; m.order[0] = RSIP_PARAM_CLIENT_ID);
	REFUSED(m.order_count = 2; m.order[0] = RSIP_PARAM_BIND_ID; m.order[1] = RSIP_PARAM_CLIENT_ID);
	REFUSED(m.order_count = 1; m.order[0] = RSIP_PARAM_ERROR);
}

/* covers: W-15 A-16 */
Test(msg, vendor_parameters_anywhere_and_any_number)
{
	uint8_t data[2048];
	struct msg_fault fault;
	struct msg m;
	size_t len;

	len = bytes_of("010c .... 0c0004 00f10001 040004 00000009 0c0005 00f10002ff 050004 00000001"
		       " 0c0004 00f10003 0b0004 00000002 0c0004 00f10004", data);
	cr_assert(msg_decode(data, len, MSG_AT_GATEWAY, MSG_UDP, &m, &fault), "%s", fault.text);
	cr_expect(eq(u8, m.vendor_count, 4));
	cr_expect(eq(u16, m.vendors[3].subtype, 4));
	cr_expect(eq(sz, msg_encode(&m, out, sizeof(out)), len));
	cr_expect_arr_eq(out, data, len);

	/* More than are kept, and more than the order holds, of all that may be repeated. */
	memcpy(data, (uint8_t[]){ 1, 2, 0, 0, 11, 0, 4, 0, 0, 0, 1 }, 11);
	len = 11;
	for (int i = 0; i < 100; i++, len += 7)
		memcpy(data + len, (uint8_t[]){ 12, 0, 4, 0, 241, 0, i }, 7);
	data[2] = len >> 8;
	data[3] = len;
	cr_assert(msg_decode(data, len, MSG_AT_GATEWAY, MSG_UDP, &m, &fault), "%s", fault.text);
	cr_expect(eq(u8, m.vendor_count, MSG_REPEAT_MAX));
	cr_expect(eq(u8, m.order_count, MSG_REPEAT_MAX + 1));
	cr_expect(eq(sz, msg_encode(&m, out, sizeof(out)), 11 + 7 * MSG_REPEAT_MAX));
}

static size_t spi_list(uint8_t *data, unsigned int count, uint32_t first, uint32_t step)
{
	size_t len = bytes_of("0116 0000 040004 00000009 010001 01 020000 010001 01 020000 16 0000", data);
	uint32_t spi = first;

	data[len - 2] = (2 + 4 * count) >> 8;
	data[len - 1] = 2 + 4 * count;
	data[len++] = count >> 8;
	data[len++] = count;
	for (unsigned int i = 0; i < count; i++, spi += step, len += 4)
		memcpy(data + len, &(uint32_t){ htonl(spi) }, 4);
	data[2] = len >> 8;
	data[3] = len;
	return len;
}

/* covers: W-21 W-27 A-07 */
Test(msg, long_spi_lists)
{
	static uint8_t data[RSIP_MESSAGE_MAX];
	struct msg_fault fault;
	struct msg m;
	unsigned int count = 16374;	/* the rest of the message takes 29 bytes */
	size_t len;

	len = spi_list(data, count, 0x12345678, 0x9e3779b1);	/* odd step: all differ */
	cr_assert(msg_decode(data, len, MSG_AT_GATEWAY, 0, &m, &fault), "%s", fault.text);
	cr_expect(eq(u16, m.spis.count, count));
	cr_expect(eq(u32, msg_spi_at(&m.spis, count - 1), 0x12345678 + (count - 1) * 0x9e3779b1u));
	cr_expect(eq(sz, msg_encode(&m, out, sizeof(out)), len));
	cr_expect_arr_eq(out, data, len);
	/* The first once more at the end. */
	memcpy(data + len - 4, data + len - 4ul * count, 4);
	cr_expect(not(msg_decode(data, len, MSG_AT_GATEWAY, 0, &m, &fault)));
	cr_expect(eq(u16, fault.error, RSIP_E_BAD_PARAM), "%s", fault.text);
}

/* covers: W-18 */
Test(msg, port_and_spi_values_by_index)
{
	const struct vector *v = vector_named("form-ports-list");
	struct msg_fault fault;
	struct msg m;

	cr_assert(msg_decode(v->data, v->len, MSG_AT_GATEWAY, MSG_UDP, &m, &fault));
	cr_expect(eq(u16, msg_port_at(&m.lports, 0), 1012));
	cr_expect(eq(u16, msg_port_at(&m.lports, 2), 2000));
	v = vector_named("form-ports-contiguous-255");
	cr_assert(msg_decode(v->data, v->len, MSG_AT_GATEWAY, MSG_UDP, &m, &fault));
	cr_expect(eq(u16, msg_port_at(&m.lports, 254), 65535));
	v = vector_named("form-spi-contiguous-top");
	cr_assert(msg_decode(v->data, v->len, MSG_AT_GATEWAY, MSG_UDP, &m, &fault));
	cr_expect(eq(u32, msg_spi_at(&m.spis, 1), 0xffffffff));
	v = vector_named("form-spi-list");
	cr_assert(msg_decode(v->data, v->len, MSG_AT_GATEWAY, MSG_UDP, &m, &fault));
	cr_expect(eq(u32, msg_spi_at(&m.spis, 2), 0x3003));
}

/* */
Test(msg, names)
{
	static const struct { uint8_t type; const char *name; uint8_t response; } types[] = {
		{ 1, "ERROR_RESPONSE", 0 }, { 2, "REGISTER_REQUEST", 3 }, { 4, "DE-REGISTER_REQUEST", 5 },
		{ 6, "ASSIGN_REQUEST_RSA-IP", 7 }, { 8, "ASSIGN_REQUEST_RSAP-IP", 9 }, { 10, "EXTEND_REQUEST", 11 },
		{ 12, "FREE_REQUEST", 13 }, { 14, "QUERY_REQUEST", 15 }, { 16, "LISTEN_REQUEST", 17 },
		{ 22, "ASSIGN_REQUEST_RSIPSEC", 23 }, { 23, "ASSIGN_RESPONSE_RSIPSEC", 0 },
		{ 0, "unknown", 0 }, { 18, "unknown", 0 }, { 24, "unknown", 0 }, { 254, "unknown", 0 },
	};

	for (size_t i = 0; i < ARRAY(types); i++) {
		cr_expect(eq(str, (char *)msg_type_name(types[i].type), (char *)types[i].name));
		cr_expect(eq(u8, msg_response_of(types[i].type), types[i].response), "%u", types[i].type);
	}
	cr_expect(eq(str, (char *)msg_error_name(403), "IPSEC_SPI_INUSE"));
	cr_expect(eq(str, (char *)msg_error_name(400), "?"));
	cr_expect(eq(str, (char *)msg_tunnel_name(0), "?"));
	cr_expect(eq(str, (char *)msg_tunnel_name(2), "GRE"));
	cr_expect(eq(str, (char *)msg_tunnel_name(4), "?"));
	cr_expect(eq(str, (char *)msg_method_name(3), "RSIPSEC"));
	cr_expect(eq(str, (char *)msg_policy_name(3), "none"));
	cr_expect(eq(str, (char *)msg_policy_name(255), "?"));
}

Test(msg, text_is_cut_and_terminated)
{
	struct msg_fault fault;
	char whole[TEXT], text[TEXT];
	const struct vector *v;
	struct msg m;

	for (v = vectors(); v < vectors() + VECTORS; v++) {
		if (!v->canonical)
			continue;
		cr_assert(msg_decode(v->data, v->len, role_of(v), 0, &m, &fault));
		msg_text(&m, whole, sizeof(whole));
		for (size_t capacity = 1; capacity <= strlen(whole); capacity++) {
			memset(text, 'x', sizeof(text));
			msg_text(&m, text, capacity);
			cr_assert(eq(sz, strnlen(text, capacity), capacity - 1), "%s in %zu", v->name, capacity);
			cr_assert(eq(int, strncmp(text, whole, capacity - 1), 0), "%s in %zu", v->name, capacity);
		}
	}
}
