"""Settings of libraries on a server, its states, and what is said of the bad ones.

Against the stand-in of `server_standin`: our calls are real, Qdrant is not.
"""

from __future__ import annotations

from concurrent import futures
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import grpc
import httpx
import pytest
from cli_runner import Commands, small_model
from qdrant_client import models
from qdrant_client.conversions.conversion import GrpcToRest, RestToGrpc
from qdrant_client.grpc import (
    collections_pb2,
    collections_service_pb2_grpc,
    points_pb2,
    points_service_pb2_grpc,
)
from server_standin import (
    FaultyWay,
    StandInServer,
    connected,
    forbidding,
    from_request,
    once,
)
from store_material import CONTRACT, points

from specsearch.cli.server_options import server_options, tell_how_made
from specsearch.errors import InputFileError, LibraryNotFound, StoreError
from specsearch.search.self_check import check_state
from specsearch.store.planner import LARGE_INDEX
from specsearch.store.queries import ScoreRequest, VectorQuery
from specsearch.store.schema import SPECTRA
from specsearch.store.server import ServerStore
from specsearch.store.server_connection import ServerAccess
from specsearch.store.server_settings import Quantization, ServerSettings
from specsearch.store.server_terms import INDEXING_OFF, INDEXING_ON, payload_indexes


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("specsearch.store.server_retry.FIRST_WAIT_S", 0.0)
    monkeypatch.setattr("specsearch.store.server_indexing.POLL_S", 0.0)


# How a library is made


SETTINGS = [
    ServerSettings(3, 2, 2, Quantization.INT8, True),
    ServerSettings(1, 1, 1, Quantization.BINARY),
    ServerSettings(6, 3, 1),
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_settings_arrive_and_are_read_back(settings: ServerSettings) -> None:
    server = StandInServer()
    store = connected(server, settings)
    store.create("lib", CONTRACT).close()
    (body,) = (
        asked for method, path, asked in server.asked if (method, path) == ("PUT", "/collections/lib@1")
    )
    assert (body["shard_number"], body["replication_factor"]) == (settings.shards, settings.replicas)
    assert body["write_consistency_factor"] == settings.write_consistency
    assert (body["hnsw_config"]["m"], body["hnsw_config"]["ef_construct"]) == (LARGE_INDEX.m, 200)
    small = body["vectors"]["embedding"].get("quantization_config")
    if settings.quantization is Quantization.INT8:
        assert small == {"scalar": {"type": "int8", "quantile": 0.99, "always_ram": True}}
    elif settings.quantization is Quantization.BINARY:
        assert small == {"binary": {"always_ram": True}}
    else:
        assert small is None
    on_disk = {"index": {"on_disk": True}} if settings.on_disk else {"index": {}}
    assert body["sparse_vectors"] == {"peaks": on_disk, "losses": on_disk}
    schemas = [asked["field_schema"] for _, path, asked in server.asked if path.endswith("/index")]
    assert [schema.get("on_disk", False) for schema in schemas] == [settings.on_disk] * len(schemas)
    assert len(schemas) == len(payload_indexes(SPECTRA))
    assert store.made_with("lib") == settings


def test_without_settings_the_server_decides() -> None:
    server = StandInServer()
    connected(server).create("lib", CONTRACT).close()
    (body,) = (
        asked for method, path, asked in server.asked if (method, path) == ("PUT", "/collections/lib@1")
    )
    assert not {"shard_number", "replication_factor", "write_consistency_factor", "on_disk_payload"} & set(
        body
    )


def test_a_write_cannot_reach_more_copies_than_there_are() -> None:
    with pytest.raises(StoreError, match="3 copies where there are 2"):
        ServerSettings(replicas=2, write_consistency=3)


@pytest.mark.filterwarnings("ignore:Local mode performs exact")
@pytest.mark.parametrize(
    ("quantization", "walk"),
    [
        (Quantization.NONE, None),
        (Quantization.INT8, {"rescore": True, "oversampling": 2.0}),
        (Quantization.BINARY, {"rescore": True, "oversampling": 4.0}),
    ],
)
def test_small_vectors_are_rescored_and_exact_searches_do_without(
    quantization: Quantization, walk: dict[str, Any] | None
) -> None:
    server = StandInServer()
    with connected(server, ServerSettings(quantization=quantization)) as store:
        store.create("lib", CONTRACT).upsert(points(5))
        some = points(1)[0]
        with store.open("lib") as library:
            library.query([VectorQuery("embedding", some.embedding, 3, exact=False)])
            library.query([VectorQuery("embedding", some.embedding, 3, exact=True)])
            library.query([VectorQuery("peaks", some.peaks, 3)])
            library.score([ScoreRequest("embedding", some.embedding, [some.point_id])])
    asked = [body["searches"][0]["params"] for _, path, body in server.asked if path.endswith("/query/batch")]
    walked, exact, sparse, scored = asked
    assert walked.get("quantization") == walk
    assert exact.get("quantization") == scored.get("quantization") == (walk and {"ignore": True})
    assert "quantization" not in sparse


@click.command()
@server_options
def told(settings: ServerSettings | None) -> None:
    click.echo(repr(settings))


def test_options_of_the_command_line(tmp_path: Path) -> None:
    from click.testing import CliRunner

    words = ["--shards", "3", "--replicas", "2", "--quantization", "int8", "--on-disk"]
    expected = ServerSettings(3, 2, None, Quantization.INT8, True)
    assert CliRunner().invoke(told, words).output.strip() == repr(expected)
    assert CliRunner().invoke(told, []).output.strip() == "None"
    wrong = CliRunner().invoke(told, ["--replicas", "1", "--write-consistency", "2"])
    assert (wrong.exit_code, "more replicas" in wrong.output) == (2, True)


@pytest.mark.parametrize(
    "words",
    [
        ("index", "a.mgf", "--library", "lib", "--shards", "2"),
        ("restore", "a.specsearch", "--quantization", "int8"),
        ("copy", "lib", "--to", "elsewhere", "--on-disk"),
    ],
)
def test_a_folder_has_no_such_options(tmp_path: Path, words: tuple[str, ...]) -> None:
    result = Commands(tmp_path, None).run(*words, code=2)
    assert "for a library on a Qdrant server" in " ".join(result.stderr.split())
    assert not (tmp_path / "store").exists()


def test_options_for_a_library_that_is_there_are_said_to_change_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    store = connected(StandInServer(), SETTINGS[0])
    tell_how_made(store, "lib", SETTINGS[1])
    assert capsys.readouterr().err == ""
    store.create("lib", CONTRACT).close()
    tell_how_made(store, "lib", None)
    assert capsys.readouterr().err == ""
    tell_how_made(store, "lib", SETTINGS[1])
    (line,) = capsys.readouterr().err.splitlines()
    assert "exists already, made with 3 shards, 2 replicas" in line


# The search index


def test_indexing_is_left_off_until_the_end() -> None:
    server = StandInServer()
    store = connected(server)
    with store.create("lib", CONTRACT) as library:
        library.upsert(points(4))
        assert server.threshold("lib") == INDEXING_OFF
        assert "not built yet" in library.info().detail
    with store.open("lib", write=True) as library:  # after a kill, say
        assert library.optimize()
        assert server.threshold("lib") == INDEXING_ON
        assert not library.optimize()
        library.upsert(points(6))
        assert server.threshold("lib") == INDEXING_ON
        assert "not built yet" not in library.info().detail


def test_a_build_is_watched() -> None:
    server = StandInServer()
    library = connected(server).create("lib", CONTRACT)
    library.upsert(points(4))
    library.optimize()
    counts = (0, 0, 5, 9)
    server.states = [{}, *({"status": "yellow", "indexed_vectors_count": n} for n in counts)]
    seen: list[tuple[int, int]] = []
    assert library.optimize(lambda n_done, n_vectors: seen.append((n_done, n_vectors)))
    assert seen == [(0, 12), (5, 12), (9, 12), (0, 12)][: len(seen)]
    assert len(seen) >= 3


def test_a_server_that_waits_is_told_to_begin() -> None:
    server = StandInServer()
    library = connected(server).create("lib", CONTRACT)
    library.optimize()
    n_before = len(server.asked)
    server.states = [{}, {"status": "grey"}, {"status": "grey"}, {"status": "yellow"}]
    assert library.optimize()
    assert [method for method, _, _ in server.asked[n_before:]].count("PATCH") == 1


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"status": "grey"}, "does not begin .* stored"),
        ({"status": "red"}, "in trouble .*status red.*log"),
        ({"optimizer_status": {"error": "no memory"}}, "in trouble .*no memory"),
    ],
)
def test_a_server_that_does_not_build_is_not_waited_for(state: dict[str, Any], words: str) -> None:
    server = StandInServer()
    library = connected(server).create("lib", CONTRACT)
    server.states = [state] * 100
    with pytest.raises(StoreError, match=words):
        library.optimize()


@pytest.mark.parametrize(
    ("state", "is_good", "words"),
    [
        ({}, True, ""),
        ({"status": "red"}, False, "server's log"),
        ({"status": "yellow"}, None, "wait"),
        ({"status": "grey"}, None, "--repair"),
    ],
)
def test_a_check_tells_the_state_of_a_server(state: dict[str, Any], is_good: bool | None, words: str) -> None:
    server = StandInServer()
    library = connected(server).create("lib", CONTRACT)
    _, unbuilt = check_state(library.info())
    assert (unbuilt.is_good, "not built yet" in unbuilt.detail) == (False, True)
    assert "verify lib --repair" in unbuilt.next_step
    library.optimize()
    server.states = [state]
    files, found = check_state(library.info())
    assert (files.detail, found.is_good) == ("kept by the server", is_good)
    assert words in found.next_step
    assert bool(words) == bool(found.next_step)


def test_the_list_of_libraries_tells_of_an_index_that_was_left_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = StandInServer()
    monkeypatch.setattr(ServerStore, "connect", lambda *_, **__: connected(server))
    commands = Commands(tmp_path, small_model(tmp_path / "model.safetensors"))
    connected(server).create("lib", CONTRACT).close()
    words = ("libraries", "--store", "http://standin.test:6333")
    assert "index not built yet" in " ".join(commands.run(*words).stdout.split())
    with connected(server).open("lib", write=True) as library:
        library.optimize()
    shown = commands.run(*words).stdout
    assert "good" in shown
    assert "not built" not in shown


# What is wrong with a server


def answering(status: int, words: str) -> Any:
    def answer(request: httpx.Request, server: StandInServer) -> httpx.Response:
        return httpx.Response(status, json={"status": {"error": words}, "time": 0.0})

    return answer


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (500, "Service internal error: The replica set for shard 3 does not have enough active replicas"),
        (500, "Service internal error: Not enough replicas to satisfy the write consistency factor"),
        (
            500,
            "Service internal error: 1 of 1 read operations failed: Tonic status error: status: Unavailable",
        ),
        (503, "shard 2 is not available"),
    ],
)
def test_a_node_that_is_down(status: int, error: str) -> None:
    server = StandInServer()
    connected(server).create("lib", CONTRACT).upsert(points(3))
    way = FaultyWay(server)
    library = connected(way).open("lib", write=True)
    way.schedule = from_request(0, answering(status, error))
    with pytest.raises(StoreError, match=r"node of the Qdrant cluster is away.*Start the node again.*twice"):
        library.upsert(points(5))
    way.schedule = once(())
    library.upsert(points(5))
    assert library.count() == 5


def test_a_full_disk() -> None:
    way = FaultyWay(StandInServer())
    library = connected(way).create("lib", CONTRACT)
    way.schedule = from_request(0, answering(500, "Service internal error: No space left on device"))
    with pytest.raises(StoreError, match=r"disk is full.*Free some space"):
        library.upsert(points(1))


def test_a_key_that_may_only_read() -> None:
    server = StandInServer()
    connected(server).create("lib", CONTRACT).upsert(points(3))
    store = connected(FaultyWay(server, from_request(0, forbidding)))
    with store.open("lib") as library:
        assert library.count() == 3
    for act in (
        lambda: store.create("other", CONTRACT),
        lambda: store.open("lib", write=True).upsert(points(4)),
        lambda: store.open("lib", write=True).delete([points(1)[0].point_id]),
        lambda: store.drop("lib"),
    ):
        with pytest.raises(StoreError, match="may only read"):
            act()
    assert len(list(connected(server).open("lib").scroll())) == 3


@pytest.mark.parametrize("version", ["1.15.9", "1.9.0", "0.11.7"])
def test_a_server_too_old_is_left_alone(version: str) -> None:
    server = StandInServer(version)
    with pytest.raises(StoreError, match=r"1\.16 or newer.*every node"):
        connected(server).create("lib", CONTRACT)
    assert not server.local.get_collections().collections


def test_an_older_node_of_a_cluster_is_told_apart() -> None:
    """It has the collection and its alias, and knows no contract."""
    server = StandInServer()
    connected(server).create("lib", CONTRACT).upsert(points(3))
    server.version = "1.15.9"
    store = connected(server)
    told = r"of version 1\.15\.9 and cannot tell .*'lib'.*Update every node"
    for act in (
        store.libraries,
        lambda: store.open("lib"),
        lambda: store.open("lib", write=True),
        lambda: store.generations("lib"),
        lambda: store.drop("lib"),
    ):
        with pytest.raises(StoreError, match=told):
            act()
    with pytest.raises(StoreError, match=told), store.making("lib", CONTRACT):
        pass
    server.version = "1.19.1"
    assert store.open("lib").count() == 3


def test_a_collection_made_by_hand_is_left_alone() -> None:
    server = StandInServer()
    hand = {"embedding": models.VectorParams(size=4, distance=models.Distance.DOT)}
    server.local.create_collection("hand", hand)
    server.local.upsert("hand", [models.PointStruct(id=1, vector={"embedding": [1.0, 0, 0, 0]})])
    store = connected(server)
    assert store.libraries() == []
    assert not store.exists("hand")
    for act in (store.open, store.drop, store.made_with, lambda name: store.open(name, write=True)):
        with pytest.raises(LibraryNotFound, match="'hand' was not made by specsearch"):
            act("hand")
    with pytest.raises(StoreError, match="did not make"):
        store.create("hand", CONTRACT)
    with pytest.raises(StoreError, match="did not make"), store.making("hand", CONTRACT):
        pass
    assert server.local.count("hand").count == 1


def test_a_library_of_a_newer_version_is_refused() -> None:
    store = connected(StandInServer())
    store.create("lib", replace(CONTRACT, payload_version=CONTRACT.payload_version + 1)).close()
    with pytest.raises(StoreError, match="written by a newer specsearch"):
        store.open("lib")


def test_a_load_killed_before_its_fields_were_indexed() -> None:
    """Whoever opens the library to write next has them indexed."""
    server = StandInServer()
    connected(server).create("lib", CONTRACT).close()
    expected = server.indexed_fields("lib")
    server.forget_indexes("lib")
    connected(server).open("lib").close()
    assert server.indexed_fields("lib") == set()
    connected(server).open("lib", write=True).close()
    assert server.indexed_fields("lib") == expected


def test_certificates_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("not one")
    for name in ("ca.pem", "nowhere.pem"):
        with pytest.raises(InputFileError, match=r"cannot be read.*PEM"):
            ServerStore.connect("https://127.0.0.1:9", access=ServerAccess(ca_file=tmp_path / name))


# gRPC


class GrpcSide(points_service_pb2_grpc.PointsServicer, collections_service_pb2_grpc.CollectionsServicer):
    """The two calls that go over gRPC, answered by the stand-in's local mode."""

    def __init__(self, server: StandInServer) -> None:
        self.server = server
        self.n_upserts = 0
        self.failing: list[grpc.StatusCode] = []

    def Get(self, request: Any, context: Any) -> Any:
        metadata = self.server.local.get_collection(request.collection_name).config.metadata
        config = collections_pb2.CollectionConfig(metadata=RestToGrpc.convert_payload(metadata))
        config.hnsw_config.MergeFrom(
            collections_pb2.HnswConfigDiff(m=16, ef_construct=100, full_scan_threshold=1)
        )
        config.optimizer_config.MergeFrom(
            collections_pb2.OptimizersConfigDiff(
                deleted_threshold=0.2,
                vacuum_min_vector_number=1000,
                default_segment_number=1,
                flush_interval_sec=5,
            )
        )
        config.wal_config.MergeFrom(collections_pb2.WalConfigDiff(wal_capacity_mb=32, wal_segments_ahead=0))
        info = collections_pb2.CollectionInfo(config=config)
        info.status = collections_pb2.Green
        info.optimizer_status.ok = True
        info.config.params.shard_number = 1
        return collections_pb2.GetCollectionInfoResponse(result=info, time=0.0)

    def Upsert(self, request: Any, context: Any) -> Any:
        self.n_upserts += 1
        if self.failing:
            context.abort(self.failing.pop(), "on purpose")
        some = [GrpcToRest.convert_point_struct(point) for point in request.points]
        self.server.local.upsert(request.collection_name, some)
        result = points_pb2.UpdateResult(operation_id=0, status=points_pb2.Completed)
        return points_pb2.PointsOperationResponse(result=result, time=0.0)


@pytest.fixture
def side() -> Any:
    """It listens on a port of this machine."""
    side = GrpcSide(StandInServer())
    listening = grpc.server(futures.ThreadPoolExecutor(2))
    points_service_pb2_grpc.add_PointsServicer_to_server(side, listening)
    collections_service_pb2_grpc.add_CollectionsServicer_to_server(side, listening)
    side.port = listening.add_insecure_port("127.0.0.1:0")
    listening.start()
    yield side
    listening.stop(None)


def store_with_grpc(server: StandInServer, port: int, told: list[str]) -> ServerStore:
    access = ServerAccess(grpc_port=port, tell=told.append)
    return ServerStore.connect("http://127.0.0.1:6333", None, access, transport=server)


def test_points_over_grpc_are_the_same(side: GrpcSide) -> None:
    """Payloads and all three vectors; the calls over HTTP write none."""
    said: list[str] = []
    some = points(300)
    side.failing = [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL]
    with store_with_grpc(side.server, side.port, said) as store, store.create("lib", CONTRACT) as library:
        library.upsert(some)
        assert side.n_upserts == 4
        found = library.fetch([point.point_id for point in some], with_vectors=True)
    over_http = StandInServer()
    with connected(over_http).create("lib", CONTRACT) as library:
        library.upsert(some)
        expected = library.fetch([point.point_id for point in some], with_vectors=True)
    assert said == []
    assert not [path for method, path, _ in side.server.asked if (method, path[-7:]) == ("PUT", "/points")]
    for point in some:
        one, other = found[point.point_id], expected[point.point_id]
        assert one.payload == other.payload == point.payload
        assert one.embedding.tolist() == other.embedding.tolist()
        for sparse, same in ((one.peaks, point.peaks), (one.losses, point.losses)):
            assert sparse.indices.tolist() == same.indices.tolist()
            assert sparse.values.tolist() == same.values.tolist()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (grpc.StatusCode.PERMISSION_DENIED, "may only read"),
        (grpc.StatusCode.UNAUTHENTICATED, "does not accept the API key"),
        (grpc.StatusCode.UNAVAILABLE, "did not answer"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "too busy"),
    ],
)
def test_what_grpc_says_in_words(side: GrpcSide, code: grpc.StatusCode, words: str) -> None:
    with store_with_grpc(side.server, side.port, []) as store, store.create("lib", CONTRACT) as library:
        side.failing = [code] * 9
        with pytest.raises(StoreError, match=words):
            library.upsert(points(2))


def test_without_grpc_it_says_so_once_and_goes_over_http() -> None:
    said: list[str] = []
    with store_with_grpc(StandInServer(), 9, said) as store, store.create("lib", CONTRACT) as library:
        library.upsert(points(3))
        library.upsert(points(5))
        assert library.count() == 5
    (sentence,) = said
    assert "over HTTP" in sentence


def test_another_server_on_the_usual_port_gets_nothing(side: GrpcSide) -> None:
    """It even has a library of the same name."""
    connected(side.server).create("lib", CONTRACT).close()
    said: list[str] = []
    with store_with_grpc(StandInServer(), side.port, said) as store, store.create("lib", CONTRACT) as library:
        library.upsert(points(3))
        assert library.count() == 3
    assert side.n_upserts == 0
    assert "another server" in said[0]
