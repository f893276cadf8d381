#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""The golden vectors over real sockets: sends every one that a host could send,
checks what rsipd answers, and then compares what a second decoder, tshark's,
makes of all that went over the wire. Steps as in packets.py."""

import os
import re
import socket
import struct
import subprocess
import sys
from pathlib import Path

from wire import (ASSIGN, DEREGISTER, ERROR, REGISTER, REGISTERED, Answer, Failed, Host, check, message, p_bind, p_client,
                  p_ports, p_address, param)

VECTORS = Path(os.environ["TOP"]) / "tests/vectors/golden-vectors.txt"
CAPTURE = Path(os.environ["WORK"]) / "vectors.pcap"
LAST = b"\1 the last datagram"		# malformed: of an unknown type, and too short for its length
MALFORMED = Path(os.environ["WORK"]) / "malformed"
BEFORE, AFTER = 0xfffffff0, 0x40000000	# counters of what comes before and after a vector: older and newer than any of theirs
ANSWERED_AT_LEAST = 50		# well-formed requests that are granted, not refused, in this configuration
COMPARED_AT_LEAST = 200


def vectors():
    """name, bytes, error or None, its counter, silence?, depends on a situation?, well-formed?"""
    for line in VECTORS.read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        name, direction, data, rest = line.split(" | ", 3)
        error = re.search(r"EXPECT ERROR (\d+) \S+ counter=(\d+)", rest)
        yield (name, direction == "C>S", bytes.fromhex(data), error and tuple(map(int, error.groups())),
               "EXPECT SILENCE" in rest, re.search(r"\[(state|config|policy)", rest) is not None, "(" in rest.split(";")[0])


def counter(number):
    return param(11, struct.pack("!I", number))


class Talker(Host):
    """Host 9 with binds 1 and 3, as the vectors want it."""

    def set_up(self):
        if self.client:
            self.control.send(message(DEREGISTER, p_client(self.client), counter(AFTER)))
            self.next_message()
        self.counter = BEFORE
        self.client = self.demand(REGISTER, REGISTERED).number(4)
        for _ in range(3):
            self.demand(ASSIGN, ASSIGN + 1, p_client(self.client), p_address(), p_ports(1), p_address(), p_ports(1))
        self.demand(12, 13, p_client(self.client), p_bind(2))

    def mine(self, data):
        """Client 9 is who the gateway made us."""
        return data.replace(p_client(9), p_client(self.client))


def leave_out(data):
    """tshark need not see it as we do."""
    with open(MALFORMED, "a") as file:
        print(data.hex(), file=file)


# --- steps -------------------------------------------------------------------------


def over_udp():
    """Each vector to rsipd: the error that it must give, silence, or the answer that belongs to it."""
    host = Talker("x1")
    granted = 0
    for name, to_gateway, data, error, silence, situation, whole in vectors():
        if not to_gateway or silence and not data:
            continue
        malformed = name.startswith("bad-")
        if not malformed or not host.client:
            host.set_up()
        host.control.send(host.mine(data))
        if malformed:
            leave_out(host.mine(data))
        if silence:
            check(f"{name}: answer", None, host.next_message(0.3))
            continue
        if error is None and not situation and (len(data) < 4 or b"\x0b\0\4" not in data):
            error = (105, 0)		# of a TCP conversation: no counter
        answer = host.next_message()
        if answer is None:
            raise Failed(f"{name}: no answer")
        if error and not situation:
            check(f"{name}: error and counter", error, (answer.error, answer.counter))
        elif answer.kind != ERROR:
            check(f"{name}: answer", data[1] + 1, answer.kind)
            granted += 1
        if answer.kind == DEREGISTER + 1:
            host.client = 0
    say_answers()
    if granted < ANSWERED_AT_LEAST:
        raise Failed(f"only {granted} of the well-formed requests were granted")


def say_answers():
    """What only a gateway says is met with silence, and on the wire for tshark to read."""
    host = Talker("x1")
    for _, to_gateway, data, _, _, _, whole in vectors():
        if whole and not to_gateway:
            host.control.send(data)
    check("answer to answers", None, host.next_message(0.3))
    leave_out(LAST)
    host.control.send(LAST)


def conversation(client):
    """Appendix C, example 1, behind the registration."""
    known = {name: data for name, _, data, *_ in vectors()}
    requests = ["c1-03-assign-request", "c1-05-query-request", "c1-03-assign-request", "c1-09-free-request",
                "c1-11-extend-request", "c1-14-deregister-request"]
    return [known[name].replace(p_client(1), p_client(client)) for name in requests]


def over_tcp():
    """One conversation byte by byte, and once with all of it in one segment: the same answers."""
    answers = []
    for cut in (True, False):
        host = Host("x1", use_tcp=True)
        host.control.send(message(REGISTER))
        client = host.next_message().number(4)
        requests = conversation(client)
        if cut:
            for byte in b"".join(requests):
                host.control.send(bytes([byte]))
        else:
            host.control.send(b"".join(requests))
        got = [host.next_message() for _ in requests]
        if None in got:
            raise Failed(f"{got.index(None)} answers of {len(requests)}, byte by byte: {cut}")
        answers.append([(a.kind, a.number(5), a.number(3)) for a in got])
    check("answers, cut at every byte and in one segment", answers[0], answers[1])
    check("kinds of answer", [9, 15, 9, 13, 11, 5], [a[0] for a in answers[0]])


# --- tshark ----------------------------------------------------------------------------

HEADER = ["udp.payload", "rsip.version", "rsip.message_type", "rsip.message_length"]
VALUES = ["type", "length", "value", "address_type", "address", "netmask", "address.ipv6", "fqdn", "ports.number",
          "ports.port_number", "lease_time", "client_id", "bind_id", "tunnel_type", "method", "error", "local_flow_policy",
          "remote_flow_policy", "indicator", "message_counter", "vendor_specific.vendor_id", "vendor_specific.subtype",
          "spi_number", "spi"]
ADDRESSES = {1: "address", 2: "netmask", 3: "address.ipv6", 4: "fqdn"}
NUMBERS = {3: "lease_time", 4: "client_id", 5: "bind_id", 6: "tunnel_type", 7: "method", 8: "error", 11: "message_counter"}


def full_name(field):
    return "rsip.method_param.method" if field == "method" else f"rsip.parameter.{field}"


def address_text(kind, data):
    if kind == 4:
        return data.decode("latin-1")
    return socket.inet_ntop(socket.AF_INET6 if kind == 3 else socket.AF_INET, data)


def seen_by_tshark(data):
    """Every value of a message, as tshark shows it: its differences (docs/conformance.md) are D-03, D-04 and D-06
    here; D-05 is in a value that it has no field for, D-01, D-02, D-07 to D-09 and D-12 in names beside the numbers, D-10
    and D-11 in messages that are not well-formed, or over TCP."""
    seen = {field: [] for field in VALUES}

    def words(field, size, part):
        seen[field] += [int.from_bytes(part[i:i + size], "big") for i in range(0, len(part), size)]

    at = 4
    while at < len(data):
        kind, size = struct.unpack("!BH", data[at:at + 3])
        value, behind = data[at + 3:at + 3 + size], data[at + 3:]
        seen["type"].append(kind)
        seen["length"].append(size)
        if size:
            seen["value"].append(value.hex())
        if kind == 1:
            seen["address_type"].append(value[0])
            if size > 1:
                seen[ADDRESSES[value[0]]].append(address_text(value[0], value[1:]))
        elif kind == 2:
            words("ports.number", 1, value[:1])
            words("ports.port_number", 2, value[1:])
        elif kind == 9:
            words("local_flow_policy", 1, value[:1])
            words("remote_flow_policy", 1, value[1:])
        elif kind == 10:
            words("indicator", 2, behind[:2])			# D-06
        elif kind == 12:
            words("vendor_specific.vendor_id", 2, value[:2])
            words("vendor_specific.subtype", 2, value[2:4])
        elif kind == 22:
            words("spi_number", 2, value[:2])
            words("spi", 4, behind[2:6])			# D-03: whatever follows; D-04: one
        else:
            words(NUMBERS[kind], size, value)
        at += 3 + size
    return seen


def read_field(field, text):
    """Texts as they are, numbers as numbers."""
    items = [item for item in text.split(",") if item]
    return items if field in ("value", *ADDRESSES.values()) else [int(item, 0) for item in items]


def compare():
    """Every header, parameter and value, as tshark reads them."""
    fields = HEADER + [full_name(field) for field in VALUES]
    lines = subprocess.run(["tshark", "-r", CAPTURE, "-d", "udp.port==4555,rsip", "-Y", "udp.port==4555", "-T", "fields",
                            "-E", "occurrence=a", "-E", "aggregator=,", *(f"-e{f}" for f in fields)],
                           check=True, capture_output=True, text=True).stdout.splitlines()
    malformed = MALFORMED.read_text().split()
    compared = set()
    for line in lines:
        row = dict(zip(fields, line.split("\t")))
        data = bytes.fromhex(row["udp.payload"].replace(":", ""))
        if data.hex() in malformed:
            continue
        check(f"{data.hex()}: header", [data[0], data[1], len(data)], [int(row[f], 0) for f in HEADER[1:]])
        for field, wanted in seen_by_tshark(data).items():
            check(f"{data.hex()}: {field}", wanted, read_field(field, row[full_name(field)]))
        compared.add(data)
    missing = [name for name, to_gateway, data, _, _, _, whole in vectors()
               if whole and not to_gateway and data not in compared]
    check("answers among the vectors that tshark did not see", [], missing)
    if len(compared) < COMPARED_AT_LEAST:
        raise Failed(f"only {len(compared)} different messages were compared")


if __name__ == "__main__":
    try:
        globals()[sys.argv[1]]()
    except Failed as failed:
        sys.exit(str(failed))
