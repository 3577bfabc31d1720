"""The API page in a real browser: everything is explained where it is seen, and nothing comes from elsewhere."""

import re
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect, sync_playwright

from tests.acceptance.running import EMBEDDED_ONLY, RunningService

CHROMIUM = shutil.which("chromium")

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed"),
    EMBEDDED_ONLY,  # the page is the same on every stack
]


@pytest.fixture(scope="module")
def page(running: RunningService) -> Iterator[Page]:
    """The page with its schemas listed."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(60_000)
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("requestfailed", lambda request: problems.append(request.url))
        page.on(
            "request", lambda request: None if request.url.startswith((running.url, "data:")) else problems.append(request.url)
        )
        page.goto(f"{running.url}/docs")
        page.get_by_role("button", name="Schemas").click()
        yield page
        browser.close()
        assert problems == []


def schema(page: Page, name: str) -> Locator:
    title = page.locator(".json-schema-2020-12__title", has_text=re.compile(f"^{name}$")).first
    return page.locator("section.models > div > article").filter(has=title)


def opened(page: Page, name: str) -> Locator:
    found = schema(page, name)
    found.get_by_role("button", name=name).first.click()
    return found


def test_a_layer_and_each_of_its_fields_is_explained(page: Page) -> None:
    expect(schema(page, "Dropout")).to_contain_text("Use it where val_loss rises while loss falls")
    expect(opened(page, "Dense")).to_contain_text("Number of neurons, which is also the number of outputs.")


def test_the_activation_functions_are_explained(page: Page) -> None:
    expect(page.locator("section.models")).to_contain_text("Squeezes any number between 0 and 1")


def test_layers_are_no_list_of_a_hundred_objects(page: Page) -> None:
    definition = opened(page, "Definition")
    expect(definition).to_contain_text("array<(string | object)>")
    expect(definition).not_to_contain_text("object | object")
