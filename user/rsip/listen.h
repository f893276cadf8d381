/* SPDX-License-Identifier: GPL-2.0-only */
/* What `rsip listen` asks for, as words of the control socket. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "rsip/options.h"
#include "rsip/want.h"

#define LISTEN_WORDS	6
#define LISTEN_WORD_LEN	(RSIP_FQDN_MAX + 1)

void listen_write(const struct options *options, char words[LISTEN_WORDS][LISTEN_WORD_LEN]);
/* False: these are not such words. */
bool listen_read(const char *const *words, size_t count, struct want *out);
