"""Cell Monitor as a service of a JupyterHub, for its jupyterhub_config.py: see docs/login.md."""

c = get_config()  # noqa: F821 - JupyterHub's

c.JupyterHub.services = [
    {
        "name": "cell-monitor",
        "url": "http://127.0.0.1:8000",
        "command": ["cell-monitor"],
        "environment": {"DATA_DIR": "/var/lib/cell-monitor", "TRUSTED_PROXIES": "127.0.0.1"},
        "oauth_no_confirm": True,
    }
]
# Who may sign in there: everybody who may use the Hub.
c.JupyterHub.load_roles = [
    {"name": "user", "scopes": ["self", "access:services!service=cell-monitor"]}
]
# Who teaches: instructors in Cell Monitor, where the Hub's admins are administrators.
c.JupyterHub.load_groups = {"instructors": {"users": ["sensei"]}}
