// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a packet costs in the data plane. To be started in the network
 * namespace of a gateway made by bench_packets.sh:
 *
 *   packets                the programs alone, run over and over in the kernel,
 *                          each after a step that writes the packet anew
 *   packets X-NS Y-NS      frames from a generator in one namespace through this
 *                          one to a sink in the other, everything on one CPU
 *
 * Prints a line of JSON for each figure. Costs are medians of ROUNDS rounds, in
 * each of which everything is measured once; CPU time of this thread, which
 * does all the work, so that others on the machine disturb as little as possible.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>

#include <rsip/proto.h>
#include "lib/log.h"
#include "rsipd/datapath.h"
#include "packets.h"
#include "tests/bench/packets.skel.h"

#define ROUNDS		7
#define REPEAT		400000		/* runs for one figure of a program */
#define FRAMES		1000000		/* frames for one figure of the lab */
#define TABLES		3
#define FRAME_LEN	98		/* of the plain packet */

static const uint32_t table_sizes[TABLES] = { 1, 10000, 1000000 };

struct table {
	uint32_t binds, cookies;
	struct datapath *dp;
	struct packets_bpf *skel;
};

static void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fprintf(stderr, "packets: ");
	vfprintf(stderr, format, args);
	fprintf(stderr, "\n");
	va_end(args);
	exit(1);
}

/* --- the gateway's tables -------------------------------------------------------------- */

static struct config *configuration(const char *pin, uint32_t binds)
{
	static struct config_interface lan = { .name = "lan0" }, wan = { .name = "wan0" };
	static struct addr_range range = { BENCH_POOL, BENCH_POOL + BENCH_POOL_SIZE - 1 };
	static struct config_pool pool = { .name = "bench", .addresses = &range, .address_count = 1 };
	struct config *config = calloc(1, sizeof(*config));

	lan.address = htonl(BENCH_GATEWAY);
	*config = (struct config){
		.private_interfaces = &lan, .private_count = 1, .public_interfaces = &wan, .public_count = 1,
		.pools = &pool, .pool_count = 1,
		.datapath = { .mode = CONFIG_MODE_NATIVE, .pin = strdup(pin), .max_bindings = binds + 8192 },
	};
	return config;
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void add_cookie(const struct table *t, uint32_t i, const struct datapath_bind *bind)
{
	struct rsip_cookie_key key = { .addr = bind->addr, .port = htons(RSIP_IKE_PORT) };
	struct rsip_cookie cookie = { .target.bind = bind->slot, .peer = htonl(BENCH_PEER), .used = 1 };
	struct rsip_bind made;
	uint64_t number = bench_cookie(i);

	memcpy(key.cookie, &number, sizeof(number));
	bpf_map__lookup_elem(t->skel->maps.rsip_binds, &bind->slot, sizeof(bind->slot), &made, sizeof(made), 0);
	cookie.target.generation = made.generation;
	if (bpf_map__update_elem(t->skel->maps.rsip_cookies, &key, sizeof(key), &cookie, sizeof(cookie), 0))
		die("cookie %u: %s", i, strerror(errno));
}

/* As the pool does: of a few random ones one whose slot is free. */
static uint32_t choose_spi(const struct datapath *dp, uint32_t i)
{
	uint32_t random = 0, spi = 0;

	for (uint32_t try = 0; try < 32 && !spi; try++) {
		random = 0x100 + (i * 32 + try) * 2654435761u % 0xfffff000;
		spi = datapath_spi_place(dp, random);
	}
	return spi ? spi : random;
}

/* With one port and one SPI. */
static void add_bind(const struct table *t, uint32_t i)
{
	__be32 host = htonl(bench_host(i));
	struct msg_ports port = { .form = MSG_RUN, .count = 1, .first = bench_port(i) };
	uint32_t spi = choose_spi(t->dp, i);
	struct datapath_bind bind = {
		.bind_id = i + 1, .client = host, .gateway = htonl(BENCH_GATEWAY), .addr = htonl(bench_addr(i)),
		.tunnel = RSIP_TUNNEL_IPIP, .ipsec = true, .ends = now_ms() + 86400000, .ports = &port,
		.spis = &spi, .spi_count = 1,
	};
	int err = datapath_client_add(t->dp, host, bind.gateway, i + 1);

	if (!err)
		err = datapath_bind_add(t->dp, &bind);
	if (err)
		die("bind %u: %s", i, strerror(-err));
	bpf_map__update_elem(t->skel->maps.bench_spis, &i, sizeof(i), &spi, sizeof(spi), 0);
	if (i < t->cookies)
		add_cookie(t, i, &bind);
}

static struct packets_bpf *load(const struct table *t, const char *pin)
{
	struct packets_bpf *skel = packets_bpf__open();
	struct bpf_map *map;
	char path[128];

	if (!skel)
		die("the programs cannot be read: %s", strerror(errno));
	bpf_object__for_each_map(map, skel->obj) {
		struct bpf_map_info info;
		__u32 len = sizeof(info);
		int fd;

		if (!bpf_map__pin_path(map))
			continue;
		snprintf(path, sizeof(path), "%s/" RSIP_LAYOUT "/%s", pin, bpf_map__name(map));
		fd = bpf_obj_get(path);
		if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len) || bpf_map__set_pin_path(map, NULL) ||
		    bpf_map__reuse_fd(map, fd))
			die("%s: %s", path, strerror(errno));
		close(fd);
	}
	bpf_map__set_max_entries(skel->maps.bench_spis, t->binds);
	skel->rodata->outspi_sets = bpf_map__max_entries(skel->maps.rsip_outspis);
	skel->rodata->sender_places = bpf_map__max_entries(skel->maps.rsip_senders);
	skel->rodata->binds = t->binds;
	skel->rodata->cookies = t->cookies;
	skel->rodata->lan_ifindex = if_nametoindex("lan0");
	skel->rodata->wan_ifindex = if_nametoindex("wan0");
	if (packets_bpf__load(skel))
		die("the programs do not load: %s", strerror(errno));
	return skel;
}

static int run(const struct bpf_program *program, int repeat)
{
	uint8_t frame[FRAME_LEN] = { 0 };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = sizeof(frame), .repeat = repeat);
	int err = bpf_prog_test_run_opts(bpf_program__fd(program), &opts);

	if (err)
		die("%s: %s", bpf_program__name(program), strerror(-err));
	return (int)opts.retval;
}

/* The first packet to the peer makes the data plane ask for its next hop. */
static void find_peer(const struct table *t)
{
	for (int i = 0; i < 100; i++) {
		if (run(t->skel->progs.out_port, 1) == XDP_REDIRECT)
			return;
		datapath_ready(t->dp, 0, now_ms());
	}
	die("no way to the peer");
}

/* Every host has sent already, as most have: what is measured are not first packets. */
static void send_all(const struct table *t)
{
	t->skel->bss->in_turn = 1;
	run(t->skel->progs.out_esp, (int)t->binds);
	run(t->skel->progs.out_ah, (int)t->cookies);
	t->skel->bss->in_turn = 0;
}

static void table_open(struct table *t, uint32_t binds)
{
	char pin[64];
	int err;

	t->binds = binds;
	t->cookies = binds < 1024 ? binds : (binds + 8192) / 4;
	if (t->cookies > binds)
		t->cookies = binds;
	snprintf(pin, sizeof(pin), "/sys/fs/bpf/bench-%u", binds);
	err = datapath_open(configuration(pin, binds), &t->dp);
	if (!err)
		err = datapath_settle(t->dp);
	if (err)
		die("%u binds: %s", binds, strerror(-err));
	t->skel = load(t, pin);
	for (uint32_t i = 0; i < binds; i++)
		add_bind(t, i);
	find_peer(t);
	send_all(t);
}

/* --- measuring ----------------------------------------------------------------------------- */

struct figure {
	double round[ROUNDS];
};

static double cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double median(const struct figure *figure)
{
	struct figure sorted = *figure;

	qsort(sorted.round, ROUNDS, sizeof(sorted.round[0]), by_value);
	return sorted.round[ROUNDS / 2];
}

/* The median of what round by round `a` is above `b`. */
static double above(const struct figure *a, const struct figure *b)
{
	struct figure difference;

	for (int i = 0; i < ROUNDS; i++)
		difference.round[i] = a->round[i] - b->round[i];
	return median(&difference);
}

static void print(double value, const char *unit, const char *target, const char *format, ...)
{
	char name[128];
	va_list args;

	va_start(args, format);
	vsnprintf(name, sizeof(name), format, args);
	va_end(args);
	printf("{\"name\": \"%s\", \"value\": %.2f, \"unit\": \"%s\"", name, value, unit);
	if (target)
		printf(", \"target\": \"%s\"", target);
	printf("}\n");
	fflush(stdout);
}

/* --- the programs alone ---------------------------------------------------------------------- */

enum { NOTHING, REDIRECT, ESP, AH, NATT, IKE, PORT, PATHS };
static const char *const path_names[PATHS] = { "nothing", "redirect", "ESP", "AH", "UDP-encapsulated ESP", "IKE", "port" };
static const char *const sides[] = { "in", "out" };

static const struct bpf_program *path_program(const struct table *t, int out, int path)
{
	const struct bpf_program *const programs[2][PATHS] = {
		{ t->skel->progs.in_nothing, t->skel->progs.in_redirect, t->skel->progs.in_esp, t->skel->progs.in_ah,
		  t->skel->progs.in_natt, t->skel->progs.in_ike, t->skel->progs.in_port },
		{ t->skel->progs.out_nothing, t->skel->progs.out_redirect, t->skel->progs.out_esp, t->skel->progs.out_ah,
		  t->skel->progs.out_natt, t->skel->progs.out_ike, t->skel->progs.out_port },
	};

	return programs[out][path];
}

static double time_program(const struct bpf_program *program, int want)
{
	double start;

	if (run(program, REPEAT / 20) != want)
		die("%s: not what it should do", bpf_program__name(program));
	start = cpu_ns();
	run(program, REPEAT);
	return (cpu_ns() - start) / REPEAT;
}

static struct figure alone[TABLES][2][PATHS];

static void show_alone(const struct table *tables)
{
	const struct figure (*middle)[PATHS] = alone[1], (*one)[PATHS] = alone[0], (*large)[PATHS] = alone[2];

	for (int out = 0; out < 2; out++) {
		print(above(&middle[out][REDIRECT], &middle[out][NOTHING]), "ns", NULL, "program, %s: bare redirect",
		      sides[out]);
		for (int path = ESP; path < PATHS; path++)
			for (int i = 0; i < TABLES; i++)
				print(above(&alone[i][out][path], &alone[i][out][NOTHING]), "ns", NULL,
				      "program, %s: %s, %u binds", sides[out], path_names[path], tables[i].binds);
	}
	for (int out = 0; out < 2; out++)
		for (int path = ESP; path < PATHS; path++)
			print(above(&large[out][path], &large[out][NOTHING]) / above(&one[out][path], &one[out][NOTHING]),
			      "times", path == ESP || path == PORT ? "<= 3" : NULL, "program, %s: %s, 1000000 binds over 1",
			      sides[out], path_names[path]);
	print(above(&middle[1][ESP], &middle[1][NOTHING]) / above(&middle[0][ESP], &middle[0][NOTHING]), "times", NULL,
	      "program: ESP out over in, 10000 binds");
}

static void programs_alone(const struct table *tables)
{
	for (int round = 0; round < ROUNDS; round++)
		for (int i = 0; i < TABLES; i++)
			for (int out = 0; out < 2; out++)
				for (int path = 0; path < PATHS; path++)
					alone[i][out][path].round[round] = time_program(
						path_program(&tables[i], out, path),
						path == NOTHING ? XDP_DROP : XDP_REDIRECT);
	show_alone(tables);
}

/* --- the lab ---------------------------------------------------------------------------------- */

enum { DROP, BARE, GATEWAY_1, GATEWAY_10K, GATEWAY_1M, KERNEL, NAT, WAYS };
static const char *const way_names[WAYS] = {
	"drop", "bare redirect", "gateway, 1 bind", "gateway, 10000 binds", "gateway, 1000000 binds",
	"kernel forwarding", "nftables masquerade, 10000 flows",
};

struct station {
	int ns;
	int ifindex;
};

static struct station hosts, peers;	/* the far ends of lan0 and wan0 */
static int own_ns;
static struct figure lab[2][WAYS];

static void enter(int ns)
{
	if (setns(ns, CLONE_NEWNET))
		die("setns: %s", strerror(errno));
}

static void command(const char *text)
{
	if (system(text))
		die("failed: %s", text);
}

static void put(int ifindex, const struct bpf_program *program)
{
	int err = bpf_xdp_attach(ifindex, program ? bpf_program__fd(program) : -1, XDP_FLAGS_DRV_MODE, NULL);

	if (err)
		die("interface %d: %s", ifindex, strerror(-err));
}

static void send_frames(const struct station *from, const struct bpf_program *generator, unsigned int count)
{
	uint8_t frame[FRAME_LEN + 20] = { 0 };
	struct xdp_md ctx = { .data_end = sizeof(frame), .ingress_ifindex = (__u32)from->ifindex };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = sizeof(frame), .ctx_in = &ctx,
		    .ctx_size_in = sizeof(ctx), .repeat = (int)count, .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = 64);
	int err;

	enter(from->ns);
	err = bpf_prog_test_run_opts(bpf_program__fd(generator), &opts);
	enter(own_ns);
	if (err)
		die("%s: %s", bpf_program__name(generator), strerror(-err));
}

static const struct table *way_table(const struct table *tables, int way)
{
	return way >= GATEWAY_1 && way <= GATEWAY_1M ? &tables[way - GATEWAY_1] : &tables[1];
}

static const struct bpf_program *way_generator(const struct packets_bpf *skel, int out, int way)
{
	if (way < KERNEL)
		return out ? skel->progs.send_out : skel->progs.send_in;
	if (out)
		return skel->progs.send_flow_out;
	return way == NAT ? skel->progs.send_flow_nat_in : skel->progs.send_flow_in;
}

static const struct bpf_program *way_program(const struct packets_bpf *skel, int out, int way)
{
	switch (way) {
	case DROP:
		return skel->progs.only_drop;
	case BARE:
		return out ? skel->progs.only_redirect_out : skel->progs.only_redirect_in;
	case KERNEL:
	case NAT:
		return NULL;
	default:
		return out ? skel->progs.rsip_private : skel->progs.rsip_public;
	}
}

static void way_begin(const struct table *tables, int way)
{
	const struct packets_bpf *skel = way_table(tables, way)->skel;

	put((int)if_nametoindex("wan0"), way_program(skel, 0, way));
	put((int)if_nametoindex("lan0"), way_program(skel, 1, way));
	if (way < NAT)
		return;
	command("nft 'table ip bench { chain out { type nat hook postrouting priority srcnat; oifname wan0 masquerade; }; }'");
	skel->bss->next_flow = 0;
	send_frames(&hosts, way_generator(skel, 1, NAT), BENCH_FLOWS);	/* the flows begin inside */
}

static void way_end(int way)
{
	if (way == NAT)
		command("nft delete table ip bench");
}

/* Every frame must arrive, or none where that is the way. */
static void time_way(const struct table *tables, int way, int out, int round)
{
	const struct packets_bpf *skel = way_table(tables, way)->skel;
	__u64 *sunk = &tables[0].skel->bss->sunk;
	double start;

	send_frames(out ? &hosts : &peers, way_generator(skel, out, way), FRAMES / 20);
	*sunk = 0;
	start = cpu_ns();
	send_frames(out ? &hosts : &peers, way_generator(skel, out, way), FRAMES);
	lab[out][way].round[round] = (cpu_ns() - start) / FRAMES;
	if (*sunk != (way == DROP ? 0 : FRAMES))
		die("%s, %s: %llu frames arrived", way_names[way], sides[out], (unsigned long long)*sunk);
}

static void show_lab(void)
{
	for (int out = 0; out < 2; out++)
		for (int way = BARE; way < WAYS; way++)
			print(above(&lab[out][way], &lab[out][DROP]), "ns", NULL, "lab, %s: %s adds", sides[out], way_names[way]);
	for (int out = 0; out < 2; out++)
		print(1000 / median(&lab[out][GATEWAY_10K]), "Mpps", NULL, "lab, %s: gateway, 10000 binds", sides[out]);
	for (int out = 0; out < 2; out++) {
		double whole = median(&lab[out][GATEWAY_10K]);

		print(above(&lab[out][GATEWAY_10K], &lab[out][DROP]) / above(&lab[out][BARE], &lab[out][DROP]), "times",
		      "<= 1.6", "lab, %s: gateway at 10000 binds over a bare redirect, added", sides[out]);
		print(median(&lab[out][NAT]) / whole, "times", ">= 5", "lab, %s: nftables masquerade over gateway, total",
		      sides[out]);
		print(median(&lab[out][KERNEL]) / whole, "times", ">= 3", "lab, %s: kernel forwarding over gateway, total",
		      sides[out]);
	}
	print(above(&lab[1][GATEWAY_10K], &lab[1][DROP]) / above(&lab[0][GATEWAY_10K], &lab[0][DROP]), "times", "<= 1.05",
	      "lab: gateway out over in, 10000 binds, added");
}

static struct station station(const char *name, const char *device, const struct bpf_program *sink)
{
	char path[128];
	struct station station;

	snprintf(path, sizeof(path), "/run/netns/%s", name);
	station.ns = open(path, O_RDONLY | O_CLOEXEC);
	if (station.ns < 0)
		die("%s: %s", path, strerror(errno));
	enter(station.ns);
	station.ifindex = (int)if_nametoindex(device);
	put(station.ifindex, sink);
	enter(own_ns);
	return station;
}

static void through_the_lab(const struct table *tables, const char *x, const char *y)
{
	own_ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	hosts = station(x, "x0", tables[0].skel->progs.sink);
	peers = station(y, "y0", tables[0].skel->progs.sink);
	for (int round = 0; round < ROUNDS; round++)
		for (int way = 0; way < WAYS; way++) {
			way_begin(tables, way);
			for (int out = 0; out < 2; out++)
				time_way(tables, way, out, round);
			way_end(way);
		}
	show_lab();
}

/* --- start -------------------------------------------------------------------------------------- */

static void settle(void)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(sysconf(_SC_NPROCESSORS_ONLN) - 1, &one);
	if (sched_setaffinity(0, sizeof(one), &one))
		die("affinity: %s", strerror(errno));
	if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("bpf", "/sys/fs/bpf", "bpf", 0, NULL))
		die("BPF file system: %s", strerror(errno));
	log_set_level(LOG_LEVEL_WARN);
}

int main(int argc, char **argv)
{
	static struct table tables[TABLES];

	if (argc != 1 && argc != 3)
		die("usage: packets [X-NS Y-NS]");
	settle();
	for (int i = 0; i < TABLES; i++)
		table_open(&tables[i], table_sizes[i]);
	if (argc == 1)
		programs_alone(tables);
	else
		through_the_lab(tables, argv[1], argv[2]);
	return 0;
}
