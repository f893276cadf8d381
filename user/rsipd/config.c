/* SPDX-License-Identifier: GPL-2.0-only */
/* rsipd.yaml from disk to struct config; what may stand in it: config_keys.c. See config.h. */
#include "rsipd/config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/auth.h"
#include "lib/log.h"
#include "rsipd/config_keys.h"

#define FILE_MAX		(1 << 20)
#define NESTING_MAX		16

/* --- the file --------------------------------------------------------------------------- */

/* The whole file, NUL-terminated; the caller frees it. NULL and an error. */
static char *read_file(struct loader *l, size_t *len)
{
	FILE *file = fopen(l->path, "re");
	struct stat status;
	char *text;

	if (!file) {
		loader_fail_at(l, 1, "cannot be opened: %s", strerror(errno));
		return NULL;
	}
	/* Without this a folder or a pipe would be read, or waited for. */
	if (fstat(fileno(file), &status) || !S_ISREG(status.st_mode)) {
		loader_fail_at(l, 1, "not a file: a regular file is allowed");
		fclose(file);
		return NULL;
	}
	text = malloc(FILE_MAX + 1);
	if (!text) {
		loader_fail_at(l, 1, "out of memory");
		fclose(file);
		return NULL;
	}
	*len = fread(text, 1, FILE_MAX + 1, file);
	if (ferror(file) || *len > FILE_MAX) {
		loader_fail_at(l, 1, *len > FILE_MAX ? "larger than 1 MiB: up to 1 MiB is allowed" : "cannot be read");
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
	return loader_fail_at(l, line, "%s: YAML as in rsipd.yaml(5) is allowed",
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
		return loader_fail_at(l, 1, "out of memory");
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
	while (more && !err && yaml_parser_scan(&parser, &token)) {
		depth += nesting_of(token.type);
		more = token.type != YAML_STREAM_END_TOKEN;
		if (depth > NESTING_MAX)
			err = loader_fail_at(l, token.start_mark.line + 1, "nested deeper than %d: maps and lists as in "
					"rsipd.yaml(5) are allowed", NESTING_MAX);
		else if (token.type == YAML_ALIAS_TOKEN)
			err = loader_fail_at(l, token.start_mark.line + 1, "an alias: a value written out is allowed");
		yaml_token_delete(&token);
	}
	yaml_parser_delete(&parser);
	return err;
}

static int read_document(struct loader *l, yaml_document_t *document)
{
	yaml_node_t *root = yaml_document_get_root_node(document);

	if (!root)
		return loader_fail_at(l, 1, "the file is empty: interfaces and pools must be given");
	l->document = document;
	return row_read(l, &config_keys, root, l->whole);
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
		return loader_fail_at(l, 1, "out of memory");
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
		err = loader_fail_at(l, loader_line(root), "a second document: one is allowed");
	yaml_document_delete(&second);
out_parser:
	yaml_parser_delete(&parser);
	return err;
}

/* --- what it says ------------------------------------------------------------------------ */

/* Na ends tunnels: no host can be lent it. Known only when all of the file was read. */
static int check_pools_against_interfaces(const struct config *config, const char *path, struct config_error *error)
{
	for (size_t p = 0; p < config->pool_count; p++) {
		const struct config_pool *pool = &config->pools[p];

		for (size_t i = 0; i < config->private_count; i++) {
			struct addr_range own = { ntohl(config->private_interfaces[i].address),
						  ntohl(config->private_interfaces[i].address) };
			char text[ADDR_TEXT_LEN];

			if (config_pool_with(config, &own) != pool)
				continue;
			return config_error_set(error, path, pool->line, "pools[%zu].addresses: holds %s, the address of "
						"%s: other addresses are allowed", p + 1,
						addr_text(config->private_interfaces[i].address, text),
						config->private_interfaces[i].name);
		}
	}
	return 0;
}

/* Row CAS-01: only public addresses are lent. A warning, for tests and reversed realms. */
static void warn_private(const struct config *config, const char *path)
{
	static const struct addr_range private_ranges[] = {
		{ 0x0a000000, 0x0affffff }, { 0xac100000, 0xac1fffff }, { 0xc0a80000, 0xc0a8ffff }
	};

	for (size_t r = 0; r < sizeof(private_ranges) / sizeof(private_ranges[0]); r++) {
		const struct config_pool *pool = config_pool_with(config, &private_ranges[r]);

		if (pool)
			log_warn("%s:%u: pool %s holds private addresses (RFC 1918): public ones are meant to be lent",
				 path, pool->line, pool->name);
	}
}

struct config *config_load(const char *path, struct config_error *error)
{
	struct loader l = { .path = path, .error = error };
	struct config *config;
	size_t len;
	char *text = read_file(&l, &len);
	int err;

	if (!text)
		return NULL;
	l.whole = config = calloc(1, sizeof(*config));
	err = config ? parse(&l, text, len) : config_error_set(error, path, 1, "out of memory");
	free(text);
	if (!err)
		err = check_pools_against_interfaces(config, path, error);
	if (err) {
		config_free(config);
		return NULL;
	}
	warn_private(config, path);
	return config;
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

const struct config_pool *config_pool_with(const struct config *config, const struct addr_range *range)
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
