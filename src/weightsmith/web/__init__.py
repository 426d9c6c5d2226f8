"""The page in the browser, server side: read-only addresses over stores and files. Nothing but `cli` imports it."""
