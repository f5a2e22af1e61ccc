"""The bytes: one Part 10 file per object, named by its digest, durable before anybody hears of it."""
