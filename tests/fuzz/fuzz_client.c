// SPDX-License-Identifier: GPL-2.0-only
/*
 * Messages and time against the host's state machine. The input is a list of
 * steps: what in one byte, two bytes of length or number, the bytes of a message
 * or of a wish. In a message, a Message Counter of 1 to 255 stands for that of
 * the last request, so that answers fit.
 *
 * covers: W-31
 */
#include "fuzz.h"

#include <stdbool.h>

#include "rsip/client.h"

enum {
	STEP_INPUT, STEP_RUN, STEP_RUN_LONG, STEP_START, STEP_STOP, STEP_QUERY, STEP_RECONNECT, STEP_ADD, STEP_DROP, STEP_COUNT
};

#define WANTS_MAX	8
#define IDS_MAX		(WANTS_MAX * 256)	/* under local micro policy each port is a lease of its own */

struct run {
	struct client *c;
	uint64_t now;
	uint32_t counter;		/* of the last request */
	uint8_t type;
	unsigned int wants;		/* how many were added */
	unsigned int last;		/* the last number given */
	bool leased[IDS_MAX];		/* by number */
	bool stopping, asking, changed;
};

static void on_send(const uint8_t *data, size_t len, void *arg)
{
	struct run *run = arg;
	struct msg_fault fault;
	struct msg m;

	claim(msg_decode(data, len, MSG_AT_GATEWAY, MSG_UDP, &m, &fault), "%s", fault.text);
	run->counter = m.counter;
	run->type = m.type;
}

static void on_tcp(void *arg)
{
	struct run *run = arg;

	claim(!run->changed, "changed to TCP twice");
	run->changed = true;
}

static void check_lease(const struct run *run, const struct client_lease *lease)
{
	claim(lease->expires > run->now, "it has run out");
	claim(lease->tunnel == RSIP_TUNNEL_IPIP || lease->tunnel == RSIP_TUNNEL_GRE, "tunnel %u", lease->tunnel);
	claim(lease->ports.form != MSG_ANY, "%u ports, whichever", lease->ports.count);
	for (unsigned int i = 0; i < lease->spis.count; i++)
		claim(msg_spi_at(&lease->spis, i) >= RSIP_SPI_FIRST, "SPI %u", msg_spi_at(&lease->spis, i));
}

static void on_granted(const struct client_lease *lease, void *arg)
{
	struct run *run = arg;

	claim(lease->id && lease->id < IDS_MAX, "lease %u of %u wants", lease->id, run->wants);
	claim(!run->leased[lease->id], "lease %u a second time", lease->id);
	run->leased[lease->id] = true;
	check_lease(run, lease);
}

static void on_extended(const struct client_lease *lease, void *arg)
{
	const struct run *run = arg;

	claim(run->leased[lease->id], "no lease %u to extend", lease->id);
}

static void on_ended(const struct client_lease *lease, enum client_end why, void *arg)
{
	struct run *run = arg;

	claim(run->leased[lease->id], "no lease %u to end", lease->id);
	run->leased[lease->id] = false;
	for (unsigned int i = 0; i < lease->spis.count; i++)
		claim(msg_spi_at(&lease->spis, i) >= RSIP_SPI_FIRST, "SPI %u", msg_spi_at(&lease->spis, i));
}

static void on_gone(unsigned int id, void *arg)
{
	const struct run *run = arg;

	claim(!run->leased[id], "lease %u is gone without an end", id);
}

static void on_failed(const struct client_failure *failure, void *arg)
{
}

static void on_state(enum client_state state, void *arg)
{
}

static void on_answer(const struct msg *response, void *arg)
{
	struct run *run = arg;

	claim(run->asking, "an answer to no question");
	run->asking = false;
}

static void on_stopped(void *arg)
{
	struct run *run = arg;

	claim(run->stopping, "nobody stopped it");
	run->stopping = false;
}

static const struct client_ops ops = {
	.send = on_send,
	.use_tcp = on_tcp,
	.granted = on_granted,
	.extended = on_extended,
	.ended = on_ended,
	.gone = on_gone,
	.failed = on_failed,
	.state = on_state,
	.answer = on_answer,
	.stopped = on_stopped,
};

static void check(const struct run *run)
{
	struct client_status status;
	struct client_item item;
	unsigned int leases = 0;

	client_status(run->c, &status);
	for (unsigned int id = 0; client_next(run->c, id, &item); id = item.id) {
		claim(!!item.lease == run->leased[item.id], "lease %u: it told nobody of it, or ended it in silence", item.id);
		leases += !!item.lease;
	}
	claim((status.state == CLIENT_ASSIGNED) == !!leases, "state %d with %u leases", status.state, leases);
	claim(!leases || status.registered, "a lease without registration");
	claim(status.method_count <= MSG_REPEAT_MAX && status.tunnel_count <= MSG_REPEAT_MAX, "too many");
}

static void pass(struct run *run, uint64_t ms)
{
	uint64_t next;

	run->now += ms;
	next = client_run(run->c, run->now);
	claim(!next || next > run->now, "to be called again %llu ms ago", (unsigned long long)(run->now - next));
}

static uint32_t real_counter(uint32_t value, void *arg)
{
	const struct run *run = arg;

	return value && value < 0x100 ? run->counter : value;
}

static void take_message(struct run *run, struct reader *r, size_t len)
{
	uint8_t *data = fuzz_take(r, &len);

	fuzz_map_param(data, len, RSIP_PARAM_MESSAGE_COUNTER, real_counter, run);
	client_input(run->c, data, len, run->now);
	free(data);		/* what it keeps it has copied */
}

/* What is wanted, as the command line can make it: what does not fit is left out. */
static void add(struct run *run, uint16_t number, struct reader *r)
{
	struct want want = {
		.kind = number & 3, .spis = number >> 2 & 7, .tunnel = number >> 5 & 3, .lease = number >> 7 & 1 ? 60 : 0,
		.ports = number >> 9,
	};

	if (number & 256) {
		want.local = read_u32(r);
		want.first_port = read_u16(r);
		want.remote = read_u32(r);
		want.remote_port = read_u16(r);
		want.exact = want.first_port & 1;
	}
	want.tunnel = want.tunnel == 3 ? 0 : want.tunnel;
	want.first_port = want.first_port + want.ports > 65535 ? 0 : want.first_port;
	want.spis = want.kind == WANT_IPSEC ? want.spis + 1 : 0;
	if (!want.ports && (want.kind == WANT_PORTS || want.kind == WANT_LISTEN))
		want.ports = 1;
	if (run->wants < WANTS_MAX) {
		unsigned int id = client_add(run->c, &want, run->now);

		claim(!id || id > run->last, "number %u after %u", id, run->last);
		run->last = id ? id : run->last;
		run->wants++;
	}
}

static void query(struct run *run, unsigned int count)
{
	struct msg_tuple tuples[16] = { 0 };

	for (unsigned int i = 0; i < 16; i++) {
		tuples[i].indicator = 1 + i % 2;
		tuples[i].addr = (struct msg_addr){ .type = RSIP_ADDR_IPV4, .v4 = 0x0a0a0a0a };
		tuples[i].mask = 0xffffffff;
	}
	if (run->asking)
		return;
	run->asking = true;	/* the answer may come before it returns */
	if (!client_query(run->c, tuples, count % 17, run->now))
		run->asking = false;
}

static void step(struct run *run, struct reader *r)
{
	uint8_t what = read_u8(r);
	uint16_t number = read_u16(r);

	switch (what % STEP_COUNT) {
	case STEP_INPUT:
		return take_message(run, r, number);
	case STEP_RUN:
		return pass(run, number);
	case STEP_RUN_LONG:
		return pass(run, number * 1000ull);
	case STEP_START:
		run->stopping = false;
		return client_start(run->c, run->now);
	case STEP_ADD:
		return add(run, number, r);
	case STEP_DROP:
		return client_drop(run->c, number % (WANTS_MAX + 1), run->now);
	case STEP_STOP:
		run->stopping = true;
		return client_stop(run->c, run->now);
	case STEP_QUERY:
		return query(run, number);
	case STEP_RECONNECT:
		return client_reconnected(run->c, run->now);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct reader r = { data, len, false };
	struct run run = { .now = 1000000 };

	run.c = client_new(&ops, NULL, &run);
	claim(run.c, "no client");
	while (r.left && !r.failed) {
		step(&run, &r);
		check(&run);
	}
	client_free(run.c);
	return 0;
}
