import sys

from mnnjax.cli import main

sys.exit(main())
