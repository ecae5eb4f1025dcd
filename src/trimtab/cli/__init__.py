"""The command line: a face without logic. Commands load when they are called, so that `--help` stays quick."""
