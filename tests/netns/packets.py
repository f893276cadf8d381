#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Steps of the system tests that look at whole frames: packets.py STEP [ARGUMENT...]

The hosts here are scripts that speak RSIP and build their tunnel packets byte
by byte, so that both directions can be compared bit by bit. Which catalogue
rows a step shows is said in the shell scripts that call it. Environment: LAB is
the lab's prefix, WORK the test's folder, TOP the
source tree, BUILD where the programs are."""

import json
import os
import re
import select
import socket
import subprocess
import sys
import threading
import time

from wire import *

WORK, TOP, BUILD = os.environ["WORK"], os.environ["TOP"], os.environ["BUILD"]
COOKIE = bytes.fromhex("c0ffee0123456789")
OTHER_SPI = 0x7E57AB1E	# what Y might choose for its own side: no lease of ours


def ctl(*words):
    run = subprocess.run([f"{BUILD}/rsipctl", "-s", f"{WORK}/rsipd.sock", "-j", *words],
                         capture_output=True, timeout=10, check=False)
    if run.returncode:
        raise Failed(f"rsipctl {' '.join(words)}: {run.stderr.decode()}")
    return json.loads(run.stdout)


def counters():
    """Packets by outcome. What goes to N's own stack is not ours to count: ARP, RSIP itself."""
    return {o["outcome"]: o["packets"] for o in ctl("counters")["outcomes"]
            if not o["outcome"].endswith("-pass")}


def moved(before):
    return {name: now - before[name] for name, now in counters().items() if now != before[name]}


def settle(what, before, wanted):
    """Waits until exactly these counters moved by that much."""
    end = time.monotonic() + WAIT
    while (got := moved(before)) != wanted:
        if time.monotonic() > end:
            raise Failed(f"{what}: counters wanted {wanted}, got {got}")
        time.sleep(0.02)


def counted(what, before, outcome, packets=1):
    settle(what, before, {outcome: packets})


# --- what a lease carries ---------------------------------------------------------------


def inbound_cases(bind):
    """(what, outcome, packet from Y) for everything that a bind lets in."""
    spi, port = bind.spis[-1], bind.ports[0]
    return [
        ("ESP", "in-esp", esp(PEER, NB, spi, tos=0xB8)),
        ("AH", "in-ah", ah(PEER, NB, spi)),
        ("IKE", "in-ike", ike(PEER, NB, COOKIE)),
        ("IKE on 4500", "in-ike", ike(PEER, NB, COOKIE, 4500, 4500)),
        ("ESP in UDP", "in-natt", udp(PEER, 4500, NB, 4500, struct.pack("!II", spi, 1) + b"cipher text")),
        ("UDP", "in-port", udp(PEER, 53, NB, port, b"answer", ident=7, frag=0)),
        ("TCP", "in-port", tcp(PEER, 80, NB, bind.ports[-1], b"page", flags=0x18)),
        ("longest", "in-esp", esp(PEER, NB, spi, bytes(1500 - 20 - 8 - 24))),
    ]


def outbound_cases(bind):
    """The same for what it lets out."""
    port = bind.ports[0]
    return [
        ("IKE", "out-ike", ike(NB, PEER, COOKIE)),
        ("IKE on 4500", "out-ike", ike(NB, PEER, COOKIE, 4500, 4500)),
        ("ESP", "out-esp", esp(NB, PEER, OTHER_SPI, tos=0xB8)),
        ("AH", "out-ah", ah(NB, PEER, OTHER_SPI)),
        ("ESP in UDP", "out-natt", udp(NB, 4500, PEER, 4500, struct.pack("!II", OTHER_SPI, 1) + b"cipher text")),
        ("UDP", "out-port", udp(NB, port, PEER, 53, b"question", ident=7, frag=0)),
        ("TCP", "out-port", tcp(NB, bind.ports[-1], PEER, 80, b"GET", flags=0x18)),
        ("longest", "out-esp", esp(NB, PEER, OTHER_SPI, bytes(1500 - 20 - 8 - 24))),
    ]


def both_ways(x, y, bind, proto=IPIP):
    # One packet each way first: next hops are known then, and every further one takes the fast path.
    warm_up(x, y, bind, proto)
    for what, outcome, packet in outbound_cases(bind):
        before = counters()
        x.tunnel(packet, proto=proto)
        y.expect(f"{what} from {x.name}", forwarded(packet))
        counted(f"{what} from {x.name}", before, outcome)
    for what, outcome, packet in inbound_cases(bind):
        before = counters()
        y.send(packet)
        x.expect(f"{what} to {x.name}", encapsulated(N_PRIVATE, x.address, forwarded(packet), proto))
        counted(f"{what} to {x.name}", before, outcome)


def warm_up(x, y, bind, proto=IPIP):
    """Sends each way until it goes without the daemon's help; every one must arrive."""
    out = udp(NB, bind.ports[0], PEER, 9, b"warm")
    into = udp(PEER, 9, NB, bind.ports[0], b"warm")
    end = time.monotonic() + WAIT
    while True:
        before = counters()
        x.tunnel(out, proto=proto)
        y.expect("first packets out", forwarded(out))
        y.send(into)
        x.expect("first packets in", encapsulated(N_PRIVATE, x.address, forwarded(into), proto))
        if moved(before) == {"out-port": 1, "in-port": 1}:
            return
        if time.monotonic() > end:
            raise Failed(f"packets keep being handed to the daemon: {moved(before)}")


def traffic(kind="ipip", transport="udp"):
    """Everything that a lease carries, both ways, two hosts on one address."""
    proto = {"ipip": IPIP, "gre": GRE}[kind]
    y, hosts = Station("y"), [Host(name, transport == "tcp").register() for name in ("x1", "x2")]
    binds = [x.assign(ports=2, spis=4) for x in hosts]
    check("tunnel type", {"ipip": 1, "gre": 2}[kind], binds[0].tunnel)
    check("the address of both", [NB, NB], [bind.address for bind in binds])
    check("ports and SPIs in common", set(),
          (set(binds[0].ports) & set(binds[1].ports)) | (set(binds[0].spis) & set(binds[1].spis)))
    global COOKIE
    for x, bind in zip(hosts, binds):
        both_ways(x, y, bind, proto)
        COOKIE = bytes(reversed(COOKIE))
    for x in hosts:
        if stray := x.receive(0):
            raise Failed(f"{x.name} got a frame that is not its own: {stray.hex()}")


def first_packet():
    """With no neighbour known to N, the first packet each way arrives all the same, and unchanged."""
    x, y = Host("x1").register(), Station("y")
    bind = x.assign(ports=1, spis=4)
    for device in ("lan0", "wan0"):
        subprocess.run(["ip", "-n", f"{LAB}n", "neigh", "flush", "dev", device], check=True)
    before = counters()
    packet = esp(NB, PEER, OTHER_SPI)
    x.tunnel(packet)
    y.expect("first packet out", forwarded(packet))
    packet = esp(PEER, NB, bind.spis[0])
    y.send(packet)
    x.expect("first packet in", encapsulated(N_PRIVATE, x.address, forwarded(packet)))
    handed = moved(before)
    check("the first packet out was handed over", 1, handed.get("out-resolve"))
    warm_up(x, y, bind)


# --- what is refused -------------------------------------------------------------------


def refusals(x1, x2, stranger, bind, plain):
    """(outcome, sender, send) for packets from the private side that must not pass.
    x1 holds `bind` with SPIs, x2 `plain` without; the stranger is not registered."""
    nested = ipv4(NB, PEER, IPIP, udp(NB, bind.ports[0], PEER, 9, b"inner"))
    good = udp(NB, bind.ports[0], PEER, 9, b"data")
    return [
        ("out-unregistered", stranger, good),
        ("out-address", x1, udp("198.51.100.7", bind.ports[0], PEER, 9, b"data")),
        ("out-no-port", x1, udp(NB, plain.ports[0], PEER, 9, b"data")),
        ("out-no-port", x2, good),
        ("out-no-ipsec", x2, esp(NB, PEER, OTHER_SPI)),
        ("out-no-ipsec", x2, ah(NB, PEER, OTHER_SPI)),
        ("out-no-port", x2, ike(NB, PEER, COOKIE)),
        ("out-cookie-zero", x1, ike(NB, PEER, bytes(8))),
        ("out-icmp", x1, icmp(NB, PEER, 5)),
        ("out-fragment", x1, udp(NB, bind.ports[0], PEER, 9, b"data", frag=0x2000)),
        ("out-protocol", x1, ipv4(NB, PEER, SCTP, bytes(16))),
        ("out-nested", x1, nested),
        ("out-malformed", x1, good[:24]),
    ]


def strangers(bind, peer=PEER):
    """(outcome, packet from Y) for packets from the public side that are for nobody."""
    free = next(spi for spi in range(0x1000, 0x2000) if spi not in bind.spis)
    port = next(port for port in range(2000, 3000) if port not in bind.ports)
    return [
        ("in-spoofed", esp("10.0.0.12", NB, bind.spis[0])),
        ("in-no-spi", esp(peer, NB, free)),
        ("in-no-spi", ah(peer, NB, free)),
        ("in-no-spi", udp(peer, 4500, NB, 4500, struct.pack("!II", free, 1) + b"text")),
        ("in-no-cookie", ike(peer, NB, b"nobodys!")),
        ("in-no-cookie", ike(peer, NB, b"nobodys!", 4500, 4500)),
        ("in-no-port", udp(peer, 9, NB, port, b"data")),
        ("in-no-port", tcp(peer, 9, NB, port, flags=2)),
        ("in-keepalive", udp(peer, 4500, NB, 4500, b"\xff")),
        ("in-icmp", icmp(peer, NB, 0)),
        ("in-fragment", esp(peer, NB, bind.spis[0], frag=0x2000)),
        ("in-protocol", ipv4(peer, NB, SCTP, bytes(16))),
        ("in-malformed", ipv4(peer, NB, UDP, b"\0\x35")),
    ]


def refuse():
    """Nothing unlawful passes, either way; each is counted under its own outcome, once."""
    x1, x2, x3, y = Host("x1").register(), Host("x2").register(), Station("x3"), Station("y")
    bind, plain = x1.assign(ports=1, spis=4), x2.assign(ports=1)
    warm_up(x1, y, bind)
    for outcome, sender, packet in refusals(x1, x2, x3, bind, plain):
        before = counters()
        sender.tunnel(packet)
        counted(f"{outcome} from {sender.name}", before, outcome)
    for outcome, packet in strangers(bind):
        before = counters()
        y.send(packet)
        counted(f"{outcome} from y", before, outcome)
    # What follows them is the first frame that anybody sees.
    warm_up(x1, y, bind)
    for station in (x1, x2, x3, y):
        if stray := station.receive(0.05):
            raise Failed(f"{station.name} got {stray.hex()}")


def wrong_source():
    """X2 sends with X1's lease, X1 with a stranger's outer address; X1 is unharmed."""
    x1, x2, y = Host("x1").register(), Host("x2").register(), Station("y")
    mine, other = x1.assign(ports=1, spis=4), x2.assign(ports=1, spis=4)
    warm_up(x1, y, mine)
    before = counters()
    stolen = udp(NB, mine.ports[0], PEER, 9, b"stolen")
    x2.tunnel(stolen)
    counted("X1's port from X2", before, "out-no-port")
    before = counters()
    x1.tunnel(udp(NB, other.ports[0], PEER, 9, b"spoofed"), src="10.0.0.99")
    counted("outer source of nobody", before, "out-unregistered")
    before = counters()
    x2.tunnel(udp(N_PUBLIC, mine.ports[0], PEER, 9, b"as N"))
    counted("inner source that is N's", before, "out-address")
    warm_up(x1, y, mine)
    # X1 is told of nothing: it did nothing wrong. Its client ID serves it alone.
    x2.refused(305, EXTEND, p_client(x1.client), p_bind(mine.id))
    if x1.extend(mine) < 1:
        raise Failed("X1's lease is over")


def cookie_collision():
    """The first host has the cookie; the second one's packets vanish and its own answers stay apart."""
    x1, x2, y = Host("x1").register(), Host("x2").register(), Station("y")
    binds = [x.assign(ports=1, spis=4) for x in (x1, x2)]
    for x, bind in zip((x1, x2), binds):
        warm_up(x, y, bind)
    first = ike(NB, PEER, COOKIE)
    before = counters()
    x1.tunnel(first)
    y.expect("first use", forwarded(first))
    x1.tunnel(first)
    y.expect("again, the same host", forwarded(first))
    counted("IKE of X1", before, "out-ike", 2)
    before = counters()
    x2.tunnel(first)
    counted("the same cookie from X2", before, "out-cookie-taken")
    before = counters()
    x1.tunnel(ike(NB, "203.0.113.3", COOKIE))
    counted("the same cookie to another peer", before, "out-cookie-taken")
    before = counters()
    y.send(ike("203.0.113.3", NB, COOKIE))
    counted("the cookie from another peer", before, "in-remote")
    second = ike(NB, PEER, bytes(reversed(COOKIE)))
    x2.tunnel(second)
    y.expect("another cookie from X2", forwarded(second))
    for x, cookie in ((x1, COOKIE), (x2, bytes(reversed(COOKIE)))):
        answer = ike(PEER, NB, cookie)
        y.send(answer)
        x.expect("answer of Y", encapsulated(N_PRIVATE, x.address, forwarded(answer)))
    cookies_shown(x1, x2)
    # The bind ends, its cookies with it: now X2 may have the first one.
    x1.free(binds[0])
    x2.tunnel(first)
    y.expect("the cookie after its bind ended", forwarded(first))


def cookies_shown(x1, x2):
    shown = {(b["client"], c["cookie"], c["peer"], c["port"]) for b in ctl("bindings") for c in b["cookies"]}
    check("cookies by rsipctl", {(x1.address, COOKIE.hex(), PEER, 500),
                                 (x2.address, bytes(reversed(COOKIE)).hex(), PEER, 500)}, shown)


def cookie_limit():
    """One host floods cookies: bounded, and another host still gets one."""
    x1, x2, y = Host("x1").register(), Host("x2").register(), Station("y")
    binds = [x.assign(ports=1, spis=4) for x in (x1, x2)]
    for x, bind in zip((x1, x2), binds):
        warm_up(x, y, bind)
    for i in range(1, 301):
        x1.tunnel(ike(NB, PEER, struct.pack("!Q", i)))
    end = time.monotonic() + WAIT
    while (held := cookies_of(x1)) > 32 and time.monotonic() < end:
        time.sleep(0.02)
    if not 0 < held <= 32:
        raise Failed(f"X1 holds {held} cookies")
    packet = ike(NB, PEER, COOKIE)
    while y.receive(0):
        pass
    x2.tunnel(packet)
    y.expect("a cookie of X2", forwarded(packet))


def cookies_of(x):
    return sum(len(b["cookies"]) for b in ctl("bindings") if b["client"] == x.address)


# --- leases end ----------------------------------------------------------------------


def gone(x, y, bind):
    """No packet of this bind passes any more, either way."""
    before = counters()
    x.tunnel(udp(NB, bind.ports[0], PEER, 9, b"late"))
    x.tunnel(esp(NB, PEER, OTHER_SPI))
    y.send(esp(PEER, NB, bind.spis[0]))
    y.send(ah(PEER, NB, bind.spis[0]))
    y.send(udp(PEER, 9, NB, bind.ports[0], b"late"))
    end = time.monotonic() + WAIT
    while sum(moved(before).values()) < 5 and time.monotonic() < end:
        time.sleep(0.02)
    got = moved(before)
    passed = [name for name in got if name.split("-", 1)[1] in ("esp", "ah", "port", "ike", "natt", "resolve")]
    if passed or sum(got.values()) != 5:
        raise Failed(f"after the end of the lease: {got}")
    for station in (x, y):
        if stray := station.receive(0.05):
            raise Failed(f"{station.name} got {stray.hex()} after the end of the lease")


def free():
    """FREE and DE-REGISTER end the traffic before the answer; a freed tuple rests."""
    x, y = Host("x1").register(), Station("y")
    bind, kept = x.assign(ports=1, spis=2), x.assign(ports=1, spis=2)
    warm_up(x, y, bind)
    x.free(bind)
    before = counters()
    y.send(esp(PEER, NB, bind.spis[0]))
    counted("ESP after FREE", before, "in-no-spi")
    before = counters()
    x.tunnel(udp(NB, bind.ports[0], PEER, 9, b"late"))
    counted("UDP after FREE", before, "out-no-port")
    warm_up(x, y, kept)
    x.refused(306, EXTEND, p_client(x.client), p_bind(bind.id))
    x.refused(311, ASSIGN, p_client(x.client), p_address(), p_ports(1, bind.ports[0]), p_address(), p_ports(1))
    x.deregister()
    gone(x, y, kept)
    x.refused(301, EXTEND, p_client(x.client), p_bind(kept.id))


def expiry():
    """A lease of 2 s: extended it goes on, then it ends by itself, the host is told, traffic stops."""
    x, y = Host("x1").register(), Station("y")
    bind = x.assign(ports=1, spis=2, lease=2)
    check("lease", 2, bind.lease)
    warm_up(x, y, bind)
    start = time.monotonic()
    while time.monotonic() < start + 2.5:
        time.sleep(0.5)
        check("lease", 2, x.extend(bind, 2))
    warm_up(x, y, bind)
    told = x.told(FREED, 5)
    check("FREE_RESPONSE", (x.client, bind.id), (told.number(4), told.number(5)))
    gone(x, y, bind)
    x.refused(306, EXTEND, p_client(x.client), p_bind(bind.id))


def registration_expiry():
    """A registration of 2 s without a bind: DE-REGISTER_RESPONSE, then 301."""
    x = Host("x1").register()
    check("DE-REGISTER_RESPONSE", x.client, x.told(DEREGISTERED, 5).number(4))
    x.refused(301, QUERY, p_client(x.client))


# --- what hosts are told -----------------------------------------------------------------


def violations():
    """10000 packets from a port that was not leased: all dropped, all counted, X is told at once and then hardly."""
    flood = 10000
    x, y = Host("x1").register(), Station("y")
    bind = x.assign(ports=1, spis=2)
    warm_up(x, y, bind)
    before = counters()
    bad = udp(NB, bind.ports[0] ^ 1, PEER, 9, b"not mine")
    x.tunnel(bad)
    told = x.told(ERROR)
    check("the first", (313, x.client, None), (told.error, told.number(4), told.number(5)))
    for _ in range(flood - 1):
        x.tunnel(bad)
    counted("bad packets", before, "out-no-port", flood)
    x.tunnel(esp("203.0.113.77", PEER, OTHER_SPI))
    check("another kind", 312, x.told(ERROR).error)
    x.tunnel(udp(NB, bind.ports[0], PEER, 9, b"in GRE"), proto=GRE)
    told = x.told(ERROR)
    check("a third, with its bind", (307, bind.id), (told.error, told.number(5)))
    check("errors in all", {"LOCAL_ADDR_UNALLOWED": 1, "LOCAL_ADDRPORT_UNALLOWED": 1, "BAD_TUNNEL_TYPE": 1},
          {e["name"]: e["sent"] for e in ctl("counters")["errors"] if e["sent"]})
    warm_up(x, y, bind)


def hairpin():
    """X1 to X2's port and SPI on the address they share, and back: turned round at N, nothing on the public side."""
    hosts, y = [Host(name).register() for name in ("x1", "x2")], Station("y")
    binds = [x.assign(ports=1, spis=2) for x in hosts]
    for x, bind in zip(hosts, binds):
        warm_up(x, y, bind)
    for me, peer in ((0, 1), (1, 0)):
        for packet in (udp(NB, binds[me].ports[0], NB, binds[peer].ports[0], b"neighbour"),
                       esp(NB, NB, binds[peer].spis[1], tos=0xB8)):
            before = counters()
            hosts[me].tunnel(packet)
            hosts[peer].expect("turned round", encapsulated(N_PRIVATE, hosts[peer].address, forwarded(packet)))
            counted("turned round", before, "out-turned")
    if stray := y.receive(0.05):
        raise Failed(f"y got {stray.hex()}")


# --- maps ------------------------------------------------------------------------------


def dump(pin, name):
    """A pinned map as bpftool shows it, with the field names of its BTF."""
    layout = next(entry.path for entry in os.scandir(pin) if entry.is_dir())
    run = subprocess.run(["bpftool", "-j", "map", "dump", "pinned", f"{layout}/{name}"],
                         capture_output=True, check=True, timeout=10)
    return [entry["formatted"] for entry in json.loads(run.stdout)]


def field(value):
    """Network order, as bpftool shows it: a number of this machine's order."""
    return int(value).to_bytes(4, sys.byteorder)


def maps(pin):
    """What bpftool shows is what was leased: each SPI for ESP and AH, each port, the client, the cookie."""
    x, y = Host("x1").register(), Station("y")
    bind = x.assign(ports=3, spis=4)
    warm_up(x, y, bind)
    x.tunnel(ike(NB, PEER, COOKIE))
    y.expect("IKE", forwarded(ike(NB, PEER, COOKIE)))
    nb, address = socket.inet_aton(NB), socket.inet_aton(x.address)
    spis = {(field(e["key"]["addr"]), field(e["key"]["spi"]), e["key"]["proto"]) for e in dump(pin, "rsip_spis")}
    check("rsip_spis", {(nb, struct.pack("!I", s), p) for s in bind.spis for p in (ESP, AH)}, spis)
    ports = {(field(e["key"]["addr"]), socket.ntohs(e["key"]["port"])) for e in dump(pin, "rsip_ports")}
    check("rsip_ports", {(nb, p) for p in bind.ports}, ports)
    clients = [(field(e["key"]), e["value"]["client_id"]) for e in dump(pin, "rsip_clients")]
    check("rsip_clients", [(address, x.client)], clients)
    cookies = [(bytes(int(str(b), 0) for b in e["key"]["cookie"]), field(e["key"]["addr"]),
                socket.ntohs(e["key"]["port"]), field(e["value"]["peer"])) for e in dump(pin, "rsip_cookies")]
    check("rsip_cookies", [(COOKIE, nb, 500, socket.inet_aton(PEER))], cookies)
    live = [e["value"] for e in dump(pin, "rsip_binds") if e["value"]["generation"]]
    check("rsip_binds", [(address, nb, IPIP)],
          [(field(b["client"]), field(b["addr"]), b["tunnel"]) for b in live])
    named = [e["value"]["bind_id"] for e in dump(pin, "rsip_binds_rare") if e["value"]["bind_id"]]
    check("rsip_binds_rare", [bind.id], named)
    sums = {e["key"]: sum(cpu["value"]["packets"] for cpu in e["values"]) for e in dump(pin, "rsip_counters")}
    check("rsip_counters, IKE out", 1, sums[outcome_number("OUT_IKE")])
    x.free(bind)
    for name in ("rsip_spis", "rsip_ports", "rsip_cookies"):
        check(f"{name} after FREE", [], dump(pin, name))


def outcome_number(name):
    with open(f"{TOP}/include/rsip/datapath.h", encoding="ascii") as f:
        return 1 + re.findall(r"^\tX\((\w+),", f.read(), re.M).index(name)


# --- the gateway as a machine on the network ------------------------------------------------


def public_closed():
    """4555 does not answer on the public side, neither at N's own address nor at Nb."""
    y = Station("y")
    request = message(REGISTER, param(11, struct.pack("!I", 1)))
    for address in (N_PUBLIC, N_PRIVATE, NB):
        s = y.socket(socket.SOCK_DGRAM)
        s.connect((address, RSIP_PORT))
        s.settimeout(0.5)
        s.send(request)
        try:
            raise Failed(f"{address}:4555 answered {s.recv(100).hex()}")
        except (socket.timeout, ConnectionRefusedError):
            pass
        s = y.socket(socket.SOCK_STREAM)
        s.settimeout(0.5)
        try:
            s.connect((address, RSIP_PORT))
            raise Failed(f"{address}:4555 takes TCP connections")
        except (socket.timeout, ConnectionRefusedError):
            pass
    check("registrations", 0, len(ctl("clients")))
    # The service is there: from the private side it answers.
    Host("x1").register()


def hold(lease="600"):
    """Registers, leases, prints the state as JSON for a later step; the lease stays."""
    x = Host("x1").register()
    bind = x.assign(ports=1, spis=2, lease=int(lease))
    warm_up(x, Station("y"), bind)
    print(json.dumps({"client": x.client, "bind": bind.id, "port": bind.ports[0], "spi": bind.spis[0], "lease": bind.lease,
                      "counter": x.counter, "source": x.control.getsockname()[1]}))


def held(text):
    """The lease of `hold` with its host: same source port, next counter."""
    state = json.loads(text)
    x = Host("x1")
    x.control.close()
    enter("x1")
    x.control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    x.control.bind((x.address, state["source"]))
    x.control.connect((N_PRIVATE, RSIP_PORT))
    x.client, x.counter = state["client"], state["counter"]
    return x, state


def outlived(text):
    """Nobody is there to end the lease: it works on, and ends when its time is over."""
    x, state = held(text)
    y = Station("y")
    out, into = udp(NB, state["port"], PEER, 9, b"alone"), esp(PEER, NB, state["spi"])
    start = last = time.monotonic()
    while time.monotonic() < last + 1:
        x.tunnel(out)
        y.send(into)
        if x.receive(0.1) and y.receive(0.1):
            last = time.monotonic()
    if not start < last < start + state["lease"] + 1.5:
        raise Failed(f"forwarded for {last - start:.1f} s of a lease of {state['lease']} s")


def forgotten(text):
    """After a restart the old lease is unknown (301) and carries nothing; registering anew works."""
    x, state = held(text)
    y = Station("y")
    before = counters()
    x.tunnel(udp(NB, state["port"], PEER, 9, b"old"))
    counted("old lease, from X", before, "out-unregistered")
    before = counters()
    y.send(esp(PEER, NB, state["spi"]))
    counted("old lease, from Y", before, "in-no-spi")
    x.refused(301, EXTEND, p_client(state["client"]), p_bind(state["bind"]))
    both_ways(x.register(), y, x.assign(ports=2, spis=2))


def rebooted(text):
    """The host lost its state: 302 with the old Client ID, DE-REGISTER, REGISTER, a new lease."""
    x, state = held(text)
    x.counter = 0
    answer = x.refused(302, REGISTER)
    check("Client ID of 302", state["client"], answer.number(4))
    check("binds meanwhile", 1, len(ctl("bindings")))
    x.client = state["client"]
    x.deregister()
    check("binds after DE-REGISTER", 0, len(ctl("bindings")))
    both_ways(x.register(), Station("y"), x.assign(ports=2, spis=2))


def disk_full():
    """Registers and de-registers until the disk refuses: 104, and nothing of it stays."""
    x = Host("x2")
    for _ in range(2000):
        answer = x.ask(REGISTER)
        if answer.kind == REGISTERED:
            x.client = answer.number(4)
            answer = x.ask(DEREGISTER, p_client(x.client))
        if answer.kind == ERROR:
            break
    check("error", (ERROR, 104), (answer.kind, answer.error))
    x.refused(104, REGISTER)
    check("hosts", 1, len(ctl("clients")))


def farewell(command):
    """When the daemon stops every host is told; COMMAND stops it."""
    x1, x2 = Host("x1").register(), Host("x2", use_tcp=True).register()
    x1.assign()
    with subprocess.Popen(["sh", "-c", command]) as stop:
        for x in (x1, x2):
            check(f"DE-REGISTER_RESPONSE to {x.name}", x.client, x.told(DEREGISTERED, 5).number(4))
        check(f"status of {command}", 0, stop.wait(10))


def fault(command):
    """COMMAND breaks the gateway: every host is told."""
    x1, x2 = Host("x1").register(), Host("x2", use_tcp=True).register()
    x1.assign()
    subprocess.run(["sh", "-c", command], check=True)
    for x in (x1, x2):
        told = x.told(ERROR, 5)
        check(f"error and client of {x.name}", (104, x.client), (told.error, told.number(4)))


# --- limits: what a host can take of the service -----------------------------------------


def cut_off(what, s, seconds):
    """The gateway ends that connection within so many seconds."""
    s.settimeout(seconds)
    try:
        while s.recv(65536):
            pass
    except socket.timeout as late:
        raise Failed(f"{what}: the connection is still open after {seconds} s") from late
    except ConnectionError:
        pass


def connections_ended():
    return {c["why"]: c["ended"] for c in ctl("counters")["connections"] if c["ended"]}


def slow_sender():
    """A byte a second is too slow; half a message and then nothing as well. The registration stays."""
    x = Host("x1", use_tcp=True).register()
    bind = x.assign()
    request = message(QUERY, p_client(x.client), param(11, struct.pack("!I", 99)))
    half = x.socket(socket.SOCK_STREAM)
    half.connect((N_PRIVATE, RSIP_PORT))
    half.send(request[:7])
    trickle = x.socket(socket.SOCK_STREAM)
    trickle.connect((N_PRIVATE, RSIP_PORT))

    def drip():
        for byte in request:
            try:
                trickle.send(bytes([byte]))
            except OSError:
                return
            time.sleep(1)

    threading.Thread(target=drip, daemon=True).start()
    cut_off("half a message", half, 13)
    cut_off("a byte a second", trickle, 13)
    check("connections", {"half a message for too long": 2}, connections_ended())
    # Another connection of the host was never in danger, and a new one goes on where it was.
    x.demand(QUERY, QUERIED, p_client(x.client))
    x.control.close()
    x.control = x.socket(socket.SOCK_STREAM)
    x.control.connect((N_PRIVATE, RSIP_PORT))
    x.extend(bind)


def half_open():
    """SYN and nothing more, from many ports: others connect meanwhile, and nothing is kept for them."""
    x, other = Station("x1"), Host("x2", use_tcp=True)
    for port in range(20000, 21000):
        x.send(tcp(x.address, port, N_PRIVATE, RSIP_PORT, flags=0x02))
    other.register()
    other.deregister()


def many_connections():
    """The fifth of a host ends the one that was silent longest; with answers nobody reads it ends as well."""
    x = Host("x1", use_tcp=True).register()
    more = []
    for _ in range(4):
        s = x.socket(socket.SOCK_STREAM)
        s.connect((N_PRIVATE, RSIP_PORT))
        more.append(s)
        time.sleep(0.005)	# silence is counted in milliseconds
        x.demand(QUERY, QUERIED, p_client(x.client))
    cut_off("the first of five", more[0], 3)
    check("connections", {"the host opened too many": 1}, connections_ended())
    x.demand(QUERY, QUERIED, p_client(x.client))


def flood():
    """One sender floods with bad datagrams and requests: the answers are bounded and counted, another is served."""
    x, other = Station("x1"), Host("x2").register()
    s = x.socket(socket.SOCK_DGRAM)
    s.connect((N_PRIVATE, RSIP_PORT))
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    request = message(QUERY, p_client(7), param(11, struct.pack("!I", 1)))
    begin = time.monotonic()
    for _ in range(5000):
        s.send(request)
        s.send(b"\x02\x0e\x00\x04")
    other.demand(QUERY, QUERIED, p_client(other.client))
    took = time.monotonic() - begin
    time.sleep(0.2)
    s.setblocking(False)
    answers = []
    try:
        while True:
            answers.append(len(s.recv(2048)))
    except BlockingIOError:
        pass
    most = 200 + 50 * (took + 1)
    if not 0 < len(answers) <= most or max(answers) > 23:
        raise Failed(f"{len(answers)} answers of up to {max(answers, default=0)} bytes in {took:.1f} s")
    sums = ctl("counters")
    # What the kernel lost before the daemon saw it is not the daemon's to count.
    if not 5000 < sums["limited"] + sums["unanswered"] + len(answers) <= 10000:
        raise Failed(f"{sums['limited']} limited, {sums['unanswered']} unanswered, {len(answers)} answered of 10000")
    other.deregister()


def slow_watcher():
    """Who asks for events and does not read them is told how many it missed; nothing waits for it."""
    x = Host("x1").register()
    watcher = socket.socket(socket.AF_UNIX)
    watcher.connect(f"{WORK}/rsipd.sock")
    watcher.send(b'{"command": ["monitor"]}\n')
    check("first line", b'{"ok":true}\n', watcher.recv(12))
    for _ in range(6000):
        x.refused(305, QUERY, p_client(x.client ^ 1))

    def read(last):
        """All lines up to an event with that error."""
        data = b""
        watcher.settimeout(WAIT)
        while f'"error":{last},'.encode() not in data or not data.endswith(b"\n"):
            data += watcher.recv(1 << 20)
        return [json.loads(line) for line in data.splitlines()]

    # What found room comes first; then the next event, and before it how many did not.
    watcher.settimeout(1)
    data = b""
    try:
        while True:
            data += watcher.recv(1 << 20)
    except socket.timeout:
        pass
    seen = data.count(b'"refused"')
    x.refused(306, FREE, p_client(x.client), p_bind(99))
    missed = read(306)[0]
    check("events", 6000, seen + missed.get("count", 0))
    if seen < 1000 or missed["event"] != "missed" or missed["count"] < 1000:
        raise Failed(f"{seen} seen, then {missed}")


# --- the host program: ordinary sockets of an application ------------------------------------


def application(station, address, port, kind):
    enter(station)
    s = socket.socket(socket.AF_INET, kind)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((address, port))
    s.settimeout(2 * WAIT)
    return s


def datagrams(near, far, to, longest):
    """Random datagrams of growing size and their echoes, byte by byte."""
    for size in (0, 1, 100, 1000, 1400, longest):
        data = os.urandom(size)
        near.sendto(data, to)
        got, back = far.recvfrom(65535)
        check(f"datagram of {size} bytes", data, got)
        far.sendto(got, back)
        check(f"echo of {size} bytes", data, near.recv(65535))


def stream(near, far, to):
    """A million random bytes there and back at once."""
    data, received = os.urandom(1 << 20), b""

    def echo():
        connection, _ = far.accept()
        with connection:
            connection.settimeout(2 * WAIT)
            while chunk := connection.recv(65536):
                connection.sendall(chunk)

    server = threading.Thread(target=echo, daemon=True)
    server.start()
    near.connect(to)
    sender = threading.Thread(target=lambda: (near.sendall(data), near.shutdown(socket.SHUT_WR)), daemon=True)
    sender.start()
    while chunk := near.recv(65536):
        received += chunk
    sender.join()
    if data != received:
        raise Failed(f"the stream came back changed: {len(received)} of {len(data)} bytes")


def exchange(name, port, mtu="1480"):
    """Applications on a host and the peer, UDP and TCP, either end first; `port` is leased to the host."""
    port, longest = int(port), int(mtu) - 20 - 8
    x, y = (application(*end, socket.SOCK_DGRAM) for end in ((name, NB, port), ("y", PEER, 7000)))
    datagrams(x, y, (PEER, 7000), longest)
    datagrams(y, x, (NB, port), longest)
    for near, far, to in ((("y", PEER, 7001), (name, NB, port), (NB, port)),
                          ((name, NB, port), ("y", PEER, 7002), (PEER, 7002))):
        server, client = application(*far, socket.SOCK_STREAM), application(*near, socket.SOCK_STREAM)
        server.listen()
        stream(client, server, to)
        client.close()
        server.close()


def no_arp_answer(name):
    """The host answers ARP for its own address, never for the leased one."""
    host, number = Station(name), int(name[1:])
    enter("n")
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806))
    s.bind(("lan0", 0x0806))

    def ask(address):
        s.send(bytes.fromhex("ff" * 6) + mac(1) + bytes.fromhex("0806 0001 0800 06 04 0001") + mac(1) +
               socket.inet_aton(N_PRIVATE) + bytes(6) + socket.inet_aton(address))

    ask(NB)
    ask(host.address)
    answers = []
    end = time.monotonic() + WAIT
    while time.monotonic() < end and socket.inet_aton(host.address) not in answers:
        if select.select([s], [], [], 0.1)[0]:
            frame = s.recv(100)
            if frame[20:22] == b"\0\2" and frame[22:28] == mac(0x10 + number):
                answers.append(frame[28:32])
    check("answers", [socket.inet_aton(host.address)], answers)


def segment_size(name, wanted):
    """The MSS option of a SYN that a program on the host sends to the peer."""
    y = Station("y")
    enter(name)
    s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    s.setblocking(False)
    s.connect_ex((PEER, 7003))
    frame = y.receive()
    if frame is None:
        raise Failed("no SYN arrived")
    options = frame[14 + 40:14 + 20 + 4 * (frame[46] >> 4)]
    while options and options[0] != 2:
        options = options[1 if options[0] == 1 else options[1]:]
    check("segment size", int(wanted), struct.unpack("!H", options[2:4])[0])


def no_tunnel(name):
    """A tunnel packet to a host that has no tunnel: nothing of it, and no answer to it, gets to the peer."""
    host, y = Station(name), Station("y")
    enter("n")
    n = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_IP))
    n.bind(("lan0", ETH_P_IP))
    for inner in (udp(PEER, 53, NB, 40000, b"answer"), esp(PEER, NB, 0x1000), tcp(PEER, 80, NB, 40000, flags=2)):
        packet = ipv4(N_PRIVATE, host.address, IPIP, inner)
        n.send(host.mac + mac(1) + struct.pack("!H", ETH_P_IP) + packet)
        host.expect("tunnel packet", packet)
        check("what the peer sees", None, y.receive(0.3))


def end_point(name, address):
    """A gateway, on N, that names another tunnel end point: the host's packets go there, and come from there."""
    enter("n")
    rsip = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    rsip.bind((N_PRIVATE, RSIP_PORT))
    lan = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_IP))
    lan.bind(("lan0", ETH_P_IP))
    answers = {
        REGISTER: (REGISTERED, p_client(9), p_lease(600), param(9, b"\1\3")),
        ASSIGN: (ASSIGNED, p_client(9), p_bind(1), p_address(NB), p_ports(1, 40000), p_address(), p_ports(1), p_lease(600),
                 param(6, b"\1"), p_address(address)),
        QUERY: (QUERIED, p_client(9)),
        DEREGISTER: (DEREGISTERED, p_client(9)),
    }

    def serve():
        while True:
            data, host = rsip.recvfrom(65535)
            ask = Answer(data)
            kind, *params = answers[ask.kind]
            rsip.sendto(message(kind, *params, param(11, struct.pack("!I", ask.counter))), host)

    threading.Thread(target=serve, daemon=True).start()
    host = Station(name)
    enter(name)
    subprocess.run([f"{BUILD}/rsip", "-g", N_PRIVATE, "up", "-d", "--spis", "0", "--ports", "1"], timeout=20, check=True)
    s = application(name, NB, 40000, socket.SOCK_DGRAM)
    s.sendto(b"hello", (PEER, 53))
    end = time.monotonic() + WAIT
    while time.monotonic() < end and select.select([lan], [], [], 0.2)[0]:
        frame = lan.recv(2000)
        if frame[23] == IPIP:
            break
    else:
        raise Failed("no tunnel packet")
    check("outer addresses", [host.address, address], [socket.inet_ntoa(frame[at:at + 4]) for at in (26, 30)])
    inner = udp(PEER, 53, NB, 40000, b"answer")
    lan.send(host.mac + mac(1) + struct.pack("!H", ETH_P_IP) + ipv4(N_PRIVATE, host.address, IPIP, inner))
    lan.send(host.mac + mac(1) + struct.pack("!H", ETH_P_IP) + ipv4(address, host.address, IPIP, inner))
    check("answer", (b"answer", (PEER, 53)), s.recvfrom(99))
    s.settimeout(0.3)
    try:
        raise Failed(f"taken from the gateway itself: {s.recvfrom(99)}")
    except TimeoutError:
        pass
    subprocess.run([f"{BUILD}/rsip", "down"], timeout=20, check=True)


def bulk(name, port, rounds="8"):
    """TCP connections one after another, each carries 1 MiB there and back at once."""
    first = 7000 + 100 * int(name[1:])
    for there in range(first, first + int(rounds)):
        server = application("y", PEER, there, socket.SOCK_STREAM)
        client = application(name, NB, int(port), socket.SOCK_STREAM)
        client.settimeout(60)
        server.listen()
        stream(client, server, (PEER, there))
        client.close()
        server.close()


def nobodys(port, count):
    """Datagrams from the peer to a port that nobody leased."""
    y = application("y", PEER, 7200, socket.SOCK_DGRAM)
    for _ in range(int(count)):
        y.sendto(b"x", (NB, int(port)))


def not_mine(name, port, count):
    """Tunnel packets of a host from a port of another one's."""
    x = Station(name)
    for _ in range(int(count)):
        x.tunnel(udp(NB, int(port), PEER, 9, b"not mine"))


def main():
    try:
        globals()[sys.argv[1]](*sys.argv[2:])
    except Failed as why:
        sys.exit(f"{sys.argv[1]}: {why}")


if __name__ == "__main__":
    main()
