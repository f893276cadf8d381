// SPDX-License-Identifier: GPL-2.0-only
/*
 * The whole data plane on veths, with the kernel's forwarding off: packets in
 * at one end, whole frames out at the other. Above all the first ones, which
 * the programs hand to the daemon because no next hop is known yet.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "net.h"
#include "pkt.h"
#include "rsipd/datapath.h"

static struct datapath *dp;
static int x, y;		/* sniffers and senders at the other ends */
static struct datapath_bind bind_x1;
static uint32_t spis[] = { 0x1001, 0x1002 };
static struct msg_ports ports = { .form = MSG_RUN, .count = 1, .first = 40000 };

static void start(void)
{
	net_enter();
	x = net_sniff("x0");
	y = net_sniff("y0");
	cr_assert_eq(datapath_open(net_config(), &dp), 0);
	cr_assert_eq(datapath_attach(dp), 0);
	cr_assert_eq(datapath_client_add(dp, net_addr("10.0.0.5"), net_addr("10.0.0.1"), 1), 0);
	bind_x1 = (struct datapath_bind){
		.bind_id = 1, .client = net_addr("10.0.0.5"), .gateway = net_addr("10.0.0.1"),
		.addr = net_addr("203.0.113.10"), .tunnel = RSIP_TUNNEL_IPIP, .ipsec = true, .ports = &ports,
		.spis = spis, .spi_count = 2, .ends = net_now() + 3600 * 1000,
	};
	cr_assert_eq(datapath_bind_add(dp, &bind_x1), 0);
}

static void stop(void)
{
	datapath_detach(dp);
	datapath_close(dp);
	close(x);
	close(y);
}

TestSuite(handover, .init = start, .fini = stop);

/* `text` after an Ethernet header between two MAC addresses. */
static struct frame frame(const char *dst, const char *src, const char *text)
{
	struct frame f;

	pkt_build(text, &f);
	net_mac(dst, f.data);
	net_mac(src, f.data + 6);
	return f;
}

static void send_from(int end, const char *dst, const char *src, const char *text)
{
	struct frame f = frame(dst, src, text);

	cr_assert_eq(send(end, f.data, f.len, 0), (ssize_t)f.len, "%s", strerror(errno));
}

static void from_x(const char *text)
{
	send_from(x, NET_MAC_LAN, NET_MAC_X, text);
}

static void from_y(const char *text)
{
	send_from(y, NET_MAC_WAN, NET_MAC_Y, text);
}

/* Lets the daemon work until a frame has come. */
struct awaited {
	int end;
};

static void step(void *arg)
{
	for (unsigned int i = 0; i < DATAPATH_FDS; i++) {
		struct pollfd poller = { .fd = datapath_fd(dp, i), .events = POLLIN };

		if (poll(&poller, 1, 0) > 0)
			datapath_ready(dp, i, net_now());
	}
}

static bool came(void *arg)
{
	const struct awaited *awaited = arg;
	struct pollfd poller = { .fd = awaited->end, .events = POLLIN };

	return poll(&poller, 1, 0) > 0;
}

static void expect_at(int end, const char *dst, const char *src, const char *text)
{
	struct awaited awaited = { end };
	struct frame want = frame(dst, src, text), got;

	cr_assert(net_until(step, came, &awaited), "nothing came: %s", text);
	got.len = net_frame(end, got.data, sizeof(got.data));
	if (got.len != want.len || memcmp(got.data, want.data, want.len))
		pkt_diff(&want, &got);
	cr_assert_eq(got.len, want.len);
	cr_assert_arr_eq(got.data, want.data, want.len);
}

static void expect_at_x(const char *text)
{
	expect_at(x, NET_MAC_X, NET_MAC_LAN, text);
}

static void expect_at_y(const char *text)
{
	expect_at(y, NET_MAC_Y, NET_MAC_WAN, text);
}

static uint64_t counted(enum rsip_outcome outcome)
{
	struct rsip_counter counters[RSIP_OUTCOME_COUNT];

	cr_assert_eq(datapath_counters(dp, counters), 0);
	return counters[outcome].packets;
}

struct outcome_count {
	enum rsip_outcome outcome;
	uint64_t packets;
};

static bool has_count(void *arg)
{
	const struct outcome_count *wanted = arg;

	return counted(wanted->outcome) >= wanted->packets;
}

static void expect_count(enum rsip_outcome outcome, uint64_t packets)
{
	struct outcome_count wanted = { outcome, packets };

	cr_expect(net_until(step, has_count, &wanted), "outcome %d: %llu", outcome,
		  (unsigned long long)counted(outcome));
	cr_expect_eq(counted(outcome), packets);
}

#define TO_Y(ttl, n)	"ip 203.0.113.10 > 203.0.113.2 ttl " ttl " df id " n " | esp 0x77 | data 40"
#define OUTBOUND(n)	"eth N > N | ip 10.0.0.5 > 10.0.0.1 | " TO_Y("64", n)
#define AT_Y(n)		"eth N > N | " TO_Y("63", n)

/* covers: EG-07 IN-20 TUN-02 */
Test(handover, first_packet_to_a_peer_is_not_lost)
{
	from_x(OUTBOUND("1"));
	expect_at_y(AT_Y("1"));
	expect_count(RSIP_OUT_RESOLVE, 1);
	/* From now on the program alone; a copy of the first would stand before this one. */
	from_x(OUTBOUND("2"));
	expect_at_y(AT_Y("2"));
	from_x(OUTBOUND("0"));
	expect_at_y(AT_Y("0"));
	expect_count(RSIP_OUT_RESOLVE, 1);
	expect_count(RSIP_OUT_ESP, 2);
}

#define TO_X(ttl, n)	"ip 203.0.113.2 > 203.0.113.10 ttl " ttl " df id " n " | esp 0x1002 | data 40"
#define INBOUND(n)	"eth N > N | " TO_X("64", n)
#define AT_X(n)		"eth N > N | ip 10.0.0.1 > 10.0.0.5 ttl 64 df id 0 | " TO_X("63", n)

/* covers: IN-04 IN-19 IN-20 */
Test(handover, packets_to_a_host_known_and_flushed)
{
	from_y(INBOUND("1"));
	expect_at_x(AT_X("1"));
	expect_count(RSIP_IN_RESOLVE, 1);
	net_run("ip neigh flush to 10.0.0.5 nud all");
	step(NULL);
	from_y(INBOUND("2"));
	expect_at_x(AT_X("2"));
	expect_count(RSIP_IN_RESOLVE, 2);
	from_y(INBOUND("3"));
	expect_at_x(AT_X("3"));
	expect_count(RSIP_IN_RESOLVE, 2);
	expect_count(RSIP_IN_ESP, 1);
}

/* covers: EG-16 */
Test(handover, tunnel_into_the_private_network_goes_nowhere)
{
	from_x("eth N > N | ip 10.0.0.5 > 10.0.0.1 | ip 203.0.113.10 > 10.0.0.6 ttl 64 id 1 | esp 0x77 | data 40");
	expect_count(RSIP_OUT_RESOLVE, 1);
	step(NULL);
	from_x("eth N > N | ip 10.0.0.5 > 10.0.0.1 | ip 203.0.113.10 > 10.0.0.6 ttl 64 id 2 | esp 0x77 | data 40");
	expect_count(RSIP_OUT_UNREACHABLE_TOLD, 1);
	from_x(OUTBOUND("9"));
	expect_at_y(AT_Y("9"));
}

static bool see(const struct datapath_cookie *cookie, void *arg)
{
	static const uint8_t want[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	unsigned int *count = arg;

	cr_expect_arr_eq(cookie->cookie, want, 8);
	cr_expect_eq(cookie->peer, net_addr("203.0.113.2"));
	cr_expect_eq(cookie->port, 500);
	++*count;
	return true;
}

static bool has_cookie(void *arg)
{
	unsigned int *count = arg;

	*count = 0;
	datapath_cookies(dp, bind_x1.slot, see, count);
	return *count == 1;
}

/* covers: IKE-01 IKE-13 EG-09 */
Test(handover, cookie_is_learned_and_told)
{
	unsigned int count;

	from_x("eth N > N | ip 10.0.0.5 > 10.0.0.1 | ip 203.0.113.10 > 203.0.113.2 ttl 64 id 1 | udp 500 > 500 "
	       "| ike 0x0102030405060708");
	cr_expect(net_until(step, has_cookie, &count), "%u cookies", count);
	datapath_bind_remove(dp, &bind_x1);
	count = 0;
	datapath_cookies(dp, bind_x1.slot, see, &count);
	cr_expect_eq(count, 0);
}

/* covers: FREE-04 */
Test(handover, removed_bind_forwards_nothing)
{
	from_x(OUTBOUND("1"));
	expect_at_y(AT_Y("1"));
	datapath_bind_remove(dp, &bind_x1);
	from_x(OUTBOUND("2"));
	from_y("eth N > N | ip 203.0.113.2 > 203.0.113.10 ttl 64 id 5 | esp 0x1002 | data 40");
	expect_count(RSIP_IN_NO_SPI, 1);
	expect_count(RSIP_OUT_ADDRESS, 1);
	expect_count(RSIP_OUT_ESP, 0);
}

static void send_and_count(void *arg)
{
	from_y(INBOUND("7"));
	step(NULL);
}

/* Nobody removes it: the programs alone know when it is over. covers: FAIL-10 IN-28 */
Test(handover, bind_ends_without_the_daemon)
{
	struct outcome_count dropped = { RSIP_IN_NO_SPI, 1 };
	uint64_t begun = net_now(), lasted;

	from_y(INBOUND("1"));
	expect_at_x(AT_X("1"));
	bind_x1.ends = begun + 1500;
	datapath_bind_extend(dp, &bind_x1);
	cr_expect(net_until(send_and_count, has_count, &dropped));
	lasted = net_now() - begun;
	cr_expect_geq(lasted, 1500, "%llu ms are too few", (unsigned long long)lasted);
	cr_expect_leq(lasted, 5000, "%llu ms are too many", (unsigned long long)lasted);
	bind_x1.ends = net_now() + 60000;
	datapath_bind_extend(dp, &bind_x1);
	from_y(INBOUND("2"));
	expect_count(RSIP_IN_NO_SPI, dropped.packets);
}
