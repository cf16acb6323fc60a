"""Weights files that hold all variables of a model, those inside of bijectors too."""


class OwnVariables:
  """Lets a Keras model save and load all its variables as its own; put it before `Model`.

  The saver behind `save_weights("x.weights.h5")` looks for weights in layers, and in
  lists of layers, but not in bijectors nor in lists of lists: without this it leaves them
  out and says nothing. What it finds in layers it saves there once more. Checkpoints, of
  `tf.train.Checkpoint` and of `save_weights("x")`, are whole without this.
  """

  def save_own_variables(self, store):
    """Writes each variable under its number in `variables`."""
    for i, variable in enumerate(self.variables):
      store[str(i)] = variable.numpy()

  def load_own_variables(self, store):
    """Reads them, all or none.

    Raises:
      ValueError: If the file holds other variables than those of this model.
    """
    if len(store.keys()) != len(self.variables):
      raise ValueError(
        f"The file holds {len(store.keys())} variables of its model; {self.name} has "
        f"{len(self.variables)}: build the model from the config that it was saved with."
      )
    values = [store[str(i)] for i in range(len(self.variables))]
    for variable, value in zip(self.variables, values):
      if variable.shape != value.shape:
        raise ValueError(
          f"The file holds {variable.name} with shape {tuple(value.shape)}; of "
          f"{self.name} it has {tuple(variable.shape)}: build the model from the config "
          "that it was saved with."
        )
    for variable, value in zip(self.variables, values):
      variable.assign(value)

  def save_weights(self, filepath, overwrite=True, **kwargs):
    """As Keras saves; see there.

    Raises:
      ValueError: For Keras' older format, which has no place for such weights.
    """
    _refuse_old_format(filepath, kwargs.get("save_format"))
    return super().save_weights(filepath, overwrite, **kwargs)

  def load_weights(self, filepath, *args, **kwargs):
    """As Keras loads; see there.

    Raises:
      ValueError: For Keras' older format, and for a file of another model.
    """
    _refuse_old_format(filepath)
    return super().load_weights(filepath, *args, **kwargs)


def _refuse_old_format(path, save_format=None):
  path = str(path)
  old = path.endswith((".h5", ".hdf5", ".keras")) and not path.endswith(".weights.h5")
  if old or save_format in ("h5", "hdf5", "keras"):
    raise ValueError(
      f"{path}: Keras' older HDF5 format leaves out weights inside of bijectors; give a "
      "name that ends in .weights.h5."
    )
