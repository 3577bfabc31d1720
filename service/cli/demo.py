"""``fitserve demo``: everything once, step by step. It talks to the service over HTTP only, as any client would."""

import time

from service.cli.demo_client import Client, DemoFailed
from service.cli.demo_digits import Digits, read_digits
from service.cli.demo_service import Interrupted, interruptible, listener_for_demo, running_service
from service.cli.demo_view import View
from service.cli.keys import temporary_key
from service.cli.preflight import prepare_data_dir
from service.settings import Settings

NAME = "my_model"
MODEL = {
    "name": NAME,
    "description": "Tells handwritten zeros from ones.",
    "definition": {
        "layers": [
            {"type": "Dense", "units": 25, "activation": "sigmoid", "name": "layer1"},
            {"type": "Dense", "units": 15, "activation": "sigmoid", "name": "layer2"},
            {"type": "Dense", "units": 1, "activation": "sigmoid", "name": "layer3"},
        ]
    },
    "compile": {
        "loss": "BinaryCrossentropy",
        "optimizer": {"type": "SGD", "learning_rate": 0.5},
        "metrics": ["accuracy"],
    },
}
EPOCHS = 20
VALIDATION_SPLIT = 0.2
FIT = {"epochs": EPOCHS, "batch_size": 16, "validation_split": VALIDATION_SPLIT}
SEED = 1
EXPECTED_ACCURACY = 0.95
SHOWN_PREDICTIONS = 6


def run_demo(settings: Settings, is_port_chosen: bool, keep: bool) -> int:
    """Show everything once; the exit code. With ``keep`` the service stays running after a demo that went well."""
    view = View(time.monotonic())
    try:
        with interruptible():
            return _show(settings, is_port_chosen, keep, view)
    except Interrupted as interruption:
        return interruption.exit_code
    except DemoFailed as failure:
        view.failed(str(failure))
        return 1


def _show(settings: Settings, is_port_chosen: bool, keep: bool, view: View) -> int:
    digits = read_digits(VALIDATION_SPLIT)
    prepare_data_dir(settings.data_dir)
    listener = listener_for_demo(settings, is_port_chosen)
    with running_service(settings, listener, keep) as service:
        with view.waiting("Starting the service"):
            service.wait_until_ready()
        view.started(service.url)
        key = temporary_key(settings, "demo")
        with Client(service.url, service.require_alive, key) as client:
            run_id = _train(client, digits, view)
            accuracy = _predict(client, digits, view)
        view.addresses(service.url, run_id, NAME, digits.held_out[0], key)
        _require_accuracy(accuracy)
        if keep:
            service.leave_running()
            view.left_running(service.pid)
        else:
            view.stopping()
    view.finished()
    return 0


def _train(client: Client, digits: Digits, view: View) -> str:
    dataset = client.upload(digits.path, name="digits_0_1", target="digit")
    view.uploaded(dataset)
    view.defined(client.put_model(MODEL))
    run = client.start_run({"model": NAME, "dataset": dataset["id"], "target": "digit", "fit": FIT, "seed": SEED})
    view.accepted(run)
    with view.fitting(EPOCHS) as fitting:
        for event in client.follow(run["id"]):
            fitting.show(event)
    ended = client.read_run(run["id"])
    if ended["state"] != "succeeded":
        raise DemoFailed(f"The run {run['id']} has {ended['state']}: {ended['failure'] or ended}")
    view.fitted(ended, client.read_metrics(run["id"]))
    return str(run["id"])


def _predict(client: Client, digits: Digits, view: View) -> float:
    """Let the new version predict all rows that it was not trained on; the part that is right."""
    answer = client.predict(NAME, digits.held_out)
    labels = [prediction["label"] for prediction in answer["predictions"]]
    right: int = sum(label == truth for label, truth in zip(labels, digits.truths, strict=True))
    view.predicted(answer["version"], digits, answer["predictions"], SHOWN_PREDICTIONS)
    view.judged(right, len(labels))
    return right / len(labels)


def _require_accuracy(accuracy: float) -> None:
    if accuracy < EXPECTED_ACCURACY:
        raise DemoFailed(
            f"The model is right on {accuracy:.1%} of the held-out digits. Expected at least {EXPECTED_ACCURACY:.0%}."
        )
