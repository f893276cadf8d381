/* SPDX-License-Identifier: GPL-2.0-only */
/* Log lines: format, make harmless, one write() each. */
#include "lib/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES	1024	/* of text, before escaping; a longer line is cut */

static enum log_level highest = LOG_LEVEL_INFO;

void log_set_level(enum log_level level)
{
	highest = level;
}

/* Copies `text`, so that no byte of it can move a terminal's cursor or start a new line. */
static size_t escape(char *out, const char *text)
{
	static const char digits[] = "0123456789abcdef";
	size_t len = 0;

	for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
		if (*at >= 0x20 && *at < 0x7f) {
			out[len++] = *at;
			continue;
		}
		out[len++] = '\\';
		out[len++] = 'x';
		out[len++] = digits[*at >> 4];
		out[len++] = digits[*at & 15];
	}
	return len;
}

static void emit(enum log_level level, const char *format, va_list args)
{
	char text[LINE_MAX_BYTES], line[4 * LINE_MAX_BYTES + 8];
	size_t len = 0;
	int wanted;

	if (level > highest)
		return;
	wanted = vsnprintf(text, sizeof(text), format, args);
	if (wanted < 0)
		return;
	if ((size_t)wanted >= sizeof(text))
		memcpy(text + sizeof(text) - 4, "...", 4);
	if (!isatty(STDERR_FILENO))
		len = (size_t)sprintf(line, "<%d>", (int)level);
	len += escape(line + len, text);
	line[len++] = '\n';
	/* A log that cannot be written has nowhere to complain. */
	if (write(STDERR_FILENO, line, len) < 0)
		return;
}

#define LOG_FUNCTION(name, level)				\
	void name(const char *format, ...)			\
	{							\
		va_list args;					\
								\
		va_start(args, format);				\
		emit(level, format, args);			\
		va_end(args);					\
	}

LOG_FUNCTION(log_error, LOG_LEVEL_ERROR)
LOG_FUNCTION(log_warn, LOG_LEVEL_WARN)
LOG_FUNCTION(log_info, LOG_LEVEL_INFO)
LOG_FUNCTION(log_debug, LOG_LEVEL_DEBUG)

bool log_allowed(struct log_limit *limit, unsigned int burst, unsigned long long now_ms)
{
	if (limit->used + limit->dropped == 0 || now_ms - limit->window_ms >= 1000) {
		if (limit->dropped)
			log_warn("%u lines like the next one were left out", limit->dropped);
		limit->window_ms = now_ms;
		limit->used = 0;
		limit->dropped = 0;
	}
	if (limit->used >= burst) {
		limit->dropped++;
		return false;
	}
	limit->used++;
	return true;
}
