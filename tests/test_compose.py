"""compose.yaml without an engine: what it publishes, asks for, builds and starts."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from cli_runner import Commands
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from specsearch.cli import main
from specsearch.cli.serve import KEY_ENV
from specsearch.cli.settings import API_KEY_ENV, GRPC_PORT_ENV, INSECURE_ENV, STORE_ENV

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "compose.yaml").read_text(encoding="utf-8")
FILE = yaml.safe_load(TEXT)
SERVICES: dict[str, Any] = FILE["services"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
NODES = ("qdrant-1", "qdrant-2", "qdrant-3")
OURS = ("api", "worker")
EACH = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)(:[-?])?([^}]*)\}")
HEAD = TEXT.partition("\nx-")[0]


def filled(text: str, **given: str) -> str:
    """A value as Compose hands it on."""
    return VARIABLE.sub(lambda found: given.get(found[1], found[3]), text).replace("$$", "$")


def dockerfile() -> str:
    (text,) = {SERVICES[name]["build"]["dockerfile_inline"] for name in OURS}
    return filled(text)


def test_it_follows_the_specification() -> None:
    """The schema of the Compose specification, as check-jsonschema ships it."""
    pytest.importorskip("check_jsonschema", reason="needs check-jsonschema, of the extra dev")
    import jsonschema

    folder = resources.files("check_jsonschema") / "builtin_schemas" / "vendor"
    schema = json.loads((folder / "compose-spec.json").read_text(encoding="utf-8"))
    validator = jsonschema.Draft202012Validator(schema)
    assert [error.message for error in validator.iter_errors(FILE)] == []
    spoiled = {**FILE, "services": {"qdrant": {**SERVICES["qdrant"], "healthcheck": {"interval": []}}}}
    assert not validator.is_valid(spoiled)


def test_plain_up_starts_one_node_and_profiles_the_rest() -> None:
    profiles = {name: service.get("profiles") for name, service in SERVICES.items()}
    assert profiles == {
        "qdrant": None,
        **{name: ["cluster"] for name in NODES},
        "api": ["api"],
        "worker": ["worker"],
    }


@EACH
def test_every_service_is_watched_and_comes_back(service: dict[str, Any]) -> None:
    assert set(service["healthcheck"]) >= {"test", "interval", "timeout", "retries"}
    assert service["restart"] in ("unless-stopped", "on-failure:3")
    assert "no-new-privileges:true" in service["security_opt"]
    assert set(service["logging"]["options"]) == {"max-size", "max-file"}


def test_only_this_machine_can_ask_and_no_port_is_asked_for_twice() -> None:
    published = [port.split(":") for service in SERVICES.values() for port in service.get("ports", [])]
    assert {host for host, _, _ in published} == {"127.0.0.1"}
    assert len({port for _, port, _ in published}) == len(published)
    assert "6335" not in {inside for _, _, inside in published}  # the nodes trust whoever speaks there


def test_images_are_pinned_and_the_nodes_are_of_one_version() -> None:
    qdrant = {SERVICES[name]["image"] for name in ("qdrant", *NODES)}
    assert len(qdrant) == 1
    assert re.fullmatch(r"qdrant/qdrant:v\d+\.\d+\.\d+", *qdrant)
    assert {SERVICES[name]["image"] for name in OURS} == {f"specsearch:{PROJECT['version']}"}
    assert {SERVICES[name]["pull_policy"] for name in OURS} == {"build"}


def test_what_is_needed_is_asked_for_where_only_that_is_started() -> None:
    """Compose asks for ``:?`` of every service, started or not: only what all need may be required."""
    kinds = {(name, kind) for name, kind, _ in VARIABLE.findall(TEXT)}
    assert {name for name, kind in kinds if kind == ":?"} == {API_KEY_ENV}
    assert all(kind in (":-", ":?") for _, kind in kinds)
    for service in SERVICES.values():
        keys = {"QDRANT__SERVICE__API_KEY", API_KEY_ENV} & set(service["environment"])
        assert all(service["environment"][key].startswith(f"${{{API_KEY_ENV}:?") for key in keys)
        assert len(keys) == 1


def test_a_missing_key_or_name_is_noticed_by_the_command_itself(tmp_path: Path) -> None:
    commands = Commands(tmp_path, None)
    commands.env[KEY_ENV] = filled(SERVICES["api"]["environment"][KEY_ENV])
    assert KEY_ENV in commands.run(*SERVICES["api"]["command"], code=2).stderr
    words = [filled(word).replace("/spectra", str(tmp_path)) for word in SERVICES["worker"]["command"]]
    assert "cannot be the name" in commands.run(*words, code=1).stderr


@pytest.mark.parametrize("name", OURS)
def test_commands_are_understood(name: str) -> None:
    words = [filled(word, SPECSEARCH_LIBRARY="mylab") for word in SERVICES[name]["command"]]
    command = main.get_command(click.Context(main), words[0])
    assert command is not None
    given = command.make_context(name, words[1:]).params
    if name == "api":
        assert SERVICES[name]["ports"] == [f"127.0.0.1:8765:{given['port']}"]
    else:
        (mounted,) = (one for one in SERVICES[name]["volumes"] if isinstance(one, dict))
        assert given["files"] == (mounted["target"],)
        assert mounted["read_only"]
        assert not mounted["bind"]["create_host_path"]
        assert given["library"] == "mylab"


@pytest.mark.parametrize("name", OURS)
def test_our_containers_can_write_little_and_are_nobody(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"]
    assert service["init"]  # a process 1 without a handler ignores SIGTERM
    assert service["cap_drop"] == ["ALL"]
    assert {"tmpfs", "mem_limit", "pids_limit"} <= set(service)
    users = re.findall(r"^USER (\S+)$", dockerfile(), re.MULTILINE)
    assert users
    assert users[-1] not in ("0", "root")
    caches = re.search(r"NUMBA_CACHE_DIR=(\S+)", dockerfile())
    assert caches
    assert caches[1].startswith(service["tmpfs"][0].partition(":")[0] + "/")


def test_the_environment_is_what_the_code_reads() -> None:
    for name in OURS:
        environment = SERVICES[name]["environment"]
        assert set(environment) <= {STORE_ENV, API_KEY_ENV, INSECURE_ENV, KEY_ENV}
        assert environment[INSECURE_ENV] == "1"
        assert filled(environment[STORE_ENV]) == "http://qdrant:6333"
        assert SERVICES[name]["depends_on"] == {"qdrant": {"condition": "service_healthy"}}


def test_the_first_node_begins_the_cluster_and_the_others_join() -> None:
    first = f"http://{NODES[0]}:6335"
    for name in NODES:
        joins = [] if name == NODES[0] else ["--bootstrap", first]
        assert SERVICES[name]["command"] == ["./qdrant", *joins, "--uri", f"http://{name}:6335"]
        assert SERVICES[name]["environment"]["QDRANT__CLUSTER__ENABLED"] == "true"
        assert SERVICES[name]["volumes"] == [f"{name}:/qdrant/storage"]
        waits = {} if name == NODES[0] else {NODES[0]: {"condition": "service_healthy"}}
        assert SERVICES[name].get("depends_on", {}) == waits
    assert "QDRANT__CLUSTER__ENABLED" not in SERVICES["qdrant"]["environment"]
    assert SERVICES["qdrant"]["ulimits"]["nofile"] >= 65535
    assert set(FILE["volumes"]) == {"qdrant", *NODES, "specsearch"}


def test_the_image_is_built_from_what_is_here() -> None:
    installed = [shlex.split(line)[2:] for line in re.findall(r"^RUN (pip install .+)$", dockerfile(), re.M)]
    (torch, *_), (ours,) = installed
    assert torch in PROJECT["dependencies"]
    assert set(Requirement(f"specsearch{ours[1:]}").extras) <= set(PROJECT["optional-dependencies"])
    bases = set(re.findall(r"^FROM python:(\d+\.\d+\.\d+)-slim-\w+", dockerfile(), re.MULTILINE))
    assert len(bases) == 1
    assert bases.pop() in SpecifierSet(PROJECT["requires-python"])
    copied = {
        word
        for line in re.findall(r"^COPY (?!--from)(.+)$", dockerfile(), re.M)
        for word in line.split()[:-1]
    }
    let_in = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line[0] != "#"]
    assert let_in[0] == "*"
    assert {line[1:] for line in let_in if line.startswith("!")} == copied
    assert all((ROOT / name).exists() for name in copied)
    assert "ARG TORCH_INDEX\n" in dockerfile()
    assert {filled(SERVICES[name]["build"]["args"]["TORCH_INDEX"]) for name in OURS} == {""}


def test_the_comment_at_the_top_tells_the_truth() -> None:
    lines = re.findall(r"^#   .*(docker compose .+)$", HEAD, re.MULTILINE)
    assert len(lines) == 4
    for words in map(str.split, lines):
        profiles = {words[n + 1] for n, word in enumerate(words) if word == "--profile"}
        named = words[words.index("up") + 1 :]
        for name in (word for word in named if not word.startswith("--")):
            assert profiles == set(SERVICES[name]["profiles"])
    used = {name for name, _, _ in VARIABLE.findall(TEXT)}
    told = set(re.findall(r"SPECSEARCH_\w+", HEAD))
    assert told - {INSECURE_ENV, GRPC_PORT_ENV} <= used
    for port in re.findall(r"localhost:(\d+)|(?<= ):(\d+)", HEAD):
        assert any(f"127.0.0.1:{max(port)}:" in "".join(one.get("ports", ())) for one in SERVICES.values())


@contextmanager
def answering(status: int) -> Iterator[tuple[int, list[str]]]:
    """A port of this machine that answers everything alike, and what it was asked."""
    asked: list[str] = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port, asked
        server.shutdown()


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize("status", [200, 503])
@pytest.mark.parametrize(("name", "path"), [("qdrant", "/readyz"), ("api", "/ready"), ("worker", "/readyz")])
def test_health_is_what_the_server_says(name: str, path: str, status: int) -> None:
    kind, *words = map(filled, SERVICES[name]["healthcheck"]["test"])
    assert kind == "CMD"
    with answering(status) as (port, asked):
        words = [re.sub(r"127\.0\.0\.1([:/])(6333|8765)", rf"127.0.0.1\g<1>{port}", word) for word in words]
        program = sys.executable if words[0] == "python" else words[0]
        environment = {**os.environ, STORE_ENV: f"http://127.0.0.1:{port}"}
        ended = subprocess.run([program, *words[1:]], env=environment, capture_output=True, check=False)
    assert asked == [path]
    assert (ended.returncode == 0) == (status == 200)


def compose(*words: str, **given: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("SPECSEARCH_")}
    return subprocess.run(
        ["docker", "compose", *words],
        cwd=ROOT,
        env=environment | given,
        capture_output=True,
        text=True,
        check=False,
    )


def has_compose() -> bool:
    return shutil.which("docker") is not None and compose("version").returncode == 0


@pytest.mark.skipif(not has_compose(), reason="needs docker with its compose plugin")
def test_compose_itself_understands_it() -> None:
    assert API_KEY_ENV in compose("config").stderr
    plain = yaml.safe_load(compose("config", **{API_KEY_ENV: "secret"}).stdout)
    assert set(plain["services"]) == {"qdrant"}
    profiles = [word for name in ("cluster", "api", "worker") for word in ("--profile", name)]
    whole = yaml.safe_load(compose(*profiles, "config", **{API_KEY_ENV: "secret"}).stdout)
    assert set(whole["services"]) == set(SERVICES)
