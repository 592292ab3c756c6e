"""The shutdown budget is shorter than the grace periods of Kubernetes and Compose."""

import re

import yaml

from service.runtime import shutdown
from tests.support.paths import REPOSITORY

_MARGIN_SECONDS = 3


def test_the_shutdown_budget_is_the_sum_of_all_stages_including_two_child_processes() -> None:
    stages = [value for name, value in vars(shutdown).items() if name.endswith("_SECONDS") and name != "TOTAL_SECONDS"]
    assert sum(stages) + shutdown.CHILD_SECONDS == shutdown.TOTAL_SECONDS


def test_the_shutdown_budget_is_shorter_than_the_grace_period_of_the_chart() -> None:
    pod = (REPOSITORY / "helm/loopgauge/templates/_pod.tpl").read_text()
    [(added, plain)] = re.findall(r"terminationGracePeriodSeconds: {{ ternary \(add (\d+) .*?\) (\d+) \$api }}", pod)
    assert min(int(added), int(plain)) >= shutdown.TOTAL_SECONDS + _MARGIN_SECONDS


def test_the_shutdown_budget_is_shorter_than_the_grace_period_of_compose() -> None:
    compose = yaml.safe_load((REPOSITORY / "compose.yaml").read_text())
    grace = compose["services"]["loopgauge"]["stop_grace_period"]
    assert int(grace.removesuffix("s")) >= shutdown.TOTAL_SECONDS + _MARGIN_SECONDS
