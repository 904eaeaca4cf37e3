"""deploy/quickstart --oscar as a stranger runs it; only build and environment are there already."""

import contextlib
import os
import re
import signal
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.processes import wait_until

pytestmark = [
    pytest.mark.quickstart,
    pytest.mark.skipif(not os.environ.get("FULFILLD_BIN"), reason="FULFILLD_BIN names no build"),
]
QUICKSTART = REPOSITORY / "deploy" / "quickstart"


class Run:
    """One run; its temporary files are in a folder of its own."""

    def __init__(self, folder, build, *arguments, **environment):
        self.folder = folder
        self._output = folder.parent / "output"
        self._process = subprocess.Popen(
            [str(QUICKSTART), *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=self._output.open("wb"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={
                **os.environ,
                "QUICKSTART_BUILD": str(build),
                "TMPDIR": str(folder),
                **environment,
            },
        )

    @property
    def text(self):
        return self._output.read_text()

    def wait(self):
        return self._process.wait(400)

    def interrupt(self):
        os.killpg(self._process.pid, signal.SIGINT)

    def end(self):
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait(60)

    def processes(self):
        """Processes that know the folder by their environment, arguments or working directory."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                known = (process / "environ").read_bytes() + (process / "cmdline").read_bytes()
                if str(self.folder).encode() in known + os.readlink(process / "cwd").encode():
                    found.append(process.name)
        return found

    def assert_nothing_is_left(self):
        wait_until(lambda: not self.processes(), "all processes of the quickstart to be gone")
        assert list(self.folder.iterdir()) == []


@pytest.fixture
def run(tmp_path):
    """run(arguments …): a started quickstart --oscar."""
    (tmp_path / "tmp").mkdir()
    started = []
    build = Path(os.environ["FULFILLD_BIN"]).parents[1]

    def start(*arguments, build=build, **environment):
        started.append(Run(tmp_path / "tmp", build, *arguments, **environment))
        return started[-1]

    yield start
    for one in started:
        one.end()


def test_it_tells_its_story_and_keeps_a_shop_for_a_person(run):
    story = run("--oscar", "--keep")
    assert story.wait() == 0, story.text
    text = story.text
    (folder,) = story.folder.iterdir()
    try:
        assert_the_story_was_told(text)
        address = re.search(r"the shop +(http://127.0.0.1:\d+/)", text).group(1)
        with urllib.request.urlopen(address + "catalogue/", timeout=60) as page:
            assert "Data for Engineers" in page.read().decode()
        assert "honor-pass-1" in text
        assert "admin-pass-1" in text
    finally:
        stop = run("--stop", folder)
        assert stop.wait() == 0
    stop.assert_nothing_is_left()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(address, timeout=10)


def assert_the_story_was_told(text):
    good, away, back = re.split(r"The LMS is st.*:", text)
    assert "is placed" in good
    assert "honor is enrolled in course-v1:edX+DemoX+2026, verified" in good
    assert "Waiting for a retry. The LMS could not be reached" in away
    assert re.search(r"fulfilld order \d+:\n +Order \d+: Fulfillment Error", away)
    assert "the order's page in the dashboard says: Complete" in back
    assert "honor is enrolled in course-v1:edX+DataX+2026, professional" in back


@pytest.mark.parametrize(
    "moment", ["the shop's tables", pytest.param("A learner buys", marks=pytest.mark.slow)]
)
def test_ctrl_c_leaves_no_process_and_no_folder(run, moment):
    story = run("--oscar")
    wait_until(lambda: moment in story.text, f"{moment!r} in the output", 240)
    story.interrupt()
    assert story.wait() == 130
    assert "everything that was started is gone" in story.text
    story.assert_nothing_is_left()


def test_without_pypi_it_says_so_in_one_sentence(run, tmp_path):
    """A build without an environment, and an index that cannot be reached."""
    build = tmp_path / "build"
    build.mkdir()
    for name in ("worker", "tests"):
        (build / name).symlink_to(Path(os.environ["FULFILLD_BIN"]).parents[1] / name)
    story = run(
        "--oscar", build=build, PIP_INDEX_URL="http://127.0.0.1:1/", PIP_CONFIG_FILE="/dev/null"
    )
    assert story.wait() == 1
    said = [line for line in story.text.splitlines() if line.startswith("quickstart:")]
    assert len(said) == 1
    assert "PyPI cannot be reached" in said[0]
    story.assert_nothing_is_left()
