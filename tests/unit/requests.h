/* SPDX-License-Identifier: GPL-2.0-only */
/* What hosts ask for in tests. Counter 0: none. */
#pragma once

#include "lib/msg.h"

struct msg req_register(uint32_t counter);
struct msg req_deregister(uint32_t client, uint32_t counter);
struct msg req_free(uint32_t client, uint32_t bind, uint32_t counter);
struct msg req_extend(uint32_t client, uint32_t bind, uint32_t seconds, uint32_t counter);
struct msg req_query(uint32_t client, uint32_t counter);
/* RSAP-IP for `ports` unspecified ports; everything else don't-care. */
struct msg req_rsap(uint32_t client, uint16_t ports, uint32_t counter);
/* RSA-IP for any address; a remote as req_rsap(). */
struct msg req_rsa(uint32_t client, uint32_t counter);
/* LISTEN on one port of any address. */
struct msg req_listen(uint32_t client, uint16_t port, uint32_t counter);
/* RSIPSEC for `spis` unspecified SPIs, no ports needed. */
struct msg req_ipsec(uint32_t client, uint16_t spis, uint32_t counter);
