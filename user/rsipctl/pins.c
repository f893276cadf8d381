/* SPDX-License-Identifier: GPL-2.0-only */
/* Reading pinned maps. */
#include "rsipctl/pins.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rsip/datapath.h>
#include <rsip/proto.h>
#include "lib/msg.h"
#include "lib/show.h"

/* The descriptor of a map, or -errno. */
static int open_map(const char *pin, const char *name)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/%s/%s", pin, RSIP_LAYOUT, name);
	fd = bpf_obj_get(path);
	return fd < 0 ? -errno : fd;
}

int pins_counters(const char *pin, json_t **out)
{
	struct rsip_counter sums[RSIP_OUTCOME_COUNT] = { 0 }, *cpus;
	int fd = open_map(pin, "rsip_counters"), count = libbpf_num_possible_cpus(), err = 0;

	if (fd < 0)
		return fd;
	cpus = count > 0 ? calloc((size_t)count, sizeof(*cpus)) : NULL;
	if (!cpus)
		err = -ENOMEM;
	for (__u32 i = 1; i < RSIP_OUTCOME_COUNT && !err; i++) {
		if (bpf_map_lookup_elem(fd, &i, cpus)) {
			err = -errno;
			break;
		}
		for (int cpu = 0; cpu < count; cpu++) {
			sums[i].packets += cpus[cpu].packets;
			sums[i].bytes += cpus[cpu].bytes;
		}
	}
	if (!err)
		*out = json_pack("{so}", "outcomes", show_counters(sums));
	free(cpus);
	close(fd);
	return err;
}

/* --- rsip_binds and rsip_binds_rare, mapped ------------------------------------------------ */

struct binds {
	const struct rsip_bind *at;
	const struct rsip_bind_rare *rare;
	size_t count;
	__u32 tick;		/* now */
};

/* What rsip_tick() says now. Nothing but a program may read jiffies. */
static int read_tick(__u32 *out)
{
	static const struct bpf_insn code[] = {
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_jiffies64 },
		{ .code = BPF_ALU64 | BPF_RSH | BPF_K, .dst_reg = BPF_REG_0, .imm = RSIP_TICK_SHIFT },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, load, .prog_flags = BPF_F_SLEEPABLE);
	LIBBPF_OPTS(bpf_test_run_opts, run);
	int fd = bpf_prog_load(BPF_PROG_TYPE_SYSCALL, "rsip_tick", "GPL", code, sizeof(code) / sizeof(code[0]), &load), err;

	if (fd < 0)
		return fd;
	err = bpf_prog_test_run_opts(fd, &run);
	*out = run.retval;
	close(fd);
	return err;
}

static void binds_close(const struct binds *binds)
{
	if (binds->at)
		munmap((void *)binds->at, binds->count * sizeof(*binds->at));
	if (binds->rare)
		munmap((void *)binds->rare, binds->count * sizeof(*binds->rare));
}

/* An array whose elements have `size` bytes each. NULL: `err` says why. */
static const void *map_array(const char *pin, const char *name, size_t size, size_t *count, int *err)
{
	struct bpf_map_info info = { 0 };
	__u32 info_len = sizeof(info);
	void *memory = MAP_FAILED;
	int fd = open_map(pin, name);

	*err = fd < 0 ? fd : 0;
	if (!*err && bpf_obj_get_info_by_fd(fd, &info, &info_len))
		*err = -errno;
	if (!*err && info.value_size != size)
		*err = -EPROTO;
	if (!*err)
		memory = mmap(NULL, info.max_entries * size, PROT_READ, MAP_SHARED, fd, 0);
	if (!*err && memory == MAP_FAILED)
		*err = -errno;
	if (fd >= 0)
		close(fd);
	*count = info.max_entries;
	return *err ? NULL : memory;
}

static int binds_open(const char *pin, struct binds *out)
{
	size_t rare_count;
	int err;

	*out = (struct binds){ 0 };
	out->at = map_array(pin, "rsip_binds", sizeof(*out->at), &out->count, &err);
	if (!err)
		out->rare = map_array(pin, "rsip_binds_rare", sizeof(*out->rare), &rare_count, &err);
	if (!err && rare_count != out->count)
		err = -EPROTO;
	if (!err)
		err = read_tick(&out->tick);
	if (err)
		binds_close(out);
	return err;
}

/* Those that have ended stay until the daemon takes them out of their slots. */
static bool is_live(const struct binds *binds, size_t slot)
{
	return binds->at[slot].generation && !rsip_is_over(binds->at[slot].ends, binds->tick);
}

/* --- clients ------------------------------------------------------------------------- */

struct owners {			/* whose the live binds are, in order */
	__be32 *list;
	size_t count;
};

static int by_address(const void *a, const void *b)
{
	const __be32 *left = a, *right = b;

	return *left == *right ? 0 : *left < *right ? -1 : 1;
}

static int owners_read(const char *pin, struct owners *out)
{
	struct binds binds;
	int err = binds_open(pin, &binds);

	if (err)
		return err;
	out->list = malloc(binds.count * sizeof(*out->list));
	for (size_t slot = 0; slot < binds.count && out->list; slot++) {
		if (is_live(&binds, slot))
			out->list[out->count++] = binds.at[slot].client;
	}
	binds_close(&binds);
	if (!out->list)
		return -ENOMEM;
	qsort(out->list, out->count, sizeof(*out->list), by_address);
	return 0;
}

static size_t owners_count(const struct owners *owners, __be32 client)
{
	const __be32 *end = owners->list + owners->count, *first, *last;

	first = last = bsearch(&client, owners->list, owners->count, sizeof(client), by_address);
	if (!first)
		return 0;
	while (first > owners->list && first[-1] == client)
		first--;
	while (last < end && *last == client)
		last++;
	return (size_t)(last - first);
}

static json_t *show_client(__be32 address, const struct rsip_client *client, size_t binds)
{
	char interface[IF_NAMESIZE];

	return json_pack("{sI so sI ss?}", "client_id", (json_int_t)client->client_id, "client", show_addr(address),
			 "binds", (json_int_t)binds, "interface", if_indextoname(client->ifindex, interface));
}

int pins_clients(const char *pin, json_t **out)
{
	int fd = open_map(pin, "rsip_clients"), err;
	__be32 key, *previous = NULL;
	struct owners owners = { 0 };
	struct rsip_client client;

	if (fd < 0)
		return fd;
	err = owners_read(pin, &owners);
	if (!err)
		*out = json_array();
	while (!err && !bpf_map_get_next_key(fd, previous, &key)) {
		if (!bpf_map_lookup_elem(fd, &key, &client))
			json_array_append_new(*out, show_client(key, &client, owners_count(&owners, key)));
		previous = &key;
	}
	free(owners.list);
	close(fd);
	return err;
}

/* --- bindings ---------------------------------------------------------------------------- */

/* Which number, a port or an SPI, leads to which bind. */
struct lead {
	struct rsip_target target;
	uint32_t number;
};

struct leads {
	struct lead *list;
	size_t count, capacity;
};

static int add_lead(struct leads *leads, const struct rsip_target *target, uint32_t number)
{
	if (leads->count == leads->capacity) {
		size_t capacity = leads->capacity ? 2 * leads->capacity : 1024;
		struct lead *list = realloc(leads->list, capacity * sizeof(*list));

		if (!list)
			return -ENOMEM;
		leads->list = list;
		leads->capacity = capacity;
	}
	leads->list[leads->count++] = (struct lead){ *target, number };
	return 0;
}

static int by_bind(const void *a, const void *b)
{
	const struct lead *left = a, *right = b;

	if (left->target.bind != right->target.bind)
		return left->target.bind < right->target.bind ? -1 : 1;
	if (left->number != right->number)
		return left->number < right->number ? -1 : 1;
	return 0;
}

static int read_ports(int fd, struct leads *leads)
{
	struct rsip_port_key key, *previous = NULL;
	struct rsip_target target;

	while (!bpf_map_get_next_key(fd, previous, &key)) {
		if (!bpf_map_lookup_elem(fd, &key, &target) && add_lead(leads, &target, ntohs(key.port)))
			return -ENOMEM;
		previous = &key;
	}
	return 0;
}

/* An SPI stands there for ESP and for AH: once is enough. */
static int read_spis(int fd, struct leads *leads)
{
	struct rsip_spi_key key, *previous = NULL;
	struct rsip_target target;

	while (!bpf_map_get_next_key(fd, previous, &key)) {
		if (key.proto == RSIP_PROTO_ESP && !bpf_map_lookup_elem(fd, &key, &target) &&
		    add_lead(leads, &target, ntohl(key.spi)))
			return -ENOMEM;
		previous = &key;
	}
	return 0;
}

static int read_leads(const char *pin, const char *name, int (*read)(int fd, struct leads *leads), struct leads *leads)
{
	int fd = open_map(pin, name), err;

	if (fd < 0)
		return fd;
	err = read(fd, leads);
	close(fd);
	if (!err && leads->count)
		qsort(leads->list, leads->count, sizeof(*leads->list), by_bind);
	return err;
}

/* The numbers of the bind in `slot`. Slots are asked for in rising order: `at` moves along. */
static json_t *show_leads(const struct leads *leads, size_t *at, uint32_t slot, uint32_t generation, bool hex)
{
	uint32_t numbers[RSIP_SPIS_MAX];
	size_t count = 0;

	while (*at < leads->count && leads->list[*at].target.bind < slot)
		++*at;
	for (; *at < leads->count && leads->list[*at].target.bind == slot; ++*at) {
		const struct lead *lead = &leads->list[*at];

		if (lead->target.generation == generation && count < RSIP_SPIS_MAX)
			numbers[count++] = lead->number;
	}
	return show_numbers(numbers, count, hex);
}

static json_t *show_client_id(int clients, __be32 address)
{
	struct rsip_client client;

	if (clients < 0 || bpf_map_lookup_elem(clients, &address, &client))
		return json_null();
	return json_integer(client.client_id);
}

static uint8_t method_of(const struct rsip_bind *bind)
{
	if (bind->flags & RSIP_BIND_WHOLE)
		return RSIP_METHOD_RSA;
	return bind->flags & RSIP_BIND_IPSEC ? RSIP_METHOD_RSIPSEC : RSIP_METHOD_RSAP;
}

static json_t *list_binds(const struct binds *binds, const struct leads *ports, const struct leads *spis, int clients)
{
	json_t *list = json_array();
	size_t port = 0, spi = 0;

	for (uint32_t slot = 0; slot < binds->count; slot++) {
		const struct rsip_bind *bind = &binds->at[slot];
		const struct rsip_bind_rare *rare = &binds->rare[slot];

		if (!is_live(binds, slot))
			continue;
		json_array_append_new(list, json_pack("{so sI so so so so so so ss ss}",
			"client_id", show_client_id(clients, bind->client),
			"bind_id", (json_int_t)rare->bind_id,
			"client", show_addr(bind->client),
			"gateway", show_addr(bind->gateway),
			"address", show_addr(bind->addr),
			"ports", show_leads(ports, &port, slot, bind->generation, false),
			"spis", show_leads(spis, &spi, slot, bind->generation, true),
			"remote", show_remote(rare->remote, ntohs(rare->remote_port)),
			"tunnel", msg_tunnel_name(bind->tunnel == RSIP_PROTO_GRE ? RSIP_TUNNEL_GRE : RSIP_TUNNEL_IPIP),
			"method", msg_method_name(method_of(bind))));
	}
	return list;
}

int pins_bindings(const char *pin, json_t **out)
{
	struct leads ports = { 0 }, spis = { 0 };
	struct binds binds = { 0 };
	int clients, err = binds_open(pin, &binds);

	if (err)
		return err;
	err = read_leads(pin, "rsip_ports", read_ports, &ports);
	if (!err)
		err = read_leads(pin, "rsip_spis", read_spis, &spis);
	clients = open_map(pin, "rsip_clients");
	if (!err)
		*out = list_binds(&binds, &ports, &spis, clients);
	if (clients >= 0)
		close(clients);
	binds_close(&binds);
	free(ports.list);
	free(spis.list);
	return err;
}
