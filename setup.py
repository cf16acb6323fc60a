"""Packaging of tfafs. Python 3.9-3.11 only: tensorflow-compression ends at TF 2.14."""

import pathlib
import sys

import setuptools

if not (3, 9) <= sys.version_info[:2] <= (3, 11):
  sys.exit(
    f"tfafs needs Python 3.9, 3.10 or 3.11 (this is {sys.version.split()[0]}): "
    "tensorflow-compression 2.14.1, its entropy coder, has no wheels for others. "
    "README.md, section 'Python 3.11', says how to get one."
  )

ROOT = pathlib.Path(__file__).parent
# Prepared data sets. Later metadata wants protobuf 5, TensorFlow 2.14 has 4; TFDS needs
# importlib-resources to prepare anything and does not say so.
DATASETS = [
  "importlib-resources>=5",
  "tensorflow-datasets>=4.9.2",
  "tensorflow-metadata<1.17",
]

setuptools.setup(
  name="tfafs",
  version="0.1.0",
  description=(
    "Temporal autoregressive flows and neural video codecs in TensorFlow: "
    "train, measure, export, and write files that decode."
  ),
  long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
  long_description_content_type="text/markdown",
  license="Apache-2.0",
  python_requires=">=3.9,<3.12",
  packages=[*setuptools.find_packages(include=["tfafs", "tfafs.*"]), "tfafs.configs"],
  package_dir={"tfafs.configs": "configs"},
  package_data={"tfafs": ["**/*.html"]},
  install_requires=[
    "absl-py>=1.4",
    "av>=14",
    "bjontegaard>=1.3",
    "google-crc32c>=1.5",
    "jinja2>=3.1",
    "matplotlib>=3.8",
    "ml-collections>=0.1.1",
    "numpy>=1.23,<2",
    "pillow>=10",
    "tensorflow~=2.14.1",
    "tensorflow-compression~=2.14.1",
    "tensorflow-probability~=0.22.1",
  ],
  extras_require={
    "datasets": DATASETS,
    "test": [
      "hypothesis>=6.90",
      "pytest>=8",
      "pytest-xdist>=3.5",
      "ruff==0.17.6",
      "scipy>=1.11",
      *DATASETS,
    ],
  },
)
