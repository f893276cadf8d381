# SPDX-License-Identifier: GPL-2.0-only
"""Frames and RSIP messages for the system tests: built and read byte by byte,
sent and received on the lab's own interfaces. Knows nothing of the programs
under test."""

import ctypes
import os
import select
import socket
import struct
import time

N_PRIVATE, N_PUBLIC, PEER, NB = "10.0.0.1", "203.0.113.1", "203.0.113.2", "203.0.113.10"
RSIP_PORT = 4555
WAIT = 3.0		# seconds for a frame or an answer that must come

LAB = os.environ.get("LAB", "")
CLONE_NEWNET = 0x40000000
PACKET_OUTGOING = 4
ETH_P_IP = 0x0800
ESP, AH, UDP, TCP, ICMP, IPIP, GRE, SCTP = 50, 51, 17, 6, 1, 4, 47, 132
DF = 0x4000


class Failed(Exception):
    """What a test found wrong."""


def check(what, wanted, got):
    if wanted != got:
        raise Failed(f"{what}: wanted {wanted!r}, got {got!r}")


# --- packets ------------------------------------------------------------------------


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(src, dst, proto, payload, ttl=64, tos=0, ident=0x1234, frag=DF):
    def header(check_value):
        return struct.pack("!BBHHHBBH4s4s", 0x45, tos, 20 + len(payload), ident, frag, ttl, proto, check_value,
                           socket.inet_aton(src), socket.inet_aton(dst))
    return header(checksum(header(0))) + payload


def pseudo(src, dst, proto, length):
    return socket.inet_aton(src) + socket.inet_aton(dst) + struct.pack("!BBH", 0, proto, length)


def udp(src, sport, dst, dport, payload, **ip):
    length = 8 + len(payload)
    head = struct.pack("!HHHH", sport, dport, length, 0)
    value = checksum(pseudo(src, dst, UDP, length) + head + payload) or 0xFFFF
    return ipv4(src, dst, UDP, struct.pack("!HHHH", sport, dport, length, value) + payload, **ip)


def tcp(src, sport, dst, dport, payload=b"", flags=0x10, **ip):
    head = struct.pack("!HHIIBBHHH", sport, dport, 1000, 2000, 5 << 4, flags, 8192, 0, 0)
    value = checksum(pseudo(src, dst, TCP, len(head) + len(payload)) + head + payload)
    return ipv4(src, dst, TCP, head[:16] + struct.pack("!H", value) + head[18:] + payload, **ip)


def esp(src, dst, spi, payload=b"cipher text that nobody reads", **ip):
    return ipv4(src, dst, ESP, struct.pack("!II", spi, 1) + payload, **ip)


def ah(src, dst, spi, payload=b"authenticated text", **ip):
    return ipv4(src, dst, AH, struct.pack("!BBHII", UDP, 4, 0, spi, 1) + bytes(12) + payload, **ip)


def ike_message(cookie, responder=bytes(8), payload=b"proposals"):
    return cookie + responder + struct.pack("!BBBBII", 33, 0x20, 34, 8, 0, 28 + len(payload)) + payload


def ike(src, dst, cookie, sport=500, dport=500, **ip):
    """IKE; on port 4500 behind four zero bytes, as RFC 3948 has it."""
    marker = bytes(4) if 4500 in (sport, dport) else b""
    return udp(src, sport, dst, dport, marker + ike_message(cookie), **ip)


def icmp(src, dst, kind, code=0, number=7, seq=1, payload=b"echo", **ip):
    """For errors `payload` is what they quote; of "fragmentation needed" number is 0 and seq the MTU."""
    head = struct.pack("!BBHHH", kind, code, 0, number, seq)
    body = head[:2] + struct.pack("!H", checksum(head + payload)) + head[4:] + payload
    return ipv4(src, dst, ICMP, body, **ip)


def forwarded(packet):
    """What a router makes of it: TTL - 1, checksum anew, not one other bit."""
    head = bytearray(packet[:20])
    head[8] -= 1
    head[10:12] = bytes(2)
    head[10:12] = struct.pack("!H", checksum(bytes(head)))
    return bytes(head) + packet[20:]


def encapsulated(src, dst, inner, proto=IPIP):
    """The tunnel packet that must result: TOS and DF of the inner header; the
    identification is that of the inner header where fragments are allowed."""
    frag = struct.unpack("!H", inner[6:8])[0] & DF
    ident = 0 if frag else struct.unpack("!H", inner[4:6])[0]
    gre = struct.pack("!HH", 0, ETH_P_IP) if proto == GRE else b""
    return ipv4(src, dst, proto, gre + inner, ttl=64, tos=inner[1], ident=ident, frag=frag)


# --- stations of the lab -----------------------------------------------------------------


def enter(namespace):
    with open(f"/run/netns/{LAB}{namespace}", "rb") as f:
        if ctypes.CDLL(None, use_errno=True).setns(f.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"cannot enter {LAB}{namespace}")


def mac(number):
    return bytes.fromhex("02000000") + struct.pack("!H", number)


class Station:
    """A host or the peer, as a frame sees it: eth0 of its namespace."""

    def __init__(self, name):
        self.name = name
        if name == "y":
            self.mac, self.router, self.address = mac(3), mac(2), PEER
        else:
            number = int(name[1:])
            self.mac, self.router, self.address = mac(0x10 + number), mac(1), f"10.0.0.{10 + number}"
        enter(name)
        self.raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_IP))
        self.raw.bind(("eth0", ETH_P_IP))

    def send(self, packet):
        self.raw.send(self.router + self.mac + struct.pack("!H", ETH_P_IP) + packet)

    def tunnel(self, inner, src=None, dst=N_PRIVATE, proto=IPIP, **ip):
        """Sends a packet through the tunnel to N."""
        gre = struct.pack("!HH", 0, ETH_P_IP) if proto == GRE else b""
        self.send(ipv4(src or self.address, dst, proto, gre + inner, **ip))

    def receive(self, wait=WAIT):
        """The next IPv4 frame that came, but for RSIP itself; None: none came."""
        end = time.monotonic() + wait
        while True:
            left = max(0, end - time.monotonic())
            if not select.select([self.raw], [], [], left)[0]:
                return None
            frame, address = self.raw.recvfrom(65535)
            if address[2] == PACKET_OUTGOING or is_rsip(frame):
                continue
            return frame

    def expect(self, what, packet):
        wanted = self.mac + self.router + struct.pack("!H", ETH_P_IP) + packet
        got = self.receive()
        if got is None:
            raise Failed(f"{what}: nothing arrived at {self.name}")
        if got != wanted:
            raise Failed(f"{what}: another frame arrived at {self.name}\n"
                         f"  wanted {wanted.hex()}\n  got    {got.hex()}")

    def socket(self, kind):
        """A socket in this station's namespace, at its address."""
        enter(self.name)
        s = socket.socket(socket.AF_INET, kind)
        s.bind((self.address, 0))
        s.settimeout(WAIT)
        return s


def is_rsip(frame):
    proto, at = frame[23], 14 + 4 * (frame[14] & 15)
    return proto in (UDP, TCP) and RSIP_PORT in struct.unpack("!HH", frame[at:at + 4])


# --- RSIP ---------------------------------------------------------------------------

ERROR, REGISTER, REGISTERED, DEREGISTER, DEREGISTERED = 1, 2, 3, 4, 5
ASSIGN, ASSIGNED, EXTEND, EXTENDED, FREE, FREED, QUERY, QUERIED = 8, 9, 10, 11, 12, 13, 14, 15
ASSIGN_IPSEC, ASSIGNED_IPSEC = 22, 23


def param(kind, value):
    return struct.pack("!BH", kind, len(value)) + value


def p_address(address=None):
    return param(1, b"\1" + (socket.inet_aton(address) if address else b""))


def p_ports(count, first=None):
    """`count` ports, from `first` on; first None: any; count None: no need."""
    if count is None:
        return param(2, b"")
    return param(2, struct.pack("!B", count) + (struct.pack("!H", first) if first else b""))


def p_lease(seconds):
    return param(3, struct.pack("!I", seconds))


def p_client(number):
    return param(4, struct.pack("!I", number))


def p_bind(number):
    return param(5, struct.pack("!I", number))


def p_spis(count, *spis):
    return param(22, struct.pack("!H", count) + b"".join(struct.pack("!I", s) for s in spis))


def message(kind, *params):
    body = b"".join(params)
    return struct.pack("!BBH", 1, kind, 4 + len(body)) + body


class Answer:
    def __init__(self, data):
        version, self.kind, length = struct.unpack("!BBH", data[:4])
        if version != 1 or length != len(data):
            raise Failed(f"a malformed message: {data.hex()}")
        self.params = []
        at = 4
        while at < length:
            kind, size = struct.unpack("!BH", data[at:at + 3])
            self.params.append((kind, data[at + 3:at + 3 + size]))
            at += 3 + size

    def all(self, kind):
        return [value for k, value in self.params if k == kind]

    def number(self, kind):
        values = self.all(kind)
        return int.from_bytes(values[0], "big") if values else None

    @property
    def counter(self):
        return self.number(11)

    @property
    def error(self):
        return self.number(8)


def expand(value, head, size):
    """Ports and SPIs of an answer as a list: a run or a list of them."""
    if not value:
        return []
    count = int.from_bytes(value[:head], "big")
    fields = [int.from_bytes(value[i:i + size], "big") for i in range(head, len(value), size)]
    return list(range(fields[0], fields[0] + count)) if len(fields) == 1 else fields


class Bind:
    def __init__(self, answer):
        self.id = answer.number(5)
        self.address = socket.inet_ntoa(answer.all(1)[0][1:])
        self.ports = expand(answer.all(2)[0], 1, 2)
        self.spis = expand(answer.all(22)[0], 2, 4) if answer.all(22) else []
        self.lease = answer.number(3)
        self.tunnel = answer.number(6)


class Host(Station):
    """A host that speaks RSIP as the messages' order is written down, no more."""

    def __init__(self, name, use_tcp=False):
        super().__init__(name)
        self.tcp = use_tcp
        self.control = self.socket(socket.SOCK_STREAM if use_tcp else socket.SOCK_DGRAM)
        self.control.connect((N_PRIVATE, RSIP_PORT))
        self.stream = b""
        self.counter = 0
        self.client = 0

    def next_message(self, wait=WAIT):
        self.control.settimeout(wait)
        try:
            if not self.tcp:
                return Answer(self.control.recv(65535))
            while len(self.stream) < 4 or len(self.stream) < struct.unpack("!H", self.stream[2:4])[0]:
                more = self.control.recv(65535)
                if not more:
                    raise Failed("the gateway closed the connection")
                self.stream += more
        except socket.timeout:
            return None
        length = struct.unpack("!H", self.stream[2:4])[0]
        data, self.stream = self.stream[:length], self.stream[length:]
        return Answer(data)

    def ask(self, kind, *params):
        """One request and its answer; sent again like a host would over UDP."""
        self.counter += 1
        data = message(kind, *params, param(11, struct.pack("!I", self.counter)))
        for _ in range(3):
            self.control.send(data)
            end = time.monotonic() + 1
            while time.monotonic() < end:
                answer = self.next_message(1)
                if answer and answer.counter == self.counter:
                    return answer
        raise Failed(f"{self.name}: no answer to message {kind}")

    def demand(self, kind, wanted, *params):
        answer = self.ask(kind, *params)
        if answer.kind != wanted:
            raise Failed(f"{self.name}: message {kind} got {answer.kind}, error {answer.error}")
        return answer

    def refused(self, error, kind, *params):
        answer = self.ask(kind, *params)
        check(f"{self.name}: answer to message {kind}", (ERROR, error), (answer.kind, answer.error))
        return answer

    def register(self):
        self.client = self.demand(REGISTER, REGISTERED).number(4)
        return self

    def assign(self, ports=1, spis=0, first=None, lease=None):
        """A bind for `ports` ports (None: none) and, if asked for, SPIs."""
        rest = [p_lease(lease)] if lease else []
        local = [p_client(self.client), p_address(), p_ports(ports, first), p_address()]
        if spis:
            remote = p_ports(None if ports is None else 1)
            return Bind(self.demand(ASSIGN_IPSEC, ASSIGNED_IPSEC, *local, remote, p_spis(spis), *rest))
        return Bind(self.demand(ASSIGN, ASSIGNED, *local, p_ports(1), *rest))

    def extend(self, bind, lease=None):
        rest = [p_lease(lease)] if lease else []
        return self.demand(EXTEND, EXTENDED, p_client(self.client), p_bind(bind.id), *rest).number(3)

    def free(self, bind):
        self.demand(FREE, FREED, p_client(self.client), p_bind(bind.id))

    def deregister(self):
        self.demand(DEREGISTER, DEREGISTERED, p_client(self.client))

    def told(self, kind, wait=WAIT):
        """Waits for a message that answers nothing: counter 0."""
        end = time.monotonic() + wait
        while time.monotonic() < end:
            answer = self.next_message(end - time.monotonic())
            if answer and answer.kind == kind and not answer.counter:
                return answer
        raise Failed(f"{self.name}: message {kind} of the gateway's own did not come")
