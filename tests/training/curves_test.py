import tensorflow as tf

from tfafs.training import curves


def test_scalars_come_back_and_a_resumed_run_counts(tmp_path):
  for values in ({1: 0.5, 2: 0.25}, {2: 0.75, 3: 1.0}):
    writer = tf.summary.create_file_writer(str(tmp_path), filename_suffix=str(values))
    with writer.as_default():
      for step, value in values.items():
        tf.summary.scalar("train/a", value, step)
        tf.summary.scalar("train/b", 9.0, step)
    writer.close()
  curve = curves.read_scalars(tmp_path, "train/a")
  assert set(curve) == {1, 2, 3} and (curve[1], curve[3]) == (0.5, 1.0)
  file = sorted(tmp_path.iterdir())[-1]
  file.write_bytes(file.read_bytes()[:-7])  # As a killed run leaves it.
  assert curves.read_scalars(tmp_path, "train/a")[1] == 0.5
  assert curves.read_scalars(tmp_path / "none", "train/a") == {}
