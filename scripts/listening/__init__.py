"""Listening tests of many listeners: their answers pooled, and the trials of a report as a folder for webMUSHRA."""
