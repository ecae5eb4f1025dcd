"""Pages for a browser: faces over what other packages tell, each one file that works offline."""
