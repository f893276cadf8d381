// SPDX-License-Identifier: GPL-2.0-only
/* One dump of the states, by libmnl. */
#include "rsip/xfrm.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netlink.h>
#include <linux/xfrm.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>

struct look {
	struct kernel *kernel;
	__be32 address;
	const struct msg_spis *spis;
	uint32_t taken;
};

static bool among(const struct msg_spis *spis, uint32_t spi)
{
	if (spis->form == MSG_RUN)
		return spi - spis->first < spis->count;
	for (unsigned int i = 0; i < spis->count; i++)
		if (msg_spi_at(spis, i) == spi)
			return true;
	return false;
}

/* What this host sends has SPIs of the peer's choice: those are in another space. */
static int see_state(const struct nlmsghdr *nlh, void *arg)
{
	const struct xfrm_usersa_info *sa = mnl_nlmsg_get_payload(nlh);
	struct look *look = arg;

	if (nlh->nlmsg_type != XFRM_MSG_NEWSA || mnl_nlmsg_get_payload_len(nlh) < sizeof(*sa) || sa->family != AF_INET ||
	    look->taken != 0 || !among(look->spis, ntohl(sa->id.spi)))
		return MNL_CB_OK;
	if (sa->id.daddr.a4 == look->address || kernel_is_local(look->kernel, sa->id.daddr.a4))
		look->taken = ntohl(sa->id.spi);
	return MNL_CB_OK;
}

static void dump(struct mnl_socket *socket, struct look *look)
{
	char buffer[32768] __attribute__((aligned(MNL_ALIGNTO)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buffer);
	int run = MNL_CB_OK;

	nlh->nlmsg_type = XFRM_MSG_GETSA;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	if (mnl_socket_sendto(socket, nlh, nlh->nlmsg_len) < 0)
		return;
	while (run > MNL_CB_STOP) {
		ssize_t len = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));

		if (len < 0)
			return;
		run = mnl_cb_run(buffer, (size_t)len, 0, mnl_socket_get_portid(socket), see_state, look);
	}
}

uint32_t xfrm_taken(struct kernel *k, __be32 address, const struct msg_spis *spis)
{
	struct mnl_socket *socket = spis->count > 0 ? mnl_socket_open2(NETLINK_XFRM, SOCK_CLOEXEC) : NULL;
	struct look look = { k, address, spis, 0 };

	if (socket == NULL)
		return 0;
	if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) >= 0)
		dump(socket, &look);
	mnl_socket_close(socket);
	return look.taken;
}
