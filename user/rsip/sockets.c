// SPDX-License-Identifier: GPL-2.0-only
/* Four dumps: the kernel keeps TCP and UDP, and their families, apart. */
#include "rsip/sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#define ALL_STATES	0xfff
#define TIME_WAIT	6

struct dump {
	__be32 address;
	struct sockets *out;
};

static __be32 source_of(const struct inet_diag_msg *msg)
{
	if (msg->idiag_family == AF_INET)
		return msg->id.idiag_src[0];
	if (msg->idiag_family == AF_INET6 && msg->id.idiag_src[0] == 0 && msg->id.idiag_src[1] == 0 &&
	    msg->id.idiag_src[2] == htonl(0xffff))
		return msg->id.idiag_src[3];
	return 0;
}

static int see_socket(const struct nlmsghdr *nlh, void *arg)
{
	const struct inet_diag_msg *msg = mnl_nlmsg_get_payload(nlh);
	struct dump *dump = arg;
	uint16_t port;

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*msg) || source_of(msg) != dump->address)
		return MNL_CB_OK;
	port = ntohs(msg->id.idiag_sport);
	dump->out->used[port / 8] |= (uint8_t)(1u << port % 8);
	if (msg->idiag_state == TIME_WAIT)
		dump->out->resting[port / 8] |= (uint8_t)(1u << port % 8);
	return MNL_CB_OK;
}

static int dump_one(struct mnl_socket *socket, uint8_t family, uint8_t protocol, struct dump *dump)
{
	char buffer[32768] __attribute__((aligned(MNL_ALIGNTO)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buffer);
	struct inet_diag_req_v2 *request = mnl_nlmsg_put_extra_header(nlh, sizeof(*request));
	unsigned int port = mnl_socket_get_portid(socket);
	int run = MNL_CB_OK;

	nlh->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	request->sdiag_family = family;
	request->sdiag_protocol = protocol;
	request->idiag_states = ALL_STATES;
	if (mnl_socket_sendto(socket, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	while (run > MNL_CB_STOP) {
		ssize_t len = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));

		if (len < 0)
			return -errno;
		run = mnl_cb_run(buffer, (size_t)len, 0, port, see_socket, dump);
	}
	return run < 0 ? -errno : 0;
}

int sockets_read(__be32 address, struct sockets *out)
{
	static const uint8_t families[] = { AF_INET, AF_INET6 }, protocols[] = { IPPROTO_TCP, IPPROTO_UDP };
	struct mnl_socket *socket = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC);
	struct dump dump = { address, out };
	int err = socket == NULL ? -errno : mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0 ? -errno : 0;

	memset(out, 0, sizeof(*out));
	for (unsigned int i = 0; !err && i < 4; i++) {
		err = dump_one(socket, families[i / 2], protocols[i % 2], &dump);
		/* A kernel without IPv6 has no such sockets. */
		if (err == -ENOENT && families[i / 2] == AF_INET6)
			err = 0;
	}
	if (socket != NULL)
		mnl_socket_close(socket);
	return err;
}

bool sockets_use(const struct sockets *s, uint16_t port)
{
	return s->used[port / 8] >> port % 8 & 1;
}

bool sockets_rest(const struct sockets *s, uint16_t port)
{
	return s->resting[port / 8] >> port % 8 & 1;
}
