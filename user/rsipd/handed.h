/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Packets that the data plane handed over because it did not know the way, on
 * their way out through the kernel.
 */
#pragma once

#include <stdint.h>

#include <rsip/datapath.h>
#include "lib/log.h"
#include "rsipd/interfaces.h"

struct handed {
	int raw;		/* socket; -1: none */
	struct log_limit limit;
};

/* 0 or -errno; handed_fini() is right after either. */
int handed_init(struct handed *handed);
void handed_fini(struct handed *handed);

/* Sends one by that interface, in fragments where it must and may. What cannot be sent is lost, logged at `now`, ms. */
void handed_send(struct handed *handed, const struct rsip_event_resolve *event, const struct interface *interface,
		 uint64_t now);
