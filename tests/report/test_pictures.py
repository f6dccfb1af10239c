"""Pictures of the figures: laid out for paper, drawn by a browser that loads nothing, or an error in one line."""

import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.chromium import CHROMIUM, NEEDED
from support.sample_job import build_training

from mnas_evo.cli.main import run
from mnas_evo.errors import MnasEvoError, RequestError
from mnas_evo.report.page import read_content
from mnas_evo.report.palette import BLUE, GREEN, GREY
from mnas_evo.report.pictures import PNG_SCALE, WIDTH, picture, write_pictures
from mnas_evo.report.plot import Plot, Views, empty_figure, line, points

HOSTILE = "<b>one</b> & <a href='http://example.com'>two</a>"
SVG = "{http://www.w3.org/2000/svg}"


def plot_of(*names: str, views: Views | None = None, tall: bool = False) -> Plot:
    """A figure of some rising points of each name."""
    figure = empty_figure("Latency on <i>phone (ms)", "Top-1 (%)")
    for number, name in enumerate(names):
        trace = points(
            [1.0, 2.0, 9.0], [number, number + 1.0, 50.0], name=name, colour=BLUE.light, hover=["a", "b", "c"]
        )
        figure.add_trace(trace.update(legendgroup=name))
    return Plot("some", "Some", "", figure, "", tall=tall, views=views)


def plots_of(folder: Path) -> list[Plot]:
    return [plot for section in read_content(folder).sections for plot in section.plots]


def legend_of(plot: Plot) -> list[str]:
    figure = picture(plot)
    return [trace.name for trace in figure.data if trace.showlegend and figure.layout.showlegend]


def test_a_picture_has_the_legend_that_the_page_writes_beside_its_figure() -> None:
    plot = plot_of("one", "two", "three")
    plot.figure.data[1].showlegend = False
    assert legend_of(plot) == ["one", "three"]
    assert legend_of(plot_of("alone")) == []


def test_names_are_text_and_long_ones_are_folded() -> None:
    plot = plot_of(HOSTILE, "word " * 30)
    first, second = legend_of(plot)
    assert "<b>" not in first and "&lt;b&gt;one&lt;/b&gt; &amp; &lt;a" in first
    assert second.count("<br>") == 2
    assert picture(plot).layout.xaxis.title.text == "Latency on &lt;i&gt;phone (ms)"


def test_a_legend_of_many_lines_does_not_take_the_room_of_the_figure() -> None:
    few, many = (picture(plot_of(*(f"a network of rank {n}" for n in range(count)))) for count in (2, 20))
    assert many.layout.height > few.layout.height + 100
    assert picture(plot_of("a", tall=True)).layout.height > picture(plot_of("a")).layout.height
    assert {few.layout.width, many.layout.width} == {WIDTH}


def test_a_picture_is_white_and_says_nothing_when_pointed_at() -> None:
    figure = picture(plot_of("one", "two"))
    assert {figure.layout.paper_bgcolor, figure.layout.plot_bgcolor} == {"#ffffff"}
    assert all(trace.hovertext is None and trace.customdata is None for trace in figure.data)
    assert figure.layout.title.text is None


@pytest.mark.parametrize("close", [True, False])
def test_a_picture_has_the_view_that_the_page_opens_with(close: bool) -> None:
    views = Views(((0.0, 3.0), (0.0, 2.5)), ((0.0, 10.0), (0.0, 60.0)), starts_close=close)
    plot = plot_of("here", "there", views=views)
    plot.figure.data[1].update(x=[9.0], y=[50.0])
    figure = picture(plot)
    x, y = views.close if close else views.everything
    assert tuple(figure.layout.xaxis.range) == x and tuple(figure.layout.yaxis.range) == y
    assert figure.layout.xaxis.type == "linear"
    # What lies outside has no name in the legend, for a picture has no other view.
    assert legend_of(plot) == ([] if close else ["here", "there"])


def test_a_line_that_passes_keeps_its_name() -> None:
    views = Views(((4.0, 5.0), (0.0, 2.0)), ((0.0, 10.0), (0.0, 2.0)), starts_close=True)
    plot = plot_of(views=views)
    plot.figure.add_trace(line([0, 10], [1, 1], name="limit", colour=GREY.light))
    plot.figure.add_trace(points([4.5], [1], name="here", colour=GREEN.light))
    assert legend_of(plot) == ["limit", "here"]


def test_the_page_s_own_figure_stays_as_it_is() -> None:
    plot = plot_of("one", HOSTILE)
    before = plot.figure.to_json()
    picture(plot)
    assert plot.figure.to_json() == before


def test_long_names_of_few_classes_are_shortened_and_all_are_named() -> None:
    plot = plot_of("classes")
    names = ["&lt;b&gt;cat", "a dog with a very long name", "owl"]
    plot.figure.data[0].x = names
    plot.figure.update_xaxes(type="category")
    axis = picture(plot).layout.xaxis
    assert list(axis.tickvals) == names
    assert list(axis.ticktext) == ["&lt;b&gt;cat", "a dog with a ve…", "owl"]
    plot.figure.data[0].x = [str(number) for number in range(60)]
    assert picture(plot).layout.xaxis.ticktext is None


def test_no_figures_need_no_browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROWSER_PATH", str(tmp_path / "none"))
    assert write_pictures([], tmp_path / "pictures", "svg") == []


def test_a_browser_that_is_not_there_is_an_error_that_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROWSER_PATH", str(tmp_path / "none"))
    with pytest.raises(RequestError, match=r"BROWSER_PATH names '.*none', which is no program; let it name Chrome"):
        write_pictures([plot_of("one")], tmp_path / "pictures", "svg")
    monkeypatch.delenv("BROWSER_PATH")
    monkeypatch.setattr("choreographer.browsers.chromium.Chromium.find_browser", lambda **asked: None)
    with pytest.raises(RequestError, match="Chrome or Chromium, and neither is here: install one"):
        write_pictures([plot_of("one")], tmp_path / "pictures", "svg")


def test_a_folder_without_figures_has_no_pictures_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build_training(tmp_path, "16x16x1/stem8/r1_k3_s11_e1_o8/head8/4", epochs=0)
    assert run(["report", str(tmp_path), "--pictures", "png"]) == 0
    assert "there are no figures yet" in capsys.readouterr().err
    assert not (tmp_path / "pictures").exists()


def test_a_file_where_the_pictures_go_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pictures").write_text("mine")
    with pytest.raises(RequestError, match="pictures is no folder"):
        write_pictures([plot_of("one")], tmp_path / "pictures", "svg")


class TestDrawn:
    """What needs a browser."""

    pytestmark = NEEDED

    @pytest.fixture(autouse=True)
    def _chromium(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("BROWSER_PATH", str(CHROMIUM))

    def test_every_figure_of_a_job_is_an_svg_that_names_its_axes_and_what_is_drawn(
        self, finished_job: Path, tmp_path: Path
    ) -> None:
        plots = plots_of(finished_job)
        told: list[float] = []
        paths = write_pictures(plots, tmp_path, "svg", progress=lambda share, note: told.append(share))
        assert [path.name for path in paths] == [f"{plot.name}.svg" for plot in plots]
        assert told == sorted(told) and told[-1] == 1.0
        for path, plot in zip(paths, plots, strict=True):
            words = words_of(path)
            assert plot.figure.layout.xaxis.title.text in words and plot.figure.layout.yaxis.title.text in words
            assert all(name in words for name in legend_of(plot))

    def test_every_figure_of_a_job_is_a_png_at_twice_the_size_that_is_not_blank(
        self, finished_job: Path, tmp_path: Path
    ) -> None:
        plots = plots_of(finished_job)
        for path, plot in zip(write_pictures(plots, tmp_path, "png"), plots, strict=True):
            with Image.open(path) as image:
                layout = picture(plot).layout
                assert image.size == (PNG_SCALE * layout.width, PNG_SCALE * layout.height)
                pixels = np.asarray(image.convert("RGB"))
            assert (pixels[:2] == 255).all() and (pixels[:, :2] == 255).all(), "text is cut, or there is no margin"
            assert (pixels[-2:] == 255).all() and (pixels[:, -2:] == 255).all()
            assert 0.005 < (pixels != 255).any(axis=2).mean() < 0.9

    def test_the_command_writes_them_beside_the_page_and_names_each(
        self, finished_job: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        page = tmp_path / "out" / "page.html"
        assert run(["report", str(finished_job / "training"), "--pictures", "svg", "--out", str(page)]) == 0
        said = capsys.readouterr()
        assert said.out.split() == [
            str(page),
            *(str(page.parent / "pictures" / f"{n}.svg") for n in ("losses", "top1")),
        ]
        assert said.err == "drawing: 2 of 2 figures\n"
        assert all(Path(path).is_file() for path in said.out.split())

    def test_names_with_html_are_drawn_as_they_are(self, tmp_path: Path) -> None:
        plot = replace(plot_of(HOSTILE, "$x^2$"), name="hostile")
        (path,) = write_pictures([plot], tmp_path, "svg")
        assert HOSTILE in words_of(path) and "$x^2$" in words_of(path) and "Latency on <i>phone (ms)" in words_of(path)
        assert not list(ElementTree.parse(path).getroot().iter(f"{SVG}a"))

    def test_a_browser_that_fails_is_an_error_in_one_line(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        broken = tmp_path / "broken"
        broken.write_text("#!/bin/sh\nexit 1\n")
        broken.chmod(0o755)
        monkeypatch.setenv("BROWSER_PATH", str(broken))
        with pytest.raises(MnasEvoError, match=r"failed when it started: .*; try again") as caught:
            write_pictures([plot_of("one")], tmp_path, "svg")
        assert "\n" not in str(caught.value)


def words_of(path: Path) -> list[str]:
    """All texts of a picture, each as it is read."""
    return ["".join(text.itertext()) for text in ElementTree.parse(path).getroot().iter(f"{SVG}text")]
