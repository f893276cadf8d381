/* SPDX-License-Identifier: GPL-2.0-only */
/* The command line of `rsip`. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/types.h>

#include "lib/auth.h"

#include <rsip/proto.h>

#define OPTIONS_GATEWAY_LEN	22	/* "255.255.255.255:65535" and its NUL */

enum options_command { COMMAND_UP, COMMAND_DOWN, COMMAND_STATUS, COMMAND_QUERY, COMMAND_LISTEN, COMMAND_RELEASE };

#define OPTIONS_REMOTES_MAX	64

struct options_remote {
	__be32 addr;			/* 0: any, or `name` */
	char name[RSIP_FQDN_MAX + 1];	/* "": none */
	uint16_t port;			/* host order, 0: any */
};

struct options {
	enum options_command command;
	struct sockaddr_in gateway;		/* port 0: none was given */
	char gateway_text[OPTIONS_GATEWAY_LEN];	/* ADDRESS:PORT */
	bool json, background, tcp;
	bool rsa_ip;				/* a whole address; no SPIs and ports then */
	uint16_t spis;				/* 0: RSAP-IP, no IPsec */
	uint8_t ports;				/* the two of --ike included */
	__be32 local;
	struct options_remote *remotes;		/* owned, as `words`; one lease for each, one without */
	size_t remote_count;
	uint8_t tunnel;				/* enum rsip_tunnel, 0: the gateway's default */
	bool manual;				/* programs choose their addresses and ports themselves */
	uint32_t idle;				/* seconds without a socket after which what was leased on demand goes back */
	bool ike_leased;			/* the local IKE daemon uses the first two leased ports */
	uint16_t first_port;			/* host order: of --ike or `listen`, 0: whichever */
	const char *hook, *strongswan;
	bool has_key;
	uint8_t key[AUTH_KEY_LEN];		/* of --key, lib/auth.h */
	char **words;				/* what follows the command */
	size_t word_count;
};

/* 0, or -EINVAL after a line on stderr that says what is wrong and what is allowed. `--help`
 * and `--version` print and set *done. */
int options_parse(int argc, char **argv, struct options *out, bool *done);
void options_free(struct options *options);
