// SPDX-License-Identifier: GPL-2.0-only
/* Raising, lowering and following: kernel.c changes the kernel, libbpf attaches the programs. */
#include "rsip/tunnel.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rsip/proto.h>

#include "lib/addr.h"
#include "lib/log.h"
#include "rsip/kernel.h"
#include "tunnel.skel.h"

#define NAME_FORMAT	"rsip%u"
#define ALIAS_FORMAT	"rsip %s"
#define SLOTS		1000
#define OVERHEAD_IPIP	20
#define OVERHEAD_GRE	24
#define MTU_MIN		576

struct filter_place {		/* an interface with our filter at its ingress */
	int index;
	bool made_clsact;	/* it had no clsact qdisc before */
};

struct tunnel {
	struct kernel kernel;
	char alias[KERNEL_ALIAS_MAX];
	struct tunnel_spec spec;
	struct tunnel_info info;
	struct tunnel_bpf *bpf;
	bool up;
	unsigned int slot;
	int index;		/* of rsipN, 0: none */
	int underlay;
	struct filter_place *places;
	size_t place_count;
};

static int failed(const char *what, int err)
{
	log_error("tunnel: %s: %s", what, strerror(-err));
	return err;
}

/* --- tc filters --------------------------------------------------------------------- */

static int filter_attach(struct tunnel *t, int index, enum bpf_tc_attach_point point, int program, bool *made_clsact)
{
	DECLARE_LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = index, .attach_point = point);
	DECLARE_LIBBPF_OPTS(bpf_tc_opts, opts, .handle = t->slot + 1, .priority = TUNNEL_PRIORITY,
			    .prog_fd = program, .flags = BPF_TC_F_REPLACE);
	int err = bpf_tc_hook_create(&hook);

	if (err && err != -EEXIST)
		return err;
	*made_clsact = err == 0;
	return bpf_tc_attach(&hook, &opts);
}

/* Detaches the filter of a slot; the clsact qdisc goes too if `with_clsact` and nobody uses it. */
static void filter_detach(struct kernel *kernel, int index, unsigned int slot, bool with_clsact)
{
	DECLARE_LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = index, .attach_point = BPF_TC_INGRESS);
	DECLARE_LIBBPF_OPTS(bpf_tc_opts, opts, .handle = slot + 1, .priority = TUNNEL_PRIORITY);

	if (bpf_tc_detach(&hook, &opts) || !with_clsact || kernel_has_filters(kernel, index))
		return;
	hook.attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS;
	bpf_tc_hook_destroy(&hook);
}

static bool place_known(const struct tunnel *t, int index)
{
	for (size_t i = 0; i < t->place_count; i++)
		if (t->places[i].index == index)
			return true;
	return false;
}

/* HOST-02: every interface on which somebody could ask for Nb gets the filter. */
static void filter_link(const struct kernel_link *link, void *arg)
{
	struct tunnel *t = arg;
	struct filter_place *places;
	bool made = false;
	int err;

	if (link->type != ARPHRD_ETHER || link->index == t->index || place_known(t, link->index))
		return;
	places = reallocarray(t->places, t->place_count + 1, sizeof(*places));
	if (places == NULL)
		return;
	t->places = places;
	err = filter_attach(t, link->index, BPF_TC_INGRESS, bpf_program__fd(t->bpf->progs.rsip_decap), &made);
	if (err) {
		if (err != -ENODEV)
			log_warn("tunnel: %s: no filter, it may answer ARP for the leased address: %s", link->name,
				 strerror(-err));
		return;
	}
	places[t->place_count++] = (struct filter_place){ link->index, made };
}

static void filters_remove(struct tunnel *t)
{
	for (size_t i = 0; i < t->place_count; i++)
		filter_detach(&t->kernel, t->places[i].index, t->slot, t->places[i].made_clsact);
	free(t->places);
	t->places = NULL;
	t->place_count = 0;
}

/* A link that went away takes its filter along; its index may come back for another one. */
static void forget_gone(struct tunnel *t)
{
	struct kernel_link link;
	size_t kept = 0;

	for (size_t i = 0; i < t->place_count; i++)
		if (kernel_link_get(&t->kernel, t->places[i].index, &link) != -ENODEV)
			t->places[kept++] = t->places[i];
	t->place_count = kept;
}

/* --- what a killed run left ---------------------------------------------------------- */

struct leftovers {
	struct kernel *kernel;
	const char *alias;
	unsigned int slots[32], slot_count;	/* found by the name of their interface */
	int indexes[32];
	unsigned int slot;			/* being removed */
};

static bool name_slot(const char *name, unsigned int *slot)
{
	char again[IFNAMSIZ];

	if (sscanf(name, NAME_FORMAT, slot) != 1 || *slot >= SLOTS)
		return false;
	snprintf(again, sizeof(again), NAME_FORMAT, *slot);
	return strcmp(again, name) == 0;
}

static void find_leftover(const struct kernel_link *link, void *arg)
{
	struct leftovers *left = arg;
	unsigned int slot;

	if (left->slot_count == sizeof(left->slots) / sizeof(*left->slots) || !name_slot(link->name, &slot) ||
	    strcmp(link->alias, left->alias) != 0)
		return;
	left->indexes[left->slot_count] = link->index;
	left->slots[left->slot_count++] = slot;
}

static void remove_rule(const struct kernel_rule *rule, void *arg)
{
	struct leftovers *left = arg;
	char name[IFNAMSIZ];

	if (rule->protocol != KERNEL_PROTOCOL || rule->table < TUNNEL_BASE || rule->table >= TUNNEL_BASE + SLOTS)
		return;
	snprintf(name, sizeof(name), NAME_FORMAT, rule->table - TUNNEL_BASE);
	/* A rule is made after its interface and removed before it: one without is nobody's. */
	if (rule->table != TUNNEL_BASE + left->slot && if_nametoindex(name) != 0)
		return;
	kernel_rule_delete(left->kernel, rule);
	kernel_default_delete(left->kernel, rule->table, 0);
}

static void remove_filter(const struct kernel_link *link, void *arg)
{
	struct leftovers *left = arg;

	if (link->type == ARPHRD_ETHER)
		filter_detach(left->kernel, link->index, left->slot, true);
}

static int remove_leftovers(struct kernel *kernel, const char *alias)
{
	struct leftovers left = { .kernel = kernel, .alias = alias, .slot = SLOTS };
	int err = kernel_links(kernel, find_leftover, &left);

	if (!err)
		err = kernel_rules(kernel, remove_rule, &left);
	for (unsigned int i = 0; !err && i < left.slot_count; i++) {
		left.slot = left.slots[i];
		log_info("tunnel: removing " NAME_FORMAT ", left by a run that was killed", left.slot);
		err = kernel_rules(kernel, remove_rule, &left);
		kernel_default_delete(kernel, TUNNEL_BASE + left.slot, 0);
		if (!err)
			err = kernel_links(kernel, remove_filter, &left);
		if (!err)
			err = kernel_link_delete(kernel, left.indexes[i]);
	}
	return err;
}

int tunnel_clean(const char *gateway)
{
	char alias[KERNEL_ALIAS_MAX];
	struct kernel kernel;
	int err = kernel_open(&kernel);

	if (err)
		return err;
	snprintf(alias, sizeof(alias), ALIAS_FORMAT, gateway);
	err = remove_leftovers(&kernel, alias);
	kernel_close(&kernel);
	return err;
}

int tunnel_open(struct tunnel **out, const char *gateway)
{
	struct tunnel *t = calloc(1, sizeof(*t));
	int err;

	if (t == NULL)
		return -ENOMEM;
	snprintf(t->alias, sizeof(t->alias), ALIAS_FORMAT, gateway);
	err = kernel_open(&t->kernel);
	if (err) {
		free(t);
		return err;
	}
	*out = t;
	return 0;
}

void tunnel_close(struct tunnel *t)
{
	if (t == NULL)
		return;
	tunnel_lower(t);
	kernel_close(&t->kernel);
	free(t);
}

/* --- the device ----------------------------------------------------------------------- */

struct slot_use {
	uint32_t number;	/* table and preference */
	bool used;
};

static void see_rule(const struct kernel_rule *rule, void *arg)
{
	struct slot_use *use = arg;

	use->used |= rule->table == use->number || rule->preference == use->number;
}

static bool slot_free(struct tunnel *t, unsigned int slot)
{
	struct slot_use use = { .number = TUNNEL_BASE + slot };
	char name[IFNAMSIZ];

	snprintf(name, sizeof(name), NAME_FORMAT, slot);
	return if_nametoindex(name) == 0 && kernel_rules(&t->kernel, see_rule, &use) == 0 && !use.used &&
	       !kernel_table_used(&t->kernel, use.number);
}

/* The first kind of device that this kernel has. */
static int device_make(struct tunnel *t)
{
	const char *tunnel_kind = t->spec.type == RSIP_TUNNEL_GRE ? "gre" : "ipip";
	const char *kinds[] = { tunnel_kind, "dummy", "ifb" };
	int err = -EOPNOTSUPP;

	for (unsigned int i = 0; err == -EOPNOTSUPP && i < sizeof(kinds) / sizeof(*kinds); i++) {
		struct kernel_device device = {
			.name = t->info.name,
			.kind = kinds[i],
			.mtu = t->info.mtu,
			.local = i == 0 ? t->spec.host : 0,
			.remote = i == 0 ? t->spec.end : 0,
		};

		err = kernel_device_add(&t->kernel, &device);
		if (!err)
			t->info.way = i == 0 ? tunnel_kind : "tc/BPF";
	}
	return err;
}

static int slot_take(struct tunnel *t)
{
	int err = -EEXIST;

	for (t->slot = 0; err == -EEXIST && t->slot < SLOTS; t->slot++) {
		if (!slot_free(t, t->slot))
			continue;
		snprintf(t->info.name, sizeof(t->info.name), NAME_FORMAT, t->slot);
		err = device_make(t);
		if (!err) {
			t->info.table = TUNNEL_BASE + t->slot;
			t->index = (int)if_nametoindex(t->info.name);
			return t->index ? 0 : -ENODEV;
		}
	}
	return err;
}

static bool by_programs(const struct tunnel *t)
{
	return strcmp(t->info.way, "tc/BPF") == 0;
}

static int programs_start(struct tunnel *t)
{
	struct rsip_tunnel_config config = {
		.address = t->spec.address,
		.host = t->spec.host,
		.end = t->spec.end,
		.tunnel = (__u32)t->index,
		.underlay = by_programs(t) ? (__u32)t->underlay : 0,
		.proto = t->spec.type == RSIP_TUNNEL_GRE ? IPPROTO_GRE : IPPROTO_IPIP,
	};
	struct kernel_link link;
	bool made;
	int err = kernel_link_get(&t->kernel, t->index, &link);

	if (err)
		return err;
	memcpy(config.mac, link.mac, sizeof(config.mac));
	t->bpf = tunnel_bpf__open_and_load();
	if (t->bpf == NULL)
		return -errno;
	t->bpf->bss->config = config;
	if (by_programs(t))
		err = filter_attach(t, t->index, BPF_TC_EGRESS, bpf_program__fd(t->bpf->progs.rsip_encap), &made);
	if (!err)
		err = kernel_links(&t->kernel, filter_link, t);
	if (!err && by_programs(t) && !place_known(t, t->underlay))
		err = -EOPNOTSUPP;
	return err;
}

/* What comes from Nb goes into the tunnel, and what has to leave by its interface: sockets bound to
 * that, and the routes of IKE daemons, which the kernel takes only if it finds their next hop there. */
static int rules_change(struct tunnel *t, int (*change)(struct kernel *k, const struct kernel_rule *rule))
{
	struct kernel_rule from = { .preference = t->info.table, .table = t->info.table, .protocol = KERNEL_PROTOCOL };
	struct kernel_rule out = from;
	int err, also;

	from.from = t->spec.address;
	memcpy(out.out, t->info.name, sizeof(out.out));
	err = change(&t->kernel, &from);
	also = change(&t->kernel, &out);
	return err ? err : also;
}

static int routing_start(struct tunnel *t)
{
	int err = kernel_address_add(&t->kernel, t->index, t->spec.address);

	if (!err)
		err = kernel_default_add(&t->kernel, t->info.table, t->index, t->spec.address);
	/* Should rsipN go down, traffic from Nb must not leave another way (HOST-03). */
	if (!err)
		err = kernel_default_add(&t->kernel, t->info.table, 0, 0);
	if (!err)
		err = rules_change(t, kernel_rule_add);
	return err;
}

static void routing_stop(struct tunnel *t)
{
	rules_change(t, kernel_rule_delete);
	kernel_default_delete(&t->kernel, t->info.table, 0);
}

/* --- raising, lowering, following --------------------------------------------------------- */

/* Takes the way to the end point as the kernel has it now. */
static int underlay_find(struct tunnel *t, int *index, uint32_t *mtu, char name[static IFNAMSIZ])
{
	uint32_t overhead = t->spec.type == RSIP_TUNNEL_GRE ? OVERHEAD_GRE : OVERHEAD_IPIP;
	struct kernel_path path;
	int err = kernel_path(&t->kernel, t->spec.end, t->spec.host, &path);

	if (err)
		return err;
	if (path.index == t->index)
		return -ELOOP;
	if (path.mtu < MTU_MIN + overhead || if_indextoname((unsigned int)path.index, name) == NULL)
		return -ENETUNREACH;
	*index = path.index;
	*mtu = path.mtu - overhead;
	return 0;
}

int tunnel_raise(struct tunnel *t, const struct tunnel_spec *spec)
{
	const char *step = "no way to the end point";
	int err;

	tunnel_lower(t);
	t->spec = *spec;
	memset(&t->info, 0, sizeof(t->info));
	err = underlay_find(t, &t->underlay, &t->info.mtu, t->info.underlay);
	if (!err) {
		step = "cannot make the interface (no ipip or gre, dummy or ifb device in this kernel?)";
		err = slot_take(t);
	}
	if (err)
		return failed(step, err);
	t->up = true;
	kernel_link_no_ipv6(&t->kernel, t->index);
	step = "cannot mark the interface as ours";
	err = kernel_link_alias(&t->kernel, t->index, t->alias);
	if (!err) {
		step = "cannot load or attach the tc programs (the underlying interface has to be Ethernet)";
		err = programs_start(t);
	}
	if (!err) {
		step = "cannot bring the interface up";
		err = kernel_link_up(&t->kernel, t->index);
	}
	if (!err) {
		step = "cannot set address, routes and rule";
		err = routing_start(t);
	}
	if (err) {
		failed(step, err);
		tunnel_lower(t);
	}
	return err;
}

void tunnel_lower(struct tunnel *t)
{
	if (!t->up)
		return;
	routing_stop(t);
	filters_remove(t);
	kernel_link_delete(&t->kernel, t->index);
	tunnel_bpf__destroy(t->bpf);
	t->bpf = NULL;
	t->index = 0;
	t->up = false;
}

bool tunnel_is_up(const struct tunnel *t)
{
	return t->up;
}

/* There is no way with Xa as source. Would there be one with another? (What the kernel
 * returns for a source that is not its own differs between versions.) */
static int no_way(struct tunnel *t, int err)
{
	struct kernel_path path;

	if (!kernel_is_local(&t->kernel, t->spec.host) && kernel_path(&t->kernel, t->spec.end, 0, &path) == 0)
		return -EADDRNOTAVAIL;
	return err;
}

int tunnel_follow(struct tunnel *t)
{
	char name[IFNAMSIZ] = "";
	struct kernel_link link;
	uint32_t mtu;
	int index, err;

	if (!t->up)
		return 0;
	if (kernel_link_get(&t->kernel, t->index, &link) == -ENODEV)
		return -ENODEV;
	forget_gone(t);
	err = kernel_links(&t->kernel, filter_link, t);
	if (err)
		return err;
	err = underlay_find(t, &index, &mtu, name);
	if (err)
		return no_way(t, err);
	if (index == t->underlay && mtu == t->info.mtu)
		return 0;
	if (by_programs(t)) {
		if (!place_known(t, index))
			return -EOPNOTSUPP;
		t->bpf->bss->config.underlay = (__u32)index;
	}
	log_info("tunnel: %s now leaves by %s, MTU %u", t->info.name, name, mtu);
	t->underlay = index;
	t->info.mtu = mtu;
	memcpy(t->info.underlay, name, sizeof(name));
	return kernel_link_mtu(&t->kernel, t->index, mtu);
}

const struct tunnel_info *tunnel_info(const struct tunnel *t)
{
	return &t->info;
}

void tunnel_counters(struct tunnel *t, uint64_t out[static RSIP_TUNNEL_COUNTER_COUNT])
{
	struct kernel_link link = { 0 };

	for (unsigned int i = 0; i < RSIP_TUNNEL_COUNTER_COUNT; i++)
		out[i] = t->bpf->bss->counters[i];
	if (by_programs(t) || kernel_link_get(&t->kernel, t->index, &link))
		return;
	out[RSIP_TUNNEL_SENT] = link.tx_packets;
	out[RSIP_TUNNEL_SENT_BYTES] = link.tx_bytes;
	out[RSIP_TUNNEL_RECEIVED] = link.rx_packets;
	out[RSIP_TUNNEL_RECEIVED_BYTES] = link.rx_bytes;
}
