/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * rsipd.yaml to struct config. One row for each key says where its value goes,
 * how it is read, what is allowed and what it is when the file leaves it out;
 * a default is YAML text and takes the same way through the reader as the
 * file. libyaml keeps a mark for each node, so that an error names its line.
 */
#include "rsipd/config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <libmnl/libmnl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <yaml.h>

#include <rsip/proto.h>
#include "lib/auth.h"
#include "lib/log.h"

/* What bounds the memory a file can ask for. */
#define FILE_MAX		(1 << 20)
#define INTERFACES_MAX		64
#define POOLS_MAX		256
#define RANGES_MAX		4096	/* in all pools */
#define CLIENTS_MAX		1024
#define NETWORKS_MAX		65536
#define TEXT_MAX		255
#define NESTING_MAX		16

#define LEASE_MAX		31536000	/* a year */
#define LIMIT_MAX		1048576		/* of one host's binds, ports or SPIs */

struct loader {
	const char *path;
	struct config_error *error;
	struct config *config;
	yaml_document_t *document;	/* the file, or a default */
	uint64_t ranges, addresses;	/* of all pools so far */
	char where[128];		/* "pools[2].ports" */
};

struct row {
	const char *key;
	int (*read)(struct loader *l, const struct row *row, yaml_node_t *node, void *to);
	size_t at;			/* offset of the value in the struct of the table */
	const char *preset;		/* YAML; NULL: the key must be there */
	bool optional;			/* without a default */
	uint32_t min, max;		/* of a number; max: of a list's items, of a text's bytes */
	const void *more;		/* words of a choice, rows of a map, the one row of a list's items */
	size_t size;			/* of a number, a choice or an item of a list: bytes */
	size_t count_at;		/* of a list: offset of its size_t */
	size_t line_at;			/* offset of the unsigned int that keeps its line; 0: nobody asks */
	/* After the value was read: does it go with what was read before? */
	int (*check)(struct loader *l, yaml_node_t *node, void *to);
};

/* --- errors ------------------------------------------------------------------ */

static void error_set(struct config_error *error, const char *path, size_t line, const char *format, va_list args)
{
	int len = snprintf(error->text, sizeof(error->text), "%.255s:%zu: ", path, line);

	if (len > 0 && (size_t)len < sizeof(error->text))
		vsnprintf(error->text + len, sizeof(error->text) - (size_t)len, format, args);
	/* Whatever the file held, the error is one line. */
	for (char *at = error->text; *at; at++) {
		if ((unsigned char)*at < 0x20 || *at == 0x7f)
			*at = '?';
	}
}

static int fail_line(struct loader *l, size_t line, const char *format, ...) __attribute__((format(printf, 3, 4)));
static int fail(struct loader *l, const yaml_node_t *node, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int fail_line(struct loader *l, size_t line, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	error_set(l->error, l->path, line, format, args);
	va_end(args);
	return -1;
}

static unsigned int line_of(const yaml_node_t *node)
{
	return (unsigned int)node->start_mark.line + 1;
}

/* "FILE:LINE: KEY: ..." */
static int fail(struct loader *l, const yaml_node_t *node, const char *format, ...)
{
	char text[384];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return fail_line(l, line_of(node), "%s%s%s", l->where, l->where[0] ? ": " : "", text);
}

/* --- single values ------------------------------------------------------------- */

#define SHOWN	"%.40s"		/* of a value in an error */

/* The text of a scalar, or NULL and an error that says what is wanted. */
static const char *scalar(struct loader *l, const yaml_node_t *node, const char *wanted)
{
	const char *text = (const char *)node->data.scalar.value;

	if (node->type != YAML_SCALAR_NODE) {
		fail(l, node, "a %s stands here: %s is allowed", node->type == YAML_MAPPING_NODE ? "map" : "list",
		     wanted);
		return NULL;
	}
	if (strlen(text) != node->data.scalar.length) {
		fail(l, node, "a zero byte stands here: %s is allowed", wanted);
		return NULL;
	}
	if (!*text) {
		fail(l, node, "has no value: %s is allowed", wanted);
		return NULL;
	}
	return text;
}

/* Numbers and true or false are not quoted: a quoted value is a text. */
static const char *plain_scalar(struct loader *l, const yaml_node_t *node, const char *wanted)
{
	const char *text = scalar(l, node, wanted);

	if (text && node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE) {
		fail(l, node, "\"" SHOWN "\" is a quoted text: %s is allowed", text, wanted);
		return NULL;
	}
	return text;
}

static int read_number(struct loader *l, const struct row *row, yaml_node_t *node, void *to)
{
	char wanted[64];
	const char *text;
	struct num_range value;

	snprintf(wanted, sizeof(wanted), "a number from %u to %u", row->min, row->max);
	text = plain_scalar(l, node, wanted);
	if (!text)
		return -1;
	if (strchr(text, '-') || !num_parse_range(text, row->max, &value) || value.first < row->min)
		return fail(l, node, "\"" SHOWN "\" is wrong: %s is allowed", text, wanted);
	if (row->size == sizeof(uint16_t))
		*(uint16_t *)to = (uint16_t)value.first;
	else
		*(uint32_t *)to = value.first;
	return 0;
}

/* N-M; one number is the range of that number. */
static int read_numbers(struct loader *l, const struct row *row, yaml_node_t *node, void *to)
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
		return fail(l, node, "\"" SHOWN "\" is wrong: %s is allowed", text, wanted);
	*(struct num_range *)to = value;
	return 0;
}

static int read_bool(struct loader *l, const struct row *row, yaml_node_t *node, void *to)
{
	static const char wanted[] = "true or false";
	const char *text = plain_scalar(l, node, wanted);

	if (!text)
		return -1;
	if (strcmp(text, "true") && strcmp(text, "false"))
		return fail(l, node, "\"" SHOWN "\" is wrong: %s is allowed", text, wanted);
	*(bool *)to = !strcmp(text, "true");
	return 0;
}

struct word {
	const char *text;	/* NULL ends the table */
	unsigned int value;
};

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
	const char *text = scalar(l, node, words_text(words, wanted, sizeof(wanted)));

	if (!text)
		return NULL;
	for (; words->text; words++) {
		if (!strcmp(words->text, text))
			return words;
	}
	fail(l, node, "\"" SHOWN "\" is wrong: %s is allowed", text, wanted);
	return NULL;
}

static int read_word(struct loader *l, const struct row *row, yaml_node_t *node, void *to)
{
	const struct word *word = read_choice(l, row->more, node);

	if (!word)
		return -1;
	if (row->size == sizeof(uint8_t))
		*(uint8_t *)to = (uint8_t)word->value;
	else
		*(enum config_mode *)to = word->value;
	return 0;
}

static int set_text(struct loader *l, const yaml_node_t *node, const char *text, char **to)
{
	*to = strdup(text);
	return *to ? 0 : fail(l, node, "out of memory");
}

static int read_name(struct loader *l, const struct row *row, yaml_node_t *node, void *to)
{
	static const char wanted[] = "a name of up to 63 letters, digits, \"-\", \"_\" and \".\"";
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
	const char *text = scalar(l, node, wanted);

	if (!text)
		return -1;
	if (strlen(text) > row->max || text[strspn(text, allowed)])
		return fail(l, node, "\"" SHOWN "\" is wrong: %s is allowed", text, wanted);
	return set_text(l, node, text, to);
}

static int read_path(struct loader *l, const struct row *row, yaml_node_t *node, void *to)
{
	char wanted[64];
	const char *text;

	snprintf(wanted, sizeof(wanted), "an absolute path of up to %u bytes", row->max);
	text = scalar(l, node, wanted);
	if (!text)
		return -1;
	if (text[0] != '/' || strlen(text) > row->max)
		return fail(l, node, "\"" SHOWN "\" is wrong: %s is allowed", text, wanted);
	return set_text(l, node, text, to);
}

/* The path of a key file; what counts is what is in it. */
static int read_key(struct loader *l, const struct row *row, yaml_node_t *node, void *to)
{
	uint8_t **key = to;
	const char *why;
	char *path;
	int err = read_path(l, row, node, &path);

	if (err)
		return err;
	*key = malloc(AUTH_KEY_LEN);
	if (!*key)
		err = fail(l, node, "out of memory");
	else if (auth_load_key(path, *key, &why))
		err = fail(l, node, "the key file " SHOWN ": %s", path, why);
	free(path);
	return err;
}

static int read_interface(struct loader *l, const struct row *row, yaml_node_t *node, void *to)
{
	static const char wanted[] = "the name of an interface, up to 15 bytes,";
	const char *text = scalar(l, node, wanted);

	if (!text)
		return -1;
	if (strlen(text) >= IF_NAMESIZE || strpbrk(text, "/: \t\r\n"))
		return fail(l, node, "\"" SHOWN "\" is wrong: %s is allowed", text, wanted);
	strcpy(to, text);
	return 0;
}

static int read_address(struct loader *l, const struct row *row, yaml_node_t *node, void *to)
{
	static const char wanted[] = "an IPv4 address";
	const char *text = scalar(l, node, wanted);

	if (!text)
		return -1;
	if (!addr_parse(text, to))
		return fail(l, node, "\"" SHOWN "\" is wrong: %s is allowed", text, wanted);
	return 0;
}

static int read_prefix(struct loader *l, const struct row *row, yaml_node_t *node, void *to)
{
	static const char wanted[] = "an IPv4 network ADDRESS/LENGTH without host bits, or an address";
	const char *text = scalar(l, node, wanted);

	if (!text)
		return -1;
	if (!addr_parse_prefix(text, to))
		return fail(l, node, "\"" SHOWN "\" is wrong: %s is allowed", text, wanted);
	return 0;
}

/* The first IPv4 address of an interface; 0: none. */
static __be32 interface_address(const char *name)
{
	struct ifreq request = { 0 };
	struct sockaddr_in address;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return 0;
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	if (ioctl(fd, SIOCGIFADDR, &request))
		memset(&request, 0, sizeof(request));
	close(fd);
	memcpy(&address, &request.ifr_addr, sizeof(address));
	return address.sin_addr.s_addr;
}

/* An interface stands for the address it has. */
static int read_follow(struct loader *l, yaml_node_t *node, const char *name, struct addr_range *to)
{
	struct config_follow *follow = &l->config->follow[l->config->follow_count];

	if (l->config->follow_count == CONFIG_FOLLOW_MAX)
		return fail(l, node, "one interface too many: %d in all pools are allowed", CONFIG_FOLLOW_MAX);
	snprintf(follow->name, sizeof(follow->name), "%s", name);
	follow->address = interface_address(name);
	if (!follow->address)
		return fail(l, node, "%s has no IPv4 address: an interface that has one is allowed", name);
	l->config->follow_count++;
	to->first = to->last = ntohl(follow->address);
	return 0;
}

static int read_addresses(struct loader *l, const struct row *row, yaml_node_t *node, void *to)
{
	static const char wanted[] = "an IPv4 address, ADDRESS/LENGTH, FIRST-LAST or an interface";
	const char *text = scalar(l, node, wanted);

	if (!text)
		return -1;
	if (!addr_parse_range(text, to))
		return if_nametoindex(text) ? read_follow(l, node, text, to) :
					      fail(l, node, "\"" SHOWN "\" is wrong: %s is allowed", text, wanted);
	return 0;
}

/* ADDRESS:PORT */
static int read_listen(struct loader *l, const struct row *row, yaml_node_t *node, void *to)
{
	static const char wanted[] = "ADDRESS:PORT with an IPv4 address and a port from 1 to 65535";
	const char *text = scalar(l, node, wanted), *colon;
	char address[ADDR_TEXT_LEN];
	struct num_range port;
	__be32 parsed;

	if (!text)
		return -1;
	colon = strchr(text, ':');
	if (!colon || (size_t)(colon - text) >= sizeof(address))
		return fail(l, node, "\"" SHOWN "\" is wrong: %s is allowed", text, wanted);
	memcpy(address, text, (size_t)(colon - text));
	address[colon - text] = 0;
	if (!addr_parse(address, &parsed) || strchr(colon, '-') || !num_parse_range(colon + 1, 65535, &port) ||
	    port.first == 0)
		return fail(l, node, "\"" SHOWN "\" is wrong: %s is allowed", text, wanted);
	return set_text(l, node, text, to);
}

/* --- maps and lists -------------------------------------------------------------- */

static int read_value(struct loader *l, const struct row *row, yaml_node_t *node, void *to)
{
	if (row->line_at)
		*(unsigned int *)((char *)to - row->at + row->line_at) = line_of(node);
	if (row->read(l, row, node, to))
		return -1;
	return row->check ? row->check(l, node, to) : 0;
}

/* A value the file leaves out. */
static int read_preset(struct loader *l, const struct row *row, yaml_node_t *map, void *to)
{
	yaml_document_t *outer = l->document, document;
	yaml_parser_t parser;
	yaml_node_t *root = NULL;
	int err = -1;

	if (!yaml_parser_initialize(&parser))
		return fail(l, map, "out of memory");
	yaml_parser_set_input_string(&parser, (const unsigned char *)row->preset, strlen(row->preset));
	if (yaml_parser_load(&parser, &document)) {
		root = yaml_document_get_root_node(&document);
		/* What is wrong with a default is wrong because of the map that it is used in. */
		for (yaml_node_t *node = document.nodes.start; node < document.nodes.top; node++)
			node->start_mark = map->start_mark;
		l->document = &document;
		err = read_value(l, row, root, to);
		l->document = outer;
		yaml_document_delete(&document);
	} else {
		fail(l, map, "out of memory");
	}
	yaml_parser_delete(&parser);
	return err;
}

/* Extends `where`; the caller cuts it back to what this returns. */
static size_t enter(struct loader *l, const char *key, size_t index)
{
	size_t len = strlen(l->where);

	if (key)
		snprintf(l->where + len, sizeof(l->where) - len, "%s%.40s", len ? "." : "", key);
	else
		snprintf(l->where + len, sizeof(l->where) - len, "[%zu]", index + 1);
	return len;
}

static const char *keys_text(const struct row *rows, char *out, size_t capacity)
{
	size_t len = 0;

	out[0] = 0;
	for (const struct row *row = rows; row->key && len < capacity; row++)
		len += (size_t)snprintf(out + len, capacity - len, "%s%s",
					row == rows ? "" : row[1].key ? ", " : " and ", row->key);
	return out;
}

/* The row of each key, or an error: an unknown key, one that is there twice, or no key at all. */
static const struct row *find_row(struct loader *l, const struct row *rows, const yaml_node_t *map,
				  const yaml_node_pair_t *pair)
{
	yaml_node_t *key = yaml_document_get_node(l->document, pair->key), *other;
	const struct row *row = rows;
	const char *text;
	char wanted[256];

	text = scalar(l, key, keys_text(rows, wanted, sizeof(wanted)));
	if (!text)
		return NULL;
	while (row->key && strcmp(row->key, text))
		row++;
	if (!row->key) {
		fail(l, key, "unknown key \"" SHOWN "\": %s are allowed", text, wanted);
		return NULL;
	}
	for (const yaml_node_pair_t *before = map->data.mapping.pairs.start; before < pair; before++) {
		other = yaml_document_get_node(l->document, before->key);
		if (!strcmp((const char *)other->data.scalar.value, text)) {
			fail(l, key, "the key \"%s\" is here again: it stands in line %u, once is allowed", text,
			     line_of(other));
			return NULL;
		}
	}
	return row;
}

static int read_map(struct loader *l, const struct row *map_row, yaml_node_t *node, void *to)
{
	const struct row *rows = map_row->more;
	uint32_t present = 0;
	size_t back;
	char wanted[256];

	if (node->type != YAML_MAPPING_NODE)
		return fail(l, node, "a map with these keys is allowed: %s", keys_text(rows, wanted, sizeof(wanted)));
	for (yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top; pair++) {
		const struct row *row = find_row(l, rows, node, pair);

		if (!row)
			return -1;
		present |= 1u << (row - rows);
		back = enter(l, row->key, 0);
		if (read_value(l, row, yaml_document_get_node(l->document, pair->value), (char *)to + row->at))
			return -1;
		l->where[back] = 0;
	}
	for (const struct row *row = rows; row->key; row++) {
		if (present & 1u << (row - rows) || row->optional)
			continue;
		back = enter(l, row->key, 0);
		if (!row->preset)
			return fail(l, node, "missing: it must be given");
		if (read_preset(l, row, node, (char *)to + row->at))
			return -1;
		l->where[back] = 0;
	}
	return 0;
}

static int check_list(struct loader *l, const struct row *row, const yaml_node_t *node)
{
	size_t count;

	if (node->type != YAML_SEQUENCE_NODE)
		return fail(l, node, "a list is allowed: [first, second, ...]");
	count = (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
	if (count < row->min || count > row->max)
		return fail(l, node, "a list of %zu: %u to %u are allowed", count, row->min, row->max);
	return 0;
}

/*
 * A list whose items are all of one kind. `to` is where the pointer to the items
 * goes; their number stands `count_at` in the same struct and counts an item as soon
 * as its memory is there, so that config_free() can free half a configuration.
 */
static int read_list(struct loader *l, const struct row *row, yaml_node_t *node, void *to)
{
	size_t *count = (size_t *)((char *)to - row->at + row->count_at), wanted, back;
	yaml_node_item_t *items;
	char *list;

	if (check_list(l, row, node))
		return -1;
	items = node->data.sequence.items.start;
	wanted = (size_t)(node->data.sequence.items.top - items);
	list = calloc(wanted + 1, row->size);
	if (!list)
		return fail(l, node, "out of memory");
	*(void **)to = list;
	for (size_t i = 0; i < wanted; i++) {
		yaml_node_t *item = yaml_document_get_node(l->document, items[i]);

		++*count;
		back = enter(l, NULL, i);
		if (read_value(l, row->more, item, list + i * row->size))
			return -1;
		l->where[back] = 0;
	}
	return 0;
}

/* Remembers the line first: a range that overlaps is reported with it. */
static int read_pool_addresses(struct loader *l, const struct row *row, yaml_node_t *node, void *to)
{
	struct config_pool *pool = (struct config_pool *)((char *)to - row->at);

	pool->line = line_of(node);
	return read_list(l, row, node, to);
}

/* A list of different words, in their order. Fills values[], returns how many, or -1. */
static int read_choices(struct loader *l, const struct row *row, yaml_node_t *node, unsigned int values[static 4])
{
	int count = 0;

	if (check_list(l, row, node))
		return -1;
	for (yaml_node_item_t *at = node->data.sequence.items.start; at < node->data.sequence.items.top; at++) {
		yaml_node_t *item = yaml_document_get_node(l->document, *at);
		size_t back = enter(l, NULL, (size_t)count);
		const struct word *word = read_choice(l, row->more, item);

		if (!word)
			return -1;
		for (int i = 0; i < count; i++) {
			if (values[i] == word->value)
				return fail(l, item, "%s is in the list already: once is allowed", word->text);
		}
		values[count++] = word->value;
		l->where[back] = 0;
	}
	return count;
}

static int read_tunnels(struct loader *l, const struct row *row, yaml_node_t *node, void *to)
{
	unsigned int values[4];
	int count = read_choices(l, row, node, values);

	if (count < 0)
		return -1;
	for (int i = 0; i < count; i++)
		((uint8_t *)to)[i] = (uint8_t)values[i];
	*(size_t *)((char *)to - row->at + row->count_at) = (size_t)count;
	return 0;
}

/* Row A-47: RSAP-IP is always among the methods; RSA-IP lends whole addresses and stands alone. */
static int read_methods(struct loader *l, const struct row *row, yaml_node_t *node, void *to)
{
	struct config_pool *pool = (struct config_pool *)((char *)to - row->at);
	unsigned int values[4];
	int count = read_choices(l, row, node, values);

	if (count < 0)
		return -1;
	for (int i = 0; i < count; i++) {
		pool->rsa = pool->rsa || values[i] == RSIP_METHOD_RSA;
		pool->rsap = pool->rsap || values[i] == RSIP_METHOD_RSAP;
		pool->rsipsec = pool->rsipsec || values[i] == RSIP_METHOD_RSIPSEC;
	}
	if (pool->rsa ? count > 1 : !pool->rsap)
		return fail(l, node, "these methods do not go together: [rsap-ip], [rsap-ip, rsipsec] or [rsa-ip] "
				     "is allowed");
	return 0;
}

/* --- what goes with what ----------------------------------------------------------- */

static int check_interface(struct loader *l, yaml_node_t *node, void *to)
{
	struct config *config = l->config;
	struct config_interface *added = to;

	for (size_t i = 0; i < config->private_count + config->public_count; i++) {
		struct config_interface *other = i < config->private_count ?
			&config->private_interfaces[i] : &config->public_interfaces[i - config->private_count];

		if (other == added)
			continue;
		if (!strcmp(other->name, added->name))
			return fail_line(l, added->line, "%s: %s stands in line %u already: each interface once is allowed",
					 l->where, added->name, other->line);
		if (added->address && other->address == added->address)
			return fail_line(l, added->address_line,
					 "%s: the address of %s in line %u already: each address once is allowed",
					 l->where, other->name, other->address_line);
	}
	return 0;
}

/* Remembers the line, for what is found wrong later. */
static int check_interface_name(struct loader *l, yaml_node_t *node, void *to)
{
	struct config_interface *interface = (struct config_interface *)
		((char *)to - offsetof(struct config_interface, name));

	interface->line = line_of(node);
	return 0;
}

/* May not be lent and not be a tunnel's end: what no host on a network has. */
static bool is_special(uint32_t first, uint32_t last)
{
	return first < 0x01000000 || last >= 0xe0000000 || (first < 0x80000000 && last >= 0x7f000000);
}

static int check_interface_address(struct loader *l, yaml_node_t *node, void *to)
{
	struct config_interface *interface = (struct config_interface *)
		((char *)to - offsetof(struct config_interface, address));

	interface->address_line = line_of(node);
	if (is_special(ntohl(interface->address), ntohl(interface->address)))
		return fail(l, node, "not the address of an interface: a unicast address is allowed");
	return 0;
}

/* The pool that has addresses in common with `range`, but for that very range. */
static const struct config_pool *overlapping(const struct config *config, const struct addr_range *range)
{
	for (size_t p = 0; p < config->pool_count; p++) {
		const struct config_pool *pool = &config->pools[p];

		for (size_t i = 0; i < pool->address_count; i++) {
			const struct addr_range *other = &pool->addresses[i];

			if (other != range && other->first <= range->last && range->first <= other->last)
				return pool;
		}
	}
	return NULL;
}

static int check_pool_range(struct loader *l, yaml_node_t *node, void *to)
{
	const struct addr_range *range = to;
	const struct config_pool *other;

	l->ranges++;
	l->addresses += (uint64_t)range->last - range->first + 1;
	if (l->ranges > RANGES_MAX || l->addresses > CONFIG_ADDRESSES_MAX)
		return fail(l, node, "the pools have %llu addresses in %llu ranges: %u in %u are allowed",
			    (unsigned long long)l->addresses, (unsigned long long)l->ranges, CONFIG_ADDRESSES_MAX,
			    RANGES_MAX);
	other = overlapping(l->config, range);
	if (other)
		return fail(l, node, "overlaps the addresses in line %u: each address once is allowed", other->line);
	if (is_special(range->first, range->last))
		return fail(l, node, "holds addresses that no host can have: unicast addresses are allowed");
	return 0;
}

static int check_pool_name(struct loader *l, yaml_node_t *node, void *to)
{
	const char *name = *(char **)to;

	for (size_t p = 0; p < l->config->pool_count; p++) {
		const struct config_pool *other = &l->config->pools[p];

		if (&other->name != to && other->name && !strcmp(other->name, name))
			return fail(l, node, "another pool is called \"%s\": each name once is allowed", name);
	}
	return 0;
}

static int check_leases(struct loader *l, yaml_node_t *node, void *to)
{
	const struct config *config = l->config;

	if (config->leases.normal > config->leases.maximum)
		return fail(l, node, "default is %u and maximum is %u: a default up to the maximum is allowed",
			    config->leases.normal, config->leases.maximum);
	return 0;
}

static int check_server(struct loader *l, yaml_node_t *node, void *to)
{
	if (!l->config->server.tcp && !l->config->server.udp)
		return fail(l, node, "tcp and udp are both false: one at least must be true");
	return 0;
}

/* --- the tables ---------------------------------------------------------------------- */

#define AT(type, member) .at = offsetof(type, member)
#define LINE(member) .line_at = offsetof(struct config, member)

static const struct row private_rows[] = {
	{ "name", read_interface, AT(struct config_interface, name), .check = check_interface_name },
	{ "address", read_address, AT(struct config_interface, address), .check = check_interface_address },
	{ 0 }
};
static const struct row public_rows[] = {
	{ "name", read_interface, AT(struct config_interface, name), .check = check_interface_name },
	{ 0 }
};
static const struct row private_item = { "", read_map, .more = private_rows, .check = check_interface };
static const struct row public_item = { "", read_map, .more = public_rows, .check = check_interface };

static const struct row interfaces_rows[] = {
	{ "private", read_list, AT(struct config, private_interfaces), .min = 1, .max = INTERFACES_MAX,
	  .more = &private_item, .size = sizeof(struct config_interface),
	  .count_at = offsetof(struct config, private_count) },
	{ "public", read_list, AT(struct config, public_interfaces), .min = 1, .max = INTERFACES_MAX,
	  .more = &public_item, .size = sizeof(struct config_interface),
	  .count_at = offsetof(struct config, public_count) },
	{ 0 }
};

static const struct word method_words[] = {
	{ "rsap-ip", RSIP_METHOD_RSAP }, { "rsipsec", RSIP_METHOD_RSIPSEC }, { "rsa-ip", RSIP_METHOD_RSA }, { 0 }
};
static const struct row pool_range = { "", read_addresses, .check = check_pool_range };

static const struct row pool_rows[] = {
	{ "name", read_name, AT(struct config_pool, name), .max = 63, .check = check_pool_name },
	{ "addresses", read_pool_addresses, AT(struct config_pool, addresses), .min = 1, .max = RANGES_MAX,
	  .more = &pool_range, .size = sizeof(struct addr_range),
	  .count_at = offsetof(struct config_pool, address_count) },
	{ "methods", read_methods, AT(struct config_pool, rsa), "[rsap-ip, rsipsec]", .min = 1, .max = 3,
	  .more = method_words },
	{ "ports", read_numbers, AT(struct config_pool, ports), "1024-65535", .min = 1, .max = 65535 },
	{ "spis", read_numbers, AT(struct config_pool, spis), "0x100-0xffffffff", .min = RSIP_SPI_FIRST,
	  .max = UINT32_MAX },
	{ "gateway-address", read_bool, AT(struct config_pool, gateway_address), "false" },
	{ 0 }
};
static const struct row pool_item = { "", read_map, .more = pool_rows };

static const struct word local_policies[] = {
	{ "macro", RSIP_POLICY_MACRO }, { "micro", RSIP_POLICY_MICRO }, { 0 }
};
static const struct word remote_policies[] = {
	{ "none", RSIP_POLICY_NONE }, { "macro", RSIP_POLICY_MACRO }, { "micro", RSIP_POLICY_MICRO }, { 0 }
};

static const struct word listen_words[] = {
	{ "policy", CONFIG_LISTEN_POLICY }, { "always", CONFIG_LISTEN_ALWAYS }, { "never", CONFIG_LISTEN_NEVER }, { 0 }
};

static const struct row client_rows[] = {
	{ "match", read_prefix, AT(struct config_client, match), "10.0.0.0/8" },
	{ "local-policy", read_word, AT(struct config_client, local_policy), "macro", .more = local_policies,
	  .size = 1 },
	{ "remote-policy", read_word, AT(struct config_client, remote_policy), "none", .more = remote_policies,
	  .size = 1 },
	{ "ipsec", read_bool, AT(struct config_client, ipsec), "true" },
	{ "listen", read_word, AT(struct config_client, listen), "policy", .more = listen_words, .size = 1 },
	{ "max-binds", read_number, AT(struct config_client, max_binds), "64", .max = LIMIT_MAX },
	{ "max-ports", read_number, AT(struct config_client, max_ports), "1024", .max = LIMIT_MAX },
	{ "max-spis", read_number, AT(struct config_client, max_spis), "256", .max = LIMIT_MAX },
	{ "max-addresses", read_number, AT(struct config_client, max_addresses), "16", .max = LIMIT_MAX },
	{ "max-requests", read_number, AT(struct config_client, max_requests), "10000", .max = LIMIT_MAX },
	{ "key", read_key, AT(struct config_client, key), .max = TEXT_MAX, .optional = true },
	{ 0 }
};
static const struct row client_item = { "", read_map, .more = client_rows };

static const struct row leases_rows[] = {
	{ "registration", read_number, AT(struct config, leases.registration), "600", .min = 1, .max = LEASE_MAX },
	{ "default", read_number, AT(struct config, leases.normal), "600", .min = 1, .max = LEASE_MAX },
	{ "maximum", read_number, AT(struct config, leases.maximum), "3600", .min = 1, .max = LEASE_MAX },
	{ "hold-down", read_number, AT(struct config, leases.hold_down), "120", .max = 86400 },
	{ 0 }
};

static const struct row server_rows[] = {
	{ "port", read_number, AT(struct config, server.port), "4555", .min = 1, .max = 65535, .size = 2 },
	{ "tcp", read_bool, AT(struct config, server.tcp), "true" },
	{ "udp", read_bool, AT(struct config, server.udp), "true" },
	{ 0 }
};

static const struct word tunnel_words[] = {
	{ "ip-ip", RSIP_TUNNEL_IPIP }, { "gre", RSIP_TUNNEL_GRE }, { 0 }
};
static const struct row network_item = { "", read_prefix };

static const struct word mode_words[] = {
	{ "auto", CONFIG_MODE_AUTO }, { "native", CONFIG_MODE_NATIVE }, { "generic", CONFIG_MODE_GENERIC }, { 0 }
};

static const struct row datapath_rows[] = {
	{ "mode", read_word, AT(struct config, datapath.mode), "auto", .more = mode_words,
	  .size = sizeof(enum config_mode) },
	{ "pin", read_path, AT(struct config, datapath.pin), "/sys/fs/bpf/rsip", .max = TEXT_MAX },
	{ "max-bindings", read_number, AT(struct config, datapath.max_bindings), "1048576", .min = 1,
	  .max = 16777216 },
	{ "peer-rekey", read_bool, AT(struct config, datapath.peer_rekey), "false" },
	{ 0 }
};

static const struct word query_words[] = { { "asked", false }, { "all", true }, { 0 } };

/* Maps inside the file's map whose values are members of struct config itself are read at offset 0. */
static const struct row config_rows[] = {
	{ "interfaces", read_map, .more = interfaces_rows, LINE(interfaces_line) },
	{ "pools", read_list, AT(struct config, pools), .min = 1, .max = POOLS_MAX, .more = &pool_item,
	  .size = sizeof(struct config_pool), .count_at = offsetof(struct config, pool_count) },
	{ "clients", read_list, AT(struct config, clients), "[{}]", .max = CLIENTS_MAX, .more = &client_item,
	  .size = sizeof(struct config_client), .count_at = offsetof(struct config, client_count) },
	{ "leases", read_map, .preset = "{}", .more = leases_rows, .check = check_leases },
	{ "server", read_map, .preset = "{}", .more = server_rows, .check = check_server,
	  LINE(server_line) },
	{ "local-networks", read_list, AT(struct config, local_networks), "[10.0.0.0/8]", .max = NETWORKS_MAX,
	  .more = &network_item, .size = sizeof(struct addr_prefix),
	  .count_at = offsetof(struct config, local_network_count) },
	{ "query", read_word, AT(struct config, query_all), "asked", .more = query_words, .size = 1 },
	{ "tunnels", read_tunnels, AT(struct config, tunnels), "[ip-ip, gre]", .min = 1, .max = 2,
	  .more = tunnel_words, .count_at = offsetof(struct config, tunnel_count) },
	{ "datapath", read_map, .preset = "{}", .more = datapath_rows, LINE(datapath_line) },
	{ "state", read_path, AT(struct config, state), "/var/lib/rsip", .max = TEXT_MAX, LINE(state_line) },
	{ "control", read_path, AT(struct config, control), "/run/rsip/rsipd.sock",
	  .max = sizeof(((struct sockaddr_un *)0)->sun_path) - 1 - sizeof(".lock"), LINE(control_line) },
	{ "metrics", read_listen, AT(struct config, metrics), .optional = true, LINE(metrics_line) },
	{ 0 }
};
static const struct row file_row = { "", read_map, .more = config_rows };

/* --- the file --------------------------------------------------------------------------- */

/* The whole file, NUL-terminated; the caller frees it. NULL and an error. */
static char *read_file(struct loader *l, size_t *len)
{
	FILE *file = fopen(l->path, "re");
	struct stat status;
	char *text;

	if (!file) {
		fail_line(l, 1, "cannot be opened: %s", strerror(errno));
		return NULL;
	}
	/* Without this a folder or a pipe would be read, or waited for. */
	if (fstat(fileno(file), &status) || !S_ISREG(status.st_mode)) {
		fail_line(l, 1, "not a file: a regular file is allowed");
		fclose(file);
		return NULL;
	}
	text = malloc(FILE_MAX + 1);
	if (!text) {
		fail_line(l, 1, "out of memory");
		fclose(file);
		return NULL;
	}
	*len = fread(text, 1, FILE_MAX + 1, file);
	if (ferror(file) || *len > FILE_MAX) {
		fail_line(l, 1, *len > FILE_MAX ? "larger than 1 MiB: up to 1 MiB is allowed" : "cannot be read");
		free(text);
		text = NULL;
	}
	fclose(file);
	return text;
}

static int fail_syntax(struct loader *l, const yaml_parser_t *parser, const char *text)
{
	size_t line = parser->problem_mark.line + 1;

	/* For bytes that are no text there is an offset and no mark. */
	if (parser->error == YAML_READER_ERROR) {
		for (size_t i = 0; i < parser->problem_offset; i++)
			line += text[i] == '\n';
	}
	return fail_line(l, line, "%s: YAML as in rsipd.yaml(5) is allowed",
			 parser->problem ? parser->problem : "out of memory");
}

/* 1 for what opens a map or list, -1 for what ends one. */
static int nesting_of(yaml_token_type_t type)
{
	switch (type) {
	case YAML_BLOCK_SEQUENCE_START_TOKEN:
	case YAML_BLOCK_MAPPING_START_TOKEN:
	case YAML_FLOW_SEQUENCE_START_TOKEN:
	case YAML_FLOW_MAPPING_START_TOKEN:
		return 1;
	case YAML_BLOCK_END_TOKEN:
	case YAML_FLOW_SEQUENCE_END_TOKEN:
	case YAML_FLOW_MAPPING_END_TOKEN:
		return -1;
	default:
		return 0;
	}
}

/*
 * Before libyaml builds anything: aliases, by which a small file becomes a large one,
 * and deep nesting, whose square is what libyaml 0.2.5 takes (18 s for 256 KiB of
 * brackets). What else is wrong is left to the loader.
 */
static int check_tokens(struct loader *l, const char *text, size_t len)
{
	yaml_parser_t parser;
	yaml_token_t token;
	int depth = 0, err = 0;
	bool more = true;

	if (!yaml_parser_initialize(&parser))
		return fail_line(l, 1, "out of memory");
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
	while (more && !err && yaml_parser_scan(&parser, &token)) {
		depth += nesting_of(token.type);
		more = token.type != YAML_STREAM_END_TOKEN;
		if (depth > NESTING_MAX)
			err = fail_line(l, token.start_mark.line + 1, "nested deeper than %d: maps and lists as in "
					"rsipd.yaml(5) are allowed", NESTING_MAX);
		else if (token.type == YAML_ALIAS_TOKEN)
			err = fail_line(l, token.start_mark.line + 1, "an alias: a value written out is allowed");
		yaml_token_delete(&token);
	}
	yaml_parser_delete(&parser);
	return err;
}

static int read_document(struct loader *l, yaml_document_t *document)
{
	yaml_node_t *root = yaml_document_get_root_node(document);

	if (!root)
		return fail_line(l, 1, "the file is empty: interfaces and pools must be given");
	l->document = document;
	return read_value(l, &file_row, root, l->config);
}

static int parse(struct loader *l, const char *text, size_t len)
{
	yaml_parser_t parser;
	yaml_document_t document, second;
	const yaml_node_t *root;
	int err = check_tokens(l, text, len);

	if (err)
		return err;
	if (!yaml_parser_initialize(&parser))
		return fail_line(l, 1, "out of memory");
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
	if (!yaml_parser_load(&parser, &document)) {
		err = fail_syntax(l, &parser, text);
		goto out_parser;
	}
	err = read_document(l, &document);
	yaml_document_delete(&document);
	if (err)
		goto out_parser;
	if (!yaml_parser_load(&parser, &second)) {
		err = fail_syntax(l, &parser, text);
		goto out_parser;
	}
	root = yaml_document_get_root_node(&second);
	if (root)
		err = fail_line(l, line_of(root), "a second document: one is allowed");
	yaml_document_delete(&second);
out_parser:
	yaml_parser_delete(&parser);
	return err;
}

/* Na ends tunnels: no host can be lent it. Known only when all of the file was read. */
static int check_pools_against_interfaces(struct loader *l)
{
	const struct config *config = l->config;

	for (size_t p = 0; p < config->pool_count; p++) {
		const struct config_pool *pool = &config->pools[p];

		for (size_t i = 0; i < config->private_count; i++) {
			struct addr_range own = { ntohl(config->private_interfaces[i].address),
						  ntohl(config->private_interfaces[i].address) };
			char text[ADDR_TEXT_LEN];

			if (overlapping(config, &own) != pool)
				continue;
			return fail_line(l, pool->line,
					 "pools[%zu].addresses: holds %s, the address of %s: other addresses are allowed",
					 p + 1, addr_text(config->private_interfaces[i].address, text),
					 config->private_interfaces[i].name);
		}
	}
	return 0;
}

/* Row CAS-01: only public addresses are lent. A warning, for tests and reversed realms. */
static void warn_private(const struct loader *l)
{
	static const struct addr_range private_ranges[] = {
		{ 0x0a000000, 0x0affffff }, { 0xac100000, 0xac1fffff }, { 0xc0a80000, 0xc0a8ffff }
	};

	for (size_t r = 0; r < sizeof(private_ranges) / sizeof(private_ranges[0]); r++) {
		const struct config_pool *pool = overlapping(l->config, &private_ranges[r]);

		if (pool)
			log_warn("%s:%u: pool %s holds private addresses (RFC 1918): public ones are meant to be lent",
				 l->path, pool->line, pool->name);
	}
}

struct config *config_load(const char *path, struct config_error *error)
{
	struct loader l = { .path = path, .error = error };
	size_t len;
	char *text = read_file(&l, &len);
	int err;

	if (!text)
		return NULL;
	l.config = calloc(1, sizeof(*l.config));
	err = l.config ? parse(&l, text, len) : fail_line(&l, 1, "out of memory");
	free(text);
	if (!err)
		err = check_pools_against_interfaces(&l);
	if (err) {
		config_free(l.config);
		return NULL;
	}
	warn_private(&l);
	return l.config;
}

void config_free(struct config *config)
{
	if (!config)
		return;
	for (size_t p = 0; p < config->pool_count; p++) {
		free(config->pools[p].name);
		free(config->pools[p].addresses);
	}
	for (size_t i = 0; i < config->client_count; i++) {
		if (config->clients[i].key)
			sodium_memzero(config->clients[i].key, AUTH_KEY_LEN);
		free(config->clients[i].key);
	}
	free(config->private_interfaces);
	free(config->public_interfaces);
	free(config->pools);
	free(config->clients);
	free(config->local_networks);
	free(config->datapath.pin);
	free(config->state);
	free(config->control);
	free(config->metrics);
	free(config);
}

const struct config_client *config_client_for(const struct config *config, __be32 host)
{
	for (size_t i = 0; i < config->client_count; i++) {
		if (addr_in_prefix(host, &config->clients[i].match))
			return &config->clients[i];
	}
	return NULL;
}

const struct config_follow *config_moved(const struct config *config, __be32 *address)
{
	for (size_t i = 0; i < config->follow_count; i++) {
		*address = interface_address(config->follow[i].name);
		if (*address && *address != config->follow[i].address)
			return &config->follow[i];
	}
	return NULL;
}

/* --- a reload ------------------------------------------------------------------------------- */

static bool same_text(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static bool same_interfaces(const struct config_interface *a, size_t a_count, const struct config_interface *b,
			    size_t b_count)
{
	bool same = a_count == b_count;

	for (size_t i = 0; same && i < a_count; i++)
		same = !strcmp(a[i].name, b[i].name) && a[i].address == b[i].address;
	return same;
}

static bool same_datapath(const struct config *a, const struct config *b)
{
	return a->datapath.mode == b->datapath.mode && !strcmp(a->datapath.pin, b->datapath.pin) &&
	       a->datapath.max_bindings == b->datapath.max_bindings && a->datapath.peer_rekey == b->datapath.peer_rekey;
}

int config_check_change(const struct config *running, const struct config *fresh, const char *path,
			struct config_error *error)
{
	const struct {
		const char *key;
		bool same;
		unsigned int line;
	} fixed[] = {
		{ "interfaces",
		  same_interfaces(running->private_interfaces, running->private_count, fresh->private_interfaces,
				  fresh->private_count) &&
		  same_interfaces(running->public_interfaces, running->public_count, fresh->public_interfaces,
				  fresh->public_count), fresh->interfaces_line },
		{ "server", running->server.port == fresh->server.port && running->server.tcp == fresh->server.tcp &&
		  running->server.udp == fresh->server.udp, fresh->server_line },
		{ "datapath", same_datapath(running, fresh), fresh->datapath_line },
		{ "state", same_text(running->state, fresh->state), fresh->state_line },
		{ "control", same_text(running->control, fresh->control), fresh->control_line },
		{ "metrics", same_text(running->metrics, fresh->metrics), fresh->metrics_line },
	};
	struct loader l = { .path = path, .error = error };

	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++) {
		if (!fixed[i].same)
			return fail_line(&l, fixed[i].line ? fixed[i].line : 1,
					 "%s: cannot change while rsipd runs: what it runs with is allowed, or a restart",
					 fixed[i].key);
	}
	return 0;
}

#define SWAP(a, b)				\
	do {					\
		__typeof__(a) was = (a);	\
						\
		(a) = (b);			\
		(b) = was;			\
	} while (0)

void config_swap(struct config *running, struct config *fresh)
{
	SWAP(running->pools, fresh->pools);
	SWAP(running->pool_count, fresh->pool_count);
	for (size_t i = 0; i < CONFIG_FOLLOW_MAX; i++)
		SWAP(running->follow[i], fresh->follow[i]);
	SWAP(running->follow_count, fresh->follow_count);
	SWAP(running->clients, fresh->clients);
	SWAP(running->client_count, fresh->client_count);
	SWAP(running->leases, fresh->leases);
	SWAP(running->local_networks, fresh->local_networks);
	SWAP(running->local_network_count, fresh->local_network_count);
	for (size_t i = 0; i < sizeof(running->tunnels); i++)
		SWAP(running->tunnels[i], fresh->tunnels[i]);
	SWAP(running->tunnel_count, fresh->tunnel_count);
}

/* --- what only the system knows ------------------------------------------------------------ */

struct system_check {
	struct loader l;
	const struct config *config;
	bool found[INTERFACES_MAX];	/* the address of each private interface */
	int err;
};

/* An address of this machine: one of ours, or one that must not be lent? */
static int see_address(const struct nlmsghdr *message, void *arg)
{
	struct system_check *check = arg;
	const struct config *config = check->config;
	const struct ifaddrmsg *header = mnl_nlmsg_get_payload(message);
	const struct nlattr *attr;
	const struct config_pool *pool;
	char name[IF_NAMESIZE] = "?", text[ADDR_TEXT_LEN];
	__be32 address = 0;

	mnl_attr_for_each(attr, message, sizeof(*header)) {
		if (mnl_attr_get_type(attr) == IFA_LOCAL && mnl_attr_get_payload_len(attr) == sizeof(address))
			address = mnl_attr_get_u32(attr);
	}
	if (!address || !if_indextoname(header->ifa_index, name))
		return MNL_CB_OK;
	for (size_t i = 0; i < config->private_count; i++) {
		if (!strcmp(config->private_interfaces[i].name, name) && config->private_interfaces[i].address == address)
			check->found[i] = true;
	}
	pool = overlapping(config, &(struct addr_range){ ntohl(address), ntohl(address) });
	if (pool && !pool->gateway_address && !check->err)
		check->err = fail_line(&check->l, pool->line,
				       "pool %s holds %s, an address of %s: allowed with gateway-address: true only",
				       pool->name, addr_text(address, text), name);
	return MNL_CB_OK;
}

/* Calls see_address() for each IPv4 address of this network namespace. */
static int each_address(struct system_check *check)
{
	char buffer[MNL_SOCKET_BUFFER_SIZE];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	struct mnl_socket *nl = mnl_socket_open(NETLINK_ROUTE);
	struct ifaddrmsg *header;
	ssize_t len = -1;
	int more = MNL_CB_OK;

	if (!nl)
		return -1;
	request->nlmsg_type = RTM_GETADDR;
	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	request->nlmsg_seq = 1;
	header = mnl_nlmsg_put_extra_header(request, sizeof(*header));
	header->ifa_family = AF_INET;
	if (mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) == 0 &&
	    mnl_socket_sendto(nl, request, request->nlmsg_len) >= 0) {
		while (more > MNL_CB_STOP && (len = mnl_socket_recvfrom(nl, buffer, sizeof(buffer))) > 0)
			more = mnl_cb_run(buffer, (size_t)len, 1, mnl_socket_get_portid(nl), see_address, check);
	}
	mnl_socket_close(nl);
	return len > 0 && more == MNL_CB_STOP ? 0 : -1;
}

/* APF-02: N's own connections from an address it lends should not take ports that are lent. A warning: leases come first. */
static void warn_local_ports(const struct config *config, const char *path)
{
	FILE *file = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
	unsigned int first, last;
	bool known = file && fscanf(file, "%u %u", &first, &last) == 2;

	if (file)
		fclose(file);
	for (size_t p = 0; p < config->pool_count && known; p++) {
		const struct config_pool *pool = &config->pools[p];

		if (pool->gateway_address && pool->ports.first <= last && first <= pool->ports.last)
			log_warn("%s:%u: pool %s lends ports %u-%u of an address of this machine, whose own connections use "
				 "%u-%u: set net.ipv4.ip_local_port_range, or ports, so that they do not overlap",
				 path, pool->line, pool->name, pool->ports.first, pool->ports.last, first, last);
	}
}

static int check_interface_exists(struct loader *l, const struct config_interface *interface)
{
	if (if_nametoindex(interface->name))
		return 0;
	return fail_line(l, interface->line, "there is no interface %s: an interface of this machine is allowed",
			 interface->name);
}

int config_check_system(const struct config *config, const char *path, struct config_error *error)
{
	struct system_check check = { .l = { .path = path, .error = error }, .config = config };
	char text[ADDR_TEXT_LEN];
	int err = -1;

	for (size_t i = 0; i < config->private_count; i++) {
		if (check_interface_exists(&check.l, &config->private_interfaces[i]))
			return -1;
	}
	for (size_t i = 0; i < config->public_count; i++) {
		if (check_interface_exists(&check.l, &config->public_interfaces[i]))
			return -1;
	}
	/* An address that changes under the listing interrupts it. */
	for (int try = 0; err && try < 3; try++) {
		memset(check.found, 0, sizeof(check.found));
		check.err = 0;
		err = each_address(&check);
	}
	if (err)
		return fail_line(&check.l, 1, "the addresses of this machine cannot be listed: %s", strerror(errno));
	if (check.err)
		return -1;
	for (size_t i = 0; i < config->private_count; i++) {
		const struct config_interface *interface = &config->private_interfaces[i];

		if (!check.found[i])
			return fail_line(&check.l, interface->address_line,
					 "%s is not an address of %s: an address of that interface is allowed",
					 addr_text(interface->address, text), interface->name);
	}
	warn_local_ports(config, path);
	return 0;
}
