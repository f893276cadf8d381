// SPDX-License-Identifier: GPL-2.0-only
/*
 * The model (../model.h) and the real rsipd over real sockets: model SECONDS SEED
 *
 * Each host has an address of x1 and a socket of its own. Between it and the
 * gateway datagrams are lost, doubled, and come behind later ones. What rsipd and
 * the pinned maps say of leases is held against the model again and again; at the
 * end every host leaves, and nothing may be left.
 *
 * Environment: WORK, BUILD and PIN of the test, RSIPD its process; runs in the network of x1.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <rsip/proto.h>

#include "../model.h"
#include "../random.h"
#include "lib/addr.h"
#include "lib/msg.h"

#define GATEWAY		0x0a000001u	/* 10.0.0.1 */
#define AGAIN_MS	6		/* then a host repeats its request */
#define GIVE_UP_MS	20000
#define SLACK_MS	300		/* so old the clock of rsipd's loop may be */
#define LATE_MS		3000		/* so late a timer of rsipd may be, on a machine that has other things to do */
#define LOST		8		/* of 100, each way */
#define DOUBLED		8
#define HISTORY		8		/* answers of a host that may come once more */
#define COMPARE_MS	1000

struct answered {
	uint32_t counter;
	size_t len;
	uint8_t data[1500];
};

struct host {
	int fd;
	struct answered history[HISTORY];
};

struct network {
	struct model *m;
	struct host hosts[MODEL_HOSTS];
	uint64_t lost, doubled, late, asked, compared;
};

void model_failed(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("model: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(1);
}

static uint64_t clock_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static struct span now(void *arg)
{
	uint64_t t = clock_ms();

	return (struct span){ t - SLACK_MS, t };
}

/* --- datagrams ------------------------------------------------------------------------- */

static void open_host(struct host *host, unsigned int number)
{
	struct sockaddr_in own = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(MODEL_FIRST_HOST + number) };
	struct sockaddr_in gateway = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(GATEWAY), .sin_port = htons(RSIP_PORT),
	};

	host->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	if (bind(host->fd, (struct sockaddr *)&own, sizeof(own)) ||
	    connect(host->fd, (struct sockaddr *)&gateway, sizeof(gateway)))
		model_failed("the socket of host %u: %s", number, strerror(errno));
}

static bool by_chance(unsigned int percent)
{
	return arc4random_uniform(100) < percent;
}

static void post(struct network *n, unsigned int host, const uint8_t *data, size_t len)
{
	if (by_chance(LOST)) {
		n->lost++;
		return;
	}
	send(n->hosts[host].fd, data, len, 0);
	if (by_chance(DOUBLED)) {
		n->doubled++;
		send(n->hosts[host].fd, data, len, 0);
	}
}

/* What comes for a request twice comes with the same bytes. */
static struct answered *remember(struct host *host, unsigned int number, uint32_t counter, const uint8_t *data,
				 size_t len, bool pending)
{
	struct answered *a = &host->history[counter % HISTORY];

	if (a->counter == counter) {
		model_check(a->len == len && !memcmp(a->data, data, len), "host %u: two answers to request %u", number,
			    counter);
		return a;
	}
	if (!pending)
		return NULL;
	a->counter = counter;
	a->len = len;
	memcpy(a->data, data, len);
	return a;
}

/* Takes in what came to a host. True: the answer to the request with that counter is among it. */
static bool receive(struct network *n, unsigned int number, uint32_t counter)
{
	struct host *host = &n->hosts[number];
	bool answered = false;
	uint8_t data[1500];
	ssize_t len;

	while ((len = recv(host->fd, data, sizeof(data), 0)) > 0) {
		struct msg_fault fault;
		struct msg m;

		model_check(msg_decode(data, (size_t)len, MSG_AT_HOST, MSG_UDP, &m, &fault), "host %u: %s", number,
			    fault.text);
		if (!m.counter) {
			model_told(n->m, number, data, (size_t)len);
			continue;
		}
		/* One that came late: silence, or whoever sent it is not known (any more) by then. */
		if (!remember(host, number, m.counter, data, (size_t)len, m.counter == counter))
			model_check(m.error == RSIP_E_REGISTER_FIRST || m.error == RSIP_E_BAD_CLIENT_ID,
				    "host %u: an old request is answered with %u, error %u", number, m.type, m.error);
		else if (m.counter == counter && !by_chance(LOST))
			answered = true;
		else
			n->lost += m.counter == counter;
	}
	return answered;
}

static struct span ask(unsigned int host, const uint8_t *request, size_t len, uint8_t *answer, size_t *answer_len,
		       void *arg)
{
	struct network *n = arg;
	struct msg_fault fault;
	const struct answered *a;
	struct span when = now(n);
	struct msg m;

	model_check(msg_decode(request, len, MSG_AT_GATEWAY, MSG_UDP, &m, &fault), "%s", fault.text);
	n->asked++;
	for (bool answered = false; !answered;) {
		struct pollfd wait = { .fd = n->hosts[host].fd, .events = POLLIN };
		uint64_t again = clock_ms() + AGAIN_MS;

		model_check(clock_ms() < when.last + GIVE_UP_MS, "host %u: no answer to %s", host, msg_type_name(m.type));
		post(n, host, request, len);
		while (!answered && clock_ms() < again) {
			poll(&wait, 1, AGAIN_MS);
			answered = receive(n, host, m.counter);
		}
	}
	a = &n->hosts[host].history[m.counter % HISTORY];
	memcpy(answer, a->data, a->len);
	*answer_len = a->len;
	when.last = clock_ms();
	return when;
}

static void late(unsigned int host, const uint8_t *request, size_t len, void *arg)
{
	struct network *n = arg;

	n->late++;
	send(n->hosts[host].fd, request, len, 0);
}

static void wait_ms(uint64_t ms, void *arg)
{
	usleep((useconds_t)ms * 1000);
}

/* --- the operator ---------------------------------------------------------------------- */

static FILE *rsipctl(const char *from, const char *command)
{
	char line[1024];
	FILE *out;

	snprintf(line, sizeof(line), "%s/rsipctl -s %s/%s -p %s -j %s 2>/dev/null", getenv("BUILD"), getenv("WORK"), from,
		 getenv("PIN"), command);
	out = popen(line, "r");
	model_check(out, "%s: %s", line, strerror(errno));
	return out;
}

static bool operate(const char *what, uint32_t client, uint32_t bind)
{
	char command[64], said[256];
	FILE *out;
	int status;

	if (bind == UINT32_MAX)
		snprintf(command, sizeof(command), "%s %u", what, client);
	else
		snprintf(command, sizeof(command), "%s %u %u", what, client, bind);
	out = rsipctl("rsipd.sock", command);
	while (fgets(said, sizeof(said), out)) {}
	status = pclose(out);
	model_check(!status || (WIFEXITED(status) && WEXITSTATUS(status) == 1), "rsipctl %s: status %d", command, status);
	return !status;
}

static bool deregister(uint32_t client, void *arg)
{
	return operate("deregister", client, UINT32_MAX);
}

static bool free_bind(uint32_t client, uint32_t bind, void *arg)
{
	return operate("free", client, bind);
}

static json_t *list(const char *from, const char *what)
{
	FILE *out = rsipctl(from, what);
	json_error_t error;
	json_t *list = json_loadf(out, 0, &error);

	model_check(json_is_array(list), "rsipctl %s: %s", what, error.text);
	pclose(out);
	return list;
}

/* --- comparing -------------------------------------------------------------------------- */

static const char *text_of(const json_t *row, const char *key)
{
	const char *text = json_string_value(json_object_get(row, key));

	return text ? text : "";
}

static unsigned int host_of(const json_t *row)
{
	__be32 address = 0;
	uint32_t host;

	addr_parse(text_of(row, "client"), &address);
	host = ntohl(address) - MODEL_FIRST_HOST;
	model_check(host < MODEL_HOSTS, "a host %s", text_of(row, "client"));
	return host;
}

/* "1000-1003,1010": all of them held by that lease, and returns how many. */
static unsigned int compare_numbers(const char *text, const struct holding *holdings, unsigned int first,
				    unsigned int count, unsigned int host, uint32_t bind)
{
	unsigned int n = 0;

	while (*text) {
		char *end;
		unsigned long from = strtoul(text, &end, 0), to = *end == '-' ? strtoul(end + 1, &end, 0) : from;

		model_check(from >= first && to < first + count && from <= to, "numbers %s", text);
		for (unsigned long i = from; i <= to; i++, n++)
			model_check(holdings[i - first].host == host + 1 && holdings[i - first].bind_id == bind,
				    "bind %u of host %u has %lu, which the model gave to host %u", bind, host, i,
				    holdings[i - first].host);
		text = end + strspn(end, ", ");
	}
	return n;
}

static void compare_remote(const json_t *row, const struct model_lease *lease)
{
	char remote[32] = "any", addr[ADDR_TEXT_LEN];

	if (lease->remote && lease->remote_port)
		snprintf(remote, sizeof(remote), "%s:%u", addr_text(lease->remote, addr), lease->remote_port);
	else if (lease->remote)
		snprintf(remote, sizeof(remote), "%s", addr_text(lease->remote, addr));
	model_check(!strcmp(remote, text_of(row, "remote")), "remote %s, not %s", text_of(row, "remote"), remote);
}

static void compare_count(const char *what, unsigned int wanted, unsigned int got, unsigned int host, uint32_t bind)
{
	model_check(wanted == got, "bind %u of host %u has %u %s, not %u", bind, host, got, what, wanted);
}

static struct model_lease *compare_row(struct model *m, const json_t *row)
{
	unsigned int host = host_of(row), at;
	uint32_t bind = (uint32_t)json_integer_value(json_object_get(row, "bind_id"));
	struct model_lease *lease = model_lease(m, host, bind);
	char address[ADDR_TEXT_LEN];

	model_check(lease, "host %u has a bind %u that is over, or that it was never told of", host, bind);
	at = (lease->whole ? MODEL_FIRST_WHOLE : MODEL_FIRST_ADDR) + lease->address;
	model_check(!strcmp(text_of(row, "address"), addr_text(htonl(at), address)), "bind %u of host %u on %s, not %s",
		    bind, host, text_of(row, "address"), address);
	compare_remote(row, lease);
	if (lease->whole)
		return lease;
	compare_count("ports", lease->ports,
		      compare_numbers(text_of(row, "ports"), m->ports[lease->address], MODEL_FIRST_PORT, MODEL_PORTS, host,
				      bind), host, bind);
	compare_count("SPIs", lease->spis,
		      compare_numbers(text_of(row, "spis"), m->spis[lease->address], MODEL_FIRST_SPI, MODEL_SPIS, host,
				      bind), host, bind);
	return lease;
}

/* Every bind that rsipd, or what is pinned, has, and every bind of the model. */
static void compare_bindings(struct network *n, const char *from)
{
	const struct model_lease *seen[MODEL_HOSTS * MODEL_PLACES];
	size_t count = 0, i;
	json_t *rows, *row;
	uint64_t after;

	model_run_out(n->m);
	rows = list(from, "bindings");
	after = clock_ms();
	model_check(json_array_size(rows) <= MODEL_HOSTS * MODEL_PLACES, "%zu binds", json_array_size(rows));
	json_array_foreach(rows, i, row)
		seen[count++] = compare_row(n->m, row);
	json_decref(rows);
	for (i = 0; i < MODEL_HOSTS * MODEL_PLACES; i++) {
		const struct model_lease *lease = &n->m->hosts[i / MODEL_PLACES].binds[i % MODEL_PLACES];
		bool is_seen = !lease->id || lease->ends.first <= after;

		for (size_t k = 0; k < count; k++)
			is_seen |= seen[k] == lease;
		model_check(is_seen, "%s does not have bind %u of host %zu", from, lease->id, i / MODEL_PLACES);
	}
}

static void compare_clients(struct network *n)
{
	bool seen[MODEL_HOSTS] = { 0 };
	json_t *rows, *row;
	uint64_t after;
	size_t i;

	model_run_out(n->m);
	rows = list("rsipd.sock", "clients");
	after = clock_ms();
	json_array_foreach(rows, i, row) {
		unsigned int host = host_of(row);

		model_check(n->m->hosts[host].registered &&
				    json_integer_value(json_object_get(row, "client_id")) == n->m->hosts[host].client_id,
			    "host %u is registered, and should not be", host);
		seen[host] = true;
	}
	json_decref(rows);
	for (i = 0; i < MODEL_HOSTS; i++)
		model_check(seen[i] || !n->m->hosts[i].registered || n->m->hosts[i].ends.first <= after,
			    "host %zu is not registered any more", i);
}

/* The maps as rsipctl reads them when it finds no socket, and as it needs them: rsipd changes nothing meanwhile. */
static void compare_maps(struct network *n)
{
	pid_t rsipd = (pid_t)atoi(getenv("RSIPD"));

	model_check(!kill(rsipd, SIGSTOP), "rsipd cannot be stopped: %s", strerror(errno));
	compare_bindings(n, "maps");
	kill(rsipd, SIGCONT);
}

static void compare(struct network *n)
{
	compare_clients(n);
	compare_bindings(n, "rsipd.sock");
	compare_maps(n);
	n->compared++;
}

/* --- the whole ---------------------------------------------------------------------------- */

static bool anything_in(const char *key)
{
	json_t *rows = list("rsipd.sock", "pools"), *row;
	bool found = false;
	size_t i;

	json_array_foreach(rows, i, row)
		found |= json_integer_value(json_object_get(row, key)) != 0;
	json_decref(rows);
	return found;
}

static void leave(struct network *n, uint32_t hold_down)
{
	static const char *const leased[] = { "ports_leased", "spis_leased", "grants" };
	static const char *const resting[] = { "ports_resting", "spis_resting" };
	uint64_t until;

	for (unsigned int i = 0; i < MODEL_HOSTS; i++)
		model_leave(n->m, i);
	compare(n);
	for (size_t i = 0; i < sizeof(leased) / sizeof(leased[0]); i++)
		model_check(!anything_in(leased[i]), "all hosts are gone, but %s is not 0", leased[i]);
	until = clock_ms() + hold_down * 1000 + GIVE_UP_MS;
	for (size_t i = 0; i < sizeof(resting) / sizeof(resting[0]); i++) {
		while (anything_in(resting[i])) {
			model_check(clock_ms() < until, "%s is never 0", resting[i]);
			usleep(50000);
		}
	}
}

int main(int argc, char **argv)
{
	struct network *n = calloc(1, sizeof(*n));
	const struct model_driver driver = {
		.registration = 3, .maximum = 5, .hold_down = 1, .lateness = LATE_MS, .wait = 2, .now = now, .ask = ask, .late = late,
		.wait_ms = wait_ms, .deregister = deregister, .free_bind = free_bind, .arg = n,
	};
	uint64_t end, next;

	if (argc != 3)
		model_failed("model SECONDS SEED");
	printf("seed %s\n", argv[2]);
	fflush(stdout);
	random_reset(strtoull(argv[2], NULL, 0));
	n->m = calloc(1, sizeof(*n->m));
	n->m->driver = &driver;
	for (unsigned int i = 0; i < MODEL_HOSTS; i++)
		open_host(&n->hosts[i], i);
	next = clock_ms();
	end = next + strtoull(argv[1], NULL, 0) * 1000;
	while (clock_ms() < end) {
		model_operate(n->m);
		if (clock_ms() < next)
			continue;
		compare(n);
		next = clock_ms() + COMPARE_MS;
	}
	leave(n, driver.hold_down);
	model_check(n->m->granted && n->m->refused && n->compared > 1, "nothing was tried");
	printf("%llu requests, %llu granted, %llu refused, %llu lost, %llu doubled, %llu late; compared %llu times\n",
	       (unsigned long long)n->asked, (unsigned long long)n->m->granted, (unsigned long long)n->m->refused,
	       (unsigned long long)n->lost, (unsigned long long)n->doubled, (unsigned long long)n->late,
	       (unsigned long long)n->compared);
	return 0;
}
