"""Sensors called as the daemon calls them: look after look, with the cursor that the last one left."""

from dagster import RunRequest, SkipReason, build_sensor_context

from ingestion_pipeline_tests.defs.conftest import Dagster

COMPARE = "compare"
"""What is said where a run is asked for."""


class Sensor:
    """A sensor of a site.

    Attributes:
        dagster: The site's definitions and instance.
        cursor: What the last look left.
        said: What the last look said.
        keys: The keys of the runs that were asked for.
    """

    def __init__(self, dagster: Dagster, name: str) -> None:
        self.dagster = dagster
        self.cursor: str | None = None
        self.said = ""
        self.keys: list[str | None] = []
        self._name = name

    def look(self) -> str:
        """Look once; gives what it said."""
        definitions = self.dagster.definitions
        with build_sensor_context(
            instance=self.dagster.instance,
            cursor=self.cursor,
            definitions=definitions,
            resources=definitions.resources,
        ) as context:
            found = definitions.resolve_sensor_def(self._name)(context)
            self.cursor = context.cursor
        if isinstance(found, RunRequest):
            self.keys.append(found.run_key)
            self.said = COMPARE
        else:
            assert isinstance(found, SkipReason)
            self.said = str(found.skip_message)
        return self.said

    def looks(self, times: int) -> list[str]:
        return [self.look() for _ in range(times)]
