// SPDX-License-Identifier: GPL-2.0-only
/* What `rsip status` shows: the state machine, its leases, their tunnels (HOST-15). */
#include <stdlib.h>

#include "lib/show.h"
#include "rsip/instance.h"

json_t *status_ports(const struct client_lease *lease)
{
	uint32_t numbers[RSIP_PORTS_MAX];

	for (unsigned int i = 0; i < lease->ports.count; i++)
		numbers[i] = msg_port_at(&lease->ports, i);
	return show_numbers(numbers, lease->ports.form == MSG_NOT_NEEDED ? 0 : lease->ports.count, false);
}

json_t *status_spis(const struct client_lease *lease)
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

static json_t *remote_shown(const struct want *want)
{
	if (want->remote_name[0] == 0)
		return show_remote(want->remote, want->remote_port);
	if (want->remote_port == 0)
		return json_string(want->remote_name);
	return json_sprintf("%s:%u", want->remote_name, want->remote_port);
}

static const char *kind_name(enum want_kind kind)
{
	static const char *const names[] = {
		[WANT_PORTS] = "RSAP-IP",
		[WANT_IPSEC] = "RSIPSEC",
		[WANT_WHOLE] = "RSA-IP",
		[WANT_LISTEN] = "LISTEN",
	};

	return names[kind];
}

json_t *status_lease(const struct up *up, const struct client_lease *lease)
{
	struct tunnel *tunnel = tunnels_find(up->tunnels, lease->local);

	return json_pack("{ss sI so so so so sI ss so ss*}", "kind", kind_name(lease->want.kind), "bind",
			 (json_int_t)lease->bind_id, "address", show_addr(lease->local), "ports", status_ports(lease),
			 "spis", status_spis(lease), "remote", remote_shown(&lease->want), "expires-in",
			 up_seconds_left(lease->expires), "tunnel", msg_tunnel_name(lease->tunnel), "end-point",
			 show_addr(up_end_point(up, lease)), "interface",
			 tunnel != NULL ? tunnel_info(tunnel)->name : NULL);
}

/* One thing wanted: the lease that is it, or what it waits for. */
static json_t *item_shown(const struct up *up, const struct client_item *item)
{
	json_t *shown = item->lease != NULL ?
				status_lease(up, item->lease) :
				json_pack("{ss so}", "kind", kind_name(item->want->kind), "remote",
					  remote_shown(item->want));

	json_object_set_new(shown, "state",
			    json_string(item->lease != NULL ? "assigned" : item->freeing ? "freeing" : "wanted"));
	if (item->next == UINT64_MAX)
		json_object_set_new(shown, "waits-for", json_string("another flow policy"));
	else if (item->next != 0)
		json_object_set_new(shown, item->lease != NULL ? "extend-in" : "ask-in",
				    json_integer(up_seconds_left(item->next)));
	return shown;
}

static json_t *leases_shown(const struct up *up)
{
	struct client_item item = { 0 };
	json_t *list = json_array();

	while (client_next(up->client, item.id, &item))
		json_array_append_new(list, item_shown(up, &item));
	return list;
}

/* The first lease that there is: most hosts have one, and their scripts need no list. */
static json_t *first_shown(const struct up *up)
{
	struct client_item item = { 0 };

	while (client_next(up->client, item.id, &item))
		if (item.lease != NULL)
			return status_lease(up, item.lease);
	return json_null();
}

static json_t *tunnel_shown(struct tunnel *tunnel)
{
	static const char *const keys[] = {
#define X(name, key) key,
		RSIP_TUNNEL_COUNTERS(X)
#undef X
	};
	uint64_t counters[RSIP_TUNNEL_COUNTER_COUNT];
	const struct tunnel_info *info;
	json_t *shown;

	if (tunnel == NULL || !tunnel_is_up(tunnel))
		return json_null();
	info = tunnel_info(tunnel);
	shown = json_pack("{ss ss ss sI sI}", "interface", info->name, "by", info->way, "over", info->underlay, "mtu",
			  (json_int_t)info->mtu, "table", (json_int_t)info->table);
	tunnel_counters(tunnel, counters);
	for (unsigned int i = 0; i < RSIP_TUNNEL_COUNTER_COUNT; i++)
		json_object_set_new(shown, keys[i], json_integer((json_int_t)counters[i]));
	return shown;
}

static json_t *tunnels_shown(const struct up *up)
{
	json_t *list = json_array();

	for (struct tunnel *t = NULL; (t = tunnels_next(up->tunnels, t)) != NULL;)
		json_array_append_new(list, tunnel_shown(t));
	return list;
}

static json_t *names_shown(const uint8_t *values, unsigned int count, const char *(*name)(uint8_t))
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < count; i++)
		json_array_append_new(list, json_string(name(values[i])));
	return list;
}

static json_t *registration_shown(const struct client_status *status)
{
	if (!status->registered)
		return json_null();
	return json_pack("{sI sI ss ss so so}", "id", (json_int_t)status->client_id, "expires-in",
			 up_seconds_left(status->registration_expires), "local-policy",
			 msg_policy_name(status->local_policy), "remote-policy",
			 msg_policy_name(status->remote_policy), "methods",
			 names_shown(status->methods, status->method_count, msg_method_name), "tunnels",
			 names_shown(status->tunnels, status->tunnel_count, msg_tunnel_name));
}

static json_t *messages_shown(const struct client_status *status)
{
	json_t *shown = json_pack("{sI sI sI sI ss* sI sI}", "sent", (json_int_t)status->sent, "resent",
				  (json_int_t)status->resent, "received", (json_int_t)status->received, "unauthentic",
				  (json_int_t)status->unauthentic, "pending", status->pending, "counter",
				  (json_int_t)status->counter, "last-error", (json_int_t)status->last_error);

	if (status->pending != NULL) {
		uint64_t now = up_now(), due = status->next_send > now ? status->next_send - now : 0;

		json_object_set_new(shown, "sends", json_integer((json_int_t)status->sends));
		json_object_set_new(shown, "next-send-ms", json_integer((json_int_t)due));
	}
	if (!status->registered && status->register_at != 0)
		json_object_set_new(shown, "register-in", json_integer(up_seconds_left(status->register_at)));
	return shown;
}

json_t *status_all(const struct up *up)
{
	static const char *const states[] = { "unregistered", "registered", "assigned" };
	struct client_status status;

	client_status(up->client, &status);
	return json_pack("{ss ss ss so so so so so so so}", "gateway", up->options->gateway_text, "transport",
			 transport_is_tcp(up->transport) ? "tcp" : "udp", "state", states[status.state], "host",
			 transport_source(up->transport) ? show_addr(transport_source(up->transport)) : json_null(),
			 "registration", registration_shown(&status), "lease", first_shown(up), "tunnel",
			 tunnel_shown(tunnels_next(up->tunnels, NULL)), "leases", leases_shown(up), "tunnels",
			 tunnels_shown(up), "messages", messages_shown(&status));
}
