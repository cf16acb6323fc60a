"""Plots of an evaluation, as PNG files in memory."""

import io
import itertools
from collections.abc import Sequence

from matplotlib import figure, ticker

from tfafs.evaluation import classical, rd_curves

_BASELINE_STYLES = {
  "x264": {"color": "#b8860b", "linestyle": "-"},
  "x264_rgb": {"color": "#b8860b", "linestyle": "--"},
  "x265": {"color": "#4a6fa5", "linestyle": "-"},
  "x265_rgb": {"color": "#4a6fa5", "linestyle": "--"},
}
_MODEL_COLORS = ("#c0392b", "#2e8b57", "#8e44ad", "#16808a", "#d2691e", "#555555")
# Where there are more models than colours, the colours come again with other lines.
_MODEL_STYLES = tuple(itertools.product(("-", "--", ":"), _MODEL_COLORS))
_AXES = {"psnr": "PSNR (dB, RGB)", "ms_ssim": "MS-SSIM"}


def label(codec: str) -> str:
  """How reports call a codec."""
  encoder = classical.ENCODERS.get(codec)
  return encoder.label if encoder else codec


def styles(codecs: Sequence[str]) -> dict[str, dict]:
  """A colour and a line style for each codec: the same in every plot of a report."""
  models = [codec for codec in dict.fromkeys(codecs) if codec not in classical.ENCODERS]
  result = {
    codec: dict(zip(("linestyle", "color"), _MODEL_STYLES[i % len(_MODEL_STYLES)]))
    for i, codec in enumerate(models)
  }
  return {**result, **_BASELINE_STYLES}


def rd_plot(curves: Sequence[rd_curves.Curve], title: str = "") -> bytes:
  """Quality over rate, PSNR and, where all curves have it, MS-SSIM beside it.

  Args:
    curves: of one clip, or of the mean of several. Models are drawn over baselines.
    title: above the plot.

  Returns:
    A PNG file.
  """
  curves = [curve for curve in curves if curve.points]
  has_ms_ssim = all(p.ms_ssim is not None for curve in curves for p in curve.points)
  metrics = ["psnr", "ms_ssim"] if curves and has_ms_ssim else ["psnr"]
  fig = figure.Figure(figsize=(6.6 * len(metrics), 4.6), layout="constrained")
  style = styles([curve.codec for curve in curves])
  for axes, metric in zip(fig.subplots(1, len(metrics), squeeze=False)[0], metrics):
    for curve in curves:
      is_model = curve.codec not in classical.ENCODERS
      axes.plot(
        [point.bpp for point in curve.points],
        [getattr(point, metric) for point in curve.points],
        marker="D" if is_model else "o",
        markersize=7 if is_model else 4,
        linewidth=2.2 if is_model else 1.5,
        zorder=3 if is_model else 2,
        label=label(curve.codec),
        **style[curve.codec],
      )
    _rate_axis(axes)
    axes.set_ylabel(_AXES[metric])
    if curves:
      axes.legend(frameon=False)
  if title:
    fig.suptitle(title, fontsize=11)
  return png(fig)


def frames_plot(results: Sequence[rd_curves.ClipResult]) -> bytes:
  """Bytes and PSNR of every frame, one line for each result.

  Args:
    results: of one clip, one for each codec.

  Returns:
    A PNG file.
  """
  fig = figure.Figure(figsize=(13.2, 3.4), layout="constrained")
  sizes, qualities = fig.subplots(1, 2)
  style = styles([result.codec for result in results])
  for result in results:
    indices = [frame.index for frame in result.frames]
    options = {
      "label": f"{label(result.codec)}, {result.setting}",
      "linewidth": 1.6 if result.codec in classical.ENCODERS else 2.2,
      "marker": "." if len(indices) < 60 else None,
      **style[result.codec],
    }
    sizes.plot(indices, [max(frame.num_bytes, 1) for frame in result.frames], **options)
    qualities.plot(indices, [frame.psnr for frame in result.frames], **options)
  sizes.set_yscale("log")
  sizes.set_ylabel("bytes")
  qualities.set_ylabel("PSNR (dB)")
  for axes in (sizes, qualities):
    axes.set_xlabel("frame")
    axes.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
    frame(axes)
  if results:
    qualities.legend(frameon=False, fontsize=8)
  return png(fig)


def _rate_axis(axes) -> None:
  axes.set_xscale("log")
  axes.set_xlabel("bits per pixel (bytes of the file)")
  plain = ticker.FuncFormatter(lambda value, _: f"{value:g}")
  axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
  axes.xaxis.set_major_formatter(plain)
  axes.xaxis.set_minor_formatter(ticker.NullFormatter())
  frame(axes)


def frame(axes) -> None:
  """A grid, and no frame but the axes."""
  axes.grid(True, color="#e4e4e4", linewidth=0.8)
  axes.set_axisbelow(True)
  for side in ("top", "right"):
    axes.spines[side].set_visible(False)


def png(fig) -> bytes:
  """A PNG file of a figure."""
  file = io.BytesIO()
  fig.savefig(file, format="png", dpi=120)
  return file.getvalue()
