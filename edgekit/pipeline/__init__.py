"""From a recipe to a run: stages in order, each skipped when it is already done."""
