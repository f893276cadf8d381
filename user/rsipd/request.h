/* SPDX-License-Identifier: GPL-2.0-only */
/* Requests on the control socket: from bytes that anything may have sent to a command. Pure. */
#pragma once

#include <stddef.h>

enum request_command {
	REQUEST_STATUS,
	REQUEST_CLIENTS,
	REQUEST_BINDINGS,
	REQUEST_POOLS,
	REQUEST_COUNTERS,
	REQUEST_FREE,
	REQUEST_DEREGISTER,
	REQUEST_RELOAD,
	REQUEST_DETACH,
	REQUEST_MONITOR,
	REQUEST_DRAIN,
	REQUEST_UNDRAIN,
	REQUEST_COUNT
};

#define REQUEST_LINE_MAX	1024	/* with its newline */
#define REQUEST_WORDS_MAX	4
#define REQUEST_WORD_LEN	64	/* with its NUL */

struct request {
	enum request_command command;
	char words[REQUEST_WORDS_MAX][REQUEST_WORD_LEN];	/* the command's name is the first */
	size_t count;		/* as many as the command has */
};

/* Reads one line without its newline. NULL, or what is wrong with it and what is
 * allowed: a text that stands until the next call. */
const char *request_parse(const char *line, size_t len, struct request *out);
