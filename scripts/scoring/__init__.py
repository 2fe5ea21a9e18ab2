"""What evaluate.py does once its configuration is composed: networks scored with all metrics."""
