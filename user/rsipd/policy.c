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
	return is_unicast(addr) && ntohl(addr) >> 24 != 127 && !is_local(config, addr) && !policy_is_own(config, addr);
}

bool policy_admits(const struct config *config, const struct origin *from)
{
	return policy_is_own(config, from->local) && is_unicast(from->source) && !policy_is_own(config, from->source);
}

unsigned int policy_messages_off(const struct config *config)
{
	unsigned int off = MSG_NO_RSA | MSG_NO_LISTEN | MSG_NO_IPSEC;

	for (size_t i = 0; i < config->pool_count; i++) {
		if (config->pools[i].rsa)
			off &= ~MSG_NO_RSA;
		if (config->pools[i].rsipsec)
			off &= ~MSG_NO_IPSEC;
	}
	for (size_t i = 0; i < config->client_count; i++) {
		if (config->clients[i].listen != CONFIG_LISTEN_NEVER)
			off &= ~MSG_NO_LISTEN;
	}
	return off;
}

/* Whole addresses do not go with local micro policy. */
static bool may_have_whole(uint8_t local_policy)
{
	return local_policy != RSIP_POLICY_MICRO;
}

size_t policy_methods(const struct config *config, const struct config_client *rule,
		      uint8_t out[static POLICY_METHODS_MAX])
{
	unsigned int off = policy_messages_off(config);
	size_t count = 0;

	out[count++] = RSIP_METHOD_RSAP;	/* always */
	if (!(off & MSG_NO_RSA) && may_have_whole(rule->local_policy))
		out[count++] = RSIP_METHOD_RSA;
	if (!(off & MSG_NO_IPSEC) && rule->ipsec)
		out[count++] = RSIP_METHOD_RSIPSEC;
	return count;
}

/* One port, by number or whichever. */
static bool is_one_port(const struct msg_ports *ports)
{
	return ports->form != MSG_NOT_NEEDED && ports->count == 1;
}

/* Whether a request is as detailed as the host's flow policy demands; not needed wins. */
static bool keeps_flow_policy(const struct client *client, const struct msg *m)
{
	if (m->type == RSIP_ASSIGN_REQUEST_RSA && !may_have_whole(client->local_policy))
		return false;
	if (client->local_policy == RSIP_POLICY_MICRO && m->lports.form != MSG_NOT_NEEDED && !is_one_port(&m->lports))
		return false;
	if (client->remote_policy == RSIP_POLICY_NONE)
		return true;
	if (m->remote.any)
		return false;
	return client->remote_policy != RSIP_POLICY_MICRO || m->rports.form == MSG_NOT_NEEDED ||
	       (is_one_port(&m->rports) && m->rports.form != MSG_ANY);
}

/* The first that is supported (LSN-07); a host that names none gets the default. */
static bool choose_tunnel(const struct config *config, const struct msg *m, uint8_t *tunnel)
{
	*tunnel = config->tunnels[0];
	for (unsigned int i = 0; i < m->tunnel_count; i++) {
		for (size_t k = 0; k < config->tunnel_count; k++) {
			*tunnel = config->tunnels[k];
			if (m->tunnels[i] == *tunnel)
				return true;
		}
	}
	return !m->tunnel_count;
}

uint16_t policy_request(const struct config *config, const struct client *client, const struct msg *m,
			uint8_t *tunnel)
{
	if (m->type == RSIP_LISTEN_REQUEST && client->rule->listen == CONFIG_LISTEN_NEVER)
		return RSIP_E_UNSUPPORTED_MESSAGE;
	if (m->type == RSIP_ASSIGN_REQUEST_RSIPSEC && !client->rule->ipsec)
		return RSIP_E_IPSEC_UNALLOWED;
	if (!keeps_flow_policy(client, m))
		return RSIP_E_FLOW_POLICY_VIOLATION;
	return choose_tunnel(config, m, tunnel) ? 0 : RSIP_E_BAD_TUNNEL_TYPE;
}

uint16_t policy_remote(const struct config *config, const struct client *client, const struct msg *m,
		       struct peers *peers)
{
	size_t kept = 0;

	for (size_t i = 0; i < peers->count; i++) {
		if (policy_is_remote(config, peers->addrs[i]))
			peers->addrs[kept++] = peers->addrs[i];
	}
	peers->count = kept;
	if (!kept)
		return RSIP_E_REMOTE_ADDR_UNALLOWED;
	/* Whoever may reach only what it names has no business listening, unless the operator says so (LSN-09). */
	if (m->type == RSIP_LISTEN_REQUEST && client->remote_policy == RSIP_POLICY_MICRO &&
	    client->rule->listen != CONFIG_LISTEN_ALWAYS)
		return RSIP_E_REMOTE_ADDRPORT_UNALLOWED;
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
