import pytest

from tests.fixtures.hybridnet import Made, make_study


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_study(tmp_path_factory.mktemp("hybridnet"))
