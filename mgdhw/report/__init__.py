"""What people see: the console, figures, units, text and HTML."""
