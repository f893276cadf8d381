// SPDX-License-Identifier: GPL-2.0-only
/* Who is told of a lease: the program of --hook, and strongSwan (IPS-27). */
#include <errno.h>
#include <string.h>

#include "rsip/instance.h"
#include "rsip/strongswan.h"

bool announce_ike_ports(const struct up *up, const struct client_lease *lease, uint16_t *ike, uint16_t *natt)
{
	if (!up->options->ike_leased || lease->want.kind != WANT_IPSEC || lease->ports.form == MSG_NOT_NEEDED ||
	    lease->ports.count < 2)
		return false;
	*ike = msg_port_at(&lease->ports, 0);
	*natt = msg_port_at(&lease->ports, 1);
	return true;
}

static void set_text(struct hook_event *event, const char *name, json_t *text)
{
	hook_event_set(event, name, "%s", json_is_string(text) ? json_string_value(text) : "");
	json_decref(text);
}

static void set_spis(const struct up *up, struct hook_event *event, const struct client_lease *lease)
{
	uint16_t ike = RSIP_IKE_PORT, natt = RSIP_NATT_PORT;
	struct num_range run;

	set_text(event, "RSIP_SPIS", status_spis(lease));
	if (strongswan_run(&lease->spis, &run)) {
		hook_event_set(event, "RSIP_SPI_MIN", "0x%08x", run.first);
		hook_event_set(event, "RSIP_SPI_MAX", "0x%08x", run.last);
	}
	if (lease->spis.count == 0)
		return;
	announce_ike_ports(up, lease, &ike, &natt);
	hook_event_set(event, "RSIP_IKE_PORT", "%u", ike);
	hook_event_set(event, "RSIP_NATT_PORT", "%u", natt);
}

void announce_hook(struct up *up, const char *name, const struct client_lease *lease)
{
	struct tunnel *tunnel = tunnels_find(up->tunnels, lease->local);
	struct hook_event *event;
	char text[ADDR_TEXT_LEN];
	json_t *shown;

	if (up->hook == NULL)
		return;
	event = hook_event_new(name);
	shown = status_lease(up, lease);
	hook_event_set(event, "RSIP_GATEWAY", "%s", up->options->gateway_text);
	hook_event_set(event, "RSIP_KIND", "%s", json_string_value(json_object_get(shown, "kind")));
	hook_event_set(event, "RSIP_ADDRESS", "%s", addr_text(lease->local, text));
	hook_event_set(event, "RSIP_HOST", "%s", addr_text(transport_source(up->transport), text));
	hook_event_set(event, "RSIP_END_POINT", "%s", addr_text(up_end_point(up, lease), text));
	hook_event_set(event, "RSIP_REMOTE", "%s", json_string_value(json_object_get(shown, "remote")));
	hook_event_set(event, "RSIP_BIND", "%u", lease->bind_id);
	hook_event_set(event, "RSIP_LEASE", "%lld", (long long)up_seconds_left(lease->expires));
	hook_event_set(event, "RSIP_INTERFACE", "%s", tunnel != NULL ? tunnel_info(tunnel)->name : "");
	set_text(event, "RSIP_PORTS", status_ports(lease));
	set_spis(up, event, lease);
	json_decref(shown);
	hook_run(up->hook, event);
}

/* charon has one range of SPIs: that of the first lease. */
int announce_strongswan(struct up *up, const struct client_lease *over)
{
	struct client_item item = { 0 };
	struct strongswan_lease told = { 0 };
	int err;

	if (up->options->strongswan == NULL)
		return 0;
	while (told.spis == NULL && client_next(up->client, item.id, &item)) {
		if (item.lease == NULL || item.lease->spis.count == 0 || (over != NULL && item.id == over->id))
			continue;
		told.address = item.lease->local;
		told.spis = &item.lease->spis;
		announce_ike_ports(up, item.lease, &told.port, &told.port_nat_t);
	}
	if (told.spis == NULL) {
		strongswan_remove(up->options->strongswan);
		return 0;
	}
	err = strongswan_write(up->options->strongswan, &told);
	if (err)
		log_error("%s/%s: %s", up->options->strongswan, STRONGSWAN_FILE, strerror(-err));
	return err;
}
