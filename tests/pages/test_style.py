import io
from xml.etree import ElementTree

import matplotlib.pyplot as plt
import pytest

from lib.pages import style


@pytest.fixture(autouse=True)
def restored() -> object:
    with plt.rc_context():
        plt.switch_backend("Agg")
        yield
        plt.close("all")


def test_a_figure_of_full_width_fills_the_page_and_is_small() -> None:
    style.use_style()
    figure, axes = plt.subplots(figsize=(style.WIDTH, style.TALL))
    axes.plot([0, 1], [0, 1])
    axes.set(title="Title", xlabel="x", ylabel="y")
    buffer = io.BytesIO()
    figure.savefig(buffer)
    width = plt.imread(io.BytesIO(buffer.getvalue())).shape[1]
    assert 850 <= width <= 930
    assert len(buffer.getvalue()) < 60_000


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("$\\frac{$ \\input{/etc/passwd}", "$\\frac{$ \\input{/etc/pa…"),
        ("$x$_*y*.jpg", "$x$_*y*.jpg"),
        ("a\\$b$", "a\\$b$"),
        ("%s{0}^_<b>", "%s{0}^_<b>"),
        ("two\nlines\tand\rmore", "two lines and more"),
        ("cat\U0001f9a5\x00\u202e", "cat□□□"),
        ("größe", "größe"),
        ("x" * 200, "x" * 23 + "…"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_a_name_from_data_is_drawn_as_it_is(name: str, shown: str) -> None:
    style.use_style()
    figure, axes = plt.subplots()
    axes.set_yticks([0.0], [style.plain(name)])
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg")
    texts = [element.text for element in ElementTree.fromstring(buffer.getvalue()).iter()]
    assert shown in texts


def test_the_same_figure_gives_the_same_vector_file() -> None:
    style.use_style()

    def draw() -> bytes:
        figure, axes = plt.subplots()
        axes.fill_between([0, 1], [0, 1])
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
        return buffer.getvalue()

    assert draw() == draw()
