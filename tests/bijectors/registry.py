"""Every bijector of the library, as one or more cases of the conformance test.

A family keeps its cases in a file of its own beside this one, `<family>_cases.py`, in a
dict `CASES` from name to `tfafs.testing.BijectorCase`, and adds that dict here.
"""

import autoregressive_cases
import density_flow_cases
import glow_cases
import temporal_cases

CASES = {
  **autoregressive_cases.CASES,
  **density_flow_cases.CASES,
  **glow_cases.CASES,
  **temporal_cases.CASES,
}
