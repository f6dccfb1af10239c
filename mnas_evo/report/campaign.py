"""The device of a table and its campaigns: drift and noise of the newest, and how far one is that goes on."""

import datetime
import shlex
import time
from collections.abc import Sequence

import numpy as np

from mnas_evo.latency.runs import DeviceFacts
from mnas_evo.latency.table import CampaignFacts
from mnas_evo.report.elements import rows_html
from mnas_evo.report.latency_figures import WINDOW, reference_plot, running_median
from mnas_evo.report.section import Section, row
from mnas_evo.report.table_folder import WIDE_PERCENT, CampaignPart, Series, TablePart, Widths
from mnas_evo.report.words import percent, plain_ms, several, short_network, signed_percent, text

_RUNNING_WITHIN_S = 120.0  # without a visit: a network on a slow device and the judging of a long campaign take less
_MIDDLE = 0.9  # share of the visits over which drift is told
_FEWEST_FOR_DRIFT = 2 * WINDOW
_REFUSED_SHOWN = 10


def device_section(table: TablePart) -> Section:
    """What was measured on, and every campaign into the table."""
    facts, campaigns = facts_html(table.table.device), table.table.campaigns
    if not campaigns:
        words = "<p>No campaign of measurements was made here: the times were imported.</p>"
        return Section("device", "The device", (facts, words))
    return Section("device", "The device", (facts, row(_campaigns_table(campaigns)), _versions_words(campaigns[-1])))


def facts_html(device: DeviceFacts) -> str:
    """All that is known of a device and of how it was asked."""
    facts = {
        "Name": device.name,
        "SoC": device.soc,
        "OS": device.os,
        "Runtime": f"{device.runtime} {device.runtime_version}",
        "Threads": device.threads,
        "Precision": device.precision,
        "Batch": several(device.batch, "image"),
        "Governor": device.governor or "not known",
        "Protocol": device.protocol,
        "Agent": device.agent or "not known",
        "Reads": "ONNX models" if device.reads == "onnx" else "graphs",
    }
    items = "".join(f"<li>{name}: <strong>{text(value)}</strong></li>" for name, value in facts.items())
    return f'<ul class="blocks">{items}</ul>'


def _campaigns_table(campaigns: Sequence[CampaignFacts]) -> str:
    header = (
        *("Target", "Date", "Space", "Seed", "Passes", "On the device (s)", "Inside the runtime (%)"),
        *("Noise, rows (%)", "Noise, networks (%)", "Reference (ms)", "Refused", "Unstable"),
    )
    rows = [
        [
            text(one.target.partition("?")[0]),  # what follows are facts of the device
            text(one.date),
            text(one.space or "none"),
            f"{one.seed}",
            f"{one.passes:,}",
            f"{one.device_seconds:,.0f}",
            _inside(one),
            *(
                "" if noise is None else f"{noise:.2f}"
                for noise in (one.noise_rows_percent, one.noise_networks_percent)
            ),
            plain_ms(one.reference_ms),
            f"{len(one.refused):,}",
            f"{len(one.unstable):,}",
        ]
        for one in campaigns
    ]
    caption = (
        "The campaigns, the newest last. Unstable items are known to no better than 3 %; the reference is "
        f"{campaigns[-1].reference} in the device's quiet moments."
    )
    return rows_html(header, rows, caption=caption)


def _inside(campaign: CampaignFacts) -> str:
    if campaign.inside_seconds is None or campaign.device_seconds <= 0:
        return ""
    return f"{100 * campaign.inside_seconds / campaign.device_seconds:.0f}"


def _versions_words(campaign: CampaignFacts) -> str:
    versions = ", ".join(f"{text(name)} {text(version)}" for name, version in campaign.versions.items())
    return f"<p>Versions at the last campaign: {versions}.</p>" if versions else ""


def quality_words(table: TablePart, last: CampaignFacts) -> str:
    """Drift and noise of the newest campaign, what drift was divided out, and what stayed unknown: HTML."""
    said = [drift_words(table.reference)] if table.reference else []
    powers = f"to the power {last.exposure_rows:.2g} for rows and {last.exposure_networks:.2g} for networks"
    said.append(f"Times were divided by the reference's drift {powers} (0: not at all; 1: wholly).")
    html = f"<p>{' '.join(filter(None, said))}</p>"
    if last.unstable:
        html += (
            f"<p>{several(len(last.unstable), 'item')} stayed unstable, known to no better than 3&nbsp;%; more "
            f"<code>--minutes</code> or a quieter machine would help. The widest interval has "
            f"<code>{_item_html(last.unstable[0])}</code>.</p>"
        )
    return html


def drift_words(reference: Series) -> str:
    """What part of the reference's course is drift and what is noise; nothing of too few visits to tell.

    Noise is what neighbouring visits differ by. Drift is how far the running median moved, less what noise alone moves
    it by; variances of the two add up.
    """
    if len(reference) < _FEWEST_FOR_DRIFT:
        return ""
    times = np.array([time_ms for _, _, time_ms in reference])
    off = 100 * (times / np.median(times) - 1)
    level = np.array(running_median(off))
    scatter = 1.4826 * float(np.median(np.abs(np.diff(off)))) / 2**0.5
    low, high = (float(edge) for edge in np.quantile(level, [(1 - _MIDDLE) / 2, (1 + _MIDDLE) / 2]))
    # Of normal noise a median's deviation is sqrt(pi / 2) of a mean's, and the middle 90 % are 3.29 deviations wide.
    alone = 3.29 * scatter * float(np.sqrt(np.pi / 2 / WINDOW))
    drift = float(np.sqrt(max((high - low) ** 2 - alone**2, 0.0)))
    seen = (
        f"so that about {percent(drift, digits=1)} are drift" if drift > alone else "so that hardly any drift is seen"
    )
    return (
        f"Noise: single visits to the reference scatter by {percent(scatter, digits=1)} (from what neighbours differ "
        f"by). Drift: for {100 * _MIDDLE:.0f}&nbsp;% of the visits their running median stayed within "
        f"{signed_percent(low)} and {signed_percent(high)}, a range of {percent(high - low, digits=1)}; noise alone "
        f"would make {percent(alone, digits=1)} of it, {seen}."
    )


def campaign_section(campaign: CampaignPart, *, table: TablePart | None, now: float | None = None) -> Section:
    """A campaign that has not come to its end: how far it is, how well its times are known, and how to go on.

    `now` is in seconds since 1970; without it, this moment.
    """
    age = max(0.0, (time.time() if now is None else now) - campaign.written)
    running = age <= _RUNNING_WITHIN_S
    what = "A first look" if campaign.scout else "The campaign"
    title = f"{what} in progress" if running else f"{what} broken off"
    body = (
        f"<p>{' '.join([_state_words(campaign.written, age, running=running), *_progress_words(campaign)])}</p>",
        _go_on_words(campaign, table, running=running),
        "" if table else facts_html(campaign.form.device),
        row(reference_plot(campaign.reference, name="campaign-reference"), _widths_table(campaign.widths)),
        f"<p>{drift}</p>" if (drift := drift_words(campaign.reference)) else "",
        _refused_table(campaign),
    )
    return Section("campaign", title, body)


def _state_words(written: float, age_s: float, *, running: bool) -> str:
    at = f"{datetime.datetime.fromtimestamp(written, datetime.UTC):%Y-%m-%d %H:%M:%S} UTC"
    if running:
        return f"It is running: it last wrote at {at}, {lasting(age_s)} before this page was made."
    return f"It last wrote at {at}, {lasting(age_s)} ago: it was broken off, or its device does not answer."


def _progress_words(campaign: CampaignPart) -> list[str]:
    said = [f"{campaign.in_words}."]
    if campaign.visited:
        rows, networks = (campaign.items_seen[kind] for kind in ("row", "network"))
        said.append(f"It has times of {several(rows, 'row')} and {several(networks, 'network')} by now.")
        said.append(f"It spent {lasting(campaign.seconds)} on the device{_left_words(campaign)}.")
    if campaign.scout:
        said.append(
            "After this look at every row it chooses networks, and measures rows and networks in several passes."
        )
    return said


def _left_words(campaign: CampaignPart) -> str:
    """How long the rest of the fewest passes lasts; nothing where that is over or cannot be told yet."""
    number, planned, fewest = len(campaign.visited), campaign.planned, campaign.fewest_passes
    if number > fewest:
        return ", and goes on until its times are known well or the minutes, which no file records, are spent"
    if not planned or not campaign.visited[0]:
        return ""
    whole = campaign.pass_seconds[0] * planned / campaign.visited[0]
    share = min(campaign.visited[-1] / planned, 1.0)
    left = (fewest - number + 1 - share) * whole
    if left <= 0:
        return ""
    return f"; a pass over all items takes about {lasting(whole)}, and the fewest passes need {lasting(left)} more"


def _widths_table(widths: Sequence[Widths]) -> str | None:
    if not widths:
        return None
    header = ("Kind", "Items", "Median interval (± %)", f"Wider than ±{WIDE_PERCENT:g}&nbsp;% (%)", "Noise (%)")
    rows = [
        [
            f"{one.kind}s",
            f"{one.items:,}",
            f"{one.median_percent:.2f}",
            f"{one.wide_share_percent:.0f}",
            "" if one.noise_percent is None else f"{one.noise_percent:.2f}",
        ]
        for one in widths
    ]
    caption = (
        "How well the times are known so far: half the width of their 95 % intervals, of items spread over all. "
        "Further passes visit the items with wider ones; noise above 0.5 % has a whole kind visited again."
    )
    return rows_html(header, rows, caption=caption)


def _refused_table(campaign: CampaignPart) -> str:
    if not campaign.refused:
        return ""
    shown = list(campaign.refused.items())[:_REFUSED_SHOWN]
    rows = [[f"<code>{_item_html(item)}</code>", f'<span class="layers">{text(why)}</span>'] for item, why in shown]
    more = f" The first {_REFUSED_SHOWN}:" if len(shown) < len(campaign.refused) else ""
    refused = several(len(campaign.refused), "item")
    return rows_html(("Item", "Why"), rows, caption=f"The device refused {refused}, not asked for again.{more}")


def _item_html(item: str) -> str:
    """A row's key or a network's short string, which may break."""
    shown = short_network(item) if "/" in item else item
    return text(shown).replace("/", "/<wbr>").replace("_", "_<wbr>")


def _go_on_words(campaign: CampaignPart, table: TablePart | None, *, running: bool) -> str:
    """The command that goes on, as far as the folder knows it."""
    known = table.table.campaigns[-1] if table and table.table.campaigns else None
    words = ["mnas-evo", "profile", known.target if known else "TARGET", "--table", str(campaign.table_folder)]
    words += ["--space", (known and known.space) or "SPACE"] if campaign.of_space else ["--arch", "ARCH"]
    if campaign.form.device.batch != 1:
        words += ["--batch", str(campaign.form.device.batch)]
    if campaign.form.seed:
        words += ["--seed", str(campaign.form.seed)]
    when = "Should it be broken off, the" if running else "The"
    kept = "all else on this page is of the measurements before it" if table else "there is no table before that"
    return (
        f"<p>The table is written when the campaign ends; {kept}. {when} command that began it goes on where it was, "
        f"given again with the same options; more minutes are allowed: <code>{text(shlex.join(words))}</code></p>"
    )


def lasting(seconds: float) -> str:
    """A time that one waits, in the unit that suits it."""
    for size, unit in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.1f}\u00a0{unit}"
    return f"{seconds:.1f}\u00a0s" if seconds < 10 else f"{seconds:.0f}\u00a0s"
