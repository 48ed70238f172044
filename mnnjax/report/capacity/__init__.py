"""The threshold in d0 d1 / N above which training reaches a global minimum."""
