#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Hosts that give their peers by name, and the name server that rsipd asks.
Environment as for packets.py."""

import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time

from wire import *

ADDRESSES = {
    "one.example": ["203.0.113.2"],
    "two.example": ["203.0.113.2", "203.0.113.5"],
    "late.example": ["203.0.113.7"],
    "private.example": ["10.0.0.9"],
}
asked = []


def bindings():
    run = subprocess.run([f"{os.environ['BUILD']}/rsipctl", "-s", f"{os.environ['WORK']}/rsipd.sock", "-j", "bindings"],
                         capture_output=True, timeout=10, check=True)
    return json.loads(run.stdout)


def answer(query):
    """A records for what ADDRESSES has; NXDOMAIN else. None: silence."""
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].decode())
        at += 1 + query[at]
    name, question = ".".join(labels), query[12:at + 5]
    asked.append(name)
    if name == "slow.example":
        return None
    if name == "late.example":
        time.sleep(0.3)
    records = b"".join(b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4) + socket.inet_aton(a)
                       for a in ADDRESSES.get(name, []))
    flags = 0x8180 if name in ADDRESSES else 0x8183
    return query[:2] + struct.pack("!HHHHH", flags, 1, len(ADDRESSES.get(name, [])), 0, 0) + question + records


def serve():
    enter("y")
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("203.0.113.2", 53))

    def loop():
        while True:
            query, client = s.recvfrom(512)
            reply = answer(query)
            if reply:
                s.sendto(reply, client)

    threading.Thread(target=loop, daemon=True).start()


def p_name(name):
    return param(1, b"\4" + name.encode())


def assign(host, name):
    return host.ask(ASSIGN, p_client(host.client), p_address(), p_ports(1), p_name(name), p_ports(1))


def found(x):
    for name in "one.example", "two.example":
        got = assign(x, name)
        check(f"answer for {name}", ASSIGNED, got.kind)
        check("the remote of the answer", b"\4" + name.encode(), got.all(1)[1])
    check("what packets are held to", {"203.0.113.2", "203.0.113.2,203.0.113.5"}, {b["remote"] for b in bindings()})
    for name in "private.example", "nobody.example":
        got = assign(x, name)
        check(f"answer for {name}", (ERROR, 314), (got.kind, got.error))


def query(x):
    """Local is a name all of whose addresses are; it comes back as it was sent."""
    tuples = b"".join(param(10, b"\0\1") + p_name(n) for n in ("private.example", "one.example", "nobody.example"))
    got = x.demand(QUERY, QUERIED, p_client(x.client), tuples)
    check("names that are local", [b"\4private.example"], got.all(1))
    check("kind of the tuple", [b"\0\1"], got.all(10))


def copies(x):
    """Five copies while the name server takes its time: one bind, one question."""
    before = len(bindings())
    x.counter += 1
    data = message(ASSIGN, p_client(x.client), p_address(), p_ports(1), p_name("late.example"), p_ports(1),
                   param(11, struct.pack("!I", x.counter)))
    for _ in range(5):
        x.control.send(data)
    check("answer", ASSIGNED, x.next_message().kind)
    check("binds", before + 1, len(bindings()))
    check("questions", 1, asked.count("late.example"))


def others_go_on(x, other):
    """A name server that says nothing: the host hears 314 in time, and others do not notice."""
    x.counter += 1
    begin = time.monotonic()
    x.control.send(message(ASSIGN, p_client(x.client), p_address(), p_ports(1), p_name("slow.example"), p_ports(1),
                           param(11, struct.pack("!I", x.counter))))
    other.register()
    for _ in range(20):
        other.demand(QUERY, QUERIED, p_client(other.client))
    check("the first host has no answer yet", None, x.next_message(0.01))
    got = x.next_message(5)
    check("its answer", (ERROR, 314), (got.kind, got.error))
    if time.monotonic() - begin > 3:
        raise Failed("it took more than three seconds")


def in_order():
    """What comes behind such a request over TCP waits for it."""
    x = Host("x2", use_tcp=True)
    x.register()
    requests = [message(ASSIGN, p_client(x.client), p_address(), p_ports(1), p_name("late.example"), p_ports(1)),
                message(QUERY, p_client(x.client)),
                message(ASSIGN, p_client(x.client), p_address(), p_ports(1), p_name("one.example"), p_ports(1)),
                message(QUERY, p_client(x.client))]
    x.control.send(b"".join(requests))
    check("answers", [ASSIGNED, QUERIED, ASSIGNED, QUERIED], [x.next_message().kind for _ in requests])


def main():
    serve()
    x, other = Host("x1").register(), Host("x2")
    found(x)
    query(x)
    copies(x)
    others_go_on(x, other)
    other.deregister()
    in_order()


try:
    main()
except Failed as why:
    sys.exit(f"names: {why}")
