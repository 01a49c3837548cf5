"""The report of an adaptation: one HTML file with everything in it."""

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from likebut.files import read_json, write_text

if TYPE_CHECKING:
    from likebut.adapt.result import AdaptResult

REPORT_NAME = "report.html"
_METRICS = ("mAP@10", "Recall@1", "Recall@10")
_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1f2328}
table{border-collapse:collapse;margin:1rem 0}td,th{padding:.3rem .8rem;border-bottom:1px solid #d0d7de;text-align:left}
td.number{text-align:right;font-variant-numeric:tabular-nums}.warning{color:#9a6700}
.panel{display:flex;gap:.5rem;align-items:center;margin:.6rem 0;overflow-x:auto}.panel img{height:96px}
.right{outline:3px solid #12714d}.text{width:14rem;flex:none}small{color:#59636e}
@media(prefers-color-scheme:dark){body{background:#0d1117;color:#e6edf3}td,th{border-color:#30363d}}
"""


def write_report(result: "AdaptResult") -> Path:
    """Write ``report.html`` into the run's folder and return it."""
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
        f"<title>likebut adapt: {escape(result.folder.name)}</title><style>{_STYLE}</style>",
        f"<h1>{escape(result.folder.name)}</h1><p><strong>{escape(result.reason)}</strong></p>",
        _metrics(result),
        _warnings(result),
        _panels(result.folder),
        _coverage(result),
        _curve(result.folder),
        _written(result.folder),
        _times(result),
    ]
    path = result.folder / REPORT_NAME
    write_text(path, "\n".join(part for part in parts if part))
    return path


def _metrics(result: "AdaptResult") -> str:
    if not result.before:
        return ""
    measured = [("base", result.before), *_stage_metrics(result.folder), (f"result: {result.kept}", result.after)]
    rows = "".join(
        f"<tr><td>{escape(title)}</td>{''.join(_cell(metrics, name) for name in _METRICS)}</tr>"
        for title, metrics in measured
    )
    gain = (
        f"<p>Gain in mAP@10: {result.gain[0]:+.1f} to {result.gain[1]:+.1f} points (95 %).</p>" if result.gain else ""
    )
    head = f"<tr><th></th>{''.join(f'<th>{name}</th>' for name in _METRICS)}</tr>"
    label = f"<p>On {escape(result.measured_on)}, held-out images.</p>"
    return f"<h2>Before and after</h2>{label}<table>{head}{rows}</table>{gain}"


def _stage_metrics(folder: Path) -> list[tuple[str, Any]]:
    """Return what each stage in between brought."""
    rows = []
    for stage in sorted(path.name for path in (folder / "stages").glob("names-*")):
        rows.append(("trained on the images with text alone, briefly", _stage(folder, stage).get("metrics", {})))
    return [*rows, ("trained on all texts", _stage(folder, "choice").get("trained", {}))]


def _cell(metrics: Any, name: str) -> str:
    if name not in metrics:
        return "<td>–</td>"
    low, high = metrics[f"{name} interval"]
    return f"<td class=number>{metrics[name]:.1f} <small>{low:.1f}–{high:.1f}</small></td>"


def _warnings(result: "AdaptResult") -> str:
    return "".join(f"<p class=warning>Warning: {escape(text)}.</p>" for text in result.warnings)


def _panels(folder: Path) -> str:
    found = _stage(folder, "choice").get("panels", [])
    if not found:
        return ""
    from likebut.data.thumbnails import EmbeddedImages

    uri = EmbeddedImages().uri
    rows = []
    for panel in found:
        reference = f"<img src='{uri(Path(panel['reference']))}' alt='reference image'>"
        for title in ("before", "after"):
            hits = "".join(
                f"<img src='{uri(Path(path))}' alt='' class='{'right' if right else ''}'>"
                for path, right in panel[title]
            )
            text = f"<div class=text>“{escape(panel['text'])}”<br><small>{title}</small></div>"
            rows.append(f"<div class=panel>{reference}{text}{hits}</div>")
    return (
        f"<h2>The same queries before and after</h2><p>A random sample; right images are outlined.</p>{''.join(rows)}"
    )


def _coverage(result: "AdaptResult") -> str:
    coverage = result.coverage
    rows = "".join(
        f"<tr><td>{escape(each.source)}</td><td>{each.role}</td><td class=number>{each.images}</td>"
        f"<td class=number>{each.distinct}</td></tr>"
        for each in coverage.sources
    )
    examples = "".join(f"<li>{escape(image)}: {escape(text)}</li>" for image, text in coverage.examples)
    return (
        f"<h2>Texts</h2><p>{coverage.with_text} of {coverage.images} images have text.</p><table><tr><th>source</th>"
        f"<th>role</th><th>images</th><th>texts</th></tr>{rows}</table><ul>{examples}</ul>"
    )


def _curve(folder: Path) -> str:
    curve = _stage(folder, "choice").get("curve", [])
    if not curve:
        return ""
    rows = "".join(
        f"<tr><td class=number>{weight:.1f}</td><td class=number>{value:.1f}</td></tr>" for weight, value in curve
    )
    return (
        "<h2>Between base and trained model</h2><p>The nearer to the base (0), the more of what it knew is kept.</p>"
        f"<table><tr><th>weight</th><th>mAP@10</th></tr>{rows}</table>"
    )


def _written(folder: Path) -> str:
    lines = []
    for stage in sorted(path.name for path in (folder / "stages").glob("names-*")):
        named = sorted(_stage(folder, stage).get("named", []), key=lambda row: row[0])
        step = max(1, len(named) // 10)
        lines += [
            f"<li>{escape(image)}: {escape(text)} <small>{sure:.2f}</small></li>" for image, text, sure in named[::step]
        ]
    return f"<h2>Names given to images without text</h2><ul>{''.join(lines)}</ul>" if lines else ""


def _times(result: "AdaptResult") -> str:
    rows = "".join(
        f"<tr><td>{escape(title)}</td><td class=number>{seconds:.0f} s</td></tr>"
        for title, seconds in result.seconds.items()
    )
    return f"<h2>Times</h2><table>{rows}</table>"


def _stage(folder: Path, name: str) -> dict[str, Any]:
    path = folder / "stages" / name / "complete.json"
    if not path.is_file():
        return {}
    found: dict[str, Any] = read_json(path)["result"]
    return found
