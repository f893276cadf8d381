/* SPDX-License-Identifier: GPL-2.0-only */
/* Programs of the kernel, compared by tag, constants and maps. */
#include "rsipd/identity.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <zlib.h>

#define MAPS_MAX	64	/* of one program */

struct identity {		/* of a loaded program */
	__u8 tag[BPF_TAG_SIZE];
	__u32 constants;		/* a checksum over them */
	__u32 map_count, maps[MAPS_MAX];
};

/* A program's constants are a map of its own (its name has a point); what counts is what they say.
 * False: this is one of the maps that are shared. */
static bool add_constants(__u32 id, __u32 *checksum)
{
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info), zero = 0;
	int fd = bpf_map_get_fd_by_id(id);
	bool own = fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &len) && strchr(info.name, '.');
	void *value = own ? calloc(1, info.value_size) : NULL;

	if (value && !bpf_map_lookup_elem(fd, &zero, value))
		*checksum = (__u32)crc32(*checksum, value, info.value_size);
	free(value);
	if (fd >= 0)
		close(fd);
	return own;
}

static int compare_ids(const void *a, const void *b)
{
	__u32 x = *(const __u32 *)a, y = *(const __u32 *)b;

	return x < y ? -1 : x > y;
}

/* Zeroed first, so that two can be compared byte by byte. */
static int identify(int fd, struct identity *out)
{
	struct bpf_prog_info info = { .nr_map_ids = MAPS_MAX };
	__u32 len = sizeof(info), ids[MAPS_MAX];

	memset(out, 0, sizeof(*out));
	info.map_ids = (__u64)(uintptr_t)ids;
	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return -errno;
	memcpy(out->tag, info.tag, sizeof(out->tag));
	for (__u32 i = 0; i < info.nr_map_ids && i < MAPS_MAX; i++) {
		if (!add_constants(ids[i], &out->constants))
			out->maps[out->map_count++] = ids[i];
	}
	qsort(out->maps, out->map_count, sizeof(out->maps[0]), compare_ids);
	return 0;
}

bool identity_same(int program, __u32 id)
{
	struct identity ours, theirs;
	int fd = bpf_prog_get_fd_by_id(id);
	bool same = fd >= 0 && !identify(fd, &theirs) && !identify(program, &ours) &&
		    !memcmp(&ours, &theirs, sizeof(ours));

	if (fd >= 0)
		close(fd);
	return same;
}
