"""What the tests of paper B's tables and figures share: the made study, written once."""

import pytest

from tests.report.opmask import Made, make


@pytest.fixture(scope="session")
def opmask_study(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The small study of paper B."""
    return make(tmp_path_factory.mktemp("opmask"))
