"""Sends requests as the OpenAPI document describes them, and follows the links of their answers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

import httpx

Json = dict[str, Any]


@dataclass(frozen=True)
class Link:
    """An operation to go on with, and what the answer has given for it."""

    operation: str
    parameters: Json
    body: Json


class Linked:
    """Operations by their ids."""

    def __init__(self, http: httpx.Client, document: Json) -> None:
        self._http = http
        self._operations = {
            operation["operationId"]: (method, path, operation)
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
        }

    def path_parameters(self, operation_id: str) -> list[str]:
        """The names of what stands in the operation's path."""
        parameters = self._operations[operation_id][2].get("parameters", [])
        return [parameter["name"] for parameter in parameters if parameter["in"] == "path"]

    def send(self, operation_id: str, parameters: Mapping[str, Any], body: Json) -> httpx.Response:
        """The answer to a request with these parameters and, where the operation takes one, this body."""
        method, path, operation = self._operations[operation_id]
        places = {parameter["name"]: parameter["in"] for parameter in operation.get("parameters", [])}

        def those_in(place: str) -> Json:
            return {name: value for name, value in parameters.items() if places[name] == place}

        content = {"json": body} if "requestBody" in operation else {}
        address = path.format(**those_in("path"))
        return self._http.request(method, address, params=those_in("query"), headers=those_in("header"), **content)

    def links(self, operation_id: str, parameters: Mapping[str, Any], answer: httpx.Response) -> Iterator[Link]:
        """The links of an answer, which the operation gave to these parameters."""
        described = self._operations[operation_id][2]["responses"][str(answer.status_code)]
        for link in described["links"].values():
            given, body = (
                {name: _value_of(expression, parameters, answer) for name, expression in link.get(part, {}).items()}
                for part in ("parameters", "requestBody")
            )
            yield Link(link["operationId"], given, body)


def _value_of(expression: str, parameters: Mapping[str, Any], answer: httpx.Response) -> Any:
    """What a runtime expression of OpenAPI stands for."""
    source, _, pointer = expression.partition("#/")
    if source == "$response.body":
        return reduce(lambda part, key: part[int(key) if key.isdigit() else key], pointer.split("/"), answer.json())
    if source.startswith("$response.header."):
        return answer.headers[source.removeprefix("$response.header.")]
    return parameters[source.removeprefix("$request.path.")]
