#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Steps of the system tests about what paths do to packets: path.py STEP [ARGUMENT...]
ICMP, packets that are too big, fragments. As packets.py, whose hosts these are."""

import itertools

from packets import *

ROUTER = "203.0.113.3"


def raise_hosts():
    y, hosts = Station("y"), [Host(name).register() for name in ("x1", "x2")]
    binds = [x.assign(ports=2, spis=4) for x in hosts]
    for x, bind in zip(hosts, binds):
        warm_up(x, y, bind)
    return y, hosts, binds


def expect_tunnelled(what, x, packet):
    """What Y (or N) sent, at the host: TTL - 1, in its tunnel."""
    x.expect(what, encapsulated(N_PRIVATE, x.address, forwarded(packet)))


def told(what, station, kind, code, about, mtu=0, tunnel=None):
    """An ICMP error of N itself about a packet, through the tunnel of a host or not."""
    quote = about[:548] if len(about) > 548 else about[:len(about) & ~3]
    to = socket.inet_ntoa(about[12:16])
    packet = icmp(N_PUBLIC, to, kind, code, 0, mtu, quote, tos=0xC0, ident=0)
    station.expect(what, encapsulated(N_PRIVATE, tunnel, packet) if tunnel else packet)


# --- ICMP -----------------------------------------------------------------------------------


def ping():
    """Two hosts ping one peer at once; a peer pings the leased address, and N answers."""
    y, (x1, x2), _ = raise_hosts()
    before = counters()
    for x, ident in ((x1, 7), (x2, 8)):
        x.tunnel(icmp(NB, PEER, 8, number=ident))
        y.expect(f"request of {x.name}", forwarded(icmp(NB, PEER, 8, number=ident)))
    for x, ident in ((x2, 8), (x1, 7)):
        y.send(icmp(PEER, NB, 0, number=ident))
        expect_tunnelled(f"reply to {x.name}", x, icmp(PEER, NB, 0, number=ident))
    x2.tunnel(icmp(NB, PEER, 8, number=7))
    settle("pings", before, {"out-icmp-query": 2, "in-icmp-reply": 2, "out-icmp-taken": 1})
    y.send(icmp(PEER, NB, 8, number=9))
    answer = y.receive() or b""
    check("N's answer", icmp(NB, PEER, 0, number=9)[12:], answer[26:])


def errors():
    """Errors of a router about what a host sent reach that host; and a host's about what it got."""
    y, (x1, x2), (bind, other) = raise_hosts()
    sent = [esp(NB, PEER, OTHER_SPI), ah(NB, PEER, OTHER_SPI + 1), ike(NB, PEER, COOKIE),
            udp(NB, bind.ports[0], PEER, 9, b"data")]
    for packet in sent:
        x1.tunnel(packet)
        y.expect("what X1 sent", forwarded(packet))
    before = counters()
    for packet in sent:
        about = icmp(ROUTER, NB, 3, 4, 0, 1400, forwarded(packet)[:48])
        y.send(about)
        expect_tunnelled("fragmentation needed", x1, about)
    y.send(icmp(ROUTER, NB, 3, 4, 0, 1400, sent[3][:24]))
    y.send(icmp(ROUTER, NB, 3, 4, 0, 1400, esp(NB, PEER, OTHER_SPI + 2)[:28]))
    settle("errors", before, {"in-icmp-error": 4, "in-icmp": 2})
    before = counters()
    refusal = icmp(NB, PEER, 3, 3, 0, 0, udp(PEER, 9, NB, bind.ports[0], b"data"))
    x1.tunnel(refusal)
    y.expect("port unreachable of X1", forwarded(refusal))
    x2.tunnel(refusal)
    settle("errors of hosts", before, {"out-icmp-error": 1, "out-icmp": 1})


def traceroute():
    """N is a hop on the way, both ways."""
    y, (x1, _), (bind, _) = raise_hosts()
    before = counters()
    probe = udp(NB, bind.ports[0], PEER, 33434, b"probe", ttl=1)
    x1.tunnel(probe)
    told("the first hop", x1, 11, 0, probe, tunnel=x1.address)
    probe = udp(NB, bind.ports[0], PEER, 33435, b"probe", ttl=2)
    x1.tunnel(probe)
    y.expect("the second", forwarded(probe))
    probe = udp(PEER, 9, NB, bind.ports[0], b"probe", ttl=1)
    y.send(probe)
    told("the first hop from Y", y, 11, 0, probe)
    settle("traceroute", before, {"out-ttl-told": 1, "out-port": 1, "in-ttl-told": 1})


# --- too big -------------------------------------------------------------------------------


def told_soon(what, x, receiver, about, mtu):
    """That it is too big, through the tunnel: rsipd has yet to hear of the new MTU."""
    end = time.monotonic() + WAIT
    while True:
        x.tunnel(about)
        frame = x.receive(0.2)
        if frame:
            break
        while receiver.receive(0):
            pass
        if time.monotonic() > end:
            raise Failed(f"{what}: {x.name} is not told")
    check(what, encapsulated(N_PRIVATE, x.address, icmp(
        N_PUBLIC, NB, 3, 4, 0, mtu, about[:548], tos=0xC0, ident=0)), frame[14:])


def pieces(station, count, unwrap):
    """The payload that `count` fragments make, each inside what `unwrap` takes off."""
    parts, whole = {}, b""
    for _ in range(count):
        frame = station.receive()
        if frame is None:
            raise Failed(f"{station.name}: {len(parts)} of {count} fragments came")
        if len(frame) > 1514:
            raise Failed(f"{station.name}: a frame of {len(frame)} bytes")
        packet = unwrap(frame[14:])
        check("header checksum", 0, checksum(packet[:20]))
        frag = struct.unpack("!H", packet[6:8])[0]
        parts[(frag & 0x1FFF) * 8] = packet[20:], bool(frag & 0x2000)
    for at in sorted(parts):
        check("no gap", len(whole), at)
        whole += parts[at][0]
    check("the last one", False, parts[max(parts)][1])
    return whole


def too_big():
    """DF: whoever sent it is told, and what fits then passes. No DF: it comes in fragments, whole."""
    y, (x1, _), (bind, _) = raise_hosts()
    before = counters()
    big = esp(PEER, NB, bind.spis[0], bytes(1500 - 28))
    y.send(big)
    told("too big for the tunnel", y, 3, 4, big, 1480)
    fits = esp(PEER, NB, bind.spis[0], bytes(1480 - 28))
    y.send(fits)
    expect_tunnelled("what fits", x1, fits)
    big = esp(PEER, NB, bind.spis[0], bytes(range(256)) * 5 + bytes(192), frag=0)
    y.send(big)
    check("its bytes", big[20:], pieces(x1, 2, lambda p: p[20:]))
    subprocess.run(["ip", "-n", f"{LAB}n", "link", "set", "wan0", "mtu", "1400"], check=True)
    big = esp(NB, PEER, OTHER_SPI, bytes(1450 - 28))
    told_soon("too big for the public link", x1, y, big, 1400)
    big = esp(NB, PEER, OTHER_SPI, bytes(range(256)) * 5 + bytes(142), frag=0)
    x1.tunnel(big)
    check("its bytes", big[20:], pieces(y, 2, lambda p: p))
    got = moved(before)
    for outcome, packets in (("in-too-big-told", 1), ("in-split", 1), ("in-esp", 1), ("out-too-big-told", 1),
                             ("out-split", 1)):
        check(outcome, packets, got.get(outcome))


# --- fragments ---------------------------------------------------------------------------------


def cut(packet, size):
    """An IPv4 packet in fragments of `size` bytes of payload."""
    src, dst = socket.inet_ntoa(packet[12:16]), socket.inet_ntoa(packet[16:20])
    ident, payload = struct.unpack("!H", packet[4:6])[0], packet[20:]
    return [ipv4(src, dst, packet[9], payload[at:at + size], packet[8], packet[1], ident,
                 at // 8 | (0x2000 if at + size < len(payload) else 0)) for at in range(0, len(payload), size)]


def orders():
    """3000 bytes in three fragments, in every order and each way; IKE with its certificates too."""
    y, (x1, x2), (bind, _) = raise_hosts()
    x1.tunnel(ike(NB, PEER, COOKIE))
    y.expect("IKE", forwarded(ike(NB, PEER, COOKIE)))
    before, data, ident = counters(), bytes(range(250)) * 12, 100
    for order in itertools.permutations(range(3)):
        for make in (lambda n: udp(PEER, 9, NB, bind.ports[0], data, ident=n, frag=0),
                     lambda n: udp(PEER, 500, NB, 500, COOKIE + data, ident=n, frag=0)):
            ident += 1
            whole = make(ident)
            for at in order:
                y.send(cut(whole, 1200)[at])
            check(f"in, order {order}", whole[20:], pieces(x1, 3, lambda p: p[20:]))
        for make in (lambda n: udp(NB, bind.ports[0], PEER, 9, data, ident=n, frag=0),
                     lambda n: udp(NB, 500, PEER, 500, COOKIE + data, ident=n, frag=0)):
            ident += 1
            whole = make(ident)
            for at in order:
                x1.tunnel(cut(whole, 1200)[at])
            check(f"out, order {order}", whole[20:], pieces(y, 3, lambda p: p))
    got = moved(before)
    check("fragments counted", 2 * 2 * 6 * 3, sum(got.values()))
    for outcome in ("in-fragment", "out-fragment", "error"):
        check(outcome, None, got.get(outcome))
    if stray := x2.receive(0):
        raise Failed(f"x2 got {stray.hex()}")


def each_order(what, send, get, make):
    """A packet in three fragments, in every order: the other end gets all of it."""
    for ident, order in enumerate(itertools.permutations(range(3)), 1000):
        whole = make(ident)
        for at in order:
            send(cut(whole, 1200)[at])
        check(f"{what}, order {order}", whole[20:], get())


def hairpin():
    """From host to host by leased addresses: fragments in every order, errors, too big; N answers a ping."""
    y, (x1, x2), (one, two) = raise_hosts()
    data = bytes(range(250)) * 12
    before = counters()
    each_order("a port", x1.tunnel, lambda: pieces(x2, 3, lambda p: p[20:]),
               lambda n: udp(NB, one.ports[0], NB, two.ports[0], data, ident=n, frag=0))
    each_order("ESP", x2.tunnel, lambda: pieces(x1, 3, lambda p: p[20:]),
               lambda n: esp(NB, NB, one.spis[0], data, ident=n + 100, frag=0))
    check("counted", {"out-turned", "out-fragment-held"}, set(moved(before)))
    before = counters()
    packet = udp(NB, one.ports[0], NB, two.ports[1], b"data")
    x1.tunnel(packet)
    expect_tunnelled("from X1", x2, packet)
    refusal = icmp(NB, NB, 3, 3, 0, 0, forwarded(packet))
    x2.tunnel(refusal)
    expect_tunnelled("port unreachable of X2", x1, refusal)
    settle("an error", before, {"out-turned": 2})
    x1.tunnel(icmp(NB, NB, 8, number=3))
    x1.expect("N's answer", encapsulated(N_PRIVATE, x1.address, icmp(NB, NB, 0, number=3)))
    settle("a ping", before, {"out-turned": 2, "out-echo": 1})
    subprocess.run(["ip", "-n", f"{LAB}n", "link", "set", "lan0", "mtu", "1450"], check=True)
    big = udp(NB, one.ports[0], NB, two.ports[0], bytes(1434 - 28))	# the link still takes it in
    told_soon("too big for X2's tunnel", x1, x2, big, 1430)
    for station in (y, x2):
        if stray := station.receive(0.05):
            raise Failed(f"{station.name} got {stray.hex()}")


def begun_by_peer():
    """IKE that Y begins with a packet in fragments, in every order, and the answers of the host that it knows."""
    y, (x1, _), _ = raise_hosts()
    x1.tunnel(ike(NB, PEER, COOKIE))
    y.expect("IKE of X1", forwarded(ike(NB, PEER, COOKIE)))
    end, begin = time.monotonic() + WAIT, ike(PEER, NB, b"whole   ")
    y.send(begin)
    while not (frame := x1.receive(0.1)):	# rsipd has yet to hear of the cookie
        if time.monotonic() > end:
            raise Failed("a whole packet does not come")
        y.send(begin)
    check("a whole one", encapsulated(N_PRIVATE, x1.address, forwarded(begin)), frame[14:])
    data = bytes(range(250)) * 12
    each_order("X1", y.send, lambda: pieces(x1, 3, lambda p: p[20:]),
               lambda n: udp(PEER, 500, NB, 500, struct.pack("!Q", n) + data, ident=n, frag=0))
    for cookie in range(1000, 1006):
        answer = ike(NB, PEER, struct.pack("!Q", cookie))
        x1.tunnel(answer)
        y.expect("an answer", forwarded(answer))
    check("refused", 0, counters()["out-cookie-taken"] + counters()["in-fragment"])


def shared():
    """To an address that is N's too, in every order: a host gets what is for its port, N's stack what is for its own."""
    y, (x1, _), (bind, _) = raise_hosts()
    data = bytes(range(250)) * 12
    own = application("n", NB, 2222, socket.SOCK_DGRAM)
    for ident, order in enumerate(itertools.permutations(range(3)), 2000):
        for at in order:
            y.send(cut(udp(PEER, 9, NB, 2222, data, ident=ident, frag=0), 1200)[at])
        check(f"N, order {order}", data, own.recv(4096))
    each_order("X1", y.send, lambda: pieces(x1, 3, lambda p: p[20:]),
               lambda n: udp(PEER, 9, NB, bind.ports[0], data, ident=n, frag=0))
    for what in ("in-fragment", "error"):
        check(what, 0, counters()[what])


def outer():
    """A tunnel packet in fragments, either order: it is put together, and leaves as any other."""
    y, (x1, _), (bind, _) = raise_hosts()
    packet = udp(NB, bind.ports[0], PEER, 9, bytes(range(250)) * 5)
    for ident, order in ((1, (0, 1)), (2, (1, 0))):
        before = counters()
        tunnel = ipv4(x1.address, N_PRIVATE, IPIP, packet, ident=ident, frag=0)
        for at in order:
            x1.send(cut(tunnel, 800)[at])
        y.expect(f"order {order}", forwarded(packet))
        settle(f"order {order}", before, {"out-fragment-held": 2, "out-port": 1})
    probe = udp(NB, bind.ports[0], PEER, 33434, bytes(1000), ttl=1)
    for part in cut(ipv4(x1.address, N_PRIVATE, IPIP, probe, ident=4, frag=0), 800):
        x1.send(part)
    told("an answer to a whole", x1, 11, 0, probe, tunnel=x1.address)
    before = counters()
    stolen = ipv4(x1.address, N_PRIVATE, IPIP, udp(NB, 1, PEER, 9, bytes(1000)), ident=3, frag=0)
    for part in cut(stolen, 800):
        x1.send(part)
    settle("not allowed inside", before, {"out-fragment-held": 2, "out-no-port": 1})


def refused():
    """Fragments that may not pass, or make no sense, in either direction; nobody gets anything."""
    y, (x1, x2), (bind, other) = raise_hosts()
    before = counters()
    for part in cut(udp(PEER, 9, NB, 1025, bytes(2000), ident=7, frag=0), 1200):
        y.send(part)
    for part in cut(udp(NB, other.ports[0], PEER, 9, bytes(2000), ident=8, frag=0), 1200):
        x1.tunnel(part)
    y.send(ipv4(PEER, NB, UDP, bytes(9), ident=9, frag=0x2001))
    settle("refused", before, {"in-no-port": 1, "in-fragment": 2, "out-no-port": 1, "out-fragment": 1})
    x1.tunnel(cut(udp(NB, bind.ports[0], PEER, 9, bytes(2000), ident=10, frag=0), 1200)[1])
    y.send(cut(udp(PEER, 9, NB, bind.ports[0], bytes(2000), ident=11, frag=0), 1200)[1])
    for station in (x1, x2, y):
        if stray := station.receive(0.05):
            raise Failed(f"{station.name} got {stray.hex()}")


def main():
    try:
        globals()[sys.argv[1]](*sys.argv[2:])
    except Failed as why:
        sys.exit(f"{sys.argv[1]}: {why}")


if __name__ == "__main__":
    main()
