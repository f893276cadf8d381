// SPDX-License-Identifier: GPL-2.0-only
/* Namespaces, veths and sniffers for tests of the daemon's side of the data plane. */
#include "net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <criterion/criterion.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>

#include <rsip/datapath.h>

#define PATIENCE_MS	30000
#define FRAME_MS	5000

static int inside = -1, outside = -1;

static void command(const char *format, va_list args)
{
	char text[512];
	int status;

	vsnprintf(text, sizeof(text), format, args);
	status = system(text);
	cr_assert_eq(status, 0, "\"%s\" ended with status %d", text, status);
}

void net_run(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	command(format, args);
	va_end(args);
}

static void go(int ns)
{
	cr_assert_eq(setns(ns, CLONE_NEWNET), 0, "setns: %s", strerror(errno));
}

void net_outside(const char *format, ...)
{
	va_list args;

	go(outside);
	va_start(args, format);
	command(format, args);
	va_end(args);
	go(inside);
}

static int new_namespace(void)
{
	int fd;

	cr_assert_eq(unshare(CLONE_NEWNET), 0, "unshare: %s", strerror(errno));
	fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	cr_assert_geq(fd, 0);
	return fd;
}

static void private_bpffs(void)
{
	cr_assert_eq(unshare(CLONE_NEWNS), 0, "unshare: %s", strerror(errno));
	cr_assert_eq(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	cr_assert_eq(mount("bpf", "/sys/fs/bpf", "bpf", 0, NULL), 0, "bpffs: %s", strerror(errno));
}

static void veth(const char *name, const char *mac, const char *address, const char *peer, const char *peer_mac)
{
	net_run("ip link add %s address %s type veth peer name %s address %s netns /proc/%d/fd/%d", name, mac, peer,
		peer_mac, getpid(), outside);
	net_run("ip addr add %s dev %s", address, name);
	net_run("ip link set %s up", name);
	/* A neighbour that does not answer is given up within half a second. */
	net_run("echo 100 > /proc/sys/net/ipv4/neigh/%s/retrans_time_ms", name);
}

/* A veth takes what XDP redirects to its peer only with GRO, or an XDP program of its own. */
static void lan(void)
{
	veth("lan0", NET_MAC_LAN, "10.0.0.1/24", "x0", NET_MAC_X);
	net_outside("ip addr add 10.0.0.5/24 dev x0; ip addr add 10.0.0.6/24 dev x0; ip link set x0 up");
	net_outside("ethtool -K x0 gro on");
}

static void wan(void)
{
	veth("wan0", NET_MAC_WAN, "203.0.113.1/24", "y0", NET_MAC_Y);
	net_outside("ip addr add 203.0.113.2/24 dev y0; ip addr add 203.0.113.3/24 dev y0; ip link set y0 up");
	net_outside("ethtool -K y0 gro on");
}

void net_enter(void)
{
	if (geteuid() != 0)
		cr_skip("needs root");
	outside = new_namespace();
	inside = new_namespace();
	private_bpffs();
	net_run("ip link set lo up");
	net_run("echo 0 > /proc/sys/net/ipv4/ip_forward");
	lan();
	wan();
}

void net_anew(void)
{
	net_run("ip link del lan0; ip link del wan0");
	lan();
	wan();
}

void net_vlan(void)
{
	if (system("ip link add link lan0 name lan0.7 type vlan id 7 2>/dev/null"))
		cr_skip("this kernel has no VLAN devices (8021q)");
	net_run("ip addr add 10.7.0.1/24 dev lan0.7; ip link set lan0.7 up");
	net_outside("ip link add link x0 name x0.7 type vlan id 7; ip addr add 10.7.0.5/24 dev x0.7; ip link set x0.7 up");
}

void net_qinq(void)
{
	if (system("ip link add link lan0 name lan0.100 type vlan proto 802.1ad id 100 2>/dev/null"))
		cr_skip("this kernel has no VLAN devices (8021q)");
	net_run("ip link add link lan0.100 name lan0.100.7 type vlan id 7; ip addr add 10.8.0.1/24 dev lan0.100.7");
	net_run("ip link set lan0.100 up; ip link set lan0.100.7 up");
	net_outside("ip link add link x0 name x0.100 type vlan proto 802.1ad id 100; ip link set x0.100 up");
	net_outside("ip link add link x0.100 name x0.100.7 type vlan id 7; ip addr add 10.8.0.5/24 dev x0.100.7; "
		    "ip link set x0.100.7 up");
}

int net_sniff(const char *device)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP) };
	int fd;

	go(outside);
	at.sll_ifindex = (int)if_nametoindex(device);
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	cr_assert_geq(fd, 0);
	cr_assert_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	go(inside);
	return fd;
}

size_t net_frame(int sniffer, uint8_t *out, size_t capacity)
{
	uint64_t end = net_now() + FRAME_MS;

	for (uint64_t now = net_now(); now < end; now = net_now()) {
		struct pollfd poller = { .fd = sniffer, .events = POLLIN };
		struct sockaddr_ll from;
		socklen_t len = sizeof(from);
		ssize_t got;

		if (poll(&poller, 1, (int)(end - now)) <= 0)
			return 0;
		got = recvfrom(sniffer, out, capacity, 0, (struct sockaddr *)&from, &len);
		if (got > 0 && from.sll_pkttype != PACKET_OUTGOING)
			return (size_t)got;
	}
	return 0;
}

uint64_t net_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

bool net_until(void (*step)(void *arg), bool (*done)(void *arg), void *arg)
{
	const struct timespec turn = { .tv_nsec = 2000000 };
	uint64_t end = net_now() + PATIENCE_MS;

	while (!done(arg)) {
		if (net_now() > end)
			return false;
		step(arg);
		nanosleep(&turn, NULL);
	}
	return true;
}

struct config *net_config(void)
{
	static struct config_interface lan = { .name = "lan0" }, wan = { .name = "wan0" };
	static struct addr_range range;
	static struct config_pool pool = { .name = "shared", .addresses = &range, .address_count = 1 };
	static struct config config;

	lan.address = net_addr("10.0.0.1");
	range.first = ntohl(net_addr("203.0.113.10"));
	range.last = range.first + 1;
	config = (struct config){
		.private_interfaces = &lan, .private_count = 1, .public_interfaces = &wan, .public_count = 1,
		.pools = &pool, .pool_count = 1,
		.datapath = { .mode = CONFIG_MODE_AUTO, .pin = "/sys/fs/bpf/rsip", .max_bindings = 64 },
	};
	return &config;
}

int net_map(const char *name)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/sys/fs/bpf/rsip/" RSIP_LAYOUT "/%s", name);
	fd = bpf_obj_get(path);
	cr_assert_geq(fd, 0, "%s: %s", path, strerror(errno));
	return fd;
}

void net_get(const char *name, const void *key, void *value)
{
	int fd = net_map(name);

	cr_assert_eq(bpf_map_lookup_elem(fd, key, value), 0, "%s: not there", name);
	close(fd);
}

void net_put(const char *name, const void *key, const void *value)
{
	int fd = net_map(name);

	cr_assert_eq(bpf_map_update_elem(fd, key, value, BPF_ANY), 0, "%s", name);
	close(fd);
}

__be32 net_addr(const char *text)
{
	struct in_addr addr;

	cr_assert_eq(inet_pton(AF_INET, text, &addr), 1, "%s", text);
	return addr.s_addr;
}

void net_mac(const char *text, uint8_t out[static 6])
{
	cr_assert_eq(sscanf(text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &out[0], &out[1], &out[2], &out[3], &out[4],
			    &out[5]), 6);
}
