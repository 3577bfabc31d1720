"""The container files, as far as they can be judged without a container engine."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def named_volumes(service: dict[str, Any]) -> set[str]:
    return {volume.partition(":")[0] for volume in service.get("volumes", [])}


def test_every_part_of_the_deployment_is_there() -> None:
    assert set(SERVICES) == {"postgres", "redis", "migrate", "api", "worker"}


def test_every_named_volume_is_declared_and_used() -> None:
    assert set().union(*map(named_volumes, SERVICES.values())) == set(COMPOSE["volumes"])


def test_api_and_workers_share_their_files() -> None:
    assert named_volumes(SERVICES["api"]) == named_volumes(SERVICES["worker"]) == {"data"}


@pytest.mark.parametrize("name", ["postgres", "redis"])
def test_what_others_wait_for_has_a_health_check(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"]


@pytest.mark.parametrize("name", ["api", "worker"])
def test_roles_start_only_on_a_migrated_database_with_a_broker(name: str) -> None:
    assert SERVICES[name]["depends_on"] == {
        "migrate": {"condition": "service_completed_successfully"},
        "redis": {"condition": "service_healthy"},
    }


def test_workers_can_be_scaled() -> None:
    assert not {"container_name", "ports", "hostname"} & set(SERVICES["worker"])


def test_only_the_api_is_published_and_only_on_this_host() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"api": ["127.0.0.1:${FITSERVE_PORT:-8000}:8000"]}


def test_an_image_that_listens_to_other_machines_asks_for_keys() -> None:
    assert "FITSERVE_HOST=0.0.0.0" in DOCKERFILE
    assert "FITSERVE_REQUIRE_KEYS=true" in DOCKERFILE


def test_every_secret_is_required_and_comes_from_the_environment() -> None:
    used = re.findall(r"\$\{(\w*PASSWORD)(:\?)?", (ROOT / "docker-compose.yml").read_text())
    assert {name for name, _ in used} == {"POSTGRES_PASSWORD", "REDIS_PASSWORD"}
    assert all(is_required for _, is_required in used)
    example = (ROOT / ".env.example").read_text()
    assert all(f"\n{name}=\n" in example for name, _ in used)


@pytest.mark.parametrize("name", ["migrate", "api", "worker"])
def test_every_image_is_a_stage_of_the_dockerfile(name: str) -> None:
    assert re.search(rf"^FROM \w+ AS {SERVICES[name]['build']['target']}$", DOCKERFILE, re.MULTILINE)


def test_no_image_runs_as_root() -> None:
    stages = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)
    final = [stage for stage in stages if re.search(r"^CMD ", stage, re.MULTILINE)]
    assert len(final) == 2
    assert all("\nUSER 10001\n" in stage for stage in final)


def test_the_last_stage_is_the_whole_service() -> None:
    assert re.findall(r"^FROM .* AS (\w+)$", DOCKERFILE, re.MULTILINE)[-1] == "fitserve"


def test_signals_reach_the_service_itself() -> None:
    for instruction in ("ENTRYPOINT", "CMD"):
        assert all(line.startswith("[") for line in re.findall(rf"^{instruction} (.*)$", DOCKERFILE, re.MULTILINE))


def test_everything_that_is_copied_is_part_of_the_build_context() -> None:
    allowed = {line.strip("!/") for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = re.findall(r"^COPY (.*) \S+$", DOCKERFILE, re.MULTILINE)
    mounted = re.findall(r"type=bind,source=([^,]+)", DOCKERFILE)
    assert {name for names in copied for name in names.split()} | set(mounted) == allowed
