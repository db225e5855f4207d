"""The recipe: one YAML file that names data, tasks, teachers and student."""
