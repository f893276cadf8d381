/* SPDX-License-Identifier: GPL-2.0-only */
/* Reads tests/vectors/golden-vectors.txt: name | direction | hex | summary ; notes */
#include "vectors.h"

#include <errno.h>
#include <error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH "tests/vectors/golden-vectors.txt"

static struct vector all[VECTORS];

static void parse_hex(struct vector *v, const char *hex)
{
	v->len = strlen(hex) / 2;
	/* Its own block of exactly this size, so that a sanitizer sees a read behind it. */
	v->data = malloc(v->len);
	for (size_t i = 0; i < v->len; i++) {
		if (sscanf(hex + 2 * i, "%2hhx", &v->data[i]) != 1)
			error(2, 0, PATH ": %s: not hex", v->name);
	}
}

static void parse_notes(struct vector *v)
{
	const char *expect = strstr(v->notes, "EXPECT ERROR "), *counter = strstr(v->notes, "counter=");
	bool whole = strchr(v->summary, '(') != NULL;

	v->tcp = strstr(v->notes, "[TCP]") != NULL;
	v->accept = strstr(v->notes, "ACCEPT, never send") != NULL;
	v->silence = strstr(v->notes, "EXPECT SILENCE") != NULL;
	v->canonical = whole && !v->accept;
	if (expect) {
		v->error = strtoul(expect + strlen("EXPECT ERROR "), NULL, 10);
		if (!counter)
			error(2, 0, PATH ": %s: an error without a counter", v->name);
		v->counter = strtoul(counter + strlen("counter="), NULL, 10);
	}
}

/* Cuts *text at the separator and moves behind it. */
static char *cut(char **text, const char *separator)
{
	char *start = *text, *end = strstr(start, separator);

	*text = end ? end + strlen(separator) : start + strlen(start);
	if (end)
		*end = '\0';
	return start;
}

static void parse_line(struct vector *v, char *line)
{
	char *name = cut(&line, " | "), *direction = cut(&line, " | "), *hex = cut(&line, " | ");

	if (!*line || strlen(name) >= sizeof(v->name))
		error(2, 0, PATH ": %s: a line that cannot be read", name);
	strcpy(v->name, name);
	v->to_host = !strcmp(direction, "S>C");
	parse_hex(v, hex);
	v->summary = strdup(cut(&line, " ; "));
	v->notes = strdup(line);
	parse_notes(v);
}

const struct vector *vectors(void)
{
	static bool loaded;
	char *line = NULL;
	size_t size = 0, count = 0;
	FILE *file;

	if (loaded)
		return all;
	file = fopen(PATH, "r");
	if (!file)
		error(2, errno, PATH);
	while (getline(&line, &size, file) > 0) {
		line[strcspn(line, "\n")] = '\0';
		if (!line[0] || line[0] == '#')
			continue;
		if (count == VECTORS)
			error(2, 0, PATH ": more than %d vectors", VECTORS);
		parse_line(&all[count++], line);
	}
	if (count != VECTORS)
		error(2, 0, PATH ": %zu vectors, not %d", count, VECTORS);
	free(line);
	fclose(file);
	loaded = true;
	return all;
}

const struct vector *vector_named(const char *name)
{
	const struct vector *v = vectors();

	for (int i = 0; i < VECTORS; i++) {
		if (!strcmp(v[i].name, name))
			return &v[i];
	}
	error(2, 0, PATH ": no vector %s", name);
	return NULL;
}

bool vector_is(const struct vector *v, const char *prefix)
{
	return !strncmp(v->name, prefix, strlen(prefix));
}
