"""Alerts, reasons, evidence, reports."""
