"""kill -9 at random moments under load: what was told, what was answered and what was charged still match."""

from __future__ import annotations

import random
import signal
import threading
from pathlib import Path

import pytest
import requests

from pipeline.model import Pcm
from tests.engine.melodies import cut, tune
from tests.server.running import settled
from tests.server.test_restart import Command, music, served

CLIENTS, KILLS, UPLOAD_S = 6, 4, 15


class Client(threading.Thread):
    """Uploads until the service is gone; keeps the tokens it was told, and whether its last upload is in doubt."""

    def __init__(self, command: Command, pcm: Pcm) -> None:
        super().__init__()
        self._command = command
        self._pcm = pcm
        self.tokens: list[str] = []
        self.refused: list[str] = []

    def run(self) -> None:
        while True:
            try:
                reply = self._command.upload(self._pcm)
            except (requests.RequestException, ValueError):
                return
            if reply["success"]:
                self.tokens.append(reply["token"])
            else:
                self.refused.append(reply["error"])


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_no_kill_loses_a_job_or_charges_one_twice(tmp_path: Path) -> None:
    music(tmp_path)
    chance = random.Random(1)
    tunes = [cut(tune(seed), 5, UPLOAD_S) for seed in (1, 2, 3)]
    told: dict[str, str] = {}
    most_in_doubt, key, charged_s = 0, "", 0
    for _ in range(KILLS):
        with served(tmp_path, key) as command:
            key = command.key
            clients = [Client(command, tunes[number % 3]) for number in range(CLIENTS)]
            for client in clients:
                client.start()
            threading.Event().wait(chance.uniform(0.5, 4.0))
            command.process.send_signal(signal.SIGKILL)
            for client in clients:
                client.join()
            most_in_doubt += CLIENTS
        for number, client in enumerate(clients):
            assert set(client.refused) <= {"service temporarily not available"}
            told |= dict.fromkeys(client.tokens, "found" if number % 3 < 2 else "not found")
    with served(tmp_path, key) as command:
        for token, expected in told.items():
            reply = settled(lambda token=token: command.ask("get_result", data={"token": token}), limit_s=120)
            assert reply["result"] == expected
        stat = command.ask("stat")
        charged_s = stat["uploaded_duration_sec"]

    assert told
    assert len(set(told)) * UPLOAD_S <= charged_s <= (len(told) + most_in_doubt) * UPLOAD_S
    assert stat["credits_spent"] == charged_s
