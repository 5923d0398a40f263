"""The self-hosted service under load: many clients, each uploading 15 s and asking until it has the answer.

    python -m bench.serve [--clients 50] [--seconds 60]

Three parts, each against `earmark serve` as a process of its own on loopback, with a catalogue of synthesised tunes:
one client on the idle machine; CLIENTS clients at once (latency, throughput, errors, memory, how busy each core is);
and the same clients while the service is killed (SIGKILL) in the middle and started again, after which every token must
answer or say why and the account must match what clients were told. Clients and service share the machine's cores.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bench.process import busy_s, cpu_s, memory_mb
from pipeline.audio import wav_bytes
from pipeline.engine.catalogue import Catalogue
from pipeline.server.service import open_accounts
from tests.engine.melodies import cut, entry, tune

ROOT = Path(__file__).parent.parent
TUNES, STRANGERS, TUNE_S, UPLOAD_S = 40, 10, 60.0, 15
BOUNDARY = "bench"


@dataclass
class Seen:
    """What one client met."""

    accepted_s: list[float] = field(default_factory=list)
    answered_s: list[float] = field(default_factory=list)
    said: Counter[str] = field(default_factory=Counter)
    tokens: list[str] = field(default_factory=list)
    in_doubt: int = 0
    """Uploads whose reply never came, because the service was killed."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    wavs = [
        wav_bytes(cut(tune(seed, TUNE_S), at_s, UPLOAD_S))
        for seed in range(TUNES + STRANGERS)
        for at_s in (5.0, 30.0)
    ]
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder)
        with Catalogue.open(state / "catalogue", create=True) as catalogue:
            catalogue.add(entry(seed, TUNE_S) for seed in range(TUNES))
        database, accounts = open_accounts(state)
        key, _ = accounts.add()
        database.close()
        idle(state, key, wavs)
        loaded(state, key, wavs, clients=options.clients, seconds=options.seconds)
        killed(state, key, wavs, clients=options.clients, seconds=min(options.seconds, 20.0))


def idle(state: Path, key: str, wavs: list[bytes]) -> None:
    """One client, one upload after the other."""
    with running(state) as (_, port):
        seen = run_clients(port, key, wavs, clients=1, seconds=10.0)
    print(
        f"idle, one client: identify answered in {spread(seen.accepted_s)}, result in {spread(seen.answered_s)}"
    )


def loaded(state: Path, key: str, wavs: list[bytes], *, clients: int, seconds: float) -> None:
    """Many clients; memory after a warm-up and at the end."""
    with running(state) as (process, port):
        run_clients(port, key, wavs, clients=clients, seconds=10.0)
        before_mb, before_s, cores_before = memory_mb(process.pid), cpu_s(process.pid), busy_s()
        began = time.monotonic()
        seen = run_clients(port, key, wavs, clients=clients, seconds=seconds)
        took_s = time.monotonic() - began
        after_mb, used_s = memory_mb(process.pid), cpu_s(process.pid) - before_s
        shares = [after - before for before, after in zip(cores_before, busy_s(), strict=True)]
    errors = {word: count for word, count in seen.said.items() if word not in {"found", "not found"}}
    print(
        f"{clients} clients for {took_s:.0f} s: {len(seen.answered_s) / took_s:.1f} answers a second, "
        f"{dict(seen.said)}, errors {sum(errors.values())}"
    )
    print(f"  identify answered in {spread(seen.accepted_s)}")
    print(f"  result after         {spread(seen.answered_s)}")
    busy = ", ".join(f"{min(share / took_s, 1.0):.0%}" for share in shares)
    print(f"  each core busy: {busy}; of that the service {used_s / took_s:.2f} cores")
    print(
        f"  private memory of the service: {before_mb:.0f} MB at the beginning, {after_mb:.0f} MB at the end"
    )
    if errors:
        sys.exit("there were errors")


def killed(state: Path, key: str, wavs: list[bytes], *, clients: int, seconds: float) -> None:
    """The same clients; kill -9 in the middle, then a restart on the same port."""
    total = Seen()
    with running(state) as (process, port):
        before = charges(port, key)
        mortal = threading.Timer(seconds / 2, process.send_signal, [signal.SIGKILL])
        mortal.start()
        collect(total, run_clients(port, key, wavs, clients=clients, seconds=seconds, patient=False))
        mortal.join()
    with running(state) as (_, port):
        fates = Counter(settled(port, key, token) for token in total.tokens)
        after = charges(port, key)
    charged_s, spent_s = (now - then for now, then in zip(after, before, strict=True))
    told = len(total.tokens)
    extra = charged_s / UPLOAD_S - told
    print(f"kill -9 after {seconds / 2:.0f} s: {told} tokens, of which afterwards {dict(fates)}")
    print(
        f"  charged for {charged_s / UPLOAD_S:.0f} uploads: {told} confirmed and {extra:.0f} of the "
        f"{total.in_doubt} whose reply was cut off"
    )
    print(f"  credits spent: {spent_s}, for {charged_s} s that were uploaded")
    if not 0 <= extra <= total.in_doubt or spent_s != charged_s or set(fates) - {"found", "not found"}:
        sys.exit("what was charged and what was answered do not match")


@contextmanager
def running(state: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """`earmark serve` over this state, once it is ready."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "EARMARK_SERVER__RATE_PER_KEY": "100000"}
    environment["EARMARK_SERVER__RATE_PER_ADDRESS"] = "100000"
    command = [
        sys.executable,
        "-m",
        "pipeline",
        "serve",
        "--port",
        "0",
        "--json",
        "-q",
        "--state",
        str(state),
    ]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = int(json.loads(process.stdout.readline())["url"].split(":")[2].split("/")[0])
            ends = time.monotonic() + 120
            while ask(http.client.HTTPConnection("127.0.0.1", port), "GET", "/healthz")[0] != 200:
                assert time.monotonic() < ends
                time.sleep(0.2)
            yield process, port
        finally:
            process.terminate()
            process.wait(60)


def run_clients(
    port: int, key: str, wavs: list[bytes], *, clients: int, seconds: float, patient: bool = True
) -> Seen:
    """What all clients met; one that is not `patient` ends when the service is gone."""
    ends = time.monotonic() + seconds
    seen = [Seen() for _ in range(clients)]
    threads = [
        threading.Thread(target=client, args=(port, key, wavs, ends, one, number, patient))
        for number, one in enumerate(seen)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    total = Seen()
    for one in seen:
        collect(total, one)
    return total


def client(port: int, key: str, wavs: list[bytes], ends: float, seen: Seen, seed: int, patient: bool) -> None:
    chance = random.Random(seed)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    uploading = False
    try:
        while time.monotonic() < ends:
            began = time.monotonic()
            uploading = True
            reply = upload(connection, key, chance.choice(wavs))
            uploading = False
            seen.accepted_s.append(time.monotonic() - began)
            if not reply["success"]:
                seen.said[str(reply["error"])] += 1
                time.sleep(0.5)
                continue
            seen.tokens.append(str(reply["token"]))
            seen.said[result(connection, key, str(reply["token"]))] += 1
            seen.answered_s.append(time.monotonic() - began)
    except (OSError, http.client.HTTPException):
        seen.in_doubt += uploading
        if patient:
            seen.said["connection lost"] += 1


def upload(connection: http.client.HTTPConnection, key: str, wav: bytes) -> dict[str, object]:
    fields = {"apikey": key, "action": "identify"}
    part = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="'
    form = "".join(f'{part}{name}"\r\n\r\n{value}\r\n' for name, value in fields.items())
    head = f'{form}{part}file"; filename="x.wav"\r\n\r\n'.encode()
    kind = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    _, body = ask(connection, "POST", "/api", head + wav + f"\r\n--{BOUNDARY}--\r\n".encode(), kind)
    reply: dict[str, object] = json.loads(body)
    return reply


def result(connection: http.client.HTTPConnection, key: str, token: str) -> str:
    """What `get_result` says in the end, asked ten times a second."""
    while True:
        reply = question(connection, key, "get_result", token)
        said = str(reply.get("result", reply.get("error")))
        if said != "wait":
            return said
        time.sleep(0.1)


def settled(port: int, key: str, token: str) -> str:
    return result(http.client.HTTPConnection("127.0.0.1", port, timeout=60), key, token)


def charges(port: int, key: str) -> tuple[int, int]:
    """Seconds uploaded and credits spent, as the service counts them."""
    stat = question(http.client.HTTPConnection("127.0.0.1", port), key, "stat")
    return int(str(stat["uploaded_duration_sec"])), int(str(stat["credits_spent"]))


def question(
    connection: http.client.HTTPConnection, key: str, action: str, token: str = ""
) -> dict[str, object]:
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    _, body = ask(connection, "POST", "/api", f"apikey={key}&action={action}&token={token}".encode(), kind)
    reply: dict[str, object] = json.loads(body)
    return reply


def ask(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: bytes = b"",
    headers: dict[str, str] | None = None,
) -> tuple[int, bytes]:
    connection.request(method, path, body, headers or {})
    response = connection.getresponse()
    return response.status, response.read()


def collect(total: Seen, one: Seen) -> None:
    total.accepted_s += one.accepted_s
    total.answered_s += one.answered_s
    total.tokens += one.tokens
    total.said += one.said
    total.in_doubt += one.in_doubt


def spread(seconds: list[float]) -> str:
    p50, p90, p99 = np.percentile(seconds, [50, 90, 99]) * 1000
    return f"p50 {p50:.0f}, p90 {p90:.0f}, p99 {p99:.0f}, max {max(seconds) * 1000:.0f} ms"


if __name__ == "__main__":
    main()
