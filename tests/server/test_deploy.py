"""The systemd unit and the Dockerfile, linted: what they name is known and there, and is no more than is needed."""

from __future__ import annotations

import configparser
import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from pipeline.config import ServerSettings
from tests.conftest import ROOT, Earmark

UNIT = ROOT / "configs/deploy/earmark.service"
DOCKERFILE = ROOT / "configs/deploy/Dockerfile"
KNOWN = {
    "FROM", "WORKDIR", "COPY", "RUN", "ENV", "USER", "VOLUME", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT",
    "CMD",
}  # fmt: skip


def unit() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(UNIT.read_text("utf-8"))
    return parser


def instructions() -> list[tuple[str, str]]:
    """Every instruction of the Dockerfile with what follows it, lines joined as docker joins them."""
    lines = [line for line in DOCKERFILE.read_text("utf-8").splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [
        (word, rest.strip())
        for line in joined.splitlines()
        if line
        for word, _, rest in [line.partition(" ")]
    ]


def of(name: str) -> list[str]:
    return [rest for word, rest in instructions() if word == name]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    # The command is installed on no machine that runs this; everything else is as it stands.
    text = UNIT.read_text("utf-8").replace("/opt/earmark/bin/earmark serve", "/bin/true serve")
    (tmp_path / UNIT.name).write_text(text)
    found = subprocess.run(
        ["systemd-analyze", "verify", tmp_path / UNIT.name],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (found.returncode, found.stdout + found.stderr) == (0, "")


def test_the_unit_runs_as_nobody_who_matters_and_sees_little() -> None:
    service = unit()["Service"]

    assert service["User"] not in {"", "root", "0"}
    for shield in (
        "NoNewPrivileges",
        "PrivateTmp",
        "PrivateDevices",
        "RestrictSUIDSGID",
        "ProtectControlGroups",
    ):
        assert service[shield] == "yes"
    assert service["ProtectSystem"] == "strict"
    assert service["CapabilityBoundingSet"] == ""
    assert service["UMask"] == "0077"
    assert int(service["TimeoutStopSec"]) > 20, "more than a graceful stop takes"
    assert service["ExecStart"].endswith(f"--state /var/lib/{service['StateDirectory']}")


def test_what_unit_and_image_start_is_a_command_that_there_is(earmark: Earmark) -> None:
    [cmd] = of("CMD")
    started = [unit()["Service"]["ExecStart"].split()[1:], json.loads(cmd)]
    told = earmark("serve", "--help").stdout

    for command, *options in started:
        assert command == "serve"
        for option in options:
            assert not option.startswith("-") or option in told


def test_the_image_is_built_from_what_is_there_on_a_pinned_base() -> None:
    assert {word for word, _ in instructions()} <= KNOWN
    for base in of("FROM"):
        assert re.fullmatch(r"python:3\.\d+-slim-[a-z]+( AS [a-z]+)?", base)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    [wanted] = re.findall(r'"\.\[([a-z,]+)\]"', DOCKERFILE.read_text("utf-8"))
    assert set(wanted.split(",")) <= set(extras)
    for sources in of("COPY"):
        if not sources.startswith("--from="):
            assert all((ROOT / source).exists() for source in sources.split()[:-1])
    assert all("--no-cache-dir" in step for step in of("RUN") if "pip install" in step)
    assert not re.search(r"(?i)(key|token|password|secret)=", DOCKERFILE.read_text("utf-8"))


def test_the_container_runs_as_its_own_user_in_exec_form_and_says_how_it_is() -> None:
    words = [word for word, _ in instructions()]
    last_stage = words[len(words) - words[::-1].index("FROM") :]
    [user], [entry], [health], [port] = of("USER"), of("ENTRYPOINT"), of("HEALTHCHECK"), of("EXPOSE")
    probe = json.loads(health.partition("CMD ")[2])

    assert int(user) > 0
    assert last_stage.index("USER") < last_stage.index("ENTRYPOINT")
    assert f"--uid {user} --home-dir /var/lib/earmark --create-home" in of("RUN")[-1]
    assert json.loads(entry) == ["earmark"]
    assert int(port) == ServerSettings().port
    assert probe[:2] == ["python", "-c"]
    assert f"127.0.0.1:{port}/healthz" in probe[2]
    compile(probe[2], "healthcheck", "exec")
    assert of("STOPSIGNAL") == ["SIGTERM"]
