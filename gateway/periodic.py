"""Jobs that run again and again for as long as the application lives."""
