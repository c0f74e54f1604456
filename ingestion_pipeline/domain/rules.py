"""Rules: what must hold in the tables, derived from the contract."""

from dataclasses import dataclass

from ingestion_pipeline.domain.columns import Codec, Table, of_table


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that must hold.

    Attributes:
        name: Its name, one word for code, check and docs.
        table: Where it must hold.
        about: What must hold, for people.
        advisory: Whether a breach is worth a look rather than an error.
    """

    name: str
    table: Table
    about: str
    advisory: bool = False


def _rules_of(table: Table) -> list[Rule]:
    columns = of_table(table)
    rules = [Rule("types", table, "Every column has the type that the contract declares")]
    if table is Table.PEOPLE:
        rules.append(Rule("keys", table, "row_id is unique and never empty, required columns are never NULL"))
    else:
        rules.append(Rule("orphans", table, "Every person has exactly one row, and every row a person"))
    if any(column.limit for column in columns):
        rules.append(Rule("lengths", table, "No text is longer than its column allows"))
    if any(column.codec is Codec.MAP for column in columns):
        rules.append(Rule("maps", table, "Maps are flat, from text to text"))
        rules.append(
            Rule("maps_agree", table, "Every UUID in file_uuids has a path in s3_paths", advisory=True)
        )
    return rules


RULES: tuple[Rule, ...] = tuple(rule for table in Table for rule in _rules_of(table))
