/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the programs take is in their man pages: every option, command and key
 * of the configuration. The sources and the texts of errors are the lists.
 */
#include <criterion/criterion.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rsipd/config.h"
#include "rsipd/request.h"

static char *read_text(const char *path)
{
	FILE *file = fopen(path, "r");
	char *text = calloc(1, 1 << 20);

	cr_assert_not_null(file, "%s", path);
	cr_assert_gt(fread(text, 1, (1 << 20) - 1, file), 0);
	fclose(file);
	return text;
}

/* Is there a line that begins with `macro` and has `word` as a whole word? */
static bool explains(const char *page, const char *macro, const char *word)
{
	char *pattern = NULL;
	regex_t regex;
	bool found;

	cr_assert_gt(asprintf(&pattern, "^\\.%s ([^\n]* )?%s( |\n)", macro, word), 0);
	cr_assert_eq(regcomp(&regex, pattern, REG_EXTENDED | REG_NEWLINE | REG_NOSUB), 0);
	found = regexec(&regex, page, 0, NULL, 0) == 0;
	regfree(&regex);
	free(pattern);
	return found;
}

/* Every row of a program's argp_options: its long name and its letter. */
static unsigned int check_options(const char *source, const char *page_name)
{
	char *text = read_text(source), *page = read_text(page_name), *at = strstr(text, "argp_options[] = {"), *end;
	unsigned int rows = 0;
	char name[32], key[32];

	cr_assert_not_null(at);
	end = strstr(at, "\n};");
	cr_assert_not_null(end);
	*end = 0;
	while ((at = strstr(at, "\n\t{ \""))) {
		at += strlen("\n\t{ \"");
		cr_assert_eq(sscanf(at, "%31[a-z-]\", %31[^,],", name, key), 2, "%.40s", at);
		memmove(name + 1, name, strlen(name) + 1);
		name[0] = '-';
		cr_expect(explains(page, "It", name), "%s: %s", page_name, name);
		if (key[0] == '\'') {
			key[2] = 0;
			cr_expect(explains(page, "It Fl", key + 1), "%s: -%s", page_name, key + 1);
		}
		rows++;
	}
	free(text);
	free(page);
	return rows;
}

Test(man, options)
{
	cr_expect_eq(check_options("user/rsipd/main.c", "docs/man/rsipd.8"), 4);
	cr_expect_eq(check_options("user/rsipctl/main.c", "docs/man/rsipctl.8"), 3);
}

/* Each word of a list "a, b X, c and d" has an item in the page. Capitals are arguments. */
static unsigned int check_list(char *list, const char *page)
{
	unsigned int words = 0;

	for (char *word = strtok(list, ", "); word; word = strtok(NULL, ", ")) {
		if (!strcmp(word, "and") || (word[0] >= 'A' && word[0] <= 'Z'))
			continue;
		cr_expect(explains(page, "It Cm", word), "%s", word);
		words++;
	}
	return words;
}

Test(man, commands)
{
	static const char line[] = "{\"command\": [\"?\"]}", head[] = "unknown command: ";
	char list[512], *page = read_text("docs/man/rsipctl.8");
	struct request request;

	snprintf(list, sizeof(list), "%s", request_parse(line, strlen(line), &request));
	cr_assert_eq(strncmp(list, head, strlen(head)), 0);
	cr_expect_eq(check_list(list + strlen(head), page), REQUEST_COUNT);
	free(page);
}

static const struct {
	const char *where;	/* YAML up to the unknown key */
	unsigned int keys;
} maps[] = {
	{ "", 12 },
	{ "interfaces: {", 2 },
	{ "interfaces: {private: [{", 2 },
	{ "interfaces: {public: [{", 1 },
	{ "pools: [{", 6 },
	{ "clients: [{", 11 },
	{ "leases: {", 4 },
	{ "server: {", 3 },
	{ "datapath: {", 4 },
};

Test(man, keys)
{
	char *page = read_text("docs/man/rsipd.yaml.5");

	for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
		static const char head[] = "unknown key \"none-such\": ";
		char path[] = "/tmp/rsip-man.XXXXXX", *list, *end;
		int fd = mkstemp(path);
		struct config_error error;

		cr_assert_geq(fd, 0);
		dprintf(fd, "%snone-such: 1", maps[i].where);
		for (const char *at = maps[i].where + strlen(maps[i].where); at > maps[i].where; at--) {
			if (at[-1] == '{' || at[-1] == '[')
				dprintf(fd, "%c", at[-1] == '{' ? '}' : ']');
		}
		dprintf(fd, "\n");
		close(fd);
		cr_assert_null(config_load(path, &error));
		unlink(path);
		list = strstr(error.text, head);
		cr_assert_not_null(list, "%s", error.text);
		end = strstr(list, " are allowed");
		cr_assert_not_null(end, "%s", error.text);
		*end = 0;
		cr_expect_eq(check_list(list + strlen(head), page), maps[i].keys, "%s: %s", maps[i].where, error.text);
	}
	free(page);
}
