"""The demo: a simulated plant, a broker, and a live view of what a separate subscriber proves."""
