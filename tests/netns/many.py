#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Ten thousand hosts, all behind x1: many.py HOSTS PACKETS
Each has an address of 10.128.0.0/16, which x1 takes for its own, and leases a port and an SPI. Packets of some of
them, chosen at random, go both ways; each must come to the right host (its tunnel names it), whole."""

import random

from packets import *

FIRST = struct.unpack("!I", socket.inet_aton("10.128.0.1"))[0]
WINDOW, BATCH = 128, 50
IP_PKTINFO = 8


class Member(Station):
    """One of them, at x1's wire."""

    def __init__(self, crowd, number):
        self.name, self.mac, self.router, self.raw = crowd.name, crowd.mac, crowd.router, crowd.raw
        self.address = socket.inet_ntoa(struct.pack("!I", FIRST + number))
        self.client = self.bind = None


class Crowd(Station):
    def __init__(self, count):
        super().__init__("x1")
        self.members = [Member(self, number) for number in range(count)]
        self.control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.control.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        self.control.bind(("", 5000))
        self.control.settimeout(WAIT)

    def say(self, member, kind, counter, *params):
        source = struct.pack("=i4s4s", 0, socket.inet_aton(member.address), bytes(4))
        self.control.sendmsg([message(kind, *params, param(11, struct.pack("!I", counter)))],
                             [(socket.IPPROTO_IP, IP_PKTINFO, source)], 0, (N_PRIVATE, RSIP_PORT))

    def hear(self):
        data, control, _, _ = self.control.recvmsg(1024, 64)
        number = struct.unpack("!I", control[0][2][4:8])[0] - FIRST
        return self.members[number], Answer(data)

    def join(self):
        """Everybody registers, and leases; a few at a time."""
        waiting = list(self.members)
        at_work = 0
        while waiting or at_work:
            while waiting and at_work < WINDOW:
                self.say(waiting.pop(), REGISTER, 1)
                at_work += 1
            member, answer = self.hear()
            if answer.kind == REGISTERED:
                member.client = answer.number(4)
                self.say(member, ASSIGN_IPSEC, 2, p_client(member.client), p_address(), p_ports(1), p_address(),
                         p_ports(1), p_spis(1))
            elif answer.kind == ASSIGNED_IPSEC:
                member.bind = Bind(answer)
                at_work -= 1
            else:
                raise Failed(f"{member.address}: message {answer.kind}, error {answer.error}")
        while self.receive(0):		# the answers are on the wire as well, and fill the buffer
            pass


def inbound(member):
    """From the peer: by port, by SPI, and by the cookie of `outbound`."""
    bind = member.bind
    return [udp(PEER, 9, NB, bind.ports[0], member.address.encode()), esp(PEER, NB, bind.spis[0], os.urandom(40)),
            ah(PEER, NB, bind.spis[0]), ike(PEER, NB, cookie(member))]


def outbound(member):
    return [udp(NB, member.bind.ports[0], PEER, 9, member.address.encode()), esp(NB, PEER, OTHER_SPI, os.urandom(40)),
            ike(NB, PEER, cookie(member))]


def cookie(member):
    return b"many" + socket.inet_aton(member.address)


def exchange_all(pairs, send, receiver, wanted):
    """`send` of each pair, some at a time; what came is what `wanted` says of each, in this order."""
    for at in range(0, len(pairs), BATCH):
        some = pairs[at:at + BATCH]
        for member, packet in some:
            send(member, packet)
        for member, packet in some:
            receiver.expect(f"{member.address}: {packet[:40].hex()}", wanted(member, packet))


def main(hosts, packets):
    random.seed(1)
    crowd, y = Crowd(hosts), Station("y")
    enter("x1")
    crowd.join()
    warm_up(crowd.members[0], y, crowd.members[0].bind)
    chosen = [random.choice(crowd.members) for _ in range(packets)]
    before = counters()
    pairs = [(m, p) for m in chosen for p in outbound(m)]
    exchange_all(pairs, lambda m, p: m.tunnel(p), y, lambda m, p: forwarded(p))
    settle("out", before, {"out-port": packets, "out-esp": packets, "out-ike": packets})
    before = counters()
    pairs = [(m, p) for m in chosen for p in inbound(m)]
    exchange_all(pairs, lambda m, p: y.send(p), crowd, lambda m, p: encapsulated(N_PRIVATE, m.address, forwarded(p)))
    settle("in", before, {"in-port": packets, "in-esp": packets, "in-ah": packets, "in-ike": packets})
    before = counters()
    leased = {member.bind.spis[0] for member in crowd.members}
    for one in chosen:
        other = random.choice([m for m in chosen if m is not one])
        one.tunnel(udp(NB, other.bind.ports[0], PEER, 9, b"not mine"))
        y.send(esp(PEER, NB, next(spi for spi in range(0x1000, 1 << 32) if spi not in leased)))
    settle("what is nobody's", before, {"out-no-port": packets, "in-no-spi": packets})
    if stray := y.receive(0.05) or crowd.receive(0.05):
        raise Failed(f"what is nobody's arrived: {stray.hex()}")


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]), int(sys.argv[2]))
    except Failed as why:
        sys.exit(f"many: {why}")
