#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""What the fuzz targets start from: seeds.py FOLDER writes FOLDER/TARGET/NAME
from the golden vectors, the example configuration and a few frames. What each
byte of an input means stands in tests/fuzz/fuzz_TARGET.c."""

import itertools
import re
import socket
import struct
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
OUT = Path(sys.argv[1])
UDP, TCP, WAIT, WAIT_LONG, FAIL, EVICT = range(6)			# steps of fuzz_session.c
KEYED, RAW = 4, 0x8000
INPUT, RUN, RUN_LONG, START, STOP, QUERY, _, ADD = range(8)	# steps of fuzz_client.c


def seed(target, name, data):
    folder = OUT / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def vectors():
    for line in (TOP / "tests/vectors/golden-vectors.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            name, direction, data, *rest = line.split(" | ")
            yield name, direction == "S>C", bytes.fromhex(data), "[TCP]" in rest[0]


# --- sessions and hosts: each vector after what must have come before ---------------------


def to_gateway(data, tcp=False, host=0, raw=0):
    return struct.pack("!BH", 8 * (TCP if tcp else UDP) + host, len(data) | raw) + data


def from_host(what, number=0, host=0):
    return struct.pack("!BH", 8 * what + host, number)


def to_host(data):
    return struct.pack("!BH", INPUT, len(data)) + data


def do(what, number=0):
    return struct.pack("!BH", what, number)


def messages():
    known = {name: data for name, _, data, _ in vectors()}
    register, answer = bytes.fromhex("0102000b0b000400000001"), known["ips-02-x1-register-response"]
    ipsec = do(ADD, 1) + do(START)		# one SPI, no ports
    for name, for_host, data, tcp in vectors():
        seed("msg", name, data)
        if for_host:
            seed("client", name, ipsec + to_host(answer) + to_host(data) + do(RUN_LONG, 400) + do(STOP))
        else:
            seed("session", name, to_gateway(register, tcp) + to_gateway(data, tcp) + from_host(WAIT_LONG, 700))
            # The first message of a host with a key is told what to do with the second.
            greeting = 2 * to_gateway(register, host=KEYED)
            seed("session", name + "-sealed", greeting + to_gateway(data, host=KEYED))
            seed("session", name + "-raw", greeting + to_gateway(data, host=KEYED, raw=RAW))
    for line in (TOP / "tests/vectors/auth-vectors.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            name, _, _, _, _, data = line.split(" | ")
            seed("session", name, to_gateway(bytes.fromhex(data), host=KEYED, raw=RAW))
    # The conversations of the RFCs, whole, by several hosts, with time at the end.
    for prefix, talk in itertools.groupby(vectors(), lambda v: v[0].split("-")[0]):
        talk = list(talk)
        seed("client", prefix + "-whole", ipsec + b"".join(to_host(m[2]) for m in talk if m[1]) + do(STOP))
        asked = [m for m in talk if not m[1]]
        for hosts in (1, 6):
            steps = (to_gateway(m[2], m[3], host) for m in asked for host in range(hosts))
            data = b"".join(steps)
            if len(data) < 4096:
                seed("session", f"{prefix}-whole-{hosts}", data + from_host(WAIT_LONG, 4000) + from_host(EVICT))


# --- frames ---------------------------------------------------------------------------------


def ip(proto, payload, options=b"", fragment=0):
    return struct.pack("!BBHHHBBH4s4s", 0x45 + len(options) // 4, 0, 20 + len(options) + len(payload), 1, fragment,
                       64, proto, 0, b"\xc6\x33\x64\x07", b"\xcb\x00\x71\x0a") + options + payload


def udp(sport, dport, payload):
    return struct.pack("!HHHH", sport, dport, 8 + len(payload), 0) + payload


def packets():
    ike = bytes(range(1, 29))
    tcp = struct.pack("!HHIIBBHHH", 4000, 80, 1, 0, 0x50, 2, 1024, 0, 0)
    inner = {
        "esp": ip(50, struct.pack("!II", 0x1f40, 1) + bytes(24)),
        "ah": ip(51, struct.pack("!BBHII", 4, 4, 0, 0x1f40, 1) + bytes(12) + bytes(20)),
        "ike": ip(17, udp(500, 500, ike)),
        "ike-short": ip(17, udp(500, 500, ike[:7])),
        "ike-4500": ip(17, udp(4500, 4500, bytes(4) + ike)),
        "natt": ip(17, udp(4500, 4500, struct.pack("!II", 0x1f40, 1) + bytes(24))),
        "keepalive": ip(17, udp(4500, 4500, b"\xff")),
        "udp": ip(17, udp(4000, 4000, b"data")),
        "tcp": ip(6, tcp),
        "options": ip(6, tcp, b"\x01" * 12),
        "icmp": ip(1, b"\x08\0\0\0\0\x01\0\x01"),
        "fragment": ip(17, udp(4000, 4000, b"data"), fragment=0x2000),
        "fragment-udp": ip(17, struct.pack("!HHHH", 4000, 4000, 2000, 0) + bytes(24), fragment=0x2000),
        "fragment-ike": ip(17, struct.pack("!HHHH", 500, 500, 2000, 0) + ike + bytes(4), fragment=0x2000),
        "fragment-ike-4500": ip(17, struct.pack("!HHHH", 4500, 4500, 2000, 0) + bytes(4) + ike, fragment=0x2000),
        "fragment-esp": ip(50, struct.pack("!II", 0x1f40, 1) + bytes(24), fragment=0x2000),
        "fragment-ah": ip(51, struct.pack("!BBHII", 17, 4, 0, 0x1f40, 1) + bytes(12) + udp(9, 80, b""), fragment=0x2000),
        "fragment-tcp": ip(6, tcp + bytes(4), fragment=0x2000),
        "fragment-tiny": ip(6, tcp[:8], fragment=0x2000),
        "fragment-options": ip(6, tcp + bytes(4), b"\x01" * 12, 0x2000),
        "fragment-later": ip(17, bytes(24), fragment=0x2003),
        "fragment-last": ip(17, bytes(21), fragment=6),
        "fragment-beyond": ip(17, bytes(24), fragment=0x1fff),
        "sctp": ip(132, bytes(12)),
    }
    macs = bytes(range(12))
    gre = {"gre": b"\0\0\x08\0", "gre-all": b"\xb0\0\x08\0" + bytes(12)}
    for name, packet in inner.items():
        for tag, ether in (("", macs + b"\x08\0"), ("-vlan", macs + b"\x81\0\0\x05\x08\0")):
            seed("packet", "in-" + name + tag, b"\x01" + ether + packet + bytes(4))
            seed("packet", "out-" + name + tag, b"\0" + ether + ip(4, packet))
            seed("packet", "outer-" + name + tag, b"\0" + ether + ip(4, packet, fragment=0x2000))
            for variant, header in gre.items():
                seed("packet", f"out-{variant}-{name}{tag}", b"\0" + ether + ip(47, header + packet))


# --- fragments: the steps of fuzz_fragments.c --------------------------------------------------------


def fragments():
    def step(units, size, last=False, flags=0, time=0, source=0, passed=0):
        return struct.pack("!BBHHBB", flags | (0 if last else 2), time, units, size - 1, source, passed)
    known, outer, host, raw = 8, 1, 4, 64
    parts = [step(0, 800, flags=known), step(100, 800), step(200, 11, last=True)]
    for order in itertools.permutations(range(3)):
        seed("fragments", "order-" + "".join(map(str, order)), b"".join(parts[i] for i in order))
    seed("fragments", "outer", step(100, 11, True, outer) + step(0, 800, False, outer))
    seed("fragments", "twice", parts[2] + parts[2] + parts[1] + parts[0] + parts[0])
    seed("fragments", "overlap", parts[1] + step(99, 800) + parts[0] + parts[2])
    seed("fragments", "two-lasts", parts[2] + step(300, 8, last=True) + parts[0] + parts[1])
    seed("fragments", "two-targets", parts[1] + parts[0] + step(0, 800, flags=known | host))
    seed("fragments", "late", parts[1] + step(0, 800, flags=known, time=255))
    seed("fragments", "passed", step(100, 800, flags=known, passed=100) + step(200, 11, last=True, passed=100))
    seed("fragments", "endless", b"".join(step(at * 8, 64) for at in range(140)))
    seed("fragments", "sources", b"".join(step(100, 800, source=n, flags=32 * (n & 1)) for n in range(12)))
    seed("fragments", "raw", struct.pack("!BBHHBB", raw, 0, 0, 33, 0, 0) + ip(17, bytes(13), fragment=6))


# --- records of the store: the fields of record.c, without the checksum -----------------------------


def records():
    x, n, lent, peer = (socket.inet_aton(addr) for addr in ("10.0.0.11", "10.0.0.1", "203.0.113.10", "203.0.113.2"))
    seed("record", "clock", b"\1\1" + struct.pack("!3Q", 1000, 900, 1700000000000) + bytes(range(16)))
    for name, answer in (("new", b""), ("served", bytes(11))):
        last = struct.pack("!BQQIIBH", 5 if answer else 1, 7, 500, 1, 11, 2, len(answer)) + answer
        seed("record", "client-" + name, b"\1\2" + struct.pack("!I4s4sHBBBIQQ", 9, x, n, 4555, 2, 1, 1, 3, 10, 600) + last)
    none, run, listed = 0, 2, 3			# forms of ports and SPIs: msg.h
    no_ports, one_port, no_spis = struct.pack("!BHH", none, 0, 0), struct.pack("!BHH", run, 1, 4000), bytes(2)
    for name, kind, remotes, whole, grant in (
            ("rsap", 0, b"", 0, one_port + no_spis),
            ("rsap-list", 0, peer + x, 0, struct.pack("!BHH2H", listed, 2, 0, 4000, 4002) + no_spis),
            ("rsipsec", 1, b"", 0, no_ports + struct.pack("!HBI", 8, run, 0x1000)),
            ("rsipsec-list", 1, b"", 0, no_ports + struct.pack("!HB2I", 2, listed, 0x1000, 0x2000)),
            ("rsa", 2, b"", 1, no_ports + no_spis),
            ("listen", 3, b"", 0, one_port + no_spis)):
        head = struct.pack("!IIBB4s4sHB", 9, 1, kind, 1, n, bytes(4) if remotes else peer, 0, len(remotes) // 4)
        rest = struct.pack("!B4sIQQQ4s", whole, bytes(4), 0, 10, 600, 0, lent)
        seed("record", name, b"\1\3" + head + remotes + rest + grant)


# --- configuration ------------------------------------------------------------------------------


def configurations():
    example = (TOP / "docs/rsipd.yaml").read_text()
    seed("config", "example", example.encode())
    # With every default written out.
    seed("config", "whole", re.sub(r"(?m)^#(?! )|^#(?=  )", "", example).encode())
    words = sorted(set(re.findall(r"[a-z][a-z-]+(?=:)|: ([a-z][a-z-]+)", example)) |
                   set(re.findall(r"[\w./-]+", example)))
    (OUT / "config.dict").write_text("".join(f'"{word}"\n' for word in words if word))


# --- lines on the control socket ----------------------------------------------------------------


def requests():
    lines = ('["status"]', '["deregister", "10.0.0.2"]', '["free", "257", "1"]', '"counters"', '["pools\\u0000"]',
             '["bindings", 1]', '["free", "\\u0031", "a", "b", "c"]', '["reload"], "command": []',
             '["monitor"]', '["drain"]', '["undrain"]')
    for n, line in enumerate(lines):
        seed("request", str(n), f'{{"command": {line}}}'.encode())


messages()
packets()
fragments()
requests()
records()
configurations()
