"""A global minimum written down: Theorem 8 (theorem8.py), from rays (rays.py), in double-double (double_double.py)."""
