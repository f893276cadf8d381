/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Packets as one readable line: layers from the outside in, separated by "|".
 * Lengths, types and checksums are filled in unless a layer says otherwise.
 *
 *   eth SRC > DST [type N]         without it, a frame from somebody to N
 *   vlan TAG | svlan TAG           802.1Q, 802.1ad
 *   ip SRC > DST [ttl N] [tos N] [id N] [df] [mf] [frag N] [opts BYTES]
 *      [proto N] [ver N] [ihl N] [len N]     the last four override what is right
 *   udp SPORT > DPORT [len N]      tcp SPORT > DPORT [opts BYTES] [off WORDS]
 *   esp SPI        ah SPI [icv BYTES]
 *   icmp [type N] [code N] [id N] [seq N] [mtu N] [sum]
 *                  sum: the right checksum; without it one that must not change
 *   gre [csum] [key] [seq] [flags N] [type N]
 *   ike COOKIE     the ISAKMP header, first 8 bytes COOKIE
 *   marker         four zero bytes (RFC 3948)
 *   data BYTES     a pattern           bytes HEX
 *   pad BYTES      behind the packet, in no length
 *
 * Addresses are dotted or a name of pkt.c's table (Y, Z, NB, NA, X1, ...), and
 * the same names in lower case are MAC addresses.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <linux/types.h>

struct frame {
	uint8_t data[4096];
	size_t len;
};

/* Exits with a message when the text makes no sense. */
void pkt_build(const char *text, struct frame *out);

/* An address of the table, network order. */
__be32 pkt_addr(const char *name);
void pkt_mac(const char *name, uint8_t mac[6]);

/* Prints both frames with the first difference marked. */
void pkt_diff(const struct frame *want, const struct frame *got);
