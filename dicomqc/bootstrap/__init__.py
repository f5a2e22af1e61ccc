"""The composition root: settings to wired stages, a module for each, imported on demand; nothing else knows all parts."""
