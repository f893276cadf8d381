/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The XDP programs on their interfaces: through libxdp's dispatcher, which
 * other programs can share, or alone where the kernel or another program does
 * not allow that; in native mode, or generic where the driver cannot.
 */
#pragma once

#include <stddef.h>

#include "rsipd/bpfmaps.h"
#include "rsipd/config.h"
#include "rsipd/datapath.h"
#include "rsipd/netlink.h"

struct attach;

/* Messages of libbpf and libxdp go through log.h from now on, one level down. */
void attach_log(void);

/*
 * Loads both programs on the maps and puts them on all interfaces. Those that an
 * earlier daemon left there stay if they are the same on the same maps, else they
 * are replaced without a moment in which none is there. 0, or -errno, logged;
 * then nothing is left attached but where an earlier daemon had something.
 */
int attach_new(const struct config *config, const struct bpfmaps *maps, struct netlink *netlink,
	       struct attach **out);
/* Puts the programs on those interfaces that are another device now than when they
 * were put on last. What cannot be attached is logged, shown as off, and left to attach_keep(). */
void attach_follow(struct attach *attach, struct netlink *netlink);
/* To be called once a second. Puts a program on again that somebody took off, and tries again where attach_follow() could
 * not, for some seconds. 0; -errno, logged, if that cannot be. */
int attach_keep(struct attach *attach);
/* Takes exactly these programs off. */
void attach_off(struct attach *attach);
/* Whether some interface has a dispatcher: its programs are found by their ids, and what
 * has an id only CAP_SYS_ADMIN may open. */
bool attach_is_shared(const struct attach *attach);
/* Closes; programs stay where they are. */
void attach_free(struct attach *attach);

/* As datapath_interfaces(); asks the kernel what is there now. */
size_t attach_interfaces(const struct attach *attach, struct datapath_interface *out, size_t max);

/* Takes off what a dead daemon left on the configured interfaces. Returns how many programs. */
unsigned int attach_remove_left(const struct config *config, struct netlink *netlink);
