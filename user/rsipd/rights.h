/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What rsipd may do beyond what its user may: Linux capabilities, see
 * capabilities(7) (SEC-11). They belong to a thread and those that it starts.
 * Rights that were never there, under a service manager for instance, are not missed here:
 * whoever needs one says so.
 */
#pragma once

#include <stdbool.h>

/* Before anything else, while there is one thread: only what setting up needs is left,
 * and programs that might be started get nothing. 0 or -errno, logged. */
int rights_to_set_up(void);

/*
 * Only what running and detaching need is left to this thread, and that is logged.
 * `dispatcher`: programs stand in libxdp's dispatcher, which is found by ids;
 * `low_port`: RSIP is served on a port below 1024. 0 or -errno, logged.
 */
int rights_to_run(bool dispatcher, bool low_port);

/* Nothing is left to this thread: it reads and writes the state folder. */
void rights_to_write(void);
