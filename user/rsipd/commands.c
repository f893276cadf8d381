/* SPDX-License-Identifier: GPL-2.0-only */
/* See commands.h. */
#include "rsipd/commands.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/show.h"
#include "rsipd/commit.h"
#include "rsipd/server.h"

#define INTERFACES_MAX	128	/* shown by status */
#define PART_ITEMS	128	/* of a list: about a millisecond */

static void put_json(FILE *out, json_t *value)
{
	json_dumpf(value, out, JSON_COMPACT | JSON_ENCODE_ANY);
	json_decref(value);
}

/* --- commands that show ------------------------------------------------------------------ */

static json_t *show_interfaces(const struct datapath *dp)
{
	struct datapath_interface interfaces[INTERFACES_MAX];
	size_t count = datapath_interfaces(dp, interfaces, INTERFACES_MAX);
	json_t *list = json_array();

	for (size_t i = 0; i < count && i < INTERFACES_MAX; i++)
		json_array_append_new(list, json_pack("{ss ss ss ss}", "name", interfaces[i].name, "side",
						      interfaces[i].public_side ? "public" : "private", "mode",
						      interfaces[i].mode, "loader", interfaces[i].loader));
	return list;
}

/* Rows of pools: that of the last one grows as long as addresses are of the same pool. */
static bool sum_pool(const struct pool_usage *usage, void *list)
{
	static const char *const keys[] = { "addresses", "ports", "ports_leased", "ports_resting", "spis_leased",
					    "spis_resting", "binds" };
	const uint64_t more[] = { 1, usage->ports, usage->ports_leased, usage->ports_resting, usage->spis_leased,
				  usage->spis_resting, usage->grants };
	json_t *row = json_array_get(list, json_array_size(list) - 1);

	if (!row || strcmp(json_string_value(json_object_get(row, "pool")), usage->pool)) {
		row = json_pack("{ss}", "pool", usage->pool);
		json_array_append_new(list, row);
	}
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		json_int_t before = json_integer_value(json_object_get(row, keys[i]));

		json_object_set_new(row, keys[i], json_integer(before + (json_int_t)more[i]));
	}
	return true;
}

static json_t *show_pool_sums(const struct pools *pools)
{
	json_t *list = json_array();

	pools_each(pools, sum_pool, list);
	return list;
}

static void run_status(struct command *command)
{
	struct rsipd *rsipd = command->rsipd;
	const struct leases *leases = session_leases(rsipd->sessions);

	put_json(command->out, json_pack("{ss ss si sI sI sI ss ss ss ss so so sI sI sI sb sb}",
				      "daemon", "running",
				      "version", RSIP_VERSION_TEXT,
				      "pid", (int)getpid(),
				      "uptime", (json_int_t)((daemon_now() - rsipd->started) / 1000),
				      "longest_turn_us", (json_int_t)rsipd->longest_turn_us,
				      "longest_write_us", (json_int_t)commit_longest_us(rsipd->commit),
				      "configuration", rsipd->config_path,
				      "control", rsipd->config->control,
				      "pin", rsipd->config->datapath.pin,
				      "state", rsipd->config->state,
				      "interfaces", show_interfaces(rsipd->dp),
				      "pools", show_pool_sums(session_pools(rsipd->sessions)),
				      "registrations", (json_int_t)lease_client_count(leases),
				      "binds", (json_int_t)lease_bind_count(leases),
				      "max_binds", (json_int_t)rsipd->config->datapath.max_bindings,
				      "draining", sessions_draining(rsipd->sessions),
				      "recording", sessions_record(rsipd->sessions)));
}

static json_t *show_client(const struct client *client, uint64_t now)
{
	return json_pack("{sI so so ss ss ss sI sI sI sI sI sI}",
			 "client_id", (json_int_t)client->client_id,
			 "client", show_addr(client->origin.source),
			 "gateway", show_addr(client->origin.local),
			 "transport", client->origin.tcp ? "tcp" : "udp",
			 "local_policy", msg_policy_name(client->local_policy),
			 "remote_policy", msg_policy_name(client->remote_policy),
			 "binds", (json_int_t)client->bind_count,
			 "ports", (json_int_t)client->port_count,
			 "spis", (json_int_t)client->spi_count,
			 "addresses", (json_int_t)client->address_count,
			 "age", (json_int_t)((now - client->registered) / 1000),
			 "lease", (json_int_t)lease_seconds_left(client->expires, now));
}

static json_t *next_client(struct command *command)
{
	struct client *client = lease_walk_client(&command->walk);

	return client ? show_client(client, daemon_now()) : NULL;
}

static json_t *show_ports(const struct pool_grant *grant)
{
	struct msg_ports ports;
	uint32_t numbers[RSIP_PORTS_MAX];

	pool_grant_ports(grant, &ports);
	if (ports.form != MSG_RUN && ports.form != MSG_LIST)
		return json_null();
	for (unsigned int i = 0; i < ports.count; i++)
		numbers[i] = msg_port_at(&ports, i);
	return show_numbers(numbers, ports.count, false);
}

static bool put_cookie(const struct datapath_cookie *cookie, void *list)
{
	char text[2 * sizeof(cookie->cookie) + 1];

	for (size_t i = 0; i < sizeof(cookie->cookie); i++)
		sprintf(text + 2 * i, "%02x", cookie->cookie[i]);
	json_array_append_new(list, json_pack("{ss so si}", "cookie", text, "peer", show_addr(cookie->peer), "port",
					      (int)cookie->port));
	return true;
}

static json_t *show_cookies(const struct datapath *dp, uint32_t slot)
{
	json_t *list = json_array();

	datapath_cookies(dp, slot, put_cookie, list);
	return list;
}

static const char *show_method(const struct bind *bind)
{
	static const uint8_t methods[] = {
		[LEASE_RSA] = RSIP_METHOD_RSA, [LEASE_RSAP] = RSIP_METHOD_RSAP,
		[LEASE_LISTEN] = RSIP_METHOD_RSAP, [LEASE_RSIPSEC] = RSIP_METHOD_RSIPSEC,
	};

	return msg_method_name(methods[bind->kind]);
}

/* The one remote or "any"; several, of a name, one after the other. */
static json_t *show_peers(const struct bind *bind)
{
	char text[RSIP_REMOTES_MAX * ADDR_TEXT_LEN + 8] = "", addr[ADDR_TEXT_LEN];
	size_t len = 0;

	if (!bind->remotes)
		return show_remote(bind->remote, bind->remote_port);
	for (uint32_t i = 0; i < bind->remote_count; i++)
		len += (size_t)sprintf(text + len, "%s%s", i ? "," : "", addr_text(bind->remotes[i], addr));
	if (bind->remote_port)
		sprintf(text + len, ":%u", bind->remote_port);
	return json_string(text);
}

static json_t *show_bind(const struct datapath *dp, const struct bind *bind, uint64_t now)
{
	return json_pack("{sI sI so so so so so so ss ss sb sI so}",
			 "client_id", (json_int_t)bind->client->client_id,
			 "bind_id", (json_int_t)bind->bind_id,
			 "client", show_addr(bind->client->origin.source),
			 "gateway", show_addr(bind->gateway),
			 "address", show_addr(bind->grant->addr),
			 "ports", show_ports(bind->grant),
			 "spis", show_numbers(bind->grant->spis, bind->grant->spi_count, true),
			 "remote", show_peers(bind),
			 "tunnel", msg_tunnel_name(bind->tunnel),
			 "method", show_method(bind),
			 "listen", bind->kind == LEASE_LISTEN,
			 "lease", (json_int_t)lease_seconds_left(bind->expires, now),
			 "cookies", show_cookies(dp, bind->slot));
}

static json_t *next_bind(struct command *command)
{
	struct bind *bind = lease_walk_bind(&command->walk);

	return bind ? show_bind(command->rsipd->dp, bind, daemon_now()) : NULL;
}

static json_t *next_pool(struct command *command)
{
	struct pool_usage usage;

	if (!pools_usage(session_pools(command->rsipd->sessions), command->at, &usage))
		return NULL;
	return json_pack("{ss so sb sb sI sI sI sI sI sI sI}",
			 "pool", usage.pool,
			 "address", show_addr(usage.addr),
			 "gateway_address", usage.gateway_address,
			 "whole", usage.whole,
			 "ports", (json_int_t)usage.ports,
			 "ports_leased", (json_int_t)usage.ports_leased,
			 "ports_resting", (json_int_t)usage.ports_resting,
			 "spis", (json_int_t)usage.spis,
			 "spis_leased", (json_int_t)usage.spis_leased,
			 "spis_resting", (json_int_t)usage.spis_resting,
			 "grants", (json_int_t)usage.grants);
}

static json_t *show_messages(const struct session_counters *counters)
{
	json_t *list = json_array();

	for (unsigned int type = 0; type < 256; type++) {
		/* The defined ones always, so that a reader finds each; others when there were any. */
		if (!strcmp(msg_type_name((uint8_t)type), "unknown") && !counters->in[type])
			continue;
		json_array_append_new(list, json_pack("{si ss sI sI}", "type", (int)type,
						      "name", msg_type_name((uint8_t)type),
						      "in", (json_int_t)counters->in[type],
						      "out", (json_int_t)counters->out[type]));
	}
	return list;
}

static json_t *show_errors(const struct session_counters *counters)
{
	static const uint16_t codes[] = {
#define X(code, name) code,
		RSIP_ERRORS(X)
#undef X
	};
	json_t *list = json_array();

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		json_array_append_new(list, json_pack("{si ss sI}", "code", (int)codes[i],
						      "name", msg_error_name(codes[i]),
						      "sent", (json_int_t)counters->errors[codes[i]]));
	return list;
}

static json_t *show_connections(const struct connection_counters *counters)
{
	json_t *list = json_array();

	for (int cut = 0; cut < CUTS; cut++)
		json_array_append_new(list, json_pack("{ss sI}", "why", connection_cut_text((enum connection_cut)cut),
						      "ended", (json_int_t)counters->cut[cut]));
	json_array_append_new(list, json_pack("{ss sI}", "why", "not accepted: no room",
					      "ended", (json_int_t)counters->refused));
	return list;
}

static void run_counters(struct command *command)
{
	struct rsip_counter packets[RSIP_OUTCOME_COUNT];
	const struct session_counters *counters = session_counters(command->rsipd->sessions);
	int err = datapath_counters(command->rsipd->dp, packets);

	if (err) {
		snprintf(command->error, sizeof(command->error), "the counters cannot be read: %s", strerror(-err));
		return;
	}
	put_json(command->out, json_pack("{so so so so sI sI sI sI sI}", "outcomes", show_counters(packets),
				      "messages", show_messages(counters), "errors", show_errors(counters),
				      "connections", show_connections(server_counters(command->rsipd->server)),
				      "duplicates", (json_int_t)counters->duplicates,
				      "limited", (json_int_t)counters->limited,
				      "unauthentic", (json_int_t)counters->unauthentic,
				      "unanswered", (json_int_t)counters->unanswered,
				      "ignored", (json_int_t)counters->ignored));
}

/* --- commands that act --------------------------------------------------------------------- */

/* CLIENT is a Client ID or the address of a registered host. */
static bool read_client(struct command *command, const char *word, uint32_t *client_id)
{
	struct num_range number;
	__be32 address;

	if (addr_parse(word, &address)) {
		const struct client *client =
			lease_client_by_address(session_leases(command->rsipd->sessions), address);

		if (client) {
			*client_id = client->client_id;
			return true;
		}
		snprintf(command->error, sizeof(command->error), "no host with the address %s is registered", word);
		return false;
	}
	if (!strchr(word, '-') && num_parse_range(word, UINT32_MAX, &number)) {
		*client_id = number.first;
		return true;
	}
	snprintf(command->error, sizeof(command->error), "\"%.40s\" is neither a Client ID nor an address", word);
	return false;
}

/* As hosts get 104: what cannot be recorded is not done. */
static bool may_end(struct command *command)
{
	if (sessions_record(command->rsipd->sessions))
		return true;
	snprintf(command->error, sizeof(command->error), "leases cannot be recorded at present: see the log");
	return false;
}

static void run_free(struct command *command)
{
	const char *bind_word = command->request.words[2];
	struct num_range bind_id;
	uint32_t client_id;

	if (!read_client(command, command->request.words[1], &client_id))
		return;
	if (strchr(bind_word, '-') || !num_parse_range(bind_word, UINT32_MAX, &bind_id)) {
		snprintf(command->error, sizeof(command->error), "\"%.40s\" is not a Bind ID", bind_word);
		return;
	}
	if (!may_end(command))
		return;
	if (!session_free_bind(command->rsipd->sessions, client_id, bind_id.first, daemon_now())) {
		snprintf(command->error, sizeof(command->error), "client %u has no bind %u", client_id, bind_id.first);
		return;
	}
	command->state = COMMAND_WRITES;
	log_info("control: bind %u of client %u was freed", bind_id.first, client_id);
	daemon_wake(command->rsipd);
	put_json(command->out, json_pack("{sI sI}", "client_id", (json_int_t)client_id,
				      "bind_id", (json_int_t)bind_id.first));
}

static void run_deregister(struct command *command)
{
	uint32_t client_id;

	if (!read_client(command, command->request.words[1], &client_id) || !may_end(command))
		return;
	if (!session_evict(command->rsipd->sessions, client_id, daemon_now())) {
		snprintf(command->error, sizeof(command->error), "client %u is not registered", client_id);
		return;
	}
	command->state = COMMAND_WRITES;
	log_info("control: client %u was de-registered", client_id);
	daemon_wake(command->rsipd);
	put_json(command->out, json_pack("{sI}", "client_id", (json_int_t)client_id));
}

static void run_reload(struct command *command)
{
	if (reload_begin(command->rsipd->reload))
		command->state = COMMAND_RELOADS;
	else
		snprintf(command->error, sizeof(command->error), "a reload is under way");
}

static void put_drain(struct command *command, bool on)
{
	struct sessions *s = command->rsipd->sessions;

	sessions_drain(s, on);
	put_json(command->out, json_pack("{sb sI}", "draining", on, "registrations",
					 (json_int_t)lease_client_count(session_leases(s))));
}

static void run_drain(struct command *command)
{
	log_info("control: draining: nobody new is registered, no lease gets longer, and rsipd ends with the last "
		 "registration");
	put_drain(command, true);
}

static void run_undrain(struct command *command)
{
	log_info("control: not draining any more");
	put_drain(command, false);
}

static void run_monitor(struct command *command)
{
	command->state = COMMAND_WATCHES;
}

static void run_detach(struct command *command)
{
	uint32_t hosts = lease_client_count(session_leases(command->rsipd->sessions));

	log_info("control: detaching: %u hosts are de-registered, rsipd ends", hosts);
	daemon_detach(command->rsipd);
	command->stop = true;
	put_json(command->out, json_pack("{sI}", "deregistered", (json_int_t)hosts));
}

/* --- from line to answer ------------------------------------------------------------------ */

static const struct {
	void (*run)(struct command *command);		/* puts the result, or an error, or changes the state */
	json_t *(*next)(struct command *command);	/* or a list: item after item, then NULL */
} commands[REQUEST_COUNT] = {
	[REQUEST_STATUS] = { run_status, NULL },
	[REQUEST_CLIENTS] = { NULL, next_client },
	[REQUEST_BINDINGS] = { NULL, next_bind },
	[REQUEST_POOLS] = { NULL, next_pool },
	[REQUEST_COUNTERS] = { run_counters, NULL },
	[REQUEST_FREE] = { run_free, NULL },
	[REQUEST_DEREGISTER] = { run_deregister, NULL },
	[REQUEST_RELOAD] = { run_reload, NULL },
	[REQUEST_DETACH] = { run_detach, NULL },
	[REQUEST_MONITOR] = { run_monitor, NULL },
	[REQUEST_DRAIN] = { run_drain, NULL },
	[REQUEST_UNDRAIN] = { run_undrain, NULL },
};

/* A line for each item, so that a reader need not keep them all. */
static void put_items(struct command *command)
{
	json_t *item = NULL;

	for (unsigned int i = 0; i < PART_ITEMS; i++) {
		item = commands[command->request.command].next(command);
		if (!item)
			break;
		fputs(command->at++ ? ",\n" : "\n", command->out);
		put_json(command->out, item);
	}
	if (item)
		return;
	fputs("\n]}\n", command->out);
	command->state = COMMAND_DONE;
}

static void run(struct command *command)
{
	if (command->error[0])
		return;
	fputs("{\"ok\":true,\"result\":", command->out);
	if (commands[command->request.command].next) {
		lease_walk_begin(session_leases(command->rsipd->sessions), &command->walk);
		command->walking = true;
		command->state = COMMAND_MORE;
		fputc('[', command->out);
		put_items(command);
		return;
	}
	commands[command->request.command].run(command);
	if (command->state == COMMAND_DONE || command->state == COMMAND_WRITES)
		fputs("}\n", command->out);
	else
		rewind(command->out);	/* what it is, is not known yet */
	if (command->state == COMMAND_WATCHES)
		fputs("{\"ok\":true}\n", command->out);
}

/* In the place of what there is already. */
static void put_error(struct command *command)
{
	json_t *text = json_string(command->error);

	/* A value of the configuration may be cut within a character. */
	for (char *at = command->error; !text && *at; at++) {
		if ((unsigned char)*at >= 0x80)
			*at = '?';
	}
	rewind(command->out);
	put_json(command->out, json_pack("{sb so}", "ok", 0, "error", text ? text : json_string(command->error)));
	fputs("\n", command->out);
}

/* Makes a part of the answer; the caller frees it. NULL if memory is short. */
static char *make_part(struct command *command, void (*make)(struct command *command), size_t *len)
{
	char *part = NULL;

	command->out = open_memstream(&part, len);
	if (!command->out)
		return NULL;
	make(command);
	if (command->error[0])
		put_error(command);
	if (fclose(command->out)) {
		free(part);
		part = NULL;
	}
	command->out = NULL;
	return part;
}

char *command_begin(struct command *command, struct rsipd *rsipd, const char *line, size_t line_len, size_t *len)
{
	const char *why;

	*command = (struct command){ .rsipd = rsipd };
	why = request_parse(line, line_len, &command->request);
	if (why)
		snprintf(command->error, sizeof(command->error), "%s", why);
	return make_part(command, run, len);
}

char *command_more(struct command *command, size_t *len)
{
	return make_part(command, put_items, len);
}

static void put_reload(struct command *command)
{
	const struct reload_result *result = command->result;

	fputs("{\"ok\":true,\"result\":", command->out);
	put_json(command->out, json_pack("{ss sI sI sO}", "configuration", command->rsipd->config_path,
					 "registrations_ended", (json_int_t)result->registrations,
					 "binds_ended", (json_int_t)result->binds, "ended", result->ended));
	fputs("}\n", command->out);
}

static void put_nothing(struct command *command)
{
}

char *command_reloaded(struct command *command, const struct reload_result *result, size_t *len)
{
	char *part;

	command->state = COMMAND_DONE;
	if (result->error) {
		snprintf(command->error, sizeof(command->error), "%s", result->error);
		return make_part(command, put_nothing, len);
	}
	command->result = result;
	part = make_part(command, put_reload, len);
	command->result = NULL;
	return part;
}

char *command_written(struct command *command, bool written, size_t *len)
{
	command->state = COMMAND_DONE;
	if (written)
		return NULL;
	snprintf(command->error, sizeof(command->error), "it has ended, but that could not be recorded: see the log");
	return make_part(command, put_nothing, len);
}

void command_end(struct command *command)
{
	if (command->walking)
		lease_walk_end(session_leases(command->rsipd->sessions), &command->walk);
	command->walking = false;
}

/* --- events ---------------------------------------------------------------------------------- */

static json_t *show_time(void)
{
	struct timespec now;
	struct tm utc;
	char text[32], ms[8];

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	strftime(text, sizeof(text), "%FT%T", &utc);
	snprintf(ms, sizeof(ms), ".%03uZ", (unsigned int)(now.tv_nsec / 1000000) % 1000);
	strcat(text, ms);
	return json_string(text);
}

static void show_event_bind(json_t *line, const struct bind *bind, uint64_t now)
{
	json_object_set_new(line, "bind_id", json_integer(bind->bind_id));
	json_object_set_new(line, "address", show_addr(bind->grant->addr));
	json_object_set_new(line, "ports", show_ports(bind->grant));
	json_object_set_new(line, "spis", show_numbers(bind->grant->spis, bind->grant->spi_count, true));
	json_object_set_new(line, "method", json_string(show_method(bind)));
	json_object_set_new(line, "lease", json_integer(lease_seconds_left(bind->expires, now)));
}

char *command_event(const struct session_event *event, size_t *len)
{
	static const char *const names[] = {
		[SESSION_REGISTERED] = "registered", [SESSION_DEREGISTERED] = "deregistered",
		[SESSION_GRANTED] = "granted", [SESSION_EXTENDED] = "extended", [SESSION_ENDED] = "ended",
		[SESSION_REFUSED] = "refused",
	};
	json_t *line = json_pack("{so ss so}", "time", show_time(), "event", names[event->kind], "client",
				 show_addr(event->client ? event->client->origin.source : event->host));
	char *text;

	if (event->client)
		json_object_set_new(line, "client_id", json_integer(event->client->client_id));
	if (event->kind == SESSION_REGISTERED)
		json_object_set_new(line, "lease", json_integer(lease_seconds_left(event->client->expires, event->now)));
	if (event->bind)
		show_event_bind(line, event->bind, event->now);
	if (event->message)
		json_object_set_new(line, "message", json_string(msg_type_name(event->message)));
	if (event->error) {
		json_object_set_new(line, "error", json_integer(event->error));
		json_object_set_new(line, "name", json_string(msg_error_name(event->error)));
	}
	if (event->why)
		json_object_set_new(line, "why", json_string(event->why));
	text = json_dumps(line, JSON_COMPACT);
	json_decref(line);
	*len = text ? strlen(text) : 0;
	if (text)
		text[(*len)++] = '\n';	/* in the place of the NUL */
	return text;
}
