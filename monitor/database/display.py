"""The name, email and team under which a class shows a person."""

# Expressions over three rows: `line`, the roster's; `record`, the student's; `claimed`, the state
# in the class. What has no visible character counts as missing.
DISPLAYED = """
    COALESCE(shown(line.name), shown(record.name), shown(claimed.name)) AS name,
    COALESCE(shown(line.email), shown(record.email), shown(claimed.email)) AS email,
    COALESCE(shown(line.team), shown(claimed.team), shown(record.team)) AS team
"""
