// SPDX-License-Identifier: GPL-2.0-only
/*
 * Scenarios: messages and time against the real session, lease and pool code. A
 * scenario is a file *.scn here, of lines in the notation of the catalogue's
 * traces (docs/conformance.md, 3):
 *
 *	config KEY VALUE		before the first message, see configure()
 *	x1 > MESSAGE(...)		host 10.0.0.1x1 sends; what is not expected next fails
 *	x1 < MESSAGE(...)		it gets; $NAME is any value, and the same one from then on; * is any
 *	wait 300s			time passes, also "wait 20ms"
 *	free x1 2, deregister x1	the operator takes a bind or a registration away
 *	name www.example 198.51.100.7	before the first message: what a name means; others mean nothing
 *	port ADDRESS 1234 x1		to whom a packet goes now, also "nobody"
 *	spi ADDRESS 0x1f40 x1
 *
 * Where a scenario names no Message Counters they are put in and checked over UDP,
 * and left out over TCP. Each scenario is run over UDP, over TCP, over TCP byte by
 * byte, and over TCP with all that a host says in a row in one segment.
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../random.h"
#include "../unit/gateway.h"
#include "text.h"

enum way { WAY_UDP, WAY_TCP, WAY_BYTES, WAY_SEGMENT, WAY_COUNT };

#define HOSTS		10
#define VARIABLES	32
#define LINE		1024

struct host {
	uint32_t counter;		/* of the last request */
	bool asked;			/* it has not had its answer */
	uint8_t stream[1 << 16];	/* WAY_SEGMENT: not yet sent */
	size_t stream_len;
	struct { uint8_t data[32]; size_t len; } told[8];	/* asynchronous messages it got */
	unsigned int told_count;
};

struct scenario {
	const char *path;
	unsigned int line;
	enum way way;
	bool counters;			/* named in the scenario */
	struct gateway *g;
	bool started;
	size_t taken;			/* of the gateway's box */
	struct host hosts[HOSTS];
	struct { char name[64]; __be32 addr; } names[4];
	unsigned int name_count;
	struct { unsigned int host, line; char pattern[LINE]; } later[16];	/* WAY_SEGMENT: answers to it */
	unsigned int later_count;
	struct { char name[32], value[512]; } variables[VARIABLES];
	unsigned int variable_count;
	/* what WAY_TCP said, for WAY_SEGMENT: values are known before they are granted */
	struct scenario *before;
};

#define wrong(s, format, ...) \
	cr_assert_fail("%s:%u, way %d: " format, (s)->path, (s)->line, (s)->way, ##__VA_ARGS__)

/* --- values ------------------------------------------------------------------------ */

static const char *variable(const struct scenario *s, const char *name, size_t len)
{
	for (unsigned int i = 0; i < s->variable_count; i++) {
		if (strlen(s->variables[i].name) == len && !strncmp(s->variables[i].name, name, len))
			return s->variables[i].value;
	}
	return s->before ? variable(s->before, name, len) : NULL;
}

static void set_variable(struct scenario *s, const char *name, size_t len, const char *value, size_t value_len)
{
	cr_assert_lt(s->variable_count, VARIABLES);
	snprintf(s->variables[s->variable_count].name, sizeof(s->variables[0].name), "%.*s", (int)len, name);
	snprintf(s->variables[s->variable_count++].value, sizeof(s->variables[0].value), "%.*s", (int)value_len, value);
}

static size_t name_len(const char *text)
{
	return strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789");
}

/* Puts values in the place of their names. */
static void fill_in(const struct scenario *s, const char *text, char *out, size_t capacity)
{
	size_t len = 0;

	while (*text && len + 1 < capacity) {
		const char *value = *text == '$' ? variable(s, text + 1, name_len(text + 1)) : NULL;

		if (*text == '$' && !value)
			wrong(s, "no value yet: %s", text);
		if (value) {
			len += snprintf(out + len, capacity - len, "%s", value);
			text += 1 + name_len(text + 1);
		} else {
			out[len++] = *text++;
		}
	}
	out[len] = '\0';
}

/* Learns the values of names that have none. */
static bool matches(struct scenario *s, const char *pattern, const char *text)
{
	while (*pattern) {
		size_t name = *pattern == '$' ? name_len(pattern + 1) : 0, value_len = strcspn(text, " )");
		const char *value = name ? variable(s, pattern + 1, name) : NULL;

		if (*pattern == '*' || (name && !value)) {
			if (name)
				set_variable(s, pattern + 1, name, text, value_len);
			text += value_len;
		} else if (name) {
			if (strlen(value) != value_len || strncmp(text, value, value_len))
				return false;
			text += value_len;
		} else if (*pattern != *text++) {
			return false;
		}
		pattern += 1 + name;
	}
	return !*text;
}

/* --- messages ---------------------------------------------------------------------- */

static struct origin origin_of(const struct scenario *s, unsigned int n)
{
	return s->way == WAY_UDP ? udp_host(10 + n) : tcp_host(10 + n);
}

static void remember_told(struct host *host, const struct sent *sent)
{
	unsigned int at = host->told_count++ % 8;

	host->told[at].len = sent->len < sizeof(host->told[at].data) ? sent->len : 0;
	memcpy(host->told[at].data, sent->data, host->told[at].len);
}

/* Said again for want of an acknowledgement (T-27): that is no news. */
static void skip_repeats(struct scenario *s)
{
	for (; s->taken < s->g->sent; s->taken++) {
		const struct sent *sent = &s->g->box[s->taken];
		unsigned int n = (ntohl(sent->to.source) & 0xff) - 10;
		bool again = false;

		for (unsigned int i = 0; n < HOSTS && i < 8; i++)
			again |= s->hosts[n].told[i].len == sent->len && !memcmp(s->hosts[n].told[i].data, sent->data, sent->len);
		if (!again)
			return;
	}
}

static void nothing_left(struct scenario *s)
{
	const struct sent *sent;
	struct msg_fault fault;
	char text[LINE];
	struct msg m;

	skip_repeats(s);
	sent = &s->g->box[s->taken];
	if (s->taken == s->g->sent)
		return;
	if (msg_decode(sent->data, sent->len, MSG_AT_HOST, 0, &m, &fault))
		wrong(s, "not expected: %s", msg_text(&m, text, sizeof(text)));
	wrong(s, "not expected, and cannot be read: %s", fault.text);
}

/* Byte by byte: nothing may come before the last one. */
static void send_bytes(struct scenario *s, struct origin from, const uint8_t *data, size_t len)
{
	for (size_t n = 1; n < len; n++) {
		cr_assert_eq(gateway_stream(s->g, from, data, n), n, "%s:%u: %zu of %zu bytes are a message", s->path,
			     s->line, n, len);
		cr_assert_eq(s->g->sent, 0);
	}
	cr_assert_eq(gateway_stream(s->g, from, data, len), 0);
}

static void end_segment(struct scenario *s);

static void send_message(struct scenario *s, unsigned int n, const char *text)
{
	struct host *host = &s->hosts[n];
	static struct text_msg t;
	char filled[LINE], why[128];
	uint8_t data[4096];
	size_t len;

	fill_in(s, text, filled, sizeof(filled));
	if (!text_parse(filled, &t, why))
		wrong(s, "cannot be read: %s", why);
	s->counters = s->counters || t.m.counter;
	if (!t.m.counter && !s->counters && s->way == WAY_UDP) {
		t.m.has |= MSG_HAS(RSIP_PARAM_MESSAGE_COUNTER);
		t.m.counter = ++host->counter;
	}
	if (s->way == WAY_SEGMENT && !host->stream_len)
		end_segment(s);		/* another host speaks */
	host->counter = t.m.counter;
	host->asked = true;
	len = msg_encode(&t.m, data, sizeof(data));
	if (!len)
		wrong(s, "cannot be written: %s", filled);
	if (s->way == WAY_SEGMENT) {
		memcpy(host->stream + host->stream_len, data, len);
		host->stream_len += len;
		return;
	}
	nothing_left(s);
	s->taken = 0;
	if (s->way == WAY_BYTES)
		send_bytes(s, origin_of(s, n), data, len);
	else
		gateway_input(s->g, origin_of(s, n), data, len);
}

/* " counter=7" out of a message's text. */
static void cut_counter(char *text)
{
	char *at = strstr(text, "counter=");
	size_t len = at ? strcspn(at, " )") : 0;

	if (!at)
		return;
	if (at[len] == ' ')
		len++;
	else if (at[-1] == ' ')
		at--, len++;
	memmove(at, at + len, strlen(at + len) + 1);
}

static void expect_message(struct scenario *s, unsigned int n, const char *pattern)
{
	struct host *host = &s->hosts[n];
	struct origin to = origin_of(s, n);
	const struct sent *sent;
	uint32_t counter = host->asked ? host->counter : 0;
	struct msg_fault fault;
	char text[LINE];
	struct msg m;

	skip_repeats(s);
	sent = &s->g->box[s->taken];
	if (s->taken++ == s->g->sent)
		wrong(s, "nothing came, wanted %s", pattern);
	if (sent->to.source != to.source)
		wrong(s, "x%u gets nothing, but another host does", n);
	if (!msg_decode(sent->data, sent->len, MSG_AT_HOST, s->way == WAY_UDP ? MSG_UDP : 0, &m, &fault))
		wrong(s, "cannot be read: %s", fault.text);
	msg_text(&m, text, sizeof(text));
	if (!s->counters) {
		if (s->way == WAY_UDP && m.counter != counter)
			wrong(s, "counter %u, wanted %u: %s", m.counter, counter, text);
		if (s->way != WAY_UDP && m.has & MSG_HAS(RSIP_PARAM_MESSAGE_COUNTER))
			wrong(s, "a counter over TCP that never had one: %s", text);
		cut_counter(text);
	}
	if (!matches(s, pattern, text))
		wrong(s, "%s\nwanted %s", text, pattern);
	if (!host->asked && s->way == WAY_UDP)
		remember_told(host, sent);
	host->asked = false;
}

static void expect_later(struct scenario *s, unsigned int n, const char *pattern)
{
	cr_assert_lt(s->later_count, sizeof(s->later) / sizeof(s->later[0]));
	s->later[s->later_count].host = n;
	s->later[s->later_count].line = s->line;
	snprintf(s->later[s->later_count++].pattern, LINE, "%s", pattern);
}

/* What a host has said in a row, in one segment; then its answers. */
static void end_segment(struct scenario *s)
{
	unsigned int line = s->line;

	for (unsigned int n = 0; n < HOSTS; n++) {
		struct host *host = &s->hosts[n];

		if (!host->stream_len)
			continue;
		nothing_left(s);
		s->taken = 0;
		cr_assert_eq(gateway_stream(s->g, origin_of(s, n), host->stream, host->stream_len), 0);
		host->stream_len = 0;
	}
	for (unsigned int i = 0; i < s->later_count; i++) {
		s->line = s->later[i].line;
		expect_message(s, s->later[i].host, s->later[i].pattern);
	}
	s->later_count = 0;
	s->line = line;
}

/* --- the rest ---------------------------------------------------------------------- */

static void policy(struct scenario *s, const char *value, uint8_t *out)
{
	for (*out = RSIP_POLICY_MACRO; *out <= RSIP_POLICY_NONE; (*out)++) {
		if (!strcmp(value, msg_policy_name(*out)))
			return;
	}
	wrong(s, "no policy: %s", value);
}

static void configure(struct scenario *s, const char *key, const char *value)
{
	struct gateway *g = s->g;
	char first[64], last[64];

	if (!strcmp(key, "addresses") && sscanf(value, "%63[^-]-%63s", first, last) >= 1) {
		g->range.first = g->range.last = ntohl(ip4(first));
		if (strchr(value, '-'))
			g->range.last = ntohl(ip4(last));
	} else if (!strcmp(key, "ports") && sscanf(value, "%63[^-]-%63s", first, last) == 2) {
		g->pool.ports.first = atoi(first);
		g->pool.ports.last = atoi(last);
	} else if (!strcmp(key, "local-policy")) {
		policy(s, value, &g->rule.local_policy);
	} else if (!strcmp(key, "remote-policy")) {
		policy(s, value, &g->rule.remote_policy);
	} else if (!strcmp(key, "ipsec")) {
		g->pool.rsipsec = g->rule.ipsec = !strcmp(value, "yes");
	} else if (!strcmp(key, "rsa")) {
		g->pool.rsa = !strcmp(value, "yes");
		g->pool.rsap = !g->pool.rsa;
	} else if (!strcmp(key, "tunnels")) {
		g->config.tunnel_count = strstr(value, "gre") ? 2 : 1;
	} else if (!strcmp(key, "listen")) {
		g->rule.listen = !strcmp(value, "always") ? CONFIG_LISTEN_ALWAYS : CONFIG_LISTEN_POLICY;
	} else if (!strcmp(key, "maximum")) {
		g->config.leases.maximum = atoi(value);
	} else {
		wrong(s, "config %s %s", key, value);
	}
}

static void add_name(struct scenario *s, const char *args)
{
	char addr[64];

	cr_assert_lt(s->name_count, sizeof(s->names) / sizeof(s->names[0]));
	if (sscanf(args, "%63s %63s", s->names[s->name_count].name, addr) != 2)
		wrong(s, "name %s", args);
	s->names[s->name_count++].addr = ip4(addr);
}

/* The name server, which answers at once. */
static void resolve(uint32_t id, const char *name, void *arg)
{
	struct scenario *s = arg;

	for (unsigned int i = 0; i < s->name_count; i++) {
		if (!strcmp(name, s->names[i].name))
			return session_resolved(s->g->s, id, &s->names[i].addr, 1, s->g->now);
	}
	session_resolved(s->g->s, id, NULL, 0, s->g->now);
}

static void pass(struct scenario *s, const char *time)
{
	char unit[8] = "";
	unsigned long n = 0;

	if (sscanf(time, "%lu%7s", &n, unit) != 2 || (strcmp(unit, "s") && strcmp(unit, "ms")))
		wrong(s, "wait %s", time);
	nothing_left(s);
	s->taken = 0;
	gateway_wait(s->g, unit[0] == 's' ? 1000 * n : n);
}

static uint32_t client_id(struct scenario *s, unsigned int n)
{
	const struct client *client = lease_client_by_address(session_leases(s->g->s), udp_host(10 + n).source);

	if (!client)
		wrong(s, "x%u is not registered", n);
	return client->client_id;
}

static void take_away(struct scenario *s, unsigned int n, unsigned int bind)
{
	nothing_left(s);
	s->taken = s->g->sent = 0;
	if (bind && !session_free_bind(s->g->s, client_id(s, n), bind, s->g->now))
		wrong(s, "x%u has no bind %u", n, bind);
	if (!bind)
		session_evict(s->g->s, client_id(s, n), s->g->now);
}

static void check_way(struct scenario *s, const char *kind, const char *args)
{
	char filled[LINE], addr[64], value[64], host[16];
	__be32 got, want;

	fill_in(s, args, filled, sizeof(filled));
	if (sscanf(filled, "%63s %63s %15s", addr, value, host) != 3)
		wrong(s, "%s %s", kind, args);
	want = host[0] == 'x' ? udp_host(10 + atoi(host + 1)).source : 0;
	got = !strcmp(kind, "port") ? datapath_fake_port(s->g->dp, ip4(addr), strtoul(value, NULL, 0)) :
				      datapath_fake_spi(s->g->dp, ip4(addr), strtoul(value, NULL, 0));
	if (got != want)
		wrong(s, "%s %s goes to %08x", kind, filled, ntohl(got));
}

/* --- a run ------------------------------------------------------------------------- */

static void start(struct scenario *s)
{
	if (s->started)
		return;
	s->started = true;
	gateway_start(s->g);
	sessions_resolver(s->g->s, resolve, s);
}

static void do_line(struct scenario *s, char *line)
{
	char word[32], key[32];
	unsigned int n, bind = 0;
	int at = 0;

	if (sscanf(line, "config %31s %n", key, &at) == 1 && at)
		return configure(s, key, line + at);
	if (sscanf(line, "name %n", &at) == 0 && at)
		return add_name(s, line + at);
	start(s);
	if (sscanf(line, "x%u > %n", &n, &at) == 1 && at && n < HOSTS)
		return send_message(s, n, line + at);
	if (sscanf(line, "x%u < %n", &n, &at) == 1 && at && n < HOSTS)
		return s->hosts[n].stream_len ? expect_later(s, n, line + at) : expect_message(s, n, line + at);
	end_segment(s);
	if (sscanf(line, "wait %n", &at) == 0 && at)
		return pass(s, line + at);
	if (sscanf(line, "free x%u %u", &n, &bind) == 2 || sscanf(line, "deregister x%u", &n) == 1)
		return take_away(s, n, bind);
	if (sscanf(line, "%31s %n", word, &at) == 1 && (!strcmp(word, "port") || !strcmp(word, "spi")))
		return check_way(s, word, line + at);
	wrong(s, "not a line of a scenario: %s", line);
}

static void run(struct scenario *s)
{
	FILE *file = fopen(s->path, "r");
	char line[LINE];

	cr_assert_not_null(file, "%s", s->path);
	random_reset(1);
	s->g = gateway_new();
	while (fgets(line, sizeof(line), file)) {
		s->line++;
		line[strcspn(line, "\n")] = '\0';
		if (line[0] && line[0] != '#')
			do_line(s, line);
	}
	end_segment(s);
	nothing_left(s);
	gateway_free(s->g);
	fclose(file);
}

struct row {
	char path[128];
	enum way way;
};

ParameterizedTestParameters(replay, scenario)
{
	static struct row rows[256];
	static size_t count;
	glob_t found;

	if (glob("tests/replay/*.scn", 0, NULL, &found))
		return cr_make_param_array(struct row, rows, 0);
	for (size_t i = 0; i < found.gl_pathc; i++) {
		for (enum way way = 0; way < WAY_COUNT && count < 256; way++) {
			snprintf(rows[count].path, sizeof(rows[0].path), "%s", found.gl_pathv[i]);
			rows[count++].way = way;
		}
	}
	globfree(&found);
	return cr_make_param_array(struct row, rows, count);
}

ParameterizedTest(struct row *row, replay, scenario)
{
	struct scenario *before = NULL, *s = calloc(1, sizeof(*s));

	*s = (struct scenario){ .path = row->path, .way = row->way };
	if (row->way == WAY_SEGMENT) {
		before = calloc(1, sizeof(*before));
		*before = (struct scenario){ .path = row->path, .way = WAY_TCP };
		run(before);
		s->before = before;
	}
	run(s);
	free(before);
	free(s);
}
