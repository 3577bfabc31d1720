"""The service keeps to its OpenAPI document, whatever is sent, and the document's links lead on."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.web.links import LINKS
from tests.acceptance.client import Document, Fitserve, accepted
from tests.acceptance.contract.documents import about, labels_of, only, with_bodies, with_few_classes, without_options
from tests.acceptance.contract.link_story import MODEL, Fitted, LinkStory, accepted_bodies, fit
from tests.acceptance.contract.linked import Linked
from tests.acceptance.contract.schemathesis_run import Trial, count_successes, run_schemathesis
from tests.acceptance.running import SHORT_TIMES, RunningService, running_service

SEED = int(os.environ.get("CONTRACT_SEED", "1"))
EXAMPLES = int(os.environ.get("CONTRACT_EXAMPLES", "3"))
"""Requests that are made up for each operation, beside those that follow from the document."""
WALKS = int(os.environ.get("CONTRACT_WALKS", "15"))
"""Sequences of linked requests."""
SHOWING = ["--seed", str(SEED), "--phases", "examples", "--mode", "positive"]
TRYING = ["--seed", str(SEED), "--phases", "coverage,fuzzing"]
# What an answer gives is none of the values of the bodies here, which Schemathesis would take for a mistake.
WALKING = ["--seed", str(SEED), "--phases", "stateful", "--mode", "positive", "--exclude-checks", "negative_data_rejection"]
DEAD_ENDS = {
    "GET /api/batch-predictions/{run_id}/content",  # the run of the examples is a fit
    "POST /api/runs/{run_id}:cancel",  # and has ended; one that was started here may have, too
    "DELETE /api/models/{name}/aliases/{alias}",  # the model of the examples has been deleted before
    "DELETE /api/models/{name}/versions/{version}",
}
"""Where the examples need not come to a success."""
TARGETS = {operation for groups in LINKS.values() for links in groups for operation in links.operations}
SETTINGS = SHORT_TIMES | {
    "FITSERVE_MAX_WAIT_SECONDS": "2",  # an answer waits no longer, whatever `Prefer` asks for
    "FITSERVE_RUN_TIMEOUT_SECONDS": "10",  # nor does a stream of events
}

pytestmark = pytest.mark.timeout(3600)  # as long as many examples take


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service that takes what Schemathesis sends, on the embedded stack."""
    with running_service(tmp_path_factory.mktemp("contract") / "data", SETTINGS) as service:
        yield service


@pytest.fixture(scope="module")
def key(service: RunningService) -> Document:
    """A key that may do everything; the client of the service sends it from now on."""
    key = accepted(service.http.post("/api/keys", json={"name": "contract", "scopes": ["admin"]}), 201)
    service.http.headers["Authorization"] = f"Bearer {key['key']}"
    return key


@pytest.fixture(scope="module")
def fitserve(service: RunningService, key: Document) -> Fitserve:
    return Fitserve(service.http)


@pytest.fixture(scope="module")
def document(fitserve: Fitserve) -> Document:
    return accepted(fitserve.http.get("/openapi.json", timeout=120))  # a process has to write it first


@pytest.fixture(scope="module")
def table(document: Document) -> Document:
    """The document's own example of a table."""
    content = document["paths"]["/api/datasets"]["post"]["requestBody"]["content"]["application/json"]
    rows: Document = content["examples"]["rows"]["value"]
    return rows


@pytest.fixture(scope="module")
def fitted(fitserve: Fitserve, table: Document) -> Fitted:
    """A model, its dataset and its run, from which links lead on."""
    return fit(fitserve, fitserve.define_model(*MODEL.values()), table)


def fit_my_model(fitserve: Fitserve, table: Document) -> Fitted:
    """Fit a model of the name that the document's examples have, which an earlier test may have left behind."""
    answer = fitserve.http.post("/api/models", json={"name": "my_model", **MODEL})
    assert answer.status_code in (201, 409), answer.text
    return fit(fitserve, "my_model", table)


@pytest.mark.parametrize("source", LINKS)
def test_every_link_leads_to_an_operation_that_succeeds(
    fitserve: Fitserve, document: Document, table: Document, fitted: Fitted, source: str
) -> None:
    LinkStory(fitserve, Linked(fitserve.http, document), source, table, fitted).follow_all()


def test_sequences_of_linked_requests_keep_to_the_document(
    service: RunningService, key: Document, document: Document, table: Document, fitted: Fitted, tmp_path: Path
) -> None:
    linked = with_bodies(only(document, LINKS.keys() | TARGETS), accepted_bodies(fitted, table))

    run_schemathesis(Trial(linked, service.url, key, fitted), tmp_path, *WALKING, "--max-examples", str(WALKS))

    reached = count_successes(tmp_path, is_linked=True)
    assert len(reached) >= len(TARGETS) / 4, f"links have led to successes of these operations alone: {reached}"


def test_the_examples_of_the_document_are_accepted(
    service: RunningService, fitserve: Fitserve, key: Document, document: Document, table: Document, tmp_path: Path
) -> None:
    fitted = fit_my_model(fitserve, table)
    shown = without_options(about(fitted, document))

    run_schemathesis(Trial(shown, service.url, key, fitted), tmp_path, *SHOWING)

    never = labels_of(shown) - count_successes(tmp_path).keys()
    assert never <= DEAD_ENDS


def test_every_operation_keeps_to_the_document(
    service: RunningService, fitserve: Fitserve, key: Document, document: Document, table: Document, tmp_path: Path
) -> None:
    fitted = fit_my_model(fitserve, table)
    thinned = with_few_classes(about(fitted, document), SEED)

    run_schemathesis(Trial(thinned, service.url, key, fitted), tmp_path, *TRYING, "--max-examples", str(EXAMPLES))

    assert service.http.get("/api/keys").is_success, "the key has opened everything up to the end"
