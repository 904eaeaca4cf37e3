"""deploy/quickstart as a stranger runs it (only the build is taken over), what it says when it cannot, and its
bookkeeping, which must see each way in which an order can go wrong."""

import copy
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys

import pytest

from harness.ports import free_port
from harness.wait import wait_until

DEPLOY = pathlib.Path(__file__).resolve().parents[2] / "deploy"
sys.path.insert(0, str(DEPLOY / "quickstart.d"))

import account  # noqa: E402
import shop_day  # noqa: E402
import tally  # noqa: E402


@pytest.fixture
def quickstart(tmp_path):
    """quickstart(arguments…): a started quickstart whose temporary files are in tmp_path/tmp."""
    if "FULFILLD_BIN" not in os.environ:
        pytest.skip("FULFILLD_BIN does not name a build")
    build = pathlib.Path(os.environ["FULFILLD_BIN"]).parent.parent
    (tmp_path / "tmp").mkdir()
    started = []

    def start(*arguments):
        output = open(tmp_path / "output", "wb")
        started.append(subprocess.Popen(
            [DEPLOY / "quickstart", *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, start_new_session=True,
            env={**os.environ, "QUICKSTART_BUILD": str(build), "TMPDIR": str(tmp_path / "tmp")}))
        return started[-1]

    start.output = (tmp_path / "output").read_text
    start.folder = tmp_path / "tmp"
    yield start
    for process in started:
        if process.poll() is None:
            process.terminate()
            process.wait(60)


def processes_of(folder):
    """Command lines of the processes that know the folder: by environment, arguments or working directory."""
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            known = [(process / "environ").read_bytes(), (process / "cmdline").read_bytes(),
                     os.readlink(process / "cwd").encode()]
        except OSError:
            continue
        if any(str(folder).encode() in text for text in known):
            found.append(known[1].replace(b"\0", b" ").decode())
    return found


def assert_nothing_is_left(folder):
    wait_until(lambda: not processes_of(folder), "all processes of the quickstart to be gone")
    assert list(folder.iterdir()) == []


# the whole of it

def test_it_fulfils_a_day_of_orders_and_leaves_nothing(quickstart):
    process = quickstart("--orders", 200)
    assert process.wait(300) == 0, quickstart.output()
    text = quickstart.output()
    assert "All 200 orders are accounted for" in text
    table = re.findall(r"^  (?:Complete|Fulfillment Error) +(\S+) +(\d+)$", text, re.M)
    rows = {reason: int(count) for reason, count in table}
    assert sum(rows.values()) == 200
    assert set(rows) == {"-", "course_unavailable", "mode_unavailable", "user_unknown"}
    assert re.search(r"orders in 200/200 \| complete \d+ \| to retry 0 \| dead \d+", text)
    assert "orders/s" in text and "p50" in text and "repeated: 0" in text
    assert "dead list --config" in text and "fulfilld order SHOP-" in text and "rabbitmqadmin" in text
    assert_nothing_is_left(quickstart.folder)


@pytest.mark.parametrize("moment", ["RabbitMQ on", "orders in"])
def test_ctrl_c_leaves_no_process_and_no_folder(quickstart, moment):
    process = quickstart("--orders", 5000)
    wait_until(lambda: moment in quickstart.output(), f"{moment!r} in the output", 120)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(60) == 130
    assert "everything that was started is gone" in quickstart.output()
    assert_nothing_is_left(quickstart.folder)


def test_keep_leaves_it_running_and_stop_ends_it(quickstart):
    first = free_port(7)
    assert quickstart("--orders", 20, "--keep", "--ports", first).wait(300) == 0, quickstart.output()
    folder, = quickstart.folder.iterdir()
    text = quickstart.output()
    assert f"amqp://guest:guest@127.0.0.1:{first}/" in text and f"quickstart --stop {folder}" in text
    try:
        listing = subprocess.run([os.environ["FULFILLD_BIN"], "dead", "list", "--config", folder / "fulfilld.ini"],
                                 capture_output=True, text=True, timeout=60)
        assert listing.returncode == 0 and "course_unavailable" in listing.stdout
        assert quickstart("--ports", first).wait(60) == 1
        assert quickstart.output() == \
            f"quickstart: port {first} is in use: give --ports another number, or leave it out for free ports\n"
    finally:
        assert quickstart("--stop", folder).wait(60) == 0
    assert_nothing_is_left(quickstart.folder)


# what it says when it cannot

def test_a_busy_port_is_named(quickstart):
    first = free_port(7)
    with socket.create_server(("127.0.0.1", first + 5)):
        assert quickstart("--ports", first).wait(60) == 1
    assert quickstart.output().startswith(f"quickstart: port {first + 5} is in use")
    assert_nothing_is_left(quickstart.folder)


@pytest.mark.parametrize("arguments", [["--orders"], ["--orders", "many"], ["--orders", "0"], ["--ports", "80"],
                                       ["--stop", "/nowhere"], ["--nonsense"]])
def test_wrong_arguments_are_refused(quickstart, arguments):
    assert quickstart(*arguments).wait(60) in (1, 2)
    assert quickstart.output().strip()
    assert_nothing_is_left(quickstart.folder)


@pytest.fixture
def bare_machine(tmp_path):
    """A PATH on which no package is installed, we are not root, and there is an apt-get."""
    commands = tmp_path / "bin"
    commands.mkdir()
    for name in ("bash", "dirname", "awk", "mktemp", "rm", "env", "cat", "sleep"):
        (commands / name).symlink_to(f"/usr/bin/{name}")
    for name, text in {"id": "echo 1000", "dpkg-query": "exit 1", "apt-get": "exit 1"}.items():
        script(commands / name, text)
    return commands


def script(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def sudo(commands, apt):
    """A sudo that runs nothing: apt is the shell's `case` patterns of what apt-get does."""
    script(commands / "sudo", f'case "$*" in {apt} *) cat ;; esac')


def install(commands, group="servers"):
    done = subprocess.run([DEPLOY / "install-packages", group], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=60, env={"PATH": str(commands)})
    return done.returncode, done.stdout, done.stderr


def test_without_sudo_it_says_what_root_must_run(bare_machine):
    status, _, errors = install(bare_machine)
    assert status == 1
    assert errors == ("installing packages needs root, and there is no sudo: as root, run "
                      f"{DEPLOY}/install-packages servers, then start this again\n")


def test_a_refusing_sudo_says_the_same(bare_machine):
    script(bare_machine / "sudo", 'echo "you are not in the sudoers file" >&2; exit 1')
    status, _, errors = install(bare_machine)
    assert status == 1
    assert "sudo refused: as root, run " in errors and errors.count("\n") == 2


UNREACHED = "echo \"E: Failed to fetch http://deb.debian.org/x  Temporary failure resolving 'deb.debian.org'\"; exit 100"


def test_without_network_it_names_the_mirror(bare_machine):
    sudo(bare_machine, f'*apt-get*) {UNREACHED} ;;')
    status, _, errors = install(bare_machine)
    assert status == 1
    assert errors.strip().startswith("the package mirror cannot be reached (Failed to fetch http://deb.debian.org/x")
    assert errors.strip().count("\n") == 0


def test_a_foreign_source_that_is_away_does_not_matter(bare_machine):
    sudo(bare_machine, f'*apt-get*update*) {UNREACHED} ;; *apt-get*) exit 0 ;;')
    status, output, errors = install(bare_machine)
    assert (status, errors) == (0, "")
    assert output.startswith("Debian packages to install: rabbitmq-server ")


def test_it_waits_while_another_apt_reads_the_lists(bare_machine, tmp_path):
    busy = tmp_path / "busy"
    busy.touch()
    sudo(bare_machine, f'*apt-get*update*) if [ -e {busy} ]; then rm {busy}; '
                       'echo "E: Could not get lock /var/lib/apt/lists/lock."; exit 100; fi ;; *apt-get*) exit 0 ;;')
    status, output, errors = install(bare_machine)
    assert (status, errors) == (0, "")
    assert "not all of it answers" not in output


def test_what_apt_says_is_told(bare_machine):
    sudo(bare_machine, '*update*) exit 0 ;; *apt-get*) echo "E: Unable to locate package redis-server"; exit 100 ;;')
    status, _, errors = install(bare_machine)
    assert status == 1
    assert errors.strip() == "apt-get could not install the packages: Unable to locate package redis-server"


def test_an_unknown_group_is_refused(bare_machine):
    status, _, errors = install(bare_machine, "everything")
    assert status == 1 and errors == f"{DEPLOY}/debian-packages knows no group everything\n"


# the bookkeeping: a perfect day, and each thing that must be noticed

class Outcome:
    """A day on which everything happened as it must, to be spoiled."""

    def __init__(self):
        self.orders = shop_day.make_orders(60)
        self.tally = tally.Tally()
        self.depths = {"orders": 0, "retry": 0, "solo": 0, "unrouted": 0, "dead": 0}
        self.state = {"enrollments": [], "entitlements": []}
        for order in self.orders:
            self.depths["dead"] += order.outcome == "dead"
            self.tally.published(order.number, 0.0)
            self.tell(order.number, order.outcome, order.reason)
            for user, course, mode in order.enrollments:
                self.state["enrollments"].append({
                    "last_order": order.number, "user": user, "course": course, "mode": mode, "is_active": True,
                    "enrolls_of_order": 1})
            for user, uuid, mode in order.entitlements:
                self.state["entitlements"].append({
                    "order_number": order.number, "user": user, "course_uuid": uuid, "mode": mode, "expired": False})

    def tell(self, number, outcome, reason=None, event_id="1"):
        line = {"status": "Complete"}
        if reason:
            line = {"status": "Fulfillment Server Error", "reason": {"code": reason}}
        data = {"order_number": number, "final": True, "lines": [line]}
        self.tally.event({"id": event_id, "data": data}, outcome, 1.0)

    def problems(self):
        return account.problems(self.orders, self.tally, self.state, self.depths)

    def order(self, outcome="complete"):
        return next(order for order in self.orders if order.outcome == outcome and (order.enrollments or order.reason))


def test_a_perfect_day_has_no_problems():
    assert Outcome().problems() == []


def lose_the_final_event(day):
    del day.tally.final[day.order().number]


def end_twice_differently(day):
    day.tell(day.order().number, "complete", event_id="2")


def end_dead_instead_of_complete(day):
    day.tally.final[day.order().number]["outcome"] = "dead"


def fail_for_another_reason(day):
    day.tally.final[day.order("dead").number]["lines"][0]["reason"]["code"] = "network"


def forget_an_enrollment(day):
    del day.state["enrollments"][0]


def enrol_in_another_mode(day):
    day.state["enrollments"][0]["mode"] = "masters"


def leave_it_inactive(day):
    day.state["enrollments"][0]["is_active"] = False


def enrol_somebody_who_did_not_buy(day):
    day.state["enrollments"].append({**day.state["enrollments"][0], "user": "nobody"})


def enrol_twice(day):
    day.state["enrollments"][0]["enrolls_of_order"] = 2


def entitle_twice(day):
    day.state["entitlements"].append(copy.deepcopy(day.state["entitlements"][0]))


def leave_an_order_in_a_retry_queue(day):
    day.depths["retry"] = 1


def lose_a_dead_message(day):
    day.depths["dead"] -= 1


@pytest.mark.parametrize("spoil", [
    lose_the_final_event, end_twice_differently, end_dead_instead_of_complete, fail_for_another_reason,
    forget_an_enrollment, enrol_in_another_mode, leave_it_inactive, enrol_somebody_who_did_not_buy, enrol_twice,
    entitle_twice, leave_an_order_in_a_retry_queue, lose_a_dead_message], ids=lambda spoil: spoil.__name__)
def test_the_account_notices(spoil):
    day = Outcome()
    spoil(day)
    assert day.problems()
