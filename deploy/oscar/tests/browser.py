"""Headless Chromium for tests, with a profile of its own; and pictures for the docs."""

from __future__ import annotations

import base64
import io
import os
import shutil
from pathlib import Path

from selenium import webdriver
from selenium.common.exceptions import TimeoutException
from selenium.webdriver.common.by import By
from selenium.webdriver.support import expected_conditions
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.wait import WebDriverWait

IMAGES = Path(__file__).resolve().parents[3] / "docs" / "images"
DEADLINE_SECONDS = 60
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-device-scale-factor=1",
    "--window-size=1200,900",
)


def is_installed():
    """Chromium and its driver, as Debian packages them."""
    return bool(shutil.which("chromium") and shutil.which("chromedriver"))


def start(profile):
    """A running browser; ``profile`` is a folder that nobody has used."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    service = webdriver.ChromeService(executable_path=shutil.which("chromedriver"))
    return webdriver.Chrome(options=options, service=service)


class Browser:
    """What a person does, on one site; every look waits for what it looks for."""

    def __init__(self, driver, address):
        self.driver = driver
        self.address = address

    def _wait(self, condition, what):
        try:
            return WebDriverWait(self.driver, DEADLINE_SECONDS, 0.05).until(condition)
        except TimeoutException:
            page = self.driver.find_element(By.CSS_SELECTOR, "body").text
            raise AssertionError(
                f"waited in vain for {what} on {self.driver.current_url}:\n{page[-2000:]}"
            ) from None

    def open(self, path):
        self.driver.get(self.address + path)
        return self

    def find(self, css):
        return self._wait(lambda d: d.find_element(By.CSS_SELECTOR, css), css)

    def all(self, css):
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def type(self, css, text):
        field = self.find(css)
        field.clear()
        field.send_keys(text)

    def click(self, css):
        """Clicks what can be clicked, without waiting for what comes of it."""
        clickable = expected_conditions.element_to_be_clickable((By.CSS_SELECTOR, css))
        self._wait(clickable, css).click()

    def follow(self, css):
        """Clicks what leads to another page, and waits until this one is gone."""
        page = self.find("html")
        self.click(css)
        self.gone(page)

    def gone(self, page):
        """Waits until a page (its html element) has been replaced by the next."""
        self._wait(expected_conditions.staleness_of(page), "the next page")

    def choose(self, css, value):
        Select(self.find(css)).select_by_value(value)

    def text(self, css="body"):
        return self.find(css).text

    def sees(self, words, css="body"):
        """Waits for words on the page."""
        self._wait(lambda d: words in d.find_element(By.CSS_SELECTOR, css).text, repr(words))

    def log_in(self, name, password):
        self.open("/accounts/login/")
        self.fill_log_in(name, password)

    def fill_log_in(self, name, password):
        """The form to log in, which a page of others may have led to."""
        self.type("#id_login-username", name)
        self.type("#id_login-password", password)
        self.follow("button[name=login_submit]")

    def picture(self, name, css="body", height=None):
        """The element as docs/images/NAME.png; its upper part, when ``height`` is given.

        Only when the environment's OSCAR_SCREENSHOTS asks for it.
        """
        if not os.environ.get("OSCAR_SCREENSHOTS"):
            return
        from PIL import Image

        box = self.driver.execute_script(
            "window.scrollTo(0, 0);"
            "const r = document.querySelector(arguments[0]).getBoundingClientRect();"
            "return {x: r.x, y: r.y, width: r.width, height: r.height, scale: 1}",
            css,
        )
        box["height"] = min(box["height"], height or box["height"])
        shot = self.driver.execute_cdp_cmd(
            "Page.captureScreenshot", {"clip": box, "captureBeyondViewport": True}
        )
        image = Image.open(io.BytesIO(base64.b64decode(shot["data"]))).convert("RGB")
        IMAGES.mkdir(exist_ok=True)
        # Few colours make a page a third as large, and nobody sees it.
        image.quantize(256).save(IMAGES / f"{name}.png", optimize=True)
