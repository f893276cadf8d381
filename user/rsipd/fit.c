// SPDX-License-Identifier: GPL-2.0-only
/* See fit.h. */
#include "rsipd/fit.h"

#include "rsipd/policy.h"

const struct config_client *fit_client(const struct config *config, __be32 host, __be32 gateway, const char **why)
{
	const struct config_client *rule = config_client_for(config, host);

	if (!policy_is_own(config, gateway)) {
		*why = "the gateway address it registered at is not served any more";
		return NULL;
	}
	if (!rule)
		*why = "no rule of \"clients\" matches it any more";
	return rule;
}

static const char *fit_ports(const struct config_pool *pool, const struct msg_ports *ports)
{
	if (ports->form != MSG_RUN && ports->form != MSG_LIST)
		return NULL;
	for (unsigned int i = 0; i < ports->count; i++) {
		if (!pool_lends_port(pool, msg_port_at(ports, i)))
			return "its pool does not lend all of its ports any more";
	}
	return NULL;
}

static const char *fit_spis(const struct config_pool *pool, const struct datapath_bind *bind)
{
	for (unsigned int i = 0; i < bind->spi_count; i++) {
		if (bind->spis[i] < pool->spis.first || bind->spis[i] > pool->spis.last)
			return "its pool does not lend all of its SPIs any more";
	}
	return NULL;
}

static bool serves(const struct config_pool *pool, const struct datapath_bind *bind)
{
	if (bind->whole)
		return pool->rsa;
	return bind->ipsec || bind->ike_listen ? pool->rsipsec : pool->rsap;
}

static const char *fit_pool(const struct config_pool *pool, const struct datapath_bind *bind)
{
	const char *why;

	if (!pool)
		return "its address is in no pool any more";
	if (!serves(pool, bind))
		return "its pool does not serve its method any more";
	why = fit_ports(pool, bind->ports);
	return why ? why : fit_spis(pool, bind);
}

static bool offers_tunnel(const struct config *config, uint8_t tunnel)
{
	for (size_t i = 0; i < config->tunnel_count; i++) {
		if (config->tunnels[i] == tunnel)
			return true;
	}
	return false;
}

static bool are_remote(const struct config *config, const struct datapath_bind *bind)
{
	for (size_t i = 0; i < bind->remote_count; i++) {
		if (!policy_is_remote(config, bind->remotes[i]))
			return false;
	}
	return !bind->remote || policy_is_remote(config, bind->remote);
}

const char *fit_bind(const struct config *config, const struct pools *pools, const struct config_client *rule,
		     const struct datapath_bind *bind)
{
	if ((bind->ipsec || bind->ike_listen) && !rule->ipsec)
		return "its host may not use IPsec any more";
	if (!offers_tunnel(config, bind->tunnel))
		return "its tunnel type is not offered any more";
	if (!are_remote(config, bind))
		return "its peer is on a local network now";
	return fit_pool(pools_lender(pools, bind->addr), bind);
}
