"""`python -m api.keys create | list | rotate | revoke`."""

import sys

from api.keys.commands import main

if __name__ == "__main__":
    sys.exit(main())
