"""The pages that people read have one word for one thing."""

from service.lifecycle.stages import STAGE_NAMES
from tests.support.paths import REPOSITORY

READ = ("docs/**/*.md", "dashboards/json/*.json", "helm/loopgauge/files/dashboards/*.json")


def test_the_result_between_start_and_answer_is_the_first_result_everywhere() -> None:
    assert [name for name in STAGE_NAMES.values() if "first" in name] == [
        "start to first result",
        "first result to answer",
        "first result to shipped",
    ]
    pages = [page for pattern in READ for page in REPOSITORY.glob(pattern)]
    assert len(pages) > len(READ)
    assert not [page for page in pages if "first signal" in page.read_text("utf-8").lower()]
