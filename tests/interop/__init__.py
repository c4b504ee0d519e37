"""Published clients, unmodified, against real processes. `make interop` runs it; it needs Node 20 or newer, and npm.

package.json names each npm package with its exact version (several versions of one by aliases: `"ai5": "npm:ai@5.0.1"`), and
the extra `interop` of pyproject.toml the Python ones; both are installed at the first need. For each client there is

    js/NAME.mjs     a program as its user would write it: it follows the URLs that it is given, and prints what it joined as
                    one line of JSON
    test_NAME.py    runs it (`programs.run`), mostly through proxies that cut (cuts.py), and compares that with the whole

and a section in docs/clients.md, which says what it gains, what it cannot do, and has a program, which test_clients_page.py
runs as it stands there. programs.py runs programs, conftest.py has the fixtures. Each test module is marked,
`pytestmark = pytest.mark.interop`. Python packages of the extra are imported with `pytest.importorskip`, since they are not
there when all modules are collected.
"""
