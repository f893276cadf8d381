// SPDX-License-Identifier: GPL-2.0-only
/* See handed.h. */
#include "rsipd/handed.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "rsipd/split.h"

int handed_init(struct handed *handed)
{
	handed->raw = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_RAW);
	return handed->raw < 0 ? -errno : 0;
}

void handed_fini(struct handed *handed)
{
	if (handed->raw >= 0)
		close(handed->raw);
	handed->raw = -1;
}

struct leaving {		/* a packet on its way out, for split_packet() */
	int raw;
	const struct interface *interface;
	__be32 dst;
};

/*
 * The kernel finds the neighbour and holds the packet meanwhile. It leaves the
 * packet alone but for an Identification of 0 without DF, which it replaces.
 */
static bool send_part(const uint8_t *packet, size_t len, void *arg)
{
	const struct leaving *leaving = arg;
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = leaving->dst };
	struct iovec data = { (void *)packet, len };
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(struct in_pktinfo))];
	} control = { 0 };
	struct msghdr message = {
		.msg_name = &to, .msg_namelen = sizeof(to), .msg_iov = &data, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	struct in_pktinfo info = { .ipi_ifindex = (int)leaving->interface->link.ifindex };

	control.header.cmsg_level = IPPROTO_IP;
	control.header.cmsg_type = IP_PKTINFO;
	control.header.cmsg_len = CMSG_LEN(sizeof(info));
	memcpy(CMSG_DATA(&control.header), &info, sizeof(info));
	return sendmsg(leaving->raw, &message, MSG_DONTWAIT) >= 0;
}

/* What stands in front of a host's packet in its tunnel: IPv4, and GRE. */
static size_t tunnel_headers(const struct rsip_event_resolve *event)
{
	const struct iphdr *outer = (const void *)event->packet;

	if (!event->inbound)
		return 0;
	return sizeof(*outer) + (outer->protocol == RSIP_PROTO_GRE ? 4 : 0);
}

/* The kernel does not fragment what a raw socket sends. A host gets fragments of its packet, not of the tunnel's. */
void handed_send(struct handed *handed, const struct rsip_event_resolve *event, const struct interface *interface,
		 uint64_t now)
{
	struct leaving leaving = { handed->raw, interface, event->dst };
	uint32_t mtu = interface->link.mtu;
	int err = 0;

	if (event->len > mtu)
		err = split_packet(event->packet, event->len, tunnel_headers(event), mtu, send_part, &leaving);
	else if (!send_part(event->packet, event->len, &leaving))
		err = -errno;
	if (err && log_allowed(&handed->limit, 5, now)) {
		char text[ADDR_TEXT_LEN];

		log_warn("next hop: a packet of %u bytes to %s through %s is lost: %s", event->len,
			 addr_text(event->dst, text), interface->name, strerror(-err));
	}
}
