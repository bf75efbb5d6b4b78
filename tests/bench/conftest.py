import matplotlib as mpl
import pytest
from matplotlib import pyplot as plt

from lib.pages import style


@pytest.fixture
def drawing():
    """The style of the pages; figures are closed afterwards."""
    mpl.use("agg")
    style.use_style()
    yield
    plt.close("all")
