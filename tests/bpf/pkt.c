// SPDX-License-Identifier: GPL-2.0-only
/* The packet builder: see pkt.h for the language. */
#include "pkt.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LAYERS_MAX	12

static const struct {
	const char *name;
	const char *addr;	/* the MAC address is 02:00:00:00:00:xx, xx its place in the table */
} names[] = {
	{ "N", "192.0.2.254" },		{ "NA", "10.0.0.1" },	{ "NA2", "10.0.1.1" },
	{ "X1", "10.0.0.11" },		{ "X2", "10.0.0.12" },	{ "X3", "10.0.0.13" },
	{ "X4", "10.0.0.14" },		{ "X5", "10.0.0.15" },	{ "X6", "10.0.0.16" },
	{ "XU", "10.0.0.99" },		{ "XD", "10.0.0.50" },	{ "XR", "10.0.0.51" },
	{ "XV", "10.0.0.52" },		{ "XM", "10.0.0.53" },	{ "NB", "203.0.113.10" },
	{ "NB2", "203.0.113.11" },	{ "NB3", "203.0.113.12" }, { "SH", "203.0.113.20" },
	{ "W1", "203.0.113.31" },	{ "W2", "203.0.113.32" }, { "W3", "203.0.113.33" },
	{ "Y", "198.51.100.7" },	{ "Z", "198.51.100.9" },   { "YD", "198.51.100.50" },
	{ "YR", "198.51.100.51" },	{ "YV", "198.51.100.52" }, { "YM", "198.51.100.53" },
	{ "YN", "198.51.100.99" },	{ "R", "192.0.2.1" },
};

enum layer_kind {
	ETH,
	VLAN,
	SVLAN,
	IP,
	UDP,
	TCP,
	ESP,
	AH,
	ICMP,
	GRE,
	IKE,
	MARKER,
	DATA,
	BYTES,
	PAD,
	KINDS,
};

static const struct {
	const char *word;
	int proto;		/* in an IPv4 header; -1: none */
	int type;		/* in an Ethernet header */
} kinds[KINDS] = {
	[ETH] = { "eth", -1, -1 },	[VLAN] = { "vlan", -1, 0x8100 },
	[SVLAN] = { "svlan", -1, 0x88a8 }, [IP] = { "ip", 4, 0x0800 },
	[UDP] = { "udp", 17, -1 },	[TCP] = { "tcp", 6, -1 },
	[ESP] = { "esp", 50, -1 },	[AH] = { "ah", 51, -1 },
	[ICMP] = { "icmp", 1, -1 },	[GRE] = { "gre", 47, -1 },
	[IKE] = { "ike", -1, -1 },	[MARKER] = { "marker", -1, -1 },
	[DATA] = { "data", -1, -1 },	[BYTES] = { "bytes", -1, -1 },
	[PAD] = { "pad", -1, -1 },
};

struct layer {
	enum layer_kind kind;
	size_t at;
	char words[24][40];	/* words[0] is the kind */
	int count;
};

static const char *text_now;

static void __attribute__((noreturn, format(printf, 1, 2))) refuse(const char *format, ...)
{
	va_list args;

	fprintf(stderr, "pkt: in \"%s\": ", text_now);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	abort();
}

static int name_find(const char *name)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcasecmp(names[i].name, name))
			return (int)i;
	return -1;
}

__be32 pkt_addr(const char *name)
{
	int i = name_find(name);
	struct in_addr addr;

	if (inet_pton(AF_INET, i < 0 ? name : names[i].addr, &addr) != 1)
		refuse("no address: %s", name);
	return addr.s_addr;
}

void pkt_mac(const char *name, uint8_t mac[6])
{
	int i = name_find(name);

	if (i < 0)
		refuse("no MAC address: %s", name);
	memcpy(mac, (uint8_t[]){ 2, 0, 0, 0, 0, (uint8_t)i }, 6);
}

static void put(struct frame *f, const void *bytes, size_t len)
{
	if (f->len + len > sizeof(f->data))
		refuse("too long");
	memcpy(f->data + f->len, bytes, len);
	f->len += len;
}

static void put8(struct frame *f, unsigned int value)
{
	put(f, &(uint8_t){ (uint8_t)value }, 1);
}

static void put16(struct frame *f, unsigned int value)
{
	put(f, &(uint16_t){ htons((uint16_t)value) }, 2);
}

static void put32(struct frame *f, unsigned int value)
{
	put(f, &(uint32_t){ htonl(value) }, 4);
}

static void set16(struct frame *f, size_t at, unsigned int value)
{
	memcpy(f->data + at, &(uint16_t){ htons((uint16_t)value) }, 2);
}

static uint64_t number(const char *word)
{
	char *end;
	uint64_t value = strtoull(word, &end, 0);

	if (!*word || *end)
		refuse("no number: %s", word);
	return value;
}

/* Is the option there? */
static bool has(const struct layer *l, const char *option)
{
	for (int i = 1; i < l->count; i++)
		if (!strcmp(l->words[i], option))
			return true;
	return false;
}

/* The number after an option, or what it is without. */
static unsigned int option(const struct layer *l, const char *name, unsigned int otherwise)
{
	for (int i = 1; i + 1 < l->count; i++)
		if (!strcmp(l->words[i], name))
			return (unsigned int)number(l->words[i + 1]);
	return otherwise;
}

/* "A > B" */
static void pair(const struct layer *l, const char **a, const char **b)
{
	if (l->count < 4 || strcmp(l->words[2], ">"))
		refuse("%s: no A > B", l->words[0]);
	*a = l->words[1];
	*b = l->words[3];
}

static void split(const char *text, struct layer *layers, int *count)
{
	struct layer *l = NULL;
	char word[40];
	int used;

	*count = 0;
	while (sscanf(text, " %39s%n", word, &used) == 1) {
		text += used;
		if (!strcmp(word, "|")) {
			l = NULL;
			continue;
		}
		if (!l) {
			if (*count == LAYERS_MAX)
				refuse("too many layers");
			l = &layers[(*count)++];
			memset(l, 0, sizeof(*l));
			for (l->kind = ETH; l->kind < KINDS && strcmp(kinds[l->kind].word, word); l->kind++)
				;
			if (l->kind == KINDS)
				refuse("no layer: %s", word);
		}
		if (l->count == 24)
			refuse("too many words");
		strcpy(l->words[l->count++], word);
	}
}

static void put_pattern(struct frame *f, size_t len, uint8_t first)
{
	for (size_t i = 0; i < len; i++)
		put8(f, (uint8_t)(first + i * 7));
}

static void write_eth(struct frame *f, const struct layer *l)
{
	uint8_t mac[6];
	const char *src, *dst;

	pair(l, &src, &dst);
	pkt_mac(dst, mac);
	put(f, mac, 6);
	pkt_mac(src, mac);
	put(f, mac, 6);
	put16(f, option(l, "type", 0));
}

static void write_ip(struct frame *f, const struct layer *l)
{
	const char *src, *dst;
	unsigned int opts = option(l, "opts", 0);

	pair(l, &src, &dst);
	put8(f, option(l, "ver", 4) << 4 | option(l, "ihl", 5 + opts / 4));
	put8(f, option(l, "tos", 0));
	put16(f, option(l, "len", 0));
	put16(f, option(l, "id", 0x4242));
	put16(f, (has(l, "df") ? 0x4000 : 0) | (has(l, "mf") ? 0x2000 : 0) | option(l, "frag", 0));
	put8(f, option(l, "ttl", 64));
	put8(f, option(l, "proto", 255));
	put16(f, 0);
	put(f, &(__be32){ pkt_addr(src) }, 4);
	put(f, &(__be32){ pkt_addr(dst) }, 4);
	for (unsigned int i = 0; i < opts; i++)
		put8(f, 1);	/* no operation */
}

static void write_ports(struct frame *f, const struct layer *l)
{
	const char *sport, *dport;

	pair(l, &sport, &dport);
	put16(f, (unsigned int)number(sport));
	put16(f, (unsigned int)number(dport));
	if (l->kind == UDP) {
		put16(f, option(l, "len", 0));
		put16(f, 0xc5c5);	/* of no interest here, but must not change */
		return;
	}
	put32(f, 0x01020304);
	put32(f, 0x05060708);
	put16(f, option(l, "off", 5 + option(l, "opts", 0) / 4) << 12 | 0x18);
	put16(f, 1024);
	put32(f, 0xc5c50000);
	put_pattern(f, option(l, "opts", 0), 1);
}

static void write_ipsec(struct frame *f, const struct layer *l)
{
	unsigned int spi = l->count > 1 ? (unsigned int)number(l->words[1]) : 0;
	unsigned int icv = option(l, "icv", 12);

	if (l->kind == AH)
		put32(f, 6u << 24 | (icv / 4 + 1) << 16);
	put32(f, spi);
	put32(f, 1);		/* sequence number */
	if (l->kind == AH)
		put_pattern(f, icv, 0xa0);
}

static void write_gre(struct frame *f, const struct layer *l)
{
	put16(f, option(l, "flags", 0) | (has(l, "csum") ? 0x8000 : 0) | (has(l, "key") ? 0x2000 : 0) |
			 (has(l, "seq") ? 0x1000 : 0));
	put16(f, option(l, "type", 0x0800));
	for (int i = 0; i < has(l, "csum") + has(l, "key") + has(l, "seq"); i++)
		put32(f, 0xdeadbeef);
}

static void write_ike(struct frame *f, const struct layer *l)
{
	uint64_t cookie = number(l->words[1]);

	put32(f, (unsigned int)(cookie >> 32));
	put32(f, (unsigned int)cookie);
	put_pattern(f, 20, 0x21);
}

static void write_bytes(struct frame *f, const struct layer *l)
{
	for (int w = 1; w < l->count; w++)
		for (const char *hex = l->words[w]; *hex; hex += 2) {
			unsigned int byte;

			if (sscanf(hex, "%2x", &byte) != 1)
				refuse("no hex: %s", hex);
			put8(f, byte);
		}
}

static void write_layer(struct frame *f, const struct layer *l)
{
	switch (l->kind) {
	case ETH:
		write_eth(f, l);
		break;
	case VLAN:
	case SVLAN:
		put16(f, (unsigned int)number(l->words[1]));
		put16(f, 0);
		break;
	case IP:
		write_ip(f, l);
		break;
	case UDP:
	case TCP:
		write_ports(f, l);
		break;
	case ESP:
	case AH:
		write_ipsec(f, l);
		break;
	case ICMP:
		put32(f, option(l, "type", 8) << 24 | option(l, "code", 0) << 16 | (has(l, "sum") ? 0 : 0xc5c5));
		if (has(l, "id") || option(l, "type", 8) == 8)
			put32(f, option(l, "id", 1) << 16 | option(l, "seq", 1));
		else
			put32(f, option(l, "mtu", 0));
		break;
	case GRE:
		write_gre(f, l);
		break;
	case IKE:
		write_ike(f, l);
		break;
	case MARKER:
		put32(f, 0);
		break;
	case DATA:
	case PAD:
		put_pattern(f, number(l->words[1]), l->kind == DATA ? 0x30 : 0xee);
		break;
	default:
		write_bytes(f, l);
	}
}

/* In full over the header, unlike the programs under test. */
static unsigned int checksum(const uint8_t *bytes, size_t len)
{
	unsigned long sum = 0;

	for (size_t i = 0; i < len; i += 2)
		sum += (unsigned int)bytes[i] << 8 | bytes[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum & 0xffff;
}

/* What depends on the layers further in. `end` is where the packet ends. */
static void finish_layer(struct frame *f, const struct layer *l, const struct layer *next, size_t end)
{
	int type = next ? kinds[next->kind].type : -1, proto = next ? kinds[next->kind].proto : -1;

	switch (l->kind) {
	case ETH:
		if (!has(l, "type") && type >= 0)
			set16(f, l->at + 12, (unsigned int)type);
		break;
	case AH:
		if (proto >= 0)
			f->data[l->at] = (uint8_t)proto;
		break;
	case VLAN:
	case SVLAN:
		if (type >= 0)
			set16(f, l->at + 2, (unsigned int)type);
		break;
	case IP:
		if (!has(l, "len"))
			set16(f, l->at + 2, (unsigned int)(end - l->at));
		if (!has(l, "proto") && proto >= 0)
			f->data[l->at + 9] = (uint8_t)proto;
		set16(f, l->at + 10, 0);
		set16(f, l->at + 10, checksum(f->data + l->at, 20 + option(l, "opts", 0)));
		break;
	case UDP:
		if (!has(l, "len"))
			set16(f, l->at + 4, (unsigned int)(end - l->at));
		break;
	case ICMP:
		if (has(l, "sum"))
			set16(f, l->at + 2, checksum(f->data + l->at, end - l->at));
		break;
	default:
		break;
	}
}

void pkt_build(const char *text, struct frame *out)
{
	struct layer layers[LAYERS_MAX];
	size_t end = 0;
	int count;

	text_now = text;
	memset(out, 0, sizeof(*out));
	split(text, layers, &count);
	if (layers[0].kind != ETH) {
		struct layer eth = { .kind = ETH, .words = { "eth", "R", ">", "N" }, .count = 4 };

		if (count == LAYERS_MAX)
			refuse("too many layers");
		memmove(layers + 1, layers, sizeof(layers[0]) * (size_t)count++);
		layers[0] = eth;
	}
	for (int i = 0; i < count; i++) {
		layers[i].at = out->len;
		write_layer(out, &layers[i]);
		if (layers[i].kind != PAD)
			end = out->len;
	}
	for (int i = count - 1; i >= 0; i--)
		finish_layer(out, &layers[i], i + 1 < count ? &layers[i + 1] : NULL, end);
}

static void dump(const char *what, const struct frame *f, size_t mark)
{
	fprintf(stderr, "    %-4s %4zu", what, f->len);
	for (size_t i = 0; i < f->len && i < 160; i++)
		fprintf(stderr, "%s%02x", i == mark ? " >>" : i % 4 == 2 ? " " : "", f->data[i]);
	fputc('\n', stderr);
}

void pkt_diff(const struct frame *want, const struct frame *got)
{
	size_t mark = 0;

	while (mark < want->len && mark < got->len && want->data[mark] == got->data[mark])
		mark++;
	dump("want", want, mark);
	dump("got", got, mark);
}
