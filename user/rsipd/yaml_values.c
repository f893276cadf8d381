/* SPDX-License-Identifier: GPL-2.0-only */
/* See yaml_values.h. */
#include "rsipd/yaml_values.h"

#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/addr.h"

/* --- numbers --------------------------------------------------------------------- */

/* Numbers and true or false are not quoted: a quoted value is a text. */
static const char *plain_scalar(struct loader *l, const yaml_node_t *node, const char *wanted)
{
	const char *text = loader_scalar(l, node, wanted);

	if (text && node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE) {
		loader_fail(l, node, "\"" LOADER_SHOWN "\" is a quoted text: %s is allowed", text, wanted);
		return NULL;
	}
	return text;
}

int value_number(struct loader *l, const struct row *row, yaml_node_t *node, void *to)
{
	char wanted[64];
	const char *text;
	struct num_range value;

	snprintf(wanted, sizeof(wanted), "a number from %u to %u", row->min, row->max);
	text = plain_scalar(l, node, wanted);
	if (!text)
		return -1;
	if (strchr(text, '-') || !num_parse_range(text, row->max, &value) || value.first < row->min)
		return loader_refuse(l, node, text, wanted);
	if (row->size == sizeof(uint16_t))
		*(uint16_t *)to = (uint16_t)value.first;
	else
		*(uint32_t *)to = value.first;
	return 0;
}

int value_range(struct loader *l, const struct row *row, yaml_node_t *node, void *to)
{
	char wanted[96];
	const char *text;
	struct num_range value;

	if (row->min < 0x100)
		snprintf(wanted, sizeof(wanted), "a range FIRST-LAST within %u-%u", row->min, row->max);
	else
		snprintf(wanted, sizeof(wanted), "a range FIRST-LAST within 0x%x-0x%x", row->min, row->max);
	text = plain_scalar(l, node, wanted);
	if (!text)
		return -1;
	if (!num_parse_range(text, row->max, &value) || value.first < row->min)
		return loader_refuse(l, node, text, wanted);
	*(struct num_range *)to = value;
	return 0;
}

int value_bool(struct loader *l, const struct row *row, yaml_node_t *node, void *to)
{
	static const char wanted[] = "true or false";
	const char *text = plain_scalar(l, node, wanted);

	if (!text)
		return -1;
	if (strcmp(text, "true") && strcmp(text, "false"))
		return loader_refuse(l, node, text, wanted);
	*(bool *)to = !strcmp(text, "true");
	return 0;
}

/* --- words ----------------------------------------------------------------------- */

/* "macro, micro or none" */
static const char *words_text(const struct word *words, char *out, size_t capacity)
{
	size_t len = 0;

	out[0] = 0;
	for (const struct word *w = words; w->text && len < capacity; w++)
		len += (size_t)snprintf(out + len, capacity - len, "%s%s",
					w == words ? "" : w[1].text ? ", " : " or ", w->text);
	return out;
}

static const struct word *read_choice(struct loader *l, const struct word *words, const yaml_node_t *node)
{
	char wanted[96];
	const char *text = loader_scalar(l, node, words_text(words, wanted, sizeof(wanted)));

	if (!text)
		return NULL;
	for (; words->text; words++) {
		if (!strcmp(words->text, text))
			return words;
	}
	loader_refuse(l, node, text, wanted);
	return NULL;
}

int value_word(struct loader *l, const struct row *row, yaml_node_t *node, void *to)
{
	const struct word *word = read_choice(l, row->more, node);

	if (!word)
		return -1;
	if (row->size == sizeof(uint8_t))
		*(uint8_t *)to = (uint8_t)word->value;
	else
		*(unsigned int *)to = word->value;
	return 0;
}

int value_choices(struct loader *l, const struct row *row, yaml_node_t *node, unsigned int values[static 4])
{
	int count = 0;

	if (row_check_list(l, row, node))
		return -1;
	for (yaml_node_item_t *at = node->data.sequence.items.start; at < node->data.sequence.items.top; at++) {
		yaml_node_t *item = yaml_document_get_node(l->document, *at);
		size_t back = loader_enter(l, NULL, (size_t)count);
		const struct word *word = read_choice(l, row->more, item);

		if (!word)
			return -1;
		for (int i = 0; i < count; i++) {
			if (values[i] == word->value)
				return loader_fail(l, item, "%s is in the list already: once is allowed", word->text);
		}
		values[count++] = word->value;
		l->where[back] = 0;
	}
	return count;
}

/* --- texts ----------------------------------------------------------------------- */

static int set_text(struct loader *l, const yaml_node_t *node, const char *text, char **to)
{
	*to = strdup(text);
	return *to ? 0 : loader_fail(l, node, "out of memory");
}

int value_name(struct loader *l, const struct row *row, yaml_node_t *node, void *to)
{
	static const char wanted[] = "a name of up to 63 letters, digits, \"-\", \"_\" and \".\"";
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
	const char *text = loader_scalar(l, node, wanted);

	if (!text)
		return -1;
	if (strlen(text) > row->max || text[strspn(text, allowed)])
		return loader_refuse(l, node, text, wanted);
	return set_text(l, node, text, to);
}

int value_path(struct loader *l, const struct row *row, yaml_node_t *node, void *to)
{
	char wanted[64];
	const char *text;

	snprintf(wanted, sizeof(wanted), "an absolute path of up to %u bytes", row->max);
	text = loader_scalar(l, node, wanted);
	if (!text)
		return -1;
	if (text[0] != '/' || strlen(text) > row->max)
		return loader_refuse(l, node, text, wanted);
	return set_text(l, node, text, to);
}

int value_interface(struct loader *l, const struct row *row, yaml_node_t *node, void *to)
{
	static const char wanted[] = "the name of an interface, up to 15 bytes,";
	const char *text = loader_scalar(l, node, wanted);

	if (!text)
		return -1;
	if (strlen(text) >= IF_NAMESIZE || strpbrk(text, "/: \t\r\n"))
		return loader_refuse(l, node, text, wanted);
	strcpy(to, text);
	return 0;
}

/* --- addresses --------------------------------------------------------------------- */

int value_address(struct loader *l, const struct row *row, yaml_node_t *node, void *to)
{
	static const char wanted[] = "an IPv4 address";
	const char *text = loader_scalar(l, node, wanted);

	if (!text)
		return -1;
	if (!addr_parse(text, to))
		return loader_refuse(l, node, text, wanted);
	return 0;
}

int value_prefix(struct loader *l, const struct row *row, yaml_node_t *node, void *to)
{
	static const char wanted[] = "an IPv4 network ADDRESS/LENGTH without host bits, or an address";
	const char *text = loader_scalar(l, node, wanted);

	if (!text)
		return -1;
	if (!addr_parse_prefix(text, to))
		return loader_refuse(l, node, text, wanted);
	return 0;
}

int value_listen(struct loader *l, const struct row *row, yaml_node_t *node, void *to)
{
	static const char wanted[] = "ADDRESS:PORT with an IPv4 address and a port from 1 to 65535";
	const char *text = loader_scalar(l, node, wanted), *colon;
	char address[ADDR_TEXT_LEN];
	struct num_range port;
	__be32 parsed;

	if (!text)
		return -1;
	colon = strchr(text, ':');
	if (!colon || (size_t)(colon - text) >= sizeof(address))
		return loader_refuse(l, node, text, wanted);
	memcpy(address, text, (size_t)(colon - text));
	address[colon - text] = 0;
	if (!addr_parse(address, &parsed) || strchr(colon, '-') || !num_parse_range(colon + 1, 65535, &port) ||
	    port.first == 0)
		return loader_refuse(l, node, text, wanted);
	return set_text(l, node, text, to);
}
