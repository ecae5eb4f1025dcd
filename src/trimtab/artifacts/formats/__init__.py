"""One module, or one package, per format. `trimtab.artifacts.kinds` lists them; `format.py` says what each offers."""
