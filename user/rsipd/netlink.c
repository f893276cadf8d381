// SPDX-License-Identifier: GPL-2.0-only
/* Links, routes and neighbours by libmnl. */
#include "rsipd/netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <libmnl/libmnl.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

#define BUFFER		16384		/* one netlink datagram; the kernel fills at most this much */
#define EVENT_MEMORY	(4 << 20)	/* room for bursts of events, before the kernel drops them */
#define READS_MAX	64		/* datagrams for each netlink_read() */

struct netlink {
	struct mnl_socket *requests, *events;
	uint32_t seq;
	char buffer[BUFFER];
};

/* --- sockets ------------------------------------------------------------------ */

static struct mnl_socket *socket_new(int flags)
{
	struct mnl_socket *sock = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | flags);

	if (sock && mnl_socket_bind(sock, 0, MNL_SOCKET_AUTOPID) < 0) {
		mnl_socket_close(sock);
		return NULL;
	}
	return sock;
}

static int subscribe(struct mnl_socket *sock)
{
	static const int groups[] = {
		RTNLGRP_LINK, RTNLGRP_NEIGH, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV4_RULE,
	};
	int memory = EVENT_MEMORY;

	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		int group = groups[i];

		if (mnl_socket_setsockopt(sock, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0)
			return -errno;
	}
	/* Without the capability the default size stays, and lost events are noticed all the same. */
	setsockopt(mnl_socket_get_fd(sock), SOL_SOCKET, SO_RCVBUFFORCE, &memory, sizeof(memory));
	return 0;
}

int netlink_open(struct netlink **out)
{
	struct timeval patience = { .tv_sec = 2 };
	struct netlink *nl = calloc(1, sizeof(*nl));
	int err;

	if (!nl)
		return -ENOMEM;
	nl->seq = (uint32_t)time(NULL);
	nl->events = socket_new(SOCK_NONBLOCK);
	nl->requests = socket_new(0);
	err = nl->events && nl->requests ? subscribe(nl->events) : -errno;
	if (err) {
		netlink_close(nl);
		return err;
	}
	setsockopt(mnl_socket_get_fd(nl->requests), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	*out = nl;
	return 0;
}

void netlink_close(struct netlink *nl)
{
	if (!nl)
		return;
	if (nl->requests)
		mnl_socket_close(nl->requests);
	if (nl->events)
		mnl_socket_close(nl->events);
	free(nl);
}

int netlink_fd(const struct netlink *nl)
{
	return mnl_socket_get_fd(nl->events);
}

/* --- requests ------------------------------------------------------------------ */

static void *request(struct netlink *nl, uint16_t type, uint16_t flags, size_t header, struct nlmsghdr **out)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(nl->buffer);

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	nlh->nlmsg_seq = ++nl->seq;
	*out = nlh;
	return mnl_nlmsg_put_extra_header(nlh, header);
}

/*
 * Sends a request and reads up to its end: the acknowledgement of a command, the
 * last part of a list, or where `answer` stops. A question needs no acknowledgement,
 * which would be one more datagram to read.
 */
static int talk(struct netlink *nl, const struct nlmsghdr *nlh, mnl_cb_t answer, void *arg)
{
	unsigned int port = mnl_socket_get_portid(nl->requests);
	int ret = MNL_CB_OK;

	if (mnl_socket_sendto(nl->requests, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	while (ret > MNL_CB_STOP) {
		ssize_t len = mnl_socket_recvfrom(nl->requests, nl->buffer, sizeof(nl->buffer));

		if (len < 0)
			return -errno;
		ret = mnl_cb_run(nl->buffer, (size_t)len, nl->seq, port, answer, arg);
		/* The rest of an answer that came too late for its own request. */
		if (ret < 0 && errno == EPROTO)
			ret = MNL_CB_OK;
	}
	return ret < 0 ? -errno : 0;
}

struct attributes {
	const struct nlattr *at[128];	/* by type; larger types are left out */
};

static int keep_attribute(const struct nlattr *attr, void *arg)
{
	struct attributes *attributes = arg;
	uint16_t type = mnl_attr_get_type(attr);

	if (type < sizeof(attributes->at) / sizeof(attributes->at[0]))
		attributes->at[type] = attr;
	return MNL_CB_OK;
}

static bool attribute_u32(const struct nlattr *attr, uint32_t *out)
{
	if (!attr || mnl_attr_validate(attr, MNL_TYPE_U32) < 0)
		return false;
	*out = mnl_attr_get_u32(attr);
	return true;
}

static bool attribute_mac(const struct nlattr *attr, uint8_t out[static 6])
{
	if (!attr || mnl_attr_get_payload_len(attr) != 6)
		return false;
	memcpy(out, mnl_attr_get_payload(attr), 6);
	return true;
}

/* --- links --------------------------------------------------------------------- */

static void parse_vlan(const struct nlattr *info, const struct nlattr *below, struct netlink_link *out)
{
	struct attributes link = { 0 }, vlan = { 0 };
	uint16_t protocol = ETH_P_8021Q;
	uint32_t lower;

	mnl_attr_parse_nested(info, keep_attribute, &link);
	if (!link.at[IFLA_INFO_KIND] || !link.at[IFLA_INFO_DATA] ||
	    mnl_attr_validate(link.at[IFLA_INFO_KIND], MNL_TYPE_NUL_STRING) < 0 ||
	    strcmp(mnl_attr_get_str(link.at[IFLA_INFO_KIND]), "vlan"))
		return;
	mnl_attr_parse_nested(link.at[IFLA_INFO_DATA], keep_attribute, &vlan);
	if (vlan.at[IFLA_VLAN_PROTOCOL] && mnl_attr_validate(vlan.at[IFLA_VLAN_PROTOCOL], MNL_TYPE_U16) == 0)
		protocol = ntohs(mnl_attr_get_u16(vlan.at[IFLA_VLAN_PROTOCOL]));
	if (!vlan.at[IFLA_VLAN_ID] || mnl_attr_validate(vlan.at[IFLA_VLAN_ID], MNL_TYPE_U16) < 0 ||
	    !attribute_u32(below, &lower))
		return;
	out->vlan[0] = (struct rsip_vlan){ htons(protocol), htons(mnl_attr_get_u16(vlan.at[IFLA_VLAN_ID])) };
	out->lower = lower;
}

static bool parse_link(const struct nlmsghdr *nlh, struct netlink_link *out)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(nlh);
	struct attributes attributes = { 0 };

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*info) ||
	    mnl_attr_parse(nlh, sizeof(*info), keep_attribute, &attributes) < 0)
		return false;
	*out = (struct netlink_link){
		.ifindex = (uint32_t)info->ifi_index,
		.lower = (uint32_t)info->ifi_index,
		.ethernet = info->ifi_type == ARPHRD_ETHER,
		.up = (info->ifi_flags & (IFF_UP | IFF_RUNNING)) == (IFF_UP | IFF_RUNNING),
	};
	if (attributes.at[IFLA_IFNAME] && mnl_attr_validate(attributes.at[IFLA_IFNAME], MNL_TYPE_NUL_STRING) == 0)
		snprintf(out->name, sizeof(out->name), "%s", mnl_attr_get_str(attributes.at[IFLA_IFNAME]));
	attribute_u32(attributes.at[IFLA_MTU], &out->mtu);
	if (!attribute_mac(attributes.at[IFLA_ADDRESS], out->mac))
		out->ethernet = false;
	if (attributes.at[IFLA_LINKINFO])
		parse_vlan(attributes.at[IFLA_LINKINFO], attributes.at[IFLA_LINK], out);
	return true;
}

static int link_answer(const struct nlmsghdr *nlh, void *arg)
{
	if (nlh->nlmsg_type == RTM_NEWLINK)
		parse_link(nlh, arg);
	return MNL_CB_STOP;
}

/* One link, as the kernel tells it: of a VLAN only the device right below it. */
static int link_get(struct netlink *nl, uint32_t ifindex, const char *name, struct netlink_link *out)
{
	struct nlmsghdr *nlh;
	struct ifinfomsg *info = request(nl, RTM_GETLINK, 0, sizeof(*info), &nlh);
	int err;

	info->ifi_index = (int)ifindex;
	if (!ifindex)
		mnl_attr_put_strz(nlh, IFLA_IFNAME, name);
	memset(out, 0, sizeof(*out));
	err = talk(nl, nlh, link_answer, out);
	return err ? err : out->ifindex ? 0 : -ENODEV;
}

/* QinQ: a VLAN on a VLAN. Its inner tag is the one of the link itself. */
static void link_complete(struct netlink *nl, struct netlink_link *link)
{
	struct netlink_link below;

	if (!link->vlan[0].proto || link_get(nl, link->lower, NULL, &below) || !below.vlan[0].proto)
		return;
	link->vlan[1] = link->vlan[0];
	link->vlan[0] = below.vlan[0];
	link->lower = below.lower;
}

int netlink_link_get(struct netlink *nl, uint32_t ifindex, const char *name, struct netlink_link *out)
{
	int err = link_get(nl, ifindex, name, out);

	if (!err)
		link_complete(nl, out);
	return err;
}

/* --- addresses ------------------------------------------------------------------ */

struct address_search {
	uint32_t ifindex;
	__be32 found;
};

static int address_answer(const struct nlmsghdr *nlh, void *arg)
{
	const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(nlh);
	struct attributes attributes = { 0 };
	struct address_search *search = arg;

	if (nlh->nlmsg_type == RTM_NEWADDR && mnl_nlmsg_get_payload_len(nlh) >= sizeof(*ifa) && !search->found &&
	    ifa->ifa_index == search->ifindex && mnl_attr_parse(nlh, sizeof(*ifa), keep_attribute, &attributes) >= 0)
		attribute_u32(attributes.at[IFA_LOCAL], &search->found);
	return MNL_CB_OK;
}

__be32 netlink_address_get(struct netlink *nl, uint32_t ifindex)
{
	struct address_search search = { .ifindex = ifindex };
	struct nlmsghdr *nlh;
	struct ifaddrmsg *ifa = request(nl, RTM_GETADDR, NLM_F_DUMP, sizeof(*ifa), &nlh);

	ifa->ifa_family = AF_INET;
	return talk(nl, nlh, address_answer, &search) ? 0 : search.found;
}

/* --- routes -------------------------------------------------------------------- */

static int route_answer(const struct nlmsghdr *nlh, void *arg)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	struct attributes attributes = { 0 };
	struct netlink_route *out = arg;

	if (nlh->nlmsg_type != RTM_NEWROUTE || mnl_nlmsg_get_payload_len(nlh) < sizeof(*rtm) ||
	    mnl_attr_parse(nlh, sizeof(*rtm), keep_attribute, &attributes) < 0)
		return MNL_CB_STOP;
	/* RTA_VIA is an IPv6 router, which has no neighbour entry of this family. */
	if (attributes.at[RTA_VIA])
		return MNL_CB_STOP;
	out->type = rtm->rtm_type;
	attribute_u32(attributes.at[RTA_OIF], &out->ifindex);
	attribute_u32(attributes.at[RTA_GATEWAY], &out->gateway);
	return MNL_CB_STOP;
}

int netlink_route_get(struct netlink *nl, __be32 dst, struct netlink_route *out)
{
	struct nlmsghdr *nlh;
	struct rtmsg *rtm = request(nl, RTM_GETROUTE, 0, sizeof(*rtm), &nlh);
	int err;

	rtm->rtm_family = AF_INET;
	rtm->rtm_dst_len = 32;
	mnl_attr_put_u32(nlh, RTA_DST, dst);
	memset(out, 0, sizeof(*out));
	err = talk(nl, nlh, route_answer, out);
	return err ? err : out->ifindex ? 0 : -ENETUNREACH;
}

/* What a route event is about; the default route's prefix has no RTA_DST. */
static struct addr_prefix changed_prefix(const struct nlmsghdr *nlh)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	struct attributes attributes = { 0 };
	struct addr_prefix all = { 0 }, prefix = { 0 };

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*rtm) || rtm->rtm_dst_len > 32 ||
	    mnl_attr_parse(nlh, sizeof(*rtm), keep_attribute, &attributes) < 0 ||
	    !attribute_u32(attributes.at[RTA_DST], &prefix.network))
		return all;
	prefix.length = rtm->rtm_dst_len;
	prefix.network &= addr_mask(prefix.length);
	return prefix;
}

/* --- neighbours ------------------------------------------------------------------ */

static bool parse_neigh(const struct nlmsghdr *nlh, struct netlink_neigh *out)
{
	const struct ndmsg *ndm = mnl_nlmsg_get_payload(nlh);
	struct attributes attributes = { 0 };
	uint32_t addr;

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*ndm) || ndm->ndm_family != AF_INET ||
	    mnl_attr_parse(nlh, sizeof(*ndm), keep_attribute, &attributes) < 0 ||
	    !attribute_u32(attributes.at[NDA_DST], &addr))
		return false;
	*out = (struct netlink_neigh){
		.ifindex = (uint32_t)ndm->ndm_ifindex, .addr = addr, .state = ndm->ndm_state,
	};
	out->has_mac = attribute_mac(attributes.at[NDA_LLADDR], out->mac);
	return true;
}

static int neigh_answer(const struct nlmsghdr *nlh, void *arg)
{
	if (nlh->nlmsg_type == RTM_NEWNEIGH)
		parse_neigh(nlh, arg);
	return MNL_CB_STOP;
}

static struct nlmsghdr *neigh_request(struct netlink *nl, uint16_t type, uint16_t flags, uint8_t ndm_flags,
				      uint32_t ifindex, __be32 addr)
{
	struct nlmsghdr *nlh;
	struct ndmsg *ndm = request(nl, type, flags, sizeof(*ndm), &nlh);

	ndm->ndm_family = AF_INET;
	ndm->ndm_ifindex = (int)ifindex;
	ndm->ndm_flags = ndm_flags;
	mnl_attr_put_u32(nlh, NDA_DST, addr);
	return nlh;
}

int netlink_neigh_get(struct netlink *nl, uint32_t ifindex, __be32 addr, struct netlink_neigh *out)
{
	struct nlmsghdr *nlh = neigh_request(nl, RTM_GETNEIGH, 0, 0, ifindex, addr);
	int err;

	memset(out, 0, sizeof(*out));
	err = talk(nl, nlh, neigh_answer, out);
	return err ? err : out->ifindex ? 0 : -ENOENT;
}

int netlink_neigh_ask(struct netlink *nl, uint32_t ifindex, __be32 addr)
{
	return talk(nl, neigh_request(nl, RTM_NEWNEIGH, NLM_F_ACK | NLM_F_CREATE, NTF_USE, ifindex, addr), NULL, NULL);
}

int netlink_neigh_keep(struct netlink *nl, uint32_t ifindex, __be32 addr)
{
	struct nlmsghdr *nlh = neigh_request(nl, RTM_NEWNEIGH, NLM_F_ACK | NLM_F_CREATE, NTF_USE, ifindex, addr);

	mnl_attr_put_u32(nlh, NDA_FLAGS_EXT, NTF_EXT_MANAGED);
	return talk(nl, nlh, NULL, NULL);
}

int netlink_neigh_release(struct netlink *nl, uint32_t ifindex, __be32 addr)
{
	return talk(nl, neigh_request(nl, RTM_NEWNEIGH, NLM_F_ACK, NTF_USE, ifindex, addr), NULL, NULL);
}

/* --- events ---------------------------------------------------------------------- */

static int event(const struct nlmsghdr *nlh, void *arg)
{
	static const struct addr_prefix everything = { 0 };
	const struct netlink_events *events = arg;
	struct addr_prefix prefix;
	struct netlink_neigh neigh;
	struct netlink_link link;

	switch (nlh->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		if (parse_link(nlh, &link))
			events->link(&link, nlh->nlmsg_type == RTM_DELLINK, events->arg);
		break;
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH:
		if (parse_neigh(nlh, &neigh))
			events->neigh(&neigh, nlh->nlmsg_type == RTM_DELNEIGH, events->arg);
		break;
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		prefix = changed_prefix(nlh);
		events->route(&prefix, events->arg);
		break;
	case RTM_NEWADDR:	/* an address that goes takes routes along without a word */
	case RTM_DELADDR:
	case RTM_NEWRULE:
	case RTM_DELRULE:
		events->route(&everything, events->arg);
		break;
	default:
		break;
	}
	return MNL_CB_OK;
}

void netlink_read(struct netlink *nl, const struct netlink_events *events)
{
	/* Its own buffer: an event may lead to requests. */
	char buffer[BUFFER];

	for (unsigned int i = 0; i < READS_MAX; i++) {
		ssize_t len = mnl_socket_recvfrom(nl->events, buffer, sizeof(buffer));

		if (len >= 0) {
			mnl_cb_run(buffer, (size_t)len, 0, 0, event, (void *)events);
		} else if (errno == ENOBUFS || errno == ENOSPC) {
			events->lost(events->arg);
		} else if (errno != EINTR) {
			return;
		}
	}
}
