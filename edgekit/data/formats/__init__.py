"""Labels in other formats than label images: each file is a source, with what its recipe may say."""
