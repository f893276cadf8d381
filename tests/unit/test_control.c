/* SPDX-License-Identifier: GPL-2.0-only */
/* Requests on the control socket: good ones, and what hostile or broken tools send. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "rsipd/request.h"

static struct request request;

#define USAGE		"a request is {\"command\": [\"word\", ...]}"
#define X10		"xxxxxxxxxx"
#define X63		X10 X10 X10 X10 X10 X10 "xxx"

static const struct {
	const char *line, *error;	/* NULL: taken */
	const char *words[REQUEST_WORDS_MAX];
} rows[] = {
	{ "{\"command\": [\"status\"]}", NULL, { "status" } },
	{ "{\"command\": [\"free\", \"10.0.0.11\", \"1\"]}\r", NULL, { "free", "10.0.0.11", "1" } },
	{ "{\"command\": [\"free\", \"" X63 "\", \"\\u001b\"]}", NULL, { "free", X63, "\x1b" } },
	{ "", USAGE },
	{ "status", USAGE },
	{ "[\"status\"]", USAGE },
	{ "{}", USAGE },
	{ "{\"command\": \"status\"}", USAGE },
	{ "{\"command\": []}", USAGE },
	{ "{\"command\": [1]}", USAGE },
	{ "{\"command\": [[\"status\"]]}", USAGE },
	{ "{\"command\": [\"status\"], \"more\": 1}", USAGE },
	{ "{\"command\": [\"status\"], \"command\": [\"detach\"]}", USAGE },
	{ "{\"command\": [\"status\"]} {\"command\": [\"detach\"]}", USAGE },
	{ "{\"command\": [\"status\"]", USAGE },
	{ "{\"command\": [\"a\\u0000b\"]}", USAGE },
	{ "{\"command\": [\"\xff\"]}", USAGE },
	{ "{\"command\": [\"" X63 "x\"]}", "a word of the command is too long" },
	{ "{\"command\": [\"1\", \"2\", \"3\", \"4\", \"5\"]}", "the command has too many words" },
};

Test(control, parse)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *why = request_parse(rows[i].line, strlen(rows[i].line), &request);
		size_t count = 0;

		if (rows[i].error) {
			cr_expect_not_null(why, "%s", rows[i].line);
			cr_expect_str_eq((why ? why : ""), rows[i].error, "%s", rows[i].line);
			continue;
		}
		cr_expect_null(why, "%s: %s", rows[i].line, why);
		while (count < REQUEST_WORDS_MAX && rows[i].words[count]) {
			cr_expect_str_eq(request.words[count], rows[i].words[count]);
			count++;
		}
		cr_expect_eq(request.count, count, "%s", rows[i].line);
	}
}

Test(control, nul_byte)
{
	static const char line[] = "{\"command\": [\"status\"]}\0 ";

	cr_assert_str_eq(request_parse(line, sizeof(line) - 1, &request), USAGE);
}

/* As long as a line may be, and one byte more. */
Test(control, long_lines)
{
	char line[REQUEST_LINE_MAX + 1];

	memset(line, '[', sizeof(line));
	cr_expect_str_eq(request_parse(line, REQUEST_LINE_MAX - 1, &request), USAGE);
	cr_expect_str_eq(request_parse(line, REQUEST_LINE_MAX, &request), "the request is too long");
	memset(line, ' ', sizeof(line));
	memcpy(line, "{\"command\": [\"status\"]}", 23);
	cr_expect_null(request_parse(line, REQUEST_LINE_MAX - 1, &request));
}

/* Any byte of a good request changed to any other: taken or refused, never harmful. */
Test(control, torn)
{
	static const char good[] = "{\"command\": [\"free\", \"10.0.0.11\", \"1\"]}";
	char line[sizeof(good)];
	unsigned int taken = 0;

	for (size_t i = 0; i < strlen(good); i++) {
		for (int byte = 0; byte < 256; byte++) {
			memcpy(line, good, sizeof(line));
			line[i] = (char)byte;
			if (request_parse(line, strlen(good), &request))
				continue;
			taken++;
			cr_expect(request.count >= 1 && request.count <= REQUEST_WORDS_MAX);
			for (size_t word = 0; word < request.count; word++)
				cr_expect_not_null(memchr(request.words[word], 0, REQUEST_WORD_LEN));
		}
		request_parse(good, i, &request);
	}
	cr_expect_gt(taken, strlen(good), "the unchanged ones at least");
}

static const struct {
	const char *line, *error;	/* NULL: there is such a command; only its beginning is compared */
} commands[] = {
	{ "{\"command\": [\"status\"]}", NULL },
	{ "{\"command\": [\"clients\"]}", NULL },
	{ "{\"command\": [\"bindings\"]}", NULL },
	{ "{\"command\": [\"pools\"]}", NULL },
	{ "{\"command\": [\"counters\"]}", NULL },
	{ "{\"command\": [\"free\", \"1\", \"2\"]}", NULL },
	{ "{\"command\": [\"deregister\", \"1\"]}", NULL },
	{ "{\"command\": [\"reload\"]}", NULL },
	{ "{\"command\": [\"detach\"]}", NULL },
	{ "{\"command\": [\"monitor\"]}", NULL },
	{ "{\"command\": [\"drain\"]}", NULL },
	{ "{\"command\": [\"undrain\"]}", NULL },
	{ "{\"command\": [\"status\", \"1\"]}", "usage: status" },
	{ "{\"command\": [\"free\", \"1\"]}", "usage: free CLIENT BIND" },
	{ "{\"command\": [\"free\", \"1\", \"2\", \"3\"]}", "usage: free CLIENT BIND" },
	{ "{\"command\": [\"deregister\"]}", "usage: deregister CLIENT" },
	{ "{\"command\": [\"STATUS\"]}", "unknown command: status, clients, bindings" },
	{ "{\"command\": [\"\"]}", "unknown command: status, clients, bindings" },
};

Test(control, usage)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		const char *why;

		why = request_parse(commands[i].line, strlen(commands[i].line), &request);
		if (!commands[i].error)
			cr_expect_null(why, "%s", commands[i].line);
		else
			cr_expect(why && !strncmp(why, commands[i].error, strlen(commands[i].error)), "%s: %s",
				  commands[i].line, why);
	}
}
