#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Verifies what crossed the gateway with another implementation of ESP and AH.

usage: verify.py SECURITY-ASSOCIATIONS PUBLIC.pcap PRIVATE.pcap...

SECURITY-ASSOCIATIONS is what "ip xfrm state" printed. Every ESP and AH packet of
the public side must verify with its keys, must not once a bit is turned, and
must be one that a private side has inside a tunnel packet, in all bytes but TTL
and header checksum. Prints how many there were, "PROTOCOL DESTINATION COUNT".
"""
import logging
import re
import sys
from collections import Counter

logging.getLogger("scapy").setLevel(logging.ERROR)
from scapy.layers.inet import IP  # noqa: E402
from scapy.layers.ipsec import AH, ESP, IPSecIntegrityError, SecurityAssociation  # noqa: E402
from scapy.utils import RawPcapReader  # noqa: E402

ALGORITHMS = {
    "rfc4106(gcm(aes))": ("crypt", "AES-GCM"),
    "cbc(aes)": ("crypt", "AES-CBC"),
    "hmac(sha256)": ("auth", "SHA2-256-128"),
}
ETHERNET = 14


def security_associations(text):
    """(protocol, destination, SPI) to scapy's SA, of each that the text has."""
    found = {}
    for block in re.split(r"^(?=src )", text, flags=re.M)[1:]:
        to = re.search(r"dst (\S+)", block)[1]
        kind, spi = re.search(r"proto (esp|ah) spi (0x[0-9a-f]+)", block).groups()
        options = {}
        for name, key in re.findall(r"^\s+(?:aead|enc|auth-trunc) (\S+) 0x([0-9a-f]+)", block, flags=re.M):
            use, algorithm = ALGORITHMS[name]
            options[use + "_algo"] = algorithm
            options[use + "_key"] = bytes.fromhex(key)
        protocol = ESP if kind == "esp" else AH
        found[(protocol, to, int(spi, 16))] = SecurityAssociation(protocol, spi=int(spi, 16), **options)
    return found


def packets(file):
    """The IPv4 packets of a capture."""
    for frame, _ in RawPcapReader(file):
        if frame[12:14] == b"\x08\x00":
            length = int.from_bytes(frame[ETHERNET + 2:ETHERNET + 4], "big")
            yield frame[ETHERNET:ETHERNET + length]


def steady(packet):
    """All of a packet that no router may change."""
    return packet[:8] + packet[9:10] + packet[12:]


def turned(packet):
    """The packet with one bit of its last byte turned."""
    return packet[:-1] + bytes([packet[-1] ^ 1])


def verify(sa, packet):
    """Ends the program unless the packet verifies, and fails to when it is another."""
    try:
        sa.decrypt(IP(packet))
    except IPSecIntegrityError as error:
        sys.exit(f"SPI {sa.spi:#x}: {error}: {packet.hex()}")
    try:
        sa.decrypt(IP(turned(packet)))
    except IPSecIntegrityError:
        return
    sys.exit(f"SPI {sa.spi:#x}: verifies with a bit turned")


def main():
    with open(sys.argv[1], encoding="ascii") as file:
        sas = security_associations(file.read())
    inside = Counter()
    for file in sys.argv[3:]:
        inside.update(steady(packet[20:]) for packet in packets(file) if packet[9] == 4)
    seen = Counter()
    for packet in packets(sys.argv[2]):
        if packet[9] not in (50, 51):
            continue
        ip = IP(packet)
        protocol = ESP if packet[9] == 50 else AH
        sa = sas.get((protocol, ip.dst, ip[protocol].spi))
        if sa is None:
            sys.exit(f"no security association: {ip.summary()}")
        verify(sa, packet)
        if inside[steady(packet)] < 1:
            sys.exit(f"not what the private side has: {packet.hex()}")
        inside[steady(packet)] -= 1
        seen[("esp" if protocol is ESP else "ah", ip.dst)] += 1
    for (kind, to), count in sorted(seen.items()):
        print(kind, to, count)


if __name__ == "__main__":
    main()
