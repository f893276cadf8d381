// SPDX-License-Identifier: GPL-2.0-only
/* See policy.h. RFC 3103 7 and 9.8.3; of the catalogue. */
#include "rsipd/policy.h"

#include <arpa/inet.h>

static bool is_unicast(__be32 addr)
{
	uint32_t first = ntohl(addr) >> 24;

	return first > 0 && first < 224;
}

bool policy_is_own(const struct config *config, __be32 addr)
{
	for (size_t i = 0; i < config->private_count; i++) {
		if (config->private_interfaces[i].address == addr)
			return true;
	}
	return false;
}

static bool is_local(const struct config *config, __be32 addr)
{
	for (size_t i = 0; i < config->local_network_count; i++) {
		if (addr_in_prefix(addr, &config->local_networks[i]))
			return true;
	}
	return false;
}

bool policy_is_remote(const struct config *config, __be32 addr)
{
	return is_unicast(addr) && !is_local(config, addr) && !policy_is_own(config, addr);
}

bool policy_admits(const struct config *config, const struct origin *from)
{
	return policy_is_own(config, from->local) && is_unicast(from->source) && !policy_is_own(config, from->source);
}

bool policy_serves_ipsec(const struct config *config)
{
	for (size_t i = 0; i < config->pool_count; i++) {
		if (config->pools[i].rsipsec)
			return true;
	}
	return false;
}

/* One port, by number or whichever. */
static bool is_one_port(const struct msg_ports *ports)
{
	return ports->form != MSG_NOT_NEEDED && ports->count == 1;
}

/* Whether a request is as detailed as the host's flow policy demands; not needed wins. */
static bool keeps_flow_policy(const struct client *client, const struct msg *m)
{
	if (client->local_policy == RSIP_POLICY_MICRO && m->lports.form != MSG_NOT_NEEDED && !is_one_port(&m->lports))
		return false;
	if (client->remote_policy == RSIP_POLICY_NONE)
		return true;
	if (m->remote.any)
		return false;
	return client->remote_policy != RSIP_POLICY_MICRO || m->rports.form == MSG_NOT_NEEDED ||
	       (is_one_port(&m->rports) && m->rports.form != MSG_ANY);
}

static bool choose_tunnel(const struct config *config, const struct msg *m, uint8_t *tunnel)
{
	for (size_t i = 0; i < config->tunnel_count; i++) {
		if (m->tunnel_count == 0 || m->tunnels[0] == config->tunnels[i]) {
			*tunnel = config->tunnels[i];
			return true;
		}
	}
	return false;
}

uint16_t policy_request(const struct config *config, const struct client *client, const struct msg *m,
			uint8_t *tunnel)
{
	if (m->type == RSIP_ASSIGN_REQUEST_RSIPSEC && !client->rule->ipsec)
		return RSIP_E_IPSEC_UNALLOWED;
	if (!keeps_flow_policy(client, m))
		return RSIP_E_FLOW_POLICY_VIOLATION;
	return choose_tunnel(config, m, tunnel) ? 0 : RSIP_E_BAD_TUNNEL_TYPE;
}

uint16_t policy_remote(const struct config *config, const struct client *client, const struct msg *m)
{
	if (client->remote_policy == RSIP_POLICY_NONE)
		return 0;
	/* A name cannot be resolved here, and IPv6 not be carried. */
	if (m->remote.type != RSIP_ADDR_IPV4)
		return RSIP_E_REMOTE_ADDR_UNALLOWED;
	if (!policy_is_remote(config, m->remote.v4))
		return RSIP_E_REMOTE_ADDR_UNALLOWED;
	return 0;
}

uint32_t policy_lease(const struct config *config, const struct msg *m)
{
	bool wish = m->has & MSG_HAS(RSIP_PARAM_LEASE_TIME) && m->lease;
	uint32_t seconds = wish ? m->lease : config->leases.normal;

	if (seconds > config->leases.maximum)
		seconds = config->leases.maximum;
	return seconds ? seconds : 1;
}
