"""The built-in measures: functions of a clip, one file for each kind. They need the extra `scores`."""
