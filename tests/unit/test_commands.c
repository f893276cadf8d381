// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the operator asks and is answered: the commands of the control socket
 * over a real session with the fake data plane, long lists in parts, events,
 * draining.
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gateway.h"
#include "rsipd/commands.h"
#include "rsipd/commit.h"

static struct gateway *g;
static struct rsipd rsipd;

static void begin(void)
{
	g = gateway_new();
	g->config.control = "/run/rsip/test.sock";
	g->config.datapath.pin = "/sys/fs/bpf/rsip";
	gateway_start(g);
	rsipd = (struct rsipd){ .config_path = "rsipd.yaml", .config = &g->config, .dp = g->dp, .sessions = g->s };
}

static void end(void)
{
	gateway_free(g);
}

TestSuite(commands, .init = begin, .fini = end);

/* daemon_wake() and the like belong to main.c, which no test has. */
void daemon_wake(struct rsipd *r)
{
}

void daemon_detach(struct rsipd *r)
{
}

void daemon_stop(struct rsipd *r)
{
}

static uint64_t cpu_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);	/* others may be busy */
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* --- whole answers --------------------------------------------------------------------- */

struct answer {
	char *text;
	size_t len, longest;		/* bytes, in all and of the longest part */
	unsigned int parts;
	uint64_t slowest;		/* us */
};

static void add_part(struct answer *answer, char *part, size_t len, uint64_t since)
{
	uint64_t took = cpu_us() - since;

	cr_assert_not_null(part);
	answer->text = realloc(answer->text, answer->len + len + 1);
	memcpy(answer->text + answer->len, part, len);
	answer->len += len;
	answer->text[answer->len] = 0;
	answer->longest = len > answer->longest ? len : answer->longest;
	answer->slowest = took > answer->slowest ? took : answer->slowest;
	answer->parts++;
	free(part);
}

/* `between` is called between the parts. */
static struct answer run(const char *line, void (*between)(unsigned int part))
{
	struct answer answer = { 0 };
	struct command command;
	uint64_t since = cpu_us();
	size_t len;
	char *part = command_begin(&command, &rsipd, line, strlen(line), &len);

	add_part(&answer, part, len, since);
	while (command.state == COMMAND_MORE) {
		if (between)
			between(answer.parts);
		since = cpu_us();
		part = command_more(&command, &len);
		add_part(&answer, part, len, since);
	}
	cr_expect(command.state == COMMAND_DONE || command.state == COMMAND_WRITES);
	command_end(&command);
	return answer;
}

/* The result of a command that takes effect; the caller frees it. */
static json_t *result_of(const char *line)
{
	struct answer answer = run(line, NULL);
	json_t *read = json_loads(answer.text, 0, NULL), *result;

	cr_assert(json_is_true(json_object_get(read, "ok")), "%s: %s", line, answer.text);
	result = json_incref(json_object_get(read, "result"));
	json_decref(read);
	free(answer.text);
	return result;
}

static void register_hosts(uint32_t hosts, uint32_t binds)
{
	for (uint32_t n = 1; n <= hosts; n++) {
		uint32_t client = gateway_register(g, 256 + n);

		for (uint32_t i = 0; i < binds; i++) {
			struct msg m = req_rsap(client, 1, 2 + i);

			cr_assert_eq(gateway_call(g, udp_host(256 + n), &m).type, RSIP_ASSIGN_RESPONSE_RSAP);
		}
	}
}

/* covers: ADM-02 */
Test(commands, lists)
{
	static const struct {
		const char *line;
		size_t items;
	} rows[] = {
		{ "{\"command\": [\"clients\"]}", 3 },
		{ "{\"command\": [\"bindings\"]}", 6 },
		{ "{\"command\": [\"pools\"]}", 254 },
	};
	json_t *result;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		result = result_of(rows[i].line);
		cr_expect_eq(json_array_size(result), i == 2 ? 254 : 0, "%s", rows[i].line);
		json_decref(result);
	}
	register_hosts(3, 2);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		result = result_of(rows[i].line);
		cr_expect_eq(json_array_size(result), rows[i].items, "%s", rows[i].line);
		json_decref(result);
	}
}

/* One item on each line, so that a reader need not keep them all. */
Test(commands, a_line_for_each_item)
{
	struct answer answer;
	char *line, *rest;
	unsigned int items = 0;

	register_hosts(100, 3);
	answer = run("{\"command\": [\"bindings\"]}", NULL);
	rest = answer.text;
	cr_expect_str_eq(strsep(&rest, "\n"), "{\"ok\":true,\"result\":[");
	while ((line = strsep(&rest, "\n")) && strcmp(line, "]}")) {
		size_t len = strlen(line);
		json_t *item = json_loadb(line, len - (line[len - 1] == ','), 0, NULL);

		cr_expect(json_is_object(item), "%s", line);
		cr_expect_eq(line[len - 1] == ',', items < 299);
		json_decref(item);
		items++;
	}
	cr_expect_eq(items, 300);
	cr_expect_str_eq(rest, "");
	free(answer.text);
}

/* Between two parts every third host goes and new ones come. */
static void come_and_go(unsigned int part)
{
	struct msg m = req_register(1);
	struct origin from = udp_host(256 + 3 * part);
	const struct client *client = lease_client_by_address(session_leases(g->s), from.source);

	if (client)
		session_evict(g->s, client->client_id, g->now);
	gateway_call(g, udp_host(100000 + part), &m);
	g->sent = 0;
}

/* A long list takes no long part, whatever happens in between. covers: SCALE-01 */
Test(commands, long_lists_come_in_parts, .timeout = 60)
{
	struct answer answer;
	json_t *read;

	register_hosts(2500, 8);
	answer = run("{\"command\": [\"bindings\"]}", come_and_go);
	read = json_loads(answer.text, 0, NULL);
	cr_assert(json_is_true(json_object_get(read, "ok")));
	cr_expect_gt(json_array_size(json_object_get(read, "result")), 18000);
	cr_expect_leq(json_array_size(json_object_get(read, "result")), 20000);
	cr_expect_gt(answer.parts, 100);
	cr_expect_lt(answer.longest, 65536);
	cr_expect_lt(answer.slowest, 50000, "%llu us", (unsigned long long)answer.slowest);
	json_decref(read);
	free(answer.text);
}

/* Whoever goes away in the middle leaves nothing behind. */
Test(commands, given_up)
{
	static const char line[] = "{\"command\": [\"bindings\"]}";
	struct command command;
	size_t len;

	register_hosts(100, 8);
	free(command_begin(&command, &rsipd, line, strlen(line), &len));
	cr_assert_eq(command.state, COMMAND_MORE);
	command_end(&command);
	command_end(&command);
	sessions_stop(g->s, g->now);	/* would walk over what the list stood at */
}

/* --- status --------------------------------------------------------------------------------- */

/* The first that an operator looks at: what it is, how much there is, and whether the disk takes it. covers: ADM-02 */
Test(commands, status)
{
	static const struct commit_hooks hooks;
	uv_loop_t loop;
	json_t *status;

	g->config.state = "/var/lib/rsip";
	uv_loop_init(&loop);
	rsipd.commit = commit_new(&loop, NULL, &hooks);	/* only asked how long its writes took */
	register_hosts(2, 3);
	status = result_of("{\"command\": [\"status\"]}");
	cr_expect_eq(json_integer_value(json_object_get(status, "registrations")), 2);
	cr_expect_eq(json_integer_value(json_object_get(status, "binds")), 6);
	cr_expect_str_eq(json_string_value(json_object_get(status, "state")), "/var/lib/rsip");
	cr_expect(json_is_true(json_object_get(status, "recording")));
	json_decref(status);
	journal_fake_break(g->journal);
	status = result_of("{\"command\": [\"status\"]}");
	cr_expect(json_is_false(json_object_get(status, "recording")));
	json_decref(status);
	commit_close(rsipd.commit);
	uv_run(&loop, UV_RUN_DEFAULT);
	commit_free(rsipd.commit);
	cr_expect_eq(uv_loop_close(&loop), 0);
}

/* --- refusals ------------------------------------------------------------------------------- */

static const struct {
	const char *line, *error;
} refusals[] = {
	{ "nonsense", "a request is {\"command\": [\"word\", ...]}" },
	{ "{\"command\": [\"free\", \"10.0.0.99\", \"1\"]}", "no host with the address 10.0.0.99 is registered" },
	{ "{\"command\": [\"free\", \"x\\u00e4\", \"1\"]}", "\"x\xc3\xa4\" is neither a Client ID nor an address" },
	{ "{\"command\": [\"free\", \"7\", \"1\"]}", "client 7 has no bind 1" },
	{ "{\"command\": [\"free\", \"7\", \"1-2\"]}", "\"1-2\" is not a Bind ID" },
	{ "{\"command\": [\"deregister\", \"7\"]}", "client 7 is not registered" },
};

Test(commands, refusals)
{
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		struct answer answer = run(refusals[i].line, NULL);
		json_t *read = json_loads(answer.text, 0, NULL);

		cr_expect(json_is_false(json_object_get(read, "ok")), "%s", answer.text);
		cr_expect_str_eq(json_string_value(json_object_get(read, "error")), refusals[i].error);
		json_decref(read);
		free(answer.text);
	}
}

/* What ends something is answered when the disk has it, and not done while it takes nothing. */
/* covers: ADM-03 */
Test(commands, ends_are_recorded)
{
	static const char line[] = "{\"command\": [\"free\", \"10.0.1.1\", \"1\"]}";
	static const char other[] = "{\"command\": [\"deregister\", \"10.0.1.1\"]}";
	struct command command;
	size_t len;
	char *text;

	register_hosts(1, 2);
	text = command_begin(&command, &rsipd, line, strlen(line), &len);
	cr_expect_not_null(strstr(text, "\"ok\":true"), "%s", text);
	cr_expect_eq(command.state, COMMAND_WRITES);
	cr_expect_null(command_written(&command, true, &len));
	cr_expect_eq(command.state, COMMAND_DONE);
	free(text);
	text = command_written(&command, false, &len);
	cr_expect_str_eq(text, "{\"ok\":false,\"error\":\"it has ended, but that could not be recorded: see the log\"}\n");
	free(text);
	command_end(&command);

	journal_fake_break(g->journal);
	text = command_begin(&command, &rsipd, other, strlen(other), &len);
	cr_expect_str_eq(text, "{\"ok\":false,\"error\":\"leases cannot be recorded at present: see the log\"}\n");
	cr_expect_eq(command.state, COMMAND_DONE);
	cr_expect_eq(lease_bind_count(session_leases(g->s)), 1);
	free(text);
}

/* A character that was cut in two does not make the answer vanish. */
Test(commands, cut_characters)
{
	struct reload_result result = { .error = "rsipd.yaml:1: \"\xc3\" is wrong" };
	struct command command = { .rsipd = &rsipd, .state = COMMAND_RELOADS };
	size_t len;
	char *text = command_reloaded(&command, &result, &len);

	cr_expect_str_eq(text, "{\"ok\":false,\"error\":\"rsipd.yaml:1: \\\"?\\\" is wrong\"}\n");
	cr_expect_eq(command.state, COMMAND_DONE);
	free(text);
}

/* --- events ---------------------------------------------------------------------------------- */

static char told[4096];

static void keep_event(const struct session_event *event, void *arg)
{
	size_t len;
	char *line = command_event(event, &len);
	json_t *read = json_loadb(line, len - 1, 0, NULL);
	const char *why = json_string_value(json_object_get(read, "why"));
	char text[256];

	cr_assert_eq(line[len - 1], '\n');
	cr_assert_not_null(read);
	cr_expect_eq(strlen(json_string_value(json_object_get(read, "time"))), strlen("2026-11-25T12:00:00.000Z"));
	snprintf(text, sizeof(text), "%s %s %lld %s\n", json_string_value(json_object_get(read, "event")),
		 json_string_value(json_object_get(read, "client")),
		 (long long)json_integer_value(json_object_get(read, "error")), why ? why : "-");
	strcat(told, text);
	json_decref(read);
	free(line);
}

/* covers: ADM-02 */
Test(commands, events)
{
	uint32_t client;
	struct msg m;

	sessions_watch(g->s, keep_event, NULL);
	client = gateway_register(g, 11);
	m = req_rsap(client, 1, 2);
	m.client_id++;
	gateway_call(g, udp_host(11), &m);
	m = req_rsap(client, 1, 3);
	gateway_call(g, udp_host(11), &m);
	m = req_extend(client, 1, 100, 4);
	gateway_call(g, udp_host(11), &m);
	m = req_free(client, 1, 5);
	gateway_call(g, udp_host(11), &m);
	session_evict(g->s, client, g->now);
	m = req_query(client, 6);
	gateway_call(g, udp_host(11), &m);
	sessions_watch(g->s, NULL, NULL);
	gateway_register(g, 12);
	cr_expect_str_eq(told, "registered 10.0.0.11 0 -\n"
			       "refused 10.0.0.11 305 -\n"
			       "granted 10.0.0.11 0 -\n"
			       "extended 10.0.0.11 0 -\n"
			       "ended 10.0.0.11 0 freed by the host\n"
			       "deregistered 10.0.0.11 0 taken off by the operator\n"
			       "refused 10.0.0.11 301 -\n");
}

/* --- draining ----------------------------------------------------------------------------------- */

/* Nobody new, no lease longer than its registration: after that time nobody is left. covers: ADM-06 */
Test(commands, drain)
{
	uint32_t client, bind, client_count;
	struct msg m, answer;
	json_t *result;

	client = gateway_register(g, 11);
	m = req_rsap(client, 1, 2);
	bind = gateway_call(g, udp_host(11), &m).bind_id;
	result = result_of("{\"command\": [\"drain\"]}");
	cr_expect(json_is_true(json_object_get(result, "draining")));
	cr_expect_eq(json_integer_value(json_object_get(result, "registrations")), 1);
	json_decref(result);
	m = req_register(1);
	cr_expect_eq(gateway_call(g, udp_host(12), &m).error, RSIP_E_REGISTRATION_DENIED);
	gateway_wait(g, 100000);
	m = req_extend(client, bind, 3600, 3);
	answer = gateway_call(g, udp_host(11), &m);
	cr_expect_eq(answer.lease, 500, "of 600 s since registration, not %u", answer.lease);
	m = req_rsap(client, 1, 4);
	answer = gateway_call(g, udp_host(11), &m);
	cr_expect_eq(answer.lease, 500);
	gateway_wait(g, 499500);
	m = req_rsap(client, 1, 5);
	cr_expect_eq(gateway_call(g, udp_host(11), &m).error, RSIP_E_LOCAL_ADDR_UNAVAILABLE, "less than a second is left");
	gateway_wait(g, 600);
	client_count = lease_client_count(session_leases(g->s));
	cr_expect_eq(client_count, 0);

	json_decref(result_of("{\"command\": [\"undrain\"]}"));
	cr_expect_not(sessions_draining(g->s));
	gateway_register(g, 12);
}
