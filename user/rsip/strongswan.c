// SPDX-License-Identifier: GPL-2.0-only
/* charon takes an SPI at random between spi_min and spi_max, so only a run without holes is of use. */
#include "rsip/strongswan.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEXT_MAX	512

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void longest(const uint32_t *sorted, size_t count, struct num_range *out)
{
	size_t start = 0;

	*out = (struct num_range){ sorted[0], sorted[0] };
	for (size_t i = 1; i < count; i++) {
		if (sorted[i] != sorted[i - 1] + 1)
			start = i;
		if (sorted[i] - sorted[start] > out->last - out->first)
			*out = (struct num_range){ sorted[start], sorted[i] };
	}
}

bool strongswan_run(const struct msg_spis *spis, struct num_range *out)
{
	uint32_t *sorted;

	if (spis->count == 0)
		return false;
	sorted = calloc(spis->count, sizeof(*sorted));
	if (sorted == NULL)
		return false;
	for (unsigned int i = 0; i < spis->count; i++)
		sorted[i] = msg_spi_at(spis, i);
	qsort(sorted, spis->count, sizeof(*sorted), compare);
	longest(sorted, spis->count, out);
	free(sorted);
	return true;
}

int strongswan_text(const struct strongswan_lease *lease, char *out, size_t capacity)
{
	char address[ADDR_TEXT_LEN], ports[64] = "";
	struct num_range run;
	int len;

	if (!strongswan_run(lease->spis, &run))
		return -ENODATA;
	if (lease->port != 0)
		snprintf(ports, sizeof(ports), "\tport = %u\n\tport_nat_t = %u\n", lease->port, lease->port_nat_t);
	len = snprintf(out, capacity,
		       "# Written by rsip for the lease of %s; removed when it ends.\n"
		       "charon {\n"
		       "\tspi_min = 0x%08x\n"
		       "\tspi_max = 0x%08x\n"
		       "%s"
		       "}\n",
		       addr_text(lease->address, address), run.first, run.last, ports);
	return len >= 0 && (size_t)len < capacity ? 0 : -ENOSPC;
}

static int write_all(int fd, const char *text)
{
	size_t left = strlen(text);

	while (left > 0) {
		ssize_t len = write(fd, text, left);

		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0)
			return -errno;
		text += len;
		left -= (size_t)len;
	}
	return fchmod(fd, 0644) ? -errno : 0;
}

int strongswan_write(const char *dir, const struct strongswan_lease *lease)
{
	char text[TEXT_MAX], temporary[PATH_MAX], path[PATH_MAX];
	int err = strongswan_text(lease, text, sizeof(text));
	int fd;

	if (err)
		return err;
	/* "include *.conf" must not find the half-written file: no such ending, and hidden. */
	if (snprintf(temporary, sizeof(temporary), "%s/.%s.XXXXXX", dir, STRONGSWAN_FILE) >= PATH_MAX ||
	    snprintf(path, sizeof(path), "%s/%s", dir, STRONGSWAN_FILE) >= PATH_MAX)
		return -ENAMETOOLONG;
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = write_all(fd, text);
	if (close(fd) && !err)
		err = -errno;
	if (!err && rename(temporary, path))
		err = -errno;
	if (err)
		unlink(temporary);
	return err;
}

void strongswan_remove(const char *dir)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s/%s", dir, STRONGSWAN_FILE) < PATH_MAX)
		unlink(path);
}
