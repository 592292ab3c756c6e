"""The notification on the page about alerts is the one that Alertmanager sends for texts that Prometheus makes."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any

import yaml

from tests.support.alertmanager import alerting, amtool
from tests.support.documents import example
from tests.support.paths import DASHBOARDS
from tests.support.waiting import PATIENCE_SECONDS

_ALERTMANAGER = DASHBOARDS / "alertmanager.yml"
_UNIT_TESTS = DASHBOARDS / "rules" / "tests" / "loops.yaml"
_SECRET_FILE = "/etc/prometheus/slack-url"


def test_slack_receives_the_notification_of_the_page_and_a_word_when_it_is_over(tmp_path: Path) -> None:
    with _slack() as (url, posted), alerting(_configuration(url, tmp_path), tmp_path) as alertmanager:
        texts = _texts_by_alert()
        loops = {"about": "loops", "team": "search"}
        named = [{"alertname": name, **loops} for name in texts]
        alertmanager.fire(*named, annotations=texts)
        assert _message(posted) == example("a notification").strip()
        alertmanager.resolve(*named)
        assert _message(posted).startswith("Resolved: search\n")


def test_amtool_accepts_the_example_of_an_alertmanager_with_the_receiver_for_slack(tmp_path: Path) -> None:
    (secret := tmp_path / "slack-url").write_text("http://127.0.0.1:1/")
    receivers = [each for each in _example()["receivers"] if each["name"] != "team-search"]
    configuration = tmp_path / "alertmanager.yml"
    configuration.write_text(yaml.safe_dump({**_example(), "receivers": [*receivers, *_receiver(secret)]}))
    checked = amtool("check-config", str(configuration))
    assert checked.returncode == 0, checked.stdout + checked.stderr


def _example() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(_ALERTMANAGER.read_text())
    return loaded


def _receiver(secret: Path) -> Any:
    """The receiver of the page, in a list. It reads the address of Slack from `secret`."""
    return yaml.safe_load(example("a receiver for Slack").replace(_SECRET_FILE, str(secret)))


def _configuration(url: str, directory: Path) -> Path:
    """Write a configuration that groups alerts as the example does, and sends them at once to the page's receiver."""
    (directory / "slack-url").write_text(url)
    route = {
        "receiver": "team-search",
        "group_by": _example()["route"]["group_by"],
        "group_wait": "1s",
        "group_interval": "1s",
    }
    configuration = directory / "slack.yml"
    receivers = _receiver(directory / "slack-url")
    configuration.write_text(yaml.safe_dump({"route": route, "receivers": receivers}))
    return configuration


def _texts_by_alert() -> dict[str, Mapping[str, str]]:
    """The texts of two alerts for the team `search`, as the unit tests of the rules first expect them.

    `promtool` compares these texts with those that the rules make.
    """
    wanted = ("LoopgaugeLoopOverdue", "LoopgaugeLoopsForgotten")
    texts: dict[str, Mapping[str, str]] = {}
    for case in yaml.safe_load(_UNIT_TESTS.read_text())["tests"]:
        for check in case.get("alert_rule_test", ()):
            for alert in check.get("exp_alerts", ()):
                if check["alertname"] in wanted and alert["exp_labels"]["team"] == "search":
                    texts.setdefault(check["alertname"], alert["exp_annotations"])
    return texts


@contextmanager
def _slack() -> Iterator[tuple[str, "Queue[dict[str, Any]]"]]:
    """Accept messages as Slack does. Yield the address, and a queue of the messages."""
    posted: Queue[dict[str, Any]] = Queue()

    class Slack(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: object) -> None:
            """Write no log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Slack)
    serving = Thread(target=server.serve_forever)
    serving.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", posted
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


def _message(posted: "Queue[dict[str, Any]]") -> str:
    """The title and the text of the next message, without spaces at the ends of lines."""
    (attachment,) = posted.get(timeout=PATIENCE_SECONDS)["attachments"]
    return "\n".join(line.rstrip() for line in f"{attachment['title']}\n{attachment['text']}".splitlines()).strip()
