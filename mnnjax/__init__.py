"""mnnjax: which kind of minimum does training reach, and how much of weight space holds bad ones?"""

__version__ = "0.1.0"
