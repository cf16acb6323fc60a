"""Every bijector of the registry keeps TFP's contract, check by check."""

import pytest
import registry

from tfafs import testing


@pytest.mark.parametrize("check", testing.CHECKS)
@pytest.mark.parametrize("name", registry.CASES)
def test_conforms(name, check):
  case = registry.CASES[name]
  if check in case.skip:
    pytest.skip(case.skip[check])
  testing.check(case, check)
