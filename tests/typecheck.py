"""The type checker of the test suite, which conftest.py has jaxtyping apply to the package."""

from beartype import BeartypeConf, beartype

# An int will do where a float is asked for, as for other type checkers (PEP 484).
check = beartype(conf=BeartypeConf(is_pep484_tower=True))
