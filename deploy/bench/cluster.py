"""What deploy/bench/cluster measures: how soon nodes see one another come and go, how soon a request
under way finds another owner, and what a hit costs that another node keeps."""

import asyncio
import json
import os
import signal
import socket
import statistics
import subprocess
import time

from asking import Door, Failed, LocalCluster, Truncated, chat, complete, load, note

ROUNDS = int(os.environ.get("ROUNDS", "3"))
HIT_ROUNDS = 3
NODES = 5
KEYS = int(os.environ.get("KEYS", "24000"))
LATENCY_ASKS = int(os.environ.get("LATENCY_ASKS", "2000"))
SECONDS_EACH = int(os.environ.get("SECONDS_EACH", "5"))
CONNECTIONS = 16
LOOK_SECONDS = 0.02
SLOW = "[[mock latency_ms=3000]]"


class Watch:
    """One node's status, looked at again and again."""

    def __init__(self, cluster, i):
        self.cluster, self.door = cluster, Door(cluster.admins[i])

    async def status(self):
        told = await self.door.ask("GET", "/admin/v1/cluster", [("Authorization", f"Bearer {self.cluster.token}")],
                                   patience=2)
        return json.loads(told.body)

    async def until(self, says, patience=60):
        """When its status first satisfied `says`, by time.time()."""
        deadline = time.time() + patience
        while time.time() < deadline:
            try:
                if says(await self.status()):
                    return time.time()
            except (Failed, Truncated, ValueError):
                pass
            await asyncio.sleep(LOOK_SECONDS)
        raise SystemExit("a node's status has not come to what was awaited")


def seen(status):
    return [member["node"] for member in status["members"] if member["phase"] is not None]


def on_ring(status):
    return [member["node"] for member in status["members"] if member["share"]]


def well(count):
    """All are seen, on the ring, and may be asked."""
    return lambda status: len(on_ring(status)) == len(seen(status)) == count and not any(
        member["masked"] for member in status["members"])


def is_down(name):
    """Masked, or gone."""
    def says(status):
        of_it = [member for member in status["members"] if member["node"] == name]
        return all(member["phase"] is None or member["masked"] for member in of_it)
    return says


async def by_all(watches, says):
    """When the last of them said so."""
    return max(await asyncio.gather(*(watch.until(says) for watch in watches)))


class Figures:
    def __init__(self):
        self.of = {}

    def add(self, what, millis):
        note(f"  {what}: {millis:.0f} ms")
        self.of.setdefault(what, []).append(millis)

    def middle(self, what):
        return statistics.median(self.of[what]) if self.of.get(what) else float("nan")

    def worst(self, what):
        return max(self.of.get(what, [float("nan")]))


def started(name):
    """When a node's command line was settled, which is just before its process starts."""
    return os.stat(os.path.join(os.environ["FGY_LOCAL_CLUSTER"], f"{name}.command")).st_mtime


async def cold_start(cluster, figures):
    room = os.environ["FGY_LOCAL_CLUSTER"]
    up = asyncio.create_task(cluster.run("up", "--nodes", str(NODES)))
    admins, token = [], None
    while len(admins) < NODES:
        if up.done():
            await up
        await asyncio.sleep(LOOK_SECONDS)
        try:
            settings = open(os.path.join(room, "settings")).read()
            token = settings.split('FGY_ADMIN_TOKEN="')[1].split('"')[0]
            admins = open(os.path.join(room, "admins")).read().split()
        except (OSError, LookupError):
            continue
    cluster.admins, cluster.token = admins, token
    since, watches = started("node-1"), [Watch(cluster, i) for i in range(NODES)]
    view, ring = await asyncio.gather(
        by_all(watches, lambda status: len(seen(status)) == NODES),
        by_all([Watch(cluster, i) for i in range(NODES)], lambda status: len(on_ring(status)) == NODES))
    figures.add("cold start of 5 to one view", 1000 * (view - since))
    figures.add("cold start of 5 to one ring", 1000 * (ring - since))
    await up


async def join(cluster, figures):
    watches, rings = ([Watch(cluster, i) for i in range(NODES)] for _ in range(2))
    name = f"node-{NODES + 1}"
    adding = asyncio.create_task(cluster.run("add"))
    view, ring = await asyncio.gather(
        by_all(watches, lambda status: name in seen(status)), by_all(rings, lambda status: name in on_ring(status)))
    figures.add("a node that joins is seen by all", 1000 * (view - started(name)))
    figures.add("it is on everybody's ring", 1000 * (ring - started(name)))
    await adding


async def mend(cluster, victim):
    """Starts a killed node again and waits until all is well."""
    await cluster.run("restart", str(victim + 1), "--kill")
    await by_all([Watch(cluster, i) for i in range(len(cluster.admins))], well(len(cluster.admins)))


async def killed(cluster, figures, victim):
    watches = [Watch(cluster, i) for i in range(len(cluster.admins)) if i != victim]
    since = time.time()
    os.kill(cluster.pids[victim], signal.SIGKILL)
    figures.add("kill -9 is seen by all", 1000 * (await by_all(watches, is_down(f"node-{victim + 1}")) - since))
    await mend(cluster, victim)


async def owned_by(cluster, name, salt):
    """A prompt nobody asked yet whose owner is this node."""
    door = Door(cluster.admins[0])
    for number in range(200):
        prompt = f"{salt} {number} {SLOW}"
        question = {"body": json.loads(chat(prompt)), "headers": [["X-Fgy-Cache", "exact"]]}
        told = await door.ask("POST", "/admin/v1/explain", [
            ("Authorization", f"Bearer {cluster.token}"), ("Content-Type", "application/json"),
        ], json.dumps(question).encode())
        if json.loads(told.body).get("owner") == name:
            return prompt
    raise SystemExit(f"no prompt of 200 is {name}'s")


async def rerouted(cluster, figures, victim, sent):
    """From the signal to the second call, which another node made for the same request."""
    what = "after a reset" if sent == signal.SIGKILL else "after a hang"
    prompt = await owned_by(cluster, f"node-{victim + 1}", os.urandom(6).hex())
    await cluster.mock.ask("DELETE", "/__calls")
    asking = asyncio.create_task(complete(Door(cluster.nodes[0]), cluster.key, prompt))
    while await cluster.calls() < 1:
        await asyncio.sleep(LOOK_SECONDS)
    await asyncio.sleep(0.3)
    since = time.time()
    os.kill(cluster.pids[victim], sent)
    try:
        await asking
        calls = json.loads((await cluster.mock.ask("GET", "/__calls")).body)["calls"]
        if len(calls) == 2:
            figures.add(f"a live request is re-routed {what}", calls[1]["began_micros"] / 1000 - 1000 * since)
        else:
            note(f"  {len(calls)} calls instead of 2 {what}: not counted")
    except (Failed, Truncated) as error:
        note(f"  a live request FAILED {what}: {error}")
        figures.of.setdefault("failed", []).append(1)
    if sent == signal.SIGSTOP:
        os.kill(cluster.pids[victim], signal.SIGCONT)
        await by_all([Watch(cluster, i) for i in range(len(cluster.admins))], well(len(cluster.admins)))
    else:
        await mend(cluster, victim)


async def warmed(cluster):
    """Prompts that are kept: what node-1 owns, and what others own."""
    salt, owners = os.urandom(6).hex(), {}
    prompts = iter([f"{salt} {number} " + "what is kept need not be asked for twice " * 24 for number in range(KEYS)])

    async def asker():
        for prompt in prompts:
            owners[prompt] = (await complete(Door(cluster.nodes[0]), cluster.key, prompt)).owner()

    await asyncio.gather(*(asker() for _ in range(16)))
    await asyncio.sleep(2)
    mine = [prompt for prompt, owner in owners.items() if owner == "node-1"]
    return mine, [prompt for prompt, owner in owners.items() if owner != "node-1"]


class Line:
    """One connection, as little in its way as can be."""

    def __init__(self, cluster):
        host, port = cluster.nodes[0].removeprefix("http://").split(":")
        self.socket = socket.create_connection((host, int(port)))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.head = (f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {cluster.key}\r\n"
                     "X-Provider-Auth: Bearer test\r\nContent-Type: application/json\r\nX-Fgy-Cache: exact\r\n")

    def ask(self, prompt):
        """Microseconds until the whole hit is here, and whose it was."""
        body = chat(prompt)
        asked = f"{self.head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        since = time.perf_counter()
        self.socket.sendall(asked)
        heard = b""
        while b"\r\n\r\n" not in heard:
            heard += self.socket.recv(65536)
        head, rest = heard.split(b"\r\n\r\n", 1)
        lines = head.lower().decode().split("\r\n")
        told = dict(line.split(": ", 1) for line in lines[1:])
        while len(rest) < int(told["content-length"]):
            rest += self.socket.recv(65536)
        took = 1e6 * (time.perf_counter() - since)
        if told.get("x-fgy-cache") != "hit":
            raise SystemExit(f"not a hit: {lines[0]} {told.get('x-fgy-cache')}")
        return took, told["x-fgy-owner"]


def latencies(cluster, mine, others):
    """p50 and p99 of hits here and of hits there, asked in turn."""
    line, took = Line(cluster), {True: [], False: []}
    for number in range(LATENCY_ASKS):
        for prompts in (mine, others):
            micros, owner = line.ask(prompts[number % len(prompts)])
            took[owner == "node-1"].append(micros)
    return [(statistics.median(took[here]), statistics.quantiles(took[here], n=100)[98]) for here in (True, False)]


def rate(cluster, prompts):
    room = os.environ["FGY_LOCAL_CLUSTER"]
    file = os.path.join(room, "prompts")
    with open(file, "wb") as bodies:
        bodies.writelines(chat(prompt) + b"\n" for prompt in prompts)
    said = subprocess.run(
        ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS_EACH}s", "--timeout", "10s", "--latency", "-s",
         os.path.join(os.path.dirname(__file__), "keys.lua"), cluster.nodes[0]],
        env=os.environ | {"PROMPTS_FILE": file, "FGY_KEY": cluster.key}, capture_output=True, text=True, check=True)
    return [int(word) for line in said.stdout.splitlines() if line.startswith("result ") for word in line.split()[1:]]


async def hits(cluster):
    note(f"asking {KEYS} prompts for the first time")
    mine, others = await warmed(cluster)
    copied = (await cluster.counts(0, ["fgy_answers_copied"]))[0]
    pairs = [latencies(cluster, mine, others) for _ in range(HIT_ROUNDS)]
    rates = [(rate(cluster, mine), rate(cluster, others)) for _ in range(HIT_ROUNDS)]
    copied = (await cluster.counts(0, ["fgy_answers_copied"]))[0] - copied
    return pairs, rates, copied


async def main():
    figures, before = Figures(), load()
    for number in range(ROUNDS):
        cluster = LocalCluster()
        note(f"round {number + 1} of {ROUNDS}")
        try:
            await cold_start(cluster, figures)
            await join(cluster, figures)
            await killed(cluster, figures, NODES)
            await killed(cluster, figures, 1 + number % (NODES - 1))
            for sent in (signal.SIGKILL, signal.SIGSTOP):
                for victim in (1 + number % (NODES - 1), 1 + (number + 2) % (NODES - 1)):
                    await rerouted(cluster, figures, victim, sent)
            if number + 1 == ROUNDS:
                measured = await hits(cluster)
        finally:
            await cluster.run("down")
    show(figures, *measured, before)


def show(figures, pairs, rates, copied, before):
    def line(what, goal):
        print(f"| {what} | {figures.middle(what):,.0f} ms | {figures.worst(what):,.0f} ms | {goal} |")

    def middle(values):
        return statistics.median(values)

    print(f"\n{ROUNDS} rounds; {before} before, {load()} after\n")
    print("| what | median | worst | goal |\n|---|---|---|---|")
    line("cold start of 5 to one view", "1,500 ms")
    line("cold start of 5 to one ring", "a node is taken after 3,000 ms")
    line("a node that joins is seen by all", "1,500 ms")
    line("it is on everybody's ring", "a node is taken after 3,000 ms")
    line("kill -9 is seen by all", "2,000 ms")
    line("a live request is re-routed after a reset", "300 ms")
    line("a live request is re-routed after a hang", "2,500 ms")
    print(f"\nlive requests that failed: {len(figures.of.get('failed', []))}\n")
    print("| hits at one node | p50 one at a time | p99 | hits/s, "
          f"{CONNECTIONS} connections | p50 | errors |\n|---|---|---|---|---|---|")
    for which, name in ((0, "kept here"), (1, "kept by another node")):
        p50, p99 = (middle(pair[which][i] for pair in pairs) for i in (0, 1))
        per_second, busy = (middle(both[which][i] for both in rates) for i in (0, 1))
        errors = sum(both[which][3] for both in rates)
        print(f"| {name} | {p50:.0f} us | {p99:.0f} us | {per_second:,.0f} | {busy:.0f} us | {errors} |")
    hop = middle(pair[1][0] - pair[0][0] for pair in pairs)
    share = middle(there[0] / here[0] for here, there in rates)
    print(f"\nthe hop: p50 {hop:+.0f} us (goal: 150 us); forwarded hits/s: {share:.2f} of local ones; "
          f"near copies made meanwhile: {copied:.0f} of {KEYS} keys")


if __name__ == "__main__":
    asyncio.run(main())
