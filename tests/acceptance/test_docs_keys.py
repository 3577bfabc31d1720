"""The API page in a real browser, where a service asks for keys."""

import shutil
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.acceptance.running import running_api
from tests.acceptance.test_keys import keys

CHROMIUM = shutil.which("chromium")


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")
def test_a_key_that_is_given_to_the_page_is_sent_with_its_requests(tmp_path: Path) -> None:
    key = keys(tmp_path, "create", "reader", "--scopes", "read")
    with running_api(tmp_path) as (http, _), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(60_000)
        page.goto(f"{http.base_url}/docs")

        page.get_by_role("button", name="Authorize").first.click()
        dialog = page.locator(".dialog-ux")
        expect(dialog).to_contain_text("X-API-Key")
        dialog.locator("input").first.fill(key)
        dialog.get_by_role("button", name="Apply credentials").first.click()
        dialog.get_by_role("button", name="Close").first.click()
        operation = page.locator("#operations-runs-list_runs")
        operation.click()
        with page.expect_response(lambda response: "/api/runs" in response.url) as answer:
            operation.get_by_role("button", name="Execute").click()

        assert answer.value.status == 200
        assert answer.value.request.header_value("authorization") == f"Bearer {key}"
        browser.close()
