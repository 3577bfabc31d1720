"""What is refused before a run is accepted, and what an accepted one keeps from being deleted."""

from typing import Any

import httpx
import pytest

from service.infra.database import Database
from service.models import repository
from service.models.tables import Model, Version
from service.runs.garbage import list_references
from service.runs.tables import Run, RunArtifact
from tests.factories import new_run

ADAM = {"type": "Adam", "learning_rate": 0.01}
DECAY = {"type": "ExponentialDecay", "initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.9}
CLASSES = {"optimizer": ADAM, "loss": "binary_crossentropy", "metrics": ["accuracy", "AUC"]}
NUMBERS = {"optimizer": {"type": "SGD", "learning_rate": DECAY}, "loss": "mse"}
LAYERS = [{"type": "Dense", "units": 1, "activation": "sigmoid"}]


def rows(*names: str) -> list[dict[str, Any]]:
    return [{name: float(number % 7) for name in names} | {"y": number % 2} for number in range(20)]


@pytest.fixture
def dataset(http: httpx.Client) -> str:
    return upload(http, rows=rows("x", "w"), target="y")


def upload(http: httpx.Client, **body: Any) -> str:
    answer = http.post("/api/datasets", json={"name": "d", **body})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


@pytest.fixture(autouse=True)
def models(http: httpx.Client) -> None:
    for name, compiled in (("classes", CLASSES), ("numbers", NUMBERS)):
        body = {"name": name, "definition": {"layers": LAYERS}, "compile": compiled}
        assert http.post("/api/models", json=body).status_code == 201


def ask(http: httpx.Client, dataset: str, model: str = "classes", **body: Any) -> httpx.Response:
    return http.post("/api/runs", json={"model": model, "dataset": dataset, **body})


def problem(answer: httpx.Response) -> tuple[str, str]:
    """Where the first mistake is, and everything that is said of it."""
    assert answer.status_code == 422, answer.text
    (first, *_) = answer.json()["errors"]
    return first["pointer"], f"{first['message']} {first['fix']}"


@pytest.mark.parametrize(
    ("fit", "pointer", "words"),
    [
        ({"callbacks": ["EarlyStopping"]}, "/fit/callbacks/0/monitor", "validation_split"),
        ({"callbacks": [{"type": "EarlyStopping", "monitor": "acuracy"}]}, "/fit/callbacks/0/monitor", "accuracy"),
        ({"sample_weight": "v"}, "/fit/sample_weight", "no such column"),
        ({"sample_weight": "y"}, "/fit/sample_weight", "target"),
        ({"class_weight": {"a": 1, "b": 2, "c": 3}}, "/fit/class_weight", "3 classes"),
        ({"batch_size": 100}, "/fit/batch_size", "larger"),
        ({"validation_split": 0.99, "batch_size": 1}, "/fit/validation_split", "no row"),
    ],
)
def test_a_fit_that_cannot_work_is_refused_at_once(http, dataset, fit, pointer, words):
    where, what = problem(ask(http, dataset, fit=fit))
    assert where == pointer
    assert words in what


@pytest.mark.parametrize(
    "fit",
    [
        {"initial_epoch": 3, "epochs": 3},
        {"validation_split": 0.2, "validation_dataset": "ds_1"},
        {"class_weight": "balanced", "sample_weight": "w"},
        {"class_weight": {}},
        {"callbacks": [{"type": "LearningRateScheduler", "schedule": {"type": "table", "epochs": [1], "learning_rates": [1.0]}}]},
        {"callbacks": [{"type": "Lambda"}]},
        {"dtype_policy": "float64"},
        {"steps_per_epoch": 0},
    ],
)
def test_a_fit_that_contradicts_itself_is_refused(http, dataset, fit):
    assert problem(ask(http, dataset, fit=fit))[0].startswith("/fit")


def test_classes_cannot_be_weighed_where_there_are_none(http, dataset):
    assert problem(ask(http, dataset, "numbers", fit={"class_weight": "balanced"}))[0] == "/fit/class_weight"
    fit = {"split": "stratified", "validation_split": 0.5}
    assert problem(ask(http, dataset, "numbers", fit=fit))[0] == "/fit/split"


def test_two_cannot_set_the_learning_rate(http, dataset):
    plateau = {"type": "ReduceLROnPlateau", "monitor": "loss"}
    where, what = problem(ask(http, dataset, "numbers", fit={"callbacks": [plateau]}))
    assert where == "/fit/callbacks/0"
    assert "schedule" in what
    assert ask(http, dataset, fit={"callbacks": [plateau]}).status_code == 202


F1, AVERAGED = {"type": "F1Score"}, {"type": "F1Score", "average": "macro"}
COUNTED = {"type": "TruePositives"}


def with_metrics(http: httpx.Client, metrics: Any, definition: Any = None, loss: Any = "categorical_crossentropy") -> None:
    layers = [{"type": "Dense", "units": 3, "activation": "softmax"}]
    compiled = {"optimizer": ADAM, "loss": loss, "metrics": metrics}
    body = {"name": "measured", "definition": definition or {"layers": layers}, "compile": compiled}
    assert http.post("/api/models", json=body).status_code == 201


def callback(kind: str = "EarlyStopping", **fields: Any) -> dict[str, Any]:
    return {"callbacks": [{"type": kind} | fields], "validation_split": 0.5}


@pytest.mark.parametrize("kind", ["EarlyStopping", "ReduceLROnPlateau", "ModelCheckpoint"])
@pytest.mark.parametrize("monitor", ["f1_score", "f1_score_0", "val_f1_score", "val_f1_score_2"])
def test_a_metric_of_several_numbers_cannot_be_watched(http, dataset, kind, monitor):
    """Keras compares the whole array with the best one so far, and fails at the end of an epoch."""
    with_metrics(http, [F1])
    where, what = problem(ask(http, dataset, "measured", fit=callback(kind, monitor=monitor, mode="max")))
    assert where == "/fit/callbacks/0/monitor"
    name = "val_f1_score" if monitor.startswith("val_") else "f1_score"
    assert what.endswith(f'Set its average to "macro". Then monitor {name}.')


def test_several_numbers_have_no_place_in_logs_for_tensorboard(http, dataset):
    with_metrics(http, [{"type": "Recall", "thresholds": [0.2, 0.5]}])
    where, what = problem(ask(http, dataset, "measured", fit=callback("TensorBoard")))
    assert where == "/fit/callbacks/0"
    assert what.endswith("Give it a single threshold.")


def test_an_array_of_one_number_can_be_watched_but_not_logged_for_tensorboard(http, dataset):
    score = {"type": "F1Score", "threshold": 0.5}
    with_metrics(http, [score], {"layers": LAYERS}, "binary_crossentropy")
    assert ask(http, dataset, "measured", fit=callback(monitor="f1_score")).status_code == 202
    assert problem(ask(http, dataset, "measured", fit=callback("TensorBoard")))[1].endswith('Set its average to "macro".')


@pytest.mark.parametrize(
    ("metrics", "fit"),
    [
        ([AVERAGED], callback(monitor="val_f1_score")),
        ([F1, "accuracy"], callback(monitor="val_accuracy")),
        ([{"type": "Recall", "thresholds": [0.2]}], callback("TensorBoard")),
        ([COUNTED], callback(monitor="true_positives", mode="max")),
    ],
)
def test_a_metric_of_one_number_can_be_watched(http, dataset, metrics, fit):
    with_metrics(http, metrics)
    assert ask(http, dataset, "measured", fit=fit).status_code == 202


def test_a_metric_whose_good_side_keras_does_not_know_needs_a_mode(http, dataset):
    with_metrics(http, [COUNTED])
    where, what = problem(ask(http, dataset, "measured", fit=callback(monitor="val_true_positives")))
    assert where == "/fit/callbacks/0/mode"
    assert what.endswith('Set mode to "min" or "max".')


TWO = {
    "inputs": [{"name": "all"}],
    "layers": [{"type": "Dense", "units": 1, "activation": "sigmoid", "name": name, "inbound": ["all"]} for name in ("p", "q")],
    "outputs": ["p", "q"],
}
TARGETS = {"p": "y", "q": "z"}


def test_an_output_of_several_is_watched_with_a_mode(http):
    with_metrics(http, {"p": ["accuracy"]}, TWO, "binary_crossentropy")
    two = upload(http, rows=[row | {"z": row["y"]} for row in rows("x", "w")])
    for monitor, wanted in (("p_loss", '"min".'), ("val_p_accuracy", '"min" or "max".')):
        where, what = problem(ask(http, two, "measured", target=TARGETS, fit=callback(monitor=monitor)))
        assert where == "/fit/callbacks/0/mode"
        assert what.endswith(f"Set mode to {wanted}")
        assert ask(http, two, "measured", target=TARGETS, fit=callback(monitor=monitor, mode="min")).status_code == 202
    assert ask(http, two, "measured", target=TARGETS, fit=callback()).status_code == 202


def test_a_dataset_to_measure_with_has_the_columns_of_the_training_data(http, dataset):
    narrow, arrays = upload(http, rows=rows("x")), upload(http, x=[[1.0]], y=[0])
    assert problem(ask(http, dataset, test_dataset=narrow)) == (
        "/test_dataset",
        "The dataset has no 'w', which the training data has. Add it, or exclude the column from the features.",
    )
    assert problem(ask(http, dataset, fit={"validation_dataset": arrays}))[0] == "/fit/validation_dataset"
    without = {"columns": {"w": {"type": "exclude"}}}
    assert ask(http, dataset, test_dataset=narrow, features=without).status_code == 202
    assert ask(http, dataset, test_dataset="ds_gone").status_code == 404


def test_a_queued_run_keeps_all_its_datasets(http, dataset):
    other = upload(http, rows=rows("x", "w"), target="y")
    run = ask(http, dataset, fit={"validation_dataset": other}).json()
    assert http.delete(f"/api/datasets/{other}").status_code == 409
    assert http.post(f"/api/runs/{run['id']}:cancel").status_code == 202
    assert http.delete(f"/api/datasets/{other}").status_code == 204
    assert http.delete(f"/api/datasets/{dataset}").status_code == 204


# Continuing


def finished_run(database: Database, *files: str, **fields: Any) -> str:
    """A run of the model ``classes`` that has done five epochs and left these files."""
    with database.write() as session:
        model = session.query(Model).filter_by(name="classes").one()
        revision = repository.get_revision(session, model)
        run = new_run(
            session, model="classes", definition=revision.definition, compile=revision.compile, seed=77, epoch=5, **fields
        )
        session.flush()
        for number, name in enumerate(files):
            digest = f"{number + 1}" * 64
            session.add(RunArtifact(run_id=run.id, name=name, sha256=digest, size_bytes=1, media_type="application/zip"))
        return run.id


def test_a_continued_run_takes_over_the_seed_and_keeps_the_files(http, database, dataset):
    run_id = finished_run(database, "model.keras", "state.npz")
    answer = ask(http, dataset, continue_from={"run": run_id}, fit={"epochs": 6})
    assert answer.status_code == 202, answer.text
    read = answer.json()
    assert (read["seed"], read["continues"]) == (77, {"run": run_id, "version": None, "take": "state"})
    with database.write() as session:
        session.delete(session.get(RunArtifact, (run_id, "state.npz")))
    with database.read() as session:
        assert "2" * 64 in set(list_references(session))
    http.post(f"/api/runs/{read['id']}:cancel")
    with database.read() as session:
        assert "2" * 64 not in set(list_references(session))


@pytest.mark.parametrize(("take", "epochs"), [("state", 3), ("weights", 8)])
def test_a_continued_run_counts_the_epochs_that_it_has_to_do(http, database, dataset, take, epochs):
    run_id = finished_run(database, "model.keras", "state.npz")
    accepted = ask(http, dataset, continue_from={"run": run_id, "take": take}, fit={"epochs": 8}).json()
    with database.read() as session:
        run = session.get_one(Run, accepted["id"])
        assert (run.counted_epochs, run.rows) == (epochs, 20)


@pytest.mark.parametrize(
    ("files", "body", "pointer", "words"),
    [
        (["model.keras", "state.npz"], {"fit": {"epochs": 5}}, "/fit/epochs", "more than 5"),
        (["model.keras", "state.npz"], {"fit": {"epochs": 9, "initial_epoch": 1}}, "/fit/initial_epoch", "Leave"),
        (["model.keras"], {"fit": {"epochs": 9}}, "/continue_from/take", "weights"),
        ([], {"fit": {"epochs": 9}}, "/continue_from", "no weights"),
        (["model.keras", "state.npz"], {"model": "numbers", "fit": {"epochs": 9}}, "/continue_from/take", "weights"),
    ],
)
def test_a_run_that_cannot_be_continued_is_refused(http, database, dataset, files, body, pointer, words):
    run_id = finished_run(database, *files)
    where, what = problem(ask(http, dataset, **{"continue_from": {"run": run_id}, **body}))
    assert where == pointer
    assert words in what


@pytest.mark.parametrize("wish", [{}, {"run": "run_1", "version": 1}, {"run": "run_1", "take": "all"}])
def test_a_wish_to_continue_names_one_source(http, dataset, wish):
    assert problem(ask(http, dataset, continue_from=wish))[0].startswith("/continue_from")


def test_what_is_not_there_cannot_be_continued(http, dataset):
    assert ask(http, dataset, continue_from={"run": "run_gone"}).status_code == 404
    assert ask(http, dataset, continue_from={"version": 3}).status_code == 404


# Evaluations


def test_an_evaluation_is_a_run_that_keeps_its_model_and_dataset(http, database, dataset):
    publish_version(database)
    answer = http.post("/api/evaluations", json={"model": "classes", "dataset": dataset, "tags": ["weekly"]})
    assert answer.status_code == 202, answer.text
    run = answer.json()
    assert (run["kind"], run["state"], run["evaluates"], run["target"]) == ("evaluate", "queued", 1, "y")
    assert answer.headers["Location"] == f"/api/runs/{run['id']}"
    assert http.delete("/api/models/classes").status_code == 409
    assert http.delete(f"/api/datasets/{dataset}").status_code == 409
    assert http.get(f"/api/runs/{run['id']}/evaluation").status_code == 409
    kinds = {kind: http.get("/api/runs", params={"kind": kind}).json()["items"] for kind in ("fit", "evaluate")}
    assert [item["id"] for item in kinds["evaluate"]] == [run["id"]]
    assert kinds["fit"] == []


def test_an_evaluation_needs_a_version_and_the_target(http, database, dataset):
    body = {"model": "classes", "dataset": dataset}
    assert http.post("/api/evaluations", json=body).status_code == 404
    publish_version(database)
    assert http.post("/api/evaluations", json=body | {"version": 9}).status_code == 404
    assert http.post("/api/evaluations", json=body | {"alias": "none"}).status_code == 404
    assert problem(http.post("/api/evaluations", json=body | {"version": 1, "alias": "a"}))[0] == ""
    assert problem(http.post("/api/evaluations", json=body | {"sample_weight": "v"}))[0] == "/sample_weight"
    other = upload(http, rows=[{"x": 1.0}])
    assert problem(http.post("/api/evaluations", json=body | {"dataset": other}))[0] == "/dataset"


def test_a_key_is_for_one_kind_of_request(http, database, dataset):
    publish_version(database)
    body, key = {"model": "classes", "dataset": dataset}, {"Idempotency-Key": "once"}
    first = http.post("/api/evaluations", json=body, headers=key)
    assert http.post("/api/evaluations", json=body, headers=key).json()["id"] == first.json()["id"]
    assert http.post("/api/runs", json=body, headers=key).status_code == 422


def publish_version(database: Database) -> None:
    plan = {
        "inputs": [{"kind": "array", "name": "input", "array": "x", "shape": [1], "dtype": "float32"}],
        "targets": [{"output": "output", "columns": ["y"], "encoding": "binary", "classes": [0, 1]}],
    }
    file = {"sha256": "3" * 64, "size_bytes": 1, "media_type": "application/zip"}
    with database.write() as session:
        model = session.query(Model).filter_by(name="classes").one()
        session.add(
            Version(
                model_id=model.id, number=1, run_id="run_0", revision=1, engine="onnx", metrics={}, parity={}, plan=plan,
                inputs=[], outputs=[], example={}, parameters=1, files={"model.keras": file, "plan.json": file},
            )
        )  # fmt: skip
        assert session.query(Run).count() == 0
