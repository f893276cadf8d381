#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Kills rsipd again and again while hosts lease: crash.py ROUNDS [SEED]

Many hosts, each with an address and a socket of its own, register, lease, extend,
free and de-register without a pause. At a random moment rsipd is killed and started
again; each host repeats its last request, as it would, and must get an answer that
goes on from what it was told before. Then everything that was acknowledged must be
there, nothing that was freed, and nothing twice or again within the hold-down.

Environment: LAB, WORK and BUILD as for packets.py; runs in the network of x1."""

import json
import os
import random
import select
import socket
import struct
import subprocess
import sys
import time

from wire import *

LAB, WORK, BUILD = os.environ["LAB"], os.environ["WORK"], os.environ["BUILD"]
HOSTS = 30
BINDS = 6	# of one host at most
HOLD_DOWN = 120


class Gateway:
    def start(self):
        self.log = open(f"{WORK}/rsipd.log", "ab")
        self.process = subprocess.Popen(["nsenter", f"--net=/run/netns/{LAB}n", f"{BUILD}/rsipd", "-c", f"{WORK}/rsipd.yaml"],
                                        stdout=self.log, stderr=self.log)

    def end(self, how):
        """nsenter has become rsipd: it is this process."""
        getattr(self.process, how)()
        self.process.wait()
        self.log.close()

    def bindings(self):
        """Waits until rsipd can be asked: status 3 says that it cannot."""
        end = time.monotonic() + 20
        while time.monotonic() < end:
            out = subprocess.run([f"{BUILD}/rsipctl", "-s", f"{WORK}/rsipd.sock", "-j", "bindings"], capture_output=True,
                                 timeout=10, check=False)
            if not out.returncode:
                return json.loads(out.stdout)
            time.sleep(0.02)
        raise Failed(f"rsipctl: {out.stderr.decode()}")


def numbers(text):
    """"4000-4003" or "0x10,0x15" as numbers; None: none."""
    found = []
    for part in (text or "").replace("-", " - ").split(","):
        ends = [int(word, 0) for word in part.split() if word != "-"]
        found += range(ends[0], ends[-1] + 1) if ends else []
    return found


class Lent:
    """What is held, and what was given back, with the moment until which it surely rests."""

    def __init__(self):
        self.held, self.resting = set(), {}
        self.given = 0

    def take(self, things, who):
        now = time.monotonic()
        for thing in things:
            if thing in self.held:
                raise Failed(f"{who} got {thing}, which another one holds")
            if self.resting.pop(thing, 0) > now:
                raise Failed(f"{who} got {thing}, which rests")
        self.held |= things

    def give(self, things, since):
        """Asked for at `since`: it may rest from then on."""
        self.held -= things
        self.resting.update(dict.fromkeys(things, since + HOLD_DOWN))
        self.given += len(things)


class CrashHost:
    def __init__(self, number, lent):
        self.address = f"10.0.0.{100 + number}"
        self.lent = lent
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.socket.bind((self.address, 0))
        self.counter, self.client, self.binds = 0, 0, {}
        self.waiting = None	# kind, bind, bytes
        self.asked = 0.0

    def request(self):
        """The next one, by chance."""
        kind, bind, params = REGISTER, 0, []
        if self.client:
            kind = random.choice([ASSIGN_IPSEC] * 4 + [EXTEND, FREE, FREE, QUERY])
            if kind in (EXTEND, FREE) and not self.binds or kind == ASSIGN_IPSEC and len(self.binds) == BINDS:
                kind = random.choice([QUERY, QUERY, DEREGISTER])
            params = [p_client(self.client)]
        if kind == ASSIGN_IPSEC:
            # Ports are few, and rest for two minutes.
            ports = (2, 1) if random.random() < 0.02 else (None, None)
            params += [p_address(), p_ports(ports[0]), p_address(), p_ports(ports[1]), p_spis(4)]
        if kind in (EXTEND, FREE):
            bind = random.choice(list(self.binds))
            params.append(p_bind(bind))
        self.counter += 1
        self.waiting = (kind, bind, message(kind, *params, param(11, struct.pack("!I", self.counter))))
        self.asked = time.monotonic()

    def send(self):
        try:
            self.socket.send(self.waiting[2])
        except OSError:
            pass	# nobody listens: it is sent again

    def connect(self):
        self.socket.connect((N_PRIVATE, RSIP_PORT))

    def receive(self):
        """True: the answer that is waited for."""
        try:
            answer = Answer(self.socket.recv(65535))
        except OSError:
            return False
        if not self.waiting or answer.counter != self.counter:
            return False
        kind, bind, _ = self.waiting
        # De-registered, and nobody is left who could remember the answer: as good.
        gone = kind == DEREGISTER and answer.error == 301
        # Registered, but the start took longer than a REGISTER_REQUEST counts as a duplicate (T-37).
        known = kind == REGISTER and answer.error == 302
        if answer.kind != kind + 1 and not gone and not known:
            raise Failed(f"{self.address}: message {kind} got {answer.kind}, error {answer.error}")
        self.waiting = None
        self.learn(kind, bind, answer)
        return True

    def learn(self, kind, bind, answer):
        if kind == REGISTER:
            self.client = answer.number(4)
        elif kind == ASSIGN_IPSEC:
            got = Bind(answer)
            if got.id in self.binds:
                raise Failed(f"{self.address}: bind {got.id} a second time")
            things = {(got.address, "port", n) for n in got.ports} | {(got.address, "SPI", n) for n in got.spis}
            self.lent.take(things, self.address)
            self.binds[got.id] = things
        elif kind == FREE:
            self.lent.give(self.binds.pop(bind), self.asked)
        elif kind == DEREGISTER:
            for things in self.binds.values():
                self.lent.give(things, self.asked)
            self.client, self.binds = 0, {}


def run(hosts, until, fresh):
    """Requests and answers, until `until()`; `fresh`: new requests as well."""
    sockets = {host.socket: host for host in hosts}
    again = time.monotonic() + 0.1
    while not until():
        for host in hosts:
            if fresh and not host.waiting:
                host.request()
                host.send()
        for ready in select.select(list(sockets), [], [], 0.02)[0]:
            sockets[ready].receive()
        if time.monotonic() > again:
            again = time.monotonic() + 0.1
            for host in hosts:
                if host.waiting:
                    host.send()


def compare(gateway, hosts):
    """What the gateway has is what the hosts were told."""
    has = {}
    for b in gateway.bindings():
        things = {(b["address"], "port", n) for n in numbers(b["ports"])}
        things |= {(b["address"], "SPI", n) for n in numbers(b["spis"])}
        has[b["client"], b["bind_id"]] = things
    want = {(host.address, bind): things for host in hosts for bind, things in host.binds.items()}
    if has != want:
        raise Failed(f"missing {[k for k in want if k not in has]}, too many {[k for k in has if k not in want]}, "
                     f"others {[k for k in want if k in has and has[k] != want[k]]}")
    return len(want)


def deadline(seconds, what):
    end = time.monotonic() + seconds

    def late():
        if time.monotonic() > end:
            raise Failed(what)
        return False
    return late


def main():
    rounds, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1 << 32)
    print(f"seed {seed}", flush=True)
    random.seed(seed)
    lent, gateway = Lent(), Gateway()
    hosts = [CrashHost(i, lent) for i in range(HOSTS)]
    for host in hosts:
        host.connect()
    gateway.start()
    for number in range(rounds):
        # The hosts may still be waiting for the start.
        moment = time.monotonic() + random.uniform(0.3, 1.5)
        run(hosts, lambda end=moment: time.monotonic() > end, True)
        gateway.end("terminate" if number % 4 == 3 else "kill")
        gateway.start()
        late = deadline(20, f"round {number}: no answer after the restart")
        run(hosts, lambda: late() or not any(host.waiting for host in hosts), False)
        count = compare(gateway, hosts)
    print(f"{rounds} rounds, {sum(host.counter for host in hosts)} requests, {count} leases at the end, "
          f"{lent.given} ports and SPIs given back")
    gateway.end("terminate")


try:
    main()
except Failed as why:
    sys.exit(f"crash: {why}")
