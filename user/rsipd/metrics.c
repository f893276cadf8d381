/* SPDX-License-Identifier: GPL-2.0-only */
/* The metrics: libmicrohttpd's epoll descriptor, watched by the loop. */
#include "rsipd/metrics.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "lib/show.h"
#include "rsipd/server.h"

#define CONNECTIONS_MAX	16
#define PER_ADDRESS_MAX	4
#define TIMEOUT_S	10
#define MEMORY_MAX	16384	/* of one connection: request line and headers */

struct metrics {
	struct rsipd *rsipd;
	struct MHD_Daemon *http;
	uv_poll_t poll;
};

/* --- the text ------------------------------------------------------------------------ */

static void head(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void gauge(FILE *out, const char *name, const char *help, uint64_t value)
{
	head(out, name, "gauge", help);
	fprintf(out, "%s %" PRIu64 "\n", name, value);
}

static void put_packets(FILE *out, const struct datapath *dp)
{
	struct rsip_counter counters[RSIP_OUTCOME_COUNT];

	if (datapath_counters(dp, counters))
		return;
	head(out, "rsip_packets_total", "counter", "Packets by outcome.");
	for (unsigned int i = 1; i < RSIP_OUTCOME_COUNT; i++)
		fprintf(out, "rsip_packets_total{outcome=\"%s\",verdict=\"%s\"} %" PRIu64 "\n",
			show_outcome(i)->name, show_outcome(i)->verdict, (uint64_t)counters[i].packets);
	head(out, "rsip_bytes_total", "counter", "Bytes of frames as they arrived, by outcome.");
	for (unsigned int i = 1; i < RSIP_OUTCOME_COUNT; i++)
		fprintf(out, "rsip_bytes_total{outcome=\"%s\",verdict=\"%s\"} %" PRIu64 "\n",
			show_outcome(i)->name, show_outcome(i)->verdict, (uint64_t)counters[i].bytes);
}

static void put_messages(FILE *out, const char *name, const char *help, const uint64_t counts[static 256])
{
	uint64_t unknown = 0;

	head(out, name, "counter", help);
	for (unsigned int type = 0; type < 256; type++) {
		if (strcmp(msg_type_name((uint8_t)type), "unknown"))
			fprintf(out, "%s{type=\"%s\"} %" PRIu64 "\n", name, msg_type_name((uint8_t)type), counts[type]);
		else
			unknown += counts[type];
	}
	fprintf(out, "%s{type=\"unknown\"} %" PRIu64 "\n", name, unknown);
}

static void put_protocol(FILE *out, const struct session_counters *counters)
{
	put_messages(out, "rsip_messages_received_total", "RSIP messages received, by type.", counters->in);
	put_messages(out, "rsip_messages_sent_total", "RSIP messages sent, by type.", counters->out);
	head(out, "rsip_errors_sent_total", "counter", "RSIP errors sent, by code.");
#define X(code, name) fprintf(out, "rsip_errors_sent_total{code=\"%d\",name=\"%s\"} %" PRIu64 "\n", code, #name, \
			      counters->errors[code]);
	RSIP_ERRORS(X)
#undef X
	head(out, "rsip_duplicates_total", "counter", "Requests answered with the stored answer.");
	fprintf(out, "rsip_duplicates_total %" PRIu64 "\n", counters->duplicates);
	head(out, "rsip_limited_total", "counter", "Requests dropped because their sender sent too many.");
	fprintf(out, "rsip_limited_total %" PRIu64 "\n", counters->limited);
	head(out, "rsip_unauthentic_total", "counter", "Messages of hosts with a key without a good authenticator.");
	fprintf(out, "rsip_unauthentic_total %" PRIu64 "\n", counters->unauthentic);
	head(out, "rsip_unanswered_total", "counter", "Errors not sent to senders that are not registered: too many.");
	fprintf(out, "rsip_unanswered_total %" PRIu64 "\n", counters->unanswered);
	head(out, "rsip_ignored_total", "counter", "Messages dropped without an answer.");
	fprintf(out, "rsip_ignored_total %" PRIu64 "\n", counters->ignored);
}

static void put_connections(FILE *out, const struct connection_counters *counters)
{
	head(out, "rsip_connections_ended_total", "counter", "TCP connections ended by the gateway, by reason.");
	for (int cut = 0; cut < CUTS; cut++)
		fprintf(out, "rsip_connections_ended_total{why=\"%s\"} %" PRIu64 "\n",
			connection_cut_text((enum connection_cut)cut), counters->cut[cut]);
	head(out, "rsip_connections_refused_total", "counter", "TCP connections not accepted: no room.");
	fprintf(out, "rsip_connections_refused_total %" PRIu64 "\n", counters->refused);
}

/* One family after the other, as the format wants it: each walks the pools. */
struct pool_metric {
	const char *name, *help;
	size_t at;		/* the uint32_t in struct pool_usage */
};

static const struct pool_metric pool_metrics[] = {
	{ "rsip_pool_ports", "Ports that can be leased.", offsetof(struct pool_usage, ports) },
	{ "rsip_pool_ports_leased", "Ports that are leased.", offsetof(struct pool_usage, ports_leased) },
	{ "rsip_pool_ports_resting", "Freed ports in their hold-down time.", offsetof(struct pool_usage, ports_resting) },
	{ "rsip_pool_spis_leased", "SPIs that are leased.", offsetof(struct pool_usage, spis_leased) },
	{ "rsip_pool_spis_resting", "Freed SPIs in their hold-down time.", offsetof(struct pool_usage, spis_resting) },
};

/* Summed by pool: a series for each address would be too many. */
struct pool_sum {
	FILE *out;
	const struct pool_metric *metric;
	const char *pool;
	uint64_t sum;
};

static void put_sum(const struct pool_sum *sum)
{
	if (sum->pool)
		fprintf(sum->out, "%s{pool=\"%s\"} %" PRIu64 "\n", sum->metric->name, sum->pool, sum->sum);
}

static bool add_pool(const struct pool_usage *usage, void *arg)
{
	struct pool_sum *sum = arg;

	if (!sum->pool || strcmp(sum->pool, usage->pool)) {
		put_sum(sum);
		sum->pool = usage->pool;
		sum->sum = 0;
	}
	sum->sum += *(const uint32_t *)((const char *)usage + sum->metric->at);
	return true;
}

static void put_pools(FILE *out, const struct pools *pools)
{
	for (size_t i = 0; i < sizeof(pool_metrics) / sizeof(pool_metrics[0]); i++) {
		struct pool_sum sum = { .out = out, .metric = &pool_metrics[i] };

		head(out, pool_metrics[i].name, "gauge", pool_metrics[i].help);
		pools_each(pools, add_pool, &sum);
		put_sum(&sum);
	}
}

/* The caller frees it; NULL if memory is short. */
static char *metrics_text(const struct rsipd *rsipd, size_t *len)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, len);

	if (!out)
		return NULL;
	head(out, "rsip_info", "gauge", "Always 1; the version is a label.");
	fprintf(out, "rsip_info{version=\"%s\"} 1\n", RSIP_VERSION_TEXT);
	gauge(out, "rsip_uptime_seconds", "Since rsipd was started.", (daemon_now() - rsipd->started) / 1000);
	gauge(out, "rsip_registrations", "Registered hosts.", lease_client_count(session_leases(rsipd->sessions)));
	gauge(out, "rsip_binds", "Live binds.", lease_bind_count(session_leases(rsipd->sessions)));
	gauge(out, "rsip_recording", "1: what is promised is recorded; 0: the disk takes no writes, hosts get error 104.",
	      sessions_record(rsipd->sessions));
	put_pools(out, session_pools(rsipd->sessions));
	put_protocol(out, session_counters(rsipd->sessions));
	put_connections(out, server_counters(rsipd->server));
	put_packets(out, rsipd->dp);
	if (fclose(out)) {
		free(text);
		return NULL;
	}
	return text;
}

/* --- HTTP -------------------------------------------------------------------------------- */

static enum MHD_Result reply(struct MHD_Connection *connection, unsigned int status, char *text, size_t len,
			     enum MHD_ResponseMemoryMode mode)
{
	struct MHD_Response *response = MHD_create_response_from_buffer(len, text, mode);
	enum MHD_Result result;

	if (!response) {
		if (mode == MHD_RESPMEM_MUST_FREE)
			free(text);
		return MHD_NO;
	}
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8");
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	result = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *url, const char *method,
				  const char *version, const char *upload, size_t *upload_len, void **state)
{
	static char not_found[] = "Nothing here: see /metrics\n", not_allowed[] = "GET or HEAD only\n";
	const struct metrics *metrics = arg;
	char *text;
	size_t len;

	if (strcmp(method, MHD_HTTP_METHOD_GET) && strcmp(method, MHD_HTTP_METHOD_HEAD))
		return reply(connection, MHD_HTTP_METHOD_NOT_ALLOWED, not_allowed, strlen(not_allowed),
			     MHD_RESPMEM_PERSISTENT);
	if (strcmp(url, "/metrics"))
		return reply(connection, MHD_HTTP_NOT_FOUND, not_found, strlen(not_found), MHD_RESPMEM_PERSISTENT);
	text = metrics_text(metrics->rsipd, &len);
	if (!text)
		return MHD_NO;
	return reply(connection, MHD_HTTP_OK, text, len, MHD_RESPMEM_MUST_FREE);
}

/* libmicrohttpd watches edges: what it took note of and has not done yet shows as a
 * timeout of 0, not on the descriptor. */
static void work(struct metrics *metrics)
{
	MHD_UNSIGNED_LONG_LONG wait = 0;

	for (int i = 0; i < CONNECTIONS_MAX; i++) {
		MHD_run(metrics->http);
		if (MHD_get_timeout(metrics->http, &wait) != MHD_YES || wait)
			return;
	}
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
	work(poll->data);
}

/* "ADDRESS:PORT", as value_listen() checked it. */
static struct sockaddr_in listen_address(const char *text)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	char host[ADDR_TEXT_LEN];
	const char *colon = strchr(text, ':');

	snprintf(host, sizeof(host), "%.*s", (int)(colon - text), text);
	inet_pton(AF_INET, host, &address.sin_addr);
	address.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
	return address;
}

/* libmicrohttpd's own lines would go to stderr without a level. */
static void on_log(void *arg, const char *format, va_list args)
{
	char text[256];

	vsnprintf(text, sizeof(text), format, args);
	text[strcspn(text, "\n")] = 0;
	log_debug("metrics: %s", text);
}

int metrics_open(struct rsipd *rsipd, struct metrics **out)
{
	struct sockaddr_in address;
	struct metrics *metrics;

	*out = NULL;
	if (!rsipd->config->metrics)
		return 0;
	metrics = calloc(1, sizeof(*metrics));
	if (!metrics)
		return -ENOMEM;
	metrics->rsipd = rsipd;
	address = listen_address(rsipd->config->metrics);
	errno = 0;
	metrics->http = MHD_start_daemon(
		MHD_USE_EPOLL | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_request, metrics,
		MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL, MHD_OPTION_SOCK_ADDR, &address,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned int)CONNECTIONS_MAX,
		MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned int)PER_ADDRESS_MAX,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned int)TIMEOUT_S,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY_MAX, MHD_OPTION_END);
	if (!metrics->http) {
		int err = errno ? -errno : -EINVAL;

		log_error("metrics: %s: %s", rsipd->config->metrics, strerror(-err));
		free(metrics);
		return err;
	}
	uv_poll_init(rsipd->loop, &metrics->poll, MHD_get_daemon_info(metrics->http, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd);
	metrics->poll.data = metrics;
	uv_poll_start(&metrics->poll, UV_READABLE, on_ready);
	*out = metrics;
	return 0;
}

void metrics_tick(struct metrics *metrics)
{
	if (metrics)
		work(metrics);
}

void metrics_close(struct metrics *metrics)
{
	if (!metrics)
		return;
	uv_close((uv_handle_t *)&metrics->poll, NULL);
	MHD_stop_daemon(metrics->http);
}

void metrics_free(struct metrics *metrics)
{
	free(metrics);
}
