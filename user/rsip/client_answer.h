/* SPDX-License-Identifier: GPL-2.0-only */
/* What becomes of a request. What comes in goes through client_input() (client.h). */
#pragma once

#include "rsip/client_state.h"

/* No answer to all sendings: every state falls back to where it came from (FAIL-12). */
void answer_none(struct client *c, uint64_t now);
