"""What train.py does once its configuration is composed."""
