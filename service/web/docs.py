"""The OpenAPI page at ``/docs``: Swagger UI from files that this service brings along, so that it needs no network."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import fastapi_offline
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from service.infra.metrics import counting_alone
from service.web.context import security_policy

ASSETS = Path(fastapi_offline.__file__).parent / "static"
POLICY = security_policy(
    script_src="'self'",
    style_src="'self' 'unsafe-inline'",
    img_src="'self' data:",
    connect_src="'self'",
    font_src="'self'",
)
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Fitserve API</title>
<link rel="stylesheet" href="/docs/assets/swagger-ui.css">
<link rel="stylesheet" href="/docs/style.css">
<link rel="icon" href="/docs/assets/favicon.png">
</head>
<body>
<div id="swagger-ui"></div>
<script src="/docs/assets/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""
STYLE = """
.json-schema-2020-12-head { display: flex; flex-wrap: wrap; align-items: center; }
.schema-explanation { flex-basis: 100%; order: 1; }
#swagger-ui .schema-explanation p, #swagger-ui .schema-explanation li { font-size: 12px; margin: 2px 0; }
.json-schema-2020-12-head:has(.schema-explanation) + .json-schema-2020-12-body > .json-schema-2020-12-keyword--description {
  display: none;
}
"""
START = r"""// Explains every schema and field beside its name, and writes a union of a hundred objects as one. Opening a layer
// with all that it may hold would take minutes, so there is no button for it.
const Readable = () => ({
  wrapComponents: {
    JSONSchema202012KeywordType: (Original, {React, fn, getComponent}) => ({schema, isCircular}) => {
      const type = fn.jsonSchema202012.getType(schema)
        .replace(/\b(object|any)( \| (object|any))+/g, "object").replace(/\((\w+)\)/g, "$1");
      const className = "json-schema-2020-12__attribute json-schema-2020-12__attribute--primary";
      const text = schema && schema.description;
      return React.createElement(React.Fragment, null,
        React.createElement("strong", {className}, isCircular ? `${type} [circular]` : type),
        text && React.createElement("span", {className: "schema-explanation"},
          React.createElement(getComponent("Markdown", true), {source: text})));
    },
    JSONSchema202012ExpandDeepButton: () => () => null,
  },
});
SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  displayRequestDuration: true,
  tryItOutEnabled: true,
  defaultModelsExpandDepth: 0,
  docExpansion: "list",
  validatorUrl: null,
  layout: "BaseLayout",
  presets: [SwaggerUIBundle.presets.apis],
  plugins: [Readable],
});
"""

WRITE_SECONDS = 120.0

router = APIRouter(include_in_schema=False)


class DocumentFile:
    """The OpenAPI document, written when somebody first asks for it, by a process of its own.

    Here the validators of the hundreds of classes that it describes would stay in memory for ever, some 30 MB.
    """

    def __init__(self, module: str) -> None:
        self._module = module
        self._lock = threading.Lock()
        self._content = b""

    def read(self) -> bytes:
        """The document as JSON."""
        with self._lock:
            if not self._content:
                command = [sys.executable, "-P", "-m", self._module]
                done = subprocess.run(  # noqa: S603  # the module's name is ours
                    command,
                    env=counting_alone(os.environ),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    check=True,
                    timeout=WRITE_SECONDS,
                )
                self._content = done.stdout
            return self._content


def install_docs(app: FastAPI, writer: str) -> None:
    """Serve ``/docs``, its assets, and the document that ``python -m writer`` writes."""
    app.state.document = DocumentFile(writer)
    app.mount("/docs/assets", StaticFiles(directory=ASSETS), name="docs-assets")
    app.include_router(router)


@router.get("/")
def read_root() -> RedirectResponse:
    """Send people who open the bare address to the page that explains it."""
    return RedirectResponse("/docs")


@router.get("/openapi.json")
def read_document(request: Request) -> Response:
    """What the page shows."""
    document: DocumentFile = request.app.state.document
    return Response(document.read(), media_type="application/json")


@router.get("/docs")
def read_docs() -> HTMLResponse:
    """The page."""
    return HTMLResponse(PAGE, headers={"Content-Security-Policy": POLICY})


@router.get("/docs/start.js")
def read_docs_script() -> Response:
    """The script that starts Swagger UI; a file of its own, since the policy allows no inline script."""
    return Response(START, media_type="text/javascript")


@router.get("/docs/style.css")
def read_docs_style() -> Response:
    """What the page adds to Swagger UI's own style."""
    return Response(STYLE, media_type="text/css")
