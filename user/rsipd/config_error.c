/* SPDX-License-Identifier: GPL-2.0-only */
/* See config_error.h. */
#include "rsipd/config_error.h"

#include <stdarg.h>
#include <stdio.h>

int config_error_set(struct config_error *error, const char *path, size_t line, const char *format, ...)
{
	int len = snprintf(error->text, sizeof(error->text), "%.255s:%zu: ", path, line);
	va_list args;

	va_start(args, format);
	if (len > 0 && (size_t)len < sizeof(error->text))
		vsnprintf(error->text + len, sizeof(error->text) - (size_t)len, format, args);
	va_end(args);
	for (char *at = error->text; *at; at++) {
		if ((unsigned char)*at < 0x20 || *at == 0x7f)
			*at = '?';
	}
	return -1;
}
