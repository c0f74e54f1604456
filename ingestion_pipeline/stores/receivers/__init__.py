"""Who is told when something goes wrong: a webhook, Slack, e-mail, the log."""
