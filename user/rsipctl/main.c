/* SPDX-License-Identifier: GPL-2.0-only */
/* rsipctl: asks rsipd and prints what it says; reads pinned maps when it is down. */
#include <argp.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/ask.h"
#include "lib/out.h"
#include "rsipctl/pins.h"

#define DEFAULT_SOCKET	"/run/rsip/rsipd.sock"
#define DEFAULT_PIN	"/sys/fs/bpf/rsip"
#define WORDS_MAX	3

enum status { STATUS_OK, STATUS_REFUSED, STATUS_USAGE, STATUS_UNREACHABLE };

/* --- text ------------------------------------------------------------------------------ */

/* A count in the place of a list, for a table. */
static void count_items(json_t *list, const char *key)
{
	size_t i;
	json_t *row;

	json_array_foreach(list, i, row) {
		const json_t *items = json_object_get(row, key);

		if (json_is_array(items))
			json_object_set_new(row, key, json_integer((json_int_t)json_array_size(items)));
	}
}

static void show_status(json_t *status)
{
	static const struct out_column columns[] = {
		{ "name", "INTERFACE" }, { "side", "SIDE" }, { "mode", "XDP" }, { "loader", "LOADER" }, { 0 }
	};
	json_t *interfaces = json_incref(json_object_get(status, "interfaces"));

	json_object_del(status, "interfaces");
	out_fields(stdout, status);
	if (interfaces) {
		putchar('\n');
		out_table(stdout, interfaces, columns, "no interfaces");
	}
	json_decref(interfaces);
}

static void show_clients(json_t *list)
{
	static const struct out_column columns[] = {
		{ "client_id", "CLIENT ID" }, { "client", "HOST" }, { "gateway", "GATEWAY" }, { "transport", "VIA" },
		{ "local_policy", "LOCAL" }, { "remote_policy", "REMOTE" }, { "binds", "BINDS" },
		{ "ports", "PORTS" }, { "spis", "SPIS" }, { "age", "AGE s" }, { "lease", "LEASE s" }, { 0 }
	};

	out_table(stdout, list, columns, "no host is registered");
}

static void show_bindings(json_t *list)
{
	static const struct out_column columns[] = {
		{ "client_id", "CLIENT ID" }, { "bind_id", "BIND ID" }, { "client", "HOST" }, { "address", "ADDRESS" },
		{ "ports", "PORTS" }, { "spis", "SPIS" }, { "remote", "REMOTE" }, { "tunnel", "TUNNEL" },
		{ "method", "METHOD" }, { "cookies", "COOKIES" }, { "lease", "LEASE s" }, { 0 }
	};

	count_items(list, "cookies");
	out_table(stdout, list, columns, "nothing is leased");
}

static void show_pools(json_t *list)
{
	static const struct out_column columns[] = {
		{ "pool", "POOL" }, { "address", "ADDRESS" }, { "grants", "BINDS" }, { "ports", "PORTS" },
		{ "ports_leased", "LEASED" }, { "ports_resting", "RESTING" }, { "spis", "SPIS" },
		{ "spis_leased", "LEASED" }, { "spis_resting", "RESTING" }, { "gateway_address", "ALSO OURS" }, { 0 }
	};

	out_table(stdout, list, columns, "no pools");
}

/* A copy without what never happened: there are dozens of messages and errors. */
static json_t *happened(const json_t *list, const char *first, const char *second)
{
	json_t *some = json_array(), *row;
	size_t i;

	json_array_foreach(list, i, row) {
		if (json_integer_value(json_object_get(row, first)) || json_integer_value(json_object_get(row, second)))
			json_array_append(some, row);
	}
	return some;
}

static void show_counters(json_t *counters)
{
	static const struct out_column outcomes[] = {
		{ "outcome", "OUTCOME" }, { "verdict", "VERDICT" }, { "packets", "PACKETS" }, { "bytes", "BYTES" },
		{ "text", "MEANING" }, { 0 }
	};
	static const struct out_column messages[] = {
		{ "type", "TYPE" }, { "in", "IN" }, { "out", "OUT" }, { "name", "MESSAGE" }, { 0 }
	};
	static const struct out_column errors[] = {
		{ "code", "CODE" }, { "sent", "SENT" }, { "name", "ERROR" }, { 0 }
	};
	json_t *some;

	out_table(stdout, json_object_get(counters, "outcomes"), outcomes, "no counters");
	if (!json_object_get(counters, "messages"))
		return;
	some = happened(json_object_get(counters, "messages"), "in", "out");
	putchar('\n');
	out_table(stdout, some, messages, "no RSIP messages");
	json_decref(some);
	some = happened(json_object_get(counters, "errors"), "sent", "sent");
	putchar('\n');
	out_table(stdout, some, errors, "no RSIP errors");
	json_decref(some);
	printf("\nduplicates: %" JSON_INTEGER_FORMAT ", ignored: %" JSON_INTEGER_FORMAT "\n",
	       json_integer_value(json_object_get(counters, "duplicates")),
	       json_integer_value(json_object_get(counters, "ignored")));
}

/* --- commands ---------------------------------------------------------------------------- */

static const struct command {
	const char *name, *words;
	size_t count;			/* of words after the name */
	void (*show)(json_t *result);	/* as text; may change it */
	int (*from_pins)(const char *pin, json_t **out);	/* when rsipd is down; NULL: only rsipd knows */
} commands[] = {
	{ "status", "", 0, show_status, NULL },
	{ "clients", "", 0, show_clients, pins_clients },
	{ "bindings", "", 0, show_bindings, pins_bindings },
	{ "pools", "", 0, show_pools, NULL },
	{ "counters", "", 0, show_counters, pins_counters },
	{ "free", " CLIENT BIND", 2, NULL, NULL },
	{ "deregister", " CLIENT", 1, NULL, NULL },
	{ "reload", "", 0, NULL, NULL },
	{ "detach", "", 0, NULL, NULL },
};

#define COMMAND_COUNT	(sizeof(commands) / sizeof(commands[0]))

struct options {
	const char *socket, *pin;
	bool json;
	const char *words[WORDS_MAX];
	size_t count;
};

static void print(const struct options *options, const struct command *command, json_t *result)
{
	if (options->json)
		out_json(stdout, result);
	else if (command->show)
		command->show(result);
}

static enum status fail(const struct options *options, enum status status, json_t *error)
{
	const char *text = json_string_value(json_object_get(error, "error"));

	if (options->json)
		out_json(stdout, error);
	fprintf(stderr, "rsipctl: %s\n", text ? text : "out of memory");
	json_decref(error);
	return status;
}

static enum status answer_from_pins(const struct options *options, const struct command *command, int why)
{
	json_t *result = NULL;
	int err = command->from_pins(options->pin, &result);

	if (err)
		return fail(options, STATUS_UNREACHABLE,
			    json_pack("{so}", "error",
				      json_sprintf("rsipd cannot be reached on %s: %s; and no maps of it below %s: %s",
						   options->socket, strerror(-why), options->pin, strerror(-err))));
	fprintf(stderr, "rsipctl: rsipd cannot be reached on %s: %s; this is from the maps below %s\n", options->socket,
		strerror(-why), options->pin);
	print(options, command, result);
	json_decref(result);
	return STATUS_OK;
}

static enum status run(const struct options *options, const struct command *command)
{
	json_t *answer = NULL, *result;
	int err = ask(options->socket, options->words, options->count, &answer);
	enum status status = STATUS_OK;

	if (err && command->from_pins)
		return answer_from_pins(options, command, err);
	if (err && command->show == show_status && !options->json)
		puts("daemon: down");
	if (err)
		return fail(options, STATUS_UNREACHABLE,
			    json_pack("{ss so}", "daemon", "down", "error",
				      json_sprintf("rsipd cannot be reached on %s: %s", options->socket, strerror(-err))));
	result = json_object_get(answer, "result");
	if (json_is_true(json_object_get(answer, "ok")) && result)
		print(options, command, result);
	else
		status = fail(options, STATUS_REFUSED,
			      json_pack("{sO}", "error", json_object_get(answer, "error")));
	json_decref(answer);
	return status;
}

/* --- options ------------------------------------------------------------------------------ */

static const struct argp_option argp_options[] = {
	{ "socket", 's', "SOCKET", 0, "Where rsipd listens (" DEFAULT_SOCKET ")", 0 },
	{ "json", 'j', NULL, 0, "Print JSON", 0 },
	{ "pin", 'p', "PIN", 0, "Where the maps are pinned, read when rsipd is down (" DEFAULT_PIN ")", 0 },
	{ 0 }
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case 's':
		options->socket = arg;
		return 0;
	case 'j':
		options->json = true;
		return 0;
	case 'p':
		options->pin = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (options->count == WORDS_MAX)
			argp_error(state, "too many words: \"%s\"", arg);
		options->words[options->count++] = arg;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* The command of the words, or the program ends with what is allowed. */
static const struct command *find_command(const struct options *options)
{
	if (!options->count)
		fprintf(stderr, "rsipctl: no command;");
	for (size_t i = 0; i < COMMAND_COUNT && options->count; i++) {
		if (strcmp(commands[i].name, options->words[0]))
			continue;
		if (options->count == commands[i].count + 1)
			return &commands[i];
		fprintf(stderr, "rsipctl: usage: rsipctl %s%s\n", commands[i].name, commands[i].words);
		return NULL;
	}
	if (options->count)
		fprintf(stderr, "rsipctl: unknown command \"%s\";", options->words[0]);
	fprintf(stderr, " there are");
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		fprintf(stderr, "%s%s", i ? ", " : " ", commands[i].name);
	fputc('\n', stderr);
	return NULL;
}

int main(int argc, char **argv)
{
	static const struct argp argp = {
		argp_options, parse_option, "COMMAND [WORD...]",
		"Shows and controls the RSIP gateway daemon: see rsipctl(8)\v"
		"Commands: status, clients, bindings, pools, counters, free CLIENT BIND, deregister CLIENT, reload, "
		"detach. CLIENT is a Client ID or a host's address.\n\n"
		"Exit status: 0 done, 1 refused or failed, 2 usage, 3 rsipd cannot be reached."
	};
	struct options options = { .socket = DEFAULT_SOCKET, .pin = DEFAULT_PIN };
	const struct command *command;
	enum status status;

	argp_program_version = "rsipctl " RSIP_VERSION_TEXT;
	argp_err_exit_status = STATUS_USAGE;
	argp_parse(&argp, argc, argv, 0, NULL, &options);
	command = find_command(&options);
	if (!command)
		return STATUS_USAGE;
	status = run(&options, command);
	if (fflush(stdout) && status == STATUS_OK)
		status = STATUS_REFUSED;
	return (int)status;
}
