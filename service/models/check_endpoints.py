"""The HTTP operation that checks a model without storing it."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, Body, Request, Response
from fastapi.exceptions import RequestValidationError

from service.datasets import repository as datasets
from service.models import checking
from service.models.check_data import DataFacts, facts_of
from service.models.check_schemas import FUNCTIONAL_CHECK, MISTAKEN_CHECK, TUTORIAL_CHECK, ModelCheck, ModelCheckRead
from service.web.problems import problems_of
from service.web.routing import StrictRoute, database_of, problems
from service.workspaces.auth import CurrentWorkspace


class CheckRoute(StrictRoute):
    """Answers a document that is no model with what is wrong in it, since that is what was asked."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler of this route."""
        handle = super().get_route_handler()

        async def handle_or_explain(request: Request) -> Response:
            try:
                return await handle(request)
            except RequestValidationError as error:
                if not isinstance(error.body, dict):
                    raise
                answer = checking.refuse(problems_of(error))
                return Response(answer.model_dump_json(), media_type="application/json")

        return handle_or_explain


router = APIRouter(prefix="/api", tags=["models"], route_class=CheckRoute)
Checked = Annotated[
    ModelCheck,
    Body(
        openapi_examples={
            "tutorial": {"summary": "Three Dense layers", "value": TUTORIAL_CHECK},
            "functional": {"summary": "Two inputs and two outputs", "value": FUNCTIONAL_CHECK},
            "mistaken": {"summary": "A filter that is larger than its image", "value": MISTAKEN_CHECK},
        }
    ),
]


@router.post("/models:check", responses=problems(404, 413, 415, 422, 429))
def check_model(http: Request, workspace_id: CurrentWorkspace, request: Checked) -> ModelCheckRead:
    """Check a model without storing it: layers, parameters, memory, mistakes, advice, and the Keras script.

    A definition with mistakes is answered with 200, `ok: false` and the mistakes, each with a pointer into your document.
    """
    facts = _facts(http, workspace_id, request)
    return checking.check(request, facts, http.app.state.checker, http.app.state.settings)


def _facts(http: Request, workspace_id: str, request: ModelCheck) -> DataFacts:
    """Reads the dataset in a transaction that ends before Keras is asked, which may take seconds."""
    if request.dataset is None:
        return DataFacts()
    with database_of(http).read() as session:
        dataset = datasets.get(session, workspace_id, request.dataset)
        return facts_of(dataset, request, http.app.state.artifacts)
