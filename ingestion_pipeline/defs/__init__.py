"""What Dagster sees. No other folder imports it; a body calls one verb and shows what came of it."""
