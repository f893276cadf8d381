// SPDX-License-Identifier: GPL-2.0-only
/* Which SPIs strongSwan may use, and the file that says so. */
#include <criterion/criterion.h>
#include <arpa/inet.h>
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rsip/strongswan.h"

#define LIST_MAX	16

/* A list as it stands in a message */
static struct msg_spis spis(const uint32_t *values, unsigned int count, uint8_t bytes[static LIST_MAX * 4])
{
	for (unsigned int i = 0; i < count; i++) {
		uint32_t word = htonl(values[i]);

		memcpy(bytes + i * 4, &word, 4);
	}
	return (struct msg_spis){ .form = MSG_LIST, .count = (uint16_t)count, .list = bytes };
}

/* covers: IPS-12 HOST-03 */
Test(strongswan, longest_run)
{
	static const struct {
		const char *what;
		unsigned int count;
		uint32_t values[LIST_MAX], first, last;
	} rows[] = {
		{ "one", 1, { 0x100 }, 0x100, 0x100 },
		{ "in order", 4, { 0x100, 0x101, 0x102, 0x103 }, 0x100, 0x103 },
		{ "backwards", 4, { 0x103, 0x102, 0x101, 0x100 }, 0x100, 0x103 },
		{ "no two adjacent: the lowest", 3, { 0x300, 0x100, 0x200 }, 0x100, 0x100 },
		{ "the longer one is later", 5, { 0x100, 0x101, 0x200, 0x201, 0x202 }, 0x200, 0x202 },
		{ "the longer one is earlier", 5, { 0x200, 0x201, 0x100, 0x101, 0x102 }, 0x100, 0x102 },
		{ "equal runs: the lower", 4, { 0x200, 0x201, 0x100, 0x101 }, 0x100, 0x101 },
		{ "mixed up", 6, { 0x205, 0x103, 0x204, 0x101, 0x203, 0x102 }, 0x101, 0x103 },
		{ "up to the end", 3, { 0xfffffffe, 0xffffffff, 0x100 }, 0xfffffffe, 0xffffffff },
		{ "bytes in network order", 2, { 0x01020304, 0x01020305 }, 0x01020304, 0x01020305 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		uint8_t bytes[LIST_MAX * 4];
		struct msg_spis list = spis(rows[i].values, rows[i].count, bytes);
		struct num_range run = { 0 };

		cr_expect(strongswan_run(&list, &run), "%s", rows[i].what);
		cr_expect(run.first == rows[i].first && run.last == rows[i].last, "%s: 0x%x-0x%x", rows[i].what,
			  run.first, run.last);
	}
}

Test(strongswan, run_of_a_range)
{
	struct msg_spis range = { .form = MSG_RUN, .count = 65535, .first = 0x10000 };
	struct num_range run;

	cr_expect(strongswan_run(&range, &run));
	cr_expect(run.first == 0x10000 && run.last == 0x1fffe);
	range.count = 0;
	cr_expect(!strongswan_run(&range, &run));
}

static const struct {
	const char *what, *text;
	uint16_t port, port_nat_t;
} texts[] = {
	{ "port 500",
	  "# Written by rsip for the lease of 203.0.113.10; removed when it ends.\n"
	  "charon {\n\tspi_min = 0x00001000\n\tspi_max = 0x00001007\n}\n",
	  0, 0 },
	{ "leased ports",
	  "# Written by rsip for the lease of 203.0.113.10; removed when it ends.\n"
	  "charon {\n\tspi_min = 0x00001000\n\tspi_max = 0x00001007\n\tport = 40000\n\tport_nat_t = 65535\n}\n",
	  40000, 65535 },
};

static struct strongswan_lease lease(const struct msg_spis *spis, size_t row)
{
	return (struct strongswan_lease){ inet_addr("203.0.113.10"), spis, texts[row].port, texts[row].port_nat_t };
}

/* covers: IPS-12 APA-01 */
Test(strongswan, text)
{
	struct msg_spis eight = { .form = MSG_RUN, .count = 8, .first = 0x1000 };
	char text[512];

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct strongswan_lease l = lease(&eight, i);
		size_t len = strlen(texts[i].text);

		cr_expect(strongswan_text(&l, text, sizeof(text)) == 0, "%s", texts[i].what);
		cr_expect_str_eq(text, texts[i].text);
		cr_expect(strongswan_text(&l, text, len + 1) == 0, "%s: fits exactly", texts[i].what);
		cr_expect(strongswan_text(&l, text, len) == -ENOSPC, "%s: one byte short", texts[i].what);
	}
	eight.count = 0;
	cr_expect(strongswan_text(&(struct strongswan_lease){ .spis = &eight }, text, sizeof(text)) == -ENODATA);
}

static void read_file(const char *path, char out[static 512])
{
	FILE *file = fopen(path, "r");
	size_t len = file ? fread(out, 1, 511, file) : 0;

	cr_assert(file != NULL, "%s", path);
	out[len] = 0;
	fclose(file);
}

/* Only rsip.conf is ever in the directory, whole and readable for charon. */
Test(strongswan, file)
{
	struct msg_spis eight = { .form = MSG_RUN, .count = 8, .first = 0x1000 };
	char dir[] = "/tmp/rsip-test-XXXXXX", path[64], pattern[64], text[512];
	struct stat status;
	glob_t found = { 0 };

	cr_assert(mkdtemp(dir) != NULL);
	snprintf(path, sizeof(path), "%s/rsip.conf", dir);
	snprintf(pattern, sizeof(pattern), "%s/{*,.[!.]*}", dir);
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct strongswan_lease l = lease(&eight, i);

		cr_expect(strongswan_write(dir, &l) == 0);
		read_file(path, text);
		cr_expect_str_eq(text, texts[i].text);
		cr_expect(stat(path, &status) == 0 && (status.st_mode & 0777) == 0644);
		cr_expect(glob(pattern, GLOB_BRACE, NULL, &found) == 0 && found.gl_pathc == 1);
		globfree(&found);
	}
	strongswan_remove(dir);
	cr_expect(access(path, F_OK) != 0);
	cr_expect(rmdir(dir) == 0, "empty again");
	cr_expect(strongswan_write(dir, &(struct strongswan_lease){ .spis = &eight }) == -ENOENT);
}
