/* SPDX-License-Identifier: GPL-2.0-only */
/* Log lines: levels, prefixes, control bytes, the rate limit. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/log.h"

static int pipe_fds[2];

/* Standard error becomes a pipe, which is no terminal. */
static void catch_stderr(void)
{
	cr_assert_eq(pipe(pipe_fds), 0);
	dup2(pipe_fds[1], STDERR_FILENO);
	close(pipe_fds[1]);
}

static const char *caught(void)
{
	static char text[65536];
	ssize_t len;
	size_t all = 0;

	close(STDERR_FILENO);
	while ((len = read(pipe_fds[0], text + all, sizeof(text) - 1 - all)) > 0)
		all += (size_t)len;
	text[all] = 0;
	return text;
}

TestSuite(log, .init = catch_stderr);

/* A line has journald's prefix for its level; lines above the level are dropped. */
Test(log, levels)
{
	log_error("no %s", "way");
	log_warn("careful");
	log_info("lease %d", 41);
	log_debug("dropped");
	log_set_level(LOG_LEVEL_DEBUG);
	log_debug("kept");
	log_set_level(LOG_LEVEL_ERROR);
	log_warn("dropped");
	cr_assert_str_eq(caught(), "<3>no way\n<4>careful\n<6>lease 41\n<7>kept\n");
}

/* covers: SEC-12 */
Test(log, control_bytes)
{
	log_warn("name \"%s\"", "a\x1b[31mb\n<0>c\r\t\x7f\xc2\x9b" "d");
	cr_assert_str_eq(caught(), "<4>name \"a\\x1b[31mb\\x0a<0>c\\x0d\\x09\\x7f\\xc2\\x9bd\"\n");
}

/* Whatever its length, a line is one line; a cut one says so. */
Test(log, long_line)
{
	char text[5000];
	const char *line;

	memset(text, '\x01', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	log_info("%s", text);
	line = caught();
	cr_assert_eq(strlen(line), 3 + 1020 * 4 + 3 + 1);
	cr_assert_eq(strncmp(line, "<6>\\x01", 7), 0);
	cr_assert_str_eq(line + strlen(line) - 8, "\\x01...\n");
}

/* A line is cut when it does not fit, and not a byte sooner. */
Test(log, longest_line)
{
	char wanted[3 * 1024], text[1025];

	memset(text, 'a', sizeof(text));
	log_info("%.1023s", text);
	log_info("%.1024s", text);
	snprintf(wanted, sizeof(wanted), "<6>%.1023s\n<6>%.1020s...\n", text, text);
	cr_assert_str_eq(caught(), wanted);
}

Test(log, limit)
{
	struct log_limit limit = { 0 }, early = { 0 };
	unsigned int allowed = 0;

	for (unsigned int i = 0; i < 10; i++)
		allowed += log_allowed(&limit, 3, 5000 + i * 100);
	cr_assert_eq(allowed, 3);
	cr_assert(log_allowed(&limit, 3, 6000), "a new second begins");
	cr_assert(log_allowed(&limit, 3, 9000), "nothing was left out in the last one");
	cr_assert(log_allowed(&early, 1, 500));
	cr_assert_not(log_allowed(&early, 1, 1499), "a second begins with its first line");
	cr_assert(log_allowed(&early, 1, 1500));
	cr_assert_str_eq(caught(), "<4>7 lines like the next one were left out\n"
				"<4>1 lines like the next one were left out\n");
}
