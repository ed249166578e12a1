"""The built site as a person sees it: headless Chromium, two widths, light and dark."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from groundwork.labs import Lab
from groundwork.site import build
from groundwork.workspace import Workspace

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

CONTRAST = """() => {
  const channel = (v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = (c) => {
    const [r, g, b] = c.match(/[\\d.]+/g).slice(0, 3).map(Number).map(channel);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const color = getComputedStyle(e).backgroundColor;
      if (!color.endsWith(", 0)") && color !== "transparent") return color;
    }
    return "rgb(255, 255, 255)";
  };
  let worst = [99, ""];
  const words = "p, a, td, th, dt, dd, h1, h2, h3, small, .verdict, button, code";
  for (const element of document.querySelectorAll(words)) {
    if (!element.innerText || !element.offsetParent) continue;
    const pair = [light(getComputedStyle(element).color), light(ground(element))];
    pair.sort((a, b) => b - a);
    const contrast = (pair[0] + 0.05) / (pair[1] + 0.05);
    if (contrast < worst[0]) worst = [contrast, element.outerHTML.slice(0, 120)];
  }
  return worst;
}"""


FIGURE = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="720" height="300">'
    '<rect width="720" height="300" fill="#fff"/><path d="M0 300L720 0" stroke="#000"/></svg>'
)


LONG = "a_name_that_is_far_too_long_for_the_width_of_a_phone"
LAB = f"""
PRESETS = {{"full": {{}}}}
CLAIMS = [
    Claim("{LONG}", ">=", 0.5),
    Claim("ratio.epoch", "<=", 1e-9),
    Claim("never_measured", ">=", 1.0),
]
"""


def record(lab: Lab) -> dict[str, object]:
    """A record with all that a page can show, in names too long for a phone."""
    timing = {"ours_s": 0.7, "reference_s": 0.4, "ratio": 1.75, "low": 1.5, "high": 2.5}
    return {
        "schema": 1, "package": lab.package, "lab": lab.name, "preset": "full", "seed": 0,
        "parameters": {LONG: [1, 2, 3], "epochs": 3}, "status": "finished",
        "started": "2026-11-21T10:00:00Z", "duration_s": 12.3, "peak_memory_mb": 512.0,
        "machine": {
            "cpu": "A processor " * 6, "cores": 2, "memory_gb": 24, "gpu": None,
            "os": "Linux", "python": "3.11.7", "threads": 1,
        },
        "versions": {"numpy": "2.4.6"}, "data": {"mnist": "0" * 64}, "commit": "0" * 40,
        "dirty": False, "source": lab.source_digest("full"),
        "metrics": {LONG: {"value": 0.75, "unit": "images/s", "std": 0.01, "n": 3}},
        "comparisons": {
            name: {**timing, "library": "torch 2.15.0", "pairs": 9, "compile_s": 0}
            for name in (LONG, "epoch")
        },
        "claims": [],  # the site holds the numbers against the claims of today
        "files": [
            {"path": "line.svg", "kind": "figure", "caption": "A line"},
            {"path": "wide.json", "kind": "table", "caption": "A wide table"},
        ],
    }  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of a made-up workspace: a lab with a full record, and one without."""
    root = tmp_path_factory.mktemp("workspace")
    (root / "pyproject.toml").write_text('[tool.uv.workspace]\nmembers = ["projects/*"]\n')
    home = root / "projects" / "mnist-labs"
    labs = home / "src" / "mnist_labs" / "labs"
    labs.mkdir(parents=True)
    (home / "pyproject.toml").write_text('[project]\nname = "mnist-labs"\ndescription = "Labs"\n')
    formula = f"$x = {'a_long_formula + ' * 9}0$"
    (labs / "digit_sum.py").write_text(f'"""Learn digits from sums.\n\n{formula}\n"""\n{LAB}')
    (labs / "tiny_model.py").write_text(f'"""Find the smallest model."""\n{LAB}')
    workspace = Workspace(root)
    folder = home / "results" / "digit-sum" / "full"
    folder.mkdir(parents=True)
    (folder / "record.json").write_text(json.dumps(record(workspace.lab("mnist-labs/digit-sum"))))
    (folder / "line.svg").write_text(FIGURE)
    table = {"columns": [f"column {n}" for n in range(30)], "rows": [list(range(30))]}
    (folder / "wide.json").write_text(json.dumps(table))
    return build(workspace, tmp_path_factory.mktemp("site") / "built")


@pytest.fixture(scope="module")
def own_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of this checkout."""
    return build(Workspace.find(Path(__file__).parent), tmp_path_factory.mktemp("own") / "built")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, from CHROMIUM or the search path."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    assert found, "no Chromium: install it (apt-get install chromium) or name it in CHROMIUM"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(params=[(360, "light"), (360, "dark"), (1280, "light"), (1280, "dark")], ids=str)
def page(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Page]:
    """A page that fails the test when it logs an error or cannot load something."""
    width, scheme = request.param
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    opened = context.new_page()
    troubles: list[str] = []
    opened.on("console", lambda m: troubles.append(m.text) if m.type == "error" else None)
    opened.on("pageerror", lambda error: troubles.append(str(error)))
    opened.on("requestfailed", lambda request: troubles.append(request.url))
    yield opened
    context.close()
    assert troubles == []


def pages(site: Path) -> list[Path]:
    return sorted(site.rglob("*.html"))


def check_pages(folder: Path, page: Page) -> int:
    """Look at every page of a site; returns how many figures were shown."""
    figures = 0
    for path in pages(folder):
        page.goto(path.as_uri())
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, f"{path.name} is {wide} px too wide"
        contrast, element = page.evaluate(CONTRAST)
        assert contrast >= 4.5, f"{path.name}: contrast {contrast:.2f} in {element}"
        page.evaluate("document.querySelectorAll('img').forEach((i) => { i.loading = 'eager'; })")
        page.wait_for_function("[...document.images].every((i) => i.complete)")
        assert page.evaluate("[...document.images].every((i) => i.naturalWidth > 0)"), path.name
        figures += page.evaluate("document.images.length")
    return figures


def test_every_page_fits_is_readable_and_shows_its_figures(site: Path, page: Page) -> None:
    assert check_pages(site, page) == 2  # in the gallery and on the lab's page


def test_every_page_of_this_checkout_does_too(own_site: Path, page: Page) -> None:
    check_pages(own_site, page)


def test_a_verdict_is_in_view_and_a_wide_table_can_be_reached(site: Path, page: Page) -> None:
    page.goto((site / "labs" / "mnist-labs" / "digit-sum.html").as_uri())
    boxes = page.locator(".claims .verdict").evaluate_all(
        "all => all.map((v) => v.getBoundingClientRect().right <= v.closest('.scroll').clientWidth"
        " + v.closest('.scroll').getBoundingClientRect().left)"
    )
    assert boxes == [True, True, True]
    table = page.get_by_role("region", name="A wide table, full")
    table.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.activeElement.scrollLeft > 0")


def test_print_is_dark_on_white(site: Path, page: Page) -> None:
    page.emulate_media(media="print")
    page.goto((site / "labs" / "mnist-labs" / "digit-sum.html").as_uri())
    contrast, element = page.evaluate(CONTRAST)
    assert contrast >= 4.5, f"contrast {contrast:.2f} in {element}"


def test_a_slash_leads_to_the_search_and_the_search_to_a_lab(site: Path, page: Page) -> None:
    page.goto((site / "roadmap.html").as_uri())
    page.keyboard.press("/")
    page.keyboard.type("sums digit")
    assert page.locator("#found a").first.inner_text().startswith("mnist-labs/digit-sum")
    page.keyboard.press("Enter")
    page.wait_for_url("**/digit-sum.html")
    assert "digit-sum" in page.locator("h1").inner_text()
    page.keyboard.press("/")
    page.keyboard.type("no such thing at all")
    assert page.locator("#found").inner_text() == "No lab found"


def test_the_filter_shows_only_one_state(site: Path, page: Page) -> None:
    page.goto((site / "plans" / "project-curriculum.html").as_uri())
    everything = page.locator("tr[data-state]:visible").count()
    buttons = page.locator('[data-filter]:not([data-filter="all"])')
    counted = 0
    for button in buttons.all():
        button.click()
        shown = page.locator("tr[data-state]:visible")
        states = shown.evaluate_all("rows => [...new Set(rows.map((row) => row.dataset.state))]")
        assert states == [button.get_attribute("data-filter")]
        assert button.inner_text().endswith(f" {shown.count()}")
        counted += shown.count()
    assert counted == everything
    page.locator('[data-filter="all"]').click()
    assert page.locator("tr[data-state]:visible").count() == everything


def test_the_copy_button_copies_the_command(site: Path, page: Page) -> None:
    page.goto((site / "index.html").as_uri())
    page.locator("[data-copy]").first.click()
    page.wait_for_function("document.querySelector('[data-copy]').textContent === 'Copied'")
    copied = page.evaluate("navigator.clipboard ? navigator.clipboard.readText() : ''")
    assert copied in ("pip install uv && uv run groundwork run mnist-labs/tiny-model", "")


def test_the_keyboard_reaches_the_content_first(site: Path, page: Page) -> None:
    page.goto((site / "index.html").as_uri())
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
