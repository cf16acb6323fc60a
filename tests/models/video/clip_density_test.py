"""What all densities of video refuse alike."""

import pytest
import tensorflow as tf

from tfafs.models import registry


@pytest.mark.parametrize("name", ["af2", "slvm", "videoflow"])
def test_frames_that_are_too_few_or_of_another_size_are_refused(name):
  model = registry.build(registry.load_config(name, "tiny"))
  least, (side, _, channels) = model.burn_in, model.frame_shape
  few = tf.zeros([1, least, *model.frame_shape])
  others = (
    tf.zeros([1, least + 2, side, 2 * side, channels]),
    tf.zeros([1, least + 2, side, side, channels + 1]),
    tf.zeros([least + 2, side, side, channels]),
  )
  for call in (model, model.to_noise, model.transform, model.pictures):
    with pytest.raises(
      ValueError, match=f"x has {least} frames; it must have {least + 1}"
    ):
      call(few)
    for other in others:
      with pytest.raises(ValueError, match=f"{name} is a density of clips"):
        call(other)
  for other in others:
    with pytest.raises(ValueError, match="context has shape"):
      model.sample(other, 1, (0, 1))
  with pytest.raises(ValueError, match="num_frames must be at least 1; got 0"):
    model.sample(few, 0, (0, 1))
