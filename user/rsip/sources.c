// SPDX-License-Identifier: GPL-2.0-only
/* Loading and attaching by libbpf; a link of ours goes when we go. */
#include "rsip/sources.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include "connect.skel.h"
#include "lib/log.h"

struct sources {
	struct connect_bpf *bpf;
	struct ring_buffer *ring;
	void (*wish)(const struct rsip_wish *wish, void *arg);
	void *arg;
};

/* The root of the cgroup v2 hierarchy, wherever it is mounted ("ip netns exec" hides it), or -errno. */
static int cgroup_root(void)
{
	int fs = fsopen("cgroup2", FSOPEN_CLOEXEC), mount = -1, root = -1;

	if (fs >= 0 && fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
		mount = fsmount(fs, FSMOUNT_CLOEXEC, 0);
	if (mount >= 0)
		root = openat(mount, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		root = -errno;
	if (mount >= 0)
		close(mount);
	if (fs >= 0)
		close(fs);
	return root;
}

static int netns_cookie(__u64 *out)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), err = 0;
	socklen_t len = sizeof(*out);

	if (fd < 0)
		return -errno;
	if (getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, out, &len))
		err = -errno;
	close(fd);
	return err;
}

/* The links are destroyed with the rest. */
static int attach_to(struct connect_bpf *bpf, int root)
{
	bpf->links.rsip_connect = bpf_program__attach_cgroup(bpf->progs.rsip_connect, root);
	if (bpf->links.rsip_connect == NULL)
		return -errno;
	bpf->links.rsip_connect_mapped = bpf_program__attach_cgroup(bpf->progs.rsip_connect_mapped, root);
	return bpf->links.rsip_connect_mapped == NULL ? -errno : 0;
}

static int attach(struct sources *c)
{
	int root = cgroup_root(), err;

	if (root < 0)
		return root;
	err = attach_to(c->bpf, root);
	close(root);
	return err;
}

static int take_wish(void *arg, void *data, size_t size)
{
	struct sources *c = arg;

	if (size >= sizeof(struct rsip_wish))
		c->wish(data, c->arg);
	return 0;
}

int sources_open(struct sources **out)
{
	struct sources *c = calloc(1, sizeof(*c));
	const char *step = "load";
	int err = 0;

	if (c == NULL)
		return -ENOMEM;
	c->bpf = connect_bpf__open_and_load();
	if (c->bpf == NULL)
		err = -errno;
	if (!err) {
		step = "tell the network namespace of";
		err = netns_cookie(&c->bpf->bss->netns);
	}
	if (!err) {
		step = "hear from";
		c->ring = ring_buffer__new(bpf_map__fd(c->bpf->maps.rsip_wishes), take_wish, c, NULL);
		err = c->ring == NULL ? -errno : 0;
	}
	if (!err) {
		step = "attach";
		err = attach(c);
	}
	if (err) {
		log_warn("programs choose their ports themselves: cannot %s the program on connect(): %s", step,
			 strerror(-err));
		sources_close(c);
		return err;
	}
	*out = c;
	return 0;
}

void sources_close(struct sources *c)
{
	if (c == NULL)
		return;
	ring_buffer__free(c->ring);
	connect_bpf__destroy(c->bpf);
	free(c);
}

/* --- leases ------------------------------------------------------------------------ */

/* Takes out of a map every key that `keep` does not hold. */
static void prune(const struct bpf_map *map, const struct rsip_end *keep, size_t count)
{
	struct rsip_end key, next;
	struct rsip_end *at = NULL;

	while (bpf_map__get_next_key(map, at, &next, sizeof(next)) == 0) {
		bool kept = false;

		for (size_t i = 0; i < count && !kept; i++)
			kept = memcmp(&keep[i], &next, sizeof(next)) == 0;
		if (!kept && bpf_map__delete_elem(map, &next, sizeof(next), 0) == 0)
			continue;	/* from the same place */
		key = next;
		at = &key;
	}
}

/* All ends of the leases for the peer of the first one; a lease has at most 255. */
static void gather(const struct source_lease *leases, size_t count, struct rsip_ends *ends)
{
	ends->count = 0;
	for (size_t i = 0; i < count; i++) {
		if (memcmp(&leases[i].peer, &leases[0].peer, sizeof(leases[0].peer)) != 0)
			continue;
		for (size_t p = leases[i].own_count; p < leases[i].port_count && ends->count < RSIP_ENDS_MAX; p++)
			ends->list[ends->count++] = (struct rsip_end){
				.addr = leases[i].address,
				.port = htons(leases[i].ports[p]),
			};
	}
}

/* From the back, so that what a peer's first lease gathers is written last, and whole. */
static size_t write_sources(struct sources *c, const struct source_lease *leases, size_t count, struct rsip_end *peers)
{
	struct rsip_ends *ends = calloc(1, sizeof(*ends));
	size_t peer_count = 0;

	for (size_t i = count; ends != NULL && i-- > 0;) {
		gather(leases + i, count - i, ends);
		if (ends->count == 0)
			continue;
		peers[peer_count++] = leases[i].peer;
		if (bpf_map__update_elem(c->bpf->maps.rsip_sources, &leases[i].peer, sizeof(leases[i].peer), ends,
					 sizeof(*ends), BPF_ANY))
			log_warn("ports for programs: the kernel takes no more leases: %s", strerror(errno));
	}
	free(ends);
	return peer_count;
}

static size_t write_own(struct sources *c, const struct source_lease *leases, size_t count, struct rsip_end *own)
{
	const __u32 here = 1;
	size_t own_count = 0;

	for (size_t i = 0; i < count; i++) {
		for (size_t p = 0; p < leases[i].port_count; p++) {
			own[own_count] = (struct rsip_end){ .addr = leases[i].address, .port = htons(leases[i].ports[p]) };
			bpf_map__update_elem(c->bpf->maps.rsip_own, &own[own_count], sizeof(*own), &here, sizeof(here),
					     BPF_ANY);
			own_count++;
		}
	}
	return own_count;
}

void sources_leases(struct sources *c, const struct source_lease *leases, size_t count, bool for_all)
{
	size_t ports = 0;
	struct rsip_end *kept;

	for (size_t i = 0; i < count; i++)
		ports += leases[i].port_count;
	kept = calloc(ports + count + 1, sizeof(*kept));
	if (kept == NULL)
		return;
	prune(c->bpf->maps.rsip_own, kept, write_own(c, leases, count, kept));
	prune(c->bpf->maps.rsip_sources, kept, write_sources(c, leases, count, kept));
	c->bpf->bss->ports_for_all = for_all;
	free(kept);
}

/* --- places ------------------------------------------------------------------------- */

void sources_place(struct sources *c, const struct addr_prefix *prefix, enum rsip_place place)
{
	struct rsip_place_key key = { .length = prefix->length, .addr = prefix->network };
	__u32 value = place;

	if (place == RSIP_PLACE_UNKNOWN)
		bpf_map__delete_elem(c->bpf->maps.rsip_places, &key, sizeof(key), 0);
	else
		bpf_map__update_elem(c->bpf->maps.rsip_places, &key, sizeof(key), &value, sizeof(value), BPF_ANY);
}

int sources_fd(const struct sources *c)
{
	return ring_buffer__epoll_fd(c->ring);
}

void sources_read(struct sources *c, void (*wish)(const struct rsip_wish *wish, void *arg), void *arg)
{
	c->wish = wish;
	c->arg = arg;
	ring_buffer__consume(c->ring);
}
