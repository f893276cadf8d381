// SPDX-License-Identifier: GPL-2.0-only
/* rtnetlink by libmnl: one request, its answer, then the next. */
#include "rsip/kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <net/if_arp.h>
#include <linux/if_link.h>
#include <linux/if_tunnel.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define REQUEST_MAX	1024
#define TUNNEL_TTL	64
#define TUNNEL_TOS_INHERIT 1
#define LAST_METRIC	0xffffffffu	/* the unreachable route stands behind all others */

#define REQUEST(name) char name[REQUEST_MAX] __attribute__((aligned(MNL_ALIGNTO)))

int kernel_open(struct kernel *k)
{
	int on = 1;

	k->seq = (uint32_t)time(NULL);
	k->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (k->socket == NULL)
		return -errno;
	if (mnl_socket_bind(k->socket, 0, MNL_SOCKET_AUTOPID) < 0) {
		int err = -errno;

		kernel_close(k);
		return err;
	}
	/* Dumps are filtered by the kernel; old kernels do not know it and dump everything. */
	mnl_socket_setsockopt(k->socket, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
	return 0;
}

void kernel_close(struct kernel *k)
{
	if (k->socket != NULL)
		mnl_socket_close(k->socket);
	k->socket = NULL;
}

static struct nlmsghdr *request(struct kernel *k, char *buffer, uint16_t type, uint16_t flags)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buffer);

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	nlh->nlmsg_seq = ++k->seq;
	return nlh;
}

/* Sends the request and hands every answer to `cb`, until the end or an error. */
static int talk(struct kernel *k, struct nlmsghdr *nlh, mnl_cb_t cb, void *arg)
{
	unsigned int port = mnl_socket_get_portid(k->socket);
	char buffer[32768];
	int run = MNL_CB_OK;

	if (mnl_socket_sendto(k->socket, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	while (run > MNL_CB_STOP) {
		ssize_t len = mnl_socket_recvfrom(k->socket, buffer, sizeof(buffer));

		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0)
			return -errno;
		run = mnl_cb_run(buffer, (size_t)len, k->seq, port, cb, arg);
	}
	return run < 0 ? -errno : 0;
}

static int command(struct kernel *k, struct nlmsghdr *nlh)
{
	nlh->nlmsg_flags |= NLM_F_ACK;
	return talk(k, nlh, NULL, NULL);
}

/* --- attributes ------------------------------------------------------------------- */

struct attributes {
	const struct nlattr **at;
	uint16_t max;
};

static int keep_attribute(const struct nlattr *attr, void *arg)
{
	struct attributes *found = arg;
	uint16_t type = mnl_attr_get_type(attr);

	if (type <= found->max)
		found->at[type] = attr;
	return MNL_CB_OK;
}

#define PARSE(nlh, header, table, last)						\
	do {									\
		struct attributes found_ = { (table), (last) };			\
		memset((table), 0, ((last) + 1) * sizeof(*(table)));		\
		mnl_attr_parse((nlh), sizeof(header), keep_attribute, &found_);	\
	} while (0)

static uint32_t get_u32(const struct nlattr *attr, uint32_t otherwise)
{
	if (attr == NULL || mnl_attr_get_payload_len(attr) < sizeof(uint32_t))
		return otherwise;
	return mnl_attr_get_u32(attr);
}

static void get_text(const struct nlattr *attr, char *out, size_t capacity)
{
	size_t len = attr != NULL ? strnlen(mnl_attr_get_str(attr), mnl_attr_get_payload_len(attr)) : 0;

	if (len >= capacity)
		len = capacity - 1;
	if (len > 0)
		memcpy(out, mnl_attr_get_str(attr), len);
	out[len] = 0;
}

/* --- links -------------------------------------------------------------------------- */

static void put_tunnel(struct nlmsghdr *nlh, const struct kernel_device *device)
{
	bool gre = strcmp(device->kind, "gre") == 0;

	mnl_attr_put_u32(nlh, gre ? IFLA_GRE_LOCAL : IFLA_IPTUN_LOCAL, device->local);
	mnl_attr_put_u32(nlh, gre ? IFLA_GRE_REMOTE : IFLA_IPTUN_REMOTE, device->remote);
	mnl_attr_put_u8(nlh, gre ? IFLA_GRE_TTL : IFLA_IPTUN_TTL, TUNNEL_TTL);
	mnl_attr_put_u8(nlh, gre ? IFLA_GRE_TOS : IFLA_IPTUN_TOS, TUNNEL_TOS_INHERIT);
	mnl_attr_put_u8(nlh, gre ? IFLA_GRE_PMTUDISC : IFLA_IPTUN_PMTUDISC, 1);
	if (!gre)
		mnl_attr_put_u8(nlh, IFLA_IPTUN_PROTO, IPPROTO_IPIP);
}

int kernel_device_add(struct kernel *k, const struct kernel_device *device)
{
	REQUEST(buffer);
	struct nlmsghdr *nlh = request(k, buffer, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
	struct ifinfomsg *info = mnl_nlmsg_put_extra_header(nlh, sizeof(*info));
	struct nlattr *link, *data;

	info->ifi_family = AF_UNSPEC;
	mnl_attr_put_strz(nlh, IFLA_IFNAME, device->name);
	mnl_attr_put_u32(nlh, IFLA_MTU, device->mtu);
	link = mnl_attr_nest_start(nlh, IFLA_LINKINFO);
	mnl_attr_put_strz(nlh, IFLA_INFO_KIND, device->kind);
	if (device->remote != 0) {
		data = mnl_attr_nest_start(nlh, IFLA_INFO_DATA);
		put_tunnel(nlh, device);
		mnl_attr_nest_end(nlh, data);
	}
	mnl_attr_nest_end(nlh, link);
	return command(k, nlh);
}

static struct nlmsghdr *link_request(struct kernel *k, char *buffer, uint16_t type, int index)
{
	struct nlmsghdr *nlh = request(k, buffer, type, 0);
	struct ifinfomsg *info = mnl_nlmsg_put_extra_header(nlh, sizeof(*info));

	info->ifi_family = AF_UNSPEC;
	info->ifi_index = index;
	return nlh;
}

int kernel_link_delete(struct kernel *k, int index)
{
	REQUEST(buffer);

	return command(k, link_request(k, buffer, RTM_DELLINK, index));
}

int kernel_link_up(struct kernel *k, int index)
{
	REQUEST(buffer);
	struct nlmsghdr *nlh = link_request(k, buffer, RTM_NEWLINK, index);
	struct ifinfomsg *info = mnl_nlmsg_get_payload(nlh);

	info->ifi_flags = info->ifi_change = IFF_UP;
	return command(k, nlh);
}

int kernel_link_alias(struct kernel *k, int index, const char *alias)
{
	REQUEST(buffer);
	struct nlmsghdr *nlh = link_request(k, buffer, RTM_NEWLINK, index);

	mnl_attr_put_strz(nlh, IFLA_IFALIAS, alias);
	return command(k, nlh);
}

int kernel_link_no_ipv6(struct kernel *k, int index)
{
	REQUEST(buffer);
	struct nlmsghdr *nlh = link_request(k, buffer, RTM_NEWLINK, index);
	struct nlattr *families = mnl_attr_nest_start(nlh, IFLA_AF_SPEC);
	struct nlattr *family = mnl_attr_nest_start(nlh, AF_INET6);

	mnl_attr_put_u8(nlh, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
	mnl_attr_nest_end(nlh, family);
	mnl_attr_nest_end(nlh, families);
	return command(k, nlh);
}

int kernel_link_mtu(struct kernel *k, int index, uint32_t mtu)
{
	REQUEST(buffer);
	struct nlmsghdr *nlh = link_request(k, buffer, RTM_NEWLINK, index);

	mnl_attr_put_u32(nlh, IFLA_MTU, mtu);
	return command(k, nlh);
}

static void read_link(const struct nlmsghdr *nlh, struct kernel_link *out)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *at[IFLA_STATS64 + 1];

	PARSE(nlh, *info, at, IFLA_STATS64);
	*out = (struct kernel_link){
		.index = info->ifi_index,
		.type = info->ifi_type,
		.flags = info->ifi_flags,
		.mtu = get_u32(at[IFLA_MTU], 0),
	};
	get_text(at[IFLA_IFNAME], out->name, sizeof(out->name));
	get_text(at[IFLA_IFALIAS], out->alias, sizeof(out->alias));
	if (info->ifi_type == ARPHRD_ETHER && at[IFLA_ADDRESS] != NULL &&
	    mnl_attr_get_payload_len(at[IFLA_ADDRESS]) == sizeof(out->mac))
		memcpy(out->mac, mnl_attr_get_payload(at[IFLA_ADDRESS]), sizeof(out->mac));
	if (at[IFLA_STATS64] != NULL) {
		struct rtnl_link_stats64 stats = { 0 };
		size_t len = mnl_attr_get_payload_len(at[IFLA_STATS64]);

		memcpy(&stats, mnl_attr_get_payload(at[IFLA_STATS64]), len < sizeof(stats) ? len : sizeof(stats));
		out->rx_packets = stats.rx_packets;
		out->rx_bytes = stats.rx_bytes;
		out->tx_packets = stats.tx_packets;
		out->tx_bytes = stats.tx_bytes;
	}
}

static int take_link(const struct nlmsghdr *nlh, void *arg)
{
	if (nlh->nlmsg_type == RTM_NEWLINK)
		read_link(nlh, arg);
	return MNL_CB_OK;
}

int kernel_link_get(struct kernel *k, int index, struct kernel_link *out)
{
	REQUEST(buffer);
	struct nlmsghdr *nlh = link_request(k, buffer, RTM_GETLINK, index);

	nlh->nlmsg_flags |= NLM_F_ACK;
	return talk(k, nlh, take_link, out);
}

/* Whole lists are gathered before the caller sees one: it may want the socket. */
struct list {
	size_t size;		/* of one */
	size_t count, capacity;
	char *data;
	bool failed;
};

static void *list_grow(struct list *list)
{
	if (list->count == list->capacity) {
		size_t capacity = list->capacity ? list->capacity * 2 : 32;
		char *data = reallocarray(list->data, capacity, list->size);

		if (data == NULL) {
			list->failed = true;
			return NULL;
		}
		list->data = data;
		list->capacity = capacity;
	}
	return list->data + list->count++ * list->size;
}

static int list_link(const struct nlmsghdr *nlh, void *arg)
{
	struct kernel_link *link;

	if (nlh->nlmsg_type != RTM_NEWLINK)
		return MNL_CB_OK;
	link = list_grow(arg);
	if (link != NULL)
		read_link(nlh, link);
	return MNL_CB_OK;
}

int kernel_links(struct kernel *k, void (*each)(const struct kernel_link *link, void *arg), void *arg)
{
	struct list list = { .size = sizeof(struct kernel_link) };
	REQUEST(buffer);
	struct nlmsghdr *nlh = link_request(k, buffer, RTM_GETLINK, 0);
	int err;

	nlh->nlmsg_flags |= NLM_F_DUMP;
	err = talk(k, nlh, list_link, &list);
	if (!err && list.failed)
		err = -ENOMEM;
	for (size_t i = 0; !err && i < list.count; i++)
		each((struct kernel_link *)list.data + i, arg);
	free(list.data);
	return err;
}

int kernel_address_add(struct kernel *k, int index, __be32 addr)
{
	REQUEST(buffer);
	struct nlmsghdr *nlh = request(k, buffer, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL);
	struct ifaddrmsg *info = mnl_nlmsg_put_extra_header(nlh, sizeof(*info));

	info->ifa_family = AF_INET;
	info->ifa_prefixlen = 32;
	info->ifa_index = (unsigned int)index;
	mnl_attr_put_u32(nlh, IFA_LOCAL, addr);
	mnl_attr_put_u32(nlh, IFA_ADDRESS, addr);
	return command(k, nlh);
}

/* --- routes ------------------------------------------------------------------------- */

static struct nlmsghdr *default_request(struct kernel *k, char *buffer, uint16_t type, uint16_t flags,
					uint32_t table, int index)
{
	struct nlmsghdr *nlh = request(k, buffer, type, flags);
	struct rtmsg *info = mnl_nlmsg_put_extra_header(nlh, sizeof(*info));

	info->rtm_family = AF_INET;
	info->rtm_table = RT_TABLE_UNSPEC;
	info->rtm_protocol = KERNEL_PROTOCOL;
	info->rtm_scope = index ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
	info->rtm_type = index ? RTN_UNICAST : RTN_UNREACHABLE;
	mnl_attr_put_u32(nlh, RTA_TABLE, table);
	if (index)
		mnl_attr_put_u32(nlh, RTA_OIF, (uint32_t)index);
	else
		mnl_attr_put_u32(nlh, RTA_PRIORITY, LAST_METRIC);
	return nlh;
}

int kernel_default_add(struct kernel *k, uint32_t table, int index, __be32 source)
{
	REQUEST(buffer);
	struct nlmsghdr *nlh =
		default_request(k, buffer, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, table, index);

	if (index)
		mnl_attr_put_u32(nlh, RTA_PREFSRC, source);
	return command(k, nlh);
}

int kernel_default_delete(struct kernel *k, uint32_t table, int index)
{
	REQUEST(buffer);

	return command(k, default_request(k, buffer, RTM_DELROUTE, 0, table, index));
}

static int take_path(const struct nlmsghdr *nlh, void *arg)
{
	const struct rtmsg *info = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *at[RTA_MAX + 1], *metric;
	struct kernel_path *out = arg;

	if (nlh->nlmsg_type != RTM_NEWROUTE)
		return MNL_CB_OK;
	PARSE(nlh, *info, at, RTA_MAX);
	out->index = (int)get_u32(at[RTA_OIF], 0);
	out->source = get_u32(at[RTA_PREFSRC], out->source);
	if (at[RTA_METRICS] != NULL)
		mnl_attr_for_each_nested(metric, at[RTA_METRICS])
			if (mnl_attr_get_type(metric) == RTAX_MTU)
				out->mtu = get_u32(metric, 0);
	return MNL_CB_OK;
}

static int route_get(struct kernel *k, __be32 dst, __be32 source, mnl_cb_t cb, void *arg)
{
	REQUEST(buffer);
	struct nlmsghdr *nlh = request(k, buffer, RTM_GETROUTE, NLM_F_ACK);
	struct rtmsg *info = mnl_nlmsg_put_extra_header(nlh, sizeof(*info));

	info->rtm_family = AF_INET;
	info->rtm_dst_len = 32;
	mnl_attr_put_u32(nlh, RTA_DST, dst);
	if (source != 0) {
		info->rtm_src_len = 32;
		mnl_attr_put_u32(nlh, RTA_SRC, source);
	}
	return talk(k, nlh, cb, arg);
}

int kernel_path(struct kernel *k, __be32 dst, __be32 source, struct kernel_path *out)
{
	struct kernel_path path = { .source = source };
	struct kernel_link link = { 0 };
	int err = route_get(k, dst, source, take_path, &path);

	if (!err)
		err = kernel_link_get(k, path.index, &link);
	if (err)
		return err;
	if (path.mtu == 0 || path.mtu > link.mtu)
		path.mtu = link.mtu;
	*out = path;
	return 0;
}

static int see_type(const struct nlmsghdr *nlh, void *arg)
{
	const struct rtmsg *info = mnl_nlmsg_get_payload(nlh);

	if (nlh->nlmsg_type == RTM_NEWROUTE)
		*(unsigned char *)arg = info->rtm_type;
	return MNL_CB_OK;
}

bool kernel_is_local(struct kernel *k, __be32 addr)
{
	unsigned char type = RTN_UNSPEC;

	return route_get(k, addr, 0, see_type, &type) == 0 && type == RTN_LOCAL;
}

static int see_route(const struct nlmsghdr *nlh, void *arg)
{
	const struct rtmsg *info = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *at[RTA_MAX + 1];
	uint32_t *table = arg;

	if (nlh->nlmsg_type != RTM_NEWROUTE)
		return MNL_CB_OK;
	PARSE(nlh, *info, at, RTA_MAX);
	if (get_u32(at[RTA_TABLE], info->rtm_table) == *table)
		*table = 0;
	return MNL_CB_OK;
}

bool kernel_table_used(struct kernel *k, uint32_t table)
{
	REQUEST(buffer);
	struct nlmsghdr *nlh = request(k, buffer, RTM_GETROUTE, NLM_F_DUMP);
	struct rtmsg *info = mnl_nlmsg_put_extra_header(nlh, sizeof(*info));
	uint32_t seen = table;
	int err;

	info->rtm_family = AF_INET;
	mnl_attr_put_u32(nlh, RTA_TABLE, table);
	err = talk(k, nlh, see_route, &seen);
	/* ENOENT: the kernel has no such table at all */
	return (err && err != -ENOENT) || seen != table;
}

static int list_subnet(const struct nlmsghdr *nlh, void *arg)
{
	const struct rtmsg *info = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *at[RTA_MAX + 1];
	struct addr_prefix *prefix;

	if (nlh->nlmsg_type != RTM_NEWROUTE)
		return MNL_CB_OK;
	PARSE(nlh, *info, at, RTA_MAX);
	if (get_u32(at[RTA_TABLE], info->rtm_table) != RT_TABLE_MAIN || info->rtm_type != RTN_UNICAST ||
	    info->rtm_dst_len == 0 || at[RTA_GATEWAY] != NULL || info->rtm_protocol == KERNEL_PROTOCOL)
		return MNL_CB_OK;
	prefix = list_grow(arg);
	if (prefix != NULL)
		*prefix = (struct addr_prefix){ get_u32(at[RTA_DST], 0), info->rtm_dst_len };
	return MNL_CB_OK;
}

int kernel_subnets(struct kernel *k, void (*each)(const struct addr_prefix *prefix, void *arg), void *arg)
{
	struct list list = { .size = sizeof(struct addr_prefix) };
	REQUEST(buffer);
	struct nlmsghdr *nlh = request(k, buffer, RTM_GETROUTE, NLM_F_DUMP);
	struct rtmsg *info = mnl_nlmsg_put_extra_header(nlh, sizeof(*info));
	int err;

	info->rtm_family = AF_INET;
	mnl_attr_put_u32(nlh, RTA_TABLE, RT_TABLE_MAIN);
	err = talk(k, nlh, list_subnet, &list);
	if (!err && list.failed)
		err = -ENOMEM;
	for (size_t i = 0; !err && i < list.count; i++)
		each((struct addr_prefix *)list.data + i, arg);
	free(list.data);
	return err;
}

/* --- rules -------------------------------------------------------------------------- */

static int rule_command(struct kernel *k, uint16_t type, uint16_t flags, const struct kernel_rule *rule)
{
	REQUEST(buffer);
	struct nlmsghdr *nlh = request(k, buffer, type, flags);
	struct fib_rule_hdr *info = mnl_nlmsg_put_extra_header(nlh, sizeof(*info));

	info->family = AF_INET;
	info->table = RT_TABLE_UNSPEC;
	info->action = FR_ACT_TO_TBL;
	if (rule->from != 0) {
		info->src_len = 32;
		mnl_attr_put_u32(nlh, FRA_SRC, rule->from);
	}
	if (rule->out[0] != '\0')
		mnl_attr_put_strz(nlh, FRA_OIFNAME, rule->out);
	mnl_attr_put_u32(nlh, FRA_TABLE, rule->table);
	mnl_attr_put_u32(nlh, FRA_PRIORITY, rule->preference);
	mnl_attr_put_u8(nlh, FRA_PROTOCOL, rule->protocol);
	return command(k, nlh);
}

int kernel_rule_add(struct kernel *k, const struct kernel_rule *rule)
{
	return rule_command(k, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, rule);
}

int kernel_rule_delete(struct kernel *k, const struct kernel_rule *rule)
{
	return rule_command(k, RTM_DELRULE, 0, rule);
}

static int list_rule(const struct nlmsghdr *nlh, void *arg)
{
	const struct fib_rule_hdr *info = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *at[FRA_MAX + 1];
	struct kernel_rule *rule;

	if (nlh->nlmsg_type != RTM_NEWRULE)
		return MNL_CB_OK;
	rule = list_grow(arg);
	if (rule == NULL)
		return MNL_CB_OK;
	PARSE(nlh, *info, at, FRA_MAX);
	*rule = (struct kernel_rule){
		.preference = get_u32(at[FRA_PRIORITY], 0),
		.table = get_u32(at[FRA_TABLE], info->table),
		.from = get_u32(at[FRA_SRC], 0),
		.protocol = at[FRA_PROTOCOL] != NULL ? mnl_attr_get_u8(at[FRA_PROTOCOL]) : 0,
	};
	if (at[FRA_OIFNAME] != NULL)
		snprintf(rule->out, sizeof(rule->out), "%s", mnl_attr_get_str(at[FRA_OIFNAME]));
	return MNL_CB_OK;
}

int kernel_rules(struct kernel *k, void (*each)(const struct kernel_rule *rule, void *arg), void *arg)
{
	struct list list = { .size = sizeof(struct kernel_rule) };
	REQUEST(buffer);
	struct nlmsghdr *nlh = request(k, buffer, RTM_GETRULE, NLM_F_DUMP);
	struct fib_rule_hdr *info = mnl_nlmsg_put_extra_header(nlh, sizeof(*info));
	int err;

	info->family = AF_INET;
	err = talk(k, nlh, list_rule, &list);
	if (!err && list.failed)
		err = -ENOMEM;
	for (size_t i = 0; !err && i < list.count; i++)
		each((struct kernel_rule *)list.data + i, arg);
	free(list.data);
	return err;
}

/* --- filters ------------------------------------------------------------------------ */

static int see_filter(const struct nlmsghdr *nlh, void *arg)
{
	if (nlh->nlmsg_type == RTM_NEWTFILTER)
		*(bool *)arg = true;
	return MNL_CB_OK;
}

bool kernel_has_filters(struct kernel *k, int index)
{
	static const uint32_t parents[] = {
		TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS),
		TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS),
	};
	bool seen = false;

	for (unsigned int i = 0; i < 2; i++) {
		REQUEST(buffer);
		struct nlmsghdr *nlh = request(k, buffer, RTM_GETTFILTER, NLM_F_DUMP);
		struct tcmsg *info = mnl_nlmsg_put_extra_header(nlh, sizeof(*info));

		info->tcm_family = AF_UNSPEC;
		info->tcm_ifindex = index;
		info->tcm_parent = parents[i];
		if (talk(k, nlh, see_filter, &seen))
			return true;	/* not known: leave it as it is */
	}
	return seen;
}

/* --- watching ----------------------------------------------------------------------- */

int kernel_watch(struct kernel *k)
{
	static const int groups[] = { RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV4_ROUTE };
	int err = kernel_open(k);

	for (unsigned int i = 0; !err && i < sizeof(groups) / sizeof(*groups); i++)
		if (mnl_socket_setsockopt(k->socket, NETLINK_ADD_MEMBERSHIP, (void *)&groups[i], sizeof(int)) < 0)
			err = -errno;
	if (err) {
		kernel_close(k);
		return err;
	}
	return 0;
}

int kernel_watch_fd(const struct kernel *k)
{
	return mnl_socket_get_fd(k->socket);
}

bool kernel_watch_read(struct kernel *k)
{
	int fd = mnl_socket_get_fd(k->socket);
	bool changed = false;
	char buffer[32768];
	ssize_t len;

	do {
		len = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT);
		changed |= len > 0 || (len < 0 && errno == ENOBUFS);
	} while (len > 0 || (len < 0 && (errno == EINTR || errno == ENOBUFS)));
	return changed;
}
