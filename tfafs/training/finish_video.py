"""What a density of video does when it is trained: export, figures, pictures."""

import json

from tfafs.training import curves, reports, run_directory, video_report


def finish(config, result) -> video_report.VideoEvaluation:
  """Exports a trained density, measures it, draws it and prints the table.

  Args:
    config: Config of the run; `data.eval_clips` says on how many clips.
    result: The `TrainingResult`.

  Returns:
    The `VideoEvaluation`.
  """
  paths, model = result.paths, result.model
  print(f"Exporting to {paths.saved_model} ...", flush=True)
  model.export_density(paths.saved_model)
  print("Measuring and drawing ...", flush=True)
  evaluation = video_report.evaluate(config, model)
  curve = curves.read_scalars(paths.tensorboard, "train/noise_correlation")
  drawn = video_report.draw(config, model, evaluation, paths.demo, curve)
  training = reports.training_figures(result)
  figures = {split: part._asdict() for split, part in evaluation._asdict().items()}
  summary = {"training": training, "evaluation": figures}
  run_directory.write_text(paths.summary, json.dumps(summary, indent=2) + "\n")
  rows = [("trained for, steps", reports.steps_text(training))]
  print(reports.table([*rows, *video_report.rows(model, evaluation)]))
  print(directions(paths, drawn), flush=True)
  return evaluation


def directions(paths, drawn) -> str:
  """Where everything lies and how to use it."""
  rows = [
    ("density (TensorFlow SavedModel)", paths.saved_model),
    *drawn.items(),
    ("checkpoints", paths.checkpoints),
    ("curves", paths.tensorboard),
    ("the figures above", paths.summary),
  ]
  return reports.places(
    rows,
    [
      f"bin/sample --model_dir={paths.model_dir} --output=samples.mp4",
      f"bin/evaluate_video --model_dir={paths.model_dir} --output_dir=evaluation",
      f"tensorboard --logdir={paths.tensorboard}",
    ],
  )
