"""The boards, one file each. `python grafana-dashboards/build.py` writes them to json/."""
