"""Runs, evaluations and batch predictions that cannot be accepted, and results that are not there."""

import base64
import json
from typing import Any

from tests.acceptance.bad_inputs.cases import JSON, Case, got, posted

LONG = "x" * 5000
RUN = {"model": "$untrained", "dataset": "$dataset", "fit": {"epochs": 1}}
VERSION = {"model": "$model", "dataset": "$dataset"}


def run(what: str, pointer: str | None, status: int | tuple[int, ...] = 422, **changes: Any) -> Case:
    """A run with a changed field."""
    return posted(what, "/api/runs", RUN | changes, pointer, status=status)


def fit(what: str, pointer: str, **arguments: Any) -> Case:
    """A run with impossible arguments of ``fit``."""
    return run(what, f"/fit/{pointer}", fit=arguments)


def keyed(what: str, key: str) -> Case:
    """A run with an impossible Idempotency-Key."""
    return Case(
        what, "/api/runs", json.dumps(RUN).encode(), 422, "header:Idempotency-Key", headers=JSON | {"Idempotency-Key": key}
    )


def token(*content: Any) -> str:
    """A token of a page that anybody may make up."""
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


FITS = [
    *(fit(f"epochs {epochs!r}", "epochs", epochs=epochs) for epochs in (10**12, 0, -1, 1.5, True, "3", None, 1e20, [1])),
    *(fit(f"batch size {size!r}", "batch_size", batch_size=size) for size in (0, -1, 1.5, 10**12, 10_000, "32")),
    *(
        fit(f"validation split {part!r}", "validation_split", validation_split=part)
        for part in (1, 1.5, -0.1, 0.9999, "0.2", True)
    ),
    fit("an unknown argument", "verbose", verbose=1),
    fit("a long unknown argument", "x", **{LONG: 1}),
    fit("a long weight", "sample_weight", sample_weight="x" * 1000),
    fit("a split that is none", "split", split="first"),
    fit("weights of more classes than there are", "class_weight", class_weight={"0": 1, "1": 1, "2": 1}),
    fit("an unknown class weight", "class_weight", class_weight={"a": -1}),
    fit("validation twice a day", "validation_freq", validation_freq=0),
    run("validation data that is not there", None, 404, fit={"validation_dataset": "ds_1"}),
    run("validation data twice", "/fit", fit={"validation_split": 0.2, "validation_dataset": "$dataset"}),
    fit("an unknown callback", "callbacks/0", callbacks=["EarlyStoping"]),
    fit("a long callback", "callbacks/0", callbacks=[LONG]),
    fit("a callback that waits -1 epochs", "callbacks/0", callbacks=[{"type": "EarlyStopping", "patience": -1}]),
    fit("a callback of a metric that is none", "callbacks/0", callbacks=[{"type": "EarlyStopping", "monitor": LONG}]),
    fit("21 callbacks", "callbacks", callbacks=["TerminateOnNaN"] * 21),
    fit("a dtype that is none", "dtype_policy", dtype_policy="float8"),
    run("fit as a list", "/fit", fit=[1]),
]
RUNS = [
    run("a target that is missing", "/target", target="nothing"),
    run("a long target", "/target", target=LONG),
    run("a target of 1000", "/target", target="x" * 1000),
    run("a target without values", "/target", dataset="$targets", target="none"),
    run("a target of one value", "/target", dataset="$targets", target="one"),
    run("a target that is a number", "/target", target=5),
    run("targets of an output that is none", "/target", target={"x": "digit"}),
    run("an unknown feature", "/features/columns/nothing", features={"columns": {"nothing": "number"}}),
    run("an unknown kind of feature", "/features/columns/", features={"columns": {"digit": {"type": "colour"}}}),
    run("a long unknown feature", "/features/columns/x", features={"columns": {"x" * 1000: {"type": "number"}}}),
    run("an input that is none", "/features/inputs", features={"inputs": {"x": ["digit"]}}),
    *(run(f"seed {seed!r}", "/seed", seed=seed) for seed in (-1, 2**31, 1e20, 1.5, True, "1")),
    *(run(f"priority {priority!r}", "/priority", priority=priority) for priority in (10**6, -101, 1.5, "high")),
    *(run(f"timeout {seconds!r}", "/timeout_seconds", timeout_seconds=seconds) for seconds in (0, -1, 1e300, "1h")),
    run("a tag with a space", "/tags/0", tags=["a b"]),
    run("a long tag", "/tags/0", tags=[LONG]),
    run("a tag that is a number", "/tags/0", tags=[1]),
    run("21 tags", "/tags", tags=["x"] * 21),
    run("a device that is none", "/device", device="tpu"),
    run("publish as text", "/publish", publish="yes"),
    run("an unknown field", "/colour", colour="red"),
    run("an unknown revision", None, 404, revision=99),
    run("revision 0", "/revision", revision=0),
    run("an unknown model", None, 404, model="nothing"),
    run("a model with a path", "/model", model="../x"),
    run("a long model", "/model", model=LONG),
    run("an unknown dataset", None, 404, dataset="ds_nothing"),
    run("a long dataset", "/dataset", dataset=LONG),
    run("a dataset that is a number", "/dataset", dataset=1),
    run("a test dataset that is not there", None, (404, 422), test_dataset="ds_1"),
    run("continuing nothing", "/continue_from", continue_from={}),
    run("continuing a run that is not there", None, (404, 422), continue_from={"run": "run_1"}),
    run("continuing a version that is not there", None, (404, 422), continue_from={"version": 99}),
    posted("no model", "/api/runs", {"dataset": "$dataset"}, "/model"),
    keyed("a key of 256", "x" * 256),
    keyed("a key with a space", "a b"),
    keyed("an empty key", ""),
    posted("cancelling what has ended", "/api/runs/$run:cancel", {}, status=409),
    posted("cancelling nothing", "/api/runs/run_1:cancel", {}, status=404),
    posted("keeping what is none", "/api/runs/$run:cancel", {"keep": "all"}, "/keep"),
]
USES = [
    *(
        posted(what, path, VERSION | changes, pointer, status=status)
        for path in ("/api/evaluations", "/api/batch-predictions")
        for what, changes, pointer, status in (
            ("an untrained model", {"model": "$untrained"}, None, (404, 409)),
            ("an unknown model", {"model": "nothing"}, None, 404),
            ("an unknown version", {"version": 99}, None, 404),
            ("version 0", {"version": 0}, "/version", 422),
            ("an unknown alias", {"alias": "nothing"}, None, 404),
            ("a long alias", {"alias": LONG}, "/alias", 422),
            ("version and alias", {"version": 1, "alias": "a"}, None, 422),
            ("an unknown dataset", {"dataset": "ds_1"}, None, 404),
            ("data without its columns", {"dataset": "$arrays"}, None, 422),
            ("an unknown field", {"fit": {}}, "/fit", 422),
        )
    ),
    posted("batches of 0", "/api/evaluations", VERSION | {"batch_size": 0}, "/batch_size"),
    posted("a weight that is missing", "/api/evaluations", VERSION | {"sample_weight": "nothing"}, "/sample_weight"),
    posted("a format that is none", "/api/batch-predictions", VERSION | {"format": "xlsx"}, "/format"),
    posted("a column that is missing", "/api/batch-predictions", VERSION | {"columns": ["nothing"]}, "/columns/0"),
    posted("a column twice", "/api/batch-predictions", VERSION | {"columns": ["digit", "digit"]}, "/columns"),
    got("a batch prediction that is none", "/api/batch-predictions/$run/content", (404, 409)),
    got("a batch prediction that is not there", "/api/batch-predictions/run_1/content", 404),
]
LISTS = [
    *(
        got(f"page_size {size[:8]}", f"{path}?page_size={size}", 422, "?page_size")
        for path in ("/api/runs", "/api/models", "/api/datasets")
        for size in (
            "-1",
            "0",
            "201",
            "100000000000000000000",
            "1e20",
            "ten",
            "",
            "1.5",
            "1.0",
            "1_0",
            "%2B1",
            "%201",
            "%D9%A1",
            "0x10",
            "9" * 5000,
        )
    ),
    *(
        got(f"token {what}", f"{path}?page_token={value}", 422, "?page_token")
        for path in ("/api/runs", "/api/models", "/api/datasets", "/api/runs/$run/logs", "/api/models/$model/versions")
        for what, value in (
            ("garbage", "garbage"),
            ("W10", "W10"),
            ("of other bytes", "%ff%fe"),
            ("of another order", token("name", "x")),
            ("without a place", token("-created_at")),
            ("of a number for a text", token("-created_at", 5)),
            ("of a text for a number", token("-number", "x")),
            ("of a text for a number, too", token("-version", "x")),
            ("of a number too large", token("-version", 2**63)),
            ("of a zero character", token("-created_at", "a\0b")),
            ("of a list", token("-created_at", ["x"])),
            ("of null", token("-created_at", None)),
            ("of 5000 characters", "A" * 5000),
        )
    ),
    got("a text for a priority", f"/api/runs?order_by=priority&page_token={token('priority', 'x', 'y')}", 422, "?page_token"),
    got("a huge priority", f"/api/runs?order_by=priority&page_token={token('priority', 2**62, 'y')}", 422, "?page_token"),
    got("a zero in a name", f"/api/models?order_by=name&page_token={token('name', 'a' + chr(0), 'y')}", 422, "?page_token"),
    got("an injected order", "/api/runs?order_by=id;drop%20table%20runs", 422, "?order_by"),
    got("a column that is no order", "/api/runs?order_by=idempotency_key", 422, "?order_by"),
    got("a long order", f"/api/runs?order_by={LONG}", 422, "?order_by"),
    got("an unknown state", "/api/runs?state=sleeping", 422, "?state"),
    got("a long state", f"/api/runs?state={LONG}", 422, "?state"),
    got("a long tag", f"/api/runs?tag={LONG}", 422, "?tag"),
    got("NUL in a filter", "/api/runs?tag=a%00b", 400),
]
RESULTS = [
    *(
        got(f"{what} of nothing", f"/api/runs/run_1{path}", 404)
        for what, path in (
            ("state", ""),
            ("metrics", "/metrics"),
            ("events", "/events"),
            ("logs", "/logs"),
            ("weights", "/weights"),
            ("evaluation", "/evaluation"),
            ("code", "/code"),
            ("artifacts", "/artifacts"),
            ("an artifact", "/artifacts/model.keras"),
        )
    ),
    got("an artifact that is not there", "/api/runs/$run/artifacts/nothing", 404),
    got("an artifact that climbs", "/api/runs/$run/artifacts/..%2F..%2Fetc%2Fpasswd", 404),
    got("a long artifact", f"/api/runs/$run/artifacts/{LONG}", (404, 422)),
    got("a layer that is not there", "/api/runs/$run/weights?layer=nothing", (404, 422)),
    got("no values", "/api/runs/$run/weights?max_values=0", 422, "?max_values"),
    *(got(f"version {text}", f"/api/models/$model/versions/{text}", 422) for text in ("1.0", "1_0", "+1", "x", "0", "9" * 30)),
    *(got(f"{text} values", f"/api/runs/$run/weights?max_values={text}", 422, "?max_values") for text in ("5.0", "1_0", "%205")),
    got("too many values", "/api/runs/$run/weights?max_values=1000000000", 422, "?max_values"),
    got("waiting in words", "/api/runs/$run", 422, "header:Prefer", Prefer="wait=soon"),
    got("waiting for a long word", "/api/runs/$run", 422, "header:Prefer", Prefer=f"wait={LONG}"),
    got("waiting -1 seconds", "/api/runs/$run", 422, "header:Prefer", Prefer="wait=-1"),
    got("events after a word", "/api/runs/$run/events", 422, "header:Last-Event-ID", Last_Event_ID="x"),
    got("events after -1", "/api/runs/$run/events", 422, "header:Last-Event-ID", Last_Event_ID="-1"),
    got("events after 1e20", "/api/runs/$run/events", 422, "header:Last-Event-ID", Last_Event_ID="9" * 20),
    *(
        got(f"range {wanted[:16]}", "/api/runs/$run/artifacts/model.keras", 416, Range=wanted)
        for wanted in ("bytes=", "bytes=9-5", "bytes=99999999-", "bytes=-0", "lines=1-2", "bytes=0-0" + ",0-0" * 5000)
    ),
    got("deleting nothing", "/api/runs/run_1", 404, method="DELETE"),
    got("a long id", f"/api/runs/run_{LONG}", (404, 422)),
    got("NUL in an id", "/api/runs/run_%00", 400),
]
KEYS = [
    *(
        posted(f"an expiry {moment!r}", "/api/keys", {"name": "bad-input", "expires_at": moment}, "/expires_at")
        for moment in (
            "9999-12-31T23:59:59-23:59",
            "2020-01-01T00:00:00Z",
            "2099-01-01T00:00:00",
            "soon",
            LONG,
            "4000000000",
            4e9,
            4_000_000_000,
            True,
        )
    ),
]
ALL_RUNS = [*FITS, *RUNS, *USES, *LISTS, *RESULTS, *KEYS]
