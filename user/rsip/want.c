// SPDX-License-Identifier: GPL-2.0-only
/* One request for each kind; what they have in common is most of it. */
#include "rsip/want.h"

#include <string.h>

uint8_t want_request_type(const struct want *want)
{
	static const uint8_t types[] = {
		[WANT_PORTS] = RSIP_ASSIGN_REQUEST_RSAP,
		[WANT_IPSEC] = RSIP_ASSIGN_REQUEST_RSIPSEC,
		[WANT_WHOLE] = RSIP_ASSIGN_REQUEST_RSA,
		[WANT_LISTEN] = RSIP_LISTEN_REQUEST,
	};

	return types[want->kind];
}

bool want_has_ports(const struct want *want)
{
	return want->kind == WANT_PORTS || want->kind == WANT_LISTEN || (want->kind == WANT_IPSEC && want->ports);
}

static struct msg_addr ipv4_or_any(__be32 addr)
{
	return (struct msg_addr){ .type = RSIP_ADDR_IPV4, .any = !addr, .v4 = addr };
}

static struct msg_addr remote_of(const struct want *want)
{
	if (!want->remote_name[0])
		return ipv4_or_any(want->remote);
	return (struct msg_addr){
		.type = RSIP_ADDR_FQDN,
		.name = (const uint8_t *)want->remote_name,
		.name_len = (uint8_t)strlen(want->remote_name),
	};
}

/* Don't-need ports stand in both places or in none. */
static void write_ports(const struct want *want, bool named, struct msg *out)
{
	out->has |= MSG_HAS_RPORTS;
	out->rports.form = want->remote_port ? MSG_RUN : MSG_ANY;
	out->rports.count = 1;
	out->rports.first = want->remote_port;
	if (want->kind == WANT_WHOLE)
		return;
	out->has |= MSG_HAS_LPORTS;
	if (!want_has_ports(want)) {
		out->lports.form = out->rports.form = MSG_NOT_NEEDED;
		return;
	}
	out->lports.form = want->first_port && named ? MSG_RUN : MSG_ANY;
	out->lports.first = want->first_port;
	out->lports.count = want->ports ? want->ports : 1;
}

void want_write(const struct want *want, uint32_t client_id, __be32 local, bool named, struct msg *out)
{
	*out = (struct msg){
		.type = want_request_type(want),
		.has = MSG_HAS(RSIP_PARAM_CLIENT_ID) | MSG_HAS_LOCAL | MSG_HAS_REMOTE,
		.client_id = client_id,
		.local = ipv4_or_any(local),
		.remote = remote_of(want),
	};

	write_ports(want, named, out);
	if (want->kind == WANT_IPSEC) {
		out->has |= MSG_HAS(RSIP_PARAM_SPI);
		out->spis.form = MSG_ANY;
		out->spis.count = want->spis ? want->spis : 1;
	}
	if (want->lease) {
		out->has |= MSG_HAS(RSIP_PARAM_LEASE_TIME);
		out->lease = want->lease;
	}
	if (want->tunnel) {
		out->has |= MSG_HAS(RSIP_PARAM_TUNNEL_TYPE);
		out->tunnels[out->tunnel_count++] = want->tunnel;
	}
}

bool want_permitted(const struct want *want, uint8_t local_policy, uint8_t remote_policy)
{
	bool remote = want->remote || want->remote_name[0];

	if (local_policy == RSIP_POLICY_MICRO && (want->kind == WANT_WHOLE || want->ports > 1))
		return false;
	if (remote_policy == RSIP_POLICY_NONE)
		return true;
	if (!remote)
		return false;
	/* Who needs no ports is held to the address only. */
	return remote_policy == RSIP_POLICY_MACRO || want->remote_port ||
	       (want->kind == WANT_IPSEC && !want_has_ports(want));
}

/* 1-255 are reserved (RFC 4303 2.1): no stack takes them. */
static bool spis_fit(const struct want *want, const struct msg_spis *spis)
{
	if (spis->form == MSG_ANY || spis->count < want->spis)
		return false;
	for (unsigned int i = 0; i < spis->count; i++) {
		if (msg_spi_at(spis, i) < RSIP_SPI_FIRST)
			return false;
	}
	return true;
}

static bool ports_fit(const struct want *want, bool named, const struct msg_ports *ports)
{
	if (!want_has_ports(want))
		return ports->form == MSG_NOT_NEEDED;
	if (ports->form == MSG_NOT_NEEDED || ports->form == MSG_ANY || ports->count < want->ports)
		return false;
	return !named || !want->first_port || msg_port_at(ports, 0) == want->first_port;
}

bool want_fits(const struct want *want, bool named, const struct msg *answer)
{
	uint8_t tunnel = answer->tunnel_count ? answer->tunnels[0] : RSIP_TUNNEL_IPIP;	/* */

	if (answer->local.type != RSIP_ADDR_IPV4 || answer->local.any || !answer->lease)
		return false;
	if (named && want->local && answer->local.v4 != want->local)
		return false;
	if (want->remote && answer->remote.type == RSIP_ADDR_IPV4 && !answer->remote.any &&
	    answer->remote.v4 != want->remote)
		return false;
	if (answer->has & MSG_HAS_ENDPOINT && answer->endpoint.type != RSIP_ADDR_IPV4)
		return false;
	if (want->kind != WANT_WHOLE && !ports_fit(want, named, &answer->lports))
		return false;
	if (want->kind == WANT_IPSEC && !spis_fit(want, &answer->spis))
		return false;
	if (want->tunnel && tunnel != want->tunnel)
		return false;
	return tunnel == RSIP_TUNNEL_IPIP || tunnel == RSIP_TUNNEL_GRE;
}
