"""Who uses it all: sessions, comparison, reports, command line."""
