// SPDX-License-Identifier: GPL-2.0-only
/* argp and two tables: the commands, and which options belong to which of them. */
#include "rsip/options.h"

#include <argp.h>
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <rsip/proto.h>

#include "lib/addr.h"

#define SPIS_DEFAULT	8	/* strongSwan finds a free one in 8 even while it rekeys */
#define IDLE_DEFAULT	300	/* seconds; TIME_WAIT counts as use */
#define URL		"service:rsip://"
#define IKE_PORTS	2	/* charon.port and charon.port_nat_t */

enum option_key {
	KEY_SPIS = 0x100, KEY_PORTS, KEY_REMOTE, KEY_LOCAL, KEY_TUNNEL, KEY_UDP, KEY_TCP, KEY_IKE, KEY_HOOK,
	KEY_STRONGSWAN, KEY_KEY, KEY_RSA_IP, KEY_MANUAL, KEY_IDLE, KEY_HELP, KEY_USAGE, KEY_VERSION,
};

static const struct {
	const char *name;
	enum options_command command;
	bool needs_gateway, takes_words;
} commands[] = {
	{ "up", COMMAND_UP, true, false },
	{ "down", COMMAND_DOWN, false, false },
	{ "status", COMMAND_STATUS, false, false },
	{ "query", COMMAND_QUERY, false, true },
	{ "listen", COMMAND_LISTEN, false, true },
	{ "release", COMMAND_RELEASE, false, true },
};

static const struct argp_option table[] = {
	{ "gateway", 'g', "ADDRESS[:PORT]", 0,
	  "The RSIP gateway, also as service:rsip://ADDRESS[:PORT]; port 4555 unless given", 1 },
	{ "json", 'j', NULL, 0, "Print JSON", 1 },
	{ NULL, 0, NULL, 0, "Options of `up'; --ports, --local, --remote and --tunnel also of `listen':", 2 },
	{ "background", 'd', NULL, 0, "Return when the lease is up and stay in the background", 2 },
	{ "spis", KEY_SPIS, "N", 0, "Lease N SPIs (0 to 65535, default 8); 0: no IPsec, ports only", 2 },
	{ "ports", KEY_PORTS, "N", 0, "Lease N ports (0 to 255, default 0, or 1 with --spis 0)", 2 },
	{ "rsa-ip", KEY_RSA_IP, NULL, 0, "Lease a whole address instead of SPIs and ports", 2 },
	{ "local", KEY_LOCAL, "ADDRESS", 0, "Ask for this public address", 2 },
	{ "remote", KEY_REMOTE, "ADDRESS|NAME[:PORT]", 0, "The only peer of this lease; several times: a lease for each", 2 },
	{ "tunnel", KEY_TUNNEL, "ipip|gre", 0, "Tunnel type; default: the gateway's", 2 },
	{ "udp", KEY_UDP, NULL, 0, "Speak RSIP over UDP (default)", 2 },
	{ "tcp", KEY_TCP, NULL, 0, "Speak RSIP over TCP", 2 },
	{ "ike", KEY_IKE, "PORT|ephemeral", 0,
	  "Port of the local IKE daemon: 500 (default), shared; or another, leased with the next one; or "
	  "ephemeral, any two leased", 2 },
	{ "manual", KEY_MANUAL, NULL, 0, "Leave it to programs to use the leased address and ports", 2 },
	{ "idle", KEY_IDLE, "SECONDS", 0, "Give back ports leased on demand when unused for so long (default 300)", 2 },
	{ "key", KEY_KEY, "FILE", 0, "Authenticate messages with the key in FILE", 2 },
	{ "hook", KEY_HOOK, "PROGRAM", 0, "Run PROGRAM when the lease is granted, extended, over", 2 },
	{ "strongswan", KEY_STRONGSWAN, "DIRECTORY", 0, "Write rsip.conf for strongSwan there", 2 },
	{ NULL, 0, NULL, 0, "About this program:", 3 },
	{ "help", KEY_HELP, NULL, 0, "Print this list", 3 },
	{ "usage", KEY_USAGE, NULL, 0, "Print how to call it", 3 },
	{ "version", KEY_VERSION, NULL, 0, "Print the version", 3 },
	{ 0 },
};

struct parse {
	struct options *out;
	unsigned int ports;	/* as asked for, before those of --ike ephemeral */
	bool ports_given, spis_given, command_given, done;
	const char *up_option;		/* one that only `up` takes */
	const char *lease_option;	/* one that `listen` takes as well */
	char **words;
};

static int complain(const char *option, const char *value, const char *allowed)
{
	fprintf(stderr, "rsip: %s %s: %s\n", option, value, allowed);
	return EINVAL;
}

static bool parse_number(const char *text, unsigned long max, unsigned long *out)
{
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	*out = strtoul(text, &end, 10);
	return errno == 0 && *end == 0 && *out <= max;
}

/* The text before the colon, and the port after it; *port keeps its value without one. It may not be 0. */
static bool split_port(const char *text, char *out, size_t capacity, uint16_t *port)
{
	const char *colon = strchr(text, ':');
	size_t len = colon != NULL ? (size_t)(colon - text) : strlen(text);
	unsigned long number;

	if (len >= capacity)
		return false;
	memcpy(out, text, len);
	out[len] = 0;
	if (colon == NULL)
		return true;
	if (!parse_number(colon + 1, 0xffff, &number) || number == 0)
		return false;
	*port = (uint16_t)number;
	return true;
}

/* Host names: labels of letters, digits and hyphens, the last not all digits (that is a bad address). */
static bool is_name(const char *text)
{
	const char *label = text;

	for (const char *at = text;; at++) {
		if (*at != '.' && *at != 0) {
			if (!isalnum((unsigned char)*at) && *at != '-')
				return false;
			continue;
		}
		if (at == label || at - label > 63 || *label == '-' || at[-1] == '-')
			return false;
		if (*at == 0)
			return strspn(label, "0123456789") < (size_t)(at - label);
		label = at + 1;
	}
}

static int take_remote(const char *value, struct options *out)
{
	struct options_remote *remote;

	if (out->remote_count == OPTIONS_REMOTES_MAX)
		return complain("--remote", value, "at most 64 of them");
	remote = &out->remotes[out->remote_count++];
	if (!split_port(value, remote->name, sizeof(remote->name), &remote->port))
		return complain("--remote", value, "want an IPv4 address or a name and, if it matters, :PORT");
	if (addr_parse(remote->name, &remote->addr) && remote->addr != 0)
		remote->name[0] = 0;
	else if (!is_name(remote->name))
		return complain("--remote", value, "want an IPv4 address or a name and, if it matters, :PORT");
	return 0;
}

static int take_gateway(const char *value, struct options *out)
{
	char address[ADDR_TEXT_LEN];
	uint16_t port = RSIP_PORT;
	__be32 addr;

	if (strncmp(value, URL, strlen(URL)) == 0)	/* as SLP names it (RFC 3105, A-48) */
		value += strlen(URL);
	if (!split_port(value, address, sizeof(address), &port) || !addr_parse(address, &addr) || addr == 0)
		return complain("--gateway", value, "want an IPv4 address and, if not 4555, :PORT");
	out->gateway = (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_addr.s_addr = addr,
		.sin_port = htons(port),
	};
	snprintf(out->gateway_text, sizeof(out->gateway_text), "%s:%u", addr_text(addr, address), port);
	return 0;
}

static int take_ike(const char *value, struct options *out)
{
	unsigned long port;

	out->first_port = 0;
	out->ike_leased = strcmp(value, "500") != 0;
	if (!out->ike_leased || strcmp(value, "ephemeral") == 0)
		return 0;
	if (!parse_number(value, 0xffff, &port) || port == 0)
		return complain("--ike", value, "want a port from 1 to 65535, or ephemeral");
	out->first_port = (uint16_t)port;
	return 0;
}

static int take_tunnel(const char *value, struct options *out)
{
	if (strcmp(value, "ipip") == 0)
		out->tunnel = RSIP_TUNNEL_IPIP;
	else if (strcmp(value, "gre") == 0)
		out->tunnel = RSIP_TUNNEL_GRE;
	else
		return complain("--tunnel", value, "want ipip or gre");
	return 0;
}

static int take_number(const char *option, const char *value, unsigned long max, unsigned long *out)
{
	char allowed[48];

	if (parse_number(value, max, out))
		return 0;
	snprintf(allowed, sizeof(allowed), "want a number from 0 to %lu", max);
	return complain(option, value, allowed);
}

static int take_hook(const char *value, struct options *out)
{
	out->hook = value;
	return access(value, X_OK) ? complain("--hook", value, strerror(errno)) : 0;
}

static int take_key(const char *value, struct options *out)
{
	const char *why;

	out->has_key = true;
	return auth_load_key(value, out->key, &why) ? complain("--key", value, why) : 0;
}

static int take_strongswan(const char *value, struct options *out)
{
	struct stat status;

	out->strongswan = value;
	if (stat(value, &status))
		return complain("--strongswan", value, strerror(errno));
	return S_ISDIR(status.st_mode) ? 0 : complain("--strongswan", value, "is no directory");
}

static int take_ports(const char *value, struct parse *parse)
{
	unsigned long number = 0;
	int err = take_number("--ports", value, RSIP_PORTS_MAX, &number);

	parse->ports = (unsigned int)number;
	parse->ports_given = true;
	return err;
}

/* Those of `up` and `listen` */
static int take_lease_option(int key, char *value, struct parse *parse)
{
	struct options *out = parse->out;

	switch (key) {
	case KEY_PORTS:
		return take_ports(value, parse);
	case KEY_LOCAL:
		return addr_parse(value, &out->local) && out->local != 0 ?
			       0 : complain("--local", value, "want an IPv4 address");
	case KEY_REMOTE:
		return take_remote(value, out);
	case KEY_TUNNEL:
		return take_tunnel(value, out);
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int take_up_option(int key, char *value, struct parse *parse)
{
	struct options *out = parse->out;
	unsigned long number = 0;
	int err = 0;

	switch (key) {
	case 'd':
		out->background = true;
		return 0;
	case KEY_SPIS:
		err = take_number("--spis", value, 0xffff, &number);
		out->spis = (uint16_t)number;
		parse->spis_given = true;
		return err;
	case KEY_RSA_IP:
		out->rsa_ip = true;
		return 0;
	case KEY_MANUAL:
		out->manual = true;
		return 0;
	case KEY_IDLE:
		err = take_number("--idle", value, 1000000, &number);
		out->idle = (uint32_t)number;
		return err;
	case KEY_UDP:
	case KEY_TCP:
		out->tcp = key == KEY_TCP;
		return 0;
	case KEY_IKE:
		return take_ike(value, out);
	case KEY_KEY:
		return take_key(value, out);
	case KEY_HOOK:
		return take_hook(value, out);
	case KEY_STRONGSWAN:
		return take_strongswan(value, out);
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int take_word(char *word, struct parse *parse)
{
	if (parse->command_given) {
		parse->words[parse->out->word_count++] = word;
		return 0;
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
		if (strcmp(word, commands[i].name) == 0) {
			parse->out->command = commands[i].command;
			parse->command_given = true;
			return 0;
		}
	}
	return complain("command", word, "want up, down, status, query, listen or release");
}

static const char *name_of(int key)
{
	for (const struct argp_option *o = table; o->name != NULL || o->doc != NULL; o++)
		if (o->key == key)
			return o->name;
	return NULL;
}

static error_t take(int key, char *value, struct argp_state *state)
{
	struct parse *parse = state->input;
	int err;

	switch (key) {
	case 'g':
		return take_gateway(value, parse->out);
	case 'j':
		parse->out->json = true;
		return 0;
	case KEY_HELP:
	case KEY_USAGE:
		argp_state_help(state, stdout,
				(key == KEY_HELP ? ARGP_HELP_STD_HELP : ARGP_HELP_USAGE) & ~ARGP_HELP_EXIT_OK);
		parse->done = true;
		return 0;
	case KEY_VERSION:
		puts("rsip " RSIP_VERSION_TEXT);
		parse->done = true;
		return 0;
	case ARGP_KEY_ARG:
		return take_word(value, parse);
	default:
		err = take_lease_option(key, value, parse);
		if (err == 0)
			parse->lease_option = name_of(key);
		if (err != ARGP_ERR_UNKNOWN)
			return err;
		err = take_up_option(key, value, parse);
		if (err == 0)
			parse->up_option = name_of(key);
		return err;
	}
}

/* `listen [PORT[-PORT]]`, or --ports N: whichever */
static int check_listen(struct parse *parse)
{
	struct options *out = parse->out;
	struct num_range range = { 0, 0 };

	if (out->word_count > 1 || (out->word_count == 1 && parse->ports_given))
		return complain("listen", out->words[0], "want one port, or ports as in 80-81, or --ports");
	if (out->word_count == 1 && (!num_parse_range(out->words[0], 0xffff, &range) || range.first == 0 ||
				     range.last - range.first >= RSIP_PORTS_MAX))
		return complain("listen", out->words[0], "want a port from 1 to 65535, or at most 255 as in 80-81");
	if (parse->ports_given && parse->ports == 0)
		return complain("--ports", "0", "want at least one to listen on");
	if (out->remote_count > 1)
		return complain("--remote", "twice", "listen once for each");
	out->first_port = (uint16_t)range.first;
	out->ports = (uint8_t)(parse->ports_given ? parse->ports : range.last - range.first + 1);
	return 0;
}

static int check_up(struct parse *parse)
{
	struct options *out = parse->out;

	if (out->rsa_ip) {
		if (parse->ports > 0 || out->ike_leased || (parse->spis_given && out->spis > 0))
			return complain("--rsa-ip", "with --spis, --ports or --ike", "all of them belong to a whole address");
		out->spis = 0;
		if (out->strongswan != NULL)
			return complain("--strongswan", out->strongswan, "of no use with --rsa-ip: any SPI will do");
		return 0;
	}
	if (out->spis == 0 && !parse->ports_given)
		parse->ports = 1;
	if (out->ike_leased)
		parse->ports += IKE_PORTS;
	if (parse->ports > RSIP_PORTS_MAX)
		return complain("--ports", "too many", "at most 253 besides the two of --ike");
	if (out->first_port + parse->ports > 0x10000)
		return complain("--ike", "port too high", "its ports would end behind 65535");
	if (out->spis == 0 && out->ike_leased)
		return complain("--ike", "a leased port", "of no use with --spis 0");
	if (out->spis == 0 && out->strongswan != NULL)
		return complain("--strongswan", out->strongswan, "of no use with --spis 0");
	if (out->spis == 0 && parse->ports == 0 && out->remote_count > 0)
		return complain("--remote", "with --spis 0 --ports 0", "there is no lease for it");
	out->ports = (uint8_t)parse->ports;
	return 0;
}

/* What no option can say alone */
static int check(struct parse *parse)
{
	struct options *out = parse->out;

	if (!parse->command_given)
		return complain("command", "missing", "want up, down, status, query, listen or release");
	if (commands[out->command].needs_gateway && out->gateway.sin_port == 0)
		return complain("--gateway", "missing", "`up' wants the address of the gateway");
	if (out->word_count > 0 && !commands[out->command].takes_words)
		return complain(commands[out->command].name, out->words[0], "takes no arguments");
	if (out->command == COMMAND_RELEASE && out->word_count > 1)
		return complain("release", out->words[1], "one bind at a time");
	if (parse->up_option != NULL && out->command != COMMAND_UP)
		return complain("--", parse->up_option, "is an option of `up' only");
	if (parse->lease_option != NULL && out->command != COMMAND_UP && out->command != COMMAND_LISTEN)
		return complain("--", parse->lease_option, "is an option of `up' and `listen' only");
	if (out->command == COMMAND_UP)
		return check_up(parse);
	return out->command == COMMAND_LISTEN ? check_listen(parse) : 0;
}

void options_free(struct options *options)
{
	free(options->words);
	free(options->remotes);
	options->words = NULL;
	options->remotes = NULL;
}

int options_parse(int argc, char **argv, struct options *out, bool *done)
{
	static const struct argp argp = {
		.options = table,
		.parser = take,
		.args_doc = "COMMAND",
		.doc = "RSIP host: leases public addresses, ports and SPIs from a gateway.\v"
		       "Commands: up, down, status, query [ADDRESS|NETWORK]..., listen [PORT[-PORT]], release [BIND]. "
		       "Exit status: 0, 1 refused or failed, 2 usage, 3 no `rsip up' can be reached.",
	};
	struct parse parse = { .out = out };
	int err;

	*out = (struct options){ .command = COMMAND_UP, .spis = SPIS_DEFAULT, .idle = IDLE_DEFAULT };
	out->words = parse.words = calloc((size_t)argc + 1, sizeof(*out->words));
	out->remotes = calloc(OPTIONS_REMOTES_MAX, sizeof(*out->remotes));
	if (parse.words == NULL || out->remotes == NULL) {
		options_free(out);
		return -ENOMEM;
	}
	err = argp_parse(&argp, argc, argv, ARGP_NO_EXIT | ARGP_NO_HELP, NULL, &parse);
	if (!err && !parse.done)
		err = check(&parse);
	*done = !err && parse.done;
	if (err)
		options_free(out);
	return err ? -EINVAL : 0;
}
