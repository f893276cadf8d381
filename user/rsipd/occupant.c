/* SPDX-License-Identifier: GPL-2.0-only */
/* The XDP programs on an interface, by libbpf and libxdp. */
#include "rsipd/occupant.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <xdp/libxdp.h>

#define DISPATCHER	"xdp_dispatcher"

/* --- what is there --------------------------------------------------------------------------- */

static int program_name(__u32 id, char out[static BPF_OBJ_NAME_LEN])
{
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info);
	int err = 0, fd = bpf_prog_get_fd_by_id(id);

	if (fd < 0)
		return -errno;
	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		err = -errno;
	else
		memcpy(out, info.name, BPF_OBJ_NAME_LEN);
	close(fd);
	return err;
}

/* Without CAP_SYS_ADMIN the kernel tells no name. That right is only given up where no dispatcher is. */
int occupant_look(int ifindex, struct occupant *out)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);
	int err = bpf_xdp_query(ifindex, 0, &query);

	memset(out, 0, sizeof(*out));
	if (err)
		return err;
	out->native = query.drv_prog_id != 0;
	out->id = query.drv_prog_id ? query.drv_prog_id : query.skb_prog_id;
	err = out->id ? program_name(out->id, out->name) : 0;
	return err == -EPERM ? 0 : err;
}

bool occupant_is_dispatcher(const struct occupant *found)
{
	return found->id && !strcmp(found->name, DISPATCHER);
}

bool occupant_is_ours(const char *name)
{
	return !strcmp(name, PROGRAM_PUBLIC) || !strcmp(name, PROGRAM_PRIVATE);
}

size_t occupant_shared_ours(int ifindex, __u32 ids[static OCCUPANT_SHARED_MAX])
{
	struct xdp_multiprog *all = xdp_multiprog__get_from_ifindex(ifindex);
	struct xdp_program *program = NULL;
	size_t count = 0;

	if (libxdp_get_error(all))
		return 0;
	while (count < OCCUPANT_SHARED_MAX && (program = xdp_multiprog__next_prog(program, all)))
		if (occupant_is_ours(xdp_program__name(program)))
			ids[count++] = xdp_program__id(program);
	xdp_multiprog__close(all);
	return count;
}

/* --- taking off ------------------------------------------------------------------------------ */

int occupant_remove_alone(int ifindex, int fd, bool native)
{
	LIBBPF_OPTS(bpf_xdp_attach_opts, opts, .old_prog_fd = fd);

	return bpf_xdp_detach(ifindex, (native ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE) | XDP_FLAGS_REPLACE, &opts);
}

static int take_off_by_id(int ifindex, __u32 id, bool native)
{
	int err, fd = bpf_prog_get_fd_by_id(id);

	if (fd < 0)
		return -errno;
	err = occupant_remove_alone(ifindex, fd, native);
	close(fd);
	return err;
}

int occupant_remove_shared(int ifindex, __u32 id, bool native)
{
	int err, fd = bpf_prog_get_fd_by_id(id);
	struct xdp_program *program;

	if (fd < 0)
		return -errno;
	program = xdp_program__from_fd(fd);
	close(fd);
	err = (int)libxdp_get_error(program);
	if (err)
		return err;
	err = xdp_program__detach(program, ifindex, native ? XDP_MODE_NATIVE : XDP_MODE_SKB, 0);
	xdp_program__close(program);
	return err;
}

unsigned int occupant_remove_ours(int ifindex)
{
	struct occupant found;
	__u32 ids[OCCUPANT_SHARED_MAX];
	unsigned int removed = 0;
	size_t count = 0;

	if (occupant_look(ifindex, &found) || !found.id)
		return 0;
	if (occupant_is_ours(found.name))
		return take_off_by_id(ifindex, found.id, found.native) == 0;
	if (occupant_is_dispatcher(&found))
		count = occupant_shared_ours(ifindex, ids);
	for (size_t i = 0; i < count; i++)
		removed += occupant_remove_shared(ifindex, ids[i], found.native) == 0;
	return removed;
}
