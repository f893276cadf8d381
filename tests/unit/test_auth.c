// SPDX-License-Identifier: GPL-2.0-only
/*
 * Authentication: its bytes against vectors made by another implementation, what
 * is refused, and a host and a gateway with a key talking to each other while
 * messages are lost, replayed, and both forget everything.
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gateway.h"
#include "lib/log.h"
#include "lib/auth.h"
#include "rsip/client.h"

static const uint8_t key[AUTH_KEY_LEN] = "thirty-two bytes of key, exactly", other[AUTH_KEY_LEN] = "another";

/* --- bytes ----------------------------------------------------------------------------------- */

static size_t unhex(const char *text, uint8_t *out)
{
	size_t len = 0;
	unsigned int byte;

	for (; sscanf(text, "%2x", &byte) == 1; text += 2)
		out[len++] = (uint8_t)byte;
	return len;
}

/* covers: SEC-04 */
Test(auth, vectors)
{
	FILE *file = fopen("tests/vectors/auth-vectors.txt", "r");
	char line[4096], name[64], fields[5][2048];
	unsigned int count = 0;

	cr_assert_not_null(file);
	while (fgets(line, sizeof(line), file)) {
		uint8_t vector_key[AUTH_KEY_LEN], plain[2048], sealed[2048];
		struct auth_stamp stamp, opened;
		size_t plain_len, sealed_len;

		if (line[0] == '#')
			continue;
		cr_assert_eq(sscanf(line, "%63s | %2047s | %2047s | %2047s | %2047s | %2047s", name, fields[0], fields[1],
				    fields[2], fields[3], fields[4]), 6, "%s", line);
		cr_assert_eq(unhex(fields[0], vector_key), AUTH_KEY_LEN);
		stamp.nonce = strtoull(fields[1], NULL, 16);
		stamp.sequence = strtoull(fields[2], NULL, 16);
		plain_len = unhex(fields[3], plain);
		sealed_len = unhex(fields[4], sealed);
		cr_expect_eq(auth_seal(vector_key, stamp, plain, plain_len, sizeof(plain)), sealed_len, "%s", name);
		cr_expect_arr_eq(plain, sealed, sealed_len, "%s", name);
		cr_expect(auth_open(vector_key, sealed, sealed_len, &opened), "%s", name);
		cr_expect_eq(opened.nonce, stamp.nonce);
		cr_expect_eq(opened.sequence, stamp.sequence);
		count++;
	}
	fclose(file);
	cr_expect_eq(count, 8);
}

/* Any bit of a message or of the key, any length: refused. */
Test(auth, bits)
{
	uint8_t data[128] = { 1, RSIP_QUERY_REQUEST, 0, 11, RSIP_PARAM_CLIENT_ID, 0, 4, 0, 0, 0, 9 }, bad_key[AUTH_KEY_LEN];
	struct auth_stamp stamp = { 7, 9 };
	size_t len = auth_seal(key, stamp, data, 11, sizeof(data));

	cr_assert_eq(len, 11 + AUTH_LEN);
	cr_expect(auth_open(key, data, len, &stamp));
	for (size_t i = 0; i < 8 * len; i++) {
		data[i / 8] ^= (uint8_t)(1u << i % 8);
		cr_expect_not(auth_open(key, data, len, &stamp), "bit %zu", i);
		data[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	for (size_t i = 0; i < 8 * AUTH_KEY_LEN; i++) {
		memcpy(bad_key, key, sizeof(bad_key));
		bad_key[i / 8] ^= (uint8_t)(1u << i % 8);
		cr_expect_not(auth_open(bad_key, data, len, &stamp), "bit %zu of the key", i);
	}
	for (size_t cut = 0; cut < len; cut++) {
		uint8_t *copy = malloc(cut ? cut : 1);

		memcpy(copy, data, cut);
		cr_expect_not(auth_open(key, copy, cut, &stamp), "%zu bytes", cut);
		free(copy);
	}
}

Test(auth, room)
{
	static uint8_t data[RSIP_MESSAGE_MAX + AUTH_LEN];
	struct auth_stamp stamp = { 0 };

	data[0] = 1;
	cr_expect_eq(auth_seal(key, stamp, data, 4, 4 + AUTH_LEN - 1), 0);
	cr_expect_eq(auth_seal(key, stamp, data, 4, 4 + AUTH_LEN), 4 + AUTH_LEN);
	cr_expect_eq(auth_seal(key, stamp, data, RSIP_MESSAGE_MAX - AUTH_LEN + 1, sizeof(data)), 0);
	cr_expect_eq(auth_seal(key, stamp, data, RSIP_MESSAGE_MAX - AUTH_LEN, sizeof(data)), RSIP_MESSAGE_MAX);
	cr_expect_eq(auth_seal(key, stamp, data, 3, sizeof(data)), 0);
}

/* --- key files -------------------------------------------------------------------------------- */

#define HEX64	"00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF"

static const struct {
	const char *text;
	mode_t mode;
	const char *why;		/* NULL: taken */
} files[] = {
	{ HEX64 "\n", 0600, NULL },
	{ HEX64, 0400, NULL },
	{ HEX64 "\n", 0640, "is open to others: mode 0600 or 0400 is allowed" },
	{ HEX64 "\n", 0604, "is open to others: mode 0600 or 0400 is allowed" },
	{ HEX64 "00\n", 0600, "is no key: 64 hexadecimal digits are allowed" },
	{ HEX64 "\n\n", 0600, "is no key: 64 hexadecimal digits are allowed" },
	{ "00", 0600, "is no key: 64 hexadecimal digits are allowed" },
	{ "", 0600, "is no key: 64 hexadecimal digits are allowed" },
	{ "x0112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF", 0600,
	  "is no key: 64 hexadecimal digits are allowed" },
};

static void not_loaded(const char *path, const char *wanted)
{
	uint8_t read[AUTH_KEY_LEN];
	const char *why = "nothing";

	cr_expect_eq(auth_load_key(path, read, &why), -1, "%s", path);
	cr_expect_str_eq(why, wanted, "%s", path);
}

Test(auth, key_files)
{
	char path[] = "/tmp/rsip-key.XXXXXX", link[64];
	int fd = mkstemp(path);
	uint8_t read[AUTH_KEY_LEN];
	const char *why;

	cr_assert_geq(fd, 0);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		cr_assert_eq(ftruncate(fd, 0), 0);
		cr_assert_eq(pwrite(fd, files[i].text, strlen(files[i].text), 0), (ssize_t)strlen(files[i].text));
		cr_assert_eq(fchmod(fd, files[i].mode), 0);
		cr_expect_eq(auth_load_key(path, read, &why), files[i].why ? -1 : 0, "%s", files[i].text);
		cr_expect(files[i].why ? why && !strcmp(why, files[i].why) : !why, "%s: %s", files[i].text, why);
	}
	cr_assert_eq(pwrite(fd, HEX64, 64, 0), 64);
	cr_assert_eq(auth_load_key(path, read, &why), 0);
	snprintf(link, sizeof(link), "%s.link", path);
	cr_assert_eq(symlink(path, link), 0);
	not_loaded(link, strerror(ELOOP));	/* it may lead anywhere */
	unlink(link);
	if (geteuid() == 0) {
		cr_assert_eq(fchown(fd, 1, 0), 0);
		not_loaded(path, "belongs to somebody else: a file of root or of its reader is allowed");
	}
	unlink(path);
	close(fd);
	not_loaded(path, strerror(ENOENT));
	not_loaded("/dev/null", "is no file: a regular file is allowed");
}

/* --- the gateway -------------------------------------------------------------------------------- */

static struct gateway *keyed_gateway(void)
{
	struct gateway *g = gateway_new();

	g->rule.key = (uint8_t *)key;
	gateway_start(g);
	return g;
}

static size_t sealed(const struct msg *m, const uint8_t *with, struct auth_stamp stamp, uint8_t *out)
{
	size_t len = msg_encode(m, out, RSIP_MESSAGE_MAX);

	return auth_seal(with, stamp, out, len, RSIP_MESSAGE_MAX);
}

/* Asks; the answer's stamp, or zeroes for silence. */
static struct msg ask(struct gateway *g, const struct msg *m, const uint8_t *with, struct auth_stamp stamp,
		      struct auth_stamp *answered)
{
	static uint8_t data[RSIP_MESSAGE_MAX];
	struct msg answer = { 0 };
	struct msg_fault fault;

	*answered = (struct auth_stamp){ 0 };
	gateway_input(g, udp_host(11), data, with ? sealed(m, with, stamp, data) : msg_encode(m, data, sizeof(data)));
	cr_assert_leq(g->sent, 1);
	if (!g->sent)
		return answer;
	cr_assert(msg_decode(g->box[0].data, g->box[0].len, MSG_AT_HOST, MSG_UDP, &answer, &fault), "%s", fault.text);
	if (!auth_open(key, g->box[0].data, g->box[0].len, answered))
		cr_expect_eq(answer.vendor_count, 0);
	return answer;
}

/* Without the key: 304 to REGISTER_REQUEST, nothing to anything else, registered or not. covers: SEC-04 */
Test(auth, refused_without_it)
{
	struct gateway *g = keyed_gateway();
	struct auth_stamp stamp = { 0, 5 }, answered;
	const uint8_t *const keys[] = { NULL, other };
	struct msg reg = req_register(1), query = req_query(7, 1), answer;

	for (unsigned int registered = 0; registered < 2; registered++) {
		for (size_t i = 0; i < 2; i++) {
			answer = ask(g, &reg, keys[i], stamp, &answered);
			cr_expect_eq(answer.error, RSIP_E_REGISTRATION_DENIED);
			cr_expect_eq(answered.sequence, 0, "not sealed");
			cr_expect_leq(g->box[0].len, 23);
			ask(g, &query, keys[i], stamp, &answered);
			cr_expect_eq(g->sent, 0);
			gateway_input(g, udp_host(11), "\x01\x63\x00\x04", 4);
			cr_expect_eq(g->sent, 0, "no fault is explained");
			gateway_input(g, udp_host(11), "\x01\x02\x00\x05", 4);
			cr_expect_eq(g->sent, 0, "nor one of a registration");
		}
		if (registered)
			break;
		answer = ask(g, &reg, key, stamp, &answered);
		answer = ask(g, &reg, key, (struct auth_stamp){ answered.nonce, 6 }, &answered);
		cr_assert_eq(answer.type, RSIP_REGISTER_RESPONSE);
		query.client_id = answer.client_id;
	}
	cr_expect_eq(session_counters(g->s)->unauthentic, 16);
	gateway_free(g);
}

/* Each step's request, with what it is stamped, and what comes back. */
Test(auth, replays)
{
	struct gateway *g = keyed_gateway();
	struct msg reg = req_register(1), query, answer;
	struct auth_stamp s, nonce;
	static uint8_t first[RSIP_MESSAGE_MAX];
	size_t first_len;

	answer = ask(g, &reg, key, (struct auth_stamp){ 0, 100 }, &s);
	cr_expect_eq(answer.error, RSIP_E_UNKNOWN_ERROR, "a challenge");
	cr_expect_eq(s.sequence, 100);
	cr_expect_neq(s.nonce, 0);
	nonce = s;
	answer = ask(g, &reg, key, (struct auth_stamp){ 0, 90 }, &s);
	cr_expect_eq(s.nonce, nonce.nonce, "the same until it is used");
	answer = ask(g, &reg, key, (struct auth_stamp){ nonce.nonce, 101 }, &s);
	cr_assert_eq(answer.type, RSIP_REGISTER_RESPONSE);
	cr_expect_eq(s.sequence, 101);
	memcpy(first, g->box[0].data, g->box[0].len);
	first_len = g->box[0].len;
	answer = ask(g, &reg, key, (struct auth_stamp){ nonce.nonce, 101 }, &s);
	cr_expect_eq(g->box[0].len, first_len);
	cr_expect_arr_eq(g->box[0].data, first, first_len, "a repeated request gets the same bytes");
	cr_expect_eq(gateway_call(g, udp_host(12), &reg).error, RSIP_E_REGISTRATION_DENIED);
	answer = ask(g, &reg, key, (struct auth_stamp){ nonce.nonce, 101 }, &s);
	cr_expect_eq(g->box[0].len, first_len);
	cr_expect_arr_eq(g->box[0].data, first, first_len, "also when another host was answered meanwhile");

	answer = ask(g, &reg, key, (struct auth_stamp){ nonce.nonce, 102 }, &s);
	cr_expect_eq(answer.type, RSIP_REGISTER_RESPONSE, "the same request with another stamp");
	cr_expect_eq(s.sequence, 102);

	query = req_query(answer.client_id, 2);
	answer = ask(g, &query, key, (struct auth_stamp){ nonce.nonce, 102 }, &s);
	cr_expect_eq(answer.type, RSIP_QUERY_RESPONSE, "a query changes nothing");
	answer = ask(g, &query, key, (struct auth_stamp){ nonce.nonce, 100 }, &s);
	cr_expect_eq(g->sent, 0, "an old one gets nothing");
	query = req_deregister(query.client_id, 3);
	answer = ask(g, &query, key, (struct auth_stamp){ nonce.nonce, 102 }, &s);
	cr_expect_eq(g->sent, 0, "a used stamp does nothing");
	answer = ask(g, &query, key, (struct auth_stamp){ nonce.nonce, 103 }, &s);
	cr_expect_eq(answer.type, RSIP_DEREGISTER_RESPONSE);
	gateway_wait(g, 10000);
	ask(g, &reg, key, (struct auth_stamp){ nonce.nonce, 102 }, &s);
	cr_expect_eq(g->sent, 0, "the old registration does not come back");
	answer = ask(g, &reg, key, (struct auth_stamp){ 0, 100 }, &s);
	cr_expect_eq(answer.error, RSIP_E_UNKNOWN_ERROR, "nor by the very first message");
	cr_expect_eq(lease_client_count(session_leases(g->s)), 0);
	gateway_free(g);
}

/* Registers and returns the Client ID; *nonce is what the next requests are stamped with, from 103 on. */
static uint32_t register_with(struct gateway *g, uint64_t *nonce)
{
	struct msg reg = req_register(1), answer;
	struct auth_stamp s;

	ask(g, &reg, key, (struct auth_stamp){ 0, 101 }, &s);
	*nonce = s.nonce;
	answer = ask(g, &reg, key, (struct auth_stamp){ *nonce, 102 }, &s);
	cr_assert_eq(answer.type, RSIP_REGISTER_RESPONSE);
	return answer.client_id;
}

/* A datagram holds 65507 bytes with the authenticator. covers: SEC-04 T-34 */
Test(auth, a_long_answer)
{
	struct gateway *g = gateway_new();
	struct addr_prefix *networks = calloc(5000, sizeof(*networks));
	struct auth_stamp s;
	struct msg query;
	uint64_t nonce;

	for (uint32_t i = 0; i < 5000; i++)
		networks[i] = (struct addr_prefix){ htonl(0x0a000000 + (i << 8)), 24 };
	g->config.local_networks = networks;
	g->config.local_network_count = 5000;
	g->rule.key = (uint8_t *)key;
	gateway_start(g);
	query = req_query(register_with(g, &nonce), 2);
	cr_expect_eq(ask(g, &query, key, (struct auth_stamp){ nonce, 103 }, &s).type, RSIP_QUERY_RESPONSE);
	cr_expect_eq(s.sequence, 103, "sealed");
	cr_expect_eq(g->box[0].len, 18 + (65507 - AUTH_LEN - 18) / 21 * 21 + AUTH_LEN, "%zu", g->box[0].len);
	gateway_free(g);
	free(networks);
}

/* An answer that the disk refused is taken back, and its duplicate hears so too: what is stored has no seal. */
Test(auth, a_refused_answer)
{
	struct gateway *g = keyed_gateway();
	struct auth_stamp s;
	struct msg assign;
	struct sent sent;
	uint64_t nonce;

	log_set_level(0);
	assign = req_rsap(register_with(g, &nonce), 4, 2);
	cr_assert_eq(ask(g, &assign, key, (struct auth_stamp){ nonce, 103 }, &s).type, RSIP_ASSIGN_RESPONSE_RSAP);
	sent = g->box[0];
	g->sent = 0;
	session_refuse(g->s, &sent.to, sent.data, sent.len, sent.close, g->now);
	cr_assert_eq(g->sent, 1);
	cr_assert(auth_open(key, g->box[0].data, g->box[0].len, &s));
	cr_expect_eq(s.sequence, 103);
	cr_expect_eq(ask(g, &assign, key, (struct auth_stamp){ nonce, 103 }, &s).error, RSIP_E_INTERNAL_SERVER_ERROR);
	gateway_free(g);
}

/* --- the host ------------------------------------------------------------------------------------- */

static const struct {
	const char *what;
	struct auth_stamp stamp;
	bool is_error;
	enum auth_news news;
	struct auth_host after;
} heard[] = {
	{ "the answer", { 7, 20 }, false, AUTH_ANSWER, { 7, 20, AUTH_ASYNC | 3 } },
	{ "an error as the answer", { 7, 20 }, true, AUTH_ANSWER, { 7, 20, AUTH_ASYNC | 3 } },
	{ "that of an earlier request", { 7, 19 }, false, AUTH_NOTHING, { 7, 20, AUTH_ASYNC | 3 } },
	{ "that of no request yet", { 7, 21 }, false, AUTH_NOTHING, { 7, 20, AUTH_ASYNC | 3 } },
	{ "a challenge", { 8, 20 }, true, AUTH_ASK_AGAIN, { 8, 20, 0 } },
	{ "that of an earlier request", { 8, 19 }, true, AUTH_NOTHING, { 7, 20, AUTH_ASYNC | 3 } },
	{ "a challenge that is no error", { 8, 20 }, false, AUTH_NOTHING, { 7, 20, AUTH_ASYNC | 3 } },
	{ "a challenge with nothing to use", { 0, 20 }, true, AUTH_NOTHING, { 7, 20, AUTH_ASYNC | 3 } },
	{ "the gateway's next word", { 7, AUTH_ASYNC | 4 }, false, AUTH_TOLD, { 7, 20, AUTH_ASYNC | 4 } },
	{ "a later one", { 7, AUTH_ASYNC | 9 }, true, AUTH_TOLD, { 7, 20, AUTH_ASYNC | 9 } },
	{ "its last one once more", { 7, AUTH_ASYNC | 3 }, false, AUTH_NOTHING, { 7, 20, AUTH_ASYNC | 3 } },
	{ "one before that", { 7, AUTH_ASYNC | 2 }, false, AUTH_NOTHING, { 7, 20, AUTH_ASYNC | 3 } },
	{ "one of an earlier registration", { 6, AUTH_ASYNC | 4 }, false, AUTH_NOTHING, { 7, 20, AUTH_ASYNC | 3 } },
};

/* What a host takes of what is sealed with its key: old messages are sealed with it too. covers: SEC-04 */
Test(auth, a_host_hears)
{
	for (size_t i = 0; i < sizeof(heard) / sizeof(heard[0]); i++) {
		struct auth_host host = { .nonce = 7, .sequence = 20, .told = AUTH_ASYNC | 3 };

		cr_expect_eq(auth_hear(&host, heard[i].stamp, heard[i].is_error), heard[i].news, "%s", heard[i].what);
		cr_expect(!memcmp(&host, &heard[i].after, sizeof(host)), "%s", heard[i].what);
	}
}

/* --- a host and a gateway ------------------------------------------------------------------------ */

static struct link {
	struct gateway *g;
	struct client *c;
	unsigned int lose;		/* so many messages from now on, one in two */
	unsigned int granted, ended, failed;
	uint8_t last[RSIP_MESSAGE_MAX], told[RSIP_MESSAGE_MAX];	/* as the host heard it; the gateway's own */
	size_t last_len, told_len;
} l;

static void to_host(void)
{
	for (size_t i = 0; i < l.g->sent; i++) {
		const struct sent *sent = &l.g->box[i];

		if (l.lose && l.lose-- % 2)
			continue;
		memcpy(l.last, sent->data, sent->len);
		l.last_len = sent->len;
		client_input(l.c, sent->data, sent->len, l.g->now);
	}
	l.g->sent = 0;
}

static void to_gateway(const uint8_t *data, size_t len, void *arg)
{
	if (l.lose && l.lose-- % 2)
		return;
	gateway_input(l.g, udp_host(11), data, len);
}

static void on_granted(const struct client_lease *lease, void *arg)
{
	l.granted++;
}

static void on_extended(const struct client_lease *lease, void *arg)
{
}

static void on_ended(const struct client_lease *lease, enum client_end why, void *arg)
{
	l.ended++;
}

static void on_failed(const struct client_failure *failure, void *arg)
{
	l.failed++;
}

static void on_state(enum client_state state, void *arg)
{
}

static void on_stopped(void *arg)
{
}

static const struct client_ops ops = {
	.send = to_gateway, .granted = on_granted, .extended = on_extended, .ended = on_ended, .failed = on_failed,
	.state = on_state, .stopped = on_stopped,
};

static struct client *host_new(const uint8_t *with)
{
	struct client *c = client_new(&ops, NULL, NULL);
	struct want want = { .kind = WANT_PORTS, .ports = 2 };

	if (with)
		client_use_key(c, with);
	client_add(c, &want, l.g->now);
	client_start(c, l.g->now);
	return c;
}

/* Lets both work for so many milliseconds. */
static void work(uint64_t ms)
{
	for (uint64_t end = l.g->now + ms; l.g->now < end; l.g->now += 10) {
		session_tick(l.g->s, l.g->now);
		to_host();
		client_run(l.c, l.g->now);
		to_host();
	}
}

/* covers: SEC-04 */
Test(auth, a_host_and_its_gateway)
{
	struct msg_fault fault;
	struct msg m;
	uint32_t client_id;

	l.g = keyed_gateway();
	l.c = host_new(key);
	work(1000);
	cr_expect_eq(l.granted, 1);
	cr_expect_eq(l.failed, 0, "a challenge is no failure");
	client_id = lease_client_by_address(session_leases(l.g->s), udp_host(11).source)->client_id;

	/* A message of the gateway's own, again and again: it counts once. */
	session_free_bind(l.g->s, client_id, 1, l.g->now);
	cr_assert_eq(l.g->sent, 1);
	memcpy(l.told, l.g->box[0].data, l.g->box[0].len);
	l.told_len = l.g->box[0].len;
	l.told[l.told_len - 1] ^= 1;
	client_input(l.c, l.told, l.told_len, l.g->now);
	cr_expect_eq(l.ended, 0, "a false one is dropped");
	l.told[l.told_len - 1] ^= 1;
	client_input(l.c, l.told, l.told_len, l.g->now);
	cr_expect_eq(l.ended, 1);
	l.g->sent = 0;
	client_input(l.c, l.told, l.told_len, l.g->now);
	work(5000);
	cr_expect_eq(l.granted, 2, "it asked for another one");
	cr_assert(msg_decode(l.told, l.told_len, MSG_AT_HOST, MSG_UDP, &m, &fault));
	cr_expect_eq(m.vendor_count, 1);
	client_input(l.c, l.told, l.told_len, l.g->now);
	cr_expect_eq(l.ended, 1);
	client_free(l.c);
	gateway_free(l.g);
}

/* The host forgets all, then the gateway: each time one more round trip, and nothing is lost. covers: SEC-04 */
Test(auth, both_restart)
{
	l.g = keyed_gateway();
	l.c = host_new(key);
	work(1000);
	cr_assert_eq(l.granted, 1);
	client_free(l.c);
	l.c = host_new(key);
	work(5000);
	cr_expect_eq(l.granted, 2, "after the host's restart");
	gateway_restart(l.g);
	cr_expect_eq(lease_client_count(session_leases(l.g->s)), 1);
	l.ended = l.failed = 0;
	work(400000);
	cr_expect_eq(l.ended, 0, "the lease was extended over the gateway's restart");
	cr_expect_eq(lease_bind_count(session_leases(l.g->s)), 1, "and no second one granted");
	cr_expect_eq(l.failed, 0);
	client_free(l.c);
	gateway_free(l.g);
}

/* Every second message is lost for a while. */
Test(auth, losses)
{
	for (unsigned int lose = 1; lose < 40; lose++) {
		l.granted = 0;
		l.g = keyed_gateway();
		l.lose = lose;
		l.c = host_new(key);
		work(20000);
		cr_expect_eq(l.granted, 1, "%u lost", lose / 2);
		cr_expect_eq(lease_bind_count(session_leases(l.g->s)), 1, "%u lost", lose / 2);
		client_free(l.c);
		gateway_free(l.g);
	}
}

/* Wrong keys, or a key on one side only: no lease, and no answer is believed. */
Test(auth, not_the_same_key)
{
	struct client_status status;

	l.g = keyed_gateway();
	for (int with = 0; with < 2; with++) {
		l.c = host_new(with ? other : NULL);
		work(10000);
		cr_expect_eq(l.granted, 0);
		client_free(l.c);
	}
	cr_expect_eq(lease_client_count(session_leases(l.g->s)), 0);
	gateway_free(l.g);
	l.g = gateway_new();
	gateway_start(l.g);
	l.c = host_new(key);
	work(10000);
	cr_expect_eq(l.granted, 0, "the gateway has no key: what it says is not believed");
	client_status(l.c, &status);
	cr_expect_gt(status.received, 0);
	cr_expect_eq(status.unauthentic, status.received, "and the operator of the host can see why");
	client_free(l.c);
	gateway_free(l.g);
}
