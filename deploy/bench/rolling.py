"""The load and the restarts of deploy/bench/rolling. The balancer in front of the nodes is played
here: it looks at each node's /readyz five times a second and sends nothing new to one that does not
say 200. Nothing is ever asked again."""

import asyncio
import os
import time

from asking import Door, Failed, LocalCluster, Truncated, complete, load, note

RATE = int(os.environ.get("RATE", "250"))
POOL = int(os.environ.get("POOL", "4000"))
STREAMS_PER_SECOND = float(os.environ.get("STREAMS_PER_SECOND", "2"))
QUIET_SECONDS = float(os.environ.get("QUIET_SECONDS", "20"))
# Of 20 requests, evenly: so the hit rate is the same in every window, but for what is measured.
NEW_OF_20 = 3
LONG = "[[mock chunks=100 pace_ms=200]]"
# How long after a long stream's first caller a second one asks for the same at another node: it is
# to hear the same call, also where the ring has changed in between.
SECOND_CALLER_SECONDS = 6
LOOK_SECONDS = 0.2
WINDOW_SECONDS = 5
COUNTERS = ["fgy_flights_rerouted", "fgy_flights_lost", "fgy_answers_inherited"]
SHARED = ("hit", "semantic-hit", "coalesced")


class Balancer:
    """Which nodes may be sent something new."""

    def __init__(self, nodes):
        self.doors, self.ready, self.turn = [Door(node) for node in nodes], [True] * len(nodes), 0

    async def watch(self, i):
        while True:
            try:
                looked = await Door(self.doors[i].url).ask("GET", "/readyz", [("Connection", "close")], patience=1)
                ready = looked.status == 200
            except (Failed, Truncated):
                ready = False
            if self.ready[i] and not ready:
                self.doors[i].shut()
            self.ready[i] = ready
            await asyncio.sleep(LOOK_SECONDS)

    def next(self, avoided=None):
        for _ in self.doors:
            self.turn = (self.turn + 1) % len(self.doors)
            if self.ready[self.turn] and self.turn != avoided:
                return self.turn
        return None


class Tally:
    """What came of each request: (when it was sent, its outcome)."""

    def __init__(self):
        self.asked, self.failed, self.truncated, self.calls_due, self.late = [], 0, 0, 0, 0
        self.streams, self.unexpected, self.apart = 0, 0, 0

    def rate(self, since, until):
        outcomes = [outcome for when, outcome in self.asked if since <= when < until]
        return 100 * sum(outcome in SHARED for outcome in outcomes) / max(1, len(outcomes))


class Run:
    def __init__(self, cluster):
        self.cluster, self.tally, self.began = cluster, Tally(), time.monotonic()
        self.balancer, self.under_way, self.recent = Balancer(cluster.nodes), set(), []
        self.salt, self.stopping, self.known, self.fresh = os.urandom(6).hex(), False, 0, 0
        self.avoided = None  # by long streams: the node hears those it owns from others alone

    def spawn(self, work):
        task = asyncio.create_task(work)
        self.under_way.add(task)
        task.add_done_callback(self.under_way.discard)

    async def one(self, prompt, new, stream, long=False):
        tally, sent = self.tally, time.monotonic()
        node = self.balancer.next(self.avoided if long else None)
        outcome = "failed"
        tally.calls_due += new
        try:
            if node is None:
                raise Failed("no node is ready")
            answer = await complete(self.balancer.doors[node], self.cluster.key, prompt, stream)
            outcome = answer.outcome()
            if new and not long:
                self.recent.append((time.monotonic(), prompt))
            if long and not new:
                tally.apart += outcome not in SHARED
            elif not new and outcome not in SHARED:
                tally.unexpected += 1
                if tally.unexpected <= 10:
                    note(f"  {sent - self.began:.1f} s: kept, yet {outcome} "
                         f"({answer.headers.get('x-fgy-cache-reason')}), entry node-{node + 1}, owner {answer.owner()}")
        except (Failed, Truncated) as error:
            kind = type(error).__name__.lower()
            setattr(tally, kind, getattr(tally, kind) + 1)
            if tally.failed + tally.truncated <= 20:
                where = "nowhere" if node is None else f"node-{node + 1}"
                note(f"  {sent - self.began:.1f} s, after {time.monotonic() - sent:.1f} s: "
                     f"{'long stream ' if long else ''}{kind} at {where}: {error}")
        if not long:
            tally.asked.append((sent, outcome))

    def prompt(self, number):
        """Something that was asked before, or something new: what, and whether it is new."""
        if number * NEW_OF_20 % 20 < NEW_OF_20:
            self.fresh += 1
            return f"{self.salt} new {self.fresh}", True
        # Every other one is something that was new 3 s ago or earlier, asked once more.
        if number % 2 and self.recent and time.monotonic() - self.recent[0][0] > 3:
            return self.recent.pop(0)[1], False
        self.known += 1
        return f"{self.salt} pool {self.known % POOL}", False

    async def steady(self):
        number = 0
        begun = time.monotonic()
        while not self.stopping:
            number += 1
            wait = begun + number / RATE - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            self.tally.late = max(self.tally.late, -wait)
            prompt, new = self.prompt(number)
            # The pool was made half plain, half streamed: each way is another key.
            self.spawn(self.one(prompt, new, stream=hash(prompt) % 2 == 0))

    async def long_streams(self):
        while not self.stopping:
            self.tally.streams += 1
            prompt = f"{self.salt} long {self.tally.streams} {LONG}"
            self.spawn(self.one(prompt, True, True, long=True))
            self.spawn(self.second_caller(prompt))
            await asyncio.sleep(1 / STREAMS_PER_SECOND)

    async def second_caller(self, prompt):
        await asyncio.sleep(SECOND_CALLER_SECONDS)
        await self.one(prompt, False, True, long=True)

    async def warm(self):
        numbers = iter(range(POOL))

        async def asker():
            for number in numbers:
                prompt = f"{self.salt} pool {number}"
                door = self.balancer.doors[number % len(self.balancer.doors)]
                await complete(door, self.cluster.key, prompt, hash(prompt) % 2 == 0)

        await asyncio.gather(*(asker() for _ in range(16)))


async def main():
    cluster = LocalCluster()
    note("starting 3 nodes")
    await cluster.run("up", "--nodes", "3")
    try:
        await measured(cluster)
    finally:
        await cluster.run("down", *(["--keep"] if os.environ.get("KEEP") else []))


async def measured(cluster):
    run = Run(cluster)
    note(f"asking {POOL} prompts for the first time")
    await run.warm()
    await asyncio.sleep(4)
    calls_before, load_before = await cluster.calls(), load()
    watching = [asyncio.create_task(run.balancer.watch(i)) for i in range(3)]
    loads = [asyncio.create_task(run.steady()), asyncio.create_task(run.long_streams())]
    run.began = began = time.monotonic()
    await asyncio.sleep(QUIET_SECONDS)
    first, took, counts = time.monotonic(), [], [0, 0, 0]
    for i in range(3):
        if i == 1:
            # One of them hears of its streams only by the other nodes.
            run.avoided = i
            await asyncio.sleep(21)
        note(f"{time.monotonic() - began:.1f} s: restarting node-{i + 1}")
        counting = asyncio.create_task(count_until_gone(cluster, i))
        since = time.monotonic()
        await cluster.run("restart", str(i + 1))
        took.append(time.monotonic() - since)
        counts = [a + b for a, b in zip(counts, await counting)]
        while not run.balancer.ready[i]:
            await asyncio.sleep(LOOK_SECONDS)
        run.avoided = None
        await asyncio.sleep(5)
    last = time.monotonic()
    note(f"{last - began:.1f} s: all restarted")
    await asyncio.sleep(QUIET_SECONDS)
    ended = time.monotonic()
    run.stopping = True
    await asyncio.gather(*loads)
    while run.under_way:
        await asyncio.gather(*list(run.under_way))
    for task in watching:
        task.cancel()
    for i in range(3):
        counts = [a + b for a, b in zip(counts, await cluster.counts(i, COUNTERS))]
    calls = await cluster.calls() - calls_before
    show(run.tally, first, last, began, ended, calls, took, counts, load_before)


async def count_until_gone(cluster, i):
    """A node's last counts before it went."""
    counts = await cluster.counts(i, COUNTERS)
    while True:
        await asyncio.sleep(0.3)
        latest = await cluster.counts(i, COUNTERS)
        if sum(latest) < sum(counts) or (not any(latest) and any(counts)):
            return counts
        counts = latest
        try:
            os.kill(cluster.pids[i], 0)
        except ProcessLookupError:
            return counts


def show(tally, first, last, began, ended, calls, took, counts, load_before):
    before, after = tally.rate(began, first), tally.rate(last, ended)
    windows = []
    since = first
    while since < last:
        windows.append(tally.rate(since, since + WINDOW_SECONDS))
        since += 1
    extra = calls - tally.calls_due
    share = 100 * extra / max(1, tally.calls_due)
    asked = len(tally.asked)
    print(f"\nrolling restart of 3 nodes, {asked / (ended - began):.0f} requests/s and {STREAMS_PER_SECOND:g} streams "
          f"of 20 s begun a second; load average {load_before.split()[-1]} before, {load()} after\n")
    print("| what | figure | goal |\n|---|---|---|")
    print(f"| requests; streams of 20 s, with two callers each | {asked}; {tally.streams} | 200 distinct keys/s |")
    print(f"| failed | {tally.failed} | 0 |")
    print(f"| truncated | {tally.truncated} | 0 |")
    print(f"| hit rate before | {before:.1f} % | 80 % |")
    print(f"| lowest hit rate of any 5 s | {min(windows):.1f} % | 2 points less: {before - 2:.1f} % |")
    print(f"| hit rate after | {after:.1f} % | |")
    print(f"| upstream calls beyond the {tally.calls_due} due | {extra} ({share:.2f} %) | 1 % |")
    print(f"| kept, yet told as a miss; flying, yet told as a miss | {tally.unexpected}; {tally.apart} | |")
    print(f"| seconds each restart took | {', '.join(f'{seconds:.1f}' for seconds in took)} | |")
    print(f"| flights re-routed, lost; answers inherited | {counts[0]:.0f}, {counts[1]:.0f}; {counts[2]:.0f} | |")
    print(f"| latest that a request was sent late | {1000 * tally.late:.0f} ms | |")


if __name__ == "__main__":
    asyncio.run(main())
