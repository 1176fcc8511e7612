"""Studies: many trainings that answer one question, with a table and a picture at the end."""
