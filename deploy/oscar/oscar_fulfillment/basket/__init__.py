"""Oscar's basket app whose form checks the learner a buyer names."""
