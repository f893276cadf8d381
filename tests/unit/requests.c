// SPDX-License-Identifier: GPL-2.0-only
/* See requests.h. */
#include "requests.h"

#include <arpa/inet.h>

static struct msg request(uint8_t type, uint32_t client, uint32_t counter)
{
	struct msg m = { .type = type, .client_id = client, .counter = counter };

	if (type != RSIP_REGISTER_REQUEST)
		m.has |= MSG_HAS(RSIP_PARAM_CLIENT_ID);
	if (counter)
		m.has |= MSG_HAS(RSIP_PARAM_MESSAGE_COUNTER);
	return m;
}

struct msg req_register(uint32_t counter)
{
	return request(RSIP_REGISTER_REQUEST, 0, counter);
}

struct msg req_deregister(uint32_t client, uint32_t counter)
{
	return request(RSIP_DEREGISTER_REQUEST, client, counter);
}

struct msg req_query(uint32_t client, uint32_t counter)
{
	return request(RSIP_QUERY_REQUEST, client, counter);
}

struct msg req_free(uint32_t client, uint32_t bind, uint32_t counter)
{
	struct msg m = request(RSIP_FREE_REQUEST, client, counter);

	m.has |= MSG_HAS(RSIP_PARAM_BIND_ID);
	m.bind_id = bind;
	return m;
}

struct msg req_extend(uint32_t client, uint32_t bind, uint32_t seconds, uint32_t counter)
{
	struct msg m = request(RSIP_EXTEND_REQUEST, client, counter);

	m.has |= MSG_HAS(RSIP_PARAM_BIND_ID) | MSG_HAS(RSIP_PARAM_LEASE_TIME);
	m.bind_id = bind;
	m.lease = seconds;
	return m;
}

static struct msg assign(uint8_t type, uint32_t client, uint32_t counter)
{
	struct msg m = request(type, client, counter);

	m.has |= MSG_HAS_LOCAL | MSG_HAS_LPORTS | MSG_HAS_REMOTE | MSG_HAS_RPORTS;
	m.local = (struct msg_addr){ .type = RSIP_ADDR_IPV4, .any = true };
	m.remote = m.local;
	m.rports = (struct msg_ports){ .form = MSG_ANY, .count = 1 };
	return m;
}

struct msg req_rsap(uint32_t client, uint16_t ports, uint32_t counter)
{
	struct msg m = assign(RSIP_ASSIGN_REQUEST_RSAP, client, counter);

	m.lports = (struct msg_ports){ .form = MSG_ANY, .count = ports };
	return m;
}

struct msg req_rsa(uint32_t client, uint32_t counter)
{
	return assign(RSIP_ASSIGN_REQUEST_RSA, client, counter);
}

struct msg req_listen(uint32_t client, uint16_t port, uint32_t counter)
{
	struct msg m = assign(RSIP_LISTEN_REQUEST, client, counter);

	m.lports = (struct msg_ports){ .form = MSG_RUN, .first = port, .count = 1 };
	return m;
}

struct msg req_ipsec(uint32_t client, uint16_t spis, uint32_t counter)
{
	struct msg m = assign(RSIP_ASSIGN_REQUEST_RSIPSEC, client, counter);

	m.has |= MSG_HAS(RSIP_PARAM_SPI);
	m.lports.form = MSG_NOT_NEEDED;
	m.rports = m.lports;
	m.spis = (struct msg_spis){ .form = MSG_ANY, .count = spis };
	return m;
}
