"""The page in the browser, server side: read-only addresses over stores and files.

Nothing but `cli` imports it, and `weightsmith.show` loads it when it is called.
"""
