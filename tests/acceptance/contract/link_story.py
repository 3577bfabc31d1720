"""Follows the links of the OpenAPI document, each from an answer of which it is true."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from tests.acceptance.client import ENDLESS_FIT, Document, Fitserve, accepted, run_body
from tests.acceptance.contract.linked import Link, Linked

ROWS = [[5.1, 3.5, 1.4, 0.2]]
MODEL: dict[str, Document] = {
    "definition": {"layers": [{"type": "Dense", "units": 2, "activation": "softmax"}]},
    "compile": {"optimizer": "adam", "loss": "SparseCategoricalCrossentropy"},
}
ALIAS = "production"
FIT = {"epochs": 1}
DELETED = ("replace_model", "read_version")
"""Operations from which links lead to the end of a model or version that exists, which is then one of their own."""


@dataclass(frozen=True)
class Fitted:
    """A model with one version, which has an alias, and the run that has made it."""

    model: str
    dataset: str
    run: str


def fit(fitserve: Fitserve, model: str, table: Document) -> Fitted:
    """Fit an existing model on a new dataset."""
    dataset = str(fitserve.upload_json(**table)["id"])
    run = fitserve.succeeded(fitserve.start(model, dataset, FIT))
    accepted(fitserve.http.put(f"/api/models/{model}/aliases/{ALIAS}", json={"version": run["version"]}))
    return Fitted(model, dataset, run["id"])


def accepted_bodies(fitted: Fitted, table: Document) -> dict[str, Document]:
    """A body that is accepted, for every linked operation that takes one; that of a model has no name."""
    use = {"model": fitted.model, "dataset": fitted.dataset}
    return {
        "create_dataset": table,
        "check_model": MODEL,
        "create_model": MODEL,
        "replace_model": MODEL,
        "set_alias": {"version": 1},
        "create_run": run_body(fitted.model, fitted.dataset, FIT),
        "create_evaluation": use,
        "create_batch_prediction": use,
        "cancel_run": {"keep": "none"},
        "predict": {"rows": ROWS},
        "predict_tensorflow_serving_label": {"instances": ROWS},
        "create_key": {"name": "linked", "scopes": ["read"]},
    }


class LinkStory:
    """The answers of one operation, and where they lead."""

    def __init__(self, fitserve: Fitserve, linked: Linked, source: str, table: Document, fitted: Fitted) -> None:
        self._fitserve = fitserve
        self._linked = linked
        self._source = source
        self._table = table
        self._fitted = fit(fitserve, fitserve.define_model(*MODEL.values()), table) if source in DELETED else fitted
        self._bodies = accepted_bodies(self._fitted, table)

    def follow_all(self) -> None:
        """Assert that every link leads to a success; each that ends something goes on from an answer of its own."""
        links = self._answer()
        for link in links:
            if not is_ending(link):
                self._follow(link)
        for place, link in enumerate(links):
            if is_ending(link):
                self._follow_once(place, is_cancelling=link.operation == "cancel_run")

    def _follow_once(self, place: int, is_cancelling: bool) -> None:
        with self._busy_slot() if is_cancelling else nullcontext():
            self._follow(self._answer(is_waiting=not is_cancelling)[place])

    def _answer(self, is_waiting: bool = True) -> list[Link]:
        """The links of an answer, once what it has begun has ended."""
        parameters = self._parameters()
        name = {"name": f"linked-{uuid.uuid4().hex[:12]}"} if self._source == "create_model" else {}
        answer = self._linked.send(self._source, parameters, self._bodies.get(self._source, {}) | name)
        assert answer.is_success, answer.text
        if name:
            fit(self._fitserve, name["name"], self._table)
        if answer.status_code == 202 and is_waiting:
            self._fitserve.ended(answer.json()["id"])
        return list(self._linked.links(self._source, parameters, answer))

    def _parameters(self) -> Document:
        """What the source has to know of the model, its version and its run."""
        if self._source == "cancel_run":
            return {"run_id": self._start_endless()}
        known: dict[str, Any] = {"name": self._fitted.model, "version": 1, "alias": ALIAS, "run_id": self._fitted.run}
        return {name: known[name] for name in self._linked.path_parameters(self._source)}

    def _start_endless(self) -> str:
        return self._fitserve.start(self._fitted.model, self._fitted.dataset, ENDLESS_FIT)

    @contextmanager
    def _busy_slot(self) -> Iterator[None]:
        """What is accepted meanwhile waits."""
        run = self._start_endless()
        self._fitserve.wait_for_epoch(run, 1)
        yield
        self._fitserve.cancel(run)
        self._fitserve.ended(run)

    def _follow(self, link: Link) -> None:
        """Send the request that a link leads to; what the answer cannot give is the client's to say."""
        own = {"alias": ALIAS} if link.operation == "set_alias" else {}
        answer = self._linked.send(link.operation, own | link.parameters, self._bodies.get(link.operation, {}) | link.body)
        assert answer.is_success, f"{link}: {answer.text}"
        if answer.status_code == 202:
            self._fitserve.ended(answer.json()["id"])


def is_ending(link: Link) -> bool:
    """Whether nothing can be done afterwards with what the link leads to."""
    return link.operation.startswith(("cancel", "delete"))
