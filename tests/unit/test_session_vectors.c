// SPDX-License-Identifier: GPL-2.0-only
/*
 * The golden vectors against the real gateway: bytes in, bytes out. Where the
 * gateway chooses a value (Client ID, port, SPI) the expectation has a hole.
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway.h"

#define VECTORS		"tests/vectors/golden-vectors.txt"
#define VECTOR_MAX	512
#define BYTES_MAX	1024

struct vector {
	char name[64];
	bool to_gateway;
	uint8_t data[BYTES_MAX];
	size_t len;
	char summary[2048];
};

static struct vector *vectors;
static size_t vector_count;

static size_t read_hex(const char *text, uint8_t *out, size_t max)
{
	size_t len = 0;
	unsigned int byte;

	for (; sscanf(text, "%2x", &byte) == 1 && text[0] != ' ' && text[0] != '|'; text += 2) {
		cr_assert_lt(len, max);
		out[len++] = byte;
	}
	return len;
}

static void load_vectors(void)
{
	static char line[8192], hex[4096];
	FILE *file = fopen(VECTORS, "r");

	cr_assert_not_null(file, "run from the top of the tree: %s", VECTORS);
	vectors = calloc(VECTOR_MAX, sizeof(*vectors));
	while (fgets(line, sizeof(line), file)) {
		struct vector *v = &vectors[vector_count];
		char direction[8];

		if (line[0] == '#')
			continue;
		cr_assert_eq(sscanf(line, "%63s | %7s | %4095s | %2047[^\n]", v->name, direction, hex, v->summary), 4,
			     "%s", line);
		v->to_gateway = strcmp(direction, "C>S") == 0;
		v->len = read_hex(hex, v->data, sizeof(v->data));
		cr_assert_lt(++vector_count, VECTOR_MAX);
	}
	fclose(file);
	cr_assert_eq(vector_count, 283);
}

static const struct vector *find(const char *name)
{
	for (size_t i = 0; i < vector_count; i++) {
		if (strcmp(vectors[i].name, name) == 0)
			return &vectors[i];
	}
	cr_assert_fail("no vector %s", name);
	return NULL;
}

/* Replaces one Client ID by another in all Client ID parameters. */
static void replace_client(uint8_t *data, size_t len, uint32_t from, uint32_t to)
{
	uint8_t old[7] = { RSIP_PARAM_CLIENT_ID, 0, 4 };

	from = htonl(from);
	to = htonl(to);
	memcpy(old + 3, &from, sizeof(from));
	for (size_t i = 0; i + sizeof(old) <= len; i++) {
		if (memcmp(data + i, old, sizeof(old)) == 0)
			memcpy(data + i + 3, &to, sizeof(to));
	}
}

static const char *hex_of(const uint8_t *data, size_t len)
{
	static char text[2 * BYTES_MAX + 1];

	text[0] = 0;
	for (size_t i = 0; i < len && i < BYTES_MAX; i++)
		snprintf(text + 2 * i, 3, "%02x", data[i]);
	return text;
}

/* Whole message against hex in which "?" stands for any digit. */
static bool matches(const uint8_t *data, size_t len, const char *expected)
{
	const char *is = hex_of(data, len);

	for (; *is && *expected; is++, expected++) {
		if (*expected != '?' && *is != *expected)
			return false;
	}
	return !*is && !*expected;
}

static void expect_sent(const struct gateway *g, const char *name, const char *expected)
{
	cr_assert_eq(g->sent, 1, "%s: %zu messages were sent", name, g->sent);
	cr_expect(matches(g->box[0].data, g->box[0].len, expected), "%s\n   sent %s\n   want %s", name,
		  hex_of(g->box[0].data, g->box[0].len), expected);
}

static uint32_t word_at(const uint8_t *data, size_t offset)
{
	uint32_t value;

	memcpy(&value, data + offset, sizeof(value));
	return ntohl(value);
}

/* --- traces ------------------------------------------------------------------------------ */

/* Sends a vector as that host, with its Client ID put in. */
static void send_vector(struct gateway *g, struct origin from, const char *name, uint32_t vector_id, uint32_t real_id)
{
	struct vector v = *find(name);

	replace_client(v.data, v.len, vector_id, real_id);
	if (from.tcp)
		cr_assert_eq(gateway_stream(g, from, v.data, v.len), 0);
	else
		gateway_input(g, from, v.data, v.len);
}

static void expect_vector(const struct gateway *g, const char *name, uint32_t vector_id, uint32_t real_id)
{
	struct vector v = *find(name);
	char expected[2 * BYTES_MAX + 1];

	replace_client(v.data, v.len, vector_id, real_id);
	strcpy(expected, hex_of(v.data, v.len));
	expect_sent(g, name, expected);
}

/* A template with the Client ID in place of "CCCCCCCC". */
static void expect_template(const struct gateway *g, const char *name, const char *template, uint32_t id)
{
	char expected[2 * BYTES_MAX + 1], digits[9], *at;

	strcpy(expected, template);
	snprintf(digits, sizeof(digits), "%08x", id);
	while ((at = strstr(expected, "CCCCCCCC")))
		memcpy(at, digits, 8);
	expect_sent(g, name, expected);
}

/* One request and its answer, both vectors. */
static void exchange(struct gateway *g, struct origin from, const char *request, const char *answer,
		     uint32_t vector_id, uint32_t real_id)
{
	send_vector(g, from, request, vector_id, real_id);
	expect_vector(g, answer, vector_id, real_id);
}

/*
 * RFC 3104, two hosts, one address, over UDP: 3.4 of the catalogue.
 * covers: T-02 T-11 T-12 T-14 T-23 REG-02 REG-04 REG-06 REG-10 REG-13 IPS-01 IPS-03 IPS-05 IPS-09 IPS-11 IPS-12
 * covers: IPS-20 APA-01 EXT-01 FREE-01 FREE-08 QRY-01 QRY-04 QRY-14 W-01 RSAP-02 RSAP-11 ASY-05
 */
Test(session_vectors, rfc3104_trace)
{
	struct gateway *g = gateway_new();
	struct origin x1 = udp_host(11), x2 = udp_host(12);
	uint32_t id1, id2, spi;
	uint8_t request[BYTES_MAX];
	const struct vector *v;

	load_vectors();
	g->range.last = g->range.first;
	g->config.leases.maximum = 1800;
	g->config.leases.normal = 1800;
	g->config.tunnel_count = 1;
	gateway_start(g);

	send_vector(g, x1, "ips-01-x1-register-request", 0, 0);
	id1 = word_at(g->box[0].data, 7);
	expect_vector(g, "ips-02-x1-register-response", 257, id1);
	exchange(g, x1, "ips-03-x1-query-request", "ips-04-x1-query-response", 257, id1);

	send_vector(g, x1, "ips-05-x1-assign-request", 257, id1);
	expect_template(g, "ips-06",
			"0117003f040004CCCCCCCC05000400000001"
			"01000501c0000201020000010001010200001600060001????????03000400000708060001010b000400000003", id1);
	spi = word_at(g->box[0].data, 41);
	cr_expect_geq(spi, 0x100);
	cr_expect_eq(datapath_fake_spi(g->dp, ip4("192.0.2.1"), spi), x1.source);

	send_vector(g, x2, "ips-07-x2-register-request", 0, 0);
	id2 = word_at(g->box[0].data, 7);
	expect_vector(g, "ips-08-x2-register-response", 258, id2);
	cr_expect_neq(id1, id2);

	v = find("ips-09-x2-assign-request-taken-spi");
	memcpy(request, v->data, v->len);
	replace_client(request, v->len, 258, id2);
	uint32_t taken = htonl(spi);

	memcpy(request + 34, &taken, sizeof(taken));
	gateway_input(g, x2, request, v->len);
	expect_vector(g, "ips-10-x2-error-spi-inuse", 258, id2);

	/* The vector has a list of SPIs; ours are a run as long as one is free. */
	send_vector(g, x2, "ips-11-x2-assign-request", 258, id2);
	expect_template(g, "ips-12",
			"01170043040004CCCCCCCC05000400000001"
			"01000501c000020102000310????01000101020001011600060002????????03000400000708060001010b000400000003",
			id2);
	cr_expect_eq(g->box[0].data[31] % 16, 0, "sixteen ports, aligned");

	exchange(g, x1, "ips-13-x1-extend-request", "ips-14-x1-extend-response", 257, id1);
	send_vector(g, x2, "ips-15-x2-rsap-ephemeral-ike", 258, id2);
	expect_template(g, "ips-16",
			"0109003a040004CCCCCCCC05000400000002"
			"01000501c000020102000301????010001010200010103000400000708060001010b000400000004", id2);

	g->sent = 0;
	session_violation(g->s, &(struct rsip_event_violation){ .outcome = RSIP_OUT_NO_PORT, .client = x1.source },
			  g->now);
	expect_vector(g, "ips-17-x1-error-async", 257, id1);

	exchange(g, x1, "ips-18-x1-free-request", "ips-19-x1-free-response", 257, id1);
	cr_expect_eq(datapath_fake_spi(g->dp, ip4("192.0.2.1"), spi), 0);
	g->sent = 0;
	cr_expect(session_free_bind(g->s, id2, 2, g->now));
	expect_vector(g, "ips-20-x2-free-response-async", 258, id2);
	exchange(g, x1, "ips-21-x1-deregister-request", "ips-22-x1-deregister-response", 257, id1);

	gateway_wait(g, 1799999);
	cr_expect_eq(g->sent, 3, "the host that lost a bind is told three times more");
	gateway_wait(g, 1);
	cr_assert_eq(g->sent, 2);
	g->box[0] = g->box[1]; /* before it, the FREE_RESPONSE of the last bind */
	g->sent = 1;
	expect_vector(g, "ips-23-x2-deregister-response-async", 258, id2);
	cr_expect_eq(datapath_fake_clients(g->dp), 0);
	gateway_free(g);
}

/*
 * RFC 3103 Appendix C example 1, over TCP without counters: 3.1 of the catalogue.
 * covers: T-01 T-26 RSAP-03 RSAP-12 REG-10 QRY-01 QRY-02 EXT-01 FREE-01 FREE-08 FLOW-01 LSE-03 ASY-07
 */
Test(session_vectors, rfc3103_example_1)
{
	struct gateway *g = gateway_new();
	struct origin x = tcp_host(5), other = udp_host(6);
	struct addr_prefix local = { ip4("10.20.60.0"), 24 };
	struct msg m;
	uint32_t id, other_id;
	uint8_t expected[BYTES_MAX];
	char digits[2 * BYTES_MAX + 1];

	load_vectors();
	g->range.first = g->range.last = ntohl(ip4("149.112.240.156"));
	g->pool.rsipsec = false;
	g->config.leases.maximum = 1800;
	g->config.leases.hold_down = 0;
	g->config.tunnel_count = 1;
	g->config.local_networks = &local;
	gateway_start(g);
	/* The ports that the example asks for by number are not given away before. */
	other_id = gateway_register(g, 6);
	m = req_rsap(other_id, 8, 2);
	m.lports = (struct msg_ports){ .form = MSG_RUN, .first = 1238, .count = 8 };
	cr_assert_eq(gateway_call(g, other, &m).type, RSIP_ASSIGN_RESPONSE_RSAP);

	/* The gateway names what it offers where the example leaves it out. */
	send_vector(g, x, "c1-01-register-request", 0, 0);
	id = word_at(g->box[0].data, 7);
	expect_template(g, "c1-02", "0103001f040004CCCCCCCC0300040000025809000201030700010206000101", id);
	send_vector(g, x, "c1-03-assign-request", 1, id);
	expect_template(g, "c1-04",
			"01090033040004CCCCCCCC0500040000000101000501"
			"9570f09c02000304????01000101020001010300040000070806000101", id);
	exchange(g, x, "c1-05-query-request", "c1-06-query-response", 1, id);

	m = req_free(other_id, 1, 3);
	cr_assert_eq(gateway_call(g, other, &m).type, RSIP_FREE_RESPONSE);
	send_vector(g, x, "c1-07-assign-request", 1, id);
	const struct vector *c1_08 = find("c1-08-assign-response");

	memcpy(expected, c1_08->data, c1_08->len);
	expected[30] = 1238 >> 8; /* the ports asked for, not others */
	expected[31] = 1238 & 0xff;
	replace_client(expected, c1_08->len, 1, id);
	strcpy(digits, hex_of(expected, c1_08->len));
	expect_sent(g, "c1-08", digits);

	exchange(g, x, "c1-09-free-request", "c1-10-free-response", 1, id);
	cr_expect_eq(datapath_fake_port(g->dp, ip4("149.112.240.156"), 1245), x.source, "bind 2 stays");
	exchange(g, x, "c1-11-extend-request", "c1-12-extend-response", 1, id);
	g->sent = 0;
	cr_expect(session_free_bind(g->s, id, 2, g->now));
	expect_vector(g, "c1-13-free-response-async", 1, id);
	exchange(g, x, "c1-14-deregister-request", "c1-15-deregister-response", 1, id);
	gateway_free(g);
}

/*
 * RFC 3103 Appendix C example 2, over TCP: local and remote micro, and a
 * listener by the operator's leave: 3.2 of the catalogue.
 * covers: T-01 RSAP-11 RSAP-14 LSN-03 LSN-08 LSN-09 ADM-04 W-32 FLOW-05 FLOW-11 REG-10
 */
Test(session_vectors, rfc3103_example_2)
{
	struct gateway *g = gateway_new();
	struct origin x = tcp_host(5);
	struct datapath_bind bind;
	uint32_t id;

	load_vectors();
	g->range.first = g->range.last = ntohl(ip4("149.112.240.156"));
	g->rule.local_policy = RSIP_POLICY_MICRO;
	g->rule.remote_policy = RSIP_POLICY_MICRO;
	g->rule.listen = CONFIG_LISTEN_ALWAYS;
	g->pool.rsipsec = false;
	gateway_start(g);

	/* RSA-IP is not offered under local micro. */
	send_vector(g, x, "c2-01-register-request", 0, 0);
	id = word_at(g->box[0].data, 7);
	expect_template(g, "c2-02", "01030023040004CCCCCCCC0300040000025809000202020700010206000101" "06000102", id);
	send_vector(g, x, "c2-03-assign-request", 5, id);
	expect_template(g, "c2-04",
			"01090039040004CCCCCCCC0500040000000101000501"
			"9570f09c02000301????0100050126c4490602000301001503000400000258" "06000101", id);
	exchange(g, x, "c2-05-listen-request", "c2-06-listen-response", 5, id);
	cr_assert(datapath_fake_bind(g->dp, x.source, 2, &bind));
	cr_expect_eq(bind.remote, ip4("38.196.73.6"));
	cr_expect_eq(bind.remote_port, htons(20));
	cr_expect_eq(datapath_fake_port(g->dp, ip4("149.112.240.156"), 2050), x.source);
	exchange(g, x, "c2-07-deregister-request", "c2-08-deregister-response", 5, id);
	gateway_free(g);
}

static void names_of_example_3(uint32_t id, const char *name, void *arg)
{
	struct gateway *g = arg;
	__be32 addr = ip4("198.51.100.7");

	session_resolved(g->s, id, &addr, strcmp(name, "www.bar.com") == 0, g->now);
}

/*
 * RFC 3103 Appendix C example 3, over TCP: a whole address for a remote given
 * by name: 3.3 of the catalogue.
 * covers: T-01 RSA-02 RSA-10 RSA-11 RSA-16 FLOW-04 FLOW-06 FLOW-14 REG-04 REG-10
 */
Test(session_vectors, rfc3103_example_3)
{
	struct gateway *g = gateway_new();
	struct origin x = tcp_host(3);
	uint32_t id;

	load_vectors();
	g->rule.remote_policy = RSIP_POLICY_MACRO;
	g->pool.rsipsec = false;
	g->config.tunnel_count = 1;
	gateway_lend_whole(g, "149.112.240.17", "149.112.240.17");
	gateway_start(g);
	sessions_resolver(g->s, names_of_example_3, g);

	/* The example offers L2TP besides. */
	send_vector(g, x, "c3-01-register-request", 0, 0);
	id = word_at(g->box[0].data, 7);
	expect_template(g, "c3-02", "01030023040004CCCCCCCC0300040000025809000201010700010207000101" "06000101", id);
	exchange(g, x, "c3-03-assign-request", "c3-04-error-response", 3, id);
	exchange(g, x, "c3-05-assign-request", "c3-06-assign-response", 3, id);
	cr_expect_eq(datapath_fake_whole(g->dp, ip4("149.112.240.17")), x.source);
	exchange(g, x, "c3-07-deregister-request", "c3-08-deregister-response", 3, id);
	gateway_free(g);
}

/* --- situations ------------------------------------------------------------------------------ */

/*
 * The default situation of the vector file: the sender is client 9 (here the
 * ID it got) and holds binds 1 and 3, its last counter is 1.
 */
static uint32_t default_situation(struct gateway *g, struct origin x)
{
	/* From 2^32-4 on, so that the fifth message has 1 (T-15). Over TCP nobody minds. */
	struct msg m = req_register(0xfffffffc);
	uint32_t id = gateway_call(g, x, &m).client_id;

	for (uint32_t bind = 1; bind <= 3; bind++) {
		m = req_rsap(id, 1, 0xfffffffc + bind);
		m.lports = (struct msg_ports){ .form = MSG_RUN, .first = 40000 + bind, .count = 1 };
		m.remote = (struct msg_addr){ .type = RSIP_ADDR_IPV4, .v4 = ip4("198.51.100.7") };
		m.rports = (struct msg_ports){ .form = MSG_RUN, .first = 80, .count = 1 };
		cr_assert_eq(gateway_call(g, x, &m).bind_id, bind);
	}
	m = req_free(id, 2, 1);
	cr_assert_eq(gateway_call(g, x, &m).type, RSIP_FREE_RESPONSE);
	return id;
}

static void not_admitted(struct gateway *g)
{
	g->rule.match = (struct addr_prefix){ ip4("172.16.0.0"), 12 };
}

static void udp_off(struct gateway *g)
{
	g->config.server.udp = false;
}

static void ipsec_off(struct gateway *g)
{
	g->pool.rsipsec = false;
}

static void listen_off(struct gateway *g)
{
	g->rule.listen = CONFIG_LISTEN_NEVER;
}

static void ipsec_not_for_this_client(struct gateway *g)
{
	g->rule.ipsec = false;
}

static void local_micro(struct gateway *g)
{
	g->rule.local_policy = RSIP_POLICY_MICRO;
}

static void remote_macro(struct gateway *g)
{
	g->rule.remote_policy = RSIP_POLICY_MACRO;
}

static void remote_micro(struct gateway *g)
{
	g->rule.remote_policy = RSIP_POLICY_MICRO;
}

/* What is refused is the private realm. */
static void remote_macro_66_is_private(struct gateway *g)
{
	g->rule.remote_policy = RSIP_POLICY_MACRO;
	g->local_network = (struct addr_prefix){ ip4("203.0.113.64"), 26 };
}

static void few_ports(struct gateway *g)
{
	g->range.last = g->range.first;
	g->pool.ports = (struct num_range){ 40000, 40200 };
}

static void few_spis(struct gateway *g)
{
	g->rule.max_spis = 16;
}

static void one_address(struct gateway *g)
{
	g->range.last = g->range.first;
}

static void port_5060_held(struct gateway *g)
{
	struct msg m = req_rsap(gateway_register(g, 8), 1, 2);

	m.local = (struct msg_addr){ .type = RSIP_ADDR_IPV4, .v4 = ip4("192.0.2.1") };
	m.lports = (struct msg_ports){ .form = MSG_RUN, .first = 5060, .count = 1 };
	cr_assert_eq(gateway_call(g, udp_host(8), &m).type, RSIP_ASSIGN_RESPONSE_RSAP);
}

static void spi_2002_held(struct gateway *g)
{
	struct msg m = req_ipsec(gateway_register(g, 8), 1, 2);

	m.spis = (struct msg_spis){ .form = MSG_RUN, .first = 0x2002, .count = 1 };
	cr_assert_eq(gateway_call(g, udp_host(8), &m).type, RSIP_ASSIGN_RESPONSE_RSIPSEC);
}

/* Host 8 takes the first whole address, or both. */
static void hold_whole(struct gateway *g, uint32_t count)
{
	uint32_t id = gateway_register(g, 8);

	for (uint32_t i = 0; i < count; i++) {
		struct msg m = req_rsa(id, 2 + i);

		cr_assert_eq(gateway_call(g, udp_host(8), &m).type, RSIP_ASSIGN_RESPONSE_RSA);
	}
}

static void first_whole_address_held(struct gateway *g)
{
	hold_whole(g, 1);
}

static void whole_addresses_held(struct gateway *g)
{
	hold_whole(g, 2);
}

static void bind_77_of_another(struct gateway *g)
{
	struct msg m = req_rsap(gateway_register(g, 8), 1, 2);

	lease_client_by_address(session_leases(g->s), udp_host(8).source)->bind_ids = 76;
	cr_assert_eq(gateway_call(g, udp_host(8), &m).bind_id, 77);
}

/* What differs from the default situation, and from the answer the vector file expects. */
static const struct situation {
	const char *vector;
	void (*configure)(struct gateway *g);
	void (*prepare)(struct gateway *g);	/* after the sender has registered */
	bool unregistered;
	bool no_whole;			/* no pool of whole addresses */
} situations[] = {
	{ "bad-unsupported-rsa", .no_whole = true },
	{ "bad-unsupported-listen", listen_off },
	{ "st-micro-local-rsa", local_micro },
	{ "st-addr-exhausted", NULL, whole_addresses_held },
	{ "st-addr-inuse", NULL, first_whole_address_held },
	{ "bad-unsupported-rsipsec", ipsec_off },
	{ "st-udp-refused", udp_off, NULL, true },
	{ "st-free-unregistered", NULL, NULL, true },
	{ "st-dereg-unregistered", NULL, NULL, true },
	{ "st-register-denied", not_admitted, NULL, true },
	{ "st-extend-wrong-bind", NULL, bind_77_of_another },
	{ "st-macro-remote-any", remote_macro },
	{ "st-micro-remote-port-any", remote_micro },
	{ "st-micro-remote-range", remote_micro },
	{ "st-micro-local-four", local_micro },
	{ "st-ports-exhausted", few_ports },
	{ "st-port-inuse", NULL, port_5060_held },
	{ "st-remote-unallowed", remote_macro_66_is_private },
	{ "st-ipsec-unallowed", ipsec_not_for_this_client },
	{ "st-spi-none-left", few_spis },
	{ "st-spi-inuse-one-of-list", one_address, spi_2002_held },
};

static const struct situation *situation_of(const char *vector)
{
	static const struct situation none;

	for (size_t i = 0; i < sizeof(situations) / sizeof(situations[0]); i++) {
		if (strcmp(situations[i].vector, vector) == 0)
			return &situations[i];
	}
	return &none;
}

/* "EXPECT ERROR 313 LOCAL_ADDRPORT_UNALLOWED counter=2" or "EXPECT SILENCE" */
static bool expectation(const struct vector *v, unsigned int *error, unsigned int *counter)
{
	const char *at = strstr(v->summary, "EXPECT ");

	*error = 0;
	return at && (strncmp(at, "EXPECT SILENCE", 14) == 0 ||
		      sscanf(at, "EXPECT ERROR %u %*s counter=%u", error, counter) == 2);
}

static bool is_ill_formed(unsigned int error)
{
	return (error > 200 && error < 300) || error == RSIP_E_MESSAGE_COUNTER_REQUIRED ||
	       error == RSIP_E_UNSUPPORTED_RSIP_VERSION;
}

/* ERROR_RESPONSE in the order of the vectors: Error, Message Counter, Client ID, Bind ID. */
static void build_error(char *out, unsigned int error, const uint32_t *counter, const uint32_t *client,
			const uint32_t *bind)
{
	unsigned int len = 9 + (counter ? 7 : 0) + (client ? 7 : 0) + (bind ? 7 : 0);

	out += sprintf(out, "0101%04x080002%04x", len, error);
	if (counter)
		out += sprintf(out, "0b0004%08x", *counter);
	if (client)
		out += sprintf(out, "040004%08x", *client);
	if (bind)
		out += sprintf(out, "050004%08x", *bind);
}

static bool carries_client(unsigned int error)
{
	switch (error) {
	case RSIP_E_USE_TCP:
	case RSIP_E_MESSAGE_COUNTER_REQUIRED:
	case RSIP_E_UNSUPPORTED_RSIP_VERSION:
	case RSIP_E_ILLEGAL_MESSAGE:
	case RSIP_E_REGISTRATION_DENIED:
		return false;
	}
	return true;
}

/* The answer to one vector of group bad- or st-, in its situation, whole; and that nothing changed. */
static void check_refusal(const struct vector *v, bool tcp)
{
	const struct situation *situation = situation_of(v->name);
	struct gateway *g = gateway_new();
	struct origin x = tcp ? tcp_host(7) : udp_host(7);
	struct vector sent = *v;
	unsigned int error, counter = 0;
	uint32_t id = 9, bind = 77, named;
	char with[128], without[128];
	struct lent before, after;
	uint64_t calls;

	cr_assert(expectation(v, &error, &counter), "%s", v->name);
	g->range.last = ntohl(ip4("192.0.2.8"));
	if (situation->configure)
		situation->configure(g);
	if (!situation->no_whole)
		gateway_lend_whole(g, "192.0.2.9", "192.0.2.10");
	gateway_start(g);
	if (!situation->unregistered)
		id = default_situation(g, x);
	if (situation->prepare)
		situation->prepare(g);
	replace_client(sent.data, sent.len, 9, id);
	before = gateway_lent(g);
	calls = datapath_fake_calls(g->dp);

	if (tcp)
		gateway_stream(g, x, sent.data, sent.len);
	else
		gateway_input(g, x, sent.data, sent.len);

	after = gateway_lent(g);
	cr_expect_eq(memcmp(&before, &after, sizeof(before)), 0, "%s: something was taken or given", v->name);
	cr_expect_eq(datapath_fake_calls(g->dp), calls, "%s: the data plane was changed", v->name);
	if (!error) {
		cr_expect_eq(g->sent, 0, "%s: answered", v->name);
		cr_expect_eq(session_counters(g->s)->ignored, 1, "%s", v->name);
		gateway_free(g);
		return;
	}

	named = strcmp(v->name, "st-wrong-client") == 0 ? 10 : id;
	bool with_counter = !tcp || counter || strcmp(v->name, "bad-counter-zero") == 0;

	build_error(with, error, with_counter ? &counter : NULL, &named,
		    error == RSIP_E_BAD_BIND_ID ? &bind : NULL);
	build_error(without, error, with_counter ? &counter : NULL, NULL, NULL);
	cr_assert_eq(g->sent, 1, "%s: %zu answers", v->name, g->sent);
	/* An ill-formed message may have lost its Client ID; any other has it. */
	bool right = carries_client(error) && matches(g->box[0].data, g->box[0].len, with);

	if (!carries_client(error) || is_ill_formed(error))
		right |= matches(g->box[0].data, g->box[0].len, without);
	cr_expect(right, "%s\n   sent %s\n   want %s", v->name, hex_of(g->box[0].data, g->box[0].len),
		  carries_client(error) ? with : without);
	cr_expect_eq(session_counters(g->s)->errors[error], 1, "%s", v->name);
	cr_expect_eq(g->box[0].close, tcp && (strncmp(v->name, "bad-version", 11) == 0 || strcmp(v->name, "bad-length-3") == 0),
		     "%s: the connection", v->name);
	gateway_free(g);
}

/* No setting refuses one remote port, and 3.5 of the catalogue says why: it is granted. */
static bool has_no_setting(const char *name)
{
	return strcmp(name, "st-remoteport-unallowed") == 0;
}

/*
 * covers: E-01 E-02 E-03 E-05 E-08 W-02 W-03 W-04 W-06 W-07 W-08 W-09 W-10 W-11 W-12 W-13 W-14 W-30 T-07 T-10 T-12
 * covers: T-15 T-24 T-25 REG-01 REG-07 REG-08 REG-11 REG-12 EXT-04 FREE-02 RSAP-07 RSAP-08 RSAP-09 RSAP-15 IPS-05
 * covers: IPS-06 IPS-07 IPS-15 IPS-18 FLOW-02 FLOW-04 FLOW-05 FLOW-06 TUN-04 TUN-08 SPI-03 APG-03 RSA-01 LSN-01
 * covers: RSA-04 RSA-05 RSA-06 RSA-13
 */
Test(session_vectors, refused_over_udp)
{
	unsigned int checked = 0;

	load_vectors();
	for (size_t i = 0; i < vector_count; i++) {
		const struct vector *v = &vectors[i];

		if ((strncmp(v->name, "bad-", 4) && strncmp(v->name, "st-", 3)) || has_no_setting(v->name))
			continue;
		check_refusal(v, false);
		checked++;
	}
	cr_expect_eq(checked, 102 + 27 - 1);
}

/* What is a datagram's own affair: its end, its counter. */
static bool is_udp_only(const char *name)
{
	static const char *const names[] = {
		"bad-short-1", "bad-short-3", "bad-length-long", "bad-length-short", "bad-two-messages",
		"bad-udp-no-counter", "bad-udp-register-no-counter", "st-udp-refused",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(names[i], name) == 0)
			return true;
	}
	return false;
}

/* covers: T-01 T-09 T-26 E-02 E-05 */
Test(session_vectors, refused_over_tcp)
{
	unsigned int checked = 0;

	load_vectors();
	for (size_t i = 0; i < vector_count; i++) {
		const struct vector *v = &vectors[i];

		if ((strncmp(v->name, "bad-", 4) && strncmp(v->name, "st-", 3)) || has_no_setting(v->name) ||
		    is_udp_only(v->name))
			continue;
		check_refusal(v, true);
		checked++;
	}
	cr_expect_eq(checked, 102 + 27 - 1 - 8);
}

/* --- what is accepted -------------------------------------------------------------------------- */

/*
 * Every form of every parameter, in the default situation: the whole answer.
 * A request whose SPIs or ports the gateway chooses has holes; they are checked
 * elsewhere. "=": an error as in table 1.4.
 */
static const struct accepted {
	const char *vector, *answer;
} accepted[] = {
	{ "form-ports-single", "0109003a040004CCCCCCCC0500040000000401000501c0000209"
			       "020003" "0113c4" "0100010102000101" "03000400000258" "06000101" "0b000400000002" },
	{ "form-ports-contiguous", "0109003a040004CCCCCCCC0500040000000401000501c0000209"
				   "020003" "102710" "0100010102000101" "03000400000258" "06000101" "0b000400000002" },
	{ "form-ports-contiguous-255", "0109003a040004CCCCCCCC0500040000000401000501c0000209"
				       "020003" "ffff01" "0100010102000101" "03000400000258" "06000101" "0b000400000002" },
	{ "form-ports-list", "0109003e040004CCCCCCCC0500040000000401000501c0000209"
			     "020007" "0303f403f507d0" "0100010102000101" "03000400000258" "06000101" "0b000400000002" },
	{ "form-ports-any-1", "0109003a040004CCCCCCCC0500040000000401000501c0000201"
			      "020003" "01????" "0100010102000101" "03000400000258" "06000101" "0b000400000002" },
	{ "form-ports-any-255", "0109003a040004CCCCCCCC0500040000000401000501c0000201"
				"020003" "ff????" "0100010102000101" "03000400000258" "06000101" "0b000400000002" },
	{ "form-ports-remote-list", "0109003a040004CCCCCCCC0500040000000401000501c0000201"
				    "020003" "01????" "0100010102000101" "03000400000258" "06000101" "0b000400000002" },
	{ "form-spi-single", "0117003f040004CCCCCCCC0500040000000401000501c0000201020000" "01000101020000"
			     "160006" "000100001000" "03000400000258" "06000101" "0b000400000002" },
	{ "form-spi-contiguous", "0117003f040004CCCCCCCC0500040000000401000501c0000201020000" "01000101020000"
				 "160006" "001000010000" "03000400000258" "06000101" "0b000400000002" },
	{ "form-spi-contiguous-top", "0117003f040004CCCCCCCC0500040000000401000501c0000201020000" "01000101020000"
				     "160006" "0002fffffffe" "03000400000258" "06000101" "0b000400000002" },
	{ "form-spi-list", "01170047040004CCCCCCCC0500040000000401000501c0000201020000" "01000101020000"
			   "16000e" "0003000010010000200200003003" "03000400000258" "06000101" "0b000400000002" },
	{ "form-spi-any-1", "0117003f040004CCCCCCCC0500040000000401000501c0000201020000" "01000101020000"
			    "160006" "0001????????" "03000400000258" "06000101" "0b000400000002" },
	{ "form-spi-any-300", "0117003f040004CCCCCCCC0500040000000401000501c0000201020000" "01000101020000"
			      "160006" "012c????????" "03000400000258" "06000101" "0b000400000002" },
	{ "form-ipsec-ports-needed", "01170043040004CCCCCCCC0500040000000401000501c0000201" "020003" "04????"
				     "0100010102000101" "160006" "0001????????" "03000400000258" "06000101" "0b000400000002" },
	{ "form-ipsec-ports-mixed", "01170042040004CCCCCCCC0500040000000401000501c0000201" "020003" "04????"
				    "01000101020000" "160006" "0001????????" "03000400000258" "06000101" "0b000400000002" },
	{ "form-optional-order", "0109003a040004CCCCCCCC0500040000000401000501c0000201"
				 "020003" "02????" "0100010102000101" "0300040000003c" "06000101" "0b000400000002" },
	{ "form-lease-max", "010b0020040004CCCCCCCC05000400000003" "03000400000e10" "0b000400000002" },
	{ "form-extend-no-lease", "010b0020040004CCCCCCCC05000400000003" "03000400000258" "0b000400000002" },
	{ "form-vendor-request", "010100170800020" "12e" "0b000400000001" "040004CCCCCCCC" },
	{ "form-vendor-empty", "010100170800020" "12e" "0b000400000001" "040004CCCCCCCC" },
	{ "form-vendor-twice", "010100170800020" "12e" "0b000400000001" "040004CCCCCCCC" },
	{ "form-query-all", "010f0027040004CCCCCCCC0b000400000002" "0a00020002" "010005010a000000" "01000502ff000000" },
	{ "form-query-fqdn", "010f0012040004CCCCCCCC0b000400000002" },
	{ "form-query-ipv6", "010f0012040004CCCCCCCC0b000400000002" },
	{ "form-query-many", "010f0034040004CCCCCCCC0b000400000002" "0a00020001" "010005010a010101"
			     "0a00020002" "010005010a000000" "01000502ff000000" },
	{ "form-query-counter-last", "010f001f040004CCCCCCCC0b000400000002" "0a00020001" "010005010a010101" },
	{ "lib-indicator-1-byte", "010f001f040004CCCCCCCC0b000400000002" "0a00020001" "010005010a010101" },
	{ "lib-addr-reserved-type", "0109003a040004CCCCCCCC0500040000000401000501c0000201"
				    "020003" "01????" "0100010102000101" "03000400000258" "06000101" "0b000400000002" },
	{ "lib-addr-zeros", "0109003a040004CCCCCCCC0500040000000401000501c0000201"
			    "020003" "01????" "0100010102000101" "03000400000258" "06000101" "0b000400000002" },
	{ "lib-ports-zero-count-remote", "0109003a040004CCCCCCCC0500040000000401000501c0000201"
					 "020003" "01????" "0100010102000101" "03000400000258" "06000101" "0b000400000002" },
	{ "lib-ports-all-zero-remote", "0109003a040004CCCCCCCC0500040000000401000501c0000201"
				       "020003" "01????" "0100010102000101" "03000400000258" "06000101" "0b000400000002" },
	{ "lib-ports-one-zero", "0109003a040004CCCCCCCC0500040000000401000501c0000201"
				"020003" "04????" "0100010102000101" "03000400000258" "06000101" "0b000400000002" },
	{ "form-addr-ipv4-local", "01070034040004CCCCCCCC0500040000000401000501c0000209"
				  "0100010102000101" "03000400000258" "06000101" "0b000400000002" },
	{ "form-addr-any-ipv6-remote", "01070034040004CCCCCCCC0500040000000401000501c0000209"
				       "0100010102000101" "03000400000258" "06000101" "0b000400000002" },
	{ "form-addr-any-fqdn-remote", "01070034040004CCCCCCCC0500040000000401000501c0000209"
				       "0100010102000101" "03000400000258" "06000101" "0b000400000002" },
	{ "form-addr-ipv6-both", "01010017080002" "0138" "0b000400000002" "040004CCCCCCCC" },
	{ "form-addr-fqdn-max-label", "01070034040004CCCCCCCC0500040000000401000501c0000209"
				      "0100010102000101" "03000400000258" "06000101" "0b000400000002" },
	{ "form-addr-fqdn-253", "01070034040004CCCCCCCC0500040000000401000501c0000209"
				"0100010102000101" "03000400000258" "06000101" "0b000400000002" },
	{ "lib-addr-zeros-v6", "01070034040004CCCCCCCC0500040000000401000501c0000209"
			       "0100010102000101" "03000400000258" "06000101" "0b000400000002" },
	{ "form-listen-two-tunnels", "0111003a040004CCCCCCCC0500040000000401000501c0000209"
				     "020003" "010050" "0100010102000101" "06000102" "03000400000384" "0b000400000002" },
	{ "lib-spi-zero", "0117003f040004CCCCCCCC0500040000000401000501c0000201020000" "01000101020000"
			  "160006" "0001????????" "03000400000258" "06000101" "0b000400000002" },
};

static void check_accepted(const struct accepted *row, struct origin x)
{
	struct gateway *g = gateway_new();
	uint32_t id;

	/* 192.0.2.9 is one of many, or one of two that are lent whole. */
	if (find(row->vector)->data[1] == RSIP_ASSIGN_REQUEST_RSA) {
		g->range.last = ntohl(ip4("192.0.2.8"));
		gateway_lend_whole(g, "192.0.2.9", "192.0.2.10");
	}
	gateway_start(g);
	id = default_situation(g, x);
	send_vector(g, x, row->vector, 9, id);
	expect_template(g, row->vector, row->answer, id);
	gateway_free(g);
}

/*
 * covers: W-05 W-15 W-17 W-18 W-19 W-20 W-21 W-22 W-23 W-25 RSAP-02 RSAP-03 RSAP-14 RSAP-20 IPS-03 IPS-04 IPS-09
 * covers: IPS-11 EXT-03 EXT-08 LSE-08 QRY-01 QRY-02 QRY-03 QRY-04 QRY-07 QRY-12 FLOW-03 REG-07 W-16 W-32
 * covers: RSA-02 RSA-03 LSN-03 LSN-07
 */
Test(session_vectors, accepted_over_udp)
{
	load_vectors();
	for (size_t i = 0; i < sizeof(accepted) / sizeof(accepted[0]); i++)
		check_accepted(&accepted[i], udp_host(7));
}

/* The same over TCP, where the counter is copied. covers: T-26 */
Test(session_vectors, accepted_over_tcp)
{
	load_vectors();
	for (size_t i = 0; i < sizeof(accepted) / sizeof(accepted[0]); i++)
		check_accepted(&accepted[i], tcp_host(7));
}

/* No request may be left out: each is in one of the tables, a trace, or refused for what it is. */
Test(session_vectors, all_requests_are_used)
{
	load_vectors();
	for (size_t i = 0; i < vector_count; i++) {
		const struct vector *v = &vectors[i];
		bool used = !v->to_gateway || strncmp(v->name, "ips-", 4) == 0 || strncmp(v->name, "c1-", 3) == 0;

		used |= strncmp(v->name, "bad-", 4) == 0 || strncmp(v->name, "st-", 3) == 0;
		for (size_t k = 0; k < sizeof(accepted) / sizeof(accepted[0]); k++)
			used |= strcmp(accepted[k].vector, v->name) == 0;
		if (used)
			continue;
		/* examples 2 and 3 begin like example 1; the wrap and the largest ID are in test_session.c */
		cr_expect(strncmp(v->name, "c2-", 3) == 0 || strncmp(v->name, "c3-", 3) == 0 ||
				  strncmp(v->name, "form-counter-", 13) == 0 || strcmp(v->name, "form-id-max") == 0,
			  "%s is not used", v->name);
	}
}
