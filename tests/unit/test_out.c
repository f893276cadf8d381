/* SPDX-License-Identifier: GPL-2.0-only */
/* What the tools print, compared as whole texts; and the values of the data plane. */
#include <criterion/criterion.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/out.h"
#include "lib/show.h"

static char *printed;
static size_t printed_len;

static json_t *json(const char *text)
{
	json_error_t error;
	json_t *value = json_loads(text, JSON_DECODE_ANY, &error);

	cr_assert_not_null(value, "%s: %s", text, error.text);
	return value;
}

/* --- tables ----------------------------------------------------------------------- */

static const struct out_column columns[] = {
	{ "host", "HOST" }, { "ports", "PORTS" }, { "lease", "LEASE s" }, { "ipsec", "IPSEC" }, { "name", "NAME" }, { 0 }
};

static const struct {
	const char *what, *list, *text;
} tables[] = {
	{ "empty", "[]", "nothing\n" },
	{ "one row", "[{\"host\": \"10.0.0.11\", \"ports\": \"40000-40015\", \"lease\": 7, \"ipsec\": true, \"name\": \"a\"}]",
	  "HOST       PORTS        LEASE s  IPSEC  NAME\n"
	  "10.0.0.11  40000-40015        7  yes    a\n" },
	{ "numbers to the right, missing as a dash, no blanks at the end",
	  "[{\"host\": \"10.0.0.11\", \"ports\": null, \"lease\": 3600, \"ipsec\": false, \"name\": \"long name\"},"
	  " {\"host\": \"10.0.0.2\", \"ports\": [1, \"b\"], \"lease\": 12345678},"
	  " {}]",
	  "HOST       PORTS   LEASE s  IPSEC  NAME\n"
	  "10.0.0.11  -          3600  no     long name\n"
	  "10.0.0.2   1,b    12345678  -      -\n"
	  "-          -             -  -      -\n" },
	{ "a column of numbers and text is text", "[{\"lease\": 1}, {\"lease\": \"none\"}, {\"lease\": 22}]",
	  "HOST  PORTS  LEASE s  IPSEC  NAME\n"
	  "-     -      1        -      -\n"
	  "-     -      none     -      -\n"
	  "-     -      22       -      -\n" },
	{ "bytes that move a cursor", "[{\"host\": \"a\\u001b[2J\\nb\", \"ports\": [], \"name\": {\"k\": 1.5}},"
	  " {\"host\": \"\\u007f\", \"name\": \"\u00e9\"}]",
	  "HOST           PORTS  LEASE s  IPSEC  NAME\n"
	  "a\\x1b[2J\\x0ab  -      -        -      {\"k\":1.5}\n"
	  "\\x7f           -      -        -      \u00e9\n" },
};

/* covers: SEC-12 */
Test(out, table)
{
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		FILE *to = open_memstream(&printed, &printed_len);
		json_t *list = json(tables[i].list);

		out_table(to, list, columns, "nothing");
		fclose(to);
		cr_expect_str_eq(printed, tables[i].text, "%s", tables[i].what);
		free(printed);
		json_decref(list);
	}
}

/* A long list is printed in parts: one head, and columns that get wider and never narrower. */
Test(out, table_in_parts)
{
	static const struct out_column two[] = { { "host", "HOST" }, { "lease", "LEASE s" }, { 0 } };
	static const char *const parts[] = {
		"[{\"host\": \"10.0.0.11\", \"lease\": 12345678}]", "[{\"host\": \"a\", \"lease\": 1}]",
		"[{\"host\": \"192.168.0.11\", \"lease\": 2}]",
	};
	FILE *to = open_memstream(&printed, &printed_len);
	struct out_layout layout = { 0 };

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		json_t *list = json(parts[i]);

		out_table_part(to, list, two, &layout);
		json_decref(list);
	}
	fclose(to);
	cr_assert_str_eq(printed, "HOST        LEASE s\n"
				  "10.0.0.11  12345678\n"
				  "a                 1\n"
				  "192.168.0.11         2\n");
	free(printed);
}

Test(out, fields)
{
	FILE *to = open_memstream(&printed, &printed_len);
	json_t *object = json("{\"version\": \"0.1.0\", \"uptime\": 12, \"all leases\": {\"a\": 1, \"longer\": [\"x\", \"y\"]},"
			      " \"on\": true, \"off\": null, \"rate\": 0.25}");

	out_fields(to, object);
	fclose(to);
	cr_assert_str_eq(printed, "version: 0.1.0\n"
				  "uptime:  12\n"
				  "all leases:\n"
				  "  a:      1\n"
				  "  longer: x,y\n"
				  "on:      yes\n"
				  "off:     -\n"
				  "rate:    0.250\n");
	free(printed);
	json_decref(object);
}

/* A list stays a list, with one element too. */
Test(out, json)
{
	FILE *to = open_memstream(&printed, &printed_len);
	json_t *list = json("[{\"b\": 1, \"a\": \"\\u001b\"}]");

	out_json(to, list);
	fclose(to);
	cr_assert_str_eq(printed, "[\n  {\n    \"b\": 1,\n    \"a\": \"\\u001B\"\n  }\n]\n");
	free(printed);
	json_decref(list);
}

/* --- values of the data plane --------------------------------------------------------- */

static const struct {
	uint32_t numbers[8];
	size_t count;
	bool hex;
	const char *text;	/* NULL: JSON null */
} ranges[] = {
	{ { 0 }, 0, false, NULL },
	{ { 40000 }, 1, false, "40000" },
	{ { 40000, 40001, 40002 }, 3, false, "40000-40002" },
	{ { 500, 40000, 40001, 4500, 4501 }, 5, false, "500,40000-40001,4500-4501" },
	{ { 3, 2, 1 }, 3, false, "3,2,1" },
	{ { 0x100, 0x101, 0xfffffffe, 0xffffffff, 0 }, 5, true, "0x100-0x101,0xfffffffe-0xffffffff,0x0" },
};

Test(show, numbers)
{
	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		json_t *shown = show_numbers(ranges[i].numbers, ranges[i].count, ranges[i].hex);

		if (ranges[i].text)
			cr_expect_str_eq(json_string_value(shown), ranges[i].text);
		else
			cr_expect(json_is_null(shown));
		json_decref(shown);
	}
}

static void same_text(json_t *shown, const char *text)
{
	cr_expect_str_eq(json_string_value(shown), text);
	json_decref(shown);
}

Test(show, remote)
{
	same_text(show_remote(0, 0), "any");
	same_text(show_remote(htonl(0xc0000201), 0), "192.0.2.1");
	same_text(show_remote(htonl(0xc0000201), 500), "192.0.2.1:500");
}

/* Every outcome once, by its name, with its counters and what it means. covers: ADM-05 */
Test(show, counters)
{
	static struct rsip_counter counters[RSIP_OUTCOME_COUNT];
	json_t *list, *wanted, *item;
	size_t i;

	counters[RSIP_IN_NO_SPI] = (struct rsip_counter){ .packets = 3, .bytes = 1ull << 40 };
	list = show_counters(counters);
	cr_assert_eq(json_array_size(list), RSIP_OUTCOME_COUNT - 1);
	wanted = json("{\"outcome\": \"in-no-spi\", \"verdict\": \"drop\", \"packets\": 3, \"bytes\": 1099511627776,"
		      " \"text\": \"no host leased this SPI\"}");
	cr_expect(json_equal(json_array_get(list, RSIP_IN_NO_SPI - 1), wanted));
	json_array_foreach(list, i, item) {
		const char *name = json_string_value(json_object_get(item, "outcome"));

		cr_expect_eq(strspn(name, "abcdefghijklmnopqrstuvwxyz-"), strlen(name), "%s", name);
	}
	cr_expect_str_eq(show_outcome(RSIP_OUT_COOKIE_LIMIT)->name, "out-cookie-limit");
	json_decref(wanted);
	json_decref(list);
}
