// SPDX-License-Identifier: GPL-2.0-only
/*
 * client.c says what shall happen; here it happens. The client is only called
 * from the loop, never from inside one of its own calls: what those ask for
 * beyond sending is noted and done in up_step().
 */
#include <arpa/inet.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rsip/instance.h"
#include "rsip/strongswan.h"
#include "rsip/xfrm.h"

#define SETTLE_MS	100	/* news of links and routes come in swarms */
#define FAILURES_LOGGED	5	/* in a second */

uint64_t up_now(void)
{
	return uv_hrtime() / 1000000;
}

json_int_t up_seconds_left(uint64_t ms)
{
	uint64_t now = up_now();

	return ms > now ? (json_int_t)((ms - now) / 1000) : 0;
}

__be32 up_end_point(const struct up *up, const struct client_lease *lease)
{
	return lease->endpoint != 0 ? lease->endpoint : up->options->gateway.sin_addr.s_addr;
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

static int use_tunnel(struct up *up, const struct client_lease *lease)
{
	struct tunnel_spec spec = {
		.host = transport_source(up->transport),
		.end = up_end_point(up, lease),
		.address = lease->local,
		.type = lease->tunnel,
	};

	return tunnels_use(up->tunnels, &spec);
}

/* Its SPIs have to be free here as well (IPS-16), and a lease without a tunnel is of no use (FAIL-14). */
static bool on_accepts(const struct client_lease *lease, void *arg)
{
	struct up *up = arg;
	uint32_t taken = xfrm_taken(&up->asks, lease->local, &lease->spis);
	int err;

	if (taken != 0) {
		log_warn("lease %u: an SA of this host has SPI 0x%x already: asking for others", lease->bind_id, taken);
		return false;
	}
	err = use_tunnel(up, lease);
	if (err && err != -EEXIST)
		give_up(up, err);
	return err == 0;
}

static void on_granted(const struct client_lease *lease, void *arg)
{
	struct up *up = arg;
	const struct tunnel_info *info = tunnel_info(tunnels_find(up->tunnels, lease->local));
	char text[ADDR_TEXT_LEN];
	int err = announce_strongswan(up, NULL);

	if (err) {
		give_up(up, err);
		return;
	}
	log_info("lease %u: %s on %s (%s over %s, MTU %u) for %lld s", lease->bind_id, addr_text(lease->local, text),
		 info->name, info->way, info->underlay, info->mtu, (long long)up_seconds_left(lease->expires) + 1);
	demand_leases(up, NULL);
	announce_hook(up, "grant", lease);
	commands_granted(up, lease);
}

static void on_extended(const struct client_lease *lease, void *arg)
{
	struct up *up = arg;

	log_debug("lease %u: extended for %lld s", lease->bind_id, (long long)up_seconds_left(lease->expires));
	announce_hook(up, "extend", lease);
}

/* REG-17, HOST-03: nothing leaves with the address from here on. */
static void over(struct up *up, const struct client_lease *lease)
{
	demand_leases(up, lease);
	announce_strongswan(up, lease);
	announce_hook(up, "end", lease);
	tunnels_leave(up->tunnels, lease->local);
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

/* The flow policy wants a remote, and nobody can say yet which. */
static bool left_to_demand(const struct up *up, const struct client_failure *failure)
{
	struct client_item item;

	return failure->error == RSIP_E_FLOW_POLICY_VIOLATION && failure->id != 0 &&
	       client_next(up->client, failure->id - 1, &item) && item.id == failure->id &&
	       demand_serves(up, item.want);
}

static void on_failed(const struct client_failure *failure, void *arg)
{
	struct up *up = arg;
	char why[64] = "no answer", next[48] = "";

	if (left_to_demand(up, failure)) {
		log_info("%s: by its flow policy each peer needs a lease: asked for when programs connect",
			 up->options->gateway_text);
		return;
	}
	if (failure->error != 0)
		snprintf(why, sizeof(why), "%u %s", failure->error, client_error_name(failure->error));
	if (failure->again_ms != 0)
		snprintf(next, sizeof(next), ", again in %lld s", (long long)up_seconds_left(failure->again_ms + 999));
	/* What others send in our name is reported as well: no more than a few lines of it. */
	if (log_allowed(&up->failures, FAILURES_LOGGED, up_now()))
		log_warn("%s: %s: %s%s", up->options->gateway_text, msg_type_name(failure->type), why, next);
	commands_failed(up, failure);
	demand_failed(up, failure);
	/* In the foreground the policy may be mended; who waits for -d wants to know. */
	if (up->options->background && !up->told && refused_for_good(failure->error))
		give_up(up, -EPERM);
}

static void on_state(enum client_state state, void *arg)
{
	static const char *const names[] = { "unregistered", "registered", "assigned" };
	struct up *up = arg;

	log_info("%s: %s", up->options->gateway_text, names[state]);
	if (state != CLIENT_REGISTERED)
		return;
	queries_refresh(up);
	demand_leases(up, NULL);	/* the flow policy may be another one */
}

static void on_gone(unsigned int id, void *arg)
{
	commands_gone(arg, id);
	demand_gone(arg, id);
}

static void on_answer(const struct msg *response, void *arg)
{
	queries_answer(arg, response);
}

static void on_stopped(void *arg)
{
	struct up *up = arg;

	up->stopped = true;
}

static void on_command(const char *const *words, size_t count, struct serve_reply *reply, void *arg)
{
	struct up *up = arg;

	commands_run(up, words, count, reply);
	up_step(up);
}

/* --- the loop ----------------------------------------------------------------------------- */

static void on_message(const uint8_t *data, size_t len, void *arg)
{
	struct up *up = arg;

	client_input(up->client, data, len, up_now());
	up_step(up);
}

static void on_reconnected(void *arg)
{
	struct up *up = arg;

	client_reconnected(up->client, up_now());
	up_step(up);
}

static void on_due(uv_timer_t *timer)
{
	up_step(timer->data);
}

static void on_signal(uv_signal_t *handle, int number)
{
	struct up *up = handle->data;

	log_info("stopping on signal %d", number);
	up->stopping = STOP;
	up_step(up);
}

static void on_settled(uv_timer_t *timer)
{
	struct up *up = timer->data;
	int err = tunnels_follow(up->tunnels);

	if (err == -EADDRNOTAVAIL)
		up->restart = true;
	else if (err)
		give_up(up, err);
	queries_networks(up);
	demand_places(up);
	up_step(up);
}

static void on_news(uv_poll_t *poll, int status, int events)
{
	struct up *up = poll->data;

	/* libuv stops to watch what reports an error: netlink does when it lost events, and goes on. */
	if (status < 0)
		uv_poll_start(poll, UV_READABLE, on_news);
	if (kernel_watch_read(&up->watch) && tunnels_next(up->tunnels, NULL) != NULL &&
	    !uv_is_active((uv_handle_t *)&up->settle))
		uv_timer_start(&up->settle, on_settled, SETTLE_MS, 0);
}

static const struct client_ops client_ops = {
	.send = on_send,
	.use_tcp = on_use_tcp,
	.accepts = on_accepts,
	.granted = on_granted,
	.extended = on_extended,
	.ended = on_ended,
	.gone = on_gone,
	.failed = on_failed,
	.state = on_state,
	.answer = on_answer,
	.stopped = on_stopped,
};

/* One lease for each remote, or one; of --spis 0 --ports 0 none: `rsip listen` may want some later. */
static void add_wants(struct up *up, struct client *client)
{
	const struct options *o = up->options;
	struct want want = {
		.kind = o->rsa_ip ? WANT_WHOLE : o->spis > 0 ? WANT_IPSEC : WANT_PORTS,
		.local = o->local,
		.ports = o->ports,
		.first_port = o->first_port,
		.spis = o->spis,
		.tunnel = o->tunnel,
	};

	if (want.kind == WANT_PORTS && want.ports == 0)
		return;
	if (o->remote_count == 0)
		client_add(client, &want, up_now());
	for (size_t i = 0; i < o->remote_count; i++) {
		want.remote = o->remotes[i].addr;
		want.remote_port = o->remotes[i].port;
		strcpy(want.remote_name, o->remotes[i].name);
		client_add(client, &want, up_now());
	}
}

/* Takes the place of the client there was. */
static int client_begin(struct up *up)
{
	struct client *client = client_new(&client_ops, NULL, up);

	if (client == NULL)
		return -ENOMEM;
	if (up->options->has_key)
		client_use_key(client, up->options->key);
	client_free(up->client);
	up->client = client;
	add_wants(up, client);
	client_start(client, up_now());
	return 0;
}

/* The gateway knows a host by its address: with another one we are another host. */
static void begin_anew(struct up *up)
{
	struct client_item item = { 0 };
	int err;

	log_warn("the address of this host has changed: registering anew");
	while (client_next(up->client, item.id, &item))
		if (item.lease != NULL)
			over(up, item.lease);
	queries_end(up);
	commands_end(up);
	demand_forget(up);
	transport_reset(up->transport);
	up->restart = false;
	err = client_begin(up);
	if (err) {
		give_up(up, err);
		return;
	}
	/* Each of the old leases was told as over while the others still stood. */
	demand_leases(up, NULL);
	announce_strongswan(up, NULL);
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
	for (size_t i = 0; i < up->stopper_count; i++)
		serve_answer(up->stoppers[i], status_all(up));
	up->stopper_count = 0;
	commands_end(up);
	uv_timer_stop(&up->due);
	if (up->stopping != STOP || up->closed)
		return;
	up->closed = true;
	queries_end(up);
	serve_close(up->serve);
	transport_reset(up->transport);
	hook_finish(up->hook);
	close_handle(&up->due);
	close_handle(&up->settle);
	close_handle(&up->news);
	close_handle(&up->look);
	close_handle(&up->wishes);
	for (unsigned int i = 0; i < sizeof(up->signals) / sizeof(*up->signals); i++)
		close_handle(&up->signals[i]);
}

/* Is all there that `up` was asked for? */
static bool has_all(const struct up *up)
{
	struct client_item item = { 0 };
	struct client_status status;

	client_status(up->client, &status);
	while (client_next(up->client, item.id, &item))
		if (item.lease == NULL && (item.next != UINT64_MAX || !demand_serves(up, item.want)))
			return false;
	return status.registered;
}

static void tell_ready(struct up *up)
{
	if (up->told || up->stopping != STAY || !has_all(up))
		return;
	up->told = true;
	up->ready(status_all(up), up->options, up->ready_arg);
}

void up_step(struct up *up)
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
			client_stop(up->client, up_now());
		up->stop_asked = stopping != STAY;
		commands_settle(up);
		demand_settle(up);
		queries_run(up);
		next = client_run(up->client, up_now());
	} while (stopping != up->stopping);
	tell_ready(up);
	if (up->stopped) {
		all_stopped(up);
		return;
	}
	now = up_now();
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
	if (!err)
		err = kernel_open(&up->asks);
	if (err)
		return err;
	queries_networks(up);
	return demand_open(up);
}

/* For whoever debugs; what matters is said in better words. */
static int libbpf_line(enum libbpf_print_level level, const char *format, va_list args)
{
	char line[512];

	if (level == LIBBPF_DEBUG)
		return 0;
	vsnprintf(line, sizeof(line), format, args);
	line[strcspn(line, "\n")] = 0;
	log_debug("%s", line);
	return 0;
}

static int up_open(struct up *up, const char *socket)
{
	static const struct transport_ops ops = { .message = on_message, .reconnected = on_reconnected };
	int err;

	libbpf_set_print(libbpf_line);
	err = tunnels_open(&up->tunnels, up->options->gateway_text);
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
		up_step(up);
		uv_run(&up->loop, UV_RUN_DEFAULT);
		err = up->result;
	} else {
		serve_close(up->serve);
		hook_finish(up->hook);
	}
	client_free(up->client);
	locality_forget(&up->queries.known);
	tunnels_close(up->tunnels);
	transport_free(up->transport);
	kernel_close(&up->watch);
	kernel_close(&up->asks);
	demand_close(up);
	uv_run(&up->loop, UV_RUN_NOWAIT);
	uv_loop_close(&up->loop);
	free(up);
	return err;
}
