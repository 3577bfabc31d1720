"""How the broker is addressed."""

import ssl
from pathlib import Path

import pytest
from kombu.utils.url import parse_url

from service.infra.queue import make_celery
from service.settings import Settings


def broker_url(folder: Path, given: str) -> str:
    return str(make_celery(Settings(data_dir=folder, broker_url=given)).conf.broker_url)


@pytest.mark.parametrize("more", ["", "?ssl_ca_certs=/etc/ca.pem"])
def test_a_broker_with_tls_must_show_its_certificate(tmp_path: Path, more: str) -> None:
    address = parse_url(broker_url(tmp_path, f"rediss://:password@host:6380/0{more}"))

    assert address["ssl"]["ssl_cert_reqs"] == ssl.CERT_REQUIRED
    assert address["ssl"].get("ssl_ca_certs") == ("/etc/ca.pem" if more else None)


@pytest.mark.parametrize("given", ["redis://:password@host:6379/0", "rediss://host:6380/0?ssl_cert_reqs=none"])
def test_any_other_address_is_taken_as_it_is(tmp_path: Path, given: str) -> None:
    assert broker_url(tmp_path, given) == given
