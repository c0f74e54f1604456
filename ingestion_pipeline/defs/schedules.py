"""What runs by the clock."""

from dagster import DefaultScheduleStatus, ScheduleDefinition

from ingestion_pipeline.defs import jobs
from ingestion_pipeline.settings import Settings


def schedules(settings: Settings) -> list[ScheduleDefinition]:
    """The schedules, running unless automation is turned off."""
    when = settings.automation
    status = DefaultScheduleStatus.RUNNING if when.enabled else DefaultScheduleStatus.STOPPED
    return [
        ScheduleDefinition(name, job=job, cron_schedule=cron, default_status=status, description=description)
        for name, job, cron, description in (
            ("consistency_hourly", jobs.compare, when.consistency_cron, "Compares the two sides."),
            ("export_nightly", jobs.export, when.export_cron, "Publishes a version."),
            ("backup_nightly", jobs.backup, when.backup_cron, "Dumps the database."),
            (
                "drill_weekly",
                jobs.drill,
                when.drill_cron,
                "Restores the newest version and the newest dump somewhere else.",
            ),
            ("reports_hourly", jobs.reports, when.reports_cron, "Counts the figures of the report anew."),
            ("health_often", jobs.health, when.health_cron, "Looks at the whole site."),
        )
    ]
