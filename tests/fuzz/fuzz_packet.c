// SPDX-License-Identifier: GPL-2.0-only
/*
 * Any bytes as a frame, through the parser of the XDP programs, built natively:
 * the verifier proves that it stays within the packet, this that it finds in
 * there what it says. The first byte of the input is the side, the rest the
 * frame. Of the C library only what the compiler knows: its types are not those
 * of vmlinux.h.
 */
#define BPF_NO_PRESERVE_ACCESS_INDEX
#include "../../bpf/packet.h"

#define claim(holds) ((holds) ? (void)0 : not_so(__LINE__, #holds))

int LLVMFuzzerTestOneInput(const __u8 *data, unsigned long len);

static void not_so(int line, const char *what)
{
	__builtin_printf("tests/fuzz/fuzz_packet.c:%d: not so: %s\n", line, what);
	__builtin_abort();
}

static bool has_ports(enum packet_kind kind)
{
	return kind == PACKET_IKE || kind == PACKET_NATT || kind == PACKET_PORT || kind == PACKET_KEEPALIVE;
}

/* What the fields of the packet's payload are, read again at the place it has by its lengths. */
static void check_payload(const __u8 *frame, const struct packet *p, bool is_public)
{
	const __u8 *payload = frame + p->ip_at + p->ip.header;
	__u16 leased = bpf_ntohs(is_public ? p->dport : p->sport);
	__u32 marker = leased == RSIP_NATT_PORT ? NATT_MARKER_LEN : 0;

	if (has_ports(p->kind)) {
		claim(!__builtin_memcmp(payload, &p->sport, 2));
		claim(!__builtin_memcmp(payload + 2, &p->dport, 2));
	}
	if (p->kind == PACKET_IKE)
		claim(!__builtin_memcmp(payload + UDP_LEN + marker, &p->cookie, COOKIE_LEN));
	if (p->kind == PACKET_NATT)
		claim(p->spi && !__builtin_memcmp(payload + UDP_LEN, &p->spi, 4));
	if (p->kind == PACKET_ESP)
		claim(!__builtin_memcmp(payload, &p->spi, 4));
	if (p->kind == PACKET_AH)
		claim(!__builtin_memcmp(payload + 4, &p->spi, 4));
	if (p->kind == PACKET_PORT)
		claim(p->ip.proto == IPPROTO_TCP || (leased != RSIP_IKE_PORT && leased != RSIP_NATT_PORT));
}

static bool is_fragment(const struct ipv4 *ip)
{
	return ip->frag & bpf_htons(IPV4_FRAGMENT);
}

/* Everything that goes on is cut and moved by these numbers. */
static void check(const __u8 *frame, __u32 len, const struct packet *p, bool is_public)
{
	__u32 link_len = parse_ethernet(frame, frame + len);
	__u32 ip_from = is_public ? 0 : IPV4_LEN;

	claim(p->frame_len == len);
	claim(p->kind <= PACKET_FOREIGN);
	if (p->kind == PACKET_FOREIGN || p->kind == PACKET_MALFORMED)
		return;
	if (!is_public && is_fragment(&p->outer)) {		/* nothing behind it is looked at */
		claim(p->kind == PACKET_FRAGMENT && !p->ip.len);
		return;
	}
	claim(p->ip_at >= link_len + ip_from && p->ip_at <= link_len + (is_public ? 0 : 60 + 16));
	claim(p->ip.header >= IPV4_LEN && p->ip.header <= p->ip.len);
	claim(p->ip_at + p->ip.len <= len);
	claim(!__builtin_memcmp(frame + p->ip_at + 12, &p->ip.src, 4));
	claim(!__builtin_memcmp(frame + p->ip_at + 16, &p->ip.dst, 4));
	claim(is_fragment(&p->ip) == (p->kind == PACKET_FRAGMENT));
	if (!is_public)
		claim(p->ip_at + p->ip.len <= link_len + p->outer.len);
	check_payload(frame, p, is_public);
}

int LLVMFuzzerTestOneInput(const __u8 *data, unsigned long len)
{
	struct packet p = {};
	bool is_public;
	__u8 *frame;

	if (!len--)
		return 0;
	is_public = *data & 1;
	frame = __builtin_malloc(len ? len : 1);	/* a read past the frame is past the block */
	__builtin_memcpy(frame, data + 1, len);
	if (is_public)
		parse_plain(frame, frame + len, &p);
	else
		parse_tunnelled(frame, frame + len, &p);
	check(frame, len, &p, is_public);
	if (p.kind == PACKET_FRAGMENT && p.ip.len) {
		parse_first(frame, frame + len, is_public ? SIDE_PUBLIC : SIDE_PRIVATE, &p);
		claim(p.kind != PACKET_FRAGMENT || p.ip.frag & bpf_htons(IPV4_OFFSET));
		check_payload(frame, &p, is_public);
	}
	__builtin_free(frame);
	return 0;
}
