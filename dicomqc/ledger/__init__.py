"""The facts: every instance, verdict, series and delivery, and the work that is left to do. The only importer of SQLAlchemy."""
