// SPDX-License-Identifier: GPL-2.0-only
/*
 * Datagrams and streams from a few hosts, time, faults of the data plane and the
 * operator, against the real sessions, leases and pools. The input is a list of
 * steps: kind and host in one byte, two bytes of length or number, the bytes of
 * a message. A Client ID below 0xff00 stands for the sender's own, 0xff0n for
 * that of host n. Host KEYED has a key, and its messages get the authenticator that
 * belongs to them; those with RAW in their length are sent as they are, and change nothing.
 *
 * covers: SEC-04 SEC-05 T-34
 */
#include "fuzz.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <string.h>

#include "../random.h"
#include "../unit/datapath_fake.h"
#include "../unit/journal_fake.h"
#include "lib/auth.h"
#include "lib/log.h"
#include "rsipd/session.h"

#define HOSTS		8
#define ERROR_MAX	23	/* to a sender that is not registered (SEC-05) */
#define OTHER_HOST	0xff00
#define KEYED		4
#define RAW		0x8000

enum { STEP_UDP, STEP_TCP, STEP_WAIT, STEP_WAIT_LONG, STEP_FAIL, STEP_EVICT, STEP_TAKE_BACK, STEP_SPOOF, STEP_COUNT };

static struct config_interface private_interface = { .name = "lan0" };
static struct addr_range range = { 0xc0000201, 0xc0000203 };	/* 192.0.2.1 - 192.0.2.3 */
static struct addr_range whole_range = { 0xc0000209, 0xc000020a };	/* 192.0.2.9, 192.0.2.10 */
static struct config_pool pools[] = {
	{ .name = "few", .addresses = &range, .address_count = 1, .rsap = true, .rsipsec = true,
	  .ports = { 1000, 1063 }, .spis = { 0x100, 0x17f } },
	{ .name = "whole", .addresses = &whole_range, .address_count = 1, .rsa = true },
};
static struct config_client rules[4];	/* by a byte of the host's address: none, macro, micro, with a key */
static uint8_t key[AUTH_KEY_LEN];
static struct addr_prefix local_network = { .length = 8 };
static struct config config = {
	.private_interfaces = &private_interface, .private_count = 1, .pools = pools, .pool_count = 2,
	.clients = rules, .client_count = 4, .leases = { 600, 600, 3600, 120 },
	.server = { RSIP_PORT, true, true }, .local_networks = &local_network, .local_network_count = 1,
	.tunnels = { RSIP_TUNNEL_IPIP, RSIP_TUNNEL_GRE }, .tunnel_count = 2, .datapath.max_bindings = 24,
};

struct run {
	struct datapath *dp;
	struct journal *journal;
	struct sessions *s;
	uint64_t now;
	const struct origin *from;	/* whose message is on its way */
	bool stranger;			/* it was not registered */
	struct auth_stamp stamp;	/* of the last message of KEYED */
	unsigned int answers;		/* to it */
};

static void configure(void)
{
	static const uint8_t policies[] = { RSIP_POLICY_NONE, RSIP_POLICY_MACRO, RSIP_POLICY_MICRO, RSIP_POLICY_NONE };

	private_interface.address = htonl(0x0a000001);
	local_network.network = htonl(0x0a000000);
	for (unsigned int i = 0; i < config.client_count; i++)
		rules[i] = (struct config_client){
			.match = { htonl(0x0a000000 | i << 8), 24 }, .local_policy = 1 + (i == 2),
			.remote_policy = policies[i], .ipsec = i < 2, .max_binds = 8, .max_ports = 40, .max_spis = 64,
			.listen = i ? CONFIG_LISTEN_ALWAYS : CONFIG_LISTEN_POLICY, .max_addresses = 1,
		};
	for (unsigned int i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)i;		/* as in the vectors */
	rules[3].key = key;
	log_set_level(LOG_LEVEL_ERROR - 1);
}

/* Hosts 0-3 stand under the first rule, then one under each other one, the last under none. */
static struct origin origin_of(unsigned int host, bool tcp)
{
	uint32_t rule = host == KEYED ? 3 : host < KEYED ? 0 : host == HOSTS - 1 ? 4 : host - 4;

	return (struct origin){
		.source = htonl(0x0a000002 + host + (rule << 8)), .source_port = htons(5000), .local = htonl(0x0a000001),
		.tcp = tcp, .connection = tcp ? host + 1 : 0,
	};
}

static const struct client *client_of(const struct run *run, unsigned int host)
{
	return lease_client_by_address(session_leases(run->s), origin_of(host, false).source);
}

/* Whoever has a key gets nothing without an authenticator, but the refusal to register. */
static size_t sent_keyed(struct run *run, const struct msg *m, const uint8_t *data, size_t len)
{
	struct auth_stamp stamp;

	if (!auth_open(key, data, len, &stamp)) {
		claim(m->type == RSIP_ERROR_RESPONSE && m->error == RSIP_E_REGISTRATION_DENIED, "%s without authenticator",
		      msg_type_name(m->type));
		return len;
	}
	run->stamp.nonce = stamp.nonce;
	return len - AUTH_LEN;
}

static void sent(const struct origin *to, const uint8_t *data, size_t len, bool close, void *arg)
{
	struct run *run = arg;
	struct msg_fault fault;
	struct msg m;

	claim(to->tcp || len <= 65507, "%zu bytes in a datagram", len);
	claim(msg_decode(data, len, MSG_AT_HOST, to->tcp ? 0 : MSG_UDP, &m, &fault), "%s", fault.text);
	if (to->source == origin_of(KEYED, false).source)
		len = sent_keyed(run, &m, data, len);
	if (!run->from || to->source != run->from->source)
		return;
	run->answers++;
	if (run->stranger && m.type == RSIP_ERROR_RESPONSE)
		claim(len <= ERROR_MAX, "%zu bytes to a stranger", len);
}

struct sum {
	uint64_t ports, spis, binds;
};

static bool add_address(const struct pool_usage *usage, void *arg)
{
	struct sum *sum = arg;

	sum->ports += usage->ports_leased;
	sum->spis += usage->spis_leased;
	sum->binds += usage->grants;
	return true;
}

static bool subtract_client(struct client *client, void *arg)
{
	struct sum *sum = arg;

	claim(client->bind_count <= client->rule->max_binds && client->port_count <= client->rule->max_ports &&
	      client->spi_count <= client->rule->max_spis, "client %u is over a limit", client->client_id);
	sum->ports -= client->port_count;
	sum->spis -= client->spi_count;
	sum->binds -= client->bind_count;
	return true;
}

/* Leases, pools and data plane agree. */
static void check(const struct run *run)
{
	struct leases *leases = session_leases(run->s);
	struct sum sum = { 0 };

	claim(!datapath_fake_fault(run->dp), "%s", datapath_fake_fault(run->dp));
	claim(datapath_fake_clients(run->dp) == lease_client_count(leases), "%u hosts", datapath_fake_clients(run->dp));
	claim(datapath_fake_binds(run->dp) == lease_bind_count(leases), "%u binds", datapath_fake_binds(run->dp));
	pools_each(session_pools(run->s), add_address, &sum);
	lease_each_client(leases, subtract_client, &sum);
	claim(!sum.ports && !sum.spis && !sum.binds, "%lld ports, %lld SPIs, %lld grants are nobody's",
	      (long long)sum.ports, (long long)sum.spis, (long long)sum.binds);
}

struct sender {
	const struct run *run;
	unsigned int host;
};

static uint32_t real_id(uint32_t value, void *arg)
{
	const struct sender *sender = arg;
	const struct client *client;

	if (value >= OTHER_HOST + HOSTS)
		return value;
	client = client_of(sender->run, value < OTHER_HOST ? sender->host : value - OTHER_HOST);
	return client ? client->client_id : value;
}

static void input(struct run *run, unsigned int host, const struct origin *from, uint8_t *data, size_t len)
{
	struct sender sender = { run, host };

	fuzz_map_param(data, len, RSIP_PARAM_CLIENT_ID, real_id, &sender);
	session_tick(run->s, run->now);		/* so that what is sent now is an answer */
	run->from = from;
	run->stranger = !client_of(run, host);
	run->answers = 0;
	session_input(run->s, from, data, len, run->now);
	claim(run->answers <= 1, "%u answers", run->answers);
	run->from = NULL;
}

/* A stream is cut as the server does. */
static void stream(struct run *run, unsigned int host, const struct origin *from, uint8_t *data, size_t len)
{
	int frame;

	while ((frame = msg_frame_len(data, len)) > 0) {
		input(run, host, from, data, frame);
		data += frame;
		len -= frame;
	}
	if (frame < 0)
		input(run, host, from, data, RSIP_HEADER_LEN);
}

/* A message as KEYED sends it, of exactly its length; what is none goes as it is. */
static uint8_t *seal(struct run *run, uint8_t *data, size_t *len)
{
	struct sender sender = { run, KEYED };
	uint8_t *sealed = malloc(*len + AUTH_LEN);
	size_t sealed_len;

	if (*len)
		memcpy(sealed, data, *len);
	fuzz_map_param(sealed, *len, RSIP_PARAM_CLIENT_ID, real_id, &sender);
	run->stamp.sequence++;
	sealed_len = *len < RSIP_HEADER_LEN ? 0 : auth_seal(key, run->stamp, sealed, *len, *len + AUTH_LEN);
	if (!sealed_len) {
		free(sealed);
		return data;
	}
	free(data);
	*len = sealed_len;
	return sealed;
}

/* Without an authenticator, or with one that somebody else made, nothing changes. */
static void input_raw(struct run *run, const struct origin *from, uint8_t *data, size_t len)
{
	uint32_t clients, binds;

	session_tick(run->s, run->now);
	clients = lease_client_count(session_leases(run->s));
	binds = lease_bind_count(session_leases(run->s));
	input(run, KEYED, from, data, len);
	claim(clients == lease_client_count(session_leases(run->s)), "%u hosts", clients);
	claim(binds == lease_bind_count(session_leases(run->s)), "%u binds", binds);
}

static void take_message(struct run *run, unsigned int kind, unsigned int host, struct reader *r, size_t len)
{
	struct origin from = origin_of(host, kind == STEP_TCP);
	bool raw = len & RAW && host == KEYED;
	uint8_t *data;

	len &= ~(size_t)RAW;
	data = fuzz_take(r, &len);
	if (kind == STEP_SPOOF)
		from.local = htonl(0x0a000000 + host);	/* host 1: ours */
	if (host == KEYED && !raw)
		data = seal(run, data, &len);
	if (raw)
		input_raw(run, &from, data, len);
	else if (kind == STEP_TCP && host != KEYED)
		stream(run, host, &from, data, len);
	else
		input(run, host, &from, data, len);
	free(data);
}

static void pass(struct run *run, uint64_t ms)
{
	uint64_t next;

	run->now += ms;
	next = session_tick(run->s, run->now);
	claim(!next || next > run->now, "to be called again %llu ms ago", (unsigned long long)(run->now - next));
}

static void step(struct run *run, struct reader *r)
{
	uint8_t what = read_u8(r);
	uint16_t number = read_u16(r);
	unsigned int kind = what / HOSTS % STEP_COUNT, host = what % HOSTS;
	const struct client *client = client_of(run, host);

	switch (kind) {
	case STEP_WAIT:
		return pass(run, number);
	case STEP_WAIT_LONG:
		return pass(run, number * 1000ull);
	case STEP_FAIL:
		return datapath_fake_fail(run->dp, number % 4, -12);
	case STEP_EVICT:
		claim(session_evict(run->s, client ? client->client_id : 0, run->now) == !!client, "host %u", host);
		return;
	case STEP_TAKE_BACK:
		session_free_bind(run->s, client ? client->client_id : 0, number, run->now);
		return;
	}
	take_message(run, kind, host, r, number);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct reader r = { data, len, false };
	struct run run = { .now = 1000000 };

	configure();
	random_reset(1);
	run.dp = datapath_fake_new();
	run.journal = journal_fake_new();
	run.s = sessions_new(&config, run.dp, run.journal, sent, &run);
	claim(run.s, "no sessions");
	while (r.left && !r.failed) {
		step(&run, &r);
		check(&run);
	}
	sessions_stop(run.s, run.now);
	check(&run);
	claim(!datapath_fake_clients(run.dp), "%u hosts are left", datapath_fake_clients(run.dp));
	sessions_free(run.s);
	datapath_fake_free(run.dp);
	journal_fake_free(run.journal);
	return 0;
}
