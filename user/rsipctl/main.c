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
#include "rsipctl/list.h"
#include "rsipctl/pins.h"
#include "rsipctl/top.h"

#define DEFAULT_SOCKET	"/run/rsip/rsipd.sock"
#define DEFAULT_PIN	"/sys/fs/bpf/rsip"
#define WORDS_MAX	3

enum status { STATUS_OK, STATUS_REFUSED, STATUS_USAGE, STATUS_UNREACHABLE };

/* --- text ------------------------------------------------------------------------------ */

static void show_status(json_t *status)
{
	static const struct out_column columns[] = {
		{ "name", "INTERFACE" }, { "side", "SIDE" }, { "mode", "XDP" }, { "loader", "LOADER" }, { 0 }
	};
	static const struct out_column sums[] = {
		{ "pool", "POOL" }, { "addresses", "ADDRESSES" }, { "binds", "BINDS" }, { "ports", "PORTS" },
		{ "ports_leased", "LEASED" }, { "ports_resting", "RESTING" }, { "spis_leased", "SPIS LEASED" },
		{ "spis_resting", "RESTING" }, { 0 }
	};
	json_t *interfaces = json_incref(json_object_get(status, "interfaces"));
	json_t *pools = json_incref(json_object_get(status, "pools"));

	json_object_del(status, "interfaces");
	json_object_del(status, "pools");
	out_fields(stdout, status);
	if (interfaces) {
		putchar('\n');
		out_table(stdout, interfaces, columns, "no interfaces");
		putchar('\n');
		out_table(stdout, pools, sums, "no pools");
	}
	json_decref(interfaces);
	json_decref(pools);
}

static const struct out_column client_columns[] = {
	{ "client_id", "CLIENT ID" }, { "client", "HOST" }, { "gateway", "GATEWAY" }, { "transport", "VIA" },
	{ "local_policy", "LOCAL" }, { "remote_policy", "REMOTE" }, { "binds", "BINDS" },
	{ "ports", "PORTS" }, { "spis", "SPIS" }, { "addresses", "ADDRESSES" }, { "age", "AGE s" },
	{ "lease", "LEASE s" }, { 0 }
};
static const struct out_column binding_columns[] = {
	{ "client_id", "CLIENT ID" }, { "bind_id", "BIND ID" }, { "client", "HOST" }, { "address", "ADDRESS" },
	{ "ports", "PORTS" }, { "spis", "SPIS" }, { "remote", "REMOTE" }, { "tunnel", "TUNNEL" },
	{ "method", "METHOD" }, { "listen", "LISTENS" }, { "cookies", "COOKIES" }, { "lease", "LEASE s" }, { 0 }
};
static const struct out_column pool_columns[] = {
	{ "pool", "POOL" }, { "address", "ADDRESS" }, { "grants", "BINDS" }, { "ports", "PORTS" },
	{ "ports_leased", "LEASED" }, { "ports_resting", "RESTING" }, { "spis", "SPIS" },
	{ "spis_leased", "LEASED" }, { "spis_resting", "RESTING" }, { "gateway_address", "ALSO OURS" },
	{ "whole", "WHOLE" }, { 0 }
};

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
	static const struct out_column connections[] = {
		{ "ended", "ENDED" }, { "why", "CONNECTIONS" }, { 0 }
	};
	static const char *const sums[] = { "duplicates", "limited", "unauthentic", "unanswered", "ignored" };
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
	some = happened(json_object_get(counters, "connections"), "ended", "ended");
	putchar('\n');
	out_table(stdout, some, connections, "no connections ended by the gateway");
	json_decref(some);
	for (size_t i = 0; i < sizeof(sums) / sizeof(sums[0]); i++)
		printf("%s%s: %" JSON_INTEGER_FORMAT, i ? ", " : "\n", sums[i],
		       json_integer_value(json_object_get(counters, sums[i])));
	putchar('\n');
}

static void show_reload(json_t *result)
{
	static const struct out_column columns[] = {
		{ "client", "HOST" }, { "client_id", "CLIENT ID" }, { "bind_id", "BIND ID" }, { "why", "ENDED BECAUSE" }, { 0 }
	};
	json_t *ended = json_incref(json_object_get(result, "ended"));

	json_object_del(result, "ended");
	out_fields(stdout, result);
	if (json_array_size(ended)) {
		putchar('\n');
		out_table(stdout, ended, columns, "");
	}
	json_decref(ended);
}

/* --- commands ---------------------------------------------------------------------------- */

static const struct command {
	const char *name, *words;
	size_t count;			/* of words after the name */
	void (*show)(json_t *result);	/* as text; may change it */
	const struct out_column *columns;	/* of a list; NULL: it is none */
	const char *empty;
	int (*from_pins)(const char *pin, json_t **out);	/* when rsipd is down; NULL: only rsipd knows */
} commands[] = {
	{ "status", "", 0, show_status },
	{ "clients", "", 0, NULL, client_columns, "no host is registered", pins_clients },
	{ "bindings", "", 0, NULL, binding_columns, "nothing is leased", pins_bindings },
	{ "pools", "", 0, NULL, pool_columns, "no pools", NULL },
	{ "counters", "", 0, show_counters, NULL, NULL, pins_counters },
	{ "free", " CLIENT BIND", 2 },
	{ "deregister", " CLIENT", 1 },
	{ "reload", "", 0, show_reload },
	{ "detach", "", 0 },
	{ "monitor", "", 0 },
	{ "top", "", 0 },
	{ "drain", "", 0 },
	{ "undrain", "", 0 },
};

#define COMMAND_COUNT	(sizeof(commands) / sizeof(commands[0]))

struct options {
	const char *socket, *pin;
	bool json;
	const char *words[WORDS_MAX];
	size_t count;
};

static struct list list_of(const struct options *options, const struct command *command)
{
	return (struct list){ .json = options->json, .columns = command->columns, .empty = command->empty,
			      .counted = "cookies" };
}

static void print(const struct options *options, const struct command *command, json_t *result)
{
	struct list list = list_of(options, command);
	json_t *item;
	size_t i;

	if (command->columns) {
		json_array_foreach(result, i, item)
			list_put(item, &list);
		list_end(&list);
	} else if (options->json) {
		out_json(stdout, result);
	} else if (command->show) {
		command->show(result);
	}
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

static enum status unreachable(const struct options *options, const struct command *command, int err)
{
	if (command->from_pins)
		return answer_from_pins(options, command, err);
	if (command->show == show_status && !options->json)
		puts("daemon: down");
	return fail(options, STATUS_UNREACHABLE,
		    json_pack("{ss so}", "daemon", "down", "error",
			      json_sprintf("rsipd cannot be reached on %s: %s", options->socket, strerror(-err))));
}

static enum status refused(const struct options *options, const json_t *answer)
{
	return fail(options, STATUS_REFUSED, json_pack("{sO}", "error", json_object_get(answer, "error")));
}

static enum status run_plain(const struct options *options, const struct command *command)
{
	json_t *answer = NULL, *result;
	int err = ask(options->socket, options->words, options->count, &answer);
	enum status status = STATUS_OK;

	if (err)
		return unreachable(options, command, err);
	result = json_object_get(answer, "result");
	if (json_is_true(json_object_get(answer, "ok")) && result)
		print(options, command, result);
	else
		status = refused(options, answer);
	json_decref(answer);
	return status;
}

static enum status run_list(const struct options *options, const struct command *command)
{
	struct list list = list_of(options, command);
	json_t *answer;
	int err = ask_list(options->socket, options->words, options->count, list_put, &list, &answer);
	enum status status = STATUS_OK;

	if (answer)
		status = refused(options, answer);
	else if (err && !list.count)
		status = unreachable(options, command, err);
	else
		list_end(&list);
	if (err && list.count) {
		fprintf(stderr, "rsipctl: the list is not complete: %s\n", strerror(-err));
		status = STATUS_REFUSED;
	}
	json_decref(answer);
	return status;
}

/* --- monitor ------------------------------------------------------------------------------- */

/* "2026-11-25T12:00:00.000Z granted 10.0.0.5 client_id=7 bind_id=1 ..." */
static void show_event(json_t *event)
{
	static const char *const first[] = { "time", "event", "client" };
	const char *key, *text;
	json_t *value;

	for (size_t i = 0; i < sizeof(first) / sizeof(first[0]); i++) {
		text = json_string_value(json_object_get(event, first[i]));
		if (text)
			printf("%s%s", i ? " " : "", text);
		json_object_del(event, first[i]);
	}
	json_object_foreach(event, key, value) {
		if (json_is_null(value))
			continue;
		printf(" %s=", key);
		if (json_is_string(value))
			fputs(json_string_value(value), stdout);
		else
			json_dumpf(value, stdout, JSON_ENCODE_ANY | JSON_COMPACT);
	}
	putchar('\n');
}

static bool put_event(json_t *event, void *arg)
{
	const struct options *options = arg;

	if (options->json) {
		json_dumpf(event, stdout, JSON_COMPACT);
		putchar('\n');
	} else {
		show_event(event);
	}
	return !fflush(stdout);
}

static enum status run_monitor(const struct options *options, const struct command *command)
{
	json_t *answer;
	int err = ask_events(options->socket, options->words, options->count, put_event, (void *)options, &answer);
	enum status status = STATUS_OK;

	if (answer && !json_is_true(json_object_get(answer, "ok")))
		status = refused(options, answer);
	else if (err)
		status = unreachable(options, command, err);
	json_decref(answer);
	return status;
}

/* --- top --------------------------------------------------------------------------------------- */

static int ask_for_top(const char *command, json_t **out, void *arg)
{
	const struct options *options = arg;
	json_t *answer = NULL;
	int err = ask(options->socket, &command, 1, &answer);

	if (!err) {
		*out = json_incref(json_object_get(answer, "result"));
		err = *out ? 0 : -EPROTO;
	}
	json_decref(answer);
	return err;
}

static enum status run_top(const struct options *options, const struct command *command)
{
	int err = top_run(options->json, ask_for_top, (void *)options);

	return err ? unreachable(options, command, err) : STATUS_OK;
}

static enum status run(const struct options *options, const struct command *command)
{
	if (!strcmp(command->name, "monitor"))
		return run_monitor(options, command);
	if (!strcmp(command->name, "top"))
		return run_top(options, command);
	return command->columns ? run_list(options, command) : run_plain(options, command);
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
		"detach, monitor, top, drain, undrain. CLIENT is a Client ID or a host's address.\n\n"
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
