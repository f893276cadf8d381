/* SPDX-License-Identifier: GPL-2.0-only */
/* What is wrong with a configuration: one line, with the place that an operator has to look at. */
#pragma once

#include <stddef.h>

/* Where and what is wrong: "FILE:LINE: what is wrong and what is allowed". */
struct config_error {
	char text[512];
};

/* Sets it. Too long a text is cut, and whatever the file held, it is one line. Always -1, for the caller
 * to return. */
int config_error_set(struct config_error *error, const char *path, size_t line, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
