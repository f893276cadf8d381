// SPDX-License-Identifier: GPL-2.0-only
/*
 * client.c says what shall happen; here it happens. The client is only called
 * from the loop, never from inside one of its own calls: what those ask for
 * beyond sending is noted and done in step().
 */
#include "rsip/up.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "lib/addr.h"
#include "lib/log.h"
#include "lib/show.h"
#include "rsip/client.h"
#include "rsip/hook.h"
#include "rsip/kernel.h"
#include "rsip/locality.h"
#include "rsip/serve.h"
#include "rsip/strongswan.h"
#include "rsip/transport.h"
#include "rsip/tunnel.h"

#define SETTLE_MS	100	/* news of links and routes come in swarms */
#define STOP_WAITERS	8	/* who may wait for the same end */
#define QUERY_MAX	1000	/* destinations at once; a datagram holds as many */
#define FAILURES_LOGGED	5	/* in a second */

enum stopping { STAY, GIVE_BACK, STOP };	/* GIVE_BACK: `rsip release`, stay and do nothing */

struct up {
	const struct options *options;
	up_ready *ready;
	void *ready_arg;
	uv_loop_t loop;
	struct client *client;
	struct transport *transport;
	struct tunnel *tunnel;
	struct hook *hook;
	struct serve *serve;
	struct kernel watch;
	uv_timer_t due;			/* client_run() wants to be called */
	uv_timer_t settle;		/* tunnel_follow() has to be called */
	uv_poll_t news;
	uv_signal_t signals[3];

	bool told;			/* `ready` was called */
	enum stopping stopping;
	bool stop_asked;		/* client_stop() was called */
	bool stopped;			/* the client has given back everything */
	bool restart;			/* our address changed: register anew */
	bool closed;
	struct log_limit failures;
	int result;			/* -errno: why it could not go on */
	struct serve_reply *waiting[STOP_WAITERS], *query;
	size_t waiting_count, asked_count;
	struct addr_prefix asked[QUERY_MAX];	/* by `query` */
};

static void step(struct up *up);

static uint64_t now_ms(void)
{
	return uv_hrtime() / 1000000;
}

/* --- what is told: status, hook, log -------------------------------------------------- */

/* Seconds from now until `ms`, as status and hook show them */
static json_int_t seconds_left(uint64_t ms)
{
	uint64_t now = now_ms();

	return ms > now ? (json_int_t)((ms - now) / 1000) : 0;
}

static json_t *ports_shown(const struct client_lease *lease)
{
	uint32_t numbers[RSIP_PORTS_MAX];

	for (unsigned int i = 0; i < lease->ports.count; i++)
		numbers[i] = msg_port_at(&lease->ports, i);
	return show_numbers(numbers, lease->ports.form == MSG_NOT_NEEDED ? 0 : lease->ports.count, false);
}

static json_t *spis_shown(const struct client_lease *lease)
{
	uint32_t *numbers = calloc((size_t)lease->spis.count + 1, sizeof(*numbers));
	json_t *shown;

	if (numbers == NULL)
		return NULL;
	for (unsigned int i = 0; i < lease->spis.count; i++)
		numbers[i] = msg_spi_at(&lease->spis, i);
	shown = show_numbers(numbers, lease->spis.count, true);
	free(numbers);
	return shown;
}

static __be32 end_point(const struct up *up, const struct client_lease *lease)
{
	return lease->endpoint != 0 ? lease->endpoint : up->options->gateway.sin_addr.s_addr;
}

static json_t *lease_shown(const struct up *up, const struct client_lease *lease)
{
	if (lease == NULL)
		return json_null();
	return json_pack("{sI so so so sI ss so}", "bind", (json_int_t)lease->bind_id, "address", show_addr(lease->local),
			 "ports", ports_shown(lease), "spis", spis_shown(lease), "expires-in",
			 seconds_left(lease->expires), "tunnel", msg_tunnel_name(lease->tunnel), "end-point",
			 show_addr(end_point(up, lease)));
}

static json_t *tunnel_shown(const struct up *up)
{
	static const char *const keys[] = {
#define X(name, key) key,
		RSIP_TUNNEL_COUNTERS(X)
#undef X
	};
	uint64_t counters[RSIP_TUNNEL_COUNTER_COUNT];
	const struct tunnel_info *info = tunnel_info(up->tunnel);
	json_t *shown;

	if (!tunnel_is_up(up->tunnel))
		return json_null();
	shown = json_pack("{ss ss ss sI sI}", "interface", info->name, "by", info->way, "over", info->underlay, "mtu",
			  (json_int_t)info->mtu, "table", (json_int_t)info->table);
	tunnel_counters(up->tunnel, counters);
	for (unsigned int i = 0; i < RSIP_TUNNEL_COUNTER_COUNT; i++)
		json_object_set_new(shown, keys[i], json_integer((json_int_t)counters[i]));
	return shown;
}

/* NULL: it is not granted */
static const struct client_lease *lease_of(const struct up *up)
{
	struct client_item item;

	return client_next(up->client, 0, &item) ? item.lease : NULL;
}

static json_t *status_shown(const struct up *up)
{
	static const char *const states[] = { "unregistered", "registered", "assigned" };
	struct client_status status;
	json_t *shown, *client = json_null();

	client_status(up->client, &status);
	if (status.registered)
		client = json_pack("{sI sI ss ss}", "id", (json_int_t)status.client_id, "expires-in",
				   seconds_left(status.registration_expires), "local-policy",
				   msg_policy_name(status.local_policy), "remote-policy",
				   msg_policy_name(status.remote_policy));
	shown = json_pack("{ss ss ss so so so so}", "gateway", up->options->gateway_text, "transport",
			  transport_is_tcp(up->transport) ? "tcp" : "udp", "state", states[status.state], "host",
			  transport_source(up->transport) ? show_addr(transport_source(up->transport)) : json_null(),
			  "registration", client, "lease", lease_shown(up, lease_of(up)), "tunnel", tunnel_shown(up));
	json_object_set_new(shown, "messages",
			    json_pack("{sI sI sI ss* sI}", "sent", (json_int_t)status.sent, "resent",
				      (json_int_t)status.resent, "received", (json_int_t)status.received, "pending",
				      status.pending, "last-error", (json_int_t)status.last_error));
	return shown;
}

/* The ports of the local IKE daemon unless it shares 500 and 4500: the first two leased. */
static bool ike_ports(const struct up *up, const struct client_lease *lease, uint16_t *ike, uint16_t *natt)
{
	if (!up->options->ike_leased || lease->ports.form == MSG_NOT_NEEDED || lease->ports.count < 2)
		return false;
	*ike = msg_port_at(&lease->ports, 0);
	*natt = msg_port_at(&lease->ports, 1);
	return true;
}

static void event_set_text(struct hook_event *event, const char *name, json_t *text)
{
	hook_event_set(event, name, "%s", json_is_string(text) ? json_string_value(text) : "");
	json_decref(text);
}

static void tell_hook(struct up *up, const char *name, const struct client_lease *lease)
{
	struct hook_event *event;
	struct num_range run;
	uint16_t ike = RSIP_IKE_PORT, natt = RSIP_NATT_PORT;
	char text[ADDR_TEXT_LEN];

	if (up->hook == NULL)
		return;
	event = hook_event_new(name);
	ike_ports(up, lease, &ike, &natt);
	hook_event_set(event, "RSIP_GATEWAY", "%s", up->options->gateway_text);
	hook_event_set(event, "RSIP_ADDRESS", "%s", addr_text(lease->local, text));
	hook_event_set(event, "RSIP_HOST", "%s", addr_text(transport_source(up->transport), text));
	hook_event_set(event, "RSIP_END_POINT", "%s", addr_text(end_point(up, lease), text));
	hook_event_set(event, "RSIP_BIND", "%u", lease->bind_id);
	hook_event_set(event, "RSIP_LEASE", "%lld", (long long)seconds_left(lease->expires));
	hook_event_set(event, "RSIP_INTERFACE", "%s", tunnel_is_up(up->tunnel) ? tunnel_info(up->tunnel)->name : "");
	event_set_text(event, "RSIP_PORTS", ports_shown(lease));
	event_set_text(event, "RSIP_SPIS", spis_shown(lease));
	if (strongswan_run(&lease->spis, &run)) {
		hook_event_set(event, "RSIP_SPI_MIN", "0x%08x", run.first);
		hook_event_set(event, "RSIP_SPI_MAX", "0x%08x", run.last);
	}
	if (lease->spis.count > 0) {
		hook_event_set(event, "RSIP_IKE_PORT", "%u", ike);
		hook_event_set(event, "RSIP_NATT_PORT", "%u", natt);
	}
	hook_run(up->hook, event);
}

static int tell_strongswan(struct up *up, const struct client_lease *lease)
{
	struct strongswan_lease told = { .address = lease->local, .spis = &lease->spis };
	int err;

	if (up->options->strongswan == NULL)
		return 0;
	ike_ports(up, lease, &told.port, &told.port_nat_t);
	err = strongswan_write(up->options->strongswan, &told);
	if (err)
		log_error("%s/%s: %s", up->options->strongswan, STRONGSWAN_FILE, strerror(-err));
	return err;
}

/* --- what the client asks for ----------------------------------------------------------- */

/* It cannot go on: gives back what there is and ends. */
static void give_up(struct up *up, int err)
{
	if (up->result == 0)
		up->result = err;
	up->stopping = STOP;
}

static void on_send(const uint8_t *data, size_t len, void *arg)
{
	struct up *up = arg;

	transport_send(up->transport, data, len);
}

static void on_use_tcp(void *arg)
{
	struct up *up = arg;

	log_info("the gateway wants TCP");
	transport_use_tcp(up->transport);
}

static int raise_tunnel(struct up *up, const struct client_lease *lease)
{
	struct tunnel_spec spec = {
		.host = transport_source(up->transport),
		.end = end_point(up, lease),
		.address = lease->local,
		.type = lease->tunnel,
	};

	return tunnel_raise(up->tunnel, &spec);
}

static void on_granted(const struct client_lease *lease, void *arg)
{
	struct up *up = arg;
	char text[ADDR_TEXT_LEN];
	int err = raise_tunnel(up, lease);

	if (!err)
		err = tell_strongswan(up, lease);
	if (err) {
		give_up(up, err);
		return;
	}
	log_info("lease %u: %s on %s (%s over %s, MTU %u) for %lld s", lease->bind_id, addr_text(lease->local, text),
		 tunnel_info(up->tunnel)->name, tunnel_info(up->tunnel)->way, tunnel_info(up->tunnel)->underlay,
		 tunnel_info(up->tunnel)->mtu, (long long)seconds_left(lease->expires) + 1);
	tell_hook(up, "grant", lease);
}

static void on_extended(const struct client_lease *lease, void *arg)
{
	struct up *up = arg;

	log_debug("lease %u: extended for %lld s", lease->bind_id, (long long)seconds_left(lease->expires));
	tell_hook(up, "extend", lease);
}

/* REG-17, HOST-03: nothing leaves with the address from here on. */
static void over(struct up *up, const struct client_lease *lease)
{
	if (up->options->strongswan != NULL)
		strongswan_remove(up->options->strongswan);
	tell_hook(up, "end", lease);
	tunnel_lower(up->tunnel);
}

static void on_ended(const struct client_lease *lease, enum client_end why, void *arg)
{
	static const char *const reasons[] = {
		[CLIENT_RELEASED] = "given back",
		[CLIENT_TAKEN_BACK] = "the gateway took it back",
		[CLIENT_EXPIRED] = "it expired and could not be extended",
		[CLIENT_LOST] = "the gateway does not know us any more",
	};
	struct up *up = arg;
	char text[ADDR_TEXT_LEN];

	if (why == CLIENT_RELEASED)
		log_info("lease %u of %s: %s", lease->bind_id, addr_text(lease->local, text), reasons[why]);
	else
		log_warn("lease %u of %s is over: %s", lease->bind_id, addr_text(lease->local, text), reasons[why]);
	over(up, lease);
}

/* Refused by the gateway's policy: waiting does not help. */
static bool refused_for_good(uint16_t error)
{
	switch (error) {
	case RSIP_E_FLOW_POLICY_VIOLATION:
	case RSIP_E_UNSUPPORTED_MESSAGE:
	case RSIP_E_REGISTRATION_DENIED:
	case RSIP_E_BAD_TUNNEL_TYPE:
	case RSIP_E_LOCAL_ADDR_UNALLOWED:
	case RSIP_E_LOCAL_ADDRPORT_UNALLOWED:
	case RSIP_E_REMOTE_ADDR_UNALLOWED:
	case RSIP_E_REMOTE_ADDRPORT_UNALLOWED:
	case RSIP_E_IPSEC_UNALLOWED:
		return true;
	default:
		return false;
	}
}

static void on_failed(const struct client_failure *failure, void *arg)
{
	struct up *up = arg;
	char why[64] = "no answer", next[48] = "";

	if (failure->error != 0)
		snprintf(why, sizeof(why), "%u %s", failure->error, msg_error_name(failure->error));
	if (failure->again_ms != 0)
		snprintf(next, sizeof(next), ", again in %lld s", (long long)seconds_left(failure->again_ms + 999));
	/* What others send in our name is reported as well: no more than a few lines of it. */
	if (log_allowed(&up->failures, FAILURES_LOGGED, now_ms()))
		log_warn("%s: %s: %s%s", up->options->gateway_text, msg_type_name(failure->type), why, next);
	/* In the foreground the policy may be mended; who waits for -d wants to know. */
	if (up->options->background && !up->told && refused_for_good(failure->error))
		give_up(up, -EPERM);
}

static void on_state(enum client_state state, void *arg)
{
	static const char *const names[] = { "unregistered", "registered", "assigned" };
	struct up *up = arg;

	log_info("%s: %s", up->options->gateway_text, names[state]);
}

static void on_stopped(void *arg)
{
	struct up *up = arg;

	up->stopped = true;
}

/* --- query ------------------------------------------------------------------------------ */

/* ADDRESS or NETWORK */
static bool read_tuple(const char *word, struct msg_tuple *tuple, struct addr_prefix *prefix)
{
	bool network = strchr(word, '/') != NULL;

	if (!addr_parse_prefix(word, prefix))
		return false;
	*tuple = (struct msg_tuple){
		.indicator = network ? RSIP_QUERY_NETWORK : RSIP_QUERY_ADDRESS,
		.addr = { .type = RSIP_ADDR_IPV4, .v4 = prefix->network },
		.mask = network ? addr_mask(prefix->length) : 0,
	};
	return true;
}

static json_t *locality_shown(const struct addr_prefix *prefix, bool local)
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
			json_array_append_new(list, locality_shown(&prefix, local));
	return list;
}

static void on_answer(const struct msg *response, void *arg)
{
	struct up *up = arg;
	struct serve_reply *reply = up->query;
	json_t *list;

	up->query = NULL;
	if (reply == NULL)
		return;
	if (response == NULL) {
		serve_refuse(reply, "the gateway did not answer");
	} else if (up->asked_count == 0) {
		serve_answer(reply, tuples_shown(response));
	} else {
		list = json_array();
		for (size_t i = 0; i < up->asked_count; i++)
			json_array_append_new(list, locality_shown(&up->asked[i],
								   locality_is_local(response, &up->asked[i])));
		serve_answer(reply, list);
	}
}

static void start_query(struct up *up, const char *const *words, size_t count, struct serve_reply *reply)
{
	struct msg_tuple tuples[QUERY_MAX];

	if (up->query != NULL) {
		serve_refuse(reply, "another query is under way");
		return;
	}
	if (count > QUERY_MAX) {
		serve_refuse(reply, "%zu destinations: at most %d at once", count, QUERY_MAX);
		return;
	}
	for (size_t i = 0; i < count; i++) {
		if (read_tuple(words[i], &tuples[i], &up->asked[i]))
			continue;
		serve_refuse(reply, "%.64s: want an IPv4 address or a network like 10.0.0.0/8", words[i]);
		return;
	}
	up->asked_count = count;
	up->query = reply;	/* the answer may come from within the call */
	if (client_query(up->client, tuples, count, now_ms()))
		return;
	up->query = NULL;
	serve_refuse(reply, "not registered at the gateway");
}

/* --- control socket ----------------------------------------------------------------------- */

static void start_stop(struct up *up, enum stopping how, struct serve_reply *reply)
{
	if (up->waiting_count == STOP_WAITERS) {
		serve_refuse(reply, "it is being stopped already");
		return;
	}
	up->waiting[up->waiting_count++] = reply;
	if (how > up->stopping)
		up->stopping = how;
}

static void on_command(const char *const *words, size_t count, struct serve_reply *reply, void *arg)
{
	struct up *up = arg;

	if (strcmp(words[0], "status") == 0)
		serve_answer(reply, status_shown(up));
	else if (strcmp(words[0], "query") == 0)
		start_query(up, words + 1, count - 1, reply);
	else if (strcmp(words[0], "down") == 0)
		start_stop(up, STOP, reply);
	else if (strcmp(words[0], "release") == 0)
		start_stop(up, GIVE_BACK, reply);
	else
		serve_refuse(reply, "%.64s: want status, query, release or down", words[0]);
	step(up);
}

/* --- the loop ----------------------------------------------------------------------------- */

static void on_message(const uint8_t *data, size_t len, void *arg)
{
	struct up *up = arg;

	client_input(up->client, data, len, now_ms());
	step(up);
}

static void on_reconnected(void *arg)
{
	struct up *up = arg;

	client_reconnected(up->client, now_ms());
	step(up);
}

static void on_due(uv_timer_t *timer)
{
	step(timer->data);
}

static void on_signal(uv_signal_t *handle, int number)
{
	struct up *up = handle->data;

	log_info("stopping on signal %d", number);
	up->stopping = STOP;
	step(up);
}

static void on_settled(uv_timer_t *timer)
{
	struct up *up = timer->data;
	const struct client_lease *lease = lease_of(up);
	int err = tunnel_follow(up->tunnel);

	if (err == -ENODEV && lease != NULL) {
		log_warn("the tunnel interface is gone: raising it anew");
		err = raise_tunnel(up, lease);
		if (err)
			give_up(up, err);
	} else if (err == -EADDRNOTAVAIL) {
		up->restart = true;
	} else if (err) {
		log_warn("tunnel: no way to its end point at present: %s", strerror(-err));
	}
	step(up);
}

static void on_news(uv_poll_t *poll, int status, int events)
{
	struct up *up = poll->data;

	if (kernel_watch_read(&up->watch) && tunnel_is_up(up->tunnel) && !uv_is_active((uv_handle_t *)&up->settle))
		uv_timer_start(&up->settle, on_settled, SETTLE_MS, 0);
}

static const struct client_ops client_ops = {
	.send = on_send,
	.use_tcp = on_use_tcp,
	.granted = on_granted,
	.extended = on_extended,
	.ended = on_ended,
	.failed = on_failed,
	.state = on_state,
	.answer = on_answer,
	.stopped = on_stopped,
};

/* Takes the place of the client there was. */
static int client_begin(struct up *up)
{
	const struct options *o = up->options;
	struct want want = {
		.kind = o->spis > 0 ? WANT_IPSEC : WANT_PORTS,
		.local = o->local,
		.ports = o->ports,
		.first_port = o->first_port,
		.spis = o->spis,
		.remote = o->remote,
		.remote_port = o->remote_port,
		.tunnel = o->tunnel,
	};

	struct client *client = client_new(&client_ops, NULL, up);

	if (client == NULL)
		return -ENOMEM;
	client_free(up->client);
	up->client = client;
	client_add(client, &want, now_ms());
	client_start(client, now_ms());
	return 0;
}

/* The gateway knows a host by its address: with another one we are another host. */
static void begin_anew(struct up *up)
{
	const struct client_lease *lease = lease_of(up);
	int err;

	log_warn("the address of this host has changed: registering anew");
	if (lease != NULL)
		over(up, lease);
	on_answer(NULL, up);
	transport_reset(up->transport);
	up->restart = false;
	err = client_begin(up);
	if (err)
		give_up(up, err);
}

static void close_handle(void *at)
{
	uv_handle_t *handle = at;

	if (handle->loop != NULL && !uv_is_closing(handle))
		uv_close(handle, NULL);
}

/* Everything is given back. What still waits for an answer gets one; then the loop runs empty. */
static void all_stopped(struct up *up)
{
	for (size_t i = 0; i < up->waiting_count; i++)
		serve_answer(up->waiting[i], status_shown(up));
	up->waiting_count = 0;
	uv_timer_stop(&up->due);
	if (up->stopping != STOP || up->closed)
		return;
	up->closed = true;
	on_answer(NULL, up);
	serve_close(up->serve);
	transport_reset(up->transport);
	hook_finish(up->hook);
	close_handle(&up->due);
	close_handle(&up->settle);
	close_handle(&up->news);
	for (unsigned int i = 0; i < sizeof(up->signals) / sizeof(*up->signals); i++)
		close_handle(&up->signals[i]);
}

static void tell_ready(struct up *up)
{
	if (up->told || lease_of(up) == NULL || !tunnel_is_up(up->tunnel))
		return;
	up->told = true;
	up->ready(status_shown(up), up->options, up->ready_arg);
}

/* After anything happened: lets the client work and does what it and others asked for. */
static void step(struct up *up)
{
	enum stopping stopping;
	uint64_t next, now;

	if (up->closed)
		return;
	if (up->restart && up->stopping == STAY)
		begin_anew(up);
	do {
		stopping = up->stopping;
		if (stopping != STAY && !up->stop_asked)
			client_stop(up->client, now_ms());
		up->stop_asked = stopping != STAY;
		next = client_run(up->client, now_ms());
	} while (stopping != up->stopping);
	tell_ready(up);
	if (up->stopped) {
		all_stopped(up);
		return;
	}
	now = now_ms();
	if (next == 0)
		uv_timer_stop(&up->due);
	else
		uv_timer_start(&up->due, on_due, next > now ? next - now : 0, 0);
}

static int handles_start(struct up *up, const char *socket)
{
	static const int numbers[] = { SIGTERM, SIGINT, SIGHUP };
	int err = serve_open(&up->serve, &up->loop, socket, on_command, up);

	if (err) {
		log_error("%s: %s", socket, strerror(-err));
		return err;
	}
	up->due.data = up->settle.data = up->news.data = up;
	uv_timer_init(&up->loop, &up->due);
	uv_timer_init(&up->loop, &up->settle);
	for (unsigned int i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
		uv_signal_init(&up->loop, &up->signals[i]);
		up->signals[i].data = up;
		uv_signal_start(&up->signals[i], on_signal, numbers[i]);
	}
	err = kernel_watch(&up->watch);
	if (!err) {
		uv_poll_init(&up->loop, &up->news, kernel_watch_fd(&up->watch));
		uv_poll_start(&up->news, UV_READABLE, on_news);
	}
	return err;
}

static int up_open(struct up *up, const char *socket)
{
	static const struct transport_ops ops = { .message = on_message, .reconnected = on_reconnected };
	int err = tunnel_open(&up->tunnel, up->options->gateway_text);

	if (err) {
		log_error("network state of the kernel: %s", strerror(-err));
		return err;
	}
	up->transport = transport_new(&up->loop, &up->options->gateway, up->options->tcp, &ops, up);
	if (up->transport == NULL)
		return -ENOMEM;
	if (up->options->hook != NULL) {
		up->hook = hook_new(&up->loop, up->options->hook);
		if (up->hook == NULL)
			return -ENOMEM;
	}
	if (up->options->strongswan != NULL)
		strongswan_remove(up->options->strongswan);
	return handles_start(up, socket);
}

int up_run(const struct options *options, const char *socket, up_ready *ready, void *arg)
{
	struct up *up = calloc(1, sizeof(*up));
	int err;

	if (up == NULL)
		return -ENOMEM;
	up->options = options;
	up->ready = ready;
	up->ready_arg = arg;
	uv_loop_init(&up->loop);
	err = up_open(up, socket);
	if (!err)
		err = client_begin(up);
	if (!err) {
		step(up);
		uv_run(&up->loop, UV_RUN_DEFAULT);
		err = up->result;
	} else {
		serve_close(up->serve);
		hook_finish(up->hook);
	}
	client_free(up->client);
	tunnel_close(up->tunnel);
	transport_free(up->transport);
	kernel_close(&up->watch);
	uv_run(&up->loop, UV_RUN_NOWAIT);
	uv_loop_close(&up->loop);
	free(up);
	return err;
}
