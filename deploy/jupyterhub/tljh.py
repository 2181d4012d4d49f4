"""For The Littlest JupyterHub, in /opt/tljh/config/jupyterhub_config.d/: see docs/jupyterhub.md."""

c = get_config()  # noqa: F821 - JupyterHub's

# Who teaches: instructors in Cell Monitor, where the Hub's admins are administrators.
c.JupyterHub.load_groups = {"instructors": {"users": ["sensei"]}}
