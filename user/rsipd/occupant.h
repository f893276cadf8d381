/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who occupies an interface: its XDP program, which may be libxdp's dispatcher with others in it, and
 * which of them are an rsipd's. Looks and takes off; what is put on is attach.h's.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <bpf/bpf.h>

#define PROGRAM_PUBLIC		"rsip_public"
#define PROGRAM_PRIVATE		"rsip_private"
#define OCCUPANT_SHARED_MAX	10	/* programs in one dispatcher */

struct occupant {
	__u32 id;			/* 0: nothing */
	bool native;
	char name[BPF_OBJ_NAME_LEN];	/* empty: not told */
};

/* Asks the kernel what is on an interface. 0, or -errno. */
int occupant_look(int ifindex, struct occupant *out);
bool occupant_is_dispatcher(const struct occupant *found);
/* Whether a program of that name is an rsipd's, this one's or another's. */
bool occupant_is_ours(const char *name);
/* Ids of our programs in the dispatcher of an interface, by occupant_is_ours(). Returns how many. */
size_t occupant_shared_ours(int ifindex, __u32 ids[static OCCUPANT_SHARED_MAX]);

/* Takes the lone program `fd` off, which stays the caller's. The kernel checks that this program is still
 * the one. 0, or -errno. */
int occupant_remove_alone(int ifindex, int fd, bool native);
/* Takes program `id` out of the dispatcher; the last one takes that along. 0, or -errno. */
int occupant_remove_shared(int ifindex, __u32 id, bool native);
/* Takes all of ours off, alone or in a dispatcher. Returns how many it were. */
unsigned int occupant_remove_ours(int ifindex);
