"""`python -m tests.system.http.few_descriptors`: the API with 256 descriptors, as `ulimit -n 256` leaves it."""

import resource
import sys

from api.__main__ import main

if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
    sys.exit(main())
