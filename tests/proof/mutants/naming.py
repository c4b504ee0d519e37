"""The seeded bugs of names that clients give: of chats, of threads."""

from tests.proof.mutants.seeding import Mutant, mutant

_NAMES = "tests/broker/store/test_names.py::"
_CELLS = "tests/api/routes/test_naming.py::"

NAMING: tuple[Mutant, ...] = (
    mutant(
        "a name goes back to an earlier generation",
        "name.lua",
        "if before and tonumber(string.match(before, '^%d+')) > tonumber(ARGV[2]) then",
        "if false then",
        _NAMES + "test_a_name_stands_for_what_was_made_last_in_whatever_order_it_is_given",
    ),
    mutant(
        "a name is everybody's",
        "Name.key",
        "keys.name(self.kind, digest, self.owner)",
        "keys.name(self.kind, digest)",
        _NAMES + "test_a_name_is_its_tenants_and_of_its_kind",
    ),
    mutant(
        "a name ends before its generation",
        "names.give",
        "retention_ms + keys.NAME_SLACK_MS",
        "keys.NAME_SLACK_MS",
        _NAMES + "test_a_name_outlives_the_retention_of_its_generation_by_all_that_may_go_before_that",
    ),
    mutant(
        "a key is called as its client calls it",
        "Name.key",
        'hashlib.sha256(self.text.encode(errors="surrogatepass")).hexdigest()[:_DIGEST_CHARACTERS]',
        "self.text",
        _NAMES + "test_nobody_who_sees_the_names_of_keys_sees_what_a_client_called_it",
    ),
    mutant(
        "of several cells the earliest counts",
        "naming.standing",
        "max(known, key",
        "min(known, key",
        _CELLS + "test_of_what_cells_know_the_latest_counts",
    ),
    mutant(
        "a cell that is away has no names",
        "naming._look_in",
        "    if not service.agreement.hears:\n        raise StorageUnavailable",
        "    if not service.agreement.hears:\n        return None",
        _CELLS + "test_while_a_cell_is_away_nobody_is_given_an_older_generation_of_another",
    ),
)
