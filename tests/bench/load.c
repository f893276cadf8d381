// SPDX-License-Identifier: GPL-2.0-only
/*
 * Load for the gateway's control plane: many hosts, each an address of its own,
 * out of one UDP socket. The addresses are taken by a route of this namespace,
 * "ip route add local 10.128.0.0/9 dev lo". At most so many hosts are at work at
 * once, each with one request in flight; a request without an answer is sent
 * again. Ends after all hosts, or after a time. Prints one object of JSON.
 *
 *	load cycle  -n HOSTS	each: register, assign (RSIPSEC, one SPI), free, de-register
 *	load fill   -n HOSTS	each: register and assign; they stay
 *	load probe  -t SECONDS	one host asks a query every few milliseconds
 *
 *	-g GATEWAY (10.0.0.1)  -f FIRST address (10.128.0.1)  -w WINDOW of hosts at work (512)
 *	-t SECONDS at most (60)  -l LEASE asked for (600)  -a all leases end LEASE seconds after the start
 *
 * SIGINT and SIGTERM end it as its time does.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <error.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lib/addr.h"
#include "lib/msg.h"
#include "lib/param.h"

#define BATCH		64		/* messages of one system call */
#define MESSAGE		128		/* bytes; ours and the answers are shorter */
#define RESEND_US	1000000
#define PROBE_US	2000		/* between the queries of a probe */
#define SOCKET_BUFFER	(16 << 20)
#define BUCKETS		4096		/* of latencies: 64 for each power of two */

enum step { STEP_REGISTER, STEP_ASSIGN, STEP_FREE, STEP_DEREGISTER, STEP_QUERY, STEP_COUNT };

/* What a kind of host does, one after the other. */
static const struct plan {
	const char *name;
	enum step steps[4];
	unsigned int count;
} plans[] = {
	{ "cycle", { STEP_REGISTER, STEP_ASSIGN, STEP_FREE, STEP_DEREGISTER }, 4 },
	{ "fill", { STEP_REGISTER, STEP_ASSIGN }, 2 },
	{ "probe", { STEP_REGISTER }, 1 },
};

struct host {
	uint32_t client_id, bind_id;
	uint64_t sent_us;		/* when the request in flight was sent first */
	uint64_t again_us;
	uint32_t counter;		/* of it */
	uint32_t lease;			/* that it asks for, seconds */
	uint8_t at;			/* in the plan */
};

struct outgoing {
	uint8_t data[MESSAGE], control[CMSG_SPACE(sizeof(struct in_pktinfo))];
	struct iovec iov;
};

static struct load {
	const struct plan *plan;
	struct sockaddr_in gateway;
	uint32_t first, hosts, window, lease, seconds;
	int fd;
	struct host *host;
	uint32_t *working;		/* hosts with a request in flight, for sending again */
	uint32_t started, finished, working_count;
	struct outgoing out[BATCH];
	struct mmsghdr batch[BATCH];
	unsigned int out_count;
	struct template {
		uint8_t data[MESSAGE];
		size_t len, client_at, bind_at, counter_at, lease_at;
	} templates[STEP_COUNT];
	uint64_t done[STEP_COUNT], resent, refused;
	uint16_t refused_with;
	uint32_t latency[BUCKETS];
	uint64_t latencies, worst_us;
	uint64_t began;
	bool together;			/* all leases end at once */
} load = { .window = 512, .seconds = 60, .lease = 600, .hosts = 1 };

static volatile sig_atomic_t over;

static void on_signal(int number)
{
	over = number;
}

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000ull + t.tv_nsec / 1000;
}

/* --- latencies -------------------------------------------------------------------- */

static unsigned int bucket_of(uint64_t us)
{
	unsigned int power = us < 64 ? 0 : 58 - __builtin_clzll(us);
	unsigned int bucket = us < 64 ? us : 64 * power + ((us >> (power - 1)) & 63) ;

	return bucket < BUCKETS ? bucket : BUCKETS - 1;
}

static uint64_t bucket_us(unsigned int bucket)
{
	unsigned int power = bucket / 64;

	return power ? (64ull + bucket % 64) << (power - 1) : bucket;
}

static void note_latency(uint64_t us)
{
	load.latency[bucket_of(us)]++;
	load.latencies++;
	if (us > load.worst_us)
		load.worst_us = us;
}

static uint64_t percentile(double part)
{
	uint64_t seen = 0;

	for (unsigned int i = 0; i < BUCKETS; i++) {
		seen += load.latency[i];
		if (seen && seen >= part * load.latencies)
			return bucket_us(i);
	}
	return 0;
}

/* --- requests --------------------------------------------------------------------- */

static size_t find_param(const struct template *t, uint8_t type)
{
	struct reader r = { t->data + RSIP_HEADER_LEN, t->len - RSIP_HEADER_LEN, false };
	struct tlv tlv;

	while (tlv_next(&r, &tlv)) {
		if (tlv.type == type)
			return tlv.value - t->data;
	}
	return 0;
}

static void make_template(enum step step, struct msg *m)
{
	struct template *t = &load.templates[step];

	m->has |= MSG_HAS(RSIP_PARAM_MESSAGE_COUNTER);
	m->counter = 1;
	if (step != STEP_REGISTER)
		m->has |= MSG_HAS(RSIP_PARAM_CLIENT_ID);
	t->len = msg_encode(m, t->data, sizeof(t->data));
	if (!t->len)
		error(1, 0, "request %d cannot be encoded", step);
	t->client_at = find_param(t, RSIP_PARAM_CLIENT_ID);
	t->bind_at = find_param(t, RSIP_PARAM_BIND_ID);
	t->counter_at = find_param(t, RSIP_PARAM_MESSAGE_COUNTER);
	t->lease_at = find_param(t, RSIP_PARAM_LEASE_TIME);
}

static void make_templates(void)
{
	struct msg_addr any = { .type = RSIP_ADDR_IPV4, .any = true };
	struct msg assign = {
		.type = RSIP_ASSIGN_REQUEST_RSIPSEC, .local = any, .remote = any, .lease = load.lease,
		.has = MSG_HAS_LOCAL | MSG_HAS_LPORTS | MSG_HAS_REMOTE | MSG_HAS_RPORTS | MSG_HAS(RSIP_PARAM_SPI) |
		       MSG_HAS(RSIP_PARAM_LEASE_TIME),
		.spis = { .form = MSG_ANY, .count = 1 },
	};
	struct msg free_request = { .type = RSIP_FREE_REQUEST, .has = MSG_HAS(RSIP_PARAM_BIND_ID) };

	make_template(STEP_REGISTER, &(struct msg){ .type = RSIP_REGISTER_REQUEST });
	make_template(STEP_ASSIGN, &assign);
	make_template(STEP_FREE, &free_request);
	make_template(STEP_DEREGISTER, &(struct msg){ .type = RSIP_DEREGISTER_REQUEST });
	make_template(STEP_QUERY, &(struct msg){ .type = RSIP_QUERY_REQUEST });
}

static void patch(uint8_t *data, size_t at, uint32_t value)
{
	value = htonl(value);
	if (at)
		memcpy(data + at, &value, sizeof(value));
}

/* A socket that is full sends nothing of the rest: it is sent again later, like what is lost. */
static void flush(void)
{
	unsigned int sent = 0;
	int n;

	while (sent < load.out_count) {
		n = sendmmsg(load.fd, load.batch + sent, load.out_count - sent, 0);
		if (n < 0 && errno != EAGAIN && errno != ENOBUFS && errno != EINTR)
			error(1, errno, "sending");
		sent += n < 0 ? 1 : n;
	}
	load.out_count = 0;
}

static void send_from(uint32_t host, const uint8_t *data, size_t len)
{
	struct outgoing *out = &load.out[load.out_count];
	struct msghdr *head = &load.batch[load.out_count].msg_hdr;
	struct in_pktinfo info = { .ipi_spec_dst.s_addr = htonl(load.first + host) };
	struct cmsghdr *control;

	memcpy(out->data, data, len);
	out->iov = (struct iovec){ out->data, len };
	*head = (struct msghdr){
		.msg_name = &load.gateway, .msg_namelen = sizeof(load.gateway), .msg_iov = &out->iov, .msg_iovlen = 1,
		.msg_control = out->control, .msg_controllen = sizeof(out->control),
	};
	control = CMSG_FIRSTHDR(head);
	control->cmsg_level = IPPROTO_IP;
	control->cmsg_type = IP_PKTINFO;
	control->cmsg_len = CMSG_LEN(sizeof(info));
	memcpy(CMSG_DATA(control), &info, sizeof(info));
	if (++load.out_count == BATCH)
		flush();
}

static void ask(uint32_t index, enum step step)
{
	struct host *host = &load.host[index];
	const struct template *t = &load.templates[step];
	uint8_t data[MESSAGE];

	memcpy(data, t->data, t->len);
	patch(data, t->client_at, host->client_id);
	patch(data, t->bind_at, host->bind_id);
	patch(data, t->counter_at, host->counter);
	patch(data, t->lease_at, host->lease);
	send_from(index, data, t->len);
}

/* The plan's step; a probe, once registered, asks queries for ever. */
static enum step step_of(const struct host *host)
{
	return host->at < load.plan->count ? load.plan->steps[host->at] : STEP_QUERY;
}

static void start_step(uint32_t index, uint64_t now)
{
	struct host *host = &load.host[index];

	host->counter++;
	host->lease = load.lease - (load.together ? (now - load.began) / 1000000 : 0);
	host->sent_us = now;
	host->again_us = now + RESEND_US;
	ask(index, step_of(host));
}

static void resend_late(uint64_t now)
{
	for (uint32_t i = 0; i < load.working_count; i++) {
		struct host *host = &load.host[load.working[i]];

		if (host->again_us > now)
			continue;
		host->again_us = now + RESEND_US;
		load.resent++;
		ask(load.working[i], step_of(host));
	}
}

/* --- answers ---------------------------------------------------------------------- */

struct answer {
	uint8_t type;
	uint32_t client_id, bind_id, counter;
	uint16_t error;
};

static void read_answer(const uint8_t *data, size_t len, struct answer *out)
{
	struct reader r = { data, len, false };
	struct tlv tlv;

	*out = (struct answer){ 0 };
	read_u8(&r);
	out->type = read_u8(&r);
	read_u16(&r);
	while (tlv_next(&r, &tlv)) {
		struct reader value = { tlv.value, tlv.len, false };

		if (tlv.type == RSIP_PARAM_CLIENT_ID)
			out->client_id = read_u32(&value);
		else if (tlv.type == RSIP_PARAM_BIND_ID)
			out->bind_id = read_u32(&value);
		else if (tlv.type == RSIP_PARAM_MESSAGE_COUNTER)
			out->counter = read_u32(&value);
		else if (tlv.type == RSIP_PARAM_ERROR)
			out->error = read_u16(&value);
	}
}

static void stop_work(uint32_t index)
{
	for (uint32_t i = 0; i < load.working_count; i++) {
		if (load.working[i] == index) {
			load.working[i] = load.working[--load.working_count];
			break;
		}
	}
	load.finished++;
}

static void take_answer(uint32_t index, const uint8_t *data, size_t len, uint64_t now)
{
	struct host *host = &load.host[index];
	enum step step = step_of(host);
	struct answer answer;

	read_answer(data, len, &answer);
	if (answer.counter != host->counter || !host->again_us)
		return;
	note_latency(now - host->sent_us);
	host->again_us = 0;
	if (answer.type == RSIP_ERROR_RESPONSE) {
		load.refused++;
		load.refused_with = answer.error;
		stop_work(index);
		return;
	}
	load.done[step]++;
	if (step == STEP_REGISTER)
		host->client_id = answer.client_id;
	if (step == STEP_ASSIGN)
		host->bind_id = answer.bind_id;
	if (step == STEP_QUERY)
		return;
	host->at++;
	if (host->at < load.plan->count)
		start_step(index, now);
	else if (load.plan->count > 1)
		stop_work(index);
}

/* Waits at most so long for something to read. */
static void receive(unsigned int wait_us)
{
	static uint8_t data[BATCH][MESSAGE], control[BATCH][CMSG_SPACE(sizeof(struct in_pktinfo))];
	static struct iovec iov[BATCH];
	static struct mmsghdr batch[BATCH];
	struct timeval timeout = { .tv_usec = wait_us };
	uint64_t now;
	int n;

	for (int i = 0; i < BATCH; i++) {
		iov[i] = (struct iovec){ data[i], MESSAGE };
		batch[i].msg_hdr = (struct msghdr){
			.msg_iov = &iov[i], .msg_iovlen = 1, .msg_control = control[i], .msg_controllen = sizeof(control[i]),
		};
	}
	setsockopt(load.fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	n = recvmmsg(load.fd, batch, BATCH, MSG_WAITFORONE, NULL);
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		error(1, errno, "receiving");
	now = now_us();
	for (int i = 0; i < n; i++) {
		struct cmsghdr *c = CMSG_FIRSTHDR(&batch[i].msg_hdr);
		uint32_t index;

		if (!c || c->cmsg_type != IP_PKTINFO)
			continue;
		index = ntohl(((struct in_pktinfo *)CMSG_DATA(c))->ipi_addr.s_addr) - load.first;
		if (index < load.hosts)
			take_answer(index, data[i], batch[i].msg_len, now);
	}
}

/* --- a run ------------------------------------------------------------------------ */

static void open_socket(void)
{
	int on = 1, size = SOCKET_BUFFER;
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(5000) };

	load.fd = socket(AF_INET, SOCK_DGRAM, 0);
	if (load.plan->count == 1)
		any.sin_port = htons(5001);	/* beside the load */
	if (load.fd < 0 || setsockopt(load.fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on)) ||
	    bind(load.fd, (struct sockaddr *)&any, sizeof(any)))
		error(1, errno, "socket");
	setsockopt(load.fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	setsockopt(load.fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
}

static void start_hosts(uint64_t now)
{
	while (load.working_count < load.window && load.started < load.hosts) {
		load.working[load.working_count++] = load.started;
		start_step(load.started++, now);
	}
}

static void run(void)
{
	uint64_t end = load.began + load.seconds * 1000000ull, look = load.began + RESEND_US / 4, now;

	while (!over && (now = now_us()) < end && load.finished < load.hosts) {
		start_hosts(now);
		if (now >= look) {
			resend_late(now);
			look = now + RESEND_US / 4;
		}
		flush();
		receive(RESEND_US / 4);
	}
}

static void probe(void)
{
	uint64_t now = now_us(), end = now + load.seconds * 1000000ull, next = now;

	load.working[load.working_count++] = 0;
	start_step(0, now);
	while (!over && (now = now_us()) < end && !load.finished) {
		struct host *host = &load.host[0];

		if (!host->again_us && now >= next) {
			next = now + PROBE_US;
			start_step(0, now);
		}
		if (host->again_us)
			resend_late(now);
		flush();
		receive(host->again_us || next <= now ? PROBE_US : next - now);
	}
	if (load.refused)
		error(1, 0, "the probe was refused with %u", load.refused_with);
}

static void report(double seconds)
{
	uint64_t operations = 0;

	for (unsigned int i = 0; i < STEP_COUNT; i++)
		operations += load.done[i];
	printf("{\"seconds\": %.3f, \"operations\": %llu, \"assigned\": %llu, \"resent\": %llu, \"refused\": %llu, "
	       "\"refused_with\": %u, \"p50_us\": %llu, \"p99_us\": %llu, \"worst_us\": %llu}\n", seconds,
	       (unsigned long long)operations, (unsigned long long)load.done[STEP_ASSIGN],
	       (unsigned long long)load.resent, (unsigned long long)load.refused, load.refused_with,
	       (unsigned long long)percentile(0.5), (unsigned long long)percentile(0.99),
	       (unsigned long long)load.worst_us);
}

static void parse_options(int argc, char **argv)
{
	__be32 first = htonl(0x0a800001);
	int option;

	load.gateway = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(RSIP_PORT) };
	load.gateway.sin_addr.s_addr = htonl(0x0a000001);
	while ((option = getopt(argc, argv, "g:f:n:w:t:l:a")) > 0) {
		if (option == 'n')
			load.hosts = atoi(optarg);
		else if (option == 'w')
			load.window = atoi(optarg);
		else if (option == 't')
			load.seconds = atoi(optarg);
		else if (option == 'l')
			load.lease = atoi(optarg);
		else if (option == 'a')
			load.together = true;
		else if (option == 'g' && addr_parse(optarg, &load.gateway.sin_addr.s_addr))
			continue;
		else if (option != 'f' || !addr_parse(optarg, &first))
			error(2, 0, "see the head of tests/bench/load.c");
	}
	load.first = ntohl(first);
	for (size_t i = 0; i < sizeof(plans) / sizeof(plans[0]); i++) {
		if (argv[optind] && !strcmp(argv[optind], plans[i].name))
			load.plan = &plans[i];
	}
	if (!load.plan)
		error(2, 0, "see the head of tests/bench/load.c");
}

int main(int argc, char **argv)
{
	parse_options(argc, argv);
	load.host = calloc(load.hosts, sizeof(*load.host));
	load.working = calloc(load.window + 1, sizeof(*load.working));
	open_socket();
	make_templates();
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	load.began = now_us();
	if (load.plan->count == 1)
		probe();
	else
		run();
	report((now_us() - load.began) / 1e6);
	return load.refused || (load.plan->count > 1 && load.finished < load.hosts);
}
