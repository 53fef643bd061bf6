"""Runs the tap for many accounts on Airflow: what the DAGs in zoho_campaigns.py are made of."""
