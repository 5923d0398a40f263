"""The page in a real Chromium: dropped files, the keyboard alone, a phone's width, dark and light, the microphone."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pipeline.audio import open_decoder, write_wav
from pipeline.batch.enrol import enrol
from pipeline.engine.catalogue import Catalogue
from tests.engine.melodies import cut, noisy, tune
from tests.server.page_visitor import HOSTILE, page, write_music
from tests.server.running import Running

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")

from selenium.common.exceptions import StaleElementReferenceException  # noqa: E402 -- only if it is there
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs chromium and chromedriver"),
]

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    # Whatever it is asked to load from elsewhere fails: the page needs nothing from there.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)  # fmt: skip
PAGES = ("/", "/catalogue", "/catalogue?q=nothing+such", "/jobs", "/keys", "/health")


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    write_music(folder / "music")
    write_wav(folder / "clip.wav", noisy(cut(tune(1), 12, 15), 10))
    write_wav(folder / "hostile.wav", cut(tune(2), 3, 15))
    return folder


@pytest.fixture(scope="module")
def running(music: Path) -> Iterator[Running]:
    with Catalogue.open(music / "state" / "catalogue", create=True) as catalogue, open_decoder() as decoder:
        enrol(
            [str(music / "music")],
            catalogue=catalogue,
            decoder=decoder,
            stop=threading.Event(),
            on_progress=lambda *_: None,
        )
    with page(music) as served:
        yield served


@contextmanager
def chromium(folder: Path, *flags: str) -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={folder / 'profile'}", *flags):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    try:
        driver.set_page_load_timeout(60)
        yield driver
    finally:
        driver.quit()


@pytest.fixture
def browser(tmp_path: Path, running: Running) -> Iterator[Any]:
    with chromium(tmp_path) as driver:
        driver.get(f"http://127.0.0.1:{running.port}/")
        yield driver
        # Also what the content security policy stopped, and what a script stumbled over.
        assert [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"] == []


def answer(browser: Any, timeout_s: float = 40) -> Any:
    return WebDriverWait(browser, timeout_s).until(
        lambda driver: driver.find_elements(By.CSS_SELECTOR, "#answer .card")
    )[0]


def comes(browser: Any, tag: str, text: str) -> None:
    """Wait for a page whose first element of this kind says that."""

    def says(driver: Any) -> bool:
        return [element.text for element in driver.find_elements(By.TAG_NAME, tag)][:1] == [text]

    ignored = [StaleElementReferenceException]  # of the page that is being left
    WebDriverWait(browser, 20, ignored_exceptions=ignored).until(says)


def drop(browser: Any, path: Path) -> None:
    for kind in ("dragEnter", "dragOver", "drop"):
        data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
        browser.execute_cdp_cmd("Input.dispatchDragEvent", {"type": kind, "x": 200, "y": 250, "data": data})


def test_a_dropped_file_is_named_with_where_it_was_heard(browser: Any, music: Path) -> None:
    drop(browser, music / "clip.wav")

    card = answer(browser)
    assert card.find_element(By.TAG_NAME, "h2").text == "First Tune"
    assert "The Tests · Album · 1999" in card.text
    assert "Certain 99.9 %" in card.text
    assert "Matched 0:00–0:15 of your clip, at 0:12 in the track." in card.text
    assert browser.current_url.endswith("/")


def test_a_hostile_title_is_shown_as_text(browser: Any, music: Path) -> None:
    drop(browser, music / "hostile.wav")

    card = answer(browser)
    assert card.find_element(By.TAG_NAME, "h2").text == HOSTILE
    assert card.find_elements(By.CSS_SELECTOR, "script, b") == []


def test_the_keyboard_alone_is_enough(browser: Any, music: Path) -> None:
    def press(*keys: str) -> None:
        ActionChains(browser).send_keys(*keys).perform()

    def tab_to(wanted: str) -> None:
        for _ in range(30):
            press(Keys.TAB)
            element = browser.switch_to.active_element
            if wanted in (element.get_attribute("id"), element.text):
                outline = element.value_of_css_property("outline-style")
                assert outline != "none", f"{wanted} has the focus and does not show it"
                return
        raise AssertionError(f"the focus never comes to {wanted}")

    tab_to("Skip to the content")
    tab_to("file")
    browser.find_element(By.ID, "file").send_keys(
        str(music / "clip.wav")
    )  # what the system's own dialogue does
    assert "First Tune" in answer(browser).text
    tab_to("Play it from there")
    press(Keys.ENTER)
    comes(browser, "h1", "First Tune")
    tab_to("player")
    tab_to("Keep it")
    press(Keys.ENTER)
    comes(browser, "h1", "Catalogue")
    tab_to("q")
    press("bold", Keys.ENTER)
    comes(browser, "caption", "1 track with “bold”")


def test_a_track_plays_from_where_the_clip_was_heard(browser: Any, running: Running, music: Path) -> None:
    drop(browser, music / "clip.wav")
    answer(browser).find_element(By.LINK_TEXT, "Play it from there").click()
    browser.execute_script("const p = document.getElementById('player'); p.muted = true; p.play()")

    WebDriverWait(browser, 20).until(
        lambda driver: driver.execute_script("return document.getElementById('player').currentTime") > 12.2
    )


@pytest.mark.parametrize("path", PAGES)
def test_nothing_sticks_out_on_a_phone(browser: Any, running: Running, path: str) -> None:
    metrics = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get(f"http://127.0.0.1:{running.port}{path}")

    wide = browser.execute_script("return document.documentElement.scrollWidth")
    assert wide <= 360


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_light_and_dark(browser: Any, running: Running, scheme: str) -> None:
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    for path in PAGES:
        browser.get(f"http://127.0.0.1:{running.port}{path}")
        for selector in ("h1", ".quiet, caption, footer", "main a, nav a", "button:not(:disabled)"):
            for element in browser.find_elements(By.CSS_SELECTOR, selector)[:5]:
                assert _contrast(browser, element) >= 4.5, (path, element.get_attribute("outerHTML"))


def test_without_a_script_a_form_and_a_page_that_looks_again_do_it(
    tmp_path: Path, running: Running, music: Path
) -> None:
    with chromium(tmp_path, "--blink-settings=scriptEnabled=false") as browser:
        browser.get(f"http://127.0.0.1:{running.port}/")
        browser.find_element(By.ID, "file").send_keys(str(music / "clip.wav"))
        browser.find_element(By.ID, "send").click()

        assert answer(browser).find_element(By.TAG_NAME, "h1").text == "First Tune"
        assert "/result/" in browser.current_url


def test_what_the_microphone_hears_is_named(tmp_path: Path, running: Running, music: Path) -> None:
    fake = (
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={music / 'clip.wav'}",
    )
    with chromium(tmp_path, *fake) as browser:
        browser.get(f"http://127.0.0.1:{running.port}/")
        button = browser.find_element(By.ID, "record")
        button.click()
        WebDriverWait(browser, 30).until(lambda _: "Stop and name it (9 s)" in button.text)
        button.click()

        assert answer(browser).find_element(By.TAG_NAME, "h2").text == "First Tune"


def _contrast(browser: Any, element: Any) -> float:
    """WCAG's contrast of an element's text against the first ground behind it that is not transparent."""
    text, ground = browser.execute_script(
        """
        let behind = arguments[0];
        const ground = (one) => getComputedStyle(one).backgroundColor;
        while (behind.parentElement && ground(behind) === "rgba(0, 0, 0, 0)") behind = behind.parentElement;
        return [getComputedStyle(arguments[0]).color, ground(behind)].map((c) => c.match(/[0-9.]+/g).map(Number));
        """,
        element,
    )
    lighter, darker = sorted((_luminance(text), _luminance(ground)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: list[float]) -> float:
    parts = [part / 255 for part in colour[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
