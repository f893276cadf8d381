// SPDX-License-Identifier: GPL-2.0-only
/* See text.h. One function for each kind of value; a table says which key has which. */
#include "text.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/addr.h"

static bool read_number(const char *text, uint32_t *out)
{
	char *end;

	*out = strtoul(text, &end, 0);
	return *text && !*end;
}

static bool read_addr(const char *text, struct text_msg *t, struct msg_addr *out)
{
	static const struct { const char *name; uint8_t type; } any[] = {
		{ "any-v4", RSIP_ADDR_IPV4 }, { "any-v6", RSIP_ADDR_IPV6 }, { "any-name", RSIP_ADDR_FQDN },
	};

	*out = (struct msg_addr){ .type = RSIP_ADDR_IPV4 };
	for (size_t i = 0; i < sizeof(any) / sizeof(any[0]); i++) {
		if (!strcmp(text, any[i].name)) {
			*out = (struct msg_addr){ .type = any[i].type, .any = true };
			return true;
		}
	}
	if (text[0] == '"') {
		snprintf(t->names, sizeof(t->names), "%.*s", (int)strcspn(text + 1, "\""), text + 1);
		out->type = RSIP_ADDR_FQDN;
		out->name = (const uint8_t *)t->names;
		out->name_len = strlen(t->names);
		return out->name_len > 0;
	}
	if (inet_pton(AF_INET6, text, out->v6) == 1) {
		out->type = RSIP_ADDR_IPV6;
		return true;
	}
	return addr_parse(text, &out->v4);
}

/* "not-needed", "4-any", "1234", "1234..1237", "{1234,1300}": the values go to `list`, at most `max` of them. */
static bool read_values(const char *text, enum msg_form *form, uint32_t *count, uint32_t *list, uint32_t max)
{
	char *end;
	uint32_t last;

	*count = 0;
	if (!strcmp(text, "not-needed")) {
		*form = MSG_NOT_NEEDED;
		return true;
	}
	if (text[0] == '{') {
		*form = MSG_LIST;
		do {
			list[(*count)++] = strtoul(text + 1, &end, 0);
			text = end;
		} while (*text == ',' && *count < max);
		return !strcmp(text, "}");
	}
	list[0] = strtoul(text, &end, 0);
	if (!strcmp(end, "-any")) {
		*form = MSG_ANY;
		*count = list[0];
		return true;
	}
	last = *end == '.' ? strtoul(end + 2, &end, 0) : list[0];
	*form = MSG_RUN;
	*count = last - list[0] + 1;
	return !*end && last >= list[0];
}

static bool read_ports(const char *text, struct msg_ports *out)
{
	uint32_t list[RSIP_PORTS_MAX], count;

	if (!read_values(text, &out->form, &count, list, RSIP_PORTS_MAX))
		return false;
	out->count = count;
	out->first = out->form == MSG_RUN ? list[0] : 0;
	for (uint32_t i = 0; out->form == MSG_LIST && i < count; i++)
		out->list[i] = list[i];
	return true;
}

static bool read_spis(const char *text, struct text_msg *t, struct msg_spis *out)
{
	uint32_t list[sizeof(t->spis) / 4], count;

	if (!read_values(text, &out->form, &count, list, sizeof(t->spis) / 4))
		return false;
	out->count = count;
	out->first = out->form == MSG_RUN ? list[0] : 0;
	for (uint32_t i = 0; out->form == MSG_LIST && i < count; i++)
		list[i] = htonl(list[i]);
	if (out->form == MSG_LIST) {
		memcpy(t->spis, list, 4 * count);
		out->list = t->spis;
	}
	return true;
}

/* A name that one of the functions of msg.h gives for a number. */
static bool read_name(const char *text, const char *(*name)(uint8_t number), uint8_t *out)
{
	uint32_t number;

	for (*out = 1; *out; (*out)++) {
		if (!strcmp(name(*out), text))
			return true;
	}
	if (!read_number(text, &number))
		return false;
	*out = number;
	return true;
}

static bool read_flow(const char *text, struct msg *m)
{
	char local[16], remote[16];

	return sscanf(text, "local-%15[a-z]/remote-%15[a-z]", local, remote) == 2 &&
	       read_name(local, msg_policy_name, &m->local_policy) && read_name(remote, msg_policy_name, &m->remote_policy);
}

/* "address(10.1.1.1)", "network(10.20.60.0/mask 255.255.255.0)", in responses with "local-" or "remote-" before it. */
static bool read_tuple(const char *text, struct text_msg *t)
{
	struct msg_tuple tuple = { .indicator = strncmp(text, "remote-", 7) ? 1 : 3 };
	const char *kind = text + (!strncmp(text, "local-", 6) ? 6 : tuple.indicator == 3 ? 7 : 0);
	char addr[64], mask[64];
	size_t len;

	if (sscanf(kind, "network(%63[^/]/mask %63[^)])", addr, mask) == 2) {
		tuple.indicator++;
		if (!addr_parse(mask, &tuple.mask))
			return false;
	} else if (sscanf(kind, "address(%63[^)])", addr) != 1) {
		return false;
	}
	if (!read_addr(addr, t, &tuple.addr))
		return false;
	len = msg_tuple_write(&tuple, t->tuples + t->m.tuples_len, sizeof(t->tuples) - t->m.tuples_len);
	t->m.tuples = t->tuples;
	t->m.tuples_len += len;
	t->m.has |= MSG_HAS_TUPLES;
	return len > 0;
}

static bool read_error(const char *text, struct msg *m)
{
	m->error = strtoul(text, NULL, 10);
	return m->error != 0;
}

static bool read_pair(const char *key, const char *value, struct text_msg *t)
{
	struct msg *m = &t->m;
	const struct {
		const char *key;
		uint32_t has;
		uint32_t *number;
		struct msg_addr *addr;
		struct msg_ports *ports;
	} plain[] = {
		{ "client", MSG_HAS(RSIP_PARAM_CLIENT_ID), .number = &m->client_id },
		{ "bind", MSG_HAS(RSIP_PARAM_BIND_ID), .number = &m->bind_id },
		{ "lease", MSG_HAS(RSIP_PARAM_LEASE_TIME), .number = &m->lease },
		{ "counter", MSG_HAS(RSIP_PARAM_MESSAGE_COUNTER), .number = &m->counter },
		{ "local", MSG_HAS_LOCAL, .addr = &m->local },
		{ "remote", MSG_HAS_REMOTE, .addr = &m->remote },
		{ "endpoint", MSG_HAS_ENDPOINT, .addr = &m->endpoint },
		{ "lports", MSG_HAS_LPORTS, .ports = &m->lports },
		{ "rports", MSG_HAS_RPORTS, .ports = &m->rports },
	};

	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
		if (strcmp(key, plain[i].key))
			continue;
		m->has |= plain[i].has;
		return plain[i].number ? read_number(value, plain[i].number) :
		       plain[i].addr ? read_addr(value, t, plain[i].addr) : read_ports(value, plain[i].ports);
	}
	if (!strcmp(key, "spi")) {
		m->has |= MSG_HAS(RSIP_PARAM_SPI);
		return read_spis(value, t, &m->spis);
	}
	if (!strcmp(key, "tunnel") && m->tunnel_count < MSG_REPEAT_MAX) {
		m->has |= MSG_HAS(RSIP_PARAM_TUNNEL_TYPE);
		return read_name(value, msg_tunnel_name, &m->tunnels[m->tunnel_count++]);
	}
	if (!strcmp(key, "method") && m->method_count < MSG_REPEAT_MAX) {
		m->has |= MSG_HAS(RSIP_PARAM_METHOD);
		return read_name(value, msg_method_name, &m->methods[m->method_count++]);
	}
	if (!strcmp(key, "flow")) {
		m->has |= MSG_HAS(RSIP_PARAM_FLOW_POLICY);
		return read_flow(value, m);
	}
	if (!strcmp(key, "error")) {
		m->has |= MSG_HAS(RSIP_PARAM_ERROR);
		return read_error(value, m);
	}
	return false;
}

static bool read_part(char *part, struct text_msg *t)
{
	char *value = strchr(part, '=');

	if (!value)
		return read_tuple(part, t);
	*value++ = '\0';
	return read_pair(part, value, t);
}

/* Up to the next blank that is not within parentheses. */
static size_t part_len(const char *text)
{
	size_t len = 0;

	for (unsigned int depth = 0; text[len] && (depth || text[len] != ' '); len++)
		depth += text[len] == '(' ? 1 : text[len] == ')' ? -1 : 0;
	return len;
}

bool text_parse(const char *text, struct text_msg *out, char why[static 128])
{
	size_t name = strcspn(text, "("), len = strlen(text);
	char parts[2048], *at = parts;
	unsigned int type = 0;

	*out = (struct text_msg){ 0 };
	while (type < 256 && (strlen(msg_type_name(type)) != name || strncmp(msg_type_name(type), text, name)))
		type++;
	snprintf(why, 128, "%.100s", text);
	if (type == 256 || len < name + 2 || text[len - 1] != ')' || len >= sizeof(parts))
		return false;
	out->m.type = type;
	snprintf(parts, sizeof(parts), "%.*s", (int)(len - name - 2), text + name + 1);
	while (*at) {
		size_t part = part_len(at);
		char *next = at + part + (at[part] == ' ');

		at[part] = '\0';
		snprintf(why, 128, "%.100s", at);
		if (!read_part(at, out))
			return false;
		at = next;
	}
	return true;
}
