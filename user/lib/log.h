/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Log lines a person can act on, to stderr, with journald's "<N>" prefixes
 * when stderr is not a terminal. One line per call, no newline in it; control
 * bytes from a peer come out as "\x1b" (SEC-12).
 */
#pragma once

#include <stdbool.h>

enum log_level { LOG_LEVEL_ERROR = 3, LOG_LEVEL_WARN = 4, LOG_LEVEL_INFO = 6, LOG_LEVEL_DEBUG = 7 };

/* Lines above this level are dropped. Starts at LOG_LEVEL_INFO. */
void log_set_level(enum log_level level);

void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * For what a peer can trigger: true at most `burst` times a second for each
 * `limit`, which the caller keeps, zeroed at first. `now_ms` is monotonic.
 * The first line after a silence says how many were left out, through log_warn.
 */
struct log_limit {
	unsigned long long window_ms;
	unsigned int used, dropped;
};
bool log_allowed(struct log_limit *limit, unsigned int burst, unsigned long long now_ms);
