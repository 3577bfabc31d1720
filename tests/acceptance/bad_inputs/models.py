"""Models, and checks of them, that cannot be."""

from typing import Any

from tests.acceptance.bad_inputs.cases import JSON, MODEL, Case, got, modelled, nested, posted
from tests.acceptance.client import TUTORIAL_COMPILE, TUTORIAL_LAYERS
from tests.graphs import dense, graph, joined

DEFINITION = "/definition/layers/0"
DENSE = {"type": "Dense", "units": 1}
LONG = "x" * 5000


def layer(what: str, layer: Any, pointer: str | None = DEFINITION, says: str = "", shape: list[int] | None = None) -> Case:
    """A model with one impossible layer."""
    definition: dict[str, Any] = {"layers": [layer, DENSE]} | ({} if shape is None else {"input_shape": shape})
    return modelled(what, pointer, says, definition=definition)


def functional(what: str, layers: list[dict[str, Any]], pointer: str, says: str = "", output: str = "h") -> Case:
    """A functional model that does not hang together."""
    return modelled(what, pointer, says, definition=graph([{"name": "a", "shape": [4]}], layers, output))


def imported(what: str, document: Any, pointer: str, says: str = "") -> Case:
    """Keras's own JSON that cannot be taken over."""
    return modelled(what, pointer, says, definition={"keras": document})


def compiled(what: str, pointer: str | None = None, says: str = "", **changes: Any) -> Case:
    """A model that cannot be compiled."""
    return modelled(what, pointer, says, compile=TUTORIAL_COMPILE | changes)


def sequential(*layers: dict[str, Any]) -> dict[str, Any]:
    """Keras's JSON of a Sequential."""
    return {"class_name": "Sequential", "config": {"layers": list(layers)}}


LAYERS = [
    *(
        layer(f"units {units!r}", {"type": "Dense", "units": units}, f"{DEFINITION}/units")
        for units in (0, -1, 1.5, True, "1.5", None, [1], {"a": 1}, 10**9, 10**18, 1e20, LONG)
    ),
    layer("no units", {"type": "Dense"}, f"{DEFINITION}/units"),
    layer("unknown layer", {"type": "Danse", "units": 1}, DEFINITION, "Did you mean 'Dense'"),
    layer("a long unknown layer", {"type": LONG}),
    layer("a type that is no text", {"type": 5}),
    layer("no type", {"units": 1}, f"{DEFINITION}/type"),
    layer("a layer that is a text", "Dense"),
    layer("a layer that is a list", ["Dense", 1]),
    layer("a layer that is null", None),
    layer("code", {"type": "Lambda", "function": "print"}),
    layer("a saved model", {"type": "TFSMLayer", "filepath": "/etc/passwd"}),
    layer("a vocabulary as a path", {"type": "StringLookup", "vocabulary": "/etc/passwd"}),
    layer("a module", {"class_name": "Dense", "module": "os", "config": {"units": 1, "code": "x"}}),
    layer("unknown argument", {"type": "Dense", "units": 1, "unit": 1}, f"{DEFINITION}/unit"),
    layer("a long unknown argument", {"type": "Dense", "units": 1, LONG: 1}, DEFINITION),
    layer("unknown activation", {"type": "Dense", "units": 1, "activation": "relo"}, f"{DEFINITION}/activation"),
    layer("a long activation", {"type": "Dense", "units": 1, "activation": LONG}, f"{DEFINITION}/activation"),
    layer("unknown initializer", {"type": "Dense", "units": 1, "kernel_initializer": "glorut"}, f"{DEFINITION}/kernel_init"),
    layer("unknown regularizer", {"type": "Dense", "units": 1, "kernel_regularizer": "L3"}, f"{DEFINITION}/kernel_reg"),
    layer("a negative regularizer", {"type": "Dense", "units": 1, "kernel_regularizer": {"type": "L2", "l2": -1}}),
    layer("dropout 1", {"type": "Dropout", "rate": 1.0}, f"{DEFINITION}/rate"),
    layer("dropout -0.1", {"type": "Dropout", "rate": -0.1}, f"{DEFINITION}/rate"),
    layer("dropout as text", {"type": "Dropout", "rate": "0.5"}, f"{DEFINITION}/rate"),
    layer("Embedding of 1e9", {"type": "Embedding", "input_dim": 10**9, "output_dim": 1}),
    layer("LSTM of 1e5", {"type": "LSTM", "units": 10**5}, shape=[4, 4]),
    layer("UpSampling of 1e5", {"type": "UpSampling2D", "size": 10**5}, "/definition/layers", shape=[9, 9, 1]),
    layer("RepeatVector of 1e9", {"type": "RepeatVector", "n": 10**9}, "/definition/layers", shape=[9]),
    layer("a huge input", DENSE, "/definition", shape=[10**6, 10**6, 10**6]),
    layer("an input of size 0", DENSE, "/definition/input_shape", shape=[0]),
    layer("an input of size -1", DENSE, "/definition/input_shape", shape=[-1]),
    layer("an input of 1000 axes", DENSE, "/definition", shape=[1] * 1000),
    layer("a kernel larger than the input", {"type": "Conv2D", "filters": 1, "kernel_size": 9}, shape=[4, 4, 1]),
    layer("a kernel of no size", {"type": "Conv2D", "filters": 1, "kernel_size": 0}, f"{DEFINITION}/kernel_size"),
    layer("an axis of no size", {"type": "Reshape", "target_shape": [0, 4]}, f"{DEFINITION}/target_shape/0", shape=[4]),
    layer("two open sizes", {"type": "Reshape", "target_shape": [-1, -1]}, f"{DEFINITION}/target_shape"),
    layer("an axis twice", {"type": "Permute", "dims": [1, 1]}, f"{DEFINITION}/dims"),
    layer("no groups", {"type": "GroupNormalization", "groups": 0}, f"{DEFINITION}/groups"),
    layer("strides of -1", {"type": "Conv2D", "filters": 1, "kernel_size": 1, "strides": -1}, f"{DEFINITION}/strides"),
    layer("name with a path", DENSE | {"name": "../x"}, f"{DEFINITION}/name"),
    layer("name with markup", DENSE | {"name": "<script>"}, f"{DEFINITION}/name"),
    layer("a long name", DENSE | {"name": LONG}, f"{DEFINITION}/name"),
    modelled("no layers", "/definition/layers", definition={"layers": []}),
    modelled("layers that are an object", "/definition/layers", definition={"layers": {"0": DENSE}}),
    modelled("no definition", "/definition", definition=None),
    modelled("an empty definition", "/definition/layers", definition={}),
    modelled("a definition that is a list", "/definition", definition=[DENSE]),
    modelled("1000 layers", definition={"layers": TUTORIAL_LAYERS * 400}),
    modelled("20000 texts for layers", "/definition/layers", definition={"layers": ["Dense"] * 20_000}),
    modelled("duplicate layer names", "/definition", "layer1", definition={"layers": TUTORIAL_LAYERS * 2}),
    modelled("layers in layers", "/definition", definition={"layers": [nested(20, DENSE)]}),
    modelled(
        "shapes that do not meet",
        "/definition/layers/1",
        definition={"layers": [DENSE, {"type": "Conv2D", "filters": 1, "kernel_size": 1}], "input_shape": [4]},
    ),
    modelled("wide layers", "/definition", definition={"layers": [{"type": "Dense", "units": 10**6}] * 2}),
]
GRAPHS = [
    functional("a cycle", [dense("h", ["g"]), dense("g", ["h"])], f"{DEFINITION}/inbound", "round in a circle"),
    functional("a layer behind itself", [dense("h", ["h"])], f"{DEFINITION}/inbound"),
    functional("a missing inbound name", [dense("h", ["b"])], f"{DEFINITION}/inbound", "Known names: a, h"),
    functional("a long missing inbound name", [dense("h", [LONG])], f"{DEFINITION}/inbound"),
    functional("no inbound", [{"type": "Dense", "units": 1, "name": "h"}], DEFINITION, "takes 1 input"),
    functional("an inbound of another type", [dense("h", [5])], f"{DEFINITION}/inbound/0"),
    functional("100 inbound names", [joined("Add", "h", *["a"] * 100)], f"{DEFINITION}/inbound"),
    functional("a layer named like an input", [dense("a", ["a"])], f"{DEFINITION}/name", "named 'a' too", "a"),
    functional("an output that is missing", [dense("h", ["a"])], "/definition/outputs/0", "no layer or input 'g'", "g"),
    functional("a long output that is missing", [dense("h", ["a"])], "/definition/outputs/0", "", LONG),
    functional("shapes that do not add", [dense("g", ["a"], 3), dense("h", ["g", "a"])], "/definition/layers/1/inbound"),
    functional(
        "outputs without end",
        [joined("Concatenate", "l0", *["a"] * 64), *(joined("Concatenate", f"l{n}", *[f"l{n - 1}"] * 64) for n in range(1, 9))],
        "/definition/layers",
        "outputs of all layers",
        "l8",
    ),
    imported("Keras's JSON that is none", "{", "/definition/keras", "not JSON"),
    imported("Keras's JSON of 400 deep lists", '{"class_name": ' + "[" * 400 + "]" * 400 + "}", "/definition/keras", "nested"),
    imported(
        "Keras's JSON of 200000 layers", '{"layers": [' + '{"a": 1},' * 200_000 + "0]}", "/definition/keras", "100000 values"
    ),
    imported("Keras's JSON that is a number", 5, "/definition/keras"),
    imported("Keras's JSON that is deep", "[" * 5000, "/definition/keras"),
    imported("Keras's JSON of a layer", {"class_name": "Dense", "config": {"units": 1}}, "/definition/keras", "functional model"),
    imported("Keras's JSON of a long class", {"class_name": LONG, "config": {}}, "/definition/keras"),
    imported(
        "Keras's JSON with code",
        sequential({"class_name": "Lambda", "module": "keras.layers", "config": {}}),
        "/definition/keras/config/layers/0/type",
    ),
    imported(
        "Keras's JSON with a path",
        sequential({"class_name": "StringLookup", "config": {"vocabulary": "/etc/passwd"}}),
        "/definition/keras/config/layers/0/type",
    ),
    imported(
        "Keras's JSON with another module", sequential({"class_name": "Dense", "module": "os", "config": {}}), "/definition"
    ),
    imported("Keras's JSON without layers", {"class_name": "Sequential", "config": {}}, "/definition"),
]
COMPILES = [
    compiled("a loss of an output that is none", "/compile/loss/x", "no output 'x'", loss={"x": "mse"}),
    compiled("losses in a list", "/compile/loss", loss=["mse"]),
    compiled("a loss that is a number", "/compile/loss", loss=5),
    compiled("a weight of an output below 0", "/compile/loss_weights/x", loss_weights={"x": -1}),
    *(
        compiled(f"learning rate {rate!r}", "/compile/optimizer/learning_rate", optimizer={"type": "SGD", "learning_rate": rate})
        for rate in (0, -1, True, "0.1", 1e300, [0.1])
    ),
    compiled("momentum 2", "/compile/optimizer/momentum", optimizer={"type": "SGD", "momentum": 2}),
    compiled("unknown optimizer", "/compile/optimizer", "Did you mean 'Adam'", optimizer="Adom"),
    compiled("a long unknown optimizer", "/compile/optimizer", optimizer=LONG),
    compiled("an unknown schedule", "/compile/optimizer", optimizer={"type": "SGD", "learning_rate": {"type": "Sometimes"}}),
    compiled("unknown loss", "/compile/loss", loss="mean_squared_terror"),
    compiled("a long unknown loss", "/compile/loss", loss=LONG),
    compiled("unknown metric", "/compile/metrics/0", metrics=["acuracy"]),
    compiled("a thousand metrics", "/compile/metrics", metrics=["accuracy"] * 1000),
    compiled("clips in two ways", "/compile/optimizer", optimizer={"type": "Adam", "clipnorm": 1.0, "clipvalue": 1.0}),
    compiled("an unknown field", "/compile/los", los="mse"),
]
NAMES = [
    *(
        modelled(f"name {name[:12]!r} of {len(name)}", "/name", name=name)
        for name in (
            "../x",
            "..",
            ".x",
            "-x",
            "<script>",
            "",
            " ",
            "a b",
            "a/b",
            "a\\b",
            "x" * 64,
            LONG,
            "name\n",
            "na\u0308me",
            "é",
            "\u202e",
        )
    ),
    *(modelled(f"name {name!r}", "/name", name=name) for name in (1, None, True, ["x"], {"x": 1})),
    modelled("a description of 5000", "/description", description=LONG),
    modelled("an unknown field of a model", "/lossy", lossy=1),
    modelled("a long unknown field", "/x", **{LONG: 1}),
    modelled("a thousand mistakes", None, "first 20", **{f"field_{number}": number for number in range(1000)}),
    modelled("a megabyte of the wrong type", "/name", name=["x" * 1000] * 1000),
    modelled("a text of a megabyte", "/name", name="x" * 1_000_000),
    posted("a name that is taken", "/api/models", MODEL | {"name": "$model"}, None, "already", 409),
]
OTHERS = [
    posted("no definition at all", "/api/models", {"name": "bad-input"}, "/definition"),
    posted(
        "a dataset that is not there", "/api/models:check", {"definition": MODEL["definition"], "dataset": "ds_1"}, status=404
    ),
    Case(
        "a stale tag",
        "/api/models/$model",
        b'{"definition": {"layers": [{"type": "Dense", "units": 1}]}, "compile": {"loss": "mse", "optimizer": "SGD"}}',
        412,
        method="PUT",
        headers=JSON | {"If-Match": '"0-0"'},
    ),
    Case(
        "a long tag",
        "/api/models/$model",
        b'{"definition": {"layers": [{"type": "Dense", "units": 1}]}, "compile": {"loss": "mse", "optimizer": "SGD"}}',
        422,
        "header:If-Match",
        method="PUT",
        headers=JSON | {"If-Match": "x" * 5000},
    ),
    *(
        Case(f"version {version}", "/api/models/$model/aliases/test", f'{{"version": {version}}}'.encode(), status, method="PUT")
        for version, status in (
            ("0", 422),
            ("-1", 422),
            ("99", 404),
            ("1.5", 422),
            ("true", 422),
            ('"1"', 422),
            ("1e20", 422),
            ("99999999999999999999", 422),
            ("null", 422),
        )
    ),
    Case("an alias of digits", "/api/models/$model/aliases/12", b'{"version": 1}', (404, 422), method="PUT"),
    Case("an alias with markup", "/api/models/$model/aliases/%3Cscript%3E", b'{"version": 1}', (404, 422), method="PUT"),
    got("an alias that is not there", "/api/models/$model/aliases/nothing", 404, method="DELETE"),
    got("a model that is not there", "/api/models/nothing", 404, method="DELETE"),
    *(
        got(f"version {version}", f"/api/models/$model/versions/{version}", (404, 422))
        for version in ("0", "-1", "x", "1e20", "9" * 30, "²")
    ),
    got("a version that is not there", "/api/models/$model/versions/99", 404),
    got("the code of nothing", "/api/models/nothing/code", 404),
]
MODELS = [*LAYERS, *GRAPHS, *COMPILES, *NAMES, *OTHERS]
