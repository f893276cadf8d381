// SPDX-License-Identifier: GPL-2.0-only
/*
 * Any bytes as a configuration file: refused in one line that says where, or
 * taken, and then within all limits and good enough to build pools from. The
 * input is the file.
 */
#include "fuzz.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/log.h"
#include "rsipd/pool.h"

static void check_error(const char *path, const struct config_error *error)
{
	size_t len = strlen(path);

	claim(memchr(error->text, 0, sizeof(error->text)), "no end");
	claim(!strncmp(error->text, path, len) && error->text[len] == ':', "names no file: %s", error->text);
	claim(strtoul(error->text + len + 1, NULL, 10) > 0, "names no line: %s", error->text);
	claim(!strchr(error->text, '\n'), "two lines: %s", error->text);
}

static void check_pool(const struct config_pool *pool)
{
	claim(pool->name && pool->address_count, "an empty pool");
	claim(pool->rsa || pool->rsap || pool->rsipsec, "a pool for nothing");
	claim(pool->ports.first >= 1 && pool->ports.first <= pool->ports.last && pool->ports.last <= 65535,
	      "ports %u-%u", pool->ports.first, pool->ports.last);
	claim(pool->spis.first >= 0x100 && pool->spis.first <= pool->spis.last, "SPIs %u-%u", pool->spis.first,
	      pool->spis.last);
	for (size_t i = 0; i < pool->address_count; i++)
		claim(pool->addresses[i].first <= pool->addresses[i].last, "range %zu", i);
}

static void check_config(const struct config *config)
{
	struct pools *pools = pools_new(config);

	claim(pools, "no pools");
	pools_free(pools);
	claim(config->private_count && config->public_count && config->pool_count, "something is missing");
	claim(config->tunnel_count >= 1 && config->tunnel_count <= 2, "%zu tunnels", config->tunnel_count);
	claim(config->leases.registration && config->leases.normal && config->leases.maximum, "a lease of 0 s");
	claim(config->server.port && (config->server.tcp || config->server.udp), "serves nobody");
	claim(config->state && config->control && config->datapath.pin, "a path is missing");
	claim(config->datapath.max_bindings, "no room");
	for (size_t i = 0; i < config->pool_count; i++)
		check_pool(&config->pools[i]);
	for (size_t i = 0; i < config->client_count; i++)
		claim(config_client_for(config, config->clients[i].match.network), "rule %zu matches nobody", i);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static int fd = -1;
	static char path[32];
	struct config_error error = { "" };
	struct config *config;

	if (fd < 0) {
		log_set_level(LOG_LEVEL_ERROR);
		fd = memfd_create("rsipd.yaml", 0);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	}
	claim(!ftruncate(fd, 0) && pwrite(fd, data, len, 0) == (ssize_t)len, "no file to read");
	config = config_load(path, &error);
	if (config)
		check_config(config);
	else
		check_error(path, &error);
	config_free(config);
	return 0;
}
