"""What the cluster benchmarks share: a small HTTP/1.1 client that retries nothing and checks that
each answer is whole, and the local cluster as an object. Python's standard library alone."""

import asyncio
import json
import os
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# Nothing here takes longer, streams of 20 s included.
PATIENCE_SECONDS = 60
# An idle connection is not used again after this: well before a server's own limit.
IDLE_SECONDS_MAX = 5


class Failed(Exception):
    """No answer, or not the one that was due."""


class Truncated(Exception):
    """An answer that began and did not end."""


class Answer:
    def __init__(self, status, headers, body, first, last):
        self.status, self.headers, self.body = status, headers, body
        self.first, self.last = first, last  # time.monotonic() at its first and last byte

    def outcome(self):
        return self.headers.get("x-fgy-cache", "none")

    def owner(self):
        return self.headers.get("x-fgy-owner", "none")


class Door:
    """Keep-alive connections to one listener."""

    def __init__(self, url):
        host, port = url.removeprefix("http://").split(":")
        self.url, self.host, self.port, self.idle = url, host, int(port), []

    def shut(self):
        """Forgets the idle connections: nothing is sent over them any more."""
        while self.idle:
            self.idle.pop()[1].close()

    async def open(self):
        while self.idle:
            reader, writer, since = self.idle.pop()
            if time.monotonic() - since < IDLE_SECONDS_MAX and not reader.at_eof():
                return reader, writer
            writer.close()
        return await asyncio.open_connection(self.host, self.port, limit=1 << 22)

    async def ask(self, method, path, headers=(), body=b"", patience=PATIENCE_SECONDS):
        try:
            return await asyncio.wait_for(self._ask(method, path, headers, body), patience)
        except asyncio.TimeoutError:
            raise Failed(f"nothing within {patience} s") from None

    async def _ask(self, method, path, headers, body):
        try:
            reader, writer = await self.open()
        except OSError as error:
            raise Failed(f"no connection: {error}") from None
        whole = False
        try:
            lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}", f"Content-Length: {len(body)}"]
            lines += [f"{name}: {value}" for name, value in headers]
            writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
            status, told = await self._head(reader)
            first = time.monotonic()
            answer = Answer(status, told, await self._body(reader, told), first, time.monotonic())
            whole = told.get("connection", "").lower() != "close"
            return answer
        finally:
            if whole:
                self.idle.append((reader, writer, time.monotonic()))
            else:
                writer.close()

    async def _head(self, reader):
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        except (asyncio.IncompleteReadError, OSError) as error:
            raise Failed(f"broken off before an answer: {error!r}") from None
        fields = (line.split(":", 1) for line in head[1:] if line)
        return int(head[0].split()[1]), {name.lower(): value.strip() for name, value in fields}

    async def _body(self, reader, told):
        try:
            if told.get("transfer-encoding", "").lower() != "chunked":
                return await reader.readexactly(int(told.get("content-length", "0")))
            pieces = []
            while size := int((await reader.readuntil(b"\r\n"))[:-2].split(b";")[0], 16):
                pieces.append((await reader.readexactly(size + 2))[:-2])
            await reader.readuntil(b"\r\n")
            return b"".join(pieces)
        except (asyncio.IncompleteReadError, OSError) as error:
            raise Truncated(f"broken off within an answer: {error!r}") from None


def chat(prompt, stream=False):
    asked = {"model": "gpt-4o", "messages": [{"role": "user", "content": prompt}]}
    return json.dumps(asked | ({"stream": True} if stream else {})).encode()


async def complete(door, key, prompt, stream=False, patience=PATIENCE_SECONDS):
    """One chat completion, exact matching only; raises where it is not whole."""
    headers = [
        ("Authorization", f"Bearer {key}"),
        ("X-Provider-Auth", "Bearer test"),
        ("Content-Type", "application/json"),
        ("X-Fgy-Cache", "exact"),
    ]
    answer = await door.ask("POST", "/v1/chat/completions", headers, chat(prompt, stream), patience)
    if answer.status != 200:
        raise Failed(f"status {answer.status}: {answer.body[:200]!r}")
    if stream:
        if not answer.body.rstrip().endswith(b"data: [DONE]"):
            raise Truncated(f"a stream without its end: …{answer.body[-200:]!r}")
    else:
        try:
            json.loads(answer.body)["choices"][0]["message"]["content"]
        except (ValueError, LookupError):
            raise Truncated(f"not a whole answer: {answer.body[:200]!r}") from None
    return answer


class LocalCluster:
    """deploy/local-cluster, by the lines it prints. FGY_BIN and FGY_LOCAL_CLUSTER come from the
    environment."""

    def __init__(self):
        self.told = {}

    def command(self, *words):
        return [os.path.join(ROOT, "deploy", "local-cluster"), *words]

    def hear(self, lines):
        for line in lines.splitlines():
            name, _, value = line.removeprefix("export ").partition("=")
            self.told[name] = value.strip('"')
        self.nodes, self.admins = self.told["FGY_NODES"].split(), self.told["FGY_ADMINS"].split()
        self.pids = [int(pid) for pid in self.told["FGY_PIDS"].split()]
        self.key, self.token = self.told["FGY_KEY"], self.told["FGY_ADMIN_TOKEN"]
        self.mock = Door(self.told["FGY_MOCK"])

    async def run(self, *words):
        """Runs it without holding up the load; hears what it says."""
        process = await asyncio.create_subprocess_exec(*self.command(*words), stdout=subprocess.PIPE)
        lines, _ = await process.communicate()
        if process.returncode != 0:
            raise SystemExit(f"deploy/local-cluster {' '.join(words)} came to {process.returncode}")
        if words[0] != "down":
            self.hear(lines.decode())

    async def calls(self):
        """Calls the simulated provider has taken."""
        told = await self.mock.ask("GET", "/__calls?last=0")
        return json.loads(told.body)["totals"]["calls"]

    async def admin(self, url, path, patience=2):
        told = await Door(url).ask("GET", path, [("Authorization", f"Bearer {self.token}"), ("Connection", "close")],
                                   patience=patience)
        if told.status != 200:
            raise Failed(f"status {told.status}")
        return told.body

    async def counts(self, i, names):
        """Some counters of node i; zeros where it cannot be asked."""
        try:
            text = (await self.admin(self.admins[i], "/metrics")).decode()
        except (Failed, Truncated):
            text = ""
        found = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        return [float(found.get(name, 0)) for name in names]


def load():
    """What else this machine has to do."""
    return f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}"


def note(*words):
    print(*words, file=sys.stderr, flush=True)
