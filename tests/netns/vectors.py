#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""The golden vectors over real sockets: sends every one that a host could send,
checks what rsipd answers, and then compares what a second decoder, tshark's,
makes of all that went over the wire. Steps as in packets.py."""

import os
import re
import struct
import subprocess
import sys
from pathlib import Path

from wire import (ASSIGN, DEREGISTER, ERROR, REGISTER, REGISTERED, Answer, Failed, Host, check, message, p_bind, p_client,
                  p_ports, p_address, param)

VECTORS = Path(os.environ["TOP"]) / "tests/vectors/golden-vectors.txt"
CAPTURE = Path(os.environ["WORK"]) / "vectors.pcap"
MALFORMED = Path(os.environ["WORK"]) / "malformed"
BEFORE, AFTER = 0xfffffff0, 0x40000000	# counters of what comes before and after a vector: older and newer than any of theirs
ANSWERED_AT_LEAST = 50		# well-formed requests that are granted, not refused, in this configuration


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
            with open(MALFORMED, "a") as file:
                print(host.mine(data).hex(), file=file)
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
    if granted < ANSWERED_AT_LEAST:
        raise Failed(f"only {granted} of the well-formed requests were granted")


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

FIELDS = ["udp.payload", "rsip.version", "rsip.message_type", "rsip.message_length", "rsip.parameter.type",
          "rsip.parameter.length", "rsip.parameter.client_id", "rsip.parameter.bind_id", "rsip.parameter.lease_time",
          "rsip.parameter.message_counter", "rsip.parameter.error"]
NUMBERS = {4: "rsip.parameter.client_id", 5: "rsip.parameter.bind_id", 3: "rsip.parameter.lease_time",
           11: "rsip.parameter.message_counter", 8: "rsip.parameter.error"}


def numbers(text):
    return [int(n, 0) for n in text.split(",") if n]


def compare():
    """Header, order, types and lengths of all parameters, and every number, as tshark sees them. Of the known
    differences (docs/conformance.md, D-01 to D-12) D-03 moves what follows an SPI don't-care; the others are in
    names and values that are not compared, or in messages that are not well-formed."""
    lines = subprocess.run(["tshark", "-r", CAPTURE, "-d", "udp.port==4555,rsip", "-Y", "udp.port==4555", "-T", "fields",
                            "-E", "occurrence=a", "-E", "aggregator=,", *(f"-e{f}" for f in FIELDS)],
                           check=True, capture_output=True, text=True).stdout.splitlines()
    malformed = MALFORMED.read_text().split()
    compared = 0
    for line in lines:
        seen = dict(zip(FIELDS, line.split("\t")))
        data = bytes.fromhex(seen["udp.payload"].replace(":", ""))
        if data.hex() in malformed:
            continue
        ours = Answer(data)
        check(f"{data.hex()}: header", [data[0], data[1], len(data)],
              [int(seen[f"rsip.{f}"], 0) for f in ("version", "message_type", "message_length")])
        check(f"{data.hex()}: types", [k for k, _ in ours.params], numbers(seen["rsip.parameter.type"]))
        check(f"{data.hex()}: lengths", [len(v) for _, v in ours.params], numbers(seen["rsip.parameter.length"]))
        for kind, field in NUMBERS.items():
            values = ours.all(kind)
            if all(len(v) == (2 if kind == 8 else 4) for v in values):
                wanted = [int.from_bytes(v, "big") for v in values]
                check(f"{data.hex()}: {field}", wanted, numbers(seen[field]))
        compared += 1
    if compared < 250:
        raise Failed(f"only {compared} messages were compared")


if __name__ == "__main__":
    try:
        globals()[sys.argv[1]]()
    except Failed as failed:
        sys.exit(str(failed))
