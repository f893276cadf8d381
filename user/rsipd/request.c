/* SPDX-License-Identifier: GPL-2.0-only */
/* The requests of the control socket. */
#include "rsipd/request.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *name, *words;
	size_t count;		/* of words after the name */
} commands[REQUEST_COUNT] = {
	[REQUEST_STATUS] = { "status", "", 0 },
	[REQUEST_CLIENTS] = { "clients", "", 0 },
	[REQUEST_BINDINGS] = { "bindings", "", 0 },
	[REQUEST_POOLS] = { "pools", "", 0 },
	[REQUEST_COUNTERS] = { "counters", "", 0 },
	[REQUEST_FREE] = { "free", " CLIENT BIND", 2 },
	[REQUEST_DEREGISTER] = { "deregister", " CLIENT", 1 },
	[REQUEST_RELOAD] = { "reload", "", 0 },
	[REQUEST_DETACH] = { "detach", "", 0 },
	[REQUEST_MONITOR] = { "monitor", "", 0 },
	[REQUEST_DRAIN] = { "drain", "", 0 },
	[REQUEST_UNDRAIN] = { "undrain", "", 0 },
};

/* Sets `command`. NULL, or what is allowed. */
static const char *find_command(struct request *request)
{
	static char text[256];
	int len;

	for (int i = 0; i < REQUEST_COUNT; i++) {
		if (strcmp(commands[i].name, request->words[0]))
			continue;
		request->command = (enum request_command)i;
		if (commands[i].count + 1 == request->count)
			return NULL;
		snprintf(text, sizeof(text), "usage: %s%s", commands[i].name, commands[i].words);
		return text;
	}
	len = snprintf(text, sizeof(text), "unknown command: ");
	for (int i = 0; i < REQUEST_COUNT; i++)
		len += snprintf(text + len, sizeof(text) - (size_t)len, "%s%s%s", i ? ", " : "", commands[i].name,
				commands[i].words);
	return text;
}

const char *request_parse(const char *line, size_t len, struct request *out)
{
	json_t *request, *list, *word;
	const char *why = "a request is {\"command\": [\"word\", ...]}";
	size_t i;

	if (len >= REQUEST_LINE_MAX)
		return "the request is too long";
	request = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	list = json_object_get(request, "command");
	memset(out, 0, sizeof(*out));
	if (json_object_size(request) != 1 || json_array_size(list) == 0)
		goto out;
	if (json_array_size(list) > REQUEST_WORDS_MAX) {
		why = "the command has too many words";
		goto out;
	}
	json_array_foreach(list, i, word) {
		if (!json_is_string(word))
			goto out;
		if (json_string_length(word) >= REQUEST_WORD_LEN) {
			why = "a word of the command is too long";
			goto out;
		}
		memcpy(out->words[i], json_string_value(word), json_string_length(word));
	}
	out->count = json_array_size(list);
	why = find_command(out);
out:
	json_decref(request);
	return why;
}
