// SPDX-License-Identifier: GPL-2.0-only
/* Six words: first port (0: any), number of ports, remote (0: any), its port, local address, tunnel type. */
#include "rsip/listen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/addr.h"

void listen_write(const struct options *o, char words[LISTEN_WORDS][LISTEN_WORD_LEN])
{
	const struct options_remote any = { 0 }, *remote = o->remote_count > 0 ? &o->remotes[0] : &any;
	char text[ADDR_TEXT_LEN];

	snprintf(words[0], LISTEN_WORD_LEN, "%u", o->first_port);
	snprintf(words[1], LISTEN_WORD_LEN, "%u", o->ports);
	snprintf(words[2], LISTEN_WORD_LEN, "%s", remote->name[0] ? remote->name : addr_text(remote->addr, text));
	snprintf(words[3], LISTEN_WORD_LEN, "%u", remote->port);
	snprintf(words[4], LISTEN_WORD_LEN, "%s", addr_text(o->local, text));
	snprintf(words[5], LISTEN_WORD_LEN, "%u", o->tunnel);
}

static bool number(const char *word, unsigned long max, unsigned long *out)
{
	char *end;

	*out = strtoul(word, &end, 10);
	return end != word && *end == 0 && *out <= max;
}

bool listen_read(const char *const *words, size_t count, struct want *out)
{
	unsigned long first, ports, remote_port, tunnel;

	if (count != LISTEN_WORDS || !number(words[0], 0xffff, &first) || !number(words[1], RSIP_PORTS_MAX, &ports) ||
	    ports == 0 || !number(words[3], 0xffff, &remote_port) || !number(words[5], 0xff, &tunnel) ||
	    strlen(words[2]) > RSIP_FQDN_MAX)
		return false;
	*out = (struct want){
		.kind = WANT_LISTEN,
		.ports = (uint8_t)ports,
		.first_port = (uint16_t)first,
		.remote_port = (uint16_t)remote_port,
		.tunnel = (uint8_t)tunnel,
	};
	if (!addr_parse(words[4], &out->local))
		return false;
	out->exact = first != 0 || out->local != 0;
	if (!addr_parse(words[2], &out->remote))
		strcpy(out->remote_name, words[2]);
	return true;
}
