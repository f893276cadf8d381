/* SPDX-License-Identifier: GPL-2.0-only */
/* Addresses, prefixes and ranges as text. */
#include <arpa/inet.h>
#include <string.h>

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "lib/addr.h"

#define A(a, b, c, d) ((uint32_t)(a) << 24 | (b) << 16 | (c) << 8 | (d))
#define ARRAY(x) (sizeof(x) / sizeof((x)[0]))

Test(addr, address)
{
	static const struct { const char *text; bool good; uint32_t value; } rows[] = {
		{ "10.0.0.1", true, A(10, 0, 0, 1) },
		{ "0.0.0.0", true, 0 },
		{ "255.255.255.255", true, 0xffffffff },
		{ "", false, 0 }, { "10.0.0", false, 0 }, { "10.0.0.1.2", false, 0 }, { "10.0.0.256", false, 0 },
		{ "010.0.0.1", false, 0 }, { "10.0.0.01", false, 0 }, { "0x0a.0.0.1", false, 0 }, { "167772161", false, 0 },
		{ " 10.0.0.1", false, 0 }, { "10.0.0.1 ", false, 0 }, { "10.0.0.1/32", false, 0 }, { "-1.0.0.1", false, 0 },
		{ "::1", false, 0 },
	};

	for (size_t i = 0; i < ARRAY(rows); i++) {
		__be32 addr = 0xdeadbeef;
		char text[ADDR_TEXT_LEN];

		cr_expect(eq(int, addr_parse(rows[i].text, &addr), rows[i].good), "%s", rows[i].text);
		cr_expect(eq(u32, addr, rows[i].good ? htonl(rows[i].value) : 0xdeadbeef), "%s", rows[i].text);
		if (rows[i].good)
			cr_expect(eq(str, (char *)addr_text(addr, text), (char *)rows[i].text));
	}
}

Test(addr, prefix)
{
	static const struct { const char *text; bool good; uint32_t network; int length; const char *back; } rows[] = {
		{ "10.0.0.0/8", true, A(10, 0, 0, 0), 8, "10.0.0.0/8" },
		{ "0.0.0.0/0", true, 0, 0, "0.0.0.0/0" },
		{ "255.255.255.255/32", true, 0xffffffff, 32, "255.255.255.255/32" },
		{ "192.0.2.9", true, A(192, 0, 2, 9), 32, "192.0.2.9/32" },
		{ "10.0.0.1/8", false, 0, 0, NULL }, { "10.0.0.0/33", false, 0, 0, NULL }, { "128.0.0.0/33", false, 0, 0, NULL }, { "10.0.0.0/", false, 0, 0, NULL },
		{ "10.0.0.0/08", false, 0, 0, NULL }, { "10.0.0.0/0x8", false, 0, 0, NULL }, { "10.0.0.0/8 ", false, 0, 0, NULL },
		{ "/8", false, 0, 0, NULL }, { "10.0.0.0/-8", false, 0, 0, NULL }, { "10.0.0.0/4294967304", false, 0, 0, NULL },
		{ "10.0.0.0/8/8", false, 0, 0, NULL }, { "10.0.0.000000000000000000/8", false, 0, 0, NULL },
		{ "10.0.0.000000000/8", false, 0, 0, NULL },	/* 16 bytes: one more than an address has */
	};

	for (size_t i = 0; i < ARRAY(rows); i++) {
		struct addr_prefix prefix = { 1, 2 };
		char text[PREFIX_TEXT_LEN];

		cr_expect(eq(int, addr_parse_prefix(rows[i].text, &prefix), rows[i].good), "%s", rows[i].text);
		cr_expect(eq(u32, prefix.network, rows[i].good ? htonl(rows[i].network) : 1), "%s", rows[i].text);
		cr_expect(eq(int, prefix.length, rows[i].good ? rows[i].length : 2), "%s", rows[i].text);
		if (rows[i].good)
			cr_expect(eq(str, (char *)addr_prefix_text(&prefix, text), (char *)rows[i].back));
	}
}

Test(addr, address_range)
{
	static const struct { const char *text; bool good; uint32_t first, last; } rows[] = {
		{ "203.0.113.10-203.0.113.20", true, A(203, 0, 113, 10), A(203, 0, 113, 20) },
		{ "203.0.113.10", true, A(203, 0, 113, 10), A(203, 0, 113, 10) },
		{ "203.0.113.0/24", true, A(203, 0, 113, 0), A(203, 0, 113, 255) },
		{ "0.0.0.0/0", true, 0, 0xffffffff },
		{ "9.255.255.255-10.0.0.1", true, A(9, 255, 255, 255), A(10, 0, 0, 1) },
		{ "203.0.113.20-203.0.113.10", false, 0, 0 }, { "203.0.113.10-", false, 0, 0 }, { "-203.0.113.10", false, 0, 0 },
		{ "203.0.113.10-20", false, 0, 0 }, { "203.0.113.1/24", false, 0, 0 }, { "a-b", false, 0, 0 },
		{ "203.0.113.10 - 203.0.113.20", false, 0, 0 }, { "203.0.113.0/24-203.0.113.9", false, 0, 0 },
	};

	for (size_t i = 0; i < ARRAY(rows); i++) {
		struct addr_range range = { 7, 7 };

		cr_expect(eq(int, addr_parse_range(rows[i].text, &range), rows[i].good), "%s", rows[i].text);
		cr_expect(eq(u32, range.first, rows[i].good ? rows[i].first : 7), "%s", rows[i].text);
		cr_expect(eq(u32, range.last, rows[i].good ? rows[i].last : 7), "%s", rows[i].text);
	}
}

Test(addr, number_range)
{
	static const struct { const char *text; uint32_t max; bool good; uint32_t first, last; } rows[] = {
		{ "1024-65535", 65535, true, 1024, 65535 },
		{ "0x100-0xffffffff", 0xffffffff, true, 0x100, 0xffffffff },
		{ "0XaB-0xCF", 0xffffffff, true, 0xab, 0xcf },
		{ "80", 65535, true, 80, 80 }, { "0", 65535, true, 0, 0 }, { "5-5", 65535, true, 5, 5 },
		{ "256-0x1ff", 65535, true, 256, 511 },
		{ "65536", 65535, false, 0, 0 }, { "1-65536", 65535, false, 0, 0 }, { "2-1", 65535, false, 0, 0 },
		{ "", 65535, false, 0, 0 }, { "-1", 65535, false, 0, 0 }, { "1-", 65535, false, 0, 0 }, { "0x", 65535, false, 0, 0 },
		{ "010", 65535, false, 0, 0 }, { "00", 65535, false, 0, 0 }, { "+1", 65535, false, 0, 0 }, { " 1", 65535, false, 0, 0 }, { "1 ", 65535, false, 0, 0 },
		{ "1-2-3", 65535, false, 0, 0 }, { "1 - 2", 65535, false, 0, 0 }, { "0x1g", 65535, false, 0, 0 }, { "1a", 65535, false, 0, 0 },
		{ "0x100000000", 0xffffffff, false, 0, 0 }, { "4294967296", 0xffffffff, false, 0, 0 },
		{ "99999999999999999999999999", 0xffffffff, false, 0, 0 },
	};

	for (size_t i = 0; i < ARRAY(rows); i++) {
		struct num_range range = { 7, 7 };

		cr_expect(eq(int, num_parse_range(rows[i].text, rows[i].max, &range), rows[i].good), "%s", rows[i].text);
		cr_expect(eq(u32, range.first, rows[i].good ? rows[i].first : 7), "%s", rows[i].text);
		cr_expect(eq(u32, range.last, rows[i].good ? rows[i].last : 7), "%s", rows[i].text);
	}
}

Test(addr, masks)
{
	const struct addr_prefix net = { htonl(A(10, 0, 0, 0)), 8 }, all = { 0, 0 };

	for (int length = 0; length <= 32; length++)
		cr_expect(eq(int, addr_mask_length(addr_mask(length)), length));
	cr_expect(eq(u32, addr_mask(24), htonl(0xffffff00)));
	cr_expect(eq(int, addr_mask_length(htonl(0xff00ff00)), -1));
	cr_expect(eq(int, addr_mask_length(htonl(0x00ffffff)), -1));
	cr_expect(eq(int, addr_mask_length(htonl(1)), -1));
	cr_expect(addr_in_prefix(htonl(A(10, 255, 0, 1)), &net));
	cr_expect(not(addr_in_prefix(htonl(A(11, 0, 0, 1)), &net)));
	cr_expect(addr_in_prefix(htonl(A(11, 0, 0, 1)), &all));
}
