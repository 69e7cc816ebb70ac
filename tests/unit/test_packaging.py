"""The files of packaging/ name commands, options, ports, paths and figures that exist."""

from __future__ import annotations

import configparser
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from rarec.cli.app import app
from rarec.service.metrics import Metrics
from rarec.settings import ServeSettings, Settings
from scripts import ROOT
from serving import until

FOLDER = ROOT / "packaging"
PROGRAM: Any = typer.main.get_command(app)


def dockerfile() -> list[tuple[str, str]]:
    """(instruction, rest) of each, with continued lines joined."""
    text = re.sub(r"\\\n\s*", "", (FOLDER / "Dockerfile").read_text(encoding="utf-8"))
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.partition(" ")[0], line.partition(" ")[2].strip()) for line in lines]


def of_kind(kind: str) -> list[str]:
    return [rest for name, rest in dockerfile() if name == kind]


def compose() -> dict[str, Any]:
    return dict(yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8")))


def unit() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(FOLDER / "rarec.service", encoding="utf-8")
    return parser


def options_of(words: list[str]) -> dict[str, Any]:
    """The values of a command line of rarec; fails where the program would refuse it."""
    command, rest = PROGRAM, words
    while hasattr(command, "commands"):
        command, rest = command.commands[rest[0]], rest[1:]
    return dict(command.make_context("rarec", list(rest), resilient_parsing=False).params)


def known_variables() -> set[str]:
    """Environment variables that options or settings read."""
    found: set[str] = set()
    waiting = [PROGRAM]
    while waiting:
        command = waiting.pop()
        waiting += getattr(command, "commands", {}).values()
        for parameter in command.params:
            named = parameter.envvar or ()
            found |= {named} if isinstance(named, str) else set(named)
    for section, field in Settings.model_fields.items():
        names = getattr(field.annotation, "model_fields", {})
        found |= {f"RAREC_{section}__{name}".upper() for name in names}
    return found


def test_the_image_starts_a_command_that_exists_on_the_ports_it_names() -> None:
    entry, words = json.loads(of_kind("ENTRYPOINT")[0]), json.loads(of_kind("CMD")[0])
    assert any(copy.endswith(f"packaging/entrypoint.sh /usr/local/bin/{entry[0]}") for copy in of_kind("COPY"))
    options = options_of(words)
    assert of_kind("EXPOSE") == [str(options["port"])]
    assert f":{options['port']}/readyz" in of_kind("HEALTHCHECK")[0]
    assert of_kind("USER") == ["10001:10001"]
    assert of_kind("STOPSIGNAL") == ["SIGTERM"]


def test_the_image_copies_what_is_there_and_what_the_context_lets_through() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in ignored
    for copy in of_kind("COPY"):
        words = [word for word in copy.split() if not word.startswith("--")]
        if "--from=build" in copy:
            continue
        for source in words[:-1]:
            assert (ROOT / source).exists(), source
            assert f"!{source.removeprefix('./')}" in ignored, source


def test_the_image_takes_the_torch_of_the_makefile_first() -> None:
    runs = [run for run in of_kind("RUN") if "pip install" in run]
    wanted = re.search(r"^TORCH := (\S+)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert wanted
    assert runs[0].endswith(wanted[1])
    assert "-c requirements.lock" in runs[1]
    extras = re.search(r"\.\[([\w,]+)\]", runs[1])
    assert extras
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert all(re.search(rf"^{extra} = \[", project, re.MULTILINE) for extra in extras[1].split(","))


def test_variables_are_read_by_somebody() -> None:
    named = {name for rest in of_kind("ENV") for name in re.findall(r"(RAREC_\w+)=", rest)}
    named |= {name for name in compose()["services"]["rarec"]["environment"] if name.startswith("RAREC_")}
    named |= set(re.findall(r"^Environment=(RAREC_\w+)=", (FOLDER / "rarec.service").read_text("utf-8"), re.MULTILINE))
    assert "RAREC_STORE" in named
    assert named <= known_variables()


def test_compose_fits_the_image() -> None:
    services = compose()["services"]
    service, database = services["rarec"], services["database"]
    assert (FOLDER / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
    assert set(service["build"]["args"]) <= {rest.partition("=")[0] for rest in of_kind("ARG")}
    port = options_of(json.loads(of_kind("CMD")[0]))["port"]
    assert service["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert service["volumes"] == [f"store:{json.loads(of_kind('VOLUME')[0])[0]}"]
    assert float(service["stop_grace_period"].removesuffix("s")) > ServeSettings().shutdown_s
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    url, theirs = service["environment"]["RAREC_DATABASE"], database["environment"]
    assert url == f"postgresql+psycopg://{theirs['POSTGRES_USER']}@database:5432/{theirs['POSTGRES_DB']}"
    for one in (service, database):
        for name, value in one["environment"].items():
            if name.endswith("_FILE"):
                assert value.removeprefix("/run/secrets/") in one["secrets"]
    assert set(compose()["secrets"]) == {*service["secrets"], *database["secrets"]}
    assert set(compose()["volumes"]) == {"store", "database"}


@pytest.mark.parametrize("name", ["compose.yaml", "entrypoint.sh", "rarec.service", "Dockerfile"])
def test_commands_in_comments_exist(name: str) -> None:
    text = (FOLDER / name).read_text(encoding="utf-8")
    for line in re.findall(r"compose run --rm .*?rarec ([a-z][^#\n]*)", text):
        words = shlex.split(line)
        if words[0] == "import":  # the file has to be there
            words[1] = str(ROOT / "README.md")
        options_of(words)


def test_the_unit_starts_a_command_that_exists() -> None:
    words = shlex.split(unit()["Service"]["ExecStart"])
    assert Path(words[0]).name == "rarec"
    assert options_of(words[1:])["host"] == "127.0.0.1"
    assert float(unit()["Service"]["TimeoutStopSec"]) > ServeSettings().shutdown_s
    assert unit()["Service"]["StateDirectory"] == "rarec"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    text = (FOLDER / "rarec.service").read_text(encoding="utf-8")
    here = tmp_path / "rarec.service"
    here.write_text(text.replace("/opt/rarec/bin/rarec", "/bin/true"), encoding="utf-8")
    done = subprocess.run(["systemd-analyze", "verify", str(here)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Unknown" not in done.stderr
    here.write_text(text.replace("/opt/rarec/bin/rarec", "/bin/no-such-program"), encoding="utf-8")
    assert subprocess.run(["systemd-analyze", "verify", str(here)], capture_output=True).returncode != 0


def entered(tmp_path: Path, **environment: str) -> tuple[int, dict[str, str], str]:
    """What rarec would be started with: its exit code, environment and stderr."""
    program = tmp_path / "rarec"
    program.write_text('#!/bin/sh\necho "ARGS=$*"\nenv\n', encoding="utf-8")
    program.chmod(0o755)
    done = subprocess.run(
        ["sh", str(FOLDER / "entrypoint.sh"), "serve", "--port", "1"], capture_output=True, text=True,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", **environment},
    )  # fmt: skip
    lines = [line.partition("=") for line in done.stdout.splitlines()]
    return done.returncode, {name: value for name, _, value in lines}, done.stderr


def test_the_entry_point_reads_secrets_from_files(tmp_path: Path) -> None:
    secret, empty = tmp_path / "secret", tmp_path / "empty"
    secret.write_text("s3 $(touch x) 'q'\n", encoding="utf-8")
    empty.write_text("", encoding="utf-8")
    code, found, _ = entered(tmp_path, PGPASSWORD_FILE=str(secret), OPENAI_API_KEY_FILE=str(empty))
    assert code == 0
    assert found["ARGS"] == "serve --port 1"
    assert found["PGPASSWORD"] == "s3 $(touch x) 'q'"
    assert "PGPASSWORD_FILE" not in found
    assert "OPENAI_API_KEY" not in found
    code, found, told = entered(tmp_path, PGPASSWORD_FILE=str(tmp_path / "none"))
    assert code == 2
    assert "PGPASSWORD_FILE" in told
    assert found == {}


def test_the_check_of_health_tells_an_answer_from_none() -> None:
    words = json.loads(of_kind("HEALTHCHECK")[0].partition("CMD ")[2])
    from rarec.service.running import listen

    with listen("127.0.0.1", 0) as sock:
        port = sock.getsockname()[1]
    code = words[2].replace(":8000/", f":{port}/")
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode != 0
    server = subprocess.Popen(
        [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=FOLDER,
    )  # fmt: skip
    try:
        up = code.replace("/readyz", "/compose.yaml")
        until(lambda: subprocess.run([sys.executable, "-c", up], capture_output=True).returncode == 0)
        # A status of 4xx or 5xx is no health.
        assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode != 0
    finally:
        server.kill()
        server.wait(60)


def test_alerts_are_about_figures_that_exist() -> None:
    rules = yaml.safe_load((FOLDER / "prometheus-rules.yaml").read_text(encoding="utf-8"))["groups"][0]["rules"]
    metrics = Metrics()
    metrics.requests.labels("GET", "/", "200").inc()
    metrics.seconds.labels("/").observe(1)
    shown = metrics.page(lambda: 1).decode()
    known = set(re.findall(r"^(rarec_\w+)", shown, re.MULTILINE))
    operations = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    for rule in rules:
        assert set(re.findall(r"rarec_\w+", rule["expr"])) <= known, rule["expr"]
        assert f"`{rule['alert']}`" in operations
        assert rule["expr"].count("(") == rule["expr"].count(")")
