"""Reports for people and programs: what every file is, in the format its name asks for."""

from pipeline.report.table import file_table
from pipeline.report.writers import ENDINGS, check_targets, write_reports

__all__ = ["ENDINGS", "check_targets", "file_table", "write_reports"]
