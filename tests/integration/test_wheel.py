"""What is installed from a wheel works without the checkout, and brings its migrations along."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the content of the wheel, as an installer would unpack it."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "wheel", "--no-deps"]
    subprocess.run([*build, "--wheel-dir", str(folder), str(CHECKOUT)], check=True, timeout=180)
    (wheel,) = folder.glob("fitserve-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def run_installed(installed: Path, folder: Path, *arguments: str) -> str:
    """What Python prints that finds Fitserve in ``installed``, before the checkout, from a folder elsewhere."""
    environment = os.environ | {"PYTHONPATH": str(installed)}
    done = subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_migrations_of_the_wheel_are_used(installed: Path, tmp_path: Path) -> None:
    program = "from service.infra.migrations import migrations_folder; print(migrations_folder())"
    assert run_installed(installed, tmp_path, "-c", program) == str(installed / "service" / "_migrations")


def test_an_installed_wheel_migrates_outside_the_checkout(installed: Path, tmp_path: Path) -> None:
    arguments = ("-m", "service.cli", "migrate", "--data-dir", "data")
    assert "from empty to revision" in run_installed(installed, tmp_path, *arguments)
    assert (tmp_path / "data" / "fitserve.db").exists()
    assert "up to date" in run_installed(installed, tmp_path, *arguments)


def test_the_wheel_holds_only_the_package(installed: Path) -> None:
    names = {path.name for path in installed.iterdir()}
    assert {name for name in names if not name.endswith(".dist-info")} == {"service"}
    assert {path.name for path in (installed / "service" / "_migrations").iterdir()} >= {"env.py", "versions"}
