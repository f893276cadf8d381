/* SPDX-License-Identifier: GPL-2.0-only */
/* See config_system.h. */
#include "rsipd/config_system.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <libmnl/libmnl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lib/log.h"

/* --- addresses that are followed ------------------------------------------------------- */

__be32 config_interface_address(const char *name)
{
	struct ifreq request = { 0 };
	struct sockaddr_in address;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return 0;
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	if (ioctl(fd, SIOCGIFADDR, &request))
		memset(&request, 0, sizeof(request));
	close(fd);
	memcpy(&address, &request.ifr_addr, sizeof(address));
	return address.sin_addr.s_addr;
}

const struct config_follow *config_moved(const struct config *config, __be32 *address)
{
	for (size_t i = 0; i < config->follow_count; i++) {
		*address = config_interface_address(config->follow[i].name);
		if (*address && *address != config->follow[i].address)
			return &config->follow[i];
	}
	return NULL;
}

/* --- the check ----------------------------------------------------------------------- */

struct system_check {
	const struct config *config;
	const char *path;
	struct config_error *error;
	bool found[CONFIG_INTERFACES_MAX];	/* the address of each private interface */
	int err;
};

/* An address of this machine: one of ours, or one that must not be lent? */
static int see_address(const struct nlmsghdr *message, void *arg)
{
	struct system_check *check = arg;
	const struct config *config = check->config;
	const struct ifaddrmsg *header = mnl_nlmsg_get_payload(message);
	const struct nlattr *attr;
	const struct config_pool *pool;
	char name[IF_NAMESIZE] = "?", text[ADDR_TEXT_LEN];
	__be32 address = 0;

	mnl_attr_for_each(attr, message, sizeof(*header)) {
		if (mnl_attr_get_type(attr) == IFA_LOCAL && mnl_attr_get_payload_len(attr) == sizeof(address))
			address = mnl_attr_get_u32(attr);
	}
	if (!address || !if_indextoname(header->ifa_index, name))
		return MNL_CB_OK;
	for (size_t i = 0; i < config->private_count; i++) {
		if (!strcmp(config->private_interfaces[i].name, name) && config->private_interfaces[i].address == address)
			check->found[i] = true;
	}
	pool = config_pool_with(config, &(struct addr_range){ ntohl(address), ntohl(address) });
	if (pool && !pool->gateway_address && !check->err)
		check->err = config_error_set(check->error, check->path, pool->line, "pool %s holds %s, an address of %s: "
					      "allowed with gateway-address: true only", pool->name,
					      addr_text(address, text), name);
	return MNL_CB_OK;
}

/* Calls see_address() for each IPv4 address of this network namespace. */
static int each_address(struct system_check *check)
{
	char buffer[MNL_SOCKET_BUFFER_SIZE];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	struct mnl_socket *nl = mnl_socket_open(NETLINK_ROUTE);
	struct ifaddrmsg *header;
	ssize_t len = -1;
	int more = MNL_CB_OK;

	if (!nl)
		return -1;
	request->nlmsg_type = RTM_GETADDR;
	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	request->nlmsg_seq = 1;
	header = mnl_nlmsg_put_extra_header(request, sizeof(*header));
	header->ifa_family = AF_INET;
	if (mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) == 0 &&
	    mnl_socket_sendto(nl, request, request->nlmsg_len) >= 0) {
		while (more > MNL_CB_STOP && (len = mnl_socket_recvfrom(nl, buffer, sizeof(buffer))) > 0)
			more = mnl_cb_run(buffer, (size_t)len, 1, mnl_socket_get_portid(nl), see_address, check);
	}
	mnl_socket_close(nl);
	return len > 0 && more == MNL_CB_STOP ? 0 : -1;
}

/* APF-02: N's own connections from an address it lends should not take ports that are lent. A warning: leases
 * come first. */
static void warn_local_ports(const struct config *config, const char *path)
{
	FILE *file = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
	unsigned int first, last;
	bool known = file && fscanf(file, "%u %u", &first, &last) == 2;

	if (file)
		fclose(file);
	for (size_t p = 0; p < config->pool_count && known; p++) {
		const struct config_pool *pool = &config->pools[p];

		if (pool->gateway_address && pool->ports.first <= last && first <= pool->ports.last)
			log_warn("%s:%u: pool %s lends ports %u-%u of an address of this machine, whose own connections use "
				 "%u-%u: set net.ipv4.ip_local_port_range, or ports, so that they do not overlap",
				 path, pool->line, pool->name, pool->ports.first, pool->ports.last, first, last);
	}
}

static int check_interface_exists(const struct config_interface *interface, const char *path, struct config_error *error)
{
	if (if_nametoindex(interface->name))
		return 0;
	return config_error_set(error, path, interface->line, "there is no interface %s: an interface of this machine is "
				"allowed", interface->name);
}

int config_check_system(const struct config *config, const char *path, struct config_error *error)
{
	struct system_check check = { .config = config, .path = path, .error = error };
	char text[ADDR_TEXT_LEN];
	int err = -1;

	for (size_t i = 0; i < config->private_count; i++) {
		if (check_interface_exists(&config->private_interfaces[i], path, error))
			return -1;
	}
	for (size_t i = 0; i < config->public_count; i++) {
		if (check_interface_exists(&config->public_interfaces[i], path, error))
			return -1;
	}
	/* An address that changes under the listing interrupts it. */
	for (int try = 0; err && try < 3; try++) {
		memset(check.found, 0, sizeof(check.found));
		check.err = 0;
		err = each_address(&check);
	}
	if (err)
		return config_error_set(error, path, 1, "the addresses of this machine cannot be listed: %s", strerror(errno));
	if (check.err)
		return -1;
	for (size_t i = 0; i < config->private_count; i++) {
		const struct config_interface *interface = &config->private_interfaces[i];

		if (!check.found[i])
			return config_error_set(error, path, interface->address_line, "%s is not an address of %s: an address "
						"of that interface is allowed", addr_text(interface->address, text),
						interface->name);
	}
	warn_local_ports(config, path);
	return 0;
}
