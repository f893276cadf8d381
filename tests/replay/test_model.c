// SPDX-License-Identifier: GPL-2.0-only
/*
 * The model (../model.h) and the real sessions, leases and pools in simulated
 * time: requests and answers lost, doubled and late, and the data plane held
 * against the model as well.
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../model.h"
#include "../random.h"
#include "../unit/gateway.h"
#include "lib/log.h"

#define OPERATIONS	250000

struct world {
	struct gateway *g;
	struct model *m;
	struct config_client rules[MODEL_GROUPS];
	uint64_t repeated;
};

void model_failed(const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	cr_assert_fail("%s", text);
	abort();
}

/* --- the driver ------------------------------------------------------------------------ */

static struct origin origin_of(unsigned int host)
{
	return udp_host((MODEL_FIRST_HOST & 0xff) + host);
}

static unsigned int host_of(const struct origin *origin)
{
	return ntohl(origin->source) - MODEL_FIRST_HOST;
}

static struct span now(void *arg)
{
	const struct world *w = arg;

	return (struct span){ w->g->now, w->g->now };
}

static struct span ask(unsigned int host, const uint8_t *request, size_t len, uint8_t *answer, size_t *answer_len,
		       void *arg)
{
	struct world *w = arg;

	gateway_input(w->g, origin_of(host), request, len);
	cr_assert_eq(w->g->sent, 1, "%zu answers to %s", w->g->sent, msg_type_name(request[1]));
	*answer_len = w->g->box[0].len;
	memcpy(answer, w->g->box[0].data, *answer_len);
	if (!arc4random_uniform(4)) {		/* its answer was lost, or it came twice */
		gateway_input(w->g, origin_of(host), request, len);
		cr_assert_eq(w->g->sent, 1);
		cr_assert_eq(w->g->box[0].len, *answer_len);
		cr_assert_arr_eq(w->g->box[0].data, answer, *answer_len);
		w->repeated++;
	}
	return now(w);
}

static void late(unsigned int host, const uint8_t *request, size_t len, void *arg)
{
	struct world *w = arg;

	gateway_input(w->g, origin_of(host), request, len);
	cr_assert_eq(w->g->sent, 0, "an old %s is answered", msg_type_name(request[1]));
}

static void wait_ms(uint64_t ms, void *arg)
{
	struct world *w = arg;

	gateway_wait(w->g, ms);
	for (size_t i = 0; i < w->g->sent; i++)
		model_told(w->m, host_of(&w->g->box[i].to), w->g->box[i].data, w->g->box[i].len);
}

static bool deregister(uint32_t client, void *arg)
{
	struct world *w = arg;

	w->g->sent = 0;
	return session_evict(w->g->s, client, w->g->now);
}

static bool free_bind(uint32_t client, uint32_t bind, void *arg)
{
	struct world *w = arg;

	w->g->sent = 0;
	return session_free_bind(w->g->s, client, bind, w->g->now);
}

/* --- comparing --------------------------------------------------------------------------- */

static __be32 owner(const struct holding *holding)
{
	return holding->host ? origin_of(holding->host - 1).source : 0;
}

static void compare_bind(const struct world *w, unsigned int host, const struct model_lease *lease)
{
	struct datapath_bind bind;

	cr_assert(datapath_fake_bind(w->g->dp, origin_of(host).source, lease->id, &bind));
	cr_assert_eq(bind.remote, lease->remote);
	cr_assert_eq(bind.remote_port, htons(lease->remote_port));
	cr_assert_eq(bind.whole, lease->whole);
	cr_assert_eq(bind.ends, lease->ends.last);
}

static void compare_hosts(const struct world *w)
{
	uint32_t clients = 0, binds = 0;

	for (unsigned int i = 0; i < MODEL_HOSTS; i++) {
		clients += w->m->hosts[i].registered;
		for (unsigned int j = 0; j < MODEL_PLACES; j++) {
			if (!w->m->hosts[i].binds[j].id)
				continue;
			compare_bind(w, i, &w->m->hosts[i].binds[j]);
			binds++;
		}
	}
	cr_assert_eq(lease_client_count(session_leases(w->g->s)), clients);
	cr_assert_eq(lease_bind_count(session_leases(w->g->s)), binds);
	cr_assert_eq(datapath_fake_binds(w->g->dp), binds);
}

static void compare(const struct world *w)
{
	const struct model *m = w->m;

	compare_hosts(w);
	for (unsigned int a = 0; a < MODEL_ADDRESSES; a++) {
		__be32 addr = htonl(MODEL_FIRST_ADDR + a);

		for (unsigned int i = 0; i < MODEL_PORTS; i++)
			cr_assert_eq(datapath_fake_port(w->g->dp, addr, MODEL_FIRST_PORT + i), owner(&m->ports[a][i]));
		for (unsigned int i = 0; i < MODEL_SPIS; i++)
			cr_assert_eq(datapath_fake_spi(w->g->dp, addr, MODEL_FIRST_SPI + i), owner(&m->spis[a][i]));
	}
	for (unsigned int i = 0; i < MODEL_WHOLE; i++)
		cr_assert_eq(datapath_fake_whole(w->g->dp, htonl(MODEL_FIRST_WHOLE + i)), owner(&m->whole[i]));
	cr_assert_null(datapath_fake_fault(w->g->dp), "%s", datapath_fake_fault(w->g->dp));
}

/* --- the whole -------------------------------------------------------------------------- */

static void configure(struct world *w, const struct model_driver *driver)
{
	struct gateway *g = w->g;

	g->range = (struct addr_range){ MODEL_FIRST_ADDR, MODEL_FIRST_ADDR + MODEL_ADDRESSES - 1 };
	g->pool.ports.first = MODEL_FIRST_PORT;
	g->pool.ports.last = MODEL_FIRST_PORT + MODEL_PORTS - 1;
	g->pool.spis.first = MODEL_FIRST_SPI;
	g->pool.spis.last = MODEL_FIRST_SPI + MODEL_SPIS - 1;
	gateway_lend_whole(g, "192.0.2.17", "192.0.2.20");
	g->rule.max_binds = MODEL_MAX_BINDS;
	g->rule.max_ports = MODEL_MAX_PORTS;
	g->rule.max_spis = MODEL_MAX_SPIS;
	g->rule.max_addresses = MODEL_MAX_ADDRESSES;
	for (unsigned int i = 0; i < MODEL_GROUPS; i++) {
		struct model_group group = model_group(i * MODEL_GROUP_HOSTS);

		w->rules[i] = g->rule;
		w->rules[i].match = (struct addr_prefix){ htonl(MODEL_FIRST_HOST + i * MODEL_GROUP_HOSTS), 29 };
		w->rules[i].local_policy = group.local_micro ? RSIP_POLICY_MICRO : RSIP_POLICY_MACRO;
		w->rules[i].remote_policy = group.remote_micro ? RSIP_POLICY_MICRO :
					    group.remote_macro ? RSIP_POLICY_MACRO : RSIP_POLICY_NONE;
	}
	g->config.clients = w->rules;
	g->config.client_count = MODEL_GROUPS;
	g->config.leases.registration = g->config.leases.normal = driver->registration;
	g->config.leases.maximum = driver->maximum;
	g->config.leases.hold_down = driver->hold_down;
}

ParameterizedTestParameters(model, random_operations)
{
	static unsigned int seeds[] = { 1, 2, 3, 4, 5, 6 };

	return cr_make_param_array(unsigned int, seeds, sizeof(seeds) / sizeof(seeds[0]));
}

/* covers: E-05 RSA-07 RSA-13 RSA-14 RSAP-16 IPS-19 LSN-06 LSN-09 FLOW-02 FLOW-04 FLOW-05 T-18 LSE-03 EXT-08 */
ParameterizedTest(unsigned int *seed, model, random_operations)
{
	struct world w = { .m = calloc(1, sizeof(struct model)) };
	const struct model_driver driver = {
		.registration = 600, .maximum = 900, .hold_down = 120, .wait = 600, .now = now, .ask = ask, .late = late,
		.wait_ms = wait_ms, .deregister = deregister, .free_bind = free_bind, .arg = &w,
	};

	random_reset(*seed);
	w.m->driver = &driver;
	w.g = gateway_new();
	configure(&w, &driver);
	gateway_start(w.g);
	for (unsigned int i = 0; i < OPERATIONS; i++) {
		model_operate(w.m);
		if (i % 512 == 0) {
			model_run_out(w.m);
			compare(&w);
		}
	}
	cr_assert_gt(w.m->granted, OPERATIONS / 50);
	cr_assert_gt(w.m->refused, OPERATIONS / 50);
	cr_assert_gt(w.repeated, OPERATIONS / 50);
	model_run_out(w.m);
	compare(&w);
	gateway_free(w.g);
	free(w.m);
}
