import numpy as np
import pytest

from tfafs.evaluation import metrics


def frame(seed, height=20, width=30):
  rng = np.random.default_rng(seed)
  return rng.integers(0, 256, [height, width, 3], dtype=np.uint8)


def noisy(original, deviation, seed=9):
  noise = np.random.default_rng(seed).normal(0, deviation, original.shape)
  return np.clip(np.round(original + noise), 0, 255).astype(np.uint8)


def smooth_frame(height, width):
  y, x = np.mgrid[:height, :width]
  channels = [np.sin(y / 7 + x / (9 + c)) + np.cos(x * y / 900 + c) for c in range(3)]
  return np.round(127.5 + 60 * np.stack(channels, -1)).astype(np.uint8)


def reference_ms_ssim(first, second):
  """Wang et al. 2003 in float64, written from the paper and Wang 2004, eq. 13."""
  weights = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
  c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
  taps = np.exp(-((np.arange(11) - 5.0) ** 2) / (2 * 1.5**2))
  taps /= taps.sum()

  def blur(image):
    for axis in (0, 1):
      windows = np.lib.stride_tricks.sliding_window_view(image, 11, axis)
      image = windows @ taps
    return image

  def halve(image):
    height, width = image.shape
    image = np.pad(image, ((0, height % 2), (0, width % 2)), mode="edge")
    return (
      image[::2, ::2] + image[1::2, ::2] + image[::2, 1::2] + image[1::2, 1::2]
    ) / 4

  values = []
  for channel in range(3):
    x, y = (image[..., channel].astype(np.float64) for image in (first, second))
    product = 1.0
    for scale, weight in enumerate(weights):
      if scale:
        x, y = halve(x), halve(y)
      mx, my = blur(x), blur(y)
      vx, vy = blur(x * x) - mx**2, blur(y * y) - my**2
      cs = (2 * (blur(x * y) - mx * my) + c2) / (vx + vy + c2)
      if scale == len(weights) - 1:
        cs = cs * (2 * mx * my + c1) / (mx**2 + my**2 + c1)
      product *= max(cs.mean(), 0) ** weight
    values.append(product)
  return float(np.mean(values))


def test_psnr_is_that_of_all_samples_together():
  first, second = frame(0), frame(1)
  error = np.mean((first.astype(float) - second.astype(float)) ** 2)
  assert metrics.psnr(first, second) == pytest.approx(10 * np.log10(65025 / error))


def test_psnr_of_one_step_in_each_sample_is_48_13():
  dark = np.full([8, 8, 3], 7, np.uint8)
  assert metrics.psnr(dark, dark + 1) == pytest.approx(48.1308, abs=1e-4)


def test_psnr_does_not_wrap_around():
  black, white = np.zeros([4, 4, 3], np.uint8), np.full([4, 4, 3], 255, np.uint8)
  assert metrics.psnr(black, white) == metrics.psnr(white, black) == 0


def test_psnr_of_identical_frames_is_capped():
  assert metrics.psnr(frame(0), frame(0)) == metrics.MAX_PSNR


@pytest.mark.parametrize(
  ("first", "second", "message"),
  [
    (frame(0) / 255, frame(0), "reference: expected a uint8"),
    (frame(0), frame(0)[..., 0], "decoded: expected a uint8"),
    (frame(0), frame(0, 30, 20), "decoded: its shape"),
  ],
)
@pytest.mark.parametrize("metric", [metrics.psnr, metrics.ms_ssim])
def test_frames_are_checked(metric, first, second, message):
  with pytest.raises(ValueError, match=message):
    metric(first, second)


@pytest.mark.parametrize("size", [(161, 161), (163, 178), (176, 208)])
@pytest.mark.parametrize("deviation", [3, 40])
def test_ms_ssim_agrees_with_an_independent_one(size, deviation):
  original = smooth_frame(*size)
  decoded = noisy(original, deviation)
  value = metrics.ms_ssim(original, decoded)
  assert value == pytest.approx(reference_ms_ssim(original, decoded), abs=2e-5)
  assert 0.3 < value < 0.9999


def test_ms_ssim_of_identical_frames_is_one():
  assert metrics.ms_ssim(smooth_frame(170, 170), smooth_frame(170, 170)) == (
    pytest.approx(1, abs=1e-6)
  )


@pytest.mark.parametrize("size", [(160, 300), (300, 160), (144, 176)])
def test_ms_ssim_is_not_given_for_small_frames(size):
  assert metrics.ms_ssim(smooth_frame(*size), smooth_frame(*size)) is None
  reason = metrics.ms_ssim_unavailable(*size)
  assert f"{size[1]}x{size[0]}" in reason
  assert "161" in reason


def test_bits_per_pixel():
  assert metrics.bits_per_pixel(300, 10, 20, 12) == 1
  with pytest.raises(ValueError, match="must be positive"):
    metrics.bits_per_pixel(300, 10, 20, 0)
