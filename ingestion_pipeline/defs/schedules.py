"""What runs by the clock."""

from dagster import DefaultScheduleStatus, ScheduleDefinition

from ingestion_pipeline.defs import jobs
from ingestion_pipeline.settings import Settings


def schedules(settings: Settings) -> list[ScheduleDefinition]:
    """The schedules, running unless automation is turned off."""
    automation = settings.automation
    status = DefaultScheduleStatus.RUNNING if automation.enabled else DefaultScheduleStatus.STOPPED
    return [
        ScheduleDefinition(
            "consistency_hourly",
            job=jobs.compare,
            cron_schedule=automation.consistency_cron,
            default_status=status,
            description="Compares the two sides.",
        ),
        ScheduleDefinition(
            "export_nightly",
            job=jobs.export,
            cron_schedule=automation.export_cron,
            default_status=status,
            description="Publishes a version.",
        ),
        ScheduleDefinition(
            "backup_nightly",
            job=jobs.backup,
            cron_schedule=automation.backup_cron,
            default_status=status,
            description="Dumps the database.",
        ),
        ScheduleDefinition(
            "drill_weekly",
            job=jobs.drill,
            cron_schedule=automation.drill_cron,
            default_status=status,
            description="Restores the newest version and the newest dump somewhere else.",
        ),
        ScheduleDefinition(
            "reports_hourly",
            job=jobs.reports,
            cron_schedule=automation.reports_cron,
            default_status=status,
            description="Counts the figures of the report anew.",
        ),
        ScheduleDefinition(
            "health_often",
            job=jobs.health,
            cron_schedule=automation.health_cron,
            default_status=status,
            description="Looks at the whole site.",
        ),
    ]
