import io

import numpy as np
import pytest
from PIL import Image

from tfafs.evaluation import rd_curves, samples


@pytest.mark.parametrize(("gop", "length", "index"), [(2, 5, 3), (12, 5, 4), (0, 5, 4)])
def test_the_frame_is_in_the_second_group_or_the_last(
  codec, frames, gop, length, index
):
  sampler = samples.Sampler(gop)
  result = rd_curves.evaluate_clip(
    codec, frames, gop=gop, max_frames=length, on_frame=sampler
  )
  sample = sampler.decoded(result)
  assert sample.index == index
  assert (sample.psnr, sample.num_bytes) == (
    result.frames[index].psnr,
    result.frames[index].num_bytes,
  )
  original = np.asarray(Image.open(io.BytesIO(sampler.original().frame_png)))
  np.testing.assert_array_equal(original, frames[index])
  decoded = np.asarray(Image.open(io.BytesIO(sample.frame_png)))
  assert decoded.shape == original.shape
  assert (decoded != original).any()


def test_the_detail_is_where_the_gradients_are():
  frame = np.full([60, 90, 3], 100, np.uint8)
  frame[35:50, 60:85] = np.random.default_rng(0).integers(0, 255, [15, 25, 3])
  box = samples.busiest_box(frame)
  assert (box.height, box.width) == (20, 30)
  assert box.top <= 35
  assert box.top + box.height >= 50
  assert box.left <= 60
  assert box.left + box.width >= 85


def test_the_detail_of_tiny_frames_is_inside():
  for size in ((1, 1), (2, 5), (16, 17)):
    box = samples.busiest_box(np.zeros([*size, 3], np.uint8))
    assert box.top + box.height <= size[0]
    assert box.left + box.width <= size[1]
