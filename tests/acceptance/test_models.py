"""Models change by revisions, guarded by ETags."""

import json

from tests.acceptance.client import TUTORIAL_COMPILE, TUTORIAL_LAYERS, Fitserve, accepted, refused

SMALLER = {"definition": {"layers": TUTORIAL_LAYERS[1:]}, "compile": TUTORIAL_COMPILE}


def test_a_change_of_what_somebody_else_has_changed_is_refused(fitserve: Fitserve) -> None:
    path = f"/api/models/{fitserve.create_model()}"
    tag = fitserve.http.get(path).headers["ETag"]
    changed = fitserve.http.put(path, json=SMALLER, headers={"If-Match": tag})
    assert accepted(changed)["revision"] == 2
    refused(fitserve.http.put(path, json=SMALLER, headers={"If-Match": tag}), 412)
    assert fitserve.http.get(path).headers["ETag"] == changed.headers["ETag"] != tag


def test_a_run_keeps_the_revision_that_it_was_accepted_with(fitserve: Fitserve) -> None:
    model, dataset = fitserve.create_model(), fitserve.upload_digits()
    before = fitserve.start(model, dataset, {"epochs": 1})
    accepted(fitserve.http.put(f"/api/models/{model}", json=SMALLER))
    after, earlier = fitserve.start(model, dataset, {"epochs": 1}), fitserve.start(model, dataset, {"epochs": 1}, revision=1)
    runs = [fitserve.succeeded(run_id) for run_id in (before, after, earlier)]
    assert [run["revision"] for run in runs] == [1, 2, 1]
    versions = accepted(fitserve.http.get(f"/api/models/{model}/versions", params={"order_by": "version"}))["items"]
    assert [version["parameters"] for version in versions] == [2031, 991, 2031]


def test_a_taken_name_is_a_conflict(fitserve: Fitserve) -> None:
    name = fitserve.create_model()
    refused(fitserve.http.post("/api/models", json={"name": name, **SMALLER}), 409)


def test_the_code_of_a_model_is_a_script_that_compiles(fitserve: Fitserve) -> None:
    name = fitserve.create_model()
    response = fitserve.http.get(f"/api/models/{name}/code")
    assert response.headers["content-type"].startswith("text/x-python")
    compile(response.text, name, "exec")


def test_a_model_of_keras_is_taken_over_as_it_is_and_fitted(fitserve: Fitserve) -> None:
    settings = [{name: value for name, value in layer.items() if name != "type"} for layer in TUTORIAL_LAYERS]
    dense = [{"module": "keras.layers", "class_name": "Dense", "config": config, "registered_name": None} for config in settings]
    first = {"module": "keras.layers", "class_name": "InputLayer", "config": {"batch_shape": [None, 64], "dtype": "float32"}}
    document = {"module": "keras", "class_name": "Sequential", "config": {"name": "mine", "layers": [first, *dense]}}
    body = {"name": "from_keras", "definition": {"keras": json.dumps(document)}, "compile": TUTORIAL_COMPILE}
    created = accepted(fitserve.http.post("/api/models", json=body), 201)
    assert created["definition"]["input_shape"] == [64]
    assert [layer["name"] for layer in created["definition"]["layers"]] == ["layer1", "layer2", "layer3"]
    run = fitserve.succeeded(fitserve.start("from_keras", fitserve.upload_digits(), {"epochs": 1}))
    assert run["version"] == 1
    refused(
        fitserve.http.post("/api/models", json=body | {"name": "f", "definition": {"keras": {"class_name": "Functional"}}}), 422
    )
