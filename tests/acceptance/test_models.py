"""Models change by revisions, guarded by ETags."""

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
